"""Explainers against NumPy, SciPy, PyTorch, and arithmetic on paper (tiny_network.py)."""

import dataclasses
import json

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from tiny_network import NUMBERS, Tiny

import xcos
from xcos import _core
from xcos.cli.explainers import explainers_of
from xcos.explainers import (
    FGGB,
    METHODS,
    CellCosine,
    CorrRISE,
    GradCAM,
    HeadDecomposition,
    MinPlus,
    OcclusionMap,
    XCos,
    xSSAB,
)
from xcos.explainers.base import enlarge
from xcos.explainers.scoring import Scorer
from xcos.recognition.shipped import model_path

CHEAP = {"CorrRISE": {"masks": 4}, "OcclusionMap": {"sizes": (56,), "stride": 28}, "MinPlus": {"stride": 56},
         "FGGB": {"chunk": 64}}  # fmt: skip


@pytest.fixture(scope="module")
def model():
    """Of the cells alone."""
    return xcos.load(whole=0)


@pytest.fixture(scope="module")
def crops(model, photos):
    return model.crops([photos["obama_portrait_2012"], photos["obama_congress_2009"], photos["biden_blue_room_2010"]])


@pytest.fixture(scope="module")
def tiny():
    return Tiny()


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def score_of(model, a, b):
    seen = model.features(np.concatenate([a, b]), aligned=True)
    return model.compare(seen[: len(a)], seen[len(a) :], maps=False).score


# ------------------------------------------------------------------------------------------------ parts


def test_masks_are_applied_as_in_numpy():
    rng = np.random.default_rng(0)
    images, fills = rng.normal(size=(2, 2, 3, 9, 11)).astype(np.float32)
    masks, which = rng.random((7, 9, 11)).astype(np.float32), rng.integers(0, 2, 7)
    masks[0], masks[1] = 0, 1
    got = _core.mask_blend(images, fills, masks, which, threads=3)
    np.testing.assert_allclose(got, masks[:, None] * images[which] + (1 - masks[:, None]) * fills[which], atol=1e-6)
    np.testing.assert_array_equal(got[0], fills[which[0]])
    np.testing.assert_array_equal(got[1], images[which[1]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"which": [0, 2]}, r"which\[1\] is 2; there are 2"),
        ({"which": [0, -1]}, r"which\[1\] is -1"),
        ({"which": [0]}, "one per mask"),
        ({"masks": np.zeros((2, 4, 6))}, r"masks: expected \(M, 4, 5\)"),
        ({"fills": np.zeros((1, 3, 4, 5))}, "fills: expected the shape"),
        ({"images": np.zeros((3, 4, 5))}, "images: expected 4 dimensions"),
    ],
)
def test_masks_that_do_not_fit(change, message):
    good = {"images": np.zeros((2, 3, 4, 5)), "fills": np.zeros((2, 3, 4, 5)), "masks": np.zeros((2, 4, 5)),
            "which": [0, 1]}  # fmt: skip
    assert _core.mask_blend(**good).shape == (2, 3, 4, 5)
    with pytest.raises(ValueError, match=message):
        _core.mask_blend(**{**good, **change})


def test_enlarging_is_bilinear():
    torch = pytest.importorskip("torch")
    maps = np.random.default_rng(0).normal(size=(3, 7, 7)).astype(np.float32)
    want = torch.nn.functional.interpolate(torch.from_numpy(maps)[None], size=(112, 112), mode="bilinear")[0].numpy()
    np.testing.assert_allclose(enlarge(maps, 112), want, atol=1e-5)


def test_fills(model, crops):
    scorer = Scorer(model, "xcos")
    pre = model.file.preprocess
    mean, scale = np.array(pre["mean"])[::-1], np.array(pre["scale"])[::-1]  # BGR

    def pixels(x):
        return x[:, ::-1].transpose(0, 2, 3, 1) / scale + mean

    assert np.abs(pixels(scorer.fills(crops, "black"))).max() < 1e-4
    want = np.broadcast_to(crops.mean((1, 2), keepdims=True), crops.shape)
    assert np.abs(pixels(scorer.fills(crops, "mean")) - want).max() <= 0.5001
    blurred = gaussian_filter(crops.astype(float), (0, 10, 10, 0), mode="nearest")
    np.testing.assert_allclose(pixels(scorer.fills(crops, "blur")), blurred, atol=0.02)
    with pytest.raises(ValueError, match="'white'; expected one of black, mean, blur"):
        scorer.fills(crops, "white")


