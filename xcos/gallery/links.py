"""Two people, or two photographs, that may be one: pairs over a threshold, and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..base.values import ByValue
from ..faces.image import read_image
from ..recognition.explanation import Explanation
from ..recognition.features import Features, plain_cosine
from ..recognition.model import Model
from .hits import GREY
from .search import View, averaged
from .store import fetch

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NEAR = 20  # people with whom each is compared
_BLOCK = 1024  # people whose cosines with all are in memory at once


@dataclass(frozen=True, slots=True, eq=False)
class Link(ByValue):
    """Two faces, and how alike they are.

    Attributes
    ----------
    first, second : str
        Names of the two people, or of two photographs.
    score : float
        The xCos score of first with second, -1 to 1.
    threshold : float
        Over this the two are called the same person.
    cosine : float
        Plain cosine, -1 to 1.
    features : Features
        Of the two faces.
    crops : (2, 112, 112, 3) ndarray of uint8
        The faces, grey squares where photographs are not kept.
    model : Model
        What compared them.

    Examples
    --------
    >>> import xcos
    >>> link = xcos.gallery.cluster("examples").clusters[0].link
    >>> link.score > link.threshold
    True
    """

    first: str
    second: str
    score: float
    threshold: float
    cosine: float
    features: Features = field(repr=False)
    crops: NDArray[np.uint8] = field(repr=False)
    model: Model = field(repr=False, compare=False)

    def explain(self) -> Explanation:
        """Why: the maps whose arithmetic is this score. Photographs that were not kept are grey squares.

        Returns
        -------
        Explanation
            The reason, cell by cell.
        """
        names = [(self.first, self.second)]
        threshold = None if self.threshold == self.model.threshold else self.threshold
        return self.model.explain_features(
            self.features[0], self.features[1], [self.crops], names=names, threshold=threshold
        )[0]

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dict.

        Returns
        -------
        dict
            Ready for JSON.
        """
        return {name: getattr(self, name) for name in ("first", "second", "score", "threshold", "cosine")}

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


def duplicates(model: Model, view: View, threshold: float, threads: int | None) -> tuple[Link, ...]:
    """See ``Gallery.duplicates``."""
    people, links = len(view.names), []
    near = min(_NEAR, people - 1)
    unit = view.unit(averaged=True)
    for at in range(0, people if near > 0 else 0, _BLOCK):
        block = np.arange(at, min(at + _BLOCK, people))
        cosine = unit[block] @ unit.T
        cosine[np.arange(len(block)), block] = -np.inf
        alike = np.argpartition(-cosine, near - 1, axis=1)[:, :near]
        pairs = {(min(a, b), max(a, b)) for a, row in zip(block.tolist(), alike.tolist(), strict=True) for b in row}
        links += _over(model, view, sorted(p for p in pairs if p[0] in block), threshold, threads)
        links += _over(model, view, sorted(p for p in pairs if p[0] not in block), threshold, threads)
    unique = {(link.first, link.second): link for link in links}
    return tuple(sorted(unique.values(), key=lambda link: -link.score))


def _over(
    model: Model, view: View, pairs: list[tuple[int, int]], threshold: float, threads: int | None
) -> list[Link]:
    """The pairs of people with a score over the threshold, compared some at a time."""
    links = []
    for at in range(0, len(pairs), _BLOCK):
        part = pairs[at : at + _BLOCK]
        people = np.unique(np.array(part))
        rows, starts = view.rows_of(people)
        faces = averaged(view.store.features(fetch(view.table, rows, ("embedding", "grid"))), starts)
        first, second = (np.searchsorted(people, [pair[side] for pair in part]) for side in (0, 1))
        compared = model.compare(faces[first], faces[second], maps=False, threads=threads)
        for i in np.flatnonzero(compared.same if threshold == model.threshold else compared.score > threshold):
            a, b = part[i]
            both = faces[[first[i], second[i]]]
            cosine = float(plain_cosine(both.embedding[:1], both.embedding[1:])[0])
            links.append(Link(view.names[a], view.names[b], float(compared.score[i]), threshold, cosine, both,
                              np.stack([_crop(view, who) for who in (a, b)]), model))  # fmt: skip
    return links


def _crop(view: View, who: int) -> NDArray[np.uint8]:
    crop = fetch(view.table, view.rows_of([who])[0][:1], ("crop",))["crop"][0].as_py()
    return np.full((112, 112, 3), GREY, np.uint8) if crop is None else read_image(crop)
