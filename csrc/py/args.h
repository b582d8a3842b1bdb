/* args.h: arguments that are arrays.
 *
 * Every function of the binding that takes some has four phases, in this order:
 *
 *   convert  all arguments become arrays. Python code of the caller may run: an __array__, an
 *            __index__, a property, and it may change what the other arguments stand for.
 *   freeze   each becomes a private view the moment it is an array: nobody else has its shape,
 *            and what owns the memory cannot be resized. (xpy_convert does both.)
 *   check    shapes and sizes, of the private views: what is found stays true.
 *   call     the core, without the interpreter's lock.
 *
 * Numbers in the arrays may still change while the core runs, if another thread writes them: the
 * results are of one or the other then. Numbers that place memory accesses are copied. */
#ifndef XCOS_ARGS_H
#define XCOS_ARGS_H

#include <stdbool.h>

#include "binding.h"

typedef struct {
    /* What to make of it. */
    const char *name;     /* for messages */
    PyObject *given;      /* borrowed */
    int type;             /* NPY_FLOAT32: any real numbers are converted; NPY_UINT8: pictures, which
                             must be arrays of that; others: what NumPy converts safely */
    int rank;             /* number of dimensions; -1: any */
    const char *expected; /* of NPY_UINT8, for messages: "an array of ..." */
    bool copy;            /* the numbers must not change either */
    /* The result, in C order, aligned, in native bytes, of NumPy's base class. */
    PyArrayObject *array;
    PyObject *pin; /* a weak reference, for which NumPy refuses to resize the array it is of */
} xpy_arg;

/* Converts and freezes all of them, in order; false: an exception is set. Either way they are to
 * be released. */
bool xpy_convert(xpy_arg *args, int count);
void xpy_release(xpy_arg *args, int count);

/* Sets the ValueError "NAME: expected EXPECTED"; returns false. */
bool xpy_unexpected(const xpy_arg *arg);
/* Whether the array has exactly this shape, else sets a ValueError that names both. */
bool xpy_has_shape(const xpy_arg *arg, int rank, const npy_intp *expected);

static inline npy_intp xpy_dim(const xpy_arg *arg, int axis)
{
    return PyArray_DIM(arg->array, axis);
}

static inline void *xpy_data(const xpy_arg *arg)
{
    return PyArray_DATA(arg->array);
}

/* Runs a call of the core without the lock; true where it returns XCOS_OK, else an exception is
 * set. xcos_error err is the caller's. */
#define XPY_CALL(module, call)                                                                     \
    __extension__({                                                                                \
        xcos_status status_;                                                                       \
        Py_BEGIN_ALLOW_THREADS                                                                     \
        status_ = (call);                                                                          \
        Py_END_ALLOW_THREADS                                                                       \
        xpy_ok(module, status_, &err);                                                             \
    })

#endif
