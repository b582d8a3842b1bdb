"""Products of bfloat16 and of 8-bit integers, where the caller asks: against PyTorch's and a NumPy twin's rounding."""

import pickle

import numpy as np
import plan_oracle
import pytest
import torch
from plans import plan

import xcos
from xcos import _core
from xcos.errors import ModelFileError
from xcos.plan.network import Network

# Instruction sets whose processors may have such products. Plain C needs nothing of a processor.
ABLE = {"avx512", "generic"}


def network(file, precision):
    """A network of the precision, or a skip where the kernels in force have none."""
    try:
        return Network(file, precision=precision)
    except ModelFileError as error:
        assert "takes a processor with" in str(error)
        if _core.isa() == "generic":
            raise
        pytest.skip(str(error))


def rounded(x, precision, axis):
    """What is multiplied: bfloat16 by PyTorch, or integers with a scale for all that lies along `axis`."""
    if precision == "bf16":
        return torch.from_numpy(x).to(torch.bfloat16).double().numpy()
    scale = np.abs(x).max(axis, keepdims=True) / np.float32(127)
    return np.rint(x.astype(np.float64) / scale) * scale


def pointwise(rng, inside, outside, size):
    """1 x 1 convolution, batch norm, residual sum, PReLU, as networks have them; and the number of its products."""
    layers = [
        {"op": "conv", "weight": "w", "bias": "b", "output": "c"},
        {"op": "batch_norm", "inputs": ["c"], "output": "n", "gamma": "g", "beta": "t", "mean": "m", "var": "v"},
        {"op": "add", "inputs": ["n", "r"], "output": "s"},
        {"op": "prelu", "inputs": ["s"], "slope": "a"},
    ]
    tensors = {name: rng.standard_normal(outside).astype(np.float32) for name in "bgtma"}
    tensors["w"] = rng.standard_normal((outside, inside, 1, 1)).astype(np.float32) / np.float32(np.sqrt(inside))
    tensors["v"] = rng.uniform(0.5, 2, outside).astype(np.float32)
    shapes = [{"name": "x", "shape": [inside, *size]}, {"name": "r", "shape": [outside, *size]}]
    return plan(layers, tensors, shapes)


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_pointwise_convolutions_are_those_of_the_twin(precision, isa):
    rng = np.random.default_rng(3)
    for inside, outside, size in ((64, 128, (9, 11)), (5, 3, (4, 4)), (130, 70, (1, 3)), (33, 65, (13, 2))):
        file = pointwise(rng, inside, outside, size)
        net = network(file, precision)
        x = rng.standard_normal((3, inside, *size)).astype(np.float32)
        r = rng.standard_normal((3, outside, *size)).astype(np.float32)
        # The batch norm's factors are within the weights before these are rounded.
        factor = file.tensors["g"] / np.sqrt(file.tensors["v"].astype(np.float64) + 1e-5)
        folded = (file.tensors["w"] * factor[:, None, None, None]).astype(np.float32)
        weights = rounded(folded, precision, (1, 2, 3)) / factor[:, None, None, None]
        twin = plan(file.layers, {**file.tensors, "w": weights.astype(np.float32)}, file.inputs)
        want = plan_oracle.run(twin, {"x": rounded(x, precision, 1), "r": r})["y"]
        got = net.run({"x": x, "r": r}, threads=1)["y"]
        np.testing.assert_allclose(got, want, atol=2e-5 if precision == "bf16" else 2e-3)
        assert np.sqrt(np.mean((got - want) ** 2)) < 2e-5
        exact = plan_oracle.run(file, {"x": x, "r": r})["y"]
        assert 1e-4 < np.sqrt(np.mean((got - exact) ** 2)) < 2e-2  # it is what was asked for, and no worse
        np.testing.assert_array_equal(net.run({"x": x, "r": r}, threads=2)["y"], got)
        np.testing.assert_array_equal(net.run({"x": x[2:], "r": r[2:]})["y"], got[2:])


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_fully_connected_layers_are_those_of_the_twin(precision, isa):
    rng = np.random.default_rng(4)
    w, b = rng.standard_normal((37, 1000)).astype(np.float32), rng.standard_normal(37).astype(np.float32)
    file = plan([{"op": "linear", "weight": "w", "bias": "b"}], {"w": w, "b": b}, [{"name": "x", "shape": [1000]}])
    x = rng.standard_normal((17, 1000)).astype(np.float32)
    want = rounded(x, precision, 1) @ rounded(w, precision, 1).T + b
    np.testing.assert_allclose(network(file, precision).run(x)["y"], want, atol=1e-3)


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_other_convolutions_stay_as_they_are(precision, isa):
    rng = np.random.default_rng(5)
    w = rng.standard_normal((32, 16, 3, 3)).astype(np.float32)
    file = plan([{"op": "conv", "weight": "w", "pad": [1, 1, 1, 1]}], {"w": w}, [{"name": "x", "shape": [16, 9, 9]}])
    x = rng.standard_normal((2, 16, 9, 9)).astype(np.float32)
    np.testing.assert_array_equal(network(file, precision).run(x)["y"], Network(file).run(x)["y"])


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_what_is_no_number_stays_none(precision, isa):
    file = plan([{"op": "linear", "weight": "w"}], {"w": np.ones((2, 40), np.float32)}, [{"name": "x", "shape": [40]}])
    x = np.ones((3, 40), np.float32)
    x[0, 7], x[1, 8] = np.nan, np.inf
    got = network(file, precision).run(x)["y"]
    assert np.isnan(got[0]).all() and not np.isfinite(got[1]).any() and np.isfinite(got[2]).all()


