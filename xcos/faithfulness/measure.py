"""A figure with its uncertainty."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.extras import need
from ..base.values import ByValue

RESAMPLES = 2000
LEVEL = 0.95
_HELD = 1 << 22  # weights held at a time


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Measure(ByValue):
    """The mean of a quantity over pairs, with its bootstrap interval.

    Attributes
    ----------
    name : str
        What is measured.
    value : float
        Mean over the pairs; NaN where nothing could be measured.
    low, high : float
        95 % interval of that mean over pairs drawn with replacement (percentiles, 2,000 draws).
    per_pair : (n,) ndarray of float64
        The quantity of each pair.
    curves : dict
        By name, for measures that are areas: what was integrated, with its abscissa under "x".

    Examples
    --------
    >>> import xcos
    >>> measure = xcos.faithfulness.bootstrap("share", [0.0, 1.0, 1.0, 1.0])
    >>> measure.value, bool(measure.low < measure.value < measure.high)
    (0.75, True)
    """

    name: str
    value: float
    low: float
    high: float
    per_pair: NDArray[np.float64] = field(repr=False)
    curves: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Measure({self.name} {self.value:.3g}, {self.low:.3g} to {self.high:.3g}, {len(self.per_pair)} pairs)"

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dict; None where nothing could be measured.

        Returns
        -------
        dict
            Numbers, strings and lists only.
        """
        figures = {"name": self.name, **{key: _plain(getattr(self, key)) for key in ("value", "low", "high")}}
        curves = {name: curve.tolist() for name, curve in self.curves.items()}
        return {**figures, "pairs": len(self.per_pair), "curves": curves}


def interval(
    figures: Callable[[NDArray[np.intp]], Any], n: int, seed: int = 0, resamples: int = RESAMPLES
) -> tuple[Any, Any]:
    """The 95 % bootstrap interval (percentiles) of figures of n items: low, high. By SciPy.

    figures : which items were drawn (K, n) -> figures (K, ...), one for each row
    """
    need("measuring explanations", "scipy")
    from scipy.stats import DegenerateDataWarning
    from scipy.stats import bootstrap as resample

    if n == 1:  # is drawn every time
        only = np.asarray(figures(np.zeros((1, 1), np.intp)))[0]
        return only, only

    def statistic(drawn: NDArray[np.intp], axis: int) -> NDArray[Any]:
        _ = axis  # the last; SciPy wants the draws there in the result too
        return np.moveaxis(np.asarray(figures(drawn.reshape(-1, n))), 0, -1)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateDataWarning)  # of figures that are NaN, as the interval then is
        found = resample(
            (np.arange(n),), statistic, n_resamples=resamples, batch=max(1, _HELD // n), vectorized=True,
            confidence_level=LEVEL, method="percentile", random_state=np.random.default_rng(seed),
        ).confidence_interval  # fmt: skip
    return found.low, found.high


def bootstrap(name: str, per_pair: Sequence[float] | NDArray[Any], seed: int = 0, **curves: Any) -> Measure:
    """The mean of a quantity over pairs, with its interval. Pairs without a value (NaN) are left out.

    Parameters
    ----------
    name : str
        What is measured.
    per_pair : (n,) array
        The quantity of each pair.
    seed : int, default 0
        Of the draws.
    **curves : array
        What was integrated, kept as it is.

    Returns
    -------
    Measure
        Mean and interval.

    Raises
    ------
    ValueError
        Nothing is left.

    Examples
    --------
    >>> import xcos
    >>> xcos.faithfulness.bootstrap("share", [0.5, float("nan")]).value
    0.5
    """
    values = np.asarray(per_pair, np.float64)
    values = values[~np.isnan(values)]
    if not len(values):
        raise ValueError(f"{name}: no pair has a value")
    low, high = interval(lambda drawn: values[drawn].mean(1), len(values), seed)
    arrays = {key: np.asarray(curve, np.float64) for key, curve in curves.items()}
    return Measure(name, float(values.mean()), float(low), float(high), values, arrays)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Estimate(ByValue):
    """A figure, or a map of figures, with its 95 % bootstrap interval.

    Attributes
    ----------
    value, low, high : float or (H, W) ndarray of float64
        NaN where nothing could be measured.

    Examples
    --------
    >>> import xcos
    >>> xcos.faithfulness.Estimate(0.5, 0.4, 0.6).to_dict()
    {'value': 0.5, 'low': 0.4, 'high': 0.6}
    """

    value: Any
    low: Any
    high: Any

    def __repr__(self) -> str:
        if np.ndim(self.value):
            return f"Estimate({' x '.join(map(str, np.shape(self.value)))} figures)"
        return f"Estimate({self.value:.3g}, {self.low:.3g} to {self.high:.3g})"

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dict; None where nothing could be measured.

        Returns
        -------
        dict
            Numbers and lists only.
        """
        return {key: _plain(getattr(self, key)) for key in ("value", "low", "high")}


def _plain(value: Any) -> Any:
    if np.ndim(value):
        return [_plain(part) for part in value]
    return None if np.isnan(value) else float(value)


def estimate(
    statistic: Callable[[NDArray[np.float64]], NDArray[Any]], n: int, seed: int = 0, resamples: int = RESAMPLES
) -> Estimate:
    """The statistic of n items, with its interval over items drawn with replacement (percentiles).

    statistic : weights (K, n), each row with the sum 1 -> figures (K, ...), one for each row. All items count the
        same for the value, and as often as they were drawn for the interval. Where a draw gives NaN, the interval is.
    """
    value = statistic(np.full((1, n), 1 / n))[0]

    def figures(drawn: NDArray[np.intp]) -> NDArray[Any]:
        k = len(drawn)
        own = drawn + n * np.arange(k)[:, None]  # counted in each draw apart
        return statistic(np.bincount(own.ravel(), minlength=k * n).reshape(k, n) / n)

    low, high = interval(figures, n, seed, resamples)
    single = np.ndim(value) == 0
    return Estimate(float(value), float(low), float(high)) if single else Estimate(value, low, high)


def area(x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.float64]:
    """Trapezoid area under y (..., len(x)) divided by the range of x: the mean height of the curve."""
    y = np.asarray(y, np.float64)
    steps = np.diff(np.asarray(x, np.float64))
    result: NDArray[np.float64] = ((y[..., 1:] + y[..., :-1]) / 2 @ steps) / steps.sum()
    return result
