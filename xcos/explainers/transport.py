"""Which cell of one face was matched to which of the other: optimal transport between their grids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from .. import _core
from ..base.values import ByValue
from ..faces.detection import FaceLike
from ..faces.image import ImageLike, Many
from ..recognition.features import Floats
from ..recognition.model import SIDE, Model
from ..storage.progress import Progress
from .base import Crops, Explainer, enlarge

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WEIGHTS = ("cross", "uniform")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CellFlow(ByValue):
    """How the cells of one face move onto those of the other, for N pairs of faces with h x w cells.

    Attributes
    ----------
    similarity : (N,) ndarray of float32
        Sum of flow x cosine, -1 to 1: 1 - the Earth Mover's distance.
    flow : (N, h*w, h*w) ndarray of float32
        Share of a cell of the first face (down) that goes to a cell of the second (across); sums to 1.
    first, second : (N, h, w) ndarray of float32
        What each cell of either face adds to `similarity`; each sums to it.
    crops : (2, N, H, W, 3) ndarray of uint8
        The aligned faces, RGB.

    Examples
    --------
    >>> import xcos
    >>> a, b = "examples/obama_portrait_2012.jpg", "examples/obama_congress_2009.jpg"
    >>> flow = xcos.explainers.PatchEMD().flow(a, b)
    >>> round(float(flow.flow.sum()), 3), len(flow.matches(count=5))
    (1.0, 5)
    """

    similarity: Floats
    flow: Floats
    first: Floats
    second: Floats
    crops: Crops

    def __len__(self) -> int:
        return len(self.similarity)

    def __repr__(self) -> str:
        rows, columns = self.first.shape[1:]
        return f"CellFlow({len(self)} pairs, {rows} x {columns} cells)"

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dict, without the crops.

        Returns
        -------
        dict
            Numbers and lists only.
        """
        return {name: getattr(self, name).tolist() for name in ("similarity", "flow", "first", "second")}

    def matches(self, index: int = 0, count: int = 12) -> list[tuple[int, int, float]]:
        """The strongest flows of one pair.

        Parameters
        ----------
        index : int, default 0
            Which pair.
        count : int, default 12
            How many flows.

        Returns
        -------
        list of (int, int, float)
            Cell of the first face, of the second (row x w + column), and the share, the strongest first.
        """
        flow = self.flow[index]
        strongest = np.argsort(-flow, axis=None, kind="stable")[:count]
        return [
            (int(i), int(j), float(flow[i, j])) for i, j in zip(*np.unravel_index(strongest, flow.shape), strict=True)
        ]

    def plot(self, index: int = 0, ax: Any = None, count: int = 12) -> tuple[Figure, Any]:
        """Draws the faces of one pair side by side, and its strongest matches as lines. Needs matplotlib.

        Parameters
        ----------
        index : int, default 0
            Which pair.
        ax : Axes, optional
            Where to draw; None: a new figure.
        count : int, default 12
            How many matches.

        Returns
        -------
        (Figure, Axes)
            The figure and its axes.
        """
        from ..drawing import flow

        rows, columns = self.first.shape[1:]
        title = f"moved cells, similarity {self.similarity[index]:.3f}"
        return flow.matches(self.crops[:, index], self.matches(index, count), (rows, columns), title, ax)


