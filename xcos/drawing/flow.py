"""Pictures of matched cells, by matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

try:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
except ImportError:
    raise ImportError("drawing needs matplotlib: pip install xcos[plot]") from None

from .figure import figure_of, new_figure, ours

_SIZE = 3.0  # inches of one face
_GAP = 0.25  # between the faces, of a face's width


@ours
def matches(
    crops: NDArray[np.uint8],
    strongest: Sequence[tuple[int, int, float]],
    cells: tuple[int, int],
    title: str,
    ax: Axes | None = None,
) -> tuple[Figure, Any]:
    """Draws two faces (2, H, W, 3) side by side in one axis, and lines from cell to cell, the wider the more flows.

    `strongest`: cell of the first face, cell of the second (row x columns + column), share; `cells`: rows, columns.
    """
    if ax is None:
        ax = new_figure(((2 + _GAP) * _SIZE, 1.15 * _SIZE), layout="constrained").subplots()
    height, width = crops.shape[1:3]
    beside = np.full((height, round(_GAP * width), 3), 255, np.uint8)
    ax.imshow(np.concatenate([crops[0], beside, crops[1]], axis=1))
    most = max((share for *_, share in strongest), default=1.0) or 1.0
    offset = width + beside.shape[1]
    for first, second, share in strongest:
        x, y = zip(*(_centre(cell, cells, height, width) for cell in (first, second)), strict=True)
        ax.plot([x[0], x[1] + offset], y, "-o", color="tab:orange", markersize=3, linewidth=0.5 + 2 * share / most)
    ax.set_axis_off()
    ax.set_title(title, fontsize=9, loc="left")
    return figure_of(ax), ax


def _centre(cell: int, cells: tuple[int, int], height: int, width: int) -> tuple[float, float]:
    row, column = divmod(cell, cells[1])
    return (column + 0.5) * width / cells[1] - 0.5, (row + 0.5) * height / cells[0] - 0.5
