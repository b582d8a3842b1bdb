"""Files that appear whole or not at all, and arrays kept in such that are checked when they are read."""

import errno
import hashlib
import logging
import os
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

if sys.platform == "win32":
    import msvcrt

    def _lock(file: int) -> None:
        """Waits for the lock of an open file, which closing it gives back."""
        os.lseek(file, 0, os.SEEK_SET)
        while True:
            try:
                return msvcrt.locking(file, msvcrt.LK_LOCK, 1)
            except OSError as error:
                if error.errno != errno.EDEADLOCK:  # ten seconds went by: it asks no longer by itself
                    raise

else:
    import fcntl

    def _lock(file: int) -> None:
        """Waits for the lock of an open file, which closing it gives back."""
        fcntl.flock(file, fcntl.LOCK_EX)


_log = logging.getLogger("xcos")


@contextmanager
def naming(path: str | os.PathLike[str], *temporary: Path) -> Iterator[None]:
    """Errors of the system inside the block name `path` where they name no file, or one of `temporary`."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename in (None, *temporary, *map(str, temporary)):
            raise type(error)(error.errno, error.strerror, os.fspath(path)) from None
        raise


def beside(path: Path) -> Path:
    """A name for a temporary file or folder beside `path`: short, so that `path` itself may be as long as it can be."""
    return path.with_name(f".xcos-{secrets.token_hex(8)}")


def check_target(path: str | os.PathLike[str]) -> os.stat_result | None:
    """What is at `path` now, symbolic links followed; None where nothing is.

    Raises OSError, naming `path`, where no file may be written there: its folder is missing, or there is a folder,
    a disk or a socket, or a file marked as one that is not to be written to (also for root, who could).
    """
    with naming(path):
        try:
            there = os.stat(path)
        except FileNotFoundError:
            there = None
        folder = os.path.dirname(os.path.realpath(path))
        if there is None and not os.path.isdir(folder):
            raise FileNotFoundError(errno.ENOENT, "its folder does not exist", os.fspath(path))
        if there is None:
            return None
        if stat.S_ISDIR(there.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
        if stat.S_ISBLK(there.st_mode) or stat.S_ISSOCK(there.st_mode):
            kind = "a disk" if stat.S_ISBLK(there.st_mode) else "a socket"
            raise OSError(errno.EINVAL, f"is {kind}; expected a file", os.fspath(path))
        if not there.st_mode & 0o222 or not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))
        return there


@contextmanager
def alone(path: str | os.PathLike[str]) -> Iterator[None]:
    """One process of this machine at a time is in such a block; others wait. `path`, a file for this alone, is made
    where it is missing, and stays. A process that dies in the block lets the next one in."""
    with open(path, "ab") as file:
        _lock(file.fileno())
        yield


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A binary file whose content is at `path` when the block ends without an error: the one writer of the package.

    A regular file is replaced in one step: whoever opens `path` sees the old file or the whole new one, also after
    a crash or a loss of power. A temporary file beside it is written, given the mode and, where that is allowed, the
    owner of the old one, brought to the disk, and renamed; a killed process may leave it (``.xcos-…``), nothing
    else. A symbolic link stays, and the file that it names is replaced; of a file with several names (hard links)
    this one alone is. Pipes and devices such as ``/dev/null`` are written to at the end of the block.

    Raises what `check_target` raises, and OSError, naming `path`, where the folder cannot be written to or the disk
    is full; `path` is then as it was.
    """
    there = check_target(path)
    if there is not None and not stat.S_ISREG(there.st_mode):
        with naming(path), tempfile.TemporaryFile() as file:
            yield file
            file.seek(0)
            with open(path, "wb") as device:
                shutil.copyfileobj(file, device)
        return
    target = Path(os.path.realpath(path))
    temporary = beside(target)
    try:
        with naming(path, temporary, target):
            with open(temporary, "xb", opener=None if there is None else _private) as file:
                yield file
                file.flush()
                if there is not None:
                    _take_over(file.fileno(), there)
                os.fsync(file.fileno())
            os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _private(path: str, flags: int) -> int:
    """Opens a file that nobody else may read before it has the mode of the one that it replaces."""
    return os.open(path, flags, 0o600)


def _take_over(file: int, old: os.stat_result) -> None:
    """Mode and owner of the old file; a user who is not its owner becomes the new one's."""
    if hasattr(os, "fchown"):
        for user, group in ((-1, old.st_gid), (old.st_uid, -1)):
            with suppress(PermissionError):
                os.fchown(file, user, group)
    if hasattr(os, "fchmod"):
        os.fchmod(file, stat.S_IMODE(old.st_mode))


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


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """What `keep_arrays` wrote to `path`. Raises OSError where it cannot be opened, ValueError, naming it, where it is
    damaged or something else."""
    with path.open("rb") as file:
        try:
            with np.load(file, allow_pickle=False) as held:
                arrays = {name: held[name] for name in held.files}
            if str(arrays.pop("sha256")) == _digest(arrays):
                return arrays
        except Exception as error:  # zipfile and NumPy meet damage with a dozen types, SyntaxError among them
            raise ValueError(f"{path}: damaged, or no file of arrays of xcos ({error})") from error
    raise ValueError(f"{path}: damaged, its arrays are not those that were written")


def kept_arrays(path: Path) -> dict[str, NDArray[Any]] | None:
    """What `keep_arrays` wrote to `path`; None where nothing is there, or something else by now."""
    if not path.exists():
        return None
    try:
        return read_arrays(path)
    except (OSError, ValueError) as error:
        _log.debug("%s: %s", path, error)
    _log.warning("%s is damaged and is made again", path)
    return None
