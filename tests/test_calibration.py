"""Calibration: against SciPy's own minimum of the logistic loss, a hand-made isotonic regression, and closed forms."""

import dataclasses
import math
import pickle

import numpy as np
import pytest

import xcos
from xcos.datasets import Pairs
from xcos.errors import ModelFileError
from xcos.measured.calibration import CellStatistics, ScoreCalibration, probability, ratio_in_words, support

pytest.importorskip("sklearn", reason="the PyPI package scikit-learn is not installed")
from xcos.evaluation import fitting, protocol


@pytest.fixture(autouse=True)
def fewer_fits(monkeypatch):
    """An interval of 60 fits in place of 200: a third of the time, and near enough for all that is asked here."""
    monkeypatch.setattr(fitting, "REFITS", 60)


def scored(n=400, share=0.2, seed=5):
    rng = np.random.default_rng(seed)
    same = rng.random(n) < share
    return rng.normal(0.4 * same, 0.2), same


def test_logistic_is_the_minimum_of_the_balanced_loss():
    from scipy.optimize import minimize

    scores, same = scored()

    def loss(w):
        llr = w[0] * scores + w[1]
        return np.logaddexp(0, -llr[same]).mean() + np.logaddexp(0, llr[~same]).mean()

    found = fitting.fit(scores, same, "logistic")
    best = minimize(loss, [1.0, 0.0], method="BFGS", options={"gtol": 1e-9})
    assert found["slope"] == pytest.approx(best.x[0], rel=1e-3)
    assert found["offset"] == pytest.approx(best.x[1], rel=1e-3, abs=1e-3)
    # Two normal distributions of one deviation: the ratio is (mean difference / variance) x (score - middle).
    many, labels = scored(200_000, 0.3)
    found = fitting.fit(many, labels, "logistic")
    assert found["slope"] == pytest.approx(0.4 / 0.04, rel=0.03)
    assert -found["offset"] / found["slope"] == pytest.approx(0.2, abs=0.005)


def pool_adjacent_violators(y, w):
    """The textbook's algorithm: blocks of which a later one is never lower."""
    blocks = []
    for value, weight in zip(y, w, strict=True):
        blocks.append([value, weight, 1])
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            v, u, n = blocks.pop()
            last = blocks[-1]
            blocks[-1] = [(last[0] * last[1] + v * u) / (last[1] + u), last[1] + u, last[2] + n]
    return np.concatenate([np.full(n, v) for v, _, n in blocks])


def test_isotonic_and_min_cllr():
    scores, same = scored(120, 0.4)
    order = np.argsort(scores)
    p = pool_adjacent_violators(same[order].astype(float), protocol.balanced(same)[order])
    with np.errstate(divide="ignore"):
        expected = protocol.cllr(np.log(p / (1 - p)), same[order])
    assert protocol.min_cllr(scores, same) == pytest.approx(expected)
    # The fit has one imagined pair of the wrong kind at either end.
    x = np.concatenate([[scores.min()], scores[order], [scores.max()]])
    y = np.concatenate([[False], same[order], [True]]).astype(float)
    y[0], y[-1] = 1, 0
    x, which = np.unique(x, return_inverse=True)
    weights = protocol.balanced(y > 0)
    total = np.bincount(which, weights)
    p = pool_adjacent_violators(np.bincount(which, weights * y) / total, total)
    found = ScoreCalibration("isotonic", fitting.fit(scores, same, "isotonic"), "", 0, 0.0, 0.0)
    np.testing.assert_allclose(found(x), np.log(p / (1 - p)), atol=1e-9)
    assert np.isfinite(found([-1.0, 1.0])).all()


def test_cllr():
    same = np.array([True, True, False])
    assert protocol.cllr(np.zeros(3), same) == 1
    assert protocol.cllr(np.array([50.0, 50, -50]), same) == pytest.approx(0, abs=1e-12)
    llr = np.log([4.0, 2.0, 0.5])
    expected = (np.mean([math.log2(1 + 1 / 4), math.log2(1 + 1 / 2)]) + math.log2(1.5)) / 2
    assert protocol.cllr(llr, same) == pytest.approx(expected)
    scores, labels = scored()
    llr = 10 * scores - 2
    assert protocol.min_cllr(scores, labels) <= protocol.cllr(llr, labels)


