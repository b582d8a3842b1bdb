"""Pictures of the measures of truth, by matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

try:
    from matplotlib import colormaps
    from matplotlib.figure import Figure
except ImportError:
    raise ImportError("drawing needs matplotlib: pip install xcos[plot]") from None

from .figure import encode, figure_of, new_figure, ours
from .scales import INK, QUIET
from .shown import Measured

# Dark blue is good in all three: much of its own, little leaked, much known.
_MAPS = (
    ("own_map", "own", "share that stays with the window alone", colormaps["Blues"], (0.0, 1.0)),
    ("leak_map", "leak", "share that stays without the window", colormaps["Blues_r"], (0.0, 1.0)),
    ("alone", "alone", "accuracy of the cell's cosine alone", colormaps["Blues"], (0.5, 1.0)),
)
_UNKNOWN = "#eeeeee"
_SIZE = 3.1  # inches of one map


@ours
def truths(models: Sequence[Measured], axes: Any = None) -> tuple[Figure, Any]:
    """Draws a row of three maps for each model, in `axes` or in a new pyplot figure."""
    if axes is None:
        axes = _axes(new_figure(_size(models), layout="constrained"), models)
    axes = np.asarray(axes, object)
    if axes.size != len(models) * len(_MAPS):
        raise ValueError(f"ax: expected {len(_MAPS)} axes for each of {len(models)} models, got {axes.size}")
    axes = axes.reshape(len(models), len(_MAPS))
    for row, model in zip(axes, models, strict=True):
        for place, (key, title, subtitle, colours, limits) in zip(row, _MAPS, strict=True):
            _map(place, getattr(model, key), colours, limits)
            place.set_title(f"{title}\n", fontsize=11, weight="bold", color=INK)
            place.text(0.5, 1.03, subtitle, transform=place.transAxes, ha="center", fontsize=8, color=QUIET)
        row[0].set_ylabel(model.model, fontsize=9, color=INK)
    return figure_of(axes[0, 0]), axes


@ours
def render(models: Sequence[Measured], kind: str) -> bytes:
    """The picture of :func:`truths` as a file of `kind` (png, pdf, svg); touches no pyplot state."""
    figure = Figure(figsize=_size(models), layout="constrained")
    truths(models, _axes(figure, models))
    return encode(figure, kind, 110)


def _size(models: Sequence[Measured]) -> tuple[float, float]:
    return _SIZE * len(_MAPS), 1.15 * _SIZE * len(models)


def _axes(figure: Figure, models: Sequence[Measured]) -> Any:
    return figure.subplots(len(models), len(_MAPS), squeeze=False)


def _map(ax: Any, measured: Any, colours: Any, limits: tuple[float, float]) -> None:
    """A colour and a number for each cell; grey where nothing was measured. Cells are named as in explanations."""
    if measured is None:
        ax.text(0.5, 0.5, "not measured", transform=ax.transAxes, ha="center", color=QUIET)
        ax.set(xticks=[], yticks=[])
        return
    values = measured.value
    image = ax.imshow(values, cmap=colours, vmin=limits[0], vmax=limits[1])
    ax.set_facecolor(_UNKNOWN)
    for (i, j), value in np.ndenumerate(values):
        if not np.isnan(value):
            bright = np.dot(colours(image.norm(value))[:3], (0.299, 0.587, 0.114))
            ax.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=7, color="white" if bright < 0.5 else INK)
    rows, columns = values.shape
    ax.set_xticks(range(columns), [chr(ord("A") + j) for j in range(columns)])
    ax.set_yticks(range(rows), [str(i + 1) for i in range(rows)])
    ax.tick_params(length=0, labelsize=7, labelcolor=QUIET)
    for spine in ax.spines.values():
        spine.set_visible(False)
