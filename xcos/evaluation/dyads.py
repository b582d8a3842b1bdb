"""Errors among pairs that share people: how many independent pairs they are worth, and intervals for that.

Two pairs with a person in common are not independent: who is easily taken for one stranger is so for the next. The
variance of a rate over such pairs is that of Aronow, Samii and Assenova (Cluster-robust variance estimation for dyadic
data, Political Analysis 23, 2015): the products of residuals are summed over all pairs of pairs that share a person.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]
_FAR = 40.0  # no ratio of counts has a logarithm beyond


class Tally(NamedTuple):
    """What N pairs tell of a rate.

    errors, pairs, people   counts
    meetings                ordered pairs of two pairs that share a person
    covariance              their mean product of residuals, freed of the bias that the estimated rate brings
    apart                   pairs of which no two share a person, at least so many
    """

    errors: int
    pairs: int
    people: int
    meetings: int
    covariance: float
    apart: int

    @property
    def rate(self) -> float:
        return self.errors / self.pairs

    @property
    def variance(self) -> float:
        """Of one pair."""
        return self.rate * (1 - self.rate)


def tally(wrong: NDArray[np.bool_], people: NDArray[np.integer]) -> Tally:
    """Counts of N pairs, 1 or more.

    wrong   (N,) is the pair decided wrongly?
    people  (N, 2) numbers from 0 (a million, not billions) of the two people of each pair; equal where both pictures
            show one
    """
    n, errors, size = len(wrong), int(wrong.sum()), int(people.max()) + 1
    one, other = np.sort(people, axis=1).astype(np.int64).T
    two = one != other
    # Pairs of the same two people share both, and would count twice.
    dyad, dyads = np.unique(one * size + other, return_inverse=True)
    of_two = dyad // size != dyad % size

    def sums(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        person = np.bincount(one, values, size) + np.bincount(other[two], values[two], size)
        both: NDArray[np.float64] = np.bincount(dyads, values, len(dyad))[of_two].astype(np.float64)
        return person.astype(np.float64), both

    residual: NDArray[np.float64] = wrong.astype(np.float64) - errors / n
    (count, count_two), (total, total_two) = sums(np.ones(n)), sums(residual)
    meetings = round(np.square(count).sum() - np.square(count_two).sum()) - n
    met = float(np.square(total).sum() - np.square(total_two).sum() - np.square(residual).sum())
    # The rate is the mean of these very pairs: each product is too low by its variance, (N v + C) / N².
    v = errors / n * (1 - errors / n)
    share = meetings / n**2
    covariance = (met + share * n * v) / (1 - share) / meetings if 0 < meetings and share < 1 else 0.0
    most = int(np.bincount(np.concatenate([dyad // size, (dyad % size)[of_two]])).max())
    # Vizing: the edges of a graph fall into at most `most` + 1 classes in which no two meet.
    apart = len(dyad) if most == 1 else -(-len(dyad) // (most + 1))
    return Tally(errors, n, int((count > 0).sum()), meetings, covariance, apart)


def effective(tallies: Sequence[Tally]) -> list[float]:
    """How many independent pairs each group's are worth: N / (1 + correlation x meetings / N).

    The correlation is the group's own or that of all groups together, whichever is greater: that of a few errors is not
    known. Where there is no error at all, nothing is known of it: then the pairs that share nobody count.
    """
    weight = sum(t.meetings * t.variance for t in tallies)
    if not any(t.variance for t in tallies):
        return [float(t.apart) for t in tallies]
    pooled = sum(t.meetings * t.covariance for t in tallies) / weight if weight else 0.0
    found = []
    for t in tallies:
        own = t.covariance / t.variance if t.variance else 0.0
        found.append(t.pairs / (1 + max(own, pooled, 0.0) * t.meetings / t.pairs))
    return found


def check_confidence(confidence: float) -> None:
    """Raises ValueError unless it is a share."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: expected a share between 0 and 1, got {confidence}")


def wilson(rate: float, n: float, confidence: float) -> Interval:
    """Wilson's score interval of a rate of n pairs, a whole number or not; sound near 0 and for small groups."""
    z2 = NormalDist().inv_cdf((1 + confidence) / 2) ** 2
    middle = (rate + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * (rate * (1 - rate) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    return (middle - half if rate > 0 else 0.0), (middle + half if rate < 1 else 1.0)


def ratio_interval(first: tuple[float, float], second: tuple[float, float], confidence: float) -> Interval:
    """Interval of the ratio of two rates: those that a score test does not reject (Koopman, Biometrics 40, 1984).

    first, second   rate and number of pairs, a whole number or not

    (0, infinity) where neither has an error; infinity above where the second has none, 0 below where the first has.
    """
    (p, n), (q, m) = first, second
    if not p and not q:
        return 0.0, math.inf
    x, y = p * n, q * m
    limit = NormalDist().inv_cdf((1 + confidence) / 2) ** 2

    def kept(log: float) -> bool:
        """Is this a ratio, given by its logarithm, that the test does not reject?"""
        ratio = math.exp(log)
        # The likeliest second rate if it were: the smaller root of a quadratic, without a difference of equals.
        b, c = ratio * (n + y) + x + m, x + y
        low = 2 * c / (b + math.sqrt(max(b * b - 4 * ratio * (n + m) * c, 0.0)))
        return _score(x, n, low * ratio) + _score(y, m, low) <= limit

    def edge(inside: float, outside: float) -> float:
        while abs(outside - inside) > 1e-9:
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if kept(middle) else (inside, middle)
        return math.exp(inside)

    found = math.log(p / q) if p and q else _FAR if p else -_FAR
    return edge(found, -_FAR) if p else 0.0, edge(found, _FAR) if q else math.inf


def _score(x: float, n: float, rate: float) -> float:
    """The square of how far x of n is from its expectation, in standard deviations."""
    square, variance = (x - n * rate) ** 2, n * rate * (1 - rate)
    if variance > 0:
        return square / variance
    return math.inf if square > 1e-9 else 0.0
