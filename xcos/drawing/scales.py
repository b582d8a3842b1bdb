"""The maps of an explanation: their fixed scales, colours and words, wherever they are shown; colours of the rest.

Scales are fixed, so that two pictures can be compared, and a picture with a view or a report.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.colors import Colormap

SAME, DIFFERENT = "#2166ac", "#b2182b"  # decisions, and pairs of one person and of two: the ends of RdBu
INK, QUIET = "#222222", "#666666"  # texts
# Of curves. Okabe and Ito's colours, told apart by colour-blind readers too; styles change with every round of them.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
STYLES = ("-", "--", ":")
PALE = 0.62  # of cells that know little: how much of their colour is taken away
_OVER = "#ffb000"  # more attention than the scale has room for
_CONTRIBUTION = 0.06  # of a trained head, none reaches three even shares by much


class Scale(NamedTuple):
    """low, high    its limits
    colours         a colour map of matplotlib, by name
    digits          of a cell's number
    question        that the map answers
    about           what its numbers are
    """

    low: float
    high: float
    colours: str
    digits: int
    question: str
    about: str


SCALES = {
    "cosine": Scale(-1.0, 1.0, "RdBu", 2, "How alike is each cell?", "patch cosine"),
    # An even share is 1/49 = 0.02; cells over four times that have a colour of their own.
    "attention": Scale(0.0, 0.08, "Greys", 3, "How much does it count?", "attention, sum 1"),
    "contribution": Scale(-_CONTRIBUTION, _CONTRIBUTION, "RdBu", 3, "What does it add?", "contribution"),
    # Other colours than the contributions', which these are not to be taken for. Natural logarithms: 3,000 times as
    # usual for one person as for two.
    "evidence": Scale(-8.0, 8.0, "PuOr_r", 1, "Is that usual for one person?",
                      "log-likelihood ratio of each cell alone; no part of the score"),
    "deviation": Scale(-5.0, 5.0, "PuOr_r", 1, "How far from the usual cell of one person?",
                       "cosine less the usual one, in standard deviations"),
}  # fmt: skip


def colour_map(name: str) -> Colormap:
    """The colours of a map. Needs matplotlib."""
    from matplotlib import colormaps

    colours = colormaps[SCALES[name].colours]
    return colours.with_extremes(over=_OVER) if SCALES[name].low == 0 else colours


def tints(
    name: str, values: NDArray[np.float32], pale: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """(H, W, 3) RGB of the cells of a map, and (H, W) whether a number on each is to be white. Needs matplotlib."""
    scale = SCALES[name]
    colours = colour_map(name)((values - scale.low) / (scale.high - scale.low))[..., :3]
    if pale is not None:
        colours = colours + PALE * pale[..., None] * (1 - colours)
    return np.rint(255 * colours).astype(np.uint8), colours @ (0.299, 0.587, 0.114) < 0.5


def cell_number(value: float, digits: int) -> str:
    """.55, -.08: the zero before the point is the same in all cells and left out, as is the sign of zero."""
    value = round(value, digits) + 0.0
    return f"{value:.{digits}f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.{digits}f}"
