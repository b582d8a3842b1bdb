/* image.c: pictures as NumPy arrays: decode, warp, resize, normalize. */
#include "binding.h"

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

static PyObject *decode(PyObject *module, PyObject *args)
{
    Py_buffer data;
    long long max_pixels;
    PyObject *copy = NULL;
    if (!PyArg_ParseTuple(args, "y*L:decode", &data, &max_pixels))
        return NULL;
    if (!data.obj || !PyBytes_CheckExact(data.obj)) { /* might change while the GIL is free */
        if (!(copy = PyBytes_FromStringAndSize(data.buf, data.len))) {
            PyBuffer_Release(&data);
            return NULL;
        }
    }
    const char *bytes = copy ? PyBytes_AS_STRING(copy) : data.buf;
    xcos_image image;
    xcos_error err;
    xcos_status status;
    Py_BEGIN_ALLOW_THREADS
    status = xcos_image_decode((const uint8_t *)bytes, (size_t)data.len, max_pixels, &image, &err);
    Py_END_ALLOW_THREADS
    Py_XDECREF(copy);
    PyBuffer_Release(&data);
    return xpy_ok(module, status, &err) ? adopt(&image) : NULL;
}

/* `obj` as C-contiguous (H, W, 3) uint8 of sides that fit an int: a new reference, or NULL. */
static PyArrayObject *pixels(PyObject *obj)
{
    if (!PyArray_Check(obj) || PyArray_TYPE((PyArrayObject *)obj) != NPY_UINT8 ||
        PyArray_NDIM((PyArrayObject *)obj) != 3 || PyArray_DIM((PyArrayObject *)obj, 2) != 3 ||
        PyArray_DIM((PyArrayObject *)obj, 0) > NPY_MAX_INT ||
        PyArray_DIM((PyArrayObject *)obj, 1) > NPY_MAX_INT) {
        PyErr_SetString(PyExc_ValueError, "image: expected an array of shape (H, W, 3), uint8");
        return NULL;
    }
    return (PyArrayObject *)PyArray_FROM_OF(obj, XPY_PLAIN);
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
    PyObject *image, *matrix;
    int height, width;
    unsigned char border[3] = {0, 0, 0};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOii|(bbb):warp", names, &image, &matrix,
                                     &height, &width, &border[0], &border[1], &border[2]))
        return NULL;
    PyArrayObject *src = pixels(image);
    PyArrayObject *map = src ? xpy_array(matrix, NPY_FLOAT64, 2) : NULL;
    PyObject *dst = NULL;
    if (map && (PyArray_DIM(map, 0) != 2 || PyArray_DIM(map, 1) != 3))
        PyErr_SetString(PyExc_ValueError, "matrix: expected the shape (2, 3)");
    else if (map)
        dst = new_picture(height, width);
    if (dst) {
        xcos_error err;
        xcos_status status;
        Py_BEGIN_ALLOW_THREADS
        status = xcos_image_warp(PyArray_DATA(src), (int)PyArray_DIM(src, 0),
                                 (int)PyArray_DIM(src, 1), PyArray_DATA(map), border,
                                 PyArray_DATA((PyArrayObject *)dst), height, width, &err);
        Py_END_ALLOW_THREADS
        if (!xpy_ok(module, status, &err))
            Py_CLEAR(dst);
    }
    Py_XDECREF(src);
    Py_XDECREF(map);
    return dst;
}

static PyObject *resize(PyObject *module, PyObject *args)
{
    PyObject *image;
    int height, width;
    if (!PyArg_ParseTuple(args, "Oii:resize", &image, &height, &width))
        return NULL;
    PyArrayObject *src = pixels(image);
    PyObject *dst = src ? new_picture(height, width) : NULL;
    if (dst) {
        xcos_error err;
        xcos_status status;
        Py_BEGIN_ALLOW_THREADS
        status = xcos_image_resize(PyArray_DATA(src), (int)PyArray_DIM(src, 0),
                                   (int)PyArray_DIM(src, 1), PyArray_DATA((PyArrayObject *)dst),
                                   height, width, &err);
        Py_END_ALLOW_THREADS
        if (!xpy_ok(module, status, &err))
            Py_CLEAR(dst);
    }
    Py_XDECREF(src);
    return dst;
}

