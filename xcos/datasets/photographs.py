"""Photographs by their name, from a folder or a tar archive."""

import os
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any


class TarImages(Sequence[bytes]):
    """Files of a tar archive that is not compressed, each read from its place when asked for."""

    def __init__(self, path: Path, places: Sequence[tuple[int, int]]) -> None:
        self._path, self._places = path, places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        offset, size = self._places[index]
        with open(self._path, "rb") as file:
            file.seek(offset)
            return file.read(size)


def photographs(source: str | os.PathLike[str], names: Iterable[str]) -> Sequence[Any]:
    """The photographs of these names (``Name/Name_0001.jpg``) in a folder or tar, which may hold more folders around.

    A compressed tar has to be read through: the photographs asked for are held in memory, still encoded.
    Raises FileNotFoundError naming the first that is missing, ValueError for what is no tar.
    """
    names, path = list(names), Path(source)
    if path.is_dir():
        files = {file.relative_to(path).as_posix(): file for file in path.rglob("*.*") if file.is_file()}
        return _by_name(files, names, path)
    try:
        return _from_tar(path, names)
    except tarfile.TarError as error:
        raise ValueError(f"{path}: expected a folder or a tar of photographs ({error})") from None


def _from_tar(path: Path, names: list[str]) -> Sequence[Any]:
    try:
        with tarfile.open(path, "r:") as tar:
            return TarImages(path, [(member.offset_data, member.size) for member in _members(tar, names, path)])
    except tarfile.ReadError:
        pass  # compressed, or no tar: the next line tells
    with tarfile.open(path) as tar:
        wanted = _members(tar, names, path)
        held: list[bytes] = [b""] * len(names)
        for i in sorted(range(len(names)), key=lambda i: wanted[i].offset_data):  # the way back is long in a stream
            file = tar.extractfile(wanted[i])
            assert file is not None  # files alone were taken
            held[i] = file.read()
        return held


def _members(tar: tarfile.TarFile, names: list[str], path: Path) -> list[tarfile.TarInfo]:
    return _by_name({member.name: member for member in tar if member.isfile()}, names, path)


def _by_name(found: dict[str, Any], names: list[str], source: Path) -> list[Any]:
    """What is found under each name; names may lack the folders in front."""
    tails = {"/".join(Path(name).parts[-2:]): value for name, value in found.items()}
    chosen = []
    for name in names:
        value = found.get(name, tails.get(name))
        if value is None:
            raise FileNotFoundError(f"{source}: {name} is missing ({len(found)} files there)")
        chosen.append(value)
    return chosen
