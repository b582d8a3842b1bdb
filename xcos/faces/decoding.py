"""Encoded pictures as pixels: by the core, and where it refuses by Pillow, if that is there."""

from __future__ import annotations

import io
import logging
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..errors import ImageError

_log = logging.getLogger("xcos")
_opening = Lock()  # of two threads that put Pillow's limit back one would put back the other's

# The largest cameras of phones have 200 megapixels: 600 MB of RGB, and as much again while a JPEG is decoded.
MAX_PIXELS = 200_000_000

# Of a JPEG that breaks off: how many of its pixels may be missing, and the levels by which one differs that is.
_MISSING, _VISIBLE = 0.1, 8

# What Pillow may try. No format that runs another program (EPS) or is told by nothing but its name (TGA).
_FORMATS = (
    "AVIF", "BMP", "DIB", "GIF", "HEIF", "ICNS", "ICO", "JPEG", "JPEG2000", "JXL", "MPO", "PNG", "PPM", "TIFF", "WEBP",
)  # fmt: skip
_BEGINNINGS = (
    b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"\0\0\1\0", b"\0\0\0\x0cjP  ",
    b"\xff\x4f\xff\x51", b"\xff\x0a", b"icns", b"P1", b"P2", b"P3", b"P4", b"P5", b"P6",
)  # fmt: skip


def is_encoded(data: bytes) -> bool:
    """Do these bytes begin like the file of a picture?"""
    return data.startswith(_BEGINNINGS) or data[4:8] == b"ftyp" or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")


