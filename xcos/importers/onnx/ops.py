"""Operators of ONNX as layers of a plan: products, and what picks from values or puts them together.

A translator takes the graph and a node and returns what the node's outputs stand for. It raises Refusal, with
the reason, for what a plan cannot say.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .axes import dropped, own_axis, reshaped, seen
from .dims import Dim, Size, product
from .graph import Graph, Operand, Translator, Value, arithmetic, axis_of, broadcast, known, text
from .node import Array, Node, Refusal

_MAX_RUNS = 256  # slices that one gather may become


def alias(graph: Graph, node: Node) -> Operand:
    return graph.operand(node, 0)


def dropout(graph: Graph, node: Node) -> Operand:
    if node.has_input(2) and bool(np.any(graph.constant(node, 2))):  # from opset 12 on
        ratio = graph.constant(node, 1) if node.has_input(1) else np.array(0.5)
        if np.any(ratio):
            raise Refusal("the dropout is in training mode")
    return graph.operand(node, 0)


def cast(graph: Graph, node: Node) -> Operand:
    if node.get("to") not in (1, 10, 11, 16):  # float, float16, double, bfloat16: all float32 in a plan
        raise Refusal("casts a computed value to another type than float")
    return graph.operand(node, 0)


def batch_norm(graph: Graph, node: Node) -> Operand:
    value = graph.value(node)
    channels = known(value.shape[1:2])[0]
    # Before opset 14 the outputs tell: running statistics are given out by training alone.
    training = node.get("training_mode", 0) or (node.opset < 14 and len([name for name in node.outputs if name]) > 1)
    if training or node.get("spatial", 1) != 1:
        raise Refusal("the batch norm is in training mode or not per channel")
    for index in range(1, 5):
        if graph.constant(node, index).shape != (channels,):
            shape = graph.constant(node, index).shape
            raise Refusal(f"input {index} has the shape {shape}; expected ({channels},)")
    gamma, beta, mean, var = (graph.tensor(node, index) for index in range(1, 5))
    epsilon = float(node.get("epsilon", 1e-5))
    return graph.emit(
        node, "batch_norm", [value], value.shape, gamma=gamma, beta=beta, mean=mean, var=var, epsilon=epsilon
    )


def gemm(graph: Graph, node: Node) -> Operand:
    if node.get("transA", 0):
        raise Refusal("transA would move the batch")
    weight = graph.constant(node, 1)
    if weight.ndim != 2:
        raise Refusal(f"the weight has the shape {weight.shape}; expected two dimensions")
    weight = weight if node.get("transB", 0) else weight.T
    bias = graph.optional_constant(node, 2)
    if bias is not None:
        if bias.size not in (1, len(weight)) or bias.ndim > 2 or (bias.ndim == 2 and bias.shape[0] != 1):
            raise Refusal(f"the bias {bias.shape} is not one row of {len(weight)}")
        bias = np.broadcast_to(bias.reshape(-1) * node.get("beta", 1.0), len(weight))
    return _linear(graph, node, weight * node.get("alpha", 1.0), bias)


def matmul(graph: Graph, node: Node) -> Operand:
    constants = [graph.is_constant(node, index) for index in (0, 1)]
    if constants[1]:
        weight = graph.constant(node, 1)
        if weight.ndim >= 2 and weight.size == weight.shape[-1] * weight.shape[-2]:
            return _linear(graph, node, weight.reshape(weight.shape[-2:]).T, None)
    rank = max(len(graph.value(node, index).shape) for index in (0, 1) if not constants[index])
    a, b = (_factor(graph, node, index, rank) for index in (0, 1))
    if a.shape[-1] != b.shape[-2]:
        raise Refusal(f"{text(a.shape)} times {text(b.shape)} does not fit")
    shape = [*(broadcast(x, y) for x, y in zip(a.shape[:-2], b.shape[:-2], strict=True)), a.shape[-2], b.shape[-1]]
    swapped = [*range(rank - 2), rank - 1, rank - 2]
    source = graph.plan.source_of(b.name, "transpose", perm=swapped)
    if source:  # the layer reads the second matrix in either order
        return graph.emit(node, "matmul", [a, Value(source, b.shape)], shape, transposed=True)
    return graph.emit(node, "matmul", [a, b], shape)


def _factor(graph: Graph, node: Node, index: int, rank: int) -> Value:
    """A stack of matrices; a constant has ones in front up to the rank of the computed one."""
    shape: tuple[Size, ...]
    if not graph.is_constant(node, index):
        value = graph.value(node, index)
        if len(value.shape) != rank or rank < 3:
            raise Refusal(f"multiplies {text(value.shape)} where {max(rank, 3)} dimensions are expected")
        return value
    array = graph.constant(node, index)
    if not 2 <= array.ndim <= rank or (array.ndim == rank and array.shape[0] != 1):
        raise Refusal(f"the constant {array.shape} is no stack of matrices for {rank} dimensions")
    shape = (1,) * (rank - array.ndim) + array.shape
    return Value(graph.tensor(node, index, [*map(int, shape)]), shape)


def _linear(graph: Graph, node: Node, weight: Array, bias: Array | None) -> Value:
    value = graph.value(node)
    if len(value.shape) < 2 or value.shape[-1] != weight.shape[1]:
        raise Refusal(f"a weight for {weight.shape[1]} inputs does not fit the shape {text(value.shape)}")
    tensors = {"weight": graph.plan.tensor(node.inputs[1], weight)}
    if bias is not None:
        tensors["bias"] = graph.plan.tensor(node.inputs[2], bias)
    return graph.emit(node, "linear", [value], (*value.shape[:-1], len(weight)), **tensors)


def concat(graph: Graph, node: Node) -> Operand:
    computed = [index for index in range(len(node.inputs)) if not graph.is_constant(node, index)]
    model = graph.value(node, computed[0])
    axis = axis_of(node, node.get("axis", 1), len(model.shape))
    values = [
        graph.value(node, index) if index in computed else _repeated(graph, node, index, model, axis)
        for index in range(len(node.inputs))
    ]
    return joined(graph, node, values, axis)


def joined(graph: Graph, node: Node, values: list[Value], axis: int) -> Value:
    """Values side by side along an axis."""
    while len(values) > 1:  # a layer takes at most 16 inputs
        first = values[:16]
        shape = list(first[0].shape)
        for value in first[1:]:
            if len(value.shape) != len(shape):
                raise Refusal("values of different rank")
            shape = [
                x + y if position == axis else broadcast(x, y)
                for position, (x, y) in enumerate(zip(shape, value.shape, strict=True))
            ]
        values = [graph.emit(node, "concat", first, shape, axis=axis), *values[16:]]
    return values[0]


def _repeated(graph: Graph, node: Node, index: int, model: Value, axis: int) -> Value:
    """A constant as a value, the same for each entry of the batch: added to zeros, which `model` is turned into."""
    array = graph.constant(node, index)
    if array.ndim != len(model.shape) or array.shape[0] != 1:
        raise Refusal(f"the constant {array.shape} is not one entry of a batch of {text(model.shape)}")
    zeros = cut(graph, node, model, axis, 0, 1)
    zeros = graph.emit(node, "clip", [zeros], zeros.shape, min=0.0, max=0.0)
    return arithmetic(graph, node, "add", zeros, Value(graph.tensor(node, index), array.shape))


def slice_(graph: Graph, node: Node) -> Operand:
    view = graph.view(node)
    value, rank = view.value, len(view.axes)
    starts, ends = graph.ints(node, "starts", 1), graph.ints(node, "ends", 2)
    if starts is None or ends is None:
        raise Refusal("starts or ends are missing")
    axes = graph.ints(node, "axes", 3) or list(range(len(starts)))
    steps = graph.ints(node, "steps", 4) or [1] * len(starts)
    stride = [1] * len(value.shape)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        if -rank <= axis < rank and 0 in view.axes[axis] and (start, step) == (0, 1) and end >= 2**31 - 1:
            continue  # the whole batch
        axis = own_axis(node, axis, view.axes)
        if step < 1 or (step > 1 and (len(stride) != 4 or axis < 2)):
            size = known(value.shape[axis : axis + 1])[0]
            entries = range(size)[slice(start, end if end >= -size else None, step)]
            value = picked(graph, node, value, axis, entries)
            continue
        value = cut(graph, node, value, axis, start, end)
        stride[axis] = step
    if max(stride) > 1:
        shape = [(size - 1) // step + 1 if step > 1 else size for size, step in zip(value.shape, stride, strict=True)]
        value = graph.emit(node, "max_pool", [value], shape, kernel=[1, 1], stride=stride[2:])
    return seen(graph, node, value, view.axes)


def cut(graph: Graph, node: Node, value: Value, axis: int, start: int, stop: int) -> Value:
    """value[start:stop] along one axis, with Python's meaning of negative and large numbers."""
    size = value.shape[axis]
    attributes: dict[str, Any] = {"axis": axis}
    length: Size
    if isinstance(size, int):
        start, stop, _ = slice(start, stop).indices(size)
        length = max(0, stop - start)
    elif stop >= 2**31 - 1 and start >= 0:
        length = size - start
    elif 0 <= start <= stop or start <= stop < 0:
        length = stop - start  # clamped when the network runs, should the map be smaller
    else:
        length = Dim(1, (f"{size}[{start}:{stop}]",))
    if length == size:
        return value
    attributes["start"] = start
    if stop < 2**31 - 1:
        attributes["stop"] = stop
    shape = [length if position == axis else old for position, old in enumerate(value.shape)]
    return graph.emit(node, "slice", [value], shape, **attributes)


