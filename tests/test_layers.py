"""Each layer of the core, alone and beside others, against the NumPy interpreter of plans and PyTorch."""

import numpy as np
import plan_oracle
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plans import check, plan

from xcos import _core
from xcos.errors import ModelFileError
from xcos.plan.file import ModelFile
from xcos.plan.network import Network

ALGORITHMS = (None, "tiles", "columns", "winograd4", "winograd2")  # None: the core's own choice


def random_conv(rng, depthwise):
    kernel = [int(k) for k in rng.choice([1, 2, 3, 5, 7], 2, p=[0.2, 0.1, 0.5, 0.1, 0.1])]
    if rng.random() < 0.5:
        kernel[1] = kernel[0]
    groups = int(rng.choice([1, 1, 1, 2, 3]))
    inside, outside = groups * int(rng.integers(1, 24)), groups * int(rng.integers(1, 40))
    if depthwise:
        groups = inside
        outside = inside * int(rng.choice([1, 1, 2]))
    dilation = [int(d) for d in rng.choice([1, 1, 1, 2, 3], 2)]
    layer = {
        "op": "conv",
        "weight": "w",
        "stride": [int(s) for s in rng.choice([1, 1, 2, 3], 2)],
        "pad": [int(rng.integers(0, kernel[side % 2] + 1)) for side in range(4)],
        "dilation": dilation,
        "groups": groups,
    }
    size = [dilation[axis] * (kernel[axis] - 1) + 1 + int(rng.integers(0, 16 << axis)) for axis in range(2)]
    tensors = {"w": rng.standard_normal((outside, inside // groups, *kernel)).astype(np.float32)}
    tensors["w"] /= np.float32(np.sqrt(tensors["w"][0].size))
    if rng.random() < 0.6:
        layer["bias"] = "b"
        tensors["b"] = rng.standard_normal(outside).astype(np.float32)
    return layer, tensors, (inside, *size)


@pytest.fixture
def convolved(algorithm):
    """Convolutions by one algorithm, wherever it fits."""
    _core.conv_select(algorithm)
    yield algorithm
    _core.conv_select(None)


@pytest.mark.parametrize("depthwise", [False, True], ids=["dense", "depthwise"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_conv(convolved, depthwise, isa):
    """Random kernels, strides, dilations, groups, asymmetric pads, odd sizes; PyTorch is a second oracle."""
    rng = np.random.default_rng([5, depthwise, len(convolved or "")])
    for _ in range(20):
        layer, tensors, shape = random_conv(rng, depthwise)
        file = plan([layer], tensors, [{"name": "x", "shape": list(shape)}])
        x = rng.standard_normal((int(rng.integers(1, 4)), *shape)).astype(np.float32)
        check(file, {"x": x})
        top, left, bottom, right = layer["pad"]
        expected = torch.nn.functional.conv2d(
            torch.nn.functional.pad(torch.from_numpy(x), (left, right, top, bottom)),
            torch.from_numpy(tensors["w"]),
            torch.from_numpy(tensors["b"]) if "b" in tensors else None,
            layer["stride"],
            0,
            layer["dilation"],
            layer["groups"],
        )
        np.testing.assert_allclose(Network(file).run(x)["y"], expected.numpy(), atol=1e-5)


def test_narrow_convolutions_of_one_value(isa):
    """Heads of a detector, which the core computes together where nothing rides along with them."""
    rng = np.random.default_rng(12)
    layers, tensors = [{"op": "max_pool", "kernel": [1, 1], "output": "p"}], {}
    for head, outputs in enumerate((1, 4, 1, 10, 7, 3)):
        tensors[f"w{head}"] = rng.standard_normal((outputs, 9, 1, 1)).astype(np.float32)
        tensors[f"d{head}"] = rng.standard_normal((outputs, 1, 3, 3)).astype(np.float32)
        conv = {"op": "conv", "weight": f"w{head}", "inputs": ["p"], "output": f"c{head}"}
        if head % 2:
            tensors[f"b{head}"] = rng.standard_normal(outputs).astype(np.float32)
            conv["bias"] = f"b{head}"
        layers.append(conv)
        if head == 2:
            layers.append({"op": "relu", "inputs": ["c2"], "output": "r2"})
        source = "r2" if head == 2 else f"c{head}"
        deep = {"op": "conv", "weight": f"d{head}", "groups": outputs, "pad": [1, 1, 1, 1], "output": f"y{head}"}
        layers.append({**deep, "inputs": [source]})
    outputs = [*(f"y{head}" for head in range(6)), "c4"]
    file = plan(layers, tensors, [{"name": "x", "shape": [9, 6, 21]}], outputs)
    check(file, {"x": rng.standard_normal((3, 9, 6, 21)).astype(np.float32)})


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_conv_with_neighbours(convolved, isa):
    """Batch norms before and after, activations, and a residual sum: what the core fuses."""
    rng = np.random.default_rng(11)
    for channels, size in ((8, 7), (16, 14), (33, 9), (64, 5)):
        tensors = {"w": rng.standard_normal((channels, channels, 3, 3)).astype(np.float32) / (3 * channels**0.5)}
        for prefix in "ab":
            tensors |= {
                f"{prefix}g": rng.uniform(0.5, 1.5, channels).astype(np.float32),
                f"{prefix}b": rng.uniform(-1, 1, channels).astype(np.float32),
                f"{prefix}m": rng.uniform(-1, 1, channels).astype(np.float32),
                f"{prefix}v": rng.uniform(0.5, 1.5, channels).astype(np.float32),
            }
        tensors["s"] = rng.uniform(-0.5, 0.5, channels).astype(np.float32)

        def norm(prefix, source, output):
            keys = {"gamma": "g", "beta": "b", "mean": "m", "var": "v"}
            tensors = {key: prefix + letter for key, letter in keys.items()}
            return {"op": "batch_norm", "inputs": [source], "output": output, "epsilon": 1e-3, **tensors}

        conv = {"op": "conv", "weight": "w", "pad": [1, 1, 1, 1]}
        ends = (
            {"op": "relu"},
            {"op": "prelu", "slope": "s"},
            {"op": "clip", "min": -0.25, "max": 0.5},
            {"op": "sigmoid"},
        )
        for stride in (1, 2):
            for end in ends:
                layers = [
                    norm("a", "x", "n"),
                    {**conv, "inputs": ["n"], "output": "c", "stride": [stride, stride]},
                    norm("b", "c", "m"),
                    {"op": "max_pool", "kernel": [1, 1], "stride": [stride, stride], "output": "p"},
                    {"op": "add", "inputs": ["m", "p"], "output": "r"},
                    {**end, "inputs": ["r"], "output": "y"},
                ]
                file = plan(layers, tensors, [{"name": "x", "shape": [channels, size, size]}], ["y", "m"])
                check(file, {"x": rng.standard_normal((2, channels, size, size)).astype(np.float32)})


def vector(count, low=-1.0, high=1.0):
    return np.random.default_rng(count).uniform(low, high, count).astype(np.float32)


NORM = {"gamma": "g", "beta": "b", "mean": "m", "var": "v"}
NORM_TENSORS = {"g": vector(3), "b": vector(3), "m": vector(3), "v": vector(3, 0.5, 2)}
LAYERS = [
    ({"op": "batch_norm", **NORM}, NORM_TENSORS),
    ({"op": "batch_norm", "epsilon": 0.01, **NORM}, NORM_TENSORS),
    ({"op": "prelu", "slope": "s"}, {"s": vector(3)}),
    ({"op": "prelu", "slope": "s"}, {"s": vector(1)}),
    ({"op": "relu"}, {}),
    ({"op": "sigmoid"}, {}),
    ({"op": "exp"}, {}),
    ({"op": "clip", "min": -0.5, "max": 0.7}, {}),
    ({"op": "maximum", "inputs": ["x", "c"]}, {"c": vector(3).reshape(1, 3, 1, 1)}),
    ({"op": "minimum", "inputs": ["c", "x"]}, {"c": vector(10).reshape(1, 1, 1, 10)}),
    ({"op": "max_pool"}, {}),
    ({"op": "avg_pool"}, {}),
    ({"op": "max_pool", "kernel": [2, 3], "stride": [2, 1], "pad": [1, 0, 0, 2]}, {}),
    ({"op": "max_pool", "kernel": [1, 1], "stride": [2, 2]}, {}),
    ({"op": "avg_pool", "kernel": [3, 3], "stride": [2, 3], "pad": [1, 2, 1, 0]}, {}),
    ({"op": "avg_pool", "kernel": [3, 2], "pad": [2, 1, 0, 1], "count_include_pad": True}, {}),
    ({"op": "softmax", "axis": 1}, {}),
    ({"op": "softmax", "axis": 2}, {}),
    ({"op": "softmax", "axis": 3}, {}),
    ({"op": "transpose", "perm": [0, 2, 3, 1]}, {}),
    ({"op": "transpose", "perm": [0, 3, 1, 2]}, {}),
    ({"op": "transpose", "perm": [0, 1, 2, 3]}, {}),
    ({"op": "reshape", "shape": [-1]}, {}),
    ({"op": "reshape", "shape": [2, 5, -1]}, {}),
    ({"op": "reshape", "shape": [3, 3, 3, 2, 5]}, {}),
    ({"op": "slice", "axis": 1, "start": 1}, {}),
    ({"op": "slice", "axis": 2, "start": -4, "stop": -1}, {}),
    ({"op": "slice", "axis": 3, "stop": 1000}, {}),
    ({"op": "concat", "axis": 1, "inputs": ["x", "x", "x"]}, {}),
    ({"op": "concat", "axis": 2, "inputs": ["x", "x"]}, {}),
    ({"op": "concat", "axis": 3, "inputs": ["x", "x"]}, {}),
    ({"op": "resize", "scale": [2, 2]}, {}),
    ({"op": "resize", "scale": [3, 1]}, {}),
    ({"op": "resize", "scale": [1.5, 0.5]}, {}),
    ({"op": "add", "inputs": ["x", "c"]}, {"c": vector(1).reshape(1)}),
    ({"op": "mul", "inputs": ["x", "c"]}, {"c": vector(1).reshape(1, 1, 1, 1)}),
    ({"op": "sub", "inputs": ["c", "x"]}, {"c": vector(3).reshape(1, 3, 1, 1)}),
    ({"op": "sub", "inputs": ["x", "c"]}, {"c": vector(90).reshape(1, 1, 9, 10)}),
    ({"op": "div", "inputs": ["x", "c"]}, {"c": vector(270, 1, 2).reshape(1, 3, 9, 10)}),
    ({"op": "div", "inputs": ["x", "c"]}, {"c": vector(10, 1, 2).reshape(1, 1, 1, 10)}),
    ({"op": "add", "inputs": ["x", "x"]}, {}),
    ({"op": "layer_norm"}, {}),
    ({"op": "layer_norm", "gamma": "g", "beta": "b", "epsilon": 0.01}, {"g": vector(10), "b": vector(10)}),
    ({"op": "layer_norm", "beta": "b"}, {"b": vector(10)}),
    ({"op": "linear", "weight": "w", "bias": "b"}, {"w": vector(60).reshape(6, 10), "b": vector(6)}),
    ({"op": "matmul", "inputs": ["x", "x"], "transposed": True}, {}),
    ({"op": "matmul", "inputs": ["x", "c"]}, {"c": vector(420).reshape(1, 1, 10, 42)}),
    ({"op": "matmul", "inputs": ["c", "x"]}, {"c": vector(270).reshape(1, 3, 10, 9)}),
    ({"op": "matmul", "inputs": ["x", "c"], "transposed": True}, {"c": vector(50).reshape(1, 5, 10)}),
]


@pytest.mark.parametrize(("layer", "tensors"), LAYERS, ids=[str(layer) for layer, _ in LAYERS])
def test_layers(layer, tensors, isa):
    x = np.random.default_rng(2).uniform(-2, 2, (3, 3, 9, 10)).astype(np.float32)
    check(plan([layer], tensors), {"x": x})


FUNCTIONS = [
    ({"op": "sigmoid"}, -20),
    ({"op": "exp"}, -20),
    ({"op": "log"}, 0),
    ({"op": "sqrt"}, 0),
    ({"op": "abs"}, -20),
    ({"op": "pow", "exponent": 3}, -20),
    ({"op": "pow", "exponent": -0.75}, 0),
    ({"op": "tanh"}, -20),
    ({"op": "erf"}, -20),
    ({"op": "gelu"}, -10),
    ({"op": "elu", "alpha": 1.25}, -20),
    ({"op": "softplus"}, -20),
    ({"op": "hard_swish"}, -20),
    ({"op": "hard_sigmoid", "alpha": 0.25, "shift": 0.5}, -20),
]


@pytest.mark.parametrize(("layer", "low"), FUNCTIONS, ids=[str(layer) for layer, _ in FUNCTIONS])
def test_functions_of_one_number(layer, low):
    """To a millionth of each value in double precision, over all that a network may hold."""
    small = np.geomspace(1e-6, 1, 500)
    x = np.concatenate([np.linspace(low, 20, 5000)[1:], small, -small if low else small]).astype(np.float32)
    inputs = {"x": np.stack([x, x[::-1]])}
    file = plan([layer], {}, [{"name": "x", "shape": [len(x)]}])
    expected, (result,) = plan_oracle.run(file, inputs), Network(file).run(inputs).values()
    np.testing.assert_allclose(result, expected["y"], rtol=1e-6, atol=0)


def test_functions_outside_their_range():
    x = np.float32([[-np.inf, -200, 0, 200, np.inf, np.nan]])
    expected = {
        "sqrt": [np.nan, np.nan, 0, 200**0.5, np.inf, np.nan],
        "log": [np.nan, np.nan, -np.inf, np.log(200), np.inf, np.nan],
        "tanh": [-1, -1, 0, 1, 1, np.nan],
        "softplus": [0, 0, np.log(2), 200, np.inf, np.nan],
    }
    for op, values in expected.items():
        file = plan([{"op": op}], {}, [{"name": "x", "shape": [6]}])
        np.testing.assert_allclose(Network(file).run(x)["y"], [values], rtol=1e-6)
    for op, values in {"maximum": [0, 0, 0, 200, np.inf, np.nan], "minimum": [-np.inf, -200, 0, 0, 0, np.nan]}.items():
        for inputs in (["x", "c"], ["c", "x"]):
            layer = {"op": op, "inputs": inputs}
            file = plan([layer], {"c": np.zeros((1, 1), np.float32)}, [{"name": "x", "shape": [6]}])
            np.testing.assert_array_equal(Network(file).run(x)["y"], [values])


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (30, 64), (257, 10)])
def test_linear(shape, isa):
    rng = np.random.default_rng(4)
    tensors = {"w": rng.standard_normal(shape).astype(np.float32), "b": vector(shape[0])}
    inputs = [{"name": "x", "shape": [shape[1]]}]
    x = rng.standard_normal((6, shape[1])).astype(np.float32)
    check(plan([{"op": "linear", "weight": "w", "bias": "b"}], tensors, inputs), {"x": x})
    check(plan([{"op": "linear", "weight": "w"}], {"w": tensors["w"]}, inputs), {"x": x})


@pytest.mark.parametrize("op", ["add", "sub", "mul", "div"])
@pytest.mark.parametrize(
    "shapes",
    [
        ((3, 9, 10), (3, 9, 10)),
        ((3, 9, 10), (3, 1, 1)),
        ((3, 1, 1), (3, 9, 10)),
        ((1, 9, 10), (3, 1, 10)),
        ((3, 9, 1), (1, 1, 10)),
        ((64,), (1,)),
        ((20, 4), (20, 4)),
    ],
)
def test_two_values_broadcast(op, shapes):
    rng = np.random.default_rng(9)
    inputs = [{"name": name, "shape": list(shape)} for name, shape in zip("ab", shapes, strict=True)]
    arrays = {name: rng.uniform(0.5, 2, (3, *shape)) for name, shape in zip("ab", shapes, strict=True)}
    file = plan([{"op": op, "inputs": ["a", "b"]}], inputs=inputs)
    check(file, {name: array.astype(np.float32) for name, array in arrays.items()})


@pytest.mark.parametrize("layer", [layer for layer, tensors in LAYERS if not tensors and layer["op"] != "resize"][:12])
def test_layers_after_a_reshape(layer):
    """Values of other ranks than four, and back."""
    layers = [
        {"op": "reshape", "shape": [-1], "output": "flat"},
        {"op": "relu", "inputs": ["flat"], "output": "r"},
        {"op": "reshape", "inputs": ["r"], "shape": [10, 9, 3], "output": "back"},
        {**layer, "inputs": ["back"]},
    ]
    x = np.random.default_rng(2).uniform(-2, 2, (2, 3, 9, 10)).astype(np.float32)
    check(plan(layers), {"x": x})


def test_random_plans():
    """Chains of random layers that branch and join, with outputs in the middle."""
    for seed in range(25):
        rng = np.random.default_rng(seed)
        channels = int(rng.choice([4, 8, 17, 32]))
        layers, tensors, values = [], {}, ["x"]
        for index in range(int(rng.integers(3, 12))):
            source, output = str(rng.choice(values)), f"v{index}"
            kind = rng.choice(["conv", "depthwise", "prelu", "relu", "add", "mul", "batch_norm", "pool"])
            layer = {"op": str(kind), "inputs": [source], "output": output}
            if kind in ("conv", "depthwise"):
                groups = channels if kind == "depthwise" else 1
                weight = rng.standard_normal((channels, channels // groups, 3, 3)) / (3 * (channels // groups) ** 0.5)
                tensors[f"w{index}"] = weight.astype(np.float32)
                layer |= {"op": "conv", "weight": f"w{index}", "pad": [1, 1, 1, 1], "groups": groups}
            elif kind == "prelu":
                tensors[f"s{index}"] = rng.uniform(0, 0.5, channels).astype(np.float32)
                layer["slope"] = f"s{index}"
            elif kind in ("add", "mul"):
                layer["inputs"].append(str(rng.choice(values)))
            elif kind == "batch_norm":
                for key, low in (("gamma", 0.5), ("beta", -0.5), ("mean", -0.5), ("var", 0.5)):
                    tensors[f"{key}{index}"] = rng.uniform(low, low + 1, channels).astype(np.float32)
                    layer[key] = f"{key}{index}"
            elif kind == "pool":
                layer |= {"op": "max_pool", "kernel": [3, 3], "pad": [1, 1, 1, 1]}
            layers.append(layer)
            values.append(output)
        outputs = sorted({values[-1], str(rng.choice(values[1:]))})
        side = int(rng.integers(3, 12))
        file = plan(layers, tensors, [{"name": "x", "shape": [channels, side, side + 1]}], outputs)
        check(file, {"x": rng.uniform(-1, 1, (2, channels, side, side + 1)).astype(np.float32)}, tolerance=2e-5)


MUTATIONS = {
    "stride": [[1, 1], [2, 2], [3, 1], [7, 9], [32768, 32768]],
    "pad": [[0, 0, 0, 0], [1, 0, 2, 1], [2, 2, 2, 2], [30, 0, 0, 0], [32768, 0, 32768, 0]],
    "dilation": [[1, 1], [2, 3], [32768, 1]],
    "groups": [1, 2, 4, 8, 3],
    "kernel": [[1, 1], [2, 3], [9, 9], [32768, 32768]],
    "axis": [1, 2, 3, 4, 5],
    "start": [0, 1, -1, -9, 100, -(2**63), 2**63 - 1],
    "stop": [0, 1, -1, 5, 100, -(2**63), 2**63 - 1],
    "perm": [[0, 1, 2, 3], [0, 3, 2, 1], [0, 1, 2], [0, 4, 3, 2, 1]],
    "shape": [[-1], [8, -1], [-1, 5, 1], [2**31, 1], [2**31, 2**31, 2**31, 2**31, -1], [640], [1, 1, 1, 1, 640]],
    "scale": [[2, 2], [0.3, 1], [1 / 64, 1 / 64], [1.7, 2.3], [64, 64]],
    "inputs": [["x"], ["a"], ["b", "a"], ["c", "x"], ["d", "b"]],
    "weight": ["w", "w2", "w3"],
}


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_changed_plans_run_as_the_oracle_says_or_are_refused(data):
    """A sound plan with a few attributes changed: an error that names a layer, or the right result."""
    weights = np.random.default_rng(0).standard_normal((8, 8, 3, 3)).astype(np.float32) / 8
    layers = [
        {"op": "conv", "inputs": ["x"], "output": "a", "weight": "w", "pad": [1, 1, 1, 1]}
        | {"stride": [1, 1], "dilation": [1, 1], "groups": 1},
        {"op": "max_pool", "inputs": ["a"], "output": "b", "kernel": [3, 3], "stride": [1, 1], "pad": [1, 1, 1, 1]},
        {"op": "concat", "inputs": ["a", "b"], "output": "c", "axis": 1},
        {"op": "slice", "inputs": ["c"], "output": "d", "axis": 1, "start": 0, "stop": 8},
        {"op": "add", "inputs": ["d", "x"], "output": "e"},
        {"op": "resize", "inputs": ["e"], "output": "f", "scale": [2, 2]},
        {"op": "transpose", "inputs": ["f"], "output": "g", "perm": [0, 2, 3, 1]},
        {"op": "softmax", "inputs": ["g"], "output": "h", "axis": 3},
        {"op": "reshape", "inputs": ["h"], "output": "y", "shape": [-1]},
    ]
    tensors = {"w": weights, "w2": weights[:, :4], "w3": weights[:6, :, :1, :2]}
    for _ in range(data.draw(st.integers(1, 4))):
        key = data.draw(st.sampled_from(sorted(MUTATIONS)))
        fitting = [layer for layer in layers if key in layer]
        data.draw(st.sampled_from(fitting))[key] = data.draw(st.sampled_from(MUTATIONS[key]))
    inputs = [{"name": "x", "shape": [8, 8, 10]}]
    try:
        network = Network(ModelFile("detector", "changed", inputs, layers, ["y", "e"], tensors))
    except ModelFileError as error:
        assert "layer" in str(error)
        return
    if any(np.prod(shape[1:]) > 2**20 for shape in network.outputs.values()):
        return
    x = np.random.default_rng(1).standard_normal((2, 8, 8, 10)).astype(np.float32)
    got, expected = network.run(x, threads=2), plan_oracle.run(network.file, {"x": x})
    for name, reference in expected.items():
        assert got[name].shape == reference.shape
        np.testing.assert_allclose(got[name], reference, atol=2e-5)
