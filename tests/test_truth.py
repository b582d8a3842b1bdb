"""Measures of truth on models whose answer is known by construction, and their arithmetic against SciPy and OpenCV."""

import json
import pickle
import subprocess
import sys
import tarfile

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy import stats

import xcos
from xcos import datasets, faithfulness
from xcos.cli import main
from xcos.datasets import read_faces
from xcos.faces.cells import covered
from xcos.faithfulness import Truth, blends, cell_statistics, truth
from xcos.faithfulness.measure import estimate
from xcos.faithfulness.people import People

PEOPLE, EACH = 24, 4


def noise(rng, shape, deviation):
    """Blots of 4 pixels: what survives a blur."""
    return rng.normal(0, deviation, (*shape, 28, 28, 3)).repeat(4, -3).repeat(4, -2)


@pytest.fixture(scope="module")
def people():
    """(crops, labels): each person is a pattern of colours, each picture of it has blots of its own."""
    rng = np.random.default_rng(0)
    pictures = 128 + noise(rng, (PEOPLE, 1), 30) + noise(rng, (PEOPLE, EACH), 12)
    crops = np.rint(pictures).clip(0, 255).astype(np.uint8).reshape(-1, 112, 112, 3)
    return crops, np.arange(PEOPLE).repeat(EACH)


@pytest.fixture(scope="module")
def pairs(people):
    """60 pairs of one person and 60 of two, hard enough that cosines err."""
    rng = np.random.default_rng(1)
    crops, labels = people
    first = rng.integers(0, len(crops), 120)
    same = np.arange(120) % 2 == 0
    second = [rng.choice(np.flatnonzero((labels == labels[i]) == s)) for i, s in zip(first, same, strict=True)]
    haze = noise(rng, (240,), 80)
    hazy = np.rint(crops[np.concatenate([first, second])] + haze).clip(0, 255).astype(np.uint8)
    return faithfulness.LabelledCrops(hazy[:120], hazy[120:], same, "hazy")


