"""What a score is worth: log-likelihood ratios from scores, by what was measured on a named data set.

A log-likelihood ratio (llr, natural logarithm) says how much more probable a score is for two photographs of one
person than for photographs of two: 0 says nothing either way, 2.3 ten times, -2.3 a tenth. With the prior odds of
the case it becomes a probability; without them it does not. This module applies what ``xcos.calibrate`` measured
(evaluation/fitting.py) and needs NumPy alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..base.values import ByValue
from ..errors import ModelFileError

Doubles = NDArray[np.float64]
# Less than ten times is what an expert would call weak support; see `support` for the words.
UNDECIDED = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class ScoreCalibration(ByValue):
    """How scores of one metric become log-likelihood ratios; calling it does that, for arrays of any shape.

    method         "logistic" and "robust": llr = slope * score + offset. "isotonic": probabilities at steps, between
                   them lines
    parameters     logistic: slope, offset. robust: these, and mislabelled, the share of pairs of one person that seem
                   to be of two. isotonic: scores, probabilities (at even prior odds), ascending
    data, pairs    name of the data set and how many pairs it has
    cllr, min_cllr bits, of the folds held out (the llr of each fold from the others): how much information the llr
                   loses against perfect ones, 1 = says nothing; and what the best monotone map would lose
                   (Brümmer and du Preez, Computer Speech & Language 20, 2006)
    bounds         least and greatest llr that so many pairs can support; beyond, the map would only be an
                   extrapolation (ELUB; Vergeer et al., Science & Justice 56, 2016). Infinite in files from before
    interval       scores, low, high: 95 % interval of the llr without bounds, at some ascending scores, lines between
                   them; or None
    """

    method: str
    parameters: Mapping[str, Any]
    data: str
    pairs: int
    cllr: float
    min_cllr: float
    bounds: tuple[float, float] = (-math.inf, math.inf)
    interval: Mapping[str, Any] | None = None

    def __call__(self, scores: ArrayLike) -> Doubles:
        x = np.asarray(scores, np.float64)
        if self.method != "isotonic":
            llr = self.parameters["slope"] * x + self.parameters["offset"]
        else:
            p = np.interp(x, self.parameters["scores"], self.parameters["probabilities"])
            llr = np.log(p) - np.log1p(-p)
        bounded: Doubles = np.clip(llr, *self.bounds)
        return bounded

    def between(self, score: float) -> tuple[float, float] | None:
        """95 % interval of the llr of `score`, which lies in it; None where it was not measured."""
        if self.interval is None:
            return None
        llr = float(self(score))
        at = self.interval["scores"]
        low, high = np.clip([np.interp(score, at, self.interval[end]) for end in _ENDS], *self.bounds)
        return min(float(low), llr), max(float(high), llr)

    def pairs_for(self, within: float = 1.5, ratio: float = 10.0) -> int | None:
        """So many pairs of the same kind would tell a likelihood ratio of `ratio` within a factor of `within` either
        way, in 95 % of cases: intervals shrink with the root of their number. None: no interval was measured."""
        if self.interval is None:
            return None
        unbounded = replace(self, bounds=(-math.inf, math.inf))
        score = np.interp(math.log(ratio), unbounded(self.interval["scores"]), self.interval["scores"])
        low, high = unbounded.between(float(score)) or (0.0, 0.0)
        return math.ceil(self.pairs * ((high - low) / 2 / math.log(within)) ** 2)

    def to_dict(self) -> dict[str, Any]:
        """As it stands in the model file."""
        facts = {"data": self.data, "pairs": self.pairs, "cllr": self.cllr, "min_cllr": self.min_cllr}
        if np.isfinite(self.bounds).all():
            facts["bounds"] = list(self.bounds)
        if self.interval is not None:
            facts["interval"] = dict(self.interval)
        return {"method": self.method, **self.parameters, **facts}

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> ScoreCalibration:
        parameters = {key: entry[key] for key in _PARAMETERS[entry["method"]]}
        low, high = entry.get("bounds", (-math.inf, math.inf))
        facts = {key: entry[key] for key in ("data", "pairs", "cllr", "min_cllr")}
        return cls(entry["method"], parameters, **facts, bounds=(low, high), interval=entry.get("interval"))


@dataclass(frozen=True, slots=True, eq=False)
class CellStatistics(ByValue):
    """Cosines of each cell over the pairs of a data set: mean and standard deviation, (H, W) each.

    low, high: the least and the greatest evidence that so many pairs can support, (H, W) each, as
    ``ScoreCalibration.bounds``; None in files from before.
    """

    same_mean: Doubles
    same_std: Doubles
    different_mean: Doubles
    different_std: Doubles
    low: Doubles | None = None
    high: Doubles | None = None

    def evidence(self, cosine_map: ArrayLike) -> NDArray[np.float32]:
        """Log-likelihood ratio of each cell's cosine alone: (..., H, W) float32, natural logarithm.

        The cosines of a cell are taken as normally distributed, for one person and for two. Where the two
        deviations differ, the ratio of two such curves turns round far outside; beyond that point it stays, so
        that more alike never counts as less. Cells depend on each other: the map has no meaningful sum.
        """
        c = np.asarray(cosine_map, np.float64)
        precise = self.same_std**-2 - self.different_std**-2
        with np.errstate(divide="ignore", invalid="ignore"):
            turn = (self.same_mean * self.same_std**-2 - self.different_mean * self.different_std**-2) / precise
        c = np.where(precise < 0, np.fmax(c, turn), np.where(precise > 0, np.fmin(c, turn), c))
        z_same, z_different = (c - self.same_mean) / self.same_std, (c - self.different_mean) / self.different_std
        llr = (z_different**2 - z_same**2) / 2 + np.log(self.different_std / self.same_std)
        if self.low is not None:
            llr = np.clip(llr, self.low, self.high)
        return llr.astype(np.float32)

    def deviation(self, cosine_map: ArrayLike) -> NDArray[np.float32]:
        """How far cosines are from the usual ones of one person, in standard deviations: (..., H, W) float32."""
        away: Doubles = (np.asarray(cosine_map, np.float64) - self.same_mean) / self.same_std
        return away.astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """As it stands in the model file."""
        return {key: getattr(self, key).tolist() for key in (*_CELLS, *_ENDS) if getattr(self, key) is not None}

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> CellStatistics:
        ends = _ENDS if any(end in entry for end in _ENDS) else ()
        return cls(*(np.array(entry[key], np.float64) for key in (*_CELLS, *ends)))


@dataclass(frozen=True, slots=True)
class Calibration:
    """All that a model file knows about the worth of its scores.

    Attributes
    ----------
    scores : dict of ScoreCalibration
        By metric: "xcos", perhaps "cosine".
    cells : CellStatistics or None
        Statistics of each cell's cosine.
    undecided : float
        Likelihood ratios from 1/undecided to undecided are no decision; 1: there is always one.

    Examples
    --------
    >>> import xcos
    >>> calibration = xcos.calibrate(None, xcos.datasets.read_csv("examples/pairs.csv", folds=3)).calibration
    >>> sorted(calibration.to_dict()["scores"])
    ['cosine', 'xcos']
    """

    scores: Mapping[str, ScoreCalibration]
    cells: CellStatistics | None = None
    undecided: float = UNDECIDED

    def is_undecided(self, llr: float) -> bool:
        """Whether a log-likelihood ratio lies in the band of no decision.

        Parameters
        ----------
        llr : float
            Natural logarithm.

        Returns
        -------
        bool
            True strictly between 1/undecided and undecided.
        """
        return abs(llr) < math.log(self.undecided)

    def to_dict(self) -> dict[str, Any]:
        """The value of ``ModelFile.calibration``.

        Returns
        -------
        dict
            Ready for JSON.
        """
        scores = {metric: score.to_dict() for metric, score in self.scores.items()}
        cells = self.cells.to_dict() if self.cells else None
        return {"scores": scores, "cells": cells, "undecided": self.undecided}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Calibration:
        """Reads the value of ``ModelFile.calibration``.

        Parameters
        ----------
        value : dict
            What :meth:`to_dict` gives.

        Returns
        -------
        Calibration
            The same as an object.
        """
        scores = {metric: ScoreCalibration.from_dict(entry) for metric, entry in value["scores"].items()}
        cells = CellStatistics.from_dict(value["cells"]) if value["cells"] else None
        return cls(scores, cells, float(value.get("undecided", UNDECIDED)))


def probability(llr: float, prior: float) -> float:
    """Probability of one person, from a log-likelihood ratio and the probability before the photographs were seen.

    Raises ValueError unless 0 < prior < 1.
    """
    if not 0 < prior < 1:
        raise ValueError(f"prior: expected a probability between 0 and 1, got {prior}")
    odds = llr + math.log(prior) - math.log1p(-prior)
    return 1 / (1 + math.exp(-odds)) if odds >= 0 else math.exp(odds) / (1 + math.exp(odds))


def support(llr: float) -> str:
    """A log-likelihood ratio in the words of ENFSI's guideline for evaluative reporting (2015), for either side.

    >>> support(math.log(150)), support(-math.log(30)), support(0.1)
    ('moderately strong support for one person', 'moderate support for two people', 'no support for either')
    """
    ratio = math.exp(min(abs(llr), 99.0))
    words = [words for least, words in _WORDS if ratio >= least]
    return f"{words[-1]} support for {'one person' if llr > 0 else 'two people'}" if words else "no support for either"


def ratio_in_words(llr: float) -> str:
    """The likelihood ratio, rounded to two digits; below 1 as a fraction, so that both sides read alike.

    >>> ratio_in_words(math.log(1234)), ratio_in_words(-math.log(1234)), ratio_in_words(math.log(1.26))
    ('1,200', '1/1,200', '1.3')
    """
    digits = 1 - math.floor(abs(llr) / math.log(10))
    rounded = round(math.exp(abs(llr)), digits)
    text = f"{rounded:,.{max(digits, 0)}f}"
    return text if llr >= 0 or rounded == 1 else f"1/{text}"


# Likelihood ratio from which on the words hold.
_WORDS = (
    (2, "weak"), (10, "moderate"), (100, "moderately strong"), (1e3, "strong"), (1e4, "very strong"),
    (1e6, "extremely strong"),
)  # fmt: skip
_PARAMETERS = {
    "logistic": ("slope", "offset"),
    "robust": ("slope", "offset", "mislabelled"),
    "isotonic": ("scores", "probabilities"),
}
_CELLS = ("same_mean", "same_std", "different_mean", "different_std")
_ENDS = ("low", "high")


def check_calibration(value: Any) -> None:
    """Raises ModelFileError unless `value` is None or what ``Calibration.to_dict`` gives."""
    if value is None:
        return
    try:
        calibration = Calibration.from_dict(value)
        for metric, score in calibration.scores.items():
            _check_score(metric, score)
        if not 1 <= calibration.undecided < math.inf:
            raise ModelFileError(f"calibration: expected `undecided` of at least 1, got {calibration.undecided}")
        if calibration.cells:
            _check_cells(calibration.cells)
    except ModelFileError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        what = f"{type(error).__name__}: {str(error)[:80]}"
        raise ModelFileError(f"calibration is not as docs/model-file.md says ({what})") from None


def _check_score(metric: str, score: ScoreCalibration) -> None:
    numbers = [np.asarray(value, np.float64) for value in (*score.parameters.values(), score.cllr, score.min_cllr)]
    if not all(np.isfinite(n).all() for n in numbers):
        raise ModelFileError(f"calibration of {metric!r}: expected finite numbers")
    if not isinstance(score.data, str) or not isinstance(score.pairs, int):
        raise ModelFileError(f"calibration of {metric!r}: expected the data's name and its number of pairs")
    if not score.bounds[0] <= 0 <= score.bounds[1]:
        raise ModelFileError(f"calibration of {metric!r}: expected bounds on either side of 0, got {score.bounds}")
    if score.interval is not None:
        at, low, high = (np.asarray(score.interval[key], np.float64) for key in ("scores", *_ENDS))
        fits = at.ndim == 1 and len(at) and at.shape == low.shape == high.shape and (np.diff(at) >= 0).all()
        if not fits or not np.isfinite([at, low, high]).all() or not (low <= high).all():
            raise ModelFileError(f"calibration of {metric!r}: expected an interval at ascending scores")
    if score.method == "isotonic":
        x, p = numbers[:2]
        rising = x.ndim == 1 and x.shape == p.shape and len(x) and (np.diff(x) >= 0).all() and (np.diff(p) >= 0).all()
        if not rising or p[0] <= 0 or p[-1] >= 1:
            raise ModelFileError(f"calibration of {metric!r}: expected ascending scores and probabilities in 0 to 1")


def _check_cells(cells: CellStatistics) -> None:
    keys = _CELLS if cells.low is None else (*_CELLS, *_ENDS)
    shapes = {getattr(cells, key).shape for key in keys}
    if len(shapes) != 1 or len(shapes.pop()) != 2:
        raise ModelFileError("calibration: expected maps (H, W) of one shape for the cells")
    if not all(np.isfinite(getattr(cells, key)).all() for key in keys):
        raise ModelFileError("calibration: expected finite numbers for the cells")
    if min(cells.same_std.min(), cells.different_std.min()) <= 0:
        raise ModelFileError("calibration: expected deviations above 0 for the cells")
    if cells.low is not None and cells.high is not None and not ((cells.low <= 0) & (cells.high >= 0)).all():
        raise ModelFileError("calibration: expected bounds on either side of 0 for the cells")
