"""Changes of training crops: flips, colour, blur, masks, and faces pasted onto faces. NumPy, (H, W, 3) uint8."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..faces.cells import covered as shares
from ..faithfulness import blends

Picture = NDArray[np.uint8]

# Rectangles of `paste_rectangles`: how many, and their sides as shares of the picture's (12 to 51 of 112 pixels).
RECTANGLES = (1, 6)
SIDES = (12 / 112, 51 / 112)
WINDOWS = (40 / 112, 80 / 112)  # sides of the windows of `paste_large`
COVERED, FREE = 0.75, 0.02  # shares of a cell: covered above the one, free below the other, between them neither


def paste_rectangles(
    random: np.random.Generator, rows: int, columns: int, sides: tuple[float, float] = SIDES
) -> NDArray[np.bool_]:
    """(rows, columns) bool: 1 to 6 rectangles of random sides and places; True where another face is pasted."""
    mask = np.zeros((rows, columns), bool)
    for _ in range(random.integers(RECTANGLES[0], RECTANGLES[1] + 1)):
        height, width = (
            max(1, int(random.integers(round(sides[0] * size), round(sides[1] * size) + 1))) for size in (rows, columns)
        )
        top, left = random.integers(0, rows - height + 1), random.integers(0, columns - width + 1)
        mask[top : top + height, left : left + width] = True
    return mask


def paste_large(random: np.random.Generator, rows: int, columns: int) -> NDArray[np.bool_]:
    """(rows, columns) bool: a window of 40 to 80 of 112 pixels, all but such a window, or a half plane of any angle up
    to a quarter off the centre; each as likely. True where another face is pasted.

    With small pastes the greater part of the face still tells whose a cell is; with these it does not.
    """
    kind = random.integers(3)
    if kind < 2:
        mask = np.zeros((rows, columns), bool)
        low, high = WINDOWS
        height, width = (int(random.integers(round(low * n), round(high * n) + 1)) for n in (rows, columns))
        top, left = random.integers(0, rows - height + 1), random.integers(0, columns - width + 1)
        mask[top : top + height, left : left + width] = True
        return mask if kind == 0 else ~mask
    angle, off = random.uniform(0, 2 * np.pi), random.uniform(-0.25, 0.25)
    y, x = (np.arange(n)[:, None] / n - 0.5 for n in (rows, columns))
    plane: NDArray[np.bool_] = np.sin(angle) * y + np.cos(angle) * x.T > off
    return plane


def blend(image: Picture, source: Picture, mask: NDArray[np.bool_]) -> Picture:
    """`source` blended into `image` under a mask (H, W) whose edge is blurred by a Gaussian of 2 pixels, its colours
    there moved to the image's mean and, within a factor of 2, standard deviation: no seam tells where it lies."""
    if not mask.any():
        return image
    result: Picture = blends.blend(image, source, mask[None], blends.soften(mask[None]))[0]
    return result


def covered(mask: NDArray[np.bool_], grid: tuple[int, int]) -> NDArray[np.float32]:
    """Share of each cell of `grid` that a mask (..., H, W) covers: (..., rows, columns) float32.

    Raises ValueError unless the mask divides into the cells.
    """
    rows, columns = grid
    height, width = mask.shape[-2:]
    if height % rows or width % columns:
        raise ValueError(f"a mask of {height} x {width} does not divide into {rows} x {columns} cells")
    return shares(mask, grid).astype(np.float32)


class Pasted(NamedTuple):
    """What is seen: a picture, mirrored or not, and in `mask` (H, W) the picture number `source`, mirrored or not, with
    a sharp edge and its own colours or blended (`blend`)."""

    mirrored: bool
    source: int
    source_mirrored: bool
    mask: NDArray[np.bool_]
    blended: bool


@dataclass(frozen=True, slots=True)
class Pasting:
    """Which face is pasted on which, and where: a function of seed, picture and number alone.

    count  : how many pictures there are to take faces from
    mirror : are half of the pictures, and half of the faces, mirrored?
    large  : share of pastes of `paste_large`; the others are of `paste_rectangles`
    blended: share of pastes that are blended
    """

    count: int
    seed: int
    mirror: bool
    large: float = 0.0
    blended: float = 0.0
    side: int = 112

    def __call__(self, picture: int, number: int) -> Pasted:
        """The paste `number` (0, 1 ...) on a picture."""
        random = np.random.default_rng([self.seed, picture, number])
        mirrored, source_mirrored = (bool(self.mirror and random.random() < 0.5) for _ in range(2))
        source = int(picture + random.integers(1, max(self.count, 2))) % self.count
        paste = paste_large if random.random() < self.large else paste_rectangles
        blended = bool(random.random() < self.blended)
        return Pasted(mirrored, source, source_mirrored, paste(random, self.side, self.side), blended)


