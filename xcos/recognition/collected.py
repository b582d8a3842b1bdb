"""Features of the pictures of a collection, kept as they are computed, so that an interrupted run goes on from them.

    OUT.parts/00000064.npz, 00000128.npz, …

A part holds one batch, appears whole or not at all, and is named by how many pictures are done by its end. It counts as
long as the key, the pictures' names and their bytes are those that it was made of.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np

from ..faces.many import UNUSABLE
from ..storage.files import keep_arrays, kept_arrays
from .model import Model
from .streaming import Batch


class _Picture:
    """A picture of the collection, read where it is decoded, by its name in messages."""

    def __init__(self, name: str, read: Callable[[], bytes]) -> None:
        self.name, self._read = name, read
        self.digest = ""  # SHA-256, in hex, of name and bytes, once they are read; of what can't be read it stays so

    def read_bytes(self) -> bytes:
        data = self._read()
        digest = hashlib.sha256(f"{self.name}\0".encode(errors="surrogateescape"))
        digest.update(data)
        self.digest = digest.hexdigest()
        return data


class Collected:
    """Batches of a collection's features, from `folder` as far as it has them; numbers are those of the collection.

    Parameters
    ----------
    model : Model
        Whose features they are.
    names, read
        Relative names of the pictures, and what reads one by its number, as ``counted_collection`` gives them.
    folder : Path
        Where parts are kept; made where it is missing.
    key : str
        What features depend on besides the pictures.
    aligned, threads
        As ``Model.stream`` takes them.
    """

    def __init__(
        self, model: Model, names: Sequence[str], read: Callable[[int], bytes], folder: Path, key: str, *,
        aligned: bool, threads: int | None,
    ) -> None:  # fmt: skip
        self._model, self._names, self._read, self._folder, self._key = model, names, read, folder, key
        self._aligned, self._threads = aligned, threads

    def __iter__(self) -> Iterator[Batch]:
        self._folder.mkdir(exist_ok=True)
        done, parts = 0, _parts(self._folder)
        while parts and (batch := self._kept(parts[0], done)) is not None:
            done = int(parts.pop(0).stem)
            yield batch
        for path in parts:  # of other pictures or settings
            path.unlink()
        yield from self._computed(done)

    def _kept(self, path: Path, start: int) -> Batch | None:
        """The part in a file, if it is one of these pictures from `start` on."""
        held, stop = kept_arrays(path), int(path.stem)
        if held is None or str(held["key"]) != self._key or not start < stop <= len(self._names):
            return None
        pictures = [self._picture(i) for i in range(start, stop)]
        for picture in pictures:
            with suppress(*UNUSABLE):
                picture.read_bytes()
        same = held["digests"].tolist() == [picture.digest for picture in pictures]
        return Batch.of_arrays(held) if same else None

    def _picture(self, i: int) -> _Picture:
        return _Picture(self._names[i], partial(self._read, i))

    def _computed(self, begin: int) -> Iterator[Batch]:
        begun: list[_Picture] = []  # and in no part yet
        start = begin

        def pictures() -> Iterator[_Picture]:
            for i in range(begin, len(self._names)):
                begun.append(self._picture(i))
                yield begun[-1]

        for found in self._model.stream(pictures(), aligned=self._aligned, threads=self._threads, skip_failed=True):
            failed = tuple((begin + i, message) for i, message in found.failed)
            batch = Batch(begin + found.index, found.features, failed)
            stop = 1 + max([*batch.index.tolist(), *(i for i, _ in failed)])
            digests = [picture.digest for picture in begun[: stop - start]]
            part = {"key": np.array(self._key), "digests": np.array(digests)}
            keep_arrays(self._folder / f"{stop:08d}.npz", {**batch.arrays(), **part})
            del begun[: stop - start]
            start = stop
            yield batch

    def clear(self) -> None:
        """Deletes the parts, and their folder if nothing else is in it."""
        for path in _parts(self._folder):
            path.unlink()
        with suppress(OSError):
            self._folder.rmdir()


def count_kept(folder: Path) -> int:
    """How many pictures the parts in `folder` hold."""
    return max((int(path.stem) for path in _parts(folder)), default=0)


def _parts(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{'[0-9]' * 8}.npz"))
