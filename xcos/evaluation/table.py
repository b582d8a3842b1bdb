"""Several reports as one table."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from ..drawing import tables
from ..recognition.results import save
from .figures import texts
from .report import Report

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Table:
    """Reports side by side, one row each; ``table[0]`` is the first Report.

    Parameters
    ----------
    reports : sequence of Report
        The rows.

    Examples
    --------
    >>> import xcos
    >>> table = xcos.compare_models(None, "examples/pairs.csv", folds=3)
    >>> len(table), len(table.to_markdown().splitlines())
    (2, 4)
    """

    def __init__(self, reports: Sequence[Report]) -> None:
        self.reports = tuple(reports)

    def __len__(self) -> int:
        return len(self.reports)

    def __getitem__(self, index: int) -> Report:
        return self.reports[index]

    def __iter__(self) -> Iterator[Report]:
        return iter(self.reports)

    def __repr__(self) -> str:
        return self.to_markdown()

    def _repr_html_(self) -> str | None:
        return tables.html(*self._texts()) if find_spec("jinja2") else None

    def to_frame(self) -> Any:
        """The figures as a pandas DataFrame.

        Returns
        -------
        pandas.DataFrame
            Numbers, one row for each report.

        Raises
        ------
        ImportError
            There is no pandas.
        """
        try:
            import pandas as pd
        except ImportError:
            raise ImportError("a DataFrame needs pandas: pip install pandas (to_markdown() does without)") from None
        return pd.DataFrame([report.summary() for report in self.reports])

    def to_markdown(self) -> str:
        """The table as Markdown.

        Returns
        -------
        str
            A line for each report.
        """
        return tables.markdown(*self._texts())

    def to_latex(self) -> str:
        """The table as a LaTeX tabular with booktabs rules.

        Returns
        -------
        str
            LaTeX.
        """
        names, rows = self._texts()
        kinds = "".join("l" if isinstance(value, str) else "r" for value in self.reports[0].summary().values())
        return tables.latex(names, rows, kinds.ljust(len(names), "r"))

    def plot(self, ax: Any = None) -> tuple[Figure, Any]:
        """Draws ROC and DET of all reports in one, and histograms of the first. Needs matplotlib.

        Parameters
        ----------
        ax : three Axes, optional
            Where to draw; None: a new figure.

        Returns
        -------
        (Figure, array of Axes)
            The figure and its axes.
        """
        from ..drawing import benchmarks

        return benchmarks.benchmarks([report.benchmark() for report in self.reports], ax)

    def html(self, path: str | os.PathLike[str], *, worst: int = 10) -> None:
        """Writes one page for all reports; see ``Report.html``.

        Parameters
        ----------
        path : str or path
            Where to; the file appears whole or not at all.
        worst : int, default 10
            How many mistakes of either kind.
        """
        from .html import write_html

        write_html(self.reports, path, worst=worst)

    def to_dict(self) -> list[dict[str, Any]]:
        """``Report.to_dict`` of each.

        Returns
        -------
        list[dict[str, object]]
            Ready for ``json.dumps``.
        """
        return [report.to_dict() for report in self.reports]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes .md, .tex, .json or .html, by suffix.

        Parameters
        ----------
        path : str or path
            Where to; the file appears whole or not at all.

        Raises
        ------
        ValueError
            The suffix is another.
        """
        from .html import page

        texts = {
            ".md": self.to_markdown,
            ".tex": self.to_latex,
            ".json": lambda: json.dumps(self.to_dict(), indent=1),
            ".html": lambda: page(self.reports),
        }

        def writer(make: Any) -> Any:
            return lambda file: file.write((make() + "\n").encode())

        save(path, {suffix: writer(make) for suffix, make in texts.items()})

    def _texts(self) -> tuple[list[str], list[list[str]]]:
        return texts([report.summary() for report in self.reports])
