"""Pictures of results, by matplotlib: on fixed scales, so that two of them can be compared.

The figure of an explanation is the arithmetic of its score: patch cosines x attention = contributions, whose
sum is the score; where the face as a whole counts too, it stands beside them as a bar of its own. Colours: a
diverging blue-red map and a grey one, both safe for colour-blind readers; every cell also carries its number.
"""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill, shorten
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

try:
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import withStroke
except ImportError:
    raise ImportError("drawing needs matplotlib: pip install xcos[plot]") from None

from .cells import scale_of, show_face, show_map
from .figure import colour_bar, encode, encode_all, figure_of, new_figure, ours, part_in_place_of, shrink
from .photograph import overlay
from .scales import DIFFERENT, INK, QUIET, SAME, SCALES, cell_number
from .sheet import Sheet, pale_cells
from .shown import Decision, Placed, Reason, is_reason

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

    from ..faces.detection import Face

_SIZE_OF_SCALE, _DPI = (5, 1.6), 110  # inches


@ours
def explanation(
    e: Reason,
    ax: Axes | None = None,
    *,
    figsize: tuple[float, float] | None = None,
    cmap: str | Colormap | None = None,
    panels: Sequence[str] | None = None,
    photos: Sequence[Placed] = (),
) -> tuple[Figure, dict[str, Axes]]:
    """Draws an Explanation in a new pyplot figure, or in the place of `ax`; with `photos` (two) these in place of the
    crops. Returns figure and axes by name."""
    sheet = Sheet.of(e, panels)
    scale_of("cosine", cmap)  # is there such a map, before a figure is made?
    if {"evidence", "deviation"} & set(sheet.panels):
        _check_evidence(e)
    if ax is None:
        figure = new_figure(sheet.size if figsize is None else figsize)
        axes = _explanation(e, figure, sheet, cmap, photos)
        shrink(figure, sheet.size)
        return figure, axes
    if figsize is not None:
        raise ValueError("figsize: goes without ax, whose figure has a size already")
    part = part_in_place_of(ax)
    axes = _explanation(e, part, sheet, cmap, photos)
    shrink(part, sheet.size)
    return figure_of(ax), axes


@ours
def evidence(e: Reason, ax: Axes | None = None) -> tuple[Figure, Axes]:
    """Draws the evidence of a calibrated model cell by cell, in `ax` or a new pyplot figure; ValueError without it."""
    _check_evidence(e)
    if ax is None:
        ax = new_figure((4.2, 5.1)).add_axes((0.07, 0.155, 0.88, 0.725))
    assert e.evidence is not None
    _map(ax, e.evidence, "evidence", pale_cells(e))
    return figure_of(ax), ax


@ours
def on_photo(photo: Placed, name: str = "cosine", ax: Axes | None = None) -> tuple[Figure, Axes]:
    """Draws a map over the photograph, in `ax` or a new pyplot figure."""
    photo.values(name), photo.pixels()  # whether they can be had, before a figure is made
    if ax is None:
        ax = new_figure((5, 5), layout="constrained").add_subplot()
    _photograph(ax, photo, name)
    return figure_of(ax), ax


@ours
def verification(
    v: Decision, ax: Axes | None = None, *, figsize: tuple[float, float] | None = None
) -> tuple[Figure, Axes]:
    """Draws score and threshold of a Verification on the scale -1..1, in `ax` or a new pyplot figure."""
    alone = ax is None
    if ax is None:
        ax = new_figure(figsize or _SIZE_OF_SCALE, layout="constrained").add_subplot()
    elif figsize is not None:
        raise ValueError("figsize: goes without ax, whose figure has a size already")
    _scale(ax, v)
    sentence = v.sentence()
    width = (figure_of(ax) if alone else ax).bbox.width / figure_of(ax).dpi  # inches
    # Letters are 0.6 as wide as high, on the average.
    ax.set_title(sentence, fontsize=min(10.0, 0.95 * 72 * width / (0.6 * len(sentence))), color=_colour(v))
    return figure_of(ax), ax


