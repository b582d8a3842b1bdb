/* masks.c: masks applied to stacks of pictures. */
#include "args.h"

/* Whether images, fills (N, C, H, W), masks (M, H, W) and which (M) fit together, else an
 * exception. */
static bool fit(const xpy_arg *images, const xpy_arg *fills, const xpy_arg *masks,
                const xpy_arg *which)
{
    const npy_intp *image = PyArray_DIMS(images->array), *mask = PyArray_DIMS(masks->array);
    if (!PyArray_SAMESHAPE(images->array, fills->array))
        PyErr_Format(PyExc_ValueError, "fills: expected the shape of images");
    else if (mask[1] != image[2] || mask[2] != image[3])
        PyErr_Format(PyExc_ValueError, "masks: expected (M, %zd, %zd), got (%zd, %zd, %zd)",
                     (Py_ssize_t)image[2], (Py_ssize_t)image[3], (Py_ssize_t)mask[0],
                     (Py_ssize_t)mask[1], (Py_ssize_t)mask[2]);
    else if (xpy_dim(which, 0) != mask[0])
        PyErr_Format(PyExc_ValueError, "which: expected %zd numbers, one per mask, got %zd",
                     (Py_ssize_t)mask[0], (Py_ssize_t)xpy_dim(which, 0));
    else
        return true;
    return false;
}

static PyObject *mask_blend(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"images", "fills", "masks", "which", "threads", NULL};
    enum { IMAGES, FILLS, MASKS, WHICH, COUNT };
    xpy_arg a[COUNT] = {{.name = "images", .type = NPY_FLOAT32, .rank = 4},
                        {.name = "fills", .type = NPY_FLOAT32, .rank = 4},
                        {.name = "masks", .type = NPY_FLOAT32, .rank = 3},
                        {.name = "which", .type = NPY_INT64, .rank = 1, .copy = true}};
    PyObject *out = NULL;
    xcos_error err;
    int threads = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOOO|i:mask_blend", names, &a[IMAGES].given,
                                     &a[FILLS].given, &a[MASKS].given, &a[WHICH].given, &threads))
        return NULL;
    if (xpy_convert(a, COUNT) && fit(&a[IMAGES], &a[FILLS], &a[MASKS], &a[WHICH])) {
        const npy_intp *d = PyArray_DIMS(a[IMAGES].array), count = xpy_dim(&a[MASKS], 0);
        const npy_intp shape[4] = {count, d[1], d[2], d[3]};
        out = PyArray_SimpleNew(4, shape, NPY_FLOAT32);
        if (out && !XPY_CALL(module, xcos_mask_blend(xpy_data(&a[IMAGES]), xpy_data(&a[FILLS]), d[0],
                                                     d[1], d[2] * d[3], xpy_data(&a[MASKS]),
                                                     xpy_data(&a[WHICH]), count,
                                                     PyArray_DATA((PyArrayObject *)out), threads,
                                                     &err)))
            Py_CLEAR(out);
    }
    xpy_release(a, COUNT);
    return out;
}

PyMethodDef xpy_mask_methods[] = {
    {"mask_blend", (PyCFunction)(void (*)(void))mask_blend, METH_VARARGS | METH_KEYWORDS,
     "mask_blend($module, images, fills, masks, which, threads=0)\n--\n\n"
     "Pictures (N, C, H, W) through masks (M, H, W), fillings behind them."},
    {NULL, NULL, 0, NULL},
};
