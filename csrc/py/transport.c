/* transport.c: optimal transport between the cells of grids. */
#include "args.h"

#include <limits.h>

static PyObject *transport(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"a", "b", "cross", "regularization", "iterations", "flow", "threads",
                            NULL};
    xpy_arg a[2] = {{.name = "a", .type = NPY_FLOAT32, .rank = 4},
                    {.name = "b", .type = NPY_FLOAT32, .rank = 4}};
    PyObject *result = NULL, *similarity = NULL, *flow = NULL;
    xcos_error err;
    int cross = 1, iterations = 100, wants_flow = 0, threads = 0;
    float regularization = 0.05f;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|pfipi:transport", names, &a[0].given,
                                     &a[1].given, &cross, &regularization, &iterations, &wants_flow,
                                     &threads) ||
        !xpy_convert(a, 2))
        goto end;
    const npy_intp *d = PyArray_DIMS(a[1].array), n = d[0], first = xpy_dim(&a[0], 0);
    const npy_intp expected[4] = {first == 1 ? 1 : n, d[1], d[2], d[3]};
    if (!xpy_has_shape(&a[0], 4, expected))
        goto end;
    if (d[1] > INT_MAX || d[2] > INT_MAX || d[3] > INT_MAX) {
        PyErr_SetString(PyExc_ValueError, "grids: too large");
        goto end;
    }
    const xcos_transport t = {.depth = (int)d[1], .height = (int)d[2], .width = (int)d[3],
                              .cross = cross, .iterations = iterations,
                              .regularization = regularization};
    if (!XPY_CALL(module, xcos_transport_run(&t, NULL, 0, NULL, 0, NULL, NULL, 1, &err)))
        goto end; /* settings first: they bound the size of the flow */
    const npy_intp cells = d[2] * d[3], shape[3] = {n, cells, cells};
    if (!(similarity = PyArray_SimpleNew(1, shape, NPY_FLOAT32)) ||
        (wants_flow && !(flow = PyArray_SimpleNew(3, shape, NPY_FLOAT32))))
        goto end;
    if (XPY_CALL(module,
                 xcos_transport_run(&t, xpy_data(&a[0]), first, xpy_data(&a[1]), n,
                                    PyArray_DATA((PyArrayObject *)similarity),
                                    flow ? PyArray_DATA((PyArrayObject *)flow) : NULL, threads,
                                    &err)))
        result = PyTuple_Pack(2, similarity, flow ? flow : Py_None);
end:
    Py_XDECREF(similarity);
    Py_XDECREF(flow);
    xpy_release(a, 2);
    return result;
}

PyDoc_STRVAR(transport_doc,
"transport(a, b, cross=True, regularization=0.05, iterations=100, flow=False, threads=0)\n"
"--\n\n"
"Entropic optimal transport between the cells of a[i] and b[i]: grids (N, D, H, W), a also\n"
"(1, D, H, W): one for all -> (similarity (N,) in -1..1, flow (N, H*W, H*W) or None), float32.");

PyMethodDef xpy_transport_methods[] = {
    {"transport", (PyCFunction)(void (*)(void))transport, METH_VARARGS | METH_KEYWORDS,
     transport_doc},
    {NULL, NULL, 0, NULL},
};
