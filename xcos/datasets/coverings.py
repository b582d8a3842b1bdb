"""Readers of benchmarks of people who wear masks: MFR2, and RMFD or any two folders, with masks and without.

Both make :class:`Pairs` whose groups tell what is worn: ``mask_first`` and ``mask_second``, the kind of mask in each
picture, and ``masked``: "neither", "one" or "both" of the two wear one. The collections themselves are their authors'
(MFR2: Anwar and Raychowdhury, arXiv 2008.11104; RMFD: Wang et al., arXiv 2003.09093); nothing is downloaded.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..base.names import shown
from ..faces.folders import collection, is_clutter
from .groups import FIRST, SECOND, with_groups
from .lists import FOLDS, file_name, is_number, read_list
from .pairing import Encoded
from .pairs import Pairs
from .photographs import photographs
from .tables import read_text

PathLike = str | os.PathLike[str]

LIST, LABELS = "pairs.txt", "mfr2_labels.txt"
NO_MASK, MASK = "no-mask", "mask"
_BARE = (NO_MASK, "no mask", "no_mask", "none", "unmasked")  # how a label may say that none is worn
_NOT = ("unmask", "nonmask", "non-mask", "non_mask", "nomask", "no-mask", "no_mask", "without")  # of folders
_KINDS = ("neither", "one", "both")


def read_mfr2(folder: PathLike, *, aligned: bool = False, folds: int = FOLDS) -> Pairs:
    r"""Reads MFR2's folder: ``Name/Name_0001.png``, ``pairs.txt`` in LFW's manner, ``mfr2_labels.txt``.

    A line of the labels is ``Name, 1, surgical``; no-mask is the kind of a bare face. Pictures without a label have the
    group "". Where pairs.txt does not begin with a number of folds, pairs of one person and of two are mixed evenly, so
    that every fold has both.

    Parameters
    ----------
    folder : str or path
        The folder, or the one around it.
    aligned : bool, default False
        The pictures are aligned crops of 112 x 112; else faces are found and aligned by xcos.
    folds : int, default 10
        How many folds the protocol uses, where the list does not say.

    Returns
    -------
    Pairs
        With the groups mask_first, mask_second and masked.

    Raises
    ------
    ValueError
        A line can't be understood, or a picture has two labels; the line is named.
    FileNotFoundError
        A list is missing, or a picture; it and the line that asks for it are named.

    Examples
    --------
    >>> import xcos
    >>> import pathlib, shutil
    >>> folder = pathlib.Path("mfr2/Obama")
    >>> folder.mkdir(parents=True)
    >>> for i, name in enumerate(["obama_portrait_2012", "obama_congress_2009"], 1):
    ...     _ = shutil.copy(f"examples/{name}.jpg", folder / f"Obama_{i:04}.jpg")
    >>> _ = pathlib.Path("mfr2/pairs.txt").write_text("Obama 1 2\n")
    >>> _ = pathlib.Path("mfr2/mfr2_labels.txt").write_text("Obama, 1, no-mask\nObama, 2, surgical\n")
    >>> xcos.datasets.read_mfr2("mfr2").groups["masked"].tolist()
    ['one']
    """
    root = _root(Path(folder)) or Path(folder)
    listed, labels = read_list(root / LIST, headless=True), _labels(root / LABELS)
    names = [file_name(*photograph) for photograph in listed.names]
    images = photographs(root, dict(zip(names, listed.places, strict=True)))
    table = listed.table if listed.folds else listed.table[_mixed(listed.table[:, 2] > 0)]
    first, second, same = table.T
    name = shown(root.resolve().name)
    pairs = Pairs(name, images, names, first, second, same > 0, listed.folds or folds, aligned)
    return _grouped(pairs, [labels.get((who.casefold(), number), "") for who, number in listed.names])


def read_rmfd(
    folder: PathLike, *, each: int = 10, aligned: bool = False, folds: int = FOLDS, seed: int = 0
) -> Pairs:
    """Reads two folders of people, one with masks and one without, and draws pairs of their pictures.

    As RMFD has them: ``AFDB_masked_face_dataset/person/picture`` and ``AFDB_face_dataset/person/picture``. The folder
    that has "mask" in its name, and no "unmask", "no_mask" or "without", is the one with masks; a person has the same
    folder name in both. Of each person so many pairs of each kind are drawn: neither masked, one, both. Beside each
    stands a pair of two people: the same first picture, and another person's that wears as much as the second. Pairs
    are in the order of people.

    Parameters
    ----------
    folder : str or path
        The folder around the two, or a tar or zip of it.
    each : int, default 10
        Pairs of one person at most, of each person and kind.
    aligned : bool, default False
        The pictures are aligned crops of 112 x 112; else faces are found and aligned by xcos.
    folds : int, default 10
        How many folds the protocol uses.
    seed : int, default 0
        The same seed draws the same pairs.

    Returns
    -------
    Pairs
        With the groups mask_first, mask_second ("mask" or "no-mask") and masked.

    Raises
    ------
    ValueError
        There are not two such folders, a picture lies in no person's folder, or no pair of one person and of two can be
        made of them.
    OSError
        The folder can't be read.

    Examples
    --------
    >>> import xcos
    >>> import pathlib, shutil
    >>> for place in ["masked/obama/1", "masked/biden/1", "unmasked/obama/1", "unmasked/biden/1"]:
    ...     pathlib.Path("rmfd", place).parent.mkdir(parents=True)
    ...     _ = shutil.copy("examples/obama_portrait_2012.jpg", f"rmfd/{place}.jpg")
    >>> pairs = xcos.datasets.read_rmfd("rmfd", folds=2)
    >>> pairs.same.tolist(), pairs.groups["mask_first"].tolist()
    ([True, False, True, False], ['mask', 'mask', 'mask', 'mask'])
    """
    if each < 1:
        raise ValueError(f"each: expected at least 1 pair, got {each}")
    path = Path(folder)
    names, read = collection(path)
    owners = _owners(path, names)
    masked = np.array([worn for _, worn in owners])
    people = np.unique([person for person, _ in owners], return_inverse=True)[1]
    rows = np.array(list(_drawn(people, masked, each, seed)), np.intp).reshape(-1, 2, 2)
    if not len(rows):
        raise ValueError(f"{path}: no person has two pictures whose like another person has; expected two people with "
                         "a picture in both folders, or several pictures of each")  # fmt: skip
    first, second = rows.reshape(-1, 2).T
    same = np.arange(len(first)) % 2 == 0
    images = Encoded(len(names), read)
    pairs = Pairs(shown(path.resolve().name), images, names, first, second, same, folds, aligned)
    return _grouped(pairs, np.where(masked, MASK, NO_MASK).tolist())


def is_mfr2(folder: Path) -> bool:
    """Does the folder, or one in it, have MFR2's labels?"""
    return _root(folder) is not None


