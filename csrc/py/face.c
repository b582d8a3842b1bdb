/* face.c: what a detector's outputs become, over NumPy arrays. */
#include "args.h"

static PyObject *nms(PyObject *module, PyObject *args)
{
    enum { BOXES, SCORES, COUNT };
    xpy_arg a[COUNT] = {{.name = "boxes", .type = NPY_FLOAT32, .rank = 2},
                        {.name = "scores", .type = NPY_FLOAT32, .rank = 1}};
    PyObject *result = NULL;
    size_t *keep = NULL, kept;
    xcos_error err;
    float max_iou;
    if (!PyArg_ParseTuple(args, "OOf:nms", &a[BOXES].given, &a[SCORES].given, &max_iou))
        return NULL;
    if (!xpy_convert(a, COUNT))
        goto done;
    npy_intp count = xpy_dim(&a[SCORES], 0);
    if (xpy_dim(&a[BOXES], 0) != count || xpy_dim(&a[BOXES], 1) != 4)
        PyErr_Format(PyExc_ValueError, "boxes: expected the shape (%zd, 4), got (%zd, %zd)",
                     (Py_ssize_t)count, (Py_ssize_t)xpy_dim(&a[BOXES], 0),
                     (Py_ssize_t)xpy_dim(&a[BOXES], 1));
    else if (!(keep = PyMem_New(size_t, count)))
        PyErr_NoMemory();
    else if (XPY_CALL(module, xcos_nms(xpy_data(&a[BOXES]), xpy_data(&a[SCORES]), (size_t)count,
                                       max_iou, keep, &kept, &err))) {
        count = (npy_intp)kept;
        result = PyArray_SimpleNew(1, &count, NPY_INTP);
        for (npy_intp i = 0; result && i < count; i++)
            *(npy_intp *)PyArray_GETPTR1((PyArrayObject *)result, i) = (npy_intp)keep[i];
    }
done:
    PyMem_Free(keep);
    xpy_release(a, COUNT);
    return result;
}

enum { STRIDES = 3, OUTPUTS = 4, ROW = 15 };
static const int strides[STRIDES] = {8, 16, 32};
static const struct {
    const char *name;
    int width;
} outputs[OUTPUTS] = {{"cls", 1}, {"obj", 1}, {"bbox", 4}, {"kps", 10}};

/* Names the maps' arguments, in maps[o * STRIDES + s]; `lists` gets tuples that hold them. */
static bool get_maps(PyObject *const given[OUTPUTS], PyObject *lists[OUTPUTS], xpy_arg *maps)
{
    for (int o = 0; o < OUTPUTS; o++) {
        if (!(lists[o] = PySequence_Tuple(given[o])))
            return false;
        if (PyTuple_GET_SIZE(lists[o]) != STRIDES) {
            PyErr_Format(PyExc_ValueError, "%s: expected %d arrays, one per stride, got %zd",
                         outputs[o].name, STRIDES, PyTuple_GET_SIZE(lists[o]));
            return false;
        }
        for (int s = 0; s < STRIDES; s++)
            maps[o * STRIDES + s] = (xpy_arg){.name = outputs[o].name,
                                              .given = PyTuple_GET_ITEM(lists[o], s),
                                              .type = NPY_FLOAT32,
                                              .rank = -1};
    }
    return xpy_convert(maps, OUTPUTS * STRIDES);
}

/* Whether the maps have the sizes that the input's sides ask for. */
static bool check_maps(const xpy_arg *maps, int height, int width)
{
    for (int i = 0; i < OUTPUTS * STRIDES; i++) {
        const int stride = strides[i % STRIDES];
        const npy_intp size =
            (npy_intp)(height / stride) * (width / stride) * outputs[i / STRIDES].width;
        if (PyArray_SIZE(maps[i].array) != size) {
            PyErr_Format(PyExc_ValueError,
                         "%s at stride %d: expected %zd values for %d x %d pixels, got %zd",
                         maps[i].name, stride, (Py_ssize_t)size, width, height,
                         (Py_ssize_t)PyArray_SIZE(maps[i].array));
            return false;
        }
    }
    return true;
}

