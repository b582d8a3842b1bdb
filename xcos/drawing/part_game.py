"""Curves of the part game, by matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

try:
    from matplotlib.figure import Figure
except ImportError:
    raise ImportError("drawing needs matplotlib: pip install xcos[plot]") from None

from .figure import encode, figure_of, new_figure, ours
from .scales import COLOURS, QUIET, STYLES
from .shown import Player

_SIZE = (3.2, 3.4)  # inches of one panel
_LINEAR = 1.0  # percent up to which the abscissa is linear, as 0 has to be on it


@ours
def curves(rows: Sequence[Player], axes: Any = None) -> tuple[Figure, Any]:
    """A panel for the parts together and one for each: given axes, or those of a new pyplot figure."""
    names = _panels(rows)
    if axes is None:
        axes = new_figure((_SIZE[0] * len(names) + 2, _SIZE[1]), layout="constrained").subplots(1, len(names))
    axes = np.ravel(np.asarray(axes, object))
    if len(axes) != len(names):
        raise ValueError(f"ax: expected {len(names)} axes, one for each of {', '.join(names)}; got {len(axes)}")
    for ax, name in zip(axes, names, strict=True):
        for i, row in enumerate(rows):
            last = i == len(rows) - 1  # the part itself: what can be reached
            colour = QUIET if last else COLOURS[i % len(COLOURS)]
            style = "-." if last else STYLES[i // len(COLOURS) % len(STYLES)]
            ax.plot(row.outside, 100 * row.curves[name], color=colour, linestyle=style, label=row.method, linewidth=1.5)
        ax.set_xscale("symlog", linthresh=_LINEAR)
        ax.set(xlim=(0, 100), ylim=(0, 103), xlabel="% chosen outside the part", title=name)
        ax.set_xticks([0, 1, 5, 20, 100], ["0", "1", "5", "20", "100"])
        ax.minorticks_off()
        ax.grid(color="#dddddd", linewidth=0.6)
    axes[0].set_ylabel("% of triplets flipped")
    axes[-1].legend(fontsize=7, loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
    return figure_of(axes[0]), axes


@ours
def render(rows: Sequence[Player], kind: str) -> bytes:
    """The figure of :func:`curves` as a file of `kind` (png, pdf, svg); touches no pyplot state."""
    names = _panels(rows)
    figure = Figure(figsize=(_SIZE[0] * len(names) + 2, _SIZE[1]), layout="constrained")
    curves(rows, figure.subplots(1, len(names)))
    return encode(figure, kind, 110)


def _panels(rows: Sequence[Player]) -> list[str]:
    """The parts together first."""
    names = list(rows[0].curves)
    return [names[-1], *names[:-1]]
