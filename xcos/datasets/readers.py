"""Readers of the forms that verification benchmarks come in."""

from __future__ import annotations

import math
import os
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..base.foreign import what_it_is
from ..base.names import shown
from ..faces.image import as_encoded, local_path
from . import plain_pickle
from .bcolz import BcolzImages
from .coverings import is_mfr2, is_rmfd, read_mfr2, read_rmfd
from .lists import FOLDS, file_name, read_list
from .pairs import Pairs, as_labels, unique_images
from .photographs import photographs
from .tables import read_table

_WORDS = {**dict.fromkeys(("true", "same", "yes"), "1"), **dict.fromkeys(("false", "different", "no"), "0")}

PathLike = str | os.PathLike[str]


def read(path: PathLike) -> Pairs:
    """Reads a benchmark in the form that its name tells (.bin, .csv), or a folder: a bcolz carray, MFR2 or RMFD.

    LFW's pairs.txt needs its photographs too: see :func:`read_lfw`.

    Parameters
    ----------
    path : str or path
        Its file or folder.

    Returns
    -------
    Pairs
        What :func:`read_bin`, :func:`read_csv`, :func:`read_bcolz`, :func:`read_mfr2` or :func:`read_rmfd` reads.

    Raises
    ------
    ValueError
        The name tells another form, or what the reader of the form raises.

    Examples
    --------
    >>> import xcos
    >>> pairs = xcos.datasets.read("examples/pairs.csv")
    >>> pairs.same.tolist()
    [True, False, True, False, True, False]
    """
    path = Path(path)
    if path.is_dir():
        return _read_folder(path)
    readers = {".bin": read_bin, ".csv": read_csv}
    if path.suffix.lower() not in readers:
        raise ValueError(f"{path}: expected a .bin, a .csv or the folder of a bcolz carray, of MFR2 or of RMFD "
                         "(LFW's pairs.txt: read_lfw)")  # fmt: skip
    return readers[path.suffix.lower()](path)


def _read_folder(folder: Path) -> Pairs:
    if (folder / "meta/sizes").is_file():
        return read_bcolz(folder)
    for fits, reader in ((is_mfr2, read_mfr2), (is_rmfd, read_rmfd)):
        if fits(folder):
            return reader(folder)
    raise ValueError(f"{folder}: expected the folder of a bcolz carray, with meta/sizes; of MFR2, with "
                     "mfr2_labels.txt; or of RMFD, with a folder of people with masks and one without")  # fmt: skip


def read_bin(path: PathLike, *, folds: int = FOLDS) -> Pairs:
    """Reads InsightFace's .bin (LFW, CFP-FF, CFP-FP, AgeDB-30, CALFW, CPLFW, VGG2-FP): aligned crops and labels.

    The file is a pickle of two lists: encoded images, two for each pair, and bools. It is read by an unpickler that
    admits lists, bytes, numbers and NumPy arrays alone. An image that occurs in several pairs is kept once.

    Parameters
    ----------
    path : str or path
        The file.
    folds : int, optional
        How many folds the protocol uses.

    Returns
    -------
    Pairs
        The data set, called as the file is.

    Raises
    ------
    ValueError
        The content is anything else, which is named.
    OSError
        The file can't be read.

    Examples
    --------
    >>> import xcos
    >>> import io, pickle
    >>> from PIL import Image
    >>> crops = xcos.load().crops(["examples/obama_portrait_2012.jpg", "examples/obama_congress_2009.jpg"])
    >>> files = [io.BytesIO() for _ in crops]
    >>> for crop, file in zip(crops, files):
    ...     Image.fromarray(crop).save(file, "png")
    >>> with open("two.bin", "wb") as f:
    ...     pickle.dump(([file.getvalue() for file in files], [True]), f)
    >>> len(xcos.datasets.read_bin("two.bin"))
    1
    """
    with open(path, "rb") as file:
        try:
            content = plain_pickle.load(file)
        except pickle.UnpicklingError as error:
            what = what_it_is(path, "a .bin of pairs")
            if "pickle" in what or (what.startswith("text") and not str(error).startswith("damaged")):
                what = ""  # its own error says more; old pickles are text
            raise ValueError(f"{os.fspath(path)}: no plain .bin of pairs: {what or error}") from None
    try:
        images, labels = content
        encoded = [as_encoded(image) for image in images]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{os.fspath(path)}: expected a list of images and a list of labels ({error})") from None
    same = as_labels(labels, os.fspath(path))
    _check_counts(path, len(encoded), len(same))
    distinct, which = unique_images(encoded)
    names = [""] * len(distinct)
    for place in range(len(which) - 1, -1, -1):
        names[which[place]] = f"image {place}"  # where it occurs first
    return Pairs(shown(Path(path).stem), distinct, names, which[::2], which[1::2], same, folds)


def read_bcolz(folder: PathLike, *, labels: PathLike | None = None, bgr: bool = False, folds: int = FOLDS) -> Pairs:
    """Reads InsightFace_Pytorch's form: a bcolz carray of crops, two for each pair, beside NAME_list.npy.

    Needs ``pip install blosc2``.

    Parameters
    ----------
    folder : str or path
        The carray.
    labels : str or path, optional
        The .npy with the labels, if it lies elsewhere.
    bgr : bool, default False
        The crops were stored in the order of OpenCV.
    folds : int, optional
        How many folds the protocol uses.

    Returns
    -------
    Pairs
        The data set, called as the folder is.

    Raises
    ------
    ValueError
        The content is another, which is named.
    OSError
        A file can't be read.

    Examples
    --------
    >>> import xcos
    >>> try:
    ...     xcos.datasets.read_bcolz("absent")
    ... except ValueError as error:
    ...     str(error)[:27]
    'absent: expected the folder'
    """
    folder = Path(folder)
    if not (folder / "meta/sizes").is_file():
        raise ValueError(f"{folder}: expected the folder of a bcolz carray, with meta/sizes")
    images = BcolzImages(folder, bgr)
    listed = Path(labels or folder.with_name(f"{folder.name}_list.npy"))
    same = as_labels(np.load(listed, allow_pickle=False), str(listed))
    _check_counts(folder, len(images), len(same))
    names = [f"image {i}" for i in range(len(images))]
    first, second = np.arange(0, len(images), 2), np.arange(1, len(images), 2)
    return Pairs(shown(folder.name), images, names, first, second, same, folds)