@ours
def detections(image: NDArray[np.uint8], faces: Sequence[Face], ax: Axes | None = None) -> tuple[Figure, Axes]:
    """Draws boxes, points and scores of `faces` over `image` (H, W, 3), in `ax` or a new pyplot figure."""
    if ax is None:
        ax = _picture_axes(new_figure(_picture_size(image)))
    _detections(ax, image, faces)
    return figure_of(ax), ax


@ours
def render(result: Decision, kind: str, dpi: float | None = None, photos: Sequence[Placed] = ()) -> bytes:
    """The plot of a result as a file of `kind` (png, pdf, svg); touches no pyplot state, safe in threads."""
    dots = _dots(dpi)
    if is_reason(result):
        return encode(_sheet(result, photos), kind, dots)
    figure = Figure(figsize=_SIZE_OF_SCALE, layout="constrained")
    verification(result, figure.add_subplot())
    return encode(figure, kind, dots)


@ours
def rasters(e: Reason, kinds: Sequence[str]) -> list[bytes]:
    """The plot of an explanation drawn once, as one file of each kind (png, webp, jpeg)."""
    return encode_all(_sheet(e, ()), kinds, _DPI)


def _sheet(e: Reason, photos: Sequence[Placed]) -> Figure:
    sheet = Sheet.of(e)
    figure = Figure(figsize=sheet.size)
    _explanation(e, figure, sheet, None, photos)
    return figure


@ours
def render_detections(image: NDArray[np.uint8], faces: Sequence[Face], kind: str, dpi: float | None = None) -> bytes:
    """The picture of :func:`detections` as a file of `kind` (png, pdf, svg)."""
    figure = Figure(figsize=_picture_size(image))
    _detections(_picture_axes(figure), image, faces)
    return encode(figure, kind, _dots(dpi))


def _dots(dpi: float | None) -> float:
    """Dots an inch; ValueError unless a number that gives a picture of some size: its sides have up to 12 inches."""
    if dpi is not None and not 1 <= dpi <= 2400:
        raise ValueError(f"dpi: expected a number from 1 to 2400, got {dpi}")
    return _DPI if dpi is None else dpi


def _explanation(
    e: Reason, figure: Figure | SubFigure, sheet: Sheet, cmap: str | Colormap | None, photos: Sequence[Placed]
) -> dict[str, Axes]:
    mixed, pale = e.explained < 1, pale_cells(e)
    # Axes without a place in a grid stay where they are, whatever layout the figure around them has.
    axes = {name: figure.add_axes(sheet.place(i)) for i, name in enumerate(sheet.panels)}
    figure.suptitle(sheet.title, x=0.5, y=sheet.up(-0.19), fontsize=sheet.title_points, weight="bold", color=_colour(e))
    for i, name in enumerate(("first", "second")):
        if name in axes and photos:
            _photograph(axes[name], photos[i], "cosine", cmap)
        elif name in axes:
            show_face(axes[name], e.crops[i], e.cosine_map.shape)
            axes[name].set_title(e.names[i], fontsize=10, color=INK)
    if "score" in axes:
        _summary(axes["score"], e)
    if "cosine" in axes:
        over = f"{SCALES['cosine'].about}; the faces, laid over each other"
        _map(axes["cosine"], e.cosine_map, "cosine", pale, about=over, cmap=cmap, shade=_shade(e.crops))
    if "attention" in axes:
        _map(axes["attention"], e.attention, "attention", pale)
    if "contribution" in axes:
        total = f"{SCALES['contribution'].about}, sum {e.contribution.sum():.3f}"
        _map(axes["contribution"], e.contribution, "contribution", pale,
             about=total if mixed else f"{total} = the score", cmap=cmap)
    for name, values in (("evidence", e.evidence), ("deviation", e.deviation)):
        if name in axes and values is not None:
            _map(axes[name], values, name, pale)
    if sheet.whole:
        box = axes[sheet.panels[-1]].get_position()
        left, width = sheet.bar
        axes["whole"] = figure.add_axes((left, box.y0, width, box.height))
        _whole(axes["whole"], e)
    for left_name, right_name, symbol in sheet.symbols():
        boxes = [axes[name].get_position() for name in (left_name, right_name)]
        x, y = (boxes[0].x1 + boxes[1].x0) / 2, (boxes[0].y0 + boxes[0].y1) / 2
        figure.text(x, y, symbol, ha="center", va="center", fontsize=22, color=INK)
        if mixed and symbol == "=":
            figure.text(x, y + sheet.up(0.2), f"×\n{e.explained:.2g}", ha="center", va="bottom", fontsize=8.5,
                        color=INK)
    if sheet.note:
        figure.text(sheet.left, sheet.up(0.09), sheet.note, fontsize=8.5, color=QUIET)
    return axes


