"""Pairs of images, labelled: what every verification benchmark comes down to."""

from __future__ import annotations

import hashlib
import os
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Pairs:
    """N labelled pairs among M images, which are read when asked for, as often as asked for.

    ``pairs[:300]`` holds the first 300 pairs.

    Parameters
    ----------
    name : str
        What the data set is called in tables.
    images : sequence
        M images, each anything that ``xcos.read_image`` takes.
    names : sequence of str
        What they are called in reports, M texts.
    first, second : (N,) ndarray of int
        Which images each pair is made of.
    same : (N,) ndarray of bool
        Both show one person (0 and 1, or -1 and 1, will do).
    folds : int, default 10
        How many folds the protocol uses, in the order of the pairs; LFW: 10.
    aligned : bool, default True
        The images are 112 x 112 crops aligned to the ArcFace template.
    groups : dict
        (N,) texts by the name of their column, for error rates of groups.

    Raises
    ------
    ValueError
        The parts do not fit together.

    Examples
    --------
    >>> import xcos
    >>> names = ["obama_portrait_2012", "obama_congress_2009", "biden_blue_room_2010"]
    >>> photos = [f"examples/{name}.jpg" for name in names]
    >>> pairs = xcos.datasets.Pairs("three", photos, names, [0, 0], [1, 2], [True, False], folds=2, aligned=False)
    >>> len(pairs), pairs.used.tolist()
    (2, [0, 1, 2])
    """

    name: str
    images: Sequence[Any]
    names: Sequence[str]
    first: Indices
    second: Indices
    same: NDArray[np.bool_]
    folds: int = 10
    aligned: bool = True
    groups: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key in ("first", "second"):
            object.__setattr__(self, key, np.asarray(getattr(self, key), np.intp))
        object.__setattr__(self, "same", as_labels(self.same, self.name))
        object.__setattr__(self, "groups", {key: np.asarray(column, str) for key, column in self.groups.items()})
        n = len(self.same)
        lengths = {"first": self.first, "second": self.second, **self.groups}
        for key, column in lengths.items():
            if column.shape != (n,):
                raise ValueError(f"{self.name}: {key} has the shape {column.shape}; expected ({n},), one a label")
        if len(self.names) != len(self.images):
            raise ValueError(f"{self.name}: {len(self.names)} names for {len(self.images)} images")
        used = np.concatenate([self.first, self.second])
        if n and not 0 <= used.min() <= used.max() < len(self.images):
            raise ValueError(f"{self.name}: pairs of images {used.min()} to {used.max()}; there are {len(self.images)}")
        if self.folds < 2:
            raise ValueError(f"{self.name}: {self.folds} folds; expected at least 2")

    def __len__(self) -> int:
        return len(self.same)

    def __repr__(self) -> str:
        images = len(self.used)
        return f"Pairs({self.name!r}, {len(self)} pairs ({int(self.same.sum())} same) of {images} images)"

    def __getitem__(self, index: slice) -> Pairs:
        groups = {key: column[index] for key, column in self.groups.items()}
        return replace(self, first=self.first[index], second=self.second[index], same=self.same[index], groups=groups)

    @property
    def used(self) -> Indices:
        """The images that occur in a pair: their indices, ascending."""
        return np.unique(np.concatenate([self.first, self.second]))

    def digest(self) -> str:
        """SHA-256 of the images in use: the same images give the same digest, wherever they lie.

        Returns
        -------
        str
            64 hexadecimal digits. All images are read for it.

        Raises
        ------
        OSError
            An image can't be read.
        """
        total = hashlib.sha256(b"aligned" if self.aligned else b"photographs")
        for i in self.used:
            total.update(_digest(self.images[i]))
        return total.hexdigest()


def as_labels(labels: Any, where: str) -> NDArray[np.bool_]:
    """Labels of pairs as bools (N,), True for one person.

    Bools, 0 and 1, or -1 and 1 are read, as integers or floats. Anything else is refused with what was found, since
    Python takes nearly everything for true: "0", b"False" and -1 among it. `where` stands in the message. Raises
    ValueError.
    """
    if isinstance(labels, np.ndarray) and labels.dtype == bool:  # millions of all_pairs
        return np.array(labels, np.bool_).reshape(-1)
    found = np.asarray(labels, object).reshape(-1)
    for i, label in enumerate(found):
        if not isinstance(label, (bool, np.bool_, int, np.integer, float, np.floating)) or label not in (-1, 0, 1):
            raise ValueError(f"{where}: label {i} is {reprlib.repr(label)}; expected bools, 0 and 1, or -1 and 1")
    if np.any(found == 0) and np.any(found == -1):
        raise ValueError(f"{where}: labels of -1, 0 and 1; expected two kinds: bools, 0 and 1, or -1 and 1")
    return np.asarray(found == 1, np.bool_)


def unique_images(images: Sequence[bytes]) -> tuple[list[bytes], Indices]:
    """Each image once, and for every given image which of those it is: benchmarks repeat many of theirs."""
    seen: dict[bytes, int] = {}
    which = np.array([seen.setdefault(image, len(seen)) for image in images], np.intp)
    return list(seen), which


def _digest(image: Any) -> bytes:
    if isinstance(image, (str, os.PathLike)):
        with open(image, "rb") as file:
            image = file.read()
    if not isinstance(image, bytes):
        array = np.ascontiguousarray(image)
        image = f"{array.dtype.str} {array.shape}".encode() + array.tobytes()
    return hashlib.sha256(image).digest()
