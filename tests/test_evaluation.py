"""The protocols against transcriptions of their own, the figures against scikit-learn and SciPy, and whole runs."""

import json
import logging
import tarfile
import warnings
from pathlib import Path

import numpy as np
import pytest

import xcos
from xcos.datasets import Pairs
from xcos.evaluation import cache, groups, protocol

sklearn = pytest.importorskip("sklearn", reason="the PyPI package scikit-learn is not installed")
scipy_stats = pytest.importorskip("scipy.stats", reason="the PyPI package scipy is not installed")


def scored(n=203, seed=7, digits=None):
    rng = np.random.default_rng(seed)
    same = rng.random(n) < 0.5
    scores = rng.normal(0.4 * same, 0.2).clip(-1, 1).astype(np.float32)
    return (scores if digits is None else scores.round(digits)), same


@pytest.mark.parametrize(("n", "folds"), [(203, 10), (60, 5), (11, 2)])
def test_reference_protocol_is_that_of_a_kfold_transcription(n, folds):
    """As benchmarks do it: scikit-learn's KFold in file order, one threshold after the other, the first of the best."""
    from sklearn.metrics import accuracy_score
    from sklearn.model_selection import KFold

    scores, same = scored(n)
    accuracies, thresholds = [], []
    for train, test in KFold(n_splits=folds, shuffle=False).split(scores):
        grid = [-1 + 0.005 * k for k in range(401)]
        right = [accuracy_score(same[train], scores[train] > t) for t in grid]
        thresholds.append(grid[int(np.argmax(right))])
        accuracies.append(accuracy_score(same[test], scores[test] > thresholds[-1]))
    found = protocol.reference_folds(scores, same, protocol.fold_numbers(n, folds))
    np.testing.assert_allclose(found.accuracies, accuracies)
    np.testing.assert_allclose(found.thresholds, thresholds, atol=1e-9)
    assert found.accuracy == pytest.approx(np.mean(accuracies)) and found.std == pytest.approx(np.std(accuracies))


@pytest.mark.parametrize("digits", [None, 1])
def test_exact_protocol_tries_every_threshold(digits):
    scores, same = scored(60, digits=digits)
    fold = protocol.fold_numbers(60, 4)
    found = protocol.exact_folds(scores, same, fold)
    for k in range(4):
        train = fold != k
        candidates = sorted({-2.0, *scores[train].astype(float)})
        right = [((scores[train] > t) == same[train]).sum() for t in candidates]
        assert ((scores[train] > found.thresholds[k]) == same[train]).sum() == max(right)
        if int(np.argmax(right)):
            assert found.thresholds[k] == candidates[int(np.argmax(right))]
        assert found.accuracies[k] == ((scores[~train] > found.thresholds[k]) == same[~train]).mean()
    assert protocol.best_threshold(np.array([0.5, 0.7]), np.array([True, True])) < 0.5


def test_curve_and_rates():
    from scipy.interpolate import interp1d
    from scipy.optimize import brentq
    from sklearn.metrics import det_curve, roc_auc_score

    scores, same = scored(2000)
    curve = protocol.roc(scores, same)
    assert protocol.area(curve) == pytest.approx(roc_auc_score(same, scores))
    far, frr, _ = det_curve(same, scores)
    ours = set(zip(curve.far.round(9), curve.frr.round(9), strict=True))
    assert set(zip(far.round(9), frr.round(9), strict=True)) <= ours
    crossing = brentq(lambda x: 1 - x - interp1d(curve.far, curve.tar)(x), 0, 1)
    assert protocol.equal_error_rate(curve) == pytest.approx(crossing, abs=1e-9)
    negatives = int((~same).sum())
    tar = protocol.tar_at_far(curve, negatives)
    assert list(tar) == pytest.approx([0.1, 0.01])  # 1e-3 needs a thousand pairs of two people
    assert negatives < 1000
    for rate, value in tar.items():
        allowed = [t for t in scores if (scores[~same] >= t).mean() <= rate]
        assert value == pytest.approx(max((scores[same] >= t).mean() for t in allowed))
    perfect = protocol.roc(np.array([0.1, 0.9]), np.array([False, True]))
    assert protocol.equal_error_rate(perfect) == 0 and protocol.area(perfect) == 1
    with pytest.raises(ValueError, match="got 2 and 0"):
        protocol.roc(np.zeros(2), np.ones(2, bool))
    with pytest.raises(ValueError, match="10 folds, got 3"):
        protocol.fold_numbers(3, 10)


