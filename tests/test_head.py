"""The head against its NumPy twin and PyTorch, and its kernels against one another."""

import io
import pickle
import threading
from dataclasses import asdict, replace
from functools import lru_cache

import numpy as np
import pytest
import torch
from head_oracle import (
    TorchHead,
    load_weights,
    numpy_head,
    numpy_whole,
    random_embeddings,
    random_grids,
    random_weights,
)

import xcos
from xcos import _core

CLOSE = 1e-6
# height, width, depth, embed, attend: the common case; rows of one and two tiles and a rest; a
# single cell, row and column; channels that are no multiple of a vector.
SHAPES = [
    (7, 7, 32, 16, 16),
    (5, 9, 5, 3, 7),
    (2, 14, 32, 16, 16),
    (4, 16, 33, 17, 5),
    (1, 1, 3, 2, 1),
    (1, 8, 4, 2, 2),
    (9, 1, 4, 40, 35),
]


@pytest.fixture(params=_core.isa_available())
def isa(request):
    """Each instruction set of this machine in turn, for heads made during the test."""
    before = _core.isa()
    _core.isa_select(request.param)
    yield request.param
    _core.isa_select(before)


@pytest.fixture
def real(shared):
    return load_weights(shared / "models" / "xcos_head_v0.safetensors")


def head_of(weights):
    return _core.Head(**asdict(weights))


def shaped(shape, seed=0, **more):
    height, width, depth, embed, attend = shape
    return random_weights(seed, depth, embed, attend, height=height, width=width, **more)


def assert_close(got, expected, atol=CLOSE):
    for name, x, y in zip(("score", "cosine", "attention"), got, expected, strict=True):
        assert x.dtype == np.float32
        np.testing.assert_allclose(x, np.asarray(y), rtol=0, atol=atol, err_msg=name)


def assert_same_bits(got, expected):
    for x, y in zip(got, expected, strict=True):
        np.testing.assert_array_equal(x.view(np.uint32), y.view(np.uint32))


