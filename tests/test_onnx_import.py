"""Import of whole ONNX graphs: the batch, sizes, folding of constants, names, and what is refused."""

import re
from pathlib import Path

import numpy as np
import onnx
import plan_oracle
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_graphs import RNG, check, graph, ints, onnxruntime_run, ops, rand, refuse

import xcos
from xcos.cli import main
from xcos.errors import ModelFileError
from xcos.importers.onnx import import_onnx
from xcos.plan.network import Network

W3 = rand(6, 3, 3, 3)

# What exporters leave of a view, traced with a batch of 1 or of any size.
SHAPE_ARITHMETIC = [
    """s = Shape(x)  n = Gather <axis=0> (s, zero)  u = Unsqueeze <axes=[0]> (n)
       t = Concat <axis=0> (u, minus, three)  p = Transpose <perm=[0,2,3,1]> (x)  y = Reshape(p, t)""",
    """s = Shape(x)  n = Gather(s, zero)  h = Gather(s, two_)  w = Gather(s, three_)  hw = Mul(h, w)
       u = Unsqueeze <axes=[0]> (n)  v = Unsqueeze <axes=[0]> (hw)
       t = Concat <axis=0> (u, three, v)  y = Reshape(x, t)""",
    """s = Shape(x)  n = Slice <axes=[0], starts=[0], ends=[1]> (s)  t = Concat <axis=0> (n, minus)
       y = Reshape(x, t)""",
    """s = Shape(x)  h = Gather(s, two_)  f = Cast <to=1> (h)  g = Mul(f, half)  k = Floor(g)
       i = Cast <to=7> (k)  d = Div(h, i)  m = Mul(d, three_)  u = Unsqueeze <axes=[0]> (m)
       t = Concat <axis=0> (nul, u, minus)  y = Reshape(x, t)""",
]


@pytest.mark.parametrize("batch", ["N", 1])
@pytest.mark.parametrize("body", SHAPE_ARITHMETIC)
def test_shape_arithmetic(body, batch):
    constants = {
        "zero": np.int64(0),
        "two_": np.int64(2),
        "three_": np.int64(3),
        "nul": ints(0),
        "minus": ints(-1),
        "three": ints(3),
        "half": np.float32(0.5),
    }
    used = {name: value for name, value in constants.items() if f"{name}" in body}
    check(body, opset=9, x=(batch, 3, 8, 10), constants=used)


def test_literal_batch_becomes_free():
    check("y = Reshape(x, s)", x=(1, 3, 9, 10), constants={"s": ints(1, -1, 10)})
    check("y = Reshape(x, s)", x=(1, 3, 9, 10), constants={"s": ints(1, 270)})
    check("y = Mul(x, c)", x=(1, 3, 9, 10), constants={"c": rand(1, 3, 9, 10)})


def test_what_would_touch_the_batch():
    refuse("y = Reshape(x, s)", "joins the batch", constants={"s": ints(-1, 10)})
    refuse("y = Reshape(x, s)", "joins the batch", x=(1, 3, 9, 10), constants={"s": ints(-1, 10)})
    refuse("y = Reshape(x, s)", "joins the batch", constants={"s": ints(1, -1, 10)})
    refuse("y = Reshape(x, s)", "keep the batch", constants={"s": ints(4, -1, 10)})
    refuse("y = Reshape(x, s)", "does not", constants={"s": ints(0, 7, -1)})
    refuse("y = Transpose <perm=[1,0,2,3]> (x)", "moves the batch")
    refuse("y = Transpose (x)", "moves the batch")
    refuse("y = Concat <axis=0> (x, x)", "axis 0 is the batch")
    refuse("y = Slice(x, s, e)", "axis 0 is the batch", constants={"s": ints(0), "e": ints(1)})
    refuse("y = Flatten <axis=2> (x)", "joins the batch")
    refuse("y = Flatten <axis=0> (x)", "axis 0 is the batch")
    refuse("y = Squeeze (x)", "would drop the batch", x=(1, 3, 9, 10))
    refuse("y = Add(x, c)", "spans the batch", x=(2, 3, 9, 10), constants={"c": rand(2, 3, 9, 10)})
    refuse("y = Softmax <axis=0> (x)", "axis 0 is the batch")


