/* image.c: pictures as NumPy arrays: decode, warp, resize, normalize. */
#include "args.h"

static void free_pixels(PyObject *capsule)
{
    xcos_image image = {0, 0, PyCapsule_GetPointer(capsule, NULL)};
    xcos_image_free(&image);
}

/* An array over the picture's pixels, which it frees; takes them over also on failure. */
static PyObject *adopt(xcos_image *image)
{
    const npy_intp shape[3] = {image->height, image->width, 3};
    PyObject *owner = PyCapsule_New(image->pixels, NULL, free_pixels);
    if (!owner) {
        xcos_image_free(image);
        return NULL;
    }
    PyObject *array = PyArray_SimpleNewFromData(3, shape, NPY_UINT8, image->pixels);
    if (!array) {
        Py_DECREF(owner);
        return NULL;
    }
    if (PyArray_SetBaseObject((PyArrayObject *)array, owner) < 0) /* steals owner */
        Py_CLEAR(array);
    return array;
}

/* `given` as pixels. Numbers are read before: code of theirs could resize an array whose buffer is out already. */
static PyObject *decoded(PyObject *module, PyObject *given, long long max_pixels, long long at_least,
                         int *reduction)
{
    PyObject *copy = NULL;
    Py_buffer data;
    if (PyObject_GetBuffer(given, &data, PyBUF_SIMPLE) < 0)
        return NULL;
    if (!data.obj || !PyBytes_CheckExact(data.obj)) { /* might change while the lock is free */
        if (!(copy = PyBytes_FromStringAndSize(data.buf, data.len))) {
            PyBuffer_Release(&data);
            return NULL;
        }
    }
    const char *bytes = copy ? PyBytes_AS_STRING(copy) : data.buf;
    xcos_image image;
    xcos_error err;
    const int ok = XPY_CALL(
        module, xcos_image_decode_reduced((const uint8_t *)bytes, (size_t)data.len, max_pixels,
                                          at_least, &image, reduction, &err));
    Py_XDECREF(copy);
    PyBuffer_Release(&data);
    return ok ? adopt(&image) : NULL;
}

static PyObject *decode(PyObject *module, PyObject *args)
{
    PyObject *given;
    long long max_pixels;
    int reduction;
    if (!PyArg_ParseTuple(args, "OL:decode", &given, &max_pixels))
        return NULL;
    return decoded(module, given, max_pixels, LLONG_MAX, &reduction);
}

static PyObject *decode_reduced(PyObject *module, PyObject *args)
{
    PyObject *given, *pixels;
    long long max_pixels, at_least;
    int reduction;
    if (!PyArg_ParseTuple(args, "OLL:decode_reduced", &given, &max_pixels, &at_least))
        return NULL;
    pixels = decoded(module, given, max_pixels, at_least, &reduction);
    return pixels ? Py_BuildValue("Ni", pixels, reduction) : NULL;
}

#define PICTURE                                                                                    \
    {.name = "image", .type = NPY_UINT8, .rank = 3, .expected = "an array of shape (H, W, 3), uint8"}

/* Whether an argument of PICTURE has three channels, and sides that fit an int. */
static bool is_picture(const xpy_arg *arg)
{
    return (xpy_dim(arg, 2) == 3 && xpy_dim(arg, 0) <= NPY_MAX_INT &&
            xpy_dim(arg, 1) <= NPY_MAX_INT) ||
           xpy_unexpected(arg);
}

static PyObject *new_picture(int height, int width)
{
    const npy_intp shape[3] = {height, width, 3};
    if (height < 1 || width < 1)
        return PyErr_Format(PyExc_ValueError, "height and width must be at least 1, got %d and %d",
                            height, width);
    return PyArray_SimpleNew(3, shape, NPY_UINT8);
}

static PyObject *warp(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"image", "matrix", "height", "width", "border", NULL};
    xpy_arg a[2] = {PICTURE, {.name = "matrix", .type = NPY_FLOAT64, .rank = 2, .copy = true}};
    PyObject *dst = NULL;
    xcos_error err;
    int height, width;
    unsigned char border[3] = {0, 0, 0};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOii|(bbb):warp", names, &a[0].given,
                                     &a[1].given, &height, &width, &border[0], &border[1],
                                     &border[2]))
        return NULL;
    if (!xpy_convert(a, 2) || !is_picture(&a[0]))
        goto done;
    if (xpy_dim(&a[1], 0) != 2 || xpy_dim(&a[1], 1) != 3)
        PyErr_SetString(PyExc_ValueError, "matrix: expected the shape (2, 3)");
    else
        dst = new_picture(height, width);
    if (dst && !XPY_CALL(module, xcos_image_warp(xpy_data(&a[0]), (int)xpy_dim(&a[0], 0),
                                                 (int)xpy_dim(&a[0], 1), xpy_data(&a[1]), border,
                                                 PyArray_DATA((PyArrayObject *)dst), height, width,
                                                 &err)))
        Py_CLEAR(dst);
