"""A report for the case file: one comparison with all that it rests on, as PDF or HTML.

What the report says is put together once, in ``content``; ``pdf`` and ``case.html`` only lay it out.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timezone
from typing import IO

from ..base.extras import need
from ..faces.image import ImageLike
from ..faces.quality import Look
from .content import Report, Told, report_of
from .photograph import Photograph

__all__ = ["writers"]

_CALL = "xcos.explain(…).report(…), from Python"
_PAPERS = ("A4", "letter")


def writers(
    e: Told,
    looks: tuple[Look, Look] | None,
    photos: tuple[ImageLike | None, ImageLike | None],
    *,
    reference: str,
    command: str,
    paper: str,
    date: datetime | None,
) -> dict[str, Callable[[IO[bytes]], object]]:
    """How the report of an explanation is written, by suffix; see ``Explanation.report``."""
    if paper not in _PAPERS:
        raise ValueError(f"paper: expected one of {', '.join(_PAPERS)}, got {paper!r}")
    when = _utc(date)

    def report() -> Report:
        need("a report", "matplotlib", "PIL", extra="report")
        first, second = (
            Photograph.of(photos[i], looks[i] if looks else None, e.crops[i], e.names[i]) for i in (0, 1)
        )
        return report_of(e, (first, second), reference=reference, command=command or _CALL, date=when)

    def write_pdf(file: IO[bytes]) -> None:
        from .pdf import pdf

        file.write(pdf(report(), paper))

    def write_html(file: IO[bytes]) -> None:
        from .html import html

        file.write(html(report()).encode())

    return {".pdf": write_pdf, ".html": write_html}


def _utc(date: datetime | None) -> datetime:
    """A date in UTC to the second; None: now, unless SOURCE_DATE_EPOCH says otherwise (reproducible-builds.org)."""
    if date is None:
        epoch = os.environ.get("SOURCE_DATE_EPOCH")
        date = datetime.fromtimestamp(int(epoch), timezone.utc) if epoch else datetime.now(timezone.utc)
    if date.tzinfo is None:
        raise ValueError(f"date: expected one with a time zone, got {date}")
    return date.astimezone(timezone.utc).replace(microsecond=0)
