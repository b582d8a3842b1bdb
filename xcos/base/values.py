"""Equality of results that hold arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from numbers import Real
from typing import Any

import numpy as np


class ByValue:
    """Base of dataclasses with ``eq=False``: equal are two of one class whose fields are, arrays number by number.

    NaN equals NaN, since it stands for what was not measured. Fields with ``compare=False`` are left out. The hash is
    of the fields that are strings and numbers alone, which equal objects share.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(_same(getattr(self, name), getattr(other, name)) for name in _compared(self))

    def __hash__(self) -> int:
        values = (getattr(self, name) for name in _compared(self))
        return hash((type(self), *(value for value in values if _plain(value))))


def _plain(value: Any) -> bool:
    return isinstance(value, (str, Real, np.bool_)) and bool(value == value)  # NaN's hash is each its own


def _compared(result: Any) -> list[str]:
    return [field.name for field in fields(result) if field.compare]


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        if not (isinstance(a, np.ndarray) and isinstance(b, np.ndarray)):
            return False
        return np.array_equal(a, b, equal_nan=a.dtype.kind == b.dtype.kind == "f")
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(_same, a, b))
    return bool(a == b or (a != a and b != b))  # NaN alone is not itself
