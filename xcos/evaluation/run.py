"""Runs benchmarks: ``xcos.evaluate``, ``xcos.compare_models``."""

from __future__ import annotations

import dataclasses
import logging
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..base.extras import need
from ..datasets import Pairs, read
from ..recognition.features import Features
from ..recognition.model import Model
from ..recognition.shipped import ModelLike, as_model
from ..storage.progress import Progress
from . import cache as feature_cache
from . import protocol
from .cache import Seen
from .report import Report
from .table import Table

Metric = str | Callable[[Features, Features], ArrayLike]
Threshold = float | str | None
DataLike = Pairs | str | os.PathLike[str]
METRICS = ("xcos", "cosine")
CHUNK = 4096  # pairs compared at a time; 50 MB of grids
DENSE = 0.25  # share of a product from which all of it is cheaper than its pairs
ROWS = 256  # of a product at a time


def evaluate(
    model: ModelLike,
    dataset: DataLike,
    metric: Metric = "xcos",
    *,
    threshold: Threshold = None,
    flip: bool = False,
    folds: int | None = None,
    cache: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    progress: Progress = None,
) -> Report:
    """Runs a verification benchmark.

    The scores of a function are on a scale of its own: the reference's thresholds, -1 to 1, would mean nothing, so the
    report goes by the exact folds, whose thresholds are the scores themselves.

    Images that can't be used (no face, damaged) are told in ``Report.failed`` and a warning of the log, and their pairs
    are left out. Needs scikit-learn (``pip install xcos[eval]``).

    Parameters
    ----------
    model : Model, str or path, optional
        A Model, a name or a path; None: the default.
    dataset : Pairs, str or path
        Pairs, or the path of a .bin, .csv or bcolz folder (see ``xcos.datasets``).
    metric : str or callable, default "xcos"
        "xcos", "cosine" (plain cosine of the embeddings), or a function that takes the Features of N first and N second
        images and returns N scores, higher for more alike.
    threshold : float or "model", optional
        Judged instead of those that each fold's others choose: a number, or the one that ``verify`` uses (for "cosine"
        the one that the model file has for it). Accuracy, mistakes and rates of groups are then told at it.
    flip : bool, default False
        Features are the mean of those of an image and of its mirror image (grids mirrored back).
    folds : int, optional
        In the order of the pairs; None: as many as the data set says.
    cache : str or path, optional
        Folder in which features are kept, for the next run; keyed by the network and the images themselves.
    threads : int, optional
        Threads at most; None: XCOS_NUM_THREADS, else what CPU affinity and cgroup quota leave.
    progress : bool or callable, optional
        True: a bar by tqdm; a function: called as progress(images done, images).

    Returns
    -------
    Report
        Figures, curves, mistakes.

    Raises
    ------
    ValueError
        There are not pairs of both kinds, or fewer than folds; or the threshold is no finite number or one that the
        model does not have.
    OSError
        A file can't be read.

    Examples
    --------
    >>> import xcos
    >>> report = xcos.evaluate(None, "examples/pairs.csv", folds=3)
    >>> report.images, report.failed, round(report.eer, 2)
    (4, (), 0.0)
    """
    need("evaluation", "sklearn", "scipy")
    model, pairs = as_model(model), as_pairs(dataset, folds)
    seen = feature_cache.see(model, pairs, flip=flip, cache=cache, threads=threads, progress=progress)
    return report(model, pairs, seen, metric, threshold=threshold, flip=flip, threads=threads)


