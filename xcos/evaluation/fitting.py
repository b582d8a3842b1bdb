"""Measures what scores are worth: ``xcos.calibrate``. Applying it is calibration.py's part."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.extras import need
from ..measured.calibration import UNDECIDED, Calibration, CellStatistics, ScoreCalibration
from ..recognition.features import Features
from ..recognition.model import Model
from ..recognition.shipped import ModelLike, as_model
from ..storage.progress import Progress
from . import cache as feature_cache
from . import protocol
from .differential import people_of_pairs
from .run import CHUNK, METRICS, DataLike, as_pairs, compare

METHODS = ("logistic", "isotonic", "robust")
_CALIBRATED_ON = ", calibrated on "  # between a model's name and that of the data
# A cell that hardly varies over the pairs would count any other cosine as proof.
LEAST_DEVIATION = 0.01
# Of the interval: refits to pairs drawn anew, and scores at which it is kept.
REFITS, PLACES = 200, 33


def calibrate(
    model: ModelLike,
    dataset: DataLike,
    *,
    method: str = "logistic",
    metrics: Sequence[str] = METRICS,
    undecided: float = UNDECIDED,
    folds: int | None = None,
    cache: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    progress: Progress = None,
    name: str | None = None,
) -> Model:
    """A copy of the model that knows what its scores are worth, measured on `dataset`; ``save`` keeps it.

    Scores become log-likelihood ratios (``v.llr``, ``v.probability(prior)``). Pairs of one person and of two weigh the
    same, so that no prior odds slip in. Means and deviations of each cell's cosines, for one person and for two, give
    ``e.evidence``. Neither says more than so many pairs can support (:func:`supported`), and ``v.llr_interval`` says
    how sure the ratio is: 95 % of refits to people drawn anew.

    ``model.calibration.scores["xcos"].cllr`` tells the cost, each fold being judged by the others. What holds on
    `dataset` holds for photographs like its own: measure on yours. Needs scikit-learn (``pip install xcos[eval]``).

    Parameters
    ----------
    model : Model, str or path, optional
        A Model, a name or a path; None: the default.
    dataset : Pairs, str or path
        Pairs, or the path of a .bin, .csv or bcolz folder.
    method : str, default "logistic"
        "logistic" regression; "robust": logistic, where a share of the pairs of one person, which is estimated, may be
        of two, as where names were gathered from the web; "isotonic": any monotone map, bounded by one imagined error
        at either end.
    metrics : sequence of str, optional
        The scores to calibrate, of "xcos" and "cosine".
    undecided : float, default 10
        Likelihood ratios from 1/undecided to undecided are no decision (``v.undecided``); 1: there is always one.
    folds : int, optional
        In the order of the pairs; None: as many as the data set says.
    cache : str or path, optional
        Folder in which features are kept, for the next run; keyed by the network and the images themselves.
    threads : int, optional
        Threads at most; None: XCOS_NUM_THREADS, else what CPU affinity and cgroup quota leave.
    progress : bool or callable, optional
        True: a bar by tqdm; a function: called as progress(images done, images).
    name : str, optional
        Of the copy; None: the model's, and on what it was calibrated.

    Returns
    -------
    Model
        The model, calibrated.

    Raises
    ------
    ValueError
        The method or a metric is unknown, `undecided` is below 1, or there are not pairs of both kinds in each fold.
    OSError
        A file can't be read.

    Examples
    --------
    >>> import xcos
    >>> pairs = xcos.datasets.read_csv("examples/pairs.csv", folds=3)
    >>> model = xcos.calibrate(None, pairs)
    >>> model.name, sorted(model.calibration.scores)
    ('mobilefacenet_xcos_v2, calibrated on pairs', ['cosine', 'xcos'])
    """
    need("calibration", "sklearn")
    if method not in METHODS:
        raise ValueError(f"method: expected 'logistic', 'isotonic' or 'robust', got {method!r}")
    if not 1 <= undecided < math.inf:
        raise ValueError(f"undecided: expected a likelihood ratio of at least 1, got {undecided}")
    model, pairs = as_model(model), as_pairs(dataset, folds)
    seen = feature_cache.see(model, pairs, flip=False, cache=cache, threads=threads, progress=progress)
    first, second = seen.position[pairs.first], seen.position[pairs.second]
    kept = (first >= 0) & (second >= 0)
    first, second, same = first[kept], second[kept], pairs.same[kept]
    fold = protocol.fold_numbers(len(pairs), pairs.folds)[kept]
    people = people_of_pairs(pairs)[kept, 0]
    scores = {}
    for metric in metrics:
        values = compare(model, seen.features, first, second, metric, threads).astype(np.float64)
        protocol.roc(values, same)  # asks for pairs of both kinds
        judged = held_out(values, same, fold, method)
        parameters = fit(values, same, method)
        bounds = supported(judged, same, parameters.get("mislabelled", 0.0))
        scores[metric] = ScoreCalibration(
            method, parameters, pairs.name, len(values),
            protocol.cllr(np.clip(judged, *bounds), same), protocol.min_cllr(values, same),
            bounds, _interval(values, same, method, people),
        )  # fmt: skip
    cells = _cells(model, seen.features, first, second, same, threads)
    if name is None:
        name = f"{model.name.partition(_CALIBRATED_ON)[0]}{_CALIBRATED_ON}{pairs.name}"
    calibration = Calibration(scores, cells, float(undecided)).to_dict()
    return Model(dataclasses.replace(model.file, name=name, calibration=calibration), precision=model.precision)


def fit(scores: NDArray[np.float64], same: NDArray[np.bool_], method: str) -> Mapping[str, Any]:
    """The parameters of a ScoreCalibration."""
    if method == "isotonic":
        return _isotonic(scores, same)
    if method == "robust":
        return _robust(scores, same)
    need("calibration", "sklearn")
    from sklearn.linear_model import LogisticRegression

    # So weak a penalty shifts the slope by less than a thousandth, and keeps it finite for scores that separate.
    # Newton's steps need a tenth of the default solver's time with one column, and the interval needs many fits.
    regression = LogisticRegression(C=1e6, class_weight="balanced", solver="newton-cholesky")
    found = regression.fit(scores[:, None], same)
    return {"slope": float(found.coef_[0, 0]), "offset": float(found.intercept_[0])}


def _robust(scores: NDArray[np.float64], same: NDArray[np.bool_]) -> Mapping[str, Any]:
    """Logistic regression of labels of which a share e of those of one person is wrong: such pairs are as of two, so
    that the ratio of the labelled ones is (1 - e) * ratio + e, which never falls below e."""
    need("calibration", "scipy")
    from scipy.optimize import minimize
    from scipy.special import expit

    weights = protocol.balanced(same) / len(same)

    def loss(at: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        slope, offset, wrong = at
        e = expit(wrong)
        ratio = np.exp(np.minimum(slope * scores + offset, 500.0))
        labelled = (1 - e) * ratio + e
        # The cost is log(1 + 1/labelled) of a pair of one person, log(1 + labelled) of one of two.
        cost = np.log1p(labelled) - np.where(same, np.log(labelled), 0.0)
        pull = weights * (1 / (1 + labelled) - np.where(same, 1 / labelled, 0.0))
        steep = pull * (1 - e) * ratio
        return float(weights @ cost), np.array([steep @ scores, steep.sum(), pull @ (1 - ratio) * e * (1 - e)])

    plain = fit(scores, same, "logistic")
    # From one in a hundred on; as many as one in two could not be told from pairs that are hard.
    found = minimize(loss, [plain["slope"], plain["offset"], -4.6], jac=True, method="L-BFGS-B",
                     bounds=[(0, None), (None, None), (-14, 0)])  # fmt: skip
    slope, offset, wrong = found.x
    return {"slope": float(slope), "offset": float(offset), "mislabelled": float(expit(wrong))}


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


def supported(
    llr: NDArray[np.float64], same: NDArray[np.bool_], mislabelled: float = 0.0
) -> tuple[float, float]:
    """The least and the greatest log-likelihood ratio that the pairs can support.

    Empirical lower and upper bounds (ELUB; Vergeer, van Es, de Jongh, Alberink and Stoel, Science & Justice 56, 2016):
    a ratio is believed as far as decisions at that threshold cost less than decisions without any evidence, although
    one more pair of each kind had gone wholly wrong.

    Where some of the pairs of one person are of two, these have the low ratios of two people and would hide how rarely
    one person has them. So, below each ratio, as many as there would be are taken away: the share that is mislabelled,
    times the share of the pairs of two people there. (The bound of the method has no such term; it is ours.)

    Parameters
    ----------
    llr : (N,) ndarray of float64
        Log-likelihood ratios (natural) of the pairs.
    same : (N,) ndarray of bool
        Which pairs are of one person; there are some of both kinds.
    mislabelled : float, default 0
        Share of the pairs of one person that are of two, 0 to less than 1.

    Returns
    -------
    (float, float)
        At most 0, and at least 0; at most the logarithm of one more than there are pairs of the other kind.

    Examples
    --------
    >>> import numpy as np
    >>> same = np.arange(2000) < 1000
    >>> np.exp(supported(np.where(same, 50.0, -50.0), same)[1]).round()  # all is right, but there are 1,000 pairs
    np.float64(999.0)
    """
    return -_greatest(-llr, ~same, mislabelled), _greatest(llr, same)


def _greatest(llr: NDArray[np.float64], same: NDArray[np.bool_], foreign: float = 0.0) -> float:
    """`foreign`: share of the pairs that are not `same` which are, in truth."""
    ones, others = np.sort(llr[same]), np.sort(llr[~same])
    at = np.linspace(0, np.log(len(others) + 1), 4001)  # steps of 0.2 % where there are 3,000 pairs
    below = np.searchsorted(ones, at)
    missed = (below + 1) / (len(ones) + 1)
    own = len(others) - np.searchsorted(others, at) - foreign * len(others) * (1 - below / len(ones))
    passed = (np.maximum(own, 0) + 1) / ((1 - foreign) * len(others) + 1)
    worse = missed + np.exp(at) * passed > 1  # 1: the cost of calling all pairs different
    return float(at[max(int(np.argmax(worse)) - 1, 0)])  # the last one is worse in any case


def _interval(
    scores: NDArray[np.float64], same: NDArray[np.bool_], method: str, people: NDArray[np.intp]
) -> Mapping[str, Any]:
    """Percentiles of refits to as many people, drawn anew from those whom the pairs' first pictures show (N,), with all
    their pairs: who is easily taken for one other is so for the next."""
    from threadpoolctl import threadpool_limits  # scikit-learn needs it, so it is there

    rng, people = np.random.default_rng(0), np.unique(people, return_inverse=True)[1]
    count, at = int(people.max()) + 1, np.linspace(scores.min(), scores.max(), PLACES)
    found: list[NDArray[np.float64]] = []
    with threadpool_limits(1, "blas"):  # with so few scores threads do nothing but wait for each other
        while len(found) < REFITS:
            times = np.bincount(rng.integers(count, size=count), minlength=count)
            drawn = np.repeat(np.arange(len(same)), times[people])
            if 0 < same[drawn].sum() < len(drawn):
                refitted = fit(scores[drawn], same[drawn], method)
                found.append(ScoreCalibration(method, refitted, "", 0, 0.0, 0.0)(at))
    low, high = np.percentile(found, (2.5, 97.5), axis=0)
    return {"scores": at.tolist(), "low": low.tolist(), "high": high.tolist()}


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
    unbounded = CellStatistics(*parts)
    evidence = unbounded.evidence(cosines).astype(np.float64)
    ends = np.apply_along_axis(supported, 0, evidence, same)
    return dataclasses.replace(unbounded, low=ends[0], high=ends[1])
