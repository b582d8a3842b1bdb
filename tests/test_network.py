"""Whole networks in the core against ONNX Runtime and PyTorch, and the interface of Network."""

import functools
import os
import pickle
import threading

import numpy as np
import onnx
import pytest
import torch
import torch_networks as networks
from onnx_graphs import onnxruntime_run
from plans import check, plan

from xcos import _core
from xcos.errors import ModelFileError
from xcos.importers.onnx import import_onnx
from xcos.plan.file import ModelFile
from xcos.plan.network import Network
from xcos.recognition.shipped import DEFAULT
from xcos.train import front

BATCHES = (1, 2, 3, 8, 17)


def shared_graph(path):
    """An ONNX file in a form that ONNX Runtime takes, a shape of its input, and the range of its numbers.

    It asks for inputs that nothing reads, and refuses block_size where there is but one block.
    """
    model = onnx.load(path)
    sizes = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and sizes[node.input[1]] == [1]:
            del node.attribute[:]
    read = {name for node in model.graph.node for name in node.input}
    for value in [value for value in model.graph.input if value.name not in read]:
        model.graph.input.remove(value)
    shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim][1:]
    if "yunet" in path.name:  # any size: a small one, for speed
        shape = [3, 160, 224]
        for dim, size in zip(model.graph.input[0].type.tensor_type.shape.dim[1:], shape, strict=True):
            dim.dim_value = size
    pixels = "yunet" in path.name or "sface" in path.name
    return model, shape, (0, 255) if pixels else (-1, 1)


NAMES = (
    "face_detect_rfb320",
    "face_landmark68",
    "mobilefacenet512",
    "mobilefacenet_xcos_v0",
    "sface_2021dec_int8bq",
    "yunet_2023mar_int8bq",
)


@pytest.mark.parametrize("name", NAMES)
def test_shared_networks_agree_with_onnxruntime(shared, name):
    """1e-5, relative to the outputs' rms where that is above 1; any batch, any number of threads."""
    path = shared / "models" / f"{name}.onnx"
    model, shape, (low, high) = shared_graph(path)
    shapes = {"input": (3, None, None)} if "yunet" in name else None
    network = Network.from_onnx(path, shapes=shapes)
    (entry,) = network.inputs
    outputs = list(network.outputs)
    x = np.random.default_rng(1).uniform(low, high, (max(BATCHES), *shape)).astype(np.float32)
    one_by_one = model.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1
    expected = onnxruntime_run(model, {entry: x}, outputs, one_by_one)
    for batch in BATCHES:
        for threads in (1, 2):
            got = network.run(x[:batch], threads=threads)
            for output in outputs:
                reference = expected[output][:batch]
                scale = max(1.0, float(np.sqrt(np.mean(reference**2))))
                assert got[output].shape == reference.shape
                np.testing.assert_allclose(got[output], reference, atol=1e-5 * scale, rtol=0)
            if batch == 1 and threads == 1:
                first = got
            for output in outputs:
                scale = max(1.0, float(np.abs(first[output]).max()))
                np.testing.assert_allclose(got[output][:1], first[output], atol=1e-6 * scale, rtol=0)


FAMILIES = {
    "ir": lambda: networks.IR((2, 1, 2, 1), se=False, widths=(16, 24, 40, 64), size=56),
    "ir-se": lambda: networks.IR((1, 2, 1, 2), se=True, widths=(16, 32, 48, 64), size=56),
    "ir-se, odd size": lambda: networks.IR((1, 1, 1, 1), se=True, widths=(16, 16, 32, 32), size=45),
    "iresnet": lambda: networks.IResNet((2, 1, 2, 2), widths=(16, 24, 40, 64), size=56),
}


@functools.cache
def small_family(family, size, outputs):
    module = networks.with_random_state(FAMILIES[family](), size=size)
    return module, networks.to_onnx(module, size, outputs=outputs)


@pytest.mark.parametrize("family", FAMILIES)
def test_small_families_agree_with_pytorch(family, isa):
    size = 45 if "odd" in family else 56
    outputs = ("embedding",) if family == "iresnet" else ("embedding", "grid")
    module, exported = small_family(family, size, outputs)
    compare_with_pytorch(module, Network.from_onnx(exported), outputs, networks.pictures(5, size, seed=7))


# IR-SE-50 of full size is compared in test_torch_import.py.
FULL = {"iresnet50": lambda: networks.IResNet(networks.IRESNET_DEPTHS[50])}


