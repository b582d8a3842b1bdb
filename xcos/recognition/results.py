"""Results of a verification, with and without its explanation."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..base.frame import frame
from ..base.values import ByValue
from ..measured.calibration import probability
from ..measured.truth import CellTruth
from ..storage.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

    from ..faces.quality import Look, Quality

PICTURES = (".png", ".pdf", ".svg")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Verification(ByValue):
    """A decision about two faces.

    score           in -1..1, higher is more alike: the xCos score (arXiv 2003.05383), `local` + `whole`
    threshold       the two are called the same person when score > threshold
    cosine          in -1..1: plain cosine of the two embeddings, of the face as a whole
    threshold_from  how the threshold was set
    model           name of the model
    explained       0..1: what the cells count in the score, 1 - w; the cosine counts w (see ``Model.with_whole``)
    llr             natural logarithm of how much more probable this score is for one person than for two, as
                    ``xcos.calibrate`` measured it on the data that the model file names; None: never measured
    looks           of the two photographs: the quality of the face, and where it was found; None: not looked at

    Where a face is too poor to be compared (`reliable` is False) the decision says nothing: it is no answer. The
    score is no probability: what it means is known only through the threshold and how it was set.
    """

    score: float
    threshold: float
    cosine: float
    threshold_from: str
    model: str
    llr: float | None = field(default=None, kw_only=True)
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
        """What there is to know about the photographs, in sentences: turned ones, and faces that are too poor."""
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
        """Probability that both show one person, given `prior`, the probability before they were looked at.

        As good as the calibration and the prior: 0.5 is right where as many pairs of one person as of two come
        in, and far from it for a search among many. Raises ValueError for a model without calibration or a
        prior that is not between 0 and 1.
        """
        if self.llr is None:
            raise ValueError(f"model {self.model!r} is not calibrated, its score no probability: see xcos.calibrate")
        return probability(self.llr, prior)

    def sentence(self) -> str:
        """The decision in words: ``same person: score 0.5521 > threshold 0.2400``."""
        verdict, sign = ("same person", ">") if self.same else ("different people", "<=")
        if not self.reliable:
            verdict = "no answer, a face is too poor"
        return f"{verdict}: score {self.score:.4f} {sign} threshold {self.threshold:.4f}"

    def sum_in_words(self) -> str:
        """The score as the sum that it is: ``0.3810 (cells) + 0.1711 (the face as a whole)``."""
        sign = "-" if self.whole < 0 else "+"
        return f"{self.local:.4f} (cells) {sign} {abs(self.whole):.4f} (the face as a whole)"

    def to_dict(self) -> dict[str, Any]:
        """Numbers, strings and lists only, ready for json.dumps."""
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
            **({} if self.llr is None else {"llr": self.llr}),
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
        """Draws score and threshold on the scale -1..1, in `ax` or a new figure of `figsize` inches.

        Raises ValueError for both. Needs matplotlib (``pip install xcos[plot]``).
        """
        from ..drawing import plot

        return plot.verification(self, ax, figsize=figsize)

    def save(self, path: str | os.PathLike[str], *, dpi: float | None = None) -> None:
        """Writes .png, .pdf, .svg (the plot) or .json (``to_dict()``), by suffix.

        dpi: dots an inch of a .png, 1 to 2400 (default: 110). The file appears whole or not at all. Raises ValueError
        for another suffix or dpi, OSError where the file can't be written, ImportError for a picture without
        matplotlib.
        """
        save(path, {**self._pictures(dpi), ".json": self._write_json})

    def _pictures(self, dpi: float | None) -> dict[str, Callable[[IO[bytes]], object]]:
        def writer(suffix: str) -> Callable[[IO[bytes]], object]:
            return lambda file: file.write(self._render(suffix[1:], dpi))

        return {suffix: writer(suffix) for suffix in PICTURES}

    def _render(self, kind: str, dpi: float | None = None) -> bytes:
        from ..drawing import plot

        return plot.render(self, kind, dpi)

    def _write_json(self, file: IO[bytes]) -> None:
        file.write((json.dumps(self.to_dict(), indent=1) + "\n").encode())

    def _repr_html_(self) -> str:
        return self._table()

    def _table(self) -> str:
        from html import escape  # its tables cost 10 ms, which only notebooks should pay

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
            rows["probability at even odds before"] = f"{self.probability():.2%}"
        if notes := self.notes():
            rows["mind"] = " ".join(notes)
        cells = "".join(f"<tr><th>{key}</th><td>{escape(value)}</td></tr>" for key, value in rows.items())
        return f"<table>{cells}</table>"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Explanation(Verification):
    """A verification with its reason, cell by cell.

    cosine_map    (H, W) float32 in -1..1: how alike the two faces are in each cell
    attention     (H, W) float32, sums to 1: how much each cell counts
    contribution  (H, W) float32: explained x attention x cosine_map; its sum is `local`, and with `whole` the score
    crops         (2, 112, 112, 3) uint8 RGB: the two aligned faces that were compared
    names         what the two photographs are called
    evidence      (H, W) float32 log-likelihood ratios (natural) of a calibrated model, else None: whether each
                  cell's cosine is usual for one person (> 0) or for two (< 0). It is judged by other people's
                  pairs, cell by cell; unlike the contributions it is no part of the score and has no sum.
    truth         what was measured of the model's cells, or None: does each say something about its own place?

    Row 0 is the top of the face, column 0 its left side in the picture.
    """

    cosine_map: NDArray[np.float32]
    attention: NDArray[np.float32]
    crops: NDArray[np.uint8]
    names: tuple[str, str] = ("first", "second")
    evidence: NDArray[np.float32] | None = field(default=None, kw_only=True)
    truth: CellTruth | None = field(default=None, kw_only=True)

    @property
    def contribution(self) -> NDArray[np.float32]:
        """(H, W) float32: explained x attention x cosine_map; its sum is `local`."""
        return self.explained * self.attention * self.cosine_map

    def to_dict(self) -> dict[str, Any]:
        """Numbers, strings and lists only (the maps as lists of rows, without the crops)."""
        return {
            **Verification.to_dict(self),
            "names": list(self.names),
            "cosine_map": self.cosine_map.tolist(),
            "attention": self.attention.tolist(),
            "contribution": self.contribution.tolist(),
            **({} if self.evidence is None else {"evidence": self.evidence.tolist()}),
            **({} if self.truth is None else {"truth": self.truth.to_dict()}),
        }

    def _row(self) -> dict[str, Any]:
        first, second = self.names
        return {"first": first, "second": second, **Verification.to_dict(self)}

    def plot(
        self,
        ax: Axes | None = None,
        *,
        figsize: tuple[float, float] | None = None,
        cmap: str | Colormap | None = None,
        panels: Sequence[str] | None = None,
    ) -> tuple[Figure, Any]:
        """Draws the two faces, patch cosines, attention and contributions.

        With `ax` the drawing stays in that place of its figure, smaller where there is less room; else it is a new
        figure, of `figsize` inches. `cmap`: a matplotlib colour map or its name, for cosines and contributions in
        place of RdBu; all scales are fixed, so that two figures can be compared. `panels`: which parts are drawn, in
        which order, three in a row: "first", "second", "score", "cosine", "attention", "contribution", "evidence",
        and "whole" at the right of the last row.

        Returns (figure, dict of axes by name). Raises ValueError for ax and figsize together, another panel or colour
        map, or the evidence of a model without calibration. Needs matplotlib (``pip install xcos[plot]``).
        """
        from ..drawing import plot

        return plot.explanation(self, ax, figsize=figsize, cmap=cmap, panels=panels)

    def plot_evidence(self, ax: Axes | None = None) -> tuple[Figure, Axes]:
        """Draws the evidence: which cells are as alike as usual for one person, and which are not.

        Raises ValueError for a model without calibration. Needs matplotlib (``pip install xcos[plot]``).
        """
        from ..drawing import plot

        return plot.evidence(self, ax)

    def save(self, path: str | os.PathLike[str], *, dpi: float | None = None) -> None:
        """Writes .html (the interactive view), .png, .pdf, .svg (the plot), .json (``to_dict()``) or .npz (all
        arrays), by suffix.

        dpi: dots an inch of a .png, 1 to 2400 (default: 110). The file appears whole or not at all. Raises ValueError
        for another suffix or dpi, OSError where the file can't be written, ImportError for a picture without
        matplotlib.
        """
        others = {".html": self._write_html, ".json": self._write_json, ".npz": self._write_npz}
        save(path, {**self._pictures(dpi), **others})

    def _write_html(self, file: IO[bytes]) -> None:
        from ..view import explanation_page

        file.write(explanation_page(self).encode())

    def _write_npz(self, file: IO[bytes]) -> None:
        arrays: dict[str, Any] = {name: np.asarray(value) for name, value in Verification.to_dict(self).items()}
        names = ("cosine_map", "attention", "contribution", "evidence", "crops")
        maps: dict[str, Any] = {name: value for name in names if (value := getattr(self, name)) is not None}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays, **maps, names=np.asarray(self.names))
        file.write(buffer.getvalue())

    def _repr_png_(self) -> bytes | None:
        return self._render("png") if find_spec("matplotlib") else None

    def _repr_html_(self) -> str:
        """The interactive view; inside it, for where scripts don't run, the picture."""
        from ..view import explanation_html

        return explanation_html(self)


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
    """Writes `path` through the writer of its suffix, by ``_files.replacing``.

    Raises ValueError when the suffix has no writer.
    """
    target = Path(path)
    writer = writers.get(target.suffix.lower())
    if writer is None:
        raise ValueError(f"{target}: expected a name that ends in {', '.join(writers)}, got {target.suffix!r}")
    with replacing(target) as file:
        writer(file)
