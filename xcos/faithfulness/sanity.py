"""Does a map depend on the model at all, and not on which face comes first?"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.extras import need
from ..explainers import Explainer
from ..explainers.scoring import NetworkLike, Scores, as_network
from ..plan.network import Network
from ..recognition.model import Model
from .measure import Measure, bootstrap
from .pairs import LabelledCrops, saliency


def randomised(model: NetworkLike, seed: int = 0) -> Model | Network:
    """The model with the numbers of each tensor shuffled: same architecture, same values, nothing learnt.

    Parameters
    ----------
    model : Model, Network, str or path, optional
        A Model, a name or a path, None for the default model; or a Network.
    seed : int, default 0
        Of the shuffle.

    Returns
    -------
    Model or Network
        Of the kind that was given.

    Examples
    --------
    >>> import xcos
    >>> a, b = "examples/obama_portrait_2012.jpg", "examples/obama_congress_2009.jpg"
    >>> bool(abs(xcos.faithfulness.randomised(None).verify(a, b).cosine - xcos.verify(a, b).cosine) > 0.01)
    True
    """
    return _shuffled(as_network(model), seed)


@lru_cache(maxsize=1)
def _shuffled(model: Model | Network, seed: int) -> Model | Network:
    rng = np.random.default_rng(seed)
    tensors = {name: rng.permutation(t.ravel()).reshape(t.shape) for name, t in sorted(model.file.tensors.items())}
    return type(model)(replace(model.file, tensors=tensors))


def randomisation(
    model: NetworkLike, explainer: Explainer, pairs: LabelledCrops, *, score: Scores | None = None
) -> Measure:
    """Magnitude of Spearman's correlation between the maps of the model and of one without learning (0 to 1).

    Adebayo et al. 2018 (arXiv 1810.03292), all parameters at once, by shuffling each tensor. Lower is better: a map
    that stays does not come from what the model has learnt. Cost: the explanations, twice.

    Parameters
    ----------
    model : Model, Network, str or path, optional
        What decides; a Network has the score "cosine" alone.
    explainer : Explainer
        Makes the maps.
    pairs : LabelledCrops
        What they are made of.
    score : str, optional
        Not used; as in other measures.

    Returns
    -------
    Measure
        The correlation.

    Examples
    --------
    >>> import xcos
    >>> pairs = xcos.faithfulness.sample(xcos.datasets.read("examples/pairs.csv"), 4)
    >>> xcos.faithfulness.randomisation(None, xcos.explainers.CentreMap(), pairs).value
    1.0
    """
    _ = score
    other = replace(explainer, model=randomised(model))
    return bootstrap("randomisation", np.abs(_spearman(saliency(explainer, pairs), saliency(other, pairs))))


def symmetry(model: NetworkLike, explainer: Explainer, pairs: LabelledCrops, *, score: Scores | None = None) -> Measure:
    """Spearman's correlation between the first image's map, and the same image's map with the two swapped (-1 to 1).

    Higher is better: who comes first should not matter. Cost: the explanations, twice.

    Parameters
    ----------
    model : Model, Network, str or path, optional
        What decides; a Network has the score "cosine" alone.
    explainer : Explainer
        Makes the maps.
    pairs : LabelledCrops
        What they are made of.
    score : str, optional
        Not used; as in other measures.

    Returns
    -------
    Measure
        The correlation.

    Examples
    --------
    >>> import xcos
    >>> pairs = xcos.faithfulness.sample(xcos.datasets.read("examples/pairs.csv"), 4)
    >>> round(xcos.faithfulness.symmetry(None, xcos.explainers.CentreMap(), pairs).value, 6)
    1.0
    """
    _ = model, score
    swapped = explainer.side(1, pairs.second, pairs.first)
    return bootstrap("symmetry", _spearman(saliency(explainer, pairs), swapped))


def _spearman(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    """(N,) rank correlations of maps (N, H, W), equals sharing a rank; NaN where a map is constant."""
    need("measuring explanations", "scipy")
    from scipy.stats import spearmanr

    return np.array([
        np.nan if np.ptp(x) == 0 or np.ptp(y) == 0 else spearmanr(x.ravel(), y.ravel()).statistic
        for x, y in zip(a, b, strict=True)
    ])  # fmt: skip
