"""What the frozen part of a network says of the training faces: computed once, kept on disk."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..datasets import Faces
from ..evaluation.cache import network_digest
from ..plan.branch import front, value_shape
from ..plan.file import ModelFile
from ..plan.network import Network
from ..plan.pixels import as_input
from ..storage.files import replacing
from ..storage.progress import Progress, batches
from .augment import Augment, Pasting, Picture, blend, shaken
from .plan import Plan

_log = logging.getLogger("xcos")
_BATCH = 64  # pictures that the core runs at once


class Store(Protocol):
    """Inputs of the trained part for versions of pictures."""

    def renew(self, turn: int) -> None:
        """From here on versions are those of this turn (`Versions.turn`)."""

    def take(self, pictures: NDArray[np.intp], versions: NDArray[np.intp]) -> NDArray[np.float32]:
        """(n, *shape of the cut value) float32."""


def first_look(
    network: ModelFile,
    name: str,
    cut: str | None,
    faces: Faces,
    folder: Path,
    threads: int = 0,
    progress: Progress = None,
) -> tuple[NDArray[np.float32], NDArray[np.float16]]:
    """One run of the network for each picture and one for its mirror image.

    Returns (N, E) float32 of length 1, the mean of the output `name` for the two as unit vectors; and the value `cut`
    (None: nothing) for both, (N, 2, *its shape) float16. Both are kept in `folder`.
    """
    file = front(network, [name] if cut is None else [name, cut])
    ready = Network(file)
    shape = (0,) if cut is None else value_shape(file, cut)

    def compute() -> Iterator[tuple[NDArray[np.float32], ...]]:
        for part in batches(range(len(faces)), _BATCH, progress, "first look"):
            crops = faces.crops(part, threads)
            both = [ready.run(as_input(network, side), threads or None) for side in (crops, crops[:, :, ::-1])]
            units = [_unit(found[name].reshape(len(part), -1)) for found in both]
            empty = np.empty((len(part), 2, 0), np.float32)
            yield _unit(units[0] + units[1]), empty if cut is None else np.stack([found[cut] for found in both], 1)

    digest = _digest(file, faces, cut)
    sizes = ((len(faces), int(np.prod(value_shape(file, name)))), (len(faces), 2, *shape))
    paths = (folder / f"embeddings-{digest}.npy", folder / f"sides-{digest}.npy")
    embeddings, sides = _kept(paths, sizes, (np.float32, np.float16), compute)
    return embeddings, sides


class Versions:
    """Changed versions of pictures. 0: the picture itself; 1: mirrored, when flips are asked for; 2 and more: changed
    as `augment` says (1 too, without flips); -1, -2 ...: with another face pasted on it as `pasting` says for the
    numbers 0, 1 ...

    turn  : from 1 on every picture, before anything else is done with it, is `shaken`: otherwise in each turn, alike
            in all versions of a turn. In turn 0 pictures are as they are.
    shake : how strongly
    """

    def __init__(self, faces: Faces, augment: Augment, pasting: Pasting, threads: int = 0, shake: float = 0.0) -> None:
        self.faces, self.augment, self.pasting, self.shake, self.turn = faces, augment, pasting, shake, 0
        self._threads = threads

    def _crops(self, pictures: Sequence[int]) -> Picture:
        crops = self.faces.crops(pictures, self._threads)
        if self.turn and self.shake:
            for k, picture in enumerate(pictures):
                # Four numbers: never those of a paste or a changed view, which have three.
                random = np.random.default_rng([self.pasting.seed, int(picture), self.turn, 1])
                crops[k] = shaken(crops[k], self.shake, random)
        return crops

    def __call__(self, pictures: NDArray[np.intp], versions: NDArray[np.intp]) -> Picture:
        """(n, 112, 112, 3) uint8 RGB."""
        crops = self._crops([int(picture) for picture in pictures])
        pasted = {int(k): self.pasting(int(pictures[k]), int(-1 - versions[k])) for k in np.flatnonzero(versions < 0)}
        sources = self._crops([one.source for one in pasted.values()])
        for (k, one), source in zip(pasted.items(), sources, strict=True):
            if one.mirrored:
                crops[k] = crops[k, :, ::-1].copy()
            if one.source_mirrored:
                source = source[:, ::-1]
            if one.blended:
                crops[k] = blend(crops[k], source, one.mask)
            else:
                crops[k][one.mask] = source[one.mask]
        for k in map(int, np.flatnonzero(versions > 0)):
            if versions[k] == 1 and self.augment.flip:
                crops[k] = crops[k, :, ::-1].copy()
            else:
                random = np.random.default_rng([self.pasting.seed, int(pictures[k]), int(versions[k])])
                crops[k] = self.augment(crops[k], random)
        return crops


class Pixels:
    """Nothing is frozen: pictures are decoded and changed anew each time."""

    def __init__(self, plan: Plan, versions: Versions) -> None:
        self._plan, self._versions = plan, versions

    def renew(self, turn: int) -> None:
        self._versions.turn = turn

    def take(self, pictures: NDArray[np.intp], versions: NDArray[np.intp]) -> NDArray[np.float32]:
        return as_input(self._plan.whole, self._versions(pictures, versions))


class Activations:
    """The cut value for versions 0 to `views` - 1 and `pasted` ones of each picture, float16 in a file that is mapped
    into memory: -1 to -`pasted` in turn 0, the next numbers in the turn after it. One turn's file is kept.

    sides : of `first_look`, versions 0 and, with flips, 1: those of turn 0.
    """

    def __init__(
        self,
        plan: Plan,
        versions: Versions,
        sides: NDArray[np.float16],
        views: int,
        pasted: int,
        folder: Path,
        threads: int = 0,
        progress: Progress = None,
    ) -> None:
        self._plan, self._versions, self._folder = plan, versions, folder
        self._network = Network(front(plan.frozen, [plan.cut]))
        self._sides = sides[:, : 2 if versions.augment.flip else 1]
        self._views, self._pasted, self._threads, self._progress = views, pasted, threads, progress
        self._turn, self._path = -1, folder

    def renew(self, turn: int) -> None:
        """Computes what is not on the disk yet, and deletes the file of the turn before."""
        if turn == self._turn:
            return
        plan, versions, faces, pasting = self._plan, self._versions, self._versions.faces, self._versions.pasting
        first = -1 - turn * self._pasted
        kept = [*range(0 if turn else self._sides.shape[1], self._views), *range(first, first - self._pasted, -1)]
        versions.turn = turn

        def compute() -> Iterator[tuple[NDArray[np.float32]]]:
            for row, version in enumerate(kept, 1):
                text = f"activations {row}/{len(kept)}"
                for part in batches(range(len(faces)), _BATCH, self._progress, text):
                    changed = versions(np.array(part, np.intp), np.full(len(part), version, np.intp))
                    yield (self._network.run(as_input(plan.whole, changed), self._threads or None)[plan.cut],)

        settings = [pasting.seed, pasting.mirror, pasting.large, pasting.blended, *_settings(versions.augment)]
        digest = _digest(plan.frozen, faces, plan.cut, kept, settings, [turn, versions.shake] if turn else [])
        shape = self._sides.shape[2:]
        path = self._folder / f"activations-{digest}.npy"
        (more,) = _kept((path,), ((len(kept) * len(faces), *shape),), (np.float16,), compute)
        if self._turn >= 0:
            for old in (self._path, _beside(self._path)):
                old.unlink(missing_ok=True)
        self._more = more.reshape(len(kept), len(faces), *shape)
        self._row = {version: row for row, version in enumerate(kept)}
        self._turn, self._path = turn, path

    def take(self, pictures: NDArray[np.intp], versions: NDArray[np.intp]) -> NDArray[np.float32]:
        found = [
            self._more[self._row[version], picture] if version in self._row else self._sides[picture, version]
            for picture, version in zip(pictures.tolist(), versions.tolist(), strict=True)
        ]
        return np.stack(found).astype(np.float32)


def _settings(augment: Augment) -> list[float]:
    masks = float(sum(int(mask.sum()) for mask in augment.masks))
    return [augment.flip, augment.colour, augment.blur, augment.mask_share, masks]


def _digest(frozen: ModelFile, faces: Faces, *more: object) -> str:
    """Names the network, the pictures and the settings."""
    digest = hashlib.sha256(network_digest(frozen).encode())
    digest.update(np.ascontiguousarray(faces.labels).tobytes())
    for index in range(len(faces)):
        digest.update(hashlib.sha256(faces.encoded(index)).digest())
    digest.update(json.dumps(more).encode())
    return digest.hexdigest()[:16]


def _kept(
    paths: Sequence[Path],
    shapes: Sequence[tuple[int, ...]],
    kinds: Sequence[type[np.floating]],
    compute: Callable[[], Iterator[tuple[NDArray[np.float32], ...]]],
) -> list[NDArray[Any]]:
    """The arrays in `paths`, computed in parts and each written in one step where one of them is not there yet, or
    is not what was written: the SHA-256 of each is in a file beside it."""
    if not all(map(_sound, paths)):
        paths[0].parent.mkdir(parents=True, exist_ok=True)
        temporary = [path.with_name(f".{path.name}.{os.getpid()}") for path in paths]
        try:
            arrays = [
                np.lib.format.open_memmap(place, "w+", kind, shape)
                for place, kind, shape in zip(temporary, kinds, shapes, strict=True)
            ]
            start = 0
            for parts in compute():
                for array, part in zip(arrays, parts, strict=True):
                    array[start : start + len(part)] = part
                start += len(parts[0])
            for array in arrays:
                array.flush()
            del array, arrays
            for place, path in zip(temporary, paths, strict=True):
                with open(place, "rb+") as file:
                    os.fsync(file.fileno())
                with replacing(_beside(path)) as check:
                    check.write(_sha256(place).encode())
                os.replace(place, path)
        finally:
            for place in temporary:
                place.unlink(missing_ok=True)
    return [np.load(path, mmap_mode="r") for path in paths]


def _sound(path: Path) -> bool:
    check = _beside(path)
    if not path.exists() or not check.exists():
        return False
    if check.read_text() == _sha256(path):
        return True
    _log.warning("%s is damaged and is made again", path)
    return False


def _beside(path: Path) -> Path:
    return path.with_suffix(".sha256")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 24):
            digest.update(block)
    return digest.hexdigest()


def _unit(x: NDArray[np.floating]) -> NDArray[np.floating]:
    result: NDArray[np.floating] = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    return result
