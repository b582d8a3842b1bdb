"""Curves of benchmarks and of searches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..base.extras import need

try:
    from matplotlib.figure import Figure
except ImportError:
    raise ImportError("drawing needs matplotlib: pip install xcos[plot]") from None

from .figure import encode, figure_of, new_figure, ours
from .scales import COLOURS, DIFFERENT, INK, QUIET, SAME, STYLES
from .shown import Benchmark

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIZE = (13.5, 4.3)  # inches
_RATES = (0.0001, 0.001, 0.01, 0.05, 0.2, 0.5)  # ticks of the DET curve
BINS = 6  # of the reliability plot


@ours
def benchmarks(chosen: Sequence[Benchmark], axes: Any = None) -> tuple[Figure, Any]:
    """ROC and DET of all, and the score histograms of the first, in three axes or a new pyplot figure."""
    if axes is None:
        axes = new_figure(_SIZE, layout="constrained").subplots(1, 3)
    axes = np.ravel(np.asarray(axes, object))
    if len(axes) != 3:
        raise ValueError(f"ax: expected three axes, got {len(axes)}")
    _roc(axes[0], chosen)
    _det(axes[1], chosen)
    _histogram(axes[2], chosen[0])
    return figure_of(axes[0]), axes


def panels(chosen: Sequence[Benchmark]) -> dict[str, bytes]:
    """The curves one by one, and the histograms of each, as SVG files by title."""
    drawings: dict[str, Any] = {"ROC": lambda ax: _roc(ax, chosen), "DET": lambda ax: _det(ax, chosen)}
    for one in chosen:
        drawings[f"scores: {_title(one, chosen)}"] = partial(_histogram, one=one)
    return {title: _svg(draw) for title, draw in drawings.items()}


@ours
def _svg(draw: Callable[[Axes], None]) -> bytes:
    figure = Figure(figsize=(4.8, 4.3), layout="constrained")
    draw(figure.add_subplot())
    return encode(figure, "svg", 72)


@ours
def render(chosen: Sequence[Benchmark], kind: str) -> bytes:
    """The figure of ``benchmarks`` as a file of `kind` (png, pdf, svg); touches no pyplot state."""
    figure = Figure(figsize=_SIZE, layout="constrained")
    benchmarks(chosen, figure.subplots(1, 3))
    return encode(figure, kind, 110)


@ours
def reliability(
    p: NDArray[np.float64], same: NDArray[np.bool_], weights: NDArray[np.float64], label: str, title: str,
    ax: Axes | None = None,
) -> tuple[Figure, Axes]:
    """Share of pairs of one person among those of a calibrated probability `p`, at even prior odds; all (N,)."""
    if ax is None:
        ax = new_figure((5, 4.6), layout="constrained").add_subplot()
    which = np.minimum((p * BINS).astype(int), BINS - 1)
    total, hits, mean = (np.bincount(which, w, BINS) for w in (weights, weights * same, weights * p))
    some = total > 0
    ax.plot([0, 1], [0, 1], color=QUIET, linewidth=1, label="ideal")
    ax.plot(mean[some] / total[some], hits[some] / total[some], "o-", color=COLOURS[0], label=label)
    for x, y, n in zip(mean[some] / total[some], hits[some] / total[some], np.bincount(which, minlength=BINS)[some],
                       strict=True):
        ax.annotate(f"{n}", (x, y), textcoords="offset points", xytext=(6, -9), fontsize=7, color=QUIET)
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal", xlabel="calibrated probability at even prior odds",
           ylabel="share of pairs of one person")
    ax.set_title(title, fontsize=10)
    ax.legend(loc="upper left", fontsize=8, frameon=False)
    _tidy(ax)
    return figure_of(ax), ax


def _roc(ax: Axes, chosen: Sequence[Benchmark]) -> None:
    for i, one in enumerate(chosen):
        floor = 0.5 / int((~one.same).sum())  # where a rate of 0 is drawn: under that of one pair
        ax.step(np.maximum(one.far, floor), one.tar, where="post", **_line(i),
                label=f"{_title(one, chosen)}: AUC {one.auc:.4f}")
    # What lies below the first false accept of the worst tells nothing.
    lowest = min(float(one.tar[one.far > 0][0]) for one in chosen)
    bottom = max(0.0, np.floor(20 * lowest) / 20 - 0.05)
    ax.set(xscale="log", xlim=(None, 1), ylim=(bottom, 1 + (1 - bottom) / 40), xlabel="false accept rate",
           ylabel="true accept rate", title="ROC")
    ax.xaxis.set_major_formatter(lambda rate, _: f"{rate:g}")  # matplotlib's own is a formula
    ax.legend(fontsize=8, loc="lower right", frameon=False)
    _tidy(ax)


def _det(ax: Axes, chosen: Sequence[Benchmark]) -> None:
    """Both error rates on the scale of normal deviates, where normally distributed scores give straight lines."""
    need("drawing errors", "scipy")
    from scipy.stats import norm

    for i, one in enumerate(chosen):
        low, high = 0.5 / len(one.same), 1 - 0.5 / len(one.same)
        far, frr = (norm.ppf(np.clip(x, low, high)) for x in (one.far, 1 - one.tar))
        ax.step(far, frr, where="post", **_line(i), label=f"{_title(one, chosen)}: EER {one.eer:.2%}")
    places = norm.ppf(_RATES)
    ax.axline((0, 0), slope=1, color=QUIET, linewidth=0.7)
    ax.set(xlim=(places[0], places[-1]), ylim=(places[0], places[-1]), xlabel="false accept rate",
           ylabel="false reject rate", title="DET")
    ax.set_xticks(places, [f"{rate:.4g}" for rate in _RATES])
    ax.set_yticks(places, [f"{rate:.4g}" for rate in _RATES])
    ax.legend(fontsize=8, loc="upper right", framealpha=1, edgecolor="none")  # the line of equal errors ends below it
    _tidy(ax)


def _histogram(ax: Axes, one: Benchmark) -> None:
    bins = np.linspace(one.scores.min(), one.scores.max(), 61).tolist()
    for of_one, colour, label in ((True, SAME, "one person"), (False, DIFFERENT, "two people")):
        ax.hist(one.scores[one.same == of_one], bins, color=colour, alpha=0.55, label=label)
    top = ax.get_ylim()[1]
    ax.vlines(one.threshold, 0, top, color=INK, linewidth=1.2, label=f"threshold {one.threshold:.3f}")
    ax.set(ylim=(0, 1.22 * top), xlabel="score", ylabel="pairs",  # room for the legend, above the line
           title=f"{one.metric} on {one.dataset}")
    ax.legend(fontsize=8, loc="upper center", ncols=3, columnspacing=1.2, handlelength=1.2, frameon=False)
    _tidy(ax)


def _title(one: Benchmark, chosen: Sequence[Benchmark]) -> str:
    """What tells this one from the others; the metric at least."""
    parts = [one.metric]
    for key in ("model", "dataset"):
        if len({getattr(other, key) for other in chosen}) > 1:
            parts.append(str(getattr(one, key)))
    return ", ".join(parts)


def _line(i: int) -> dict[str, Any]:
    style = STYLES[i // len(COLOURS) % len(STYLES)]
    return {"color": COLOURS[i % len(COLOURS)], "linestyle": style, "linewidth": 1.6}


def _tidy(ax: Axes) -> None:
    ax.grid(color="#dddddd", linewidth=0.6)
    ax.set_axisbelow(True)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)


@ours
def search(
    cmc: NDArray[np.float64], open_set: tuple[Sequence[float], Sequence[float]] | None, axes: Any = None
) -> tuple[Figure, Any]:
    """CMC by rank, and FNIR over FPIR (`open_set`: FPIR, FNIR; None: no strangers), in two axes or a new figure."""
    if axes is None:
        axes = new_figure((9, 4.3), layout="constrained").subplots(1, 2)
    axes = np.ravel(np.asarray(axes, object))
    if len(axes) != 2:
        raise ValueError(f"ax: expected two axes, got {len(axes)}")
    axes[0].plot(range(1, len(cmc) + 1), cmc, color=COLOURS[0])
    axes[0].set(xscale="log", xlabel="rank", ylabel="share found", title="CMC")
    axes[1].set(xlabel="FPIR", ylabel="FNIR, rank 1", title="open set")
    if open_set:
        axes[1].plot(*open_set, color=COLOURS[0])
    else:
        axes[1].text(0.5, 0.5, "no strangers among the probes", ha="center", transform=axes[1].transAxes)
    return axes[0].get_figure(root=True), axes
