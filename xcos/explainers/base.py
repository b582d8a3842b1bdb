"""What all explainers share: how they are called, and the pair of maps they give."""

from __future__ import annotations

import json
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..base.values import ByValue
from ..faces.detection import FaceLike
from ..faces.image import ImageLike, Many
from ..recognition.features import Floats
from ..recognition.model import Model
from ..recognition.results import PICTURES, save
from ..storage.progress import Progress
from .scoring import NetworkLike, Scorer, Scores, as_network

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Crops = NDArray[np.uint8]

# Tables have a column for the score; the others change time and memory, not the maps.
NOT_IN_NAMES = ("model", "score", "batch", "threads", "chunk")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SaliencyPair(ByValue):
    """Two maps for each of N pairs of faces: what speaks for "the same person" (+) and what against (-).

    ``pair[3]`` and ``pair[2:5]`` hold those pairs alone.

    Attributes
    ----------
    method : str
        Name of the explainer.
    target : str
        The score that is explained: "xcos" or "cosine".
    first, second : (N, H, W) ndarray of float32
        Map of the first and of the second face, one value per pixel of its crop; the unit is the method's.
    score : (N,) ndarray of float32
        The score of each pair, -1 to 1.
    crops : (2, N, H, W, 3) ndarray of uint8
        The aligned faces, RGB.
    passes : int
        Runs of the network for one pair, forward or backward.
    seconds : float
        Wall time of one pair, mean.

    Examples
    --------
    >>> import xcos
    >>> a, b = "examples/obama_portrait_2012.jpg", "examples/obama_congress_2009.jpg"
    >>> pair = xcos.explainers.XCos()(a, b)
    >>> pair.method, pair.first.shape, pair.passes
    ('XCos', (1, 112, 112), 2)
    """

    method: str
    target: str
    first: Floats
    second: Floats
    score: Floats
    crops: Crops
    passes: int
    seconds: float

    def __len__(self) -> int:
        return len(self.score)

    def __getitem__(self, index: Any) -> SaliencyPair:
        if isinstance(index, (int, np.integer)):
            if not -len(self) <= index < len(self):
                raise IndexError(f"pair {index} of {len(self)}")
            index = [index]
        return SaliencyPair(
            self.method, self.target, self.first[index], self.second[index], self.score[index],
            self.crops[:, index], self.passes, self.seconds,
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"SaliencyPair({self.method} of {self.target}, {len(self)} pairs, {self.passes} passes each)"

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dict: maps as lists of rows, without the crops.

        Returns
        -------
        dict
            Numbers, strings and lists only, ready for ``json.dumps``.
        """
        arrays = {name: getattr(self, name).tolist() for name in ("first", "second", "score")}
        return {
            "method": self.method,
            "target": self.target,
            **arrays,
            "passes": self.passes,
            "seconds": self.seconds,
        }

    def plot(self, index: int = 0, ax: Any = None) -> tuple[Figure, Any]:
        """Draws the two faces of one pair under their maps, blue for and red against.

        Both maps share one scale, symmetric about zero. Needs matplotlib (``pip install xcos[plot]``).

        Parameters
        ----------
        index : int, default 0
            Which pair.
        ax : two Axes, optional
            Where to draw; None: a new figure.

        Returns
        -------
        (Figure, array of Axes)
            The figure and its two axes.
        """
        from ..drawing import saliency

        return saliency.saliency(self[index], ax)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes .png, .pdf, .svg (all pairs drawn), .json (``to_dict()``) or .npz (all arrays), by suffix.

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

        def picture(suffix: str) -> Callable[[IO[bytes]], object]:
            from ..drawing import saliency

            return lambda file: file.write(saliency.render([self], suffix[1:]))

        def arrays(file: IO[bytes]) -> None:
            names = ("first", "second", "score", "crops")
            np.savez_compressed(file, **{name: getattr(self, name) for name in names})

        def text(file: IO[bytes]) -> None:
            file.write((json.dumps(self.to_dict()) + "\n").encode())

        kind = os.path.splitext(os.fspath(path))[1].lower()
        pictures = {kind: picture(kind)} if kind in PICTURES else dict.fromkeys(PICTURES, text)
        save(path, {**pictures, ".json": text, ".npz": arrays})


@dataclass(frozen=True, kw_only=True)
class Explainer(ABC):
    """An explainer with its parameters; ``dataclasses.replace`` makes one with others, say another model.

    Called with two images or two stacks it gives a :class:`SaliencyPair`.

    Parameters
    ----------
    model : Model, Network, str or path, optional
        An ``xcos.Model``, a name or a path, None for the default model; or for the plain cosine alone an
        ``xcos.Network`` with one (3, 112, 112) input, a header that tells its preprocessing, and an embedding (N, E)
        among its outputs.
    score : "xcos" or "cosine", optional
        What is explained. None: the model's own score ("xcos", of a network without a head "cosine") where the method
        can, else what it can. It stands in :attr:`target`, in results and in tables.
    batch : int, default 32
        Images in one run of the network.
    threads : int, optional
        Threads at most; None: the package's default.

    Raises
    ------
    ValueError
        A score that the method cannot explain, a batch below 1, or a parameter of the method out of range.

    Examples
    --------
    >>> import xcos
    >>> import dataclasses
    >>> explainer = xcos.explainers.CorrRISE(masks=20)
    >>> explainer.name
    'CorrRISE:masks=20'
    >>> explainer.target, dataclasses.replace(explainer, score="cosine").target
    ('xcos', 'cosine')
    """

    model: NetworkLike = field(default=None, kw_only=False)
    score: Scores | None = None
    batch: int = 32
    threads: int | None = None

    explains: ClassVar[tuple[str, ...]] = ("xcos", "cosine")

    def __post_init__(self) -> None:
        """Raises ValueError for a score that the method cannot explain, or a batch below 1; as ``xcos.load``."""
        object.__setattr__(self, "model", as_network(self.model))
        if self.score is None:
            preferred = ("xcos", "cosine") if isinstance(self.model, Model) else ("cosine", "xcos")
            object.__setattr__(self, "score", next(score for score in preferred if score in self.explains))
        if self.score not in self.explains:
            expected = " or ".join(map(repr, self.explains))
            raise ValueError(f"{self.name}: score is {self.score!r}; expected {expected}")
        if self.batch < 1:
            raise ValueError(f"{self.name}: batch is {self.batch}; expected 1 or more")

    @property
    def target(self) -> Scores:
        """The score that is explained: "xcos" or "cosine"."""
        assert self.score is not None  # since __post_init__
        return self.score

    @property
    def name(self) -> str:
        """The class, and the settings that are not its defaults.

        ``CorrRISE:fill=blur,masks=40``, sequences joined by +. ``xcos compare-explanations --methods`` reads it.
        """
        chosen = [
            f"{one.name}={'+'.join(map(str, value)) if isinstance(value, tuple) else value}"
            for one in fields(self)
            if one.name not in NOT_IN_NAMES and (value := getattr(self, one.name)) != one.default
        ]
        return ":".join([type(self).__name__, *filter(None, [",".join(chosen)])])

    @property
    @abstractmethod
    def passes(self) -> int:
        """Runs of the network for one pair, forward or backward."""

    @cached_property
    def scorer(self) -> Scorer:
        """The model as this method needs it."""
        return Scorer(self.model, self.target, self.batch, self.threads)

    def __call__(
        self,
        a: ImageLike | Many,
        b: ImageLike | Many,
        *,
        face: FaceLike = None,
        aligned: bool = False,
        bgr: bool = False,
        progress: Progress = None,
    ) -> SaliencyPair:
        """Explains a[i] against b[i]; single images are stacks of one. Keywords and errors: see ``xcos.Model``.

        `face`: one choice for all photographs, or a list of one for each i, of `a` and `b` alike.

        Raises ValueError where the two stacks differ in length.
        """
        crops = [self.scorer.crops(images, face=face, aligned=aligned, bgr=bgr) for images in (a, b)]
        if len(crops[0]) != len(crops[1]):
            raise ValueError(f"{self.name}: expected two stacks of one length, got {len(crops[0])} and {len(crops[1])}")
        start = time.perf_counter()
        first, second, score = self._explain(crops[0], crops[1], progress)
        seconds = (time.perf_counter() - start) / max(len(score), 1)
        return SaliencyPair(
            self.name,
            self.target,
            np.ascontiguousarray(first, np.float32),
            np.ascontiguousarray(second, np.float32),
            score,
            np.stack(crops),
            self.passes,
            seconds,
        )

    def side(self, which: int, first: Crops, second: Crops) -> Floats:
        """Maps of one side of pairs of crops alone: what measures look at.

        Parameters
        ----------
        which : int
            0: of the first faces; 1: of the second.
        first, second : (N, 112, 112, 3) ndarray of uint8
            Aligned crops, RGB.

        Returns
        -------
        (N, H, W) ndarray of float32
            The maps.
        """
        return np.ascontiguousarray(self._explain(first, second, None)[which], np.float32)

    @abstractmethod
    def _explain(self, first: Crops, second: Crops, progress: Progress) -> tuple[Floats, Floats, Floats]:
        """Maps of the first and second crops, (N, H, W) each, and the scores (N,)."""


@dataclass(frozen=True, kw_only=True)
class FaceByFace(Explainer):
    """An explainer that makes each face's map by itself, so that one side alone is half the work."""

    @abstractmethod
    def _sides(self, sides: tuple[int, ...], first: Crops, second: Crops, progress: Progress) -> tuple[Floats, Floats]:
        """Maps (len(sides), N, H, W) of the first faces (0) or the second (1), and the scores (N,)."""

    def _explain(self, first: Crops, second: Crops, progress: Progress) -> tuple[Floats, Floats, Floats]:
        (one, other), score = self._sides((0, 1), first, second, progress)
        return one, other, score

    def side(self, which: int, first: Crops, second: Crops) -> Floats:
        """See Explainer."""
        maps, _ = self._sides((which,), first, second, None)
        return np.ascontiguousarray(maps[0])


def enlarge(maps: NDArray[Any], side: int) -> Floats:
    """(N, h, w) -> (N, side, side) float32, bilinear between the centres of the cells, flat beyond the outer ones."""
    rows, columns = (_weights(size, side) for size in maps.shape[1:])
    enlarged: Floats = np.asarray(rows @ maps @ columns.T, np.float32)
    return enlarged


def _weights(cells: int, side: int) -> Floats:
    """(side, cells): how much each cell counts for each pixel."""
    place = np.clip((np.arange(side) + 0.5) * cells / side - 0.5, 0, cells - 1)
    weights: Floats = np.clip(1 - np.abs(place[:, None] - np.arange(cells)), 0, None).astype(np.float32)
    return weights
