"""Operators of ONNX that normalise values by their own mean and variance."""

from collections.abc import Sequence

import numpy as np

from .axes import reshaped, transposed
from .dims import product
from .graph import Graph, Operand, Translator, Value, arithmetic, axis_of, known, text
from .node import Array, Node, Refusal
from .patterns import NORMALIZE


def layer_normalization(graph: Graph, node: Node) -> Operand:
    value = graph.value(node)
    first = axis_of(node, node.get("axis", -1), len(value.shape))
    return _normalised(graph, node, value, range(first, len(value.shape)))


def normalize(graph: Graph, node: Node) -> Operand:
    value = graph.value(node)
    return _normalised(graph, node, value, sorted({axis_of(node, a, len(value.shape)) for a in node.get("axes")}))


def instance_normalization(graph: Graph, node: Node) -> Operand:
    value = graph.value(node)
    result = _plain(graph, node, value, range(2, len(value.shape)))
    return _per_channel(graph, node, result)


def group_normalization(graph: Graph, node: Node) -> Operand:
    value, groups = graph.value(node), node.get("num_groups")
    channels = known(value.shape[1:2])[0]
    if not groups or channels % groups:
        raise Refusal(f"{groups} groups do not divide {channels} channels")
    rest = product(value.shape[2:])
    rows = reshaped(graph, node, value, [value.shape[0], groups, rest * (channels // groups)])
    result = reshaped(graph, node, _plain(graph, node, rows, [2]), value.shape)
    scale = graph.constant(node, 1)
    if scale.size == groups != channels:  # opset 18: one number per group
        return _per_channel(graph, node, result, channels // groups)
    return _per_channel(graph, node, result)


def _per_channel(graph: Graph, node: Node, value: Value, repeats: int = 1) -> Value:
    """Times and plus the inputs 1 and 2, which have a number per channel: a batch norm without statistics."""
    channels = known(value.shape[1:2])[0]
    arrays = [np.repeat(graph.constant(node, index).reshape(-1), repeats) for index in (1, 2)]
    if any(array.size != channels for array in arrays):
        raise Refusal(f"scale and bias have {[array.size for array in arrays]} numbers; expected {channels}")
    gamma, beta = (graph.plan.tensor(node.inputs[index], array) for index, array in zip((1, 2), arrays, strict=True))
    mean = graph.plan.tensor(f"{node.output}.mean", np.zeros(channels))
    var = graph.plan.tensor(f"{node.output}.var", np.ones(channels))
    numbers = {"gamma": gamma, "beta": beta, "mean": mean, "var": var}
    return graph.emit(node, "batch_norm", [value], value.shape, **numbers, epsilon=0.0)


def _normalised(graph: Graph, node: Node, value: Value, axes: Sequence[int]) -> Value:
    """By mean and variance over the axes, times input 1, plus input 2 where these are there."""
    factors = [graph.optional_constant(node, index) for index in (1, 2)]
    vectors = [None if array is None else _vector(value, axes, array) for array in factors]
    if all((vector is None) == (array is None) for vector, array in zip(vectors, factors, strict=True)):
        return _plain(graph, node, value, axes, *vectors)
    result = _plain(graph, node, value, axes)
    for index, op in ((1, "mul"), (2, "add")):
        array = factors[index - 1]
        if array is None:
            continue
        shape = (1,) * (len(value.shape) - array.ndim) + array.shape
        if len(shape) != len(value.shape) or shape[0] != 1:
            raise Refusal(f"input {index} has the shape {array.shape}; expected one that fits {text(value.shape)}")
        result = arithmetic(graph, node, op, result, Value(graph.tensor(node, index, shape), shape))
    return result


def _vector(value: Value, axes: Sequence[int], array: Array) -> Array | None:
    """A factor as one number per place of the axes, where it is that."""
    shape = (1,) * (len(value.shape) - array.ndim) + array.shape
    expected = tuple(size if axis in axes else 1 for axis, size in enumerate(value.shape))
    return array.reshape(-1) if shape == expected else None


def _plain(
    graph: Graph, node: Node, value: Value, axes: Sequence[int], gamma: Array | None = None, beta: Array | None = None
) -> Value:
    """The layer: along the last axis, to which the axes are brought."""
    rank = len(value.shape)
    attributes = {
        key: graph.plan.tensor(node.inputs[index], array)
        for index, key, array in ((1, "gamma", gamma), (2, "beta", beta))
        if array is not None
    }
    epsilon = float(node.get("epsilon", 1e-5))
    if list(axes) == list(range(axes[0], rank)):
        count = known([product([value.shape[axis] for axis in axes])])[0]
        rows = reshaped(graph, node, value, [*value.shape[: axes[0]], count])
        result = graph.emit(node, "layer_norm", [rows], rows.shape, epsilon=epsilon, **attributes)
        return reshaped(graph, node, result, value.shape)
    if len(axes) != 1:
        raise Refusal(f"axes {list(axes)}; expected one, or the last ones")
    last = [*(axis for axis in range(rank) if axis != axes[0]), axes[0]]
    rows = transposed(graph, node, value, last)
    result = graph.emit(node, "layer_norm", [rows], rows.shape, epsilon=epsilon, **attributes)
    return transposed(graph, node, result, [last.index(axis) for axis in range(rank)])


NORM_OPS: dict[str, Translator] = {
    "GroupNormalization": group_normalization,
    "InstanceNormalization": instance_normalization,
    "LayerNormalization": layer_normalization,
    NORMALIZE: normalize,
}
