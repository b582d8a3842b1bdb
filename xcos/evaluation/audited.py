"""The result of an audit: error rates of groups of people, and how far apart they are."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from ..base.frame import frame
from ..base.values import ByValue
from ..drawing import tables
from ..drawing.shown import RateShown
from ..recognition.results import PICTURES, save

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ALL, TWO = "all pairs", "two groups"
SHORT = {"false match": "FMR", "false non-match": "FNMR"}


def _two(value: float) -> str:
    """Two digits that count, never as a power of ten: 0.00012, 140."""
    return np.format_float_positional(float(f"{value:.2g}"), trim="-")


@dataclass(frozen=True, slots=True)
class AuditRate:
    """How often one kind of error happens among the pairs of one group, by one metric.

    Attributes
    ----------
    metric, column, group, kind : str
        Which score; where the group stands in the data, "" for all pairs; the group of both pictures, "two groups"
        where they differ, "all pairs"; "false match" (among pairs of two people) or "false non-match" (of one person).
    errors, pairs, people : int
        Counts.
    effective : float
        How many pairs that share nobody these are worth.
    rate : float
        errors / pairs.
    low, high : float
        Ends of Wilson's interval for so many effective pairs.

    Examples
    --------
    >>> import xcos
    >>> rate = xcos.evaluation.AuditRate("xcos", "age", "60+", "false match", 1, 100, 20, 80.0, 0.01, 0.002, 0.058)
    >>> rate.to_dict()["people"]
    20
    """

    metric: str
    column: str
    group: str
    kind: str
    errors: int
    pairs: int
    people: int
    effective: float
    rate: float
    low: float
    high: float

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dict.

        Returns
        -------
        dict
            Plain values, ready for JSON.
        """
        return asdict(self)

    def text(self) -> str:
        """The rate and its interval in percent.

        Returns
        -------
        str
            To three digits.
        """
        return f"{100 * self.rate:.3g} % [{_two(100 * self.low)}, {_two(100 * self.high)}]"


