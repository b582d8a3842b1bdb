"""Lists of templates, as searches are judged by: photographs that count as one, and whom they show."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.names import shown
from ..faces.folders import collection
from ..faces.image import local_path
from .pairs import Pairs
from .people import people_of
from .photographs import photographs
from .tables import read_table

# What IJB-A, -B and -C and those who follow them call the columns, without case, blanks and underscores.
_COLUMNS = {
    "template": ("templateid", "template", "tid"),
    "subject": ("subjectid", "subject", "sid", "name"),
    "file": ("filename", "file", "path", "image"),
}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Templates:
    """T templates of M photographs, which are read when asked for.

    Attributes
    ----------
    name : str
        What the list is called in tables.
    ids : sequence of str
        T texts, the template ids.
    subjects : sequence of str
        T texts, whom each template shows.
    images : sequence
        M photographs, each anything that ``xcos.read_image`` takes.
    names : sequence of str
        What they are called, M texts.
    owner : (M,) ndarray of int
        The template of each, 0 to T - 1.

    Examples
    --------
    >>> import xcos
    >>> templates = xcos.datasets.read_templates("examples")
    >>> len(templates), templates.owner.tolist()
    (4, [0, 1, 2, 3])
    """

    name: str
    ids: Sequence[str]
    subjects: Sequence[str]
    images: Sequence[Any]
    names: Sequence[str]
    owner: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        people = len(set(self.subjects))
        return f"Templates({self.name!r}, {len(self)} of {people} people, {len(self.images)} photographs)"


def read_templates(
    path: str | os.PathLike[str], photos: str | os.PathLike[str] | None = None
) -> Templates:
    r"""Templates of a list as IJB-A, -B and -C have it: a table with the columns TEMPLATE_ID, SUBJECT_ID and FILENAME.

    Or of a folder or archive ``person/picture``, of which each picture is a template. Other columns of a list are left
    out, boxes of faces among them: of a photograph the largest and most central face counts, unless it is a crop.

    Parameters
    ----------
    path : str or path
        The list, separated by commas, semicolons, tabs or bars; a folder, tar or zip.
    photos : str or path, optional
        The folder, tar or zip in which its photographs are; None: they count from the list's own folder.

    Returns
    -------
    Templates
        In the order of the list.

    Raises
    ------
    ValueError
        A column or field is missing, or a template shows two people; file and line are named.
    OSError
        The list can't be read; or a photograph is missing: the line that asks for it is named.

    Examples
    --------
    >>> import xcos
    >>> from pathlib import Path
    >>> _ = Path("list.csv").write_text(
    ...     "TEMPLATE_ID,SUBJECT_ID,FILENAME\n1,44,obama_portrait_2012.jpg\n1,44,obama_congress_2009.jpg\n"
    ... )
    >>> xcos.datasets.read_templates("list.csv", "examples").ids
    ['1']
    """
    place = Path(path)
    if place.is_dir() or place.suffix.lower() in (".tar", ".zip", ".tgz", ".gz"):
        if photos is not None:
            raise ValueError(f"{place}: holds photographs itself; expected no other place for them, got {photos}")
        names, read = collection(place)
        owners = people_of(place, names)
        return Templates(shown(place.name), names, owners, _Read(names, read), names, np.arange(len(names)))
    columns, rows = read_table(place)
    keys = _keys(place, columns)
    subjects: dict[str, tuple[str, int]] = {}
    lines: dict[str, str] = {}
    files, owner = [], []
    for line, row in rows:
        template, subject, file = (row[keys[key]].strip() for key in _COLUMNS)
        if not (template and subject and file):
            empty = next(keys[key] for key in _COLUMNS if not row[keys[key]].strip())
            raise ValueError(f"{place}, line {line}: {empty} is missing")
        known, before = subjects.setdefault(template, (subject, line))
        if known != subject:
            raise ValueError(f"{place}, line {line}: template {template!r} shows {subject!r}, "
                             f"but {known!r} in line {before}")  # fmt: skip
        lines.setdefault(file, f"{place}, line {line}")
        files.append(file)
        owner.append(template)
    if not rows:
        raise ValueError(f"{place}: holds no templates")
    number = {template: i for i, template in enumerate(subjects)}
    images = dict(zip(lines, photographs(photos, lines) if photos else _beside(place, lines), strict=True))
    return Templates(shown(place.stem), list(subjects), [who for who, _ in subjects.values()],
                     [images[file] for file in files], files, np.array([number[t] for t in owner]))  # fmt: skip


def all_pairs(templates: Templates, *, most: int = 2000, seed: int = 0, aligned: bool = False) -> Pairs:
    """Every pair of two pictures: of one person where their subjects are equal, else of two.

    Pictures of which each shows somebody else give pairs of two people alone, millions of them from some thousands:
    enough for false match rates of groups.

    Parameters
    ----------
    templates : Templates
        The pictures and whom they show, as of :func:`read_templates`.
    most : int, default 2000
        Pictures at most: of more, so many are drawn. 2,000 make 1,999,000 pairs.
    seed : int, default 0
        Of the draw.
    aligned : bool, default False
        The pictures are aligned crops of 112 x 112.

    Returns
    -------
    Pairs
        In the order of the pictures: 0 with 1, 0 with 2 ...

    Raises
    ------
    ValueError
        There are fewer than two pictures, or `most` is less than two.

    Examples
    --------
    >>> import xcos
    >>> pairs = xcos.datasets.all_pairs(xcos.datasets.read_templates("examples"))
    >>> len(pairs), int(pairs.same.sum())
    (6, 0)
    """
    count = len(templates.images)
    if most < 2:
        raise ValueError(f"most: expected at least 2 pictures, got {most}")
    if count < 2:
        raise ValueError(f"{templates.name}: expected at least 2 pictures, got {count}")
    drawn = np.arange(count)
    if count > most:
        drawn = np.sort(np.random.default_rng(seed).choice(count, most, replace=False))
    who = np.unique(np.asarray(templates.subjects), return_inverse=True)[1][templates.owner]
    i, j = np.triu_indices(len(drawn), 1)
    first, second = drawn[i], drawn[j]
    return Pairs(templates.name, templates.images, templates.names, first, second, who[first] == who[second],
                 aligned=aligned)  # fmt: skip


class _Read(Sequence[bytes]):
    """The pictures of a collection, each read when asked for."""

    def __init__(self, names: Sequence[str], read: Any) -> None:
        self._names, self._read = names, read

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: Any) -> Any:
        return [self._read(i) for i in range(*index.indices(len(self)))] if isinstance(index, slice) else (
            self._read(range(len(self))[index]))  # fmt: skip


def _keys(place: Path, columns: Sequence[str]) -> dict[str, str]:
    """The list's own names of the three columns."""
    plain = {name.replace("_", "").replace(" ", ""): name for name in reversed(columns)}
    found = {key: [plain[name] for name in names if name in plain] for key, names in _COLUMNS.items()}
    if missing := [key for key, names in found.items() if not names]:
        raise ValueError(f"{place}: has the columns {list(columns)}, none of a {missing[0]}; "
                         "expected TEMPLATE_ID, SUBJECT_ID and FILENAME")  # fmt: skip
    return {key: names[0] for key, names in found.items()}


def _beside(place: Path, lines: Mapping[str, str]) -> list[Path | str]:
    """The photographs in the list's own folder."""
    found = [local_path(file, place.parent) for file in lines]
    for (file, line), path in zip(lines.items(), found, strict=True):
        if not Path(path).is_file():
            raise FileNotFoundError(f"{line}: {file} is missing")
    return found
