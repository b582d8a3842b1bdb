"""The face as a whole as a term of the score: curve, thresholds, models with another w. Oracle: NumPy."""

import dataclasses
import pickle

import numpy as np
import pytest

import xcos
from xcos import Comparison, Model, ModelFileError
from xcos.evaluation import protocol, whole_curve
from xcos.evaluation.whole import curve_of
from xcos.measured.whole import WholeCurve

GRID = [k / 20 for k in range(21)]
CURVE = {
    "whole": GRID,
    "threshold": [0.3 - 0.1 * w for w in GRID],
    "accuracy": [0.97 + 0.02 * w for w in GRID],
    "data": "made up",
    "pairs": 3000,
}


@pytest.fixture(scope="module")
def model():
    """Of the cells alone."""
    return xcos.load(whole=0)


@pytest.fixture(scope="module")
def features(model, photos):
    return model.features([photos[name] for name in sorted(photos)])


@pytest.fixture(scope="module")
def curved(model):
    return Model(dataclasses.replace(model.file, whole_curve=CURVE))


def numbers(compared: Comparison) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return (
        compared.score.astype(float),
        compared.cosine.astype(float),
        (compared.attention.astype(float) * compared.cosine_map).sum((1, 2)),
    )


@pytest.mark.parametrize("w", [0.0, 0.3, 1.0])
def test_the_score_is_the_sum_of_cells_and_whole(curved, features, w):
    model = curved.with_whole(w)
    a, b = features[[0, 0, 1]], features[[1, 3, 2]]
    compared = model.compare(a, b)
    score, cosine, local = numbers(compared)
    np.testing.assert_allclose(score, (1 - w) * local + w * cosine, atol=1e-6)
    np.testing.assert_allclose(compared.contribution.sum((1, 2)) + compared.whole, score, atol=1e-6)
    np.testing.assert_allclose(compared.local + compared.whole, score, atol=1e-6)
    assert compared.explained == pytest.approx(1 - w) and model.whole == w
    assert compared.threshold == model.threshold
    everything = model.compare_all(features, features)
    for i in range(len(features)):
        row = model.compare(features[i], features, maps=False)
        np.testing.assert_allclose(row.score, everything[i], atol=1e-6)
    assert np.abs(numbers(curved.compare(a, b))[0] - local).max() < 1e-6  # the model it came from is as it was


def test_explanations_say_what_the_whole_adds(curved, photos, tmp_path):
    first, second = (photos[name] for name in ("obama_portrait_2012", "obama_congress_2009"))
    model = curved.with_whole(0.3)
    e, v = model.explain(first, second), model.verify(first, second)
    assert e.contribution.sum() + e.whole == pytest.approx(e.score, abs=1e-6)
    assert e.local == pytest.approx(e.contribution.sum(), abs=1e-6)
    assert e.whole == pytest.approx(0.3 * e.cosine) and e.explained == pytest.approx(0.7)
    assert (v.score, v.whole, v.explained) == pytest.approx((e.score, e.whole, e.explained), abs=1e-6)
    kept = e.to_dict()
    assert kept["local"] + kept["whole"] == pytest.approx(kept["score"])
    assert kept["explained"] == e.explained
    e.save(tmp_path / "e.npz")
    with np.load(tmp_path / "e.npz") as archive:
        assert archive["contribution"].sum() + archive["whole"] == pytest.approx(float(archive["score"]), abs=1e-6)
    assert "(the face as a whole)" in v._repr_html_() and e.sum_in_words().startswith(f"{e.local:.4f} (cells) + ")
    plain = curved.explain(first, second)
    assert plain.whole == 0 and plain.explained == 1 and "whole" not in plain.sentence()
    assert plain.contribution.sum() == pytest.approx(plain.score, abs=1e-6)


