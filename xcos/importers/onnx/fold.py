"""Evaluates the nodes of an ONNX graph whose inputs are all known: constants, and sizes of values.

Exporters leave shape arithmetic (Shape, Gather, Concat) and the unpacking of weights (DequantizeLinear,
Reshape) in the graph. Arrays of sizes have dtype object and may hold Dims, so that the batch stays free.
"""

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from onnx import helper

from .dims import BATCH, Dim
from .node import Array, Node, Refusal

MAX_ELEMENTS = 2**28  # of a folded array: 1 GiB of float32

Args = Sequence[Array | None]


def can_fold(op: str) -> bool:
    return op in _FOLDS


def fold(node: Node, args: Args) -> list[Array]:
    """The outputs of a node for known inputs (None: left out). Raises Refusal."""
    try:
        result = _FOLDS[node.op](node, args)
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as error:
        raise Refusal(f"it cannot be evaluated: {error}") from None
    return [_normal(array) for array in (result if isinstance(result, list) else [result])]


def as_ints(array: Array) -> list[Any]:
    """A vector or scalar of sizes as a list of int or Dim."""
    flat: list[Any] = array.reshape(-1).tolist()
    if not all(isinstance(item, int | Dim) and not isinstance(item, bool) for item in flat):
        raise Refusal(f"expected integers, got {str(flat)[:60]}")
    return flat


def as_known_ints(array: Array) -> list[int]:
    """The same where every element must be known."""
    flat = as_ints(array)
    if not all(isinstance(item, int) for item in flat):
        raise Refusal(f"{flat} depends on the batch or on the size of an input")
    return flat


def ints_of(node: Node, args: Args, attribute: str, index: int) -> list[int] | None:
    """What older opsets give as an attribute and newer ones as an input; None where neither is there."""
    if attribute in node:
        value = node.get(attribute)
        return list(value) if isinstance(value, list) else [int(value)]
    argument = args[index] if index < len(args) else None
    return None if argument is None else as_known_ints(argument)


def _normal(array: Array) -> Array:
    """Arrays of sizes that turned out to be known become ordinary ones."""
    array = np.asarray(array)
    if array.dtype != object or any(isinstance(item, Dim) for item in array.reshape(-1)):
        return array
    whole = all(isinstance(item, int) for item in array.reshape(-1))
    return array.astype(np.int64 if whole else np.float64)


def _for_each_entry(array: Array) -> list[int]:
    """A shape whose batch is open as that for one entry: constants are the same for all."""
    sizes = as_ints(array)
    return as_known_ints(np.array([1, *sizes[1:]], object)) if sizes[:1] == [BATCH] else as_known_ints(array)


def _limit(shape: Sequence[int]) -> None:
    if min(shape, default=0) < 0 or math.prod(shape) > MAX_ELEMENTS:
        raise Refusal(f"a constant of shape {list(shape)} is too large")


def _get(args: Args, index: int) -> Array:
    argument = args[index] if index < len(args) else None
    if argument is None:
        raise Refusal(f"input {index} is missing")
    return argument


def _constant(node: Node, args: Args) -> Array:
    for key in ("value", "value_float", "value_floats", "value_int", "value_ints"):
        if key in node:
            value = node.get(key)
            if isinstance(value, np.ndarray):
                return value
            return np.array(value, np.float32 if "float" in key else np.int64)
    raise Refusal("it holds neither a tensor nor numbers")


def _constant_of_shape(node: Node, args: Args) -> Array:
    shape = _for_each_entry(_get(args, 0))
    _limit(shape)
    value = node.get("value", np.zeros(1, np.float32))
    return np.full(shape, value.reshape(-1)[0], value.dtype)


def _expand(node: Node, args: Args) -> Array:
    shape = np.broadcast_shapes(_get(args, 0).shape, tuple(_for_each_entry(_get(args, 1))))
    _limit(shape)
    return np.broadcast_to(_get(args, 0), shape)


def _range(node: Node, args: Args) -> Array:
    start, stop, step = (_get(args, index).reshape(-1)[0] for index in range(3))
    _limit([max(0, math.ceil((stop - start) / step))])
    return np.arange(start, stop, step, dtype=_get(args, 0).dtype)


def _size_of(node: Node, args: Args) -> Array:
    shape = np.array(_get(args, 0).shape, np.int64)
    return shape[node.get("start", 0) : node.get("end", len(shape))]


def _binary(function: Callable[[Any, Any], Any]) -> Callable[[Node, Args], Array]:
    def evaluate(node: Node, args: Args) -> Array:
        a, b = _get(args, 0), _get(args, 1)
        _limit(np.broadcast_shapes(a.shape, b.shape))
        if object in (a.dtype, b.dtype):  # Python's own int and float, which know Dim
            a, b = a.astype(object), b.astype(object)
        with np.errstate(all="ignore"):
            return np.asarray(function(a, b))

    return evaluate


def _divide(a: Array, b: Array) -> Array:
    if a.dtype == object:
        whole = all(isinstance(item, int | Dim) for item in (*a.reshape(-1), *b.reshape(-1)))
        return np.asarray(operator.floordiv(a, b) if whole else operator.truediv(a, b))
    if a.dtype.kind in "iu":  # ONNX cuts towards zero
        return np.asarray(np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b)))
    return np.asarray(a / b)


