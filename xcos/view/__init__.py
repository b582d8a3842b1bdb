"""The one interactive view of an explanation: in notebooks, in reports, on the local page of ``xcos serve``.

It is a custom element, ``<xcos-explanation>``, in plain JavaScript: nothing is fetched and nothing is compiled.
Where scripts don't run (code hosts, notebooks that are not trusted) the element's children show: the picture.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..base.extras import need
from ..drawing.scales import SCALES
from ..drawing.shown import Placed, Reason, ShownPart, told
from ..drawing.surroundings import around
from ..measured.truth import LITTLE

__all__ = ["element_script", "explanation_bundle", "explanation_html", "explanation_page", "explanation_value"]

_DIGITS = 7  # of a float32, all that it has
_PAGE = """\
:root { color-scheme: light dark; color: #1d1d1f; background: #fff }
@media (prefers-color-scheme: dark) { :root { color: #e8eaed; background: #111317 } }
body { margin: 0 auto; max-width: 72rem; padding: 0.5rem; font-family: system-ui, sans-serif }
h1 { margin: 0.3rem 0; font-size: 1.1rem; overflow-wrap: anywhere }
"""


class Viewed(Reason, Protocol):
    """An explanation that tells its decision in words, for where neither scripts run nor pictures can be drawn."""

    def facts(self) -> Mapping[str, str]: ...


def explanation_html(
    e: Viewed, *, fallback: bool = True, script: bool = True, photos: Sequence[Placed] = ()
) -> str:
    """An explanation as a fragment of HTML, to be put anywhere in a page.

    The page needs no style of its own; the view follows its width and whether it is light or dark. A page with a
    content security policy must allow this script and ``img-src data:``.

    Parameters
    ----------
    e : Explanation
        The explanation.
    fallback : bool, default True
        With the picture (without matplotlib: the decision) for where scripts don't run.
    script : bool, default True
        With the script; a page of many views wants it once: see :func:`element_script`.
    photos : (OnPhoto, OnPhoto), optional
        As for :func:`explanation_value`.

    Returns
    -------
    str
        HTML.

    Examples
    --------
    >>> import xcos
    >>> a, b = "examples/obama_portrait_2012.jpg", "examples/obama_congress_2009.jpg"
    >>> xcos.view.explanation_html(xcos.explain(a, b))[:17]
    '<xcos-explanation'
    """
    return _element(e, _fallback(e) if fallback else "", script, photos)


def explanation_bundle(e: Viewed) -> dict[str, str]:
    """What a notebook shows of an explanation: the interactive view, and its picture for code hosts and for print.

    Both hold the same picture, drawn once.

    Parameters
    ----------
    e : Explanation
        The explanation.

    Returns
    -------
    dict
        Contents by MIME type, as ``_repr_mimebundle_`` of IPython has them: text/html and, where there is matplotlib,
        image/jpeg in base64 (a fifth of its PNG, which a notebook has to carry).

    Examples
    --------
    >>> import xcos
    >>> a, b = "examples/obama_portrait_2012.jpg", "examples/obama_congress_2009.jpg"
    >>> sorted(xcos.view.explanation_bundle(xcos.explain(a, b)))
    ['image/jpeg', 'text/html']
    """
    if not find_spec("matplotlib"):
        return {"text/html": explanation_html(e)}
    from ..drawing import plot

    webp, jpeg = (b64encode(picture).decode() for picture in plot.rasters(e, ("webp", "jpeg")))
    return {"text/html": _element(e, _picture(e, webp), True, ()), "image/jpeg": jpeg}


def _element(e: Viewed, inside: str, script: bool, photos: Sequence[Placed]) -> str:
    from html import escape

    value = escape(json.dumps(explanation_value(e, photos), ensure_ascii=False, separators=(",", ":")), quote=True)
    code = f"<script>{element_script()}</script>" if script else ""
    return f'<xcos-explanation value="{value}">{inside}</xcos-explanation>{code}'


def explanation_page(e: Viewed, photos: Sequence[Placed] = ()) -> str:
    """An explanation as a page of its own, in one file that fetches nothing.

    Parameters
    ----------
    e : Explanation
        The explanation.
    photos : (OnPhoto, OnPhoto), optional
        As for :func:`explanation_value`.

    Returns
    -------
    str
        HTML.

    Examples
    --------
    >>> import xcos
    >>> a, b = "examples/obama_portrait_2012.jpg", "examples/obama_congress_2009.jpg"
    >>> xcos.view.explanation_page(xcos.explain(a, b))[:15]
    '<!doctype html>'
    """
    from html import escape

    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
        "script-src 'unsafe-inline'; style-src 'unsafe-inline'\">\n"
        f"<title>{escape(' and '.join(e.names))}: xcos</title>\n"
        f"<style>{_PAGE}</style>\n</head>\n<body>\n"
        f"<main>\n<h1>{escape(' and '.join(e.names))}</h1>\n{explanation_html(e, photos=photos)}\n</main>\n"
        "</body>\n</html>\n"
    )


def explanation_value(e: Viewed, photos: Sequence[Placed] = ()) -> dict[str, Any]:
    """What the element reads.

    ``e.to_dict()`` with numbers of 7 digits, the crops as PNG data URLs, the scales, the sentences, the parts with
    their share of each cell, and with `truth` the window's side as a share of the crop's, which cells know little, and
    below which accuracy.

    Parameters
    ----------
    e : Explanation
        The explanation.
    photos : (OnPhoto, OnPhoto), optional
        The two photographs, which the view then shows around the faces: pictures as data URLs, their sizes, and the
        corners of the cells in them. Needs Pillow.

    Returns
    -------
    dict
        Ready for JSON.

    Examples
    --------
    >>> import xcos
    >>> a, b = "examples/obama_portrait_2012.jpg", "examples/obama_congress_2009.jpg"
    >>> sorted(xcos.view.explanation_value(xcos.explain(a, b))["scales"])
    ['attention', 'contribution', 'cosine', 'deviation', 'evidence']
    """
    value = e.to_dict()
    for name, content in value.items():
        if name not in ("names", "llr_interval") and isinstance(content, list):
            value[name] = [[float(f"{x:.{_DIGITS}g}") for x in row] for row in content]
    worth = [] if e.llr is None else [f"{e.worth()[0].upper()}{e.worth()[1:]}."]
    if notes := [*e.notes(), *worth]:
        value["notes"] = notes
    if sentences := told(e):
        value["sentences"] = sentences
        value["parts"] = [_part(part) for part in e.parts.values()]
    if photos:
        value["photos"] = [_photo(photo) for photo in photos]
    crops = [f"data:image/png;base64,{b64encode(png(crop)).decode()}" for crop in e.crops]
    if e.truth is not None:
        share = e.truth.window / e.crops.shape[1]
        value["truth"] |= {"share": share, "little": e.truth.little.tolist(), "least": LITTLE}
    return {**value, "crops": crops, "scales": {name: (scale.low, scale.high) for name, scale in SCALES.items()}}


def _part(part: ShownPart) -> dict[str, Any]:
    """A part of the face; numbers of one that is in no cell are null."""
    made: dict[str, Any] = {"shares": part.shares.round(2).tolist()}
    for name, value in part.to_dict().items():
        number = isinstance(value, float)
        made[name] = (float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None) if number else value
    return made


def _photo(photo: Placed) -> dict[str, Any]:
    """A photograph around the face; corners (H, W, 4, 2) of the cells in pixels of what is shown."""
    from io import BytesIO

    need("photographs in the view", "PIL", extra="plot")
    from PIL import Image

    part, (left, right, bottom, top) = around(photo)
    height, width = part.shape[:2]
    corners = (photo.grid - (left, top)) * (width / (right - left), height / (bottom - top))
    file = BytesIO()
    Image.fromarray(part).save(file, "JPEG", quality=88)
    url = f"data:image/jpeg;base64,{b64encode(file.getvalue()).decode()}"
    return {"src": url, "width": width, "height": height, "cells": corners.round(1).tolist()}


@cache
def element_script() -> str:
    """The script that defines ``<xcos-explanation>``; a second one in the same page does nothing.

    Returns
    -------
    str
        JavaScript.

    Examples
    --------
    >>> import xcos
    >>> "xcos-explanation" in xcos.view.element_script()
    True
    """
    folder = files(__package__)
    style = folder.joinpath("explanation.css").read_text(encoding="utf-8")
    return folder.joinpath("explanation.js").read_text(encoding="utf-8").replace("@style@", style)


def png(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG file of (H, W, 3) uint8 RGB: each line is stored as its difference from the one above."""
    height, width, _ = pixels.shape
    lines = pixels.reshape(height, -1)
    differences = np.diff(lines, axis=0, prepend=np.zeros_like(lines[:1]))  # modulo 256, as PNG's filter "up"
    filtered = np.concatenate([np.full((height, 1), 2, np.uint8), differences], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits, RGB
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(filtered.tobytes(), 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def _fallback(e: Viewed) -> str:
    from html import escape

    if not find_spec("matplotlib"):
        return "".join(f"<p>{escape(name)}: {escape(value)}</p>" for name, value in e.facts().items())
    from ..drawing import plot

    return _picture(e, b64encode(plot.render(e, "webp")).decode())


def _picture(e: Viewed, webp: str) -> str:
    """As WebP, a quarter of its PNG, in base64."""
    from html import escape

    alt = escape(f"{e.names[0]} and {e.names[1]}: {e.sentence()}", quote=True)
    return f'<img alt="{alt}" src="data:image/webp;base64,{webp}" style="max-width: 100%">'