def _check_evidence(e: Reason) -> None:
    if e.evidence is None:
        raise ValueError(f"model {e.model!r} is not calibrated, so there is no evidence: see xcos.calibrate")


def _whole(ax: Axes, e: Reason) -> None:
    """What the face as a whole adds, as a bar beside the one of all cells together; their sum is the score."""
    parts = (e.local, e.whole)
    ax.bar((0, 1), parts, width=0.7, color=["#9aa5b1", SAME if e.whole >= 0 else DIFFERENT])
    for x, value in enumerate(parts):
        ax.text(x, max(value, 0) + 0.02, cell_number(value, 3), ha="center", va="bottom", fontsize=9, color=INK)
    ax.axhline(0, color=INK, linewidth=0.8)
    ax.set(xlim=(-0.5, 1.5), ylim=(min(-0.1, min(parts) - 0.05), 1), xticks=(0, 1), yticks=[])
    ax.set_xticklabels([f"{e.attention.size}\ncells", "face as\na whole"], fontsize=8, color=QUIET)
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.text(0.5, 1.085, "And the whole?", transform=ax.transAxes, ha="center", fontsize=11.5, weight="bold",
            color=INK)
    ax.text(0.5, 1.025, f"{1 - e.explained:.2g} × cosine {e.cosine:.3f}", transform=ax.transAxes, ha="center",
            fontsize=8.5, color=QUIET)
    sign = "+" if e.whole >= 0 else "−"
    ax.text(0.5, 0.9, f"{e.local:.3f} {sign} {abs(e.whole):.3f}\n= {e.score:.3f}, the score",
            transform=ax.transAxes, ha="center", va="center", fontsize=8.5, color=INK)


def _colour(v: Decision) -> str:
    return QUIET if v.undecided or not v.reliable else SAME if v.same else DIFFERENT