# ------------------------------------------------------------------------------------------------ methods


def test_native_maps_are_those_of_the_explanation(model, crops):
    want = model.explain(crops[0], crops[1], aligned=True)
    pair = XCos(model)(crops[0], crops[1], aligned=True)
    np.testing.assert_allclose(pair.first[0], enlarge(want.contribution[None], 112)[0], atol=1e-6)
    np.testing.assert_array_equal(pair.first, pair.second)
    assert pair.score[0] == pytest.approx(want.score, abs=1e-6)
    cosine = XCos(model, map="cosine")(crops[0], crops[1], aligned=True)
    np.testing.assert_allclose(cosine.first[0], enlarge(want.cosine_map[None], 112)[0], atol=1e-6)


@pytest.fixture(scope="module")
def mixed(model):
    """The model with a score three tenths of which is the whole face's."""
    return model.with_whole(0.3, threshold=0.25)


def test_the_whole_face_is_in_the_score_and_in_no_map(model, mixed, crops):
    want = mixed.explain(crops[0], crops[1], aligned=True)
    pair = XCos(mixed)(crops[0], crops[1], aligned=True)
    assert pair.score[0] == pytest.approx(want.score, abs=1e-6)
    np.testing.assert_allclose(pair.first[0], enlarge(want.contribution[None], 112)[0], atol=1e-6)
    np.testing.assert_allclose(pair.first, 0.7 * XCos(model)(crops[0], crops[1], aligned=True).first, atol=1e-6)


def test_black_boxes_see_the_whole_score(mixed, crops):
    pair = CorrRISE(mixed, masks=4)(crops[[0, 0]], crops[[1, 2]], aligned=True)
    np.testing.assert_allclose(pair.score, score_of(mixed, crops[[0, 0]], crops[[1, 2]]), atol=1e-5)
    scorer = Scorer(mixed, "xcos")
    inputs = scorer.inputs(crops[:2])
    seen, (a, b) = scorer.features(inputs), (mixed.features(crops[i], aligned=True) for i in range(2))
    grid, whole = scorer.split(seen)
    np.testing.assert_allclose(grid, np.concatenate([a.grid, b.grid]), atol=1e-5)
    np.testing.assert_allclose(whole, np.concatenate([a.embedding, b.embedding]), atol=1e-5)
    hidden = scorer.through(np.zeros((1, 112, 112)), inputs[:1], inputs[:1], seen[1:], 0)  # hidden behind itself
    assert hidden[0] == pytest.approx(mixed.compare(a, b).score[0], abs=1e-5)


def test_decomposition_is_exact(model, crops):
    a, b = crops[[0, 0]], crops[[1, 2]]
    got = HeadDecomposition(model).split(a, b)
    seen = model.features(np.concatenate([a, b]), aligned=True)
    want = model.compare(seen[:2], seen[2:]).cosine
    for total in (got.cosine, got.first.sum((1, 2)), got.second.sum((1, 2)), got.pairs.sum((1, 2))):
        np.testing.assert_allclose(total, want, atol=1e-5)
    np.testing.assert_allclose(got.pairs.sum(1).reshape(got.second.shape), got.second, atol=1e-9)


def test_decomposition_through_batch_norm_and_bias(tiny, crops):
    got = HeadDecomposition(tiny.network()).split(crops[:1], crops[1:2])
    maps, embeddings, _ = tiny.run(crops[:2])
    alone = np.einsum("koyx,noyx->nyxk", tiny.by_map(), maps).reshape(2, 49, NUMBERS)
    shares = alone + tiny.tail(np.zeros_like(maps[:1])) / 49
    norms = np.linalg.norm(embeddings, axis=1).prod()
    np.testing.assert_allclose(got.pairs[0], shares[0] @ shares[1].T / norms, atol=1e-5)
    np.testing.assert_allclose(got.first[0].ravel(), shares[0] @ embeddings[1] / norms, atol=1e-5)


