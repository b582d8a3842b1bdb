"""Does a cell say something about its own place? Measures of truth of a model's maps."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core, datasets
from ..api import load
from ..explainers.base import Crops
from ..faces import crop
from ..model import Model
from ..model_file import ModelFile
from ..progress import Progress, counter
from . import blends, cells
from .measure import Estimate
from .pairs import LabelledCrops
from .people import People

MEASURES = ("alone", "rank", "own")
# Of a grid of 7 x 7: corners, rim and middle. Other grids take those at the same places.
CELLS = ((0, 0), (0, 3), (2, 2), (2, 4), (3, 3), (3, 1), (5, 3), (4, 5), (6, 6), (6, 3))
_BATCH = 64

Cell = tuple[int, int]
Grids = Callable[[Crops], NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Truth:
    """What :func:`truth` found."""

    model: str
    faces: str
    data: str
    pairs: int
    triples: int
    score: Estimate | None = None
    cosine: Estimate | None = None
    alone: Estimate | None = None
    corners_alone: Estimate | None = None
    best_alone: Estimate | None = None
    best_cell: Cell | None = None
    rank: Mapping[str, Estimate] | None = None
    own: Estimate | None = None
    leak: Estimate | None = None
    own_map: Estimate | None = None
    leak_map: Estimate | None = None
    corners_leak: Estimate | None = None
    centre_leak: Estimate | None = None

    def __repr__(self) -> str:
        found = [f"{key} {getattr(self, key).value:.3f}" for key in ("score", "corners_alone", "best_alone", "own", "leak") if getattr(self, key)]
        ranks = [f"rank {self.rank['same'].value:.1f} / {self.rank['different'].value:.1f}"] if self.rank else []
        return f"Truth({self.model!r}, {', '.join(found + ranks)})"

    def to_dict(self) -> dict[str, Any]:
        """Numbers, strings and lists only."""
        out: dict[str, Any] = {}
        for key in self.__slots__:
            value = getattr(self, key)
            if isinstance(value, Estimate):
                value = value.to_dict()
            elif isinstance(value, Mapping):
                value = {name: part.to_dict() for name, part in value.items()}
            out[key] = value
        return out


def truth(
    model: Any,
    faces: Any,
    pairs: Any,
    *,
    measures: Sequence[str] = MEASURES,
    cells_of: Sequence[Cell] | str | None = None,
    triples: int = 300,
    folds: int = 5,
    aligned: bool | None = None,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress = None,
) -> Truth:
    """First version: alone, rank, own and leak."""
    model = _model(model)
    name, grids = _eyes(model, threads)
    found: dict[str, Any] = {}
    if "alone" in measures or "rank" in measures:
        maps, same, scores = _pair_maps(model, grids, pairs, threads, progress)
        for key, values in scores.items():
            found[key] = cells.accuracy(cells.right(values, same, folds))
        if "alone" in measures:
            found |= _alone(maps, same, folds)
        if "rank" in measures:
            found["rank"] = {"same": cells.rank(maps[same]), "different": cells.rank(maps[~same])}
    people = People(faces, aligned)
    drawn = people.draw(triples, 2, seed, threads)
    if "own" in measures:
        found |= _own(grids, drawn, cells_of, progress)
    n = len(same) if "alone" in measures or "rank" in measures else 0
    return Truth(name, people.name, getattr(pairs, "name", os.fspath(pairs) if isinstance(pairs, (str, os.PathLike)) else ""), n, len(drawn), **found)


def _model(model: Any) -> Any:
    if model is None or isinstance(model, (str, os.PathLike)):
        return load(model)
    return Model(model) if isinstance(model, ModelFile) else model


def _eyes(model: Any, threads: int | None) -> tuple[str, Grids]:
    if isinstance(model, Model):
        return model.name, lambda crops: model.features(crops, aligned=True, batch=len(crops), threads=threads).grid
    return getattr(model, "__name__", type(model).__name__), model


def _pair_maps(model: Any, grids: Grids, pairs: Any, threads: int | None, progress: Progress) -> Any:
    if isinstance(pairs, (str, os.PathLike)):
        pairs = datasets.read(pairs)
    maps, scores = [], {"score": [], "cosine": []}
    with counter(len(pairs), progress, "pairs") as done:
        for first, second in _batches(pairs, threads):
            both = np.concatenate([first, second])
            n = len(first)
            if isinstance(model, Model):
                seen = model.features(both, aligned=True, batch=2 * n, threads=threads)
                compared = model.compare(seen[:n], seen[n:], threads=threads)
                scores["score"].append((compared.attention * compared.cosine_map).sum((1, 2)))
                scores["cosine"].append(compared.cosine)
                grid = seen.grid
            else:
                grid = grids(both)
            maps.append(cells.cosine_maps(grid[:n], grid[n:]))
            done(sum(map(len, maps)))
    return np.concatenate(maps), pairs.same, {k: np.concatenate(v).astype(float) for k, v in scores.items() if v}


def _batches(pairs: Any, threads: int | None) -> Iterator[tuple[Crops, Crops]]:
    half = _BATCH // 2
    if isinstance(pairs, LabelledCrops):
        for i in range(0, len(pairs), half):
            yield pairs.first[i : i + half], pairs.second[i : i + half]
        return
    with ThreadPoolExecutor(threads or _core.default_threads()) as pool:
        for i in range(0, len(pairs), half):
            index = np.concatenate([pairs.first[i : i + half], pairs.second[i : i + half]])
            crops = np.stack(list(pool.map(lambda k: crop(pairs.images[k], aligned=pairs.aligned, threads=1), index)))
            yield crops[: len(index) // 2], crops[len(index) // 2 :]


def _alone(maps: NDArray[Any], same: NDArray[np.bool_], folds: int) -> dict[str, Any]:
    height, width = maps.shape[1:]
    decided = np.empty(maps.shape, bool)
    for i, j in np.ndindex(height, width):
        decided[:, i, j] = cells.right(maps[:, i, j], same, folds)
    alone = cells.accuracy(decided)
    best = np.unravel_index(np.argmax(alone.value), alone.value.shape)
    return {
        "alone": alone,
        "corners_alone": cells.accuracy(decided[:, [0, 0, -1, -1], [0, -1, 0, -1]].mean(1)),
        "best_alone": cells.accuracy(decided[:, best[0], best[1]]),
        "best_cell": (int(best[0]), int(best[1])),
    }


def _own(grids: Grids, drawn: Crops, chosen: Any, progress: Progress) -> dict[str, Any]:
    n = len(drawn)
    seen = np.concatenate([grids(drawn[i : i + _BATCH // 2].reshape(-1, *drawn.shape[2:])) for i in range(0, n, _BATCH // 2)])
    a, second = seen[::2], seen[1::2]
    shape = (int(seen.shape[2]), int(seen.shape[3]))
    if chosen == "all":
        listed = list(np.ndindex(*shape))
    else:
        scale = ((shape[0] - 1) / 6, (shape[1] - 1) / 6)
        listed = list(chosen) if chosen else list(dict.fromkeys((round(i * scale[0]), round(j * scale[1])) for i, j in CELLS))
    rows, columns = (np.array(part) for part in zip(*listed, strict=True))
    masks = blends.windows(listed, shape)
    soft = blends.soften(masks)
    other = np.roll(np.arange(n), -1)
    clean = cells.cosine_maps(a, second)[:, rows, columns]
    null = cells.cosine_maps(a[other], second)[:, rows, columns]
    count = len(listed)
    changed = np.empty((n, 2, count))
    at = np.arange(count)
    together = max(1, _BATCH // (2 * count))
    with counter(n, progress, "own and leak") as done:
        for start in range(0, n, together):
            part = range(start, min(n, start + together))
            crops = []
            for i in part:
                one, two = drawn[i, 0], drawn[other[i], 0]
                crops += [blends.blend(two, one, masks, soft), blends.blend(one, two, masks, soft)]
            grid = grids(np.concatenate(crops)).reshape(len(part), 2, count, *seen.shape[1:])
            vectors = grid[:, :, at, :, rows, columns]  # (C, part, 2, D)
            reference = second[part.start : part.stop][:, :, rows, columns]  # (part, D, C)
            reference = np.moveaxis(reference, 2, 0)[:, :, None]
            changed[part.start : part.stop] = np.moveaxis(_cosine(vectors, reference), 0, 2)
            done(part.stop)
    corners = [k for k, (i, j) in enumerate(listed) if i in (0, shape[0] - 1) and j in (0, shape[1] - 1)]
    middle = [{(s - 1) // 2, s // 2} for s in shape]
    centre = [k for k, (i, j) in enumerate(listed) if i in middle[0] and j in middle[1]]
    found: dict[str, Any] = {}
    for place, key in enumerate(("own", "leak")):
        arrays = (clean, null, changed[:, place])
        found[key] = cells.kept(*arrays)
        flat = cells.kept(*arrays, None)
        whole = []
        for values in (flat.value, flat.low, flat.high):
            filled = np.full(shape, np.nan)
            filled[rows, columns] = values
            whole.append(filled)
        found[f"{key}_map"] = Estimate(*whole)
    leaks = (clean, null, changed[:, 1])
    found["corners_leak"] = cells.kept(*leaks, corners) if corners else None
    found["centre_leak"] = cells.kept(*leaks, centre) if centre else None
    return found


def _cosine(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    dots = (a * b).sum(-1, dtype=np.float64)
    norms = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    return np.divide(dots, norms, out=np.zeros_like(dots), where=norms > 0)