def is_rmfd(folder: Path) -> bool:
    """Does the folder hold one folder with masks by its name, and one without?"""
    inside = [path.name for path in folder.iterdir() if path.is_dir() and not is_clutter(path.name)]
    if len(inside) == 1:
        return is_rmfd(folder / inside[0])
    return sorted(map(_wears, inside)) == [False, True]


def _root(folder: Path) -> Path | None:
    around = [folder, *sorted(path.parent for path in folder.glob(f"*/{LABELS}"))]
    return next((path for path in around if (path / LABELS).is_file()), None)


def _labels(path: Path) -> dict[tuple[str, int], str]:
    """The kind of mask of each picture, by the person's name (in small letters) and the number."""
    found: dict[tuple[str, int], tuple[str, int]] = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = [part.strip() for part in line.split(",")]
        if len(parts) != 3 or not all(parts) or not is_number(parts[1]):
            raise ValueError(f"{path}, line {number}: expected NAME, N, KIND OF MASK, got {line[:80]!r}")
        key, kind = (parts[0].casefold(), int(parts[1])), NO_MASK if parts[2].lower() in _BARE else parts[2]
        before, line_before = found.setdefault(key, (kind, number))
        if before != kind:
            raise ValueError(f"{path}, line {number}: {shown(parts[0])} {parts[1]} wears {shown(kind)!r}, but "
                             f"{shown(before)!r} in line {line_before}")  # fmt: skip
    if not found:
        raise ValueError(f"{path}: holds no labels; expected lines NAME, N, KIND OF MASK")
    return {key: kind for key, (kind, _) in found.items()}


