"""Pictures with foreign patches at known places: does a map find them, does undoing what it names help?"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..evaluation.protocol import auc
from ..explainers import Explainer
from ..explainers.scoring import NetworkLike, Scores
from .measure import Measure, area, bootstrap
from .pairs import LabelledCrops, Setting, places, prepare, saliency

PATCHES, SIDE, SEED = 27, 16, 3  # of Patch-LFW: how many, pixels, NumPy's seed for each class
RESTORED = np.arange(5, 100, 5)  # percent of the pixels


@lru_cache(maxsize=4)
def patched(
    pairs: LabelledCrops, patches: int = PATCHES, side: int = SIDE
) -> tuple[LabelledCrops, NDArray[np.bool_]]:
    """Pastes patches of 16 x 16 on each first image, 27 of them.

    Patch-LFW (Huber et al., arXiv 2304.13409, section 4): from the same places of the second image for impostors, of
    another person's image for genuine pairs. Columns are uniform in 0..95, lower edges in 16..111; NumPy's
    RandomState(3) anew for each class, and for each pair 27 columns, 27 edges and, for genuine pairs, the donor. The
    donor is the second image of any other pair of the set: without names in a .bin, the chance that it shows the same
    person is not excluded, but is small.

    Parameters
    ----------
    pairs : LabelledCrops
        Where they are pasted; the last few sets are remembered.
    patches : int, optional
        How many, by the same recipe.
    side : int, optional
        Their side in pixels, 1 to 111.

    Returns
    -------
    (LabelledCrops, (N, 112, 112) ndarray of bool)
        The changed pairs, and where.

    Examples
    --------
    >>> import xcos
    >>> pairs = xcos.faithfulness.sample(xcos.datasets.read("examples/pairs.csv"), 4)
    >>> changed, where = xcos.faithfulness.patched(pairs)
    >>> len(changed), where.shape
    (4, (4, 112, 112))
    """
    first, where = pairs.first.copy(), np.zeros(pairs.first.shape[:3], bool)
    for label in (False, True):
        rng = np.random.RandomState(SEED)
        for i in np.flatnonzero(pairs.same == label):
            columns = rng.randint(0, 112 - side, patches)
            edges = rng.randint(side, 112, patches)
            donor = rng.choice(np.delete(np.arange(len(pairs)), i)) if label else i
            for x, y in zip(columns, edges, strict=True):
                where[i, y - side : y, x : x + side] = True
            first[i][where[i]] = pairs.second[donor][where[i]]
    return LabelledCrops(first, pairs.second, pairs.same, f"{pairs.name}, patched"), where


def localisation(
    model: NetworkLike,
    explainer: Explainer,
    pairs: LabelledCrops,
    *,
    score: Scores | None = None,
    patches: int = PATCHES,
    side: int = SIDE,
) -> Measure:
    """How well the map of the first image tells the pasted patches from the rest: area under the ROC curve (ours).

    The places are known (:func:`patched`). An impostor's patches show the second face itself and should stand high, a
    genuine pair's show a stranger and should stand low (there the map is negated). 0.5 is chance, 1 perfect; a draw
    counts half, so that a map of one value has 0.5. Needs scikit-learn. Nothing is asked of the model: this measures
    whether a map says *where*. Cost: the explanations.

    Parameters
    ----------
    model : Model, Network, str or path, optional
        Not asked; as in other measures.
    explainer : Explainer
        Makes the maps.
    pairs : LabelledCrops
        What they are made of.
    score : str, optional
        Not used; as in other measures.
    patches : int, optional
        How many.
    side : int, optional
        Their side in pixels, 1 to 111.

    Returns
    -------
    Measure
        The area.

    Examples
    --------
    >>> import xcos
    >>> pairs = xcos.faithfulness.sample(xcos.datasets.read("examples/pairs.csv"), 2)
    >>> xcos.faithfulness.localisation(None, xcos.explainers.CentreMap(), pairs).name
    'localisation'
    """
    _ = model, score
    changed, where = patched(pairs, patches, side)
    maps = saliency(explainer, changed)
    found = np.array([auc(values.ravel(), inside.ravel()) for values, inside in zip(maps, where, strict=True)])
    return bootstrap("localisation", np.where(pairs.same, 1 - found, found))


def patch_lfw(
    model: NetworkLike,
    explainer: Explainer,
    pairs: LabelledCrops,
    *,
    score: Scores | None = None,
    threshold: float | None = None,
) -> tuple[Measure, Measure]:
    """Patch-LFW's replacement test (Huber et al., arXiv 2304.13409, section 4).

    The map is made of the patched pair. p = 5, 10 ... 95 % of the first image's pixels are then restored: the
    lowest-ranked where the patched pair was rejected, the highest-ranked where it was accepted. The curves hold the
    error over p, and of as many random pixels as the control; the measure is the area between control and method
    (trapezoids, divided by the range, x 100): above 0 the map names what mattered better than chance. Cost: the
    explanations, and 38 passes a pair.

    Parameters
    ----------
    model : Model, Network, str or path, optional
        What decides; a Network has the score "cosine" alone.
    explainer : Explainer
        Makes the maps.
    pairs : LabelledCrops
        What they are made of.
    score : str, optional
        What decides; None: the score that the explainer explains.
    threshold : float, optional
        Of the score; None: equal error on the untouched pairs.

    Returns
    -------
    (Measure, Measure)
        FNMR over genuine pairs, FMR over impostors, each an area.

    Examples
    --------
    >>> import xcos
    >>> pairs = xcos.faithfulness.sample(xcos.datasets.read("examples/pairs.csv"), 2)
    >>> fnmr, fmr = xcos.faithfulness.patch_lfw(None, xcos.explainers.XCos(), pairs)
    >>> sorted(fnmr.curves)
    ['method', 'random', 'x']
    """
    setting = prepare(model, pairs, score or explainer.target, explainer.threads, threshold)
    changed, _ = patched(pairs)
    order = places(saliency(explainer, changed))
    accepted = setting.decide(np.s_[:], setting.probes(changed.first))
    # Counted from the end that is restored first.
    order = np.where(accepted[:, None, None], order[0].size - 1 - order, order)
    errors = [_errors(setting, order), _chance(setting)]
    gain = 100 * area(RESTORED, errors[1].astype(float) - errors[0])
    results = []
    for name, label in (("FNMR gain", True), ("FMR gain", False)):
        chosen = pairs.same == label
        curves = {"method": errors[0][chosen].mean(0), "random": errors[1][chosen].mean(0)}
        results.append(bootstrap(name, gain[chosen], x=RESTORED, **curves))
    return results[0], results[1]


def _errors(setting: Setting, order: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
    """(N, len(RESTORED)): is the decision wrong after the first p % of the pixels in `order` (N, H, W) came back?"""
    pairs, scorer = setting.pairs, setting.scorer
    inputs, originals = scorer.inputs(patched(pairs)[0].first), scorer.inputs(pairs.first)
    counts = np.round(RESTORED / 100 * order[0].size)[:, None, None]
    decided = np.empty((len(pairs), len(RESTORED)), bool)
    for i in range(len(pairs)):
        decided[i] = setting.accepted(i, inputs[i : i + 1], originals[i : i + 1], order[i] >= counts)
    wrong: NDArray[np.bool_] = decided != pairs.same[:, None]
    return wrong


@lru_cache(maxsize=4)
def _chance(setting: Setting) -> NDArray[np.bool_]:
    """The same with pixels in random order: the control of all methods, made once."""
    noise = np.random.RandomState(SEED)
    shape = setting.pairs.first.shape[:3]
    order = np.stack([noise.permutation(shape[1] * shape[2]) for _ in range(shape[0])])
    return _errors(setting, order.reshape(shape))