def _check_counts(path: PathLike, images: int, labels: int) -> None:
    if images != 2 * labels:
        raise ValueError(f"{os.fspath(path)}: {images} images for {labels} labels; expected two for each")
    if labels == 0:
        raise ValueError(f"{os.fspath(path)}: holds no pairs")


def read_lfw(pairs: PathLike, photos: PathLike, *, aligned: bool = False) -> Pairs:
    r"""Reads LFW's own pairs.txt, and its photographs in a folder, tar or zip.

    The number of folds is the one in the first line; lines that begin with # are left out. Photographs of another
    suffix than .jpg are found all the same.

    Parameters
    ----------
    pairs : str or path
        The text.
    photos : str or path
        The photographs, ``Name/Name_0001.jpg``, any folders around.
    aligned : bool, default False
        They are aligned crops; else faces are found and aligned by xcos.

    Returns
    -------
    Pairs
        The data set.

    Raises
    ------
    ValueError
        A line can't be understood, which is named.
    FileNotFoundError
        A photograph is missing; it and the line that asks for it are named.

    Examples
    --------
    >>> import xcos
    >>> import pathlib, shutil
    >>> for i, name in enumerate(["obama_portrait_2012", "obama_congress_2009"], 1):
    ...     pathlib.Path("lfw/Barack_Obama").mkdir(parents=True, exist_ok=True)
    ...     _ = shutil.copy(f"examples/{name}.jpg", f"lfw/Barack_Obama/Barack_Obama_{i:04}.jpg")
    >>> _ = pathlib.Path("pairs.txt").write_text("1\nBarack_Obama\t1\t2\n")
    >>> xcos.datasets.read_lfw("pairs.txt", "lfw").same.tolist()
    [True]
    """
    path = Path(pairs)
    listed = read_list(path)
    names = [file_name(*photograph) for photograph in listed.names]
    images = photographs(photos, dict(zip(names, listed.places, strict=True)))
    first, second, same = listed.table.T
    return Pairs(shown(path.stem), images, names, first, second, same > 0, listed.folds or FOLDS, aligned)


def read_csv(path: PathLike, *, folds: int = FOLDS, aligned: bool = False) -> Pairs:
    """Reads a table of pairs with the columns ``first``, ``second``, ``same``; every other column is one of groups.

    Fields are separated by commas, semicolons, tabs or bars; names of columns may be in capitals, and one without a
    name or that numbers the rows (the index that pandas writes) is left out. Lines that begin with # before the names
    of columns are left out, too. Paths count from the table's folder; ``~`` and backslashes are understood. ``same`` is
    1, true, same or yes, or 0, -1, false, different or no; 1.0 will do.

    Parameters
    ----------
    path : str or path
        The table.
    folds : int, optional
        How many folds the protocol uses.
    aligned : bool, default False
        The images are aligned crops of 112 x 112.

    Returns
    -------
    Pairs
        The data set, called as the file is.

    Raises
    ------
    ValueError
        A line can't be understood, which is named.
    OSError
        The table can't be read.

    Examples
    --------
    >>> import xcos
    >>> pairs = xcos.datasets.read_csv("examples/pairs.csv", folds=3)
    >>> len(pairs), pairs.folds
    (6, 3)
    """
    path = Path(path)
    columns, rows = read_table(path)
    if not {"first", "second", "same"} <= set(columns):
        raise ValueError(f"{path}: has the columns {columns}; expected first, second, same and those of groups")
    seen: dict[str, int] = {}
    for line, row in rows:
        if not (row["first"].strip() and row["second"].strip()):
            raise ValueError(f"{path}, line {line}: a path is missing; expected two photographs")
    first, second = ([seen.setdefault(row[key], len(seen)) for _, row in rows] for key in ("first", "second"))
    same = [_label(path, line, row["same"]) for line, row in rows]
    if not rows:
        raise ValueError(f"{path}: holds no pairs")
    others = [key for key in columns if key not in ("first", "second", "same") and not _is_index(rows, key)]
    groups = {key: np.array([row[key] for _, row in rows], str) for key in others}
    images = [local_path(name, path.parent) for name in seen]
    index = np.array([first, second], np.intp)
    answers = as_labels(same, str(path))
    return Pairs(shown(path.stem), images, list(seen), index[0], index[1], answers, folds, aligned, groups)


def _is_index(rows: Sequence[tuple[int, Mapping[str, str]]], key: str) -> bool:
    """Does the column number the rows, as the index that pandas writes under a name?"""
    numbers = [row[key].strip() for _, row in rows]
    return len(rows) > 2 and numbers in ([str(i + first) for i in range(len(rows))] for first in (0, 1))


def _label(path: Path, line: int, text: str) -> int:
    """1, 0 or -1 of a label; -1 stays what it is, so that a mixture of three kinds is seen."""
    word = text.strip().lower()
    number = _WORDS.get(word, word)
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if value not in (1, 0, -1):
        raise ValueError(f"{path}, line {line}: same is {text[:80]!r}; expected 1 or 0")
    return int(value)
