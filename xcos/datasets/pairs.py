"""Pairs of images, labelled: what every verification benchmark comes down to."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Pairs:
    """N labelled pairs among M images. Images are read when asked for, as often as asked for.

    name     what the data set is called in tables
    images   sequence of M images, each anything that ``xcos.read_image`` takes
    names    what they are called in reports, M texts
    first    (N,) which image is the first of each pair
    second   (N,) which is the second
    same     (N,) bool: both show one person
    folds    how many folds the protocol uses, in the order of the pairs; LFW: 10
    aligned  the images are 112 x 112 crops aligned to the ArcFace template
    groups   (N,) texts by the name of their column, for error rates of groups

    ``pairs[:300]`` holds the first 300 pairs. Raises ValueError where the parts do not fit together.
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
        for key, kind in (("first", np.intp), ("second", np.intp), ("same", np.bool_)):
            object.__setattr__(self, key, np.asarray(getattr(self, key), kind))
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
        """SHA-256 of the images in use, in hex: the same images give the same digest, wherever they lie.

        Reads all of them. Raises OSError where one can't be read.
        """
        total = hashlib.sha256(b"aligned" if self.aligned else b"photographs")
        for i in self.used:
            total.update(_digest(self.images[i]))
        return total.hexdigest()


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