def decode(data: bytes, name: str, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """The picture that a file holds, upright: (H, W, 3) uint8 RGB.

    What the core does not read, or finds damaged, is given to Pillow: formats of its own, and files that are
    whole enough to be shown. Raises ImageError, beginning with `name`.
    """
    try:
        return _core.decode(data, max_pixels)
    except _core.LimitError as error:
        raise ImageError(f"{name}: {error}") from None
    except (_core.FormatError, _core.UnsupportedError) as error:
        refusal, known = str(error), "the content is" not in str(error)
        damaged = known and isinstance(error, _core.FormatError)
    if not is_encoded(data):
        raise ImageError(f"{name}: {refusal}")
    if refusal == "truncated JPEG" and (ended := _without_end(data, max_pixels)) is not None:
        _log.warning("%s: %s; nearly all of its pixels are there, read with the last ones made up", name, refusal)
        return ended
    pixels = _by_pillow(data, name, refusal, max_pixels)
    if damaged:
        _log.warning("%s: %s; read as far as PIL shows it", name, refusal)
    return pixels


def decode_reduced(data: bytes, name: str, max_pixels: int, at_least: int) -> tuple[NDArray[np.uint8], int]:
    """The same, and by how much it is made smaller (`_core.decode_reduced`): a large JPEG is read sooner that way."""
    try:
        return _core.decode_reduced(data, max_pixels, at_least)
    except (_core.LimitError, _core.FormatError, _core.UnsupportedError):
        return decode(data, name, max_pixels), 1


def _without_end(data: bytes, max_pixels: int) -> NDArray[np.uint8] | None:
    """A JPEG that breaks off, where no more than `_MISSING` of its pixels depend on what is missing: those that change
    with what is put in its place."""
    if not _last_scans_have_begun(data):
        return None
    begun = data.rstrip(b"\xff")
    endings = [bits * (len(data) // 2) + b"\xff\xd9" for bits in (b"", b"\x55\x55", b"\x2a\x91")]
    try:
        ended, *others = (_core.decode(begun + ending, max_pixels) for ending in endings)
    except (_core.FormatError, _core.UnsupportedError):
        return None
    made_up = np.zeros(ended.shape[:2], bool)
    for other in others:
        made_up |= (np.maximum(ended, other) - np.minimum(ended, other) > _VISIBLE).any(axis=2)
    return ended if made_up.mean() <= _MISSING else None


def _last_scans_have_begun(data: bytes) -> bool:
    """Has each component of a JPEG a scan of its last coefficients, in full precision (ITU-T T.81, B.2.3)?"""
    frame = max(data.rfind(marker) for marker in (b"\xff\xc0", b"\xff\xc1", b"\xff\xc2"))
    begun: set[int] = set()
    for scan in re.finditer(rb"\xff\xda\x00.(.)", data[frame:] if frame >= 0 else b"", re.DOTALL):
        at, count = frame + scan.end(), 2 * scan[1][0]
        end = data[at + count : at + count + 3]  # first and last coefficient, precision before and after
        if len(end) == 3 and end[1] == 63 and end[2] & 15 == 0:
            begun |= set(data[at : at + count : 2])
    return bool(begun) and len(begun) == data[frame + 9]


def _by_pillow(data: bytes, name: str, refusal: str, max_pixels: int) -> NDArray[np.uint8]:
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise ImageError(f"{name}: {refusal}; PIL (Pillow) reads more: pip install xcos[images]") from None
    Image.init()
    heif = data[4:8] == b"ftyp" and _register_heif()
    try:
        with _unlimited():
            image = Image.open(io.BytesIO(data), formats=[kind for kind in _FORMATS if kind in Image.OPEN])
        check_size(image, name, max_pixels)
        with _unlimited() if image.width * image.height > (Image.MAX_IMAGE_PIXELS or math.inf) else nullcontext():
            image.load()
    except ImageError:
        raise
    except Exception as error:  # whatever a plugin makes of damaged bytes
        said = " ".join(str(error).split())[:160]
        why = "PIL does not read it" if isinstance(error, UnidentifiedImageError) else f"PIL: {said}"
        if data[4:8] == b"ftyp" and not heif:
            why = "HEIC needs pillow-heif: pip install xcos[images]"
        raise ImageError(f"{name}: {refusal}; {why}") from None
    return from_pil(image, name, max_pixels)


@contextmanager
def _unlimited() -> Iterator[None]:
    """Without Pillow's own limit of pixels, which is less than ours and belongs to the whole process."""
    from PIL import Image

    with _opening:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _register_heif() -> bool:
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


def from_pil(image: Any, name: str, max_pixels: int) -> NDArray[np.uint8]:
    """The pixels of a PIL image, upright: (H, W, 3) uint8 RGB. Raises ImageError, beginning with `name`."""
    from PIL import ImageOps

    check_size(image, name, max_pixels)
    if image.mode in ("I", "F"):
        raise ImageError(f"{name}: a PIL image of mode {image.mode} has no fixed range; convert it to 8 bits")
    try:
        image.load()
    except (OSError, SyntaxError, ValueError, EOFError) as error:  # pixels are read as late as here
        raise ImageError(f"{name}: {error}") from None
    try:
        image = ImageOps.exif_transpose(image)
    except Exception as error:  # damaged Exif says nothing
        _log.debug("%s: %s", name, error)
    if image.mode.startswith("I;16"):
        return _from_16_bits(image)
    try:
        if image.mode == "La":  # premultiplied grey has no way to colour of its own
            image = image.convert("LA")
        transparent = image.mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in image.info
        image = image.convert("RGBA" if transparent else "RGB")
    except ValueError as error:
        raise ImageError(f"{name}: a PIL image of mode {image.mode} ({error}); convert it to RGB") from None
    pixels = np.asarray(image)
    return over_white(pixels[:, :, :3], pixels[:, :, 3:]) if transparent else np.ascontiguousarray(pixels)


def check_size(image: Any, name: str, max_pixels: int) -> None:
    """Raises ImageError for a PIL image of more than `max_pixels`."""
    if image.width * image.height > max_pixels:
        size = f"{image.width} x {image.height} pixels"
        raise ImageError(f"{name}: {size}, more than the limit of {max_pixels} (max_pixels)")


def _from_16_bits(image: Any) -> NDArray[np.uint8]:
    """Grey of 16 bits: the upper byte, as the core does it; the value that stands for transparent is white."""
    pixels = np.asarray(image)
    grey = (pixels >> 8).astype(np.uint8)
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        grey[pixels == clear] = 255
    return np.repeat(grey[:, :, None], 3, axis=2)


def over_white(colour: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Transparent pixels over white, as the core composes them."""
    wide = alpha.astype(np.uint16)  # 255 * 255 + 127 fits
    return ((colour * wide + 255 * (255 - wide) + 127) // 255).astype(np.uint8)
