"""One face blended into another within a mask, so that no edge and no colour gives the place away."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..base.extras import need
from ..explainers.base import Crops
from ..faces.cells import edges
from ..faces.detection import SIDE

BLUR = 2.0  # pixels, standard deviation of the Gaussian that softens a mask
GAIN = 2.0  # the deviation of pasted colours is changed by at most this factor

Masks = NDArray[np.bool_]
Cell = tuple[int, int]


def windows(cells: list[Cell], grid: tuple[int, int]) -> Masks:
    """(C, 112, 112): for each cell of a grid (H, W) the pixels of its 3 x 3 neighbourhood, as far as there are any."""
    rows, columns = edges(grid)
    masks = np.zeros((len(cells), SIDE, SIDE), bool)
    for mask, (i, j) in zip(masks, cells, strict=True):
        top, bottom = rows[max(i - 1, 0)], rows[min(i + 2, grid[0])]
        left, right = columns[max(j - 1, 0)], columns[min(j + 2, grid[1])]
        mask[top:bottom, left:right] = True
    return masks


def parts() -> Mapping[str, Masks]:
    """Masks (112, 112) of the eyes, the nose, the mouth and the left half of an aligned crop."""
    y, x = np.mgrid[:SIDE, :SIDE]

    def ellipse(cx: int, cy: int, rx: int, ry: int) -> Masks:
        inside: Masks = ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 <= 1
        return inside

    eyes = ellipse(38, 48, 18, 13) | ellipse(74, 48, 18, 13)
    return {"eyes": eyes, "nose": ellipse(56, 66, 13, 19), "mouth": ellipse(56, 95, 26, 15), "half": x < SIDE // 2}


def soften(masks: Masks) -> NDArray[np.float32]:
    """Masks (C, H, W) blurred by a Gaussian of 2 pixels: how much of the pasted face shows. Needs scipy."""
    need("measuring explanations", "scipy")
    from scipy.ndimage import gaussian_filter

    soft: NDArray[np.float32] = gaussian_filter(masks.astype(np.float32), (0, BLUR, BLUR), mode="nearest")
    return soft


def blend(into: Crops, of: Crops, masks: Masks, soft: NDArray[np.float32]) -> Crops:
    """The face `into` with the face `of` inside each mask: (H, W, 3) uint8 twice -> (C, H, W, 3) uint8.

    masks : (C, H, W) bool, none of them empty. soft : ``soften(masks)``. The colours of `of` inside a mask are moved,
    channel by channel, to the mean that `into` has there, and their deviation to its, by no more than a factor of 2.
    """
    target, source = into.astype(np.float32), of.astype(np.float32)
    mean_into, std_into = _moments(target, masks)
    mean_of, std_of = _moments(source, masks)
    gain = np.divide(std_into, std_of, out=np.ones_like(std_of), where=std_of > 0).clip(1 / GAIN, GAIN)
    moved = (source - mean_of) * gain + mean_into
    mixed: Crops = np.rint(target + soft[..., None] * (moved - target)).clip(0, 255).astype(np.uint8)
    return mixed


def _moments(image: NDArray[np.float32], masks: Masks) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and deviation (C, 1, 1, 3) of the colours inside each mask."""
    inside = masks.reshape(len(masks), -1).astype(np.float32)
    pixels = image.reshape(-1, 3)
    count = inside.sum(1, keepdims=True)
    mean = inside @ pixels / count
    middle = pixels.mean(0)  # around which squares are small
    variance = inside @ (pixels - middle) ** 2 / count - (mean - middle) ** 2
    return mean[:, None, None], np.sqrt(variance.clip(0))[:, None, None]