def test_kernels_without_such_products_say_so(isa):
    file = plan([{"op": "relu"}])
    if isa not in ABLE:
        for precision, needed in (("bf16", "AVX512-BF16"), ("int8", "AVX512-VNNI")):
            with pytest.raises(ModelFileError, match=f"precision '{precision}' takes a processor with {needed}.*{isa}"):
                Network(file, precision=precision)
    with pytest.raises(ModelFileError, match="precision is 'fp8', expected fp32, bf16 or int8"):
        Network(file, precision="fp8")


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_a_model_of_a_precision(precision, photos):
    network(plan([{"op": "relu"}]), precision)  # or a skip
    model, exact = xcos.load(precision=precision), xcos.load()
    assert model is xcos.load(precision=precision) and exact.precision == "fp32" and model.precision == precision
    assert precision in repr(model) and precision not in repr(exact)
    assert model.with_whole(1).precision == pickle.loads(pickle.dumps(model)).precision == precision
    got, want = model.features(list(photos.values())), exact.features(list(photos.values()))
    cosine = (got.embedding * want.embedding).sum(1)
    cosine /= np.linalg.norm(got.embedding, axis=1) * np.linalg.norm(want.embedding, axis=1)
    assert 0.99 < cosine.min() and cosine.max() < 1 - 1e-7
    names = list(photos.values())
    for other, same in zip(names[1:], (True, True, False), strict=True):
        assert model.verify(names[0], other).same is same


def test_features_kept_of_one_precision_are_not_taken_for_another_s(photos, tmp_path):
    network(plan([{"op": "relu"}]), "int8")  # or a skip
    names = list(photos.values())
    four = np.array([0, 1, 0, 2]), np.array([1, 2, 3, 3]), np.array([True, True, False, False])
    pairs = xcos.datasets.Pairs("four", names, [path.name for path in names], *four, folds=2, aligned=False)
    scores = [xcos.evaluate(xcos.load(precision=p), pairs, cache=tmp_path).scores for p in ("fp32", "int8")]
    assert np.abs(scores[0] - scores[1]).max() > 1e-5
    np.testing.assert_allclose(scores[1], xcos.evaluate(xcos.load(precision="int8"), pairs).scores, atol=1e-6)