def test_probability_is_bayes():
    for ratio, prior in ((4.0, 0.5), (4.0, 0.01), (0.2, 0.9)):
        odds = ratio * prior / (1 - prior)
        assert probability(math.log(ratio), prior) == pytest.approx(odds / (1 + odds))
    assert probability(2000.0, 0.5) == 1 and probability(-2000.0, 0.5) == 0
    for prior in (0, 1, -0.1, float("nan")):
        with pytest.raises(ValueError, match="prior"):
            probability(0.0, prior)


def test_evidence_is_the_ratio_of_two_normal_distributions():
    from scipy.stats import norm

    rng = np.random.default_rng(2)
    means, spreads = rng.uniform(-0.1, 0.2, (2, 3, 4)), rng.uniform(0.15, 0.25, (2, 3, 4))
    means[0] += 0.4  # cells of one person are more alike
    cells = CellStatistics(means[0], spreads[0], means[1], spreads[1])
    between = np.linspace(means.min(0), means.max(0), 5)  # between the means the ratio is as it stands
    expected = norm.logpdf(between, means[0], spreads[0]) - norm.logpdf(between, means[1], spreads[1])
    np.testing.assert_allclose(cells.evidence(between), expected, atol=1e-5)
    slopes = np.diff(cells.evidence(np.linspace(np.full((3, 4), -1.0), np.full((3, 4), 1.0), 200)), axis=0)
    assert (slopes >= -1e-6).all()  # more alike never counts as less


@pytest.fixture(scope="module")
def pairs(photos):
    faces = xcos.load().crops(list(photos.values()))
    crops = np.concatenate([np.clip(faces * f, 0, 255).astype(np.uint8) for f in (1, 0.9, 0.8, 0.7)])
    first, second = np.triu_indices(16, 1)
    same = (first % 4 == 3) == (second % 4 == 3)
    return Pairs("shades", list(crops), [f"{i}" for i in range(16)], first, second, same, folds=4)


@pytest.mark.parametrize("method", ["logistic", "isotonic"])
def test_calibrate(pairs, method, tmp_path, photos):
    plain = xcos.Model(dataclasses.replace(xcos.load().file, calibration=None))
    model = xcos.calibrate(plain, pairs, method=method)
    assert plain.calibration is None and model.calibration.scores["xcos"].data == "shades"
    assert model.name == f"{plain.name}, calibrated on shades"
    path = tmp_path / "calibrated.safetensors"
    model.save(path)
    for same_model in (xcos.load(path), pickle.loads(pickle.dumps(model))):
        assert same_model.file.calibration == model.file.calibration
    report = xcos.evaluate(xcos.load(path), pairs)
    score = model.calibration.scores["xcos"]
    np.testing.assert_allclose(report.llr, score(report.scores))
    assert score.pairs == 120 and 0 <= score.min_cllr == pytest.approx(report.min_cllr, abs=1e-6)
    assert report.cllr == pytest.approx(protocol.cllr(report.llr, report.same)) and "Cllr" in report.summary()

    two = [photos["obama_portrait_2012"], photos["biden_blue_room_2010"]]
    v, e = model.verify(*two), model.explain(*two)
    assert f"{v.probability():.2%}" in v._repr_html_()
    assert v.llr == pytest.approx(float(score(v.score))) and v.to_dict()["llr"] == v.llr
    assert v.probability() == pytest.approx(1 / (1 + math.exp(-v.llr)), abs=1e-9)
    assert v.probability(prior=0.01) < v.probability()
    np.testing.assert_allclose(e.evidence, model.calibration.cells.evidence(e.cosine_map))
    e.save(tmp_path / "e.npz")
    np.testing.assert_array_equal(np.load(tmp_path / "e.npz")["evidence"], e.evidence)
    assert e.to_dict()["evidence"] == e.evidence.tolist()


def test_plot_of_evidence(pairs, photos):
    pytest.importorskip("matplotlib", reason="the PyPI package matplotlib is not installed")
    two = [photos["obama_portrait_2012"], photos["biden_blue_room_2010"]]
    e = xcos.calibrate(None, pairs).explain(*two)
    _, ax = e.plot_evidence()
    np.testing.assert_array_equal(ax.get_images()[0].get_array(), e.evidence)
    plain = dataclasses.replace(e, evidence=None)
    with pytest.raises(ValueError, match="not calibrated"):
        plain.plot_evidence()