@pytest.mark.parametrize(("errors", "n"), [(0, 12), (3, 40), (40, 40), (7, 1000)])
def test_intervals_of_groups(errors, n):
    z = scipy_stats.norm.ppf(0.975)
    p = errors / n
    middle, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    expected = [(middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)]
    np.testing.assert_allclose(groups.wilson(errors, n, 0.95), expected, atol=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SciPy's, of samples that are all alike
        wrong = np.arange(n) < errors
        low, high = groups.bootstrap(errors, n, 0.9)
        if 0 < errors < n:
            rng = {"random_state": np.random.default_rng(1)}  # by the name that older SciPy knows too
            found = scipy_stats.bootstrap((wrong,), np.mean, confidence_level=0.9, method="percentile", **rng)
            np.testing.assert_allclose([low, high], found.confidence_interval, atol=1.5 / n)
        else:
            assert low == high == p


def test_rates_of_groups():
    column = np.array(["a", "a", "b", "b", "b", "a"])
    wrong, same = np.array([1, 0, 1, 1, 0, 0], bool), np.array([1, 1, 1, 0, 0, 0], bool)
    rates = groups.group_rates({"age": column}, wrong, same, "wilson", 0.95)
    found = {(r.group, r.kind): (r.errors, r.pairs) for r in rates}
    assert found == {
        ("a", "false match"): (0, 1), ("a", "false non-match"): (1, 2),
        ("b", "false match"): (1, 2), ("b", "false non-match"): (1, 1),
    }  # fmt: skip
    with pytest.raises(ValueError, match="interval"):
        groups.group_rates({}, wrong, same, "exact", 0.95)
    with pytest.raises(ValueError, match="confidence"):
        groups.group_rates({}, wrong, same, "wilson", 95)


@pytest.fixture(scope="module")
def model():
    return xcos.load()


@pytest.fixture(scope="module")
def crops(model, photos):
    """Crops of the photographs, each in four shades: pairs enough for a protocol."""
    faces = model.crops(list(photos.values()))
    return np.concatenate([np.clip(faces * f, 0, 255).astype(np.uint8) for f in (1, 0.9, 0.8, 0.7)])


@pytest.fixture
def pairs(crops):
    """120 pairs of 16 crops: of the three of one person, or with the one of the other."""
    first, second = np.triu_indices(16, 1)
    same = (first % 4 == 3) == (second % 4 == 3)
    names = [f"crop {i}" for i in range(16)]
    light = np.where(first < 8, "bright", "dark")
    return Pairs("shades", list(crops), names, first, second, same, folds=4, groups={"light": light})


def test_evaluate(model, pairs, crops):
    features = model.features(list(crops), aligned=True)
    compared = model.compare(features[pairs.first], features[pairs.second])
    for metric, scores in (("xcos", compared.score), ("cosine", compared.cosine)):
        report = xcos.evaluate(model, pairs, metric)
        np.testing.assert_allclose(report.scores, scores, atol=1e-5)
        np.testing.assert_array_equal(report.same, pairs.same)
        assert report.accuracy == report.reference.accuracy > 0.9
        assert len(report.reference.accuracies) == 4 and report.images == 16
        assert json.loads(json.dumps(report.to_dict()))["scores"] == report.scores.tolist()
        assert {r.group for r in report.groups()} == {"bright", "dark"} and not report.failed
        assert report.cllr >= report.min_cllr and report.seconds_per_pair > 0
        np.testing.assert_allclose(report.llr, model.calibration.scores[metric](report.scores))


def test_functions_as_metrics(model, pairs):
    def distance(a: xcos.Features, b: xcos.Features):
        return -np.linalg.norm(a.embedding - b.embedding, axis=1)

    report = xcos.evaluate(model, pairs, distance)
    assert report.metric == "distance" and report.scores.max() < 0 and report.auc > 0.9
    assert report.accuracy > 0.95 and report.reference is None and report.folds is report.exact
    low, high = report.scores[~report.same].max(), report.scores[report.same].min()
    assert low < high and report.auc == 1 and low - 0.5 < report.threshold < high  # between the two kinds
    wrong = (report.scores > report.threshold) != report.same
    assert len(report.worst(1000)) == wrong.sum() == sum(rate.errors for rate in report.groups())
    assert json.loads(json.dumps(report.to_dict()))["reference"] is None
    # What rises with a score decides as it does, whatever its scale; in float32 steps of 1e9 are 64.
    for scale in (1e-3, 1.0, 1e6):
        other = xcos.evaluate(model, pairs, lambda a, b, scale=scale: 1e9 + scale * distance(a, b).astype(float))
        np.testing.assert_array_equal(other.exact.accuracies, report.exact.accuracies)
        assert other.accuracy == report.accuracy and other.auc == 1 and other.eer == 0
    with pytest.raises(ValueError, match="120 scores"):
        xcos.evaluate(model, pairs, lambda a, b: np.zeros(3))
    with pytest.raises(ValueError, match="NaN"):
        xcos.evaluate(model, pairs, lambda a, b: np.full(len(a), np.nan))
    with pytest.raises(ValueError, match="metric"):
        xcos.evaluate(model, pairs, "euclid")


@pytest.mark.parametrize("metric", ["xcos", "cosine"])
def test_a_given_threshold(model, pairs, metric):
    """What verify decides is what the report at the model's threshold tells."""
    plain = xcos.evaluate(model, pairs, metric)
    report = xcos.evaluate(model, pairs, metric, threshold="model")
    own = model.file.thresholds[metric]
    assert report.threshold == own and plain.threshold != own and (report.folds.thresholds == own).all()
    wrong = (report.scores.astype(float) > own) != report.same
    parts = np.array_split(~wrong, 4)
    np.testing.assert_allclose(report.folds.accuracies, [part.mean() for part in parts])
    assert report.summary()["accuracy"] == report.accuracy == pytest.approx(np.mean([p.mean() for p in parts]))
    for t in (own, 0.9):  # of a report that is there
        at = xcos.evaluate(model, pairs, metric, threshold=t)
        assert plain.worst(1000, threshold=t) == at.worst(1000) and plain.groups(threshold=t) == at.groups()
        missed = (at.scores.astype(float) <= t) & at.same
        assert sum(r.errors for r in at.groups() if r.kind == "false non-match") == missed.sum()
    if metric == "xcos":
        verified = [xcos.verify(pairs.images[i], pairs.images[j], model=model, aligned=True) for i, j in
                    zip(pairs.first[:8], pairs.second[:8], strict=True)]  # fmt: skip
        assert [v.same != same for v, same in zip(verified, pairs.same, strict=False)] == wrong[:8].tolist()
    (row,) = xcos.compare_models(model, pairs, metric, threshold="model")
    assert row.threshold == own
    for bad in ("best", np.nan):
        with pytest.raises(ValueError, match="threshold: expected"):
            xcos.evaluate(model, pairs, metric, threshold=bad)
    with pytest.raises(ValueError, match="has none"):
        xcos.evaluate(model, pairs, lambda a, b: np.arange(120.0), threshold="model")


def test_a_score_on_the_threshold_is_not_over_it():
    """Where float32 would round the threshold onto the score: 0.1 in float32 lies over 0.1."""
    scores, same = np.array([0.1, 0.1], np.float32), np.array([True, False])
    assert protocol.decide(scores, 0.1).all() and not protocol.decide(scores, float(scores[0])).any()
    assert protocol.fixed_folds(scores, same, np.array([0, 1]), 0.1).accuracies.tolist() == [1, 0]


def test_flip(model, pairs, crops):
    """Features of image and mirror image: the mean, with the mirrored grid turned back."""
    plain = model.features(crops, aligned=True)
    mirrored = model.features(np.ascontiguousarray(crops[:, :, ::-1]), aligned=True)
    both = xcos.Features((plain.grid + mirrored.grid[..., ::-1]) / 2, (plain.embedding + mirrored.embedding) / 2)
    expected = model.compare(both[pairs.first], both[pairs.second])
    np.testing.assert_allclose(xcos.evaluate(model, pairs, flip=True).scores, expected.score, atol=1e-5)
    np.testing.assert_allclose(xcos.evaluate(model, pairs, "cosine", flip=True).scores, expected.cosine, atol=1e-5)


def test_images_that_fail(model, pairs, crops, caplog):
    broken = [*crops[:5], b"no picture", *crops[6:]]
    with caplog.at_level(logging.WARNING, "xcos"):
        report = xcos.evaluate(model, Pairs("broken", broken, pairs.names, pairs.first, pairs.second, pairs.same, 4))
    assert [name for name, _ in report.failed] == ["crop 5"] and "1 of 16 images" in caplog.text
    kept = (pairs.first != 5) & (pairs.second != 5)
    np.testing.assert_array_equal(report.index, np.flatnonzero(kept))
    assert len(report.scores) == 105


def test_cache(model, pairs, tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "PART", 5)
    seen = []

    class Interrupted(Exception):
        pass

    def interrupt(done, total):
        seen.append((done, total))
        if done == 10:
            raise Interrupted

    with pytest.raises(Interrupted):
        xcos.evaluate(model, pairs, cache=tmp_path, progress=interrupt)
    assert seen == [(5, 16), (10, 16)]
    assert sorted(p.name for p in tmp_path.glob("*/*")) == ["00000.npz", "00001.npz"]
    (folder,) = tmp_path.iterdir()
    before = {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}
    expected = xcos.evaluate(model, pairs).scores
    np.testing.assert_allclose(xcos.evaluate(model, pairs, cache=tmp_path).scores, expected, atol=1e-6)
    after = {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}
    assert before.items() <= after.items() and len(after) == 4  # what was there was used
    for damaged in (b"damaged", b"", (folder / "00000.npz").read_bytes()):  # the last: other images
        (folder / "00001.npz").write_bytes(damaged)
        np.testing.assert_allclose(xcos.evaluate(model, pairs, cache=tmp_path).scores, expected, atol=1e-6)
    xcos.evaluate(model, pairs[:8], cache=tmp_path)
    xcos.evaluate(model, pairs, flip=True, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 3  # other images, other features: other folders


def test_one_table(model, pairs, tmp_path):
    table = xcos.compare_models({"a_b": model, "again": model}, [pairs, pairs[:60]], ("xcos", "cosine"))
    assert len(table) == 8 and [r.model for r in table][:4] == ["a_b", "a_b", "again", "again"]
    lines = table.to_markdown().splitlines()
    assert len(lines) == 10 and len({line.count("|") for line in lines}) == 1
    assert f"{table[0].accuracy:.2%}" in lines[2] and "<table" in table._repr_html_()
    latex = table.to_latex().splitlines()
    assert r"a\_b" in latex[4] and r"\%" in latex[4] and latex[-1] == r"\end{tabular}"
    columns = latex[0].removeprefix(r"\begin{tabular}{").rstrip("}")
    assert {line.count(" & ") for line in latex[2:-2] if "&" in line} == {len(columns) - 1}
    for suffix in (".md", ".tex", ".json"):
        table.save(tmp_path / f"table{suffix}")
    assert (tmp_path / "table.md").read_text() == table.to_markdown() + "\n"
    assert len(json.loads((tmp_path / "table.json").read_text())) == 8
    frame = pytest.importorskip("pandas", reason="the PyPI package pandas is not installed") and table.to_frame()
    assert frame["accuracy"].tolist() == [report.accuracy for report in table] and len(frame) == 8


def test_mistakes(model, pairs):
    report = xcos.evaluate(model, pairs)
    assert report.worst() == report.worst(1000)[:10]
    swapped = Pairs("swapped", pairs.images, pairs.names, pairs.first, pairs.second, ~pairs.same, 4)
    report = xcos.evaluate(model, swapped)
    wrong = report.worst(1000)
    assert len(wrong) == int(((report.scores > report.threshold) != report.same).sum()) > 0
    assert [m.margin for m in wrong] == sorted((m.margin for m in wrong), reverse=True)
    for kind in ("false match", "false non-match"):
        assert report.worst(1000, kind) == [m for m in wrong if m.kind == kind]
    m = wrong[0]
    assert m.names == (pairs.names[pairs.first[m.index]], pairs.names[pairs.second[m.index]])
    assert report.explain(m.index).score == pytest.approx(m.score, abs=1e-5)
    with pytest.raises(ValueError, match="kind"):
        report.worst(1, "false")


def test_stream_is_features(model, photos, crops):
    """A generator of any length, one broken image in it: told, and the others as in one stack."""
    files = [*photos.values()]
    expected = model.features(files)
    images = (x for x in [files[0], b"broken", *files[1:], None])
    batches = list(model.stream(images, batch=2, skip_failed=True))
    assert [i for b in batches for i in b.index.tolist()] == [0, 2, 3, 4]
    assert [i for b in batches for i, _ in b.failed] == [1, 5]
    assert "an image must be" in batches[-1].failed[-1][1] and "NoneType" in batches[-1].failed[-1][1]
    np.testing.assert_allclose(np.concatenate([b.features.grid for b in batches]), expected.grid, atol=1e-4)
    with pytest.raises(xcos.ImageError):
        list(model.stream([b"broken"]))
    with pytest.raises(TypeError, match="NoneType"):
        list(model.stream([None]))
    with pytest.raises(ValueError, match="batch"):
        list(model.stream([], batch=0))
    lazily = model.features((crop for crop in crops), aligned=True, batch=3)
    np.testing.assert_allclose(lazily.embedding, model.features(crops, aligned=True).embedding, atol=1e-4)
    assert len(model.features(iter([]))) == 0


def test_stream_reads_no_further_than_needed(model, crops):
    taken = 0

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield crops[0]

    batches = model.stream(endless(), aligned=True, batch=4)
    for _ in range(5):
        next(batches)
    assert taken <= 20 + 12
    batches.close()


def test_lfw_dev(shared, model):
    """300 pairs of LFW: what the card of the embedded model promises, within what so few can tell."""
    pairs = xcos.datasets.read_bin(shared / "data/lfw_dev.bin", folds=2)[150:450]
    xcos_report, cosine_report = xcos.compare_models(model, pairs)
    for report, promised in ((xcos_report, 0.97), (cosine_report, 0.99)):
        assert len(report.scores) == 300 and report.images < 600
        assert ((report.scores > model.file.thresholds[report.metric]) == report.same).mean() > promised - 0.03
        assert report.auc > 0.99


def test_photographs_of_lfw(shared, model, tmp_path):
    """From a tar of photographs and a pairs.txt: faces are found and aligned on the way."""
    archive = shared / "data/lfw_photos.tar"
    with tarfile.open(archive) as tar:
        names = sorted(Path(member.name).stem for member in tar if member.isfile())[:16]
    people = [(a[:-5], int(a[-4:]), int(b[-4:])) for a, b in zip(names[::2], names[1::2], strict=True)]
    lines = [f"{who}\t{i}\t{j}" for who, i, j in people]
    for (who, i, _), (other, _, j) in zip(people, people[1:] + people[:1], strict=True):
        lines.append(f"{who}\t{i}\t{other}\t{j}")
    (tmp_path / "pairs.txt").write_text("\n".join(["2\t4", *lines[:4], *lines[8:12], *lines[4:8], *lines[12:]]))
    pairs = xcos.datasets.read_lfw(tmp_path / "pairs.txt", archive)
    report = xcos.evaluate(model, pairs)
    assert report.images == 16 and len(report.scores) == 16 and not report.failed and report.auc > 0.9
    two = [pairs.images[i] for i in (pairs.first[0], pairs.second[0])]
    assert report.scores[0] == pytest.approx(xcos.verify(*two).score, abs=1e-5)


def test_folds_of_one_kind_are_told(caplog):
    pairs = xcos.datasets.read_csv(Path(__file__).parents[1] / "examples" / "pairs.csv", folds=3)
    xcos.evaluate(None, pairs)
    assert "one kind alone" not in caplog.text
    xcos.evaluate(None, pairs, folds=len(pairs))
    assert f"{len(pairs)} of {len(pairs)} folds have pairs of one kind alone" in caplog.text
