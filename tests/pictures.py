"""Encoded pictures for the tests of read_image."""

import io
import struct

import numpy as np
from PIL import Image

RNG = np.random.default_rng(5)
NOISE = RNG.integers(0, 256, (37, 53, 3), np.uint8)
SMOOTH = np.stack(
    [np.add.outer(np.arange(48) * a, np.arange(64) * b) % 256 for a, b in ((2, 1), (1, 3), (3, 0))], 2
).astype(np.uint8)


def encode(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def exif(orientation: int, order: str = "<") -> bytes:
    tiff = struct.pack(f"{order}2sHIH", b"II" if order == "<" else b"MM", 42, 8, 2)
    tiff += struct.pack(f"{order}HHIHH", 0x0100, 3, 1, 64, 0)
    return b"Exif\0\0" + tiff + struct.pack(f"{order}HHIHHI", 0x0112, 3, 1, orientation, 0, 0)
