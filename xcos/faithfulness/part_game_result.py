"""The result of the part game: figures, a table, a frame, a picture."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..base.values import ByValue
from ..drawing import tables
from ..recognition.results import PICTURES, save
from .measure import Estimate, estimate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OUTSIDE = np.array([0, 0.1, 0.2, 0.5, 1, 1.5, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 75, 100])  # percent, of curves
READ = {"1 %": 1.0, "5 %": 5.0}
OVERALL = "overall"

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Played(ByValue):
    """How one explainer did in the part game.

    Attributes
    ----------
    method, explains : str
        The explainer, and the score that it explains.
    people, passes : int
        Whose triplets were played; runs of the network for one explanation of a pair.
    flips : dict
        For each part and "overall": {"1 %": Estimate, "5 %": Estimate}, the share of triplets that have flipped when
        so many of the pixels outside the part were chosen; 0 to 1.
    outside : (X,) ndarray of float64
        Percent of the pixels outside the part that were chosen, the abscissa of the curves.
    curves : dict
        For each part and "overall": the share flipped (X,).
    each : dict
        "1 %", "5 %": (T,) what each triplet adds to that, 0 to 1.

    Examples
    --------
    >>> import xcos
    >>> import numpy as np
    >>> names = ("obama_portrait_2012", "obama_congress_2009", "biden_blue_room_2010")
    >>> crops = xcos.load().crops([f"examples/{name}.jpg" for name in names])
    >>> people = np.concatenate([crops, crops[2:, :, ::-1]]), [0, 0, 1, 1]
    >>> game = xcos.faithfulness.part_game([xcos.explainers.CentreMap()], people, threshold=0.6, triplets=1)
    >>> game.rows[0].method, sorted(game.rows[0].flips["overall"])
    ('CentreMap', ['1 %', '5 %'])
    """

    method: str
    explains: str
    people: int
    passes: int
    flips: Mapping[str, Mapping[str, Estimate]]
    outside: Doubles
    curves: Mapping[str, Doubles]
    each: Mapping[str, Doubles] = field(repr=False)

    def __repr__(self) -> str:
        at = ", ".join(f"{one.value:.2f} at {key}" for key, one in self.flips[OVERALL].items())
        return f"Played({self.method}, flipped {at})"

    def to_dict(self) -> dict[str, Any]:
        """The figures as a dict.

        Returns
        -------
        dict
            Numbers, strings and lists only.
        """
        flips = {part: {key: one.to_dict() for key, one in found.items()} for part, found in self.flips.items()}
        curves = {"outside": self.outside.tolist(), **{part: curve.tolist() for part, curve in self.curves.items()}}
        facts = {"method": self.method, "explains": self.explains, "people": self.people, "passes": self.passes}
        return {**facts, "flips": flips, "curves": curves}


class _Sums:
    """Of one part's triplets: sums for each person, so that draws of people are weighted sums of those."""

    def __init__(self, person: NDArray[np.intp], flipped: Doubles, at: Doubles) -> None:
        self.people, whose = np.unique(person, return_inverse=True)
        self.n = len(self.people)
        self.count = np.bincount(whose).astype(float)
        self.flipped, self.at = (np.zeros((self.n, flipped.shape[1])) for _ in range(2))
        np.add.at(self.flipped, whose, flipped)
        np.add.at(self.at, whose, at)

    def among(self, people: NDArray[np.intp]) -> _Sums:
        """The same with those people who have no triplet of this part, too."""
        wider = object.__new__(_Sums)
        wider.people, wider.n = people, len(people)
        place = np.searchsorted(people, self.people)
        wider.count = np.zeros(wider.n)
        wider.flipped, wider.at = (np.zeros((wider.n, self.at.shape[1])) for _ in range(2))
        wider.count[place], wider.flipped[place], wider.at[place] = self.count, self.flipped, self.at
        return wider

    def read(self, x: Sequence[float] | Doubles) -> Callable[[Doubles], Doubles]:
        """Weights of people (K, n) -> shares flipped (K, len(x)) at x percent outside; NaN without any triplet."""

        def statistic(weights: Doubles) -> Doubles:
            with np.errstate(invalid="ignore"):
                total = (weights @ self.count)[:, None]
                at, flipped = weights @ self.at / total, weights @ self.flipped / total
            return _read(at, np.asarray(x, float), flipped[:, None])[:, 0]

        return statistic


