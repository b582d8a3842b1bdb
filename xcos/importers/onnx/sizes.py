"""Operators of ONNX that change the size of a map: padding and resizing."""

import math
from collections.abc import Sequence

import numpy as np

from .dims import BATCH, Dim, Size
from .graph import Graph, Operand, Padded, Translator, Value, image, known, text
from .node import Array, Node, Refusal
from .ops import cut, joined, picked

_MAX_WEIGHTS = 2**24  # of a matrix that resizes one axis
_MAX_PAD = 1024  # entries that are put together one by one


def pad(graph: Graph, node: Node) -> Operand:
    padded = graph.padded(node)
    rank, mode = len(padded.value.shape), node.get("mode", "constant")
    amounts = graph.ints(node, "pads", 1)
    axes = graph.ints(node, "axes", 3) or list(range(rank))
    if amounts is None or len(amounts) != 2 * len(axes):
        raise Refusal(f"pads {amounts} do not fit {len(axes)} axes")
    filling = graph.optional_constant(node, 2)
    fill = node.get("value", 0.0) if filling is None else float(filling.reshape(()))
    ends = {
        axis % rank: pair for axis, pair in zip(axes, zip(amounts, amounts[len(axes) :], strict=False), strict=True)
    }
    ends = {axis: pair for axis, pair in ends.items() if pair != (0, 0)}
    if not ends:
        return graph.operand(node, 0)
    if mode == "constant" and fill == 0 and rank == 4 and set(ends) <= {2, 3} and min(amounts) >= 0:
        (top, bottom), (left, right) = ends.get(2, (0, 0)), ends.get(3, (0, 0))
        old = padded.pad
        return Padded(padded.value, (old[0] + top, old[1] + left, old[2] + bottom, old[3] + right))
    if 0 in ends:
        raise Refusal(f"pads {amounts} of {text(padded.value.shape)}, the batch among them")
    if max(map(abs, amounts)) > _MAX_PAD:
        raise Refusal(f"pads {amounts}; expected {_MAX_PAD} at most")
    value = graph.value(node)
    for axis, (before, behind) in sorted(ends.items()):
        if mode == "constant":
            value = _filled(graph, node, value, axis, before, behind, fill)
        else:
            value = picked(graph, node, value, axis, _mirrored(known([value.shape[axis]])[0], before, behind, mode))
    return value


def _filled(graph: Graph, node: Node, value: Value, axis: int, before: int, behind: int, fill: float) -> Value:
    """A value with a number before and behind it along an axis; negative amounts take entries away."""
    value = cut(graph, node, value, axis, max(0, -before), behind if behind < 0 else 2**63 - 1)
    if max(before, behind) <= 0:
        return value
    limit = float(np.finfo(np.float32).max)
    number = min(max(fill, -limit), limit)
    one = cut(graph, node, value, axis, 0, 1)
    one = graph.emit(node, "clip", [one], one.shape, min=number, max=number)
    return joined(graph, node, [one] * max(0, before) + [value] + [one] * max(0, behind), axis)


def _mirrored(size: int, before: int, behind: int, mode: str) -> Sequence[int]:
    """Which entries stand where an axis of this size is continued at both ends."""
    if mode not in ("reflect", "edge", "wrap"):
        raise Refusal(f"mode {mode!r}; expected 'constant', 'reflect', 'edge' or 'wrap'")
    if min(before, behind) < 0 or (mode == "reflect" and max(before, behind) >= size):
        raise Refusal(f"pads {before} and {behind} of {size} entries in mode {mode!r}")
    at = np.arange(-before, size + behind)
    if mode == "edge":
        return [*map(int, np.clip(at, 0, size - 1))]
    if mode == "wrap":
        return [*map(int, at % size)]
    return [*map(int, size - 1 - np.abs(size - 1 - np.abs(at)))]


def resize(graph: Graph, node: Node) -> Operand:
    """Resize of all opsets, and its forerunner Upsample."""
    source = graph.value(node)
    batch, channels, height, width = image(source)
    mode = node.get("mode", "nearest")
    if mode not in ("nearest", "linear") or node.get("antialias", 0):
        raise Refusal(f"mode {mode!r} or antialias {node.get('antialias', 0)}; expected 'nearest' or 'linear', and 0")
    if node.op == "Upsample" or node.opset < 11:
        transformation, rounding = "asymmetric", "floor"
    else:
        transformation = node.get("coordinate_transformation_mode", "half_pixel")
        rounding = node.get("nearest_mode", "round_prefer_floor")
    factors = _factors(graph, node, (batch, channels, height, width))
    if factors[:2] != [1, 1]:
        raise Refusal(f"scales {factors}; expected 1 for the batch and the channels")
    if mode == "linear":
        return _linear(graph, node, source, factors[2:], transformation)
    shape: list[Size] = [batch, channels]
    for size, factor in zip((height, width), factors[2:], strict=True):
        if not _is_floor(size, factor, transformation, rounding):
            how = f"{transformation} with {rounding} at scale {factor:g}"
            raise Refusal(f"{how} picks other pixels than floor(i / scale)")
        shape.append(math.floor(size * factor))
    if factors[2:] == [1, 1]:
        return source
    return graph.emit(node, "resize", [source], shape, scale=factors[2:])


