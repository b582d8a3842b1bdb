"""Figures of a verification benchmark, from scores and labels. Curves and areas are scikit-learn's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.extras import need
from ..base.values import ByValue

Doubles = NDArray[np.float64]
Bools = NDArray[np.bool_]

# Thresholds of the xCos reference: -1, -0.995 ... 1.
REFERENCE_THRESHOLDS = np.arange(-200, 201) * 0.005


@dataclass(frozen=True, slots=True, eq=False)
class Folds(ByValue):
    """Accuracy over K folds, each with the threshold that is best on the K - 1 others.

    Attributes
    ----------
    accuracies : (K,) ndarray of float64
        Share of the fold's pairs that `score > threshold` decides rightly.
    thresholds : (K,) ndarray of float64
        The threshold used on each fold.

    Examples
    --------
    >>> import xcos
    >>> import numpy as np
    >>> folds = xcos.evaluation.Folds(np.array([0.9, 1.0]), np.array([0.2, 0.4]))
    >>> round(folds.accuracy, 2), round(folds.std, 2), round(folds.threshold, 2)
    (0.95, 0.05, 0.3)
    """

    accuracies: Doubles
    thresholds: Doubles

    @property
    def accuracy(self) -> float:
        """Mean over the folds."""
        return float(self.accuracies.mean())

    @property
    def std(self) -> float:
        """Standard deviation over the folds (of the population: divided by K)."""
        return float(self.accuracies.std())

    @property
    def threshold(self) -> float:
        """Mean over the folds."""
        return float(self.thresholds.mean())

    def __repr__(self) -> str:
        n = len(self.accuracies)
        return f"Folds({self.accuracy:.2%} ± {self.std:.2%} over {n} folds, threshold {self.threshold:.4f})"


@dataclass(frozen=True, slots=True, eq=False)
class Roc(ByValue):
    """Receiver operating characteristic, one point for each threshold, strictest first.

    Attributes
    ----------
    far : (T,) ndarray of float64
        False accept rate: share of pairs of two people over the threshold.
    tar : (T,) ndarray of float64
        True accept rate: share of pairs of one person over it; 1 - tar is the DET curve's other axis.
    thresholds : (T,) ndarray of float64
        A pair is accepted when score >= threshold; the first is infinite.

    Examples
    --------
    >>> import xcos
    >>> report = xcos.evaluate(None, "examples/pairs.csv", folds=3)
    >>> float(report.roc.tar[-1]), float(report.roc.frr[0])
    (1.0, 1.0)
    """

    far: Doubles
    tar: Doubles
    thresholds: Doubles

    @property
    def frr(self) -> Doubles:
        """(T,) false reject rate, 1 - tar."""
        return 1 - self.tar


def fold_numbers(n: int, folds: int) -> NDArray[np.intp]:
    """(n,) the fold of each pair: `folds` runs in file order, the first n % folds of them longer by one."""
    if n < folds:
        raise ValueError(f"expected at least one pair for each of {folds} folds, got {n}; choose fewer folds")
    return np.repeat(np.arange(folds), [len(part) for part in np.array_split(np.arange(n), folds)])


def reference_folds(scores: NDArray[Any], same: Bools, fold: NDArray[np.intp]) -> Folds:
    """The protocol of the xCos reference: thresholds -1, -0.995 ... 1, `score > threshold`, the lowest of the best."""
    right = (scores[None] > REFERENCE_THRESHOLDS[:, None]) == same[None]  # (thresholds, pairs)
    accuracies, thresholds = [], []
    for k in np.unique(fold):
        best = int(right[:, fold != k].sum(1).argmax())
        accuracies.append(right[best, fold == k].mean())
        thresholds.append(REFERENCE_THRESHOLDS[best])
    return Folds(np.array(accuracies), np.array(thresholds))


def exact_folds(scores: NDArray[Any], same: Bools, fold: NDArray[np.intp]) -> Folds:
    """All observed scores as thresholds, `score > threshold`, the lowest of the best: no grid to miss one between."""
    scores = scores.astype(np.float64)
    accuracies, thresholds = [], []
    for k in np.unique(fold):
        threshold = best_threshold(scores[fold != k], same[fold != k])
        accuracies.append(((scores[fold == k] > threshold) == same[fold == k]).mean())
        thresholds.append(threshold)
    return Folds(np.array(accuracies), np.array(thresholds))


def fixed_folds(scores: NDArray[Any], same: Bools, fold: NDArray[np.intp], threshold: float) -> Folds:
    """One threshold, chosen elsewhere, for all folds, `score > threshold`."""
    right = decide(scores, threshold) == same
    accuracies = np.array([right[fold == k].mean() for k in np.unique(fold)])
    return Folds(accuracies, np.full(len(accuracies), float(threshold)))


def decide(scores: NDArray[Any], threshold: float) -> Bools:
    """(N,) `score > threshold`, both as float64: NumPy would round the threshold to the scores' float32."""
    decided: Bools = scores.astype(np.float64) > threshold
    return decided


def best_threshold(scores: Doubles, same: Bools) -> float:
    """The lowest observed score t for which `score > t` is right most often; just below all where that is best."""
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    # With the threshold at ordered[i], the pairs up to i are rejected: right are the others among them.
    gain = np.cumsum(np.where(same[order], -1, 1))
    last = np.append(ordered[1:] != ordered[:-1], True)  # of equal scores, all lie on one side
    candidates = np.append(np.nextafter(ordered[0], -np.inf), ordered[last])
    return float(candidates[int(np.append(0, gain[last]).argmax())])


