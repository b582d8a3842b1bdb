"""Measures of explanations against slow twins, SciPy and scikit-learn."""

import json
import pickle
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image
from scipy import stats
from tiny_network import Tiny

import xcos
from xcos import datasets, explainers, faithfulness
from xcos.cli import main
from xcos.explainers import CellCosine, CentreMap, RandomMap, XCos
from xcos.explainers.controls import _Control
from xcos.faithfulness.imputation import NOISE, impute
from xcos.faithfulness.measure import area
from xcos.faithfulness.pairs import equal_error_threshold, places
from xcos.faithfulness.sanity import _spearman


@pytest.fixture(scope="module")
def model():
    return xcos.load()


@pytest.fixture(scope="module")
def pairs(model, photos):
    """Four pairs of the shipped photographs, genuine and impostor by turns."""
    names = ("obama_portrait_2012", "obama_congress_2009", "obama_blue_room_2010", "biden_blue_room_2010")
    crops = model.crops([photos[name] for name in names])
    return faithfulness.LabelledCrops(
        crops[[0, 0, 1, 1]], crops[[1, 3, 2, 3]], np.array([True, False, True, False]), "photographs"
    )


@dataclass(frozen=True, kw_only=True)
class Fixed(_Control):
    """Gives the maps it was made with, in their order."""

    maps: object = None

    def __hash__(self):
        return id(self)

    def _explain(self, first, second, progress):
        return self.maps, self.maps, self._scores(first, second)


def scores_of(model, first, seen):
    """Of crops beside the features of others."""
    return model.compare(model.features(first, aligned=True), seen, maps=False).score


# ------------------------------------------------------------------------------------------------ parts


def test_threshold_of_equal_error():
    rng = np.random.default_rng(0)
    same = rng.random(200) < 0.5
    scores = rng.normal(same * 1.5).round(2)
    got = equal_error_threshold(scores, same)

    def gap(t):
        return abs((scores[~same] > t).mean() - (scores[same] <= t).mean())

    assert got in scores
    assert gap(got) == pytest.approx(min(gap(t) for t in scores))
    with pytest.raises(ValueError, match="one class alone"):
        equal_error_threshold(scores, np.ones(200, bool))


def test_interval_is_the_bootstraps():
    values = np.random.default_rng(1).normal(3, 1, 80)
    got = faithfulness.bootstrap("x", values)
    want = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=5000, rng=0).confidence_interval
    assert (got.value, got.low, got.high) == pytest.approx((values.mean(), want.low, want.high), abs=0.03)
    assert len(faithfulness.bootstrap("x", [1.0, np.nan, 3.0]).per_pair) == 2
    one = faithfulness.bootstrap("x", [4.0])
    assert (one.value, one.low, one.high) == (4, 4, 4)
    with pytest.raises(ValueError, match="no pair has a value"):
        faithfulness.bootstrap("x", [np.nan])


def test_area_is_numpys():
    x, y = np.array([0.0, 1, 4, 5]), np.random.default_rng(0).random((3, 4))
    np.testing.assert_allclose(area(x, y), np.trapezoid(y, x) / 5)


def with_ties():
    """Two unrelated stacks of maps, two pixels of three 0, and maps of one value."""
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(3, 112, 112)) * (rng.random((3, 112, 112)) > 0.66) for _ in range(2))
    return a.astype(np.float32), b.astype(np.float32), np.full((1, 112, 112), 0.3, np.float32)


