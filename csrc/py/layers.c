/* layers.c: a plan as Python dicts (docs/model-file.md), read into the core's structures. */
#include <string.h>

#include "layers.h"

/* New reference; NULL without an exception where the key is absent or None. */
static PyObject *get(PyObject *dict, const char *key)
{
    PyObject *text = PyUnicode_FromString(key);
    PyObject *value = text ? PyDict_GetItemWithError(dict, text) : NULL;
    Py_XDECREF(text);
    return value == Py_None ? NULL : Py_XNewRef(value);
}

static int bad(const xpy_build *b, const char *key, const char *expected)
{
    if (PyErr_ExceptionMatches(PyExc_MemoryError))
        return -1;
    PyErr_Format(PyExc_ValueError, "layer '%s': '%s' must be %s", b->layer, key, expected);
    return -1;
}

/* Exactly `count` integers at `key`; absent: left as they are. */
static int get_ints(const xpy_build *b, PyObject *dict, const char *key, int count, int *out)
{
    PyObject *value = get(dict, key);
    if (!value)
        return PyErr_Occurred() ? -1 : 0;
    PyObject *items = PySequence_Tuple(value);
    Py_DECREF(value);
    if (!items || PyTuple_GET_SIZE(items) != count) {
        Py_XDECREF(items);
        return bad(b, key, count == 2 ? "a list of 2 integers" : "a list of 4 integers");
    }
    for (int i = 0; i < count; i++) {
        long x = PyLong_AsLong(PyTuple_GET_ITEM(items, i));
        if ((x == -1 && PyErr_Occurred()) || x < -(1L << 30) || x > 1L << 30) {
            Py_DECREF(items);
            return bad(b, key, "a list of integers in range");
        }
        out[i] = (int)x;
    }
    Py_DECREF(items);
    return 0;
}

static int get_int64(const xpy_build *b, PyObject *dict, const char *key, int64_t *out)
{
    PyObject *value = get(dict, key);
    if (!value)
        return PyErr_Occurred() ? -1 : 0;
    long long x = PyLong_AsLongLong(value);
    Py_DECREF(value);
    if (x == -1 && PyErr_Occurred())
        return bad(b, key, "an integer");
    *out = x;
    return 0;
}

static int get_int(const xpy_build *b, PyObject *dict, const char *key, int *out)
{
    int64_t x = *out;
    if (get_int64(b, dict, key, &x) < 0)
        return -1;
    if (x < -(1 << 30) || x > 1 << 30)
        return bad(b, key, "an integer in range");
    *out = (int)x;
    return 0;
}

static int get_float(const xpy_build *b, PyObject *dict, const char *key, float *out)
{
    PyObject *value = get(dict, key);
    if (!value)
        return PyErr_Occurred() ? -1 : 0;
    double x = PyFloat_AsDouble(value);
    Py_DECREF(value);
    if (x == -1 && PyErr_Occurred())
        return bad(b, key, "a number");
    *out = (float)x;
    return 0;
}

/* A list of up to XCOS_MAX_RANK integers; returns its length, 0 when absent. */
static int get_list(const xpy_build *b, PyObject *dict, const char *key, int64_t *out)
{
    PyObject *value = get(dict, key);
    PyObject *items = value ? PySequence_Tuple(value) : NULL;
    Py_XDECREF(value);
    Py_ssize_t n = items ? PyTuple_GET_SIZE(items) : 0;
    if (!items || n > XCOS_MAX_RANK) {
        Py_XDECREF(items);
        return bad(b, key, "a list of at most 6 integers");
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        out[i] = PyLong_AsLongLong(PyTuple_GET_ITEM(items, i));
        if (out[i] == -1 && PyErr_Occurred()) {
            Py_DECREF(items);
            return bad(b, key, "a list of integers");
        }
    }
    Py_DECREF(items);
    return (int)n;
}

