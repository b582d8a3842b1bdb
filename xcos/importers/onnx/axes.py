"""Operators of ONNX that move, join and part the axes of values."""

from collections.abc import Iterator, Sequence

import numpy as np

from .dims import BATCH, Dim, Size, divide, product
from .fold import as_ints
from .graph import Graph, Operand, Translator, Value, View, axis_of, broadcast, known, text
from .node import Array, Node, Refusal

Axes = Sequence[tuple[int, ...]]
"""Of each axis that is seen, which axes of a value it is made of."""


def seen(graph: Graph, node: Node, value: Value, axes: Axes) -> Operand:
    """A value with its axes in this order: brought there now if the batch is in front alone, later if it is not."""
    if axes and axes[0] == (0,):
        return transposed(graph, node, value, [axis for (axis,) in axes])
    return View(value, tuple(axes))


def batch_first(graph: Graph, node: Node, view: View) -> View:
    """The same view of a value that has the batch in front, and behind it the other axes in the order seen."""
    order = [0, *(axis for group in view.axes for axis in group if axis)]
    value = transposed(graph, node, view.value, order)
    return View(value, tuple(tuple(order.index(axis) for axis in group) for group in view.axes))


def own_axis(node: Node, axis: int, axes: Axes) -> int:
    """The axis of the value that is seen at `axis`; refuses the batch, and what is joined with it."""
    if not -len(axes) <= axis < len(axes):
        raise Refusal(f"axis {axis} is out of range for {len(axes)} dimensions")
    if 0 in axes[axis]:
        raise Refusal(f"axis {axis} is the batch, which no layer may touch")
    return axes[axis][0]


def dropped(graph: Graph, node: Node, value: Value, axes: Axes, drop: set[int]) -> Operand:
    """A value without some of its axes, all of size 1, in the order seen."""
    kept = [axis for axis in range(len(value.shape)) if axis not in drop]
    rest = reshaped(graph, node, value, [value.shape[axis] for axis in kept])
    groups = [group for group in axes if not drop.intersection(group)]
    return seen(graph, node, rest, [tuple(kept.index(axis) for axis in group) for group in groups])


def transpose(graph: Graph, node: Node) -> Operand:
    view = graph.view(node)
    perm = node.get("perm", list(range(len(view.axes)))[::-1])
    if sorted(perm) != list(range(len(view.axes))):
        raise Refusal(f"perm {perm} is no order of {len(view.axes)} axes")
    return seen(graph, node, view.value, [view.axes[axis] for axis in perm])


def transposed(graph: Graph, node: Node, value: Value, perm: Sequence[int]) -> Value:
    if list(perm) == sorted(perm):
        return value
    return graph.emit(node, "transpose", [value], [value.shape[axis] for axis in perm], perm=list(perm))


def reshape(graph: Graph, node: Node) -> Operand:
    view = graph.view(node)
    shape = view.shape
    target: list[Size] = list(node.get("shape")) if "shape" in node else as_ints(_shape_operand(graph, node, 1))
    if not node.get("allowzero", 0):
        for axis, size in enumerate(target):
            if size == 0:
                if axis >= len(shape):
                    raise Refusal(f"shape {target} copies an axis that {text(shape)} lacks")
                target[axis] = shape[axis]
    if target.count(-1) > 1:
        raise Refusal(f"shape {target} of {text(shape)} has -1 twice")
    # Alone if it can be, else joined with what stands beside it; in a graph of fixed batch any number may stand for it.
    placings = sorted(_placings(view, target, graph.batch), key=lambda found: len(found[1][found[2]]))
    if not placings:
        raise Refusal(f"shape {target} of {text(shape)} does not fit, or does not keep the batch together")
    sizes, axes, _ = placings[0]
    return seen(graph, node, reshaped(graph, node, batch_first(graph, node, view).value, sizes), axes)


def _placings(view: View, target: Sequence[Size], batch: int | None) -> Iterator[tuple[list[Size], Axes, int]]:
    """The ways in which a view can have the shape `target`: sizes of the value, the batch in front; its axes as then
    seen; which of these the batch is in."""
    order = [axis for group in view.axes for axis in group]
    at = order.index(0)
    before, behind = (product([view.value.shape[axis] for axis in part]) for part in (order[:at], order[at + 1 :]))
    for place in range(len(target)):
        shape = _completed(target, place, BATCH * before * behind, batch)
        if shape is None:
            continue
        # The batch's axis has what the axes before it and those behind it leave of theirs.
        left, right = divide(before, product(shape[:place])), divide(behind, product(shape[place + 1 :]))
        if left is None or right is None or BATCH * left * right != shape[place]:
            continue
        sizes: list[Size] = [BATCH, *shape[:place]]
        group: tuple[int, ...] = (0,)
        if left != 1:
            group = (len(sizes), *group)
            sizes.append(left)
        if right != 1:
            group = (*group, len(sizes))
            sizes.append(right)
        rest = range(len(sizes), len(sizes) + len(target) - place - 1)
        sizes += shape[place + 1 :]
        yield sizes, [*((axis + 1,) for axis in range(place)), group, *((axis,) for axis in rest)], place


