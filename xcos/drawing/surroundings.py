"""The part of a photograph that is shown around a face."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .shown import Placed

_LONGEST = 1200  # pixels of what is shown: more would only make files large


def around(photo: Placed) -> tuple[NDArray[np.uint8], tuple[float, float, float, float]]:
    """The face and 0.7 sides of its crop around it, made smaller where it is large, or the whole photograph where the
    crop lies outside of it; and left, right, bottom, top of that, in pixels of the photograph."""
    pixels, outline = photo.pixels(), photo.outline
    height, width = pixels.shape[:2]
    middle, reach = outline.mean(axis=0), 1.2 * np.linalg.norm(outline[1] - outline[0])
    left, top = np.clip(np.floor(middle - reach), 0, (width, height)).astype(int)
    right, bottom = np.clip(np.ceil(middle + reach), 0, (width, height)).astype(int)
    if left >= right or top >= bottom:
        left, top, right, bottom = 0, 0, width, height
    part = np.ascontiguousarray(pixels[top:bottom, left:right])
    shrink = _LONGEST / max(part.shape)
    if shrink < 1:
        part = _core.resize(part, *(max(1, round(side * shrink)) for side in part.shape[:2]))
    return part, (left - 0.5, right - 0.5, bottom - 0.5, top - 0.5)