def _mixed(same: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The order in which pairs of one person and of two, each kind as it comes, are spread evenly over the list."""
    place = np.empty(len(same))
    for kind in (True, False):
        place[same == kind] = (np.arange((same == kind).sum()) + 0.5) / max((same == kind).sum(), 1)
    return np.argsort(place, kind="stable")


def _grouped(pairs: Pairs, kinds: Sequence[str]) -> Pairs:
    """The pairs with their groups; kinds : of the mask in each image, "" where it is not known."""
    grouped = with_groups(pairs, {"mask": kinds})
    sides = [grouped.groups[f"mask{side}"] for side in (FIRST, SECOND)]
    worn = sum((side != NO_MASK).astype(np.intp) for side in sides)
    known = (sides[0] != "") & (sides[1] != "")
    return replace(grouped, groups={**grouped.groups, "masked": np.where(known, np.array(_KINDS)[worn], "")})


def _owners(path: Path, names: Sequence[str]) -> list[tuple[str, bool]]:
    """Of each picture the person, and whether it lies in the folder with masks."""
    parts = [name.split("/") for name in names]
    while min(map(len, parts)) > 3 and len({part[0] for part in parts}) == 1:
        parts = [part[1:] for part in parts]
    for name, part in zip(names, parts, strict=True):
        if len(part) < 3:
            raise ValueError(f"{path}: {shown(name)} lies in no person's folder; expected FOLDER/PERSON/PICTURE, of "
                             "two folders")  # fmt: skip
    folders = sorted({part[0] for part in parts})
    if sorted(map(_wears, folders)) != [False, True]:
        raise ValueError(f"{path}: has the folders {', '.join(map(shown, folders[:10]))}; expected two, of which one "
                         "has 'mask' in its name")  # fmt: skip
    return [(part[1], _wears(part[0])) for part in parts]


def _wears(folder: str) -> bool:
    name = folder.lower()
    return "mask" in name and not any(word in name for word in _NOT)


def _drawn(
    people: NDArray[np.intp], masked: NDArray[np.bool_], each: int, seed: int
) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """A pair of one person, and beside it one of two, again and again. people : (N,) numbers from 0."""
    rng = np.random.default_rng(seed)
    pictures = {
        (person, worn): np.flatnonzero((people == person) & (masked == worn))
        for person, worn in product(range(people.max() + 1), (False, True))
    }
    others = {worn: [who for who in range(people.max() + 1) if len(pictures[who, worn])] for worn in (False, True)}
    for person in range(people.max() + 1):
        for worn in ((False, False), (True, False), (True, True)):
            own, beside = (pictures[person, state] for state in worn)
            strangers = [who for who in others[worn[1]] if who != person]
            for a, b in _some(own, beside, worn[0] == worn[1], each, rng):
                if strangers:
                    other = pictures[strangers[rng.integers(len(strangers))], worn[1]]
                    yield (a, b), (a, int(rng.choice(other)))


def _some(
    own: NDArray[np.intp], beside: NDArray[np.intp], alike: bool, each: int, rng: np.random.Generator
) -> list[tuple[int, int]]:
    """At most `each` pairs of one of `own` and one of `beside`; where these are the same pictures, of two of them."""
    a, b = np.triu_indices(len(own), 1) if alike else np.indices((len(own), len(beside))).reshape(2, -1)
    chosen = np.sort(rng.choice(len(a), min(each, len(a)), replace=False))
    return list(zip(own[a[chosen]].tolist(), beside[b[chosen]].tolist(), strict=True))