def _completed(target: Sequence[Size], place: int, total: Size, batch: int | None) -> list[Size] | None:
    """A shape that has the batch at `place` alone, -1 filled in; None if this one has not."""
    shape, size = list(target), target[place]
    if batch and isinstance(size, int) and size > 0 and size % batch == 0:
        shape[place] = BATCH * (size // batch)
    if -1 in shape:
        rest = divide(total, product([size for size in shape if size != -1]))
        if rest is None:
            return None
        shape[shape.index(-1)] = rest
    holds = [isinstance(size, Dim) and BATCH.symbols[0] in size.symbols for size in shape]
    return shape if holds[place] and sum(holds) == 1 and 0 not in shape else None


def _shape_operand(graph: Graph, node: Node, index: int) -> Array:
    operand = graph.operand(node, index)
    if not isinstance(operand, np.ndarray):
        raise Refusal("the shape is computed from values")
    return operand


def shape_of(graph: Graph, node: Node) -> Operand:
    """The sizes of a value, the batch left open."""
    shape = graph.view(node).shape
    return np.array(shape, object)[node.get("start", 0) : node.get("end", len(shape))]


def reshaped(graph: Graph, node: Node, value: Value, shape: Sequence[Size]) -> Value:
    """A value in another shape with the same number of elements; at most one size may be unknown."""
    if tuple(shape) == value.shape:
        return value
    free = [size for size in shape[1:] if not isinstance(size, int)]
    if len(free) > 1:
        raise Refusal(f"the shape {text(shape)} has more than one unknown size")
    sizes = [size if isinstance(size, int) else -1 for size in shape[1:]]
    if not sizes:
        raise Refusal("nothing but the batch would be left")
    return graph.emit(node, "reshape", [value], shape, shape=sizes)


def flatten(graph: Graph, node: Node) -> Operand:
    value = graph.value(node)
    axis = node.get("axis", 1)
    axis = axis_of(node, axis + len(value.shape) if axis < 0 else axis, len(value.shape) + 1)
    if product(value.shape[1:axis]) != 1:
        raise Refusal(f"axis {axis} joins the batch with other dimensions")
    return reshaped(graph, node, value, (BATCH, product(value.shape[1:])))


def expand(graph: Graph, node: Node) -> Operand:
    value = graph.value(node)
    target = as_ints(_shape_operand(graph, node, 1))
    if len(target) > len(value.shape):
        raise Refusal(f"expands {text(value.shape)} to more dimensions")
    target = [1] * (len(value.shape) - len(target)) + target
    shape = [BATCH, *(broadcast(old, new) for old, new in zip(value.shape[1:], target[1:], strict=True))]
    if target[0] not in (1, BATCH, graph.batch):
        raise Refusal(f"expands the batch to {target[0]}")
    if tuple(shape) == value.shape:
        return value
    ones = [1 if old == new else known([new])[0] for old, new in zip(value.shape, shape, strict=True)]
    tensor = graph.plan.tensor(f"{node.output}.ones", np.ones(ones))
    return graph.emit(node, "mul", [value, Value(tensor, tuple(ones))], shape)


def squeeze(graph: Graph, node: Node) -> Operand:
    view = graph.view(node)
    axes = graph.ints(node, "axes", 1)
    if axes is None:
        if graph.batch == 1:
            raise Refusal("would drop the batch: it names no axes, and the graph is of batch 1")
        axes = [axis for axis, size in enumerate(view.shape) if size == 1]
    drop = {own_axis(node, axis, view.axes) for axis in axes}
    if any(view.value.shape[axis] != 1 for axis in drop):
        raise Refusal(f"axes {axes} of {text(view.shape)} are not all of size 1")
    return dropped(graph, node, view.value, view.axes, drop)


def unsqueeze(graph: Graph, node: Node) -> Operand:
    view = graph.view(node)
    named = graph.ints(node, "axes", 1) or []
    rank = len(view.axes) + len(named)
    if not all(-rank <= axis < rank for axis in named):
        raise Refusal(f"axes {named} are out of range for {rank} dimensions")
    view = batch_first(graph, node, view)
    sizes, axes = list(view.value.shape), list(view.axes)
    for axis in sorted(axis % rank for axis in named):
        at = next((min(group) for group in axes[axis:] if 0 not in group), len(sizes))  # in front of what follows
        sizes.insert(at, 1)
        axes = [tuple(own + (own >= at) for own in group) for group in axes]
        axes.insert(axis, (at,))
    return seen(graph, node, reshaped(graph, node, view.value, sizes), axes)


AXIS_OPS: dict[str, Translator] = {
    "Expand": expand,
    "Flatten": flatten,
    "Reshape": reshape,
    "Shape": shape_of,
    "Squeeze": squeeze,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
