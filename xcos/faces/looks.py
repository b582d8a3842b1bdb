"""Where faces are in a picture, and how they stand: YuNet's looks at it.

YuNet finds the faces. It sees heights of about 20 to 600 pixels (of LFW faces set into scenes it finds
85 % at 20, 94 % at 24, all at 32 to 600: benchmarks/small_faces.py), so a large photograph is looked at
twice: small, for the faces that fill it, and at `max_side` pixels. For verification, which needs one face,
the small look is enough when it shows a face that is large enough to be sure of.

A photograph that lies on its side or stands on its head (scans; programs that drop Exif) is found by its poor
look: its faces score 0.62 to 0.9, upright ones 0.9 to 0.96. Then it is looked at turned by quarters, and by the
angles between where that is poor, too; the best look tells. The rest is no matter: faces are turned level by
their points. Among several faces one that lies is found likewise: its surroundings alone are looked at turned.

Of a picture that is more than four times as long as wide little would be left at that size: it is looked at in
stretches that overlap.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..plan.pixels import as_input

if TYPE_CHECKING:
    from ..plan.network import Network

MIN_SCORE, MAX_IOU, MAX_SIDE = 0.6, 0.3, 1280  # the first two are those of OpenCV's FaceDetectorYN demo

# Pictures are looked at with a longer side of 320 pixels first, where no face is too large for YuNet. All of 32
# pixels are found there, and one of this height is taken from there: the large look may miss it, if it is very large.
_SMALL_LOOK, _SURE_FACE = 320, 40

# A picture whose longer side has so many pixels for each of such a face shows all that a crop of 112 x 112 can hold of
# it: between the brows' top and the chin such a crop has 107 rows (`_CROP_BOX` of detection.py).
SMALLEST = 107 * _SMALL_LOOK // _SURE_FACE

# A picture whose main face has less is looked at turned, too. Of 290 photographs of CelebA and LFW, each upright
# and turned by the three quarters: upright 0.859 to 0.96 (4 % below this), turned at most 0.906 (1 of 870 above), and
# the upright look had the best score of the four each time. What comes of it: benchmarks/turned.py.
_GOOD_SCORE = 0.905
DIAGONALS = (45, 135, 225, 315)
TURNS = (0, 90, 180, 270, *DIAGONALS)  # degrees, clockwise
TURN = 15  # the column of a row

# Beyond four times as long as wide a picture is looked at in stretches. A face that may lie: a square that reaches so
# many of its sides from its middle, made smaller to this many pixels.
_LONG = 4
_SURROUNDINGS, _PATCH = 1.25, 160
_DOUBTFUL = 0.3  # the score from which on something may be a face that lies


@functools.cache
def _network(name: str) -> Network:
    from ..plan.network import Network

    return Network.load(Path(__file__).parents[1] / "models" / f"{name}.safetensors")


def run(name: str, images: NDArray[np.uint8], threads: int | None) -> dict[str, NDArray[np.float32]]:
    """Outputs of one of the package's networks for pictures (N, H, W, C), RGB or grey."""
    network = _network(name)
    return network.run(as_input(network.file, images), threads)


def find(
    pixels: NDArray[np.uint8],
    min_score: float,
    max_iou: float,
    max_side: int,
    upright: bool,
    threads: int | None,
    main: bool = False,
) -> NDArray[np.float32]:
    """YuNet's faces: (K, 16) float32 rows of box, score, five points and turn, best first.

    The small look comes first, and the faces that it is sure of are taken from there, whoever asks: so the crop of a
    face does not depend on how it was asked for. With `main` the face that `choose` takes, alone, without the
    second look where the first is sure of it.
    """
    doubtful = min_score if upright or main else min(min_score, _DOUBTFUL)
    scores = (min_score, doubtful)
    if _is_long(pixels, max_side):
        found = _along(pixels, scores, max_iou, max_side, upright, threads)
    else:
        found = _at_two_sizes(pixels, scores, max_iou, max_side, upright, threads, main)
    if main and len(found):
        return found[[main_box(found[:, :4], pixels.shape)]]
    if not (upright or main or (found[:, 4] < min_score).all()):
        found = _each_turned(pixels, found, min_score, max_iou, threads)
    return found[found[:, 4] >= min_score]


def find_large(
    pixels: NDArray[np.uint8], min_score: float, max_iou: float, upright: bool, threads: int | None
) -> NDArray[np.float32]:
    """The face that `find` with `main` gives, alone, if the small look is sure of it; else none."""
    if _is_long(pixels, MAX_SIDE):
        return np.empty((0, 16), np.float32)
    found, sure = _small_look(pixels, (min_score, min_score), max_iou, _SMALL_LOOK, upright, threads)
    main = [main_box(found[:, :4], pixels.shape)] if len(found) else []
    return found[main] if sure[main].all() else found[:0]


