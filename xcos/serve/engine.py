"""The core behind a bounded queue: as many requests at work as there are cores, some waiting, no more."""

from __future__ import annotations

import asyncio
import io
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .. import _core, faces
from ..casefile import writers
from ..errors import ImageError, NoFaceError
from ..faces.image import describe, read_image
from ..recognition.explanation import Explanation
from ..recognition.model import Model
from ..view import explanation_value
from .limits import Limits, Refused

T = TypeVar("T")
_BY_PAGE = "the page of xcos serve"


class Engine:
    """Finds faces and explains pairs, off the event loop. Made and used on one event loop."""

    def __init__(self, model: Model, limits: Limits) -> None:
        self.model, self.limits = model, limits
        self._cores = _core.default_threads()
        self._workers = limits.workers or self._cores
        self._pool = ThreadPoolExecutor(self._workers, "xcos-serve")
        self._inside = 0  # requests that hold a slot
        self._running = 0  # of them, jobs at work now; counted by the workers, so only a guide
        self._seconds = 0.1  # a job's, averaged over the last ones

    @contextmanager
    def slot(self) -> Iterator[None]:
        """A place for one request, from before its body is read. Raises Refused (503) when all are taken."""
        if self._inside >= self._workers + self.limits.waiting:
            wait = max(1, math.ceil(self._inside * self._seconds / self._workers))
            raise Refused(503, f"too many requests at once; please try again in {wait} s", wait)
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    async def run(self, job: Callable[[int], T]) -> T:
        """Runs job(threads) on a worker: with all cores when it is alone, else with one.

        Raises Refused (503) when the answer is not there in time; a job that has not begun is then dropped.
        """
        try:
            return await asyncio.wait_for(
                asyncio.get_running_loop().run_in_executor(self._pool, self._timed, job), self.limits.work_s
            )
        except asyncio.TimeoutError:  # in Python 3.10 not yet the built-in one
            raise Refused(503, f"no answer within {self.limits.work_s:g} s; please try again", 5) from None

    def _timed(self, job: Callable[[int], T]) -> T:
        start = time.perf_counter()
        self._running += 1
        try:
            return job(1 if self._running > 1 else self._cores)
        finally:
            self._running -= 1
            self._seconds += 0.1 * (time.perf_counter() - start - self._seconds)

    def close(self) -> None:
        """Drops what waits; what runs ends by itself."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def find(self, picture: bytes, threads: int) -> dict[str, Any]:
        """Size and faces of a picture; `main` is the number of the face that is taken unless one is chosen."""
        pixels = self._read(picture, "the photograph")
        found = faces.detect(pixels, threads=threads)
        height, width = pixels.shape[:2]
        return {
            "width": width,
            "height": height,
            "faces": [face.to_dict() for face in found],
            "main": found.index(faces.choose(found, pixels.shape)) if found else None,
        }

    def explain(
        self,
        pictures: tuple[bytes, bytes],
        names: tuple[str, str],
        chosen: tuple[int | None, int | None],
        threshold: float | None,
        threads: int,
    ) -> dict[str, Any]:
        """What the view shows of a pair (``xcos.view.explanation_value``)."""
        return explanation_value(self._explained(pictures, names, chosen, threshold, threads))

    def report(
        self,
        pictures: tuple[bytes, bytes],
        names: tuple[str, str],
        chosen: tuple[int | None, int | None],
        threshold: float | None,
        reference: str,
        kind: str,
        threads: int,
    ) -> bytes:
        """A pair's report for the case file (``Explanation.report``), .pdf or .html. Raises Refused (501) where what it
        needs is not installed."""
        e, file = self._explained(pictures, names, chosen, threshold, threads), io.BytesIO()
        made = writers(e, e.looks, pictures, reference=reference, command=_BY_PAGE, paper="A4", date=None)
        try:
            made[kind](file)
        except ImportError as error:
            raise Refused(501, str(error)) from None
        return file.getvalue()

    def _explained(
        self,
        pictures: tuple[bytes, bytes],
        names: tuple[str, str],
        chosen: tuple[int | None, int | None],
        threshold: float | None,
        threads: int,
    ) -> Explanation:
        photographs, found = zip(*(
            self.locate(picture, f"the {which} photograph", face, threads)
            for picture, which, face in zip(pictures, ("first", "second"), chosen, strict=True)
        ), strict=True)  # fmt: skip
        e: Explanation = self.model.explain(*photographs, face=found, threshold=threshold, threads=threads)
        return replace(e, names=names)

    def _read(self, picture: bytes, which: str) -> NDArray[np.uint8]:
        try:
            return read_image(picture, max_pixels=self.limits.pixels)
        except ImageError as error:
            raise Refused(422, f"{which}: {_reason(error, picture)}") from None

    def locate(
        self, picture: bytes, which: str, face: int | None, threads: int
    ) -> tuple[NDArray[np.uint8], faces.Face | None]:
        """The pixels of a picture, and the face in it that is meant. Raises Refused (422), naming `which`."""
        pixels = self._read(picture, which)
        try:
            return pixels, faces.cut(pixels, face=face, threads=threads).face
        except NoFaceError as error:
            raise Refused(422, f"{which}: {_reason(error, pixels)}") from None


def _reason(error: Exception, image: Any) -> str:
    """The message without what is of the library alone: its name for bytes and arrays, and its parameter."""
    return str(error).removeprefix(f"{describe(image)}: ").replace(" (max_pixels)", "")
