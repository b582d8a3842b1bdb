"""What the cosines of the cells of many pairs say: figures of arrays, wherever they were measured."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.extras import need
from ..evaluation.protocol import exact_folds, fold_numbers
from .measure import Estimate, estimate

Doubles = NDArray[np.float64]
Bools = NDArray[np.bool_]

# A cell whose evidence for one person is under this part of the deviation of its cosines of two people tells next
# to nothing (about 52 % accuracy): a share of it would be noise divided by noise.
LEAST_EVIDENCE = 0.1
_RESAMPLES_OF_RANK = 200  # each one a covariance and its eigenvalues: 10 ms for 14 x 14 cells


def cosines(a: NDArray[Any], b: NDArray[Any], axis: int = 1) -> Doubles:
    """Cosines of vectors along an axis of two arrays that broadcast: grids (N, D, H, W) -> (N, H, W).

    float64, clipped to -1..1; 0 for a zero vector.
    """
    dots = (a * b).sum(axis, dtype=np.float64)
    squares = [np.square(x).sum(axis, dtype=np.float64) for x in (a, b)]
    norms = np.sqrt(squares[0] * squares[1])
    result: Doubles = np.divide(dots, norms, out=np.zeros_like(dots), where=norms > 0).clip(-1, 1)
    return result


def mean(values: NDArray[Any]) -> Estimate:
    """The mean over the first axis with its interval: (N,) -> a number, (N, H, W) -> a map.

    Numbers that are NaN are left out; NaN where nothing is left.
    """
    values = np.asarray(values, np.float64)
    if values.ndim == 1:
        values = values[~np.isnan(values)]
    if not len(values):
        return Estimate(np.nan, np.nan, np.nan)
    return estimate(lambda w: np.tensordot(w, values, 1), len(values))


def decided_rightly(scores: NDArray[Any], same: Bools, folds: int) -> Bools:
    """(N,): is each pair decided rightly by the threshold that is best on the other folds (``exact_folds``)?"""
    fold = fold_numbers(len(same), folds)
    decided: Bools = (scores > exact_folds(scores, same, fold).thresholds[fold]) == same
    return decided


def rank(maps: Doubles) -> Estimate:
    """How many independent things the cells of maps (N, H, W) say: 1 to H x W.

    exp of the entropy of the spectrum of the cosines' covariance, normalised to the sum 1 (effective rank: Roy and
    Vetterli, EUSIPCO 2007). NaN where nothing varies.
    """
    x = maps.reshape(len(maps), -1)
    x = x - x.mean(0)

    def statistic(w: Doubles) -> Doubles:
        means = w @ x
        second = np.stack([(x * row[:, None]).T @ x for row in w])
        values = np.linalg.eigvalsh(second - means[:, :, None] * means[:, None]).clip(0)
        total = values.sum(1, keepdims=True)
        share = np.divide(values, total, out=np.full_like(values, np.nan), where=total > 0)
        entropy = -(share * np.log(np.where(share == 0, 1, share))).sum(1)
        result: Doubles = np.exp(entropy)
        return result

    return estimate(statistic, len(x), resamples=_RESAMPLES_OF_RANK)


def kept(clean: Doubles, other: Doubles, changed: Doubles, chosen: Any = np.s_[:]) -> Estimate:
    """Share of the cells' evidence for one person that stays in changed pictures.

    clean, other, changed : (N, C) cosines beside A's second picture: of A, of B, and of the two blended. The share
        of a cell is (mean changed - mean other) / (mean clean - mean other); NaN for a cell that tells nothing.
    chosen : index of the cells whose shares are averaged -> a number; None: each cell for itself -> (C,)
    """
    least = LEAST_EVIDENCE * other.std(0)

    def statistic(w: Doubles) -> Doubles:
        base = w @ other
        evidence = w @ clean - base
        share = np.divide(w @ changed - base, evidence, out=np.full_like(base, np.nan), where=evidence > least)
        if chosen is None:
            return share
        known = ~np.isnan(share[:, chosen])
        total = np.where(known, share[:, chosen], 0).sum(1)
        result: Doubles = np.divide(total, known.sum(1), out=np.full(len(w), np.nan), where=known.any(1))
        return result

    return estimate(statistic, len(clean))


def area_under_curve(maps: Doubles, covered: Bools, free: Bools) -> Doubles:
    """(N, C) values -> (N,): how often a covered cell stands above a free one, a draw counting half (Mann-Whitney).

    NaN where the grid has none of either kind.
    """
    need("measuring cells", "scipy")
    from scipy.stats import mannwhitneyu

    n, m = int(covered.sum()), int(free.sum())
    if not n * m:
        return np.full(len(maps), np.nan)
    # Of the test itself nothing is used: its cheapest way.
    result: Doubles = mannwhitneyu(maps[:, covered], maps[:, free], axis=1, method="asymptotic").statistic / (n * m)
    return result


def repeated(first: Doubles, second: Doubles) -> tuple[Estimate, Estimate]:
    """How well maps (N, H, W) of N pairs of people agree with maps of other pictures of the same, and the control.

    Pearson's correlation of the two maps of a pair, after each map's mean and each cell's mean over the pairs were
    taken off; the control correlates with the map of another pair. NaN where maps do not vary.
    """
    flat = [maps.reshape(len(maps), -1) for maps in (first, second)]
    flat = [x - x.mean(1, keepdims=True) for x in flat]
    flat = [x - x.mean(0) for x in flat]

    def correlation(a: Doubles, b: Doubles) -> Estimate:
        norms = np.sqrt(np.square(a).sum(1) * np.square(b).sum(1))
        # Below: what rounding leaves of maps that are flat.
        return mean(np.divide((a * b).sum(1), norms, out=np.full(len(a), np.nan), where=norms > 1e-12))

    return correlation(*flat), correlation(flat[0], np.roll(flat[1], len(first) // 2, axis=0))