def compare_models(
    models: ModelLike | Sequence[ModelLike] | Mapping[str, ModelLike],
    datasets: DataLike | Sequence[DataLike],
    metrics: Metric | Sequence[Metric] = METRICS,
    *,
    threshold: Threshold = None,
    flip: bool = False,
    folds: int | None = None,
    cache: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    progress: Progress = None,
) -> Table:
    """Evaluates every model and metric on every data set.

    Each model sees each image once, whatever the number of metrics.

    Parameters
    ----------
    models : ModelLike or sequence of ModelLike or Mapping[str, ModelLike]
        One or several; a mapping names them.
    datasets : DataLike or sequence of DataLike
        One or several, as in :func:`evaluate`.
    metrics : str, callable or sequence
        One or several, as in :func:`evaluate`.
    threshold : float or "model", optional
        As in :func:`evaluate`.
    flip : bool, default False
        Features are the mean of those of an image and of its mirror image.
    folds : int, optional
        In the order of the pairs; None: as many as the data set says.
    cache : str or path, optional
        Folder in which features are kept, for the next run; keyed by the network and the images themselves.
    threads : int, optional
        Threads at most; None: XCOS_NUM_THREADS, else what CPU affinity and cgroup quota leave.
    progress : bool or callable, optional
        True: a bar by tqdm; a function: called as progress(images done, images).

    Returns
    -------
    Table
        One row for each report.

    Raises
    ------
    ValueError
        As in :func:`evaluate`.
    OSError
        A file can't be read.

    Examples
    --------
    >>> import xcos
    >>> table = xcos.compare_models({"whole": xcos.load(), "cells": xcos.load(whole=0)}, "examples/pairs.csv", folds=3)
    >>> [(report.model, report.metric) for report in table]
    [('whole', 'xcos'), ('whole', 'cosine'), ('cells', 'xcos'), ('cells', 'cosine')]
    """
    need("evaluation", "sklearn", "scipy")
    if isinstance(models, Mapping):
        named = [(name, as_model(model)) for name, model in models.items()]
    else:
        listed = models if isinstance(models, (list, tuple)) else [models]
        named = [(model.name, model) for model in map(as_model, listed)]
    sets: list[Any] = list(datasets) if isinstance(datasets, (list, tuple)) else [datasets]
    chosen: list[Any] = list(metrics) if isinstance(metrics, (list, tuple)) else [metrics]
    reports = []
    for pairs in [as_pairs(dataset, folds) for dataset in sets]:
        for name, model in named:
            seen = feature_cache.see(model, pairs, flip=flip, cache=cache, threads=threads, progress=progress)
            how: dict[str, Any] = {"threshold": threshold, "flip": flip, "threads": threads, "name": name}
            reports += [report(model, pairs, seen, m, **how) for m in chosen]
    return Table(reports)


def check_metric(metric: Metric) -> None:
    """Raises ValueError for a name that is none."""
    if isinstance(metric, str) and metric not in METRICS:
        raise ValueError(f"metric: expected 'xcos', 'cosine' or a function, got {metric!r}")


def metric_name(metric: Metric) -> str:
    """What a metric is called in tables."""
    return metric if isinstance(metric, str) else getattr(metric, "__name__", type(metric).__name__)


def report(
    model: Model, pairs: Pairs, seen: Seen, metric: Metric, *, threshold: Threshold = None, flip: bool = False,
    threads: int | None = None, name: str | None = None,
) -> Report:
    """The Report of one metric, from the features of the images."""
    given = None if threshold is None else threshold_of(model, metric, threshold)
    if seen.failed:
        logging.getLogger("xcos").warning(
            "%s: %d of %d images could not be used, their pairs are left out; the first: %s",
            pairs.name, len(seen.failed), len(pairs.used), seen.failed[0][1],
        )
    first, second = seen.position[pairs.first], seen.position[pairs.second]
    index = np.flatnonzero((first >= 0) & (second >= 0))
    begin = time.perf_counter()
    scores = compare(model, seen.features, first[index], second[index], metric, threads)
    took = time.perf_counter() - begin
    same = pairs.same[index]
    fold = protocol.fold_numbers(len(pairs), pairs.folds)[index]
    if one_kind := sum(len(np.unique(same[fold == k])) < 2 for k in range(pairs.folds)):
        logging.getLogger("xcos").warning(
            "%s: %d of %d folds have pairs of one kind alone; are its pairs in another number of folds? (folds=)",
            pairs.name, one_kind, pairs.folds,
        )
    curve = protocol.roc(scores, same)
    title = metric_name(metric)
    calibration = model.calibration
    calibrated = calibration.scores.get(title) if calibration else None
    return Report(
        model=name or model.name, dataset=pairs.name, metric=title, index=index, scores=scores, same=same,
        reference=None if callable(metric) else protocol.reference_folds(scores, same, fold),
        exact=protocol.exact_folds(scores, same, fold),
        fixed=None if given is None else protocol.fixed_folds(scores, same, fold, given),
        roc=curve, auc=protocol.area(curve), eer=protocol.equal_error_rate(curve),
        tar_at_far=protocol.tar_at_far(curve, int((~same).sum())),
        llr=calibrated(scores) if calibrated else None,
        failed=tuple((pairs.names[i], message) for i, message in seen.failed), images=len(pairs.used),
        seconds={"features": seen.seconds, "compare": took}, flip=flip, pairs=pairs, model_=model,
    )  # fmt: skip


