"""Each ONNX operator that can be imported: as ONNX Runtime runs it, as a plan, and in the core."""

import numpy as np
import plan_oracle
import pytest
from onnx_graphs import check, graph, ints, ops, rand, refuse

from xcos.importers.onnx import import_onnx

W3 = rand(6, 3, 3, 3)
DEPTHWISE = rand(6, 1, 3, 3)

CONVS = {
    "plain": "group=1",
    "pads": "pads=[1,1,1,1]",
    "asymmetric pads": "pads=[0,1,2,0]",
    "stride": "strides=[2,3], pads=[1,1,1,1]",
    "dilation": "dilations=[2,1], pads=[2,1,2,1]",
    "same upper": 'auto_pad="SAME_UPPER"',
    "same upper, stride": 'auto_pad="SAME_UPPER", strides=[2,2]',
    "same lower, stride": 'auto_pad="SAME_LOWER", strides=[2,3]',
    "valid": 'auto_pad="VALID", strides=[2,2]',
    "kernel shape": "kernel_shape=[3,3], group=1",
}


@pytest.mark.parametrize("attributes", CONVS.values(), ids=CONVS.keys())
def test_conv(attributes):
    check(f"y = Conv <{attributes}> (x, w, b)", constants={"w": W3, "b": rand(6)})


def test_conv_groups_without_bias():
    check("y = Conv <group=3, pads=[1,1,1,1]> (x, w)", constants={"w": DEPTHWISE})


TRANSPOSED = [
    ("strides=[2,2]", (3, 4, 2, 2)),
    ("strides=[2,2], pads=[1,1,1,1], output_padding=[1,1]", (3, 4, 3, 3)),
    ("strides=[2,3], pads=[0,2,1,1]", (3, 4, 4, 5)),
    ("strides=[3,1], pads=[0,1,0,0], output_padding=[2,0]", (3, 4, 2, 3)),
    ("pads=[1,0,0,1]", (3, 4, 3, 2)),
    ("group=3, strides=[2,2], pads=[1,1,1,1]", (3, 2, 4, 4)),
    ("strides=[2,2], dilations=[2,3], pads=[2,1,1,0]", (3, 4, 3, 2)),
    ("strides=[4,4]", (3, 4, 2, 3)),
    ("strides=[2,2], pads=[3,3,3,3]", (3, 4, 4, 4)),
]


@pytest.mark.parametrize(("attributes", "shape"), TRANSPOSED)
def test_conv_transpose(attributes, shape):
    filters = shape[1] * (3 if "group" in attributes else 1)
    check(f"y = ConvTranspose <{attributes}> (x, w, b)", constants={"w": rand(*shape), "b": rand(filters)})


def test_conv_transpose_that_a_plan_cannot_say():
    w = {"w": rand(3, 4, 3, 3)}
    check("y = ConvTranspose <pads=[1,1,1,1]> (x, w)", x=("N", 3, "H", "W"), sizes=(3, 5, 6), constants=w)
    refuse("y = ConvTranspose <strides=[2,2]> (x, w)", "needs a known size", x=("N", 3, "H", "W"), constants=w)
    refuse("y = ConvTranspose <pads=[3,3,3,3]> (x, w)", "cut away more than the kernel", constants=w)
    refuse("y = ConvTranspose <output_shape=[9,10]> (x, w)", "auto_pad or output_shape", constants=w)
    refuse("y = ConvTranspose <strides=[9999,9999]> (x, w)", "more than 67108864 weights", constants=w)
    refuse("y = ConvTranspose <group=2> (x, w)", "in 2 groups does not fit 3", constants=w)


ROWS = [
    ("Conv <pads=[1,2], strides=[2], dilations=[2]> (x, w, b)", {"w": rand(6, 3, 3), "b": rand(6)}),
    ('Conv <auto_pad="SAME_UPPER", group=3> (x, w)', {"w": rand(6, 1, 3)}),
    ("ConvTranspose <strides=[2], pads=[1,1], output_padding=[1]> (x, w)", {"w": rand(3, 4, 3)}),
    ("MaxPool <kernel_shape=[3], strides=[2], pads=[1,1]> (x)", {}),
    ("AveragePool <kernel_shape=[2], strides=[2], ceil_mode=1> (x)", {}),
]


@pytest.mark.parametrize(("node", "constants"), ROWS)
def test_windows_over_rows(node, constants):
    check(f"y = {node}", x=("N", 3, 11), constants=constants)


def test_conv_over_rows_of_any_length():
    check("y = Conv(x, w)", x=("N", 3, "L"), sizes=(3, 11), constants={"w": rand(6, 3, 3)})


NORM = {"g": rand(3), "b": rand(3), "m": rand(3), "v": rand(3, low=0.5, high=2)}

