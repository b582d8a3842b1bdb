"""A verification with its reason, cell by cell, and how it is drawn, told, saved and reported."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..measured.calibration import CellStatistics
from ..measured.truth import CellTruth
from .card import ModelCard
from .on_photo import OnPhoto
from .parts import Part, parts_of
from .results import Verification, save
from .sentences import Sentence, sentences_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

    from ..faces.image import ImageLike

_CALIBRATED = ("evidence", "deviation", "deficit")  # maps of calibrated models


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

    def _repr_html_(self) -> str:
        """The interactive view; inside it, for where scripts don't run, the picture."""
        from ..view import explanation_html

        return explanation_html(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """The view and the picture alone; two methods would draw the same picture twice."""
        from ..view import explanation_bundle

        return explanation_bundle(self)
