"""Files that appear whole or not at all, and arrays kept in such that are checked when they are read."""

import hashlib
import logging
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

_log = logging.getLogger("xcos")


@contextmanager
def naming(path: str | os.PathLike[str], *temporary: Path) -> Iterator[None]:
    """Errors of the system inside the block name `path` where they name no file, or one of `temporary`."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename in (None, *temporary, *map(str, temporary)):
            raise type(error)(error.errno, error.strerror, str(path)) from None
        raise


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A binary file that takes the place of `path` when the block ends without an error.

    Whoever opens `path` sees the old file or the whole new one, also after a crash or a loss of power: a
    temporary file beside it is written, brought to the disk, and renamed. A killed process may leave that
    temporary file (``.NAME.xxxxxxxx``), nothing else. Raises OSError, naming the file, where the folder cannot be
    written to or the disk is full; `path` is as it was then.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        with naming(target, temporary):
            with open(temporary, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        total.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        total.update(array.tobytes())
    return total.hexdigest()


def keep_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Writes arrays and their SHA-256 to an npz file, in one step. Raises OSError as `replacing`."""
    whole: dict[str, Any] = {**arrays, "sha256": np.array(_digest(arrays))}
    with replacing(path) as file:
        np.savez(file, **whole)


def kept_arrays(path: Path) -> dict[str, NDArray[Any]] | None:
    """What `keep_arrays` wrote to `path`; None where nothing is there, or something else by now."""
    if not path.exists():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as held:
            arrays = {name: held[name] for name in held.files}
        if str(arrays.pop("sha256")) == _digest(arrays):
            return arrays
    except Exception as error:  # zipfile and NumPy meet damage with a dozen types, SyntaxError among them
        _log.debug("%s: %s", path, error)
    _log.warning("%s is damaged and is made again", path)
    return None
