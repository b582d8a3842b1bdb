"""Error rates of groups of people, with confidence intervals, for audits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.extras import need
from . import dyads


@dataclass(frozen=True, slots=True)
class GroupRate:
    """How often one kind of error happens in one group.

    Attributes
    ----------
    column, group : str
        Where the group stands in the data.
    kind : str
        "false match" (among pairs of two people) or "false non-match" (among pairs of one).
    errors, pairs : int
        Counts.
    rate : float
        errors / pairs.
    low, high : float
        Ends of the confidence interval.

    Examples
    --------
    >>> import xcos
    >>> xcos.evaluation.GroupRate("age", "40-60", "false match", 1, 100, 0.01, 0.002, 0.054).to_dict()["rate"]
    0.01
    """

    column: str
    group: str
    kind: str
    errors: int
    pairs: int
    rate: float
    low: float
    high: float

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dict.

        Returns
        -------
        dict
            Plain values, ready for JSON.
        """
        return asdict(self)


def group_rates(
    columns: Mapping[str, NDArray[np.str_]], wrong: NDArray[np.bool_], same: NDArray[np.bool_], interval: str,
    confidence: float,
) -> list[GroupRate]:
    """Rates of both kinds of error for every group that has pairs of that kind. See ``Report.groups``."""
    intervals = {"wilson": wilson, "bootstrap": bootstrap}
    if interval not in intervals:
        raise ValueError(f"interval: expected 'wilson' or 'bootstrap', got {interval!r}")
    dyads.check_confidence(confidence)
    rates = []
    for column, values in columns.items():
        for group in np.unique(values):
            for kind, of_kind in (("false match", ~same), ("false non-match", same)):
                chosen = wrong[of_kind & (values == group)]
                if len(chosen):
                    errors, n = int(chosen.sum()), len(chosen)
                    low, high = intervals[interval](errors, n, confidence)
                    rates.append(GroupRate(column, str(group), kind, errors, n, errors / n, low, high))
    return rates


def wilson(errors: int, n: int, confidence: float) -> tuple[float, float]:
    """Wilson's score interval, sound also for rates near 0 and for small groups."""
    return dyads.wilson(errors / n, n, confidence)


def bootstrap(errors: int, n: int, confidence: float) -> tuple[float, float]:
    """Percentiles of the rate over resampled pairs. Says [0, 0] where no error was seen: prefer Wilson's there."""
    need("evaluation", "scipy")
    from scipy.stats import binom

    # Resampling n pairs of which `errors` are wrong draws a binomial number of wrong ones, so nothing need be drawn.
    low, high = binom.ppf([(1 - confidence) / 2, (1 + confidence) / 2], n, errors / n) / n
    return float(low), float(high)
