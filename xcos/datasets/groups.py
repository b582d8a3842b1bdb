"""Groups that people belong to (age, sex, skin tone, camera): which of them each picture of a pair is of."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..base.names import shown
from .pairs import Pairs
from .tables import read_table

GroupsLike = Mapping[str, Sequence[str]] | str | os.PathLike[str] | None

PICTURE = ("picture", "image", "photo", "file", "filename", "path", "name")
FIRST, SECOND = "_first", "_second"
UNLABELLED = ("", "nan")  # what spreadsheets and pandas write where nothing is known
MOST = 100  # groups of a column: one of names or exact ages is no column of groups


class Labels(NamedTuple):
    """One column: its groups, and of which of them the two pictures of N pairs are.

    groups  G texts, sorted
    codes   (N, 2) int32, 0 to G - 1; -1 where a picture has no label
    """

    groups: tuple[str, ...]
    codes: NDArray[np.int32]


def with_groups(pairs: Pairs, groups: GroupsLike) -> Pairs:
    """The same pairs with other groups: two columns for each of `groups`, NAME_first and NAME_second.

    Parameters
    ----------
    pairs : Pairs
        The data set.
    groups : dict, str or path, optional
        Texts for each image of the data set by the name of their column, "" where nothing is known; or a table (.csv)
        with a column `picture` and those of groups, or with `index`, the number of the pair from 0, and columns
        NAME_first and NAME_second; None: the columns that the data set has.

    Returns
    -------
    Pairs
        For :func:`xcos.evaluate`, whose report then tells errors by group.

    Raises
    ------
    ValueError
        The groups do not fit the pairs.
    OSError
        The table can't be read.

    Examples
    --------
    >>> import xcos
    >>> pairs = xcos.datasets.read_csv("examples/pairs.csv", folds=3)
    >>> grouped = xcos.datasets.with_groups(pairs, {"place": ["studio", "congress", "studio", "studio"]})
    >>> sorted(grouped.groups)
    ['place_first', 'place_second']
    """
    columns: dict[str, NDArray[np.str_]] = {}
    for name, labels in labels_of(pairs, groups).items():
        texts = np.array([*labels.groups, ""])  # the last for -1
        columns |= {f"{name}{side}": texts[labels.codes[:, k]] for k, side in enumerate((FIRST, SECOND))}
    return replace(pairs, groups=columns)


def labels_of(
    pairs: Pairs, groups: GroupsLike = None, columns: Sequence[str] | None = None, *, people: str | None = None
) -> dict[str, Labels]:
    """The groups of both pictures of each pair, by column; those of `columns` alone where that is given.

    `people` names a column that says whom pictures show: it is there beside the others, with as many groups as it has.

    Raises ValueError for groups that do not fit, a column that is not there, has no label or more than MOST groups;
    OSError where a table can't be read.
    """
    where = pairs.name
    if groups is None:
        found = _of_pairs(pairs.groups)
        if not found:
            raise ValueError(f"{where}: the pairs have no columns of groups; expected a table of groups beside them")
    elif isinstance(groups, Mapping):
        found = {name: _of_images(pairs, name, texts) for name, texts in groups.items()}
    else:
        where = os.fspath(groups)
        found = _of_table(Path(groups), pairs)
    asked = list(dict.fromkeys([*(columns or found), *([people] if people else [])]))
    for name in asked:
        if name not in found:
            raise ValueError(f"{where}: has no column {name!r}; expected some of {', '.join(found)}")
    chosen = {name: found[name] for name in asked}
    for name, labels in chosen.items():
        if not labels.groups:
            raise ValueError(f"{where}: column {name!r} has no label of any picture of {pairs.name}")
        if len(labels.groups) > MOST and name != people:
            raise ValueError(f"{where}: column {name!r} has {len(labels.groups):,} groups; expected at most {MOST}: "
                             "choose the columns, or make ranges of numbers first")  # fmt: skip
    return chosen


def fitting(pairs: Pairs) -> dict[str, Labels]:
    """The pairs' own columns that are of groups, those of names or numbers left out."""
    return {name: labels for name, labels in _of_pairs(pairs.groups).items() if 0 < len(labels.groups) <= MOST}


def _coded(texts: Any) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    """The distinct texts but those of UNLABELLED, sorted, and the number of each text among them, -1 for those."""
    distinct, inverse = np.unique(np.asarray(texts, str), return_inverse=True)
    plain = [text.strip() for text in distinct.tolist()]
    names = sorted({text for text in plain if text.lower() not in UNLABELLED})
    number = {name: i for i, name in enumerate(names)}
    return tuple(names), np.array([number.get(text, -1) for text in plain], np.int32)[inverse.reshape(np.shape(texts))]


