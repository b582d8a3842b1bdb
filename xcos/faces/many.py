"""Faces of many pictures: the one loop for all who cut out more than one, with threads, failures and progress."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from itertools import chain, islice, repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..storage.progress import Progress, counter
from .detection import SIDE, Cut, Face, How, cut

UNUSABLE = (OSError, ValueError, TypeError)  # what pictures raise; TypeError: it is none at all, say None
Choice = int | Face | None


def cut_each(
    images: Iterable[Any],
    how: How,
    *,
    faces: Sequence[Choice] | None = None,
    read: Callable[[Any], Any] | None = None,
    threads: int | None = None,
    ahead: int | None = None,
    failed: Callable[[int, Exception], object] | None = None,
    progress: Progress = None,
) -> Iterator[tuple[int, Cut]]:
    """The face of each picture, as `cut` finds it, beside the picture's number, counted from 0; in order.

    images    anything that `read_image` takes; an iterator is read as it goes, in the caller's thread
    faces     which face of each picture, as `cut` takes it
    read      makes a picture of an item of `images`, in the threads: the reading of a file, say
    threads   threads at most (decoding and networks run without the GIL). A single picture has all for itself;
              None: XCOS_NUM_THREADS, else what CPU affinity and cgroup quota leave
    ahead     so many pictures are at work or wait to be taken; None: four for each thread
    failed    called as failed(number, error) for a picture that cannot be used, which is then left out; without it
              the error is raised
    progress  as in `storage.progress.counter`; for `images` of known length

    Raises what `cut` and `read` raise.
    """
    total = len(images) if progress and isinstance(images, Sized) else 0
    source = enumerate(zip(images, repeat(None)) if faces is None else zip(images, faces, strict=True))
    beginning = list(islice(source, 2))

    def one(image: Any, face: Choice, threads: int | None) -> Cut:
        return cut(image if read is None else read(image), how, face=face, threads=threads)

    results: Generator[tuple[int, Callable[[], Cut]], None, None]
    workers = threads or _core.default_threads()
    if len(beginning) < 2 or workers == 1:
        results = ((i, partial(one, *pair, threads)) for i, pair in chain(beginning, source))
    else:
        jobs = ((i, partial(one, *pair, 1)) for i, pair in chain(beginning, source))
        results = _at_work(jobs, workers, ahead or 4 * workers)
    # After an error the threads end here; left to the collector, they could be asked to wait for themselves.
    with closing(results), counter(total, progress, "faces") as done:
        for i, result in results:
            try:
                found = result()
            except UNUSABLE as error:
                if failed is None:
                    raise
                failed(i, error)
            else:
                yield i, found
            done(i + 1)


def crop_all(
    images: Iterable[Any],
    how: How,
    *,
    faces: Sequence[Choice] | None = None,
    read: Callable[[Any], Any] | None = None,
    threads: int | None = None,
) -> NDArray[np.uint8]:
    """The face of each picture, (N, 112, 112, 3) uint8 RGB. Parameters and errors: see `cut_each`."""
    return stacked([found for _, found in cut_each(images, how, faces=faces, read=read, threads=threads)])


def stacked(cuts: Sequence[Cut]) -> NDArray[np.uint8]:
    """Their crops, (N, 112, 112, 3) uint8 RGB."""
    return np.stack([one.crop for one in cuts]) if cuts else np.empty((0, SIDE, SIDE, 3), np.uint8)


def choices(face: Any, n: int) -> list[Choice]:
    """Which face of each of `n` pictures: one choice for all, or a list or tuple of them. ValueError if not of n."""
    if not isinstance(face, (list, tuple)):
        return [face] * n
    if len(face) != n:
        raise ValueError(f"face: expected one choice or one for each of {n} images, got {len(face)}")
    return list(face)


def _at_work(
    jobs: Iterator[tuple[int, Callable[[], Cut]]], workers: int, ahead: int
) -> Generator[tuple[int, Callable[[], Cut]], None, None]:
    """Jobs done in threads, `ahead` of them begun or done before they are taken; each as what gives its result."""
    waiting: deque[tuple[int, Future[Cut]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            while True:
                waiting.extend((i, pool.submit(job)) for i, job in islice(jobs, ahead - len(waiting)))
                if not waiting:
                    return
                i, future = waiting.popleft()
                yield i, future.result
        finally:
            for _, future in waiting:
                future.cancel()