@dataclass(frozen=True, slots=True)
class Differential:
    """The worst group's rate against the best one's.

    Groups that are worth fewer than 30 independent pairs are left out. The interval holds for all pairs of groups at
    once (Bonferroni), since worst and best are chosen after the fact: where it holds 1, chance may have chosen.

    Attributes
    ----------
    metric, column, kind : str
        As in :class:`AuditRate`.
    worst, best : str
        The groups.
    worst_rate, best_rate : float
        Theirs.
    ratio : float
        Of these; infinity where the best group has no error.
    low, high : float
        Koopman's interval of the ratio; infinity above where the best group has no error.
    groups : int
        How many were compared.

    Examples
    --------
    >>> import xcos
    >>> found = xcos.evaluation.Differential("xcos", "age", "false match", "0-9", "20-39", 0.1, 0.0, float("inf"), 2.0,
    ...                                      float("inf"), 3)
    >>> found.text()
    'over 2'
    """

    metric: str
    column: str
    kind: str
    worst: str
    best: str
    worst_rate: float
    best_rate: float
    ratio: float
    low: float
    high: float
    groups: int

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dict, infinity as None.

        Returns
        -------
        dict
            Plain values, ready for JSON.
        """
        return {key: None if value == math.inf else value for key, value in asdict(self).items()}

    def text(self) -> str:
        """The ratio and its interval.

        Returns
        -------
        str
            To two digits; "over" the interval's lower end where the best group has no error.
        """
        if self.ratio == math.inf:
            return f"over {_two(self.low)}"
        return f"{_two(self.ratio)} [{_two(self.low)}, {_two(self.high)}]"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Audit(ByValue):
    """Error rates of groups at thresholds that are the same for all, made by ``xcos.audit``.

    ``print(audit)`` shows the tables.

    Attributes
    ----------
    model, dataset : str
        What they are called.
    thresholds : dict
        By metric.
    threshold_from : str
        Where they come from.
    confidence : float
        Of all intervals.
    rates : tuple of AuditRate
        By metric, kind, column and group.
    differentials : tuple of Differential
        Worst against best.
    unlabelled : dict
        By column, how many pairs have a picture without a label there.
    failed : tuple of (str, str)
        Name and message for images that could not be used; their pairs are left out.

    Examples
    --------
    >>> import xcos
    >>> pairs = xcos.datasets.read("examples/pairs.csv")
    >>> audit = xcos.audit(pairs, {"place": ["studio", "congress", "studio", "studio"]})
    >>> [(rate.group, rate.errors, rate.pairs) for rate in audit.of("xcos", "false match", "place")]
    [('studio', 0, 2), ('two groups', 0, 1)]
    """

    model: str
    dataset: str
    thresholds: Mapping[str, float]
    threshold_from: str
    confidence: float
    rates: tuple[AuditRate, ...]
    differentials: tuple[Differential, ...]
    unlabelled: Mapping[str, int]
    failed: tuple[tuple[str, str], ...]

    def __repr__(self) -> str:
        rates = [f"{rate.metric} {SHORT[rate.kind]} {rate.rate:.2%}" for rate in self.rates if rate.group == ALL]
        columns = ", ".join(self.columns)
        return f"Audit({self.model} on {self.dataset} by {columns}: {', '.join(rates)})"

    def __str__(self) -> str:
        return self.to_markdown()

    def _repr_html_(self) -> str | None:
        if not find_spec("jinja2"):
            return None
        return "".join(tables.html(*table, caption=title) for title, table in self.tables().items())

    @property
    def columns(self) -> list[str]:
        """The columns of groups."""
        return list(dict.fromkeys(rate.column for rate in self.rates if rate.column))

    def of(self, metric: str, kind: str, column: str = "") -> list[AuditRate]:
        """The rates of one column.

        Parameters
        ----------
        metric, kind : str
            Which score; "false match" or "false non-match".
        column : str, default ""
            "": of all pairs.

        Returns
        -------
        list of AuditRate
            By group.
        """
        return [r for r in self.rates if (r.metric, r.kind, r.column) == (metric, kind, column)]

    def tables(self) -> dict[str, tuple[list[str], list[list[str]]]]:
        """What the pages show.

        Returns
        -------
        dict
            Heads and rows of texts by title: rates of either kind, metrics side by side, and worst against best.
        """
        interval = f"{100 * self.confidence:g} %"
        found = {}
        for kind, of in (("false match", "two people"), ("false non-match", "one person")):
            rows: dict[tuple[str, str], list[AuditRate]] = {}
            for rate in self.rates:
                if rate.kind == kind:
                    rows.setdefault((rate.column, rate.group), []).append(rate)
            head = ["column", "group of both", "pairs", "people"]
            for metric in self.thresholds:
                head += [f"{metric}: errors", "worth pairs", f"{SHORT[kind]} [{interval}]"]
            cells = [
                [*key, f"{same[0].pairs:,}", f"{same[0].people:,}",
                 *(text for r in same for text in (f"{r.errors:,}", f"{r.effective:,.0f}", r.text()))]
                for key, same in rows.items()
            ]  # fmt: skip
            if cells:
                found[f"{SHORT[kind]}: pairs of {of} decided wrongly"] = (head, cells)
        head = ["column", "score", "rate", "groups", "worst", "best", f"worst / best [{interval}]"]
        ratios = [
            [d.column, d.metric, SHORT[d.kind], str(d.groups), f"{d.worst}, {100 * d.worst_rate:.3g} %",
             f"{d.best}, {100 * d.best_rate:.3g} %", d.text()]
            for d in self.differentials
        ]  # fmt: skip
        return {**found, "The worst group against the best": (head, ratios)} if ratios else found

    def notes(self) -> list[str]:
        """What the tables do not say by themselves.

        Returns
        -------
        list of str
            Sentences.
        """
        thresholds = ", ".join(f"{value:.4f} of {name}" for name, value in self.thresholds.items())
        said = [f"Thresholds: {thresholds} ({self.threshold_from}), the same for all groups."]
        said += [f"{count:,} pairs have a picture without a label of {column}." for column, count in
                 self.unlabelled.items() if count]  # fmt: skip
        counts = [(r.errors, r.effective) for r in self.rates if r.column and r.group != TWO]
        if few := sum(errors < 10 for errors, _ in counts):
            said.append(f"{few} of {len(counts)} rates of groups rest on fewer than 10 errors.")
        return said + [f"{len(self.failed)} pictures could not be used; their pairs are left out."] * bool(self.failed)

    def to_markdown(self) -> str:
        """The tables, with a heading each.

        Returns
        -------
        str
            Markdown.
        """
        parts = [f"{self.model} on {self.dataset}. {' '.join(self.notes())}"]
        for title, table in self.tables().items():
            parts += [f"{title}:", tables.markdown(*table)]
        return "\n\n".join(parts)

    def to_frame(self) -> Any:
        """A pandas DataFrame with a row for each rate, whose columns are the fields of :class:`AuditRate`.

        Returns
        -------
        pandas.DataFrame
            The table.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        rows = [rate.to_dict() for rate in self.rates]
        return frame({key: [row[key] for row in rows] for key in AuditRate.__slots__})

    def to_dict(self) -> dict[str, Any]:
        """All of it.

        Returns
        -------
        dict
            Numbers, strings, None and lists only, ready for ``json.dumps``.
        """
        return {
            "model": self.model, "dataset": self.dataset, "thresholds": dict(self.thresholds),
            "threshold_from": self.threshold_from, "confidence": self.confidence,
            "rates": [rate.to_dict() for rate in self.rates],
            "differentials": [differential.to_dict() for differential in self.differentials],
            "unlabelled": dict(self.unlabelled), "failed": [list(pair) for pair in self.failed],
        }  # fmt: skip

    def shown(self) -> list[RateShown]:
        """What pictures need of it.

        Returns
        -------
        list of RateShown
            One for each rate.
        """
        return [RateShown(r.metric, r.column, r.group, SHORT[r.kind], r.rate, r.low, r.high) for r in self.rates]

    def plot(self, ax: Any = None) -> tuple[Figure, Any]:
        """Draws the rates of all groups with their intervals. Needs matplotlib (``pip install xcos[plot]``).

        Parameters
        ----------
        ax : Axes or several, optional
            Where to draw, one for each kind of error; None: a new figure.

        Returns
        -------
        (Figure, array of Axes)
            The figure and its axes.
        """
        from ..drawing import rates

        return rates.rates(self.shown(), ax)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes .html (a page), .md, .json (``to_dict()``), or the plot as .png, .pdf, .svg.

        Parameters
        ----------
        path : str or path
            Where to; the file appears whole or not at all.

        Raises
        ------
        ValueError
            The suffix is another.
        """
        from .html import audit_page

        def picture(kind: str) -> bytes:
            from ..drawing import rates

            return rates.render(self.shown(), kind)

        def writer(make: Callable[[], bytes]) -> Callable[[IO[bytes]], object]:
            return lambda file: file.write(make())

        save(path, {
            ".html": writer(lambda: audit_page(self).encode()),
            ".md": writer(lambda: (self.to_markdown() + "\n").encode()),
            ".json": writer(lambda: (json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n").encode()),
            **{suffix: writer(partial(picture, suffix[1:])) for suffix in PICTURES},
        })  # fmt: skip
