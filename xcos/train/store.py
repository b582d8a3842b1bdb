"""What the frozen part of a network says of the training faces: computed once, kept on disk."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..evaluation.cache import network_digest
from ..model_file import ModelFile
from ..network import Network
from ..progress import Progress, batches
from .augment import Augment, Pasting, Picture
from .branch import front, value_shape
from .data import Faces
from .plan import Plan

_BATCH = 64  # pictures that the core runs at once


class Store(Protocol):
    """Inputs of the trained part for versions of pictures."""

    def take(self, pictures: NDArray[np.intp], versions: NDArray[np.intp]) -> NDArray[np.float32]:
        """(n, *shape of the cut value) float32."""


def normalized(file: ModelFile, crops: Picture) -> NDArray[np.float32]:
    """(N, H, W, 3) uint8 RGB -> the network's input."""
    pre = file.preprocess
    assert pre is not None
    reverse = pre["color"] == "BGR"
    x: NDArray[np.float32] = _core.normalize(np.ascontiguousarray(crops), pre["mean"], pre["scale"], reverse)
    return x


def embeddings(
    network: ModelFile, name: str, faces: Faces, folder: Path, threads: int = 0, progress: Progress = None
) -> NDArray[np.float32]:
    """(N, E) float32 of length 1: the mean of the output `name` for each picture and its mirror image, as unit
    vectors. Kept in `folder`."""
    file = front(network, [name])
    ready = Network(file)

    def compute() -> Iterator[NDArray[np.float32]]:
        for part in batches(range(len(faces)), _BATCH, progress, "embeddings"):
            crops = faces.crops(part, threads)
            both = [
                ready.run(normalized(network, version), threads or None)[name].reshape(len(part), -1)
                for version in (crops, crops[:, :, ::-1])
            ]
            yield _unit(_unit(both[0]) + _unit(both[1])).astype(np.float32)

    size = int(np.prod(value_shape(file, name)))
    return _kept(folder / f"embeddings-{_digest(file, faces)}.npy", (len(faces), size), np.float32, compute)


class Versions:
    """Changed versions of pictures. 0: the picture itself; 1: mirrored, when flips are asked for; 2 and more: changed
    as `augment` says (1 too, without flips); -1, -2 ...: with another face pasted on it as `pasting` says for the
    numbers 0, 1 ...
    """

    def __init__(self, faces: Faces, augment: Augment, pasting: Pasting, threads: int = 0) -> None:
        self.faces, self.augment, self.pasting, self._threads = faces, augment, pasting, threads

    def __call__(self, pictures: NDArray[np.intp], versions: NDArray[np.intp]) -> Picture:
        """(n, 112, 112, 3) uint8 RGB."""
        crops = self.faces.crops(pictures, self._threads)
        pasted = {int(k): self.pasting(int(pictures[k]), int(-1 - versions[k])) for k in np.flatnonzero(versions < 0)}
        sources = self.faces.crops([one.source for one in pasted.values()], self._threads)
        for (k, one), source in zip(pasted.items(), sources, strict=True):
            if one.mirrored:
                crops[k] = crops[k, :, ::-1].copy()
            crops[k][one.mask] = (source[:, ::-1] if one.source_mirrored else source)[one.mask]
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

    def take(self, pictures: NDArray[np.intp], versions: NDArray[np.intp]) -> NDArray[np.float32]:
        return normalized(self._plan.whole, self._versions(pictures, versions))


class Activations:
    """The cut value for versions 0 to `views` - 1 and -1 to -`pasted` of each picture, float16 in a file that is
    mapped into memory."""

    def __init__(
        self,
        plan: Plan,
        versions: Versions,
        views: int,
        pasted: int,
        folder: Path,
        threads: int = 0,
        progress: Progress = None,
    ) -> None:
        network, faces = Network(plan.frozen), versions.faces
        shape = network.outputs[plan.cut]
        assert shape is not None
        kept = [*range(views), *range(-1, -1 - pasted, -1)]

        def compute() -> Iterator[NDArray[np.float32]]:
            for row, version in enumerate(kept, 1):
                text = f"activations {row}/{len(kept)}"
                for part in batches(range(len(faces)), _BATCH, progress, text):
                    changed = versions(np.array(part, np.intp), np.full(len(part), version, np.intp))
                    yield network.run(normalized(plan.whole, changed), threads or None)[plan.cut]

        pasting = versions.pasting
        settings = [pasting.seed, pasting.mirror, *_settings(versions.augment)]
        digest = _digest(plan.frozen, faces, plan.cut, views, pasted, settings)
        sizes = (len(kept) * len(faces), *(int(size or 0) for size in shape[1:]))
        self._array = _kept(folder / f"activations-{digest}.npy", sizes, np.float16, compute)
        self._faces, self._views = len(faces), views

    def take(self, pictures: NDArray[np.intp], versions: NDArray[np.intp]) -> NDArray[np.float32]:
        rows = np.where(versions < 0, self._views - 1 - versions, versions) * self._faces + pictures
        return np.stack([self._array[row] for row in rows]).astype(np.float32)


def _settings(augment: Augment) -> list[float]:
    masks = float(sum(int(mask.sum()) for mask in augment.masks))
    return [augment.flip, augment.colour, augment.blur, augment.mask_share, masks]


def _digest(frozen: ModelFile, faces: Faces, *more: object) -> str:
    """Names the network, the pictures (their labels and the first and last file stand for all) and settings."""
    digest = hashlib.sha256(network_digest(frozen).encode())
    digest.update(np.ascontiguousarray(faces.labels).tobytes())
    for index in {0, len(faces) - 1}:
        digest.update(faces.encoded(index))
    digest.update(json.dumps(more).encode())
    return digest.hexdigest()[:16]


def _kept(
    path: Path, shape: tuple[int, ...], kind: Any, compute: Callable[[], Iterator[NDArray[np.float32]]]
) -> NDArray[np.float32]:
    """The array in `path`, computed in parts and written in one step when it is not there yet."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            array = np.lib.format.open_memmap(temporary, "w+", kind, shape)
            start = 0
            for part in compute():
                array[start : start + len(part)] = part
                start += len(part)
            array.flush()
            del array
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    found: NDArray[np.float32] = np.load(path, mmap_mode="r")
    return found


def _unit(x: NDArray[np.floating]) -> NDArray[np.floating]:
    result: NDArray[np.floating] = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    return result
