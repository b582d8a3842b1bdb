"""Pictures of any origin as (H, W, 3) uint8 RGB arrays: the one way in, for whoever takes pictures."""

from __future__ import annotations

import base64
import binascii
import errno
import io
import mmap
import os
import re
import sys
from pathlib import Path
from threading import Lock
from typing import IO, TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..base.names import LONGEST, shown
from ..errors import ImageError
from . import decoding
from .decoding import MAX_PIXELS, decode, decode_reduced

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "MAX_PIXELS", "ImageLike", "Many", "OneImage", "as_encoded", "as_list", "content_of", "describe", "encoded_text",
    "local_path", "read_content", "read_image", "read_reduced", "title",
]  # fmt: skip



class HasArray(Protocol):
    """What becomes a NumPy array: arrays and tensors of any library, columns of tables."""

    def __array__(self) -> NDArray[Any]: ...


# Photographs as type checkers see them. An array may be one or a stack of them; all others tell by their type.
OneImage: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | Image"
ImageLike: TypeAlias = "OneImage | NDArray[Any] | HasArray"
Many: TypeAlias = "list[Any] | tuple[Any, ...]"  # Any, since lists are invariant: a list of paths is none of ImageLike

_EXPECTED = "a path, bytes, a binary file, a PIL image or an array of shape (H, W, 3), uint8 RGB"
_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{64}")  # the beginning; no picture is shorter
_QUOTED = re.compile(rb"""b?(['"])(.*)\1""", re.DOTALL)
_reading = Lock()  # file objects have one position, whoever reads


