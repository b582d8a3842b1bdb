"""A case report as one page that fetches nothing, for the screen and for paper."""

from __future__ import annotations

from base64 import b64encode
from importlib.resources import files

from ..drawing import tables
from .content import Report


def html(report: Report) -> str:
    """The report as a page of HTML."""
    return tables.render(
        files(__package__).joinpath("case.html").read_text(encoding="utf-8"),
        report=report, kind_of=lambda block: type(block).__name__, data_url=_data_url,
    )  # fmt: skip


def _data_url(file: bytes) -> str:
    kind = "png" if file.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{b64encode(file).decode()}"