@dataclass(frozen=True, kw_only=True)
class PatchEMD(Explainer):
    """Patch-wise Earth Mover's distance between the grids of two faces (DeepFace-EMD, arXiv 2112.04016, section 3).

    The maps hold what each cell of a face adds to the similarity, the sum over all cells that it was matched to of flow
    x cosine; they differ between the faces. The score beside them is the model's own, of which they are no part:
    whoever asks what the distance itself is, or which cell was matched to which, calls :meth:`flow`.

    Parameters
    ----------
    weights : str, default "cross"
        "cross" or "uniform": what a cell weighs: its cosine with the mean cell of the other face where that is above 0
        (the paper's average-pooling correlation), or the same as all others.
    regularization : float, default 0.05
        Of the entropy, 0.001 to 100, in units of the cost 1 - cosine; 0.05 in the code of the paper's authors.
    iterations : int, default 100
        Of Sinkhorn's algorithm. The authors end a batch as soon as its scalings move by less than 0.1 in the mean, and
        after 100 at the latest; here it is always this many, so that no result depends on the batch.

    Raises
    ------
    ValueError
        Other weights, numbers outside these ranges, or a model without a grid.

    Examples
    --------
    >>> import xcos
    >>> a, b = "examples/obama_portrait_2012.jpg", "examples/obama_congress_2009.jpg"
    >>> pair = xcos.explainers.PatchEMD(iterations=50)(a, b)
    >>> pair.method, pair.passes
    ('PatchEMD:iterations=50', 2)
    """

    weights: str = "cross"
    regularization: float = 0.05
    iterations: int = 100
    explains: ClassVar[tuple[str, ...]] = ("xcos",)

    def __post_init__(self) -> None:
        Explainer.__post_init__(self)
        if self.weights not in WEIGHTS:
            raise ValueError(f"PatchEMD: weights is {self.weights!r}; expected one of {', '.join(WEIGHTS)}")
        if not isinstance(self.model, Model):
            raise ValueError("PatchEMD: expected an xcos.Model, which has a grid of cells")
        nothing = np.zeros((0, 1, 1, 1), np.float32)
        _core.transport(nothing, nothing, True, self.regularization, self.iterations)  # checks the numbers

    @property
    def passes(self) -> int:
        return 2

    def similarities(self, first: Floats, second: Floats) -> Floats:
        """Similarities of grids, first[i] with second[i].

        Parameters
        ----------
        first, second : (N, D, h, w) ndarray of float32
            Grids as ``Model.features`` has them; a stack of one in `first` stands for all: what re-ranks a list.

        Returns
        -------
        (N,) ndarray of float32
            -1 to 1.
        """
        found, _ = _core.transport(
            first, second, self.weights == "cross", self.regularization, self.iterations, False, self.threads or 0
        )
        return found

    def flow(
        self,
        a: ImageLike | Many,
        b: ImageLike | Many,
        *,
        face: FaceLike = None,
        aligned: bool = False,
        bgr: bool = False,
    ) -> CellFlow:
        """Tells which cell of a[i] goes to which of b[i].

        Parameters
        ----------
        a, b : image or list of images
            The two faces, or two stacks of one length.
        face : int, Face or list, optional
            Which face of each photograph, as ``xcos.detect`` numbers them; None: the main one.
        aligned : bool, default False
            The images are aligned crops of 112 x 112.
        bgr : bool, default False
            Arrays are in the order of OpenCV.

        Returns
        -------
        CellFlow
            Flows, similarities and shares of the cells.

        Raises
        ------
        ValueError
            The two stacks differ in length.
        """
        crops = [self.scorer.crops(images, face=face, aligned=aligned, bgr=bgr) for images in (a, b)]
        if len(crops[0]) != len(crops[1]):
            raise ValueError(f"{self.name}: expected two stacks of one length, got {len(crops[0])} and {len(crops[1])}")
        return self._moved(crops[0], crops[1])[0]

    def _moved(self, first: Crops, second: Crops) -> tuple[CellFlow, Floats]:
        """The flow of N pairs of crops, and the model's own scores."""
        scorer = self.scorer
        seen = [scorer.features(scorer.inputs(crops)) for crops in (first, second)]
        grids = [scorer.split(features)[0] for features in seen]
        similarity, flow = _core.transport(
            grids[0], grids[1], self.weights == "cross", self.regularization, self.iterations, True, self.threads or 0
        )
        assert flow is not None
        n, _, rows, columns = grids[0].shape
        units = [g.reshape(n, -1, rows * columns) for g in grids]
        units = [g / np.maximum(np.linalg.norm(g, axis=1, keepdims=True), 1e-6) for g in units]  # the head's floor
        gain = flow * (units[0].transpose(0, 2, 1) @ units[1])
        maps = [gain.sum(axis).reshape(n, rows, columns) for axis in (2, 1)]
        return CellFlow(similarity, flow, maps[0], maps[1], np.stack([first, second])), scorer.compare(*seen)

    def _explain(self, first: Crops, second: Crops, progress: Progress) -> tuple[Floats, Floats, Floats]:
        moved, score = self._moved(first, second)
        return enlarge(moved.first, SIDE), enlarge(moved.second, SIDE), score
