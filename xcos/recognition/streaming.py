"""Features of any number of images, in constant memory: crops are made in parallel ahead of the network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import faces
from ..base.values import ByValue
from ..faces.many import stacked
from .features import Features

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

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All of it as arrays, for a file; `of_arrays` is the way back."""
        numbers, messages = [i for i, _ in self.failed], [message for _, message in self.failed]
        return {"grid": self.features.grid, "embedding": self.features.embedding, "index": self.index,
                "failed": np.array(numbers, np.intp), "messages": np.array(messages, str)}  # fmt: skip

    @classmethod
    def of_arrays(cls, held: Mapping[str, NDArray[Any]]) -> Batch:
        """What `arrays` made these of."""
        failed = zip(held["failed"].tolist(), held["messages"].tolist(), strict=True)
        return cls(held["index"], Features(held["grid"], held["embedding"]), tuple(failed))


def stream(
    see: Callable[[NDArray[np.uint8]], Features],
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
    failed: list[tuple[int, str]] = []
    found = faces.cut_each(
        images,
        how,
        threads=threads,
        ahead=AHEAD * batch,
        failed=(lambda i, error: failed.append((i, str(error)))) if skip_failed else None,
    )
    while (part := list(islice(found, batch))) or failed:
        yield Batch(np.array([i for i, _ in part], np.intp), see(stacked([cut for _, cut in part])), tuple(failed))
        failed.clear()
