"""Features of any number of images, in constant memory: crops are made in parallel ahead of the network."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core, faces
from ..base.values import ByValue
from .features import Features

Crop = NDArray[np.uint8]
AHEAD = 3  # batches of crops that may wait: decoding goes on while the network runs


@dataclass(frozen=True, slots=True, eq=False)
class Batch(ByValue):
    """Some images of a stream, in its order.

    index     (N,) which images of the stream these are, counted from 0
    features  of these N images
    failed    (index, message) of the images since the batch before that could not be used
    """

    index: NDArray[np.intp]
    features: Features
    failed: tuple[tuple[int, str], ...] = ()


def stream(
    see: Callable[[Crop], Features],
    images: Iterable[Any],
    how: faces.How,
    *,
    batch: int,
    threads: int | None,
    skip_failed: bool,
) -> Iterator[Batch]:
    """Batches of what `see` makes of the crops of `images`. See ``Model.stream``."""
    if batch < 1:
        raise ValueError(f"batch: expected at least 1, got {batch}")
    waiting: deque[tuple[int, Future[faces.Cut]]] = deque()
    source = enumerate(images)
    with ThreadPoolExecutor(threads or _core.default_threads()) as pool:

        def fill() -> None:
            while len(waiting) < AHEAD * batch and (item := next(source, None)) is not None:
                index, image = item
                waiting.append((index, pool.submit(faces.cut, image, how, threads=1)))

        try:
            fill()
            while waiting:
                index: list[int] = []
                crops: list[Crop] = []
                failed: list[tuple[int, str]] = []
                while waiting and len(crops) < batch:
                    i, future = waiting.popleft()
                    try:
                        crops.append(future.result().crop)
                        index.append(i)
                    except (OSError, ValueError, TypeError) as error:  # TypeError: no image at all, say None
                        if not skip_failed:
                            raise
                        failed.append((i, str(error)))
                fill()
                stack = np.stack(crops) if crops else np.empty((0, faces.SIDE, faces.SIDE, 3), np.uint8)
                yield Batch(np.array(index, np.intp), see(stack), tuple(failed))
        finally:
            for _, future in waiting:
                future.cancel()
