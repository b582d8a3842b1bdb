"""Benchmarks as one self-contained page: figures, curves, and the worst mistakes with their explanations.

The page fetches nothing (its own policy forbids it) and holds the pictures of the mistakes.
"""

from __future__ import annotations

import html
import io
import os
from base64 import b64encode
from collections.abc import Sequence
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..results import save
from .report import Mistake, columns, text

if TYPE_CHECKING:
    from ..results import Explanation
    from .report import Report

EVIDENCE_LIMIT = 4.0  # natural logarithm: 55 times as usual for one person as for two


def write_html(reports: Sequence[Report], path: str | os.PathLike[str], *, worst: int = 10) -> None:
    """Writes the page; it appears whole or not at all. Raises ValueError unless the name ends in .html."""
    save(path, {".html": lambda file: file.write(page(reports, worst=worst).encode())})


def page(reports: Sequence[Report], *, worst: int = 10) -> str:
    """The page, with the `worst` false matches and false non-matches of every report."""
    from . import plots

    curves = "".join(
        f'<figure><img alt="{_e(title)}" src="data:image/svg+xml;base64,{b64encode(svg).decode()}"></figure>'
        for title, svg in plots.panels(reports).items()
    )
    cards = [
        _card(report, mistake)
        for report in reports
        for kind in ("false match", "false non-match")
        for mistake in report.worst(worst, kind)
    ]
    titles = dict.fromkeys(map(_title, reports))
    template = Template(files(__package__).joinpath("report.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=_e(", ".join(dict.fromkeys(report.dataset for report in reports))),
        version=_e(_core.__version__),
        figures=_table([report.summary() for report in reports]),
        notes="".join(_notes(report) for report in reports),
        curves=curves,
        groups=_groups(reports),
        choices="".join(f"<option>{_e(title)}</option>" for title in titles),
        mistakes="".join(cards) or "<p>None.</p>",
    )


def _title(report: Report) -> str:
    return f"{report.metric}{' + flip' * report.flip}, {report.model} on {report.dataset}"


def _notes(report: Report) -> str:
    parts = []
    if report.failed:
        listed = "".join(f"<li>{_e(name)}: {_e(message)}</li>" for name, message in report.failed[:20])
        parts.append(f"<p>{_e(_title(report))}: {len(report.failed)} images could not be used; "
                     f"their pairs are left out. The first:</p><ul>{listed}</ul>")
    return "".join(parts)


def _table(rows: Sequence[dict[str, Any]]) -> str:
    """A table whose heads sort it; cells carry the value to sort by."""
    names = columns(rows)
    head = "".join(f'<th scope="col"><button type="button">{_e(name)}</button></th>' for name in names)
    body = "".join(
        "<tr>" + "".join(f'<td data-value="{_e(str(row.get(n, "")))}">{_e(text(n, row.get(n)))}</td>' for n in names)
        + "</tr>"
        for row in rows
    )
    table = f'<table class="sortable"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div class="scroll">{table}</div>'


def _groups(reports: Sequence[Report]) -> str:
    rows = []
    for report in reports:
        for rate in report.groups():
            row: dict[str, Any] = {"report": _title(report), "column": rate.column, "group": rate.group}
            row |= {"error": rate.kind, "errors": rate.errors, "pairs": rate.pairs}
            rows.append(row | {"rate": f"{rate.rate:.2%}", "95 % interval": f"{rate.low:.2%} to {rate.high:.2%}"})
    if not rows:
        return ""
    return (
        "<section><h2>Error rates of groups</h2><p>At each report's threshold, with Wilson's intervals: where they "
        f"overlap, the data does not tell the groups apart.</p>{_table(rows)}</section>"
    )


def _card(report: Report, mistake: Mistake) -> str:
    e = report.explain(mistake.index)
    sign = "&le;" if mistake.same else "&gt;"
    maps = "".join(_maps(e))
    faces = "".join(
        f'<figure><img class="face" alt="{_e(name)}" src="{_jpeg(crop)}"><figcaption>{_e(name)}</figcaption></figure>'
        for name, crop in zip(mistake.names, e.crops, strict=True)
    )
    about = "" if report.metric == "xcos" else f"<p>The maps are of the xCos score, {e.score:.3f}.</p>"
    return (
        f'<article data-kind="{mistake.kind}" data-report="{_e(_title(report))}" data-margin="{mistake.margin:.6f}" '
        f'data-score="{mistake.score:.6f}" data-index="{mistake.index}">'
        f"<h3>{mistake.kind.capitalize()}</h3><p>{_e(_title(report))}, pair {mistake.index}: "
        f"<b>{mistake.score:.3f}</b> {sign} {report.threshold:.3f}, wrong by {mistake.margin:.3f}</p>{about}"
        f'<div class="row">{faces}{maps}</div></article>'
    )


def _maps(e: Explanation) -> list[str]:
    from ..plot import ATTENTION_LIMIT, CONTRIBUTION_LIMIT, COSINE_LIMIT

    maps = [
        _map("patch cosine", e.cosine_map, "RdBu", (-COSINE_LIMIT, COSINE_LIMIT)),
        _map("attention", e.attention, "Greys", (0, ATTENTION_LIMIT)),
        _map("contribution", e.contribution, "RdBu", (-CONTRIBUTION_LIMIT, CONTRIBUTION_LIMIT)),
    ]
    if e.evidence is not None:
        maps.append(_map("evidence of each cell, not part of the score", e.evidence, "RdBu",
                         (-EVIDENCE_LIMIT, EVIDENCE_LIMIT)))
    return maps


def _map(title: str, values: NDArray[np.float32], colours: str, limits: tuple[float, float]) -> str:
    """A map as inline SVG: one square a cell, its number shown when pointed at."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    low, high = limits
    shades = colormaps[colours](np.clip((values - low) / (high - low), 0, 1))
    rows, cells = values.shape
    squares = "".join(
        f'<rect x="{j}" y="{i}" width="1" height="1" fill="{to_hex(shades[i, j])}">'
        f"<title>{chr(65 + j)}{i + 1}: {values[i, j]:.3f}</title></rect>"
        for i, j in np.ndindex(rows, cells)
    )
    drawing = f'<svg class="map" viewBox="0 0 {cells} {rows}" role="img" aria-label="{_e(title)}">{squares}</svg>'
    return f"<figure>{drawing}<figcaption>{_e(title)}<br>{low:g} to {high:g}</figcaption></figure>"


def _jpeg(crop: NDArray[np.uint8]) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(crop).save(buffer, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{b64encode(buffer.getvalue()).decode()}"


def _e(value: str) -> str:
    return html.escape(value, quote=True)
