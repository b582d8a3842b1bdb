"""Images of a bcolz carray, the form in which InsightFace_Pytorch keeps its benchmarks.

bcolz itself no longer builds on current Python; its format is simple enough to read. As its own description of
the persistence layer has it: a folder with ``meta/sizes`` and ``meta/storage`` (JSON) and ``data/__0.blp``,
``__1.blp`` …, one compressed chunk of whole rows each, after 16 bytes of header that begin with ``blpk``.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

_HEADER = 16  # bytes before the compressed chunk
_CHUNK_NAME = re.compile(r"__(\d+)\.blp")


class BcolzImages(Sequence[NDArray[np.uint8]]):
    """The images of a carray (N, 3, H, W) float32 of (x / 255 - 0.5) / 0.5, as (H, W, 3) uint8 RGB arrays.

    One chunk is in memory at a time. Safe from any number of threads.
    """

    def __init__(self, folder: Path, bgr: bool) -> None:
        """`bgr`: the channels were stored in the order of OpenCV. Raises ValueError for another content."""
        try:
            self._rows, *shape = json.loads((folder / "meta/sizes").read_text())["shape"]
            kind = json.loads((folder / "meta/storage").read_text())
            self._dtype, per_chunk = np.dtype(kind["dtype"]), int(kind["chunklen"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{folder}: its meta folder is not that of a bcolz carray ({error})") from None
        if len(shape) != 3 or shape[0] != 3 or self._dtype != np.float32 or per_chunk < 1:
            raise ValueError(f"{folder}: rows of {self._dtype} {shape}; expected float32 (3, H, W)")
        self._shape, self._per_chunk, self._bgr = tuple(shape), per_chunk, bgr
        files = {_CHUNK_NAME.fullmatch(path.name): path for path in (folder / "data").iterdir()}
        self._files = [path for _, path in sorted((int(name[1]), path) for name, path in files.items() if name)]
        if len(self._files) * per_chunk < self._rows:
            raise ValueError(f"{folder}: {len(self._files)} chunks of {per_chunk} rows for {self._rows} rows")
        self._lock = Lock()
        self._held: tuple[int, NDArray[np.float32]] | None = None

    def __len__(self) -> int:
        return int(self._rows)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(f"image {index} of {len(self)}")
        number, row = divmod(int(index), self._per_chunk)
        with self._lock:
            if self._held is None or self._held[0] != number:
                self._held = number, self._read(self._files[number])
            image = self._held[1][row]
        pixels = np.rint((image * 0.5 + 0.5) * 255).clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
        return np.ascontiguousarray(pixels[..., ::-1] if self._bgr else pixels)

    def _read(self, path: Path) -> NDArray[np.float32]:
        try:
            import blosc2
        except ImportError:
            raise ImportError("a bcolz carray is decompressed by blosc2: pip install blosc2") from None
        data = path.read_bytes()
        if data[:4] != b"blpk":
            raise ValueError(f"{path}: not a chunk of a bcolz carray")
        try:
            raw = blosc2.decompress(data[_HEADER:])
        except (RuntimeError, ValueError) as error:
            raise ValueError(f"{path}: damaged ({error})") from None
        if len(raw) % (4 * int(np.prod(self._shape))):
            raise ValueError(f"{path}: {len(raw)} bytes are no whole number of rows")
        rows: NDArray[np.float32] = np.frombuffer(raw, np.float32).reshape(-1, *self._shape)
        return rows