def test_cells_are_means_and_deviations(pairs):
    model = xcos.load()
    cells = xcos.calibrate(model, pairs, metrics=("xcos",)).calibration.cells
    features = model.features(pairs.images, aligned=True)
    maps = model.compare(features[pairs.first], features[pairs.second]).cosine_map
    np.testing.assert_allclose(cells.same_mean, maps[pairs.same].mean(0), atol=1e-5)
    np.testing.assert_allclose(cells.different_std, np.maximum(maps[~pairs.same].std(0), 0.01), atol=1e-5)


def test_without_calibration(photos):
    model = xcos.Model(dataclasses.replace(xcos.load().file, calibration=None))
    e = model.explain(photos["obama_portrait_2012"], photos["biden_blue_room_2010"])
    for ask in (e.probability, e.worth):
        with pytest.raises(ValueError, match="not calibrated"):
            ask()
    assert {"llr", "undecided", "evidence", "deviation"}.isdisjoint(e.to_dict()) and not e.undecided
    assert (e.llr, e.llr_interval, e.evidence, e.deviation, e.deficit) == (None,) * 5
    with pytest.raises(ValueError, match="method"):
        xcos.calibrate(None, None, method="platt")
    with pytest.raises(ValueError, match="undecided"):
        xcos.calibrate(None, None, undecided=0.5)


def greatest_by_counting(llr, same):
    """ELUB's upper end: thresholds at which deciding, with one more error, costs less than calling all different."""
    ones, others = llr[same], llr[~same]
    best = 0.0
    for t in np.linspace(0, math.log(len(others) + 1), 2001):
        cost = ((ones < t).sum() + 1) / (len(ones) + 1) + math.exp(t) * ((others >= t).sum() + 1) / (len(others) + 1)
        if cost > 1:
            break
        best = t
    return best


@pytest.mark.parametrize("shift", [0.1, 0.4, 2.0])
def test_bounds_are_what_the_pairs_support(shift):
    rng = np.random.default_rng(3)
    same = rng.random(900) < 0.4
    llr = rng.normal(np.where(same, shift, -shift), 0.2) * 8
    low, high = fitting.supported(llr, same)
    assert high == pytest.approx(greatest_by_counting(llr, same), abs=0.01)
    assert low == pytest.approx(-greatest_by_counting(-llr, ~same), abs=0.01)
    assert high <= math.log((~same).sum() + 1) and low >= -math.log(same.sum() + 1)
    assert fitting.supported(np.zeros(900), same) == (0, 0)  # says nothing: supports nothing


def test_wrong_labels_do_not_hide_what_the_pairs_support():
    """Pairs of two that are called one, among enough others, leave the bounds where the right labels have them."""
    rng = np.random.default_rng(5)
    same = rng.random(40_000) < 0.4
    llr = rng.normal(np.where(same, 1, -1), 0.35) * 7
    labels = same | (~same & (rng.random(len(same)) < 0.02))
    share = (labels & ~same).sum() / labels.sum()
    true, fooled, corrected = (fitting.supported(llr, *how) for how in ((same,), (labels,), (labels, share)))
    assert fooled[0] == pytest.approx(math.log(share), abs=0.3) and true[0] < fooled[0] - 2
    assert corrected[0] == pytest.approx(true[0], abs=0.7) and corrected[1] == fooled[1]


def test_robust_finds_the_share_of_wrong_labels():
    scores, same = scored(60_000, 0.3, seed=8)
    rng = np.random.default_rng(1)
    wrong = ~same & (rng.random(len(same)) < 0.03)  # called one person, and are of two
    labels = same | wrong
    found = fitting.fit(scores, labels, "robust")
    assert found["mislabelled"] == pytest.approx(wrong.sum() / labels.sum(), abs=0.01)
    clean, fooled = fitting.fit(scores, same, "logistic"), fitting.fit(scores, labels, "logistic")
    assert found["slope"] == pytest.approx(clean["slope"], rel=0.05) and fooled["slope"] < 0.85 * clean["slope"]
    assert fitting.fit(scores, same, "robust")["slope"] == pytest.approx(clean["slope"], rel=0.02)  # nothing is wrong