def _of_pairs(groups: Mapping[str, NDArray[np.str_]]) -> dict[str, Labels]:
    found = {}
    for key, column in groups.items():
        name = key.removesuffix(FIRST)
        if key.removesuffix(SECOND) + FIRST in groups and key.endswith(SECOND):
            continue
        other = groups.get(name + SECOND, column) if key.endswith(FIRST) else column
        found[key if other is column else name] = Labels(*_coded(np.stack([column, other], axis=1)))
    return found


def _of_images(pairs: Pairs, name: str, texts: Sequence[str]) -> Labels:
    if len(texts) != len(pairs.images):
        raise ValueError(f"groups: {len(texts)} texts of {name!r} for {len(pairs.images)} images of {pairs.name}")
    groups, codes = _coded(texts)
    return Labels(groups, np.stack([codes[pairs.first], codes[pairs.second]], axis=1))


def _of_table(path: Path, pairs: Pairs) -> dict[str, Labels]:
    columns, rows = read_table(path)
    if not columns:
        raise ValueError(f"{path}: is empty; expected a table of groups with a line of columns")
    if not rows:
        raise ValueError(f"{path}: has columns and no rows")
    picture = next((name for name in PICTURE if name in columns), None)
    if picture:
        others = [name for name in columns if name not in (*PICTURE, "index")]
        found = {name: _of_images(pairs, name, texts) for name, texts in
                 _by_picture(path, pairs, picture, others, rows).items()}  # fmt: skip
    elif "index" in columns:
        found = _of_pairs(_by_index(path, pairs, columns, rows))
    else:
        raise ValueError(f"{path}: has the columns {[shown(name) for name in columns[:20]]}; expected picture (or "
                         "index, the number of the pair from 0) and columns of groups")  # fmt: skip
    if not found:
        raise ValueError(f"{path}: has the columns {columns}, none of groups")
    return found


def _by_picture(
    path: Path, pairs: Pairs, picture: str, columns: Sequence[str], rows: Sequence[tuple[int, Mapping[str, str]]]
) -> dict[str, list[str]]:
    """Texts for each image of the pairs. Pictures are known by their whole names, else by the last parts of them."""
    whole = {name: i for i, name in enumerate(pairs.names)}
    last: dict[str, list[int]] = {}
    for i, name in enumerate(pairs.names):
        last.setdefault(_last(name), []).append(i)
    texts = {column: [""] * len(pairs.names) for column in columns}
    lines: dict[int, int] = {}
    for line, row in rows:
        name = row[picture].strip()
        places = [whole[name]] if name in whole else last.get(_last(name), [])
        if len(places) > 1:
            raise ValueError(f"{path}, line {line}: {shown(name)!r} may be {len(places)} pictures of {pairs.name}; "
                             "expected its whole name")  # fmt: skip
        for place in places:
            before = lines.setdefault(place, line)
            for column in columns:
                if before != line and texts[column][place] != row[column]:
                    raise ValueError(f"{path}, line {line}: {shown(name)!r} is {row[column]!r}, "
                                     f"but {texts[column][place]!r} in line {before}")  # fmt: skip
                texts[column][place] = row[column]
    if not lines:
        raise ValueError(f"{path}: none of its {len(rows)} pictures is of {pairs.name}; got such as "
                         f"{shown(rows[0][1][picture])!r}, expected such as {shown(pairs.names[0])!r}")  # fmt: skip
    return texts


def _last(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2]


def _by_index(
    path: Path, pairs: Pairs, columns: Sequence[str], rows: Sequence[tuple[int, Mapping[str, str]]]
) -> dict[str, NDArray[np.str_]]:
    """Texts for each pair. A column `same` has to agree with the pairs: numbers of other pairs would not be seen."""
    others = [name for name in columns if name not in ("index", "first", "second", "same")]
    texts = {name: [""] * len(pairs) for name in others}
    for line, row in rows:
        number = row["index"].strip()
        if not (number.isascii() and number.isdigit() and len(number) < 10 and int(number) < len(pairs)):
            raise ValueError(f"{path}, line {line}: index is {shown(number)!r}; expected a pair of {pairs.name}, "
                             f"0 to {len(pairs) - 1}")  # fmt: skip
        i = int(number)
        same = row.get("same", "").strip()
        if same and (same == "1") != pairs.same[i]:
            raise ValueError(f"{path}, line {line}: same is {shown(same)!r}, but pair {i} of {pairs.name} shows "
                             f"{'one person' if pairs.same[i] else 'two people'}")  # fmt: skip
        for name in others:
            texts[name][i] = row[name]
    return {name: np.array(column, str) for name, column in texts.items()}
