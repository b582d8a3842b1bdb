"""Numbers straight from the files in which LanceDB keeps them: in a quarter of the time that it takes to give them out.

LanceDB writes lists of one size as they are, row after row, unless it packs them. The manifest of a version says which
files hold which rows, and the end of each file where its columns lie (https://lance.org/format/). Nothing of that is
trusted: a page must be as long as its rows, and its first one what LanceDB gives, else LanceDB is asked for all.

Files are open only while they are read, so that what was removed stays in none; LanceDB never changes one.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.uint64]
_END = struct.Struct("<QQQIIHH4s")  # of a file
_SHORT = struct.Struct("<QHH4s")  # of a manifest
_MAGIC = b"LANC"


class _Page(NamedTuple):
    """Rows that lie side by side in a file: the address of the first, how many, in which file, from which byte on."""

    first: int
    rows: int
    file: str
    offset: int


class Column:
    """A column of lists of one size, in the files of one version of a table. Safe from any thread."""

    def __init__(self, pages: Iterable[_Page], width: int, dtype: Any) -> None:
        pages = sorted(pages)
        self._width, self._dtype = width, np.dtype(dtype)
        self._size = width * self._dtype.itemsize
        self._files = [page.file for page in pages]
        self._offsets = np.array([page.offset for page in pages], np.uint64)
        self.starts = np.array([page.first for page in pages], np.uint64)
        self._ends = self.starts + np.array([page.rows for page in pages], np.uint64)

    def has(self, rows: Rows) -> bool:
        """Whether all of these rows lie in the pages."""
        which = np.searchsorted(self.starts, rows, side="right") - 1
        return bool((which >= 0).all() and (rows < self._ends[which]).all())

    def read(self, rows: Rows) -> NDArray[Any]:
        """(N, width) of these rows, in this order. Raises OSError where a file is gone, or too short."""
        numbers = np.empty((len(rows), self._width), self._dtype)
        which = np.searchsorted(self.starts, rows, side="right") - 1
        offsets = (self._offsets[which] + (rows - self.starts[which]) * np.uint64(self._size)).tolist()
        with ExitStack() as stack:
            opened: dict[str, int] = {}
            for file in {self._files[page] for page in np.unique(which)}:
                opened[file] = os.open(file, os.O_RDONLY)
                stack.callback(os.close, opened[file])
            files = [opened[self._files[page]] for page in which.tolist()]
            if hasattr(os, "posix_fadvise"):  # what is not in memory comes from the disk at once, not in turn
                for file, offset in zip(files, offsets, strict=True):
                    os.posix_fadvise(file, offset, self._size, os.POSIX_FADV_WILLNEED)
            for file, offset, row in zip(files, offsets, numbers.view(np.uint8), strict=True):
                if os.preadv(file, [row], offset) != self._size:
                    raise OSError(5, "a file of the table is shorter than its columns")
        return numbers


def column(folder: str | os.PathLike[str], version: int, name: str, width: int, dtype: Any) -> Column | None:
    """A column of a version of the table in this folder; None where its numbers do not lie there as they are, or
    where the system can't read at a place without moving to it (Windows): LanceDB then reads.

    The numbers of the fields are those of table.proto and file2.proto of Lance.
    """
    if not hasattr(os, "preadv"):
        return None
    try:
        manifest = _manifest(Path(folder), version)
        field = next(_number(f, 3) for f in map(_fields, manifest.get(1, [])) if f[2] == [name.encode()])
        pages = [
            page for fragment in manifest.get(2, []) for page in _pages(Path(folder), _fields(fragment), field)
        ]  # fmt: skip
        size = width * np.dtype(dtype).itemsize
        if any(length != page.rows * size for page, length in pages):
            return None
        return Column([page for page, _ in pages], width, dtype)
    except (OSError, StopIteration, LookupError, ValueError, OverflowError, struct.error):
        return None


def _manifest(folder: Path, version: int) -> dict[int, list[Any]]:
    names = (f"{2**64 - 1 - version:020d}.manifest", f"{version}.manifest")
    data = next(path for name in names if (path := folder / "_versions" / name).is_file()).read_bytes()
    start, _, _, magic = _SHORT.unpack(data[-_SHORT.size :])
    if magic != _MAGIC:
        raise ValueError("no manifest")
    length = int.from_bytes(data[start : start + 4], "little")
    return _fields(data[start + 4 : start + 4 + length])


def _pages(folder: Path, fragment: dict[int, list[Any]], field: int) -> Iterator[tuple[_Page, int]]:
    """The pages of a fragment's column, and the bytes of each."""
    for file in map(_fields, fragment[2]):
        held = _numbers(file, 2)
        if field not in held:
            continue
        if 7 in file:
            raise ValueError("a file outside of the table's folder")
        path = folder / "data" / file[1][0].decode()
        first, count = _number(fragment, 1) << 32, 0
        for offset, length, rows in _column_pages(path, _numbers(file, 3)[held.index(field)]):
            yield _Page(first + count, rows, os.fspath(path), offset), length
            count += rows
        if count != _number(fragment, 4):
            raise ValueError("fewer rows than the fragment has")
        return
    raise ValueError("a fragment without the column")


def _column_pages(path: Path, index: int) -> Iterator[tuple[int, int, int]]:
    """Where each page of a file's column begins, its bytes, and its rows."""
    with open(path, "rb") as file:
        file.seek(-_END.size, os.SEEK_END)
        numbers, table, _, _, columns, major, _, magic = _END.unpack(file.read())
        if magic != _MAGIC or major != 2 or not 0 <= index < columns:
            raise ValueError("a file of another format")
        file.seek(table + 16 * index)
        start, length = struct.unpack("<QQ", file.read(16))
        file.seek(start)
        pages = _fields(file.read(length)).get(2, [])
    for page in map(_fields, pages):
        (offset,), (length,) = _numbers(page, 1), _numbers(page, 2)
        if offset + length > numbers:
            raise ValueError("a page beyond the file's numbers")
        yield offset, length, _number(page, 3)


def _fields(data: bytes) -> dict[int, list[Any]]:
    """The fields of a message of Protocol Buffers by number: whole numbers, or bytes. Raises ValueError, IndexError."""
    fields: dict[int, list[Any]] = {}
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        value: int | bytes
        if key & 7 == 0:
            value, at = _varint(data, at)
        else:
            if key & 7 not in (1, 2, 5):
                raise ValueError("no message")
            length, at = _varint(data, at) if key & 7 == 2 else ({1: 8, 5: 4}[key & 7], at)
            value, at = data[at : at + length], at + length
        fields.setdefault(key >> 3, []).append(value)
    return fields


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number in bytes of 7 bits each, the lowest first, and where it ends."""
    number, shift = 0, 0
    while True:
        number |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            return number, at


def _number(message: dict[int, list[Any]], field: int) -> int:
    """A whole number; 0 is left out of messages."""
    return int(message.get(field, [0])[0])


def _numbers(message: dict[int, list[Any]], field: int) -> list[int]:
    """Whole numbers, packed into bytes or one by one."""
    found: list[int] = []
    for value in message.get(field, []):
        if isinstance(value, int):
            found.append(value)
            continue
        at = 0
        while at < len(value):
            number, at = _varint(value, at)
            found.append(number)
    return found
