"""Operators of ONNX that work element by element: arithmetic and activations."""

import math

import numpy as np

from .dims import BATCH
from .graph import Graph, Operand, Translator, Value, arithmetic, known, text
from .node import Node, Refusal

_FLOAT_MAX = float(np.finfo(np.float32).max)


def unary(op: str) -> Translator:
    def translate(graph: Graph, node: Node) -> Operand:
        value = graph.value(node)
        return graph.emit(node, op, [value], value.shape)

    return translate


def clip(graph: Graph, node: Node) -> Operand:
    value = graph.value(node)
    low, high = node.get("min"), node.get("max")
    if node.opset >= 11:
        low, high = (
            None if limit is None else float(limit.reshape(()))
            for limit in (graph.optional_constant(node, 1), graph.optional_constant(node, 2))
        )
    low = -_FLOAT_MAX if low is None else max(float(low), -_FLOAT_MAX)
    high = _FLOAT_MAX if high is None else min(float(high), _FLOAT_MAX)
    if low == 0 and high == _FLOAT_MAX:
        return graph.emit(node, "relu", [value], value.shape)
    return graph.emit(node, "clip", [value], value.shape, min=low, max=high)


def prelu(graph: Graph, node: Node) -> Operand:
    value, slope = graph.value(node), graph.constant(node, 1)
    channels, rank = known(value.shape[1:2])[0], len(value.shape)
    # By the standard a slope broadcasts from the right; MXNet's exporter writes (C) and means channels.
    shape = (1,) * (rank - slope.ndim) + slope.shape
    per_channel = slope.ndim <= rank and shape[:2] == (1, channels) and slope.size == channels
    by_name = slope.shape == (channels,) and rank > 2 and value.shape[-1] != channels
    if slope.size == 1 or per_channel or by_name:
        return graph.emit(node, "prelu", [value], value.shape, slope=graph.tensor(node, 1, (slope.size,)))
    below = graph.emit(node, "clip", [value], value.shape, min=-_FLOAT_MAX, max=0.0)
    below = arithmetic(graph, node, "mul", below, _broadcastable(graph, node, 1, rank))
    if below.shape != value.shape:
        raise Refusal(f"the slope {slope.shape} does not broadcast to {text(value.shape)}")
    above = graph.emit(node, "relu", [value], value.shape)
    return arithmetic(graph, node, "add", above, below)


def leaky_relu(graph: Graph, node: Node) -> Operand:
    value = graph.value(node)
    slope = graph.plan.tensor(f"{node.output}.slope", np.array([node.get("alpha", 0.01)]))
    return graph.emit(node, "prelu", [value], value.shape, slope=slope)


def elu(graph: Graph, node: Node) -> Operand:
    value = graph.value(node)
    return graph.emit(node, "elu", [value], value.shape, alpha=float(node.get("alpha", 1.0)))


def selu(graph: Graph, node: Node) -> Operand:
    value = graph.value(node)
    alpha, gamma = node.get("alpha", 1.67326319217681884765625), node.get("gamma", 1.05070102214813232421875)
    return arithmetic(graph, node, "mul", graph.emit(node, "elu", [value], value.shape, alpha=float(alpha)), gamma)


def celu(graph: Graph, node: Node) -> Operand:
    value, alpha = graph.value(node), float(node.get("alpha", 1.0))  # alpha * (exp(x / alpha) - 1) below zero
    inside = arithmetic(graph, node, "mul", value, 1 / alpha)
    return arithmetic(graph, node, "mul", graph.emit(node, "elu", [inside], value.shape, alpha=1.0), alpha)


def hard_sigmoid(graph: Graph, node: Node) -> Operand:
    value = graph.value(node)
    alpha, beta = float(node.get("alpha", 0.2)), float(node.get("beta", 0.5))
    return graph.emit(node, "hard_sigmoid", [value], value.shape, alpha=alpha, shift=beta)


def gelu(graph: Graph, node: Node) -> Operand:
    value = graph.value(node)
    if node.get("approximate", "none") == "none":
        return graph.emit(node, "gelu", [value], value.shape)
    # (1 + tanh(u)) / 2 is sigmoid(2u), with u = sqrt(2 / pi) * (x + 0.044715 x^3).
    square = arithmetic(graph, node, "mul", value, value)
    scaled = arithmetic(graph, node, "mul", square, 2 * math.sqrt(2 / math.pi) * 0.044715)
    factor = arithmetic(graph, node, "add", scaled, 2 * math.sqrt(2 / math.pi))
    inside = arithmetic(graph, node, "mul", value, factor)
    return arithmetic(graph, node, "mul", value, graph.emit(node, "sigmoid", [inside], value.shape))


