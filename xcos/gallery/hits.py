"""What a search finds: people with scores, or nobody; and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..base.values import ByValue
from ..faces.quality import Look
from ..recognition.explanation import Explanation
from ..recognition.features import Features
from ..recognition.model import Model

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GREY = 128  # of the square that stands for a photograph that was not kept


@dataclass(frozen=True, slots=True, eq=False)
class Probe(ByValue):
    """The face that is searched for.

    Attributes
    ----------
    name : str
        What the photograph is called.
    crop : (112, 112, 3) ndarray of uint8
        The aligned face, RGB.
    features : Features
        A stack of one.
    look : Look
        Where the face was found, and its quality.

    Examples
    --------
    >>> import xcos
    >>> gallery = xcos.Gallery("people_probe")
    >>> gallery.search("examples/obama_portrait_2012.jpg").probe.name
    'obama_portrait_2012.jpg'
    """

    name: str
    crop: NDArray[np.uint8] = field(repr=False)
    features: Features = field(repr=False)
    look: Look


@dataclass(frozen=True, slots=True, eq=False)
class Hit(ByValue):
    """A person that a search found.

    Attributes
    ----------
    name : str
        Whom the hit shows.
    score : float
        The xCos score of the face with this person's photographs, -1 to 1.
    threshold : float
        The two are called the same person where score > threshold.
    threshold_from : str
        How it was set.
    cosine : float
        Plain cosine of the two embeddings, -1 to 1; it decides nothing but through the score.
    photo : str
        What the photograph is called that is most like the one searched for.
    id : str
        Its id in the gallery.
    photos : int
        How many of the person there are.
    meta : dict
        What was kept with that photograph.
    probe : Probe
        The face that was searched for.
    enrolled : Features
        Features of the person's photographs.
    crop : (112, 112, 3) ndarray of uint8 or None
        The photograph, where the gallery keeps them.
    model : Model
        What compared them.

    Examples
    --------
    >>> import xcos
    >>> gallery = xcos.Gallery("people_hit")
    >>> _ = gallery.add("Barack Obama", "examples/obama_portrait_2012.jpg")
    >>> hit = gallery.search("examples/obama_congress_2009.jpg")[0]
    >>> hit.same, hit.explain().contribution.shape
    (True, (7, 7))
    """

    name: str
    score: float
    threshold: float
    threshold_from: str
    cosine: float
    photo: str
    id: str
    photos: int
    meta: Mapping[str, Any]
    probe: Probe = field(repr=False)
    enrolled: Features = field(repr=False)
    crop: NDArray[np.uint8] | None = field(repr=False)
    model: Model = field(repr=False, compare=False)

    @property
    def same(self) -> bool:
        """True where score > threshold."""
        return self.score > self.threshold

    def __repr__(self) -> str:
        sign = ">" if self.same else "<="
        return f"Hit({self.name!r}, score {self.score:.4f} {sign} threshold {self.threshold:.4f}, {self.photo!r})"

    def explain(self) -> Explanation:
        """Why: the maps whose arithmetic is this score.

        Where the person's photographs count by their average, the maps are of the average, and the picture shows the
        photograph most alike. A photograph that was not kept is a grey square.

        Returns
        -------
        Explanation
            The reason, cell by cell.
        """
        crop = self.crop if self.crop is not None else np.full_like(self.probe.crop, GREY)
        shown = self.photo if len(self.photo) else self.name
        name = f"{self.name}: {shown}" if self.photos == 1 else f"{self.name}: {self.photos} photographs, {shown}"
        found = self.model.explain_features(
            self.probe.features, self.enrolled, [np.stack([self.probe.crop, crop])],
            names=[(self.probe.name, name)], threshold=self.threshold,
            threshold_from=self.threshold_from,
        )  # fmt: skip
        return found[0]

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dict.

        Returns
        -------
        dict
            Numbers, strings and what `meta` holds, ready for JSON.
        """
        names = ("name", "same", "score", "threshold", "threshold_from", "cosine", "photo", "id", "photos")
        return {**{name: getattr(self, name) for name in names}, "meta": dict(self.meta)}

    def plot(self, ax: Axes | None = None) -> tuple[Figure, Any]:
        """Draws the explanation. Needs matplotlib (``pip install xcos[plot]``).

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; None: a new figure.

        Returns
        -------
        (Figure, dict of Axes)
            The figure and its axes by name.
        """
        return self.explain().plot(ax)


@dataclass(frozen=True, slots=True, eq=False)
class Hits(ByValue):
    """The answer of a search: a sequence of hits, best first.

    Attributes
    ----------
    hits : tuple of Hit
        The k most alike, over the threshold or not.
    threshold : float
        A person is called found where score > threshold.
    threshold_from : str
        How it was set.
    probe : Probe
        The face that was searched for.
    compared : int
        How many photographs of the gallery were compared by xCos.
    faces : int
        How many photographs the gallery holds.

    Examples
    --------
    >>> import xcos
    >>> gallery = xcos.Gallery("people_hits")
    >>> _ = gallery.add("Barack Obama", "examples/obama_portrait_2012.jpg")
    >>> hits = gallery.search("examples/obama_congress_2009.jpg")
    >>> len(hits), hits.found[0].name, hits.reliable
    (1, 'Barack Obama', True)
    """

    hits: tuple[Hit, ...]
    threshold: float
    threshold_from: str
    probe: Probe
    compared: int
    faces: int

    def __len__(self) -> int:
        return len(self.hits)

    def __getitem__(self, index: int) -> Hit:
        return self.hits[index]

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    @property
    def found(self) -> tuple[Hit, ...]:
        """The hits over the threshold; empty: nobody."""
        return tuple(hit for hit in self.hits if hit.same)

    @property
    def nobody(self) -> bool:
        """True where no hit is over the threshold: the face is of nobody who is enrolled."""
        return not self.found

    @property
    def reliable(self) -> bool:
        """False where the face searched for is too poor for the answer to say anything."""
        return self.probe.look.quality.reliable

    def sentence(self) -> str:
        """The answer in words.

        Returns
        -------
        str
            One line.
        """
        if not self.reliable:
            return f"no answer: the face in the photograph is {self.probe.look.quality.reason()}"
        if self.nobody:
            best = f", the most alike: {self.hits[0].name!r} {self.hits[0].score:.4f}" if self.hits else ""
            return f"nobody: no score over the threshold {self.threshold:.4f} in {self.faces} photographs{best}"
        more = f" and {len(self.found) - 1} more" if len(self.found) > 1 else ""
        return f"{self.hits[0].name}{more}: score {self.hits[0].score:.4f} > threshold {self.threshold:.4f}"

    def __repr__(self) -> str:
        return f"Hits({self.sentence()})"

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dict.

        Returns
        -------
        dict
            Ready for JSON.
        """
        names = ("nobody", "reliable", "threshold", "threshold_from", "compared", "faces")
        return {**{name: getattr(self, name) for name in names}, "hits": [hit.to_dict() for hit in self.hits]}

    def plot(self, ax: Axes | None = None) -> tuple[Figure, Axes]:
        """Draws the scores as bars, and the threshold. Needs matplotlib (``pip install xcos[plot]``).

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; None: a new figure.

        Returns
        -------
        (Figure, Axes)
            The figure and its axes.
        """
        from .plots import bars

        return bars([hit.name for hit in self.hits], [hit.score for hit in self.hits], self.threshold, ax)