ELEMENTWISE = [
    ("y = Relu(x)", 13, {}),
    ("y = Sigmoid(x)", 13, {}),
    ("y = Exp(x)", 13, {}),
    ("y = LeakyRelu <alpha=0.3> (x)", 7, {}),
    ("y = LeakyRelu(x)", 16, {}),
    ("y = Clip <min=-0.5, max=0.25> (x)", 7, {}),
    ("y = Clip <min=0.0> (x)", 7, {}),
    ("y = Clip(x, lo, hi)", 13, {"lo": np.float32(0), "hi": np.float32(0.6)}),
    ("y = Clip(x, , hi)", 13, {"hi": np.float32(0.6)}),
    ("y = Clip(x)", 13, {}),
    ("y = PRelu(x, s)", 7, {"s": rand(3, 1, 1)}),
    ("y = PRelu(x, s)", 9, {"s": rand(1, 3, 1, 1)}),
    ("y = PRelu(x, s)", 16, {"s": rand(1)}),
    ("y = BatchNormalization <epsilon=0.001, momentum=0.9, spatial=1> (x, g, b, m, v)", 7, NORM),
    ("y = BatchNormalization(x, g, b, m, v)", 9, NORM),
    ("y = BatchNormalization(x, g, b, m, v)", 15, NORM),
    ("y = Identity(x)", 13, {}),
    ("y = Dropout <ratio=0.4> (x)", 7, {}),
    ("y = Dropout(x, r, t)", 13, {"r": np.float32(0.5), "t": np.array(False)}),
    ("y = Cast <to=1> (x)", 13, {}),
    ("y = Add(x, c)", 7, {"c": rand(3, 1, 1)}),
    ("y = Add(c, x)", 13, {"c": rand(1, 3, 1, 10)}),
    ("y = Sub(c, x)", 13, {"c": np.float32(127.5)}),
    ("y = Sub(x, c)", 13, {"c": rand(10)}),
    ("y = Mul(x, c)", 14, {"c": np.float32(1 / 128)}),
    ("y = Div(c, d)  z = Exp(x)  y2 = Mul(z, y)", 14, {"c": np.float32(1), "d": np.float32(3)}),
    ("z = Exp(x)  y = Div(c, z)", 14, {"c": rand(1)}),
    ("z = Exp(x)  y = Div(x, z)", 14, {}),
    ("z = Relu(x)  y = Mul(z, x)", 14, {}),
    ("y = Neg(x)", 13, {}),
    ("y = Abs(x)", 13, {}),
    ("y = Tanh(x)", 13, {}),
    ("y = Erf(x)", 13, {}),
    ("a = Abs(x)  y = Sqrt(a)", 13, {}),
    ("a = Exp(x)  y = Reciprocal(a)", 13, {}),
    ("a = Exp(x)  b = Add(a, a)  y = Log(b)", 13, {}),
    ("y = Elu(x)", 7, {}),
    ("y = Elu <alpha=0.3> (x)", 7, {}),
    ("y = Selu(x)", 7, {}),
    ("y = Selu <alpha=1.5, gamma=0.7> (x)", 7, {}),
    ("y = Celu(x)", 12, {}),
    ("y = Celu <alpha=0.4> (x)", 12, {}),
    ("y = Softplus(x)", 7, {}),
    ("y = Softsign(x)", 7, {}),
    ("y = Mish(x)", 18, {}),
    ("y = HardSigmoid(x)", 7, {}),
    ("y = HardSigmoid <alpha=0.16666667, beta=0.5> (x)", 13, {}),
    ("c = Mul(x, t)  y = HardSwish(c)", 14, {"t": np.float32(5)}),
    ("y = Gelu(x)", 20, {}),
    ('y = Gelu <approximate="tanh"> (x)', 20, {}),
    (
        "d = Div(x, r)  e = Erf(d)  a = Add(e, o)  m = Mul(x, a)  y = Mul(m, h)",
        13,
        {"r": np.float32(2**0.5), "o": np.float32(1), "h": np.float32(0.5)},
    ),
    ("y = Pow(x, e)", 7, {"e": np.float32(2)}),
    ("y = Pow(x, e)", 13, {"e": ints(3)}),
    ("a = Exp(x)  y = Pow(a, e)", 13, {"e": np.float32(-0.5)}),
    ("z = Neg(x)  y = Max(x, z)", 13, {}),
    ("z = Neg(x)  y = Min(c, x, z)", 8, {"c": rand(3, 1, 1)}),
    ("y = Max(x, c)", 13, {"c": rand(1)}),
    ("z = Relu(x)  y = Sum(x, c, z)", 8, {"c": rand(3, 1, 1)}),
    ("y = Sum(c, x, d)", 13, {"c": rand(10), "d": rand(1, 3, 1, 1)}),
    ("y = Sum(x)", 13, {}),
    ("z = Relu(x)  y = Mean(c, x, z)", 13, {"c": rand(3, 9, 1)}),
    ("y = PRelu(x, s)", 16, {"s": rand(3, 9, 10)}),
    ("y = PRelu(x, s)", 16, {"s": rand(9, 1)}),
    ("y = PRelu(x, s)", 16, {"s": rand(10)}),
    ("y = Softmax <axis=1> (x)", 13, {}),
    ("y = Softmax(x)", 13, {}),
    ("y = Softmax <axis=3> (x)", 9, {}),
    ("y = Softmax(x)", 11, {}),
    ("y = Softmax <axis=2> (x)", 11, {}),
]


