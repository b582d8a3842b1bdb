"""What is true of every comparison, whatever the numbers (hypothesis); and pictures at the edge of what is one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import xcos
from xcos import Features, _core

HEIGHT, WIDTH, DEPTH = 3, 4, 8
RNG = np.random.default_rng(11)
WEIGHTS = {
    "embed_weight": RNG.normal(size=(4, DEPTH, 3, 3)).astype(np.float32),
    "embed_bias": RNG.normal(size=4).astype(np.float32),
    "attend1_weight": RNG.normal(size=(5, 8, 3, 3)).astype(np.float32),
    "attend1_bias": RNG.normal(size=5).astype(np.float32),
    "attend2_weight": RNG.normal(size=(1, 5, 3, 3)).astype(np.float32),
    "attend2_bias": RNG.normal(size=1).astype(np.float32),
}
SLOPES = {"embed_slope": 0.25, "attend1_slope": 0.1, "attend2_slope": 0.5}
HEADS = {
    minmax: _core.Head(**WEIGHTS, **SLOPES, height=HEIGHT, width=WIDTH, minmax=minmax) for minmax in (False, True)
}
numbers = st.floats(-1e3, 1e3, width=32)
stacks = st.integers(1, 9).flatmap(lambda n: hnp.arrays(np.float32, (2, n, DEPTH, HEIGHT, WIDTH), elements=numbers))


@settings(max_examples=60, deadline=None)
@given(pair=stacks, minmax=st.booleans(), threads=st.integers(1, 3))
def test_of_every_comparison(pair, minmax, threads):
    head, (a, b) = HEADS[minmax], pair
    score, cosine, attention = head.compare(a, b, threads=threads)
    assert np.isfinite(score).all() and (np.abs(score) <= 1 + 1e-6).all()
    assert (np.abs(cosine) <= 1 + 1e-6).all() and (attention >= 0).all()
    np.testing.assert_allclose(attention.sum((1, 2), dtype=float), 1, atol=1e-5)
    np.testing.assert_allclose((attention * cosine).sum((1, 2), dtype=float), score, atol=1e-5)

    # Batch, threads, layout of memory and the way of asking do not matter; the cosine is symmetric.
    alone = [head.compare(a[i : i + 1], b[i : i + 1], threads=1)[0][0] for i in range(len(a))]
    np.testing.assert_allclose(alone, score, atol=1e-6, rtol=0)
    odd = np.asfortranarray(a), b[:, :, ::-1].copy()[:, :, ::-1]
    np.testing.assert_array_equal(head.compare(*odd, threads=1)[0], score)
    every = head.compare_all(a, b, threads=threads)[0]
    np.testing.assert_allclose(np.diagonal(every), score, atol=1e-6, rtol=0)
    np.testing.assert_allclose(head.compare(b, a)[1], cosine, atol=1e-6, rtol=0)


@settings(max_examples=60, deadline=None)
@given(pair=stacks, data=st.data(), bad=st.sampled_from([np.nan, np.inf, -np.inf]))
def test_what_is_not_finite_is_refused_with_its_place(pair, data, bad):
    a, b = pair.copy()
    place = tuple(data.draw(st.integers(0, size - 1)) for size in a.shape)
    which = data.draw(st.sampled_from("ab"))
    (a if which == "a" else b)[place] = bad
    for compare in (HEADS[False].compare, HEADS[False].compare_all):
        with pytest.raises(ValueError) as caught:
            compare(a, b)
        assert which in str(caught.value) and all(str(part) in str(caught.value) for part in place)


def test_embeddings_that_are_not_finite_are_refused_with_their_place():
    grid = np.ones((3, DEPTH, HEIGHT, WIDTH), np.float32)
    embedding = np.ones((3, 16), np.float32)
    embedding[2, 5] = np.nan
    with pytest.raises(ValueError, match=r"embedding\[2, 5\] is nan"):
        xcos.recognition.features.plain_cosine(Features(grid, embedding).embedding, np.ones((3, 16), np.float32))


PLAIN = {
    "black": np.zeros((112, 112, 3), np.uint8),
    "white": np.full((112, 112, 3), 255, np.uint8),
    "grey": np.full((112, 112, 3), 128, np.uint8),
    "red": np.full((112, 112, 3), (255, 0, 0), np.uint8),
    "lines": np.tile(np.array([[0], [255]], np.uint8), (56, 112))[..., None].repeat(3, 2),
}


@pytest.mark.parametrize("first", PLAIN)
def test_pictures_without_a_face_give_finite_results(first):
    model = xcos.load()
    for second in PLAIN.values():
        e = model.explain(PLAIN[first], second, aligned=True)
        assert abs(e.score) <= 1 and np.isfinite(e.cosine)
        np.testing.assert_allclose(e.attention.sum(), 1, atol=1e-5)
        np.testing.assert_allclose(e.contribution.sum() + e.whole, e.score, atol=1e-5)
    with pytest.raises(xcos.NoFaceError):
        xcos.verify(PLAIN[first], PLAIN[first])


def test_networks_hand_on_what_is_not_finite():
    """As IEEE arithmetic has it; the other images of the batch are untouched."""
    network = xcos.load()._network
    x = RNG.normal(size=(3, 3, 112, 112)).astype(np.float32)
    expected = network.run(x)
    x[1, 0, 50, 50] = np.nan
    for name, got in network.run(x).items():
        assert np.isnan(got[1]).any()
        np.testing.assert_array_equal(got[[0, 2]], expected[name][[0, 2]])