def picked(graph: Graph, node: Node, value: Value, axis: int, entries: Sequence[int]) -> Value:
    """Some entries along an axis, in their order: slices that are put together again."""
    runs: list[list[int]] = []
    for entry in entries:
        if runs and entry == runs[-1][1]:
            runs[-1][1] = entry + 1
        else:
            runs.append([entry, entry + 1])
    if not 1 <= len(runs) <= _MAX_RUNS:
        raise Refusal(f"picks {len(runs)} stretches of an axis; expected 1 to {_MAX_RUNS}")
    return joined(graph, node, [cut(graph, node, value, axis, start, stop) for start, stop in runs], axis)


def split(graph: Graph, node: Node) -> list[Operand]:
    view = graph.view(node)
    value, axis = view.value, own_axis(node, node.get("axis", 0), view.axes)
    size, parts = known(value.shape[axis : axis + 1])[0], graph.ints(node, "split", 1)
    if parts is None:
        step = -(-size // len(node.outputs))
        parts = [min(step, size - step * index) for index in range(len(node.outputs))]
    if len(parts) != len(node.outputs) or sum(parts) != size or min(parts) < 1:
        raise Refusal(f"parts {parts} do not fit {size} entries and {len(node.outputs)} outputs")
    ends = np.cumsum(parts).tolist()
    pieces = [cut(graph, node, value, axis, end - part, end) for part, end in zip(parts, ends, strict=True)]
    return [seen(graph, node, piece, view.axes) for piece in pieces]


def gather(graph: Graph, node: Node) -> Operand:
    view, index = graph.view(node), graph.constant(node, 1)
    value, axis = view.value, own_axis(node, node.get("axis", 0), view.axes)
    if index.size != 1:
        size = known(value.shape[axis : axis + 1])[0]
        if index.ndim != 1 or not all(-size <= entry < size for entry in index.tolist()):
            raise Refusal(f"gathers entries {index.shape} of an axis of {size}")
        return seen(graph, node, picked(graph, node, value, axis, (index % size).tolist()), view.axes)
    at = int(index.reshape(()))
    entry = cut(graph, node, value, axis, at, at + 1 if at != -1 else 2**31)
    if index.ndim == 0:
        return dropped(graph, node, entry, view.axes, {axis})
    if index.ndim > 1:
        graph.value(node)  # refuses what is seen otherwise
        shape = [*entry.shape[:axis], *[1] * index.ndim, *entry.shape[axis + 1 :]]
        return reshaped(graph, node, entry, shape)
    return seen(graph, node, entry, view.axes)


def softmax(graph: Graph, node: Node) -> Operand:
    value = graph.value(node)
    rank = len(value.shape)
    axis = axis_of(node, node.get("axis", -1 if node.opset >= 13 else 1), rank)
    if node.opset >= 13 or product(value.shape[axis + 1 :]) == 1:
        return graph.emit(node, "softmax", [value], value.shape, axis=axis)
    # Before opset 13 the softmax runs over all axes from this one on.
    flat = reshaped(graph, node, value, [*value.shape[:axis], product(value.shape[axis:])])
    result = graph.emit(node, "softmax", [flat], flat.shape, axis=axis)
    return reshaped(graph, node, result, value.shape)


OPS: dict[str, Translator] = {
    "BatchNormalization": batch_norm,
    "Cast": cast,
    "Concat": concat,
    "Dropout": dropout,
    "Gather": gather,
    "Gemm": gemm,
    "Identity": alias,
    "MatMul": matmul,
    "Slice": slice_,
    "Softmax": softmax,
    "Split": split,
}
