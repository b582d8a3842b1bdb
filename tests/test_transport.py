"""Optimal transport between the cells of two grids, against NumPy in double precision and exact linear programs."""

import numpy as np
import pytest

from xcos import _core

RNG = np.random.default_rng(3)


def grids(count, depth=24, height=7, width=7):
    """Random ones whose cells have something in common, as those of faces."""
    return (RNG.normal(size=(count, depth, height, width)) + RNG.normal(size=(1, depth, 1, 1))).astype(np.float32)


def twin(a, b, cross, regularization, iterations):
    """One pair by the plain formulas: similarity, flow, cosines, weights."""
    a, b = (x.reshape(len(x), -1).T.astype(np.float64) for x in (a, b))
    unit_a, unit_b = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-6) for x in (a, b))
    cosine = unit_a @ unit_b.T
    u = np.maximum(unit_a @ b.mean(0), 0) if cross else np.ones(len(a))
    v = np.maximum(unit_b @ a.mean(0), 0) if cross else np.ones(len(b))
    u, v = (x / x.sum() if x.sum() > 0 else np.full(len(x), 1 / len(x)) for x in (u, v))
    kernel = np.exp((cosine - 1) / regularization)
    c = np.ones(len(b))
    for _ in range(iterations):
        r = u / (kernel @ c)
        c = v / (kernel.T @ r)
    flow = r[:, None] * kernel * c
    return (flow * cosine).sum(), flow, cosine, u, v


@pytest.mark.parametrize("cross", [False, True])
@pytest.mark.parametrize("shape", [(24, 7, 7), (128, 7, 7), (5, 1, 1), (7, 3, 5), (9, 14, 14)])
def test_it_is_the_papers_iteration(isa, cross, shape):
    for regularization, iterations in ((0.05, 100), (0.2, 7), (0.03, 1)):
        a, b = grids(3, *shape), grids(3, *shape)
        similarity, flow = _core.transport(a, b, cross, regularization, iterations, flow=True)
        for i in range(3):
            score, flows, _, _, v = twin(a[i], b[i], cross, regularization, iterations)
            np.testing.assert_allclose(similarity[i], score, atol=2e-5)
            np.testing.assert_allclose(flow[i], flows, atol=2e-6, rtol=2e-3)
            np.testing.assert_allclose(flow[i].sum(0), v, atol=2e-6)


@pytest.mark.parametrize("cross", [False, True])
def test_with_little_entropy_it_is_the_exact_distance(isa, cross):
    optimize = pytest.importorskip("scipy.optimize")
    a, b = grids(2, 16, 4, 5), grids(2, 16, 4, 5)
    similarity, flow = _core.transport(a, b, cross, 0.003, 5000, flow=True)
    for i in range(2):
        _, _, cosine, u, v = twin(a[i], b[i], cross, 1.0, 1)
        cells = len(u)
        sums = np.concatenate([np.kron(np.eye(cells), np.ones(cells)), np.kron(np.ones(cells), np.eye(cells))])
        exact = optimize.linprog((1 - cosine).ravel(), A_eq=sums, b_eq=np.concatenate([u, v]))
        assert exact.status == 0
        np.testing.assert_allclose(1 - similarity[i], exact.fun, atol=0.01)
        np.testing.assert_allclose(flow[i].sum(1), u, atol=2e-3)
        np.testing.assert_allclose(flow[i].sum(0), v, atol=1e-5)


def test_pot_agrees():
    ot = pytest.importorskip("ot")
    a, b = grids(1), grids(1)
    _, flow = _core.transport(a, b, True, 0.05, 2000, flow=True)
    _, _, cosine, u, v = twin(a[0], b[0], True, 1.0, 1)
    expected = ot.sinkhorn(u, v, 1 - cosine, 0.05, method="sinkhorn_log", stopThr=1e-10, numItermax=20000)
    np.testing.assert_allclose(flow[0], expected, atol=1e-6)


def test_neither_batch_nor_threads_nor_one_face_for_all_change_a_bit(isa):
    a, b = grids(1), grids(37)
    similarity, flow = _core.transport(a, b, flow=True, threads=1)
    for other in (
        _core.transport(a, b, flow=True, threads=3),
        _core.transport(np.repeat(a, 37, 0), b, flow=True),
        [
            np.concatenate(parts)
            for parts in zip(*(_core.transport(a, b[i : i + 5], flow=True) for i in range(0, 37, 5)), strict=True)
        ],
    ):
        np.testing.assert_array_equal(similarity, other[0])
        np.testing.assert_array_equal(flow, other[1])
    assert _core.transport(a, b)[1] is None


def test_a_face_moved_by_a_cell_is_still_found():
    """What cell by cell comparison misses: the same cells at other places."""
    face = RNG.normal(size=(1, 64, 7, 7)).astype(np.float32)
    moved = np.roll(face, 1, 3)
    similarity, flow = _core.transport(face, moved, cross=False, flow=True)
    assert similarity[0] > 0.99
    to = flow[0].argmax(1).reshape(7, 7)
    rows, columns = np.mgrid[:7, :7]
    np.testing.assert_array_equal(to, rows * 7 + (columns + 1) % 7)


def test_cells_without_weight_and_without_content():
    a, b = grids(1), grids(1)
    a[:, :, 2, 3] = 0
    similarity, flow = _core.transport(a, b, flow=True)
    assert flow[0, 2 * 7 + 3].sum() == 0 and np.isfinite(similarity).all()
    np.testing.assert_allclose(flow.sum(), 1, atol=1e-5)
    _, opposite = _core.transport(a, -a, flow=True, iterations=5)  # no cell is like the other face
    np.testing.assert_allclose(opposite.sum(1), 1 / 49, rtol=1e-4)
    similarity, flow = _core.transport(0 * a, b, cross=False, flow=True)
    assert similarity[0] == 0
    np.testing.assert_allclose(flow, 1 / 49**2, rtol=1e-4)


def test_bad_input_is_named():
    a, b = grids(3), grids(3)
    bad = b.copy()
    bad[1, 2, 3, 4] = np.nan
    for arguments, message in [
        ((a[:2], b), r"a: expected shape \(3, 24, 7, 7\), got \(2, 24, 7, 7\)"),
        ((a[:, :5], b), r"a: expected shape \(3, 24, 7, 7\), got \(3, 5, 7, 7\)"),
        ((a, b[0]), "b: expected 4 dimensions, got 3"),
        ((a, bad), r"b\[1\]: expected finite features"),
        ((bad, b), r"a\[1\]: expected finite features"),
        ((a, b, True, 1e-4), "regularization is 0.0001, expected 0.001 to 100"),
        ((a, b, True, np.nan), "regularization is nan"),
        ((a, b, True, 0.05, 0), "0 iterations, expected 1 to 1000000"),
        ((np.ones((1, 2, 40, 40)), np.ones((1, 2, 40, 40))), "40 x 40 cells, expected 1 to 1024"),
        ((np.ones((1, 2, 0, 4)), np.ones((1, 2, 0, 4))), "0 x 4 cells"),
    ]:
        with pytest.raises(ValueError, match=message):
            _core.transport(*arguments)
    with pytest.raises(TypeError, match="a: expected an array of float32"):
        _core.transport(a * 1j, b)
    assert _core.transport(a[:0], b[:0])[0].shape == (0,)
