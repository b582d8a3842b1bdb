"""Sunglasses and a mask put on the first face of a photograph, for the pages that show what a map makes of them."""

import numpy as np
from PIL import Image, ImageDraw

import xcos
from xcos.faces import TEMPLATE

# The mask (surgical_mask.png): six points of the picture, and where they lie in an aligned crop of 112 x 112: the edge
# of the cheeks, the bridge of the nose and the chin, as they are in a usual face. Ratios of MaskTheFace's masks.cfg.
MASK = np.array([(10.5, 48.5), (153.5, 11), (300, 49.5), (12.5, 161), (147.5, 235), (300, 161.5)])
PLACES = np.array([(19.0, 67.0), (56.0, 61.0), (93.0, 67.0), (25.0, 97.0), (56.0, 117.0), (87.0, 97.0)])
COVERS = ("sunglasses", "mask")


def covered(photo: Image.Image, cover: str, template: Image.Image) -> Image.Image:
    """The photograph with `cover`, one of COVERS, on its first face; template: the picture of the mask, RGBA."""
    points = xcos.detect(photo)[0].points.astype(float)
    # The similarity crop -> photograph, as complex numbers: z' = turn * z + shift, least squares.
    crop, seen = (np.array(p, float) @ (1, 1j) for p in (TEMPLATE, points))
    centred = crop - crop.mean()
    turn = (centred.conj() @ (seen - seen.mean())) / (centred.conj() @ centred)
    shift = seen.mean() - turn * crop.mean()

    def placed(places: np.ndarray) -> np.ndarray:
        found = turn * (np.asarray(places, float) @ (1, 1j)) + shift
        return np.stack([found.real, found.imag], 1)

    result = photo.convert("RGB")
    if cover == "mask":
        layer = template.transform(
            photo.size, Image.Transform.PERSPECTIVE, _projection(placed(PLACES), MASK), Image.Resampling.BILINEAR
        )
        result.paste(layer, (0, 0), layer)
        return result
    big = 4  # drawn larger, for smooth edges
    layer = Image.new("L", (photo.width * big, photo.height * big))
    draw = ImageDraw.Draw(layer)
    angle = np.linspace(0, 2 * np.pi, 60)
    for x, y in TEMPLATE[:2]:
        lens = placed(np.stack([x + 15 * np.cos(angle), y + 2 + 11 * np.sin(angle)], 1)) * big
        draw.polygon([tuple(point) for point in lens], fill=255)
    (x0, y0), (x1, y1) = TEMPLATE[:2]
    bridge = placed(np.array([(x0 - 16, y0 - 3), (x1 + 16, y1 - 3)])) * big
    draw.line([tuple(point) for point in bridge], fill=255, width=round(3 * abs(turn) * big))
    layer = layer.resize(photo.size, Image.Resampling.BOX)
    result.paste((18, 18, 20), (0, 0), layer)
    return result


def _projection(places: np.ndarray, points: np.ndarray) -> list[float]:
    """The eight numbers of the perspective map from `places` to `points`, least squares."""
    rows, values = [], []
    for (x, y), (u, v) in zip(places, points, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return [float(value) for value in np.linalg.lstsq(np.array(rows), np.array(values), rcond=None)[0]]
