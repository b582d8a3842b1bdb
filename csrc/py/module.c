/* module.c: the module xcos._core (multi-phase initialisation), its exceptions and
 * the functions about the machine. */
#define XCOS_IMPORT_NUMPY
#include "binding.h"

typedef struct {
    PyObject *format_error, *limit_error, *unsupported_error;
} module_state;

int xpy_ok(PyObject *module, xcos_status status, const xcos_error *err)
{
    if (status == XCOS_OK)
        return 1;
    if (status == XCOS_E_INTERRUPTED) /* by an exception that is already set: see poll */
        return 0;
    if (status == XCOS_E_NOMEM) {
        PyErr_NoMemory();
        return 0;
    }
    const module_state *state = PyModule_GetState(module);
    PyObject *type = PyExc_ValueError;
    if (status == XCOS_E_FORMAT)
        type = state->format_error;
    else if (status == XCOS_E_LIMIT)
        type = state->limit_error;
    else if (status == XCOS_E_UNSUPPORTED)
        type = state->unsupported_error;
    else if (status == XCOS_E_OS)
        type = PyExc_OSError;
    PyErr_SetString(type, err->text);
    return 0;
}

/* Long calls of the core ask on their thread whether Ctrl-C or another signal has come. */
static int poll(void)
{
    PyGILState_STATE state = PyGILState_Ensure();
    const int raised = PyErr_CheckSignals();
    PyGILState_Release(state);
    return raised;
}

static PyObject *isa(PyObject *module, PyObject *args)
{
    (void)module, (void)args;
    return PyUnicode_FromString(xcos_isa_name());
}

static PyObject *isa_available(PyObject *module, PyObject *args)
{
    (void)module, (void)args;
    PyObject *list = PyList_New(0);
    for (const char *const *name = xcos_isa_available(); list && *name; name++) {
        PyObject *text = PyUnicode_FromString(*name);
        if (!text || PyList_Append(list, text) < 0)
            Py_CLEAR(list);
        Py_XDECREF(text);
    }
    return list;
}

static PyObject *isa_select(PyObject *module, PyObject *arg)
{
    xcos_error err;
    const char *name = PyUnicode_AsUTF8(arg);
    if (!name || !xpy_ok(module, xcos_isa_select(name, &err), &err))
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *conv_select(PyObject *module, PyObject *arg)
{
    xcos_error err;
    const char *name = arg == Py_None ? NULL : PyUnicode_AsUTF8(arg);
    if ((!name && PyErr_Occurred()) || !xpy_ok(module, xcos_conv_select(name, &err), &err))
        return NULL;
    Py_RETURN_NONE;
}

/* The table of operators, for xcos/plan/check.py. */
static PyObject *operators(PyObject *module, PyObject *args)
{
    (void)module, (void)args;
    const xcos_operator *rows = xcos_operators();
    PyObject *table = PyDict_New();
    for (int i = 0; table && i < XCOS_OP_COUNT; i++) {
        PyObject *attributes = PyDict_New();
        for (const xcos_attribute *a = rows[i].attributes; attributes && a->key; a++) {
            PyObject *attribute =
                Py_BuildValue("siO", a->type, a->rank, a->optional ? Py_True : Py_False);
            if (!attribute || PyDict_SetItemString(attributes, a->key, attribute) < 0)
                Py_CLEAR(attributes);
            Py_XDECREF(attribute);
        }
        PyObject *row = attributes ? Py_BuildValue("iiiN", rows[i].fewest, rows[i].most,
                                                   rows[i].constants, attributes)
                                   : NULL;
        if (!row || PyDict_SetItemString(table, rows[i].name, row) < 0)
            Py_CLEAR(table);
        Py_XDECREF(row);
    }
    return table;
}

static PyObject *default_threads(PyObject *module, PyObject *args)
{
    (void)module, (void)args;
    return PyLong_FromLong(xcos_default_threads());
}

static PyMethodDef machine_methods[] = {
    {"isa", isa, METH_NOARGS,
     "isa($module, /)\n--\n\nName of the instruction set whose kernels run."},
    {"isa_available", isa_available, METH_NOARGS,
     "isa_available($module, /)\n--\n\nInstruction sets of this machine, best first."},
    {"isa_select", isa_select, METH_O,
     "isa_select($module, name, /)\n--\n\nChoose the instruction set (tests, benchmarks)."},
    {"conv_select", conv_select, METH_O,
     "conv_select($module, name, /)\n--\n\n"
     "Choose the way to convolve, None: the cheapest (tests, benchmarks)."},
    {"operators", operators, METH_NOARGS,
     "operators($module, /)\n--\n\n"
     "name -> (fewest inputs, most, constants among them, {key: (type, rank, optional)})."},
    {"default_threads", default_threads, METH_NOARGS,
     "default_threads($module, /)\n--\n\nThreads used when none are asked for."},
    {NULL, NULL, 0, NULL},
};

static int add_error(PyObject *module, const char *name, const char *doc, PyObject **slot)
{
    char full[64];
    PyOS_snprintf(full, sizeof full, "xcos._core.%s", name);
    *slot = PyErr_NewExceptionWithDoc(full, doc, PyExc_ValueError, NULL);
    return *slot ? PyModule_AddObjectRef(module, name, *slot) : -1;
}

static int exec_module(PyObject *module)
{
    module_state *state = PyModule_GetState(module);
    import_array1(-1);
    xcos_poll_with(poll);
    xcos_error err;
    if (xcos_start(&err) != XCOS_OK) {
        PyErr_SetString(PyExc_ValueError, err.text);
        return -1;
    }
    if (add_error(module, "FormatError", "Data that is not what it claims to be.",
                  &state->format_error) < 0 ||
        add_error(module, "LimitError", "Larger than the caller allowed.", &state->limit_error) < 0 ||
        add_error(module, "UnsupportedError", "Valid, but not among what the core can do.",
                  &state->unsupported_error) < 0)
        return -1;
    if (PyModule_AddFunctions(module, machine_methods) < 0 ||
        PyModule_AddFunctions(module, xpy_image_methods) < 0 ||
        PyModule_AddFunctions(module, xpy_face_methods) < 0 ||
        PyModule_AddFunctions(module, xpy_mask_methods) < 0 ||
        PyModule_AddFunctions(module, xpy_transport_methods) < 0 || xpy_add_network(module) < 0 ||
        xpy_add_head(module) < 0)
        return -1;
    return PyModule_AddStringConstant(module, "__version__", XCOS_VERSION);
}

static int traverse_module(PyObject *module, visitproc visit, void *arg)
{
    module_state *state = PyModule_GetState(module);
    Py_VISIT(state->format_error);
    Py_VISIT(state->limit_error);
    Py_VISIT(state->unsupported_error);
    return 0;
}

static int clear_module(PyObject *module)
{
    module_state *state = PyModule_GetState(module);
    Py_CLEAR(state->format_error);
    Py_CLEAR(state->limit_error);
    Py_CLEAR(state->unsupported_error);
    return 0;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, exec_module},
#ifdef Py_GIL_DISABLED
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "xcos._core",
    .m_doc = "The C core of xcos over NumPy buffers.",
    .m_size = sizeof(module_state),
    .m_slots = slots,
    .m_traverse = traverse_module,
    .m_clear = clear_module,
};

PyMODINIT_FUNC PyInit__core(void)
{
    return PyModuleDef_Init(&definition);
}