def _first(statistic: Callable[[Doubles], Doubles]) -> Callable[[Doubles], Doubles]:
    return lambda weights: statistic(weights)[:, 0]


def _mean_of(parts: Sequence[_Sums], x: float) -> Callable[[Doubles], Doubles]:
    """The mean over the parts; over those that were drawn, where a draw has no triplet of one."""

    def statistic(weights: Doubles) -> Doubles:
        found: Doubles = np.nanmean([part.read([x])(weights)[:, 0] for part in parts], axis=0)
        return found

    return statistic


def _read(at: Doubles, x: Doubles, values: NDArray[Any]) -> Doubles:
    """Values (K, M, L) at abscissae x (X,) of steps at (K, L), rising from 0 -> (K, M, X).

    Between two steps the line, of equal steps the last, beyond the last step its value.
    """
    last = at.shape[1] - 1
    left = np.maximum((at[:, None, :] <= x[:, None]).sum(2) - 1, 0)  # (K, X)
    right = np.minimum(left + 1, last)
    low, high = (np.take_along_axis(at, place, 1) for place in (left, right))
    part = np.divide(x - low, high - low, out=np.zeros_like(low), where=high > low)
    below, above = (np.take_along_axis(values.astype(float), place[:, None], 2) for place in (left, right))
    result: Doubles = below + part[:, None] * (above - below)
    return result