@pytest.mark.parametrize("minmax", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_agrees_with_numpy(isa, shape, minmax):
    w = shaped(shape, minmax=minmax)
    a, b = random_grids(w, 19, 1), random_grids(w, 19, 2)
    head = head_of(w)
    assert_close(head.compare(a, b), numpy_head(w, a, b))
    everything = head.compare_all(a, b[:10], maps=True)
    i, j = np.divmod(np.arange(190), 10)
    assert_close([x.reshape(190, *x.shape[2:]) for x in everything], numpy_head(w, a[i], b[j]))


@pytest.mark.parametrize("temperature", [0.05, 1.0, 30.0])
def test_agrees_with_pytorch(isa, temperature):
    w = random_weights(3, temperature=temperature)
    a, b = random_grids(w, 40, 1), random_grids(w, 40, 2)
    with torch.inference_mode():
        expected = TorchHead(w)(torch.from_numpy(a), torch.from_numpy(b))
    # A logit's rounding is divided by the temperature: the attention's error with it.
    assert_close(head_of(w).compare(a, b), expected, CLOSE * max(1, 1 / temperature))


def test_real_head(isa, real):
    # Grids of the network are the outputs of a PReLU: mostly positive, of a few units.
    a, b = (np.maximum(random_grids(real, 64, s) * 2, -0.3).astype(np.float32) for s in (1, 2))
    got = head_of(real).compare(a, b)
    assert_close(got, numpy_head(real, a, b))
    assert_close(got, TorchHead(real)(torch.from_numpy(a), torch.from_numpy(b)))
    np.testing.assert_allclose(got[2].sum((1, 2)), 1, atol=1e-6)
    np.testing.assert_allclose((got[1] * got[2]).sum((1, 2)), got[0], atol=1e-6)


def test_check_values(isa, shared, real):
    """models/README.md in the shared folder: xCos of the first four pairs of lfw_dev.bin."""
    cv2, ort = pytest.importorskip("cv2"), pytest.importorskip("onnxruntime")
    data = shared / "data" / "lfw_dev.bin"
    if not data.is_file():
        pytest.skip("lfw_dev.bin is absent")
    jpegs = pickle.load(io.BytesIO(data.read_bytes()), encoding="bytes")[0][:8]
    pixels = np.stack([cv2.imdecode(np.frombuffer(bytes(j), np.uint8), cv2.IMREAD_COLOR) for j in jpegs])
    images = ((pixels.astype(np.float32) - 127) / 128).transpose(0, 3, 1, 2)
    session = ort.InferenceSession(shared / "models" / "mobilefacenet_xcos_v0.onnx")
    name = session.get_inputs()[0].name
    grids = np.concatenate([session.run(["grid"], {name: image[None]})[0] for image in images])
    scores = head_of(real).compare(grids[0::2], grids[1::2])[0]
    np.testing.assert_allclose(scores, [0.42670, 0.81279, 0.71349, 0.66238], atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_kernels_agree(isa, shape):
    """Every instruction set against plain C, on values of all sizes."""
    rng = np.random.default_rng(5)
    w = shaped(shape, 7)
    a, b = (random_grids(w, 21, s) * rng.lognormal(0, 1.5, (21, *w.grid)).astype(np.float32) for s in (1, 2))
    got = head_of(w).compare_all(a, b, maps=True)
    _core.isa_select("generic")
    expected = head_of(w).compare_all(a, b, maps=True)
    np.testing.assert_allclose(got[1], expected[1], rtol=0, atol=CLOSE)
    assert_close(got, expected, 5e-5)  # logits of some tens: a few of their last bits


def test_same_bits_however_it_is_cut(isa):
    w = shaped((5, 9, 5, 3, 7))
    head = head_of(w)
    a, b = random_grids(w, 83, 1), random_grids(w, 83, 2)
    whole = head.compare(a, b)
    for size in (1, 3, 8, 16, 17, 50):
        parts = [head.compare(a[i : i + size], b[i : i + size], threads=1) for i in range(0, 83, size)]
        assert_same_bits([np.concatenate(x) for x in zip(*parts, strict=True)], whole)
    for threads in (1, 2, 3, 7):
        assert_same_bits(head.compare(a, b, threads=threads), whole)
        everything = head.compare_all(a, b, maps=True, threads=threads)
        assert_same_bits([x[range(83), range(83)].copy() for x in everything], whole)
    for i in (1, 5, 8, 11):
        row = head.compare_all(a[:i], b[i:], maps=True)
        assert_same_bits(row, [x[:i, i:].copy() for x in everything])
    assert_same_bits([head.compare_all(a, b)[0]], [everything[0]])
    assert_same_bits([head.compare(a, b, maps=False)[0]], [whole[0]])


def test_more_faces_than_a_chunk(isa):
    # A record of 196 cells and 257 values a cell is 50,372 floats: 83 of them make a chunk.
    w = shaped((14, 14, 240, 2, 16))
    head = head_of(w)
    a, b = random_grids(w, 90, 1), random_grids(w, 101, 2)
    scores = head.compare_all(a, b)[0]
    for i, j in [(0, 0), (79, 79), (80, 80), (83, 83), (89, 100), (0, 100), (89, 0)]:
        assert_same_bits([scores[i, j : j + 1].copy()], [head.compare(a[i : i + 1], b[j : j + 1])[0]])
    np.testing.assert_allclose(scores[88, :9], numpy_head(w, a[[88] * 9], b[:9])[0], atol=CLOSE)


def test_order_of_faces_matters_as_in_the_paper(isa):
    w = random_weights(2)
    a, b = random_grids(w, 5, 1), random_grids(w, 5, 2)
    one, other = head_of(w).compare(a, b), head_of(w).compare(b, a)
    np.testing.assert_allclose(one[1], other[1], atol=CLOSE)
    assert np.abs(one[2] - other[2]).max() > 1e-3


def test_zero_and_tiny_vectors(isa):
    w = random_weights(4)
    a, b = random_grids(w, 4, 1), random_grids(w, 4, 2)
    a[0] = 0
    a[1, :, 2, 3] = 0
    b[2] *= np.float32(1e-7)  # norms of some 6e-7, below the floor
    a[3] *= np.float32(1e-30)
    got = head_of(w).compare(a, b)
    assert_close(got, numpy_head(w, a, b))
    expected = torch.nn.functional.cosine_similarity(torch.from_numpy(a), torch.from_numpy(b), dim=1, eps=1e-6)
    np.testing.assert_allclose(got[1], expected, atol=CLOSE)
    assert got[0][0] == 0 and not got[1][0].any() and got[1][1, 2, 3] == 0


def test_large_features(isa):
    w = random_weights(4)
    a, b = random_grids(w, 3, 1) * np.float32(1e25), random_grids(w, 3, 2)
    got = head_of(w).compare(a, b)
    np.testing.assert_allclose(got[1], numpy_head(w, a, b)[1], atol=CLOSE)
    np.testing.assert_allclose(got[2].sum((1, 2)), 1, atol=1e-6)
    assert np.isfinite(got[0]).all()
    a[1] = np.finfo(np.float32).max
    with pytest.raises(ValueError, match=r"a\[1\] and b\[1\]: features so large that"):
        head_of(w).compare(a, b)
    with pytest.raises(ValueError, match=r"a\[1\] and b\[0\]: features so large that"):
        head_of(w).compare_all(a, b)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_refuses_what_is_not_finite(isa, bad):
    w = random_weights(4)
    head = head_of(w)
    a, b = random_grids(w, 40, 1), random_grids(w, 40, 2)
    a[31, 5, 2, 1] = bad
    text = f"{bad:g}"
    for call in (head.compare, head.compare_all):
        for threads in (1, 2):
            with pytest.raises(ValueError, match=rf"a\[31, 5, 2, 1\] is {text}, expected finite features"):
                call(a, b, threads=threads)
            with pytest.raises(ValueError, match=rf"b\[31, 5, 2, 1\] is {text}"):
                call(b, a, threads=threads)
    b[[3, 39], 0, 0, 0] = bad
    with pytest.raises(ValueError, match=r"b\[3, 0, 0, 0\]"):
        head.compare(a[:31], b[:31])


def test_equal_logits_are_uniform_with_minmax(isa):
    w = replace(random_weights(4, minmax=True), attend2_weight=np.zeros((1, 16, 3, 3), np.float32))
    a, b = random_grids(w, 3, 1), random_grids(w, 3, 2)
    got = head_of(w).compare(a, b)
    np.testing.assert_allclose(got[2], 1 / 49, rtol=1e-6)
    assert_close(got, numpy_head(w, a, b))


def test_softmax_extremes(isa):
    w = random_weights(4, temperature=1e-4)
    a, b = random_grids(w, 20, 1), random_grids(w, 20, 2)
    attention = head_of(w).compare(a, b)[2].reshape(20, -1)
    expected = numpy_head(w, a, b)[2].reshape(20, -1)
    assert (attention.argmax(1) == expected.argmax(1)).all()
    assert (attention >= 0).all() and (attention <= 1 + 1e-6).all()


@pytest.mark.parametrize("slope", [-0.5, 0.0, 1.0, 1.5])
def test_any_slope(isa, slope):
    w = replace(random_weights(6), embed_slope=slope, attend1_slope=slope, attend2_slope=slope)
    a, b = random_grids(w, 9, 1), random_grids(w, 9, 2)
    assert_close(head_of(w).compare(a, b), numpy_head(w, a, b), 2e-6)


def test_empty(isa):
    w = random_weights()
    head = head_of(w)
    none, some = random_grids(w, 0, 1), random_grids(w, 3, 1)
    assert [x.shape for x in head.compare(none, none)] == [(0,), (0, 7, 7), (0, 7, 7)]
    assert [x.shape for x in head.compare_all(none, some, maps=True)] == [(0, 3), (0, 3, 7, 7), (0, 3, 7, 7)]
    assert head.compare_all(some, none)[0].shape == (3, 0)
    assert head.compare(some, some, maps=False)[1:] == (None, None)
    assert head.compare_all(some, some)[1:] == (None, None)


def test_any_layout_and_type_of_number():
    w = random_weights()
    head = head_of(w)
    a, b = random_grids(w, 6, 1), random_grids(w, 6, 2)
    whole = head.compare(a, b)
    assert_same_bits(head.compare(a.astype(np.float64), b.astype(">f4")), whole)
    strided = np.zeros((12, 7, 32, 7, 2), np.float32)
    strided[::2, :, :, :, 1] = a.transpose(0, 2, 1, 3)
    assert_same_bits(head.compare(strided[::2, :, :, :, 1].transpose(0, 2, 1, 3), b.tolist()), whole)
    half = a.astype(np.float16)
    assert_same_bits(head.compare(half, b), head.compare(half.astype(np.float32), b))
    read_only = a.copy()
    read_only.flags.writeable = False
    assert_same_bits(head.compare(read_only, b), whole)


def test_wrong_arguments():
    w = random_weights()
    head = head_of(w)
    a = random_grids(w, 2, 1)
    with pytest.raises(ValueError, match=r"a: expected 4 dimensions, got 3"):
        head.compare(a[0], a)
    with pytest.raises(ValueError, match=r"b: expected shape \(2, 32, 7, 7\), got \(2, 16, 7, 7\)"):
        head.compare(a, a[:, :16])
    with pytest.raises(ValueError, match=r"as many grids in both, got 2 and 1"):
        head.compare(a, a[:1])
    with pytest.raises(TypeError, match="a: expected an array of float32"):
        head.compare(a.astype(np.complex64), a)
    with pytest.raises(TypeError):
        head.compare(a)
    with pytest.raises(TypeError):
        head.compare(a, a, thread=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"embed_weight": np.zeros((16, 32, 3), np.float32)}, "embed_weight: expected 4 dimensions, got 3"),
        ({"embed_bias": np.zeros(5, np.float32)}, r"embed_bias: expected shape \(16,\), got \(5,\)"),
        ({"attend1_weight": np.zeros((16, 16, 3, 3), np.float32)}, r"attend1_weight: expected shape \(16, 32, 3, 3\)"),
        ({"attend2_weight": np.zeros((2, 16, 3, 3), np.float32)}, r"attend2_weight: expected shape \(1, 16, 3, 3\)"),
        ({"embed_weight": np.zeros((0, 32, 3, 3), np.float32)}, "expected shape"),
        ({"attend1_slope": np.nan}, "attend1 slope has a value that is not finite"),
        ({"attend2_bias": np.full(1, np.inf, np.float32)}, "attend2 bias has a value that is not finite"),
        ({"temperature": 0.0}, "temperature is 0, expected a positive number"),
        ({"temperature": np.nan}, "temperature is nan"),
        ({"whole": -0.1}, "whole is -0.1, expected 0 to 1"),
        ({"whole": np.nan}, "whole is nan"),
        ({"height": 0}, "height is 0, expected 1 to"),
        ({"width": -3}, "width is -3"),
        ({"height": 60000, "width": 60000}, "more than it can do"),
    ],
)
def test_wrong_weights(change, message):
    with pytest.raises(ValueError, match=message):
        head_of(replace(random_weights(), **change))


