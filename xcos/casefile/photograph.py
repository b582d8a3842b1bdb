"""A photograph as it was given: what it was, byte for byte, and where the face was found in it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..faces.decoding import decode, decode_reduced
from ..faces.detection import SIDE, align, align_reduced
from ..faces.image import ImageLike, content_of, describe, read_image
from ..faces.quality import Look

_LONGEST = 1000  # pixels of a photograph as shown
_FRAME = (255, 176, 0)
_ORIENTATIONS = {1: "upright", 2: "mirrored", 3: "turned by 180°", 4: "mirrored, turned by 180°",
                 5: "mirrored, turned by 90°", 6: "turned by 90° clockwise", 7: "mirrored, turned by 270°",
                 8: "turned by 270° clockwise"}  # fmt: skip


@dataclass(frozen=True)
class Photograph:
    """name     what it is called
    digest   SHA-256, in hex, of the file as given, of pixels where it was no file
    facts    of the photograph, by name
    quality  of the face, by name
    picture  as it was given, made smaller, with the outline of the crop: a JPEG file
    crop     the aligned face, a PNG file
    """

    name: str
    digest: str
    facts: Mapping[str, str]
    quality: Mapping[str, str]
    picture: bytes
    crop: bytes

    @classmethod
    def of(cls, image: ImageLike | None, look: Look | None, crop: NDArray[np.uint8], name: str) -> Photograph:
        """The photograph of a comparison, read again.

        Raises ValueError where it can't be had, or is no longer the one that was compared; OSError where it can't be
        read.
        """
        if look is None:
            raise ValueError(f"{name}: explained from features, which hold no photograph; a report shows photographs")
        image = look.path if image is None else image
        if image is None:
            raise ValueError(f"{name}: was given as content, which is not kept; expected it again, photos=(a, b)")
        content, most = content_of(image), look.shape[0] * look.shape[1]
        encoded = isinstance(content, bytes)  # what is decoded is what is hashed
        pixels = decode(content, describe(image), most) if encoded else read_image(image, max_pixels=most)
        if pixels.shape[:2] != look.shape or not np.array_equal(_cut_again(content, pixels, look), crop):
            raise ValueError(f"{describe(image)}: is not the photograph that was compared; has it changed since?")
        digest = sha256(content if encoded else pixels.tobytes()).hexdigest()
        given = "content, without a name" if describe(image) == "<bytes>" else describe(image)
        facts = {"Given as": given, "SHA-256": digest if encoded else f"{digest}, of its pixels as RGB"}
        facts |= _file_facts(content) if encoded else {"File": "none: given as pixels", "Orientation": "—"}
        height, width = look.shape
        facts |= {"Size, upright": f"{width} x {height} pixels", "Face": _where(look)}
        return cls(name, digest, facts, _quality(look), _shown(pixels, look), _png(crop))


def _cut_again(content: Any, pixels: NDArray[np.uint8], look: Look) -> NDArray[np.uint8]:
    """The crop of a photograph, out of its `pixels`, or made smaller as it was then."""
    if look.face is None:
        return pixels
    if look.reduction == 1:
        return align(pixels, look.face)
    side = max(look.shape)
    reduced, reduction = decode_reduced(content, "", pixels.shape[0] * pixels.shape[1], side // look.reduction)
    return align_reduced(reduced, look.face, reduction)


def _file_facts(content: bytes) -> dict[str, str]:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as picture:
            kind, orientation = picture.format or "unknown", int(picture.getexif().get(0x0112, 1))
    except (OSError, ValueError, SyntaxError):  # what the core reads and Pillow does not
        kind, orientation = "unknown", 1
    said = _ORIENTATIONS.get(orientation, "unknown")
    return {"File": f"{kind}, {len(content):,} bytes", "Orientation": f"{said} (Exif {orientation})"}


def _where(look: Look) -> str:
    if look.face is None:
        return "given as an aligned crop"
    left, top, right, bottom = look.face.box
    turned = f", turned by {look.turn}°" if look.turn else ""
    return f"{left:.0f}, {top:.0f} to {right:.0f}, {bottom:.0f}{turned}; detector {look.face.score:.3f}"


def _quality(look: Look) -> dict[str, str]:
    q = look.quality
    verdict = "good enough for an answer" if q.reliable else f"too poor: {q.reason()}"
    return {
        "Quality, 0 to 1": f"{q.value:.2f}, {verdict}",
        "Size of the face": "—" if q.size is None else f"{q.size:.0f} pixels for the crop's 112",
        "Sharpness, 0 to 1": f"{q.sharpness:.2f}",
        "Brightness, 0 to 255": f"{q.brightness:.0f}",
        "Contrast, 0 to 127": f"{q.contrast:.0f}",
        "Noise, levels": f"{q.noise:.1f}",
        "Pose, 0 frontal to 1": "—" if q.pose is None else f"{q.pose:.2f}",
    }


def _shown(pixels: NDArray[np.uint8], look: Look) -> bytes:
    from PIL import Image, ImageDraw

    picture = Image.fromarray(pixels)
    scale = min(1.0, _LONGEST / max(picture.size))
    picture = picture.resize((max(1, round(scale * picture.width)), max(1, round(scale * picture.height))),
                             Image.Resampling.LANCZOS)  # fmt: skip
    if look.face is not None:
        end = SIDE - 0.5
        corners = np.array([[-0.5, -0.5], [end, -0.5], [end, end], [-0.5, end]])
        matrix = look.face.matrix
        outline = scale * (corners @ matrix[:, :2].T + matrix[:, 2] + 0.5)
        draw = ImageDraw.Draw(picture)
        path: Any = [tuple(corner) for corner in (*outline, outline[0])]
        draw.line(path, fill=_FRAME, width=max(2, round(max(picture.size) / 250)), joint="curve")
    return _encoded(picture, "JPEG", quality=88)


def _png(crop: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    return _encoded(Image.fromarray(crop), "PNG")


def _encoded(picture: Any, kind: str, **keywords: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **keywords)
    return buffer.getvalue()
