/* face.c: what a detector's outputs become, over NumPy arrays. */
#include "binding.h"

static PyObject *nms(PyObject *module, PyObject *args)
{
    PyObject *boxes_obj, *scores_obj, *result = NULL;
    float max_iou;
    if (!PyArg_ParseTuple(args, "OOf:nms", &boxes_obj, &scores_obj, &max_iou))
        return NULL;
    PyArrayObject *boxes = xpy_floats(boxes_obj, 2, "boxes");
    PyArrayObject *scores = boxes ? xpy_floats(scores_obj, 1, "scores") : NULL;
    if (!scores)
        goto done;
    npy_intp count = PyArray_DIM(scores, 0);
    if (PyArray_DIM(boxes, 0) != count || PyArray_DIM(boxes, 1) != 4) {
        PyErr_Format(PyExc_ValueError, "boxes: expected the shape (%zd, 4), got (%zd, %zd)",
                     (Py_ssize_t)count, (Py_ssize_t)PyArray_DIM(boxes, 0),
                     (Py_ssize_t)PyArray_DIM(boxes, 1));
        goto done;
    }
    size_t *keep = PyMem_New(size_t, count), kept;
    if (!keep) {
        PyErr_NoMemory();
        goto done;
    }
    xcos_error err;
    xcos_status status;
    Py_BEGIN_ALLOW_THREADS
    status = xcos_nms(PyArray_DATA(boxes), PyArray_DATA(scores), (size_t)count, max_iou, keep,
                      &kept, &err);
    Py_END_ALLOW_THREADS
    if (xpy_ok(module, status, &err)) {
        count = (npy_intp)kept;
        result = PyArray_SimpleNew(1, &count, NPY_INTP);
        for (npy_intp i = 0; result && i < count; i++)
            *(npy_intp *)PyArray_GETPTR1((PyArrayObject *)result, i) = (npy_intp)keep[i];
    }
    PyMem_Free(keep);
done:
    Py_XDECREF(boxes);
    Py_XDECREF(scores);
    return result;
}

enum { STRIDES = 3, OUTPUTS = 4, ROW = 15 };
static const int strides[STRIDES] = {8, 16, 32};
static const struct {
    const char *name;
    int width;
} outputs[OUTPUTS] = {{"cls", 1}, {"obj", 1}, {"bbox", 4}, {"kps", 10}};

/* Fills maps[o][s] with float32 arrays of the size that the input's sides ask for. */
static int get_maps(PyObject *const lists[OUTPUTS], int height, int width,
                    PyArrayObject *maps[OUTPUTS][STRIDES])
{
    for (int o = 0; o < OUTPUTS; o++) {
        PyObject *list = PySequence_Tuple(lists[o]); /* conversions may change a list */
        if (!list)
            return 0;
        if (PyTuple_GET_SIZE(list) != STRIDES) {
            PyErr_Format(PyExc_ValueError, "%s: expected %d arrays, one per stride, got %zd",
                         outputs[o].name, STRIDES, PyTuple_GET_SIZE(list));
            Py_DECREF(list);
            return 0;
        }
        for (int s = 0; s < STRIDES; s++) {
            const npy_intp size =
                (npy_intp)(height / strides[s]) * (width / strides[s]) * outputs[o].width;
            maps[o][s] = xpy_floats(PyTuple_GET_ITEM(list, s), -1, outputs[o].name);
            if (!maps[o][s] || PyArray_SIZE(maps[o][s]) != size) {
                if (maps[o][s])
                    PyErr_Format(PyExc_ValueError,
                                 "%s at stride %d: expected %zd values for %d x %d pixels, got %zd",
                                 outputs[o].name, strides[s], (Py_ssize_t)size, width, height,
                                 (Py_ssize_t)PyArray_SIZE(maps[o][s]));
                Py_DECREF(list);
                return 0;
            }
        }
        Py_DECREF(list);
    }
    return 1;
}

/* Decodes all strides and suppresses; `order` gets the kept faces' indices. */
static xcos_status find_faces(PyArrayObject *maps[OUTPUTS][STRIDES], int height, int width,
                              float min_score, float max_iou, xcos_face *faces, size_t capacity,
                              float *scratch, size_t *order, size_t *kept, xcos_error *err)
{
    size_t count = 0;
    for (int s = 0; s < STRIDES; s++) {
        const xcos_status status = xcos_yunet_decode(
            PyArray_DATA(maps[0][s]), PyArray_DATA(maps[1][s]), PyArray_DATA(maps[2][s]),
            PyArray_DATA(maps[3][s]), height / strides[s], width / strides[s], strides[s],
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
    PyObject *lists[OUTPUTS], *result = NULL;
    PyArrayObject *maps[OUTPUTS][STRIDES] = {{NULL}};
    int height, width;
    float min_score, max_iou;
    if (!PyArg_ParseTuple(args, "OOOOiiff:yunet_faces", &lists[0], &lists[1], &lists[2], &lists[3],
                          &height, &width, &min_score, &max_iou))
        return NULL;
    if (height < 32 || width < 32 || height % 32 || width % 32)
        return PyErr_Format(PyExc_ValueError,
                            "height and width must be multiples of 32, got %d and %d", height,
                            width);
    if (get_maps(lists, height, width, maps)) {
        size_t cells = 0, kept;
        for (int s = 0; s < STRIDES; s++)
            cells += (size_t)(height / strides[s]) * (size_t)(width / strides[s]);
        xcos_face *faces = PyMem_New(xcos_face, cells);
        float *scratch = PyMem_New(float, 5 * cells);
        size_t *order = PyMem_New(size_t, cells);
        if (faces && scratch && order) {
            xcos_error err;
            xcos_status status;
            Py_BEGIN_ALLOW_THREADS
            status = find_faces(maps, height, width, min_score, max_iou, faces, cells, scratch,
                                order, &kept, &err);
            Py_END_ALLOW_THREADS
            if (xpy_ok(module, status, &err))
                result = face_rows(faces, order, kept);
        } else {
            PyErr_NoMemory();
        }
        PyMem_Free(faces);
        PyMem_Free(scratch);
        PyMem_Free(order);
    }
    for (int o = 0; o < OUTPUTS; o++)
        for (int s = 0; s < STRIDES; s++)
            Py_XDECREF(maps[o][s]);
    return result;
}

PyMethodDef xpy_face_methods[] = {
    {"nms", nms, METH_VARARGS, "Indices of the boxes that non-maximum suppression keeps."},
    {"yunet_faces", yunet_faces, METH_VARARGS, "YuNet's outputs to rows of box, score, points."},
    {NULL, NULL, 0, NULL},
};