def threshold_at(scores: NDArray[Any], same: Bools, rate: float) -> float:
    """The lowest observed threshold that at most this share of the pairs of two people is over.

    Raises ValueError where that is no rate between 0 and 1, or less than one of the pairs.
    """
    others = np.sort(np.asarray(scores)[~same].astype(np.float64))[::-1]
    if not 0 < rate < 1:
        raise ValueError(f"at_fmr: expected a rate between 0 and 1, got {rate}")
    allowed = int(rate * len(others) + 1e-9)
    if allowed < 1:
        least = f"a rate of {1 / len(others):.2g} or more" if len(others) else "some pairs of two people"
        raise ValueError(f"at_fmr: {rate:g} of {len(others):,} pairs of two people is less than one; expected {least}")
    return float(others[allowed])


def roc(scores: NDArray[Any], same: Bools) -> Roc:
    """All points of the curve. Raises ValueError unless there are pairs of both kinds."""
    need("evaluation", "sklearn")
    from sklearn.metrics import roc_curve

    if same.all() or not same.any():
        raise ValueError(f"expected pairs of one person and of two, got {int(same.sum())} and {int((~same).sum())}")
    return Roc(*roc_curve(same, scores, drop_intermediate=False))


def area(curve: Roc) -> float:
    """Area under the curve."""
    need("evaluation", "sklearn")
    from sklearn.metrics import auc

    return float(auc(curve.far, curve.tar))


def auc(values: NDArray[Any], positive: Bools) -> float:
    """Area under the ROC curve of (n,) values: how often a positive one stands above another, a draw counting half.

    Raises ValueError unless there are both.
    """
    need("evaluation", "sklearn")
    from sklearn.metrics import roc_auc_score

    if positive.all() or not positive.any():
        raise ValueError(f"expected values of both kinds, got {int(positive.sum())} and {int((~positive).sum())}")
    return float(roc_auc_score(positive, values))


def equal_error_rate(curve: Roc) -> float:
    """Where false accept and false reject rate meet, between the two points around it on a straight line."""
    gap = curve.far - curve.frr  # rises from -1 to 1
    i = int(np.argmax(gap >= 0))
    if gap[i] == 0 or i == 0:
        return float(curve.far[i])
    part = -gap[i - 1] / (gap[i] - gap[i - 1])
    return float(curve.far[i - 1] + part * (curve.far[i] - curve.far[i - 1]))


def tar_at_far(curve: Roc, negatives: int) -> dict[float, float]:
    """The best true accept rate at false accept rates of at most 1e-1 … 1e-6, as far down as one pair is that share."""
    rates = [10.0**-k for k in range(1, 7) if 10**k <= negatives]
    return {rate: float(curve.tar[curve.far <= rate].max()) for rate in rates}


def cllr(llr: NDArray[Any], same: Bools) -> float:
    """Cost of log-likelihood ratios in bits: 0 perfect, 1 as good as saying nothing, more: misleading.

    Mean of log2(1 + 1/LR) over pairs of one person and of log2(1 + LR) over pairs of two, halved and summed (Brümmer
    and du Preez, Computer Speech & Language 20, 2006).

    Parameters
    ----------
    llr : (N,) array
        Natural logarithms of the ratios.
    same : (N,) ndarray of bool
        Which pairs are of one person.

    Returns
    -------
    float
        Bits.

    Examples
    --------
    >>> import xcos
    >>> import numpy as np
    >>> same = np.array([True, False])
    >>> xcos.evaluation.cllr(np.array([0.0, 0.0]), same)
    1.0
    >>> round(xcos.evaluation.cllr(np.array([9.0, -9.0]), same), 3)
    0.0
    """
    x = np.asarray(llr, np.float64)
    return float((np.logaddexp(0, -x[same]).mean() + np.logaddexp(0, x[~same]).mean()) / 2 / np.log(2))


def min_cllr(scores: NDArray[Any], same: Bools) -> float:
    """The least Cllr that a monotone map of these very scores can have (isotonic regression); 0 where they separate.

    Parameters
    ----------
    scores : (N,) array
        Higher is more alike.
    same : (N,) ndarray of bool
        Which pairs are of one person.

    Returns
    -------
    float
        Bits.

    Examples
    --------
    >>> import xcos
    >>> import numpy as np
    >>> xcos.evaluation.min_cllr(np.array([0.1, 0.2, 0.7]), np.array([False, False, True]))
    0.0
    """
    need("evaluation", "sklearn")
    from sklearn.isotonic import IsotonicRegression

    x = scores.astype(np.float64)
    p = IsotonicRegression().fit(x, same, balanced(same)).predict(x)
    with np.errstate(divide="ignore"):
        return cllr(np.log(p) - np.log1p(-p), same)


def balanced(same: Bools) -> Doubles:
    """Weights that give pairs of one person and of two the same total: even prior odds."""
    n, ones = len(same), int(same.sum())
    weights: Doubles = np.where(same, n / (2 * ones), n / (2 * (n - ones)))
    return weights