def threshold_of(model: Model, metric: Metric, threshold: float | str) -> float:
    """The number given, or the model's own for a metric. Raises ValueError where there is none."""
    if threshold == "model":
        known = {**(model.file.thresholds or {}), "xcos": model.threshold}
        if not isinstance(metric, str) or metric not in known:
            raise ValueError(f"threshold: model {model.name!r} has none for the metric {metric!r}; expected a number")
        return float(known[metric])
    if isinstance(threshold, str) or not math.isfinite(threshold):
        raise ValueError(f"threshold: expected a finite number or 'model', got {threshold!r}")
    return float(threshold)


def compare(
    model: Model, features: Features, first: NDArray[np.intp], second: NDArray[np.intp], metric: Metric,
    threads: int | None,
) -> NDArray[np.floating[Any]]:
    """(N,) scores of features[first[i]] with features[second[i]], some thousand at a time.

    float32; float64 of a function, whose scores may lie closer than float32 tells apart.
    """
    check_metric(metric)
    if isinstance(metric, str) and len(first) >= DENSE * _distinct(first) * _distinct(second) > CHUNK:
        return _compare_blocks(model, features, first, second, metric, threads)
    scores = []
    for start in range(0, len(first), CHUNK):
        a, b = (features[which[start : start + CHUNK]] for which in (first, second))
        if callable(metric):
            part: NDArray[np.floating[Any]] = np.asarray(metric(a, b), np.float64)
            if part.shape != (len(a),):
                raise ValueError(f"metric: expected {len(a)} scores from the function, got the shape {part.shape}")
            if not np.isfinite(part).all():
                raise ValueError("metric: the function gave NaN or infinity")
        else:
            compared = model.compare(a, b, maps=False, threads=threads)
            part = compared.score if metric == "xcos" else compared.cosine
        scores.append(part)
    return np.concatenate(scores) if scores else np.empty(0, np.float32)


def _distinct(index: NDArray[np.intp]) -> int:
    return len(np.unique(index))


def _compare_blocks(
    model: Model, features: Features, first: NDArray[np.intp], second: NDArray[np.intp], metric: str,
    threads: int | None,
) -> NDArray[np.floating[Any]]:
    """As `compare`, where pairs are most of a product: some rows of it at a time, each picture's grid read once."""
    scores = np.empty(len(first), np.float32)
    order = np.argsort(first, kind="stable")
    rows = np.unique(first)
    for start in range(0, len(rows), ROWS):
        block = rows[start : start + ROWS]
        chosen = order[slice(*np.searchsorted(first[order], [block[0], block[-1] + 1]))]
        columns, column = np.unique(second[chosen], return_inverse=True)
        a, b = features[block], features[columns]
        if metric == "xcos":
            product = model.compare_all(a, b, threads=threads)
        else:
            x, y = (f.embedding.astype(np.float64) for f in (a, b))
            x, y = (v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), np.finfo(float).tiny) for v in (x, y))
            product = (x @ y.T).astype(np.float32)
            if not np.isfinite(product).all():
                raise ValueError("embedding: holds NaN or infinity; expected finite features")
        scores[chosen] = product[np.searchsorted(block, first[chosen]), column]
    return scores


def as_pairs(dataset: DataLike, folds: int | None = None) -> Pairs:
    pairs = dataset if isinstance(dataset, Pairs) else read(dataset)
    return pairs if folds is None else dataclasses.replace(pairs, folds=folds)
