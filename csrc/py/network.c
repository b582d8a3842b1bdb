/* network.c: the type xcos._core.Network. */
#include "layers.h"

enum { MAX_OUTPUTS = 64 };

typedef struct {
    PyObject_HEAD
    xcos_net *net;
    PyObject *tensors; /* list of arrays that the core borrows */
    Py_ssize_t n_inputs, n_outputs;
    int ranks[XCOS_MAX_INPUTS];
    PyObject *module;  /* for exceptions */
} Network;

/* Everything is built before the object is seen by anyone: a Network that exists can run. */
static PyObject *network_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"inputs", "layers", "outputs", "tensors", NULL};
    PyObject *given[3], *lists[3] = {NULL}, *tensors;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOOO:Network", names, &given[0], &given[1],
                                     &given[2], &tensors))
        return NULL;
    Network *self = (Network *)type->tp_alloc(type, 0);
    if (!self)
        return NULL;
    self->module = Py_NewRef(PyType_GetModule(type));
    xpy_build b = {.module = self->module, .tensors = tensors, .layer = "?"};
    xcos_error err;
    int failed = 1;
    if (!(b.ids = PyDict_New()) || !(self->tensors = b.kept = PyList_New(0)) ||
        !xpy_ok(b.module, xcos_net_new(&self->net, &err), &err))
        goto done;
    b.net = self->net;
    for (int i = 0; i < 3; i++)
        if (!(lists[i] = PySequence_Tuple(given[i])))
            goto done;
    self->n_inputs = PyTuple_GET_SIZE(lists[0]);
    self->n_outputs = PyTuple_GET_SIZE(lists[2]);
    if (self->n_inputs > XCOS_MAX_INPUTS || self->n_outputs > MAX_OUTPUTS) {
        PyErr_Format(PyExc_ValueError, "at most %d inputs and %d outputs, got %zd and %zd",
                     XCOS_MAX_INPUTS, MAX_OUTPUTS, self->n_inputs, self->n_outputs);
        goto done;
    }
    for (Py_ssize_t i = 0; i < self->n_inputs; i++)
        if (xpy_add_input(&b, PyTuple_GET_ITEM(lists[0], i), &self->ranks[i]) < 0)
            goto done;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(lists[1]); i++)
        if (xpy_add_layer(&b, PyTuple_GET_ITEM(lists[1], i)) < 0)
            goto done;
    for (Py_ssize_t i = 0; i < self->n_outputs; i++)
        if (xpy_add_output(&b, PyTuple_GET_ITEM(lists[2], i)) < 0)
            goto done;
    xcos_status status;
    Py_BEGIN_ALLOW_THREADS
    status = xcos_net_finish(b.net, &err);
    Py_END_ALLOW_THREADS
    failed = !xpy_ok(b.module, status, &err);
done:
    Py_XDECREF(b.ids);
    for (int i = 0; i < 3; i++)
        Py_XDECREF(lists[i]);
    if (failed)
        Py_CLEAR(self);
    return (PyObject *)self;
}

/* ---------------------------------------------------------------- running */

static PyObject *network_run(Network *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"inputs", "threads", NULL};
    PyObject *given;
    int threads = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|i:run", names, &given, &threads))
        return NULL;
    /* A tuple: converting an item may run Python code, which could change a list. */
    PyObject *items = PySequence_Tuple(given), *result = NULL;
    if (!items)
        return NULL;
    int64_t in_dims[XCOS_MAX_INPUTS][XCOS_MAX_RANK] = {{0}}, out_dims[MAX_OUTPUTS][XCOS_MAX_RANK];
    int out_rank[MAX_OUTPUTS];
    PyArrayObject *arrays[XCOS_MAX_INPUTS] = {NULL};
    const float *in[XCOS_MAX_INPUTS];
    float *out[MAX_OUTPUTS];
    xcos_error err;
    xcos_status status;
    if (PyTuple_GET_SIZE(items) != self->n_inputs) {
        PyErr_Format(PyExc_ValueError, "expected %zd inputs, got %zd", self->n_inputs,
                     PyTuple_GET_SIZE(items));
        goto done;
    }
    for (Py_ssize_t i = 0; i < self->n_inputs; i++) {
        char what[32];
        PyOS_snprintf(what, sizeof what, "input %zd", i);
        if (!(arrays[i] = xpy_floats(PyTuple_GET_ITEM(items, i), self->ranks[i], what)))
            goto done;
        for (int j = 0; j < self->ranks[i]; j++)
            in_dims[i][j] = PyArray_DIM(arrays[i], j);
        in[i] = PyArray_DATA(arrays[i]);
    }
    Py_BEGIN_ALLOW_THREADS
    status = xcos_net_shapes(self->net, in_dims, out_rank, out_dims, &err);
    Py_END_ALLOW_THREADS
    if (!xpy_ok(self->module, status, &err) || !(result = PyList_New(self->n_outputs)))
        goto done;
    for (Py_ssize_t i = 0; i < self->n_outputs; i++) {
        npy_intp dims[XCOS_MAX_RANK];
        for (int j = 0; j < out_rank[i]; j++)
            dims[j] = (npy_intp)out_dims[i][j];
        PyObject *array = PyArray_SimpleNew(out_rank[i], dims, NPY_FLOAT32);
        if (!array) {
            Py_CLEAR(result);
            goto done;
        }
        PyList_SET_ITEM(result, i, array);
        out[i] = PyArray_DATA((PyArrayObject *)array);
    }
    Py_BEGIN_ALLOW_THREADS
    status = xcos_net_run(self->net, in_dims, in, out, threads, &err);
    Py_END_ALLOW_THREADS
    if (!xpy_ok(self->module, status, &err))
        Py_CLEAR(result);