def test_interval_holds_the_truth_and_tells_how_many_pairs_it_takes():
    truth = 0.4 / 0.04 * (0.3 - 0.2)  # llr of the score 0.3, of two normal distributions
    held, own = 0, np.arange(400)
    for seed in range(12):
        scores, same = scored(400, 0.5, seed)
        fitted = ScoreCalibration("logistic", fitting.fit(scores, same, "logistic"), "", 400, 0.0, 0.0,
                                  interval=fitting._interval(scores, same, "logistic", own))  # fmt: skip
        low, high = fitted.between(0.3)
        held += low <= truth <= high
        assert low <= fitted(0.3) <= high
    assert held >= 10
    assert fitted.pairs_for(1.5) == pytest.approx(4 * fitted.pairs_for(1.5**2), rel=0.02)
    scores, same = scored(fitted.pairs_for(1.5), 0.5, 99)
    again = dataclasses.replace(fitted, parameters=fitting.fit(scores, same, "logistic"),
                                interval=fitting._interval(scores, same, "logistic", np.arange(len(same))))  # fmt: skip
    score = (math.log(10) - again.parameters["offset"]) / again.parameters["slope"]
    low, high = again.between(score)
    assert (high - low) / 2 == pytest.approx(math.log(1.5), rel=0.25)
    assert dataclasses.replace(fitted, interval=None).pairs_for() is None