def test_any_size():
    body = """a = Conv <pads=[1,1,1,1], strides=[2,2]> (x, w)  b = Relu(a)
        c = MaxPool <kernel_shape=[2,2], strides=[2,2]> (b)
        u = Resize <coordinate_transformation_mode="asymmetric", nearest_mode="floor"> (c, , s)  d = Add(b, u)
        t = Transpose <perm=[0,2,3,1]> (d)  y = Reshape(t, r)"""
    constants = {"w": W3, "s": np.float32([1, 1, 2, 2]), "r": ints(1, -1, 6)}
    file = check(body, x=(1, 3, 16, 24), constants=constants)
    assert file.inputs[0]["shape"] == [3, 16, 24]
    file = check(body, x=(1, 3, 16, 24), constants=constants, shapes={"x": (3, None, None)})
    assert file.inputs[0]["shape"] == [3, None, None]
    check(body, x=(1, 3, "H", "W"), constants=constants, sizes=(3, 32, 8))
    refuse(body.replace("s)", "s)"), "which is no input", constants=constants, shapes={"z": (3, None, None)})
    refuse(
        "f = Flatten(x)  y = Gemm(f, w)",
        "does not fit",
        constants={"w": rand(270, 5)},
        shapes={"x": (3, None, None)},
    )
    refuse("y = Mul(x, c)", "do not broadcast", constants={"c": rand(9, 10)}, shapes={"x": (3, None, None)})


def test_resize_to_the_size_of_another_map():
    """As exporters write F.interpolate(x, size=(2 * h, 2 * w))."""
    body = """s = Shape(x)  h = Slice <axes=[0], starts=[2], ends=[4]> (s)  d = Mul(h, two)
        c = Slice <axes=[0], starts=[0], ends=[2]> (s)  z = Concat <axis=0> (c, d)
        y = Resize <coordinate_transformation_mode="asymmetric", nearest_mode="floor"> (x, roi, none, z)"""
    constants = {"two": ints(2), "roi": np.zeros(0, np.float32), "none": np.zeros(0, np.float32)}
    for x in (("N", 3, 9, 10), ("N", 3, "H", "W")):
        opset11 = body.replace("Slice <axes=[0], starts=[2], ends=[4]> (s)", "Slice(s, i2, i4)")
        opset11 = opset11.replace("Slice <axes=[0], starts=[0], ends=[2]> (s)", "Slice(s, i0, i2)")
        more = {"i0": ints(0), "i2": ints(2), "i4": ints(4)}
        file = check(opset11, opset=13, x=x, sizes=(3, 9, 10), constants=constants | more)
        assert file.layers[-1]["scale"] == [2, 2]


def test_weights_behind_folded_nodes():
    quantised = RNG.integers(-128, 127, (6, 27)).astype(np.int8)
    constants = {
        "q": quantised,
        "scale": rand(6, 3, low=0.001, high=0.01),
        "zero": RNG.integers(-5, 5, (6, 3)).astype(np.int8),
        "shape": ints(6, 3, 3, 3),
    }
    check(
        """f = DequantizeLinear <axis=1, block_size=9> (q, scale, zero)  r = Reshape(f, shape)  w = Identity(r)
           y = Conv(x, w)""",
        opset=21,
        constants=constants,
    )
    check(
        "f = DequantizeLinear <axis=0> (q, s)  w = Reshape(f, shape)  y = Conv(x, w)",
        opset=13,
        constants={"q": quantised, "s": rand(6, low=0.001, high=0.01), "shape": ints(6, 3, 3, 3)},
    )
    check(
        "f = DequantizeLinear(q, s, z)  w = Reshape(f, shape)  y = Conv(x, w)",
        opset=10,
        constants={
            "q": quantised.astype(np.uint8),
            "s": np.float32(0.01),
            "z": np.uint8(128),
            "shape": ints(6, 3, 3, 3),
        },
    )
    check(
        "t = Transpose <perm=[3,2,0,1]> (k)  w = Mul(t, c)  y = Conv(x, w)",
        constants={"k": rand(3, 3, 3, 6), "c": rand(6, 1, 1, 1)},
    )
    check(
        """c = ConstantOfShape <value=float[1] {2.5}> (s)  k = Constant <value_float=0.5> ()  d = Add(c, k)
           y = Mul(x, d)""",
        constants={"s": ints(3, 1, 1)},
    )


