"""A map laid over the photograph that the face was cut from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

try:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.collections import PolyCollection
except ImportError:
    raise ImportError("drawing needs matplotlib: pip install xcos[plot]") from None

from .shown import Placed
from .surroundings import around

_OPAQUE = 0.7  # of the cell furthest from nothing
_AMBER = (1.0, 0.69, 0.0)  # attention, which has no colours of its own, over the photograph


def overlay(ax: Axes, photo: Placed, name: str, scale: ScalarMappable) -> None:
    """Draws the surroundings of the face, 0.7 sides of its crop around it, and the cells of map `name` over it.

    A cell is the more opaque the further its number is from nothing. `scale` has the limits, and the colours of maps
    that go to both sides.
    """
    grid, values = photo.grid, photo.values(name)
    pixels, extent = around(photo)
    ax.imshow(pixels, extent=extent, interpolation="antialiased")
    low, high = scale.get_clim()
    share = (values - low) / (high - low)
    colours = scale.to_rgba(values)
    if low == 0:
        colours[..., :3] = _AMBER
        colours[..., 3] = _OPAQUE * np.clip(share, 0, 1)
    else:
        colours[..., 3] = _OPAQUE * np.clip(np.abs(2 * share - 1), 0, 1)
    cells = PolyCollection(list(grid.reshape(-1, 4, 2)), facecolors=colours.reshape(-1, 4), edgecolors=(1, 1, 1, 0.4),
                           linewidths=0.5)  # fmt: skip
    ax.add_collection(cells)
    ax.set(xlim=extent[:2], ylim=extent[2:], xticks=[], yticks=[])
    ax.grid(False)
    for spine in ax.spines.values():
        spine.set_visible(False)
    _names(ax, grid)


def _names(ax: Axes, grid: NDArray[np.float64]) -> None:
    """Letters over the columns and numbers before the rows, as on the maps, wherever the face is turned to."""
    middles = grid.mean(axis=2)
    box = {"boxstyle": "round,pad=0.1", "facecolor": "black", "alpha": 0.35, "linewidth": 0}
    for start, step, names in (
        (middles[0], middles[0, 0] - middles[1 % len(middles), 0], "ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        (middles[:, 0], middles[0, 0] - middles[0, 1 % middles.shape[1]], [*map(str, range(1, len(grid) + 1))]),
    ):
        for (x, y), label in zip(start + 0.8 * step, names, strict=False):
            ax.text(x, y, label, ha="center", va="center", fontsize=6, color="white", clip_on=True,
                    bbox=box)  # fmt: skip
