"""xcos.explainers.PatchEMD: flows against the core's (which test_transport.py holds to NumPy), maps, picture."""

import json

import numpy as np
import pytest

import xcos
from xcos import _core
from xcos.cli.explainers import explainers_of
from xcos.explainers import PatchEMD
from xcos.explainers.base import enlarge


@pytest.fixture(scope="module")
def model():
    return xcos.load(whole=0)


@pytest.fixture(scope="module")
def crops(model, photos):
    return model.crops([photos["obama_portrait_2012"], photos["obama_congress_2009"], photos["biden_blue_room_2010"]])


@pytest.mark.parametrize("weights", ["cross", "uniform"])
def test_flows_and_maps(model, crops, weights):
    method = PatchEMD(model, weights=weights)
    moved = method.flow(crops[[0, 0]], crops[[1, 2]], aligned=True)
    grids = model.features(crops, aligned=True).grid
    similarity, flow = _core.transport(grids[[0]], grids[[1, 2]], weights == "cross", flow=True)
    np.testing.assert_allclose(moved.similarity, similarity, atol=1e-5)
    np.testing.assert_allclose(moved.flow, flow, atol=1e-5)
    np.testing.assert_allclose(method.similarities(grids[[0]], grids[[1, 2]]), similarity, atol=1e-6)
    unit = grids / np.linalg.norm(grids, axis=1, keepdims=True)
    cosine = np.einsum("drc,dst->rcst", unit[0], unit[1]).reshape(49, 49)
    np.testing.assert_allclose(moved.first[0].ravel(), (flow[0] * cosine).sum(1), atol=1e-5)
    np.testing.assert_allclose(moved.second[0].ravel(), (flow[0] * cosine).sum(0), atol=1e-5)
    assert moved.similarity[0] > moved.similarity[1]  # one person, two people
    pair = method(crops[[0, 0]], crops[[1, 2]], aligned=True)
    np.testing.assert_allclose(pair.first, enlarge(moved.first, 112), atol=1e-6)
    np.testing.assert_allclose(
        pair.score, xcos.explainers.XCos(model)(crops[[0, 0]], crops[[1, 2]], aligned=True).score
    )


def test_the_result(model, crops):
    moved = PatchEMD(model).flow(crops[0], crops[1], aligned=True)
    assert repr(moved) == "CellFlow(1 pairs, 7 x 7 cells)" and len(moved) == 1
    found = json.loads(json.dumps(moved.to_dict()))
    np.testing.assert_allclose(found["flow"], moved.flow)
    strongest = moved.matches(count=5)
    assert [share for *_, share in strongest] == sorted(moved.flow.ravel().tolist(), reverse=True)[:5]
    assert all(moved.flow[0, i, j] == np.float32(share) for i, j, share in strongest)
    same = PatchEMD(model).flow(crops[0], crops[0], aligned=True)
    assert all(i == j for i, j, _ in same.matches(count=10))


def test_the_picture(model, crops):
    pytest.importorskip("matplotlib")
    moved = PatchEMD(model).flow(crops[0], crops[0], aligned=True)
    figure, axis = moved.plot(count=7)
    assert axis.get_figure() is figure and len(axis.lines) == 7
    first, second, _ = moved.matches(count=1)[0]
    x, y = axis.lines[0].get_data()
    assert x[1] - x[0] == 112 + 28 and y[0] == y[1]  # a cell, and the same one of the face beside
    assert (y[0], x[0]) == (first // 7 * 16 + 7.5, first % 7 * 16 + 7.5) and first == second


def test_it_is_named_on_the_command_line(model):
    method = PatchEMD(model, weights="uniform", regularization=0.1)
    assert method.name == "PatchEMD:weights=uniform,regularization=0.1"
    assert explainers_of(model, ["PatchEMD:weights=uniform,regularization=0.1"], "xcos", None) == [method]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weights": "sc"}, "weights is 'sc'; expected one of cross, uniform"),
        ({"regularization": 0.0}, "regularization is 0, expected 0.001 to 100"),
        ({"iterations": 0}, "0 iterations, expected 1 to"),
        ({"score": "cosine"}, "score is 'cosine'"),
    ],
)
def test_bad_settings(model, settings, message):
    with pytest.raises(ValueError, match=message):
        PatchEMD(model, **settings)


def test_bad_stacks(model, crops):
    with pytest.raises(ValueError, match="two stacks of one length, got 1 and 2"):
        PatchEMD(model).flow(crops[0], crops[1:], aligned=True)
    with pytest.raises(ValueError, match="which has a grid of cells"):
        PatchEMD(xcos.Network(model.file))
    with pytest.raises(TypeError, match="expected a Model, a name, a path or None, got object"):
        PatchEMD(object())
