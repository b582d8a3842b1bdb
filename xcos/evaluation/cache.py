"""Features of the images of a data set, kept in a folder so that nothing is computed twice.

    DIR/<digest of the network>-<digest of the images>/00000.npz, 00001.npz, …

One part holds the features of PART images; it appears whole or not at all, and is made again when its contents
are not what was written. Whatever interrupts an evaluation costs the part at hand alone.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .. import _core
from ..datasets import Pairs
from ..datasets.pairs import Indices
from ..plan.file import ModelFile
from ..plan.network import Precision
from ..recognition.features import Features
from ..recognition.model import Model
from ..recognition.streaming import Batch
from ..storage.files import keep_arrays, kept_arrays
from ..storage.progress import Progress, batches

PART = 512  # images; 4 MB of features


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Features of the images in use of a data set.

    features  of the images that could be used, with `flip` those of image and mirror image together
    position  (M,) where the features of each image of the data set are; -1: there are none
    failed    image and message, for those in use that could not be used
    seconds   what computing the features took, also when they were kept from earlier
    """

    features: Features
    position: Indices
    failed: tuple[tuple[int, str], ...]
    seconds: float


def network_digest(file: ModelFile, precision: Precision = "fp32") -> str:
    """SHA-256, in hex, of what features depend on: the model file's digest, the version of xcos, and the precision."""
    reduced = "" if precision == "fp32" else f" {precision}"
    return hashlib.sha256(f"{_core.__version__} {file.digest()}{reduced}".encode()).hexdigest()


def see(
    model: Model, pairs: Pairs, *, flip: bool, cache: str | os.PathLike[str] | None, threads: int | None,
    progress: Progress,
) -> Seen:
    """Features of all images of `pairs` that are in use, from `cache` where it has them."""
    folder = None
    if cache is not None:
        flipped = "-flip" if flip else ""
        folder = Path(cache) / f"{network_digest(model.file, model.precision)[:16]}-{pairs.digest()[:16]}{flipped}"
        folder.mkdir(parents=True, exist_ok=True)
    position = np.full(len(pairs.images), -1, np.intp)
    stacks: list[Features] = []
    failed: list[tuple[int, str]] = []
    seconds = 0.0
    done = 0
    for k, part in enumerate(batches(pairs.used.tolist(), PART if folder else 64, progress, pairs.name)):
        seen, took = _part(model, pairs, part, flip, threads, folder and folder / f"{k:05d}.npz")
        position[seen.index] = np.arange(done, done + len(seen.index))
        done += len(seen.index)
        stacks.append(seen.features)
        failed += seen.failed
        seconds += took
    return Seen(Features.concatenate(stacks), position, tuple(failed), seconds)


def _part(
    model: Model, pairs: Pairs, part: Sequence[int], flip: bool, threads: int | None,
    path: Path | None,
) -> tuple[Batch, float]:
    held = kept_arrays(path) if path else None
    if held and np.array_equal(np.union1d(held["index"], held["failed"]), part):
        return Batch.of_arrays(held), float(held["seconds"])
    begin = time.perf_counter()
    read = (pairs.images[i] for i in part)
    found = list(model.stream(read, aligned=pairs.aligned, flip=flip, threads=threads, skip_failed=True))
    seen = Batch(
        np.array(part, np.intp)[np.concatenate([batch.index for batch in found])],
        Features.concatenate(batch.features for batch in found),
        tuple((part[i], message) for batch in found for i, message in batch.failed),
    )
    seconds = time.perf_counter() - begin
    if path:
        keep_arrays(path, {**seen.arrays(), "seconds": np.array(seconds)})
    return seen, seconds