def test_cell_cosines(tiny, crops):
    maps, *_ = tiny.run(crops[:2])
    want = (unit(maps[0].transpose(1, 2, 0)) * unit(maps[1].transpose(1, 2, 0))).sum(-1)
    pair = CellCosine(tiny.network())(crops[0], crops[1], aligned=True)
    np.testing.assert_allclose(pair.first[0], enlarge(want[None], 112)[0], atol=1e-4)


def test_no_linear_end():
    file = Tiny().file()
    layers = [*file.layers, {"op": "relu", "inputs": ["embedding"], "output": "last"}]
    net = xcos.Network(dataclasses.replace(file, layers=layers, outputs=["last"]))
    with pytest.raises(ValueError, match="expected linear layers between a last map"):
        HeadDecomposition(net)(np.zeros((112, 112, 3), np.uint8), np.zeros((112, 112, 3), np.uint8), aligned=True)


def test_occlusion_against_blackened_pictures(model, crops):
    a, b = crops[:1], crops[1:2]
    got = OcclusionMap(model, sizes=(56, 40), stride=30)(a, b, aligned=True)
    clean = score_of(model, a, b)[0]
    want = []
    for size in (56, 40):
        total, count = np.zeros((112, 112)), np.zeros((112, 112))
        for top in range(0, 112 - size, 30):
            for left in range(0, 112 - size, 30):
                hidden = b.copy()
                hidden[:, top : top + size, left : left + size] = 0
                total[top : top + size, left : left + size] += clean - score_of(model, a, hidden)[0]
                count[top : top + size, left : left + size] += 1
        want.append(total / np.maximum(count, 1))
    np.testing.assert_allclose(got.second[0], np.mean(want, 0), atol=1e-5)
    assert OcclusionMap(model).passes == 2262  # 2,260 of the method, and the two clean ones


def test_correlation_of_masks_and_scores(model, crops):
    explainer = CorrRISE(model, masks=12, seed=5)
    masks = explainer._masks
    assert masks.shape == (12, 112, 112) and set(np.unique(masks)) == {0, 1}
    assert np.all((1 - masks).sum((1, 2)) <= 3 * 30 * 30) and np.all((1 - masks).sum((1, 2)) >= 30 * 30)
    pair = explainer(crops[0], crops[2], aligned=True)
    hidden = (crops[:1] * masks[..., None]).astype(np.uint8)
    scores = score_of(model, hidden, crops[[2] * 12])
    for y, x in ((40, 50), (70, 30), (90, 100), (56, 56)):
        if np.ptp(masks[:, y, x]):
            assert pair.first[0, y, x] == pytest.approx(np.corrcoef(masks[:, y, x], scores)[0, 1], abs=1e-3)
        else:
            assert pair.first[0, y, x] == 0


def test_grid_masks_are_soft_and_half_open(model):
    masks = CorrRISE(model, masks=300, shape="grid")._masks
    assert masks.shape == (300, 112, 112) and 0 <= masks.min() and masks.max() <= 1
    assert abs(masks.mean() - 0.5) < 0.02 and len(np.unique(masks)) > 10


def test_removal_and_aggregation(model, crops):
    explainer = MinPlus(model, stride=56, sigma=20.0)
    pair = explainer(crops[0], crops[1], aligned=True)
    y, x = np.mgrid[:112, :112]
    bells = np.stack([np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 800) for cy in (27.5, 83.5) for cx in (27.5, 83.5)])
    scorer = Scorer(model, "xcos")
    inputs, black = scorer.inputs(crops), scorer.inputs(np.zeros_like(crops[:1]))
    other = scorer.features(inputs[1:2])

    def scores(masks):
        seen = [scorer.features((m * inputs[:1] + (1 - m) * black).astype(np.float32)) for m in masks]
        return np.array([scorer.compare(one, other)[0] for one in seen])

    clean = scores([np.ones((112, 112))])[0]
    parts = [clean - scores(1 - bells), scores(bells) - scores([np.zeros((112, 112))])]
    maps = [np.tensordot(part, bells, 1) / bells.sum(0) for part in parts]
    want = np.mean([m / np.abs(m).max() for m in maps], axis=0)
    np.testing.assert_allclose(pair.first[0], want, atol=2e-3)