@pytest.mark.slow
@pytest.mark.parametrize("family", FULL)
def test_full_size_families_agree_with_pytorch(family):
    outputs = ("embedding", "grid") if family == "ir-se-50" else ("embedding",)
    module, file = full_family(family, outputs)
    network = Network(file)
    compare_with_pytorch(module, network, outputs, networks.pictures(2, seed=7))
    many = networks.pictures(9, seed=8).numpy()  # more than go through the layers together
    got, alone = network.run(many, threads=2), network.run(many[8:], threads=1)
    for name in outputs:
        np.testing.assert_allclose(alone[name][0], got[name][8], atol=1e-6)


@functools.cache
def full_family(family, outputs):
    module = networks.with_random_state(FULL[family]())
    return module, import_onnx(networks.to_onnx(module, outputs=outputs))


def compare_with_pytorch(module, network, outputs, x):
    """Absolute 1e-4 for outputs of rms 1; results independent of threads and batch."""
    got = network.run(x.numpy(), threads=2)
    single = network.run(x.numpy(), threads=1)
    alone = network.run(x[1:2].numpy(), threads=1)
    with torch.no_grad():
        results = module(x)
    for name, result in zip(outputs, results if isinstance(results, tuple) else (results,), strict=True):
        reference = result.numpy()
        rms = float(np.sqrt(np.mean(reference**2)))
        assert got[name].shape == reference.shape and 0.3 < rms < 6
        scale = max(1.0, rms)
        np.testing.assert_allclose(got[name], reference, atol=1e-4 * scale, rtol=0)
        np.testing.assert_allclose(single[name], got[name], atol=1e-6 * scale, rtol=0)
        np.testing.assert_allclose(alone[name][0], got[name][1], atol=1e-6 * scale, rtol=0)


def test_results_by_name_and_repr():
    file = plan([{"op": "relu"}, {"op": "exp", "inputs": ["y"], "output": "z"}], outputs=["z", "y"])
    network = Network(file)
    assert network.inputs == {"x": (None, 3, 9, 10)}
    assert network.outputs == {"z": (None, 3, 9, 10), "y": (None, 3, 9, 10)}
    assert network.file is file and "'test'" in repr(network)
    results = network.run(np.full((2, 3, 9, 10), -1.0))
    assert list(results) == ["z", "y"] and (results["y"] == 0).all() and (results["z"] == 1).all()
    results = network.run({"x": np.ones((1, 3, 9, 10), np.uint8)})
    np.testing.assert_allclose(results["z"], np.e, rtol=1e-6)


def test_inputs_may_be_strided_or_of_other_types():
    network = Network(plan([{"op": "relu"}]))
    x = np.random.default_rng(0).standard_normal((2, 9, 10, 3)).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(network.run(x)["y"], np.maximum(x, 0).astype(np.float32))
    assert network.run(x[:0])["y"].shape == (0, 3, 9, 10)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((3, 9, 10)), r"input 'x' has the shape \(3, 9, 10\); expected \(batch, 3, 9, 10\)"),
        (np.zeros((1, 3, 9, 11)), r"expected \(batch, 3, 9, 10\)"),
        (np.zeros((1, 3, 9, 10), complex), "input 'x' has the type complex128"),
        (np.array("face"), "input 'x' has the type"),
        ({"z": np.zeros((1, 3, 9, 10))}, r"got inputs \['z'\]; expected \['x'\]"),
    ],
)
def test_wrong_inputs(x, message):
    with pytest.raises(ValueError, match=message):
        Network(plan([{"op": "relu"}])).run(x)


def test_wrong_batches_and_threads():
    inputs = [{"name": "a", "shape": [4]}, {"name": "b", "shape": [4]}]
    network = Network(plan([{"op": "add", "inputs": ["a", "b"]}], inputs=inputs))
    with pytest.raises(ValueError, match="differ in their batch"):
        network.run({"a": np.zeros((2, 4)), "b": np.zeros((3, 4))})
    with pytest.raises(ValueError, match="expected a dict"):
        network.run(np.zeros((2, 4)))
    with pytest.raises(ValueError, match="threads is 0"):
        network.run({"a": np.zeros((2, 4)), "b": np.zeros((2, 4))}, threads=0)