@pytest.mark.parametrize(("body", "opset", "constants"), ELEMENTWISE)
def test_elementwise(body, opset, constants):
    check(body, opset=opset, constants=constants, outputs=("y2",) if "y2" in body else ("y",))


CHOICES = [
    ("g = Greater(x, t)  y = Where(g, x, z)", {"t": np.float32(0.2), "z": np.float32(0)}),
    ("g = Greater(x, t)  c = Cast <to=1> (g)  y = Mul(x, c)", {"t": rand(3, 1, 1)}),
    ("r = Relu(x)  g = Less(r, x)  e = Equal(r, x)  o = Or(g, e)  y = Where(o, r, t)", {"t": rand(10)}),
    ("r = Relu(x)  g = GreaterOrEqual(r, x)  h = LessOrEqual(x, t)  a = And(g, h)  n = Not(a)  y = Where(n, r, x)",
     {"t": np.float32(0.1)}),
    ("y = Where(m, x, t)", {"m": rand(9, 10) > 0, "t": rand(3, 9, 10)}),
    ("n = Neg(x)  y = Where(m, n, x)", {"m": rand(3, 1, 1) > 0}),
    ("y = ThresholdedRelu <alpha=0.3> (x)", {}),
    ("m = Mul(x, t)  g = Greater(m, z)  y = Where(g, x, z)", {"t": np.float32(1e-30), "z": np.float32(0)}),
]  # fmt: skip


@pytest.mark.parametrize(("body", "constants"), CHOICES)
def test_choices(body, constants):
    check(body, opset=16, constants=constants)


@pytest.mark.parametrize("attributes", ["axis=1", "axis=-1, keepdims=0", "axis=2, select_last_index=1"])
@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
def test_index_of_the_largest(op, attributes):
    """As float numbers; of equal entries the first, or the last."""
    body = f"r = Clip(x, lo, hi)  i = {op} <{attributes}> (r)  y = Cast <to=1> (i)"
    check(body, constants={"lo": np.float32(-0.5), "hi": np.float32(0.5)})


def test_choices_that_a_plan_cannot_say():
    refuse("p = Flatten(x)  g = Greater(x, p)  y = Where(g, x, x)", "values of different rank")
    refuse("g = Greater(x, t)  y = Where(g, x, x)", "spans the batch", constants={"t": rand(3, 3, 9, 10)})
    refuse("i = ArgMax <axis=0> (x)  y = Cast <to=1> (i)", "axis 0 is the batch")


def test_powers_that_a_plan_cannot_say():
    refuse("y = Pow(x, e)", r"exponent has the shape \(10,\); expected one", constants={"e": rand(10)})
    refuse("y = Pow(x, x)", "is computed; expected a constant")
    refuse("y = Pow(c, x)", "is a constant; expected a computed", constants={"c": rand(1)})


def test_slope_as_mxnet_writes_it():
    """(C) for a map of C channels means channels, though the standard would broadcast along the width."""
    slope = rand(3)
    file = import_onnx(graph("y = PRelu(x, s)", opset=7, constants={"s": slope}))
    x = rand(2, 3, 9, 10)
    expected = np.where(x > 0, x, x * slope[:, None, None])
    np.testing.assert_allclose(plan_oracle.run(file, {"x": x})["y"], expected, atol=1e-6)
    check("y = PRelu(x, s)", x=("N", 3, 9, 3), opset=16, constants={"s": slope})  # one per column
    refuse("y = PRelu(x, s)", "sizes 3 and 2 do not broadcast", constants={"s": rand(2, 1, 1)})