@lru_cache
def cells_of_some_pairs(shape, n, m):
    """Every seventh pair of n and m grids and those of equal numbers, and what the oracle says of their cells."""
    w = shaped(shape)
    i, j = np.divmod(np.arange(n * m), m)
    asked = (np.arange(n * m) % 7 == 0) | (i == j)
    i, j = i[asked], j[asked]
    return i, j, numpy_head(w, random_grids(w, n, 1)[i], random_grids(w, m, 2)[j])


@pytest.mark.parametrize("share", [0.3, 1.0])
@pytest.mark.parametrize("shape", SHAPES[:4])
def test_the_whole_face_counts_its_share(isa, shape, share):
    w = shaped(shape, whole=share)
    a, b = random_grids(w, 150, 1), random_grids(w, 37, 2)
    whole = {"a_whole": random_embeddings(150, 3), "b_whole": random_embeddings(37, 4)}
    whole["a_whole"][5] = 0
    whole["b_whole"][7] *= np.float32(1e-30)
    head = head_of(w)
    i, j, (score, *maps) = cells_of_some_pairs(shape, 150, 37)
    expected = [numpy_whole(score, share, whole["a_whole"][i], whole["b_whole"][j]), *maps]
    everything = head.compare_all(a, b, maps=True, **whole)
    assert_close([x[i, j] for x in everything], expected)
    paired = {"a_whole": whole["a_whole"][:37], "b_whole": whole["b_whole"]}
    assert_close(head.compare(a[:37], b, **paired), [x[i == j] for x in expected])
    if share == 1:
        np.testing.assert_allclose(everything[0][5], 0, atol=CLOSE)
    # Only the score knows of it, and neither threads nor, for pairs, the rest of the stack matter.
    assert_same_bits(everything[1:], head_of(replace(w, whole=0.0)).compare_all(a, b, maps=True)[1:])
    for threads in (1, 2, 3):
        assert_same_bits(head.compare_all(a, b, maps=True, threads=threads, **whole), everything)
    one = head.compare(a[9:10], b[9:10], a_whole=whole["a_whole"][9:10], b_whole=whole["b_whole"][9:10])
    assert_same_bits(one, [x[9:10] for x in head.compare(a[:37], b, **paired)])