# ------------------------------------------------------------------------------------------------ gradients


@pytest.fixture
def twin():
    pytest.importorskip("torch")
    return pytest.importorskip("xcos.twin.network")


def by_embedding(e, f):
    """Derivative of cos(e, f) by e."""
    return (unit(f) - unit(e) * (unit(e) @ unit(f))) / np.linalg.norm(e)


def test_grad_cam_on_paper(twin, tiny, crops):
    maps, (e, f), _ = tiny.run(crops[:2])
    slope = np.tensordot(by_embedding(e, f), tiny.by_map(), 1)
    want = (slope.mean((1, 2), keepdims=True) * maps[0]).sum(0)
    pair = GradCAM(tiny.network())(crops[0], crops[1], aligned=True)
    np.testing.assert_allclose(pair.first[0], enlarge(want[None], 112)[0], rtol=1e-3, atol=1e-6)
    positive = GradCAM(tiny.network(), relu=True)(crops[0], crops[1], aligned=True)
    np.testing.assert_allclose(positive.first[0], enlarge(np.maximum(want, 0)[None], 112)[0], rtol=1e-3, atol=1e-6)


def test_grad_cam_of_xcos_against_differences_of_the_engine(twin, model, crops):
    grids = model.features(crops[:2], aligned=True).grid
    channels, cells = grids.shape[1], grids[0, 0].size
    step = 0.02 * np.abs(grids).mean()
    moved = np.eye(channels, dtype=np.float32)[:, :, None, None] * np.float32(step)
    other = np.repeat(grids[1:], channels, axis=0)
    up, down = (model._head.compare(grids[:1] + s * moved, other, maps=False)[0] for s in (1, -1))
    weights = (up - down).astype(float) / (2 * step * cells)  # all cells moved at once: their mean slope
    want = enlarge(np.tensordot(weights, grids[0], 1)[None], 112)[0]
    pair = GradCAM(model, score="xcos")(crops[0], crops[1], aligned=True)
    assert pair.target == "xcos" and pair.score[0] == score_of(model, crops[:1], crops[1:2])[0]
    np.testing.assert_allclose(pair.first[0], want, atol=0.03 * np.abs(want).max())


def test_grad_cam_knows_of_the_whole(twin, model, mixed, crops):
    pair = GradCAM(mixed, score="xcos")(crops[0], crops[1], aligned=True)
    assert pair.score[0] == pytest.approx(score_of(mixed, crops[:1], crops[1:2])[0], abs=1e-5)
    plain = GradCAM(model, score="xcos")(crops[0], crops[1], aligned=True)
    np.testing.assert_allclose(pair.first, 0.7 * plain.first, atol=1e-3 * np.abs(plain.first).max())


def test_xssab_on_paper(twin, tiny, crops):
    _, (e, f), steepness = tiny.run(crops[:2])
    by_input = tiny.by_input(steepness[0])
    support = unit(e) * unit(f) >= 0.1 / NUMBERS
    strengths = []
    for chosen in (support, ~support):
        weights = np.where(chosen, unit(f), 0)  # e's direction weighted, f fixed
        slope = (weights - unit(e) * (unit(e) @ weights)) / np.linalg.norm(e)
        strengths.append(np.abs(np.tensordot(slope, by_input, 1)).mean(0))
    pair = xSSAB(tiny.network())(crops[0], crops[1], aligned=True)
    np.testing.assert_allclose(pair.first[0], strengths[0] - strengths[1], rtol=1e-3, atol=1e-7)


