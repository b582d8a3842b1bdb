"""Faces with something before them: masks, sunglasses, and parts of faces, made of photographs that have all.

    masks = wear.read_masks("MaskTheFace/masks")                     pictures of masks, and where they sit
    wear.mask("ann.jpg", masks["surgical"]).image
    wear.sunglasses(crop, aligned=True).cells()                      how much of each cell is covered
    wear.part(crop, 0.7).image                                       what is inside a window, enlarged

They sit where the 68 points of the face say. So made probes tell what covering does to a search, as in DeepFace-EMD
(arXiv 2112.04016, section 4); the same photograph without is the other side of each comparison.
"""

from __future__ import annotations

import configparser
import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..base.values import ByValue
from ..faces import SIDE, Face, How, align, cut, landmarks
from ..faces.cells import covered
from ..faces.image import ImageLike, read_image
from .tables import read_text

Doubles = NDArray[np.float64]
Ink = Callable[[Doubles, Doubles], Doubles]  # x, y in the picture -> RGB times opacity, and opacity 0..1

MASK_POINTS = (1, 28, 15, 4, 8, 12)  # of the 68: jaw at the eyes' height, bridge of the nose; jaw at the mouth, chin
EYES = ((37, 38, 40, 41), (43, 44, 46, 47))
DARK = (18, 18, 20)
_FINE = 4  # samples a pixel, each way
_HIDDEN = 0.5 / 255  # opacity from which a pixel can be another

# Sunglasses, in units of the distance of the eyes from the middle between them, x to the right eye, y down.
_LENS = (0.43, 0.31, 0.06)  # half width, half height, how far below the eye
_BRIDGE = (0.95, 0.043, -0.085)  # half width, half height, place


@dataclass(frozen=True, slots=True, eq=False)
class Worn(ByValue):
    """A picture of a face with something before it.

    Attributes
    ----------
    image : (H, W, 3) uint8 RGB
    covered : (H, W) bool
        Pixels of the picture that was given in which something else is seen now, or nothing (:func:`part`). The others
        are what they were, bit for bit.
    face : Face or None
        Where the face is in it; None: the picture is an aligned crop.
    """

    image: NDArray[np.uint8] = field(repr=False)
    covered: NDArray[np.bool_] = field(repr=False)
    face: Face | None

    def cells(self, rows: int = 7, columns: int = 7) -> Doubles:
        """(rows, columns), 0..1: the share of each cell of the aligned crop that is covered."""
        return covered(self.on_crop(), (rows, columns))

    def on_crop(self) -> Doubles:
        """(112, 112), 0..1: the share of each pixel of the aligned crop that is covered, 0 or 1 of a crop that was
        given."""
        if self.face is None:
            return self.covered.astype(float)
        grey = np.repeat(255 * self.covered[..., None].astype(np.uint8), 3, axis=2)
        return np.asarray(align(grey, self.face)[..., 0] / 255)


@dataclass(frozen=True, slots=True, eq=False)
class Mask(ByValue):
    """The picture of a mask, and where it sits.

    Attributes
    ----------
    name : str
    picture : (h, w, 4) uint8 RGBA
    points : (6, 2) float64
        x and y in the picture of what lies at the left cheek, the bridge of the nose and the right cheek, then lower
        at the left cheek, the chin and the right cheek (left: of the image).
    """

    name: str
    picture: NDArray[np.uint8] = field(repr=False)
    points: Doubles = field(repr=False)


def read_masks(folder: str | os.PathLike[str]) -> dict[str, Mask]:
    """The masks of a folder with a ``masks.cfg`` as MaskTheFace has it (github.com/aqeelanwar/MaskTheFace, MIT).

    The pictures are where the list says, counted from the folder, or in the folder itself. Names that end in _left and
    _right are of turned heads. Sections without a picture are left out. Needs Pillow, since pictures here are
    transparent in part: ``pip install xcos[images]``.

    Raises
    ------
    ValueError
        Naming file and section: a key point is missing or no pair of numbers, or the list can't be read as such.
    OSError
        The list, or a picture that it names, can't be read.
    """
    path = Path(folder) / "masks.cfg"
    sections = configparser.ConfigParser(interpolation=None)
    try:
        sections.read_string(read_text(path), source=str(path))
    except configparser.Error as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from None
    named = (name for name in sections.sections() if "template" in sections[name])
    return {name: _read_mask(path, name, sections[name]) for name in named}


