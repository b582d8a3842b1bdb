"""Pairs of the faces of people, for whom no list of pairs was made."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .pairs import Pairs
from .people import Faces


def pairs_of(people: Faces, *, each: int = 10, others: int = 10, folds: int = 10, seed: int = 0) -> Pairs:
    """Pairs of one person and of two from faces of people.

    Where a person has many pictures, `each` of their pairs are drawn, so that a few people do not decide. Each picture
    meets one picture, drawn, of each of the `others` people who come next. Pairs are in the order of the first
    picture's person, so that people of different folds, too, are different, but for those at the folds' ends.

    Parameters
    ----------
    people : Faces
        Aligned faces, see :func:`read_faces`; faces of nobody in particular are left out.
    each : int, default 10
        Pairs of one person at most, of each person.
    others : int, default 10
        Pairs of two people for each picture.
    folds : int, default 10
        How many folds the protocol is to use.
    seed : int, default 0
        The same seed draws the same pairs.

    Returns
    -------
    Pairs
        Of aligned crops, which are read when asked for.

    Raises
    ------
    ValueError
        `each` or `others` is below 1, there are no more than `others` people, or nobody has two pictures.

    Examples
    --------
    >>> import xcos
    >>> faces = xcos.datasets.read_faces("examples")
    >>> xcos.datasets.pairs_of(xcos.datasets.join([faces] * 2), others=3)
    Traceback (most recent call last):
    ...
    ValueError: examples + examples: nobody has two pictures; pairs of one person need them
    """
    if each < 1 or others < 1:
        raise ValueError(f"expected at least 1 pair of each kind, got each={each}, others={others}")
    known = np.flatnonzero(people.labels >= 0)
    order = known[np.argsort(people.labels[known], kind="stable")]
    pictures = np.split(order, np.flatnonzero(np.diff(people.labels[order])) + 1) if len(order) else []
    if len(pictures) <= others:
        raise ValueError(f"{people.name}: {len(pictures)} people; expected more than others={others}")
    if max(map(len, pictures)) < 2:
        raise ValueError(f"{people.name}: nobody has two pictures; pairs of one person need them")
    rng = np.random.default_rng(seed)
    first, second, same = [], [], []
    for person, own in enumerate(pictures):
        a, b = np.triu_indices(len(own), 1)
        drawn = np.sort(rng.choice(len(a), min(each, len(a)), replace=False))
        next_ones = [pictures[(person + k) % len(pictures)] for k in range(1, others + 1)]
        strangers = [rng.choice(them, len(own)) for them in next_ones]
        first += [own[a[drawn]], np.tile(own, others)]
        second += [own[b[drawn]], *strangers]
        same += [np.ones(len(drawn), bool), np.zeros(len(own) * others, bool)]
    names = [str(i) for i in range(len(people))]
    images = Encoded(len(people), people.encoded)
    return Pairs(people.name, images, names, np.concatenate(first), np.concatenate(second), np.concatenate(same),
                 folds)  # fmt: skip


class Encoded(Sequence[bytes]):
    """Files of so many pictures, read when asked for."""

    def __init__(self, count: int, read: Callable[[int], bytes]) -> None:
        self._count, self._read = count, read

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index):  # type: ignore[no-untyped-def]  # pictures are asked for one by one
        return self._read(range(self._count)[index])