def test_fggb_on_paper(twin, tiny, crops):
    _, (e, f), steepness = tiny.run(crops[:2])
    strength = np.abs(tiny.by_input(steepness[0])).mean(1)
    strength /= strength.sum((1, 2), keepdims=True)
    want = np.tensordot(unit(e) * unit(f) - 0.3 / NUMBERS, strength, 1)
    explainer = FGGB(tiny.network(), threshold=0.3, chunk=4)
    np.testing.assert_allclose(explainer(crops[0], crops[1], aligned=True).first[0], want, rtol=1e-3, atol=1e-8)
    assert explainer.passes == 2 + 2 * NUMBERS


def test_a_twin_that_disagrees_is_refused(twin, tiny, crops):
    explainer = GradCAM(tiny.network())
    explainer._twin.tensor("w2").data *= -1
    explainer._twin.tensor("b2").data += 3
    with pytest.raises(RuntimeError, match="differ from the engine's"):
        explainer(crops[0], crops[1], aligned=True)


# ------------------------------------------------------------------------------------------------ form


@pytest.mark.parametrize("name", [name for name in METHODS if name != "FGGB"])
def test_every_method_on_a_stack(name, model, crops):
    explainer = METHODS[name](model, **CHEAP.get(name, {}))
    if name in ("GradCAM", "xSSAB"):
        pytest.importorskip("torch")
        pytest.importorskip("xcos.twin.network")
    pair = explainer(crops[[0, 0]], crops[[1, 2]], aligned=True)
    assert len(pair) == 2 and pair.first.shape == pair.second.shape == (2, 112, 112)
    assert pair.first.dtype == np.float32 and np.isfinite(pair.first).all() and np.isfinite(pair.second).all()
    assert pair.score[0] > pair.score[1]
    assert pair.method == explainer.name and pair.target == explainer.target and pair.seconds > 0
    assert json.loads(json.dumps(pair[1].to_dict()))["score"] == pytest.approx([float(pair.score[1])])


@pytest.mark.parametrize("name", ["XCos", "CorrRISE", "xSSAB"])
def test_one_side_alone_is_the_same(name, model, crops):
    if name == "xSSAB":
        pytest.importorskip("torch")
    explainer = METHODS[name](model, **CHEAP.get(name, {}))
    pair = explainer(crops[[0, 0]], crops[[1, 2]], aligned=True)
    for which, maps in enumerate((pair.first, pair.second)):
        alone = explainer.side(which, crops[[0, 0]], crops[[1, 2]])
        np.testing.assert_allclose(alone, maps, atol=1e-5 * np.abs(maps).max())


def test_names_hold_the_choices(model):
    assert CorrRISE(model, masks=500, fill="black", score="cosine", batch=7, threads=1).name == "CorrRISE"
    assert CorrRISE(model, shape="grid", fill="blur").name == "CorrRISE:fill=blur,shape=grid"
    assert XCos(model, map="cosine").name == "XCos:map=cosine"
    assert len({CorrRISE(model, masks=masks).name for masks in (2, 40)}) == 2


@pytest.mark.parametrize(
    "explainer",
    [
        lambda m: CorrRISE(m, masks=40, fill="mean", seed=3),
        lambda m: OcclusionMap(m, sizes=[56, 40], stride=28),
        lambda m: OcclusionMap(m, sizes=[56]),
        lambda m: MinPlus(m, stride=56, sigma=7.5),
        lambda m: METHODS["GradCAM"](m, relu=True),
        lambda m: METHODS["FGGB"](m, threshold=0.25),
    ],
)
def test_a_name_makes_its_explainer_again(explainer, model):
    made = explainer(model)
    (again,) = explainers_of(model, [made.name], made.target, None)
    assert again == made and again.name == made.name != type(made).__name__


def test_sizes_are_any_sequence(model, crops):
    one, *others = (OcclusionMap(model, sizes=sizes, stride=28) for sizes in ((56,), [56], 56))
    expected = one(crops[0], crops[1], aligned=True).first
    for other in others:
        np.testing.assert_array_equal(other(crops[0], crops[1], aligned=True).first, expected)


