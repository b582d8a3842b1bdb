"""What a request brings: a form, as browsers and curl send it, or the same as JSON with the pictures in base64."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from python_multipart.exceptions import MultipartParseError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from ..faces.image import encoded_text
from .limits import Limits, Refused

# Names under which other programs send the same fields (deepface's API).
_ALSO = {"a": ("img1", "img1_path"), "b": ("img2", "img2_path"), "image": ("img", "img_path")}


class Form:
    """The fields of a request: pictures as uploads or as texts of base64, everything else as texts or numbers."""

    def __init__(self, fields: Mapping[str, Any], limits: Limits) -> None:
        self._fields, self._limits = fields, limits

    async def picture(self, field: str) -> bytes:
        """The file of a picture. Raises Refused where it is missing, too large, or no base64."""
        value = self._get(field)
        if isinstance(value, UploadFile):
            data: bytes = await value.read()
        elif isinstance(value, str) and value:
            data = encoded_text(value) or b""
            if not data:
                raise Refused(400, f"{field}: expected a picture as base64, data:image/jpeg;base64,… or bare")
        else:
            raise Refused(400, f"expected a picture in the field {field!r} of the form")
        if len(data) > self._limits.picture_bytes:
            raise Refused(413, _too_large(self._limits))
        return data

    def name(self, field: str, otherwise: str) -> str:
        """What an upload is called."""
        value = self._get(field)
        name = value.filename if isinstance(value, UploadFile) else None
        return (name or otherwise)[:200]

    def face(self, field: str) -> int | None:
        """The number of a face; None where none is given. Raises Refused for anything else."""
        value = self._get(field)
        if value is None or value == "":
            return None
        text = str(value)
        if isinstance(value, (bool, float)) or not text.isascii() or not text.isdigit() or len(text) > 6:
            raise Refused(400, f"{field}: expected a number of a face, counted from 0 as /detect lists them")
        return int(text)

    def text(self, field: str, otherwise: str | None = None) -> str:
        """A text that has something in it. Raises Refused where there is none (unless there is another in its place),
        or one of more than 200 characters."""
        value = self._get(field)
        if otherwise is not None and (value is None or value == ""):
            return otherwise
        if not isinstance(value, str) or not value.strip() or len(value) > 200:
            raise Refused(400, f"{field}: expected a text of 1 to 200 characters")
        return value.strip()

    def one_of(self, field: str, known: tuple[str, ...]) -> str:
        """One of some texts, the first where none is given. Raises Refused for anything else."""
        value = self._get(field) or known[0]
        if value not in known:
            raise Refused(400, f"{field}: expected one of {', '.join(known)}, got {str(value)[:40]!r}")
        return str(value)

    def most(self, field: str, otherwise: int) -> int:
        """A number of 1 to 100. Raises Refused for anything else."""
        value = self._get(field)
        if value is None or value == "":
            return otherwise
        text = str(value)
        whole = not isinstance(value, (bool, float)) and text.isascii() and text.isdigit()
        if not whole or not 1 <= int(text[:4]) <= 100:
            raise Refused(400, f"{field}: expected a number of 1 to 100, got {text[:40]!r}")
        return int(text)

    def threshold(self) -> float | None:
        """The threshold; None where none is given. Raises Refused for what is no number of -1 to 1."""
        value = self._get("threshold")
        if value is None or value == "":
            return None
        try:
            number = float(value) if isinstance(value, (str, int, float)) else math.nan
        except ValueError:
            number = math.nan
        if isinstance(value, bool) or not -1 <= number <= 1:
            raise Refused(400, f"threshold: expected a number of -1 to 1, got {str(value)[:40]!r}")
        return number

    def _get(self, field: str) -> Any:
        return next((self._fields[name] for name in (field, *_ALSO.get(field, ())) if name in self._fields), None)


async def read_form(request: Request, limits: Limits) -> Form:
    """The form of a request, in memory alone. Raises Refused when it is none, too large or too slow."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("multipart/form-data", "application/json"):
        raise Refused(415, "expected a form (multipart/form-data), or application/json with pictures in base64")
    most = limits.body_bytes if kind == "multipart/form-data" else 4 * limits.body_bytes // 3  # what base64 adds
    if int(request.headers.get("content-length", 0)) > most:
        raise Refused(413, _too_large(limits))

    async def body() -> AsyncGenerator[bytes, None]:
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > most:
                raise Refused(413, _too_large(limits))
            yield chunk

    try:
        if kind == "application/json":
            return Form(await asyncio.wait_for(_json(body()), limits.upload_s), limits)
        parser = MultiPartParser(request.headers, body(), max_files=2, max_fields=8)
        parser.spool_max_size = limits.body_bytes + 1  # larger parts would go to a file; there are none
        return Form(await asyncio.wait_for(parser.parse(), limits.upload_s), limits)
    except (MultiPartException, MultipartParseError, KeyError, UnicodeDecodeError) as error:
        raise Refused(400, f"the form is damaged: {getattr(error, 'message', '') or error}") from None
    except asyncio.TimeoutError:
        raise Refused(408, f"the pictures took longer than {limits.upload_s:g} s to arrive") from None


async def _json(chunks: AsyncGenerator[bytes, None]) -> Mapping[str, Any]:
    data = b"".join([chunk async for chunk in chunks])
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"the JSON is damaged: {str(error)[:120]}") from None
    if not isinstance(value, dict):
        raise Refused(400, "expected a JSON object with the fields of the form")
    return value


def _too_large(limits: Limits) -> str:
    return f"a picture may have {limits.picture_bytes / (1 << 20):.3g} MiB at most"
