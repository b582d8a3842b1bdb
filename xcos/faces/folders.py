"""Pictures in folders and archives: which files are pictures, and which only look like it.

Cameras, file servers and notebooks leave copies of pictures in folders of their own (``@eaDir``, ``.thumbnails``,
``.ipynb_checkpoints``, ``__MACOSX``). Taken for pictures they are counted twice; taken for people, they teach a
network that one person is two. They are left out here, for all who read folders, and counted.
"""

from __future__ import annotations

import logging
import os
import posixpath
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..base.foreign import what_it_is

_log = logging.getLogger("xcos")

# What read_image reads, some with Pillow's help (xcos/faces/image.py): the content decides there, the name here.
SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".pjpeg", ".pjp", ".png", ".apng", ".bmp", ".dib", ".gif", ".pbm", ".pgm",
    ".ppm", ".pnm", ".webp", ".avif", ".heic", ".heif", ".hif", ".tif", ".tiff", ".jp2", ".j2k", ".jpx", ".ico",
)  # fmt: skip
_NOT_READ = (".cr2", ".cr3", ".nef", ".arw", ".dng", ".raf", ".orf", ".rw2", ".psd", ".svg", ".jxl", ".eps")
_SYSTEM = {"@eadir", "@__thumb", "@recycle", "@recently-snapshot", "@syno", "@synoresource", "@tmp", "#recycle",
           "#snapshot", "~snapshot", "$recycle.bin", "recycler", "found.000", "__macosx", "__pycache__", "_vti_cnf",
           "lost+found", "lost.dir", "system volume information"}  # fmt: skip
_LINKS = 40  # followed one after the other, as Linux does

CLUTTER = "hidden or of the system"
_NOWHERE = "links that lead nowhere"


def is_picture(name: str) -> bool:
    """Does the name end like a picture's?"""
    return name.lower().endswith(SUFFIXES)


def is_clutter(name: str) -> bool:
    """Is any part of this relative path hidden, or a folder in which systems keep copies of their own?"""
    parts = name.split("/")  # ~$: what Office leaves beside an open file
    return any((part.startswith((".", "~$")) and part != ".") or part.lower() in _SYSTEM for part in parts)


def pictures(folder: str | os.PathLike[str]) -> tuple[list[Path], Counter[str]]:
    """The pictures of a folder and the folders in it, in the order of their paths, and what was left out, counted.

    Symbolic links are followed; a folder that is reached twice is read once, under its own name.
    """
    found: list[Path] = []
    skipped: Counter[str] = Counter()
    seen: set[tuple[int, int]] = set()
    folders, links = [Path(folder)], list[Path]()
    while folders or links:  # links last, so that what they lead to is met under its own name first
        here = folders.pop() if folders else links.pop(0)
        try:
            place = here.stat()
            entries = sorted(os.scandir(here), key=lambda entry: entry.name)
        except OSError:
            skipped["folders that cannot be read"] += 1
            continue
        if (place.st_dev, place.st_ino) in seen:
            skipped["folders that are there twice, by a link"] += 1
            continue
        seen.add((place.st_dev, place.st_ino))
        for entry in entries:
            if os.path.isdir(entry.path):  # unlike the entry's own method it takes links in a circle
                if is_clutter(entry.name):
                    skipped[CLUTTER] += sum(is_picture(name) for _, _, names in os.walk(entry.path) for name in names)
                else:
                    (links if entry.is_symlink() else folders).append(Path(entry.path))
            elif why := _why_not(entry.name, os.path.isfile(entry.path)):
                skipped[why] += 1
            elif is_picture(entry.name):
                found.append(Path(entry.path))
    return sorted(found), +skipped


def _why_not(name: str, is_file: bool) -> str:
    """Why a file that is named like a picture is left out; empty where it is not, or is no picture at all."""
    if name.lower().endswith(_NOT_READ):
        return "of a format that is not read"
    if not is_picture(name):
        return ""
    return CLUTTER if is_clutter(name) else "" if is_file else _NOWHERE


def tell_skipped(source: str | os.PathLike[str], skipped: Mapping[str, int]) -> None:
    """Logs a warning of what was left out, if anything was."""
    if skipped:
        counts = ", ".join(f"{count} {why}" for why, count in skipped.items())
        _log.warning("%s: left out: %s", os.fspath(source), counts)


class Places(Sequence[bytes]):
    """Files inside an archive, each read from its place when asked for. Safe from any number of threads; pickles."""

    def __init__(self, path: Path, places: Sequence[tuple[int, int, bool]]) -> None:
        """`places`: where the bytes of each begin, how many they are, and whether they are deflated."""
        self._path, self._places = path, places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        start, size, deflated = self._places[index]
        with open(self._path, "rb") as file:
            file.seek(start)
            data = file.read(size)
        if len(data) != size:
            raise ValueError(f"{self._path}: picture {index} is cut short")
        try:
            return zlib.decompress(data, -zlib.MAX_WBITS) if deflated else data
        except zlib.error as error:
            raise ValueError(f"{self._path}: picture {index} is damaged ({error})") from None


