"""What the cosines of the cells of many pairs say: figures of arrays, whatever they were measured on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..evaluation.protocol import exact_folds, fold_numbers
from .measure import Estimate, estimate

Doubles = NDArray[np.float64]
Bools = NDArray[np.bool_]


def cosine_maps(first: NDArray[Any], second: NDArray[Any]) -> Doubles:
    """Grids (N, D, H, W) twice -> cosines (N, H, W) of each cell; 0 where a cell is the zero vector."""
    dots = np.einsum("ndhw,ndhw->nhw", first, second, dtype=np.float64)
    squares = [np.einsum("ndhw,ndhw->nhw", g, g, dtype=np.float64) for g in (first, second)]
    norms = np.sqrt(squares[0] * squares[1])
    return np.divide(dots, norms, out=np.zeros_like(dots), where=norms > 0)


def right(scores: Doubles, same: Bools, folds: int) -> Bools:
    """(N,): is the pair decided rightly by the threshold that is best on the other folds (``exact_folds``)?"""
    fold = fold_numbers(len(same), folds)
    thresholds = exact_folds(scores, same, fold).thresholds
    decided: Bools = (scores > thresholds[fold]) == same
    return decided


def accuracy(decided: Bools) -> Estimate:
    """Share of pairs (N, ...) decided rightly, of each cell where there are several; the thresholds held fixed."""
    values = decided.astype(np.float64)
    return estimate(lambda w: np.tensordot(w, values, 1), len(values))


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
        with np.errstate(invalid="ignore", divide="ignore"):
            share = values / values.sum(1, keepdims=True)
            entropy = -np.where(share > 0, share * np.log(share), 0 * share).sum(1)
        result: Doubles = np.exp(entropy)
        return result

    return estimate(statistic, len(x))


def kept(clean: Doubles, other: Doubles, changed: Doubles, chosen: Any = np.s_[:]) -> Estimate:
    """Share of each cell's evidence that stays in the changed pictures; its mean over the cells with `chosen`.

    clean, other, changed : (N, C) cosines beside A's second picture, of A, of B, and of the two blended. The share
    is (mean changed - mean other) / (mean clean - mean other); NaN for a cell that finds A no more like A than B is.
    chosen : index of cells whose shares are averaged -> a number; all of them one by one: None -> (C,).
    """

    def statistic(w: Doubles) -> Doubles:
        base = w @ other
        evidence = w @ clean - base
        share = np.divide(w @ changed - base, evidence, out=np.full_like(base, np.nan), where=evidence > 0)
        if chosen is None:
            return share
        picked = share[:, chosen]
        known = ~np.isnan(picked)
        total = np.where(known, picked, 0).sum(1)
        return np.divide(total, known.sum(1), out=np.full(len(w), np.nan), where=known.any(1))

    return estimate(statistic, len(clean))
