"""Progress of long loops: none, a bar by tqdm, or a function of the caller's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
Progress = bool | Callable[[int, int], object] | None


def batches(items: Sequence[T], size: int, progress: Progress, what: str) -> Iterator[Sequence[T]]:
    """Slices of `items` of `size` each, reporting how many items are done; progress as in ``counter``."""
    with counter(len(items), progress, what) as done:
        for start in range(0, len(items), size):
            yield items[start : start + size]
            done(min(start + size, len(items)))


@contextmanager
def counter(total: int, progress: Progress, what: str) -> Iterator[Callable[[int], object]]:
    """Gives a function to call with how many of `total` are done.

    progress: None or False, nothing; True, a tqdm bar on stderr; else called as progress(done, total).
    """
    if callable(progress):
        yield lambda done: progress(done, total)
    elif progress:
        try:
            from tqdm.auto import tqdm
        except ImportError:
            raise ImportError("progress=True draws a bar with tqdm: pip install tqdm") from None
        with tqdm(total=total, desc=what) as bar:
            yield lambda done: bar.update(done - bar.n)
    else:
        yield lambda done: None
