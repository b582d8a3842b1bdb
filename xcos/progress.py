"""Progress of long loops: none, a bar by tqdm, or a function of the caller's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
Progress = bool | Callable[[int, int], object] | None


def batches(items: Sequence[T], size: int, progress: Progress, what: str) -> Iterator[Sequence[T]]:
    """Slices of `items` of `size` each, reporting how many items are done.

    progress: None or False, nothing; True, a tqdm bar on stderr; else called as progress(done, total).
    """
    total = len(items)
    if callable(progress):
        report, close = progress, None
    elif progress:
        try:
            from tqdm.auto import tqdm
        except ImportError:
            raise ImportError("progress=True draws a bar with tqdm: pip install tqdm") from None
        bar = tqdm(total=total, desc=what)
        report, close = (lambda done, _: bar.update(done - bar.n)), bar.close
    else:
        report, close = None, None
    try:
        for start in range(0, total, size):
            yield items[start : start + size]
            if report:
                report(min(start + size, total), total)
    finally:
        if close:
            close()
