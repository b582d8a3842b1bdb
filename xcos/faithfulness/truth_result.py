"""The result of the measures of truth: figures, a table, a picture."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from ..base.values import ByValue
from ..drawing import tables
from ..recognition.results import PICTURES, save
from .measure import Estimate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Cell = tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Truth(ByValue):
    """What :func:`truth` found of a model; every figure an :class:`Estimate`. What was not measured is None.

    Attributes
    ----------
    model, faces, data : str
        What was measured, on pictures of which people and on which pairs.
    pairs, triples, seed : int
        How many pairs; how many triples of two pictures of one person and one of another; the seed.
    score, cosine : Estimate or None
        Accuracy of the score of the local cells (attention x cosine) and of the plain cosine of the embeddings; None
        where the model has none.
    alone : Estimate or None
        (H, W) accuracy of each cell's cosine alone, 0.5 is chance.
    corners_alone : Estimate or None
        Mean of the four corners.
    best_alone : Estimate or None
        The best cell's; chosen on these very pairs.
    best_cell : (int, int) or None
        Its row and column.
    rank : dict or None
        "same", "different": how many independent things the cells say, over pairs of one person and of two; 1 to H x W.
    own, leak : Estimate or None
        Mean over the measured cells of the share of a cell's evidence for one person that stays when only its window is
        kept, and when only its window is replaced. Ideal: 1 and 0.
    own_map, leak_map : Estimate or None
        The same (H, W), NaN for cells that were not measured or tell nothing.
    corners_leak : Estimate or None
        Mean over the measured corners.
    centre_leak : Estimate or None
        Of the middle cell (mean over those in the middle of an even grid).
    parts : dict or None
        "eyes", "nose", "mouth", "half": {"drop", "rise"}, areas under the curve; 1 is ideal, 0.5 chance.
    repeat : dict or None
        "same", "different" and the shuffled controls "same control", "different control": correlations, -1 to 1.
    missing : dict
        By name, why something that was asked for is not there.

    Examples
    --------
    >>> import xcos
    >>> pairs = xcos.datasets.read("examples/pairs.csv")
    >>> found = xcos.faithfulness.truth(None, None, pairs, measures=["alone"], folds=3)
    >>> found.pairs, found.own is None
    (6, True)
    """

    model: str
    faces: str = ""
    data: str = ""
    pairs: int = 0
    triples: int = 0
    seed: int = 0
    score: Estimate | None = None
    cosine: Estimate | None = None
    alone: Estimate | None = None
    corners_alone: Estimate | None = None
    best_alone: Estimate | None = None
    best_cell: Cell | None = None
    rank: Mapping[str, Estimate] | None = None
    own: Estimate | None = None
    leak: Estimate | None = None
    own_map: Estimate | None = None
    leak_map: Estimate | None = None
    corners_leak: Estimate | None = None
    centre_leak: Estimate | None = None
    parts: Mapping[str, Mapping[str, Estimate]] | None = None
    repeat: Mapping[str, Estimate] | None = None
    missing: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        chosen = ("score of the cells", "corners alone", "best cell alone", "rank, one person / two", "own", "leak")
        found = [
            f"{name.partition(',')[0]} {' / '.join(_number(name, part.value) for part in parts)}"
            for name, parts in self._figures().items()
            if name in chosen
        ]
        return f"Truth({', '.join([repr(self.model), *found])})"

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dict; each figure as value, low and high.

        Returns
        -------
        dict
            Numbers, strings and lists only.
        """
        return {key: _plain(getattr(self, key)) for key in self.__slots__}

    def to_markdown(self, *others: Truth) -> str:
        """A table of this and other models, a column each: figures with 95 % intervals in brackets.

        Parameters
        ----------
        *others : Truth
            Of other models.

        Returns
        -------
        str
            Markdown.
        """
        models = [self, *others]
        figures = [model._figures() for model in models]
        names = list(dict.fromkeys(name for found in figures for name in found))
        head = ["", *(model.model for model in models)]
        rows = [[name, *(_cell(name, found.get(name, ())) for found in figures)] for name in names]
        missing = [f"{model.model}: no {name} ({why})" for model in models for name, why in model.missing.items()]
        return "\n".join([self._caption(), "", tables.markdown(head, rows), *([""] if missing else []), *missing])

    def plot(self, ax: Any = None, *, beside: Truth | None = None) -> tuple[Figure, Any]:
        """Draws the maps *own*, *leak* and *alone*. Needs matplotlib (``pip install xcos[plot]``).

        Colours have fixed scales, so that figures compare.

        Parameters
        ----------
        ax : Axes, optional
            Three for each row to draw in; None: a new pyplot figure.
        beside : Truth, optional
            Another model's, in a second row.

        Returns
        -------
        (Figure, (rows, 3) array of Axes)
            The figure and its axes.
        """
        from ..drawing import truth

        return truth.truths([self] if beside is None else [self, beside], ax)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes .png, .pdf, .svg (the plot), .json or .md, by suffix.

        Parameters
        ----------
        path : str or path
            Where to; the file appears whole or not at all.

        Raises
        ------
        ValueError
            The suffix is another.
        OSError
            The file can't be written.
        ImportError
            A picture is asked for, and there is no matplotlib.
        """

        def picture(kind: str) -> bytes:
            from ..drawing import truth

            return truth.render([self], kind)

        def writer(make: Callable[[], bytes]) -> Callable[[IO[bytes]], object]:
            return lambda file: file.write(make())

        pictures = {suffix: writer(partial(picture, suffix[1:])) for suffix in PICTURES}
        data = writer(lambda: (json.dumps(self.to_dict(), indent=1) + "\n").encode())
        save(path, {**pictures, ".json": data, ".md": writer(lambda: (self.to_markdown() + "\n").encode())})

    def _caption(self) -> str:
        on = [f"{self.pairs} pairs of {self.data}"] * bool(self.pairs)
        on += [f"{self.triples} triples of people of {self.faces}"] * bool(self.triples)
        cells = f"; own and leak of {(~np.isnan(self.own_map.value)).sum()} cells" if self.own_map else ""
        return f"Measured on {' and '.join(on)} (seed {self.seed}){cells}. In brackets: 95 % bootstrap intervals."

    def _figures(self) -> dict[str, Sequence[Estimate]]:
        """What was measured, by the name of its row."""
        found = {
            "score of the cells": [self.score],
            "plain cosine": [self.cosine],
            "corners alone": [self.corners_alone],
            "best cell alone": [self.best_alone],
            "rank, one person / two": _values(self.rank),
            "own": [self.own],
            "leak": [self.leak],
            "corners' leak": [self.corners_leak],
            "centre's leak": [self.centre_leak],
        }
        for way in ("drop", "rise"):
            found[f"parts, {way}: {' / '.join(self.parts or ())}"] = [part[way] for part in _values(self.parts)]
        for key, people in (("same", "one person"), ("different", "two people")):
            if self.repeat and key in self.repeat:
                found[f"repeat, {people} / control"] = [self.repeat[key], self.repeat[f"{key} control"]]
        return {name: parts for name, parts in found.items() if parts and parts[0] is not None}


_ACCURACIES = ("score of the cells", "plain cosine", "corners alone", "best cell alone")


def _values(mapping: Mapping[str, Any] | None) -> list[Any]:
    return list(mapping.values()) if mapping else []


def _number(name: str, value: float) -> str:
    if name in _ACCURACIES:
        return f"{100 * value:.1f} %"
    return f"{value:.1f}" if name.startswith("rank") else f"{value:.2f}"


def _cell(name: str, parts: Sequence[Estimate]) -> str:
    texts = [[_number(name, x).removesuffix(" %") for x in (part.value, part.low, part.high)] for part in parts]
    return " / ".join(f"{value} [{low}, {high}]" for value, low, high in texts)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, tuple):
        return list(value)
    return value.to_dict() if isinstance(value, Estimate) else value
