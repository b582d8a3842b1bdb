"""Pictures of saliency maps, by matplotlib."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

try:
    from matplotlib.figure import Figure
    from matplotlib.image import imsave
except ImportError:
    raise ImportError("drawing needs matplotlib: pip install xcos[plot]") from None

from .figure import encode, figure_of, new_figure, ours
from .scales import colour_map
from .shown import Maps

_SIZE = 1.5  # inches of one face
_VEIL = 0.6  # how opaque a map is


@ours
def saliency(pair: Maps, axes: Any = None) -> tuple[Figure, Any]:
    """Draws the first pair of `pair` in two axes (new ones without `axes`). Returns (figure, axes)."""
    if axes is None:
        axes = new_figure((4 * _SIZE, 2.2 * _SIZE), layout="constrained").subplots(1, 2)
    axes = np.asarray(axes, object).ravel()
    if len(axes) != 2:
        raise ValueError(f"ax: expected two axes, got {len(axes)}")
    for axis, side in zip(axes, (0, 1), strict=True):
        _face(axis, pair, 0, side)
    axes[0].set_title(f"{pair.method}, {pair.target} {pair.score[0]:.3f}", fontsize=9, loc="left")
    return figure_of(axes[0]), axes


@ours
def gallery(pairs: Sequence[Maps], titles: Sequence[str] = ()) -> Figure:
    """All pairs with the maps of all methods: a row per face, a column per method, the crops first.

    `pairs` hold the same faces, one SaliencyPair for each method; `titles`: one for each pair of faces. Touches
    no pyplot state. Raises ValueError where the methods differ in their number of pairs.
    """
    counts = {len(pair) for pair in pairs}
    if len(counts) != 1:
        raise ValueError(f"gallery: expected the same pairs for each method, got {sorted(counts)}")
    rows, columns = 2 * counts.pop(), 1 + len(pairs)
    figure = Figure(figsize=(_SIZE * columns, _SIZE * rows + 0.4), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for row in range(rows):
        i, side = divmod(row, 2)
        grid[row][0].imshow(pairs[0].crops[side, i])
        _bare(grid[row][0])
        for axis, pair in zip(grid[row][1:], pairs, strict=True):
            _face(axis, pair, i, side)
            if row == 0:
                axis.set_title(pair.method, fontsize=8)
        if side == 0 and i < len(titles):
            grid[row][0].set_title(titles[i], fontsize=8)
    return figure


def render(pairs: Sequence[Maps], kind: str, titles: Sequence[str] = ()) -> bytes:
    """The picture of :func:`gallery` as a file of `kind` (png, pdf, svg)."""
    return encode(gallery(pairs, titles), kind, 90)


@ours
def faces(pairs: Sequence[Maps]) -> list[list[tuple[str, bytes]]]:
    """What :func:`gallery` shows, for a page: each face as (caption, JPEG file), itself first, then by method."""
    return [
        [("face", _jpeg(pairs[0].crops[side, i])), *((pair.method, _jpeg(_veiled(pair, i, side))) for pair in pairs)]
        for i in range(len(pairs[0]))
        for side in (0, 1)
    ]


def _jpeg(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    imsave(buffer, pixels, format="jpg", pil_kwargs={"quality": 90})
    return buffer.getvalue()


def _face(axis: Any, pair: Maps, i: int, side: int) -> None:
    axis.imshow(_veiled(pair, i, side))
    _bare(axis)


def _veiled(pair: Maps, i: int, side: int) -> NDArray[np.uint8]:
    """One face in grey under its map. Both maps of a pair share a scale: 99 % of their values lie within it."""
    limit = float(np.quantile(np.abs([pair.first[i], pair.second[i]]), 0.99)) or 1.0
    colours = colour_map("contribution")(((pair.first, pair.second)[side][i] / limit + 1) / 2)[..., :3]
    grey = pair.crops[side, i].mean(-1, keepdims=True)
    veiled: NDArray[np.uint8] = np.rint((1 - _VEIL) * grey + _VEIL * 255 * colours).astype(np.uint8)
    return veiled


def _bare(axis: Any) -> None:
    axis.grid(False)
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set_visible(False)