def tally(
    method: str,
    explains: str,
    passes: int,
    person: NDArray[np.intp],
    part: NDArray[np.intp],
    names: Sequence[str],
    flipped: NDArray[Any],
    outside: Doubles,
    seed: int = 0,
) -> Played:
    """From what happened to T triplets in L steps.

    person, part : (T,) whose, and which of `names`. flipped : (T, L) bool. outside : (T, L) share of the pixels
        outside the part that are chosen, 0 first, rising.
    """
    chosen = [k for k in range(len(names)) if (part == k).any()]
    at = 100 * np.asarray(outside, np.float64)
    own = {names[k]: _Sums(person[part == k], np.asarray(flipped, float)[part == k], at[part == k]) for k in chosen}
    people = np.unique(person)
    flips: dict[str, dict[str, Estimate]] = {}
    curves = {name: sums.read(OUTSIDE)(np.ones((1, sums.n)))[0] for name, sums in own.items()}
    for name, sums in own.items():
        flips[name] = {key: estimate(_first(sums.read([x])), sums.n, seed) for key, x in READ.items()}
    everyone = [sums.among(people) for sums in own.values()]
    flips[OVERALL] = {key: estimate(_mean_of(everyone, x), len(people), seed) for key, x in READ.items()}
    curves[OVERALL] = np.mean(list(curves.values()), axis=0)
    each = {key: np.empty(len(part)) for key in READ}
    for k in chosen:
        for key, x in READ.items():
            mine = part == k
            each[key][mine] = _read(at[mine].mean(0)[None], np.array([x]), flipped[mine][None])[0, :, 0]
    return Played(method, explains, len(people), passes, flips, OUTSIDE, curves, each)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PartGame(ByValue):
    """What :func:`part_game` found of explainers.

    Attributes
    ----------
    model, score, faces : str
        What decided, and whose pictures were played.
    people : int
        Whose pictures were looked at, two of each.
    threshold, fmr : float
        Of the filter, and the share of pairs of two people over it.
    passed, triplets : dict
        By part: how many triplets passed the filter, and how many were played.
    rows : sequence of Played
        One for each explainer; the last is the part itself, given as map.
    seed : int
        Of all draws.

    Examples
    --------
    >>> import xcos
    >>> import numpy as np
    >>> names = ("obama_portrait_2012", "obama_congress_2009", "biden_blue_room_2010")
    >>> crops = xcos.load().crops([f"examples/{name}.jpg" for name in names])
    >>> people = np.concatenate([crops, crops[2:, :, ::-1]]), [0, 0, 1, 1]
    >>> game = xcos.faithfulness.part_game([xcos.explainers.CentreMap()], people, threshold=0.6, triplets=1)
    >>> game.people, len(game)
    (2, 2)
    """

    model: str
    score: str
    faces: str
    people: int
    threshold: float
    fmr: float
    passed: Mapping[str, int]
    triplets: Mapping[str, int]
    rows: Sequence[Played]
    seed: int = 0

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return self.to_markdown()

    def _repr_html_(self) -> str:
        return tables.html(*self._texts(), caption=self._caption())

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dict; each figure as value, low and high.

        Returns
        -------
        dict
            Numbers, strings and lists only.
        """
        facts = {key: getattr(self, key) for key in self.__slots__ if key != "rows"}
        return {**facts, "passed": dict(self.passed), "triplets": dict(self.triplets),
                "rows": [row.to_dict() for row in self.rows]}  # fmt: skip

    def to_frame(self) -> Any:
        """The figures as a pandas DataFrame.

        Returns
        -------
        pandas.DataFrame
            A row for each method, part and reading: flipped, low, high.

        Raises
        ------
        ImportError
            There is no pandas.
        """
        try:
            import pandas as pd
        except ImportError:
            raise ImportError("a DataFrame needs pandas: pip install pandas (to_markdown() does without)") from None
        return pd.DataFrame(
            {"method": row.method, "explains": row.explains, "part": part, "outside": key,
             "flipped": one.value, "low": one.low, "high": one.high}
            for row in self.rows for part, found in row.flips.items() for key, one in found.items()
        )  # fmt: skip

    def to_markdown(self) -> str:
        """A line that says what it is of, and a row for each method: percent of triplets that have flipped.

        Returns
        -------
        str
            Markdown; overall with 95 % intervals in brackets, each part as 1 % / 5 %.
        """
        return f"{self._caption()}\n\n{tables.markdown(*self._texts())}"

    def plot(self, ax: Any = None) -> tuple[Figure, Any]:
        """Draws the share flipped over the share of chosen pixels outside the part, overall and for each part.

        Needs matplotlib (``pip install xcos[plot]``).

        Parameters
        ----------
        ax : array of Axes, optional
            One for overall and one for each part; None: a new pyplot figure.

        Returns
        -------
        (Figure, array of Axes)
            The figure and its axes.
        """
        from ..drawing import part_game

        return part_game.curves(self.rows, ax)

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
            from ..drawing import part_game

            return part_game.render(self.rows, kind)

        def writer(make: Callable[[], bytes]) -> Callable[[IO[bytes]], object]:
            return lambda file: file.write(make())

        pictures = {suffix: writer(partial(picture, suffix[1:])) for suffix in PICTURES}
        data = writer(lambda: (json.dumps(self.to_dict(), indent=1) + "\n").encode())
        save(path, {**pictures, ".json": data, ".md": writer(lambda: (self.to_markdown() + "\n").encode())})

    def _caption(self) -> str:
        passed = ", ".join(f"{name} {n}" for name, n in self.passed.items())
        played = sum(self.triplets.values())
        return (
            f"Part game: score {self.score} of {self.model} on {self.people} people of {self.faces} "
            f"(seed {self.seed}), threshold {self.threshold:.4f}. Triplets that pass the filter: {passed}; played: "
            f"{played}. Percent of them that flipped when 1 % and 5 % of the pixels outside the part were chosen; in "
            "brackets 95 %, people drawn with replacement."
        )

    def _texts(self) -> tuple[list[str], list[list[str]]]:
        parts = [name for name, n in self.triplets.items() if n]
        head = ["method", "explains", *(f"overall, {key}" for key in READ)]
        head += [f"{name} ({self.triplets[name]})" for name in parts]
        rows = []
        for row in self.rows:
            whole = [
                f"{_percent(one.value)} [{_percent(one.low)}, {_percent(one.high)}]"
                for one in row.flips[OVERALL].values()
            ]
            each = [" / ".join(_percent(one.value) for one in row.flips[name].values()) for name in parts]
            rows.append([row.method, row.explains, *whole, *each])
        return head, rows


def _percent(share: float) -> str:
    return f"{100 * share:.0f}"