POOLS = [
    ("MaxPool <kernel_shape=[2,2], strides=[2,2]>", 7),
    ("MaxPool <kernel_shape=[3,2], strides=[2,1], pads=[1,0,0,1]>", 11),
    ("MaxPool <kernel_shape=[1,1], strides=[2,2]>", 11),
    ('MaxPool <kernel_shape=[3,3], strides=[2,2], auto_pad="SAME_UPPER">', 11),
    ("MaxPool <kernel_shape=[2,2], strides=[2,2], ceil_mode=1>", 11),
    ("MaxPool <kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1], ceil_mode=1>", 12),
    ("MaxPool <kernel_shape=[2,3], dilations=[3,2], strides=[2,1], pads=[1,1,1,2]>", 11),
    ("MaxPool <kernel_shape=[3,3], dilations=[2,2], strides=[2,3], ceil_mode=1>", 12),
    ("AveragePool <kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>", 7),
    ("AveragePool <kernel_shape=[3,3], strides=[2,2], pads=[1,1,0,1], count_include_pad=1>", 11),
    ("AveragePool <kernel_shape=[2,2], strides=[2,2], ceil_mode=1>", 11),
    ("AveragePool <kernel_shape=[9,10]>", 11),
    ("GlobalAveragePool", 7),
    ("GlobalMaxPool", 7),
    ("ReduceMean <axes=[2,3], keepdims=1>", 7),
    ("ReduceMean <axes=[-1,-2], keepdims=0>", 13),
    ("ReduceMean <axes=[3]>", 13),
    ("ReduceMean <axes=[1]>", 13),
    ("ReduceMean <axes=[1,2], keepdims=0>", 13),
    ("ReduceMax <axes=[2], keepdims=0>", 12),
    ("ReduceMax <axes=[1], keepdims=0>", 12),
    ("ReduceSum <axes=[2,3], keepdims=0>", 11),
    ("ReduceSum <axes=[1,2,3]>", 11),
    ("ReduceL1 <axes=[2], keepdims=0>", 11),
    ("ReduceL2 <axes=[1]>", 11),
    ("ReduceL2 <axes=[-1], keepdims=0>", 13),
    ("ReduceSumSquare <axes=[2,3]>", 13),
    ("LpNormalization <axis=1>", 7),
    ("LpNormalization <p=1>", 7),
    ("AveragePool <kernel_shape=[3,3], strides=[2,2], ceil_mode=1, count_include_pad=1>", 19),
    ("AveragePool <kernel_shape=[3,2], strides=[3,2], pads=[1,1,0,0], ceil_mode=1, count_include_pad=1>", 19),
]


@pytest.mark.parametrize(("node", "opset"), POOLS)
def test_pools(node, opset):
    check(f"y = {node} (x)", opset=opset)


def test_reduce_mean_with_axes_as_input():
    check("y = ReduceMean <keepdims=1> (x, a)", opset=18, constants={"a": ints(2, 3)})
    check("y = ReduceSum <keepdims=0> (x, a)", opset=13, constants={"a": ints(-1)})
    check("y = ReduceMean <axes=[1]> (x)", x=("N", 3, 9), opset=13)
    check("y = ReduceMean <axes=[3]> (x)", x=("N", 3, "H", 9), sizes=(3, 4, 9))


def test_pools_that_a_plan_cannot_say():
    refuse("y = AveragePool <kernel_shape=[2,2], dilations=[2,2]> (x)", "dilations", opset=19)
    refuse('y = MaxPool <kernel_shape=[2,2], dilations=[2,2], auto_pad="SAME_UPPER"> (x)', "auto_pad and dilations")
    refuse("y, i = MaxPool <kernel_shape=[2,2]> (x)", "output 1 is not supported", outputs=("y", "i"))
    refuse(
        "y = MaxPool <kernel_shape=[2,2], strides=[2,2], ceil_mode=1> (x)",
        "known size",
        x=("N", 3, "H", "W"),
    )
    refuse("y = ReduceMean <axes=[1,3]> (x)", "expected neighbours")
    refuse("y = ReduceMean <axes=[1]> (x)", "more than one unknown size", x=("N", 3, "H", "W"))
    refuse("y = ReduceMean <axes=[0,1]> (x)", "is the batch")
    refuse("y = ReduceMean <keepdims=1> (x)", "over all axes")
    refuse("y = MaxPool <kernel_shape=[11,1]> (x)", "would have the shape")


def test_pad_joins_the_next_window():
    pads = {"p": ints(0, 0, 1, 0, 0, 0, 2, 1), "w": W3}
    file = check("z = Pad(x, p)  y = Conv <strides=[2,2]> (z, w)", constants=pads)
    assert ops(file) == ["conv"] and file.layers[0]["pad"] == [1, 0, 2, 1]
    file = check("z = Pad <pads=[0,0,1,1,0,0,1,1]> (x)  y = Conv <pads=[1,0,0,0]> (z, w)", opset=7, constants={"w": W3})
    assert ops(file) == ["conv"] and file.layers[0]["pad"] == [2, 1, 1, 1]
    file = check("z = Pad(x, p)  y = AveragePool <kernel_shape=[3,3], count_include_pad=1> (z)", constants=pads)
    assert ops(file) == ["avg_pool"]


def test_pad_that_does_not_join():
    pads = {"p": ints(0, 0, 1, 0, 0, 0, 2, 1), "w": W3}
    for node in (
        "MaxPool <kernel_shape=[2,2]> (z)",  # zeros may be the maximum: not the same as its own padding
        "AveragePool <kernel_shape=[3,3]> (z)",
        'Conv <auto_pad="SAME_UPPER", strides=[2,2]> (z, w)',
        "Relu(z)",
        "Identity(z)",
    ):
        file = check(f"z = Pad(x, p)  y = {node}", constants=pads)
        assert ops(file)[0] == "conv" and file.layers[0]["groups"] == 3
    check("z = Pad(x, p)  y = Add(z, z)  u = Conv (z, w)", constants=pads, outputs=("y", "u"))
    file = check("z = Pad(x, p, , a)  y = Relu(z)", opset=18, constants={"p": ints(1, 2), "a": ints(3)})
    assert file.layers[0]["pad"] == [0, 1, 0, 2]


