"""Pickles from the web, read without running anything that they carry.

A pickle is a program: it may name any function of any module and call it. What benchmarks keep in one is plain,
so only lists, tuples, texts, bytes, bools, numbers and NumPy arrays of these come through here. Even
NumPy's own objects are not built by the pickle: stand-ins collect shape, type and bytes, and the array is made
from those.
"""

import math
import pickle
import re
import reprlib
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO, ClassVar

import numpy as np
from numpy.typing import NDArray

# Of objects: their items are plain, too. Bytes (S, V): as single ones alone, as NumPy keeps them in a list.
_NUMBERS = re.compile(r"[<>=|]?[biuf?][0-9]*|[|]?O[0-9]*|[|]?[SV][0-9]+")
_MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")
_NUMERIC = ("numpy.core.numeric", "numpy._core.numeric")


class _Type:
    """Stands for numpy.dtype."""

    def __init__(self, code: Any, *_: Any) -> None:
        code = code.decode("latin1") if isinstance(code, bytes) else code
        if not isinstance(code, str) or not _NUMBERS.fullmatch(code):
            raise pickle.UnpicklingError(f"an array of {reprlib.repr(code)}; expected bools or numbers")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        order = state[1].decode("latin1") if isinstance(state[1], bytes) else state[1]
        if order not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError(f"a byte order {reprlib.repr(order)}")
        self.dtype = np.dtype(order + self.dtype.str[1:])


class _Array:
    """Stands for numpy.ndarray."""

    def __init__(self, shape: Any = (0,), kind: Any = None, data: Any = b"", order: Any = "C") -> None:
        self.array: NDArray[Any] = np.empty(0)
        if kind is not None:
            self._fill(shape, kind, data, order)

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, data = state
        self._fill(shape, kind, data, "F" if fortran else "C")

    def _fill(self, shape: Any, kind: Any, data: Any, order: Any) -> None:
        objects = isinstance(kind, _Type) and kind.dtype.hasobject  # whose items are plain values, in a list
        if isinstance(kind, _Type) and kind.dtype.kind in "SV":
            raise pickle.UnpicklingError(f"an array of {kind.dtype.str[1:]!r}; expected bools or numbers")
        if not isinstance(kind, _Type) or not isinstance(data, list if objects else (bytes, bytearray)):
            raise pickle.UnpicklingError("an array that is not made of numbers")
        sizes = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
        if not all(isinstance(n, int) and n >= 0 for n in sizes):
            raise pickle.UnpicklingError(f"an array of the shape {reprlib.repr(shape)}")
        if math.prod(sizes) * (1 if objects else kind.dtype.itemsize) != len(data):
            unit = "items" if objects else "bytes"
            raise pickle.UnpicklingError(f"an array of the shape {sizes} with {len(data)} {unit}")
        flat = _objects(data) if isinstance(data, list) else np.frombuffer(data, kind.dtype)
        self.array = flat.reshape(sizes, order="F" if order == "F" else "C")


def _objects(items: Sequence[Any]) -> NDArray[Any]:
    flat = np.empty(len(items), object)
    for i, item in enumerate(items):  # at once NumPy would take lists for rows
        flat[i] = item
    return flat


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _frombuffer(data: Any, kind: Any, shape: Any, order: Any = "C", *_: Any) -> _Array:
    return _Array(shape, kind, data, order)


def _scalar(kind: Any, data: Any) -> Any:
    if isinstance(kind, _Type) and kind.dtype.kind in "SV" and isinstance(data, bytes):
        return data
    return _Array((), kind, data).array[()]


def _latin1(text: Any, encoding: Any) -> bytes:
    """How protocol 2 writes bytes."""
    if not isinstance(text, str) or encoding not in ("latin1", b"latin1"):
        raise pickle.UnpicklingError(f"a text written as {reprlib.repr(encoding)}")
    return text.encode("latin1")


def _plain_bytearray(data: Any = b"", encoding: Any = "latin1") -> bytearray:
    """From bytes or, by protocol 2, a text; the real one would take a number for a size."""
    if isinstance(data, bytes):
        return bytearray(data)
    return bytearray(_latin1(data, str(encoding).replace("-", "")))


_ADMITTED: dict[tuple[str, str], Callable[..., Any]] = {
    ("_codecs", "encode"): _latin1,
    ("builtins", "bytearray"): _plain_bytearray,
    ("__builtin__", "bytearray"): _plain_bytearray,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    **{(module, "_reconstruct"): _reconstruct for module in _MULTIARRAY},
    **{(module, "scalar"): _scalar for module in _MULTIARRAY},
    **{(module, "_frombuffer"): _frombuffer for module in _NUMERIC},
}


def _refuse_hashing(_: Any) -> None:
    raise pickle.UnpicklingError("it holds a dict or a set; expected lists, bytes, numbers and arrays")


def _bytearray(reader: Any) -> None:
    """The standard one takes the memory first and finds the file too short afterwards."""
    size = int.from_bytes(reader.read(8), "little")
    data = reader.read(size)
    if len(data) != size:
        raise pickle.UnpicklingError(f"{size} bytes are announced, {len(data)} are there")
    reader.append(bytearray(data))


class PlainUnpickler(pickle._Unpickler):
    """Unpickler that knows no class or function but its own stand-ins; refuses every other one by name.

    It is the one in Python: the one in C keeps its memo as a table, so that ten bytes can make it take
    gigabytes. Dicts and sets are refused because keys are hashed, which takes time without end where nested
    tuples share their content level by level.
    """

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {
        **pickle._Unpickler.dispatch,
        **dict.fromkeys(
            (code[0] for code in (pickle.DICT, pickle.EMPTY_DICT, pickle.EMPTY_SET, pickle.FROZENSET)), _refuse_hashing
        ),
        pickle.BYTEARRAY8[0]: _bytearray,
    }

    def find_class(self, module: str, name: str) -> Any:
        admitted = _ADMITTED.get((module, name))
        if admitted is None:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}; expected lists, bytes, numbers and arrays")
        return admitted


def load(file: BinaryIO) -> Any:
    """The plain content of a pickle: lists, tuples, bytes, texts, bools, numbers, NumPy arrays.

    Texts of Python 2 come as bytes. Raises pickle.UnpicklingError, naming what the pickle asks for, where it
    holds anything else, is damaged or cut short.
    """
    try:
        return _arrays(PlainUnpickler(file, encoding="bytes").load(), {})
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to say
        raise pickle.UnpicklingError(f"damaged or no pickle ({type(error).__name__})") from None


def _arrays(value: Any, done: dict[int, Any]) -> Any:
    """Arrays in the place of their stand-ins, in nested lists and tuples; `done`: what has been seen, by id."""
    if isinstance(value, _Array) and not value.array.dtype.hasobject:
        return value.array
    if not isinstance(value, (list, tuple, _Array)):
        return value
    if id(value) not in done:
        if isinstance(value, _Array):
            items = [_arrays(item, done) for item in value.array.ravel()]
            done[id(value)] = _objects(items).reshape(value.array.shape)
        else:
            done[id(value)] = type(value)(_arrays(item, done) for item in value)
    return done[id(value)]
