"""Does a cell say something about its own place? Measures of truth of a model's maps."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np

from .. import datasets
from ..base.extras import need
from ..datasets import Pairs
from ..explainers.base import Crops
from ..faces import How, crop_all
from ..storage.progress import Progress, batches
from . import cell_statistics as statistics
from .pairs import LabelledCrops
from .people import FacesLike, People
from .subject import BATCH, Mapped, Subject
from .truth_faces import on_faces
from .truth_result import Cell, Truth

ON_PAIRS = ("alone", "rank")
MEASURES = (*ON_PAIRS, "own", "parts", "repeat")


def truth(
    model: Mapped,
    faces: FacesLike | None,
    pairs: str | os.PathLike[str] | Pairs | LabelledCrops | None = None,
    *,
    measures: Collection[str] = MEASURES,
    cells: Sequence[Cell] | str | None = None,
    triples: int = 300,
    folds: int = 5,
    aligned: bool | None = None,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress = None,
) -> Truth:
    """Asks whether each cell of the model's map says something about its own place, or every cell holds the whole face.

    The measures (docs/explanations.md; ours):

    - *alone*: K-fold accuracy of the pairs by the cosine of one cell. A corner shows hair and background.
    - *rank*: exp of the entropy of the spectrum of the cells' covariance over pairs of one person, and of two.
    - *own*, *leak*: A and A' show one person, B another. Of the 3 x 3 cells around a cell, A's are blended into B
      (keep), or B's into A (lose). With the mean cosines beside A' at that cell, own = (keep - B) / (A - B) and
      leak = (lose - B) / (A - B).
    - *parts*: B's eyes, nose, mouth or half are blended into A. By how much do the cells fall beside A' (drop),
      and rise beside B's other picture (rise)? Area under the curve of cells covered to more than 55 % against
      those covered to less than 2 %, mean over pairs.
    - *repeat*: correlation between the maps of two disjoint pairs of pictures of the same people, without the means
      of maps and cells; of one person (those with four pictures), and of two.

    Blends: masks are blurred by a Gaussian of 2 pixels; pasted colours take the mean of what they cover, and its
    deviation within a factor of 2. Intervals: 95 %, pairs or triples drawn with replacement (2,000 times; rank 200).
    Costs about 2 runs of the network a pair, and 2 for each cell, 4 for parts, 6 for the rest of a triple.

    Parameters
    ----------
    model : Model, ModelFile, str, path or callable, optional
        None: the default model; a function of crops (N, 112, 112, 3) uint8 RGB gives a grid (N, D, H, W) and has
        neither score nor embedding.
    faces : str, path, Faces or (array, array), optional
        People with two pictures or more each, for *own*, *parts*, *repeat*: a folder ``person/picture``, a tar of the
        same or a .rec (``xcos.datasets.read_faces``), Faces, or (crops (N, 112, 112, 3) uint8, labels (N,)).
    pairs : str or path or Pairs or LabelledCrops, optional
        For *alone* and *rank*: a path (``xcos.datasets.read``), Pairs, or LabelledCrops.
    measures : collection of str, optional
        Some of "alone", "rank", "own" (with leak), "parts", "repeat". The first two look at the pairs, the others at
        the faces; what no chosen measure looks at may be None. A quick look: ``triples=100, measures=("alone", "rank",
        "own")``.
    cells : "all" or sequence of (int, int), optional
        Row and column of those whose *own* and *leak* are measured; None: ten of all regions.
    triples : int, default 300
        At most so many people are A (each once); fewer where `faces` has fewer people with two pictures.
    folds : int, default 5
        Of *alone*, in the order of the pairs.
    aligned : bool, optional
        The faces are aligned crops, or (False) photographs; None: pictures of 112 x 112 are crops.
    seed : int, default 0
        Of all draws.
    threads : int, optional
        Threads at most; None: the default.
    progress : bool or callable, optional
        As elsewhere, anew for each measure.

    Returns
    -------
    Truth
        Every figure with its interval.

    Raises
    ------
    ValueError
        An argument is out of range, there are fewer than two people, or what readers and model raise.
    TypeError
        `faces` or `pairs` is another object.

    Examples
    --------
    >>> import xcos
    >>> pairs = xcos.datasets.read("examples/pairs.csv")
    >>> found = xcos.faithfulness.truth(None, None, pairs, measures=["alone"], folds=3)
    >>> found.alone.value.shape
    (7, 7)
    """
    need("measuring cells", "sklearn", "scipy")
    unknown = set(measures) - set(MEASURES)
    if unknown or not measures:
        got = ", ".join(sorted(unknown)) or "none"
        raise ValueError(f"measures: got {got}; expected some of {', '.join(MEASURES)}")
    for name, value in (("triples", triples), ("folds", folds)):
        if value < 2:
            raise ValueError(f"{name}: expected at least 2, got {value}")
    subject = Subject.of(model, threads)
    found: dict[str, Any] = {}
    if set(measures) & set(ON_PAIRS):
        found |= _on_pairs(subject, _pairs(pairs), measures, folds, threads, progress)
    if set(measures) - set(ON_PAIRS):
        people = People(faces, aligned)
        found |= on_faces(subject, people, measures, cells, triples, seed, threads, progress)
    return Truth(subject.name, seed=seed, **found)


def _pairs(pairs: Any) -> Pairs | LabelledCrops:
    if isinstance(pairs, (str, os.PathLike)):
        return datasets.read(pairs)
    if not isinstance(pairs, (Pairs, LabelledCrops)):
        got = type(pairs).__name__
        raise ValueError(f"pairs: alone and rank look at a path, Pairs or LabelledCrops; got {got}")
    return pairs


def _on_pairs(
    subject: Subject,
    pairs: Pairs | LabelledCrops,
    measures: Collection[str],
    folds: int,
    threads: int | None,
    progress: Progress,
) -> dict[str, Any]:
    if pairs.same.all() or not pairs.same.any():
        raise ValueError(f"{pairs.name}: expected pairs of one person and of two, got one kind alone")
    seen = [subject.compare(*two) for two in _crops_of(pairs, threads, progress)]
    maps = np.concatenate([part for part, _ in seen])
    found: dict[str, Any] = {"data": pairs.name, "pairs": len(pairs)}
    for key in seen[0][1]:
        scores = np.concatenate([part[key] for _, part in seen])
        found[key] = statistics.mean(statistics.decided_rightly(scores, pairs.same, folds))
    if "alone" in measures:
        rightly = np.empty(maps.shape, bool)
        for i, j in np.ndindex(maps.shape[1:]):
            rightly[:, i, j] = statistics.decided_rightly(maps[:, i, j], pairs.same, folds)
        alone = statistics.mean(rightly)
        row, column = (int(k) for k in np.unravel_index(np.argmax(alone.value), alone.value.shape))
        found |= {
            "alone": alone,
            "corners_alone": statistics.mean(rightly[:, [0, 0, -1, -1], [0, -1, 0, -1]].mean(1)),
            "best_alone": statistics.mean(rightly[:, row, column]),
            "best_cell": (row, column),
        }
    if "rank" in measures:
        found["rank"] = {"same": statistics.rank(maps[pairs.same]), "different": statistics.rank(maps[~pairs.same])}
    return found


def _crops_of(
    pairs: Pairs | LabelledCrops, threads: int | None, progress: Progress
) -> Iterator[tuple[Crops, Crops]]:
    """First and second crops of the pairs, a batch at a time."""
    for part in batches(range(len(pairs)), BATCH // 2, progress, pairs.name):
        if isinstance(pairs, LabelledCrops):
            yield pairs.first[part], pairs.second[part]
        else:
            images = [pairs.images[k] for side in (pairs.first, pairs.second) for k in side[part]]
            crops = crop_all(images, How(pairs.aligned), threads=threads)
            yield crops[: len(part)], crops[len(part) :]
