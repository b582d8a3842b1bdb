"""Where the parts of an explanation's figure stand: panels in rows of three, the face as a whole at their right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from textwrap import fill

import numpy as np
from numpy.typing import NDArray

from ..measured.truth import LITTLE
from .shown import Reason, told

USUAL = ("first", "second", "score", "cosine", "attention", "contribution")
PANELS = (*USUAL, "evidence", "deviation", "whole")
_GAP = (0.17, 0.27)  # between two panels, as shares of a panel's width and height
_PANEL = (2.98, 2.695)  # inches, width and height
_LEFT, _RIGHT, _TOP, _BOTTOM = 0.32, 0.32, 0.836, 0.646  # inches around the panels
_BAR = (0.66, 0.79, 0.43)  # inches of the face as a whole: from the panels, wide, to the edge
_LINE = 0.14  # inches, of the note
_SYMBOLS = {("cosine", "attention"): "×", ("attention", "contribution"): "=", ("contribution", "whole"): "+"}


@dataclass(frozen=True)
class Sheet:
    """The panels in order, without the whole; whether that stands beside the last one; title and note."""

    panels: tuple[str, ...]
    whole: bool
    title: str
    note: str

    @classmethod
    def of(cls, e: Reason, panels: Sequence[str] | None = None) -> Sheet:
        """The sheet of an explanation; None: the usual panels, with the whole where it counts.

        Raises ValueError for a panel that there is not, one named twice, none, or the whole alone.
        """
        chosen = ((*USUAL, "whole") if e.explained < 1 else USUAL) if panels is None else panels
        chosen = (chosen,) if isinstance(chosen, str) else tuple(chosen)
        others = tuple(name for name in chosen if name != "whole")
        if not others or len(set(chosen)) < len(chosen) or not set(chosen) <= set(PANELS):
            raise ValueError(f"panels: expected some of {', '.join(PANELS)}, each once, not whole alone; got {chosen}")
        verdict, sign = ("Same person", ">") if e.same else ("Different people", "≤")
        if not e.reliable:
            verdict = "No answer, a face is too poor"
        elif e.undecided:
            verdict = f"Undecided, rather {verdict.lower()}"
        threshold = "threshold " if len(others) > 1 else ""
        title = f"{verdict}: score {e.score:.3f} {sign} {threshold}{e.threshold:.3f}"
        said = told(e) if "score" in others else []
        if pale_cells(e) is not None and set(others) & {"cosine", "attention", "contribution", "evidence", "deviation"}:
            said.append(
                "Faded, numbers slanted: cells that know little. Each alone tells people apart with an accuracy "
                f"below {LITTLE:.0%}, where coin tossing has 50%."
            )
        made = cls(others, "whole" in chosen, title, "")
        return cls(others, made.whole, title, "\n".join(fill(line, int(16 * made.size[0])) for line in said))

    @property
    def columns(self) -> int:
        return min(3, len(self.panels))

    @property
    def rows(self) -> int:
        return -(-len(self.panels) // 3)

    @property
    def _inside(self) -> tuple[float, float]:
        """Inches of the panels with the gaps between them."""
        width, height = ((n + (n - 1) * gap) * panel
                         for n, gap, panel in zip((self.columns, self.rows), _GAP, _PANEL, strict=True))  # fmt: skip
        return width, height

    @property
    def _below(self) -> float:
        """Inches under the panels."""
        return _BOTTOM + _LINE * (self.note.count("\n") + bool(self.note))

    @property
    def size(self) -> tuple[float, float]:
        """Inches of the figure for which texts have the sizes that they have."""
        width, height = self._inside
        return _LEFT + width + (sum(_BAR) if self.whole else _RIGHT), self._below + height + _TOP

    def place(self, i: int) -> tuple[float, float, float, float]:
        """Left, bottom, width and height of a panel, as shares of the figure."""
        row, column = divmod(i, self.columns)
        across, down = (count * (1 + gap) * side for count, gap, side in zip((column, row), _GAP, _PANEL, strict=True))
        width, height = self.size
        bottom = height - _TOP - down - _PANEL[1]
        return (_LEFT + across) / width, bottom / height, _PANEL[0] / width, _PANEL[1] / height

    @property
    def left(self) -> float:
        """Where panels and note begin, as a share of the figure."""
        return _LEFT / self.size[0]

    @property
    def bar(self) -> tuple[float, float]:
        """Left edge and width of the face as a whole, as shares of the figure."""
        width = self.size[0]
        return (_LEFT + self._inside[0] + _BAR[0]) / width, _BAR[1] / width

    @property
    def title_points(self) -> float:
        """Size of the title's letters, which are 0.68 as wide as high, on the average."""
        return min(17.0, 0.95 * 72 * self.size[0] / (0.68 * len(self.title)))

    def up(self, inches: float) -> float:
        """A height above the lower edge as a share of the figure; negative: under the upper one."""
        return inches / self.size[1] % 1

    def symbols(self) -> Iterator[tuple[str, str, str]]:
        """Neighbours in a row, and what stands between them: the arithmetic of the score."""
        for row in range(self.rows):
            names = self.panels[3 * row : 3 * row + 3]
            last = (*names, "whole") if self.whole and row == self.rows - 1 else names
            yield from ((*both, _SYMBOLS[both]) for both in pairwise(last) if both in _SYMBOLS)


def pale_cells(e: Reason) -> NDArray[np.bool_] | None:
    """(H, W): cells that know little; None where there are none, or none are known."""
    return e.truth.little if e.truth is not None and e.truth.little.any() else None