def test_initializers_among_the_inputs():
    constants = {"w": W3, "b": rand(6)}
    file = check("y = Conv(x, w, b)", constants=constants, as_inputs=True)
    assert [entry["name"] for entry in file.inputs] == ["x"]


def test_half_precision_weights():
    model = graph("c = Cast <to=1> (w)  y = Conv(x, c)", constants={"w": W3.astype(np.float16)})
    x = rand(2, 3, 9, 10)
    np.testing.assert_allclose(
        plan_oracle.run(import_onnx(model), {"x": x})["y"],
        onnxruntime_run(model, {"x": x}, ["y"])["y"],
        atol=1e-5,
    )


def test_outputs_that_share_a_value():
    check("y = Relu(x)  z = Identity(y)  v = Identity(y)", outputs=("z", "y", "v"))
    check("a = Relu(x)  z = Identity(a)  v = Identity(a)", outputs=("v", "z"))
    check("y = Identity(x)  z = Relu(x)", outputs=("z", "y"))
    check("y = Softmax(x)", opset=11)  # several layers for one node: the last has the name of the output


def test_outputs_can_be_chosen():
    model = graph("a = Relu(x)  b = Exp(a)  y = Sin(b)")
    file = import_onnx(model, outputs=["b"])
    assert ops(file) == ["relu", "exp"] and list(file.outputs) == ["b"]
    with pytest.raises(ModelFileError, match="output 'c' is a constant or is computed nowhere"):
        import_onnx(model, outputs=["c"])


def test_unsupported_nodes_are_all_listed(tmp_path):
    path = tmp_path / "strange.onnx"
    model = graph("a = Relu(x)  b = Sin(a)  c = Relu(b)  d = Cos(c)  e = Concat <axis=0> (a, a)  y = Add(d, e)")
    for node, name in zip(model.graph.node, "ABCDEF", strict=True):
        node.name = f"node_{name}"
    onnx.save(model, path)
    with pytest.raises(ModelFileError) as caught:
        import_onnx(path)
    lines = str(caught.value).splitlines()
    assert "strange.onnx: 3 nodes cannot be imported" in lines[0]
    assert [line.split()[1] for line in lines[1:]] == ["'node_B':", "'node_D':", "'node_E':"]
    assert "Sin 'node_B': the operator is not supported" in lines[1]
    model.graph.node[1].name = ""
    with pytest.raises(ModelFileError, match="Sin with the output 'b'"):
        import_onnx(model)