def _unary(function: Callable[[Array], Array]) -> Callable[[Node, Args], Array]:
    def evaluate(node: Node, args: Args) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(function(_get(args, 0)))

    return evaluate


def _cast(node: Node, args: Args) -> Array:
    array, kind = _get(args, 0), np.dtype(helper.tensor_dtype_to_np_dtype(node.get("to")))
    return array if array.dtype == object else array.astype(kind if kind.kind in "biuf" else np.float32)


def _gather(node: Node, args: Args) -> Array:
    index = _get(args, 1).astype(np.int64)
    array, axis = _get(args, 0), node.get("axis", 0)
    _limit([array.size // max(1, array.shape[axis]), index.size])
    return np.take(array, index, axis=axis)


def _slice(node: Node, args: Args) -> Array:
    array = _get(args, 0)
    starts, ends = ints_of(node, args, "starts", 1), ints_of(node, args, "ends", 2)
    if starts is None or ends is None:
        raise Refusal("starts or ends are missing")
    axes = ints_of(node, args, "axes", 3) or list(range(len(starts)))
    steps = ints_of(node, args, "steps", 4) or [1] * len(starts)
    index = [slice(None)] * array.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        index[axis] = slice(start, end if end > -(2**31) else None, step)  # INT_MIN: beyond the first
    return array[tuple(index)]


def _concat(node: Node, args: Args) -> Array:
    arrays = [_get(args, index) for index in range(len(args))]
    if any(array.dtype == object for array in arrays):
        arrays = [array.astype(object) for array in arrays]
    return np.concatenate(arrays, axis=node.get("axis", 0))


def _squeeze(node: Node, args: Args) -> Array:
    axes = ints_of(node, args, "axes", 1)
    return np.squeeze(_get(args, 0), axis=None if axes is None else tuple(axes))


def _unsqueeze(node: Node, args: Args) -> Array:
    axes = ints_of(node, args, "axes", 1)
    return np.expand_dims(_get(args, 0), tuple(axes or ()))


def _reshape(node: Node, args: Args) -> Array:
    array, shape = _get(args, 0), ints_of(node, args, "shape", 1)
    if shape is None:
        raise Refusal("the shape is missing")
    if not node.get("allowzero", 0):
        shape = [array.shape[axis] if size == 0 else size for axis, size in enumerate(shape)]
    return array.reshape(shape)


def _flatten(node: Node, args: Args) -> Array:
    array, axis = _get(args, 0), node.get("axis", 1)
    return array.reshape(math.prod(array.shape[: axis if axis >= 0 else array.ndim + axis]), -1)


def _split(node: Node, args: Args) -> list[Array]:
    array, axis = _get(args, 0), node.get("axis", 0)
    parts = ints_of(node, args, "split", 1)
    if parts is None:
        step = -(-array.shape[axis] // len(node.outputs))
        return np.split(array, [step * count for count in range(1, len(node.outputs))], axis)
    return np.split(array, np.cumsum(parts)[:-1].tolist(), axis)


def _dequantize(node: Node, args: Args) -> Array:
    """(x - zero point) * scale, with one scale, one per entry of the axis, or one per block along it."""
    array, scale = _get(args, 0), _get(args, 1)
    zero = args[2] if len(args) > 2 and args[2] is not None else np.zeros_like(scale)
    axis, block = node.get("axis", 1), node.get("block_size", 0)

    def spread(values: Array) -> Array:
        if values.size == 1:
            return values.reshape(())
        if block:
            repeated = np.repeat(values, block, axis)
            return np.take(repeated, np.arange(array.shape[axis]), axis)
        shape = [1] * array.ndim
        shape[axis] = -1
        return values.reshape(shape)

    if block < 0 or block > max(array.shape, default=0) or scale.size > array.size:
        raise Refusal(f"block_size {block} and {scale.size} scales do not fit the shape {list(array.shape)}")
    difference = array.astype(np.float32) - spread(zero.astype(np.float32))
    return np.asarray(difference * spread(scale.astype(np.float32)))


_FOLDS: dict[str, Callable[[Node, Args], Array | list[Array]]] = {
    "Add": _binary(operator.add),
    "Cast": _cast,
    "Ceil": _unary(np.ceil),
    "Concat": _concat,
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "DequantizeLinear": _dequantize,
    "Div": _binary(_divide),
    "Dropout": lambda node, args: _get(args, 0),
    "Equal": _binary(operator.eq),
    "Exp": _unary(np.exp),
    "Expand": _expand,
    "Flatten": _flatten,
    "Floor": _unary(np.floor),
    "Gather": _gather,
    "Identity": lambda node, args: _get(args, 0),
    "Mod": lambda node, args: _binary(np.fmod if node.get("fmod", 0) else operator.mod)(node, args),
    "Mul": _binary(operator.mul),
    "Neg": _unary(operator.neg),
    "Pow": _binary(operator.pow),
    "Range": _range,
    "Reciprocal": _unary(lambda array: 1 / array),
    "Reshape": _reshape,
    "Shape": _size_of,
    "Slice": _slice,
    "Split": _split,
    "Sqrt": _unary(np.sqrt),
    "Squeeze": _squeeze,
    "Sub": _binary(operator.sub),
    "Transpose": lambda node, args: np.transpose(_get(args, 0), node.get("perm")),
    "Unsqueeze": _unsqueeze,
    "Where": lambda node, args: np.where(_get(args, 0).astype(bool), _get(args, 1), _get(args, 2)),
}
