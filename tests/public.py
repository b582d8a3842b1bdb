"""The public objects: what ``__all__`` of the package and of its public submodules leads to, and their members."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import xcos
from xcos.measured.truth import CellTruth
from xcos.measured.whole import WholeCurve

MODULES = ("", ".datasets", *(f".{name}" for name in xcos._MODULES))


def names() -> Iterator[tuple[str, str, Any]]:
    """Public names: module, name and what it is. A module whose extra is missing is left out."""
    for module in MODULES:
        try:
            home = importlib.import_module(f"xcos{module}")
        except ImportError:
            continue
        yield from ((module, name, getattr(home, name)) for name in home.__all__)


def exported() -> dict[str, Any]:
    """Public classes and functions by the place where each is defined."""
    found = {f"{value.__module__}.{value.__qualname__}": value for value in (CellTruth, WholeCurve)}  # of attributes
    for _, _, value in names():
        value = inspect.unwrap(value) if callable(value) else value
        if inspect.isclass(value) or inspect.isfunction(value):
            found[f"{value.__module__}.{value.__qualname__}"] = value
    return found


def members(owner: type) -> Iterator[tuple[str, Any]]:
    """Public methods and properties of a class itself. An override without a docstring has that of its base."""
    for name, value in vars(owner).items():
        value = getattr(value, "__func__", value)
        if name.startswith("_") or not (inspect.isfunction(value) or isinstance(value, property | cached_property)):
            continue
        if value.__doc__ or not any(hasattr(base, name) for base in owner.__mro__[1:]):
            yield name, value


def own_fields(owner: type) -> list[str]:
    """Public fields of a dataclass that no public base of it has."""
    bases = [base for base in owner.__mro__[1:] if not base.__name__.startswith("_") and dataclasses.is_dataclass(base)]
    known = {field.name for base in bases for field in dataclasses.fields(base)}
    return [one.name for one in dataclasses.fields(owner) if one.name not in known and not one.name.startswith("_")]
