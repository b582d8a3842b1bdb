"""Error rates of groups with their intervals, by matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

try:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter
except ImportError:
    raise ImportError("drawing needs matplotlib: pip install xcos[plot]") from None

from .figure import encode, figure_of, new_figure, ours
from .scales import COLOURS
from .shown import RateShown

_MARKS = ("o", "s", "D", "^")  # beside the colours
_TITLES = {"FMR": "two people taken for one (FMR)", "FNMR": "one person taken for two (FNMR)"}
_WIDTH, _LINE = 5.6, 0.27  # inches of one kind of error, and of one group


@ours
def rates(chosen: Sequence[RateShown], axes: Any = None) -> tuple[Figure, Any]:
    """A line for each group, an axes for each kind of error: given ones, or those of a new pyplot figure."""
    kinds = list(dict.fromkeys(one.kind for one in chosen))
    if axes is None:
        axes = new_figure(_size(chosen, kinds), layout="constrained").subplots(1, len(kinds))
    axes = np.ravel(np.asarray(axes, object))
    if len(axes) != len(kinds):
        raise ValueError(f"ax: expected {len(kinds)} axes, one for each of {' and '.join(kinds)}, got {len(axes)}")
    for ax, kind in zip(axes, kinds, strict=True):
        _kind(ax, [one for one in chosen if one.kind == kind])
        ax.set_title(_TITLES.get(kind, kind), fontsize=10)
    return figure_of(axes[0]), axes


@ours
def render(chosen: Sequence[RateShown], kind: str) -> bytes:
    """The figure of ``rates`` as a file of `kind` (png, pdf, svg); touches no pyplot state."""
    kinds = list(dict.fromkeys(one.kind for one in chosen))
    figure = Figure(figsize=_size(chosen, kinds), layout="constrained")
    rates(chosen, figure.subplots(1, len(kinds)))
    return encode(figure, kind, 110)


def _size(chosen: Sequence[RateShown], kinds: Sequence[str]) -> tuple[float, float]:
    lines = max(len({(one.column, one.group) for one in chosen if one.kind == kind}) for kind in kinds)
    return _WIDTH * len(kinds), 1.1 + _LINE * (1 + lines + len({one.column for one in chosen}))


def _kind(ax: Axes, chosen: Sequence[RateShown]) -> None:
    metrics = list(dict.fromkeys(one.metric for one in chosen))
    places: dict[tuple[str, str], float] = {}
    heads: dict[str, float] = {}
    for one in chosen:
        if one.column and one.column not in heads:
            heads[one.column] = len(places) + len(heads)
        places.setdefault((one.column, one.group), len(places) + len(heads))
    seen = [value for one in chosen for value in (one.rate, one.high) if value > 0]
    floor = 10 ** np.floor(np.log10(min(one.low if one.rate > 0 else one.high / 5 for one in chosen)))
    for i, metric in enumerate(metrics):
        own = [one for one in chosen if one.metric == metric]
        y = [places[one.column, one.group] + 0.26 * (i - (len(metrics) - 1) / 2) for one in own]
        colour = COLOURS[i % len(_MARKS)]
        ax.hlines(y, [one.low or floor for one in own], [one.high for one in own], color=colour, linewidth=1.4)
        some = [k for k, one in enumerate(own) if one.rate > 0]
        mark = _MARKS[i % len(_MARKS)]
        ax.plot([own[k].rate for k in some], [y[k] for k in some], mark, color=colour, markersize=4.5, label=metric)
        none = [k for k, one in enumerate(own) if not one.rate]
        if none:  # an empty line that is not clipped would stand in the figure's corner
            ax.plot([floor] * len(none), [y[k] for k in none], "<", color=colour, markersize=5, clip_on=False, zorder=3)
    top = min(1.0, 1.5 * max(seen))
    ax.set(xscale="log", xlim=(floor, top), ylim=(max(places.values()) + 1.6, -0.7))
    ax.set_xlabel("rate and interval" + ", ◂ no error" * any(not one.rate for one in chosen))
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if top / floor < 200 else (1,)))
    ax.xaxis.set_major_formatter(lambda rate, _: f"{100 * rate:g} %")  # matplotlib's own are formulas
    ax.xaxis.set_minor_formatter(NullFormatter())
    labels = {**{place: group for (_, group), place in places.items()}, **{y: head for head, y in heads.items()}}
    ax.set_yticks(list(labels), list(labels.values()))
    for tick, place in zip(ax.get_yticklabels(), labels, strict=True):
        tick.set_fontweight("bold" if place in heads.values() else "normal")
    ax.tick_params(axis="y", length=0, labelsize=8.5)
    ax.grid(axis="x", color="#dddddd", linewidth=0.6)
    ax.set_axisbelow(True)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    ax.legend(fontsize=8, loc="lower right", ncols=len(metrics), frameon=False)