/* The tensor called `name` (borrowed by the core: the array is kept). */
static int find_tensor(xpy_build *b, PyObject *name, xcos_tensor *out)
{
    PyObject *value = PyObject_GetItem(b->tensors, name);
    if (!value) {
        if (PyErr_ExceptionMatches(PyExc_LookupError))
            PyErr_Format(PyExc_ValueError, "layer '%s': there is no tensor %R", b->layer, name);
        return -1;
    }
    char what[300];
    const char *text = PyUnicode_AsUTF8(name);
    PyOS_snprintf(what, sizeof what, "tensor '%.250s'", text ? text : "?");
    PyArrayObject *array = text ? xpy_floats(value, -1, what) : NULL;
    Py_DECREF(value);
    if (!array)
        return -1;
    int failed = PyList_Append(b->kept, (PyObject *)array);
    Py_DECREF(array);
    if (failed)
        return -1;
    if (PyArray_NDIM(array) > XCOS_MAX_RANK) {
        PyErr_Format(PyExc_ValueError, "%s has %d dimensions, expected at most %d", what,
                     PyArray_NDIM(array), XCOS_MAX_RANK);
        return -1;
    }
    out->data = PyArray_DATA(array);
    out->rank = PyArray_NDIM(array);
    for (int i = 0; i < out->rank; i++)
        out->dims[i] = PyArray_DIM(array, i);
    return 0;
}

static int get_tensor(xpy_build *b, PyObject *dict, const char *key, xcos_tensor *out)
{
    PyObject *name = get(dict, key);
    if (!name)
        return PyErr_Occurred() ? -1 : 0;
    int failed = PyUnicode_Check(name) ? find_tensor(b, name, out)
                                       : bad(b, key, "the name of a tensor");
    Py_DECREF(name);
    return failed;
}

static int op_of(const xpy_build *b, PyObject *dict, xcos_op *op)
{
    static const char *const names[XCOS_OP_COUNT] = {
        "conv", "linear", "batch_norm", "prelu", "relu", "clip", "sigmoid",
        "exp", "add", "sub", "mul", "div", "max_pool", "avg_pool",
        "concat", "slice", "softmax", "transpose", "reshape", "resize",
    };
    PyObject *value = get(dict, "op");
    const char *text = value && PyUnicode_Check(value) ? PyUnicode_AsUTF8(value) : NULL;
    int found = -1;
    for (int i = 0; text && i < XCOS_OP_COUNT; i++)
        if (!strcmp(names[i], text))
            found = i;
    if (found < 0 && !PyErr_Occurred())
        PyErr_Format(PyExc_ValueError, "layer '%s': unknown op %R", b->layer,
                     value ? value : Py_None);
    Py_XDECREF(value);
    *op = (xcos_op)found;
    return found < 0 ? -1 : 0;
}

