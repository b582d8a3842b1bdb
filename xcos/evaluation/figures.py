"""The figures of a report as tables show them, and the pairs that went wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Mistake:
    """A pair that the threshold decides wrongly.

    Attributes
    ----------
    index : int
        Which pair of the data set, counted from 0.
    same : bool
        Whether both show one person: then it is a false non-match, else a false match.
    score : float
        Of the pair.
    margin : float
        How far the score lies on the wrong side of the threshold, above 0 (0 on it).
    names : (str, str)
        What the two images are called.

    Examples
    --------
    >>> import xcos
    >>> xcos.evaluation.Mistake(3, True, 0.1, 0.2, ("a.jpg", "b.jpg")).kind
    'false non-match'
    """

    index: int
    same: bool
    score: float
    margin: float
    names: tuple[str, str]

    @property
    def kind(self) -> str:
        """The error's name: "false non-match" or "false match"."""
        return "false non-match" if self.same else "false match"


def rate_name(rate: float) -> str:
    """1e-3 for 0.001."""
    return f"1e{round(math.log10(rate))}"


def text(column: str, value: Any) -> str:
    """A figure of ``Report.summary`` as tables show it."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return f"{value:,}"
    if column in ("accuracy", "±", "exact accuracy", "exact ±", "EER") or column.startswith("TAR"):
        return f"{value:.2%}"
    return f"{value:.2f}" if column == "ms/pair" else f"{value:.4f}"


def columns(rows: Sequence[dict[str, Any]]) -> list[str]:
    """All columns of the rows, in the order of the row that has most."""
    longest = max(rows, key=len, default={})
    return [*longest, *dict.fromkeys(key for row in rows for key in row if key not in longest)]


def texts(rows: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Heads and cells of a table of such rows."""
    names = columns(rows)
    return names, [[text(name, row.get(name)) for name in names] for row in rows]
