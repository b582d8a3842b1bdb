"""Measures what the face as a whole may count: thresholds and accuracies of a score by w. whole.py applies them."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from ..datasets import Pairs
from ..measured.whole import WholeCurve
from ..recognition.model import Model
from ..recognition.shipped import ModelLike, as_model
from ..storage.progress import Progress
from . import cache as feature_cache
from . import protocol
from .cache import Seen
from .run import DataLike, as_pairs, compare

GRID = np.arange(21) / 20  # 0, 0.05 ... 1


def whole_curve(
    model: ModelLike,
    dataset: DataLike,
    *,
    folds: int | None = None,
    cache: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    progress: Progress = None,
) -> WholeCurve:
    """Thresholds and accuracies of a model for w = 0, 0.05 ... 1: what ``Model.with_whole`` needs.

    ``dataclasses.replace(model.file, whole_curve=curve.to_dict())`` keeps it in a model file. Accuracies are K-fold by
    the reference protocol.

    Parameters
    ----------
    model : Model, str or path, optional
        A Model, a name or a path; None: the default.
    dataset : Pairs, str or path
        As in :func:`xcos.evaluate`.
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
    WholeCurve
        By w.

    Raises
    ------
    ValueError
        As in :func:`xcos.evaluate`.
    OSError
        A file can't be read.

    Examples
    --------
    >>> import xcos
    >>> pairs = xcos.datasets.read_csv("examples/pairs.csv", folds=3)
    >>> curve = xcos.evaluation.whole_curve(None, pairs)
    >>> curve.pairs
    6
    """
    model, pairs = as_model(model), as_pairs(dataset, folds)
    seen = feature_cache.see(model, pairs, flip=False, cache=cache, threads=threads, progress=progress)
    return curve_from(model, pairs, seen, threads)


def curve_from(model: Model, pairs: Pairs, seen: Seen, threads: int | None = None) -> WholeCurve:
    """The curve of pairs whose features are there already."""
    first, second = seen.position[pairs.first], seen.position[pairs.second]
    kept = (first >= 0) & (second >= 0)
    first, second, same = first[kept], second[kept], pairs.same[kept]
    protocol.roc(np.zeros(len(same)), same)  # asks for pairs of both kinds
    local = compare(model.with_whole(0, threshold=0), seen.features, first, second, "xcos", threads)
    cosine = compare(model, seen.features, first, second, "cosine", threads)
    fold = protocol.fold_numbers(len(pairs), pairs.folds)[kept]
    return curve_of(local, cosine, same, fold, pairs.name)


def curve_of(
    local: NDArray[np.float32],
    cosine: NDArray[np.float32],
    same: NDArray[np.bool_],
    fold: NDArray[np.intp],
    data: str,
) -> WholeCurve:
    """The curve of pairs (N,) from their scores by the cells alone (w = 0) and their plain cosines."""
    local, cosine = local.astype(np.float64), cosine.astype(np.float64)
    scores = [(1 - w) * local + w * cosine for w in GRID]
    thresholds = np.array([protocol.best_threshold(s, same) for s in scores])
    accuracies = np.array([protocol.reference_folds(s, same, fold).accuracy for s in scores])
    return WholeCurve(GRID, np.clip(thresholds, -1, 1), accuracies, data, len(same))