/* Attributes and tensors that the op needs. */
static int read_attributes(xpy_build *b, PyObject *dict, xcos_layer *l)
{
    int64_t shape[XCOS_MAX_RANK];
    int include = 0;
    switch (l->op) {
    case XCOS_OP_CONV:
        if (get_tensor(b, dict, "weight", &l->weight) < 0 ||
            get_tensor(b, dict, "bias", &l->bias) < 0 || get_int(b, dict, "groups", &l->groups) < 0)
            return -1;
        for (int i = 0; i < 2 && l->weight.rank == 4; i++)
            l->kernel[i] = l->weight.dims[2 + i] > 1 << 30 ? 0 : (int)l->weight.dims[2 + i];
        goto window;
    case XCOS_OP_MAX_POOL:
    case XCOS_OP_AVG_POOL:
        if (get_ints(b, dict, "kernel", 2, l->kernel) < 0 ||
            get_int(b, dict, "count_include_pad", &include) < 0)
            return -1;
        l->count_include_pad = include;
    window:
        return get_ints(b, dict, "stride", 2, l->stride) < 0 ||
                       get_ints(b, dict, "dilation", 2, l->dilation) < 0 ||
                       get_ints(b, dict, "pad", 4, l->pad) < 0
                   ? -1
                   : 0;
    case XCOS_OP_LINEAR:
        return get_tensor(b, dict, "weight", &l->weight) < 0 ? -1
                                                             : get_tensor(b, dict, "bias", &l->bias);
    case XCOS_OP_PRELU:
        return get_tensor(b, dict, "slope", &l->weight);
    case XCOS_OP_BATCH_NORM:
        return get_tensor(b, dict, "gamma", &l->gamma) < 0 ||
                       get_tensor(b, dict, "beta", &l->beta) < 0 ||
                       get_tensor(b, dict, "mean", &l->mean) < 0 ||
                       get_tensor(b, dict, "var", &l->var) < 0 ||
                       get_float(b, dict, "epsilon", &l->epsilon) < 0
                   ? -1
                   : 0;
    case XCOS_OP_CLIP:
        return get_float(b, dict, "min", &l->lo) < 0 ? -1 : get_float(b, dict, "max", &l->hi);
    case XCOS_OP_SLICE:
        if (get_int64(b, dict, "start", &l->start) < 0 || get_int64(b, dict, "stop", &l->stop) < 0)
            return -1;
        return get_int(b, dict, "axis", &l->axis);
    case XCOS_OP_CONCAT:
    case XCOS_OP_SOFTMAX:
        return get_int(b, dict, "axis", &l->axis);
    case XCOS_OP_TRANSPOSE:
    case XCOS_OP_RESHAPE:
        l->rank = get_list(b, dict, l->op == XCOS_OP_RESHAPE ? "shape" : "perm", shape);
        if (l->rank < 0)
            return -1;
        for (int i = 0; i < l->rank; i++) {
            l->shape[i] = shape[i];
            l->perm[i] = shape[i] < 0 || shape[i] >= XCOS_MAX_RANK ? -1 : (int)shape[i];
        }
        return 0;
    case XCOS_OP_RESIZE: {
        PyObject *scale = get(dict, "scale");
        int ok = scale && PySequence_Check(scale) && PySequence_Size(scale) == 2;
        for (int i = 0; ok && i < 2; i++) {
            PyObject *x = PySequence_GetItem(scale, i);
            l->scale[i] = x ? PyFloat_AsDouble(x) : -1;
            Py_XDECREF(x);
            ok = !PyErr_Occurred();
        }
        Py_XDECREF(scale);
        return ok ? 0 : bad(b, "scale", "a list of 2 numbers");
    }
    default:
        return 0;
    }
}

/* Id of the value called `name`; a tensor of that name becomes a constant. */
static int value_id(xpy_build *b, PyObject *name, int *id)
{
    PyObject *known = PyDict_GetItemWithError(b->ids, name);
    if (known) {
        *id = (int)PyLong_AsLong(known);
        return 0;
    }
    if (PyErr_Occurred() || !PyUnicode_Check(name))
        return bad(b, "inputs", "a list of names");
    if (PySequence_Contains(b->tensors, name) != 1) {
        if (!PyErr_Occurred())
            PyErr_Format(PyExc_ValueError,
                         "layer '%s': input %R is no earlier output, input or tensor", b->layer,
                         name);
        return -1;
    }
    xcos_tensor tensor = {0};
    xcos_error err;
    if (find_tensor(b, name, &tensor) < 0 ||
        !xpy_ok(b->module, xcos_net_constant(b->net, PyUnicode_AsUTF8(name), &tensor, id, &err),
                &err))
        return -1;
    PyObject *number = PyLong_FromLong(*id);
    int failed = number ? PyDict_SetItem(b->ids, name, number) : -1;
    Py_XDECREF(number);
    return failed;
}

static int name_value(xpy_build *b, PyObject *name, int id)
{
    if (!name || !PyUnicode_Check(name) || PyDict_Contains(b->ids, name)) {
        if (!PyErr_Occurred())
            PyErr_Format(PyExc_ValueError, "layer '%s': output %R is no new name", b->layer,
                         name ? name : Py_None);
        return -1;
    }
    PyObject *number = PyLong_FromLong(id);
    int failed = number ? PyDict_SetItem(b->ids, name, number) : -1;
    Py_XDECREF(number);
    return failed;
}

