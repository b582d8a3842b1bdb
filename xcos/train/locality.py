"""Does the map point at what has changed? Measures of how local an xCos model's cells are."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from ..evaluation.protocol import auc
from ..faithfulness.measure import interval
from ..plan.file import ModelFile
from ..recognition.model import Model
from .augment import COVERED, FREE, covered, paste_rectangles
from .validate import read_crops

_BOOTSTRAP = 200  # resamplings of the pairs for the intervals


@dataclass(frozen=True, slots=True)
class Locality:
    """Measures with 95 % intervals (low, high), by resampling pairs 200 times.

    Attributes
    ----------
    change_auc : float
        Over all cells of all pairs, area under the ROC curve of the change of the cell's cosine from the clean to the
        patched picture (drop for one person, rise for two) against covered / free.
    change_interval : (float, float)
        Of it.
    find_auc : float
        Pairs of one person, minus the patched picture's cosine map against covered; mean over pairs.
    find_interval : (float, float)
        Of it.
    effective_cells : float
        exp of the mean entropy of the attention on the clean pairs; 49 when uniform over 7 x 7.
    effective_interval : (float, float)
        Of it.
    pairs : int
        How many pairs were measured.

    Examples
    --------
    >>> import xcos
    >>> xcos.train.Locality(0.9, (0.8, 1.0), 0.8, (0.7, 0.9), 30.0, (28.0, 32.0), 100).to_dict()["pairs"]
    100
    """

    change_auc: float
    change_interval: tuple[float, float]
    find_auc: float
    find_interval: tuple[float, float]
    effective_cells: float
    effective_interval: tuple[float, float]
    pairs: int

    def to_dict(self) -> dict[str, object]:
        """The fields as a dict.

        Returns
        -------
        dict
            Plain values for JSON.
        """
        return asdict(self)


COVERS = ("face", "grey", "noise")


def measure_locality(
    model: Model | ModelFile | str | os.PathLike[str],
    pairs: str | os.PathLike[str],
    seed: int = 0,
    threads: int = 0,
    cover: str = "face",
) -> Locality:
    """Measures how local a model's cells are, on a .bin of pairs of aligned faces.

    On the first picture of each pair 1 to 6 rectangles (sides 12 to 51 of 112 pixels) of another face are pasted at the
    same place: of the second picture for two people, of a random other pair's second picture for one. Cells covered by
    more than 75 % are compared with cells covered by less than 2 %.

    Parameters
    ----------
    model : Model or ModelFile or str or path
        What is measured.
    pairs : str or path
        The .bin.
    seed : int, default 0
        Of the rectangles.
    threads : int, default 0
        Threads at most; 0: the default.
    cover : str, default "face"
        With "grey" (127) or "noise" (pixels of random colours) that is pasted instead of a face, on the pairs of one
        person alone: of two people a grey cell should change in no direction.

    Returns
    -------
    Locality
        Areas and intervals.

    Raises
    ------
    OSError
        The file can't be read.
    ValueError
        Another cover, the pairs are not of both kinds, or what ``xcos.datasets.read_bin`` raises.

    Examples
    --------
    >>> import xcos
    >>> try:
    ...     xcos.train.measure_locality(xcos.load(), "absent.bin", cover="hat")
    ... except ValueError as error:
    ...     "hat" in str(error)
    True
    """
    if cover not in COVERS:
        raise ValueError(f"cover is {cover!r}; expected one of {', '.join(COVERS)}")
    if isinstance(model, ModelFile):
        model = Model(model)
    elif not isinstance(model, Model):
        model = Model.load(model)
    crops, same = read_crops(pairs)
    if same.all() or not same.any():
        raise ValueError(f"expected pairs of one person and of two, got {int(same.sum())} and {int((~same).sum())}")
    if cover != "face":
        crops, same = crops[np.repeat(same, 2)], same[same]
    first, second = crops[::2], crops[1::2]
    features = model.features(crops, aligned=True, threads=threads or None)
    cells = features.grid.shape[2], features.grid.shape[3]
    patched, share = patch(first, second, same, cells, np.random.default_rng(seed), cover)
    changed = model.features(patched, aligned=True, threads=threads or None)
    before = model.compare(features[::2], features[1::2])
    after = model.compare(changed, features[1::2])
    assert before.cosine_map is not None and before.attention is not None and after.cosine_map is not None
    return locality(before.cosine_map, after.cosine_map, before.attention, share, same, seed)


def patch(
    first: NDArray[np.uint8],
    second: NDArray[np.uint8],
    same: NDArray[np.bool_],
    cells: tuple[int, int],
    random: np.random.Generator,
    cover: str = "face",
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """First pictures (N, 112, 112, 3) with pasted rectangles, and the covered share of their cells (N, H, W)."""
    patched = first.copy()
    masks = np.empty(first.shape[:3], bool)
    others = (np.arange(len(first)) + random.integers(1, max(2, len(first)), len(first))) % len(first)
    for k in range(len(first)):
        masks[k] = paste_rectangles(random, *first.shape[1:3])
        if cover == "grey":
            source = np.full_like(first[k], 127)
        elif cover == "noise":
            source = random.integers(0, 256, first[k].shape, np.uint8)
        else:
            source = second[others[k] if same[k] else k]
        patched[k][masks[k]] = source[masks[k]]
    return patched, covered(masks, cells)


def locality(
    clean: NDArray[np.float32],
    patched: NDArray[np.float32],
    attention: NDArray[np.float32],
    share: NDArray[np.float32],
    same: NDArray[np.bool_],
    seed: int = 0,
) -> Locality:
    """The measures from maps (N, H, W): cosines clean and patched, attention, covered shares; same (N,).

    Raises ValueError when there are no covered or no free cells, or no pairs of one person.
    """
    n = len(same)
    if not same.any():
        raise ValueError(f"expected pairs of one person, got {n} of two people")
    before, after, weights = (x.reshape(n, -1).astype(np.float64) for x in (clean, patched, attention))
    is_covered, is_free = share.reshape(n, -1) > COVERED, share.reshape(n, -1) < FREE
    counted = is_covered | is_free
    if not is_covered.any() or not is_free.any():
        raise ValueError("no cell is covered, or none is free of the patches")
    change = np.where(same[:, None], before - after, after - before)
    both = is_covered.any(1) & is_free.any(1) & same
    find = np.full(n, np.nan)
    for k in np.flatnonzero(both):
        find[k] = auc(-after[k][counted[k]], is_covered[k][counted[k]])
    entropy = -(weights * np.log(np.maximum(weights, 1e-12))).sum(1)

    def measures(chosen: NDArray[np.intp]) -> tuple[float, float, float]:
        use = counted[chosen]
        change_auc = auc(change[chosen][use], is_covered[chosen][use])
        return change_auc, float(np.nanmean(find[chosen])), float(np.exp(entropy[chosen].mean()))

    low, high = interval(lambda drawn: [measures(row) for row in drawn], n, seed, _BOOTSTRAP)
    found = measures(np.arange(n))
    intervals = [(float(a), float(b)) for a, b in zip(low, high, strict=True)]
    return Locality(found[0], intervals[0], found[1], intervals[1], found[2], intervals[2], n)