def test_black_boxes_take_either_score_and_networks_without_head(model, tiny, crops):
    few = {"masks": 3}
    plain = CorrRISE(model, score="cosine", **few)(crops[0], crops[1], aligned=True)
    seen = model.features(crops[:2], aligned=True)
    assert plain.score[0] == pytest.approx(model.compare(seen[0], seen[1]).cosine[0], abs=1e-5)
    assert len(CorrRISE(tiny.network(), score="cosine", **few)(crops[0], crops[1], aligned=True)) == 1
    with pytest.raises(ValueError, match="without an xCos head has the score 'cosine' alone"):
        CorrRISE(tiny.network(), score="xcos", **few)(crops[0], crops[1], aligned=True)


def test_by_default_the_model_s_own_score_is_explained(model, tiny):
    """That of ``xcos.verify``, wherever the method can; a network without a head has the plain cosine alone."""
    targets = {name: METHODS[name](model).target for name in METHODS}
    assert {name for name, target in targets.items() if target == "cosine"} == {
        "HeadDecomposition", "CellCosine", "xSSAB", "FGGB",
    }  # fmt: skip
    assert CorrRISE(tiny.network()).target == GradCAM(tiny.network()).target == "cosine"
    assert GradCAM(model, score="cosine").target == "cosine"


def test_results_are_the_same_for_every_batch(model, crops):
    one, other = (CorrRISE(model, masks=8, batch=b)(crops[0], crops[1], aligned=True) for b in (3, 32))
    np.testing.assert_allclose(one.first, other.first, atol=1e-4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda m: HeadDecomposition(m, score="xcos"), "score is 'xcos'; expected 'cosine'"),
        (lambda m: XCos(m, map="attention"), "expected one of contribution, cosine"),
        (lambda m: CorrRISE(m, fill="white"), "fill is 'white'"),
        (lambda m: CorrRISE(m, shape="stars"), "expected patches or grid"),
        (lambda m: CorrRISE(m, masks=1), "masks=1"),
        (lambda m: OcclusionMap(m, sizes=(112,)), "expected sizes in 1..111"),
        (lambda m: OcclusionMap(m, sizes="7"), "expected sizes in 1..111"),
        (lambda m: MinPlus(m, sigma=0), "sigma above 0"),
        (lambda m: XCos(m, batch=0), "batch is 0"),
    ],
)
def test_bad_parameters(make, message, model):
    with pytest.raises(ValueError, match=message):
        make(model)


def test_two_stacks_of_one_length(model, crops):
    with pytest.raises(ValueError, match="two stacks of one length, got 2 and 3"):
        XCos(model)(crops[:2], crops, aligned=True)


def test_progress_and_files(model, crops, tmp_path):
    pytest.importorskip("matplotlib")
    seen = []
    pair = CorrRISE(model, masks=2)(crops[:2], crops[1:], aligned=True, progress=lambda *done: seen.append(done))
    assert seen == [(1, 2), (2, 2)]
    for suffix in ("png", "json", "npz"):
        pair.save(tmp_path / f"maps.{suffix}")
    with np.load(tmp_path / "maps.npz") as arrays:
        np.testing.assert_array_equal(arrays["first"], pair.first)
    assert (tmp_path / "maps.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="expected a name that ends in"):
        pair.save(tmp_path / "maps.txt")
    figure, axes = pair.plot(1)
    assert len(axes) == 2
    from matplotlib import pyplot

    pyplot.close(figure)


def test_a_model_may_be_none_a_name_or_a_path(crops):
    model = xcos.load()
    expected = XCos(model)(crops[0], crops[1], aligned=True).first
    for given in (None, model.name, model_path(model.name)):
        explainer = XCos(given)
        assert isinstance(explainer.model, xcos.Model)
        assert np.array_equal(explainer(crops[0], crops[1], aligned=True).first, expected)
    with pytest.raises(xcos.ModelFileError, match="no model named 'nobody'"):
        XCos("nobody")