class Archive:
    """A tar, plain or compressed, or a zip: names of its files, and their contents.

    Files of a plain tar and of a zip are read when asked for; a compressed tar has to be read through, and what is
    wanted of it is held in memory, still encoded. Links inside a tar lead to the files that they name.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Raises ValueError for what is no such archive or is damaged, OSError where it cannot be opened."""
        self.path = Path(path)
        self._places: dict[str, tuple[int, int, bool]] = {}
        self.unread: list[tuple[str, str]] = []  # names of files that cannot be read, and why
        with open(path, "rb"):  # a missing file is told as such
            pass
        try:
            self.compressed = False
            if zipfile.is_zipfile(path) and not _is_tar(path):
                self._read_zip()
            else:
                self._read_tar()
        except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError) as error:
            why = what_it_is(self.path, "an archive") or next(iter(str(error).splitlines()), type(error).__name__)
            raise ValueError(f"{self.path}: expected a folder, a tar or a zip ({why})") from None

    @property
    def names(self) -> list[str]:
        """Of all files, without a leading ``./``, sorted."""
        return sorted(self._places)

    def read(self, names: Iterable[str]) -> Sequence[bytes]:
        """The contents of these files. Raises ValueError where the archive is damaged."""
        places = [self._places[name] for name in names]
        if not self.compressed:
            return Places(self.path, places)
        held: dict[int, bytes] = {}
        try:
            with tarfile.open(self.path) as tar:  # the way back is long in a stream: in the order of the places
                for start, size, _ in sorted(set(places)):
                    tar.fileobj.seek(start)
                    held[start] = tar.fileobj.read(size)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{self.path}: damaged ({error})") from None
        return [held[start] for start, _, _ in places]

    def _read_tar(self) -> None:
        self.compressed = not _is_tar(self.path)
        with tarfile.open(self.path, "r:*" if self.compressed else "r:") as tar:
            members = {_plain(member.name): member for member in tar}
        for name, member in members.items():
            target = _target(member, members)
            if target is not None:
                self._places[name] = target.offset_data, target.size, False
            elif member.islnk() or member.issym():
                self.unread.append((name, _NOWHERE))

    def _read_zip(self) -> None:
        with zipfile.ZipFile(self.path) as archive, open(self.path, "rb") as file:
            for info in archive.infolist():
                if info.is_dir():
                    continue
                if info.flag_bits & 1 or info.compress_type not in (0, 8):
                    self.unread.append((_plain(info.filename), "encrypted, or compressed by other than deflate"))
                    continue
                file.seek(info.header_offset + 26)  # the lengths of name and extra field, which the contents follow
                lengths = file.read(4)
                start = info.header_offset + 30 + int.from_bytes(lengths[:2], "little")
                start += int.from_bytes(lengths[2:], "little")
                self._places[_plain(info.filename)] = start, info.compress_size, info.compress_type == 8


def _is_tar(path: str | os.PathLike[str]) -> bool:
    """Is it a tar that is not compressed?"""
    try:
        with tarfile.open(path, "r:"):
            return True
    except tarfile.TarError:
        return False


def _plain(name: str) -> str:
    return posixpath.normpath(name).lstrip("/")


def _target(member: tarfile.TarInfo, members: Mapping[str, tarfile.TarInfo]) -> tarfile.TarInfo | None:
    """The file that a member is or leads to; None for folders and links that lead nowhere."""
    for _ in range(_LINKS):
        if member.isfile():
            return member
        if not (member.islnk() or member.issym()):
            return None
        name = member.linkname if member.islnk() else posixpath.join(posixpath.dirname(member.name), member.linkname)
        found = members.get(_plain(name))
        if found is None:
            return None
        member = found
    return None


def pictures_of_archive(archive: Archive) -> tuple[list[str], Counter[str]]:
    """Names of the pictures, sorted, and what was left out, counted, as `pictures` does it for folders."""
    found, skipped = [], Counter(why for name, why in archive.unread if is_picture(name) and not is_clutter(name))
    for name in archive.names:
        if is_clutter(name) and is_picture(name):
            skipped[CLUTTER] += 1
        elif why := _why_not(posixpath.basename(name), True):
            skipped[why] += 1
        elif is_picture(name):
            found.append(name)
    return found, skipped


def collection(source: str | os.PathLike[str]) -> tuple[list[str], Callable[[int], bytes]]:
    """Relative names of the pictures of a folder or archive, and how to read each. More in `counted_collection`."""
    names, read, _ = counted_collection(source)
    return names, read


def counted_collection(source: str | os.PathLike[str]) -> tuple[list[str], Callable[[int], bytes], Counter[str]]:
    """Relative names of the pictures of a folder or archive, how to read each, and what was left out, counted and
    logged.

    Raises ValueError where there is none or the archive is damaged, OSError where it cannot be opened.
    """
    path = Path(source)
    read: Callable[[int], bytes]
    if path.is_dir():
        files, skipped = pictures(path)
        names = [file.relative_to(path).as_posix() for file in files]

        def read(index: int) -> bytes:
            return files[index].read_bytes()
    else:
        archive = Archive(path)
        names, skipped = pictures_of_archive(archive)
        read = archive.read(names).__getitem__
    tell_skipped(path, skipped)
    if not names:
        counts = f" (left out: {sum(skipped.values())})" if skipped else ""
        raise ValueError(f"{path}: holds no pictures{counts}; their names end in {', '.join(SUFFIXES[:4])} and so on")
    return names, read, skipped