def test_embeddings_change_nothing_where_whole_is_none(isa):
    w = random_weights()
    a, b = random_grids(w, 9, 1), random_grids(w, 9, 2)
    whole = {"a_whole": random_embeddings(9, 3), "b_whole": random_embeddings(9, 4)}
    assert_same_bits(head_of(w).compare(a, b, **whole), head_of(w).compare(a, b))
    assert_same_bits([head_of(w).compare_all(a, b, **whole)[0]], [head_of(w).compare_all(a, b)[0]])


def test_more_embeddings_than_a_chunk(isa):
    # 50,372 floats of a record and 6,000 of an embedding: 74 faces make a chunk.
    w = shaped((14, 14, 240, 2, 16), whole=0.5)
    a, b = random_grids(w, 81, 1), random_grids(w, 93, 2)
    whole = {"a_whole": random_embeddings(81, 3, 6000), "b_whole": random_embeddings(93, 4, 6000)}
    scores = head_of(w).compare_all(a, b, **whole)[0]
    for i, j in [(0, 0), (72, 72), (80, 80), (80, 92), (0, 92), (80, 0)]:
        expected = numpy_head(w, a[[i]], b[[j]], whole["a_whole"][[i]], whole["b_whole"][[j]])[0]
        np.testing.assert_allclose(scores[i, j], expected[0], atol=CLOSE)


