"""Two lists of photographs or features as pairs: what was seen in each, and where a photograph could not be used."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..faces.detection import SIDE, Cut
from ..faces.image import as_list, title
from ..faces.many import choices
from ..faces.quality import Look, look_at
from .features import Features

_log = logging.getLogger("xcos")
T = TypeVar("T")

Failed = Callable[[int, Exception], object]
See = Callable[[Sequence[Any], Sequence[Any], Failed | None], Iterator[tuple[list[int], list[Cut], Features]]]

# Features have no picture: their explanations show this.
GREY: NDArray[np.uint8] = np.full((SIDE, SIDE, 3), 128, np.uint8)


class Failures(dict[int, str]):
    """Photographs that could not be used, by number, with what was wrong."""

    def add(self, number: int, error: Exception) -> None:
        self[number] = str(error)

    def tell(self, total: int) -> None:
        """Logs a warning, if there are any."""
        if self:
            first = self[min(self)]
            _log.warning("%d of %d photographs could not be used; the first: %s", len(self), total, first)


class _Side(NamedTuple):
    """One of the two lists: `row` (N,) of each face among `features`, -1 where it could not be used; looks and crops
    by row, none of Features."""

    names: list[Any]
    features: Features
    row: NDArray[np.intp]
    looks: list[Look]
    crops: list[NDArray[np.uint8]]

    def taken(self, rows: NDArray[np.intp]) -> Features:
        """Features of these rows, copied only where they have to be; one face stands for any number of pairs."""
        if len(rows) and (len(self.features) == 1 or np.array_equal(rows, np.arange(len(self.features)))):
            return self.features
        return self.features[rows]


class Pairs:
    """Pairs a[i], b[i], or one with each of a list; those of which both photographs could be used.

    Parameters
    ----------
    a, b : image, list of images, or Features
    face
        As ``Model.verify`` takes it.
    see
        Gives the numbers, faces and features of images, some at a time; see ``Model._features``.
    nothing
        Gives features of no face.
    skip_failed
        Pairs with a photograph that can't be used, or features that hold no face, are left out instead of raising.
    keep_crops
        The crops are wanted.

    Raises
    ------
    ValueError
        For two lists of different lengths, or skip_failed without a list.
    """

    def __init__(
        self,
        a: Any,
        b: Any,
        face: Any,
        see: See,
        nothing: Callable[[], Features],
        *,
        skip_failed: bool,
        keep_crops: bool = False,
    ) -> None:
        (first, one), (second, other) = (
            ([*side], len(side) == 1) if _seen(side) else as_list(side) for side in (a, b)
        )
        n, m = len(first), len(second)
        if not (one or other) and n != m:
            raise ValueError(f"expected two lists of one length, got {n} and {m} images")
        self._single = one and other and not (_seen(a) or _seen(b))
        if skip_failed and self._single:
            raise ValueError("skip_failed: expected a list of photographs, got a single pair")
        left, right = face if isinstance(face, tuple) and len(face) == 2 else (face, face)
        images = [] if _seen(a) else list(zip(first, choices(left, n), strict=True))
        border = len(images)
        images += [] if _seen(b) else list(zip(second, choices(right, m), strict=True))
        numbers: list[int] = []
        looks: list[Look] = []
        crops: list[NDArray[np.uint8]] = []
        stacks: list[Features] = []
        failed = Failures()
        chosen = [image for image, _ in images], [choice for _, choice in images]
        for some, cuts, features in see(*chosen, failed.add if skip_failed else None):
            numbers += some
            looks += map(look_at, cuts)
            crops += [cut.crop for cut in cuts] if keep_crops else []
            stacks.append(features)
        failed.tell(len(images))
        seen, place = Features.concatenate(stacks or [nothing()]), np.full(len(images), -1)
        place[numbers] = np.arange(len(numbers))
        split = int(np.searchsorted(numbers, border))
        ours = _Side(first, seen[:split], place[:border], looks[:split], crops[:split])
        row = np.where(place[border:] < 0, -1, place[border:] - split)
        theirs = _Side(second, seen[split:], row, looks[split:], crops[split:])
        self._sides = (
            _Side(first, a, _rows(a, skip_failed), [], []) if isinstance(a, Features) else ours,
            _Side(second, b, _rows(b, skip_failed), [], []) if isinstance(b, Features) else theirs,
        )
        self.count = max(n, m) if n and m else 0
        self._numbers = [np.minimum(np.arange(self.count), k - 1) for k in (n, m)]
        rows = np.stack([side.row[some] for side, some in zip(self._sides, self._numbers, strict=True)])
        self._used = np.flatnonzero((rows >= 0).all(0))
        self._rows = rows[:, self._used]

    @property
    def features(self) -> tuple[Features, Features]:
        """Of the first and of the second faces of the pairs that are used, as ``Model.compare`` takes them."""
        first, second = (side.taken(rows) for side, rows in zip(self._sides, self._rows, strict=True))
        return first, second

    @property
    def looks(self) -> list[tuple[Look, Look] | None]:
        """Of each pair that is used; None where a side has features alone."""
        one, other = self._sides
        if not (one.looks and other.looks):
            return [None] * len(self._used)
        return [(one.looks[i], other.looks[j]) for i, j in self._rows.T]

    @property
    def crops(self) -> list[NDArray[np.uint8]]:
        """(2, 112, 112, 3) of each pair that is used; grey for features."""
        one, other = self._sides
        return [
            np.stack([one.crops[i] if one.crops else GREY, other.crops[j] if other.crops else GREY])
            for i, j in self._rows.T
        ]

    @property
    def names(self) -> list[tuple[str, str]]:
        """What the two photographs of each pair that is used are called."""
        (one, other), (left, right) = self._sides, self._numbers
        return [(_title(one.names[left[k]], "first"), _title(other.names[right[k]], "second")) for k in self._used]

    def placed(self, results: Sequence[T]) -> T | list[T] | list[T | None]:
        """The results of the pairs that are used, in the places of all, None in the others; alone where no list was
        given."""
        if self._single:
            return results[0]
        placed: list[T | None] = [None] * self.count
        for k, result in zip(self._used, results, strict=True):
            placed[k] = result
        return placed


def _seen(side: Any) -> bool:
    return isinstance(side, Features)


def _rows(features: Features, skip_failed: bool) -> NDArray[np.intp]:
    rows = np.arange(len(features))
    return np.where(features.found, rows, -1) if skip_failed else rows


def _title(image: Any, default: str) -> str:
    return default if isinstance(image, Features) else title(image, default)