done:
    xpy_release(a, 2);
    return dst;
}

static PyObject *resize(PyObject *module, PyObject *args)
{
    xpy_arg a = PICTURE;
    PyObject *dst = NULL;
    xcos_error err;
    int height, width;
    if (!PyArg_ParseTuple(args, "Oii:resize", &a.given, &height, &width))
        return NULL;
    if (xpy_convert(&a, 1) && is_picture(&a))
        dst = new_picture(height, width);
    if (dst && !XPY_CALL(module, xcos_image_resize(xpy_data(&a), (int)xpy_dim(&a, 0),
                                                   (int)xpy_dim(&a, 1),
                                                   PyArray_DATA((PyArrayObject *)dst), height, width,
                                                   &err)))
        Py_CLEAR(dst);
    xpy_release(&a, 1);
    return dst;
}

/* Whether there is one value per channel. */
static bool per_channel(const xpy_arg *arg, npy_intp channels)
{
    if (xpy_dim(arg, 0) == channels)
        return true;
    PyErr_Format(PyExc_ValueError, "%s: expected %zd values, one per channel, got %zd", arg->name,
                 (Py_ssize_t)channels, (Py_ssize_t)xpy_dim(arg, 0));
    return false;
}

static PyObject *normalize(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"images", "mean", "scale", "reverse", NULL};
    enum { IMAGES, MEAN, SCALE, COUNT };
    xpy_arg a[COUNT] = {{.name = "images",
                         .type = NPY_UINT8,
                         .rank = 4,
                         .expected = "an array of shape (N, H, W, C), uint8, C of 1 to 4"},
                        {.name = "mean", .type = NPY_FLOAT32, .rank = 1},
                        {.name = "scale", .type = NPY_FLOAT32, .rank = 1}};
    PyObject *dst = NULL;
    xcos_error err;
    int reverse = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOO|p:normalize", names, &a[IMAGES].given,
                                     &a[MEAN].given, &a[SCALE].given, &reverse))
        return NULL;
    if (!xpy_convert(a, COUNT))
        goto done;
    const npy_intp *d = PyArray_DIMS(a[IMAGES].array);
    if ((d[3] < 1 || d[3] > 4) && !xpy_unexpected(&a[IMAGES]))
        goto done;
    if (!per_channel(&a[MEAN], d[3]) || !per_channel(&a[SCALE], d[3]))
        goto done;
    const npy_intp shape[4] = {d[0], d[3], d[1], d[2]};
    dst = PyArray_SimpleNew(4, shape, NPY_FLOAT32);
    if (dst && !XPY_CALL(module, xcos_image_normalize(
                                     xpy_data(&a[IMAGES]), d[0], d[1] * d[2], (int)d[3],
                                     xpy_data(&a[MEAN]), xpy_data(&a[SCALE]), reverse,
                                     PyArray_DATA((PyArrayObject *)dst), &err)))
        Py_CLEAR(dst);
done:
    xpy_release(a, COUNT);
    return dst;
}

PyMethodDef xpy_image_methods[] = {
    {"decode", decode, METH_VARARGS,
     "decode($module, data, max_pixels, /)\n--\n\nEncoded picture to (H, W, 3) uint8 RGB."},
    {"decode_reduced", decode_reduced, METH_VARARGS,
     "decode_reduced($module, data, max_pixels, at_least, /)\n--\n\n"
     "The same, of a JPEG perhaps smaller: pixels, and by how much."},
    {"warp", (PyCFunction)(void (*)(void))warp, METH_VARARGS | METH_KEYWORDS,
     "warp($module, image, matrix, height, width, border=(0, 0, 0))\n--\n\n"
     "Bilinear warp of (H, W, 3) uint8."},
    {"resize", resize, METH_VARARGS,
     "resize($module, image, height, width, /)\n--\n\nAntialiased resizing of (H, W, 3) uint8."},
    {"normalize", (PyCFunction)(void (*)(void))normalize, METH_VARARGS | METH_KEYWORDS,
     "normalize($module, images, mean, scale, reverse=False)\n--\n\n"
     "(N, H, W, C) uint8 to (N, C, H, W) float32, (x - mean) * scale."},
    {NULL, NULL, 0, NULL},
};
