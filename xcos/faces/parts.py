"""Parts of a face from its 68 points: eyes, brows, nose, mouth, cheeks, chin, forehead, hair, background.

The points mark eyes, brows, nose, mouth and jaw. Forehead, hair and background they do not: those follow from the
proportions of a face (the forehead as high as 0.7 of brows to nose, the hair above and around it), whatever the picture
shows there. A bald head has "hair", too.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from .detection import SIDE

Doubles = NDArray[np.float64]
Masks = NDArray[np.bool_]

FACIAL = ("eyes", "brows", "nose", "mouth", "cheeks", "chin", "forehead")
PARTS = (*FACIAL, "hair", "background")
# Of the 68, those that tell where a part is.
POINTS = {
    "eyes": range(36, 48), "brows": range(17, 27), "nose": range(27, 36), "mouth": range(48, 68), "cheeks": range(68),
    "chin": range(5, 12), "forehead": range(17, 27),
}  # fmt: skip

# How far a part reaches beyond its points, across and down: lids and corners, a brow's hair, wings of the nose, lips.
_EYE, _BROW, _MOUTH = (1.5, 2.8), (1.1, 1.6), (1.15, 1.25)
_WINGS, _BRIDGE = 1.7, 0.3  # of the nose: its wings by the nostrils, half its bridge by the distance of the eyes
_FOREHEAD, _TOP = 0.7, 1.15  # hairline and top of the head over the brows, in units of brows to nose
_ROUND = 1.12  # the head with its hair, beside the face without
_LOWEST = 2.0  # pixels, half the height that a brow has at least: its points lie on a line


def outlines(points: Doubles) -> Mapping[str, tuple[Doubles, ...]]:
    """Polygons (n, 2) of each part but the background, as `masks` fills them: later ones lie over earlier ones.

    points : (68, 2), x and y, in the order of 300-W, of an upright face.
    """
    brows, base = points[17:27], points[33]
    jaw = points[:17]
    reach = float(base[1] - brows[:, 1].mean())  # brows to nose
    line = float(brows[:, 1].min())
    face, head = (_head(jaw, line, reach * high, wide) for high, wide in ((_FOREHEAD, 1.0), (_TOP, _ROUND)))
    low = float(points[48:60, 1].max())  # of the lips
    return {
        "hair": (head,),
        "cheeks": (face,),
        "forehead": (_beyond(face, line, -1),),
        "chin": (_beyond(face, low, 1),),
        "nose": (_nose(points),),
        "mouth": (_wider(points[48:60], *_MOUTH),),
        "brows": (_brow(points[17:22]), _brow(points[22:27])),
        "eyes": (_wider(points[36:42], *_EYE), _wider(points[42:48], *_EYE)),
    }


def masks(points: Doubles, margin: int = 0) -> Masks:
    """(9, 112, 112): which pixels of the aligned crop show each of PARTS; each pixel shows one.

    points : as of `outlines`, in pixels of the crop. margin : so many pixels more on each side, beyond the crop.
    """
    at = np.arange(-margin, SIDE + margin)
    labels = np.full((len(at), len(at)), PARTS.index("background"))
    for name, polygons in outlines(points).items():
        for polygon in polygons:
            labels[_inside(polygon, at)] = PARTS.index(name)
    return np.asarray(labels == np.arange(len(PARTS))[:, None, None])


def _wider(points: Doubles, across: float, down: float) -> Doubles:
    """A closed line of points further from its middle."""
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    return np.asarray((points - middle) * (across, down) + middle)


def _brow(points: Doubles) -> Doubles:
    """A band around five points in a row."""
    wide = (points - points.mean(axis=0)) * (_BROW[0], 1) + points.mean(axis=0)
    half = max(_LOWEST, _BROW[1] * np.ptp(points[:, 1]) / 4)
    up = np.array([0, half])
    return np.concatenate([wide - up, wide[::-1] + up])


def _nose(points: Doubles) -> Doubles:
    bridge, base = points[27], points[31:36]
    half = _BRIDGE * np.abs(points[42] - points[39])[0] * np.array([1.0, 0])
    wings = (base - base[2]) * (_WINGS, 1) + base[2]
    below = base[2] + 0.15 * (base[2] - bridge)
    return np.array([bridge - half, bridge + half, wings[4], base[3] + (below - base[2]), below,
                     base[1] + (below - base[2]), wings[0]])  # fmt: skip


def _head(jaw: Doubles, line: float, height: float, wide: float) -> Doubles:
    """The jaw, and over it half an ellipse that ends `height` above the brows."""
    jaw = (jaw - jaw.mean(axis=0)) * (wide, 1) + jaw.mean(axis=0)
    middle, half = (jaw[0] + jaw[-1]) / 2, (jaw[-1] - jaw[0]) / 2
    up = np.array([0, max(middle[1] - line, 0) + height])
    angle = np.linspace(0, np.pi, 24)[1:-1, None]
    return np.concatenate([jaw, middle + np.cos(angle) * half - np.sin(angle) * up])


def _beyond(polygon: Doubles, line: float, sign: int) -> Doubles:
    """What of a polygon lies below (sign 1) or above (-1) a level line, by Sutherland and Hodgman; never empty."""
    kept = []
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if sign * (y0 - line) >= 0:
            kept.append((x0, y0))
        if (y0 - line) * (y1 - line) < 0:
            kept.append((x0 + (x1 - x0) * (line - y0) / (y1 - y0), line))
    return np.array(kept or [(polygon[0, 0], line)])


def _inside(polygon: Doubles, at: NDArray[np.intp]) -> Masks:
    """(n, n): which points of a square lattice with these coordinates lie in a polygon, by the even-odd rule."""
    inside = np.zeros((len(at), len(at)), bool)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        rows = (np.minimum(y0, y1) <= at) & (at < np.maximum(y0, y1))
        crossing = x0 + (at - y0) * (x1 - x0) / (y1 - y0)
        inside ^= rows[:, None] & (crossing[:, None] < at)
    return inside
