/* head.c: the type xcos._core.Head. */
#include "binding.h"

#include <limits.h>

typedef struct {
    PyObject_HEAD
    xcos_head *head;
    int depth, height, width;
} HeadObject;

static void head_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    xcos_head_free(((HeadObject *)self)->head);
    type->tp_free(self);
    Py_DECREF(type);
}

/* 1 if the array has exactly this shape; else sets a ValueError and returns 0. */
static int has_shape(PyArrayObject *a, const char *name, int rank, const npy_intp *expected)
{
    if (PyArray_CompareLists(PyArray_DIMS(a), expected, rank))
        return 1;
    PyObject *got = PyObject_GetAttrString((PyObject *)a, "shape");
    PyObject *want = PyArray_IntTupleFromIntp(rank, expected);
    if (got && want)
        PyErr_Format(PyExc_ValueError, "%s: expected shape %R, got %R", name, want, got);
    Py_XDECREF(got);
    Py_XDECREF(want);
    return 0;
}

static PyObject *head_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"embed_weight",   "embed_bias",    "embed_slope",
                            "attend1_weight", "attend1_bias",  "attend1_slope",
                            "attend2_weight", "attend2_bias",  "attend2_slope",
                            "height",         "width",         "temperature",
                            "minmax",         "whole",         NULL};
    static const int tensor_names[] = {0, 1, 3, 4, 6, 7}, ranks[] = {4, 1, 4, 1, 4, 1};
    PyObject *given[6];
    PyArrayObject *arrays[6] = {NULL};
    PyObject *self = NULL;
    xcos_head_weights w = {.height = 7, .width = 7, .temperature = 1};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOfOOfOOf|iifpf:Head", names, &given[0],
                                     &given[1], &w.embed_slope, &given[2], &given[3],
                                     &w.attend1_slope, &given[4], &given[5], &w.attend2_slope,
                                     &w.height, &w.width, &w.temperature, &w.minmax, &w.whole))
        return NULL;
    for (int i = 0; i < 6; i++)
        if (!(arrays[i] = xpy_floats(given[i], ranks[i], names[tensor_names[i]])))
            goto end;
    const npy_intp embed = PyArray_DIM(arrays[0], 0), depth = PyArray_DIM(arrays[0], 1);
    const npy_intp attend = PyArray_DIM(arrays[2], 0);
    const npy_intp shapes[6][4] = {{embed, depth, 3, 3},  {embed}, {attend, 2 * embed, 3, 3},
                                   {attend}, {1, attend, 3, 3}, {1}};
    for (int i = 0; i < 6; i++)
        if (!has_shape(arrays[i], names[tensor_names[i]], ranks[i], shapes[i]))
            goto end;
    if (embed > INT_MAX || depth > INT_MAX || attend > INT_MAX) {
        PyErr_SetString(PyExc_ValueError, "head: more channels than it can do");
        goto end;
    }
    w.depth = (int)depth;
    w.embed_channels = (int)embed;
    w.attend_channels = (int)attend;
    w.embed_weight = PyArray_DATA(arrays[0]);
    w.embed_bias = PyArray_DATA(arrays[1]);
    w.attend1_weight = PyArray_DATA(arrays[2]);
    w.attend1_bias = PyArray_DATA(arrays[3]);
    w.attend2_weight = PyArray_DATA(arrays[4]);
    w.attend2_bias = PyArray_DATA(arrays[5]);
    if (!(self = type->tp_alloc(type, 0)))
        goto end;
    HeadObject *head = (HeadObject *)self;
    head->depth = w.depth;
    head->height = w.height;
    head->width = w.width;
    xcos_error err;
    if (!xpy_ok(PyType_GetModule(type), xcos_head_new(&w, &head->head, &err), &err))
        Py_CLEAR(self);
end:
    for (int i = 0; i < 6; i++)
        Py_XDECREF(arrays[i]);
    return self;
}

static PyArrayObject *grids(const HeadObject *head, PyObject *obj, const char *name)
{
    PyArrayObject *a = xpy_floats(obj, 4, name);
    if (!a)
        return NULL;
    const npy_intp expected[4] = {PyArray_DIM(a, 0), head->depth, head->height, head->width};
    if (!has_shape(a, name, 4, expected))
        Py_CLEAR(a);
    return a;
}

