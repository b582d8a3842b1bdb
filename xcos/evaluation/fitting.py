"""Measures what scores are worth: ``xcos.calibrate``. Applying it is calibration.py's part."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.extras import need
from ..measured.calibration import Calibration, CellStatistics, ScoreCalibration
from ..recognition.features import Features
from ..recognition.model import Model
from ..recognition.shipped import ModelLike, as_model
from ..storage.progress import Progress
from . import cache as feature_cache
from . import protocol
from .run import CHUNK, METRICS, DataLike, as_pairs, compare

METHODS = ("logistic", "isotonic")
# A cell that hardly varies over the pairs would count any other cosine as proof.
LEAST_DEVIATION = 0.01


def calibrate(
    model: ModelLike,
    dataset: DataLike,
    *,
    method: str = "logistic",
    metrics: Sequence[str] = METRICS,
    folds: int | None = None,
    cache: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    progress: Progress = None,
) -> Model:
    """A copy of the model that knows what its scores are worth, measured on `dataset`; ``save`` keeps it.

    Scores become log-likelihood ratios (``v.llr``, ``v.probability(prior)``). Pairs of one person and of two weigh the
    same, so that no prior odds slip in. Means and deviations of each cell's cosines, for one person and for two, give
    ``e.evidence``.

    ``model.calibration.scores["xcos"].cllr`` tells the cost, each fold being judged by the others. What holds on
    `dataset` holds for photographs like its own: measure on yours. Needs scikit-learn (``pip install xcos[eval]``).

    Parameters
    ----------
    model : Model, str or path, optional
        A Model, a name or a path; None: the default.
    dataset : Pairs, str or path
        Pairs, or the path of a .bin, .csv or bcolz folder.
    method : str, default "logistic"
        "logistic" regression, or "isotonic": any monotone map, bounded by one imagined error at either end.
    metrics : sequence of str, optional
        The scores to calibrate, of "xcos" and "cosine".
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
    Model
        The model, calibrated.

    Raises
    ------
    ValueError
        The method or a metric is unknown, or there are not pairs of both kinds in each fold.
    OSError
        A file can't be read.

    Examples
    --------
    >>> import xcos
    >>> pairs = xcos.datasets.read_csv("examples/pairs.csv", folds=3)
    >>> model = xcos.calibrate(None, pairs)
    >>> sorted(model.calibration.scores)
    ['cosine', 'xcos']
    """
    need("calibration", "sklearn")
    if method not in METHODS:
        raise ValueError(f"method: expected 'logistic' or 'isotonic', got {method!r}")
    model, pairs = as_model(model), as_pairs(dataset, folds)
    seen = feature_cache.see(model, pairs, flip=False, cache=cache, threads=threads, progress=progress)
    first, second = seen.position[pairs.first], seen.position[pairs.second]
    kept = (first >= 0) & (second >= 0)
    first, second, same = first[kept], second[kept], pairs.same[kept]
    fold = protocol.fold_numbers(len(pairs), pairs.folds)[kept]
    scores = {}
    for metric in metrics:
        values = compare(model, seen.features, first, second, metric, threads).astype(np.float64)
        protocol.roc(values, same)  # asks for pairs of both kinds
        scores[metric] = ScoreCalibration(
            method, fit(values, same, method), pairs.name, len(values),
            protocol.cllr(held_out(values, same, fold, method), same), protocol.min_cllr(values, same),
        )  # fmt: skip
    cells = _cells(model, seen.features, first, second, same, threads)
    return Model(dataclasses.replace(model.file, calibration=Calibration(scores, cells).to_dict()))


def fit(scores: NDArray[np.float64], same: NDArray[np.bool_], method: str) -> Mapping[str, Any]:
    """The parameters of a ScoreCalibration."""
    if method == "isotonic":
        return _isotonic(scores, same)
    need("calibration", "sklearn")
    from sklearn.linear_model import LogisticRegression

    # So weak a penalty shifts the slope by less than a thousandth, and keeps it finite for scores that separate.
    found = LogisticRegression(C=1e6, class_weight="balanced").fit(scores[:, None], same)
    return {"slope": float(found.coef_[0, 0]), "offset": float(found.intercept_[0])}


def _isotonic(scores: NDArray[np.float64], same: NDArray[np.bool_]) -> Mapping[str, Any]:
    """Isotonic regression with one imagined pair of the wrong kind at either end, so that no ratio is infinite."""
    need("calibration", "sklearn")
    from sklearn.isotonic import IsotonicRegression

    x = np.concatenate([scores, [scores.min(), scores.max()]])
    y = np.concatenate([same, [True, False]])
    found = IsotonicRegression(out_of_bounds="clip").fit(x, y, protocol.balanced(y))
    return {"scores": found.X_thresholds_.tolist(), "probabilities": found.y_thresholds_.tolist()}


def held_out(
    scores: NDArray[np.float64], same: NDArray[np.bool_], fold: NDArray[np.intp], method: str
) -> NDArray[np.float64]:
    """The log-likelihood ratio of each pair, by the other folds alone."""
    llr = np.empty(len(scores))
    for k in np.unique(fold):
        others = fold != k
        parameters = fit(scores[others], same[others], method)
        llr[~others] = ScoreCalibration(method, parameters, "", 0, 0.0, 0.0)(scores[~others])
    return llr


def _cells(
    model: Model, features: Features, first: NDArray[np.intp], second: NDArray[np.intp], same: NDArray[np.bool_],
    threads: int | None,
) -> CellStatistics:
    maps = []
    for start in range(0, len(first), CHUNK):
        a, b = (features[which[start : start + CHUNK]] for which in (first, second))
        maps.append(model.compare(a, b, threads=threads).cosine_map)
    cosines = np.concatenate([m for m in maps if m is not None]).astype(np.float64)
    parts = []
    for of_kind in (cosines[same], cosines[~same]):
        parts += [of_kind.mean(0), np.maximum(of_kind.std(0), LEAST_DEVIATION)]
    return CellStatistics(*parts)
