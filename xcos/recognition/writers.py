"""Features of whole data sets into one file, in constant memory: .npz or .zarr, whole or not at all."""

from __future__ import annotations

import io
import os
import shutil
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..storage.files import beside, check_target, naming, replacing
from .features import Features

SUFFIXES = (".npz", ".zarr")
_CHUNK = 256  # faces in a chunk of a zarr array: 1.6 MB of grids
_COPY = 1 << 20  # bytes copied at a time


class FeatureWriter:
    """Writes stacks of features as they come: ``names`` (N,), ``grid`` (N, D, H, W), ``embedding`` (N, E).

    A context manager. The file appears when the block ends without an error. Raises ValueError for another
    suffix than .npz or .zarr, FileExistsError where a .zarr of that name is there already, ImportError for .zarr
    without the package zarr or with NumPy 1.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        suffix = self._path.suffix.lower()
        if suffix not in SUFFIXES:
            raise ValueError(f"{self._path}: expected a name that ends in .npz or .zarr, got {suffix!r}")
        self._store: _Npz | _Zarr = (_Npz if suffix == ".npz" else _Zarr)(self._path)
        self.count = 0

    def __enter__(self) -> FeatureWriter:
        return self

    def write(self, names: Sequence[str], features: Features) -> None:
        """Appends faces. Raises ValueError unless there is a name for each."""
        if len(names) != len(features):
            raise ValueError(f"expected a name for each of {len(features)} faces, got {len(names)}")
        self._store.write(list(names), features)
        self.count += len(names)

    def __exit__(self, kind: Any, *_: object) -> None:
        try:
            if kind is None:
                self._store.finish()
        finally:
            self._store.clean()


class _Npz:
    """Arrays go to files without a name first, since a .npy begins with its length."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._names: list[str] = []
        check_target(path)
        folder = os.path.dirname(os.path.realpath(path))  # where there is room for the file itself
        try:
            self._spools: dict[str, IO[bytes]] = {k: TemporaryFile(dir=folder) for k in ("grid", "embedding")}
        except OSError as error:  # which names a file that was never there
            raise type(error)(error.errno, error.strerror, str(path)) from None
        self._shapes: dict[str, tuple[int, ...]] = {"grid": (0, 0, 0), "embedding": (0,)}

    def write(self, names: list[str], features: Features) -> None:
        self._names += names
        for key, spool in self._spools.items():
            array: NDArray[np.float32] = getattr(features, key)
            with naming(self._path):
                spool.write(array.tobytes())
            self._shapes[key] = array.shape[1:]

    def finish(self) -> None:
        with replacing(self._path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            with archive.open("names.npy", "w") as member:
                np.lib.format.write_array(member, np.array(self._names, str), allow_pickle=False)
            for key, spool in self._spools.items():
                header = {"descr": "<f4", "fortran_order": False, "shape": (len(self._names), *self._shapes[key])}
                with archive.open(f"{key}.npy", "w", force_zip64=True) as member:
                    beginning = io.BytesIO()
                    np.lib.format.write_array_header_1_0(beginning, header)
                    member.write(beginning.getvalue())
                    spool.seek(0)
                    shutil.copyfileobj(spool, member, _COPY)

    def clean(self) -> None:
        for spool in self._spools.values():
            with suppress(OSError):  # a full disk, of which the caller is told already
                spool.close()


class _Zarr:
    def __init__(self, path: Path) -> None:
        try:
            import zarr
        except ImportError:
            raise ImportError("writing .zarr needs zarr: pip install zarr (.npz needs nothing)") from None
        if not hasattr(np.dtypes, "StringDType"):  # the names' type
            raise ImportError(f"writing .zarr needs NumPy 2, this is {np.__version__} (.npz works with both)")
        if os.path.lexists(path):
            raise FileExistsError(f"{path}: is there already")
        check_target(path)
        self._path, self._temporary = path, beside(path)
        self._group = zarr.open_group(self._temporary, mode="w")
        self._names: list[str] = []
        self._arrays: dict[str, Any] = {}  # zarr.Array, by name

    def write(self, names: list[str], features: Features) -> None:
        self._names += names
        for key in ("grid", "embedding"):
            array: NDArray[np.float32] = getattr(features, key)
            if key not in self._arrays:
                shape, chunks = (0, *array.shape[1:]), (_CHUNK, *array.shape[1:])
                self._arrays[key] = self._group.create_array(key, shape=shape, chunks=chunks, dtype="float32")
            self._arrays[key].append(array)

    def finish(self) -> None:
        names = np.array(self._names, np.dtypes.StringDType())
        self._group.create_array("names", shape=names.shape, chunks=(_CHUNK,), dtype=names.dtype)[:] = names
        os.replace(self._temporary, self._path)

    def clean(self) -> None:
        shutil.rmtree(self._temporary, ignore_errors=True)
