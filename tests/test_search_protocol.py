"""xcos.evaluate_search against examples worked by hand, plain loops and scikit-learn."""

import json

import numpy as np
import pytest

import xcos

GALLERY = ["ann", "ann", "bob", "cleo"]
PROBES = ["ann", "bob", "cleo", "zoe", "yan"]
SCORES = [
    [0.9, 0.2, 0.5, 0.1],  # ann: first; the other photograph of her third
    [0.6, 0.1, 0.4, 0.3],  # bob: second
    [0.7, 0.1, 0.8, 0.7],  # cleo: as good as ann, which counts against her: third
    [0.3, 0.2, 0.1, 0.65],  # a stranger
    [0.1, 0.1, 0.2, 0.15],  # a stranger
]


def test_by_hand():
    report = xcos.evaluate_search(SCORES, GALLERY, PROBES)
    assert (report.photographs, report.people, report.index.tolist()) == (4, 3, [0, 1, 2])
    assert report.rank.tolist() == [1, 2, 3] and report.mate.tolist() == [0.9, 0.4, 0.7]
    np.testing.assert_allclose(report.cmc, [1 / 3, 2 / 3, 1])
    assert report.first_photograph.tolist() == [1, 0, 0]
    np.testing.assert_allclose(report.r_precision, [0.5, 0, 0])
    np.testing.assert_allclose(report.average_precision, [0.5, 0, 0])
    assert report.strangers.tolist() == [0.65, 0.2]
    assert [report.fpir(t) for t in (0.2, 0.3, 0.65, 0.66)] == [1, 0.5, 0.5, 0]
    assert report.fnir(0.5) == pytest.approx(2 / 3) and report.fnir(0.95) == 1
    assert report.fnir(0.5, rank=3) == pytest.approx(1 / 3)
    assert report.threshold_at(0) == np.nextafter(0.65, 1) and report.threshold_at(0.5) == np.nextafter(0.2, 1)
    assert report.threshold_at(1) == -np.inf
    assert report.dir_at(0) == pytest.approx(1 / 3) and report.dir_at(0.5, rank=2) == pytest.approx(2 / 3)
    assert json.loads(json.dumps(report.to_dict()))["rank"] == pytest.approx({"1": 1 / 3, "5": 1, "10": 1})
    assert repr(report) == "SearchReport(3 mated probes among 3 people: rank 1 33.33%, MAP@R 16.67%; 2 strangers)"


def test_map_at_r_of_the_paper():
    """Musgrave et al.: right at places 1, 2, 3 of R = 10 gives 0.3; at 1 and 3 of R = 3 (1 + 2/3) / 3."""
    gallery = ["a"] * 10 + ["b"] * 20
    scores = np.linspace(1, 0, 30)[None]
    scores[0, 3:10] = -1  # the other seven come last
    assert xcos.evaluate_search(scores, gallery, ["a"]).average_precision[0] == pytest.approx(0.3)
    report = xcos.evaluate_search([[0.9, 0.8, 0.7, 0.1]], ["a", "b", "a", "a"], ["a"])
    assert report.average_precision[0] == pytest.approx((1 + 2 / 3) / 3)
    assert report.r_precision[0] == pytest.approx(2 / 3)


def test_scikit_learn_agrees():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    scores, probes = rng.normal(size=(200, 30)), rng.integers(0, 30, 200)
    report = xcos.evaluate_search(scores, range(30), probes)
    for k in (1, 5, 10):
        expected = metrics.top_k_accuracy_score(probes, scores, k=k, labels=range(30))
        assert report.hit_rate(k) == pytest.approx(expected) == report.cmc[k - 1]
    strangers = xcos.evaluate_search(np.vstack([scores, scores + 0.3]), range(30), [*probes, *[-1] * 200])
    far, _, thresholds = metrics.roc_curve([*[1] * 200, *[0] * 200], [*strangers.mate, *strangers.strangers],
                                           drop_intermediate=False)  # fmt: skip
    for rate, threshold in zip(far[1:], thresholds[1:], strict=True):
        assert strangers.fpir(threshold) == pytest.approx(rate)


def test_a_model_compares_faces(photos):
    model = xcos.load()
    faces = model.features(list(photos.values()))
    names = ["obama", "obama", "obama", "biden"]
    report = xcos.evaluate_search(model, [names[0], names[3]], names[1:3], faces=(faces[[0, 3]], faces[[1, 2]]))
    assert report.rank.tolist() == [1, 1]
    np.testing.assert_allclose(report.mate, model.compare_all(faces[[1, 2]], faces[[0]])[:, 0], atol=1e-6)
    with pytest.raises(ValueError, match="expected faces="):
        xcos.evaluate_search(model, names, names)


def test_the_picture():
    pytest.importorskip("matplotlib")
    figure, axes = xcos.evaluate_search(SCORES, GALLERY, PROBES).plot()
    assert len(axes) == 2 and axes[0].get_figure() is figure
    np.testing.assert_allclose(axes[0].lines[0].get_ydata(), [1 / 3, 2 / 3, 1])
    closed = xcos.evaluate_search(SCORES[:3], GALLERY, PROBES[:3])
    assert not closed.plot()[1][1].lines
    with pytest.raises(ValueError, match="need probes of people who are not enrolled"):
        closed.fpir(0.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((SCORES, GALLERY, PROBES[:4]), r"each of 4 probes and 4 photographs \(1 or more\), got shape \(5, 4\)"),
        ((np.zeros((2, 0)), [], ["a", "b"]), "2 probes and 0 photographs"),
        (([[np.nan]], ["a"], ["a"]), "expected finite numbers"),
        (([[1.0]], ["a"], ["b"]), "expected some of people in the gallery, got none"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(ValueError, match=message):
        xcos.evaluate_search(*arguments)
    with pytest.raises(ValueError, match="rate is 2; expected 0 to 1"):
        xcos.evaluate_search(SCORES, GALLERY, PROBES).threshold_at(2)
