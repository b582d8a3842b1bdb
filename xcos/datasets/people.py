"""Faces of people: a folder of people, an archive of the same, or InsightFace's .rec with .idx."""

from __future__ import annotations

import logging
import os
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..base.names import shown
from ..errors import ImageError
from ..faces import How, crop_all
from ..faces.folders import Places, collection
from ..faces.image import read_image

SIDE = 112
_MAX_PIXELS = 64 * SIDE * SIDE
_SPLITS = {"train", "training", "val", "valid", "validation", "dev", "test", "eval"}
_log = logging.getLogger("xcos")
# MXNet's RecordIO: a magic number, then length in the lower 29 bits, kind of part in the upper 3.
_MAGIC = 0xCED7230A
_LENGTH = (1 << 29) - 1


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """Encoded pictures of aligned faces, read when asked for, and who they show; made by :func:`read_faces`.

    Attributes
    ----------
    labels : (N,) ndarray of int64
        0 to people - 1; -1 for faces of nobody in particular.
    people : int
        How many labels there are.
    name : str
        Where they come from, for messages.

    Examples
    --------
    >>> import xcos
    >>> faces = xcos.datasets.read_faces("examples")
    >>> len(faces), faces.people
    (4, 4)
    """

    labels: NDArray[np.int64]
    people: int
    name: str
    _read: Callable[[int], bytes]

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"Faces({self.name!r}, {len(self)} of {self.people} people)"

    def encoded(self, index: int) -> bytes:
        """The file of a picture.

        Parameters
        ----------
        index : int
            Which picture, counted from 0.

        Returns
        -------
        bytes
            A file's contents.
        """
        return self._read(index)

    def crop(self, index: int) -> NDArray[np.uint8]:
        """Reads a picture.

        Parameters
        ----------
        index : int
            Which picture, counted from 0.

        Returns
        -------
        (112, 112, 3) ndarray of uint8
            Its pixels, RGB.

        Raises
        ------
        ImageError
            The picture, which is named, is damaged or of another size.
        """
        where = f"{self.name}, picture {index}"
        try:
            image = read_image(self._read(index), max_pixels=_MAX_PIXELS)
        except ImageError as error:
            raise ImageError(f"{where}: {str(error).removeprefix('<bytes>: ')}") from None
        if image.shape != (SIDE, SIDE, 3):
            size = f"{image.shape[1]} x {image.shape[0]}"
            raise ImageError(f"{where}: {size} pixels; expected an aligned crop of 112 x 112")
        return image

    def crops(self, indices: Sequence[int] | NDArray[np.integer], threads: int = 0) -> NDArray[np.uint8]:
        """Reads several pictures.

        Parameters
        ----------
        indices : sequence of int
            Which pictures, counted from 0.
        threads : int, default 0
            They are decoded by so many threads; 0: the core's default.

        Returns
        -------
        (n, 112, 112, 3) ndarray of uint8
            Their pixels, RGB.
        """
        return crop_all(map(int, indices), How(aligned=True), read=self.crop, threads=threads or None)


def read_faces(source: str | os.PathLike[str]) -> Faces:
    """Faces of a folder (``person/picture``), a tar or zip of the same, or a .rec beside its .idx.

    Pictures that lie in no person's folder are people of one picture each. A compressed tar is held in memory. What is
    left out (hidden files, copies that systems keep) is told by a warning.

    Parameters
    ----------
    source : str or path
        Folder, archive or .rec.

    Returns
    -------
    Faces
        Sorted by name (.rec: by index).

    Raises
    ------
    OSError
        It cannot be opened.
    ValueError
        It holds no pictures or is damaged.

    Examples
    --------
    >>> import xcos
    >>> xcos.datasets.read_faces("examples").labels.tolist()
    [0, 1, 2, 3]
    """
    path = Path(source)
    if path.suffix.lower() == ".rec" and not path.is_dir():
        return _records(path)
    return _named(path, *collection(path))