PADS = [
    ('Pad <mode="reflect"> (x, p)', ints(0, 0, 2, 1, 0, 0, 3, 9)),
    ('Pad <mode="edge"> (x, p)', ints(0, 0, 2, 1, 0, 0, 0, 12)),
    ('Pad <mode="wrap"> (x, p)', ints(0, 0, 2, 1, 0, 0, 0, 4)),
    ("Pad(x, p, c)", ints(0, 0, 2, 1, 0, 0, 0, 19)),
    ("Pad(x, p)", ints(0, 2, 0, 0, 0, 40, 0, 0)),
    ("Pad(x, p)", ints(0, 0, -1, 0, 0, 0, -2, 3)),
    ("Pad(x, p, c)", ints(0, 0, -1, 0, 0, 1, -2, -3)),
]


@pytest.mark.parametrize(("node", "pads"), PADS)
def test_pad_with_other_than_zeros(node, pads):
    check(f"y = {node}", opset=19, constants={"p": pads, "c": np.float32(0.7)})


def test_pads_that_a_plan_cannot_say():
    check(
        "m = Pad(x, p, c)  y = MaxPool <kernel_shape=[2,2]> (m)",
        opset=11,
        constants={"p": ints(0, 0, 1, 1, 0, 0, 1, 1), "c": np.float32(-np.inf)},
    )
    check(
        "y = Pad(x, p, c)",
        x=("N", 3, "H", "W"),
        sizes=(3, 5, 6),
        constants={"p": ints(0, 0, 1, 2, 0, 0, 0, 1), "c": np.float32(2)},
    )
    check('y = Pad <mode="reflect"> (x, p)', x=("N", 9, 10), constants={"p": ints(0, 0, 1, 0, 0, 0)})
    refuse(
        'y = Pad <mode="reflect"> (x, p)', "9 entries in mode 'reflect'", constants={"p": ints(0, 0, 9, 0, 0, 0, 0, 0)}
    )
    refuse(
        'y = Pad <mode="reflect"> (x, p)',
        "needs a known size",
        x=("N", 3, "H", "W"),
        constants={"p": ints(0, 0, 1, 0, 0, 0, 0, 0)},
    )
    refuse("y = Pad(x, p)", "expected 1024 at most", constants={"p": ints(0, 2**40, 0, 0, 0, 0, 0, 0)})
    refuse("y = Pad(x, p)", "the batch among them", constants={"p": ints(1, 0, 0, 0, 0, 0, 0, 0)})


NORMALISED = [
    ("y = LpNormalization <axis=1, p=2> (f)", 7, {}),
    ("l = ReduceL2 <axes=[1]> (f)  y = Div(f, l)", 11, {}),
    ("l = ReduceL2 <axes=[1]> (f)  c = Clip(l, t)  s = Shape(f)  e = Expand(c, s)  y = Div(f, e)", 13, {}),
    ("q = Mul(f, f)  l = ReduceSum <keepdims=1> (q, a)  m = Max(l, t)  r = Sqrt(m)  y = Div(f, r)", 13, {}),
    ("q = Pow(f, two)  l = ReduceSum <keepdims=1> (q, a)  r = Pow(l, half)  y = Div(f, r)", 13, {}),
    ("l = ReduceSumSquare <axes=[1]> (f)  s = Sqrt(l)  r = Reciprocal(s)  y = Mul(f, r)", 13, {}),
]


@pytest.mark.parametrize(("end", "opset", "constants"), NORMALISED)
def test_embedding_normalised_in_the_graph(end, opset, constants):
    numbers = {"t": np.float32(1e-12), "a": ints(1), "two": np.float32(2), "half": np.float32(0.5)}
    constants = {"w": rand(20, 270), "b": rand(20), **numbers}
    check(f"g = Flatten(x)  f = Gemm <transB=1> (g, w, b)  {end}", opset=opset, constants=constants)


def test_lengths_and_expansions_that_a_plan_cannot_say():
    refuse("y = LpNormalization <p=3> (x)", "p 3; expected 1 or 2", opset=22)
    refuse("y = LpNormalization <axis=0> (x)", "axis 0 is the batch")
    refuse("y = ReduceL2(x)", "over all axes")
    check("p = ReduceMean <axes=[2,3]> (x)  y = Expand(p, s)", constants={"s": ints(1, 3, 4, 5)})
    check("p = ReduceMean <axes=[2,3]> (x)  y = Expand(p, s)", constants={"s": ints(7, 1)})
    refuse("y = Expand(x, s)", "expands the batch to 2", constants={"s": ints(2, 3, 9, 10)})
    refuse("y = Expand(x, s)", "to more dimensions", constants={"s": ints(1, 2, 3, 9, 10)})


