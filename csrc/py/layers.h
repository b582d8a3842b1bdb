/* layers.h: building a network from Python dicts. */
#ifndef XCOS_LAYERS_H
#define XCOS_LAYERS_H

#include "binding.h"

/* What construction carries along. */
typedef struct {
    PyObject *module;
    xcos_net *net;
    PyObject *ids;     /* value name -> id */
    PyObject *tensors; /* mapping given by the caller */
    PyObject *kept;    /* list of what the tensors in use are kept by: arrays and their pins */
    const char *layer; /* name of the layer at hand, for messages */
} xpy_build;

/* Each adds one part of a plan to b->net; -1 with an exception that names the layer. */
int xpy_add_input(xpy_build *b, PyObject *dict, int *rank);
int xpy_add_layer(xpy_build *b, PyObject *dict);
int xpy_add_output(xpy_build *b, PyObject *name);

#endif
