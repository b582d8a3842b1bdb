"""Several pictures of each of many people, as aligned crops."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..datasets import Faces, read_faces
from ..explainers.base import Crops
from ..faces import SIDE, Cut, How, cut_each

_log = logging.getLogger("xcos")

FacesLike: TypeAlias = "str | os.PathLike[str] | Faces | tuple[ArrayLike, ArrayLike]"  # of arrays: crops and labels


class People:
    """Pictures and who they show, from a path (``xcos.datasets.read_faces``), Faces, or (crops, labels).

    aligned : the pictures are aligned crops (True), photographs in which the face is found first (False), or those
        of 112 x 112 pixels are crops and all others photographs (None).

    Raises OSError and ValueError as ``read_faces``, ValueError for arrays that do not fit together.
    """

    def __init__(self, faces: FacesLike | None, aligned: bool | None = None) -> None:
        self.name: str
        self._read: Callable[[int], Any]
        if isinstance(faces, (str, os.PathLike)):
            faces = read_faces(faces)
        if isinstance(faces, Faces):
            self.name, labels, self._read = faces.name, faces.labels, faces.encoded
        else:
            self.name, labels, self._read = "arrays", *_arrays(faces)
        self._how = How(aligned)
        self._failed: list[str] = []
        of = labels >= 0
        people, numbers = np.unique(labels[of], return_inverse=True)
        order = np.argsort(numbers, kind="stable")
        starts = np.cumsum(np.bincount(numbers, minlength=len(people)))[:-1]
        self._pictures = np.split(np.flatnonzero(of)[order], starts)

    def draw(self, n: int, pictures: int, seed: int = 0, threads: int | None = None) -> Crops:
        """So many different pictures of n people drawn at random, or of as many as there are.

        -> (n, pictures, 112, 112, 3) uint8. Pictures that are damaged or show no face are passed over.
        """
        self._failed = []
        rng = np.random.default_rng(seed)
        enough = [mine for mine in self._pictures if len(mine) >= pictures]
        order = [rng.permutation(enough[i]) for i in rng.permutation(len(enough))]
        found: list[Crops] = []
        while order and len(found) < n:
            part, order = order[: n - len(found)], order[n - len(found) :]
            found += [np.stack(some) for some in self._some(part, pictures, threads) if len(some) == pictures]
        if self._failed and found:
            _log.warning("%s%s", self.name, self.trouble)
        return np.stack(found) if found else np.empty((0, pictures, SIDE, SIDE, 3), np.uint8)

    @property
    def trouble(self) -> str:
        """What was wrong with pictures that the last draw passed over; empty where nothing was."""
        if not self._failed:
            return ""
        return f"; {len(self._failed)} pictures could not be used, one of them: {self._failed[0]}"

    def _some(self, people: Sequence[NDArray[np.intp]], pictures: int, threads: int | None) -> list[list[Crops]]:
        """The first so many pictures of each that can be used: as many as are missing, of all at once, again and
        again."""
        crops: list[list[Crops]] = [[] for _ in people]
        left = [mine.tolist() for mine in people]
        while wanted := [
            (who, left[who].pop(0)) for who in range(len(people)) for _ in left[who][: pictures - len(crops[who])]
        ]:
            for k, cut in self._cuts([i for _, i in wanted], threads):
                crops[wanted[k][0]].append(cut.crop)
        return crops

    def _cuts(self, numbers: Sequence[int], threads: int | None) -> Iterator[tuple[int, Cut]]:
        def failed(k: int, error: Exception) -> None:
            self._failed.append(f"{self.name}, picture {numbers[k]}: {error}")

        return cut_each(numbers, self._how, read=self._read, threads=threads, failed=failed)


def _arrays(faces: Any) -> tuple[NDArray[np.int64], Callable[[int], Any]]:
    try:
        crops, labels = (np.asarray(part) for part in faces)
    except (TypeError, ValueError):
        raise ValueError(
            f"faces: expected a path, xcos.datasets.Faces or (crops, labels), got {type(faces).__name__}"
        ) from None
    fits = crops.ndim == 4 and crops.shape[1:] == (SIDE, SIDE, 3) and crops.dtype == np.uint8
    if not fits or labels.shape != crops.shape[:1] or labels.dtype.kind not in "iu":
        raise ValueError(
            "faces: expected crops (N, 112, 112, 3) uint8 and whole numbers (N,), "
            f"got {crops.shape} {crops.dtype} and {labels.shape} {labels.dtype}"
        )
    return labels.astype(np.int64), crops.__getitem__