def _shade(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The two faces laid on each other as a shadow, 0 where bright to 0.4: the colours stay readable."""
    grey = crops.mean(axis=(0, 3), dtype=np.float32)
    low, high = np.percentile(grey, (2, 98))
    shade: NDArray[np.float32] = 0.4 * np.clip((high - grey) / max(high - low, 1), 0, 1)
    return shade


def _photograph(ax: Axes, photo: Placed, name: str, cmap: str | Colormap | None = None) -> None:
    overlay(ax, photo, name, scale_of(name, cmap))
    ax.set_title(photo.name, fontsize=10, color=INK)


def _map(ax: Axes, values: NDArray[np.float32], name: str, pale: NDArray[np.bool_] | None, *, about: str = "",
         cmap: str | Colormap | None = None, shade: NDArray[np.float32] | None = None) -> None:
    """One map: a colour and a number for each cell, as `SCALES` has it for its name unless told otherwise."""
    scale = scale_of(name, cmap)
    bright = show_map(ax, values, scale, pale, shade=shade)
    for cell, value in np.ndenumerate(values):
        slanted = pale is not None and pale[cell]
        ax.text(cell[1] + 0.5, cell[0] + 0.5, cell_number(float(value), SCALES[name].digits), ha="center", va="center",
                fontsize=7.5, style="italic" if slanted else "normal", color="white" if bright[cell] < 0.5 else "black")
    ax.text(0.5, 1.085, SCALES[name].question, transform=ax.transAxes, ha="center", fontsize=11.5, weight="bold",
            color=INK)
    ax.text(0.5, 1.025, about or SCALES[name].about, transform=ax.transAxes, ha="center", fontsize=8.5, color=QUIET)
    colour_bar(ax.inset_axes((0, -0.115, 1, 0.03)), scale)


def _summary(ax: Axes, e: Reason) -> None:
    ax.axis("off")
    _scale(ax.inset_axes((0.0, 0.72, 1.0, 0.27)), e)
    total = "The score is the sum over the cells of the two maps below, multiplied: cosine × attention."
    if e.explained < 1:
        total = (
            f"The cells count {e.explained:.0%}: the sum of the two maps below, multiplied. The plain cosine of the "
            f"faces as wholes counts {1 - e.explained:.0%}, and says nothing of places."
        )
    reference = "" if e.explained < 1 else f" For reference, the plain cosine of the two embeddings: {e.cosine:.3f}."
    worth = "The score is no probability." if e.llr is None else f"What it is worth: {e.worth()}."
    threshold = f"The threshold: {e.threshold_from}.".replace("..", ".")
    notes = [*e.notes(), total, worth, f"{threshold} Model {e.model}.{reference}"]
    text = "\n\n".join(fill(shorten(note, 240, placeholder=" …"), 50) for note in notes)
    ax.text(0, 0.5, text, transform=ax.transAxes, va="top", fontsize=8.5, color=INK, linespacing=1.35)


def _scale(ax: Axes, v: Decision) -> None:
    """The line -1..1 with threshold and score: right of the threshold means the same person."""
    colour = _colour(v)
    ax.grid(False)
    ax.set_facecolor("white")
    ax.barh(0, v.threshold + 1, left=-1, height=1, color=DIFFERENT, alpha=0.15)
    ax.barh(0, 1 - v.threshold, left=v.threshold, height=1, color=SAME, alpha=0.15)
    ax.vlines(v.threshold, -0.5, 0.5, color=INK, linewidth=1.5)
    ax.plot([v.score], [0], "o", color=colour, markersize=9, clip_on=False)
    ax.text(v.score, 0.65, f"{v.score:.3f}", ha="center", va="bottom", color=colour, weight="bold", fontsize=10)
    ax.set(xlim=(-1, 1), ylim=(-0.5, 1.6), yticks=[])
    ax.set_xticks([v.threshold], [f"threshold {v.threshold:.3f}"], fontsize=8, color=QUIET)
    ax.tick_params(length=0, pad=3)
    ax.set_xticks([-1, 1], ["-1, different people", "1, same person"], minor=True, fontsize=8, color=QUIET)
    ax.tick_params(which="minor", length=0, pad=15)  # a line lower, wherever the threshold is
    left, right = ax.get_xticklabels(minor=True)
    left.set_horizontalalignment("left")
    right.set_horizontalalignment("right")
    for spine in ax.spines.values():
        spine.set_visible(False)


def _picture_size(image: NDArray[np.uint8]) -> tuple[float, float]:
    height, width = image.shape[:2]
    scale = 8 / max(height, width)
    return max(1.0, width * scale), max(1.0, height * scale)


def _picture_axes(figure: Figure) -> Axes:
    return figure.add_axes((0, 0, 1, 1))


def _detections(ax: Axes, image: NDArray[np.uint8], faces: Sequence[Face]) -> None:
    ax.imshow(image)
    ax.axis("off")
    ax.autoscale(False)  # a face at the edge of the picture reaches over it, and would make it smaller
    outline = [withStroke(linewidth=3, foreground="black")]
    for i, face in enumerate(faces):
        left, top, right, bottom = face.box
        ax.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, linewidth=1.6,
                               edgecolor="#ffb000", path_effects=outline))
        ax.plot(*np.asarray(face.points).T, "o", markersize=3.5, color="#ffb000", markeredgecolor="black")
        above = max(top - 4, 0.03 * image.shape[0])  # inside the picture, also for a face at its upper edge
        ax.text(max(left, 0), above, f"{i}: {face.score:.2f}", color="#ffb000", fontsize=10, weight="bold", va="bottom",
                path_effects=outline, clip_on=True)
