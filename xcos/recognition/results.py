"""Results of a verification, with and without its explanation."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..base.frame import frame
from ..base.values import ByValue
from ..measured.calibration import CellStatistics, probability, ratio_in_words, support
from ..measured.truth import CellTruth
from ..storage.files import replacing
from .card import ModelCard
from .on_photo import OnPhoto
from .parts import Part, parts_of
from .sentences import Sentence, sentences_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

    from ..faces.image import ImageLike
    from ..faces.quality import Look, Quality

_CALIBRATED = ("evidence", "deviation", "deficit")  # maps of calibrated models
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


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Explanation(Verification):
    """A verification with its reason, cell by cell.

    Row 0 is the top of the face, column 0 its left side in the picture. The other attributes are those of
    :class:`Verification`.

    Attributes
    ----------
    cosine_map : (H, W) ndarray of float32
        How alike the two faces are in each cell, -1 to 1.
    attention : (H, W) ndarray of float32
        How much each cell counts; sums to 1.
    crops : (2, 112, 112, 3) ndarray of uint8
        The two aligned faces that were compared, RGB.
    names : (str, str)
        What the two photographs are called.
    evidence : (H, W) ndarray of float32 or None
        Log-likelihood ratios (natural) of a calibrated model: whether each cell's cosine is usual for one person (> 0)
        or for two (< 0). It is judged by other people's pairs, cell by cell; unlike the contributions it is no part of
        the score and has no sum.
    cells : CellStatistics or None
        Cosines of each cell that are usual for one person and for two, as ``xcos.calibrate`` measured them.
    truth : CellTruth or None
        What was measured of the model's cells, or None: does each say something about its own place?
    card : ModelCard or None
        What the model says of itself.

    Examples
    --------
    >>> import xcos
    >>> a, b = "examples/obama_portrait_2012.jpg", "examples/obama_congress_2009.jpg"
    >>> e = xcos.explain(a, b)
    >>> e.cosine_map.shape, round(float(e.attention.sum()), 3)
    ((7, 7), 1.0)
    >>> e.save("why.npz")
    """

    cosine_map: NDArray[np.float32]
    attention: NDArray[np.float32]
    crops: NDArray[np.uint8]
    names: tuple[str, str] = ("first", "second")
    evidence: NDArray[np.float32] | None = field(default=None, kw_only=True)
    cells: CellStatistics | None = field(default=None, kw_only=True)
    truth: CellTruth | None = field(default=None, kw_only=True)
    card: ModelCard | None = field(default=None, kw_only=True, compare=False)
    _parts: dict[str, Part] | None = field(default=None, init=False, compare=False)  # made when first asked for

    @property
    def deviation(self) -> NDArray[np.float32] | None:
        """(H, W) float32: cosines less the usual ones of these cells for one person, in standard deviations, or None.

        So cells that differ can be told from cells which are never much alike.
        """
        return None if self.cells is None else self.cells.deviation(self.cosine_map)

    @property
    def deficit(self) -> NDArray[np.float32] | None:
        """(H, W) float32: explained x attention x (usual cosine for one person - cosine), or None.

        What each cell adds less than usual; it orders the reasons for two people.
        """
        if self.cells is None:
            return None
        return (self.explained * self.attention * (self.cells.same_mean - self.cosine_map)).astype(np.float32)

    @property
    def contribution(self) -> NDArray[np.float32]:
        """(H, W) float32: explained x attention x cosine_map; its sum is `local`."""
        return self.explained * self.attention * self.cosine_map

    @property
    def parts(self) -> Mapping[str, Part]:
        """The explanation by parts of the face: eyes, brows, nose, mouth, cheeks, chin, forehead, hair, background.

        From the 68 points of the two crops, found when first asked for (about 10 ms). Contributions of all parts and
        `whole` sum to the score. ValueError for Features, whose faces have no picture.
        """
        if self._parts is None:
            maps = (self.cosine_map, self.attention, self.contribution, self.evidence)
            object.__setattr__(self, "_parts", parts_of(self.crops, self.looks, *maps))
        assert self._parts is not None
        return self._parts

    def sentences(self, language: str = "en") -> list[Sentence]:
        """The explanation in words: the decision, what adds to the score, where the faces are least alike.

        Each sentence is filled in from numbers of this explanation, which it lists (``Sentence.numbers``). Least alike
        are the two parts of the face of lowest cosine among those that can be seen in both pictures; where a part can't
        be seen, another sentence says so. Of a face that is too poor the decision alone is told.

        Parameters
        ----------
        language : {"en", "de", "ja"}
            English, German or Japanese.

        Returns
        -------
        list of Sentence
            One to five, mostly three.

        Raises
        ------
        ValueError
            Another language, or a face without a picture, as of Features.

        Examples
        --------
        >>> import xcos
        >>> e = xcos.explain("examples/obama_portrait_2012.jpg", "examples/obama_congress_2009.jpg")
        >>> [sentence.kind for sentence in e.sentences()]
        ['same', 'sum', 'least_alike']
        """
        return sentences_of(self, language)

    def to_dict(self) -> dict[str, Any]:
        """The decision and its maps as a dict: maps as lists of rows, without the crops.

        Returns
        -------
        dict
            Numbers, strings and lists only, ready for ``json.dumps``.
        """
        return {
            **Verification.to_dict(self),
            "names": list(self.names),
            "cosine_map": self.cosine_map.tolist(),
            "attention": self.attention.tolist(),
            "contribution": self.contribution.tolist(),
            **{name: value.tolist() for name in _CALIBRATED if (value := getattr(self, name)) is not None},
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
        on_photo: bool | tuple[ImageLike, ImageLike] = False,
    ) -> tuple[Figure, Any]:
        """Draws the two faces, patch cosines, attention and contributions.

        All scales are fixed, so that two figures can be compared. Needs matplotlib (``pip install xcos[plot]``).

        Parameters
        ----------
        ax : Axes, optional
            The drawing stays in that place of its figure, smaller where there is less room; None: a new figure.
        figsize : (float, float), optional
            Width and height of a new figure, inches.
        cmap : str or Colormap, optional
            A matplotlib colour map or its name, for cosines and contributions in place of RdBu.
        panels : sequence of str, optional
            Which parts are drawn, in which order, three in a row: "first", "second", "score", "cosine", "attention",
            "contribution", "evidence", "deviation", and "whole" at the right of the last row.
        on_photo : bool or (image, image), default False
            The photographs around the faces, with the patch cosines over them, in place of the two crops: True reads
            them again from their paths; those given otherwise are to be given again.

        Returns
        -------
        (Figure, dict of Axes)
            The figure and its axes by name.

        Raises
        ------
        ValueError
            `ax` and `figsize` together, another panel or colour map, the evidence of a model without calibration, or
            photographs that can't be had (see :meth:`on_photo`).
        """
        from ..drawing import plot

        photos = self._photos(on_photo)
        return plot.explanation(self, ax, figsize=figsize, cmap=cmap, panels=panels, photos=photos)

    def on_photo(self, side: int, image: ImageLike | None = None) -> OnPhoto:
        """Grid and maps in the coordinates of a photograph: back from the crop by the inverse of the alignment.

        Parameters
        ----------
        side : {1, 2}
            The first photograph, or the second.
        image : image, optional
            The photograph, for its pixels to be drawn; None: it is read from its path again, if it came from one.
            Everything else needs no pixels.

        Returns
        -------
        OnPhoto
            Coordinates are those of the upright photograph, as ``xcos.read_image`` gives it.

        Raises
        ------
        ValueError
            Another side, or there is no photograph: the picture was given as an aligned crop, or as Features.

        Examples
        --------
        >>> import xcos
        >>> e = xcos.explain("examples/obama_portrait_2012.jpg", "examples/obama_congress_2009.jpg")
        >>> e.on_photo(2).grid.shape
        (7, 7, 4, 2)
        """
        if side not in (1, 2):
            raise ValueError(f"side: expected 1 (the first photograph) or 2, got {side!r}")
        maps = {"cosine": self.cosine_map, "attention": self.attention, "contribution": self.contribution}
        known = {name: values for name in ("evidence", "deviation") if (values := getattr(self, name)) is not None}
        return OnPhoto.of(self.looks, side, maps | known, self.names[side - 1], self.crops[side - 1], image)

    def _photos(self, on_photo: bool | tuple[ImageLike, ImageLike]) -> Sequence[OnPhoto]:
        """Two, or none where `on_photo` is False."""
        if on_photo is False:
            return ()
        first, second = (None, None) if on_photo is True else on_photo
        return self.on_photo(1, first), self.on_photo(2, second)

    def plot_evidence(self, ax: Axes | None = None) -> tuple[Figure, Axes]:
        """Draws the evidence: which cells are as alike as usual for one person, and which are not. Needs matplotlib.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; None: a new figure.

        Returns
        -------
        (Figure, Axes)
            The figure and its axes.

        Raises
        ------
        ValueError
            The model has no calibration.
        """
        from ..drawing import plot

        return plot.evidence(self, ax)

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        dpi: float | None = None,
        on_photo: bool | tuple[ImageLike, ImageLike] = False,
    ) -> None:
        """Writes a page, a picture, or the numbers, by suffix.

        Parameters
        ----------
        path : str or path
            .html (the interactive view), .png, .pdf, .svg (the plot), .json (``to_dict()``) or .npz (all arrays); the
            file appears whole or not at all.
        dpi : float, optional
            Dots an inch of a .png, 1 to 2400; None: 110.
        on_photo : bool or (image, image), default False
            A picture shows the photographs in place of the crops, as :meth:`plot`; a page shows them on demand.

        Raises
        ------
        ValueError
            Another suffix or dpi, or photographs that can't be had (see :meth:`on_photo`).
        OSError
            The file can't be written.
        ImportError
            A picture is asked for, and there is no matplotlib.
        """
        photos = self._photos(on_photo)
        others = {".html": self._write_html(photos), ".json": self._write_json, ".npz": self._write_npz}
        save(path, {**self._pictures(dpi, photos), **others})

    def report(
        self,
        path: str | os.PathLike[str],
        *,
        photos: tuple[ImageLike | None, ImageLike | None] = (None, None),
        reference: str = "",
        command: str = "",
        paper: str = "A4",
        date: datetime | None = None,
    ) -> None:
        """Writes a report for the case file: all that this comparison rests on, in some pages.

        The photographs as given, with SHA-256, size, orientation and quality; the crops; decision, threshold and where
        it comes from; the likelihood ratio with its interval; maps, sum, parts and sentences; the model, versions,
        date and command; and the limits on a page of their own. Needs ``pip install xcos[report]``.

        Parameters
        ----------
        path : str or path
            .pdf or .html; the file appears whole or not at all. The same comparison, date and command give the same
            bytes, with the same versions.
        photos : (image, image), optional
            The photographs, where they were given as bytes, pixels or open files; None: read again from their paths.
        reference : str, optional
            Of the case, as the reader's files have it; stands at the head and the foot of every page.
        command : str, optional
            How this was made; "": by a call of ``xcos.explain``.
        paper : {"A4", "letter"}
            Of a PDF.
        date : datetime, optional
            With a time zone, shown as UTC; None: now, or that of the environment variable SOURCE_DATE_EPOCH.

        Raises
        ------
        ValueError
            Another suffix or paper, a date without a time zone, photographs that can't be had (given as content or as
            Features), or that are not the ones that were compared.
        OSError
            A photograph can't be read, or the file can't be written.
        ImportError
            Without fpdf2 (for .pdf), matplotlib, Pillow or jinja2 (for .html).

        Examples
        --------
        >>> import xcos
        >>> e = xcos.explain("examples/obama_portrait_2012.jpg", "examples/obama_congress_2009.jpg")
        >>> e.report("case.html", reference="K-17/2026")
        """
        from ..casefile import writers

        save(path, writers(self, self.looks, photos, reference=reference, command=command, paper=paper, date=date))

    def _write_html(self, photos: Sequence[OnPhoto]) -> Callable[[IO[bytes]], object]:
        from ..view import explanation_page

        return lambda file: file.write(explanation_page(self, photos).encode())

    def _write_npz(self, file: IO[bytes]) -> None:
        arrays: dict[str, Any] = {name: np.asarray(value) for name, value in Verification.to_dict(self).items()}
        names = ("cosine_map", "attention", "contribution", *_CALIBRATED, "crops")
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