@dataclass(frozen=True, slots=True)
class Augment:
    """Random changes of a crop, each with its own probability or strength; the defaults change nothing.

    flip   : probability of mirroring left and right
    colour : brightness, contrast and saturation are scaled by 1 - colour to 1 + colour
    blur   : probability of a blur, by reducing to between a half and a quarter and enlarging again
    masks  : pictures (H, W, 4) uint8 RGBA, pasted where they are opaque ...
    mask_share : ... on this share of the crops (the reference's masked training: 0.25)
    """

    flip: float = 0.0
    colour: float = 0.0
    blur: float = 0.0
    masks: Sequence[Picture] = ()
    mask_share: float = 0.25

    def __call__(self, image: Picture, random: np.random.Generator) -> Picture:
        """A changed copy, or the picture itself."""
        if self.masks and random.random() < self.mask_share:
            image = put_mask(image, self.masks[int(random.integers(len(self.masks)))])
        if random.random() < self.flip:
            image = image[:, ::-1]
        if self.colour:
            image = jitter(image, *(1 + self.colour * random.uniform(-1, 1, 3)))
        if random.random() < self.blur:
            image = blurred(image, random)
        return np.ascontiguousarray(image)


def jitter(image: Picture, brightness: float, contrast: float, saturation: float) -> Picture:
    """Brightness, contrast (about the mean grey) and saturation (about each pixel's grey) scaled."""
    x = image.astype(np.float32) * brightness
    grey = x @ np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
    x = (x - grey[..., None]) * saturation + grey[..., None]
    x = (x - grey.mean()) * contrast + grey.mean()
    result: Picture = np.clip(np.rint(x), 0, 255).astype(np.uint8)
    return result


# At strength 1: size, angle (radians), place (pixels of 112), colours (`jitter`), and the share of blurred pictures.
# About what detectors' points and cameras differ by.
_SIZE, _ANGLE, _PLACE, _COLOUR, _BLURRED = 0.06, 0.09, 3.0, 0.25, 0.1


def shaken(image: Picture, strength: float, random: np.random.Generator) -> Picture:
    """A crop (H, W, 3) a little larger or smaller, turned, moved, in other colours, some of them blurred; what lies
    outside the crop is its edge."""
    height, width = image.shape[:2]
    size = 1 + strength * _SIZE * random.uniform(-1, 1)
    angle = strength * _ANGLE * random.uniform(-1, 1)
    place = strength * _PLACE * height / 112 * random.uniform(-1, 1, 2)
    around = height // 4
    centre = np.array([width - 1, height - 1]) / 2
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / size
    matrix = np.column_stack([turn, centre + around + place - turn @ centre])
    wide = np.pad(image, ((around, around), (around, around), (0, 0)), "edge")
    moved = jitter(_core.warp(wide, matrix, height, width), *(1 + strength * _COLOUR * random.uniform(-1, 1, 3)))
    return blurred(moved, random) if random.random() < strength * _BLURRED else moved


def blurred(image: Picture, random: np.random.Generator) -> Picture:
    """Reduced to between a quarter and half of its size, and enlarged again."""
    height, width = image.shape[:2]
    side = int(random.integers(height // 4, height // 2 + 1))
    return _core.resize(_core.resize(np.ascontiguousarray(image), side, side), height, width)


def put_mask(image: Picture, mask: Picture) -> Picture:
    """An RGBA picture, resized to the crop, over it by its opacity."""
    height, width = image.shape[:2]
    colour = _core.resize(np.ascontiguousarray(mask[..., :3]), height, width)
    opacity = _core.resize(np.ascontiguousarray(np.repeat(mask[..., 3:], 3, axis=2)), height, width)
    share = opacity.astype(np.float32) / 255
    return np.rint(image * (1 - share) + colour * share).astype(np.uint8)


def read_masks(folder: str | os.PathLike[str]) -> list[Picture]:
    """All RGBA pictures of a folder (PNG), with Pillow. ValueError when there are none."""
    from PIL import Image

    masks = [np.asarray(Image.open(path).convert("RGBA")) for path in sorted(Path(folder).glob("*.png"))]
    if not masks:
        raise ValueError(f"{folder}: holds no .png of masks")
    return masks