FULLY_CONNECTED = [
    ("Gemm <transB=1> (f, w, b)", {"w": rand(5, 270), "b": rand(5)}),
    ("Gemm (f, w, b)", {"w": rand(270, 5), "b": rand(1, 5)}),
    ("Gemm <alpha=0.5, beta=2.0> (f, w, b)", {"w": rand(270, 5), "b": rand(1)}),
    ("Gemm (f, w)", {"w": rand(270, 5)}),
    ("MatMul (f, w)", {"w": rand(270, 5)}),
]


@pytest.mark.parametrize(("node", "constants"), FULLY_CONNECTED)
def test_fully_connected(node, constants):
    check(f"f = Flatten(x)  y = {node}", constants=constants)


def test_fully_connected_as_value_and_constant_used_twice():
    """One initializer transposed by one node and taken as it is by another."""
    check(
        "p = GlobalAveragePool(x)  f = Flatten(p)  a = MatMul(f, w)  b = Gemm <transB=1> (a, w)  y = Add(a, b)",
        constants={"w": rand(3, 3)},
    )
    refuse("f = Flatten(x)  y = Gemm <transA=1> (f, w)", "transA", constants={"w": rand(3, 5)})
    refuse("f = Flatten(x)  y = Gemm (f, w)", "does not fit", constants={"w": rand(3, 5)})
    refuse("f = Flatten(x)  y = MatMul (f, f)", "3 dimensions are expected")


SHAPES = [
    ("y = Flatten(x)", 9, {}),
    ("y = Flatten <axis=-3> (x)", 13, {}),
    ("y = Transpose <perm=[0,2,3,1]> (x)", 13, {}),
    ("y = Transpose <perm=[0,1,2,3]> (x)", 13, {}),
    ("y = Reshape(x, s)", 13, {"s": ints(0, -1)}),
    ("y = Reshape(x, s)", 13, {"s": ints(-1, 270)}),
    ("y = Reshape(x, s)", 13, {"s": ints(-1, 3, 90)}),
    ("y = Reshape(x, s)", 13, {"s": ints(0, 0, 3, 3, 10)}),
    ("u = Unsqueeze <axes=[1,5]> (x)  r = Relu(u)  y = Squeeze <axes=[5]> (r)", 11, {}),
    ("u = Unsqueeze (x, a)  r = Relu(u)  y = Squeeze (r, a)", 13, {"a": ints(-1, 1)}),
    ("p = GlobalMaxPool(x)  y = Squeeze(p)", 13, {}),
    ("y = Slice <axes=[2], starts=[1], ends=[-1]> (x)", 9, {}),
    ("y = Slice <starts=[0,1,0,-4], ends=[9223372036854775807,3,9,9223372036854775807]> (x)", 7, {}),
    ("y = Slice(x, s, e, a)", 13, {"s": ints(1, 2), "e": ints(3, 100), "a": ints(1, -1)}),
    ("y = Slice(x, s, e, a, t)", 13, {"s": ints(0, 1), "e": ints(9, 10), "a": ints(2, 3), "t": ints(2, 3)}),
    ("a, b = Split <axis=3, split=[4,6]> (x)  r = Relu(a)  y = Concat <axis=3> (b, r)", 11, {}),
    ("a, b = Split <axis=3> (x, s)  r = Relu(a)  y = Concat <axis=-1> (b, r)", 13, {"s": ints(4, 6)}),
    ("a, b = Split <axis=3> (x)  y = Sub(b, a)", 13, {}),
    ("a, b = Split <axis=3, num_outputs=2> (x)  y = Sub(b, a)", 18, {}),
    ("y = Gather <axis=2> (x, i)", 13, {"i": np.int64(4)}),
    ("y = Gather <axis=-1> (x, i)", 13, {"i": ints(-1)}),
    ("y = Concat <axis=1> (x)", 13, {}),
]


@pytest.mark.parametrize(("body", "opset", "constants"), SHAPES)
def test_shapes(body, opset, constants):
    check(body, opset=opset, constants=constants)


def test_concat_of_more_than_a_layer_takes():
    file = check(f"y = Concat <axis=1> ({', '.join(['x'] * 40)})")
    assert max(len(layer["inputs"]) for layer in file.layers) == 16


def test_concat_with_a_constant():
    check("y = Concat <axis=1> (c, x, c)", x=(1, 3, 9, 10), constants={"c": rand(1, 2, 9, 10)})
    check("f = Flatten(x)  y = Concat <axis=-1> (f, c)", x=(1, 3, 9, 10), constants={"c": rand(1, 5)})
    refuse("y = Concat <axis=1> (x, c)", "not one entry of a batch", constants={"c": rand(2, 2, 9, 10)})