int xpy_add_layer(xpy_build *b, PyObject *dict)
{
    xcos_layer l = {.stride = {1, 1}, .dilation = {1, 1}, .groups = 1, .epsilon = 1e-5f,
                    .stop = INT64_MAX, .lo = -__builtin_inff(), .hi = __builtin_inff()};
    if (!PyDict_Check(dict)) {
        PyErr_SetString(PyExc_TypeError, "each layer must be a dict");
        return -1;
    }
    PyObject *output = get(dict, "output"), *inputs = NULL;
    PyObject *name = PyErr_Occurred() ? NULL : get(dict, "name");
    int failed = -1, id;
    xcos_error err;
    if (PyErr_Occurred())
        goto done;
    if (!name)
        name = Py_XNewRef(output);
    b->layer = name && PyUnicode_Check(name) ? PyUnicode_AsUTF8(name) : "?";
    if (!b->layer)
        goto done;
    l.name = b->layer;
    if (op_of(b, dict, &l.op) < 0 || read_attributes(b, dict, &l) < 0)
        goto done;
    PyObject *list = get(dict, "inputs");
    inputs = list ? PySequence_Tuple(list) : NULL;
    Py_XDECREF(list);
    if (!inputs || PyTuple_GET_SIZE(inputs) > XCOS_MAX_INPUTS) {
        bad(b, "inputs", "a list of at most 16 names");
        goto done;
    }
    l.n_inputs = (int)PyTuple_GET_SIZE(inputs);
    for (int i = 0; i < l.n_inputs; i++)
        if (value_id(b, PyTuple_GET_ITEM(inputs, i), &l.inputs[i]) < 0)
            goto done;
    if (xpy_ok(b->module, xcos_net_layer(b->net, &l, &id, &err), &err))
        failed = name_value(b, output, id);
done:
    b->layer = "?";
    Py_XDECREF(inputs);
    Py_XDECREF(output);
    Py_XDECREF(name);
    return failed;
}

int xpy_add_input(xpy_build *b, PyObject *dict, int *rank)
{
    int64_t dims[XCOS_MAX_RANK] = {0};
    if (!PyDict_Check(dict)) {
        PyErr_SetString(PyExc_TypeError, "each input must be a dict with name and shape");
        return -1;
    }
    PyObject *name = get(dict, "name"), *shape = NULL, *items = NULL;
    int failed = -1, id;
    xcos_error err;
    if (!PyErr_Occurred() && (shape = get(dict, "shape")))
        items = PySequence_Tuple(shape);
    if (PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_MemoryError))
        goto done;
    if (!name || !PyUnicode_Check(name) || !items ||
        PyTuple_GET_SIZE(items) > XCOS_MAX_RANK - 1) {
        PyErr_SetString(PyExc_ValueError, "an input needs a name and a shape of at most 5 sizes");
        goto done;
    }
    *rank = (int)PyTuple_GET_SIZE(items) + 1;
    for (int i = 0; i < *rank - 1; i++) {
        PyObject *item = PyTuple_GET_ITEM(items, i);
        dims[i] = item == Py_None ? -1 : PyLong_AsLongLong(item);
        if (item != Py_None && (PyErr_Occurred() || dims[i] < 1)) {
            PyErr_Format(PyExc_ValueError, "input %R: a size must be a positive integer or null",
                         name);
            goto done;
        }
    }
    const char *text = PyUnicode_AsUTF8(name);
    if (text && xpy_ok(b->module, xcos_net_input(b->net, text, *rank, dims, &id, &err), &err))
        failed = name_value(b, name, id);
done:
    Py_XDECREF(items);
    Py_XDECREF(name);
    Py_XDECREF(shape);
    return failed;
}

int xpy_add_output(xpy_build *b, PyObject *name)
{
    xcos_error err;
    PyObject *id = PyDict_GetItemWithError(b->ids, name);
    if (!id || !PyUnicode_Check(name)) {
        if (!PyErr_Occurred())
            PyErr_Format(PyExc_ValueError, "output %R is no value of the network", name);
        return -1;
    }
    return xpy_ok(b->module,
                  xcos_net_output(b->net, (int)PyLong_AsLong(id), PyUnicode_AsUTF8(name), &err),
                  &err)
               ? 0
               : -1;
}
