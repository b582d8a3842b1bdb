"""Operators of ONNX that work element by element: arithmetic and activations."""

import numpy as np

from .dims import BATCH
from .onnx_graph import Graph, Operand, Translator, Value, arithmetic, known, text
from .onnx_node import Node, Refusal

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
    "Add": binary("add"),
    "Clip": clip,
    "Div": binary("div"),
    "Exp": unary("exp"),
    "LeakyRelu": leaky_relu,
    "Mean": mean,
    "Mul": binary("mul"),
    "Neg": negative,
    "PRelu": prelu,
    "Relu": unary("relu"),
    "Sigmoid": unary("sigmoid"),
    "Sub": binary("sub"),
    "Sum": combined("add"),
}