def test_any_size():
    weight = np.random.default_rng(1).standard_normal((8, 3, 3, 3)).astype(np.float32) / 5
    layers = [
        {"op": "conv", "weight": "w", "stride": [2, 2], "pad": [1, 1, 1, 1], "output": "c"},
        {"op": "transpose", "inputs": ["c"], "perm": [0, 2, 3, 1], "output": "t"},
        {"op": "reshape", "inputs": ["t"], "shape": [-1, 8]},
    ]
    file = plan(layers, {"w": weight}, [{"name": "x", "shape": [3, None, None]}])
    network = Network(file)
    assert network.inputs == {"x": (None, 3, None, None)} and network.outputs == {"y": None}
    assert network.output_shapes({"x": (2, 3, 32, 64)}) == {"y": (2, 512, 8)}
    rng = np.random.default_rng(3)
    for height, width in ((32, 64), (33, 17), (1, 1), (32, 64)):
        check(file, {"x": rng.standard_normal((2, 3, height, width)).astype(np.float32)})


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([{"op": "conv", "name": "stem", "weight": "w"}], r"layer 'stem' \(conv\): input channels 3, expected 5"),
        ([{"op": "conv", "name": "stem", "weight": "big"}], r"'stem' \(conv\): the window is larger"),
        ([{"op": "linear", "name": "fc", "weight": "l"}], r"'fc' \(linear\): input features 10, expected 270"),
        ([{"op": "matmul", "name": "dot", "inputs": ["x", "x"]}], r"'dot' \(matmul\): the second matrix has a depth"),
        ([{"op": "layer_norm", "name": "norm", "gamma": "s"}], r"'norm' \(layer_norm\): the last axis has 10"),
        ([{"op": "prelu", "name": "act", "slope": "s"}], r"'act' \(prelu\): input channels 3, expected 4"),
        ([{"op": "softmax", "name": "soft", "axis": 4}], r"'soft' \(softmax\): axis 4"),
        ([{"op": "reshape", "name": "view", "shape": [7, -1]}], r"'view' \(reshape\)"),
        ([{"op": "reshape", "name": "view", "shape": [2**31, 2**31, 2**31]}], r"'view' \(reshape\)"),
        ([{"op": "transpose", "name": "turn", "perm": [0, 2, 1]}], r"'turn' \(transpose\): .*rank"),
        ([{"op": "slice", "name": "cut", "axis": 2, "start": 9}], r"'cut' \(slice\): nothing is left"),
        ([{"op": "slice", "name": "cut", "axis": 2, "start": 5, "stop": 2}], r"'cut' \(slice\): nothing is left"),
        ([{"op": "resize", "name": "grow", "scale": [0.05, 1]}], r"'grow' \(resize\)"),
        ([{"op": "max_pool", "name": "pool", "kernel": [11, 1]}], r"'pool' \(max_pool\): the window is larger"),
        ([{"op": "add", "name": "sum", "inputs": ["x", "c"]}], r"'sum' \(add\): sizes do not broadcast"),
        (
            [{"op": "max_pool", "output": "p"}, {"op": "concat", "name": "join", "inputs": ["x", "p"], "axis": 1}],
            r"'join' \(concat\)",
        ),
        (
            [
                {"op": "resize", "scale": [64, 64], "output": f"r{i}", "inputs": [f"r{i - 1}" if i else "x"]}
                for i in range(6)
            ],
            "too large",
        ),
    ],
)
def test_plans_that_do_not_fit_name_the_layer(layers, message):
    tensors = {
        "w": np.ones((4, 5, 3, 3), np.float32),
        "big": np.ones((4, 3, 11, 3), np.float32),
        "l": np.ones((4, 270), np.float32),
        "s": np.ones(4, np.float32),
        "c": np.ones((1, 4, 1, 1), np.float32),
    }
    with pytest.raises(ModelFileError, match=message):
        Network(plan(layers, tensors))


def test_huge_sizes_end_in_an_error():
    """Any size is declared, an absurd one is asked for: nothing is allocated, nothing overflows."""
    file = plan([{"op": "relu"}], inputs=[{"name": "x", "shape": [None, None, None]}])
    with pytest.raises(ValueError, match="large"):
        Network(file).output_shapes({"x": (2**20, 2**24, 2**24, 2**24)})
    with pytest.raises((ValueError, OverflowError)):
        Network(file).output_shapes({"x": (2**70, 1, 1, 1)})
    with pytest.raises(ValueError):
        Network(file).output_shapes({"x": (1, -1, 1, 1)})
    with pytest.raises(ValueError):
        Network(file).output_shapes({"x": (1, 0, 1, 1)})


MAPS = [{"name": "x", "shape": [3, None, None]}, {"name": "r", "shape": [8, None, None]}]
RESIDUAL = [
    {"op": "conv", "inputs": ["x"], "output": "c", "weight": "w", "pad": [1, 1, 1, 1]},
    {"op": "add", "name": "sum", "inputs": ["c", "r"], "output": "s"},
    {"op": "prelu", "inputs": ["s"], "output": "y", "slope": "p"},
]
RESIDUAL_TENSORS = {
    "w": np.random.default_rng(1).standard_normal((8, 3, 3, 3)).astype(np.float32) / 5,
    "p": np.linspace(-0.5, 0.5, 8, dtype=np.float32),
}


