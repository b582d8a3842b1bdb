"""How small, and how large, a face may be for the detector.

    python benchmarks/small_faces.py ../shared

Every third LFW photograph of SHARED/data is resized so that its main face has the given height and set on
a grey canvas of at least 640 x 480 pixels (above 300 pixels of height the face fills the picture but for
a margin of 40 pixels). Printed: the share of faces found with a score of at least 0.6 (found: a box that
covers the expected one with an intersection over union above 0.4), with one look at full size and with
`xcos.detect`.
"""

import io
import sys
import tarfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import xcos
from xcos import _core
from xcos.faces import looks

HEIGHTS = (8, 12, 16, 20, 24, 32, 48, 96, 200, 400, 600, 800, 1200)
Image = NDArray[np.uint8]


def photographs(tar: Path) -> list[tuple[Image, NDArray[np.float32]]]:
    """Photographs and the boxes of their main faces."""
    out = []
    with tarfile.open(tar) as archive:
        for member in [m for m in archive if m.isfile()][::3]:
            image = xcos.read_image(io.BytesIO(archive.extractfile(member).read()))  # type: ignore[union-attr]
            out.append((image, looks.find(image, 0.6, 0.3, looks.MAX_SIDE, True, None, main=True)[0, :4]))
    return out


def scene(image: Image, box: NDArray[np.float32], height: int) -> tuple[Image, NDArray[np.float32]]:
    """The photograph at the size that gives its face this height, and where the face is."""
    scale = height / (box[3] - box[1])
    h, w = (max(1, round(side * scale)) for side in image.shape[:2])
    resized, box = _core.resize(image, h, w), box * scale
    if height > 300:
        left, top = np.maximum(box[:2] - 40, 0).astype(int)
        right, bottom = (box[2:] + 40).astype(int)
        return np.ascontiguousarray(resized[top:bottom, left:right]), box - np.array([left, top] * 2)
    canvas = np.full((max(480, h), max(640, w), 3), 110, np.uint8)
    top, left = (canvas.shape[0] - h) // 2, (canvas.shape[1] - w) // 2
    canvas[top : top + h, left : left + w] = resized
    return canvas, box + np.array([left, top] * 2)


def hit(rows: NDArray[np.float32], box: NDArray[np.float32]) -> bool:
    low, high = np.maximum(rows[:, :2], box[:2]), np.minimum(rows[:, 2:4], box[2:])
    shared = np.maximum(high - low, 0).prod(axis=1)
    union = (rows[:, 2:4] - rows[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod() - shared
    return bool((shared > 0.4 * union).any())


def main() -> None:
    photos = photographs(Path(sys.argv[1]) / "data" / "lfw_photos.tar")
    print(f"{len(photos)} faces\n\n{'height':>6s} {'one look':>9s} {'detect':>8s}")
    for height in HEIGHTS:
        one = both = 0
        for image, box in photos:
            picture, expected = scene(image, box, height)
            one += hit(looks.look(picture, (0.6, 0.6), 0.3, 10_000, (0,), None), expected)
            both += hit(looks.find(picture, 0.6, 0.3, looks.MAX_SIDE, True, None), expected)
        print(f"{height:6d} {100 * one / len(photos):8.0f}% {100 * both / len(photos):7.0f}%", flush=True)


if __name__ == "__main__":
    main()
