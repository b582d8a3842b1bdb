"""Methods x measures: the table."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from typing import IO, Any

from ..base.extras import need
from ..base.values import ByValue
from ..drawing import tables
from ..explainers import Explainer, SaliencyPair
from ..explainers.scoring import NetworkLike, Scores, as_network
from ..recognition.results import save
from ..storage.progress import Progress, batches
from . import curves, patches, sanity, windows
from .measure import Measure
from .pairs import LabelledCrops, beginning, prepare
from .part_game import flips

# Name of a column: (what computes it, better when high or low, digits)
MEASURES: Mapping[str, tuple[Callable[..., Any], str, int]] = {
    "localisation": (patches.localisation, "high", 3),
    "deletion": (curves.deletion, "low", 1),
    "insertion": (curves.insertion, "high", 1),
    "FNMR gain": (patches.patch_lfw, "high", 1),
    "FMR gain": (patches.patch_lfw, "high", 1),
    "own": (windows.own_and_leak, "high", 2),
    "leak": (windows.own_and_leak, "low", 2),
    "parts": (windows.parts, "high", 2),
    "flips 1 %": (flips, "high", 2),
    "flips 5 %": (flips, "high", 2),
    "randomisation": (sanity.randomisation, "low", 2),
    "symmetry": (sanity.symmetry, "high", 2),
}
_FEW = ("own", "leak", "parts", "randomisation", "symmetry")  # explain each pair several times
_BLIND = ("localisation", "flips 1 %", "flips 5 %", *_FEW)  # measures that ask for no decision by the threshold


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Row(ByValue):
    """One method: its measures by name, pairs used, runs of the network and wall seconds for one pair."""

    method: str
    explains: str
    pairs: int
    measures: Mapping[str, Measure]
    passes: int
    seconds: float
    examples: SaliencyPair


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class MethodTable(ByValue):
    """The table of :func:`compare`.

    Attributes
    ----------
    model, data : str
        What was measured.
    score : str
        The score that decides: "xcos" or "cosine".
    fill : str
        What hides pixels in deletion and insertion.
    threshold : float
        Of that score: equal error on the untouched pairs.
    rows : sequence of Row
        One per method.

    Examples
    --------
    >>> import xcos
    >>> pairs = xcos.faithfulness.sample(xcos.datasets.read("examples/pairs.csv"), 2)
    >>> table = xcos.faithfulness.compare(None, [xcos.explainers.XCos()], pairs, measures=["localisation"])
    >>> table.columns
    ['localisation']
    """

    model: str
    data: str
    score: str
    fill: str
    threshold: float
    rows: Sequence[Row]

    def __repr__(self) -> str:
        return f"MethodTable of {len(self.rows)} methods, {self.score} of {self.model} on {self.data}"

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def columns(self) -> list[str]:
        """Names of the measures, in their order."""
        return [name for name in MEASURES if any(name in row.measures for row in self.rows)]

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dict.

        Returns
        -------
        dict
            Numbers, strings and lists only, ready for ``json.dumps``.
        """
        rows = [
            {
                "method": row.method,
                "explains": row.explains,
                "pairs": row.pairs,
                "passes": row.passes,
                "seconds": row.seconds,
                "measures": {name: measure.to_dict() for name, measure in row.measures.items()},
            }
            for row in self.rows
        ]
        facts = {"model": self.model, "data": self.data, "score": self.score, "fill": self.fill}
        return {**facts, "threshold": self.threshold, "rows": rows}

    def to_markdown(self) -> str:
        """The table with 95 % intervals in brackets, and one line that says what it is of.

        Returns
        -------
        str
            Markdown.
        """
        return f"{self._caption()}\n\n{tables.markdown(*self._texts())}"

    def html(self, path: str | os.PathLike[str]) -> None:
        """Writes one page: the table, and the first pairs with all methods' maps side by side. Needs matplotlib.

        The page holds the pictures of the pairs: mind whose they are.

        Parameters
        ----------
        path : str or path
            Where to; the file appears whole or not at all.
        """
        save(path, {".html": lambda file: file.write(self._page().encode())})

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes .md, .json or .html, by suffix.

        Parameters
        ----------
        path : str or path
            Where to; the file appears whole or not at all.

        Raises
        ------
        ValueError
            The suffix is another.
        """

        def text(make: Callable[[], str]) -> Callable[[IO[bytes]], object]:
            return lambda file: file.write((make() + "\n").encode())

        writers = {".md": text(self.to_markdown), ".json": text(lambda: json.dumps(self.to_dict(), indent=1))}
        save(path, {**writers, ".html": text(self._page)})

    def _repr_html_(self) -> str | None:
        return tables.html(*self._texts(), caption=self._caption()) if find_spec("jinja2") else None

    def _caption(self) -> str:
        return (
            f"Score {self.score} of {self.model} (threshold {self.threshold:.4f}, equal error) on {self.data}; "
            f"hidden pixels: {self.fill}. In brackets 95 % of the means over pairs drawn with replacement."
        )

    def _texts(self) -> tuple[list[str], list[list[str]]]:
        arrows = {"high": "↑", "low": "↓"}
        titles = [f"{name} {arrows[MEASURES[name][1]]}" for name in self.columns]
        rows = []
        for row in self.rows:
            figures = [_figure(row.measures.get(name), MEASURES[name][2]) for name in self.columns]
            rows.append([row.method, row.explains, str(row.pairs), *figures, f"{row.passes:,}", f"{row.seconds:.2g}"])
        return ["method", "explains", "pairs", *titles, "runs a pair", "s a pair"], rows

    def _page(self) -> str:
        from ..drawing import saliency

        n = min(len(row.examples) for row in self.rows)
        faces = saliency.faces([row.examples[:n] for row in self.rows])
        head, rows = self._texts()
        return tables.render(
            files(__package__).joinpath("comparison.html").read_text(encoding="utf-8"),
            caption=self._caption(),
            head=head,
            rows=rows,
            faces=[[(caption, base64.b64encode(jpeg).decode()) for caption, jpeg in line] for line in faces],
        )


def compare(
    model: NetworkLike,
    explainers: Sequence[Explainer],
    pairs: LabelledCrops,
    *,
    measures: Sequence[str] = tuple(MEASURES),
    score: Scores = "xcos",
    fill: str = "black",
    runs: int | None = None,
    sanity_pairs: int = 20,
    examples: int = 4,
    progress: Progress = None,
) -> MethodTable:
    """Measures all explainers on the same pairs, under one score of the model.

    An explainer of the other score is measured all the same; the table says what it explains.

    Parameters
    ----------
    model : Model, Network, str or path, optional
        A Model, a name or a path, None for the default model; or a Network, which has the score "cosine" alone.
    explainers : sequence of Explainer
        What makes the maps, a row each.
    pairs : LabelledCrops
        What is explained.
    measures : sequence of str, optional
        Names from MEASURES, all by default.
    score : str, default "xcos"
        The score that decides.
    fill : str, default "black"
        What hides pixels in deletion and insertion: "black", "mean", "blur" or "road".
    runs : int, optional
        At most about so many runs of the network for one set of maps; a method that needs more gets the first pairs
        alone (10 at least), and the table says how many. None: all pairs.
    sanity_pairs : int, default 20
        The first so many pairs for the measures that explain each several times: own, leak, parts, randomisation and
        symmetry.
    examples : int, default 4
        The first so many pairs, at least 1, are explained whole, for :meth:`MethodTable.html` and the time.
    progress : bool or callable, optional
        True draws a bar, a function is called as progress(done, total).

    Returns
    -------
    MethodTable
        A row for each explainer.

    Raises
    ------
    ValueError
        A measure is not in MEASURES, or what explainers and measures raise.

    Examples
    --------
    >>> import xcos
    >>> pairs = xcos.faithfulness.sample(xcos.datasets.read("examples/pairs.csv"), 2)
    >>> methods = [xcos.explainers.XCos(), xcos.explainers.RandomMap()]
    >>> table = xcos.faithfulness.compare(None, methods, pairs, measures=["localisation"])
    >>> [row.method for row in table.rows]
    ['XCos', 'RandomMap']
    """
    need("measuring explanations", "sklearn", "scipy")
    unknown = set(measures) - set(MEASURES)
    if unknown:
        raise ValueError(f"measures: got {', '.join(sorted(unknown))}; expected some of {', '.join(MEASURES)}")
    model = as_network(model)
    threads = explainers[0].threads if explainers else None
    threshold = prepare(model, pairs, score, threads).threshold
    rows = []
    for (explainer,) in batches(explainers, 1, progress, "methods"):
        n = len(pairs) if runs is None else max(min(len(pairs), runs // explainer.passes), min(10, len(pairs)))
        found: dict[str, Measure] = {}
        for name in measures:
            if name in found:
                continue
            function = MEASURES[name][0]
            used = beginning(pairs, min(n, sanity_pairs) if name in _FEW else n)
            more: dict[str, Any] = {}
            if name not in _BLIND:
                more["threshold"] = threshold  # of all pairs, also where a method gets the first alone
            if function in (curves.deletion, curves.insertion):
                more["fill"] = fill
            result = function(model, explainer, used, score=score, **more)
            found.update({one.name: one for one in (result if isinstance(result, tuple) else (result,))})
        whole = beginning(pairs, min(max(examples, 1), n))
        few = explainer(whole.first, whole.second, aligned=True)
        chosen = {name: found[name] for name in MEASURES if name in measures}
        rows.append(Row(explainer.name, explainer.target, n, chosen, explainer.passes, few.seconds, few))
    return MethodTable(model.file.name, pairs.name, score, fill, threshold, rows)


def _figure(measure: Measure | None, digits: int) -> str:
    if measure is None or not len(measure.per_pair):
        return ""
    value, low, high = (f"{x:.{digits}f}" for x in (measure.value, measure.low, measure.high))
    return f"{value} [{low}, {high}]"
