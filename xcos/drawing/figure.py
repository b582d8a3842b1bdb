"""What all pictures share: their own settings of matplotlib, fonts for any name, encoding.

Settings of matplotlib belong to the whole process, and other people change them: for dark slides, for papers set by
LaTeX, for images whose first row is at the bottom. Our pictures mean something by where a row is and by each colour,
so they are drawn under settings of their own, and those of others are put back.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, wraps
from inspect import signature
from threading import RLock
from typing import Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
from matplotlib import font_manager, rc_context, rcParams, style
from matplotlib.axes import Axes
from matplotlib.axis import XAxis, YAxis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from .scales import QUIET

P = ParamSpec("P")
T = TypeVar("T")

_FONT = "DejaVu Sans"  # comes with matplotlib
# A $ in a file name is no formula. The family by its own name, since lists of families are looked up when drawn.
# Texts stay texts in files, as publishers ask: TrueType fonts in a PDF, letters instead of outlines in an SVG.
_TEXTS: Any = {"pdf.fonttype": 42, "svg.fonttype": "none"}
_OURS: Any = {"font.family": [_FONT], "text.parse_math": False, "text.usetex": False, **_TEXTS}
_in_place_of: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()  # axes and what was drawn in their place
_lock = RLock()  # two threads that put settings back would put back each other's


@contextmanager
def settings() -> Iterator[None]:
    """matplotlib's defaults and `_OURS` within the block; then everything is as it was. One thread at a time."""
    with _lock:
        interactive = rcParams["interactive"]
        try:
            with rc_context():
                style.use("default")
                rcParams.update(_OURS)
                try:
                    yield
                finally:
                    interactive = rcParams["interactive"]
        finally:
            # A notebook turns this on when the first figure makes it choose its backend, perhaps here: put back to
            # off, no later figure would be shown.
            rcParams["interactive"] = interactive


def ours(draw: Callable[P, T]) -> Callable[P, T]:
    """A function that draws, under our settings; the figure that it returns (first) gets fonts for all its texts.

    Its parameter `ax`, if it has one, is checked to be one Axes, `axes` to hold nothing else: TypeError."""
    parameters = signature(draw)

    @wraps(draw)
    def under_our_settings(*args: P.args, **keywords: P.kwargs) -> T:
        places = parameters.bind(*args, **keywords).arguments
        for given in (places.get("ax"), *np.ravel(np.asarray(places.get("axes"), object))):
            if given is not None and not isinstance(given, Axes):
                raise TypeError(f"ax: expected Axes of matplotlib, got {type(given).__name__}")
        with settings():
            drawn = draw(*args, **keywords)
            figure = drawn[0] if isinstance(drawn, tuple) else drawn
            if isinstance(figure, Figure):
                _make_ticks(drawn[1] if isinstance(drawn, tuple) else figure.axes)
                fit_texts(figure)
            return drawn

    return under_our_settings


class _Figure(Figure):
    """A figure in whose files texts stay texts, whoever saves it."""

    def savefig(self, *args: Any, **keywords: Any) -> None:
        with _lock, rc_context(_TEXTS):
            super().savefig(*args, **keywords)


def new_figure(size: tuple[float, float], **keywords: Any) -> Figure:
    """A figure of pyplot, white also where the settings in force when it is saved say otherwise."""
    from matplotlib import pyplot

    figure = pyplot.figure(figsize=size, FigureClass=_Figure, **keywords)
    figure.add_artist(Rectangle((0, 0), 1, 1, facecolor="white", zorder=-1000))
    return figure


@ours
def encode(figure: Figure, kind: str, dpi: float) -> bytes:
    """The figure as a file of `kind` (png, pdf, svg, webp, jpeg); touches no pyplot state."""
    fit_texts(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=dpi)
    return buffer.getvalue()


@ours
def encode_all(figure: Figure, kinds: Sequence[str], dpi: float) -> list[bytes]:
    """The figure as one file of each kind of pixels (png, webp, jpeg), drawn once."""
    from PIL import Image

    fit_texts(figure)
    figure.set_dpi(dpi)
    canvas: Any = FigureCanvasAgg(figure)  # untyped
    canvas.draw()
    pixels = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    files = []
    for kind in kinds:
        buffer = io.BytesIO()
        pixels.save(buffer, kind)
        files.append(buffer.getvalue())
    return files


