"""The model file: a plan of layers, its weights, and how to use them. docs/model-file.md is its contract."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.foreign import complaint
from ..errors import ModelFileError
from ..measured.calibration import check_calibration
from ..measured.truth import CellTruth
from ..measured.whole import WholeCurve
from ..storage.files import replacing
from . import safetensors
from .check import check_plan, is_number

FORMAT = 1
KINDS = ("recognizer", "detector", "landmarks")
_CHANNELS = {"RGB": 3, "BGR": 3, "GRAY": 1}


@dataclass(frozen=True, slots=True, eq=False)
class ModelFile:
    """A model file in memory; every object that exists has passed all checks of form.

    The fields are those of docs/model-file.md and hold plain JSON values, not to be changed in place
    (``dataclasses.replace`` makes a changed copy).

    Parameters
    ----------
    kind : str
        "recognizer", "detector" or "landmarks".
    name : str
        What the model is called.
    inputs : sequence of dict
        One ``{"name", "shape"}`` per input, shapes after the batch, None = any size.
    layers : sequence of dict
        The plan, in topological order.
    outputs : sequence of str
        Names of the values that a run returns.
    tensors : dict of ndarray of float32
        By name: weights, constants, and ``head.*`` of an xCos head.
    preprocess : dict, optional
        ``{"color", "mean", "scale"}``, or None for a raw network. input = (pixel - mean) * scale.
    head : dict, optional
        ``{"kind": "xcos", "grid", "embedding", "temperature", "normalization", "whole"}``, or None.
    thresholds : dict
        Decision thresholds by name of the score, in the score's own unit (-1 to 1).
    thresholds_from, license, origin, training : str, default ""
        Prose.
    calibration : dict, optional
        What scores mean on a named data set, made by `xcos.calibrate`; None without.
    whole_curve : dict, optional
        Thresholds by what the face as a whole counts, made by `xcos.evaluation.whole_curve`; None without.
    truth : dict, optional
        What was measured of each cell, `xcos.measured.truth.CellTruth.to_dict`; None without.

    Raises
    ------
    ModelFileError
        A field is of another form, which is named.

    Examples
    --------
    >>> import xcos
    >>> import dataclasses
    >>> file = xcos.load().file
    >>> file.kind, file.preprocess["color"]
    ('recognizer', 'BGR')
    >>> dataclasses.replace(file, name="mine").name
    'mine'
    """

    kind: str
    name: str
    inputs: Sequence[Mapping[str, Any]]
    layers: Sequence[Mapping[str, Any]]
    outputs: Sequence[str]
    tensors: Mapping[str, NDArray[np.float32]] = field(repr=False)
    preprocess: Mapping[str, Any] | None = None
    head: Mapping[str, Any] | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    thresholds_from: str = ""
    license: str = ""
    origin: str = ""
    training: str = ""
    calibration: Mapping[str, Any] | None = None
    whole_curve: Mapping[str, Any] | None = None
    truth: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ModelFileError(f"kind is {str(self.kind)[:80]!r}; expected one of {', '.join(KINDS)}")
        for key in ("name", "thresholds_from", "license", "origin", "training"):
            if not isinstance(getattr(self, key), str):
                raise ModelFileError(f"{key} must be a text")
        if not self.name:
            raise ModelFileError("name is empty")
        _check_tensors(self.tensors)
        check_plan(self.inputs, self.layers, self.outputs, self.tensors)
        _check_preprocess(self.preprocess, self.inputs)
        _check_head(self.head, self.outputs, self.tensors)
        if not isinstance(self.thresholds, Mapping) or not all(map(is_number, self.thresholds.values())):
            raise ModelFileError("thresholds must be an object of numbers")
        check_calibration(self.calibration)
        if self.whole_curve is not None:
            WholeCurve.from_dict(self.whole_curve)
        if self.truth is not None:
            CellTruth.from_dict(self.truth)

    def __repr__(self) -> str:
        sizes = f"{len(self.layers)} layers, {len(self.tensors)} tensors"
        return f"ModelFile({self.name!r}, {self.kind}, {sizes})"

    def __reduce__(self) -> tuple[Callable[[bytes], "ModelFile"], tuple[bytes]]:
        return ModelFile.read, (self.to_bytes(),)

    @classmethod
    def read(cls, source: safetensors.Source) -> "ModelFile":
        """Reads a model file.

        A path is memory-mapped, not read: the tensors are views of the file, which must not be changed in place while
        they live (`write` never does, it replaces the file).

        Parameters
        ----------
        source : str, path, bytes or binary file
            The file, or its contents.

        Returns
        -------
        ModelFile
            The file in memory.

        Raises
        ------
        ModelFileError
            The file is damaged or no model file; says which file and why.
        OSError
            The file cannot be opened.
        """
        try:
            metadata, tensors = safetensors.load(source)
            return cls(tensors=tensors, **_read_header(metadata))
        except ModelFileError as error:
            wanted = "a model file of xcos, which `xcos convert` or `xcos plug` make of a network"
            readable = ("a safetensors file", "the file is empty")
            raise ModelFileError(complaint(source, _reason(source, error, wanted), wanted, readable)) from None

    def write(self, path: str | os.PathLike[str]) -> None:
        """Writes the file in one step: whoever opens `path` sees the old file or the whole new one.

        Parameters
        ----------
        path : str or path
            Where to.

        Raises
        ------
        OSError
            The folder cannot be written to.
        """
        with replacing(path) as file:
            for chunk in self._chunks():
                file.write(chunk)

    def to_bytes(self) -> bytes:
        """The contents of the file that :meth:`write` would write.

        Returns
        -------
        bytes
            A safetensors file.
        """
        return b"".join(self._chunks())

    def digest(self) -> str:
        """SHA-256 of what features and attention depend on: plan, weights, preprocessing and head.

        Name, prose, thresholds and `whole` do not count: models that differ in these alone see the same.

        Returns
        -------
        str
            64 hexadecimal digits.
        """
        head = {key: value for key, value in (self.head or {}).items() if key != "whole"} or None
        parts = (self.inputs, self.layers, self.outputs, self.preprocess, head)
        total = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
        for name in sorted(self.tensors):
            total.update(name.encode())
            total.update(self.tensors[name].tobytes())
        return total.hexdigest()

    def _chunks(self) -> Iterator[bytes | memoryview]:
        header = {"format": FORMAT}
        header |= {item.name: getattr(self, item.name) for item in fields(self) if item.name != "tensors"}
        text = json.dumps(header, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return safetensors.dump({"xcos": text}, self.tensors)


def _reason(source: safetensors.Source, error: ModelFileError, wanted: str) -> ModelFileError | str:
    """Why a file is no model file: weights of others are told as that, not by what is wrong with one of them."""
    if not isinstance(source, str | os.PathLike):
        return error
    try:
        metadata, _ = safetensors.load(source, floats_alone=True)
    except ModelFileError as damage:
        return damage
    return error if "xcos" in metadata else f"a safetensors file, but not of xcos; expected {wanted}"


def _read_header(metadata: Mapping[str, str]) -> dict[str, Any]:
    if "xcos" not in metadata:
        raise ModelFileError("a safetensors file, but not of xcos: its metadata has no key 'xcos'")
    header = safetensors.parse_json(metadata["xcos"], "the xcos header")
    if not isinstance(header, dict):
        raise ModelFileError("the xcos header is not a JSON object")
    version = header.pop("format", None)
    if version != FORMAT or isinstance(version, bool):
        raise ModelFileError(f"format {str(version)[:80]}; this version of xcos reads format {FORMAT}")
    known = {item.name for item in fields(ModelFile)} - {"tensors"}
    unknown = sorted(set(header) - known)
    if unknown:
        raise ModelFileError(f"the xcos header has the unknown key {unknown[0][:80]!r}")
    for key in ("kind", "name", "inputs", "layers", "outputs"):
        if key not in header:
            raise ModelFileError(f"the xcos header lacks {key}")
    return header


def _check_tensors(tensors: Any) -> None:
    if not isinstance(tensors, Mapping):
        raise ModelFileError("tensors must map names to float32 arrays")
    for name, tensor in tensors.items():
        if not isinstance(name, str) or not name:
            raise ModelFileError(f"tensor name {str(name)[:80]!r} is no text")
        if not isinstance(tensor, np.ndarray) or tensor.dtype != np.float32:
            raise ModelFileError(f"tensor {name!r} is not a float32 array")
        # NaN passes through min and max, infinity is one of them: two passes without a temporary.
        if tensor.size and not (np.isfinite(tensor.min()) and np.isfinite(tensor.max())):
            raise ModelFileError(f"tensor {name!r} holds NaN or infinity")


def _check_preprocess(preprocess: Any, inputs: Sequence[Mapping[str, Any]]) -> None:
    if preprocess is None:
        return
    if not isinstance(preprocess, Mapping) or set(preprocess) != {"color", "mean", "scale"}:
        raise ModelFileError("preprocess must be an object with color, mean and scale, or null")
    color = preprocess["color"]
    if not isinstance(color, str) or color not in _CHANNELS:
        raise ModelFileError(f"preprocess: color is {str(color)[:80]!r}; expected RGB, BGR or GRAY")
    for key in ("mean", "scale"):
        values = preprocess[key]
        if not isinstance(values, list) or len(values) != _CHANNELS[color] or not all(map(is_number, values)):
            raise ModelFileError(
                f"preprocess: {key} is {str(values)[:80]}; expected {_CHANNELS[color]} numbers for {color}"
            )
    shape = list(inputs[0]["shape"])
    if len(shape) != 3 or shape[0] != _CHANNELS[color]:
        raise ModelFileError(f"preprocess: {color} pictures do not fit the input's shape {shape}")


def _check_head(head: Any, outputs: Sequence[str], tensors: Mapping[str, NDArray[np.float32]]) -> None:
    if head is None:
        return
    if not isinstance(head, Mapping) or head.get("kind") != "xcos":
        raise ModelFileError("head must be an object of kind 'xcos', or null")
    unknown = set(head) - {"kind", "grid", "embedding", "temperature", "normalization", "whole"}
    if unknown:
        raise ModelFileError(f"head has the unknown key {min(map(str, unknown))[:80]!r}")
    for key, allowed in (("grid", [*outputs]), ("embedding", [None, *outputs])):
        if head.get(key) not in allowed:
            raise ModelFileError(f"head: {key} {str(head.get(key))[:80]!r} is not among {allowed}")
    temperature = head.get("temperature", 1.0)
    if not is_number(temperature) or temperature <= 0:
        raise ModelFileError(f"head: temperature is {str(temperature)[:80]}; expected a number above 0")
    whole = head.get("whole", 0.0)
    if not is_number(whole) or not 0 <= whole <= 1:
        raise ModelFileError(f"head: whole is {str(whole)[:80]}; expected a number from 0 to 1")
    if head.get("normalization", "softmax") not in ("softmax", "minmax"):
        raise ModelFileError(f"head: normalization is {str(head['normalization'])[:80]!r}; expected softmax or minmax")

    def sizes(name: str, *expected: int | None) -> tuple[int, ...]:
        if name not in tensors:
            raise ModelFileError(f"head: the tensor {name!r} is missing")
        shape = tensors[name].shape
        if len(shape) != len(expected) or 0 in shape:
            raise ModelFileError(f"head: {name} has the shape {shape}; expected {len(expected)} dimensions")
        if any(want not in (None, got) for got, want in zip(shape, expected, strict=True)):
            wanted = ", ".join("any" if want is None else str(want) for want in expected)
            raise ModelFileError(f"head: {name} has the shape {shape}; expected ({wanted})")
        return shape

    embed = sizes("head.embed.weight", None, None, 3, 3)[0]
    attend = sizes("head.attend1.weight", None, 2 * embed, 3, 3)[0]
    sizes("head.attend2.weight", 1, attend, 3, 3)
    for part, channels in (("embed", embed), ("attend1", attend), ("attend2", 1)):
        sizes(f"head.{part}.bias", channels)
        sizes(f"head.{part}.prelu", 1)
