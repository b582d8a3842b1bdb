"""Faces in pictures: find them, mark five points, cut them out upright.

looks.py finds them. The points come from a network of 68 landmarks that looks twice at each face: at YuNet's
box, turned level, and then at the box of the points that it saw. On 290 photographs of LFW and CelebA (121 pairs of
one person, 41,784 of two, all pairs compared; benchmarks/points.py), embeddings of the default model:

    points                     cosine of one person   d'      the same, photographs turned by 20 degrees
    YuNet's own                0.559                  3.92    0.436   2.67
    68 points, one look        0.613                  4.56    0.604   4.29
    68 points, two looks       0.620                  4.67    0.614   4.55
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..base.values import ByValue
from ..errors import ImageError, NoFaceError
from .image import (
    MAX_PIXELS,
    ImageLike,
    Many,
    OneImage,
    as_list,
    content_of,
    describe,
    read_content,
    read_image,
    read_reduced,
)  # fmt: skip
from .looks import MAX_IOU, MAX_SIDE, MIN_SCORE, SMALLEST, TURN, find, find_large, main_box, run

# Where ArcFace's aligned crops of 112 x 112 pixels have the eyes, the nose and the corners of the mouth
# (Deng et al., arXiv 1801.07698; InsightFace).
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
SIDE = 112

# Where YuNet's box of a face lies in its aligned crop: the median of 60 photographs of LFW.
_CROP_BOX = (16.9, 11.5, 95.3, 118.2)

# The landmark network's square of 64 x 64 pixels as a multiple of the longer side of the box, for the
# first look (YuNet's box) and the second (the box of the 68 points).
LOOKS = (1.2, 1.3)
_LOOK = 64


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Face(ByValue):
    """A face in a picture; all coordinates in pixels of the upright picture, pixel centres at integers.

    Attributes
    ----------
    box : (float, float, float, float)
        Left, top, right, bottom; may reach beyond the picture.
    score : float
        0 to 1, the detector's confidence.
    points : (5, 2) ndarray of float32
        x and y of the eyes (the one at the image's left first), the nose and the corners of the mouth (likewise); left
        as the face has it when it is upright.
    turn : int
        0, 45, 90 ... 315: degrees by which the picture was turned, clockwise, for the face to be upright, more or less.
        Box and points are those of the picture as it is.

    Examples
    --------
    >>> import xcos
    >>> face = xcos.detect("examples/obama_portrait_2012.jpg")[0]
    >>> face.points.shape, face.turn
    ((5, 2), 0)
    """

    box: tuple[float, float, float, float]
    score: float
    points: NDArray[np.float32]
    turn: int = 0

    def __repr__(self) -> str:
        left, top, right, bottom = self.box
        turn = f", turn={self.turn}" if self.turn else ""
        name = type(self).__name__
        return f"{name}(box=({left:.0f}, {top:.0f}, {right:.0f}, {bottom:.0f}), score={self.score:.3f}{turn})"

    @property
    def matrix(self) -> NDArray[np.float64]:
        """(2, 3) float64: from the aligned crop to the picture, the inverse of the alignment.

        ``matrix @ (x, y, 1)`` is where x, y of the crop of 112 x 112 lie, in pixels of both, pixel centres at integers.
        ValueError for points all in one place.
        """
        return _crop_to_image(np.asarray(self.points, np.float64), SIDE)

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dict.

        Returns
        -------
        dict
            Plain lists and numbers, ready for JSON.
        """
        return {"box": list(self.box), "score": self.score, "points": self.points.tolist(), "turn": self.turn}


@overload
def detect(
    image: Many,
    *,
    min_score: float = ...,
    max_iou: float = ...,
    max_side: int = ...,
    bgr: bool = ...,
    upright: bool = ...,
    max_pixels: int = ...,
    threads: int | None = ...,
) -> list[list[Face]]: ...
@overload
def detect(
    image: OneImage,
    *,
    min_score: float = ...,
    max_iou: float = ...,
    max_side: int = ...,
    bgr: bool = ...,
    upright: bool = ...,
    max_pixels: int = ...,
    threads: int | None = ...,
) -> list[Face]: ...
@overload
def detect(
    image: ImageLike | Many,
    *,
    min_score: float = ...,
    max_iou: float = ...,
    max_side: int = ...,
    bgr: bool = ...,
    upright: bool = ...,
    max_pixels: int = ...,
    threads: int | None = ...,
) -> Any: ...
def detect(
    image: ImageLike | Many,
    *,
    min_score: float = MIN_SCORE,
    max_iou: float = MAX_IOU,
    max_side: int = MAX_SIDE,
    bgr: bool = False,
    upright: bool = False,
    max_pixels: int = MAX_PIXELS,
    threads: int | None = None,
) -> list[Face] | list[list[Face]]:
    """Finds the faces of a picture, best score first.

    Parameters
    ----------
    image : image or list of images
        Anything that :func:`read_image` takes; or many: a list or tuple of it, or an array (N, H, W, 3).
    min_score : float, optional
        0 to 1, faces with less are left out.
    max_iou : float, optional
        0 to 1, of two boxes that overlap by more (intersection over union) the better stays.
    max_side : int, optional
        Pixels, at least 32: larger pictures are made smaller for the detector until their longer side has this length.
        Faces of less than about 20 pixels after that are missed. Panoramas are looked at in stretches.
    bgr : bool, default False
        Arrays are in the order of OpenCV.
    upright : bool, default False
        The pictures stand upright: where no sure face is found, do not look at them turned. Otherwise a face with
        a poor score is looked at turned by itself (``Face.turn``).
    max_pixels : int, optional
        Larger pictures are refused, see :func:`read_image`.
    threads : int, optional
        Threads at most; None: the default.

    Returns
    -------
    list of Face or list of list of Face
        The faces; of many pictures, a list of such lists.

    Raises
    ------
    ValueError
        An argument is out of range, or what :func:`read_image` raises.
    OSError
        A file can't be read.

    Examples
    --------
    >>> import xcos
    >>> faces = xcos.detect("examples/obama_portrait_2012.jpg")
    >>> len(faces), bool(faces[0].score > 0.9)
    (1, True)
    """
    for name, value in (("min_score", min_score), ("max_iou", max_iou)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name}: expected 0 to 1, got {value}")
    if max_side < 32:
        raise ValueError(f"max_side: expected at least 32 pixels, got {max_side}")

    def one(x: Any) -> list[Face]:
        pixels = read_image(x, bgr=bgr, max_pixels=max_pixels)
        return _as_faces(pixels, find(pixels, min_score, max_iou, max_side, upright, threads), threads)

    images, single = as_list(image)
    return one(images[0]) if single else [one(x) for x in images]


def _as_faces(pixels: NDArray[np.uint8], found: NDArray[np.float32], threads: int | None) -> list[Face]:
    points = _five_points(pixels, found, threads)
    return [Face((*row[:4],), row[4], five, int(row[TURN])) for row, five in zip(found.tolist(), points, strict=True)]


def align(
    image: ImageLike, points: Any, size: int = SIDE, *, bgr: bool = False, max_pixels: int = MAX_PIXELS
) -> NDArray[np.uint8]:
    """Cuts faces out upright, as face networks expect them.

    The similarity transform (rotation, scale, shift; no reflection) that brings the points closest to ArcFace's
    template in the least-squares sense (Umeyama, 1991), with bilinear sampling; what lies outside the picture is black.

    Parameters
    ----------
    image : image
        Anything that :func:`read_image` takes.
    points : (5, 2) array, Face, or several
        As in ``Face.points``, or a `Face`; a list of these or an array (N, 5, 2) gives a stack.
    size : int, optional
        Side of the crop in pixels.
    bgr : bool, default False
        An array is in the order of OpenCV.
    max_pixels : int, optional
        Larger pictures are refused, see :func:`read_image`.

    Returns
    -------
    (size, size, 3) ndarray of uint8
        The crop, RGB; a stack (N, size, size, 3) for several.

    Raises
    ------
    ValueError
        Points of another shape, not finite or all in one place, or what :func:`read_image` raises.
    OSError
        A file can't be read.

    Examples
    --------
    >>> import xcos
    >>> photo = "examples/obama_portrait_2012.jpg"
    >>> xcos.align(photo, xcos.detect(photo)).shape
    (1, 112, 112, 3)
    """
    if size < 1:
        raise ValueError(f"size: expected at least 1, got {size}")
    pixels = read_image(image, bgr=bgr, max_pixels=max_pixels)
    if isinstance(points, (list, tuple)) and any(isinstance(p, Face) for p in points):
        points = [p.points if isinstance(p, Face) else p for p in points]
    many = np.asarray(points.points if isinstance(points, Face) else points, np.float64)
    if many.shape[-2:] != (5, 2) or many.ndim not in (2, 3):
        if many.size:
            raise ValueError(f"points: expected the shape (5, 2) or (N, 5, 2), got {many.shape}")
        many = many.reshape(0, 5, 2)
    crops = np.empty((*many.shape[:-2], size, size, 3), np.uint8)
    for i in np.ndindex(many.shape[:-2]):
        crops[i] = _core.warp(pixels, _crop_to_image(many[i], size), size, size)
    return crops


def landmarks(
    image: ImageLike,
    face: Face | None = None,
    *,
    bgr: bool = False,
    max_pixels: int = MAX_PIXELS,
    threads: int | None = None,
) -> NDArray[np.float64]:
    """68 points of a face, (68, 2): x and y in pixels of the picture, pixel centres at integers.

    In the order of iBUG's 300-W: jaw 0-16 from the image's left, brows 17-26, nose 27-35, eyes 36-47, mouth 48-67.

    image   anything that `read_image` takes; `bgr`, `max_pixels`: see there
    face    where the face is in it, as `detect` says; None: the picture is an aligned crop of 112 x 112

    Raises what `read_image` raises; ImageError without `face` for a picture of another size.
    """
    if face is None:
        crop = cut(image, How(True, bgr, max_pixels=max_pixels)).crop
        return np.asarray(landmarks_by_look(crop, threads=threads)[-1])
    pixels = read_image(image, bgr=bgr, max_pixels=max_pixels)
    seen, _ = _look_closely(pixels, np.array([face.box]), face.points[None], threads)
    return np.asarray(seen[-1][0])


def landmarks_by_look(crop: NDArray[np.uint8], *, threads: int | None = None) -> NDArray[np.float64]:
    """The 68 points of an aligned crop (112, 112, 3) as each look saw them, the last one best: (looks, 68, 2)."""
    seen, _ = _look_closely(crop, np.array([_CROP_BOX]), TEMPLATE[None], threads)
    return np.stack([marks[0] for marks in seen])


def choose(faces: Sequence[Face], image_shape: Sequence[int]) -> Face:
    """The face that a picture is of: the largest x most central.

    The area of the box times 1 at the middle of the picture, falling linearly to 0 in its corners.
    `image_shape` is (H, W) or (H, W, 3). Raises NoFaceError when there are no faces.
    """
    if not faces:
        raise NoFaceError("there is no face to choose from")
    return faces[main_box(np.array([face.box for face in faces]), image_shape)]


@dataclass(frozen=True, slots=True, eq=False)
class Cut(ByValue):
    """A face cut out of a picture.

    crop   (112, 112, 3) uint8 RGB, aligned
    face   where it was found; None for a picture that was such a crop already
    shape  height and width of the upright picture, pixels
    path   of the picture, absolute; None for what was no file that can be read again
    reduction  by how much the picture had been made smaller when the face was cut out of it (`read_reduced`)
    """

    crop: NDArray[np.uint8]
    face: Face | None
    shape: tuple[int, int]
    path: str | None = None
    reduction: int = 1


_Choice: TypeAlias = int | Face | None
FaceLike: TypeAlias = _Choice | Sequence[_Choice | Sequence[_Choice]]  # for one image, for each, for those of two


@dataclass(frozen=True, slots=True)
class How:
    """How pictures are looked at, as `crop` explains it."""

    aligned: bool | None = False
    bgr: bool = False
    upright: bool = False
    max_pixels: int = MAX_PIXELS


def cut(image: ImageLike, how: How = How(), *, face: int | Face | None = None, threads: int | None = None) -> Cut:
    """The face of a picture as verification uses it, and where it was found. Parameters and errors as of `crop`."""
    name, content = describe(image), content_of(image)
    if face is None and not how.aligned:
        pixels, reduction = read_reduced(content, name, how.bgr, how.max_pixels, SMALLEST)
        if reduction > 1:
            if found := _as_faces(pixels, find_large(pixels, MIN_SCORE, MAX_IOU, how.upright, threads), threads):
                height, width = (side * reduction for side in pixels.shape[:2])
                large = _scaled(found[0], reduction)
                return Cut(align_reduced(pixels, large, reduction), large, (height, width), _path(image), reduction)
            pixels = read_content(content, name, how.bgr, how.max_pixels)
    else:
        pixels = read_content(content, name, how.bgr, how.max_pixels)
    height, width = pixels.shape[:2]
    if how.aligned or (how.aligned is None and (height, width) == (SIDE, SIDE)):
        if (height, width) != (SIDE, SIDE):
            raise ImageError(f"{name}: an aligned crop is {SIDE} x {SIDE} pixels, this is {width} x {height}")
        return Cut(pixels, None, (height, width), _path(image))
    if isinstance(face, Face):
        return Cut(align(pixels, face), face, (height, width), _path(image))
    found = _as_faces(pixels, find(pixels, MIN_SCORE, MAX_IOU, MAX_SIDE, how.upright, threads, face is None), threads)
    if face is None and not found:
        raise NoFaceError(f"{name}: no face was found in its {width} x {height} pixels")
    if not 0 <= (face or 0) < len(found):
        raise NoFaceError(f"{name}: there is no face {face}; {len(found)} found, counted from 0")
    return Cut(align(pixels, found[face or 0]), found[face or 0], (height, width), _path(image))


def align_reduced(pixels: NDArray[np.uint8], face: Face, reduction: int) -> NDArray[np.uint8]:
    """The crop of a face of the whole picture, out of one made smaller."""
    return align(pixels, _scaled(face, 1 / reduction))


def _scaled(face: Face, factor: float) -> Face:
    """The face in pixels of a picture that is larger by that factor."""
    left, top, right, bottom = (side * factor for side in face.box)
    points = (face.points + 0.5) * factor - 0.5
    return Face((left, top, right, bottom), face.score, points.astype(np.float32), face.turn)


def _path(image: Any) -> str | None:
    named = isinstance(image, (str, os.PathLike)) and os.path.isfile(image)
    return os.path.abspath(os.fsdecode(image)) if named else None


def crop(
    image: ImageLike,
    *,
    face: int | Face | None = None,
    aligned: bool | None = False,
    bgr: bool = False,
    upright: bool = False,
    max_pixels: int = MAX_PIXELS,
    threads: int | None = None,
) -> NDArray[np.uint8]:
    """The face of a picture as the crop that verification uses.

    Parameters
    ----------
    image : image
        Anything that :func:`read_image` takes.
    face : int or Face, optional
        None: the largest x most central one; a number: that one of :func:`detect`'s list; a `Face` of this picture:
        that one.
    aligned : bool, optional
        The picture is such a crop already and is returned as it is; None: it is if it is 112 x 112.
    bgr : bool, default False
        An array is in the order of OpenCV.
    upright : bool, default False
        Do not look at the picture turned, see :func:`detect`.
    max_pixels : int, optional
        Larger pictures are refused, see :func:`read_image`.
    threads : int, optional
        Threads at most; None: the default.

    Returns
    -------
    (112, 112, 3) ndarray of uint8
        The aligned face, RGB.

    Raises
    ------
    NoFaceError
        No face is found in the picture, which is named, or there is none of that number.
    ImageError
        The content is no picture, or `aligned` and not 112 x 112.
    OSError
        A file can't be read.

    Examples
    --------
    >>> import xcos
    >>> xcos.crop("examples/obama_portrait_2012.jpg").shape
    (112, 112, 3)
    """
    return cut(image, How(aligned, bgr, upright, max_pixels), face=face, threads=threads).crop


def _five_points(
    pixels: NDArray[np.uint8],
    found: NDArray[np.float32],
    threads: int | None,
    looks: Sequence[float] = LOOKS,
) -> NDArray[np.float32]:
    """Five points (K, 5, 2) of faces that YuNet found, from the landmark network's looks at them."""
    five = found[:, 5:15].reshape(-1, 5, 2)
    return five if len(found) == 0 else _look_closely(pixels, found[:, :4], five, threads, looks)[1]


def _look_closely(
    pixels: NDArray[np.uint8],
    boxes: NDArray[Any],
    five: NDArray[Any],
    threads: int | None,
    looks: Sequence[float] = LOOKS,
) -> tuple[list[NDArray[np.float64]], NDArray[np.float32]]:
    """68 points (K, 68, 2) by each look, and five (K, 5, 2) by the last, of the faces in boxes (K, 4), K at least 1.
    Each looks in the box of the points of the one before."""
    seen = []
    for scale in looks:
        marks = _landmarks(pixels, boxes, five, scale, threads)
        seen.append(marks)
        boxes = np.concatenate([marks.min(axis=1), marks.max(axis=1)], axis=1)
        eyes = [marks[:, [37, 38, 40, 41]].mean(axis=1), marks[:, [43, 44, 46, 47]].mean(axis=1)]
        mouth = [marks[:, [48, 60]].mean(axis=1), marks[:, [54, 64]].mean(axis=1)]
        five = np.stack([*eyes, marks[:, 30], *mouth], axis=1).astype(np.float32)
    return seen, five


def _landmarks(
    pixels: NDArray[np.uint8],
    boxes: NDArray[Any],
    five: NDArray[Any],
    scale: float,
    threads: int | None,
) -> NDArray[np.float64]:
    """68 points (K, 68, 2) of the faces in boxes (K, 4), turned level by their five points (K, 5, 2)."""
    crops = np.empty((len(boxes), _LOOK, _LOOK, 3), np.uint8)
    turns, origins = np.empty((len(boxes), 2, 2)), np.empty((len(boxes), 2))
    for i, (box, points) in enumerate(zip(boxes.astype(np.float64), five, strict=True)):
        step = scale * max(box[2] - box[0], box[3] - box[1]) / _LOOK
        a, b = _rotation_scale(points)
        cos, sin = (a, b) / np.hypot(a, b) if a or b else (1.0, 0.0)
        turns[i] = step * np.array([[cos, sin], [-sin, cos]])
        origins[i] = (box[:2] + box[2:]) / 2 - turns[i] @ np.full(2, (_LOOK - 1) / 2)
        crops[i] = _sample(pixels, turns[i], origins[i], step)
    grey = np.rint(crops @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)[..., None]  # ITU-R BT.601
    fractions = run("landmarks68", grey, threads)["output"].reshape(-1, 68, 2)
    marks = fractions * float(_LOOK) - 0.5  # pixel centres of the square
    in_image: NDArray[np.float64] = marks @ turns.transpose(0, 2, 1) + origins[:, None]
    return in_image


def _sample(
    pixels: NDArray[np.uint8], turn: NDArray[np.float64], origin: NDArray[np.float64], step: float
) -> NDArray[np.uint8]:
    """The square whose pixel centres are turn @ (x, y) + origin. Bilinear sampling skips pixels from a
    step of 2 on, so then the square is sampled finer (8 times at most) and made smaller."""
    finer = math.ceil(min(max(step / 2, 1), 8))
    centred = origin + turn @ np.full(2, (1 / finer - 1) / 2)
    size = _LOOK * finer
    square = _core.warp(pixels, np.column_stack([turn / finer, centred]), size, size)
    return square if finer == 1 else _core.resize(square, _LOOK, _LOOK)


def _rotation_scale(points: NDArray[Any]) -> NDArray[np.float64]:
    """a, b of the least-squares similarity x' = a x - b y + …, y' = b x + a y + … to the template; 0, 0
    for points all in one place."""
    centred, target = points - points.mean(axis=0, dtype=np.float64), TEMPLATE - TEMPLATE.mean(axis=0)
    spread = (centred**2).sum()
    if spread == 0:
        return np.zeros(2)
    dot = (centred * target).sum()
    cross = (centred[:, 0] * target[:, 1] - centred[:, 1] * target[:, 0]).sum()
    return np.array([dot / spread, cross / spread])


def crop_scale(points: NDArray[Any]) -> float:
    """Pixels of the aligned crop for one pixel of the picture, of a face with these five points."""
    return float(np.hypot(*_rotation_scale(points)))


def _crop_to_image(points: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """(2, 3): pixel centres of the aligned crop to pixel centres of the picture."""
    if not np.isfinite(points).all():
        raise ValueError("points: expected finite numbers")
    a, b = _rotation_scale(points)
    if a == b == 0:
        raise ValueError("points: five points all in one place say nothing about size and angle")
    inverse = np.array([[a, b], [-b, a]]) / (a * a + b * b)
    shift = points.mean(axis=0) - inverse @ TEMPLATE.mean(axis=0)
    return np.column_stack([inverse * (SIDE / size), shift])
