"""Is a map about places? The measures of truth that a *method's* map can be asked, where faces are blended."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..explainers import Explainer
from ..explainers.base import Crops
from ..explainers.scoring import NetworkLike, Scores
from ..faces.cells import covered
from . import blends
from .cell_statistics import LEAST_EVIDENCE, Doubles, area_under_curve
from .measure import Measure, bootstrap
from .pairs import LabelledCrops
from .truth_faces import COVERED, FREE

GRID = (7, 7)  # maps are read in cells of 16 x 16 pixels, whatever their grain, so that all methods are asked alike
CELLS = ((0, 0), (2, 2), (3, 3), (5, 3))  # a corner, an eye, the nose, the mouth


def parts(model: NetworkLike, explainer: Explainer, pairs: LabelledCrops, *, score: Scores | None = None) -> Measure:
    """Asks whether a map falls just where another person's eyes, nose, mouth or half of the face were blended in.

    For each genuine pair (A, A') the map of A beside A' less that of the blend beside A', in cells of 16 x 16 pixels:
    area under the ROC curve of covered cells against free ones, mean over the four parts, 0 to 1. 0.5 is chance, and
    what a map of one value gets. The blended face is the first of the next genuine pair (the same person by chance:
    small). The masks and the blend are those of :func:`xcos.faithfulness.truth` (*parts*, drop;
    shared/design/TRUTH.md), which asks a model's cells. Cost: five explanations a genuine pair. Needs scipy.

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

    Returns
    -------
    Measure
        The area.

    Raises
    ------
    ValueError
        There are fewer than two genuine pairs.

    Examples
    --------
    >>> import xcos
    >>> pairs = xcos.faithfulness.sample(xcos.datasets.read("examples/pairs.csv"), 4)
    >>> measure = xcos.faithfulness.parts(None, xcos.explainers.XCos(), pairs)
    >>> bool(0 <= measure.value <= 1)
    True
    """
    _ = model, score
    faces, donors, beside = _triples(pairs)
    masks = blends.parts()
    clean = _cells(explainer, faces, beside)
    changed = _blended(explainer, faces, donors, beside, np.stack(list(masks.values())))
    found = []
    for k, mask in enumerate(masks.values()):
        share = covered(mask, GRID)
        found.append(area_under_curve(clean - changed[k], share > COVERED, share < FREE))
    return bootstrap("parts", np.mean(found, axis=0))


def own_and_leak(
    model: NetworkLike, explainer: Explainer, pairs: LabelledCrops, *, score: Scores | None = None
) -> tuple[Measure, Measure]:
    """Shares of a map's evidence at a cell that stay if only the cell's window is kept (own), or replaced (leak).

    For genuine pairs (A, A') and another person B (the next pair's): (map of the blend − map of B) / (map of A − map of
    B), all beside A', each a mean over pairs at one cell of 16 x 16 pixels; the mean over four cells (a corner, an eye,
    the nose, the mouth) is given. own: A's window of 3 x 3 cells in B's face; leak: B's window in A's face. A map of
    places has own 1 and leak 0; one that spreads the whole face's similarity has both near the window's share of it.
    Cells whose evidence is within a tenth of the deviation of B's are left out; the evidence is held fixed where pairs
    are drawn for the interval. Definitions: shared/design/TRUTH.md, which asks a model's cells. Cost: ten explanations
    a genuine pair. Needs scipy.

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

    Returns
    -------
    (Measure, Measure)
        own and leak; NaN, of no pair, where no cell has evidence.

    Raises
    ------
    ValueError
        There are fewer than two genuine pairs.

    Examples
    --------
    >>> import xcos
    >>> pairs = xcos.faithfulness.sample(xcos.datasets.read("examples/pairs.csv"), 4)
    >>> own, leak = xcos.faithfulness.own_and_leak(None, xcos.explainers.XCos(), pairs)
    >>> own.name, leak.name
    ('own', 'leak')
    """
    _ = model, score
    faces, donors, beside = _triples(pairs)
    masks = blends.windows(list(CELLS), GRID)
    rows, columns = np.transpose(CELLS)
    at = np.arange(len(CELLS))
    clean, other = (_cells(explainer, one, beside)[:, rows, columns] for one in (faces, donors))
    evidence = clean.mean(0) - other.mean(0)
    told = evidence > LEAST_EVIDENCE * other.std(0)
    results = []
    for name, into, of in (("own", donors, faces), ("leak", faces, donors)):
        changed = _blended(explainer, into, of, beside, masks)[at, :, rows, columns].T  # each blend at its own cell
        stays = (changed - other.mean(0))[:, told] / evidence[told]
        nothing = Measure(name, np.nan, np.nan, np.nan, np.empty(0))
        results.append(bootstrap(name, stays.mean(1)) if told.any() else nothing)
    return results[0], results[1]


def _triples(pairs: LabelledCrops) -> tuple[Crops, Crops, Crops]:
    """A, B and A' of each genuine pair."""
    faces, beside = pairs.first[pairs.same], pairs.second[pairs.same]
    if len(faces) < 2:
        raise ValueError(f"{pairs.name}: expected two genuine pairs or more, got {len(faces)}")
    return faces, np.roll(faces, -1, axis=0), beside


def _blended(explainer: Explainer, into: Crops, of: Crops, beside: Crops, masks: NDArray[np.bool_]) -> Doubles:
    """(C, N, 7, 7): the map of each face `into` with the face `of` inside each mask."""
    soft = blends.soften(masks)
    pictures = np.stack([blends.blend(a, b, masks, soft) for a, b in zip(into, of, strict=True)])
    return np.stack([_cells(explainer, pictures[:, k], beside) for k in range(len(masks))])


def _cells(explainer: Explainer, first: Crops, second: Crops) -> Doubles:
    """(N, 7, 7): the first images' maps in cells."""
    return cells_of(explainer.side(0, first, second))


def cells_of(maps: NDArray[np.floating[Any]]) -> Doubles:
    """Maps (N, 112, 112) -> (N, 7, 7): the mean over each cell's pixels."""
    height, width = (size // n for size, n in zip(maps.shape[1:], GRID, strict=True))
    result: Doubles = maps.astype(np.float64).reshape(len(maps), GRID[0], height, GRID[1], width).mean((2, 4))
    return result
