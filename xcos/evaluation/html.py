"""Benchmarks as one self-contained page: figures, curves, and the worst mistakes with their explanations.

The page fetches nothing (its own policy forbids it) and holds the pictures of the mistakes.
"""

from __future__ import annotations

import html
import os
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any

from .. import _core
from ..recognition.results import save
from ..view import element_script, explanation_html
from .figures import Mistake, columns, text

if TYPE_CHECKING:
    from .report import Report


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
        view=element_script(),
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
    about = "" if report.metric == "xcos" else "<p>The view explains the xCos score, not this one.</p>"
    view = explanation_html(replace(e, names=mistake.names), fallback=False, script=False)
    return (
        f'<article data-kind="{mistake.kind}" data-report="{_e(_title(report))}" data-margin="{mistake.margin:.6f}" '
        f'data-score="{mistake.score:.6f}" data-index="{mistake.index}" data-names="{_e(" ".join(mistake.names))}">'
        f"<h3>{mistake.kind.capitalize()}</h3><p>{_e(_title(report))}, pair {mistake.index}: "
        f"<b>{mistake.score:.3f}</b> {sign} {report.threshold:.3f}, wrong by {mistake.margin:.3f}</p>{about}"
        f"{view}</article>"
    )


def _e(value: str) -> str:
    return html.escape(value, quote=True)