def mish(graph: Graph, node: Node) -> Operand:
    value = graph.value(node)
    soft = graph.emit(node, "softplus", [value], value.shape)
    return arithmetic(graph, node, "mul", value, graph.emit(node, "tanh", [soft], value.shape))


def softsign(graph: Graph, node: Node) -> Operand:
    value = graph.value(node)
    size = graph.emit(node, "abs", [value], value.shape)
    return arithmetic(graph, node, "div", value, arithmetic(graph, node, "add", size, 1))


def reciprocal(graph: Graph, node: Node) -> Operand:
    value = graph.value(node)
    return arithmetic(graph, node, "div", graph.scalar(node, 1, len(value.shape)), value)


def power(graph: Graph, node: Node) -> Operand:
    value, exponent = graph.value(node), graph.constant(node, 1)
    if exponent.size != 1 or exponent.ndim > len(value.shape):
        raise Refusal(f"the exponent has the shape {exponent.shape}; expected one number")
    number = float(exponent.reshape(()))
    if number == 2:
        return arithmetic(graph, node, "mul", value, value)
    return graph.emit(node, "pow", [value], value.shape, exponent=number)


def negative(graph: Graph, node: Node) -> Operand:
    return arithmetic(graph, node, "mul", graph.value(node), -1)


def binary(op: str) -> Translator:
    def translate(graph: Graph, node: Node) -> Operand:
        a, b = _operands(graph, node)
        return arithmetic(graph, node, op, a, b)

    return translate


def combined(op: str) -> Translator:
    """One input or more by an operation whose order does not matter."""

    def translate(graph: Graph, node: Node) -> Operand:
        first, *rest = sorted(_operands(graph, node), key=lambda value: value.shape[0] != BATCH)  # constants last
        for value in rest:
            first = arithmetic(graph, node, op, first, value)
        return first

    return translate


def mean(graph: Graph, node: Node) -> Operand:
    total = combined("add")(graph, node)
    assert isinstance(total, Value)
    return arithmetic(graph, node, "mul", total, 1 / len(node.inputs))


def _operands(graph: Graph, node: Node) -> list[Value]:
    """The inputs of an operator that broadcasts, brought to one rank."""
    indices = range(len(node.inputs))
    computed = [index for index in indices if not graph.is_constant(node, index)]
    if not computed:
        raise Refusal("is of constants alone")
    rank = max(len(graph.value(node, index).shape) for index in computed)
    return [_broadcastable(graph, node, index, rank) for index in indices]


def _broadcastable(graph: Graph, node: Node, index: int, rank: int) -> Value:
    """An input of an operator that broadcasts, constants with ones in front up to the rank of the values."""
    if not graph.is_constant(node, index):
        value = graph.value(node, index)
        if len(value.shape) != rank:
            raise Refusal(f"values of different rank ({text(value.shape)} and {rank} dimensions)")
        return value
    array = graph.constant(node, index)
    if array.ndim > rank or (array.ndim == rank and array.shape[0] != 1):
        raise Refusal(f"the constant {array.shape} spans the batch")
    shape = (1,) * (rank - array.ndim) + array.shape
    return Value(graph.tensor(node, index, shape), shape)


POINTWISE_OPS: dict[str, Translator] = {
    "Abs": unary("abs"),
    "Add": binary("add"),
    "Celu": celu,
    "Clip": clip,
    "Div": binary("div"),
    "Elu": elu,
    "Erf": unary("erf"),
    "Exp": unary("exp"),
    "Gelu": gelu,
    "HardSigmoid": hard_sigmoid,
    "HardSwish": unary("hard_swish"),
    "LeakyRelu": leaky_relu,
    "Log": unary("log"),
    "Max": combined("maximum"),
    "Mean": mean,
    "Min": combined("minimum"),
    "Mish": mish,
    "Mul": binary("mul"),
    "Neg": negative,
    "PRelu": prelu,
    "Pow": power,
    "Reciprocal": reciprocal,
    "Relu": unary("relu"),
    "Selu": selu,
    "Sigmoid": unary("sigmoid"),
    "Softplus": unary("softplus"),
    "Softsign": softsign,
    "Sqrt": unary("sqrt"),
    "Sub": binary("sub"),
    "Sum": combined("add"),
    "Tanh": unary("tanh"),
}