def test_interval_knows_that_pairs_share_people():
    """Each pair nine times over, as of one person's nine pictures: the interval is that of the pairs themselves."""
    scores, same = scored(300, 0.5, seed=4)
    own = np.arange(300)
    once = fitting._interval(scores, same, "logistic", own)
    nine, fooled = (
        fitting._interval(np.tile(scores, 9), np.tile(same, 9), "logistic", people)
        for people in (np.tile(own, 9), np.arange(2700))
    )
    wide = [np.subtract(one["high"], one["low"]) for one in (once, nine, fooled)]
    np.testing.assert_allclose(wide[1], wide[0], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(wide[2], wide[0] / 3, rtol=0.35)


def test_words_and_digits():
    for ratio, digits, words in ((1, "1.0", "no"), (1.9, "1.9", "no"), (7, "7.0", "weak"), (55, "55", "moderate"),
                                 (480, "480", "moderately strong"), (9999, "10,000", "strong"),
                                 (2e5, "200,000", "very strong"), (3e7, "30,000,000", "extremely strong")):  # fmt: skip
        assert ratio_in_words(math.log(ratio)) == digits
        assert ratio_in_words(-math.log(ratio)) == (f"1/{digits}" if ratio > 1 else digits)
        for sign, whom in ((1, "one person"), (-1, "two people")):
            text = support(sign * math.log(ratio))
            assert text == (f"{words} support for {whom}" if words != "no" else "no support for either")


def test_undecided(pairs, photos, tmp_path, capsys):
    from xcos.cli.command import main

    model = xcos.calibrate(None, pairs, metrics=("xcos",), undecided=1e9)
    model.save(tmp_path / "m.safetensors")
    model = xcos.load(tmp_path / "m.safetensors")
    two = [photos["obama_portrait_2012"], photos["obama_congress_2009"]]
    v = model.verify(*two)
    assert v.undecided and v.same and v.to_dict()["undecided"]
    assert v.sentence().startswith("undecided, rather same person")
    assert v.worth().startswith(f"likelihood ratio {ratio_in_words(v.llr)}") and v.facts()["worth"] == v.worth()
    words = ["verify", *map(str, two), "--model", str(tmp_path / "m.safetensors")]
    assert main(words) == 0 and v.worth() in capsys.readouterr().out
    assert main([*words, "--undecided-code", "9"]) == 9
    for odd in ("1", "3", "126", "x", "²"):
        with pytest.raises(SystemExit, match="2"):
            main([*words, "--undecided-code", odd])
    decided = xcos.calibrate(None, pairs, metrics=("xcos",), undecided=1).verify(*two)
    assert not decided.undecided and decided.sentence().startswith("same person")


def test_cells_that_lack_most(pairs, photos):
    model = xcos.calibrate(None, pairs)
    e = model.explain(photos["obama_portrait_2012"], photos["biden_blue_room_2010"])
    cells = model.calibration.cells
    np.testing.assert_allclose(e.deviation, (e.cosine_map - cells.same_mean) / cells.same_std, rtol=1e-5)
    np.testing.assert_allclose(e.deficit, e.explained * e.attention * (cells.same_mean - e.cosine_map), atol=1e-7)
    usual = e.explained * (e.attention * cells.same_mean).sum()
    assert e.contribution.sum() + e.deficit.sum() == pytest.approx(usual, abs=1e-5)
    for name in ("deviation", "deficit"):
        assert e.to_dict()[name] == getattr(e, name).tolist()


def test_the_default_model_knows_what_its_scores_are_worth(photos):
    calibration = xcos.load().calibration
    assert sorted(calibration.scores) == ["cosine", "xcos"] and calibration.undecided == 10
    assert "CelebA" in calibration.scores["xcos"].data and calibration.scores["xcos"].interval
    one = xcos.explain(photos["obama_portrait_2012"], photos["obama_congress_2009"])
    two = xcos.explain(photos["obama_portrait_2012"], photos["biden_blue_room_2010"])
    assert one.llr > math.log(100) and two.llr < -math.log(10)
    assert np.abs(one.evidence).max() < 8 and len(np.unique(one.evidence)) > 40  # bounded, and not of one colour


def test_model_files_with_odd_calibrations(pairs):
    file = xcos.calibrate(None, pairs, metrics=("xcos",)).file
    score, cells = file.calibration["scores"]["xcos"], file.calibration["cells"]
    steps = {**score, "method": "isotonic"}
    for wrong in (
        3,
        {"scores": {}},
        {"scores": {"xcos": {**score, "method": "platt"}}, "cells": None},
        {"scores": {"xcos": {**score, "slope": float("nan")}}, "cells": None},
        {"scores": {"xcos": {**score, "pairs": "many"}}, "cells": None},
        {"scores": {"xcos": {**steps, "scores": [1, 0], "probabilities": [0.1, 0.2]}}, "cells": None},
        {"scores": {"xcos": {**steps, "scores": [0, 1], "probabilities": [0, 0.2]}}, "cells": None},
        {"scores": {}, "cells": {**cells, "same_std": np.zeros((7, 7)).tolist()}},
        {"scores": {}, "cells": {**cells, "same_mean": [[0.0]]}},
        {"scores": {}, "cells": {**cells, "low": np.ones((7, 7)).tolist()}},
        {"scores": {}, "cells": {key: value for key, value in cells.items() if key != "high"}},
        {"scores": {}, "cells": None, "undecided": 0.5},
        {"scores": {"xcos": {**score, "bounds": [1, 2]}}, "cells": None},
        {"scores": {"xcos": {**score, "bounds": 3}}, "cells": None},
        {"scores": {"xcos": {**score, "interval": {"scores": [0, 1], "low": [0, 1]}}}, "cells": None},
        {"scores": {"xcos": {**score, "interval": {"scores": [1, 0], "low": [0, 0], "high": [1, 1]}}}, "cells": None},
        {"scores": {"xcos": {**score, "interval": {"scores": [0, 1], "low": [2, 2], "high": [1, 1]}}}, "cells": None},
    ):
        with pytest.raises(ModelFileError, match="calibration"):
            dataclasses.replace(file, calibration=wrong)


def test_files_from_before_there_were_bounds(pairs):
    file = xcos.calibrate(None, pairs, metrics=("xcos",)).file
    score = {k: v for k, v in file.calibration["scores"]["xcos"].items() if k not in ("bounds", "interval")}
    cells = {k: v for k, v in file.calibration["cells"].items() if k not in ("low", "high")}
    old = xcos.Model(dataclasses.replace(file, calibration={"scores": {"xcos": score}, "cells": cells}))
    worth = old.calibration.scores["xcos"]
    assert worth(100.0) > 1000 and worth.between(0.5) is None and old.calibration.cells.low is None
    assert old.calibration.to_dict() == {"scores": {"xcos": score}, "cells": cells, "undecided": 10.0}
