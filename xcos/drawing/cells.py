"""A face and a map on the grid of cells, as all pictures of explanations show them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

try:
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Colormap, Normalize
except ImportError:
    raise ImportError("drawing needs matplotlib: pip install xcos[plot]") from None

from .scales import PALE, QUIET, SCALES, colour_map

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def scale_of(name: str, cmap: str | Colormap | None = None) -> ScalarMappable:
    """Limits and colours of a map; `cmap` takes the place of those of cosines and contributions.

    Raises ValueError for a name that matplotlib does not have.
    """
    if isinstance(cmap, str):
        if cmap not in colormaps:
            raise ValueError(f"cmap: expected a matplotlib Colormap or the name of one, got {cmap!r}")
        cmap = colormaps[cmap]
    scale = SCALES[name]
    if cmap is None or scale.colours != SCALES["cosine"].colours:
        cmap = colour_map(name)
    return ScalarMappable(Normalize(scale.low, scale.high), cmap)


def show_face(ax: Axes, crop: NDArray[np.uint8], cells: tuple[int, ...], *, names: bool = True) -> None:
    """A crop under the grid."""
    ax.imshow(crop, extent=(0, cells[1], cells[0], 0), interpolation="lanczos")
    _grid(ax, cells, names, color="white", alpha=0.35)


def show_map(ax: Axes, values: NDArray[np.float32], scale: ScalarMappable, pale: NDArray[np.bool_] | None, *,
             shade: NDArray[np.float32] | None = None, names: bool = True) -> NDArray[np.float64]:  # fmt: skip
    """A colour for each cell; `shade` (0..1, pixels) darkens the colours like a shadow, cells that are `pale` lose most
    of theirs. Returns how bright each cell is, 0..1, for what is written on it."""
    extent = (0, values.shape[1], values.shape[0], 0)
    low, high = scale.get_clim()
    ax.imshow(values, cmap=scale.cmap, vmin=low, vmax=high, extent=extent, interpolation="nearest")
    bright: NDArray[np.float64] = scale.to_rgba(values)[..., :3] @ (0.299, 0.587, 0.114)
    if shade is not None:
        ax.imshow(np.zeros_like(shade), cmap="gray", alpha=shade, extent=extent, interpolation="bicubic")
        bright = bright * (1 - shade.mean())
    if pale is not None:
        ax.imshow(np.ones_like(values), cmap="gray", vmin=0, vmax=1, alpha=PALE * pale, extent=extent,
                  interpolation="nearest")
        bright = np.where(pale, PALE + (1 - PALE) * bright, bright)
    _grid(ax, values.shape, names, color="white", alpha=0.9)
    return bright


def _grid(ax: Axes, cells: tuple[int, ...], names: bool, **line: Any) -> None:
    """Grid lines, and names for the cells: letters across, numbers down, so that one can speak of C4."""
    rows, columns = cells
    ax.grid(False)  # of axes that come from elsewhere
    ax.hlines(range(1, rows), 0, columns, linewidth=0.6, **line)
    ax.vlines(range(1, columns), 0, rows, linewidth=0.6, **line)
    ax.set_xlim(0, columns)
    ax.set_ylim(rows, 0)
    across, down = (range(columns), range(rows)) if names else ((), ())
    ax.set_xticks([i + 0.5 for i in across], [chr(ord("A") + i) for i in across])
    ax.set_yticks([i + 0.5 for i in down], [str(i + 1) for i in down])
    ax.tick_params(length=0, labelsize=7, labelcolor=QUIET, pad=1)
    for spine in ax.spines.values():
        spine.set_visible(False)
