"""Lists of pairs in LFW's manner: NAME N M for one person, NAME N NAME M for two."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .tables import read_text

FOLDS = 10  # of LFW's protocol, which the other benchmarks have taken over


class Listed(NamedTuple):
    """What a list holds.

    folds   of its first line; None where that has none
    names   each photograph once: the person's name, and its number
    places  where each is first asked for, for messages
    table   (N, 3): first and second photograph of each pair, and whether both show one person
    """

    folds: int | None
    names: list[tuple[str, int]]
    places: list[str]
    table: NDArray[np.intp]


def read_list(path: Path, *, headless: bool = False) -> Listed:
    """Reads a list. Lines that begin with # are left out.

    headless : the first line, of the numbers of folds and of pairs, may be missing.

    Raises ValueError for a line that can't be understood, which is named, or a list without pairs; OSError where it
    can't be read.
    """
    lines = [(i, line.strip()) for i, line in enumerate(read_text(path).splitlines(), 1)]
    rest = [(i, line) for i, line in lines if line and not line.startswith("#")]
    folds = None
    if not (headless and rest and len(rest[0][1].split()) > 2):
        (start, head), *rest = rest or [(1, "")]
        folds = _folds(path, start, head)
    seen: dict[tuple[str, int], int] = {}
    places: list[str] = []
    rows: list[tuple[int, int, bool]] = []
    for number, line in rest:
        parts = [part.strip() for part in line.split("\t")] if "\t" in line else line.split()
        same = len(parts) == 3
        if len(parts) not in (3, 4) or not all(map(is_number, (parts[1], parts[-1]))):
            raise ValueError(f"{path}, line {number}: expected NAME N M or NAME N NAME M, got {line[:80]!r}")
        two = ((parts[0], int(parts[1])), (parts[0] if same else parts[2], int(parts[-1])))
        first, second = (seen.setdefault(photograph, len(seen)) for photograph in two)
        places += [f"{path}, line {number}"] * (len(seen) - len(places))
        rows.append((first, second, same))
    if not rows:
        raise ValueError(f"{path}: holds no pairs")
    return Listed(folds, list(seen), places, np.array(rows, np.intp).reshape(-1, 3))


def _folds(path: Path, start: int, head: str) -> int | None:
    """Of the first line; None where it tells the number of pairs alone, as pairsDevTrain.txt and its like do."""
    counts = head.split()
    if len(counts) not in (1, 2) or not all(map(is_number, counts)):
        raise ValueError(f"{path}, line {start}: expected the numbers of folds and of pairs, got {head[:80]!r}")
    folds = int(counts[0]) if len(counts) == 2 else None
    if folds is not None and folds < 2:
        raise ValueError(f"{path}, line {start}: {folds} folds; expected at least 2")
    return folds


def file_name(name: str, number: int) -> str:
    """Where LFW has the photograph: ``Name/Name_0001.jpg``."""
    return f"{name}/{name}_{number:04d}.jpg"


def is_number(text: str) -> bool:
    """Digits, and not so many that they are something else."""
    return text.isascii() and text.isdigit() and len(text) < 10