def local(crops, n=7):
    """Each cell is a function of its own pixels alone (of one in each blot), whatever their brightness and contrast."""
    tiles = crops[:, 2::4, 2::4].reshape(-1, n, 28 // n, n, 28 // n, 3).transpose(0, 5, 2, 4, 1, 3)
    tiles = tiles - tiles.mean((2, 3), keepdims=True)
    grid = (tiles / (tiles.std((2, 3), keepdims=True) + 1e-6)).reshape(len(crops), -1, n, n)
    return grid / np.linalg.norm(grid, axis=1, keepdims=True)


def repeated(crops):
    """Each cell is the whole picture, made small."""
    small = crops[:, 2::8, 2::8].reshape(len(crops), -1)
    small = small - small.mean(1, keepdims=True)
    small /= np.linalg.norm(small, axis=1, keepdims=True)
    return np.broadcast_to(small[:, :, None, None], (*small.shape, 7, 7))


def namer(people):
    """A grid that repeats, in each cell, the name of the person that most of the picture shows."""
    faces = repeated(people[0][::EACH])[:, :, 0, 0]

    def named(crops):
        nearest = (repeated(crops)[:, :, 0, 0] @ faces.T).argmax(1)
        return np.broadcast_to(np.eye(PEOPLE)[nearest][:, :, None, None], (len(crops), PEOPLE, 7, 7))

    return named


def mixture(people, part):
    """Cosine = (1 - part) of the local grid's + part of the namer's."""
    named = namer(people)
    return lambda crops: np.concatenate([np.sqrt(1 - part) * local(crops), np.sqrt(part) * named(crops)], 1)


# ------------------------------------------------------------------------------------- constructed models


def test_cells_of_their_own_pixels(people):
    found = truth(local, people, cells="all", measures=("own", "parts"), triples=12)
    assert found.own.value == pytest.approx(1, abs=0.01) and found.leak.value == pytest.approx(0, abs=0.01)
    np.testing.assert_allclose(found.own_map.value, 1, atol=0.03)
    np.testing.assert_allclose(found.leak_map.value, 0, atol=0.03)
    assert found.corners_leak.value == pytest.approx(0, abs=0.02) and found.triples == 12
    assert list(found.parts) == ["eyes", "nose", "mouth", "half"]
    assert all(way.value > 0.99 for part in found.parts.values() for way in part.values())


def test_cells_that_repeat_the_whole(people):
    found = truth(namer(people), people, measures=("own", "parts"))
    figures = [part.value for part in (found.own, found.leak, found.corners_leak, found.centre_leak)]
    assert figures == pytest.approx([0, 1, 1, 1])
    measured = ~np.isnan(found.leak_map.value)
    assert measured.sum() == 10 and found.leak_map.value[measured] == pytest.approx(1)
    assert all(way.value == pytest.approx(0.5) for part in found.parts.values() for way in part.values())


def test_mixtures_lie_between_in_their_order(people):
    found = [truth(mixture(people, part), people, measures=("own",), triples=12) for part in (0, 0.25, 0.5, 0.75, 1)]
    own, leak = ([getattr(t, key).value for t in found] for key in ("own", "leak"))
    assert own == sorted(own, reverse=True) and leak == sorted(leak) and min(np.diff(leak)) > 0.1
    # The namer has the evidence 1; that of the local grid is seen between A, A' and B, A'.
    crops = people[0].reshape(PEOPLE, EACH, 112, 112, 3)
    chosen = People(people).draw(12, 2)
    assert all(any((picture == mine).all() for picture in crops.reshape(-1, *mine.shape)) for mine in chosen[:, 0])
    a, two = local(chosen[:, 0]), local(chosen[:, 1])
    evidence = ((a * two).sum(1) - (np.roll(a, -1, 0) * two).sum(1)).mean(0)[3, 3]
    share = 0.25 / (0.25 + 0.75 * evidence)  # of the namer in the second mixture: that much leaks
    assert found[1].centre_leak.value == pytest.approx(share, abs=0.01)


def test_alone_and_rank_of_a_repeating_grid(pairs):
    found = truth(repeated, None, pairs, measures=("alone", "rank"))
    cosine = (repeated(pairs.first)[..., 0, 0] * repeated(pairs.second)[..., 0, 0]).sum(1)
    rightly = []
    for fold in np.arange(120).reshape(5, 24):  # the lowest of the best thresholds on the other folds
        rest = np.setdiff1d(np.arange(120), fold)
        candidates = np.unique([-2, *cosine[rest]])
        accuracies = [((cosine[rest] > t) == pairs.same[rest]).mean() for t in candidates]
        rightly += ((cosine[fold] > candidates[np.argmax(accuracies)]) == pairs.same[fold]).tolist()
    expected = np.mean(rightly)
    assert 0.6 < expected < 0.99
    np.testing.assert_allclose(found.alone.value, expected)
    assert found.corners_alone.value == pytest.approx(expected) and found.best_alone.value == pytest.approx(expected)
    assert found.alone.low[0, 0] < expected < found.alone.high[0, 0]
    assert [value.value for value in found.rank.values()] == pytest.approx([1, 1], abs=1e-6)
    assert (found.score, found.cosine, found.own, found.repeat, found.triples) == (None, None, None, None, 0)


def test_local_cells_say_many_things(pairs):
    found = truth(local, None, pairs, measures=("rank",))
    assert found.rank["different"].value > 25 and found.alone is None


def test_repeat_of_maps(people):
    found = truth(local, people, measures=("repeat",)).repeat
    # What two people share in a cell is in all their pictures; cells of little contrast agree less in all of one's.
    assert found["different"].value > 0.6 > found["same"].value > 0.2
    assert abs(found["same control"].value) < 0.15 and abs(found["different control"].value) < 0.15


@pytest.mark.parametrize("n", [4, 14])
def test_other_grids(people, pairs, n):
    chosen = [(0, 0), (0, n - 2), *((i, j) for i in (n // 2 - 1, n // 2) for j in (n // 2 - 1, n // 2))]
    measures = ("alone", "own", "parts")
    found = truth(lambda crops: local(crops, n), people, pairs, measures=measures, cells=chosen, triples=6)
    assert found.alone.value.shape == found.own_map.value.shape == (n, n)
    assert (~np.isnan(found.own_map.value)).sum() == 6
    assert found.own.value == pytest.approx(1, abs=0.05) and found.leak.value == pytest.approx(0, abs=0.05)
    middle = slice(n // 2 - 1, n // 2 + 1)
    assert found.centre_leak.value == pytest.approx(found.leak_map.value[middle, middle].mean())
    ten = truth(lambda crops: local(crops, n), people, measures=("own",), triples=4)
    assert 8 <= (~np.isnan(ten.own_map.value)).sum() <= 10


def test_a_model_of_the_package(people, pairs):
    model = xcos.load(whole=0)  # the score of the cells is what is measured
    some = pairs[:20]
    found = truth(model, people, some, triples=3, cells=[(3, 3)], folds=2)
    seen = [model.features(crops, aligned=True) for crops in (some.first, some.second)]
    compared = model.compare(*seen)
    for key, scores in (("score", compared.score), ("cosine", compared.cosine)):
        expected = cell_statistics.decided_rightly(scores, some.same, 2).mean()
        assert getattr(found, key).value == pytest.approx(expected)
    assert found.model == model.name and found.data == "hazy" and found.pairs == 20
    again = truth(model.file, people, some, triples=3, cells=[(3, 3)], folds=2, threads=2)
    assert json.dumps(again.to_dict()) == json.dumps(found.to_dict())
    assert truth(model, people, triples=3, measures=("own",), seed=1).own.value != found.own.value


# ------------------------------------------------------------------------------------------- arithmetic


def test_rank_of_a_known_covariance():
    rng = np.random.default_rng(2)
    spectrum = np.array([5.0, 3, 1, 1, 0.5])
    x = rng.normal(size=(400, 49))
    white = np.linalg.qr(x - x.mean(0))[0][:, :5]
    turned = np.linalg.qr(rng.normal(size=(49, 49)))[0][:5]
    maps = (white * np.sqrt(spectrum)) @ turned + rng.normal(size=49)
    found = cell_statistics.rank(maps.reshape(400, 7, 7))
    assert found.value == pytest.approx(np.exp(stats.entropy(spectrum)))
    assert found.low < found.value < found.high < 5
    assert np.isnan(cell_statistics.rank(np.ones((9, 7, 7))).value)


def test_shares_of_evidence():
    rng = np.random.default_rng(3)
    clean, other, changed = (rng.normal(m, 0.2, (50, 3)) for m in (0.8, 0.1, 0.4))
    clean[:, 2] = other[:, 2]  # a cell that tells nothing
    share = ((changed.mean(0) - other.mean(0))[:2] / (clean.mean(0) - other.mean(0))[:2])
    each = cell_statistics.kept(clean, other, changed, None)
    np.testing.assert_allclose(each.value[:2], share)
    assert np.isnan(each.value[2]) and each.to_dict()["value"][2] is None
    assert cell_statistics.kept(clean, other, changed).value == pytest.approx(share.mean())
    assert cell_statistics.kept(clean, other, changed, [1]).value == pytest.approx(share[1])


def test_interval_is_scipys():
    values = np.random.default_rng(4).exponential(1, (80, 2))
    found = cell_statistics.mean(values)
    for k in range(2):
        theirs = stats.bootstrap((values[:, k],), np.mean, method="percentile", n_resamples=4000, rng=0)
        np.testing.assert_allclose(
            (found.low[k], found.high[k]), theirs.confidence_interval, atol=0.15 * theirs.standard_error
        )
    whole = estimate(lambda w: w @ values[:, 0], 80)
    assert whole.value == pytest.approx(values[:, 0].mean()) and repr(whole).startswith("Estimate(")


def test_area_is_scikit_learns():
    roc_auc_score = pytest.importorskip("sklearn.metrics").roc_auc_score
    rng = np.random.default_rng(5)
    maps = rng.integers(0, 6, (4, 3, 3)).astype(float)  # with draws
    maps[3] = 2
    covered = np.zeros((3, 3), bool)
    covered[0] = True
    found = cell_statistics.area_under_curve(maps, covered, ~covered)
    np.testing.assert_allclose(found, [roc_auc_score(covered.ravel(), m.ravel()) for m in maps])
    assert found[3] == 0.5
    assert np.isnan(cell_statistics.area_under_curve(maps, covered & False, ~covered)).all()


def test_repeat_is_pearsons():
    rng = np.random.default_rng(6)
    shared = rng.normal(size=(30, 3, 4))
    first, second = (shared + rng.normal(size=shared.shape) + 5 * rng.normal(size=(30, 1, 1)) for _ in range(2))
    taken = [m - m.mean((1, 2), keepdims=True) for m in (first, second)]
    taken = [m - m.mean(0) for m in taken]
    expected = [stats.pearsonr(a.ravel(), b.ravel())[0] for a, b in zip(*taken, strict=True)]
    found, control = cell_statistics.repeated(first, second)
    assert found.value == pytest.approx(np.mean(expected)) and abs(control.value) < 0.2
    flat = np.ones((30, 3, 4)) * rng.normal(size=(30, 1, 1))
    assert np.isnan(cell_statistics.repeated(flat, flat)[0].value)


# ----------------------------------------------------------------------------------------------- blends


def test_windows_and_their_shares():
    corner, middle = blends.windows([(0, 0), (3, 3)], (7, 7))
    assert corner[:32, :32].all() and corner.sum() == 32 * 32
    assert middle[32:80, 32:80].all() and middle.sum() == 48 * 48
    for name, mask in blends.parts().items():
        small = Image.fromarray(mask.astype(np.float32)).resize((7, 7), Image.Resampling.BOX)
        np.testing.assert_allclose(covered(mask, (7, 7)), small, atol=1e-6, err_msg=name)
    assert blends.parts()["eyes"][48, 38] and not blends.parts()["eyes"][30, 56]


def test_blends_pixel_by_pixel(people):
    into, of = people[0][0], people[0][9] // 3 + 150  # little contrast: the factor of 2 is reached
    masks = np.stack([blends.parts()["mouth"], blends.windows([(6, 6)], (7, 7))[0]])
    soft = blends.soften(masks)
    mixed = blends.blend(into, of, masks, soft)
    for mask, weight, picture in zip(masks, soft, mixed, strict=True):
        blurred = cv2.GaussianBlur(mask.astype(np.float32), (17, 17), 2, borderType=cv2.BORDER_REPLICATE)
        np.testing.assert_allclose(weight, blurred, atol=1e-4)
        inside = [face[mask].astype(float) for face in (into, of)]
        gain = np.clip(inside[0].std(0) / inside[1].std(0), 0.5, 2)
        moved = (of - inside[1].mean(0)) * gain + inside[0].mean(0)
        expected = (into + blurred[..., None] * (moved - into)).clip(0, 255)
        assert np.abs(picture - expected).max() < 0.6
    assert (gain == 2).all()
    far = soft[0] == 0
    assert (mixed[0][far] == into[far]).all()


# ----------------------------------------------------------------------------------------------- people


def test_people_of_folders_tars_and_arrays(people, tmp_path, photos):
    crops, labels = people
    for i in range(12):
        folder = tmp_path / "people" / f"p{labels[i]}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(crops[i]).save(folder / f"{i}.png")
    with tarfile.open(tmp_path / "people.tar", "w") as archive:
        archive.add(tmp_path / "people", "people")
    expected = People((crops[:12], labels[:12])).draw(9, 4, seed=3)
    assert expected.shape == (3, 4, 112, 112, 3)
    for source in (tmp_path / "people", tmp_path / "people.tar", read_faces(tmp_path / "people")):
        drawn = People(source).draw(9, 4, seed=3)
        assert {p.tobytes() for p in drawn.reshape(12, -1)} == {p.tobytes() for p in expected.reshape(12, -1)}
    assert len(People(tmp_path / "people").draw(9, 5)) == 0
    # A picture that is none is passed over, and a photograph's face is cut out.
    (tmp_path / "people/p0/4.png").write_bytes(b"no picture")
    for name in ("obama_portrait_2012", "obama_congress_2009"):
        folder = tmp_path / "people/p9"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.jpg").write_bytes(photos[name].read_bytes())
    drawn = People(tmp_path / "people").draw(9, 2)
    cut = [xcos.crop(photos[name]).tobytes() for name in ("obama_portrait_2012", "obama_congress_2009")]
    assert len(drawn) == 4 and sum({p.tobytes() for p in two} == set(cut) for two in drawn) == 1
    whole = People(tmp_path / "people", aligned=True)
    assert len(whole.draw(9, 2)) == 3 and whole.trouble.startswith("; 3 pictures could not be used, one of them: ")


def test_too_few_people_say_so(people):
    crops, labels = people
    few = truth(local, (crops[:20], labels[:20]), measures=("repeat",))
    assert few.repeat is None
    assert few.missing["repeat same"] == "5 people with four usable pictures; expected at least 10"
    assert few.missing["repeat same"] in few.to_markdown()
    halves = truth(local, (crops, np.arange(len(crops)) // 2), measures=("repeat",))
    assert list(halves.repeat) == ["different", "different control"] and list(halves.missing) == ["repeat same"]


# ---------------------------------------------------------------------------------------------- results


@pytest.fixture(scope="module")
def two(people, pairs):
    return [truth(mixture(people, part), people, pairs, triples=12) for part in (0.2, 0.8)]


def test_result(two, tmp_path):
    found = two[0]
    assert repr(found).startswith("Truth('<lambda>', corners alone ") and len(repr(found)) < 200
    data = json.loads(json.dumps(found.to_dict()))
    assert data["own"]["low"] <= data["own"]["value"] <= data["own"]["high"]
    assert np.shape(data["own_map"]["value"]) == (7, 7) and data["own_map"]["value"][0][1] is None
    assert data["parts"]["eyes"]["drop"]["value"] == found.parts["eyes"]["drop"].value
    table = found.to_markdown(two[1])
    assert "| own | " in table and table.count("\n| ") == 2 + 11 and "| repeat, one person / control |" in table
    with pytest.raises(AttributeError):
        found.own = None
    for name in ("t.png", "t.svg", "t.md", "t.json"):
        found.save(tmp_path / name)
    assert json.loads((tmp_path / "t.json").read_text()) == data and (tmp_path / "t.md").read_text().endswith("|\n")
    with Image.open(tmp_path / "t.png") as picture:
        assert picture.width > 2 * picture.height
    with pytest.raises(ValueError, match=r"expected a name that ends in \.png"):
        found.save(tmp_path / "t.txt")


def test_plot(two):
    from matplotlib import pyplot

    _, axes = two[0].plot(beside=two[1])
    assert axes.shape == (2, 3)
    numbers = [[text.get_text() for text in ax.texts] for ax in axes.ravel()]
    assert f"{two[1].own_map.value[3, 3]:.2f}" in numbers[3] and f"{two[0].alone.value[0, 6]:.2f}" in numbers[2]
    assert not any("nan" in texts for texts in numbers)
    figure, axes = pyplot.subplots(1, 3)
    assert two[0].plot(axes)[0] is figure
    with pytest.raises(ValueError, match="3 axes for each of 2 models, got 3"):
        two[0].plot(axes, beside=two[1])
    _, axes = Truth("nothing").plot()
    assert [ax.texts[0].get_text() for ax in axes[0]] == ["not measured"] * 3
    pyplot.close("all")


def test_progress_is_told(people, pairs):
    seen = []
    truth(local, people, pairs, triples=4, progress=lambda done, total: seen.append((done, total)))
    assert {total for _, total in seen} == {4, 120} and seen[-1] == (4, 4)


# ----------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"measures": ("own", "truth")}, "measures: got truth; expected some of alone, rank, own, parts, repeat"),
        ({"measures": ()}, "measures: got none"),
        ({"triples": 1}, "triples: expected at least 2, got 1"),
        ({"folds": 1}, "folds: expected at least 2, got 1"),
        ({"cells": [(3, 7)]}, r"cells: expected 'all' or \(row, column\) in a grid of 7 x 7, got \[\(3, 7\)\]"),
        ({"cells": "some"}, "cells: expected 'all'"),
        ({"faces": None}, r"faces: expected a path, xcos.datasets.Faces or \(crops, labels\), got NoneType"),
        ({"faces": (np.zeros((2, 64, 64, 3), np.uint8), np.zeros(2, int))}, r"got \(2, 64, 64, 3\) uint8"),
        ({"faces": (np.zeros((2, 112, 112, 3), np.uint8), np.arange(2))}, "0 people with two usable pictures"),
        ({"pairs": None}, "pairs: alone and rank look at a path, Pairs or LabelledCrops; got NoneType"),
        ({"model": 5}, "model: expected a model or a function of crops, got int"),
        ({"model": lambda crops: crops[:, 0]}, r"expected grids \(64, D, H, W\) of floating-point"),
        ({"model": lambda crops: np.full((len(crops), 2, 7, 7), np.nan)}, "expected finite grids"),
    ],
)
def test_errors(people, pairs, change, message):
    arguments = {"model": local, "faces": people, "pairs": pairs, "triples": 4, **change}
    with pytest.raises(ValueError, match=message):
        truth(arguments.pop("model"), arguments.pop("faces"), arguments.pop("pairs"), **arguments)


def test_one_kind_of_pairs_is_refused(pairs):
    with pytest.raises(ValueError, match="hazy: expected pairs of one person and of two"):
        truth(local, None, pairs[::2], measures=("alone",))


def test_importing_costs_nothing():
    code = "import sys, xcos.faithfulness; print({'torch', 'scipy', 'sklearn', 'matplotlib'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "set()"


# ---------------------------------------------------------------------------------------------- command


def test_command(people, pairs, tmp_path, capsys):
    crops, labels = people
    for i in range(3 * EACH):
        folder = tmp_path / "people" / f"{labels[i]}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(crops[i]).save(folder / f"{i}.png")
    images = [image for i in range(20) for image in (pairs.first[i], pairs.second[i])]
    encoded = [cv2.imencode(".png", image[..., ::-1])[1].tobytes() for image in images]
    data = tmp_path / "pairs.bin"
    data.write_bytes(pickle.dumps((encoded, pairs.same[:20].tolist())))
    faces, figure = ["--faces", str(tmp_path / "people")], str(tmp_path / "t.png")
    assert main(["truth", *faces, "--pairs", str(data), "--folds", "2", "--json", "-o", figure]) == 0
    printed = json.loads(capsys.readouterr().out)
    again = truth(None, tmp_path / "people", datasets.read_bin(data), folds=2)
    assert printed == json.loads(json.dumps(again.to_dict())) and printed["triples"] == 3
    with Image.open(figure) as picture:
        assert picture.width > 300
    assert main(["truth", xcos.load().name, *faces, "--measures", "own", "--all-cells", "--triples", "2"]) == 0
    assert "| own | " in capsys.readouterr().out
    for wrong in ([], ["--faces", str(tmp_path / "none")], [*faces, "--measures", "x"], ["no_model", *faces]):
        assert main(["truth", *wrong]) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.startswith("xcos: ") and err.count("\n") == 1


# ----------------------------------------------------------------------------------------- real pictures


@pytest.mark.slow
def test_figures_of_others_again(shared):
    """What was measured of O1 on other people of LFW (shared/design/TRUTH.md), within what 35 people can tell."""
    found = truth(
        shared / "models/mobilefacenet_local_o1.safetensors", shared / "data/lfw_photos.tar",
        triples=35, measures=("own", "parts"),  # half of all there are
    )
    assert found.triples == 35
    expected = {found.own: 0.69, found.leak: 0.14, found.corners_leak: 0.32, found.centre_leak: 0.04}
    for part, drop, rise in zip(found.parts.values(), (0.94, 0.94, 0.87, 0.87), (0.84, 0.80, 0.75, 0.88), strict=True):
        expected |= {part["drop"]: drop, part["rise"]: rise}
    for measured, value in expected.items():
        assert measured.low - 0.03 < value < measured.high + 0.03