RESIZES = [
    ('Upsample <mode="nearest", scales=[1.0,1.0,2.0,2.0]> (x)', 7, {}),
    ('Upsample <mode="nearest"> (x, s)', 9, {"s": np.float32([1, 1, 2, 3])}),
    ('Resize <mode="nearest"> (x, s)', 10, {"s": np.float32([1, 1, 2, 2])}),
    (
        'Resize <mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"> (x, , s)',
        13,
        {"s": np.float32([1, 1, 1.5, 0.5])},
    ),
    (
        'Resize <mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"> (x, , s)',
        13,
        {"s": np.float32([1, 1, 1.7, 2.3])},
    ),
    ("Resize (x, , s)", 13, {"s": np.float32([1, 1, 2, 3])}),  # half_pixel, round_prefer_floor
    ("Resize (x, , , z)", 13, {"z": ints(1, 3, 18, 20)}),
    ("Resize <axes=[2,3]> (x, , s)", 18, {"s": np.float32([4, 2])}),
    ("Resize (x, , s)", 13, {"s": np.float32([1, 1, 1, 1])}),
]


@pytest.mark.parametrize(("node", "opset", "constants"), RESIZES)
def test_resize(node, opset, constants):
    check(f"y = {node}", opset=opset, x=(1, 3, 9, 10), constants=constants)