def test_refusals_are_those_of_the_documentation():
    """Each message in the table of docs/models.md, from a graph that gets it."""
    free = {"x": ("N", 3, "H", "W")}
    refused = [
        ("y = Sin(x)", {}),
        ("y = Floor(x)", {}),
        ("p = Flatten(x)  g = Greater(p, x)  y = Where(g, x, x)", {}),
        ("t = Transpose <perm=[1,0,2]> (x)  y = MatMul(t, t)", {"x": ("N", 9, 10)}),
        ("y = Transpose <perm=[1,0,2]> (x)", {"x": ("N", 9, 10)}),
        ("y = Reshape(x, s)", {"constants": {"s": ints(-1, 10)}}),
        ("q = MatMul(c, w)  y = MatMul(q, x)", {"x": ("N", 4, 9), "constants": {"c": rand(1, 5, 4), "w": rand(4, 4)}}),
        ("y = MatMul(x, x)", {"x": ("N", 16)}),
        ("y = Gather <axis=2> (x, i)", {"constants": {"i": np.zeros((2, 2), np.int64)}}),
        ("y = Gather <axis=2> (x, i)", {"constants": {"i": ints(*[0] * 300)}}),
        ("y = Conv(x, w)", {"x": ("N", 3, 9, 9, 9), "constants": {"w": rand(8, 3, 3, 3, 3)}}),
        ('y = Resize <mode="cubic"> (x, , s)', {"constants": {"s": np.float32([1, 1, 2, 2])}}),
        ('y = Resize <mode="linear"> (x, , s)', {"constants": {"s": np.float32([1, 1, 2, 2])}, **free}),
        ('y = ConvTranspose <auto_pad="SAME_UPPER"> (x, w)', {"constants": {"w": rand(3, 4, 3, 3)}}),
        ("y = Pad(x, p)", {"constants": {"p": ints(1, 0, 0, 0, 0, 0, 0, 0)}}),
        ("y = Pad(x, p, c)", {"constants": {"p": ints(0, 0, 0, 0, 0, 0, 2000, 0), "c": np.float32(1)}}),
        ("y = AveragePool <kernel_shape=[2,2], dilations=[2,2]> (x)", {"opset": 19}),
        ('y = MaxPool <kernel_shape=[2,2], dilations=[2,2], auto_pad="SAME_UPPER"> (x)', {}),
        ("y = Pow(x, e)", {"constants": {"e": rand(10)}}),
        ("y = ReduceMean(x)", {}),
        ("y = ReduceMean <axes=[1,3]> (x)", {}),
        ("y = ReduceMean <axes=[1]> (x)", free),
        ("y = Dropout(x, r, t)", {"constants": {"r": np.float32(0.5), "t": np.array(True)}}),
        ("y = BatchNormalization <training_mode=1> (x, c, c, c, c)", {"opset": 15, "constants": {"c": rand(3)}}),
        ("y = Relu(x)", {"opset": 6}),
    ]
    messages = []
    for body, kw in refused:
        with pytest.raises(ModelFileError) as caught:
            import_onnx(graph(body, **kw))
        messages.append(str(caught.value))
    page = (Path(__file__).parents[1] / "docs" / "models.md").read_text()
    rows = re.findall(r"^\| (.+) \| (.+) \|$", page, re.MULTILINE)[1:]
    said = [message for _, column in rows for message in re.findall(r"`([^`]+)`", column)]
    assert len(said) == len(refused)
    for message in said:
        assert any(text.endswith(message) for text in messages), message
    for text in messages:
        assert any(text.endswith(message) for message in said), text


def test_height_and_width_that_the_graph_leaves_open(tmp_path):
    """A network for pictures of 40 x 24 whose graph does not say so: told by name, and read once it is said."""
    rng = np.random.default_rng(4)
    weights = {"w": rng.normal(size=(2, 3, 8, 8)), "v": rng.normal(size=(30, 5)), "s": ints(0, -1)}
    weights = {name: array if name == "s" else np.float32(array) for name, array in weights.items()}
    body = "a = Conv <strides=[8,8]> (x, w)  f = Reshape(a, s)  y = Gemm(f, v)"
    model = graph(body, x=("N", 3, "H", "W"), constants=weights)
    path, out = tmp_path / "free.onnx", tmp_path / "out.safetensors"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelFileError, match=r"free.onnx: .*not of 112 x 112; say which with shape=.*--shape"):
        xcos.convert(path)
    x = np.float32(rng.normal(size=(2, 3, 40, 24)))
    (expected,) = onnxruntime_run(model.SerializeToString(), {"x": x}, ["y"]).values()
    file = xcos.convert(path, shape=(40, 24))
    assert file.inputs[0]["shape"] == [3, 40, 24]
    np.testing.assert_allclose(Network.load(file).run(x)["y"], expected, atol=1e-4)
    assert main(["convert", str(path), str(out), "--shape", "40x24"]) == 0
    np.testing.assert_allclose(Network.load(out).run(x)["y"], expected, atol=1e-4)
    for shape in ((40,), (0, 24), (40.5, 24), (40, 32)):
        with pytest.raises(ModelFileError, match=r"free\.onnx|height and width"):
            xcos.convert(path, shape=shape)
    with pytest.raises(SystemExit, match="2"):
        main(["convert", str(path), str(out), "--shape", "40xx"])
    with pytest.raises(ModelFileError, match="for ONNX graphs"):
        xcos.convert(tmp_path / "a.pth", shape=(112, 112))


