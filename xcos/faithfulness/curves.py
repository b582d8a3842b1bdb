"""Deletion and insertion: is the decision lost with the pixels that the map names first, and kept by them alone?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..explainers import Explainer
from ..explainers.scoring import NetworkLike, Scores
from .imputation import impute
from .measure import Measure, area, bootstrap
from .pairs import LabelledCrops, Setting, places, prepare, saliency

PERCENT = np.arange(0, 101, 10)  # of the pixels, P


def deletion(
    model: NetworkLike,
    explainer: Explainer,
    pairs: LabelledCrops,
    *,
    fill: str = "black",
    score: Scores | None = None,
    threshold: float | None = None,
) -> Measure:
    """Accuracy while the P % highest pixels of the first image are hidden, P = 0, 10 ... 100; the second untouched.

    Petsiuk et al. 2018 (arXiv 1806.07421), for verification as Lu et al. (arXiv 2305.08546, section 4): accuracy over
    all pairs, area by trapezoids, divided by the range, x 100. Lower is better. Cost: the explanations, and 11 passes a
    pair.

    Parameters
    ----------
    model : Model, Network, str or path, optional
        What decides; a Network has the score "cosine" alone.
    explainer : Explainer
        Makes the maps.
    pairs : LabelledCrops
        What they are made of.
    fill : str, default "black"
        "black", "mean", "blur" or "road" (noisy linear imputation): black squares are no pictures that the network
        knows.
    score : str, optional
        What decides; None: the score that the explainer explains.
    threshold : float, optional
        Of the score; None: equal error on the untouched pairs, candidates: the observed scores.

    Returns
    -------
    Measure
        The area.

    Raises
    ------
    ValueError
        The filling or the score is unknown.

    Examples
    --------
    >>> import xcos
    >>> pairs = xcos.faithfulness.sample(xcos.datasets.read("examples/pairs.csv"), 2)
    >>> measure = xcos.faithfulness.deletion(None, xcos.explainers.XCos(), pairs)
    >>> bool(0 <= measure.value <= 100)
    True
    """
    return _measure("deletion", model, explainer, pairs, fill, score, threshold)


def insertion(
    model: NetworkLike,
    explainer: Explainer,
    pairs: LabelledCrops,
    *,
    fill: str = "black",
    score: Scores | None = None,
    threshold: float | None = None,
) -> Measure:
    """As :func:`deletion`, with only the P % highest pixels left to be seen. Higher is better.

    Parameters
    ----------
    model : Model, Network, str or path, optional
        What decides; a Network has the score "cosine" alone.
    explainer : Explainer
        Makes the maps.
    pairs : LabelledCrops
        What they are made of.
    fill : str, default "black"
        "black", "mean", "blur" or "road".
    score : str, optional
        What decides; None: the score that the explainer explains.
    threshold : float, optional
        Of the score; None: equal error on the untouched pairs.

    Returns
    -------
    Measure
        The area.

    Raises
    ------
    ValueError
        The filling or the score is unknown.

    Examples
    --------
    >>> import xcos
    >>> pairs = xcos.faithfulness.sample(xcos.datasets.read("examples/pairs.csv"), 2)
    >>> measure = xcos.faithfulness.insertion(None, xcos.explainers.XCos(), pairs)
    >>> bool(0 <= measure.value <= 100)
    True
    """
    return _measure("insertion", model, explainer, pairs, fill, score, threshold)


def _measure(
    name: str,
    model: NetworkLike,
    explainer: Explainer,
    pairs: LabelledCrops,
    fill: str,
    score: Scores | None,
    threshold: float | None,
) -> Measure:
    setting = prepare(model, pairs, score or explainer.target, explainer.threads, threshold)
    order = places(saliency(explainer, pairs))
    pixels = order[0].size
    counts = np.round(PERCENT / 100 * pixels)[:, None, None]
    correct = np.empty((len(pairs), len(PERCENT)), bool)
    for i in range(len(pairs)):
        highest = order[i] >= pixels - counts  # (11, H, W)
        masks = highest if name == "insertion" else ~highest
        correct[i] = _accepted(setting, i, masks, fill) == pairs.same[i]
    return bootstrap(name, 100 * area(PERCENT, correct), x=PERCENT, accuracy=correct.mean(0))


def _accepted(setting: Setting, i: int, masks: NDArray[np.bool_], fill: str) -> NDArray[np.bool_]:
    """Decisions (K,) on pair i, its first image seen through masks (K, H, W)."""
    scorer = setting.scorer
    crop = setting.pairs.first[i : i + 1]
    if fill == "road":
        filled = np.stack([impute(crop[0], mask, seed) for seed, mask in enumerate(masks)])
        return setting.decide(np.s_[i : i + 1], setting.probes(filled))
    return setting.accepted(i, scorer.inputs(crop), scorer.fills(crop, fill), masks)
