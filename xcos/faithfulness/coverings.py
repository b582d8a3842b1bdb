"""Faces that wear something: does a map tell what is covered from what can be seen?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..datasets import wear
from ..datasets.wear import Mask
from ..explainers import Explainer
from ..explainers.base import Crops
from ..explainers.scoring import NetworkLike, Scores
from ..faces.cells import covered as covered_cells
from .cell_statistics import Doubles, area_under_curve
from .measure import Measure, bootstrap
from .pairs import LabelledCrops, saliency
from .truth_faces import COVERED, FREE
from .windows import GRID, cells_of

Thing: TypeAlias = Mask | str  # what can be worn

SUNGLASSES = "sunglasses"


def covered(
    pairs: LabelledCrops, first: Sequence[Thing] = (SUNGLASSES,), second: Sequence[Thing] = ()
) -> tuple[LabelledCrops, NDArray[np.bool_]]:
    """Puts masks or sunglasses on the faces of pairs (``xcos.datasets.wear``).

    Parameters
    ----------
    pairs : LabelledCrops
        Whose faces; the last few sets are remembered.
    first, second : sequence of Mask or "sunglasses"
        What the first faces wear, pair by pair in turn, and what the second ones do; empty: nothing.

    Returns
    -------
    (LabelledCrops, (2, N, 112, 112) ndarray of bool)
        The changed pairs, and which pixels of the first and of the second faces are covered.

    Raises
    ------
    ValueError
        A thing is neither a mask nor "sunglasses".

    Examples
    --------
    >>> import xcos
    >>> pairs = xcos.faithfulness.sample(xcos.datasets.read("examples/pairs.csv"), 4)
    >>> changed, where = xcos.faithfulness.covered(pairs)
    >>> where.any((2, 3)).tolist()
    [[True, True, True, True], [False, False, False, False]]
    """
    for thing in (*first, *second):
        if not (isinstance(thing, Mask) or thing == SUNGLASSES):
            raise ValueError(f"expected masks of xcos.datasets.wear.read_masks or {SUNGLASSES!r}, got {thing!r}")
    return _covered(pairs, tuple(first), tuple(second))


@lru_cache(maxsize=4)
def _covered(
    pairs: LabelledCrops, first: tuple[Thing, ...], second: tuple[Thing, ...]
) -> tuple[LabelledCrops, NDArray[np.bool_]]:
    one, here = _dressed(pairs.first, first)
    other, there = _dressed(pairs.second, second)
    return LabelledCrops(one, other, pairs.same, f"{pairs.name}, covered"), np.stack([here, there])


def _dressed(crops: Crops, things: tuple[Thing, ...]) -> tuple[Crops, NDArray[np.bool_]]:
    """The faces with the things on, in turn, and what they cover."""
    images, where = crops.copy(), np.zeros(crops.shape[:3], bool)
    for i in range(len(crops) if things else 0):
        thing = things[i % len(things)]
        if isinstance(thing, Mask):
            worn = wear.mask(crops[i], thing, aligned=True)
        else:
            worn = wear.sunglasses(crops[i], aligned=True)
        images[i], where[i] = worn.image, worn.covered
    return images, where


def coverings(
    model: NetworkLike,
    explainer: Explainer,
    pairs: LabelledCrops,
    *,
    first: Sequence[Thing] = (SUNGLASSES,),
    second: Sequence[Thing] = (),
    score: Scores | None = None,
) -> tuple[Measure, Measure, Measure, Measure, Measure]:
    """How well the map of the first faces points at what they wear, and how far it falls there.

    The map is read in cells of 16 x 16 pixels. A cell counts as covered where more than 55 % of its pixels are, as free
    where less than 2 % are, the others do not count; the places are known exactly (:func:`covered`). The figures,
    each a mean over pairs:

    - *low*: area under the ROC curve of covered against free cells, covered ones expected low: how often a covered cell
      stands below a free one. 0.5 is chance, 1 perfect; a draw counts half, so that a map of one value has 0.5.
    - *low before*: the same cells in the map of the pair as it was, where nothing is covered: the habit of the map,
      which *low* has to be read beside.
    - *change*: the same area for the map as it was less the map with the covering: does it fall just there? 1 is ideal.
    - *drop covered*, *drop free*: by how much it falls in covered cells, and in free ones, in the map's own unit.

    Pairs without a covered or without a free cell are left out. Nothing is asked of the model but its maps. Cost: two
    explanations a pair. Needs scipy. The measure is ours; the areas are those of *parts* in
    :func:`xcos.faithfulness.truth`.

    Parameters
    ----------
    model : Model, Network, str or path, optional
        Not asked; as in other measures.
    explainer : Explainer
        Makes the maps.
    pairs : LabelledCrops
        What they are made of, with nothing on yet.
    first, second : sequence of Mask or "sunglasses"
        What the first faces wear, in turn, and what the second ones do; see :func:`covered`.
    score : str, optional
        Not used; as in other measures.

    Returns
    -------
    tuple of Measure
        low, low before, change, drop covered, drop free.

    Raises
    ------
    ValueError
        The first faces wear nothing, a thing can't be worn, or no pair has both covered and free cells.

    Examples
    --------
    >>> import xcos
    >>> pairs = xcos.faithfulness.sample(xcos.datasets.read("examples/pairs.csv"), 2)
    >>> low, before, change, *_ = xcos.faithfulness.coverings(None, xcos.explainers.XCos(map="cosine"), pairs)
    >>> bool(change.value > 0.9)
    True
    """
    _ = model, score
    if not first:
        raise ValueError("first: expected something that the first faces wear, got nothing")
    changed, where = covered(pairs, first, second)
    shares = covered_cells(where[0], GRID)
    before, after = (cells_of(saliency(explainer, some)) for some in (pairs, changed))
    drop = before - after
    figures: dict[str, Any] = {
        "low": _areas(-after, shares),
        "low before": _areas(-before, shares),
        "change": _areas(drop, shares),
        "drop covered": _mean(drop, shares > COVERED),
        "drop free": _mean(drop, shares < FREE),
    }
    some = ~np.isnan(figures["low"])
    low, habit, change, inside, outside = (bootstrap(name, values[some]) for name, values in figures.items())
    return low, habit, change, inside, outside


def _areas(maps: Doubles, shares: Doubles) -> Doubles:
    """(N,): how often a covered cell stands above a free one."""
    each = zip(maps[:, None], shares > COVERED, shares < FREE, strict=True)
    return np.concatenate([area_under_curve(one, inside, outside) for one, inside, outside in each])


def _mean(maps: Doubles, chosen: NDArray[np.bool_]) -> Doubles:
    """(N,): means of maps over their chosen cells; NaN where there is none."""
    counts = chosen.sum((1, 2))
    means: Doubles = np.divide((maps * chosen).sum((1, 2)), counts, out=np.full(len(maps), np.nan), where=counts > 0)
    return means
