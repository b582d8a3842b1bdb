"""Packages that only some functions need: asked for before the work begins, and told how to be had."""

from __future__ import annotations

from importlib.util import find_spec

_NAMES = {"sklearn": "scikit-learn", "scipy": "SciPy"}


def need(what: str, *modules: str, extra: str = "eval") -> None:
    """Raises ImportError where one of the modules is not installed, with the extra of xcos that brings it."""
    missing = [_NAMES.get(module, module) for module in modules if find_spec(module) is None]
    if missing:
        raise ImportError(f"{what} needs {' and '.join(missing)}: pip install xcos[{extra}]")
