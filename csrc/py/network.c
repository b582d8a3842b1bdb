/* network.c: the type xcos._core.Network. */
#include "args.h"
#include "layers.h"

typedef struct {
    PyObject_HEAD
    xcos_net *net;
    Py_ssize_t n_inputs, n_outputs;
    int ranks[XCOS_MAX_INPUTS];
    PyObject *module;  /* for exceptions */
} Network;

/* Everything is built before the object is seen by anyone: a Network that exists can run. Tensors
 * are frozen as they are read, and needed until the network is finished. */
static PyObject *network_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"inputs", "layers", "outputs", "tensors", "precision", NULL};
    PyObject *given[3], *lists[3] = {NULL}, *tensors;
    const char *precision = "fp32";
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOOO|s:Network", names, &given[0], &given[1],
                                     &given[2], &tensors, &precision))
        return NULL;
    Network *self = (Network *)type->tp_alloc(type, 0);
    if (!self)
        return NULL;
    PyObject_GC_UnTrack(self); /* until it is complete, the collector must not show it around */
    self->module = Py_NewRef(PyType_GetModule(type));
    xpy_build b = {.module = self->module, .tensors = tensors, .layer = "?"};
    xcos_error err;
    int failed = 1;
    if (!(b.ids = PyDict_New()) || !(b.kept = PyList_New(0)) ||
        !xpy_ok(b.module, xcos_net_new(&self->net, &err), &err) ||
        !xpy_ok(b.module, xcos_net_precision(self->net, precision, &err), &err))
        goto done;
    b.net = self->net;
    for (int i = 0; i < 3; i++)
        if (!(lists[i] = PySequence_Tuple(given[i])))
            goto done;
    self->n_inputs = PyTuple_GET_SIZE(lists[0]);
    self->n_outputs = PyTuple_GET_SIZE(lists[2]);
    if (self->n_inputs > XCOS_MAX_INPUTS || self->n_outputs > XCOS_MAX_OUTPUTS) {
        PyErr_Format(PyExc_ValueError, "at most %d inputs and %d outputs, got %zd and %zd",
                     XCOS_MAX_INPUTS, XCOS_MAX_OUTPUTS, self->n_inputs, self->n_outputs);
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
    failed = !XPY_CALL(b.module, xcos_net_finish(b.net, &err));
done:
    Py_XDECREF(b.ids);
    Py_XDECREF(b.kept);
    for (int i = 0; i < 3; i++)
        Py_XDECREF(lists[i]);
    if (failed)
        Py_CLEAR(self);
    else
        PyObject_GC_Track(self);
    return (PyObject *)self;
}

/* ---------------------------------------------------------------- running */

/* `given` as a tuple with one item per input, or NULL and an exception. */
static PyObject *one_per_input(const Network *self, PyObject *given, const char *what)
{
    PyObject *items = PySequence_Tuple(given);
    if (items && PyTuple_GET_SIZE(items) != self->n_inputs) {
        PyErr_Format(PyExc_ValueError, "expected %zd %s, got %zd", self->n_inputs, what,
                     PyTuple_GET_SIZE(items));
        Py_CLEAR(items);
    }
    return items;
}

/* A list of new arrays for the outputs, whose memory is in `data`. */
static PyObject *new_outputs(const Network *self, const int *ranks,
                             int64_t (*dims)[XCOS_MAX_RANK], float **data)
{
    PyObject *result = PyList_New(self->n_outputs);
    for (Py_ssize_t i = 0; result && i < self->n_outputs; i++) {
        npy_intp shape[XCOS_MAX_RANK];
        for (int j = 0; j < ranks[i]; j++)
            shape[j] = (npy_intp)dims[i][j];
        PyObject *array = PyArray_SimpleNew(ranks[i], shape, NPY_FLOAT32);
        if (array) {
            PyList_SET_ITEM(result, i, array);
            data[i] = PyArray_DATA((PyArrayObject *)array);
        } else {
            Py_CLEAR(result);
        }
    }
    return result;
}