def mask(
    image: ImageLike, worn: Mask, *, face: int | Face | None = None, aligned: bool = False, bgr: bool = False,
    upright: bool = False, threads: int | None = None,
) -> Worn:
    """Puts a mask on a face: the perspective picture of it that brings its six points closest to those of the face.

    Parameters
    ----------
    image
        A photograph, or an aligned crop of 112 x 112 (`aligned`); see ``xcos.read_image``.
    worn : Mask
    face, aligned, bgr, upright, threads
        As in ``Model``.

    Raises
    ------
    ValueError
        The picture can't be used (ImageError, NoFaceError).
    OSError
        It can't be read.
    """
    pixels, where, points = _seen(image, face, How(aligned, bgr, upright), threads)
    six = points[list(MASK_POINTS)]
    return _covered(pixels, where, six, _mask_ink(worn, six))


def sunglasses(
    image: ImageLike, *, colour: tuple[int, int, int] = DARK, face: int | Face | None = None, aligned: bool = False,
    bgr: bool = False, upright: bool = False, threads: int | None = None,
) -> Worn:
    """Puts sunglasses on a face: opaque ellipses about the eyes, a bar. Parameters and errors as of :func:`mask`.

    colour : 0..255, red, green, blue
    """
    pixels, where, points = _seen(image, face, How(aligned, bgr, upright), threads)
    eyes = np.stack([points[list(eye)].mean(axis=0) for eye in EYES])
    return _covered(pixels, where, eyes[:, None] + _ring(eyes), _glasses_ink(eyes, colour))


def part(
    image: ImageLike, share: float = 0.7, *, centre: tuple[float, float] = (0.5, 0.5), enlarge: bool = True,
    bgr: bool = False,
) -> Worn:
    """What is inside a window of an aligned crop, as if more of the face could not be seen.

    Parameters
    ----------
    image
        An aligned crop of 112 x 112.
    share : float
        Above 0 to 1: the window's side as a share of the crop's.
    centre : (x, y)
        The window's middle, as shares of the crop's width and height.
    enlarge : bool
        Enlarge the window to the size of the crop, so that the face is larger and no longer aligned; False: leave it
        where it is, black around it.

    Raises
    ------
    ValueError
        For a window that is empty or not wholly inside the crop, or a picture of another size (ImageError).
    """
    pixels = cut(image, How(True, bgr)).crop
    side = round(SIDE * share) if 0 < share <= 1 else 0
    left, top = (round(SIDE * at - side / 2) for at in centre)
    if side < 1 or not (0 <= left <= SIDE - side and 0 <= top <= SIDE - side):
        raise ValueError(f"part: expected a window inside the crop, got a share of {share} at {tuple(centre)}")
    covered = np.ones((SIDE, SIDE), bool)
    covered[top : top + side, left : left + side] = False
    if enlarge:
        window = np.ascontiguousarray(pixels[top : top + side, left : left + side])
        return Worn(_core.resize(window, SIDE, SIDE), covered, None)
    return Worn(np.where(covered[..., None], np.uint8(0), pixels), covered, None)


def _read_mask(path: Path, name: str, section: configparser.SectionProxy) -> Mask:
    points = []
    for key in (f"mask_{letter}" for letter in "abcdef"):
        parts = section.get(key, "").split(",")
        try:
            x, y = map(float, parts)
        except ValueError:
            x = y = math.nan
        if not (math.isfinite(x) and math.isfinite(y)):
            raise ValueError(f"{path}, [{name}]: {key} is {','.join(parts)!r}; expected x, y")
        points.append((x, y))
    try:
        from PIL import Image
    except ImportError:
        raise ImportError("pictures of masks need Pillow: pip install xcos[images]") from None
    named = path.parent / section["template"]
    with Image.open(named if named.is_file() else path.parent / named.name) as picture:
        return Mask(name, np.asarray(picture.convert("RGBA")), np.array(points))


def _seen(
    image: ImageLike, face: int | Face | None, how: How, threads: int | None
) -> tuple[NDArray[np.uint8], Face | None, Doubles]:
    """The pixels, where the face is in them, and its 68 points."""
    found = cut(image, how, face=face, threads=threads)
    pixels = found.crop if found.face is None else read_image(image, bgr=how.bgr)
    return pixels, found.face, landmarks(pixels, found.face, threads=threads)


