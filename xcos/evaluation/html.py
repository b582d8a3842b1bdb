"""Benchmarks as one self-contained page: figures, curves, and the worst mistakes with their explanations.

The page fetches nothing (its own policy forbids it) and holds the pictures of the mistakes.
"""

from __future__ import annotations

import os
import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from typing import Any, Protocol

from .. import _core
from ..drawing import tables
from ..drawing.shown import Benchmark, RateShown
from ..recognition.explanation import Explanation
from ..recognition.results import save
from ..view import element_script, explanation_html
from .figures import Mistake, columns, texts


class Audited(Protocol):
    """Of ``Audit``, which knows this page and says what each is."""

    @property
    def model(self) -> str: ...
    @property
    def dataset(self) -> str: ...
    @property
    def columns(self) -> list[str]: ...
    @property
    def failed(self) -> tuple[tuple[str, str], ...]: ...
    def notes(self) -> list[str]: ...
    def tables(self) -> dict[str, tuple[list[str], list[list[str]]]]: ...
    def shown(self) -> list[RateShown]: ...


class Reported(Protocol):
    """Of ``Report``, which knows this page and says what each is."""

    @property
    def dataset(self) -> str: ...
    @property
    def metric(self) -> str: ...
    @property
    def threshold(self) -> float: ...
    @property
    def model_(self) -> Any: ...
    @property
    def pairs(self) -> Any: ...
    @property
    def failed(self) -> tuple[tuple[str, str], ...]: ...
    def title(self) -> str: ...
    def summary(self) -> dict[str, Any]: ...
    def audit(self) -> Audited | None: ...
    def worst(self, n: int, kind: str | None) -> list[Mistake]: ...
    def explain(self, index: int) -> Explanation: ...
    def benchmark(self) -> Benchmark: ...


def write_html(reports: Sequence[Reported], path: str | os.PathLike[str], *, worst: int = 10) -> None:
    """Writes the page; it appears whole or not at all. Raises ValueError unless the name ends in .html."""
    save(path, {".html": lambda file: file.write(page(reports, worst=worst).encode())})


def page(reports: Sequence[Reported], *, worst: int = 10) -> str:
    """The page, with the `worst` false matches and false non-matches of every report."""
    from ..drawing import benchmarks

    curves = benchmarks.panels([report.benchmark() for report in reports])
    audits = {report.title(): audit for report in reports if (audit := report.audit())}
    return tables.render(
        files(__package__).joinpath("report.html").read_text(encoding="utf-8"),
        title=", ".join(dict.fromkeys(report.dataset for report in reports)),
        version=_core.__version__,
        figures=_table([report.summary() for report in reports]),
        failures=[(report.title(), report.failed) for report in reports if report.failed],
        curves={title: b64encode(svg).decode() for title, svg in curves.items()},
        audits={title: (audit.notes(), _rates(audit), _tables(audit)) for title, audit in audits.items()},
        choices=dict.fromkeys(report.title() for report in reports),
        view=element_script(),
        cards=_cards(reports, worst),
    )


def _table(rows: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[str]], list[list[str]]]:
    """Heads, cells, and the values by which a press of a head sorts them."""
    return *texts(rows), [[str(row.get(name, "")) for name in columns(rows)] for row in rows]


def _tables(audit: Audited) -> dict[str, tuple[list[str], list[list[str]], list[list[str]]]]:
    """Its tables, with the values by which a press of a head sorts them."""
    plain = re.compile(r"(?<=\d),(?=\d{3})")
    return {
        title: (head, rows, [[plain.sub("", cell) for cell in row] for row in rows])
        for title, (head, rows) in audit.tables().items()
    }


def _rates(audit: Audited) -> str:
    """The picture of its rates, for a page."""
    from ..drawing import rates

    return b64encode(rates.render(audit.shown(), "svg")).decode()


def audit_page(audit: Audited) -> str:
    """The page of an audit."""
    return tables.render(
        files(__package__).joinpath("audit.html").read_text(encoding="utf-8"),
        audit=audit,
        version=_core.__version__,
        picture=_rates(audit),
        tables=_tables(audit),
    )


def _cards(reports: Sequence[Reported], worst: int) -> list[dict[str, Any]]:
    """The worst mistakes of all reports: a card for each pair, which is explained once whatever scores err on it."""
    cards: dict[tuple[int, int, int], dict[str, Any]] = {}
    for report in reports:
        for kind in ("false match", "false non-match"):
            for mistake in report.worst(worst, kind):
                which = id(report.model_), id(report.pairs), mistake.index
                if which not in cards:
                    e = replace(report.explain(mistake.index), names=mistake.names)
                    view = explanation_html(e, fallback=False, script=False)
                    cards[which] = {"mistake": mistake, "view": view, "lines": [], "explained": False}
                cards[which]["lines"].append((report.title(), report.threshold, mistake))
                cards[which]["explained"] |= report.metric == "xcos"
    return list(cards.values())
