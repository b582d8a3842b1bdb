"""Operators of ONNX that compare, choose and find: what is true is 1, what is false 0, and an index is a number too."""

import numpy as np

from .axes import reshaped
from .graph import Graph, Operand, Translator, Value, arithmetic, axis_of, known, text
from .node import Array, Node, Refusal
from .reduce import pooled

_UFUNCS = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "maximum": np.maximum}


def _combined(graph: Graph, node: Node, op: str, a: Value | Array, b: Value | Array) -> Value | Array:
    """Arithmetic of two operands: now, if both are constants."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return np.asarray(_UFUNCS[op](a, b))
    rank = max(len(value.shape) for value in (a, b) if isinstance(value, Value))
    first, second = (_of_rank(graph, node, value, rank) for value in (a, b))
    return arithmetic(graph, node, op, first, second)


def _of_rank(graph: Graph, node: Node, value: Value | Array, rank: int) -> Value:
    if isinstance(value, np.ndarray):
        if value.ndim > rank or (value.ndim == rank and value.shape[0] != 1):
            raise Refusal(f"the constant {value.shape} spans the batch")
        shape = (1,) * (rank - value.ndim) + value.shape
        return Value(graph.plan.tensor(f"{node.output}.constant", value.reshape(shape)), shape)
    if len(value.shape) != rank:
        raise Refusal(f"values of different rank ({text(value.shape)} and {rank} dimensions)")
    return value


def _operands(graph: Graph, node: Node) -> list[Value | Array]:
    operands: list[Value | Array] = [
        graph.constant(node, index).astype(np.float32) if graph.is_constant(node, index) else graph.value(node, index)
        for index in range(len(node.inputs))
    ]
    if all(isinstance(operand, np.ndarray) for operand in operands):
        raise Refusal("is of constants alone")
    return operands


def _inverted(graph: Graph, node: Node, truth: Value | Array) -> Value | Array:
    return _combined(graph, node, "sub", np.ones((), np.float32), truth)


def _above(graph: Graph, node: Node, a: Value | Array, b: Value | Array) -> Value:
    """Whether a > b: the difference times a number that makes 1 or more of each float above 0.

    The smallest that the core keeps is 2^-126: it takes subnormal numbers for 0.
    """
    difference = _combined(graph, node, "sub", a, b)
    assert isinstance(difference, Value)
    difference = arithmetic(graph, node, "mul", difference, 2.0**127)
    return graph.emit(node, "clip", [difference], difference.shape, min=0.0, max=1.0)


def compared(*, swapped: bool, inverted: bool) -> Translator:
    def translate(graph: Graph, node: Node) -> Operand:
        a, b = _operands(graph, node)
        truth = _above(graph, node, b, a) if swapped else _above(graph, node, a, b)
        return _inverted(graph, node, truth) if inverted else truth

    return translate


def equal(graph: Graph, node: Node) -> Operand:
    a, b = _operands(graph, node)
    apart = arithmetic(graph, node, "add", _above(graph, node, a, b), _above(graph, node, b, a))
    return _inverted(graph, node, apart)


def both(op: str) -> Translator:
    def translate(graph: Graph, node: Node) -> Operand:
        a, b = _operands(graph, node)
        return _combined(graph, node, op, a, b)

    return translate


def invert(graph: Graph, node: Node) -> Operand:
    return _inverted(graph, node, graph.value(node))


def where(graph: Graph, node: Node) -> Operand:
    condition, yes, no = _operands(graph, node)
    chosen = _combined(graph, node, "mul", condition, yes)
    other = _combined(graph, node, "mul", _inverted(graph, node, condition), no)
    return _combined(graph, node, "add", chosen, other)


def thresholded_relu(graph: Graph, node: Node) -> Operand:
    value = graph.value(node)
    above = _above(graph, node, value, np.array(node.get("alpha", 1.0), np.float32))
    return arithmetic(graph, node, "mul", value, above)


def arg_max(sign: int) -> Translator:
    """The index of the largest entry (sign 1) or the smallest (-1), of equal ones the first unless told otherwise."""

    def translate(graph: Graph, node: Node) -> Operand:
        value = graph.value(node)
        if sign < 0:
            value = arithmetic(graph, node, "mul", value, sign)
        axis = axis_of(node, node.get("axis", 0), len(value.shape))
        size = known([value.shape[axis]])[0]
        largest = pooled("max_pool")(graph, node, value, [axis])
        found = _inverted(graph, node, _above(graph, node, largest, value))
        last = bool(node.get("select_last_index", 0))
        order = np.arange(1, size + 1) if last else np.arange(size, 0, -1)  # above 0, so that what is found tells
        shape = [size if position == axis else 1 for position in range(len(value.shape))]
        marked = _combined(graph, node, "mul", found, order.astype(np.float32).reshape(shape))
        assert isinstance(marked, Value)
        best: Value | Array = pooled("max_pool")(graph, node, marked, [axis])
        number = np.array(1 if last else size, np.float32)
        index = _combined(graph, node, "sub", best, number) if last else _combined(graph, node, "sub", number, best)
        assert isinstance(index, Value)
        if node.get("keepdims", 1):
            return index
        return reshaped(graph, node, index, [*index.shape[:axis], *index.shape[axis + 1 :]])

    return translate


CHOICE_OPS: dict[str, Translator] = {
    "And": both("mul"),
    "ArgMax": arg_max(1),
    "ArgMin": arg_max(-1),
    "Equal": equal,
    "Greater": compared(swapped=False, inverted=False),
    "GreaterOrEqual": compared(swapped=True, inverted=True),
    "Less": compared(swapped=True, inverted=False),
    "LessOrEqual": compared(swapped=False, inverted=True),
    "Not": invert,
    "Or": both("maximum"),
    "ThresholdedRelu": thresholded_relu,
    "Where": where,
}
