"""What a plan may say: the check of the table in docs/model-file.md.

Which operators there are, with how many inputs and which attributes, comes from the core (csrc/ops/ops.def); here is
what a value of each type of attribute may be. The check is about form: known operators, known names, attributes of
the right type and range, tensors of the right rank. Whether shapes fit together is the core's to say when a network
is made.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..errors import ModelFileError

MAX_RANK = 6  # XCOS_MAX_RANK and XCOS_MAX_INPUTS of csrc/xcos.h
MAX_INPUTS = 16
MAX_LAYERS = 100_000
MAX_SIZE = 2**24  # of one dimension of an input
MAX_WINDOW = 2**15  # of a kernel, stride, pad or dilation

Check = Callable[[Any], bool]


def is_int(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def is_number(value: Any) -> bool:
    """A finite number that float32 can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and abs(value) <= float(np.finfo(np.float32).max)


def _integer(low: int, high: int) -> Check:
    return lambda value: is_int(value, low, high)


def _integers(count: int, low: int, high: int) -> Check:
    return lambda value: (
        isinstance(value, list) and len(value) == count and all(is_int(item, low, high) for item in value)
    )


def _scales(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(is_number(s) and 1 / 64 <= s <= 64 for s in value)


def _perm(value: Any) -> bool:
    return (
        isinstance(value, list)
        and all(is_int(item, 0, MAX_RANK - 1) for item in value)
        and sorted(value) == list(range(len(value)))
        and value[:1] == [0]
    )


def _shape(value: Any) -> bool:
    return (
        isinstance(value, list)
        and 1 <= len(value) < MAX_RANK
        and all(is_int(item, 1, 2**31) or (is_int(item, -1, -1)) for item in value)
        and value.count(-1) <= 1
    )


# By the types of ops.def; tensors apart, which are known by their rank.
TYPES: dict[str, Check] = {
    "window": _integers(2, 1, MAX_WINDOW),
    "pad": _integers(4, 0, MAX_WINDOW),
    "count": _integer(1, MAX_SIZE),
    "flag": lambda value: isinstance(value, bool),
    "axis": _integer(1, MAX_RANK - 1),
    "index": _integer(-(2**63), 2**63 - 1),
    "number": is_number,
    "positive": lambda value: is_number(value) and value >= 0,
    "perm": _perm,
    "shape": _shape,
    "scale": _scales,
}


@dataclass(frozen=True)
class Op:
    """One operator: how many inputs, of which some may be constants; ranks of tensors and checks of attributes by
    name; which of these must be there."""

    inputs: tuple[int, int]
    constants: bool
    tensors: Mapping[str, int]
    attributes: Mapping[str, Check]
    needed: tuple[str, ...]


def _operator(fewest: int, most: int, constants: int, attributes: Mapping[str, tuple[str, int, bool]]) -> Op:
    return Op(
        inputs=(fewest, most),
        constants=constants > 0,
        tensors={key: rank for key, (kind, rank, _) in attributes.items() if kind == "tensor"},
        attributes={key: TYPES[kind] for key, (kind, _, _) in attributes.items() if kind != "tensor"},
        needed=tuple(key for key, (_, _, optional) in attributes.items() if not optional),
    )


OPS = {name: _operator(*row) for name, row in _core.operators().items()}


def check_plan(inputs: Any, layers: Any, outputs: Any, tensors: Mapping[str, NDArray[np.float32]]) -> None:
    """Raises ModelFileError, naming the layer, where a plan is not what docs/model-file.md says."""
    values = _check_inputs(inputs, tensors)
    if not isinstance(layers, Sequence) or isinstance(layers, str) or len(layers) > MAX_LAYERS:
        raise ModelFileError(f"layers must be a list of at most {MAX_LAYERS} objects")
    for position, layer in enumerate(layers):
        if not isinstance(layer, Mapping):
            raise ModelFileError(f"layer {position} is not an object")
        name = layer.get("name", layer.get("output"))
        try:
            _check_layer(layer, values, tensors)
        except ModelFileError as error:
            raise ModelFileError(f"layer {position} ({str(name)[:80]!r}): {error}") from None
        values.add(layer["output"])
    if not isinstance(outputs, Sequence) or isinstance(outputs, str) or not outputs:
        raise ModelFileError("outputs must be a list with the name of at least one value")
    for output in outputs:
        if not isinstance(output, str) or output not in values:
            raise ModelFileError(f"output {str(output)[:80]!r} is not a value of the plan")
    if len(set(outputs)) != len(outputs):
        raise ModelFileError(f"outputs names a value twice: {list(outputs)}")


def _check_inputs(inputs: Any, tensors: Mapping[str, Any]) -> set[str]:
    """The names of the inputs."""
    if not isinstance(inputs, Sequence) or isinstance(inputs, str) or not 1 <= len(inputs) <= MAX_INPUTS:
        raise ModelFileError(f"inputs must be a list of 1 to {MAX_INPUTS} objects")
    names: set[str] = set()
    for entry in inputs:
        if not isinstance(entry, Mapping) or set(entry) != {"name", "shape"}:
            raise ModelFileError("each input must be an object with name and shape")
        name, shape = entry["name"], entry["shape"]
        if not isinstance(name, str) or not name or name in names or name in tensors:
            raise ModelFileError(f"input name {str(name)[:80]!r} is empty or taken")
        if (
            not isinstance(shape, Sequence)
            or isinstance(shape, str)
            or not 1 <= len(shape) < MAX_RANK
            or not all(size is None or is_int(size, 1, MAX_SIZE) for size in shape)
        ):
            raise ModelFileError(
                f"input {name!r} has the shape {str(shape)[:80]}; expected 1 to {MAX_RANK - 1} sizes "
                f"after the batch, each 1 to {MAX_SIZE} or null"
            )
        names.add(name)
    return names


def _check_layer(layer: Mapping[str, Any], values: set[str], tensors: Mapping[str, NDArray[np.float32]]) -> None:
    kind = layer.get("op")
    if not isinstance(kind, str) or kind not in OPS:
        raise ModelFileError(f"unknown op {str(kind)[:80]!r}; known are {', '.join(OPS)}")
    op = OPS[kind]

    sources = layer.get("inputs")
    low, high = op.inputs
    if not isinstance(sources, list) or not low <= len(sources) <= high:
        count = f"{low}" if low == high else f"{low} to {high}"
        raise ModelFileError(f"{kind} needs a list of {count} inputs, got {str(sources)[:80]}")
    for source in sources:
        if not isinstance(source, str) or (source not in values and source not in tensors):
            raise ModelFileError(f"reads {str(source)[:80]!r}, which is no earlier value and no tensor")
        if source not in values:
            if not op.constants:
                raise ModelFileError(f"{kind} takes no constants, got {source!r}")
            _check_constant(source, tensors[source])
    if not any(source in values for source in sources):
        raise ModelFileError("reads constants alone")
    output = layer.get("output")
    if not isinstance(output, str) or not output or output in values or output in tensors:
        raise ModelFileError(f"output name {str(output)[:80]!r} is empty or taken")
    if "name" in layer and not isinstance(layer["name"], str):
        raise ModelFileError("name must be a text")

    for key, value in layer.items():
        if key in ("op", "name", "inputs", "output"):
            continue
        if key in op.tensors:
            _check_tensor(key, value, op.tensors[key], tensors)
        elif key not in op.attributes:
            raise ModelFileError(f"{kind} has no attribute {key[:80]!r}")
        elif not op.attributes[key](value):
            raise ModelFileError(f"{key} has the wrong type or range: {str(value)[:80]}")
    for key in op.needed:
        if key not in layer:
            raise ModelFileError(f"{kind} lacks {key}")
    _check_together(kind, layer, tensors)


def _check_tensor(key: str, name: Any, rank: int, tensors: Mapping[str, NDArray[np.float32]]) -> None:
    if not isinstance(name, str) or name not in tensors:
        raise ModelFileError(f"{key} refers to the tensor {str(name)[:80]!r}, which the file lacks")
    if tensors[name].ndim != rank or tensors[name].size == 0:
        raise ModelFileError(
            f"{key} ({name!r}) has the shape {tensors[name].shape}; expected {rank} dimensions, none empty"
        )


def _check_constant(name: str, tensor: NDArray[np.float32]) -> None:
    if not 1 <= tensor.ndim <= MAX_RANK or tensor.size == 0 or tensor.shape[0] != 1:
        raise ModelFileError(
            f"constant {name!r} has the shape {tensor.shape}; the first dimension (the batch) must be 1"
        )


def _check_together(kind: str, layer: Mapping[str, Any], tensors: Mapping[str, NDArray[np.float32]]) -> None:
    """What concerns several attributes of a layer at once."""

    def length(key: str, expected: int) -> None:
        if key in layer and len(tensors[layer[key]]) != expected:
            raise ModelFileError(f"{key} has {len(tensors[layer[key]])} values; expected {expected}")

    if kind in ("conv", "linear"):
        length("bias", len(tensors[layer["weight"]]))
    if kind == "conv" and len(tensors[layer["weight"]]) % layer.get("groups", 1):
        raise ModelFileError(
            f"{len(tensors[layer['weight']])} output channels do not split into {layer['groups']} groups"
        )
    if kind == "batch_norm":
        for key in ("beta", "mean", "var"):
            length(key, len(tensors[layer["gamma"]]))
        if (tensors[layer["var"]] + np.float32(layer.get("epsilon", 1e-5)) <= 0).any():
            raise ModelFileError("var + epsilon is not positive everywhere")
    if kind == "clip" and layer["min"] > layer["max"]:
        raise ModelFileError(f"min {layer['min']} is above max {layer['max']}")
    if kind in ("max_pool", "avg_pool"):
        if "kernel" not in layer and not layer.keys().isdisjoint(("stride", "pad", "dilation")):
            raise ModelFileError("a pool over the whole map (no kernel) takes no stride, pad or dilation")
        pad, kernel = layer.get("pad", [0, 0, 0, 0]), layer.get("kernel", [1, 1])
        if any(pad[side] >= kernel[side % 2] for side in range(4)):
            raise ModelFileError(f"pad {pad} is not below the kernel {kernel}: windows of padding alone")
