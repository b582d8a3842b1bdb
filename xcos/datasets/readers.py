"""Readers of the forms that verification benchmarks come in."""

from __future__ import annotations

import csv
import os
import pickle
from pathlib import Path

import numpy as np

from . import plain_pickle
from .bcolz import BcolzImages
from .pairs import Pairs, unique_images
from .photographs import photographs

FOLDS = 10  # of LFW's protocol, which the other benchmarks have taken over
_LABELS = {
    **dict.fromkeys(("1", "true", "same", "yes"), True),
    **dict.fromkeys(("0", "-1", "false", "different", "no"), False),
}

PathLike = str | os.PathLike[str]


def read(path: PathLike) -> Pairs:
    """A benchmark in the form that its name tells: .bin, .csv, or a folder with a bcolz carray.

    Raises ValueError for other names, and what the reader of that form raises. LFW's pairs.txt needs its
    photographs too: see ``read_lfw``.
    """
    path = Path(path)
    if path.is_dir():
        return read_bcolz(path)
    readers = {".bin": read_bin, ".csv": read_csv}
    if path.suffix.lower() not in readers:
        raise ValueError(f"{path}: expected a .bin, a .csv or the folder of a bcolz carray (LFW's pairs.txt: read_lfw)")
    return readers[path.suffix.lower()](path)


def read_bin(path: PathLike, *, folds: int = FOLDS) -> Pairs:
    """InsightFace's .bin (LFW, CFP-FF, CFP-FP, AgeDB-30, CALFW, CPLFW, VGG2-FP): aligned crops and labels.

    The file is a pickle of two lists: encoded images, two for each pair, and bools. It is read by an unpickler
    that admits lists, bytes, numbers and NumPy arrays alone. An image that occurs in several pairs is kept once.

    Raises ValueError where the content is anything else, naming it; OSError where the file can't be read.
    """
    with open(path, "rb") as file:
        try:
            content = plain_pickle.load(file)
        except pickle.UnpicklingError as error:
            raise ValueError(f"{os.fspath(path)}: no plain .bin of pairs: {error}") from None
    try:
        images, labels = content
        encoded = [x if isinstance(x, bytes) else np.asarray(x, np.uint8).tobytes() for x in images]
        same = np.asarray(labels).astype(bool).reshape(-1)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{os.fspath(path)}: expected a list of images and a list of labels ({error})") from None
    if len(encoded) != 2 * len(same):
        raise ValueError(f"{os.fspath(path)}: {len(encoded)} images for {len(same)} labels; expected two for each")
    distinct, which = unique_images(encoded)
    names = [""] * len(distinct)
    for place in range(len(which) - 1, -1, -1):
        names[which[place]] = f"image {place}"  # where it occurs first
    return Pairs(Path(path).stem, distinct, names, which[::2], which[1::2], same, folds)


def read_bcolz(folder: PathLike, *, labels: PathLike | None = None, bgr: bool = False, folds: int = FOLDS) -> Pairs:
    """InsightFace_Pytorch's form: `folder` is a bcolz carray of crops, two for each pair, beside NAME_list.npy.

    `labels`: the .npy with the labels, if it lies elsewhere. `bgr`: the crops were stored in the order of
    OpenCV. Needs ``pip install blosc2``. Raises ValueError for another content, OSError for unreadable files.
    """
    folder = Path(folder)
    if not (folder / "meta/sizes").is_file():
        raise ValueError(f"{folder}: expected the folder of a bcolz carray, with meta/sizes")
    images = BcolzImages(folder, bgr)
    same = np.load(labels or folder.with_name(f"{folder.name}_list.npy"), allow_pickle=False).astype(bool).reshape(-1)
    if len(images) != 2 * len(same):
        raise ValueError(f"{folder}: {len(images)} images for {len(same)} labels; expected two for each")
    names = [f"image {i}" for i in range(len(images))]
    return Pairs(folder.name, images, names, np.arange(0, len(images), 2), np.arange(1, len(images), 2), same, folds)


def read_lfw(pairs: PathLike, photos: PathLike, *, aligned: bool = False) -> Pairs:
    """LFW's own pairs.txt, with its photographs as a folder or tar (``Name/Name_0001.jpg``, folders around allowed).

    Faces are found and aligned by xcos, unless `aligned`. The number of folds is the one in the first line.
    Raises ValueError naming the line that can't be understood, FileNotFoundError naming a missing photograph.
    """
    path = Path(pairs)
    with open(path, encoding="utf-8") as file:
        head, *lines = file.read().splitlines() or [""]
    counts = head.split()
    if len(counts) not in (1, 2) or not all(count.isdigit() for count in counts):
        raise ValueError(f"{path}, line 1: expected the numbers of folds and of pairs, got {head[:80]!r}")
    seen: dict[str, int] = {}
    rows: list[tuple[int, int, bool]] = []
    for number, line in enumerate(lines, 2):
        parts = line.split("\t") if "\t" in line else line.split()
        if not line.strip():
            continue
        same = len(parts) == 3
        if len(parts) not in (3, 4) or not all(part.isdigit() for part in (parts[1], parts[-1])):
            raise ValueError(f"{path}, line {number}: expected NAME N M or NAME N NAME M, got {line[:80]!r}")
        two = ((parts[0], parts[1]), (parts[0] if same else parts[2], parts[-1]))
        names = [f"{name}/{name}_{int(k):04d}.jpg" for name, k in two]
        first, second = (seen.setdefault(name, len(seen)) for name in names)
        rows.append((first, second, same))
    table = np.array(rows, np.intp).reshape(-1, 3)
    folds = int(counts[0]) if len(counts) == 2 else FOLDS  # pairsDevTrain.txt and its like have no folds
    images = photographs(photos, seen)
    return Pairs(path.stem, images, list(seen), table[:, 0], table[:, 1], table[:, 2] > 0, folds, aligned)


def read_csv(path: PathLike, *, folds: int = FOLDS, aligned: bool = False) -> Pairs:
    """A table of pairs with the columns ``first``, ``second``, ``same``; every other column is one of groups.

    Paths count from the table's folder. ``same`` is 1, true, same or yes, or 0, -1, false, different or no.
    Raises ValueError naming the line that can't be understood, OSError where the table can't be read.
    """
    path = Path(path)
    with open(path, encoding="utf-8-sig", newline="") as file:
        table = csv.DictReader(file)
        columns = list(table.fieldnames or [])
        if not {"first", "second", "same"} <= set(columns):
            raise ValueError(f"{path}: has the columns {columns}; expected first, second, same and those of groups")
        rows = []
        for row in table:
            if None in row or None in row.values():
                raise ValueError(f"{path}, line {table.line_num}: expected {len(columns)} fields")
            if row["same"].strip().lower() not in _LABELS:
                raise ValueError(f"{path}, line {table.line_num}: same is {row['same'][:80]!r}; expected 1 or 0")
            rows.append(row)
    seen: dict[str, int] = {}
    first, second = ([seen.setdefault(row[key], len(seen)) for row in rows] for key in ("first", "second"))
    same = [_LABELS[row["same"].strip().lower()] for row in rows]
    others = [key for key in columns if key not in ("first", "second", "same")]
    groups = {key: np.array([row[key] for row in rows], str) for key in others}
    images = [path.parent / name for name in seen]
    index = np.array([first, second], np.intp)
    return Pairs(path.stem, images, list(seen), index[0], index[1], np.array(same, bool), folds, aligned, groups)