def join(parts: Sequence[Faces]) -> Faces:
    """One collection of several; people of different collections are different people.

    Parameters
    ----------
    parts : sequence of Faces
        The collections.

    Returns
    -------
    Faces
        All of them, in their order.

    Examples
    --------
    >>> import xcos
    >>> faces = xcos.datasets.read_faces("examples")
    >>> xcos.datasets.join([faces, faces]).people
    8
    """
    if len(parts) == 1:
        return parts[0]
    starts = np.cumsum([0, *(len(part) for part in parts)])
    people = np.cumsum([0, *(part.people for part in parts)])
    labels = [np.where(part.labels < 0, -1, part.labels + first) for part, first in zip(parts, people, strict=False)]

    def read(index: int) -> bytes:
        which = int(np.searchsorted(starts, index, side="right")) - 1
        return parts[which].encoded(index - int(starts[which]))

    return Faces(np.concatenate(labels), int(people[-1]), " + ".join(part.name for part in parts), read)


def _named(path: Path, names: Sequence[str], read: Callable[[int], bytes]) -> Faces:
    owners = people_of(path, names)
    numbers = {owner: number for number, owner in enumerate(sorted(set(owners)))}
    return Faces(np.array([numbers[owner] for owner in owners]), len(numbers), shown(path.name), read)


def people_of(path: Path, names: Sequence[str]) -> list[str]:
    """Whom each picture shows: the first folder of its path names the person.

    Folders around all people, and those of a split into training and test, are no people; folders below a person
    (dates, sessions, cameras) are that person's. A warning tells where there is more than person/picture.
    """
    parts = [name.split("/") for name in names]
    while min(map(len, parts)) > 2 and (len({p[0] for p in parts}) == 1 or {p[0].lower() for p in parts} <= _SPLITS):
        parts = [p[1:] for p in parts]
    people = [p[0] for p in parts]
    deepest = max(parts, key=len)
    if len(deepest) > 2:
        _log.warning("%s: pictures lie deeper than person/picture: %s is taken as one of %s (%d people in all)",
                     path, "/".join(deepest), deepest[0], len(set(people)))  # fmt: skip
    return people


def _records(path: Path) -> Faces:
    index = path.with_suffix(".idx")
    offsets: dict[int, int] = {}
    for line in index.read_text().splitlines():
        left, _, right = line.partition("\t")
        if not (left.strip().isdigit() and right.strip().isdigit()):
            raise ValueError(f"{index}: the line {line[:60]!r} is no pair of numbers")
        offsets[int(left)] = int(right)
    keys = sorted(offsets)
    if keys and keys[0] == 0:  # InsightFace: record 0 says where the records of people begin
        flag, label, _ = _record(path, offsets[0])
        if flag > 0:
            keys = [key for key in keys[1:] if key < int(label)]
    places, labels = [], []
    for key in keys:
        _, label, (start, size) = _record(path, offsets[key])
        places.append((start, size, False))
        labels.append(int(label))
    if not places:
        raise ValueError(f"{path}: holds no pictures")
    found, numbers = np.unique(np.array(labels), return_inverse=True)
    return Faces(numbers.astype(np.int64), len(found), shown(path.name), Places(path, places).__getitem__)


def _record(path: Path, offset: int) -> tuple[int, float, tuple[int, int]]:
    """(flag, first label, place of the picture) of a record: header of RecordIO, then IRHeader (flag u32,
    label f32, id u64, id2 u64), `flag` more labels when it is not 0, then the picture."""
    with open(path, "rb") as file:
        file.seek(offset)
        head = file.read(8 + 24)
        if len(head) < 32:
            raise ValueError(f"{path}: record at {offset} is cut short")
        magic, word, flag, label = struct.unpack_from("<IIIf", head)
        length = word & _LENGTH
        if magic != _MAGIC or word >> 29 or length < 24 + 4 * flag:
            raise ValueError(f"{path}: no whole record at {offset}")
        if flag:
            labels = file.read(4 * flag)
            if len(labels) < 4 * flag:
                raise ValueError(f"{path}: record at {offset} is cut short")
            label = struct.unpack_from("<f", labels)[0]
    return flag, label, (offset + 32 + 4 * flag, length - 24 - 4 * flag)