/* Embeddings of n and m faces, of one size; 0 with an exception set. */
static int read_embeddings(PyObject *const *given, npy_intp n, npy_intp m, PyArrayObject **arrays,
                           xcos_embeddings *whole)
{
    if (!(arrays[0] = xpy_floats(given[0], 2, "a_whole")) ||
        !(arrays[1] = xpy_floats(given[1], 2, "b_whole")))
        return 0;
    const npy_intp size = PyArray_DIM(arrays[0], 1), first[2] = {n, size}, second[2] = {m, size};
    if (!has_shape(arrays[0], "a_whole", 2, first) || !has_shape(arrays[1], "b_whole", 2, second))
        return 0;
    *whole = (xcos_embeddings){.a = PyArray_DATA(arrays[0]),
                               .b = PyArray_DATA(arrays[1]),
                               .size = size > INT_MAX ? INT_MAX : (int)size};
    return 1;
}

/* Scores of shape dims[:rank] and, if asked for, two maps; -> (scores, cosine, attention). */
static PyObject *compare_grids(PyObject *self, PyObject *args, PyObject *kwargs, const int all)
{
    static char *names[] = {"a", "b", "maps", "threads", "a_whole", "b_whole", NULL};
    HeadObject *head = (HeadObject *)self;
    PyObject *given[4] = {NULL, NULL, Py_None, Py_None}, *result = NULL, *out[3] = {NULL};
    PyArrayObject *a = NULL, *b = NULL, *embeddings[2] = {NULL};
    int maps = !all, threads = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, all ? "OO|piOO:compare_all" : "OO|piOO:compare",
                                     names, &given[0], &given[1], &maps, &threads, &given[2],
                                     &given[3]))
        return NULL;
    if (!(a = grids(head, given[0], "a")) || !(b = grids(head, given[1], "b")))
        goto end;
    const npy_intp n = PyArray_DIM(a, 0), m = PyArray_DIM(b, 0);
    xcos_embeddings whole;
    const int has_whole = given[2] != Py_None && given[3] != Py_None;
    if (has_whole && !read_embeddings(given + 2, n, m, embeddings, &whole))
        goto end;
    if (!all && n != m) {
        PyErr_Format(PyExc_ValueError, "a and b: expected as many grids in both, got %zd and %zd",
                     (Py_ssize_t)n, (Py_ssize_t)m);
        goto end;
    }
    npy_intp dims[4] = {n};
    int rank = 1;
    if (all)
        dims[rank++] = m;
    dims[rank] = head->height;
    dims[rank + 1] = head->width;
    float *data[3] = {NULL};
    for (int i = 0; i < (maps ? 3 : 1); i++) {
        if (!(out[i] = PyArray_SimpleNew(i ? rank + 2 : rank, dims, NPY_FLOAT32)))
            goto end;
        data[i] = PyArray_DATA((PyArrayObject *)out[i]);
    }
    const float *pa = PyArray_DATA(a), *pb = PyArray_DATA(b);
    xcos_status status;
    xcos_error err;
    Py_BEGIN_ALLOW_THREADS
    const xcos_embeddings *w = has_whole ? &whole : NULL;
    if (all)
        status = xcos_head_compare_all(head->head, pa, n, pb, m, w, data[0], data[1], data[2],
                                       threads, &err);
    else
        status = xcos_head_compare(head->head, pa, pb, n, w, data[0], data[1], data[2], threads,
                                   &err);
    Py_END_ALLOW_THREADS
    if (xpy_ok(PyType_GetModule(Py_TYPE(self)), status, &err))
        result = PyTuple_Pack(3, out[0], maps ? out[1] : Py_None, maps ? out[2] : Py_None);
end:
    for (int i = 0; i < 3; i++)
        Py_XDECREF(out[i]);
    Py_XDECREF(a);
    Py_XDECREF(b);
    Py_XDECREF(embeddings[0]);
    Py_XDECREF(embeddings[1]);
    return result;
}