@pytest.mark.parametrize("residual", [(4, 6), (4, 1), (1, 6), (1, 1)])
@pytest.mark.parametrize("size", [(4, 6), (1, 6)])
def test_residual_additions_of_any_size(residual, size):
    """Fused with the convolution where shapes are the same; as NumPy broadcasts where they are not."""
    rng = np.random.default_rng(2)
    file = plan(RESIDUAL, RESIDUAL_TENSORS, MAPS)
    x, r = rng.standard_normal((2, 3, *size)), rng.standard_normal((2, 8, *residual))
    check(file, {"x": x.astype(np.float32), "r": r.astype(np.float32)})


def test_residual_additions_that_do_not_fit():
    network = Network(plan(RESIDUAL, RESIDUAL_TENSORS, MAPS))
    for residual in ((6, 4), (4, 5), (8, 3), (24, 1)):  # of as many elements, or not
        inputs = {"x": np.ones((1, 3, 4, 6), np.float32), "r": np.ones((1, 8, *residual), np.float32)}
        for call in (network.run, lambda i: network.output_shapes({name: a.shape for name, a in i.items()})):
            with pytest.raises(ValueError, match=r"layer 'sum' \(add\): sizes do not broadcast"):
                call(inputs)


def test_a_scaled_convolution_of_one_channel():
    """A batch norm before a padded 3x3 convolution of one channel, which counts as depthwise."""
    tensors = {key: np.array([value], np.float32) for key, value in {"g": 2, "b": 3, "m": 0.5, "v": 1}.items()}
    tensors["w"] = np.random.default_rng(1).standard_normal((1, 1, 3, 3)).astype(np.float32)
    norm = {"op": "batch_norm", "output": "n", "gamma": "g", "beta": "b", "mean": "m", "var": "v"}
    conv = {"op": "conv", "inputs": ["n"], "weight": "w", "pad": [1, 1, 1, 1]}
    file = plan([norm, conv], tensors, [{"name": "x", "shape": [1, 6, 7]}])
    check(file, {"x": np.random.default_rng(2).standard_normal((2, 1, 6, 7)).astype(np.float32)})


def test_subnormal_numbers_are_zero_on_every_thread():
    """They cost a hundred times as much: off in all of a call, whatever is spread, and only there."""
    tiny = np.float32(1e-40)
    network = Network(plan([{"op": "mul", "inputs": ["x", "k"]}], {"k": np.full((1, 3, 1, 1), 1, np.float32)}))
    for batch in (1, 2, 3):
        for threads in (1, 2):
            assert (network.run(np.full((batch, 3, 9, 10), tiny), threads=threads)["y"] == 0).all()
    images = np.full((1, 1, 2, 2), tiny)
    for count in (1, 2):
        blended = _core.mask_blend(images, images, np.ones((count, 2, 2)), [0] * count, threads=2)
        assert (blended == 0).all()
    assert tiny * np.float32(1) > 0