done:
    for (Py_ssize_t i = 0; i < self->n_inputs; i++)
        Py_XDECREF(arrays[i]);
    Py_DECREF(items);
    return result;
}

static PyObject *network_output_shapes(Network *self, PyObject *shapes)
{
    int64_t in_dims[XCOS_MAX_INPUTS][XCOS_MAX_RANK] = {{0}}, out_dims[MAX_OUTPUTS][XCOS_MAX_RANK];
    int out_rank[MAX_OUTPUTS];
    xcos_error err;
    PyObject *items = PySequence_Tuple(shapes);
    if (!items)
        return NULL;
    if (PyTuple_GET_SIZE(items) != self->n_inputs) {
        PyErr_Format(PyExc_ValueError, "expected %zd shapes, got %zd", self->n_inputs,
                     PyTuple_GET_SIZE(items));
        Py_DECREF(items);
        return NULL;
    }
    for (Py_ssize_t i = 0; i < self->n_inputs; i++) {
        PyObject *shape = PySequence_Tuple(PyTuple_GET_ITEM(items, i));
        if (shape && PyTuple_GET_SIZE(shape) != self->ranks[i])
            PyErr_Format(PyExc_ValueError, "shape %zd: expected %d sizes, got %zd", i,
                         self->ranks[i], PyTuple_GET_SIZE(shape));
        for (int j = 0; shape && !PyErr_Occurred() && j < self->ranks[i]; j++)
            in_dims[i][j] = PyLong_AsLongLong(PyTuple_GET_ITEM(shape, j));
        Py_XDECREF(shape);
        if (PyErr_Occurred()) {
            Py_DECREF(items);
            return NULL;
        }
    }
    Py_DECREF(items);
    if (!xpy_ok(self->module, xcos_net_shapes(self->net, in_dims, out_rank, out_dims, &err), &err))
        return NULL;
    PyObject *result = PyList_New(self->n_outputs);
    for (Py_ssize_t i = 0; result && i < self->n_outputs; i++) {
        PyObject *shape = PyTuple_New(out_rank[i]);
        for (int j = 0; shape && j < out_rank[i]; j++) {
            PyObject *size = PyLong_FromLongLong(out_dims[i][j]);
            if (size)
                PyTuple_SET_ITEM(shape, j, size);
            else
                Py_CLEAR(shape);
        }
        if (shape)
            PyList_SET_ITEM(result, i, shape);
        else
            Py_CLEAR(result);
    }
    return result;
}

static int network_traverse(Network *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->tensors);
    Py_VISIT(self->module);
    return 0;
}

static void network_dealloc(Network *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    xcos_net_free(self->net);
    Py_CLEAR(self->tensors);
    Py_CLEAR(self->module);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"run", (PyCFunction)(void (*)(void))network_run, METH_VARARGS | METH_KEYWORDS,
     "run(inputs, threads=0): outputs as float32 arrays, in the order of the plan's outputs."},
    {"output_shapes", (PyCFunction)network_output_shapes, METH_O,
     "output_shapes(shapes): shapes of the outputs for the given shapes of the inputs."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "Network(inputs, layers, outputs, tensors): a plan of layers, ready to run."},
    {Py_tp_new, network_new},
    {Py_tp_dealloc, network_dealloc},
    {Py_tp_traverse, network_traverse},
    {Py_tp_methods, methods},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "xcos._core.Network",
    .basicsize = sizeof(Network),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = slots,
};

int xpy_add_network(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &spec, NULL);
    if (!type)
        return -1;
    int failed = PyModule_AddType(module, (PyTypeObject *)type);
    Py_DECREF(type);
    return failed;
}