def test_dead_branches_do_not_matter():
    assert ops(import_onnx(graph("a = Sin(x)  y = Relu(x)"))) == ["relu"]


def test_other_domains_and_functions():
    model = graph("y = Relu(x)")
    model.graph.node[0].domain = "com.example"
    with pytest.raises(ModelFileError, match=r"com\.example\.Relu"):
        import_onnx(model)
    function = helper.make_function(
        "local",
        "Twice",
        ["a"],
        ["b"],
        [helper.make_node("Add", ["a", "a"], ["b"])],
        [helper.make_opsetid("", 13)],
    )
    model.graph.node[0].domain, model.graph.node[0].op_type = "local", "Twice"
    model.functions.append(function)
    model.opset_import.append(helper.make_opsetid("local", 1))
    assert ops(import_onnx(model)) == ["add"]


def test_files_that_are_no_graphs(tmp_path):
    path = tmp_path / "foreign.onnx"
    for data in (b"", b"\x89PNG\r\n\x1a\n" + bytes(64), b"\xff" * 300, bytes(range(256))):
        path.write_bytes(data)
        with pytest.raises(ModelFileError, match=r"foreign\.onnx"):
            import_onnx(path)
        with pytest.raises(ModelFileError):
            import_onnx(data)
    with pytest.raises(FileNotFoundError):
        import_onnx(tmp_path / "absent.onnx")


def test_graphs_that_are_malformed():
    refuse("y = Relu(z)", "reads 'z', which nothing before it computes")
    refuse("y = Relu(x)", "opset 6", opset=6)
    refuse("y = Conv(x, w)", "does not fit 3 channels", constants={"w": rand(4, 2, 3, 3)})
    refuse("y = Conv(x, w, b)", "bias", constants={"w": W3, "b": rand(5)})
    refuse("y = Conv <pads=[1,1]> (x, w)", "pads", constants={"w": W3})
    refuse("y = Conv(x, w)", "over one axis or two", x=("N", 3, 9, 9, 9), constants={"w": rand(4, 3, 3, 3, 3)})
    refuse("y = BatchNormalization(x, b, b, b, b)", r"expected \(3,\)", constants={"b": rand(4)})
    refuse("y = Concat <axis=1> (x, c)", "not one entry of a batch", constants={"c": rand(3, 9, 10)})
    refuse("y = Add(x, c)", "broadcast", constants={"c": rand(4, 1, 1)})
    refuse("c = ConstantOfShape(s)  y = Add(x, c)", "too large", constants={"s": ints(10**6, 10**6)})
    refuse("y = Mul(x, c)", "NaN or infinity", constants={"c": np.float32([np.nan])})
    refuse("y = Identity(c)", "constant", constants={"c": rand(3)})
    model = graph("y = Relu(x)")
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
    with pytest.raises(ModelFileError, match="'x' is INT64"):
        import_onnx(model)
    model = graph("y = Conv(x, w)", constants={"w": W3})
    model.graph.initializer[0].raw_data = b"123"
    with pytest.raises(ModelFileError, match="initializer 'w'"):
        import_onnx(model)


