"""Photographs by their name, from a folder or an archive."""

import os
import posixpath
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..faces.folders import Archive, is_clutter, is_picture, pictures


def photographs(source: str | os.PathLike[str], names: Mapping[str, str]) -> Sequence[Any]:
    """The photographs of these names (``Name/Name_0001.jpg``) in a folder, tar or zip, with any folders around.

    names : where each name stands, for messages. Another suffix of pictures will do where the name's own is missing.

    A compressed tar has to be read through: the photographs asked for are held in memory, still encoded. Raises
    FileNotFoundError naming the first that is missing, ValueError for what is no archive.
    """
    path = Path(source)
    if path.is_dir():
        files = {file.relative_to(path).as_posix(): file for file in pictures(path)[0]}
        return _by_name(files, names, path)
    archive = Archive(path)
    found = {name: name for name in archive.names if is_picture(name) and not is_clutter(name)}
    return archive.read(_by_name(found, names, path))


def _by_name(found: Mapping[str, Any], names: Mapping[str, str], source: Path) -> list[Any]:
    """What is found under each name; names may lack the folders in front."""
    tails = {_tail(name): value for name, value in found.items()}
    stems = {_stem(tail): value for tail, value in tails.items()}
    chosen = []
    for name, place in names.items():
        value = found.get(name, tails.get(name, stems.get(_stem(name))))
        if value is None:
            raise FileNotFoundError(f"{place}: {name} is missing in {source} ({len(found)} pictures there)")
        chosen.append(value)
    return chosen


def _stem(name: str) -> str:
    """A name without its suffix, whatever its case and however its accents are written (macOS takes them apart)."""
    return unicodedata.normalize("NFC", posixpath.splitext(name)[0]).casefold()


def _tail(name: str) -> str:
    return "/".join(name.split("/")[-2:])