def _covered(pixels: NDArray[np.uint8], face: Face | None, near: Doubles, ink: Ink) -> Worn:
    """Lays ink over the pixels; it is looked for around the points `near`, half as far again as they reach."""
    low, high = near.reshape(-1, 2).min(axis=0), near.reshape(-1, 2).max(axis=0)
    size = np.array(pixels.shape[1::-1])
    x0, y0 = np.clip(np.floor(low - (high - low) / 2), 0, size).astype(int)
    x1, y1 = np.clip(np.ceil(high + (high - low) / 2) + 1, 0, size).astype(int)
    x, y = np.meshgrid(np.arange(x0, x1, dtype=float), np.arange(y0, y1, dtype=float))
    offsets = (np.arange(_FINE) + 0.5) / _FINE - 0.5
    laid = np.zeros((*x.shape, 4))
    for dx in offsets:
        for dy in offsets:
            laid += ink(x + dx, y + dy) / _FINE**2
    hidden = laid[..., 3] >= _HIDDEN
    image, covered = pixels.copy(), np.zeros(pixels.shape[:2], bool)
    part = image[y0:y1, x0:x1]
    blend = laid[..., :3] + part * (1 - laid[..., 3:])
    part[hidden] = np.rint(np.clip(blend, 0, 255))[hidden].astype(np.uint8)
    covered[y0:y1, x0:x1] = hidden
    return Worn(image, covered, face)


def _mask_ink(worn: Mask, places: Doubles) -> Ink:
    to = _perspective(places, worn.points)
    height, width = worn.picture.shape[:2]
    opacity = worn.picture[..., 3:] / 255.0
    paint = np.concatenate([worn.picture[..., :3] * opacity, opacity], axis=2)
    paint = np.pad(paint, ((1, 1), (1, 1), (0, 0)))  # nothing beyond the edges

    def ink(x: Doubles, y: Doubles) -> Doubles:
        u, v, w = np.einsum("ij,j...->i...", to, np.stack([x, y, np.ones_like(x)]))
        ahead = w > 0  # what lies behind the horizon of a steep perspective is not the mask
        w = np.where(ahead, w, 1)
        u, v = np.clip(u / w + 1, 0, width + 1), np.clip(v / w + 1, 0, height + 1)
        i, j = np.minimum(v.astype(int), height), np.minimum(u.astype(int), width)
        down, right = (v - i)[..., None], (u - j)[..., None]
        upper = paint[i, j] * (1 - right) + paint[i, j + 1] * right
        lower = paint[i + 1, j] * (1 - right) + paint[i + 1, j + 1] * right
        return np.asarray((upper * (1 - down) + lower * down) * ahead[..., None])

    return ink


def _glasses_ink(eyes: Doubles, colour: tuple[int, int, int]) -> Ink:
    middle, across = eyes.mean(axis=0), eyes[1] - eyes[0]
    paint = np.array([*colour, 1.0])

    def ink(x: Doubles, y: Doubles) -> Doubles:
        dx, dy = x - middle[0], y - middle[1]
        u = (dx * across[0] + dy * across[1]) / (across @ across)
        v = (dy * across[0] - dx * across[1]) / (across @ across)
        lens = ((np.abs(u) - 0.5) / _LENS[0]) ** 2 + ((v - _LENS[2]) / _LENS[1]) ** 2 <= 1
        bridge = (np.abs(u) <= _BRIDGE[0]) & (np.abs(v - _BRIDGE[2]) <= _BRIDGE[1])
        return np.asarray((lens | bridge)[..., None] * paint)

    return ink


def _ring(eyes: Doubles) -> Doubles:
    """Four places around each eye, as far as a lens reaches."""
    reach = _LENS[0] * float(np.linalg.norm(eyes[1] - eyes[0]))
    return reach * np.array([[-1.0, 0], [1, 0], [0, -1], [0, 1]])


def _perspective(places: Doubles, points: Doubles) -> Doubles:
    """(3, 3), the perspective map from `places` to `points`, least squares; positive ahead of its horizon."""
    rows = [row for (x, y), (u, v) in zip(places, points, strict=True)
            for row in ([x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y])]  # fmt: skip
    found = np.linalg.lstsq(np.array(rows), points.ravel(), rcond=None)[0]
    matrix: Doubles = np.append(found, 1.0).reshape(3, 3)
    middle = float(matrix[2] @ [*places.mean(axis=0), 1])
    return matrix if middle > 0 else -matrix