@pytest.mark.parametrize("mode", ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"])
@pytest.mark.parametrize("scales", [(2, 3), (1.5, 1), (0.5, 2.3), (1, 0.3), (0.12, 4)])
def test_resize_between_pixels(mode, scales):
    node = f'Resize <mode="linear", coordinate_transformation_mode="{mode}"> (x, , s)'
    check(f"y = {node}", constants={"s": np.float32([1, 1, *scales])})


def test_resize_between_pixels_in_old_graphs():
    check('y = Upsample <mode="linear"> (x, s)', opset=9, constants={"s": np.float32([1, 1, 2, 3])})
    check('y = Resize <mode="linear"> (x, , , z)', x=(1, 3, 9, 10), constants={"z": ints(1, 3, 20, 7)})


def test_resizes_that_a_plan_cannot_say():
    two = {"s": np.float32([1, 1, 2, 2])}
    refuse('y = Resize <mode="cubic"> (x, , s)', "mode 'cubic'", constants=two)
    refuse('y = Resize <mode="linear", antialias=1> (x, , s)', "antialias 1", opset=18, constants=two)
    refuse('y = Resize <mode="linear"> (x, , s)', "needs a known size", x=("N", 3, "H", "W"), constants=two)
    refuse(
        'y = Resize <mode="linear", coordinate_transformation_mode="tf_crop_and_resize"> (x, r, s)',
        "'tf_crop_and_resize' at 9 entries",
        constants={**two, "r": np.zeros(8, np.float32)},
    )
    refuse(
        'y = Resize <coordinate_transformation_mode="asymmetric", nearest_mode="ceil"> (x, , s)',
        "other pixels",
        constants=two,
    )
    refuse("y = Resize (x, , s)", "1 for the batch", constants={"s": np.float32([1, 2, 1, 1])})
    refuse("y = Resize (x, , s)", "other pixels", constants={"s": np.float32([1, 1, 0.3, 0.3])})


NORMALISATIONS = [
    ("y = LayerNormalization <axis=-1> (x, g, b)", 17, {"g": rand(10), "b": rand(10)}),
    ("y = LayerNormalization <axis=2, epsilon=0.01> (x, g)", 17, {"g": rand(9, 10)}),
    ("y = LayerNormalization <axis=1> (x, g, b)", 17, {"g": rand(3, 9, 10), "b": rand(10)}),
    ("y = InstanceNormalization(x, g, b)", 13, {"g": rand(3), "b": rand(3)}),
    ("z = Concat <axis=1> (x, x)  y = GroupNormalization <num_groups=2> (z, g, b)", 21, {"g": rand(6), "b": rand(6)}),
    ("z = Concat <axis=1> (x, x)  y = GroupNormalization <num_groups=3> (z, g, b)", 18, {"g": rand(3), "b": rand(3)}),
    ("u = ReduceMean <axes=[1]> (x)  d = Sub(x, u)  q = Pow(d, two)  v = ReduceMean <axes=[1]> (q)  e = Add(v, t) "
     "s = Sqrt(e)  n = Div(d, s)  m = Mul(n, g)  y = Add(b, m)", 13,
     {"two": np.float32(2), "t": np.float32(1e-3), "g": rand(3, 1, 1), "b": rand(3, 1, 1)}),
    ("u = ReduceMean <axes=[-1]> (x)  d = Sub(x, u)  q = Mul(d, d)  v = ReduceMean <axes=[-1]> (q)  e = Add(t, v) "
     "s = Sqrt(e)  n = Div(d, s)  y = Mul(n, n)", 13, {"t": np.float32(1e-3)}),
]  # fmt: skip


@pytest.mark.parametrize(("body", "opset", "constants"), NORMALISATIONS)
def test_normalisations(body, opset, constants):
    file = check(body, opset=opset, constants=constants)
    assert "layer_norm" in ops(file) and "sqrt" not in ops(file)


PRODUCTS = [
    ("y = MatMul(x, w)", {"w": rand(10, 7)}),
    ("y = MatMul(x, w)", {"w": rand(1, 1, 10, 7)}),
    ("y = MatMul(x, w)", {"w": rand(3, 10, 7)}),
    ("y = MatMul(w, x)", {"w": rand(5, 9)}),
    ("t = Transpose <perm=[0,1,3,2]> (x)  y = MatMul(x, t)", {}),
    ("t = Transpose <perm=[0,1,3,2]> (x)  m = MatMul(t, x)  y = Softmax <axis=2> (m)", {}),
    ("r = Reshape(x, s)  t = Transpose <perm=[0,2,1]> (r)  y = MatMul(r, t)", {"s": ints(0, 27, 10)}),
    ("m = MatMul(x, w)  y = Add(m, b)", {"w": rand(10, 7), "b": rand(7)}),
    ("m = MatMul(x, w)  n = Mul(b, m)  y = Add(n, n)", {"w": rand(10, 7), "b": rand(1, 7)}),
    ("m = MatMul(x, w)  a = Add(m, b)  y = Add(a, x)", {"w": rand(10, 10), "b": rand(10)}),
]


@pytest.mark.parametrize(("body", "constants"), PRODUCTS)
def test_products_of_stacks(body, constants):
    check(body, constants=constants)


PICKED = [
    ("y = Gather <axis=1> (x, i)", {"i": ints(2, 1, 0)}),
    ("y = Gather <axis=-1> (x, i)", {"i": ints(0, 1, 2, -1, 5)}),
    ("y = Slice(x, s, e, a, t)", {"s": ints(-1), "e": ints(-(2**63) + 1), "a": ints(3), "t": ints(-1)}),
    ("y = Slice(x, s, e, a, t)", {"s": ints(2), "e": ints(-9), "a": ints(1), "t": ints(-1)}),
    ("y = Slice(x, s, e, a, t)", {"s": ints(8, 0), "e": ints(1, 9), "a": ints(2, 3), "t": ints(-3, 2)}),
    ("t = Transpose <perm=[1,0,2,3]> (x)  g = Gather <axis=0> (t, i)  y = Relu(g)", {"i": np.int64(1)}),
    ("t = Transpose <perm=[2,0,1,3]> (x)  s = Slice(t, b, e, z)  g = Squeeze(s, z)  y = Relu(g)",
     {"b": ints(4), "e": ints(5), "z": ints(0)}),
    ("t = Transpose <perm=[1,0,3,2]> (x)  a, b, c = Split <axis=0> (t)  u = Squeeze(b, z)  y = Relu(u)",
     {"z": ints(0)}),
    ("t = Transpose <perm=[1,0,2,3]> (x)  u = Transpose <perm=[1,3,0,2]> (t)  y = Relu(u)", {}),
]  # fmt: skip


@pytest.mark.parametrize(("body", "constants"), PICKED)
def test_entries_picked_and_axes_before_the_batch(body, constants):
    check(body, constants=constants)


def test_blocks_to_channels_and_back():
    four = {"x": ("N", 12, 4, 6), "opset": 13}
    check("y = DepthToSpace <blocksize=2> (x)", **four)
    check('y = DepthToSpace <blocksize=2, mode="CRD"> (x)', **four)
    check("y = SpaceToDepth <blocksize=2> (x)", **four)
    refuse("y = DepthToSpace <blocksize=5> (x)", "blocks of 5 do not divide 12 channels", **four)
    refuse("y = SpaceToDepth <blocksize=5> (x)", "blocks of 5 do not divide a map of 4 by 6", **four)


def test_heads_joined_with_the_batch():
    """As stacks of matrices are written: (batch * heads, ...), parted again before they are multiplied."""
    shapes = {"s": ints(-1, 9, 10), "t": ints(-1, 3, 10, 9), "k": ints(0, 10, 9)}
    body = "r = Reshape(x, s)  t0 = Transpose <perm=[0,2,1]> (r)  u = Reshape(t0, t)  y = MatMul(x, u)"
    check(body, constants=shapes)
    body = "r = Reshape(x, s)  t0 = Transpose <perm=[0,2,1]> (r)  v = Reshape(t0, k)  u = Reshape(v, t)  y = Relu(u)"
    check(body, constants=shapes)
    refuse("y = Reshape(x, s)", "joins the batch", constants=shapes)
    refuse("r = Reshape(x, s)  y = Relu(r)", "joins the batch", constants=shapes)
