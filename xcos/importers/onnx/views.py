"""Operators of ONNX for values whose batch is not in front: PyTorch's own attention puts places before the batch, and
counts the batch and the heads as one axis. Each operator runs with the batch in front, and its result is seen as the
graph has it."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from .axes import Axes, batch_first, reshaped, seen
from .dims import BATCH, Size, divide
from .graph import Graph, Operand, Translator, Value, View, known, text
from .node import Array, Node, Refusal
from .norms import NORM_OPS
from .ops import OPS
from .patterns import NORMALIZE
from .pointwise import POINTWISE_OPS
from .reduce import REDUCE_OPS

Along = Callable[[Graph, Node, int], Sequence[int]]
"""The axes of a node's first input, of this rank, along which it works: the batch must not be among them."""


def anywhere(translate: Translator, along: Along, *, attribute: str = "", weights: bool = False) -> Translator:
    """A translator for values whose batch may stand anywhere, from one for values that have it in front.

    `attribute`: the attribute that names the axes, as `axes` a list, as `axis` the first of them.
    `weights`: constants are matrices and rows of them, not values that broadcast.
    """

    def translator(graph: Graph, node: Node) -> Operand | list[Operand]:
        if not any(isinstance(graph.operands.get(name), View) for name in node.inputs):
            return translate(graph, node)
        computed = [i for i in range(len(node.inputs)) if node.has_input(i) and not graph.is_constant(node, i)]
        views = [graph.view(node, index) for index in computed]
        rank = len(views[0].axes)
        if any(len(view.axes) != rank for view in views):
            raise Refusal(f"values of different rank ({', '.join(text(view.shape) for view in views)})")
        axes = sorted({axis % rank for axis in along(graph, node, rank)})
        views = _alike(graph, node, views, axes)
        model = views[0]
        names = list(node.inputs)
        for index, name in enumerate(node.inputs):
            if index in computed:
                names[index] = f"{name}.batch first"
                graph.operands[names[index]] = views[computed.index(index)].value
            elif name and not weights and (array := graph.constant(node, index)).size > 1 and attribute != "axes":
                names[index] = f"{name}.batch first"
                graph.operands[names[index]] = _constant(array, model)
        attributes: dict[str, Any] = {}
        own = [model.axes[axis][0] for axis in axes]
        if attribute:
            attributes[attribute] = own if attribute == "axes" else min(own)
        result = translate(graph, node.of(names, **attributes))
        assert isinstance(result, Value)
        shown: Axes = model.axes
        if len(result.shape) < len(model.value.shape):  # the axes are gone
            kept = [axis for axis in range(len(model.value.shape)) if axis not in own]
            groups = [group for axis, group in enumerate(shown) if axis not in axes]
            shown = [tuple(kept.index(axis) for axis in group) for group in groups]
        return seen(graph, node, result, shown)

    return translator


def _alike(graph: Graph, node: Node, views: Sequence[View], axes: Sequence[int]) -> list[View]:
    """Views with the batch in front of their values and at the same place as seen, which is none of `axes`."""
    ordered = [batch_first(graph, node, view) for view in views]
    place = _place(ordered[0])
    if place not in axes and all(view.axes == ordered[0].axes for view in ordered):
        return ordered
    free = [axis for axis in range(len(ordered[0].axes)) if axis not in axes]
    if graph.batch != 1 or not free:
        shapes = " and ".join(text(view.shape) for view in views)
        raise Refusal(f"works along axes {list(axes)} of {shapes}: the batch is among them, or not at one place")
    # A batch of one may stand anywhere: the axis counts as any other one.
    place = next((axis for axis in free if all(_without_batch(view)[axis] == 1 for view in ordered)), free[0])
    return [_with_batch_at(graph, node, view, place) for view in ordered]


def _place(view: View) -> int:
    return next(axis for axis, group in enumerate(view.axes) if 0 in group)


def _without_batch(view: View) -> list[Size | None]:
    place = _place(view)
    return [divide(size, BATCH) if axis == place else size for axis, size in enumerate(view.shape)]


def _with_batch_at(graph: Graph, node: Node, view: View, place: int) -> View:
    sizes = known([size for size in _without_batch(view) if size is not None])
    value = reshaped(graph, node, view.value, [BATCH, *sizes])
    axes = [(0, axis + 1) if axis == place else (axis + 1,) for axis in range(len(sizes))]
    return View(value, tuple(axes))


def _constant(array: Array, model: View) -> Array:
    """A constant that broadcasts against values as `model` is seen, as one that broadcasts against its value."""
    shape = (1,) * (len(model.axes) - array.ndim) + array.shape
    if len(shape) > len(model.axes):
        raise Refusal(f"the constant {array.shape} has more dimensions than {text(model.shape)}")
    sizes: dict[int, int] = {}
    for size, group in zip(shape, model.axes, strict=True):
        own = [axis for axis in group if axis]
        parts = [size] if len(own) == 1 else [1] * len(own) if size == 1 else known([model.value.shape[a] for a in own])
        if math.prod(parts) != size:
            raise Refusal(f"the constant {array.shape} spans the batch")
        sizes |= dict(zip(own, parts, strict=True))
    # The axes of the value follow each other as seen, but for the batch.
    return array.reshape([1, *(sizes[axis] for axis in sorted(sizes))])


def _none(graph: Graph, node: Node, rank: int) -> Sequence[int]:
    return ()


def _named(graph: Graph, node: Node, rank: int) -> Sequence[int]:
    axes = graph.ints(node, "axes", 1) if "axes" in node or node.has_input(1) else None
    if not axes:
        raise Refusal("works along all axes, the batch among them")
    return axes


def _softmax(graph: Graph, node: Node, rank: int) -> Sequence[int]:
    axis = node.get("axis", -1 if node.opset >= 13 else 1) % rank
    return [axis] if node.opset >= 13 else range(axis, rank)


def _last_ones(graph: Graph, node: Node, rank: int) -> Sequence[int]:
    return range(node.get("axis", -1) % rank, rank)


def _joined_along(graph: Graph, node: Node, rank: int) -> Sequence[int]:
    return [node.get("axis", 1)]


def _matrices(graph: Graph, node: Node, rank: int) -> Sequence[int]:
    weight = graph.is_constant(node, 1) and graph.constant(node, 1).ndim == 2
    return [-1] if weight else [-2, -1]


_BY_CHANNEL = {"PRelu"}  # the axis behind the batch means something

VIEW_OPS: dict[str, Translator] = {
    **{op: anywhere(POINTWISE_OPS[op], _none) for op in POINTWISE_OPS if op not in _BY_CHANNEL},
    **{op: anywhere(REDUCE_OPS[op], _named, attribute="axes") for op in REDUCE_OPS if op.startswith("Reduce")},
    "Concat": anywhere(OPS["Concat"], _joined_along, attribute="axis"),
    "Gemm": anywhere(OPS["Gemm"], lambda graph, node, rank: [-1], weights=True),
    "LayerNormalization": anywhere(NORM_OPS["LayerNormalization"], _last_ones, attribute="axis"),
    "MatMul": anywhere(OPS["MatMul"], _matrices, weights=True),
    NORMALIZE: anywhere(NORM_OPS[NORMALIZE], _named, attribute="axes"),
    "Softmax": anywhere(OPS["Softmax"], _softmax, attribute="axis"),
}
