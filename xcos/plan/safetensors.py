"""Reading and writing safetensors files with NumPy alone.

The format (https://github.com/huggingface/safetensors): eight bytes with the little-endian length of a
JSON header, the header, then the tensors back to back. The header maps names to ``dtype``, ``shape`` and
``data_offsets`` (begin, end, counted from the end of the header); ``__metadata__`` maps strings to strings.
"""

import json
import math
import mmap
import os
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelFileError

Source = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO
Tensors = dict[str, NDArray[np.float32]]

MAX_HEADER = 100_000_000  # bytes; the limit of the format's own library
ALIGNMENT = 64  # the data begins at a multiple of this, so that mapped tensors are aligned for vectors

_DTYPES = {"F32": "<f4", "F16": "<f2", "BF16": "<u2", "F64": "<f8"}
_INTEGERS = {f"{kind}{bits}": f"<{kind.lower()}{bits // 8}" for kind in "IU" for bits in (8, 16, 32, 64)}


def load(source: Source, *, floats_alone: bool = False) -> tuple[dict[str, str], Tensors]:
    """Metadata and tensors of a safetensors file, given as a path, its bytes, or a binary file object.

    A path is memory-mapped: float32 tensors are read-only views of the file, which must not be changed in
    place while they live. F16, BF16 and F64 tensors are converted to float32, values beyond its range
    becoming infinite. `floats_alone` leaves tensors of integers out, which a model file has none of.

    Raises ModelFileError where the file is damaged or holds another type of tensor, OSError where it cannot
    be opened.
    """
    return _parse(_view(source), floats_alone)


def unload(tensors: Mapping[str, NDArray[np.float32]]) -> None:
    """Gives the memory of mapped tensors back to the system, which reads the file again where they are needed once
    more. For after a network was made, which has its weights in a form of its own."""
    maps = {}
    for tensor in tensors.values():
        owner: Any = tensor
        while isinstance(owner, np.ndarray) and owner.base is not None:
            owner = owner.base
        if isinstance(owner, memoryview) and isinstance(owner.obj, mmap.mmap):
            maps[id(owner.obj)] = owner.obj
    for mapped in maps.values():
        if hasattr(mmap, "MADV_DONTNEED"):
            mapped.madvise(mmap.MADV_DONTNEED)


def dump(metadata: Mapping[str, str], tensors: Mapping[str, NDArray[np.float32]]) -> Iterator[bytes | memoryview]:
    """The chunks of a safetensors file with float32 tensors, in the order given."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    arrays = []
    offset = 0
    for name, tensor in tensors.items():
        array = np.ascontiguousarray(tensor, "<f4").reshape(np.shape(tensor))
        header[name] = {
            "dtype": "F32",
            "shape": list(array.shape),
            "data_offsets": [offset, offset + array.nbytes],
        }
        offset += array.nbytes
        arrays.append(array)
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % ALIGNMENT)
    yield len(text).to_bytes(8, "little") + text
    for array in arrays:
        yield array.reshape(-1).view(np.uint8).data


def parse_json(text: bytes | str, what: str) -> Any:
    """A JSON value; what JSON does not know (NaN, doubled keys, endless nesting) raises ModelFileError."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise ModelFileError(f"{what} has {twice!r} twice")
        return result

    def refuse(constant: str) -> Any:
        raise ModelFileError(f"{what} holds {constant}, which is not JSON")

    try:
        return json.loads(text, object_pairs_hook=unique, parse_constant=refuse)
    except ModelFileError:
        raise
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, numbers of thousands of digits
        raise ModelFileError(f"{what} is not valid JSON ({str(error)[:120]})") from None


def _view(source: Source) -> memoryview:
    if isinstance(source, bytes | bytearray | memoryview):
        return memoryview(source).cast("B")
    if isinstance(source, str | os.PathLike):
        with open(source, "rb") as file:
            if os.fstat(file.fileno()).st_size == 0:  # cannot be mapped
                raise ModelFileError("the file is empty")
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    if hasattr(source, "read"):
        data = source.read()
        if not isinstance(data, bytes):
            raise TypeError(f"got a file object that reads {type(data).__name__}; open it in binary mode")
        return memoryview(data)
    raise TypeError(f"got {type(source).__name__}; expected a path, bytes or a binary file object")


def _parse(data: memoryview, floats_alone: bool) -> tuple[dict[str, str], Tensors]:
    if len(data) < 8:
        raise ModelFileError(f"not a safetensors file: {len(data)} bytes hold no header")
    length = int.from_bytes(data[:8], "little")
    if length > MAX_HEADER:
        raise ModelFileError("not a safetensors file: its first 8 bytes are no length of a header")
    if length > len(data) - 8:
        raise ModelFileError(f"a safetensors file cut short: a header of {length} bytes in a file of {len(data)}")
    header = parse_json(bytes(data[8 : 8 + length]), "the header")
    if not isinstance(header, dict):
        raise ModelFileError("not a safetensors file: the header is not a JSON object")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ModelFileError("__metadata__ is not an object of strings")

    body = data[8 + length :]
    dtypes = {**_DTYPES, **_INTEGERS} if floats_alone else _DTYPES
    spans = {name: _span(name, entry, len(body), dtypes) for name, entry in header.items()}
    end = 0
    for name, (begin, stop) in sorted(spans.items(), key=lambda item: item[1]):
        if begin != end:
            problem = "overlaps another tensor" if begin < end else "leaves a gap before it"
            raise ModelFileError(f"tensor {name!r} {problem} (bytes {begin} to {stop})")
        end = stop
    if end != len(body):
        raise ModelFileError(f"the tensors end at byte {end}, the file at {len(body)}")
    floats = {name: span for name, span in spans.items() if header[name]["dtype"] in _DTYPES}
    return metadata, {name: _tensor(header[name], body[begin:stop]) for name, (begin, stop) in floats.items()}


def _span(name: str, entry: Any, size: int, dtypes: Mapping[str, str]) -> tuple[int, int]:
    """Checks one entry of the header against a body of `size` bytes; its offsets."""

    def is_size(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**62

    if not isinstance(entry, dict):
        raise ModelFileError(f"tensor {name!r} is not described by an object")
    dtype, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in dtypes:
        raise ModelFileError(f"tensor {name!r} has dtype {dtype!r}; expected F32 (or F16, BF16, F64)")
    if not isinstance(shape, list) or len(shape) > 32 or not all(map(is_size, shape)):
        raise ModelFileError(f"tensor {name!r} has the shape {str(shape)[:80]}; expected a list of sizes")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(is_size, offsets)):
        raise ModelFileError(f"tensor {name!r} has data_offsets {str(offsets)[:80]}; expected [begin, end]")
    begin, end = offsets
    if not begin <= end <= size:
        raise ModelFileError(f"tensor {name!r} lies at bytes {begin} to {end} of {size}: cut short")
    needed = math.prod(shape) * np.dtype(dtypes[dtype]).itemsize
    if end - begin != needed:
        raise ModelFileError(f"tensor {name!r} ({dtype} {shape}) has {end - begin} bytes; expected {needed}")
    return begin, end


def _tensor(entry: dict[str, Any], data: memoryview) -> NDArray[np.float32]:
    array: NDArray[np.float32]
    if entry["dtype"] == "BF16":  # the upper half of a float32
        array = (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    else:
        with np.errstate(over="ignore"):
            array = np.asarray(np.frombuffer(data, _DTYPES[entry["dtype"]]), np.float32)
    if not array.flags.aligned:
        array = array.copy()
    shape: list[int] = entry["shape"]
    return array.reshape(shape)
