"""A case report as PDF, by fpdf2: A4 or Letter, text that can be selected and searched, the same bytes each time."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

try:
    from fpdf import FPDF
    from fpdf.enums import XPos, YPos
    from fpdf.fonts import FontFace
    from matplotlib import font_manager
except ImportError:
    raise ImportError("a report as PDF needs fpdf2 and matplotlib: pip install xcos[report]") from None

from .. import _core
from ..drawing.figure import drawable
from .content import Block, CellMap, Facts, Maps, Pictures, Prose, Report, Table

_FONT = "DejaVu Sans"  # comes with matplotlib
_MARGIN, _BOTTOM = 17.0, 19.0  # millimetres
_INK, _QUIET, _LINE, _CARD = (29, 29, 31), (95, 99, 104), (216, 219, 224), (245, 246, 248)
_SIZES = {"strong": 13.0, "plain": 9.0, "quiet": 7.5}  # points
_LEADING = 0.48  # millimetres of a line for each point of its letters
_GAP = 4.0  # millimetres between columns


def pdf(report: Report, paper: str = "A4") -> bytes:
    """The report as a PDF file."""
    return _Document(report, paper).file()


class _Document(FPDF):
    def __init__(self, report: Report, paper: str) -> None:
        super().__init__(unit="mm", format=paper)
        self._report = report
        self.set_margins(_MARGIN, _MARGIN)
        self.set_auto_page_break(True, _BOTTOM)
        self._others: list[str] = []
        for style, face in (("", ""), ("B", ":bold"), ("I", ":oblique")):
            self.add_font(_FONT, style, font_manager.findfont(f"{_FONT}{face}"))
        self.set_lang("en")
        self.set_title(self._fit(report.title))
        self.set_creator(f"xcos {_core.__version__}")
        self.set_creation_date(report.date)

    def file(self) -> bytes:
        self.add_page()
        self._font("B", 17)
        self._paragraph(self._report.title)
        self._font("", 8.5, _QUIET)
        self._paragraph(self._report.about)
        for section in self._report.sections:
            if section.page:
                self.add_page()
            self._title(section.title, self._height(section.blocks[0]))
            for block in section.blocks:
                self._block(block)
        return bytes(self.output())

    def footer(self) -> None:
        self.set_y(-13)
        self._font("", 7, _QUIET)
        self.cell(self.epw - 15, 4, self._fit(self._report.foot))
        self.cell(15, 4, f"{self.page_no()} of {{nb}}", align="R")

    def _fit(self, text: str) -> str:
        """A text as our fonts can draw it; other fonts are brought in where they are installed."""
        shown, others = drawable(text)
        for name in others:
            if name not in self._others:
                path = font_manager.findfont(font_manager.FontProperties(family=[name]))
                for style in ("", "B", "I"):
                    self.add_font(name, style, path)
                self._others.append(name)
                self.set_fallback_fonts(self._others)
        return shown

    def _font(self, style: str = "", size: float = 9.0, colour: tuple[int, int, int] = _INK) -> None:
        self.set_font(_FONT, style, size)
        self.set_text_color(*colour)

    def _paragraph(self, text: str, lead: str = "") -> None:
        if lead:
            self._font("B", self.font_size_pt)
            self.write(_LEADING * self.font_size_pt, f"{self._fit(lead)} ")
            self._font("", self.font_size_pt)
            self.write(_LEADING * self.font_size_pt, self._fit(text))
            self.ln()
            return
        self.multi_cell(0, _LEADING * self.font_size_pt, self._fit(text), align="L", new_x=XPos.LMARGIN,
                        new_y=YPos.NEXT)  # fmt: skip

    def _title(self, text: str, following: float) -> None:
        """A title, on a new page where what follows, so many millimetres high, would not stand under it."""
        if self.will_page_break(12 + following):
            self.add_page()
        self.ln(4)
        self._font("B", 11.5)
        self.start_section(text)
        self._paragraph(text)
        self.ln(1)

    def _height(self, block: Block) -> float:
        """Millimetres of a block that can't be cut by the end of a page, or of its beginning."""
        if isinstance(block, Maps):
            rows, columns = block.maps[0].pale.shape
            return float(22 + (self.epw / 3 - 6) / columns * rows)
        return block.height + 8 if isinstance(block, Pictures) else 25

    def _block(self, block: Block) -> None:
        if isinstance(block, (Maps, Pictures)) and self.will_page_break(self._height(block)):
            self.add_page()
        if isinstance(block, Prose):
            self._font("B" if block.kind == "strong" else "", _SIZES[block.kind],
                       _QUIET if block.kind == "quiet" else _INK)  # fmt: skip
            self._paragraph(block.text, block.lead)
            self.ln(1.2)
        elif isinstance(block, Facts):
            width = 0.3 if len(block.rows[0][1]) == 1 else 0.2
            widths = (width, *[(1 - width) / len(block.rows[0][1])] * len(block.rows[0][1]))
            self._table(block.heads, [(name, *values) for name, values in block.rows], widths, numbers=False)
        elif isinstance(block, Table):
            others = len(block.head) - 1
            self._table(block.head, block.rows, (0.28, *[0.72 / others] * others), numbers=True)
        elif isinstance(block, Pictures):
            self._pictures(block)
        elif isinstance(block, Maps):
            self._maps(block)

    def _table(
        self, head: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[float], *, numbers: bool
    ) -> None:
        self._font("", 8)
        self.set_draw_color(*_LINE)
        self.set_fill_color(255)  # of rows, in place of the last cell's of a map
        align = ("LEFT", *["RIGHT" if numbers else "LEFT"] * (len(widths) - 1))
        names = FontFace(color=_QUIET)
        empty = any(not any(values) for _, *values in rows) and not numbers  # lines to be filled in by hand
        with self.table(
            width=self.epw, col_widths=tuple(100 * width for width in widths), align="LEFT", text_align=align,
            line_height=_LEADING * 8 + (6 if empty else 0), padding=(0.7, 1.2), borders_layout="HORIZONTAL_LINES",
            first_row_as_headings=bool(head), headings_style=FontFace(emphasis="BOLD", fill_color=_CARD),
        ) as table:  # fmt: skip
            for cells in [head, *rows] if head else rows:
                row = table.row()
                for i, cell in enumerate(cells):
                    row.cell(self._fit(cell), style=names if i == 0 and cells is not head else None)
        self.ln(1.5)

    def _pictures(self, block: Pictures) -> None:
        width = (self.epw - _GAP * (len(block.files) - 1)) / len(block.files)
        left, top, lowest = self.l_margin, self.get_y(), 0.0
        for i, (file, caption) in enumerate(zip(block.files, block.captions, strict=True)):
            x = left + i * (width + _GAP)
            drawn: Any = self.image(io.BytesIO(file), x, top, w=width, h=block.height, keep_aspect_ratio=True,
                                    alt_text=self._fit(caption))  # fmt: skip
            lowest = max(lowest, float(drawn.rendered_height))
        self.set_y(top + lowest + 1)
        self._captions(block.captions, width)

    def _captions(self, captions: Sequence[str], width: float) -> None:
        top, lowest = self.get_y(), 0.0
        self._font("", 7.5, _QUIET)
        for i, caption in enumerate(captions):
            self.set_xy(self.l_margin + i * (width + _GAP), top)
            self.multi_cell(width, _LEADING * 7.5, self._fit(caption), align="L", new_x=XPos.RIGHT, new_y=YPos.NEXT)
            lowest = max(lowest, self.get_y())
        self.set_xy(self.l_margin, lowest + 1.5)

    def _maps(self, block: Maps) -> None:
        width = (self.epw - 2 * _GAP) / 3
        top, lowest = self.get_y(), 0.0
        for i, part in enumerate(block.maps):
            lowest = max(lowest, self._map(part, self.l_margin + i * (width + _GAP), top, width))
        self.set_xy(self.l_margin, lowest)
        self._captions([part.about for part in block.maps], width)

    def _map(self, part: CellMap, x: float, y: float, width: float) -> float:
        """Draws one map, letters over its columns and numbers before its rows; returns its lower end."""
        rows, columns = part.pale.shape
        names = 4.0  # millimetres of the names of rows
        side = float((width - names) / columns)
        self._font("B", 8.5)
        self.set_xy(x, y)
        self.multi_cell(width, 4, part.title, align="L", new_x=XPos.RIGHT, new_y=YPos.NEXT)
        y = y + 8.6
        self._font("", 6.5, _QUIET)
        for j in range(columns):
            self.set_xy(x + names + j * side, y)
            self.cell(side, 3, chr(ord("A") + j), align="C")
        y += 3.2
        self.set_draw_color(255, 255, 255)
        for i, j in np.ndindex(rows, columns):
            if j == 0:
                self._font("", 6.5, _QUIET)
                self.set_xy(x, y + i * side)
                self.cell(names - 0.5, side, str(i + 1), align="R")
            self._font("I" if part.pale[i, j] else "", 6.5, (255, 255, 255) if part.white[i, j] else _INK)
            self.set_fill_color(*(int(level) for level in part.colours[i, j]))
            self.set_xy(x + names + j * side, y + i * side)
            self.cell(side, side, part.texts[i][j], border=1, align="C", fill=True)
        return float(y + rows * side + 1)