def test_wrong_embeddings():
    w = random_weights(whole=0.3)
    a, e = random_grids(w, 3, 1), random_embeddings(3, 2)
    for compare in (head_of(w).compare, head_of(w).compare_all):
        with pytest.raises(ValueError, match=r"whole is 0\.3, expected embeddings with the grids"):
            compare(a, a)
        with pytest.raises(ValueError, match=r"b_whole: expected shape \(3, 65\), got \(3, 64\)"):
            compare(a, a, a_whole=e, b_whole=e[:, :64])
        with pytest.raises(ValueError, match=r"a_whole: expected shape \(3, 65\), got \(2, 65\)"):
            compare(a, a, a_whole=e[:2], b_whole=e)
        with pytest.raises(ValueError, match="embeddings of 0 numbers"):
            compare(a, a, a_whole=e[:, :0], b_whole=e[:, :0])
        bad = e.copy()
        bad[1, 64] = np.inf
        with pytest.raises(ValueError, match=r"embedding a\[1, 64\] is inf, expected finite features"):
            compare(a, a, a_whole=bad, b_whole=e)
        with pytest.raises(ValueError, match=r"embedding b\[1, 64\] is inf"):
            compare(a, a, a_whole=e, b_whole=bad)


def test_many_python_threads_at_once():
    w = random_weights()
    head = head_of(w)
    a, b = random_grids(w, 30, 1), random_grids(w, 30, 2)
    expected = head.compare_all(a, b)[0]
    wrong = []

    def work():
        for _ in range(20):
            if not np.array_equal(head.compare_all(a, b, threads=2)[0], expected):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_few_first_faces_are_compared_as_many_are():
    """To 64 first faces each block is compared as soon as it is prepared; the maps are the same to the bit.

    The scores hold the cosine of the embeddings, which OpenBLAS sums in another order for other numbers of rows.
    """
    rng = np.random.default_rng(0)
    faces = xcos.Features(rng.standard_normal((65, 128, 7, 7), np.float32), rng.standard_normal((65, 512), np.float32))
    model = xcos.load()
    for threads in (1, 2):
        many = model.compare_all(faces, faces, maps=True, threads=threads)
        for count in (1, 9, 64):
            few = model.compare_all(faces[:count], faces, maps=True, threads=threads)
            assert all((one == other[:count]).all() for one, other in zip(few[1:], many[1:], strict=True))
            np.testing.assert_allclose(few[0], many[0][:count], rtol=0, atol=1e-6)
    faces.grid[40, 3, 2, 1] = np.nan
    with pytest.raises(ValueError, match=r"b\[40, 3, 2, 1\] is nan"):
        model.compare_all(faces[:5], faces)
    with pytest.raises(ValueError, match=r"a\[0, 3, 2, 1\] is nan"):
        model.compare_all(faces[40:42], faces)
