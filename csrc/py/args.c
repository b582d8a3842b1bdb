/* args.c: converting and freezing arguments (args.h says why so). */
#include "args.h"

/* What the core reads: C order, aligned, native bytes, and of the base class, so that no code of
 * a subclass runs from here on. */
#define PLAIN (NPY_ARRAY_CARRAY_RO | NPY_ARRAY_ENSUREARRAY)

/* A copy of a nest of lists and tuples that is all tuples, anything else as it is: a new
 * reference. NumPy 2.4 reads freed memory when an item's own code empties its list. */
static PyObject *as_tuples(PyObject *obj)
{
    if (!PyList_Check(obj) && !PyTuple_Check(obj))
        return Py_NewRef(obj);
    if (Py_EnterRecursiveCall(" in a nest of lists"))
        return NULL;
    PyObject *items = PySequence_Tuple(obj);
    PyObject *result = items ? PyTuple_New(PyTuple_GET_SIZE(items)) : NULL;
    for (Py_ssize_t i = 0; result && i < PyTuple_GET_SIZE(items); i++) {
        PyObject *item = as_tuples(PyTuple_GET_ITEM(items, i));
        if (item)
            PyTuple_SET_ITEM(result, i, item);
        else
            Py_CLEAR(result);
    }
    Py_XDECREF(items);
    Py_LeaveRecursiveCall();
    return result;
}

bool xpy_unexpected(const xpy_arg *arg)
{
    PyErr_Format(PyExc_ValueError, "%s: expected %s", arg->name, arg->expected);
    return false;
}

bool xpy_has_shape(const xpy_arg *arg, int rank, const npy_intp *expected)
{
    if (PyArray_CompareLists(PyArray_DIMS(arg->array), expected, rank))
        return true;
    PyObject *got = PyArray_IntTupleFromIntp(rank, PyArray_DIMS(arg->array));
    PyObject *want = PyArray_IntTupleFromIntp(rank, expected);
    if (got && want)
        PyErr_Format(PyExc_ValueError, "%s: expected shape %R, got %R", arg->name, want, got);
    Py_XDECREF(got);
    Py_XDECREF(want);
    return false;
}

/* Real numbers of any type as float32: a new reference, or NULL. */
static PyArrayObject *floats(const xpy_arg *arg, PyObject *still)
{
    PyArrayObject *a = (PyArrayObject *)PyArray_FROM_O(still);
    if (!a)
        return NULL;
    PyArrayObject *out = NULL;
    if (!PyArray_CanCastSafely(PyArray_TYPE(a), NPY_FLOAT64) || PyArray_TYPE(a) == NPY_OBJECT)
        PyErr_Format(PyExc_TypeError, "%s: expected an array of float32, got dtype %R", arg->name,
                     (PyObject *)PyArray_DESCR(a));
    else if (arg->rank >= 0 && PyArray_NDIM(a) != arg->rank)
        PyErr_Format(PyExc_ValueError, "%s: expected %d dimensions, got %d", arg->name, arg->rank,
                     PyArray_NDIM(a));
    else
        out = (PyArrayObject *)PyArray_FROMANY((PyObject *)a, NPY_FLOAT32, 0, 0,
                                               PLAIN | NPY_ARRAY_FORCECAST);
    Py_DECREF(a);
    return out;
}

/* Whether `given` is what the core reads as it is. */
static bool is_plain(const xpy_arg *arg)
{
    PyArrayObject *given = (PyArrayObject *)arg->given;
    return PyArray_CheckExact(given) && PyArray_TYPE(given) == arg->type &&
           (arg->rank < 0 || PyArray_NDIM(given) == arg->rank) &&
           PyArray_CHKFLAGS(given, NPY_ARRAY_CARRAY_RO) && PyArray_ISNOTSWAPPED(given);
}

static PyArrayObject *convert(const xpy_arg *arg)
{
    PyArrayObject *a = NULL;
    if (is_plain(arg))
        return (PyArrayObject *)Py_NewRef(arg->given);
    if (arg->type == NPY_UINT8) {
        PyArrayObject *given = (PyArrayObject *)arg->given;
        if (PyArray_Check(given) && PyArray_TYPE(given) == NPY_UINT8 &&
            PyArray_NDIM(given) == arg->rank)
            return (PyArrayObject *)PyArray_FROM_OF(arg->given, PLAIN);
        xpy_unexpected(arg);
        return NULL;
    }
    PyObject *still = as_tuples(arg->given);
    if (still)
        a = arg->type == NPY_FLOAT32
                ? floats(arg, still)
                : (PyArrayObject *)PyArray_FROMANY(still, arg->type, arg->rank < 0 ? 0 : arg->rank,
                                                   arg->rank < 0 ? 0 : arg->rank, PLAIN);
    Py_XDECREF(still);
    return a;
}

/* The array, which may be the caller's own, as one that nobody else has. */
static bool freeze(xpy_arg *arg, PyArrayObject *a)
{
    if (arg->copy)
        return (arg->array = (PyArrayObject *)PyArray_NewCopy(a, NPY_CORDER)) != NULL;
    PyObject *owner = (PyObject *)a;
    while (PyArray_BASE((PyArrayObject *)owner) && PyArray_Check(PyArray_BASE((PyArrayObject *)owner)))
        owner = PyArray_BASE((PyArrayObject *)owner);
    if (!(arg->pin = PyWeakref_NewRef(owner, NULL)))
        return false;
    return (arg->array = (PyArrayObject *)PyArray_View(a, NULL, &PyArray_Type)) != NULL;
}

bool xpy_convert(xpy_arg *args, int count)
{
    for (int i = 0; i < count; i++) {
        PyArrayObject *a = convert(&args[i]);
        const bool frozen = a && freeze(&args[i], a);
        Py_XDECREF(a);
        if (!frozen)
            return false;
    }
    return true;
}

void xpy_release(xpy_arg *args, int count)
{
    for (int i = 0; i < count; i++) {
        Py_CLEAR(args[i].array);
        Py_CLEAR(args[i].pin);
    }
}
