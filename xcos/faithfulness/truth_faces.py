"""Measures of truth on people's pictures: blends of two faces (own, leak, parts), and other pictures (repeat)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..explainers.base import Crops
from ..faces.cells import covered
from ..storage.progress import Progress, counter
from . import blends
from . import cell_statistics as statistics
from .measure import Estimate
from .people import People
from .subject import BATCH, Grids, Subject
from .truth_result import Cell

# Corners, rim and middle of a grid of 7 x 7 (those that the first measurements took); other grids: the same places.
CELLS = ((0, 0), (0, 3), (2, 2), (2, 4), (3, 3), (3, 1), (5, 3), (4, 5), (6, 6), (6, 3))
COVERED, FREE = 0.55, 0.02  # parts of a cell: more of it pasted, and less
LEAST = 10  # pairs of people, for correlations of maps after each cell's mean was taken off


def on_faces(
    subject: Subject,
    people: People,
    measures: Collection[str],
    cells: Sequence[Cell] | str | None,
    triples: int,
    seed: int,
    threads: int | None,
    progress: Progress,
) -> dict[str, Any]:
    drawn = people.draw(triples, 2, seed, threads)
    n = len(drawn)
    if n < 2:
        raise ValueError(f"{people.name}: {n} people with two usable pictures; expected at least 2{people.trouble}")
    seen = subject.all(drawn.reshape(2 * n, *drawn.shape[2:]))
    one, two = seen[::2], seen[1::2]  # A and A'; the next person's are B and B'
    found: dict[str, Any] = {"faces": people.name, "triples": n}
    if "own" in measures:
        found |= _own_and_leak(subject, drawn[:, 0], one, two, _chosen(cells, one.shape[2:]), progress)
    if "parts" in measures:
        found["parts"] = _parts(subject, drawn[:, 0], one, two, progress)
    if "repeat" in measures:
        four = people.draw(triples, 4, seed, threads)
        found["repeat"], found["missing"] = _repeat(subject, four, one, two)
    return found


def _chosen(cells: Sequence[Cell] | str | None, grid: tuple[int, ...]) -> list[Cell]:
    height, width = grid
    if cells is None:
        places = ((round(i * (height - 1) / 6), round(j * (width - 1) / 6)) for i, j in CELLS)
        return list(dict.fromkeys(places))
    every = [(i, j) for i in range(height) for j in range(width)]
    if cells == "all":
        return every
    listed = [cell for cell in every if cell in list(cells)]
    if not listed or len(listed) < len(cells):
        raise ValueError(f"cells: expected 'all' or (row, column) in a grid of {height} x {width}, got {cells!r}")
    return listed


def _next(array: NDArray[Any]) -> NDArray[Any]:
    """B's in the place of A's: the next person's. All people are different ones."""
    return np.roll(array, -1, axis=0)


def _own_and_leak(
    subject: Subject, faces: Crops, one: Grids, two: Grids, cells: list[Cell], progress: Progress
) -> dict[str, Any]:
    shape = one.shape[2:]
    rows, columns = np.transpose(cells)
    masks = blends.windows(cells, (shape[0], shape[1]))
    clean, other = (statistics.cosines(grid, two)[:, rows, columns] for grid in (one, _next(one)))
    beside = np.moveaxis(two[:, :, rows, columns], 2, 1)  # (n, C, D)
    at = np.arange(len(cells))
    found: dict[str, Any] = {}
    for name, into, of in (("own", _next(faces), faces), ("leak", faces, _next(faces))):
        changed = np.empty(clean.shape)
        for part, grids in _blended(subject, into, of, masks, progress, name):
            vectors = np.moveaxis(grids[:, at, :, rows, columns], 0, 1)  # each blend at the cell that it is for
            changed[part] = statistics.cosines(vectors, beside[part], axis=2)
        each = statistics.kept(clean, other, changed, None)
        found[name] = statistics.kept(clean, other, changed)
        found[f"{name}_map"] = Estimate(*(_placed(v, cells, shape) for v in (each.value, each.low, each.high)))
        if name == "leak":
            ends, middle = [{0, size - 1} for size in shape], [{(size - 1) // 2, size // 2} for size in shape]
            for key, place in (("corners_leak", ends), ("centre_leak", middle)):
                here = [k for k, (i, j) in enumerate(cells) if i in place[0] and j in place[1]]
                found[key] = statistics.kept(clean, other, changed, here) if here else None
    return found


def _placed(values: NDArray[Any], cells: list[Cell], shape: tuple[int, ...]) -> NDArray[np.float64]:
    placed = np.full(shape, np.nan)
    placed[tuple(np.transpose(cells))] = values
    return placed


def _parts(
    subject: Subject, faces: Crops, one: Grids, two: Grids, progress: Progress
) -> dict[str, dict[str, Estimate]]:
    masks = blends.parts()
    other_two = _next(two)
    clean, other = (statistics.cosines(one, beside)[:, None] for beside in (two, other_two))
    drop, rise = (np.empty((len(faces), len(masks), *one.shape[2:])) for _ in range(2))
    for part, grids in _blended(subject, faces, _next(faces), np.stack(list(masks.values())), progress, "parts"):
        drop[part] = clean[part] - statistics.cosines(grids, two[part][:, None], axis=2)
        rise[part] = statistics.cosines(grids, other_two[part][:, None], axis=2) - other[part]
    found = {}
    for k, (name, mask) in enumerate(masks.items()):
        share = covered(mask, (one.shape[2], one.shape[3]))
        split = (share > COVERED, share < FREE)
        figures = {"drop": drop[:, k], "rise": rise[:, k]}
        found[name] = {
            key: statistics.mean(statistics.area_under_curve(maps, *split)) for key, maps in figures.items()
        }
    return found


def _blended(
    subject: Subject, into: Crops, of: Crops, masks: NDArray[np.bool_], progress: Progress, what: str
) -> Iterator[tuple[slice, Grids]]:
    """Grids (n, C, D, H, W) of the faces `into` with those `of` inside each mask, some faces at a time."""
    soft = blends.soften(masks)
    together = max(1, BATCH // len(masks))
    with counter(len(into), progress, what) as done:
        for start in range(0, len(into), together):
            part = slice(start, min(start + together, len(into)))
            pictures = [blends.blend(a, b, masks, soft) for a, b in zip(into[part], of[part], strict=True)]
            grids = subject.all(np.concatenate(pictures))
            yield part, grids.reshape(len(pictures), len(masks), *grids.shape[1:])
            done(part.stop)


def _repeat(
    subject: Subject, four: Crops, one: Grids, two: Grids
) -> tuple[dict[str, Estimate] | None, dict[str, str]]:
    """What could be measured, and why something could not. four : (n, 4, 112, 112, 3), four pictures a person."""
    found: dict[str, Estimate] = {}
    missing: dict[str, str] = {}
    for key, people, pictures in (("same", len(four), "four"), ("different", len(one), "two")):
        if people < LEAST:
            missing[f"repeat {key}"] = f"{people} people with {pictures} usable pictures; expected at least {LEAST}"
            continue
        if key == "same":
            seen = subject.all(four.reshape(-1, *four.shape[2:]))
            maps = [statistics.cosines(seen[k::4], seen[k + 1 :: 4]) for k in (0, 2)]
        else:
            maps = [statistics.cosines(picture, _next(picture)) for picture in (one, two)]
        found[key], found[f"{key} control"] = statistics.repeated(maps[0], maps[1])
    return found or None, missing