def test_rank_correlation_is_scipys():
    a, b, constant = with_ties()
    a[2], b[2] = np.maximum(a[2], 0).cumsum(0), np.maximum(b[2], 0).cumsum(0)
    want = [stats.spearmanr(x.ravel(), y.ravel()).statistic for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(_spearman(a, b), want)
    assert np.abs(_spearman(a, b)[:2]).max() < 0.05
    assert np.isnan(_spearman(constant, a[:1])).all() and np.isnan(_spearman(a[:1], constant)).all()


def test_places_sort_each_map_and_chance_orders_equals():
    maps, _, constant = with_ties()
    for one, place in zip(maps, places(maps), strict=True):
        assert sorted(place.ravel()) == list(range(112 * 112))
        assert (np.diff(one.ravel()[np.argsort(place.ravel())]) >= 0).all()
    rows = np.arange(112).repeat(112)
    assert abs(stats.spearmanr(places(constant).ravel(), rows).statistic) < 0.03
    np.testing.assert_array_equal(places(maps), places(maps))


@pytest.mark.parametrize("ties", [True, False])
def test_localisation_of_maps_with_ties(model, pairs, ties):
    roc_auc_score = pytest.importorskip("sklearn.metrics").roc_auc_score
    _, where = faithfulness.patched(pairs)
    constant = np.zeros(where.shape, np.float32)
    assert faithfulness.localisation(model, Fixed(model, maps=constant), pairs).per_pair.tolist() == [0.5] * 4
    rng = np.random.default_rng(1)
    maps = rng.normal(size=where.shape) + 0.4 * where
    maps = np.maximum(maps, 0.5).astype(np.float32) if ties else maps.astype(np.float32)
    got = faithfulness.localisation(model, Fixed(model, maps=maps), pairs)
    want = [roc_auc_score(w.ravel(), -m.ravel() if s else m.ravel()) for w, m, s in
            zip(where, maps, pairs.same, strict=True)]  # fmt: skip
    np.testing.assert_allclose(got.per_pair, want, atol=1e-9)


def test_imputation_solves_for_the_hidden_pixels():
    rng = np.random.default_rng(0)
    crop, seen = rng.integers(60, 200, (9, 8, 3)).astype(np.uint8), rng.random((9, 8)) < 0.4
    system, right = np.eye(72), crop.reshape(72, 3).astype(float)
    for p in np.flatnonzero(~seen):
        y, x = divmod(p, 8)
        weights = {}
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                if (dy or dx) and 0 <= y + dy < 9 and 0 <= x + dx < 8:
                    weights[(y + dy) * 8 + x + dx] = 1 / 12 if dy and dx else 1 / 6
        right[p] = 0
        for q, weight in weights.items():
            system[p, q] = -weight / sum(weights.values())
    want = np.linalg.solve(system, right).reshape(crop.shape)
    got = impute(crop, seen, seed=1)
    np.testing.assert_array_equal(got[seen], crop[seen])
    noise = got.astype(float)[~seen] - want[~seen]
    assert 0.6 * NOISE < noise.std() < 1.4 * NOISE and np.abs(noise).max() < 5 * NOISE
    assert np.abs(impute(crop, np.zeros((9, 8), bool)).mean((0, 1)) - crop.mean((0, 1))).max() < 2
    np.testing.assert_array_equal(impute(crop, np.ones((9, 8), bool)), crop)


# ------------------------------------------------------------------------------------------------ measures


@pytest.mark.parametrize("fill", ["black", "mean"])
def test_deletion_and_insertion_step_by_step(model, pairs, fill):
    maps = np.random.default_rng(2).normal(size=(4, 112, 112)).astype(np.float32).cumsum(1)
    explainer = Fixed(model, maps=maps)
    second = model.features(pairs.second, aligned=True)
    clean = scores_of(model, pairs.first, second)
    threshold = equal_error_threshold(clean, pairs.same)
    for measure, keep in ((faithfulness.deletion, False), (faithfulness.insertion, True)):
        got = measure(model, explainer, pairs, fill=fill)
        accuracy = []
        for percent in range(0, 101, 10):
            changed = pairs.first.copy()
            for crop, one in zip(changed, maps, strict=True):
                order = np.argsort(one.ravel(), kind="stable")
                highest = order[len(order) - round(percent / 100 * len(order)) :]
                hidden = np.setdiff1d(order, highest) if keep else highest
                colour = 0 if fill == "black" else crop.mean((0, 1)).round()
                crop.reshape(-1, 3)[hidden] = colour
            accuracy.append(((scores_of(model, changed, second) > threshold) == pairs.same).mean())
        np.testing.assert_allclose(got.curves["accuracy"], accuracy)
        assert got.value == pytest.approx(100 * np.trapezoid(accuracy) / 10)
        assert got.low <= got.value <= got.high


def test_deletion_with_imputed_pixels(model, pairs):
    got = faithfulness.deletion(model, XCos(model), pairs, fill="road")
    assert got.curves["accuracy"][0] == 1 and len(got.per_pair) == 4


def test_patches_are_where_they_are_said_to_be(pairs):
    changed, where = faithfulness.patched(pairs)
    assert where.shape == (4, 112, 112) and (where.sum((1, 2)) > 27 * 16 * 16 / 4).all()
    np.testing.assert_array_equal(changed.first[~where], pairs.first[~where])
    np.testing.assert_array_equal(changed.second, pairs.second)
    rng = np.random.RandomState(3)  # the impostors, in their order
    for i in (1, 3):
        mask = np.zeros((112, 112), bool)
        columns, edges = rng.randint(0, 96, 27), rng.randint(16, 112, 27)
        for x, y in zip(columns, edges, strict=True):
            mask[y - 16 : y, x : x + 16] = True
        np.testing.assert_array_equal(where[i], mask)
        np.testing.assert_array_equal(changed.first[i][mask], pairs.second[i][mask])
    for i in (0, 2):
        donors = [k for k in range(4) if np.array_equal(changed.first[i][where[i]], pairs.second[k][where[i]])]
        assert donors and i not in donors


def test_localisation_is_the_area_under_the_curve(model, pairs):
    roc_auc_score = pytest.importorskip("sklearn.metrics").roc_auc_score
    _, where = faithfulness.patched(pairs)
    maps = (where * 0.5 + np.random.default_rng(0).normal(size=where.shape)).astype(np.float32)
    got = faithfulness.localisation(model, Fixed(model, maps=maps), pairs)
    want = [roc_auc_score(w.ravel(), -m.ravel() if s else m.ravel()) for w, m, s in
            zip(where, maps, pairs.same, strict=True)]  # fmt: skip
    np.testing.assert_allclose(got.per_pair, want, atol=1e-6)
    signed = np.where(pairs.same[:, None, None], -1, 1) * where
    assert faithfulness.localisation(model, Fixed(model, maps=signed), pairs).value > 0.99


def test_restoring_step_by_step(model, pairs):
    changed, _ = faithfulness.patched(pairs)
    maps = np.random.default_rng(4).normal(size=(4, 112, 112)).astype(np.float32).cumsum(2)
    threshold = 0.3
    got = faithfulness.patch_lfw(model, Fixed(model, maps=maps), pairs, threshold=threshold)
    second = model.features(pairs.second, aligned=True)
    accepted = scores_of(model, changed.first, second) > threshold
    errors = []
    for percent in range(5, 100, 5):
        restored = changed.first.copy()
        for i, one in enumerate(maps):
            order = np.argsort(one.ravel(), kind="stable")
            order = order[::-1] if accepted[i] else order
            chosen = order[: round(percent / 100 * len(order))]
            restored[i].reshape(-1, 3)[chosen] = pairs.first[i].reshape(-1, 3)[chosen]
        errors.append((scores_of(model, restored, second) > threshold) != pairs.same)
    errors = np.array(errors)
    for measure, label in zip(got, (True, False), strict=True):
        np.testing.assert_allclose(measure.curves["method"], errors[:, pairs.same == label].mean(1))
        gain = measure.curves["random"] - measure.curves["method"]
        assert measure.value == pytest.approx(100 * np.trapezoid(gain) / 18)


def test_sanity_of_maps_that_should_pass_or_fail(model, pairs):
    few = pairs[:2]
    assert faithfulness.randomisation(model, CentreMap(model), few).value == pytest.approx(1)
    assert faithfulness.randomisation(model, XCos(model), few).value < 0.9
    assert faithfulness.symmetry(model, CellCosine(model), few).value == pytest.approx(1)
    assert abs(faithfulness.symmetry(model, RandomMap(model), few).value) < 0.1


@dataclass(frozen=True, kw_only=True)
class Agreement(_Control):
    """How alike two crops are, cell by cell (local), or as one number in all cells: maps of known truth."""

    local: bool = True

    def _explain(self, first, second, progress):
        a, b = (x.astype(np.float64).mean(3).reshape(len(x), 7, 16, 7, 16) - 128 for x in (first, second))
        alike = (a * b).sum((2, 4)) / np.sqrt(np.square(a).sum((2, 4)) * np.square(b).sum((2, 4)))
        alike = alike if self.local else np.broadcast_to(alike.mean((1, 2), keepdims=True), alike.shape)
        maps = np.repeat(np.repeat(alike, 16, 1), 16, 2).astype(np.float32)
        return maps, maps, self._scores(first, second)


@pytest.fixture(scope="module")
def noise():
    """Forty genuine and forty impostor pairs of pictures whose cells know nothing of one another."""
    rng = np.random.default_rng(0)
    people = np.kron(rng.uniform(40, 216, (40, 28, 28, 3)), np.ones((1, 4, 4, 1)))
    first, second = ((people + rng.normal(0, 8, people.shape)).clip(0, 255).astype(np.uint8) for _ in range(2))
    return faithfulness.LabelledCrops(
        np.concatenate([first, first]), np.concatenate([second, np.roll(second, 1, 0)]), np.arange(80) < 40, "noise"
    )


def test_maps_of_places_keep_their_window_and_leak_nothing(noise):
    explainer = Agreement(model=Tiny().network(), score="cosine")
    own, leak = faithfulness.own_and_leak(None, explainer, noise)
    assert own.value == pytest.approx(1, abs=0.05) and abs(leak.value) < 0.05
    assert own.low < own.value < own.high and len(own.per_pair) == 40
    assert faithfulness.parts(None, explainer, noise).value > 0.97


def test_a_number_painted_in_every_cell_is_told_from_a_map(noise):
    one = Agreement(model=Tiny().network(), score="cosine", local=False)
    own, leak = faithfulness.own_and_leak(None, one, noise)
    share = np.mean([4, 9, 9, 9]) / 49  # the windows' part of the crop; less, where an impostor's edge runs through
    assert own.value == pytest.approx(share, abs=0.06) and leak.value == pytest.approx(1 - share, abs=0.06)
    assert faithfulness.parts(None, one, noise).value == 0.5
    nothing = Fixed(model=one.model, score="cosine", maps=np.zeros((40, 112, 112), np.float32))
    assert [m.to_dict()["value"] for m in faithfulness.own_and_leak(None, nothing, noise)] == [None, None]
    with pytest.raises(ValueError, match="expected two genuine pairs or more, got 1"):
        faithfulness.parts(None, one, noise[39:41])


def test_randomised_models_keep_their_numbers(model):
    other = faithfulness.randomised(model)
    for name, tensor in model.file.tensors.items():
        np.testing.assert_array_equal(np.sort(other.file.tensors[name].ravel()), np.sort(tensor.ravel()))


# ------------------------------------------------------------------------------------------------ table


def test_sample_is_balanced_from_its_beginning(pairs):
    same = np.array([True] * 3 + [False] * 5)
    images = [*pairs.first, *pairs.second]
    data = datasets.Pairs("some", images, [str(i) for i in range(8)], np.arange(8), np.arange(8)[::-1], same, 2)
    got = faithfulness.sample(data, 5, seed=1)
    assert got.same.tolist() == [True, False, True, False, True]
    for first, second in zip(got.first, got.second, strict=True):
        i = next(k for k, image in enumerate(images) if np.array_equal(image, first))
        assert any(np.array_equal(images[k], second) for k in range(8)) and 0 <= i < 8
    with pytest.raises(ValueError, match="expected 4 pairs with same=True, got 3"):
        faithfulness.sample(data, 8)


def test_table(model, pairs, tmp_path):
    pytest.importorskip("matplotlib")
    table = faithfulness.compare(
        model, [XCos(model), RandomMap(model)], pairs, measures=["localisation", "deletion", "symmetry"], sanity_pairs=2
    )
    assert [row.method for row in table.rows] == ["XCos", "RandomMap"]
    assert len(table.rows[0].measures["symmetry"].per_pair) == 2
    direct = faithfulness.deletion(model, XCos(model), pairs)
    assert table.rows[0].measures["deletion"].value == direct.value
    lines = table.to_markdown().splitlines()
    assert lines[2].count("|") == lines[4].count("|") and "symmetry ↑" in lines[2]
    for suffix in ("md", "json", "html"):
        table.save(tmp_path / f"table.{suffix}")
    assert json.loads((tmp_path / "table.json").read_text())["rows"][1]["method"] == "RandomMap"
    assert "data:image/jpeg;base64," in (tmp_path / "table.html").read_text()
    with pytest.raises(ValueError, match="got nonsense; expected some of localisation"):
        faithfulness.compare(model, [XCos(model)], pairs, measures=["nonsense"])


def test_dear_methods_get_fewer_pairs(model, pairs):
    more = faithfulness.LabelledCrops(*(np.repeat(x, 4, axis=0) for x in (pairs.first, pairs.second, pairs.same)))
    table = faithfulness.compare(model, [XCos(model)], more, measures=["localisation"], runs=24)
    assert table.rows[0].pairs == 12


def test_command(pairs, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    encoded = []
    for first, second in zip(pairs.first, pairs.second, strict=True):
        for crop in (first, second):
            Image.fromarray(crop).save(tmp_path / "crop.png")
            encoded.append((tmp_path / "crop.png").read_bytes())
    data, page = tmp_path / "few.bin", tmp_path / "page.html"
    data.write_bytes(pickle.dumps((encoded, pairs.same.tolist())))
    arguments = ["compare-explanations", str(data), "-n", "4", "--methods", "XCos:map=cosine", "RandomMap:seed=3"]
    assert main([*arguments, "--json", "--html", str(page)]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [row["method"] for row in result["rows"]] == ["XCos:map=cosine", "RandomMap:seed=3"]
    assert page.read_text().startswith("<!doctype html>")
    for method, message in (("Nothing", "no method named 'Nothing'"), ("XCos:size=3", "XCos takes batch, map")):
        assert main(["compare-explanations", str(data), "-n", "4", "--methods", method]) == 2
        assert message in capsys.readouterr().err


def test_every_explainer_has_its_name_in_the_list():
    assert all(name in explainers.__all__ for name in explainers.METHODS)


def test_measures_take_a_model_by_name(model, pairs):
    explainer = CentreMap()
    by_name = faithfulness.deletion(model.name, explainer, pairs)
    assert np.array_equal(by_name.per_pair, faithfulness.deletion(model, CentreMap(model), pairs).per_pair)
    table = faithfulness.compare(None, [explainer], pairs, measures=["localisation"])
    assert table.model == model.name