def test_thresholds_follow_the_curve(curved):
    assert curved.with_whole(0.3).threshold == pytest.approx(0.27)
    assert curved.with_whole(0.325).threshold == pytest.approx(0.2675)  # on the line between two measured
    assert curved.with_whole(0.3).with_whole(0).threshold == pytest.approx(0.3)
    assert curved.with_whole(1).threshold == pytest.approx(0.2)
    assert "made up, whole 0.3" in curved.with_whole(0.3).file.thresholds_from
    assert curved.with_whole(curved.whole) is curved
    with pytest.raises(ValueError, match="threshold: expected a finite number, got nan"):
        curved.with_whole(0.5, threshold=float("nan"))
    mine = curved.with_whole(0.5, threshold=0.11)
    assert mine.threshold == 0.11 and mine.file.thresholds_from == "given by the caller"
    assert "whole 0.5" in repr(mine) and "whole" not in repr(curved)


def test_without_a_curve_thresholds_are_not_guessed(model):
    model = Model(dataclasses.replace(model.file, whole_curve=None))
    assert model.with_whole(0) is model
    assert model.with_whole(1).threshold == model.file.thresholds["cosine"]
    with pytest.raises(ModelFileError, match=r"no threshold is known for whole = 0\.3.*whole_curve"):
        model.with_whole(0.3)
    assert model.with_whole(0.3, threshold=0.25).threshold == 0.25
    for bad in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="whole: expected a number from 0 to 1"):
            model.with_whole(bad)


def test_the_plain_cosine_decides(curved, photos):
    """NumPy's cosine of the embeddings, at the last threshold of the curve."""
    a, b = photos["obama_portrait_2012"], photos["obama_congress_2009"]
    seen = curved.features([a, b])
    e, f = seen.embedding.astype(float)
    expected = e @ f / np.linalg.norm(e) / np.linalg.norm(f)
    v = curved.verify(a, b, metric="cosine")
    assert v.score == pytest.approx(expected, abs=1e-6) and v.score == pytest.approx(v.cosine, abs=1e-6)
    assert v.threshold == curved.whole_curve.threshold[-1] != curved.threshold and v.explained == 0
    assert xcos.verify(a, b, model=curved, metric="cosine") == v
    assert xcos.verify([a, b], b, model=curved, metric="cosine")[0] == v
    assert curved.verify(a, b, metric="xcos") == curved.verify(a, b)
    judged = curved.verify(a, b, metric="cosine", threshold=0.99)
    assert not judged.same and judged.threshold_from == "given by the caller" and judged.score == v.score
    compared = curved.compare(seen[0], seen[1], metric="cosine")
    assert compared.score[0] == pytest.approx(v.score, abs=1e-5) and compared.threshold == v.threshold


def test_a_cosine_without_threshold_needs_one(model, photos):
    a, b = photos["obama_portrait_2012"], photos["obama_congress_2009"]
    bare = xcos.Model(dataclasses.replace(model.file, thresholds={"xcos": 0.2}, whole_curve=None))
    with pytest.raises(xcos.ModelFileError, match="no threshold is known for whole = 1"):
        bare.verify(a, b, metric="cosine")
    assert bare.verify(a, b, metric="cosine", threshold=0.3).threshold == 0.3
    for ask in (lambda: bare.verify(a, b, metric="l2"), lambda: bare.compare(*[bare.features(a)] * 2, metric="l2")):
        with pytest.raises(ValueError, match="metric: expected 'xcos' or 'cosine', got 'l2'"):
            ask()


def test_a_calibration_holds_for_one_w(curved):
    entry = {"method": "logistic", "slope": 20.0, "offset": -5.0, "data": "x", "pairs": 9, "cllr": 0.1, "min_cllr": 0.1}
    scores = {"xcos": entry, "cosine": {**entry, "offset": -4.0}}
    model = Model(dataclasses.replace(curved.file, calibration={"scores": scores, "cells": None}))
    assert set(model.with_whole(0.3).calibration.scores) == {"cosine"}
    assert model.with_whole(1).calibration.scores["xcos"].parameters["offset"] == -4
    assert set(model.with_whole(0, threshold=0.1).calibration.scores) == {"cosine", "xcos"}