/* One float32 per channel from `obj`, or 0 with an exception. */
static int per_channel(PyObject *obj, npy_intp channels, const char *what, float out[4])
{
    PyArrayObject *a = xpy_floats(obj, 1, what);
    if (!a)
        return 0;
    const npy_intp length = PyArray_DIM(a, 0);
    if (length == channels)
        memcpy(out, PyArray_DATA(a), (size_t)channels * sizeof *out);
    else
        PyErr_Format(PyExc_ValueError, "%s: expected %zd values, one per channel, got %zd", what,
                     (Py_ssize_t)channels, (Py_ssize_t)length);
    Py_DECREF(a);
    return length == channels;
}

/* (pixels, channels) to (channels, pixels); a table per channel holds all 256 results. */
static void spread(const uint8_t *src, npy_intp count, int channels, const float *mean,
                   const float *scale, int reverse, float *dst)
{
    for (int c = 0; c < channels; c++, dst += count) {
        float table[256];
        for (int v = 0; v < 256; v++)
            table[v] = ((float)v - mean[c]) * scale[c];
        const uint8_t *from = src + (reverse ? channels - 1 - c : c);
        for (npy_intp i = 0; i < count; i++, from += channels)
            dst[i] = table[*from];
    }
}

static PyObject *normalize(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"images", "mean", "scale", "reverse", NULL};
    PyObject *images, *mean_obj, *scale_obj;
    int reverse = 0;
    float mean[4], scale[4];
    (void)module;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOO|p:normalize", names, &images, &mean_obj,
                                     &scale_obj, &reverse))
        return NULL;
    PyArrayObject *src = (PyArrayObject *)images;
    if (!PyArray_Check(images) || PyArray_TYPE(src) != NPY_UINT8 || PyArray_NDIM(src) != 4 ||
        PyArray_DIM(src, 3) < 1 || PyArray_DIM(src, 3) > 4) {
        PyErr_SetString(PyExc_ValueError,
                        "images: expected an array of shape (N, H, W, C), uint8, C of 1 to 4");
        return NULL;
    }
    const npy_intp *d = PyArray_DIMS(src);
    if (!per_channel(mean_obj, d[3], "mean", mean) || !per_channel(scale_obj, d[3], "scale", scale))
        return NULL;
    const npy_intp shape[4] = {d[0], d[3], d[1], d[2]}, area = d[1] * d[2];
    const int channels = (int)d[3];
    PyObject *dst = PyArray_SimpleNew(4, shape, NPY_FLOAT32);
    src = dst ? (PyArrayObject *)PyArray_FROM_OF(images, XPY_PLAIN) : NULL;
    if (src) {
        const uint8_t *from = PyArray_DATA(src);
        float *to = PyArray_DATA((PyArrayObject *)dst);
        Py_BEGIN_ALLOW_THREADS
        for (npy_intp n = 0; n < shape[0]; n++, from += area * channels, to += area * channels)
            spread(from, area, channels, mean, scale, reverse, to);
        Py_END_ALLOW_THREADS
    } else {
        Py_CLEAR(dst);
    }
    Py_XDECREF(src);
    return dst;
}

PyMethodDef xpy_image_methods[] = {
    {"decode", decode, METH_VARARGS, "Encoded picture to (H, W, 3) uint8 RGB."},
    {"warp", (PyCFunction)(void (*)(void))warp, METH_VARARGS | METH_KEYWORDS,
     "Bilinear warp of (H, W, 3) uint8."},
    {"resize", resize, METH_VARARGS, "Antialiased resizing of (H, W, 3) uint8."},
    {"normalize", (PyCFunction)(void (*)(void))normalize, METH_VARARGS | METH_KEYWORDS,
     "(N, H, W, C) uint8 to (N, C, H, W) float32, (x - mean) * scale."},
    {NULL, NULL, 0, NULL},
};
