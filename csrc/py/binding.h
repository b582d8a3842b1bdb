/* binding.h: what the files of csrc/py/ share.
 *
 * The binding converts, freezes and checks arguments (args.h), calls the core without the
 * interpreter's lock, and turns a status into an exception in one function, xpy_ok.
 */
#ifndef XCOS_BINDING_H
#define XCOS_BINDING_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define PY_ARRAY_UNIQUE_SYMBOL xcos_numpy_api
#ifndef XCOS_IMPORT_NUMPY
#define NO_IMPORT_ARRAY
#endif
#include <numpy/arrayobject.h>

#include "xcos.h"

/* 1 if status is XCOS_OK; else sets the exception that fits and returns 0:
 *   NOMEM MemoryError, ARG ValueError, FORMAT FormatError, LIMIT LimitError,
 *   UNSUPPORTED UnsupportedError (all three ValueErrors), OS OSError. */
int xpy_ok(PyObject *module, xcos_status status, const xcos_error *err);

/* Methods and types that the other files contribute to the module. */
extern PyMethodDef xpy_image_methods[]; /* image.c */
extern PyMethodDef xpy_face_methods[];  /* face.c */
extern PyMethodDef xpy_mask_methods[];  /* masks.c */
extern PyMethodDef xpy_transport_methods[]; /* transport.c */
int xpy_add_network(PyObject *module);  /* network.c */
int xpy_add_head(PyObject *module);     /* head.c */

#endif
