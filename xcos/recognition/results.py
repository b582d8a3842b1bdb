"""The result of a verification; what explanations add stands in explanation.py."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ..base.frame import frame
from ..base.values import ByValue
from ..measured.calibration import probability, ratio_in_words, support
from ..storage.files import replacing
from .on_photo import OnPhoto

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..faces.quality import Look, Quality

PICTURES = (".png", ".pdf", ".svg")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Verification(ByValue):
    """A decision about two faces.

    Where a face is too poor to be compared (`reliable` is False) the decision says nothing: it is no answer. The score
    is no probability: what it means is known only through the threshold and how it was set.

    Attributes
    ----------
    score : float
        Higher is more alike, -1 to 1: the xCos score (arXiv 2003.05383), `local` + `whole`.
    threshold : float
        The two are called the same person when score > threshold.
    cosine : float
        Plain cosine of the two embeddings, of the face as a whole, -1 to 1.
    threshold_from : str
        How the threshold was set.
    model : str
        Name of the model.
    llr : float or None
        Natural logarithm of how much more probable this score is for one person than for two, as ``xcos.calibrate``
        measured it on the data that the model file names, and no further from 0 than its pairs can support; None:
        never measured.
    llr_interval : (float, float) or None
        95 % interval of `llr`, for other pairs of the same kind and number; None: never measured.
    undecided : bool
        The likelihood ratio lies in the model's band of no decision, 1/10 to 10 unless ``xcos.calibrate`` was told
        otherwise; `same` still says on which side of the threshold the score is.
    explained : float
        What the cells count in the score, 1 - w, 0 to 1; the cosine counts w (see ``Model.with_whole``).
    looks : (Look, Look) or None
        Of the two photographs: the quality of the face, and where it was found; None: not looked at.

    Examples
    --------
    >>> import xcos
    >>> a, b = "examples/obama_portrait_2012.jpg", "examples/obama_congress_2009.jpg"
    >>> v = xcos.verify(a, b)
    >>> v.sentence().partition(":")[0], v.reliable
    ('same person', True)
    >>> v.save("decision.json")
    """

    score: float
    threshold: float
    cosine: float
    threshold_from: str
    model: str
    llr: float | None = field(default=None, kw_only=True)
    llr_interval: tuple[float, float] | None = field(default=None, kw_only=True)
    undecided: bool = field(default=False, kw_only=True)
    explained: float = field(default=1.0, kw_only=True)
    looks: tuple[Look, Look] | None = field(default=None, kw_only=True, compare=False)

    @property
    def quality(self) -> Quality | None:
        """The quality of the worse of the two faces (see ``xcos.faces.quality.Quality``); None: not looked at."""
        return min((look.quality for look in self.looks), key=lambda q: q.value) if self.looks else None

    @property
    def reliable(self) -> bool:
        """False where a face is too poor for the decision to say anything."""
        return self.quality is None or self.quality.reliable

    def notes(self) -> list[str]:
        """What there is to know about the photographs: turned ones, and faces that are too poor.

        Returns
        -------
        list of str
            Sentences.
        """
        said = []
        for which, look in zip(("first", "second"), self.looks or (), strict=False):
            if look.turn:
                said.append(f"The {which} photograph was turned by {look.turn}° to find the face.")
            if not look.quality.reliable:
                said.append(f"No answer: the face in the {which} photograph is {look.quality.reason()}.")
        return said

    @property
    def whole(self) -> float:
        """What the face as a whole adds to the score: (1 - explained) x cosine."""
        return (1 - self.explained) * self.cosine

    @property
    def local(self) -> float:
        """What the cells add to the score, all together; local + whole is the score."""
        return self.score - self.whole

    @property
    def same(self) -> bool:
        """True when score > threshold."""
        return self.score > self.threshold

    def __bool__(self) -> bool:
        """The decision, so that ``if xcos.verify(a, b):`` means what it says."""
        return self.same

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.sentence()})"

    def probability(self, prior: float = 0.5) -> float:
        """Probability that both show one person, given the probability before they were looked at.

        As good as the calibration and the prior: 0.5 is right where as many pairs of one person as of two come in, and
        far from it for a search among many.

        Parameters
        ----------
        prior : float, default 0.5
            Between 0 and 1.

        Returns
        -------
        float
            Between 0 and 1.

        Raises
        ------
        ValueError
            The model has no calibration, or the prior is not between 0 and 1.
        """
        if self.llr is None:
            raise ValueError(f"model {self.model!r} is not calibrated, its score no probability: see xcos.calibrate")
        return probability(self.llr, prior)

    def worth(self) -> str:
        """What the score is worth: the likelihood ratio in two digits, its interval, and ENFSI's words for it.

        Returns
        -------
        str
            ``likelihood ratio 480 (95 % interval 350 to 690): moderately strong support for one person``.

        Raises
        ------
        ValueError
            The model has no calibration.
        """
        if self.llr is None:
            raise ValueError(f"model {self.model!r} is not calibrated, its score has no ratio: see xcos.calibrate")
        between = ""
        if self.llr_interval is not None:
            low, high = map(ratio_in_words, self.llr_interval)
            between = f" (95 % interval {low} to {high})" if low != high else ", as far as its pairs can tell"
        return f"likelihood ratio {ratio_in_words(self.llr)}{between}: {support(self.llr)}"

    def sentence(self) -> str:
        """The decision in words.

        Returns
        -------
        str
            ``same person: score 0.5521 > threshold 0.2400``.
        """
        verdict, sign = ("same person", ">") if self.same else ("different people", "<=")
        if not self.reliable:
            verdict = "no answer, a face is too poor"
        elif self.undecided:
            verdict = f"undecided, rather {verdict}"
        return f"{verdict}: score {self.score:.4f} {sign} threshold {self.threshold:.4f}"

    def sum_in_words(self) -> str:
        """The score as the sum that it is.

        Returns
        -------
        str
            ``0.3810 (cells) + 0.1711 (the face as a whole)``.
        """
        sign = "-" if self.whole < 0 else "+"
        return f"{self.local:.4f} (cells) {sign} {abs(self.whole):.4f} (the face as a whole)"

    def to_dict(self) -> dict[str, Any]:
        """The decision as a dict.

        Returns
        -------
        dict
            Numbers, strings and lists only, ready for ``json.dumps``.
        """
        return {
            "same": self.same,
            "score": self.score,
            "threshold": self.threshold,
            "threshold_from": self.threshold_from,
            "local": self.local,
            "whole": self.whole,
            "explained": self.explained,
            "cosine": self.cosine,
            "model": self.model,
            **({} if self.llr is None else {"llr": self.llr, "undecided": self.undecided}),
            **({} if self.llr_interval is None else {"llr_interval": list(self.llr_interval)}),
            **(self._looks_to_dict() if self.looks else {}),
        }

    def _row(self) -> dict[str, Any]:
        """Of a table: numbers and texts."""
        return Verification.to_dict(self)

    def _looks_to_dict(self) -> dict[str, Any]:
        assert self.looks is not None
        first, second = self.looks
        return {
            "reliable": self.reliable,
            "quality_first": first.quality.value,
            "quality_second": second.quality.value,
            "turn_first": first.turn,
            "turn_second": second.turn,
        }

    def plot(self, ax: Axes | None = None, *, figsize: tuple[float, float] | None = None) -> tuple[Figure, Any]:
        """Draws score and threshold on the scale -1..1. Needs matplotlib (``pip install xcos[plot]``).

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; None: a new figure.
        figsize : (float, float), optional
            Width and height of a new figure, inches.

        Returns
        -------
        (Figure, Axes)
            The figure and its axes.

        Raises
        ------
        ValueError
            Both are given.
        """
        from ..drawing import plot

        return plot.verification(self, ax, figsize=figsize)

    def save(self, path: str | os.PathLike[str], *, dpi: float | None = None) -> None:
        """Writes .png, .pdf, .svg (the plot) or .json (``to_dict()``), by suffix.

        Parameters
        ----------
        path : str or path
            Where to; the file appears whole or not at all.
        dpi : float, optional
            Dots an inch of a .png, 1 to 2400; None: 110.

        Raises
        ------
        ValueError
            Another suffix or dpi.
        OSError
            The file can't be written.
        ImportError
            A picture is asked for, and there is no matplotlib.
        """
        save(path, {**self._pictures(dpi), ".json": self._write_json})

    def _pictures(
        self, dpi: float | None, photos: Sequence[OnPhoto] = ()
    ) -> dict[str, Callable[[IO[bytes]], object]]:
        def writer(suffix: str) -> Callable[[IO[bytes]], object]:
            return lambda file: file.write(self._render(suffix[1:], dpi, photos))

        return {suffix: writer(suffix) for suffix in PICTURES}

    def _render(self, kind: str, dpi: float | None = None, photos: Sequence[OnPhoto] = ()) -> bytes:
        from ..drawing import plot

        return plot.render(self, kind, dpi, photos)

    def _write_json(self, file: IO[bytes]) -> None:
        file.write((json.dumps(self.to_dict(), indent=1) + "\n").encode())

    def _repr_html_(self) -> str | None:
        from ..drawing import tables

        return tables.facts(self.facts()) if find_spec("jinja2") else None

    def facts(self) -> dict[str, str]:
        """The decision as names and values, as tables show it.

        Returns
        -------
        dict
            Texts.
        """
        rows = {
            "decision": self.sentence().partition(":")[0],
            "score": f"{self.score:.4f}",
            "threshold": f"{self.threshold:.4f}",
            "how it was set": self.threshold_from,
            **({} if self.explained == 1 else {"of it the cells, the face as a whole": self.sum_in_words()}),
            "plain cosine": f"{self.cosine:.4f}",
            "model": self.model,
        }
        if self.llr is not None:
            rows["worth"] = self.worth()
            rows["probability at even odds before"] = f"{self.probability():.2%}"
        if notes := self.notes():
            rows["mind"] = " ".join(notes)
        return rows


def to_frame(results: Sequence[Verification | None]) -> Any:
    """What ``verify`` or ``explain`` gave for a list, as a pandas DataFrame with a row for each.

    Parameters
    ----------
    results : sequence of Verification or None
        Explanations too. None, a pair that was skipped, is a row of missing values, so that rows keep their places.

    Returns
    -------
    pandas.DataFrame
        Columns as in ``Verification.to_dict`` (what all or some of the results have), without maps; the names of the
        photographs of explanations as first and second.

    Raises
    ------
    ImportError
        Without pandas.

    Examples
    --------
    >>> import xcos
    >>> photographs = ["examples/obama_congress_2009.jpg", "examples/biden_blue_room_2010.jpg"]
    >>> table = xcos.to_frame(xcos.verify("examples/obama_portrait_2012.jpg", photographs))
    >>> table["same"].tolist()
    [True, False]
    """
    rows = [{} if result is None else result._row() for result in results]
    names = dict.fromkeys(name for row in rows for name in row)
    return frame({name: [row.get(name) for row in rows] for name in names}, range(len(rows)))


def save(path: str | os.PathLike[str], writers: dict[str, Callable[[IO[bytes]], object]]) -> None:
    """Writes `path` through the writer of its suffix, by ``storage.files.replacing``.

    Raises ValueError when the suffix has no writer.
    """
    target = Path(path)
    writer = writers.get(target.suffix.lower())
    if writer is None:
        raise ValueError(f"{target}: expected a name that ends in {', '.join(writers)}, got {target.suffix!r}")
    with replacing(target) as file:
        writer(file)
