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
from .augment import Augment, Picture
from .branch import front, value_shape
from .data import Faces
from .plan import Plan

_BATCH = 64  # pictures that the core runs at once


class Store(Protocol):
    """Inputs of the trained part for picture `i` in the changed version `view`."""

    def take(self, pictures: NDArray[np.intp], views: NDArray[np.intp]) -> NDArray[np.float32]:
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


class Pixels:
    """Nothing is frozen: pictures are decoded and changed anew each time."""

    def __init__(self, plan: Plan, faces: Faces, augment: Augment, seed: int, threads: int = 0) -> None:
        self._plan, self._faces, self._augment = plan, faces, augment
        self._seed, self._threads = seed, threads

    def take(self, pictures: NDArray[np.intp], views: NDArray[np.intp]) -> NDArray[np.float32]:
        crops = self._faces.crops(pictures, self._threads)
        changed = [
            self._augment(crop, np.random.default_rng([self._seed, int(picture), int(view)]))
            for crop, picture, view in zip(crops, pictures, views, strict=True)
        ]
        return normalized(self._plan.whole, np.stack(changed))


class Activations:
    """The cut value for `views` changed versions of each picture, float16 in a file that is mapped into memory.

    The first version is the picture itself, the second its mirror image (when flips are asked for); others
    are changed as `augment` says.
    """

    def __init__(
        self,
        plan: Plan,
        faces: Faces,
        augment: Augment,
        views: int,
        folder: Path,
        seed: int,
        threads: int = 0,
        progress: Progress = None,
    ) -> None:
        network = Network(plan.frozen)
        shape = network.outputs[plan.cut]
        assert shape is not None

        def compute() -> Iterator[NDArray[np.float32]]:
            for view in range(views):
                for part in batches(range(len(faces)), _BATCH, progress, f"activations {view + 1}/{views}"):
                    crops = faces.crops(part, threads)
                    changed = np.stack([_version(c, i, view, augment, seed) for i, c in zip(part, crops, strict=True)])
                    yield network.run(normalized(plan.whole, changed), threads or None)[plan.cut]

        digest = _digest(plan.frozen, faces, plan.cut, views, seed, _settings(augment))
        sizes = (views * len(faces), *(int(size or 0) for size in shape[1:]))
        self._array = _kept(folder / f"activations-{digest}.npy", sizes, np.float16, compute)
        self._faces = len(faces)

    def take(self, pictures: NDArray[np.intp], views: NDArray[np.intp]) -> NDArray[np.float32]:
        rows = views * self._faces + pictures
        return np.stack([self._array[row] for row in rows]).astype(np.float32)


def _version(crop: Picture, picture: int, view: int, augment: Augment, seed: int) -> Picture:
    if view == 0:
        return crop
    if view == 1 and augment.flip:
        return np.ascontiguousarray(crop[:, ::-1])
    return augment(crop, np.random.default_rng([seed, picture, view]))


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
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    found: NDArray[np.float32] = np.load(path, mmap_mode="r")
    return found


def _unit(x: NDArray[np.floating]) -> NDArray[np.floating]:
    result: NDArray[np.floating] = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    return result
