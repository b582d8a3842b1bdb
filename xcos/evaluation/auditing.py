"""Runs audits: ``xcos.audit``."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..base.extras import need
from ..datasets.groups import GroupsLike, Labels, labels_of
from ..recognition.shipped import ModelLike, as_model
from ..storage.progress import Progress
from . import cache as feature_cache
from .audited import Audit
from .differential import audit_of, people_of_pairs
from .dyads import check_confidence
from .protocol import threshold_at
from .run import METRICS, DataLike, Metric, as_pairs, check_metric, compare, metric_name, threshold_of


def audit(
    pairs: DataLike,
    groups: GroupsLike = None,
    model: ModelLike = None,
    *,
    columns: str | Sequence[str] | None = None,
    people: str | None = None,
    metric: Metric | Sequence[Metric] = METRICS,
    threshold: float | None = None,
    at_fmr: float | None = None,
    confidence: float = 0.95,
    cache: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    progress: Progress = None,
) -> Audit:
    """Error rates of groups of people at one threshold for all, with intervals, and the worst group against the best.

    A pair is of a group where both its pictures are; pairs of two groups, which are easier, are told apart. Pairs that
    share people say less than their number: intervals are Wilson's, for as many pairs as the variance of Aronow, Samii
    and Assenova (Political Analysis 23, 2015) says they are worth.

    Parameters
    ----------
    pairs : Pairs, str or path
        As in :func:`evaluate`; of one person, of two, or both. Every pair of a collection: ``xcos.datasets.all_pairs``.
    groups : dict, str or path, optional
        Which groups their pictures are of, as in ``xcos.datasets.with_groups``; None: the pairs' own columns.
    model : Model, str or path, optional
        A Model, a name or a path; None: the default.
    columns : str or sequence of str, optional
        Of the groups; None: all.
    people : str, optional
        A column that says whom pictures show. None: pictures that pairs of one person join are one person's, each other
        one somebody else's.
    metric : str, callable or sequence, default ("xcos", "cosine")
        One or several, as in :func:`evaluate`.
    threshold : float, optional
        For all metrics; None: each metric's own in the model.
    at_fmr : float, optional
        In place of a threshold, the lowest at which so many of the pairs of two people at hand, all groups together,
        are taken for one.
    confidence : float, default 0.95
        Of the intervals.
    cache : str or path, optional
        Folder in which features are kept, for the next run; keyed by the network and the images themselves.
    threads : int, optional
        Threads at most; None: XCOS_NUM_THREADS, else what CPU affinity and cgroup quota leave.
    progress : bool or callable, optional
        True: a bar by tqdm; a function: called as progress(images done, images).

    Returns
    -------
    Audit
        Rates, ratios, tables, pictures.

    Raises
    ------
    ValueError
        The groups do not fit the pairs; both `threshold` and `at_fmr` are given; `at_fmr` is no rate or less than one
        of the pairs; the model has no threshold of a metric; no pair could be used.
    OSError
        A file can't be read.

    Examples
    --------
    >>> import xcos
    >>> audit = xcos.audit("examples/pairs.csv", {"place": ["studio", "congress", "studio", "studio"]})
    >>> audit.columns, audit.of("xcos", "false match")[0].pairs
    (['place'], 3)
    """
    need("an audit", "scipy")
    check_confidence(confidence)
    listed: list[Any] = list(metric) if isinstance(metric, (list, tuple)) else [metric]
    for one in listed:
        check_metric(one)
    if threshold is not None and at_fmr is not None:
        raise ValueError(f"expected threshold or at_fmr, got both: {threshold} and {at_fmr}")
    model, pairs = as_model(model), as_pairs(pairs)
    labels = labels_of(pairs, groups, [columns] if isinstance(columns, str) else columns, people=people)
    who = people_of_pairs(pairs, labels.pop(people) if people else None)
    if not labels:
        raise ValueError(f"{pairs.name}: the groups have no column but {people!r}; expected one of groups")
    if at_fmr is None:
        chosen = "model" if threshold is None else threshold
        given = {metric_name(m): threshold_of(model, m, chosen) for m in listed}
    else:
        threshold_at(np.zeros(len(pairs)), pairs.same, at_fmr)  # a rate that cannot be is told before the work
    seen = feature_cache.see(model, pairs, flip=False, cache=cache, threads=threads, progress=progress)
    first, second = seen.position[pairs.first], seen.position[pairs.second]
    kept = (first >= 0) & (second >= 0)
    failed = tuple((pairs.names[i], message) for i, message in seen.failed)
    if failed:
        logging.getLogger("xcos").warning("%s: %d images could not be used; the first: %s", pairs.name, len(failed),
                                          failed[0][1])  # fmt: skip
    if not kept.any():
        raise ValueError(f"{pairs.name}: none of {len(pairs)} pairs can be used; the first failure: {failed[0][1]}"
                         if failed else f"{pairs.name}: holds no pairs")  # fmt: skip
    same = pairs.same[kept]
    scores = {metric_name(m): compare(model, seen.features, first[kept], second[kept], m, threads) for m in listed}
    source = f"the model's: {model.file.thresholds_from}" if threshold is None else "given"
    if at_fmr is not None:
        given = {name: threshold_at(values, same, at_fmr) for name, values in scores.items()}
        source = f"FMR {at_fmr:g} on these pairs"
    labels = {name: Labels(one.groups, one.codes[kept]) for name, one in labels.items()}
    return audit_of(model.name, pairs.name, scores, given, source, same, labels, who[kept], confidence, failed)
