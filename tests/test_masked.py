"""One picture through many masks: what layers share must change no result."""

import numpy as np
import plan_oracle
import pytest
from plans import plan

from xcos.plan.network import Network

SIDE = 26
RNG = np.random.default_rng(0)


def tensors():
    rng = np.random.default_rng(1)
    shapes = {
        "first": (16, 3, 3, 3), "deep": (16, 1, 3, 3), "wide": (48, 16, 1, 1), "down": (48, 1, 3, 3),
        "narrow": (16, 48, 1, 1), "far": (16, 16, 5, 5), "again": (48, 16, 1, 1), "deeper": (48, 1, 3, 3),
        "last": (16, 48, 1, 1), "full": (8, 16, 3, 3), "grey": (16, 1, 3, 3),
    }  # fmt: skip
    found = {name: rng.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape) for name, shape in shapes.items()}
    found |= {name: rng.normal(0, 1, shape[0]) for name, shape in {"s16": (16,), "s48": (48,)}.items()}
    found |= {"one": np.ones((1, 3, 1, 1)), "var": np.ones(16), "each": rng.normal(size=(1, 16, 13, 13))}
    return {name: value.astype(np.float32) for name, value in found.items()}


def conv(source, output, weight, **more):
    return {"op": "conv", "inputs": [source], "output": output, "weight": weight, **more}


def prelu(source, output, slope):
    return {"op": "prelu", "inputs": [source], "output": output, "slope": slope}


PADDED = {"pad": [1, 1, 1, 1]}
STEM = [conv("x", "c1", "first", stride=[2, 2], **PADDED), prelu("c1", "p1", "s16")]
BLOCK = [
    *STEM,
    conv("p1", "d1", "deep", groups=16, bias="s16", **PADDED),
    prelu("d1", "q1", "s16"),
    conv("q1", "w1", "wide"),
    conv("w1", "g1", "down", groups=48, stride=[2, 2], **PADDED),
    prelu("g1", "h1", "s48"),
    conv("h1", "n1", "narrow"),
    conv("n1", "w2", "again"),
    prelu("w2", "p2", "s48"),
    conv("p2", "d2", "deeper", groups=48, **PADDED),
    conv("d2", "n2", "last"),
    {"op": "add", "inputs": ["n1", "n2"], "output": "sum"},
]
NETWORKS = {
    "blocks": [*BLOCK, {"op": "relu", "inputs": ["sum"], "output": "y"}],
    "a sum that sees more than its convolution": [
        *STEM,
        conv("p1", "f", "far", pad=[2, 2, 2, 2]),
        conv("p1", "w", "wide"),
        conv("w", "n", "narrow"),
        {"op": "add", "inputs": ["f", "n"], "output": "s"},
        conv("s", "y", "deep", groups=16, **PADDED),
    ],
    "steps of single cells": [
        *STEM,
        {"op": "sigmoid", "inputs": ["p1"], "output": "a"},
        {"op": "mul", "inputs": ["a", "p1"], "output": "b"},
        {"op": "batch_norm", "inputs": ["b"], "output": "e", "gamma": "s16", "beta": "s16", "mean": "s16",
         "var": "var"},
        {"op": "mul", "inputs": ["e", "each"], "output": "m"},
        {"op": "sub", "inputs": ["b", "m"], "output": "y"},
    ],
    "layers that see the whole": [
        *BLOCK,
        {"op": "avg_pool", "inputs": ["sum"], "output": "pool", "kernel": [2, 2], "stride": [2, 2]},
        conv("pool", "y", "full", **PADDED),
    ],
    "pixels that are changed first": [{"op": "mul", "inputs": ["x", "one"], "output": "z"},
                                      conv("z", "y", "first", **PADDED)],
}  # fmt: skip


