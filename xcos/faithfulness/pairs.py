"""Labelled crops, and what measures need to know of them under one score."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.extras import need
from ..datasets import Pairs
from ..explainers.base import Crops, Explainer
from ..explainers.scoring import NetworkLike, Scorer, Scores, as_network
from ..faces import How, crop_all
from ..recognition.features import Floats


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LabelledCrops:
    """N pairs of aligned crops; ``pairs[:20]`` holds the first 20.

    Parameters
    ----------
    first, second : (N, 112, 112, 3) ndarray of uint8
        The crops, RGB.
    same : (N,) ndarray of bool
        Both show one person.
    name : str, default "pairs"
        What the pairs are called in tables.

    Raises
    ------
    ValueError
        The parts do not fit together.

    Examples
    --------
    >>> import xcos
    >>> import numpy as np
    >>> crops = xcos.load().crops(["examples/obama_portrait_2012.jpg", "examples/obama_congress_2009.jpg"])
    >>> len(xcos.faithfulness.LabelledCrops(crops[:1], crops[1:], np.array([True])))
    1
    """

    first: Crops
    second: Crops
    same: NDArray[np.bool_]
    name: str = "pairs"

    def __post_init__(self) -> None:
        if not self.first.shape == self.second.shape == (len(self.same), 112, 112, 3):
            raise ValueError(
                f"expected two stacks ({len(self.same)}, 112, 112, 3), got {self.first.shape} and {self.second.shape}"
            )

    def __len__(self) -> int:
        return len(self.same)

    def __getitem__(self, index: Any) -> LabelledCrops:
        return LabelledCrops(self.first[index], self.second[index], self.same[index], self.name)

    def __repr__(self) -> str:
        return f"LabelledCrops({self.name!r}, {len(self)} pairs, {int(self.same.sum())} same)"


def sample(pairs: Pairs, n: int, seed: int = 0) -> LabelledCrops:
    """Draws pairs without replacement, genuine and impostor by turns, so that any beginning is balanced.

    Parameters
    ----------
    pairs : Pairs
        The data set.
    n : int
        How many.
    seed : int, default 0
        Of the draw.

    Returns
    -------
    LabelledCrops
        The pairs' crops.

    Raises
    ------
    ValueError
        A class has less than n / 2 pairs.

    Examples
    --------
    >>> import xcos
    >>> pairs = xcos.faithfulness.sample(xcos.datasets.read("examples/pairs.csv"), 4)
    >>> pairs.same.tolist()
    [True, False, True, False]
    """
    rng = np.random.default_rng(seed)
    chosen = np.empty(n, np.intp)
    for place, label in enumerate((True, False)):
        found = np.flatnonzero(pairs.same == label)
        want = len(range(place, n, 2))
        if len(found) < want:
            few = f"got {len(found)}; choose a smaller n"
            raise ValueError(f"{pairs.name}: expected {want} pairs with same={label}, {few}")
        chosen[place::2] = rng.choice(found, want, replace=False)
    images = [pairs.images[i] for side in (pairs.first, pairs.second) for i in side[chosen]]
    crops = crop_all(images, How(pairs.aligned))
    name = f"{pairs.name}, {n} of {len(pairs)} pairs, seed {seed}"
    return LabelledCrops(crops[:n], crops[n:], pairs.same[chosen], name)


class Setting:
    """A set of pairs under one score of a model: inputs, scores, threshold."""

    def __init__(
        self, model: NetworkLike, pairs: LabelledCrops, score: Scores, threads: int | None, threshold: float | None
    ) -> None:
        self.pairs = pairs
        self._threshold = threshold
        self.scorer = Scorer(model, score, threads=threads)
        self.gallery = self.scorer.features(self.scorer.inputs(pairs.second))

    @cached_property
    def clean(self) -> Floats:
        """(N,) scores of the untouched pairs."""
        return self.scorer.compare(self.probes(self.pairs.first), self.gallery)

    @cached_property
    def threshold(self) -> float:
        """The one given, else where false matches and non-matches are most nearly equal among the observed scores."""
        given = self._threshold
        return equal_error_threshold(self.clean, self.pairs.same) if given is None else given

    def probes(self, crops: Crops) -> Floats:
        return self.scorer.features(self.scorer.inputs(crops))

    def accepted(self, i: int, image: Floats, fill: Floats, masks: NDArray[Any]) -> NDArray[np.bool_]:
        """Decisions (K,) on pair i, its first image (1, 3, H, W) seen through masks (K, H, W) before `fill`."""
        seen = self.scorer.masked(image, fill, masks, np.zeros(len(masks), np.int64))
        return self.decide(np.s_[i : i + 1], seen)

    def decide(self, which: slice, probes: Floats) -> NDArray[np.bool_]:
        """Decisions (K,) on these pairs (or on this one) with the features `probes` in place of the first images'."""
        return self.scorer.compare(probes, self.gallery[which]) > self.threshold


def equal_error_threshold(scores: NDArray[Any], same: NDArray[np.bool_]) -> float:
    """The observed score t at which |share of impostors > t - share of genuine <= t| is least; the lowest of equals.

    Raises ValueError unless both classes are there.
    """
    if same.all() or not same.any():
        raise ValueError("expected genuine and impostor pairs, got one class alone")
    candidates = np.unique(scores)
    impostors, genuine = np.sort(scores[~same]), np.sort(scores[same])
    fmr = 1 - np.searchsorted(impostors, candidates, side="right") / len(impostors)
    fnmr = np.searchsorted(genuine, candidates, side="right") / len(genuine)
    return float(candidates[np.argmin(np.abs(fmr - fnmr))])


def prepare(
    model: NetworkLike, pairs: LabelledCrops, score: Scores, threads: int | None = None, threshold: float | None = None
) -> Setting:
    """The setting of these very objects, made once; of a path, which may hold another model by now, anew."""
    return _prepared(as_network(model), pairs, score, threads, threshold)


_prepared = lru_cache(maxsize=4)(Setting)


@lru_cache(maxsize=4)
def saliency(explainer: Explainer, pairs: LabelledCrops) -> Floats:
    """The maps (N, H, W) of the first images of these very pairs, made once."""
    return explainer.side(0, pairs.first, pairs.second)


@lru_cache(maxsize=8)
def beginning(pairs: LabelledCrops, n: int) -> LabelledCrops:
    """The first n pairs: one object for each length, so that what was made of them is found again."""
    return pairs if n == len(pairs) else pairs[:n]


def places(maps: NDArray[Any]) -> NDArray[np.intp]:
    """(N, H, W) -> the place of each pixel in its map's order, 0 for the lowest.

    Among equals chance decides (one permutation for all maps, fixed seed): in the order of their coordinates, a map of
    one value would name the lower rows. Needs scipy.
    """
    need("measuring explanations", "scipy")
    from scipy.stats import rankdata

    flat = maps.reshape(len(maps), -1)
    mixed = np.random.default_rng(0).permutation(flat.shape[1])
    result = np.empty(flat.shape, np.intp)
    result[:, mixed] = rankdata(flat[:, mixed], method="ordinal", axis=1) - 1
    return result.reshape(maps.shape)
