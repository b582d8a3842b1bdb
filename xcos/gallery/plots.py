"""Hits as bars, by matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..drawing.figure import new_figure, ours
from ..drawing.scales import SAME

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_OTHER = "#999999"


@ours
def bars(
    names: Sequence[str], scores: Sequence[float], threshold: float, ax: Axes | None = None
) -> tuple[Figure, Axes]:
    """Scores -1..1 as horizontal bars, the first at the top, and the threshold as a line."""
    if ax is None:
        ax = new_figure((6.4, 1.2 + 0.3 * len(names)), layout="constrained").add_subplot()
    places = range(len(names))
    ax.barh(places, scores, color=[SAME if score > threshold else _OTHER for score in scores])
    ax.axvline(threshold, color="black", linewidth=1, linestyle="--", label=f"threshold {threshold:.3f}")
    ax.set_yticks(list(places), names)
    ax.invert_yaxis()
    ax.set(xlim=(min(0.0, *scores, threshold) - 0.02 if scores else 0.0, 1.0), xlabel="score")
    ax.legend(loc="lower right", frameon=False)
    figure = ax.get_figure(root=True)
    assert figure is not None
    return figure, ax
