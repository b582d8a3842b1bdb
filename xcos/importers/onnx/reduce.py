"""Operators of ONNX that reduce axes to one number: pools over a whole map, means, maxima, sums, lengths."""

from collections.abc import Callable, Sequence

import numpy as np

from .axes import reshaped
from .dims import Size, product
from .graph import Graph, Operand, Translator, Value, arithmetic, axis_of, image, known
from .node import Node, Refusal

Reduction = Callable[[Graph, Node, Value, Sequence[int]], Value]
"""Reduces axes of a value, in rising order, which stay with the size 1."""

_MAX_WINDOW = 2**15  # of a kernel in a model file


def global_pool(op: str) -> Translator:
    def translate(graph: Graph, node: Node) -> Operand:
        source = graph.value(node)
        batch, channels, _, _ = image(source)
        return graph.emit(node, op, [source], [batch, channels, 1, 1])

    return translate


def reduce(reduction: Reduction) -> Translator:
    def translate(graph: Graph, node: Node) -> Operand:
        value = graph.value(node)
        named = graph.ints(node, "axes", 1)
        if not named:
            raise Refusal("reduces over all axes, the batch among them")
        axes = sorted({axis_of(node, axis, len(value.shape)) for axis in named})
        result = reduction(graph, node, value, axes)
        if node.get("keepdims", 1):
            return result
        return reshaped(graph, node, result, [s for axis, s in enumerate(result.shape) if axis not in axes])

    return translate


def pooled(op: str) -> Reduction:
    def reduction(graph: Graph, node: Node, value: Value, axes: Sequence[int]) -> Value:
        shape: list[Size] = [1 if axis in axes else size for axis, size in enumerate(value.shape)]
        if len(shape) == 4 and axes == [2, 3]:
            return graph.emit(node, op, [value], shape)
        first, last = axes[0], axes[-1] + 1
        if last - first != len(axes):
            raise Refusal(f"axes {list(axes)}; expected neighbours")
        window = known([product(value.shape[first:last])])[0]
        if window > _MAX_WINDOW:
            raise Refusal(f"makes one number of {window}; expected {_MAX_WINDOW} at most")
        if len(shape) == 4 and first > 1:  # one side of a map
            kernel = [window, 1] if first == 2 else [1, window]
            return graph.emit(node, op, [value], shape, kernel=kernel)
        # As a map of rows: what is before the axes, the axes, what is behind them.
        before, behind = product(value.shape[1:first]), product(value.shape[last:])
        rows = reshaped(graph, node, value, [value.shape[0], before, window, behind])
        one = graph.emit(node, op, [rows], [value.shape[0], before, 1, behind], kernel=[window, 1])
        return reshaped(graph, node, one, shape)

    return reduction


def summed(graph: Graph, node: Node, value: Value, axes: Sequence[int]) -> Value:
    count = known([product([value.shape[axis] for axis in axes])])[0]
    return arithmetic(graph, node, "mul", pooled("avg_pool")(graph, node, value, axes), count)


def sum_of_sizes(graph: Graph, node: Node, value: Value, axes: Sequence[int]) -> Value:
    return summed(graph, node, graph.emit(node, "abs", [value], value.shape), axes)


def sum_of_squares(graph: Graph, node: Node, value: Value, axes: Sequence[int]) -> Value:
    return summed(graph, node, arithmetic(graph, node, "mul", value, value), axes)


def length(graph: Graph, node: Node, value: Value, axes: Sequence[int]) -> Value:
    squares = sum_of_squares(graph, node, value, axes)
    return graph.emit(node, "sqrt", [squares], squares.shape)


def lp_normalization(graph: Graph, node: Node) -> Operand:
    value, p = graph.value(node), node.get("p", 2)
    if p not in (1, 2):
        raise Refusal(f"p {p}; expected 1 or 2")
    axis = axis_of(node, node.get("axis", -1), len(value.shape))
    norm = (length if p == 2 else sum_of_sizes)(graph, node, value, [axis])
    limits = np.finfo(np.float32)  # zeros stay zeros
    norm = graph.emit(node, "clip", [norm], norm.shape, min=float(limits.tiny), max=float(limits.max))
    return arithmetic(graph, node, "div", value, norm)


REDUCE_OPS: dict[str, Translator] = {
    "GlobalAveragePool": global_pool("avg_pool"),
    "GlobalMaxPool": global_pool("max_pool"),
    "LpNormalization": lp_normalization,
    "ReduceL1": reduce(sum_of_sizes),
    "ReduceL2": reduce(length),
    "ReduceMax": reduce(pooled("max_pool")),
    "ReduceMean": reduce(pooled("avg_pool")),
    "ReduceSum": reduce(summed),
    "ReduceSumSquare": reduce(sum_of_squares),
}