CONV = {"op": "conv", "name": "stem", "inputs": ["x"], "output": "y", "weight": "w"}
BAD_FOR_THE_CORE = [
    {"layers": [{**CONV, "op": "convolve"}]},
    {"layers": [{**CONV, "op": 3}]},
    {"layers": [{**CONV, "inputs": ["nowhere"]}]},
    {"layers": [{**CONV, "inputs": []}]},
    {"layers": [{**CONV, "inputs": None}]},
    {"layers": [{**CONV, "inputs": ["x"] * 100}]},
    {"layers": [{**CONV, "output": "x"}]},
    {"layers": [{**CONV, "weight": "absent"}]},
    {"layers": [{**CONV, "weight": 7}]},
    {"layers": [{**CONV, "bias": "w"}]},
    {"layers": [{**CONV, "stride": [0, 0]}]},
    {"layers": [{**CONV, "stride": [2**40, 1]}]},
    {"layers": [{**CONV, "pad": [-1, 0, 0, 0]}]},
    {"layers": [{**CONV, "dilation": "no"}]},
    {"layers": [{**CONV, "groups": 0}]},
    {"layers": [{**CONV, "groups": 5}]},
    {"layers": [{"op": "transpose", "inputs": ["x"], "output": "y", "perm": [0, 0, 0, 0]}]},
    {"layers": [{"op": "transpose", "inputs": ["x"], "output": "y", "perm": list(range(60))}]},
    {"layers": [{"op": "reshape", "inputs": ["x"], "output": "y", "shape": [1] * 60}]},
    {"layers": [{"op": "reshape", "inputs": ["x"], "output": "y", "shape": [-1, -1]}]},
    {"layers": [{"op": "reshape", "inputs": ["x"], "output": "y", "shape": [0]}]},
    {"layers": [{"op": "softmax", "inputs": ["x"], "output": "y", "axis": 0}]},
    {"layers": [{"op": "resize", "inputs": ["x"], "output": "y", "scale": [float("nan"), 1]}]},
    {"layers": [{"op": "resize", "inputs": ["x"], "output": "y", "scale": [1e30, 1e30]}]},
    {"layers": [{"op": "max_pool", "inputs": ["x"], "output": "y", "kernel": [2, 2], "pad": [5, 5, 5, 5]}]},
    {"layers": [{"op": "concat", "inputs": ["x", "x"], "output": "y", "axis": 99}]},
    {"layers": [3]},
    {"layers": 3},
    {"inputs": [{"name": "x", "shape": [1] * 60}]},
    {"inputs": [{"name": "x"}]},
    {"inputs": [{"name": 3, "shape": [3, 9, 10]}]},
    {"inputs": []},
    {"outputs": ["nowhere"]},
    {"outputs": []},
    {"outputs": [3]},
    {"tensors": {"w": np.ones((4, 3, 3, 3), complex)}},
    {"tensors": {"w": np.ones((2, 2), np.float32)}},
    {"tensors": {"w": np.ones((4, 3, 0, 3), np.float32)}},
    {"tensors": {"w": "no"}},
    {"tensors": 3},
]


@pytest.mark.parametrize("change", BAD_FOR_THE_CORE, ids=[str(change)[:60] for change in BAD_FOR_THE_CORE])
def test_the_core_itself_refuses_malformed_plans(change):
    """Model files are checked before; the binding must hold without that."""
    arguments = {
        "inputs": [{"name": "x", "shape": [3, 9, 10]}],
        "layers": [CONV],
        "outputs": ["y"],
        "tensors": {"w": np.ones((4, 3, 3, 3), np.float32)},
    }
    with pytest.raises((ValueError, TypeError, KeyError)):
        network = _core.Network(**{**arguments, **change})
        network.run([np.zeros((1, 3, 9, 10), np.float32)])


def test_pickles_and_many_threads():
    weight = np.random.default_rng(1).standard_normal((16, 3, 3, 3)).astype(np.float32)
    network = Network(plan([{"op": "conv", "weight": "w", "pad": [1, 1, 1, 1]}], {"w": weight}))
    inputs = np.random.default_rng(2).standard_normal((8, 3, 3, 9, 10)).astype(np.float32)
    expected = [network.run(x)["y"] for x in inputs]
    again = pickle.loads(pickle.dumps(network))
    wrong = []

    def work(index):
        for _ in range(20):
            for one in (network, again):
                if not np.allclose(one.run(inputs[index], threads=2)["y"], expected[index], atol=1e-6):
                    wrong.append(index)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(inputs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_load_from_path_bytes_and_file(tmp_path):
    path = tmp_path / "net.safetensors"
    file = plan([{"op": "relu"}])
    file.write(path)
    x = np.random.default_rng(0).standard_normal((1, 3, 9, 10))
    for source in (path, os.fspath(path), path.read_bytes(), file):
        np.testing.assert_array_equal(Network.load(source).run(x)["y"], np.maximum(x, 0).astype(np.float32))


def test_shipped_models_are_the_shared_graphs(shared):
    """The files in the package are what tools/build_models.py makes of the foreign ones; of the default model the
    embedding is."""
    folder = os.path.join(os.path.dirname(_core.__file__), "models")
    for ours, theirs, shapes in (
        (DEFAULT, "mobilefacenet_xcos_v0", None),
        ("yunet", "yunet_2023mar_int8bq", {"input": (3, None, None)}),
        ("landmarks68", "face_landmark68", None),
    ):
        shipped = ModelFile.read(os.path.join(folder, f"{ours}.safetensors"))
        file = import_onnx(shared / "models" / f"{theirs}.onnx", shapes=shapes)
        if ours == DEFAULT:
            shipped, file = (front(whole, ["embedding"]) for whole in (shipped, file))
        assert shipped.layers == file.layers and shipped.inputs == file.inputs
        for name, tensor in file.tensors.items():
            np.testing.assert_array_equal(shipped.tensors[name], tensor)