/* Decodes all strides and suppresses; `order` gets the kept faces' indices. */
static xcos_status find_faces(const float *const *maps, int height, int width,
                              float min_score, float max_iou, xcos_face *faces, size_t capacity,
                              float *scratch, size_t *order, size_t *kept, xcos_error *err)
{
    size_t count = 0;
    for (int s = 0; s < STRIDES; s++) {
        const xcos_status status = xcos_yunet_decode(
            maps[s], maps[STRIDES + s], maps[2 * STRIDES + s], maps[3 * STRIDES + s], height / strides[s], width / strides[s], strides[s],
            min_score, faces, capacity, &count, err);
        if (status)
            return status;
    }
    float *boxes = scratch, *scores = scratch + 4 * count;
    for (size_t i = 0; i < count; i++) {
        memcpy(boxes + 4 * i, faces[i].box, sizeof faces[i].box);
        scores[i] = faces[i].score;
    }
    return xcos_nms(boxes, scores, count, max_iou, order, kept, err);
}

static PyObject *face_rows(const xcos_face *faces, const size_t *order, size_t kept)
{
    const npy_intp shape[2] = {(npy_intp)kept, ROW};
    PyObject *result = PyArray_SimpleNew(2, shape, NPY_FLOAT32);
    if (!result)
        return NULL;
    float *row = PyArray_DATA((PyArrayObject *)result);
    for (size_t i = 0; i < kept; i++, row += ROW) {
        const xcos_face *face = &faces[order[i]];
        memcpy(row, face->box, sizeof face->box);
        row[4] = face->score;
        memcpy(row + 5, face->points, sizeof face->points);
    }
    return result;
}

static PyObject *yunet_faces(PyObject *module, PyObject *args)
{
    PyObject *given[OUTPUTS], *lists[OUTPUTS] = {NULL}, *result = NULL;
    xpy_arg maps[OUTPUTS * STRIDES] = {{.name = NULL}};
    const float *data[OUTPUTS * STRIDES];
    xcos_face *faces = NULL;
    float *scratch = NULL;
    size_t *order = NULL, cells = 0, kept;
    xcos_error err;
    int height, width;
    float min_score, max_iou;
    if (!PyArg_ParseTuple(args, "OOOOiiff:yunet_faces", &given[0], &given[1], &given[2], &given[3],
                          &height, &width, &min_score, &max_iou))
        return NULL;
    if (height < 32 || width < 32 || height % 32 || width % 32)
        return PyErr_Format(PyExc_ValueError,
                            "height and width must be multiples of 32, got %d and %d", height,
                            width);
    if (!get_maps(given, lists, maps) || !check_maps(maps, height, width))
        goto done;
    for (int i = 0; i < OUTPUTS * STRIDES; i++)
        data[i] = xpy_data(&maps[i]);
    for (int s = 0; s < STRIDES; s++)
        cells += (size_t)(height / strides[s]) * (size_t)(width / strides[s]);
    faces = PyMem_New(xcos_face, cells);
    scratch = PyMem_New(float, 5 * cells);
    order = PyMem_New(size_t, cells);
    if (!faces || !scratch || !order)
        PyErr_NoMemory();
    else if (XPY_CALL(module, find_faces(data, height, width, min_score, max_iou, faces, cells,
                                         scratch, order, &kept, &err)))
        result = face_rows(faces, order, kept);
done:
    PyMem_Free(faces);
    PyMem_Free(scratch);
    PyMem_Free(order);
    xpy_release(maps, OUTPUTS * STRIDES);
    for (int o = 0; o < OUTPUTS; o++)
        Py_XDECREF(lists[o]);
    return result;
}

PyMethodDef xpy_face_methods[] = {
    {"nms", nms, METH_VARARGS,
     "nms($module, boxes, scores, max_iou, /)\n--\n\n"
     "Indices of the boxes that non-maximum suppression keeps."},
    {"yunet_faces", yunet_faces, METH_VARARGS,
     "yunet_faces($module, cls, obj, bbox, kps, height, width, min_score, max_iou, /)\n--\n\n"
     "YuNet's outputs to rows of box, score, points."},
    {NULL, NULL, 0, NULL},
};
