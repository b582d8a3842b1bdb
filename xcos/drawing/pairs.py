"""Many explanations in one picture, by matplotlib: pairs beside each other, and one pair's maps by several models or
over time. One colour bar, with the fixed scale that all of them share.

Everything is placed in inches from the upper left corner, so that faces, maps and letters have the same size in each
picture, however many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

try:
    from matplotlib import rcParams
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties
    from matplotlib.patches import Rectangle
    from matplotlib.textpath import text_to_path
except ImportError:
    raise ImportError("drawing needs matplotlib: pip install xcos[plot]") from None

from .cells import scale_of, show_face, show_map
from .figure import colour_bar, figure_of, new_figure, ours, part_in_place_of, shrink
from .scales import DIFFERENT, INK, QUIET, SAME, SCALES
from .sheet import pale_cells
from .shown import Reason, is_reason

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

Entry = Reason | str | None  # None or a text: there is no explanation, and why
FACES = ("first", "second")
PANELS = (*FACES, *SCALES)
_NOTHING = "no result: a photograph could not be used"
_SIDE, _GAP = 1.2, 0.06  # inches: of a face or map, and between those of one pair
_APART = (0.36, 0.2)  # between pairs, across and down
_EDGE = 0.16  # around all
_LINE = 0.165  # of text
_BAR = (2.6, 0.62)  # a colour bar with its words, wide and high
_WIDEST = 12.6  # of a picture whose columns are not given


@ours
def pairs(
    entries: Sequence[Entry], same: Sequence[bool | None] | None, panels: Sequence[str], columns: int | None,
    figsize: tuple[float, float] | None, dpi: float | None, cmap: str | Colormap | None, ax: Axes | None,
) -> Figure:
    """Each pair with its panels in a row, under what was decided."""
    width = len(panels) * (_SIDE + _GAP) - _GAP
    lines = 1 if len(panels) > 2 else 2  # the decision, and the scores
    top = lines * _LINE + (_LINE if set(panels) & set(FACES) else 0) + 0.03
    scaled = [name for name in panels if name in SCALES]

    def size(columns: int) -> tuple[float, float]:
        across = max(columns * (width + _APART[0]) - _APART[0], len(scaled) * _BAR[0])
        down = ceil(len(entries) / columns) * (top + _SIDE + _APART[1]) + (_BAR[1] if scaled else -_APART[1])
        return 2 * _EDGE + across, 2 * _EDGE + down

    if columns is None:
        columns = _columns(len(entries), size, figsize, ax)
    columns = min(columns, len(entries))
    part = new_figure(figsize or size(columns), dpi=dpi) if ax is None else part_in_place_of(ax)
    board = _Board.of(part, size(columns))
    for i, entry in enumerate(entries):
        row, column = divmod(i, columns)
        left, up = _EDGE + column * (width + _APART[0]), _EDGE + row * (top + _SIDE + _APART[1])
        board.decision(entry, left, up, width, lines, None if same is None else same[i])
        if not is_reason(entry):
            board.nothing(entry, left, up + top, width)
            continue
        for k, name in enumerate(panels):
            board.panel(entry, name, left + k * (_SIDE + _GAP), up + top, f"{name} {i}", cmap)
        if _wrong(entry, None if same is None else same[i]):
            board.frame(left, up, width, top + _SIDE)
    board.bars(scaled, cmap)
    return board.done()


@ours
def maps(
    grid: Sequence[Sequence[Entry]], same: Sequence[bool | None] | None, name: str, titles: Sequence[str],
    figsize: tuple[float, float] | None, dpi: float | None, cmap: str | Colormap | None, ax: Axes | None,
) -> Figure:
    """A map for each entry, rows and columns as given. Faces that are the same along every row stand once at its left,
    the others each above their map."""
    rows = [[entry for entry in row if is_reason(entry)] for row in grid]
    once = [side for side in (0, 1)
            if all(np.array_equal(e.crops[side], row[0].crops[side]) for row in rows for e in row)]  # fmt: skip
    above = [side for side in (0, 1) if side not in once]
    head = _LINE + 0.05 if any(titles) else 0.0
    over = len(above) * (_LINE + _SIDE + _GAP)
    top = over + 2 * _LINE + 0.03
    left = _EDGE + len(once) * (_SIDE + _GAP) + (_APART[0] / 2 if once else 0)
    step = _SIDE + 2 * _GAP
    count = max(map(len, grid))
    size = (max(left + count * step - 2 * _GAP, _EDGE + _BAR[0]) + _EDGE,
            2 * _EDGE + head + len(grid) * (top + _SIDE + _APART[1]) + _BAR[1])  # fmt: skip
    part = new_figure(figsize or size, dpi=dpi) if ax is None else part_in_place_of(ax)
    board = _Board.of(part, size)
    for j, title in enumerate(titles):
        shown = _fitting(title, _SIDE + _GAP, 8.5, "bold")
        board.text(left + j * step + _SIDE / 2, _EDGE + _LINE / 2, shown, fontsize=8.5, weight="bold", ha="center")
    for i, row in enumerate(grid):
        up = _EDGE + head + i * (top + _SIDE + _APART[1])
        label = None if same is None else same[i]
        for k, side in enumerate(once if rows[i] else ()):
            board.panel(rows[i][0], FACES[side], _EDGE + k * (_SIDE + _GAP), up + top, f"{FACES[side]} {i}", cmap)
        for j, entry in enumerate(row):
            x = left + j * step
            board.decision(entry, x, up + over, _SIDE, 2, label)
            if not is_reason(entry):
                board.nothing(entry, x, up + top, _SIDE)
                continue
            for k, side in enumerate(above):
                y = up + _LINE + k * (_LINE + _SIDE + _GAP)
                board.panel(entry, FACES[side], x, y, f"{FACES[side]} {i},{j}", cmap)
            board.panel(entry, name, x, up + top, f"{name} {i},{j}", cmap)
            if _wrong(entry, label):
                board.frame(x, up + over, _SIDE, top - over + _SIDE)
    board.bars([name], cmap)
    return board.done()


def _columns(
    count: int, size: Callable[[int], tuple[float, float]], figsize: tuple[float, float] | None, ax: Axes | None
) -> int:
    """So many pairs in a row that they are as large as can be in the room that there is, or not too wide."""
    if ax is not None:
        figsize = ax.bbox.width / figure_of(ax).dpi, ax.bbox.height / figure_of(ax).dpi
    if figsize is None:
        return max((n for n in range(1, count + 1) if size(n)[0] <= _WIDEST), default=1)
    width, height = figsize
    return max(range(1, count + 1), key=lambda n: min(width / size(n)[0], height / size(n)[1]))


def _verdict(e: Reason) -> tuple[str, str]:
    """The decision in two words, and its colour."""
    if not e.reliable:
        return "no answer", QUIET
    if e.undecided:
        return "undecided", QUIET
    return ("same person", SAME) if e.same else ("different people", DIFFERENT)


def _wrong(e: Reason, label: bool | None) -> bool:
    return label is not None and e.reliable and not e.undecided and e.same != label


def _fitting(text: str, width: float, size: float, weight: str = "normal") -> str:
    """A text that is not wider than `width` inches, cut in its middle: the end tells files apart."""
    font = FontProperties(family=rcParams["font.family"], size=size, weight=weight)
    room = 68 * width  # points, of which an inch has 72: the rest for what letters are rounded to
    most, shown = min(len(text), 200), text
    while most > 2 and text_to_path.get_text_width_height_descent(shown, font, False)[0] > room:
        most -= 1
        shown = f"{text[: most - most // 2]}…{text[len(text) - most // 2 :]}"
    return shown


@dataclass
class _Board:
    """What is drawn on, in inches from the upper left corner; texts are shrunk where there is less room than that."""

    part: Figure | SubFigure
    room: tuple[float, float]  # of which `needed` is filled
    needed: tuple[float, float]

    @classmethod
    def of(cls, part: Figure | SubFigure, needed: tuple[float, float]) -> _Board:
        """All of `part`, of whatever size: faces stay square."""
        width, height = part.bbox.width / part.dpi, part.bbox.height / part.dpi
        scale = min(width / needed[0], height / needed[1])
        return cls(part, (width / scale, height / scale), needed)

    def done(self) -> Figure:
        shrink(self.part, self.room)
        return self.part.figure

    def text(self, x: float, y: float, text: str, **how: Any) -> None:
        how = {"fontsize": 7.5, "color": INK, "va": "center", **how}
        self.part.text(x / self.room[0], 1 - y / self.room[1], text, **how)

    def axes(self, x: float, y: float, width: float, height: float, label: str) -> Axes:
        across, down = self.room
        ax = self.part.add_axes((x / across, 1 - (y + height) / down, width / across, height / down))
        ax.set_label(label)
        return ax

    def panel(self, e: Reason, name: str, x: float, y: float, label: str, cmap: str | Colormap | None) -> None:
        """A face under its name, or a map."""
        ax = self.axes(x, y, _SIDE, _SIDE, label)
        if name in FACES:
            side = FACES.index(name)
            show_face(ax, e.crops[side], e.cosine_map.shape, names=False)
            shown = _fitting(e.names[side], _SIDE, 6.5)
            self.text(x + _SIDE / 2, y - _LINE / 2, shown, fontsize=6.5, color=QUIET, ha="center")
        else:
            values = getattr(e, "cosine_map" if name == "cosine" else name)
            show_map(ax, values, scale_of(name, cmap), pale_cells(e), names=False)

    def decision(self, e: Entry, x: float, y: float, width: float, lines: int, label: bool | None) -> None:
        """What was decided, by which scores, and whether that is what the label says."""
        if not is_reason(e):
            return
        verdict, colour = _verdict(e)
        score = f"{e.score:.3f} {'>' if e.same else '≤'} {e.threshold:.3f}"
        settled = e.reliable and not e.undecided
        mark = "" if label is None or not settled else " ✓" if e.same == label else " ✗"
        if lines == 1:
            self.text(x, y + _LINE / 2, f"{verdict}: {score}", weight="bold", color=colour, fontsize=8)
            if label is not None:
                self.text(x + width, y + _LINE / 2, f"label: {'same' if label else 'different'}{mark}", ha="right")
        else:
            self.text(x + width / 2, y + _LINE / 2, verdict, weight="bold", color=colour, ha="center")
            self.text(x + width / 2, y + 1.5 * _LINE, score + mark, color=colour, ha="center")

    def nothing(self, entry: Entry, x: float, y: float, width: float) -> None:
        """An empty place with the reason."""
        self._rectangle(x, y, width, _SIDE, facecolor="#f2f2f2", edgecolor="#bbbbbb", linewidth=0.6)
        why = entry if isinstance(entry, str) else _NOTHING
        reason = "\n".join(wrap(why, max(16, int(13 * width)), max_lines=6, placeholder=" …"))
        self.text(x + width / 2, y + _SIDE / 2, reason, color=QUIET, ha="center")

    def frame(self, x: float, y: float, width: float, height: float) -> None:
        """Around an answer that is not the label's."""
        self._rectangle(x - 0.05, y - 0.02, width + 0.1, height + 0.07, facecolor="none", edgecolor=INK, linewidth=1.4)

    def _rectangle(self, x: float, y: float, width: float, height: float, **how: Any) -> None:
        across, down = self.room
        corner = x / across, 1 - (y + height) / down
        how["transform"] = self.part.transSubfigure
        self.part.add_artist(Rectangle(corner, width / across, height / down, **how))

    def bars(self, names: Sequence[str], cmap: str | Colormap | None) -> None:
        """One colour bar for each kind of map, at the bottom."""
        y = self.needed[1] - _EDGE - _BAR[1]
        for k, name in enumerate(names):
            x = _EDGE + k * _BAR[0]
            self.text(x, y + 0.12, SCALES[name].question, weight="bold")
            self.text(x, y + 0.27, SCALES[name].about.partition(";")[0], fontsize=7, color=QUIET)
            bar = self.axes(x + 0.13, y + 0.37, _BAR[0] - 0.45, 0.07, f"{name} scale")  # room for the numbers
            colour_bar(bar, scale_of(name, cmap))