def _linear(graph: Graph, node: Node, source: Value, factors: Sequence[float], transformation: str) -> Value:
    """Between the two nearest pixels of each axis: a product with a matrix from either side."""
    batch, channels, height, width = image(source)
    rows, columns = (
        None if factor == 1 else _weights(known([size])[0], factor, transformation)
        for size, factor in zip((height, width), factors, strict=True)
    )
    if rows is not None:
        matrix = Value(graph.plan.tensor(f"{node.output}.rows", rows[None, None]), (1, 1, *rows.shape))
        source = graph.emit(node, "matmul", [matrix, source], [batch, channels, len(rows), width])
    if columns is not None:
        tensor = graph.plan.tensor(f"{node.output}.columns", columns)
        source = graph.emit(node, "linear", [source], [*source.shape[:3], len(columns)], weight=tensor)
    return source


def _weights(size: int, factor: float, transformation: str) -> Array:
    """(floor(size * factor), size): how much of each entry along an axis makes each entry of the result."""
    count = math.floor(size * factor)
    if size * count > _MAX_WEIGHTS:
        raise Refusal(f"from {size} to {count} entries: more than {_MAX_WEIGHTS} weights")
    position = _position(size, factor, transformation)
    if position is None:
        raise Refusal(f"coordinate_transformation_mode {transformation!r} at {size} entries")
    position = position.clip(0, size - 1)
    below = np.floor(position).astype(int)
    weights = np.zeros((count, size))
    weights[np.arange(count), below] = 1 - (position - below)
    weights[np.arange(count), np.minimum(below + 1, size - 1)] += position - below
    return weights


def _factors(graph: Graph, node: Node, shape: Sequence[Size]) -> list[float]:
    """The four scales of a resize."""
    last = 1 if node.op == "Upsample" or node.opset < 11 else 2
    if "scales" in node:
        factors = node.get("scales")
    elif node.has_input(last) and graph.constant(node, last).size:
        factors = graph.constant(node, last).reshape(-1).astype(float).tolist()
    else:
        return _factors_from_sizes(graph, node, shape)
    axes = node.get("axes", list(range(len(factors))))
    result = [1.0] * 4
    for axis, factor in zip(axes, factors, strict=True):
        result[axis] = float(str(np.float32(factor)))  # 2.3 as it was meant, not as float32 holds it
    if not all(math.isfinite(factor) and 1 / 64 <= factor <= 64 for factor in result):
        raise Refusal(f"scales {result}; expected 1/64 to 64")
    return result


def _factors_from_sizes(graph: Graph, node: Node, shape: Sequence[Size]) -> list[float]:
    operand = graph.operand(node, 3)
    if not isinstance(operand, np.ndarray) or node.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise Refusal("the size is computed from values, or keeps the aspect ratio")
    sizes = operand.reshape(-1).tolist()
    axes = node.get("axes", list(range(len(sizes))))
    result = [1.0] * 4
    for axis, size in zip(axes, sizes, strict=True):
        if axis == 0 and size in (BATCH, graph.batch):
            continue
        old = shape[axis]
        if isinstance(size, Dim) and isinstance(old, Dim) and size.symbols == old.symbols:
            result[axis] = size.coefficient / old.coefficient
        elif isinstance(size, int) and isinstance(old, int):
            result[axis] = size / old
            if math.floor(old * result[axis]) != size:
                raise Refusal(f"no number times {old} gives {size}")
        else:
            raise Refusal(f"resizes {old} to {size}, no fixed ratio")
    return result


def _is_floor(size: Size, factor: float, transformation: str, rounding: str) -> bool:
    """Whether a resize picks the source pixels floor(i / scale), as a plan does.

    The formulas are those of the operator's text in the ONNX standard. Where the size is unknown, whole
    scales alone are certain: their pattern repeats.
    """
    if not isinstance(size, int) and not factor.is_integer():
        return False
    source = size if isinstance(size, int) else 64
    count = math.floor(source * factor)
    expected = np.minimum(np.floor(np.arange(count) / factor), source - 1)
    position, picked = _position(source, factor, transformation), expected
    if position is None:
        return False
    if rounding == "floor":
        picked = np.floor(position)
    elif rounding == "ceil":
        picked = np.ceil(position)
    elif rounding == "round_prefer_floor":
        picked = np.ceil(position - 0.5)
    else:
        picked = np.floor(position + 0.5)
    return bool((np.clip(picked, 0, source - 1) == expected).all())


def _position(size: int, factor: float, transformation: str) -> Array | None:
    """Where each entry of the result lies on an axis of this size; None: not known."""
    count = math.floor(size * factor)
    index = np.arange(count, dtype=np.float64)
    if transformation == "asymmetric":
        return index / factor
    if transformation == "half_pixel" or (transformation == "pytorch_half_pixel" and count > 1):
        return (index + 0.5) / factor - 0.5
    if transformation == "align_corners" and count > 1:
        return index * (size - 1) / (count - 1)
    if transformation in ("align_corners", "pytorch_half_pixel"):
        return np.zeros(count)
    return None


SIZE_OPS: dict[str, Translator] = {
    "Pad": pad,
    "Resize": resize,
    "Upsample": resize,
}
