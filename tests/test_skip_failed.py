"""Many photographs, of which some cannot be used: the others keep their places. Oracle: each photograph by itself."""

import logging

import numpy as np
import pytest

import xcos

EMPTY = np.zeros((200, 300, 3), np.uint8)


@pytest.fixture(scope="module")
def model():
    return xcos.load()


@pytest.fixture(scope="module")
def mixed(photos):
    """Two people, nobody, a file that is none, and the first again."""
    a, b = photos["obama_portrait_2012"], photos["biden_blue_room_2010"]
    return [a, EMPTY, b, b"no picture", photos["obama_congress_2009"]]


USED = [0, 2, 4]


@pytest.fixture(scope="module")
def alone(model, mixed):
    return model.features([mixed[i] for i in USED])


@pytest.mark.parametrize("batch", [1, 2, 32])
@pytest.mark.parametrize("kind", [list, iter])
def test_features_keep_their_places(model, mixed, alone, batch, kind, caplog):
    with caplog.at_level(logging.WARNING, "xcos"):
        seen = model.features(kind(mixed), skip_failed=True, batch=batch)
    assert "2 of 5 photographs could not be used; the first: " in caplog.text and "no face was found" in caplog.text
    assert seen.found.tolist() == [True, False, True, False, True]
    np.testing.assert_allclose(seen[USED].embedding, alone.embedding, atol=1e-5)
    np.testing.assert_allclose(seen[USED].grid, alone.grid, atol=1e-4)
    assert np.isnan(seen.grid[[1, 3]]).all() and np.isnan(seen.embedding[[1, 3]]).all()
    with pytest.raises(ValueError, match=r"\[1, 0, 0, 0\] is nan, expected finite features"):
        model.compare(seen, seen)


def test_all_or_none_failed(model, mixed, alone, caplog):
    assert model.features([EMPTY, EMPTY], skip_failed=True).grid.shape == (2, 128, 7, 7)
    assert model.verify([EMPTY], mixed[0], skip_failed=True) == [None]
    caplog.clear()
    assert model.features([mixed[i] for i in USED], skip_failed=True).found.all()
    assert not caplog.records
    two = (lambda images: model.verify(images, mixed[0]), lambda images: xcos.explain(images, images))
    for ask in (model.features, *two):
        with pytest.raises(xcos.NoFaceError):
            ask(mixed)


@pytest.mark.parametrize("ask", [xcos.verify, xcos.explain])
def test_pairs_keep_their_places(ask, mixed, photos):
    other = photos["obama_blue_room_2010"]
    for first, second in ((mixed, other), (other, mixed), (mixed, [other, other, EMPTY, other, other])):
        got = ask(first, second, skip_failed=True)
        pairs = [(a, b) for a, b in zip(*(x if isinstance(x, list) else [x] * 5 for x in (first, second)), strict=True)]
        expected = [0, 4] if isinstance(second, list) and second[2] is EMPTY else USED
        assert [k for k, result in enumerate(got) if result is not None] == expected
        for k in expected:
            alone = ask(*pairs[k])
            assert got[k].score == pytest.approx(alone.score, abs=1e-5) and got[k].looks == alone.looks
            assert getattr(got[k], "names", None) == getattr(alone, "names", None)
    assert ask(EMPTY, mixed, skip_failed=True) == [None] * 5
    seen = xcos.load().features(mixed, skip_failed=True)
    assert [result is not None for result in ask(seen, other, skip_failed=True)] == seen.found.tolist()
    chosen = ask(mixed, other, skip_failed=True, face=([0, 0, 7, 0, 0], None))
    assert [k for k, result in enumerate(chosen) if result] == [0, 4]
    cosines = xcos.verify(mixed, other, skip_failed=True, metric="cosine")
    assert cosines[0].score == pytest.approx(got[0].cosine, abs=1e-5) and cosines[1] is None


def test_a_single_pair_has_nothing_to_skip(mixed):
    with pytest.raises(ValueError, match="skip_failed: expected a list of photographs, got a single pair"):
        xcos.verify(mixed[0], mixed[2], skip_failed=True)


def test_features_instead_of_photographs(model, mixed, alone, photos):
    other = photos["obama_blue_room_2010"]
    expected = model.explain([mixed[i] for i in USED], other)
    seen = model.features(other)
    for first, second in ((alone, other), (alone, seen), ([mixed[i] for i in USED], seen)):
        got = model.explain(first, second)
        for one, want in zip(got, expected, strict=True):
            np.testing.assert_allclose(one.cosine_map, want.cosine_map, atol=1e-4)
            assert one.score == pytest.approx(want.score, abs=1e-5)
        grey = [first is alone, second is seen]
        assert [(got[0].crops[i] == 128).all() for i in (0, 1)] == grey
        assert (got[0].looks is None) == any(grey)
        assert got[0].names == tuple(name if not g else word for name, g, word in
                                     zip(expected[0].names, grey, ("first", "second"), strict=True))  # fmt: skip
    assert [v.same for v in model.verify(alone, seen)] == [e.same for e in expected]
    assert xcos.explain(alone, alone, model=model)[1].score > 0.9
    assert model.explain(other, alone)[0].names[0] == expected[0].names[1]
    with pytest.raises(ValueError, match="expected two lists of one length, got 3 and 1"):
        model.verify(alone, [other])