def test_files_and_pickles_keep_it(curved, features, tmp_path):
    model = curved.with_whole(0.3)
    model.save(tmp_path / "m.safetensors")
    for again in (xcos.load(tmp_path / "m.safetensors"), pickle.loads(pickle.dumps(model))):
        assert again.whole == 0.3 and again.threshold == model.threshold
        assert again.whole_curve.to_dict() == CURVE
        one = [m.compare(features[:1], features[1:2]).score for m in (model, again)]
        np.testing.assert_array_equal(*one)
    assert xcos.load(tmp_path / "m.safetensors", whole=0.7).whole == 0.7


def test_the_curve_of_pairs():
    """Thresholds and accuracies against a loop over w, thresholds and pairs."""
    rng = np.random.default_rng(3)
    same = rng.random(200) < 0.5
    local = (same * 0.2 + rng.normal(0, 0.15, 200)).astype(np.float32)
    cosine = (same * 0.4 + rng.normal(0, 0.15, 200)).astype(np.float32)
    fold = protocol.fold_numbers(200, 5)
    curve = curve_of(local, cosine, same, fold, "made up")
    assert curve.whole.tolist() == pytest.approx(GRID) and curve.pairs == 200
    for w, threshold, accuracy in zip(curve.whole, curve.threshold, curve.accuracy, strict=True):
        score = (1 - w) * local.astype(float) + w * cosine.astype(float)
        right = [((score > t) == same).sum() for t in score]
        assert ((score > threshold) == same).sum() == max(right)
        shares = []
        for k in range(5):
            rest = [((score > t) == same)[fold != k].sum() for t in protocol.REFERENCE_THRESHOLDS]
            t = protocol.REFERENCE_THRESHOLDS[int(np.argmax(rest))]
            shares.append(((score > t) == same)[fold == k].mean())
        assert accuracy == pytest.approx(np.mean(shares))
    best = curve.smallest(within=0.01)
    for w, accuracy in zip(curve.whole, curve.accuracy, strict=True):
        assert (accuracy >= curve.accuracy[-1] - 0.01 - 1e-9) or w != best
        assert w >= best or accuracy < curve.accuracy[-1] - 0.01
    again = WholeCurve.from_dict(curve.to_dict())
    np.testing.assert_allclose(again.threshold, curve.threshold, atol=1e-6)
    assert repr(curve).startswith("WholeCurve(21 w, accuracy ")


def test_whole_curve_of_a_model(model, features, photos, shared):
    pairs = xcos.datasets.read_bin(shared / "data" / "lfw_dev.bin")
    few = dataclasses.replace(
        pairs, first=pairs.first[280:320], second=pairs.second[280:320], same=pairs.same[280:320], folds=4
    )
    curve = whole_curve(model, few)
    for w, metric in ((0.0, "xcos"), (1.0, "cosine")):
        report = xcos.evaluate(model, few, metric)
        assert curve.accuracy[int(20 * w)] == pytest.approx(report.accuracy)
    file = dataclasses.replace(model.file, whole_curve=curve.to_dict())
    report = xcos.evaluate(Model(file).with_whole(0.3), few)
    assert curve.accuracy[6] == pytest.approx(report.accuracy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"whole": [*GRID[:-1], 0.9]}, "must rise from 0 to 1"),
        ({"whole": [0.1, *GRID[1:]]}, "must rise from 0 to 1"),
        ({"threshold": [0.1]}, "of one length"),
        ({"threshold": [float("nan")] * 21}, "thresholds in -1 to 1"),
        ({"accuracy": [98.0] * 21}, "accuracies in 0 to 1"),
        ({"accuracy": ["a"] * 21}, "lists of numbers"),
        ({"pairs": 1.5}, "number of pairs"),
        ({"more": 1}, "must be an object with"),
    ],
)
def test_curves_that_are_none(model, change, message):
    with pytest.raises(ModelFileError, match=message):
        dataclasses.replace(model.file, whole_curve={**CURVE, **change})