static PyObject *head_compare(PyObject *self, PyObject *args, PyObject *kwargs)
{
    return compare_grids(self, args, kwargs, 0);
}

static PyObject *head_compare_all(PyObject *self, PyObject *args, PyObject *kwargs)
{
    return compare_grids(self, args, kwargs, 1);
}

PyDoc_STRVAR(head_doc,
"Head(embed_weight, embed_bias, embed_slope, attend1_weight, attend1_bias, attend1_slope,\n"
"     attend2_weight, attend2_bias, attend2_slope, height=7, width=7, temperature=1.0,\n"
"     minmax=False, whole=0.0)\n"
"--\n\n"
"The xCos head (arXiv 2003.05383, section 3): patch cosine, attention and their weighted sum.\n\n"
"Weights as PyTorch lays them out, float32, copied: embed_weight (E, D, 3, 3), embed_bias (E,),\n"
"attend1_weight (F, 2E, 3, 3), attend1_bias (F,), attend2_weight (1, F, 3, 3), attend2_bias (1,),\n"
"batch norms folded; each slope is that of the PReLU behind its convolution. height and width\n"
"are the grid's cells. Attention is softmax(logits / temperature) over the cells or, with\n"
"minmax, (logits - min) / sum, uniform when all are equal. whole, 0 to 1: what the cosine of the\n"
"two embeddings counts in the score beside the cells.\n\n"
"Raises ValueError for shapes that do not fit one another, weights that are not finite, a\n"
"temperature that is not positive and a whole outside 0 to 1. Immutable; any number of threads may\n"
"use it at once.");

PyDoc_STRVAR(compare_doc,
"compare(a, b, maps=True, threads=0, a_whole=None, b_whole=None)\n"
"--\n\n"
"Compares a[i] with b[i]: grids (N, D, H, W) twice -> (scores (N,), cosine (N, H, W),\n"
"attention (N, H, W)), float32; the maps are None with maps=False.\n\n"
"cosine is in -1..1, each norm floored at 1e-6 as torch.nn.functional.cosine_similarity does;\n"
"attention sums to 1 over the cells; score = (1 - whole) * sum(attention * cosine) + whole * cosine\n"
"of the embeddings a_whole[i] and b_whole[i], (N, E) each, which a head with whole > 0 needs.\n"
"threads=0: the default. Results do not depend on N, threads or a pair's place. Raises TypeError for\n"
"what is not an array of numbers, ValueError for another shape and for NaN or infinite features.");

PyDoc_STRVAR(compare_all_doc,
"compare_all(a, b, maps=False, threads=0, a_whole=None, b_whole=None)\n"
"--\n\n"
"Compares every a[i] with every b[j]: grids (N, D, H, W) and (M, D, H, W) -> (scores (N, M),\n"
"cosine (N, M, H, W), attention (N, M, H, W)), float32; the maps are None unless maps=True.\n\n"
"scores[i, j] is compare(a[i:i+1], b[j:j+1])'s score, to the last bit where whole is 0, else to\n"
"about 1e-7; what depends on one face alone is computed once per face. a_whole (N, E), b_whole\n"
"(M, E). Errors as in compare.");

static PyMethodDef head_methods[] = {
    {"compare", (PyCFunction)(void (*)(void))head_compare, METH_VARARGS | METH_KEYWORDS,
     compare_doc},
    {"compare_all", (PyCFunction)(void (*)(void))head_compare_all, METH_VARARGS | METH_KEYWORDS,
     compare_all_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot head_slots[] = {
    {Py_tp_new, head_new},
    {Py_tp_dealloc, head_dealloc},
    {Py_tp_methods, head_methods},
    {Py_tp_doc, (void *)head_doc},
    {0, NULL},
};

static PyType_Spec head_spec = {
    .name = "xcos._core.Head",
    .basicsize = sizeof(HeadObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = head_slots,
};

int xpy_add_head(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &head_spec, NULL);
    if (!type)
        return -1;
    const int status = PyModule_AddType(module, (PyTypeObject *)type);
    Py_DECREF(type);
    return status;
}
