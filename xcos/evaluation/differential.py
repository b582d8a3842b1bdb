"""From scores and labels of pairs to an audit: rates of every group, and the worst group's against the best one's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.extras import need
from ..datasets.groups import Labels
from ..datasets.pairs import Pairs
from .audited import ALL, TWO, Audit, AuditRate, Differential
from .dyads import Tally, check_confidence, effective, ratio_interval, tally, wilson
from .protocol import decide

Bools = NDArray[np.bool_]
LEAST = 30  # independent pairs that a group must be worth to be called worst or best


def people_of_pairs(pairs: Pairs, named: Labels | None = None) -> NDArray[np.intp]:
    """(N, 2) numbers from 0 of the people of both pictures of each pair.

    Whom they show is what `named` says; without it, pictures that pairs of one person join are one person's, and each
    other picture is somebody else's.
    """
    count = len(pairs.images)
    images = np.stack([pairs.first, pairs.second], axis=1)
    if named is None:
        need("telling people apart", "scipy")
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import connected_components

        joined = images[pairs.same]
        graph = coo_matrix((np.ones(len(joined), bool), joined.T), (count, count))
        images = connected_components(graph, directed=False)[1][images]
    else:
        images = np.where(named.codes >= 0, named.codes, len(named.groups) + images)
    return np.unique(images, return_inverse=True)[1].reshape(-1, 2)


def audit_of(
    model: str, dataset: str, scores: Mapping[str, NDArray[Any]], thresholds: Mapping[str, float], threshold_from: str,
    same: Bools, labels: Mapping[str, Labels], people: NDArray[np.intp], confidence: float,
    failed: tuple[tuple[str, str], ...],
) -> Audit:
    """The audit of N pairs, 1 or more, from their scores by metric (N,). Labels and people are (N, 2) of them."""
    check_confidence(confidence)
    rates: list[AuditRate] = []
    differentials: list[Differential] = []
    for metric, values in scores.items():
        wrong = decide(values, thresholds[metric]) != same
        for kind, of_kind in (("false match", ~same), ("false non-match", same)):
            if not of_kind.any():
                continue
            own, who = wrong[of_kind], people[of_kind]
            where = (metric, "", kind)
            rates += _rates(where, {ALL: tally(own, who)}, confidence)
            for column, found in labels.items():
                codes, where = found.codes[of_kind], (metric, column, kind)
                both = {
                    group: tally(own[chosen], who[chosen])
                    for i, group in enumerate(found.groups)
                    if (chosen := (codes == i).all(axis=1)).any()
                }
                groups = _rates(where, both, confidence)
                mixed = (codes >= 0).all(axis=1) & (codes[:, 0] != codes[:, 1])
                rates += groups
                if mixed.any():
                    rates += _rates(where, {TWO: tally(own[mixed], who[mixed])}, confidence)
                differentials += _differential(groups, confidence)
    unlabelled = {column: int((found.codes < 0).any(axis=1).sum()) for column, found in labels.items()}
    return Audit(model, dataset, dict(thresholds), threshold_from, confidence, tuple(rates), tuple(differentials),
                 unlabelled, failed)  # fmt: skip


def _rates(where: tuple[str, str, str], tallies: Mapping[str, Tally], confidence: float) -> list[AuditRate]:
    metric, column, kind = where
    worth = effective(list(tallies.values()))
    return [
        AuditRate(metric, column, group, kind, t.errors, t.pairs, t.people, n, t.rate, *wilson(t.rate, n, confidence))
        for (group, t), n in zip(tallies.items(), worth, strict=True)
    ]


def _differential(rates: list[AuditRate], confidence: float) -> list[Differential]:
    """Nothing where fewer than two groups have enough pairs or none has an error."""
    enough = [rate for rate in rates if rate.effective >= LEAST]
    if len(enough) < 2 or not any(rate.errors for rate in enough):
        return []
    # Of equal rates the one that is known best.
    worst = max(enough, key=lambda rate: (rate.rate, rate.effective))
    best = min((rate for rate in enough if rate is not worst), key=lambda rate: (rate.rate, -rate.effective))
    choices = len(enough) * (len(enough) - 1) / 2
    two = (worst.rate, worst.effective), (best.rate, best.effective)
    low, high = ratio_interval(*two, 1 - (1 - confidence) / choices)
    ratio = worst.rate / best.rate if best.rate else float("inf")
    return [Differential(worst.metric, worst.column, worst.kind, worst.group, best.group, worst.rate, best.rate, ratio,
                         low, high, len(enough))]  # fmt: skip