def _is_long(pixels: NDArray[np.uint8], max_side: int) -> bool:
    height, width = pixels.shape[:2]
    short, long = min(height, width), max(height, width)
    return bool(long > max_side and short * _LONG < long)


def _small_look(
    pixels: NDArray[np.uint8],
    scores: tuple[float, float],
    max_iou: float,
    side: int,
    upright: bool,
    threads: int | None,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Faces seen at that size, and which of them are sure."""
    found = look(pixels, scores, max_iou, side, (0,) if upright else TURNS, threads)
    sure = ((found[:, 3] - found[:, 1]) * side >= _SURE_FACE * max(pixels.shape[:2])) & (found[:, 4] >= scores[0])
    return found, sure


def _at_two_sizes(
    pixels: NDArray[np.uint8],
    scores: tuple[float, float],
    max_iou: float,
    max_side: int,
    upright: bool,
    threads: int | None,
    main: bool,
) -> NDArray[np.float32]:
    """Small and at `max_side`, as the parameters of `find` have it."""
    longest, side = max(pixels.shape[:2]), min(_SMALL_LOOK, max_side)
    found, sure = _small_look(pixels, scores, max_iou, side, upright, threads)
    enough = main and len(found) > 0 and sure[main_box(found[:, :4], pixels.shape)]
    if longest > side < max_side and not enough:
        found = found[sure]
        turns: Sequence[int] = (0,) if upright else [int(found[0, TURN])] if len(found) else TURNS
        more = look(pixels, scores, max_iou, max_side, turns, threads)
        both = np.concatenate([found, more])
        ranks = np.concatenate([1 + found[:, 4], more[:, 4]])  # of two boxes of one face the sure one stays
        found = both[_core.nms(both[:, :4], ranks, max_iou)]
        found = found[np.argsort(-found[:, 4], kind="stable")]
    return found


def _along(
    pixels: NDArray[np.uint8],
    scores: tuple[float, float],
    max_iou: float,
    max_side: int,
    upright: bool,
    threads: int | None,
) -> NDArray[np.float32]:
    """A panorama in stretches, each overlapping the next by the short side, which no face is larger than."""
    short, axis = min(pixels.shape[:2]), int(pixels.shape[1] > pixels.shape[0])
    length, whole = max(3 * short, max_side), pixels.shape[axis]
    starts = [*range(0, whole - length, length - short), whole - length]

    def looks(turns: Sequence[int]) -> NDArray[np.float32]:
        rows = []
        for start in starts:
            stretch = pixels[:, start : start + length] if axis else pixels[start : start + length]
            found = look(np.ascontiguousarray(stretch), scores, max_iou, max_side, turns, threads)
            at = [start, 0] if axis else [0, start]
            found[:, :15] += np.array([*at, *at, 0, *at * 5], np.float32)
            rows.append(found)
        found = np.concatenate(rows)
        found = found[_core.nms(found[:, :4], found[:, 4], max_iou)]
        return found[np.argsort(-found[:, 4], kind="stable")]

    found = looks((0,))
    if upright or (len(found) and found[0, 4] >= _GOOD_SCORE):
        return found
    turned = looks(TURNS[:4])
    return turned if len(turned) and (not len(found) or turned[0, 4] > found[0, 4]) else found


def _each_turned(
    pixels: NDArray[np.uint8], found: NDArray[np.float32], min_score: float, max_iou: float, threads: int | None
) -> NDArray[np.float32]:
    """Each of several faces that has a poor score and is at least a third as large as the largest (smaller ones are
    poor for their size): its surroundings are looked at as the picture was, and turned by quarters from there; the best
    of these looks tells. A single face is the one for which the picture was turned."""
    if len(found) < 2:
        return found
    found = found.copy()
    sizes = (found[:, 2:4] - found[:, :2]).max(axis=1)
    large = 3 * sizes >= sizes[found[:, 4] >= min_score].max()
    for index in np.flatnonzero(large & (found[:, 4] < _GOOD_SCORE)):
        left, top, right, bottom, score = found[index, :5]
        reach = _SURROUNDINGS * sizes[index]
        x, y = (left + right) / 2, (top + bottom) / 2
        x0, x1, y0, y1 = (int(max(0, end)) for end in (x - reach, x + reach + 1, y - reach, y + reach + 1))
        patch = np.ascontiguousarray(pixels[y0:y1, x0:x1])
        if not patch.size:
            continue
        before = int(found[index, TURN])
        turns = [(before + turn) % 360 for turn in TURNS[:4]]
        rows = look(patch, (min_score, min_score), max_iou, _PATCH, turns, threads)
        row = rows[main_box(rows[:, :4], patch.shape)] if len(rows) else found[index]
        if row[TURN] != before and row[4] > score:
            row[:15] += np.array([x0, y0, x0, y0, 0, *[x0, y0] * 5], np.float32)
            found[index] = row
    found = found[_core.nms(found[:, :4], found[:, 4], max_iou)]
    return found[np.argsort(-found[:, 4], kind="stable")]


def main_box(boxes: NDArray[Any], image_shape: Sequence[int]) -> int:
    """Index of the largest x most central of the boxes (K, 4)."""
    height, width = image_shape[:2]

    def weight(box: list[float]) -> float:
        left, top, right, bottom = box
        away = math.hypot(left + right - width, top + bottom - height) / math.hypot(width, height)
        return (right - left) * (bottom - top) * max(1 - away, 0)

    weights = [weight(box) for box in boxes.tolist()]
    return weights.index(max(weights))


def look(
    pixels: NDArray[np.uint8],
    scores: tuple[float, float],
    max_iou: float,
    max_side: int,
    turns: Sequence[int],
    threads: int | None,
) -> NDArray[np.float32]:
    """One look by YuNet, at the picture made smaller until its longer side is at most max_side: rows as of `find`.

    scores : what a face has at least, and what one has that may be a face that lies: it comes along, but tells nothing.
    turns : degrees, clockwise, by which the picture may be turned for it. The other quarters follow only where the
        first look is poor, the diagonals where all of them are; the one whose main face has the best score tells.
    """
    height, width = pixels.shape[:2]
    scale = min(1.0, max_side / max(height, width))
    h, w = max(1, round(height * scale)), max(1, round(width * scale))
    small = pixels if scale == 1 else _core.resize(pixels, h, w)
    best, best_score = np.empty((0, 16), np.float32), -1.0
    for turn in turns:
        if best_score >= _GOOD_SCORE and (turn == turns[1] or turn == DIAGONALS[0]):
            break  # the first look, or the best of the quarters, was good
        found = _look_turned(small, turn, scores[1], max_iou, threads)
        faces = found[found[:, 4] >= scores[0]]
        score = float(faces[main_box(faces[:, :4], small.shape), 4]) if len(faces) else -1.0
        if score > best_score:
            best, best_score = found, score
    x, y = np.float32(width / w), np.float32(height / h)
    best[:, :15] *= np.array([x, y, x, y, 1, *[x, y] * 5], np.float32)  # back to the picture's own pixels
    return best


def _look_turned(
    small: NDArray[np.uint8], turn: int, min_score: float, max_iou: float, threads: int | None
) -> NDArray[np.float32]:
    """One run of YuNet on a picture turned clockwise; rows in the coordinates of the picture as it is."""
    angle = math.radians(turn)
    cos, sin = math.cos(angle), math.sin(angle)
    middle = np.array([small.shape[1] - 1, small.shape[0] - 1]) / 2
    if turn % 90 == 0:
        turned = np.rot90(small, -turn // 90)
    else:
        sides = np.abs([[cos, sin], [sin, cos]]) @ small.shape[1::-1]
        w, h = (math.ceil(side) for side in sides)
        back = np.array([[cos, sin], [-sin, cos]])
        turned = _core.warp(small, np.column_stack([back, middle - back @ [(w - 1) / 2, (h - 1) / 2]]), h, w)
    h, w = turned.shape[:2]
    padded = np.zeros((1, -(-h // 32) * 32, -(-w // 32) * 32, 3), np.uint8)  # what its strides ask for
    padded[0, :h, :w] = turned
    out = run("yunet", padded, threads)
    cls, obj, bbox, kps = (
        [out[f"{kind}_{stride}"] for stride in (8, 16, 32)] for kind in ("cls", "obj", "bbox", "kps")
    )
    rows, cols = padded.shape[1:3]
    found = _core.yunet_faces(cls, obj, bbox, kps, rows, cols, min_score, max_iou)
    found = np.concatenate([found, np.full((len(found), 1), turn, np.float32)], axis=1)
    if turn:
        back = np.array([[cos, sin], [-sin, cos]], np.float32).T
        centre = np.array([(w - 1) / 2, (h - 1) / 2], np.float32)
        half = (found[:, 2:4] - found[:, :2]) / 2
        places = np.concatenate([found[:, :2] + half, found[:, 5:15]], axis=1).reshape(len(found), 6, 2)
        places = ((places - centre) @ back + middle).astype(np.float32)
        half = half[:, ::-1] if turn % 180 == 90 else half
        found[:, :2], found[:, 2:4] = places[:, 0] - half, places[:, 0] + half
        found[:, 5:15] = places[:, 1:].reshape(len(found), 10)
    return found