def figure_of(ax: Axes) -> Figure:
    """The whole figure of `ax`, also where that lies in a part of one. Raises ValueError where it was removed."""
    part: Any = ax.figure  # get_figure(root=True) came with matplotlib 3.10
    if part is None:
        raise ValueError("ax: was removed from its figure; expected an Axes of a figure")
    whole: Figure = part.figure
    return whole


def part_in_place_of(ax: Axes) -> SubFigure:
    """A part of the figure where `ax` is, which is hidden; what was drawn there in this way before is gone.

    Raises ValueError where `ax` has no place in a grid.
    """
    place = ax.get_subplotspec()
    if place is None:
        raise ValueError("ax: expected an Axes made by subplots or add_subplot")
    figure = figure_of(ax)
    if (drawn := _in_place_of.get(ax)) in figure.subfigs:  # a second time: the new one instead
        drawn.clear()
        figure.subfigs.remove(drawn)
    ax.set_visible(False)
    _in_place_of[ax] = part = figure.add_subfigure(place, facecolor="white")
    part.bbox_relative.set(ax.bbox.transformed(figure.transFigure.inverted()))  # without the margins of the grid
    return part


def shrink(part: Figure | SubFigure, size: tuple[float, float]) -> None:
    """Texts, lines and marks of a drawing in less room than its `size`, inches, as if seen from afar."""
    scale = min(1.0, *(pixels / part.dpi / inches for pixels, inches in zip(part.bbox.size, size, strict=True)))
    if scale == 1:
        return
    artist: Any  # findobj does not tell mypy what it found
    for artist in part.findobj(Text):
        artist.set_fontsize(artist.get_fontsize() * scale)
    for artist in part.findobj(Line2D):
        artist.set_linewidth(artist.get_linewidth() * scale)
        artist.set_markersize(artist.get_markersize() * scale)
    for artist in part.findobj(LineCollection):
        artist.set_linewidth([width * scale for width in artist.get_linewidth()])
    for artist in part.findobj(XAxis) + part.findobj(YAxis):
        for tick in artist.get_major_ticks() + artist.get_minor_ticks():
            tick.set_pad(tick.get_pad() * scale)


def colour_bar(ax: Axes, scale: ScalarMappable) -> None:
    """A colour bar that fills `ax`, with the limits of `scale`, the middle, and what lies between."""
    low, high = scale.get_clim()
    bar = figure_of(ax).colorbar(scale, cax=ax, orientation="horizontal", ticks=np.linspace(low, high, 5),
                                 format=_tick, extend="max" if low == 0 else "neither")  # fmt: skip
    bar.ax.tick_params(labelsize=7, labelcolor=QUIET, length=2)
    bar.outline.set_visible(False)


def _tick(value: float, _: int) -> str:
    return f"{value:.2g}"


def _make_ticks(places: Any) -> None:
    """Makes the ticks of Axes (one, an array or a dictionary of them) and says their size, from which their number
    follows. matplotlib leaves that to the first drawing: by then the settings are those of others."""
    for ax in np.ravel(np.asarray([*places.values()] if isinstance(places, dict) else places, object)):
        for axis in (ax.xaxis, ax.yaxis):
            if labels := axis.get_ticklabels(which="both"):
                axis.set_tick_params(labelsize=labels[0].get_fontsize())


def fit_texts(figure: Figure) -> None:
    """Gives texts whose letters the font lacks another one that is installed, and escapes what none has."""
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        content = text.get_text()
        shown, others = drawable(content)
        if others or shown != content:
            text.set_text(shown)
            text.set_fontfamily([_FONT, *others])


def drawable(text: str) -> tuple[str, list[str]]:
    """A text with letters that no font has escaped, and the names of other fonts than ours that it needs."""
    fonts = {c: _font_with(c) for c in set(text) - _letters() - {"\n"}}
    shown = "".join(c if fonts.get(c, _FONT) else c.encode("unicode_escape").decode() for c in text)
    return shown, sorted({font for font in fonts.values() if font})


@cache
def _letters() -> frozenset[str]:
    """What our font has."""
    return frozenset(map(chr, font_manager.get_font(font_manager.findfont(_FONT)).get_charmap()))


@cache
def _font_with(letter: str) -> str:
    """The name of an installed font that has this letter, "" where none has."""
    for font in font_manager.fontManager.ttflist:
        if font.name.startswith("Last Resort"):  # comes with matplotlib 3.11: a box for every letter that there is
            continue
        try:
            if font_manager.get_font(font.fname).get_char_index(ord(letter)):
                return font.name
        except (OSError, RuntimeError):  # removed by now, or of a kind that cannot be drawn
            continue
    return ""
