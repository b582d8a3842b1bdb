"""Pictures of any origin as (H, W, 3) uint8 RGB arrays."""

import os
import re
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _core
from .errors import ImageError

MAX_PIXELS = 100_000_000

_EXPECTED = "a path, bytes, a binary file, a PIL image or an array of shape (H, W, 3), uint8 RGB"
_URL = re.compile(r"[a-z][a-z0-9+.-]+://|data:", re.IGNORECASE)


def read_image(x: Any, *, bgr: bool = False, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Reads a picture and returns it as (H, W, 3) uint8 RGB, C-contiguous, upright.

    `x` is one of

    - a path (str or os.PathLike) of a JPEG, PNG, BMP, GIF (first frame) or PNM file: the content
      decides, not the name; nothing is ever fetched from a network;
    - bytes, bytearray or memoryview of such a file, or a binary file object, read from where it stands;
    - a PIL image;
    - an array: (H, W, 3) or (H, W, 4) uint8 RGB(A), (H, W), (H, W, 1) or (H, W, 2) grey (and alpha);
      uint16 is reduced to its upper byte. The result may share memory with it.

    Exif orientation is applied, grey is repeated, transparency is composed over white, 16 bits become 8.

    `bgr`: the channels of an *array* are in the order of OpenCV; other inputs say their order themselves.
    `max_pixels`: files, bytes and PIL images of more pixels are refused before memory is taken for them.

    Raises ImageError (a ValueError) when the content is no such picture, is damaged, truncated, empty or
    too large, or the array is of another shape or type; OSError (FileNotFoundError, IsADirectoryError,
    PermissionError…) when a path cannot be read; TypeError for other objects. Messages name the input.
    """
    if max_pixels < 1:
        raise ValueError(f"max_pixels: expected at least 1, got {max_pixels}")
    if isinstance(x, (str, os.PathLike)):
        return _decode(_read_path(x), describe(x), max_pixels)
    if isinstance(x, (bytes, bytearray, memoryview)):
        return _decode(x, describe(x), max_pixels)
    pil = sys.modules.get("PIL.Image")
    if pil is not None and isinstance(x, pil.Image):
        return _from_pil(x, max_pixels)
    if hasattr(x, "__array__"):
        return _from_array(np.asarray(x), bgr, describe(x))
    if hasattr(x, "read"):
        data = x.read()
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise ImageError(f"{describe(x)}: is open in text mode; open it with mode 'rb'")
        return _decode(data, describe(x), max_pixels)
    raise TypeError(f"an image must be {_EXPECTED}; got {type(x).__name__}")


def describe(x: Any) -> str:
    """A short name of an input for messages: its path, "<bytes>", "<array (480, 640, 3) uint8>"…"""
    if isinstance(x, (str, os.PathLike)):
        path = os.fsdecode(x)
        return path if len(path) <= 300 else f"{path[:299]}…"
    if isinstance(x, (bytes, bytearray, memoryview)):
        return "<bytes>"
    if isinstance(x, np.ndarray):
        return f"<array {x.shape} {x.dtype}>"
    for attribute in ("filename", "name"):  # PIL images; files
        name = getattr(x, attribute, None)
        if isinstance(name, str) and name:
            return name
    return f"<{type(x).__name__}>"


def _read_path(path: str | os.PathLike[Any]) -> bytes:
    if isinstance(path, str) and _URL.match(path):
        raise ImageError(f"{describe(path)}: is a URL; xcos reads no network, so download the picture first")
    try:
        with open(path, "rb") as file:
            return file.read()
    except ValueError as error:  # a null character
        raise ImageError(f"{describe(path)!r}: is no path ({error})") from None


def _decode(data: bytes | bytearray | memoryview, name: str, max_pixels: int) -> NDArray[np.uint8]:
    try:
        return _core.decode(data, max_pixels)
    except (_core.FormatError, _core.LimitError, _core.UnsupportedError) as error:
        raise ImageError(f"{name}: {error}") from None


def _from_pil(image: Any, max_pixels: int) -> NDArray[np.uint8]:
    from PIL import ImageOps

    name = describe(image)
    if image.width * image.height > max_pixels:
        raise ImageError(
            f"{name}: {image.width} x {image.height} pixels, more than the limit of {max_pixels} (max_pixels)"
        )
    if image.mode in ("I", "F"):
        raise ImageError(f"{name}: a PIL image of mode {image.mode} has no fixed range; convert it to 8 bits")
    try:
        image = ImageOps.exif_transpose(image)
        if not image.mode.startswith("I;16"):
            transparent = image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info
            image = image.convert("RGBA" if transparent else "RGB")
        return _from_array(np.asarray(image), False, name)
    except (OSError, SyntaxError) as error:  # pixels are read as late as here
        raise ImageError(f"{name}: {error}") from None


def _from_array(a: NDArray[Any], bgr: bool, name: str) -> NDArray[np.uint8]:
    if a.dtype.kind != "u" or a.dtype.itemsize > 2:
        hint = "; for 0 to 1: (x * 255).round().astype('uint8')" if a.dtype.kind == "f" else ""
        raise ImageError(f"{name}: expected uint8 of 0 to 255 (or uint16), got {a.dtype}{hint}")
    if a.ndim == 2:
        a = a[:, :, None]
    if a.ndim != 3 or a.shape[2] not in (1, 2, 3, 4):
        hint = ""
        if a.ndim == 3 and a.shape[0] in (1, 3, 4):
            hint = "; this one looks like (C, H, W): x.transpose(1, 2, 0) makes it (H, W, C)"
        elif a.ndim == 4:
            hint = "; this one is a stack: give its pictures one by one"
        raise ImageError(f"{name}: expected the shape (H, W), (H, W, 3) or (H, W, 4), got {a.shape}{hint}")
    if a.size == 0:
        raise ImageError(f"{name}: has no pixels")
    if a.dtype.itemsize == 2:
        a = (a >> 8).astype(np.uint8)
    if a.shape[2] in (2, 4):
        a = _over_white(a[:, :, :-1], a[:, :, -1:])
    if a.shape[2] == 1:
        a = np.repeat(a, 3, axis=2)
    return np.ascontiguousarray(a[:, :, ::-1] if bgr else a)


def _over_white(colour: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    wide = alpha.astype(np.uint16)  # 255 * 255 + 127 fits
    return ((colour * wide + 255 * (255 - wide) + 127) // 255).astype(np.uint8)
