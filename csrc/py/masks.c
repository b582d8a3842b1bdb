/* masks.c: masks applied to stacks of pictures. */
#include "binding.h"
#include "masks.h"

/* 1 if images, fills (N, C, H, W), masks (M, H, W) and which (M) fit together, else 0 and an
 * exception. */
static int fit(PyArrayObject *images, PyArrayObject *fills, PyArrayObject *masks,
               PyArrayObject *which)
{
    const npy_intp *image = PyArray_DIMS(images), *mask = PyArray_DIMS(masks);
    if (!PyArray_SAMESHAPE(images, fills))
        PyErr_Format(PyExc_ValueError, "fills: expected the shape of images");
    else if (mask[1] != image[2] || mask[2] != image[3])
        PyErr_Format(PyExc_ValueError, "masks: expected (M, %zd, %zd), got (%zd, %zd, %zd)",
                     (Py_ssize_t)image[2], (Py_ssize_t)image[3], (Py_ssize_t)mask[0],
                     (Py_ssize_t)mask[1], (Py_ssize_t)mask[2]);
    else if (PyArray_DIM(which, 0) != mask[0])
        PyErr_Format(PyExc_ValueError, "which: expected %zd numbers, one per mask, got %zd",
                     (Py_ssize_t)mask[0], (Py_ssize_t)PyArray_DIM(which, 0));
    else
        return 1;
    return 0;
}

static PyObject *mask_blend(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"images", "fills", "masks", "which", "threads", NULL};
    PyObject *given[4], *out = NULL;
    int threads = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOOO|i:mask_blend", names, &given[0], &given[1],
                                     &given[2], &given[3], &threads))
        return NULL;
    PyArrayObject *images = xpy_floats(given[0], 4, "images");
    PyArrayObject *fills = images ? xpy_floats(given[1], 4, "fills") : NULL;
    PyArrayObject *masks = fills ? xpy_floats(given[2], 3, "masks") : NULL;
    PyArrayObject *which = masks ? xpy_array(given[3], NPY_INT64, 1) : NULL;
    if (which && fit(images, fills, masks, which)) {
        const npy_intp *d = PyArray_DIMS(images), count = PyArray_DIM(masks, 0);
        const npy_intp shape[4] = {count, d[1], d[2], d[3]};
        out = PyArray_SimpleNew(4, shape, NPY_FLOAT32);
        if (out) {
            xcos_error err;
            xcos_status status;
            Py_BEGIN_ALLOW_THREADS
            status = xcos_mask_blend(PyArray_DATA(images), PyArray_DATA(fills), d[0], d[1],
                                     d[2] * d[3], PyArray_DATA(masks), PyArray_DATA(which), count,
                                     PyArray_DATA((PyArrayObject *)out), threads, &err);
            Py_END_ALLOW_THREADS
            if (!xpy_ok(module, status, &err))
                Py_CLEAR(out);
        }
    }
    Py_XDECREF(images);
    Py_XDECREF(fills);
    Py_XDECREF(masks);
    Py_XDECREF(which);
    return out;
}

PyMethodDef xpy_mask_methods[] = {
    {"mask_blend", (PyCFunction)(void (*)(void))mask_blend, METH_VARARGS | METH_KEYWORDS,
     "Pictures (N, C, H, W) through masks (M, H, W), fillings behind them."},
    {NULL, NULL, 0, NULL},
};