def test_damaged_graphs_never_crash():
    """Bytes changed or lost: the file is refused with our error, or still means something."""
    body = """a = Conv <pads=[1,1,1,1], strides=[2,2]> (x, w)  b = PRelu(a, s)
        c = MaxPool <kernel_shape=[2,2], strides=[2,2]> (b)
        u = Resize <coordinate_transformation_mode="asymmetric", nearest_mode="floor"> (c, , twice)  d = Add(b, u)
        p = Pad(d, pads)  q = AveragePool <kernel_shape=[3,3]> (p)  f = Cast <to=1> (three)  g = Mul(q, f)
        sh = Shape(g)  n = Gather(sh, zero)  un = Unsqueeze(n, first)  t = Concat <axis=0> (un, minus)
        r = Reshape(g, t)  e0, e1 = Split <axis=1> (r)  v = Sub(e0, e1)  y = MatMul(v, m)"""
    constants = {
        "w": W3,
        "s": rand(6, 1, 1),
        "twice": np.float32([1, 1, 2, 2]),
        "pads": ints(0, 0, 1, 1, 0, 0, 1, 1),
        "three": np.int64(3),
        "zero": np.int64(0),
        "first": ints(0),
        "minus": ints(-1),
        "m": rand(192, 5),
    }
    model = graph(body, x=("N", 3, 16, 16), constants=constants)
    assert ops(import_onnx(model))[-1] == "linear"
    good, random = model.SerializeToString(), np.random.default_rng(8)
    for _ in range(600):
        data = bytearray(good)
        for _ in range(int(random.integers(1, 5))):
            at = int(random.integers(len(data)))
            if random.random() < 0.7:
                data[at] = int(random.choice([0, 1, 2, 127, 128, 255, int(random.integers(256))]))
            else:
                del data[at : at + int(random.integers(1, 4))]
        try:
            import_onnx(bytes(data))
        except ModelFileError:
            pass


def test_hostile_shape_arithmetic_ends():
    squares = "  ".join(f"s{i + 1} = Mul(s{i}, s{i})" for i in range(40))
    refuse(f"s0 = Shape(x)  {squares}  y = Reshape(x, s40)", "out of bounds")
    sums = "  ".join(f"t{i} = Add(s{i}, one)  s{i + 1} = Mul(t{i}, s{i})" for i in range(40))
    refuse(f"s0 = Shape(x)  {sums}  y = Reshape(x, s40)", "out of bounds", constants={"one": ints(1)})


def test_the_shared_networks(shared):
    """All graphs there translate; the numbers are compared in test_network.py."""
    for path in sorted((shared / "models").glob("*.onnx")):
        file = import_onnx(path)
        assert file.layers and "ONNX" in file.origin
    sface = import_onnx(shared / "models" / "sface_2021dec_int8bq.onnx")
    assert [entry["name"] for entry in sface.inputs] == ["data"]
    quantised = onnx.load(shared / "models" / "sface_2021dec_int8bq.onnx")
    weight = next(t for t in quantised.graph.initializer if t.name == "conv_1_conv2d_weight_quantized")
    assert numpy_helper.to_array(weight).dtype == np.int8


def test_numbers_in_another_file(tmp_path, monkeypatch):
    """Bytes of a graph lead to no file, the path of one does. Found by the fuzz target: no location at all."""
    weight = numpy_helper.from_array(np.arange(12, dtype=np.float32).reshape(3, 4, 1, 1), "w")
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    x, y = (helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1, c, 2, 2]) for n, c in (("x", 4), ("y", 3)))
    model = helper.make_model(helper.make_graph([node], "g", [x], [y], [weight]))
    model.opset_import[0].version = 17
    onnx.save_model(model, tmp_path / "net.onnx", save_as_external_data=True, location="net.data", size_threshold=0)
    file = import_onnx(tmp_path / "net.onnx")
    (tensor,) = (t for t in file.tensors.values() if t.ndim == 4)
    np.testing.assert_array_equal(tensor.ravel(), np.arange(12))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelFileError, match="'w' lie in another file"):
        import_onnx((tmp_path / "net.onnx").read_bytes())
    held = onnx.load(tmp_path / "net.onnx", load_external_data=False)
    del held.graph.initializer[0].external_data[:]
    with pytest.raises(ModelFileError, match="lie in another file"):
        import_onnx(held.SerializeToString())