static PyObject *network_run(Network *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"inputs", "threads", NULL};
    PyObject *given, *result = NULL;
    int threads = 0, out_rank[XCOS_MAX_OUTPUTS];
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|i:run", names, &given, &threads))
        return NULL;
    PyObject *items = one_per_input(self, given, "inputs");
    if (!items)
        return NULL;
    xpy_arg inputs[XCOS_MAX_INPUTS] = {{.name = NULL}};
    char what[XCOS_MAX_INPUTS][16];
    int64_t in_dims[XCOS_MAX_INPUTS][XCOS_MAX_RANK] = {{0}};
    int64_t out_dims[XCOS_MAX_OUTPUTS][XCOS_MAX_RANK];
    const float *in[XCOS_MAX_INPUTS];
    float *out[XCOS_MAX_OUTPUTS];
    xcos_error err;
    const int count = (int)self->n_inputs;
    for (int i = 0; i < count; i++) {
        PyOS_snprintf(what[i], sizeof what[i], "input %d", i);
        inputs[i] = (xpy_arg){.name = what[i],
                              .given = PyTuple_GET_ITEM(items, i),
                              .type = NPY_FLOAT32,
                              .rank = self->ranks[i]};
    }
    if (!xpy_convert(inputs, count))
        goto done;
    for (int i = 0; i < count; i++) {
        for (int j = 0; j < self->ranks[i]; j++)
            in_dims[i][j] = xpy_dim(&inputs[i], j);
        in[i] = xpy_data(&inputs[i]);
    }
    if (!XPY_CALL(self->module, xcos_net_shapes(self->net, in_dims, out_rank, out_dims, &err)) ||
        !(result = new_outputs(self, out_rank, out_dims, out)))
        goto done;
    if (!XPY_CALL(self->module, xcos_net_run(self->net, in_dims, in, out, threads, &err)))
        Py_CLEAR(result);
done:
    xpy_release(inputs, count);
    Py_DECREF(items);
    return result;
}

static PyObject *network_run_masked(Network *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"image", "fill", "masks", "threads", NULL};
    enum { IMAGE, FILL, MASKS, COUNT };
    xpy_arg a[COUNT] = {{.name = "image", .type = NPY_FLOAT32, .rank = 3},
                        {.name = "fill", .type = NPY_FLOAT32, .rank = 3},
                        {.name = "masks", .type = NPY_FLOAT32, .rank = 3}};
    PyObject *result = NULL;
    int threads = 0, out_rank[XCOS_MAX_OUTPUTS];
    xcos_error err;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOO|i:run_masked", names, &a[IMAGE].given,
                                     &a[FILL].given, &a[MASKS].given, &threads))
        return NULL;
    if (!xpy_convert(a, COUNT))
        goto done;
    const npy_intp *d = PyArray_DIMS(a[IMAGE].array), n = xpy_dim(&a[MASKS], 0);
    const npy_intp masks[3] = {n, d[1], d[2]};
    if (!xpy_has_shape(&a[FILL], 3, d) || !xpy_has_shape(&a[MASKS], 3, masks))
        goto done;
    const int64_t in_dims[1][XCOS_MAX_RANK] = {{n, d[0], d[1], d[2]}};
    int64_t out_dims[XCOS_MAX_OUTPUTS][XCOS_MAX_RANK];
    float *out[XCOS_MAX_OUTPUTS];
    if (self->n_inputs != 1)
        PyErr_Format(PyExc_ValueError, "expected a network with one input, got one with %zd",
                     self->n_inputs);
    else if (XPY_CALL(self->module, xcos_net_shapes(self->net, in_dims, out_rank, out_dims, &err)) &&
             (result = new_outputs(self, out_rank, out_dims, out)) &&
             !XPY_CALL(self->module,
                       xcos_net_run_masked(self->net, in_dims, xpy_data(&a[IMAGE]), xpy_data(&a[FILL]),
                                           xpy_data(&a[MASKS]), out, threads, &err)))
        Py_CLEAR(result);
done:
    xpy_release(a, COUNT);
    return result;
}

static PyObject *network_output_shapes(Network *self, PyObject *shapes)
{
    int64_t in_dims[XCOS_MAX_INPUTS][XCOS_MAX_RANK] = {{0}}, out_dims[XCOS_MAX_OUTPUTS][XCOS_MAX_RANK];
    int out_rank[XCOS_MAX_OUTPUTS];
    xcos_error err;
    PyObject *items = one_per_input(self, shapes, "shapes");
    if (!items)
        return NULL;
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
    Py_VISIT(self->module);
    return 0;
}

static void network_dealloc(Network *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    xcos_net_free(self->net);
    Py_CLEAR(self->module);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"run", (PyCFunction)(void (*)(void))network_run, METH_VARARGS | METH_KEYWORDS,
     "run($self, inputs, threads=0)\n--\n\n"
     "Outputs as float32 arrays, in the order of the plan's outputs."},
    {"run_masked", (PyCFunction)(void (*)(void))network_run_masked, METH_VARARGS | METH_KEYWORDS,
     "run_masked($self, image, fill, masks, threads=0)\n--\n\n"
     "As run on an image (C, H, W) seen through masks (N, H, W), with a filling behind them."},
    {"output_shapes", (PyCFunction)network_output_shapes, METH_O,
     "output_shapes($self, shapes, /)\n--\n\n"
     "Shapes of the outputs for the given shapes of the inputs."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "Network(inputs, layers, outputs, tensors, precision='fp32')\n--\n\nA plan of layers, ready to run."},
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
