/* head.c: the type xcos._core.Head. */
#include "args.h"

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

static PyObject *head_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"embed_weight",   "embed_bias",    "embed_slope",
                            "attend1_weight", "attend1_bias",  "attend1_slope",
                            "attend2_weight", "attend2_bias",  "attend2_slope",
                            "height",         "width",         "temperature",
                            "minmax",         "whole",         NULL};
    enum { EMBED, EMBED_BIAS, ATTEND1, ATTEND1_BIAS, ATTEND2, ATTEND2_BIAS, COUNT };
    xpy_arg a[COUNT] = {{.name = "embed_weight", .type = NPY_FLOAT32, .rank = 4},
                        {.name = "embed_bias", .type = NPY_FLOAT32, .rank = 1},
                        {.name = "attend1_weight", .type = NPY_FLOAT32, .rank = 4},
                        {.name = "attend1_bias", .type = NPY_FLOAT32, .rank = 1},
                        {.name = "attend2_weight", .type = NPY_FLOAT32, .rank = 4},
                        {.name = "attend2_bias", .type = NPY_FLOAT32, .rank = 1}};
    PyObject *self = NULL;
    xcos_error err;
    xcos_head_weights w = {.height = 7, .width = 7, .temperature = 1};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOfOOfOOf|iifpf:Head", names, &a[EMBED].given,
                                     &a[EMBED_BIAS].given, &w.embed_slope, &a[ATTEND1].given,
                                     &a[ATTEND1_BIAS].given, &w.attend1_slope, &a[ATTEND2].given,
                                     &a[ATTEND2_BIAS].given, &w.attend2_slope, &w.height, &w.width,
                                     &w.temperature, &w.minmax, &w.whole))
        return NULL;
    if (!xpy_convert(a, COUNT))
        goto end;
    const npy_intp embed = xpy_dim(&a[EMBED], 0), depth = xpy_dim(&a[EMBED], 1);
    const npy_intp attend = xpy_dim(&a[ATTEND1], 0);
    const npy_intp shapes[COUNT][4] = {{embed, depth, 3, 3},  {embed}, {attend, 2 * embed, 3, 3},
                                       {attend}, {1, attend, 3, 3}, {1}};
    for (int i = 0; i < COUNT; i++)
        if (!xpy_has_shape(&a[i], a[i].rank, shapes[i]))
            goto end;
    if (embed > INT_MAX || depth > INT_MAX || attend > INT_MAX) {
        PyErr_SetString(PyExc_ValueError, "head: more channels than it can do");
        goto end;
    }
    w.depth = (int)depth;
    w.embed_channels = (int)embed;
    w.attend_channels = (int)attend;
    w.embed_weight = xpy_data(&a[EMBED]);
    w.embed_bias = xpy_data(&a[EMBED_BIAS]);
    w.attend1_weight = xpy_data(&a[ATTEND1]);
    w.attend1_bias = xpy_data(&a[ATTEND1_BIAS]);
    w.attend2_weight = xpy_data(&a[ATTEND2]);
    w.attend2_bias = xpy_data(&a[ATTEND2_BIAS]);
    if (!(self = type->tp_alloc(type, 0)))
        goto end;
    HeadObject *head = (HeadObject *)self;
    head->depth = w.depth;
    head->height = w.height;
    head->width = w.width;
    if (!XPY_CALL(PyType_GetModule(type), xcos_head_new(&w, &head->head, &err)))
        Py_CLEAR(self);
end:
    xpy_release(a, COUNT);
    return self;
}

enum { A, B, A_WHOLE, B_WHOLE, COMPARED };

/* Whether the grids are of the head's size, and embeddings, where there are any, of one size. */
static bool check_faces(const HeadObject *head, const xpy_arg *a, int all, int has_whole)
{
    const npy_intp n = xpy_dim(&a[A], 0), m = xpy_dim(&a[B], 0);
    const npy_intp first[4] = {n, head->depth, head->height, head->width};
    const npy_intp second[4] = {m, head->depth, head->height, head->width};
    if (!xpy_has_shape(&a[A], 4, first) || !xpy_has_shape(&a[B], 4, second))
        return false;
    if (has_whole) {
        const npy_intp size = xpy_dim(&a[A_WHOLE], 1), of_a[2] = {n, size}, of_b[2] = {m, size};
        if (!xpy_has_shape(&a[A_WHOLE], 2, of_a) || !xpy_has_shape(&a[B_WHOLE], 2, of_b))
            return false;
    }
    if (all || n == m)
        return true;
    PyErr_Format(PyExc_ValueError, "a and b: expected as many grids in both, got %zd and %zd",
                 (Py_ssize_t)n, (Py_ssize_t)m);
    return false;
}

/* Scores of shape dims[:rank] and, if asked for, two maps; -> (scores, cosine, attention). */
static PyObject *compare_grids(PyObject *self, PyObject *args, PyObject *kwargs, const int all)
{
    static char *names[] = {"a", "b", "maps", "threads", "a_whole", "b_whole", NULL};
    HeadObject *head = (HeadObject *)self;
    xpy_arg a[COMPARED] = {{.name = "a", .type = NPY_FLOAT32, .rank = 4},
                           {.name = "b", .type = NPY_FLOAT32, .rank = 4},
                           {.name = "a_whole", .given = Py_None, .type = NPY_FLOAT32, .rank = 2},
                           {.name = "b_whole", .given = Py_None, .type = NPY_FLOAT32, .rank = 2}};
    PyObject *result = NULL, *out[3] = {NULL};
    xcos_error err;
    int maps = !all, threads = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, all ? "OO|piOO:compare_all" : "OO|piOO:compare",
                                     names, &a[A].given, &a[B].given, &maps, &threads,
                                     &a[A_WHOLE].given, &a[B_WHOLE].given))
        return NULL;
    const int has_whole = a[A_WHOLE].given != Py_None && a[B_WHOLE].given != Py_None;
    if (!xpy_convert(a, has_whole ? COMPARED : 2) || !check_faces(head, a, all, has_whole))
        goto end;
    const npy_intp n = xpy_dim(&a[A], 0), m = xpy_dim(&a[B], 0);
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
    xcos_embeddings embeddings = {0};
    if (has_whole) {
        const npy_intp size = xpy_dim(&a[A_WHOLE], 1);
        embeddings = (xcos_embeddings){.a = xpy_data(&a[A_WHOLE]),
                                       .b = xpy_data(&a[B_WHOLE]),
                                       .size = size > INT_MAX ? INT_MAX : (int)size};
    }
    const xcos_embeddings *w = has_whole ? &embeddings : NULL;
    const float *pa = xpy_data(&a[A]), *pb = xpy_data(&a[B]);
    if (XPY_CALL(PyType_GetModule(Py_TYPE(self)),
                 all ? xcos_head_compare_all(head->head, pa, n, pb, m, w, data[0], data[1], data[2],
                                             threads, &err)
                     : xcos_head_compare(head->head, pa, pb, n, w, data[0], data[1], data[2],
                                         threads, &err)))
        result = PyTuple_Pack(3, out[0], maps ? out[1] : Py_None, maps ? out[2] : Py_None);
end:
    for (int i = 0; i < 3; i++)
        Py_XDECREF(out[i]);
    xpy_release(a, COMPARED);
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