def masks():
    """Squares, random grey, two squares, nothing hidden, everything, a lone pixel."""
    found = np.ones((12, SIDE, SIDE), np.float32)
    for i in range(5):
        found[i, 4 * i : 4 * i + 6, 3 : 3 + 4 * i] = 0
    found[5] = RNG.random((SIDE, SIDE))
    found[6, :9, :9] = found[6, 15:, 13:] = 0
    found[8] = 0
    found[9, 13, 25] = 0.5
    found[10, 2:24, 2:24] = 0
    return found


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_same_as_pictures_one_by_one(name, threads):
    layers = NETWORKS[name]
    used = {value for layer in layers for value in (*layer.values(), *layer["inputs"]) if isinstance(value, str)}
    some = {key: value for key, value in tensors().items() if key in used}
    seen = ["y", "p1"] if layers[:2] == STEM else ["y"]
    file = plan(layers, some, [{"name": "x", "shape": [3, SIDE, SIDE]}], seen)
    network = Network(file)
    image, fill = RNG.normal(size=(2, 3, SIDE, SIDE)).astype(np.float32)
    through = masks()
    got = network.run_masked(image, fill, through, threads)
    blended = through[:, None] * image + (1 - through[:, None]) * fill
    want = plan_oracle.run(file, {"x": blended})
    alone = network.run(blended)
    assert set(got) == set(want) == set(seen)
    for output, value in got.items():
        np.testing.assert_allclose(value, want[output], atol=2e-5)
        np.testing.assert_array_equal(value, alone[output])  # in whichever company a pixel is computed


def test_a_picture_of_one_channel():
    file = plan([conv("x", "y", "grey", **PADDED)], {"grey": tensors()["grey"]}, [{"name": "x", "shape": [1, 9, 9]}])
    image, fill = RNG.normal(size=(2, 1, 9, 9)).astype(np.float32)
    through = (RNG.random((3, 9, 9)) < 0.5).astype(np.float32)
    blended = through[:, None] * image + (1 - through[:, None]) * fill
    got = Network(file).run_masked(image, fill, through)["y"]
    np.testing.assert_allclose(got, plan_oracle.run(file, {"x": blended})["y"], atol=1e-5)


def test_no_mask_gives_no_output():
    network = Network(plan(STEM, {"first": tensors()["first"], "s16": tensors()["s16"]},
                           [{"name": "x", "shape": [3, SIDE, SIDE]}], ["p1"]))  # fmt: skip
    image = np.zeros((3, SIDE, SIDE))
    assert network.run_masked(image, image, np.ones((0, SIDE, SIDE)))["p1"].shape == (0, 16, 13, 13)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": np.zeros((2, SIDE, SIDE)), "fill": np.zeros((2, SIDE, SIDE))}, "dimension 1 is 2, expected 3"),
        ({"fill": np.zeros((3, SIDE, 5))}, r"fill: expected shape \(3, 26, 26\), got \(3, 26, 5\)"),
        ({"masks": np.zeros((2, SIDE, 5))}, r"masks: expected shape \(2, 26, 26\), got \(2, 26, 5\)"),
        ({"masks": np.zeros((SIDE, SIDE))}, "masks: expected 3 dimensions"),
        ({"threads": 0}, "threads is 0"),
    ],
)
def test_arrays_that_do_not_fit(change, message):
    network = Network(plan(STEM, {"first": tensors()["first"], "s16": tensors()["s16"]},
                           [{"name": "x", "shape": [3, SIDE, SIDE]}], ["p1"]))  # fmt: skip
    good = {"image": np.zeros((3, SIDE, SIDE)), "fill": np.zeros((3, SIDE, SIDE)), "masks": np.zeros((2, SIDE, SIDE))}
    with pytest.raises(ValueError, match=message):
        network.run_masked(**{**good, **change})


def test_networks_of_other_inputs():
    two = plan([{"op": "add", "inputs": ["a", "b"]}], {}, [{"name": "a", "shape": [4]}, {"name": "b", "shape": [4]}])
    flat = plan([{"op": "relu", "inputs": ["x"]}], {}, [{"name": "x", "shape": [3]}])
    image = np.zeros((3, 4, 4))
    for file in (two, flat):
        with pytest.raises(ValueError, match="one input"):
            Network(file).run_masked(image, image, np.ones((1, 4, 4)))
