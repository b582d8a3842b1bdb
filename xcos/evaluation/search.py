"""Searching many faces, measured: ``xcos.evaluate_search``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..base.values import ByValue
from ..recognition.features import Features
from ..recognition.model import Model

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RANKS = (1, 5, 10)
RATES = (0.001, 0.01, 0.1)

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SearchReport(ByValue):
    """How well probes find their person among those enrolled. Scores equal to another count against the right answer.

    Attributes
    ----------
    photographs, people : int
        Enrolled.
    index : (M,) ndarray of int
        Probes whose person is enrolled, "mated" in NIST's words; the per-probe figures are of these, in this order.
    rank : (M,) ndarray of int
        Place of the right person among the people enrolled, 1 the first; a person's score is that of the best of their
        photographs.
    mate : (M,) ndarray of float64
        Score of the right person.
    first_photograph, r_precision, average_precision : (M,) ndarray of float64
        0 to 1, of photographs instead of people, R being how many there are of the probe's person: whether the first is
        of them, the share of them among the first R, and the mean over the first R places of the precision so far, 0 at
        the wrong ones (MAP@R: Musgrave et al., arXiv 2003.08505, section 3.2).
    strangers : (S,) ndarray of float64
        Highest score of each probe whose person is not enrolled.

    Examples
    --------
    >>> import xcos
    >>> report = xcos.evaluate_search([[0.9, 0.1], [0.3, 0.2]], ["Ann", "Bob"], ["Ann", "Bob"])
    >>> report.rank.tolist(), report.cmc.tolist()
    ([1, 2], [0.5, 1.0])
    """

    photographs: int
    people: int
    index: NDArray[np.intp]
    rank: NDArray[np.intp]
    mate: Doubles
    first_photograph: Doubles
    r_precision: Doubles
    average_precision: Doubles
    strangers: Doubles

    def __repr__(self) -> str:
        return (
            f"SearchReport({len(self.rank)} mated probes among {self.people} people: rank 1 {self.hit_rate(1):.2%}, "
            f"MAP@R {self.average_precision.mean():.2%}; {len(self.strangers)} strangers)"
        )

    @property
    def cmc(self) -> Doubles:
        """(people,): share of mated probes whose person is among the first 1, 2 ... (closed set)."""
        found: Doubles = np.bincount(self.rank, minlength=self.people + 1)[1:].cumsum() / len(self.rank)
        return found

    def hit_rate(self, rank: int) -> float:
        """Share of mated probes whose person is among the first so many.

        Parameters
        ----------
        rank : int
            How many, 1 or more.

        Returns
        -------
        float
            0 to 1.
        """
        return float((self.rank <= rank).mean())

    def fpir(self, threshold: float) -> float:
        """False positive identification rate: strangers with a candidate at or above the threshold (NIST FRVT 1:N).

        Parameters
        ----------
        threshold : float
            Of the score.

        Returns
        -------
        float
            0 to 1.
        """
        return float((self._open() >= threshold).mean())

    def fnir(self, threshold: float, rank: int = 1) -> float:
        """False negative identification rate: mated probes whose person is beyond `rank` or below the threshold.

        Parameters
        ----------
        threshold : float
            Of the score.
        rank : int, default 1
            The last place that counts.

        Returns
        -------
        float
            0 to 1.
        """
        return float(1 - ((self.rank <= rank) & (self.mate >= threshold)).mean())

    def threshold_at(self, rate: float) -> float:
        """The lowest threshold at which FPIR is at most a given one.

        Parameters
        ----------
        rate : float
            The false positive identification rate, 0 to 1.

        Returns
        -------
        float
            -inf where every threshold will do.

        Raises
        ------
        ValueError
            The rate is none, or there are no strangers.
        """
        if not 0 <= rate <= 1:
            raise ValueError(f"rate is {rate!r}; expected 0 to 1")
        highest = np.sort(self._open())[::-1]
        allowed = int(rate * len(highest) + 1e-9)
        return float(np.nextafter(highest[allowed], np.inf)) if allowed < len(highest) else -np.inf

    def dir_at(self, rate: float, rank: int = 1) -> float:
        """Detection and identification rate, 1 - FNIR, where FPIR is at most `rate` (DIR@FAR, open set).

        Parameters
        ----------
        rate : float
            The false positive identification rate, 0 to 1.
        rank : int, default 1
            The last place that counts.

        Returns
        -------
        float
            0 to 1.
        """
        return 1 - self.fnir(self.threshold_at(rate), rank)

    def to_dict(self) -> dict[str, Any]:
        """The figures. DIR at the rates that so many strangers can tell.

        Returns
        -------
        dict
            Numbers and dicts only.
        """
        rates = [rate for rate in RATES if rate * len(self.strangers) >= 1]
        return {
            "photographs": self.photographs,
            "people": self.people,
            "mated": len(self.rank),
            "strangers": len(self.strangers),
            "rank": {str(k): self.hit_rate(k) for k in RANKS},
            "precision_at_1": float(self.first_photograph.mean()),
            "r_precision": float(self.r_precision.mean()),
            "map_at_r": float(self.average_precision.mean()),
            "dir_at_far": {f"{rate:g}": self.dir_at(rate) for rate in rates},
        }

    def plot(self, ax: Any = None) -> tuple[Figure, Any]:
        """Draws the CMC curve and, where there are strangers, FNIR over FPIR. Needs matplotlib.

        Parameters
        ----------
        ax : two Axes, optional
            Where to draw; None: a new figure.

        Returns
        -------
        (Figure, array of Axes)
            The figure and its axes.
        """
        from ..drawing.benchmarks import search

        thresholds = np.unique(self.strangers).tolist()
        fpir, fnir = ([rate(t) for t in thresholds] for rate in (self.fpir, self.fnir))
        return search(self.cmc, (fpir, fnir) if thresholds else None, ax)

    def _open(self) -> Doubles:
        if not len(self.strangers):
            raise ValueError("open-set rates need probes of people who are not enrolled; there are none")
        return self.strangers


def evaluate_search(
    scorer: Model | ArrayLike,
    gallery: Sequence[Any],
    probes: Sequence[Any],
    *,
    faces: tuple[Features, Features] | None = None,
    threads: int | None = None,
) -> SearchReport:
    """Measures a search: every probe against all photographs of a gallery.

    Parameters
    ----------
    scorer : Model or (P, G) array
        A model, which compares `faces`; or the scores of P probes with G photographs, higher for more alike.
    gallery, probes : sequence of object
        Who is on each photograph of the gallery (G) and on each probe (P): names or numbers. Probes of people who are
        not in the gallery make the open set.
    faces : (Features, Features), optional
        Of gallery and probes, from ``Model.features``; with a model alone.
    threads : int, optional
        Threads at most; None: the default.

    Returns
    -------
    SearchReport
        Ranks, scores, curves.

    Raises
    ------
    ValueError
        Scores of another shape or that are not finite, an empty gallery, no probe of anybody enrolled, or faces that do
        not fit the names.

    Examples
    --------
    >>> import xcos
    >>> model = xcos.load()
    >>> people = model.features(["examples/obama_portrait_2012.jpg", "examples/biden_blue_room_2010.jpg"])
    >>> probes = model.features(["examples/obama_congress_2009.jpg"])
    >>> report = xcos.evaluate_search(model, ["Obama", "Biden"], ["Obama"], faces=(people, probes))
    >>> report.hit_rate(1)
    1.0
    """
    if isinstance(scorer, Model):
        if faces is None:
            raise ValueError("evaluate_search: expected faces=(gallery, probes) with a model")
        scores = np.asarray(scorer.compare_all(faces[1], faces[0], threads=threads), float)
    elif faces is not None:
        raise ValueError("evaluate_search: faces are for a model; scores were given")
    else:
        scores = np.asarray(scorer, float)
    people, owner = np.unique(np.asarray(gallery), return_inverse=True)
    if scores.shape != (len(probes), len(gallery)) or not len(gallery):
        raise ValueError(
            f"scores: expected one for each of {len(probes)} probes and {len(gallery)} photographs (1 or more), "
            f"got shape {scores.shape}"
        )
    if not np.isfinite(scores).all():
        raise ValueError("scores: expected finite numbers")
    number = {name: i for i, name in enumerate(people.tolist())}
    who = np.array([number.get(name, -1) for name in np.asarray(probes).tolist()], np.intp)
    index = np.flatnonzero(who >= 0)
    if not len(index):
        raise ValueError("probes: expected some of people in the gallery, got none")

    order = np.argsort(owner, kind="stable")
    first = np.searchsorted(owner[order], np.arange(len(people)))
    best = np.maximum.reduceat(scores[index][:, order], first, axis=1)
    mate = best[np.arange(len(index)), who[index]]
    rank = (best >= mate[:, None]).sum(1)  # the mate is one of them
    right = owner == who[index][:, None]
    listed = np.take_along_axis(right, np.lexsort((right, -scores[index]), axis=1), axis=1)
    relevant = right.sum(1)
    place = np.arange(1, len(gallery) + 1)
    counted = listed & (place <= relevant[:, None])
    precision = counted * np.cumsum(listed, axis=1) / place
    return SearchReport(
        len(gallery), len(people), index, rank, mate, listed[:, 0].astype(float), counted.sum(1) / relevant,
        precision.sum(1) / relevant, scores[who < 0].max(1),
    )  # fmt: skip
