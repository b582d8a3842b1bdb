"""Training pictures for ``xcos.plug``: faces cut out of photographs, and people held out to choose a threshold on."""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
import pickle
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..datasets import Faces, join, read_faces
from ..errors import ImageError
from ..faces import How, cut_each
from ..faces.image import as_encoded, read_image
from ..faces.many import stacked
from ..recognition.model import SIDE
from ..storage.files import keep_arrays, kept_arrays, replacing

_log = logging.getLogger("xcos")

SHARE = 10  # one person in so many is held out ...
LEAST = 10  # ... but at least so many, and half of all at most
MOST_PAIRS = 1500  # of one person, and as many of two: LFW has 3,000 and 3,000
PER_PERSON = 10  # pairs of one person, so that those with many pictures do not outweigh the others


def whole_faces(
    sources: Sequence[str | os.PathLike[str]], work: Path, threads: int | None = None, progress: bool = False
) -> Faces:
    """All pictures of the sources as aligned crops of 112 x 112 pixels.

    Where some are photographs, the face of each is found and cut out, and all crops are kept in `work`. Pictures
    without a face, or damaged, are left out with a warning. Raises OSError, ValueError as `read_faces`, and
    ValueError when none is left.
    """
    found = join([read_faces(source) for source in sources])
    if all(_is_crop(found.encoded(i)) for i in range(len(found))):
        return found
    crops, kept = _cut_out(found, work, threads, progress)
    if not len(kept):
        raise ValueError(f"{found.name}: no face was found in any of {len(found)} pictures")
    return _subset(found, kept, lambda i: as_encoded(crops[i]))


def _is_crop(data: bytes) -> bool:
    """Is this a picture of 112 x 112? One that can't be read is none; that is told when it is cut out."""
    try:
        return read_image(data).shape == (SIDE, SIDE, 3)
    except ImageError:
        return False


def _cut_out(
    found: Faces, work: Path, threads: int | None, progress: bool
) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
    """Crops (n, 112, 112, 3) of the pictures with a face, and which pictures those are."""
    digest = hashlib.sha256()
    for i in range(len(found)):
        digest.update(hashlib.sha256(found.encoded(i)).digest())
    path = work / f"crops-{digest.hexdigest()[:16]}.npz"
    if saved := kept_arrays(path):
        return saved["crops"], saved["kept"]

    failed: list[Exception] = []
    cuts = list(cut_each(
        range(len(found)), How(aligned=None), read=found.encoded, threads=threads, progress=progress,
        failed=lambda _, error: failed.append(error),
    ))  # fmt: skip
    if failed:
        _log.warning("%s: %d of %d pictures left out; the first: %s", found.name, len(failed), len(found), failed[0])
    kept, crops = np.array([i for i, _ in cuts], np.intp), stacked([cut for _, cut in cuts])
    keep_arrays(path, {"crops": crops, "kept": kept})
    return crops, kept


def _subset(found: Faces, kept: NDArray[np.intp], read: Callable[[int], bytes]) -> Faces:
    """Some pictures of a collection, people numbered anew."""
    labels = found.labels[kept]
    people, numbers = np.unique(labels[labels >= 0], return_inverse=True)
    renumbered = np.full(len(kept), -1, np.int64)
    renumbered[labels >= 0] = numbers
    return Faces(renumbered, len(people), found.name, read)


def _chosen(found: Faces, kept: NDArray[np.intp]) -> Faces:
    return _subset(found, kept, lambda i: found.encoded(int(kept[i])))


def hold_out(found: Faces, work: Path, seed: int = 0) -> tuple[Faces, Faces, Path]:
    """The faces without a tenth of the people with several pictures, those people's, and a .bin of pairs of them.

    As many pairs of one person as of two, in random order. Raises ValueError where fewer than 20 people have
    several pictures.
    """
    random = np.random.default_rng(seed)
    people, counts = np.unique(found.labels[found.labels >= 0], return_counts=True)
    several = people[counts > 1]
    if len(several) < 2 * LEAST:
        raise ValueError(
            f"{found.name}: {len(several)} people with several pictures; expected at least {2 * LEAST}, to hold some "
            "out for choosing the threshold. `pairs` names a .bin of pairs to choose it on instead"
        )
    held = random.permutation(several)[: max(LEAST, len(several) // SHARE)]
    pictures = [np.flatnonzero(found.labels == person) for person in held]
    same = []
    for mine in pictures:
        both = list(itertools.combinations(mine.tolist(), 2))
        same += [both[i] for i in random.permutation(len(both))[:PER_PERSON]]
    same = [same[i] for i in random.permutation(len(same))[:MOST_PAIRS]]
    pairs = [(pair, True) for pair in same]
    for _ in same:
        one, two = random.choice(len(held), 2, replace=False)
        pairs.append(((int(random.choice(pictures[one])), int(random.choice(pictures[two]))), False))
    pairs = [pairs[i] for i in random.permutation(len(pairs))]

    path = work / "held_out.bin"
    encoded = [found.encoded(i) for pair, _ in pairs for i in pair]
    with replacing(path) as file:
        pickle.dump((encoded, [label for _, label in pairs]), file)
    out = np.isin(found.labels, held)
    kept, unseen = (_chosen(found, np.flatnonzero(some)) for some in (~out, out))
    return kept, replace(unseen, name=f"{found.name}, held out"), path
