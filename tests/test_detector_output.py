"""Non-maximum suppression and the decoding of YuNet's outputs, against NumPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xcos import _core

RNG = np.random.default_rng(11)


def iou(a, b) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def greedy(boxes: np.ndarray, scores: np.ndarray, limit: float) -> list[int]:
    order, kept = sorted(range(len(scores)), key=lambda i: (-scores[i], i)), []
    for i in order:
        if all(not iou(boxes[i].astype(float), boxes[k].astype(float)) > limit for k in kept):
            kept.append(i)
    return kept


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 60), st.sampled_from([0.0, 0.3, 0.5, 1.0]))
def test_nms(seed, count, limit):
    rng = np.random.default_rng(seed)
    corner, size = rng.uniform(0, 50, (count, 2)), rng.uniform(5, 40, (count, 2))
    boxes = np.column_stack([corner, corner + size]).astype(np.float32)
    scores = rng.integers(0, 9, count).astype(np.float32) / 8  # with ties
    kept = _core.nms(boxes, scores, limit)
    assert kept.dtype == np.intp
    assert kept.tolist() == greedy(boxes, scores, limit)


def test_nms_edge_cases():
    empty = np.zeros((3, 4), np.float32)
    assert _core.nms(empty, np.ones(3, np.float32), 0.3).tolist() == [0, 1, 2]  # no area, no overlap
    box = np.array([[0, 0, 4, 4]] * 2, np.float32)
    assert _core.nms(box, np.array([0.1, 0.2], np.float32), 0.99).tolist() == [1]
    with pytest.raises(ValueError, match="max_iou"):
        _core.nms(box, np.ones(2, np.float32), 1.5)
    with pytest.raises(ValueError, match="not a number"):
        _core.nms(box, np.array([1, np.nan], np.float32), 0.3)
    with pytest.raises(ValueError, match=r"\(3, 4\)"):
        _core.nms(box, np.ones(3, np.float32), 0.3)


def yunet_rows(maps, height, width, min_score, limit) -> np.ndarray:
    """OpenCV's post-processing (FaceDetectorYNImpl::postProcess), transcribed."""
    rows = []
    for stride, cls, obj, bbox, kps in zip((8, 16, 32), *maps, strict=True):
        for i in range((height // stride) * (width // stride)):
            row, col = divmod(i, width // stride)
            cell = np.array([col, row])
            score = np.sqrt(np.clip(cls[i], 0, 1) * np.clip(obj[i], 0, 1))
            if score < min_score:
                continue
            cx, cy = (col + bbox[i, 0]) * stride, (row + bbox[i, 1]) * stride
            w, h = np.exp(bbox[i, 2]) * stride, np.exp(bbox[i, 3]) * stride
            points = (kps[i].reshape(5, 2) + cell) * stride
            rows.append([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2, score, *points.ravel()])
    rows = np.array(rows, np.float32).reshape(-1, 15)
    return rows[greedy(rows[:, :4], rows[:, 4], limit)]


def random_maps(height, width):
    cells = [(height // s) * (width // s) for s in (8, 16, 32)]
    return [
        [RNG.uniform(-0.1, 1.1, n).astype(np.float32) for n in cells],
        [RNG.uniform(-0.1, 1.1, n).astype(np.float32) for n in cells],
        [RNG.normal(0, 1, (n, 4)).astype(np.float32) for n in cells],
        [RNG.normal(0, 1, (n, 10)).astype(np.float32) for n in cells],
    ]


@pytest.mark.parametrize(("height", "width"), [(32, 32), (96, 160)])
@pytest.mark.parametrize("min_score", [0.0, 0.7, 1.0])
def test_yunet_decoding(height, width, min_score):
    maps = random_maps(height, width)
    ours = _core.yunet_faces(*maps, height, width, min_score, 0.3)
    expected = yunet_rows(maps, height, width, np.float32(min_score), 0.3)
    assert ours.shape == expected.shape and ours.dtype == np.float32
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-4)


def test_yunet_decoding_of_infinite_and_misshapen_maps():
    maps = random_maps(32, 64)
    maps[2][0][:, 2] = np.inf
    assert np.isfinite(_core.yunet_faces(*maps, 32, 64, 0.0, 0.3)).all()
    with pytest.raises(ValueError, match="multiples of 32"):
        _core.yunet_faces(*maps, 40, 64, 0.5, 0.3)
    with pytest.raises(ValueError, match="cls at stride 8"):
        _core.yunet_faces(*maps, 64, 64, 0.5, 0.3)
    with pytest.raises(ValueError, match="one per stride"):
        _core.yunet_faces(maps[0][:2], *maps[1:], 32, 64, 0.5, 0.3)
