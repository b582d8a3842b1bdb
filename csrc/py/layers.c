/* layers.c: a plan as Python dicts (docs/model-file.md), read into the core's structures.
 *
 * Which attributes an operator has is said by its row (xcos_operators); here are their types. A
 * dict is copied before it is read, so that nobody can change it meanwhile. */
#include <string.h>

#include "args.h"
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

/* The tensor called `name`, frozen: what holds it goes to b->kept. */
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
    xpy_arg arg = {.name = what, .given = value, .type = NPY_FLOAT32, .rank = -1};
    int failed = !text || !xpy_convert(&arg, 1) ||
                 PyList_Append(b->kept, (PyObject *)arg.array) < 0 ||
                 PyList_Append(b->kept, arg.pin) < 0;
    if (!failed && PyArray_NDIM(arg.array) > XCOS_MAX_RANK) {
        PyErr_Format(PyExc_ValueError, "%s has %d dimensions, expected at most %d", what,
                     PyArray_NDIM(arg.array), XCOS_MAX_RANK);
        failed = 1;
    }
    if (!failed) {
        out->data = xpy_data(&arg);
        out->rank = PyArray_NDIM(arg.array);
        for (int i = 0; i < out->rank; i++)
            out->dims[i] = xpy_dim(&arg, i);
    }
    xpy_release(&arg, 1);
    Py_DECREF(value);
    return failed ? -1 : 0;
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

/* The permutation or shape at `key`, and its length. */
static int get_sizes(xpy_build *b, PyObject *dict, const char *key, xcos_layer *l)
{
    int64_t sizes[XCOS_MAX_RANK];
    l->rank = get_list(b, dict, key, sizes);
    for (int i = 0; i < l->rank; i++) {
        l->shape[i] = sizes[i];
        l->perm[i] = sizes[i] < 0 || sizes[i] >= XCOS_MAX_RANK ? -1 : (int)sizes[i];
    }
    return l->rank < 0 ? -1 : 0;
}

static int get_scale(xpy_build *b, PyObject *dict, const char *key, double *out)
{
    PyObject *value = get(dict, key);
    PyObject *items = value ? PySequence_Tuple(value) : NULL;
    int ok = items && PyTuple_GET_SIZE(items) == 2;
    for (int i = 0; ok && i < 2; i++) {
        out[i] = PyFloat_AsDouble(PyTuple_GET_ITEM(items, i));
        ok = !PyErr_Occurred();
    }
    Py_XDECREF(items);
    Py_XDECREF(value);
    return ok ? 0 : bad(b, key, "a list of 2 numbers");
}

/* Reads one attribute into the layer; absent: it stays as it is. */
static int read_attribute(xpy_build *b, PyObject *dict, const xcos_attribute *a, xcos_layer *l)
{
    void *const at = (char *)l + a->at;
    const char *const type = a->type;
    if (!strcmp(type, "tensor"))
        return get_tensor(b, dict, a->key, at);
    if (!strcmp(type, "window"))
        return get_ints(b, dict, a->key, 2, at);
    if (!strcmp(type, "pad"))
        return get_ints(b, dict, a->key, 4, at);
    if (!strcmp(type, "index"))
        return get_int64(b, dict, a->key, at);
    if (!strcmp(type, "number") || !strcmp(type, "positive"))
        return get_float(b, dict, a->key, at);
    if (!strcmp(type, "perm") || !strcmp(type, "shape"))
        return get_sizes(b, dict, a->key, l);
    if (!strcmp(type, "scale"))
        return get_scale(b, dict, a->key, at);
    return get_int(b, dict, a->key, at); /* count, flag, axis */
}

/* The operator of a layer, and what it needs. */
static int read_operator(xpy_build *b, PyObject *dict, xcos_layer *l)
{
    const xcos_operator *rows = xcos_operators();
    PyObject *value = get(dict, "op");
    const char *text = value && PyUnicode_Check(value) ? PyUnicode_AsUTF8(value) : NULL;
    int found = -1;
    for (int i = 0; text && i < XCOS_OP_COUNT; i++)
        if (!strcmp(rows[i].name, text))
            found = i;
    if (found < 0 && !PyErr_Occurred())
        PyErr_Format(PyExc_ValueError, "layer '%s': unknown op %R", b->layer,
                     value ? value : Py_None);
    Py_XDECREF(value);
    if (found < 0)
        return -1;
    l->op = (xcos_op)found;
    for (const xcos_attribute *a = rows[found].attributes; a->key; a++)
        if (read_attribute(b, dict, a, l) < 0)
            return -1;
    return 0;
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

/* A plain copy of a dict, or NULL with an exception. */
static PyObject *copy_of(PyObject *given, const char *expected)
{
    if (PyDict_Check(given))
        return PyDict_Copy(given);
    PyErr_SetString(PyExc_TypeError, expected);
    return NULL;
}

int xpy_add_layer(xpy_build *b, PyObject *given)
{
    xcos_layer l = {.stride = {1, 1}, .dilation = {1, 1}, .groups = 1, .epsilon = 1e-5f,
                    .stop = INT64_MAX, .lo = -__builtin_inff(), .hi = __builtin_inff()};
    PyObject *dict = copy_of(given, "each layer must be a dict");
    if (!dict)
        return -1;
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
    if (read_operator(b, dict, &l) < 0)
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
    Py_DECREF(dict);
    return failed;
}

int xpy_add_input(xpy_build *b, PyObject *given, int *rank)
{
    int64_t dims[XCOS_MAX_RANK] = {0};
    PyObject *dict = copy_of(given, "each input must be a dict with name and shape");
    if (!dict)
        return -1;
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
    Py_DECREF(dict);
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