def read_image(x: ImageLike, *, bgr: bool = False, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Reads a picture and returns it as an array, upright.

    `x` is one of

    - a path (str or os.PathLike) of a JPEG, PNG, BMP, GIF (first frame) or PNM file, with Pillow also WebP, AVIF,
      TIFF, JPEG 2000 and ICO, with pillow-heif HEIC: the content decides, not the name. A ``file:`` URL of this
      machine, a ``data:`` URL and base64 are read, too; nothing is ever fetched from a network;
    - bytes, bytearray or memoryview of such a file, the same in a uint8 array of one dimension (or one column or
      row), or a binary file object, read from where it stands and put back there;
    - a PIL image;
    - an array: (H, W, 3) or (H, W, 4) uint8 RGB(A), (H, W), (H, W, 1) or (H, W, 2) grey (and alpha);
      uint16 is reduced to its upper byte. The result may share memory with it.

    Orientation is applied, from Exif, or from XMP or text chunks where that has none; grey is repeated, transparency is
    composed over white, 16 bits become 8. A file that is damaged but whole enough to be shown (Pillow shows it) is
    read, with a warning of the log.

    Parameters
    ----------
    x : image
        The picture.
    bgr : bool, default False
        The channels of an *array* are in the order of OpenCV; other inputs say their order themselves.
    max_pixels : int, optional
        Files, bytes and PIL images of more pixels are refused before memory is taken for them.

    Returns
    -------
    (H, W, 3) ndarray of uint8
        RGB, C-contiguous.

    Raises
    ------
    ImageError
        The content (which is named) is no such picture, is damaged, truncated, empty or too large, or the array is of
        another shape or type. It is a ValueError.
    OSError
        A path cannot be read: FileNotFoundError, IsADirectoryError, PermissionError ...
    TypeError
        `x` is another object.
    ValueError
        `max_pixels` is below 1.

    Examples
    --------
    >>> import xcos
    >>> image = xcos.read_image("examples/obama_portrait_2012.jpg")
    >>> image.shape, image.dtype.name
    ((900, 720, 3), 'uint8')
    """
    if max_pixels < 1:
        raise ValueError(f"max_pixels: expected at least 1, got {max_pixels}")
    return read_content(content_of(x), describe(x), bgr, max_pixels)


def read_content(content: Any, name: str, bgr: bool, max_pixels: int) -> NDArray[np.uint8]:
    """The pixels of what `content_of` gives. Raises ImageError, beginning with `name`."""
    if isinstance(content, bytes):
        return decode(content, name, max_pixels)
    if isinstance(content, np.ndarray):
        return _from_array(content, bgr, name)
    return decoding.from_pil(content, name, max_pixels)


def read_reduced(content: Any, name: str, bgr: bool, max_pixels: int, at_least: int) -> tuple[NDArray[np.uint8], int]:
    """The same; a large JPEG perhaps made smaller, and by how much: its longer side keeps `at_least` pixels."""
    if isinstance(content, bytes):
        return decode_reduced(content, name, max_pixels, at_least)
    return read_content(content, name, bgr, max_pixels), 1


def as_list(images: Any) -> tuple[list[Any], bool]:
    """Images as a list, and whether it was a single one.

    Many are a list or tuple, an array or tensor (N, H, W, C), and one of paths or other objects in one dimension, as
    a column of a pandas table.
    """
    if isinstance(images, (list, tuple)):
        return list(images), False
    if isinstance(images, (str, bytes, bytearray, memoryview, os.PathLike)) or not hasattr(images, "__array__"):
        return [images], True
    if getattr(images, "ndim", None) == 4:
        return list(_array(images, describe(images))), False
    if getattr(images, "ndim", None) == 1 and np.asarray(images).dtype.kind in "OUST":
        return np.asarray(images, object).tolist(), False
    return [images], True


def as_encoded(x: Any) -> bytes:
    """A picture of a data set as the bytes of a file: encoded ones as they are, arrays of pixels as PPM.

    Raises TypeError and ImageError as `read_image`; a text is no picture here.
    """
    if isinstance(x, list):
        x = bytes(x)  # numbers of 0 to 255
    content = content_of(x) if not isinstance(x, (str, os.PathLike)) else x
    if isinstance(content, np.ndarray):
        pixels = _from_array(content, False, describe(x))
        return f"P6\n{pixels.shape[1]} {pixels.shape[0]}\n255\n".encode() + pixels.tobytes()
    if not isinstance(content, bytes):
        raise TypeError(f"a picture must be the bytes of a file or an array; got {type(x).__name__}")
    return content


def describe(x: Any) -> str:
    """A short name of an input for messages: its path, "<bytes>", "<array (480, 640, 3) uint8>"…"""
    if isinstance(x, str) and x[:5].lower() == "data:":
        return "<data: URL>"
    if isinstance(x, str) and len(x) > LONGEST and _BASE64.match(x[:100].encode("utf-8", "replace")):
        return f"<text of {len(x)} characters>"
    if isinstance(x, (str, os.PathLike)):
        return shown(x)
    if isinstance(x, (bytes, bytearray, memoryview)):
        return "<bytes>"
    if isinstance(x, np.ndarray):
        return f"<array {x.shape} {x.dtype}>"
    for attribute in ("filename", "name"):  # PIL images; files
        name = getattr(x, attribute, None)
        if isinstance(name, str) and name:
            return shown(name)
    return f"<{type(x).__name__}>"


def title(x: Any, otherwise: str) -> str:
    """What a photograph is called beside others: the last part of its path, else `otherwise`."""
    name = describe(x) if isinstance(x, (str, os.PathLike)) else "<"
    return otherwise if name.startswith("<") else shown(Path(name).name) or otherwise


def encoded_text(text: str) -> bytes | None:
    """The file that a ``data:`` URL or a text of base64 holds; None for any other text, paths among them.

    Raises nothing: a damaged one is None, too.
    """
    try:
        return _from_text(text.encode("utf-8", "replace"))
    except ImageError:
        return None


def local_path(name: str, folder: Path) -> Path | str:
    """The path that a list in `folder` means by a name: relative to it, with ``~``, with backslashes, with blanks.
    A URL stays what it is, for `read_image` to read or refuse."""
    literal = folder / name
    if literal.exists():
        return literal
    if _URL.match(name) or name[:5].lower() == "file:":
        return name
    for other in (name.strip(), name.strip().replace("\\", "/")):
        path = folder / Path(other).expanduser() if other.startswith("~") else folder / other
        if path.exists():
            return path
    return literal


def content_of(x: Any) -> Any:
    """What a picture is given as: the bytes of a file, an array of pixels, or a PIL image. Errors: see `read_image`."""
    if isinstance(x, (str, os.PathLike)):
        return _read_path(x)
    if isinstance(x, (bytes, bytearray, memoryview)):
        data = bytes(x)
        return _from_text(data) or data
    pil = sys.modules.get("PIL.Image")
    if pil is not None and isinstance(x, pil.Image):
        return x
    if hasattr(x, "__array__"):
        return _from_array_like(x)
    if hasattr(x, "read") or hasattr(x, "read_bytes"):
        return _read_file(x)
    raise TypeError(f"an image must be {_EXPECTED}; got {type(x).__name__}")


def _read_path(path: str | os.PathLike[Any]) -> bytes:
    """The file of that name; where there is none, what the text may be instead: a URL, base64, a path with ``~``."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except ValueError as error:  # a null character
        raise ImageError(f"{describe(path)!r}: is no path ({error})") from None
    except OSError as error:
        if not isinstance(path, str) or error.errno not in (errno.ENOENT, errno.ENAMETOOLONG, errno.EINVAL):
            raise
        kind = path[:5].lower()
        if kind == "file:":
            return _read_path(Path(_path_of_url(path)))
        if kind != "data:" and _URL.match(path):
            raise ImageError(
                f"{describe(path)}: is a URL; xcos reads no network, so download the picture first"
            ) from None
        data = _from_text(path.encode("utf-8", "surrogateescape"))
        if data is not None:
            return data
        if path.startswith("~") and os.path.expanduser(path) != path:
            return _read_path(os.path.expanduser(path))
        if len(path) > LONGEST and error.errno == errno.ENAMETOOLONG:
            raise ImageError(f"<text of {len(path)} characters>: is no path, nor a picture as base64") from None
        raise type(error)(error.errno, error.strerror, describe(path)) from None


def _path_of_url(url: str) -> str:
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        raise ImageError(f"{describe(url)}: is a file of another machine; expected file:///path")
    return url2pathname(parts.path)


def _from_text(text: bytes) -> bytes | None:
    """The bytes that a ``data:`` URL or base64 stands for; None for what is neither, or no picture as base64.

    Raises ImageError for a ``data:`` URL that is damaged.
    """
    if text[:5].lower() == b"data:":
        from urllib.parse import unquote_to_bytes

        head, comma, body = text.partition(b",")
        try:
            if not comma:
                raise ValueError("without a comma")
            body = unquote_to_bytes(body)
            return _from_base64(body) if head.rstrip().lower().endswith(b";base64") else body
        except ValueError as error:
            raise ImageError(f"<data: URL>: damaged ({error}); expected data:image/jpeg;base64,…") from None
    text = text.strip()
    if quoted := _QUOTED.fullmatch(text):  # as print() and JSON write it
        text = quoted[2]
    if not _BASE64.match(text[:64]):
        return None
    try:
        data = _from_base64(text)
    except ValueError:
        return None
    return data if decoding.is_encoded(data) else None


def _from_base64(text: bytes) -> bytes:
    """Base64 of both alphabets, lines and missing padding allowed. Raises ValueError for anything else."""
    plain = b"".join(text.split()).rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
    try:
        return base64.b64decode(plain + b"=" * (-len(plain) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(f"no base64: {error}") from None


def _read_file(file: Any) -> bytes:
    """What a file object holds from where it stands, where it is put back: it may be given a second time."""
    name = describe(file)
    if isinstance(file, io.TextIOBase):
        raise ImageError(f"{name}: is open in text mode; open it with mode 'rb'")
    if not hasattr(file, "read"):
        data, start = file.read_bytes(), None
    else:
        with _reading:
            # An mmap can always be sought in, but says so from Python 3.13 on only.
            seekable = file.seekable() if hasattr(file, "seekable") else isinstance(file, mmap.mmap)
            start = file.tell() if seekable else None
            data = file.read()
            if start is not None:
                file.seek(start)
    if isinstance(data, str):
        raise ImageError(f"{name}: is open in text mode; open it with mode 'rb'")
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise ImageError(f"{name}: its read() gives {type(data).__name__}; expected bytes")
    if not data and start != 0:
        raise ImageError(f"{name}: no bytes are left to read; seek(0) goes back to its beginning")
    return _from_text(bytes(data)) or bytes(data)


def _array(x: Any, name: str) -> NDArray[Any]:
    """A NumPy array of an array or tensor of any library."""
    try:
        if hasattr(x, "detach") and hasattr(x, "cpu"):  # a tensor of PyTorch, perhaps with a gradient, on a GPU
            x = x.detach().cpu()
        return np.asarray(x)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ImageError(f"{name}: cannot become a NumPy array ({str(error)[:120]})") from None


def _from_array_like(x: Any) -> Any:
    """An array of pixels, or what an array holds instead: one object, or the bytes of an encoded file."""
    a = _array(x, describe(x))
    if a.ndim == 0 and a.dtype.kind in "OUSV":
        item = a.item()
        return content_of(item if isinstance(item, (str, bytes)) or a.dtype.kind == "O" else a.tobytes())
    if a.dtype.kind in "OUST":
        kind = "objects" if a.dtype.kind == "O" else "texts"
        raise ImageError(f"{describe(x)}: an array of {kind}; give its items one by one, or as a list")
    flat = a.dtype in (np.uint8, np.int8) and (a.ndim == 1 or (a.ndim == 2 and 1 in a.shape))
    if flat and decoding.is_encoded(data := a.tobytes()):
        return data
    if flat and a.ndim == 1:
        raise ImageError(f"{describe(x)}: no encoded file of a picture, nor pixels (H, W, 3)")
    return a


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
        a = decoding.over_white(a[:, :, :-1], a[:, :, -1:])
    if a.shape[2] == 1:
        a = np.repeat(a, 3, axis=2)
    return np.ascontiguousarray(a[:, :, ::-1] if bgr else a)
