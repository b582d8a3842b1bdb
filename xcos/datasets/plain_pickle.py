"""Pickles from the web, read without running anything that they carry.

A pickle is a program: it may name any function of any module and call it. What benchmarks keep in one is plain,
so only lists, tuples, dicts, texts, bytes, bools, numbers and NumPy arrays of numbers come through here. Even
NumPy's own objects are not built by the pickle: stand-ins collect shape, type and bytes, and the array is made
from those.
"""

import math
import pickle
import re
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

_NUMBERS = re.compile(r"[<>=|]?[biuf?][0-9]*")
_MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")
_NUMERIC = ("numpy.core.numeric", "numpy._core.numeric")


class _Type:
    """Stands for numpy.dtype."""

    def __init__(self, code: Any, *_: Any) -> None:
        code = code.decode("latin1") if isinstance(code, bytes) else code
        if not isinstance(code, str) or not _NUMBERS.fullmatch(code):
            raise pickle.UnpicklingError(f"an array of {str(code)[:80]!r}; expected bools or numbers")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        order = state[1].decode("latin1") if isinstance(state[1], bytes) else state[1]
        if order not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError(f"a byte order {str(order)[:80]!r}")
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
        if not isinstance(kind, _Type) or not isinstance(data, (bytes, bytearray)):
            raise pickle.UnpicklingError("an array that is not made of numbers")
        sizes = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
        if not all(isinstance(n, int) and n >= 0 for n in sizes):
            raise pickle.UnpicklingError(f"an array of the shape {str(shape)[:80]}")
        if math.prod(sizes) * kind.dtype.itemsize != len(data):
            raise pickle.UnpicklingError(f"an array of the shape {sizes} with {len(data)} bytes")
        self.array = np.frombuffer(data, kind.dtype).reshape(sizes, order="F" if order == "F" else "C")


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _frombuffer(data: Any, kind: Any, shape: Any, order: Any = "C", *_: Any) -> _Array:
    return _Array(shape, kind, data, order)


def _scalar(kind: Any, data: Any) -> Any:
    return _Array((), kind, data).array[()]


def _latin1(text: Any, encoding: Any) -> bytes:
    """How protocol 2 writes bytes."""
    if not isinstance(text, str) or encoding not in ("latin1", b"latin1"):
        raise pickle.UnpicklingError(f"a text written as {str(encoding)[:80]!r}")
    return text.encode("latin1")


_ADMITTED: dict[tuple[str, str], Callable[..., Any]] = {
    ("_codecs", "encode"): _latin1,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    **{(module, "_reconstruct"): _reconstruct for module in _MULTIARRAY},
    **{(module, "scalar"): _scalar for module in _MULTIARRAY},
    **{(module, "_frombuffer"): _frombuffer for module in _NUMERIC},
}


class PlainUnpickler(pickle.Unpickler):
    """Unpickler that knows no class or function but its own stand-ins; refuses every other one by name."""

    def find_class(self, module: str, name: str) -> Any:
        admitted = _ADMITTED.get((module, name))
        if admitted is None:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}; expected lists, bytes, numbers and arrays")
        return admitted


def load(file: BinaryIO) -> Any:
    """The plain content of a pickle: lists, tuples, dicts, bytes, texts, bools, numbers, NumPy arrays.

    Texts of Python 2 come as bytes. Raises pickle.UnpicklingError, naming what the pickle asks for, where it
    holds anything else, is damaged or cut short.
    """
    try:
        return _arrays(PlainUnpickler(file, encoding="bytes").load())
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to say
        raise pickle.UnpicklingError(f"damaged or no pickle ({type(error).__name__}: {str(error)[:120]})") from None


def _arrays(value: Any) -> Any:
    """Arrays in the place of their stand-ins, in nested lists, tuples and dicts."""
    if isinstance(value, _Array):
        return value.array
    if isinstance(value, (list, tuple)):
        return type(value)(map(_arrays, value))
    if isinstance(value, dict):
        return {key: _arrays(item) for key, item in value.items()}
    return value
