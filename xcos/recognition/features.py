"""What a network sees in faces, and what comes of comparing it: plain arrays, stacked."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..base.frame import frame
from ..base.values import ByValue
from ..faces.detection import Face
from ..plan.file import ModelFile
from ..storage.files import keep_arrays, read_arrays

Floats = NDArray[np.float32]
Metric: TypeAlias = Literal["xcos", "cosine"]


class Named(Protocol):
    """Of ``xcos.Model``, which knows features: what tells one model from another."""

    @property
    def name(self) -> str: ...
    @property
    def file(self) -> ModelFile: ...


@dataclass(frozen=True, slots=True, eq=False)
class Features(ByValue):
    """Features of N faces; a single face is a stack of one.

    ``f[3]``, ``f[2:5]`` and ``f[[0, 4]]`` are stacks again; so is ``Features.concatenate([f, g])``.

    Parameters
    ----------
    grid : (N, D, H, W) ndarray of float32
        A vector of D numbers for each of the H x W cells.
    embedding : (N, E) ndarray of float32
        One vector for the whole face, for the plain cosine.

    Examples
    --------
    >>> import xcos
    >>> a, b = "examples/obama_portrait_2012.jpg", "examples/obama_congress_2009.jpg"
    >>> features = xcos.load().features([a, b])
    >>> len(features), features.grid.shape[2:], features[1].embedding.shape
    (2, (7, 7), (1, 512))
    """

    grid: Floats
    embedding: Floats

    def __post_init__(self) -> None:
        for name, rank, shape in (("grid", 4, "(N, D, H, W)"), ("embedding", 2, "(N, E)")):
            array = np.ascontiguousarray(getattr(self, name), dtype=np.float32)
            if array.ndim != rank:
                raise ValueError(f"Features.{name}: expected an array of shape {shape}, got {array.shape}")
            object.__setattr__(self, name, array)
        if len(self.grid) != len(self.embedding):
            raise ValueError(
                f"Features: grid holds {len(self.grid)} faces, embedding {len(self.embedding)}; "
                "expected the same number"
            )

    def __len__(self) -> int:
        return len(self.grid)

    def __getitem__(self, index: Any) -> Features:
        if isinstance(index, (int, np.integer)):
            if not -len(self) <= index < len(self):
                raise IndexError(f"face {index} of a stack of {len(self)}")
            index = [index]
        return Features(self.grid[index], self.embedding[index])

    def __iter__(self) -> Iterator[Features]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        grid, embedding = self.grid.shape, self.embedding.shape
        return f"Features({len(self)} faces, grid {grid}, embedding {embedding})"

    @property
    def found(self) -> NDArray[np.bool_]:
        """(N,) bool: which hold a face; the others are NaN (see `skip_failed` of ``Model.features``)."""
        found: NDArray[np.bool_] = np.logical_not(np.isnan(self.embedding).all(axis=1))
        return found

    def spread(self, places: Sequence[int], total: int) -> Features:
        """A larger stack with these faces at their places, and NaN at all others.

        Parameters
        ----------
        places : sequence of int
            Where each of these faces is to stand.
        total : int
            How many faces the stack has.

        Returns
        -------
        Features
            The stack.
        """
        spread = [np.full((total, *array.shape[1:]), np.nan, np.float32) for array in (self.grid, self.embedding)]
        for whole, array in zip(spread, (self.grid, self.embedding), strict=True):
            whole[list(places)] = array
        return Features(*spread)

    def save(self, path: str | os.PathLike[str], model: Named) -> None:
        """Writes them as an .npz file, to be read by :meth:`load`; it appears whole or not at all.

        Parameters
        ----------
        path : str or path
            Ends in .npz.
        model : Model
            Whose features they are: its name and the digest of what they depend on are kept beside them.

        Raises
        ------
        ValueError
            For another suffix.
        OSError
            Where the file can't be written.
        """
        target = Path(path)
        if target.suffix.lower() != ".npz":
            raise ValueError(f"{target}: expected a name that ends in .npz, got {target.suffix!r}")
        made_by = {"model": np.array(model.name), "digest": np.array(model.file.digest())}
        keep_arrays(target, {"grid": self.grid, "embedding": self.embedding, **made_by})

    @classmethod
    def load(cls, path: str | os.PathLike[str], model: Named) -> Features:
        """Reads what :meth:`save` wrote.

        Parameters
        ----------
        path : str or path
            The file; nothing pickled in it is read.
        model : Model
            That they are to be compared by. Other thresholds, another `whole` or another name are no other model.

        Raises
        ------
        ValueError
            For features of another model, whose name it tells; for a file that is damaged or none of these.
        OSError
            Where the file can't be read.

        Examples
        --------
        >>> import tempfile, xcos
        >>> model = xcos.load()
        >>> features = model.features("examples/obama_portrait_2012.jpg")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     features.save(f"{folder}/known.npz", model)
        ...     xcos.Features.load(f"{folder}/known.npz", model) == features
        True
        """
        held = read_arrays(Path(path))
        if held.keys() != {"grid", "embedding", "model", "digest"}:
            raise ValueError(f"{path}: holds {', '.join(held)}; expected features as Features.save writes them")
        if str(held["digest"]) != model.file.digest():
            other = str(held["model"])
            raise ValueError(f"{path}: features of another model, {other!r}; expected those of {model.name!r}")
        return cls(held["grid"], held["embedding"])

    @classmethod
    def concatenate(cls, stacks: Iterable[Features]) -> Features:
        """One stack of all the faces of several, in their order.

        Parameters
        ----------
        stacks : iterable of Features
            One or more, of one model.

        Returns
        -------
        Features
            The stack.

        Raises
        ------
        ValueError
            There is none.
        """
        stacks = list(stacks)
        if not stacks:
            raise ValueError("Features.concatenate: expected at least one stack, got none")
        return cls(
            np.concatenate([s.grid for s in stacks]), np.concatenate([s.embedding for s in stacks])
        )


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SeenFace(Face):
    """A face of a photograph and what a network sees in it, as ``Model.faces`` lists them.

    Attributes
    ----------
    box, score, points, turn
        Where it is, as in ``Face``: it can be given as `face` wherever one can.
    crop : (112, 112, 3) ndarray of uint8
        The face aligned, RGB.
    features : Features
        A stack of one; ``Features.concatenate(face.features for face in faces)`` is that of all.

    Examples
    --------
    >>> import xcos
    >>> (face,) = xcos.load().faces("examples/obama_portrait_2012.jpg")
    >>> face.crop.shape, face.grid.shape, len(face.features)
    ((112, 112, 3), (128, 7, 7), 1)
    """

    crop: NDArray[np.uint8] = field(kw_only=True)
    features: Features = field(kw_only=True)

    @classmethod
    def of(cls, face: Face, crop: NDArray[np.uint8], features: Features) -> SeenFace:
        """The face with its crop and its features.

        Parameters
        ----------
        face : Face
            Where it is.
        crop : (112, 112, 3) ndarray of uint8
            The face aligned, RGB.
        features : Features
            A stack of one.

        Returns
        -------
        SeenFace
            All of it.
        """
        return cls(face.box, face.score, face.points, face.turn, crop=crop, features=features)

    @property
    def grid(self) -> Floats:
        """(D, H, W) float32: a vector for each cell."""
        grid: Floats = self.features.grid[0]
        return grid

    @property
    def embedding(self) -> Floats:
        """(E,) float32: one vector for the whole face."""
        embedding: Floats = self.features.embedding[0]
        return embedding


@dataclass(frozen=True, slots=True, eq=False)
class Comparison(ByValue):
    """N pairs of faces compared.

    Attributes
    ----------
    score : (N,) ndarray of float32
        explained x sum over cells of attention x patch cosine (xCos, arXiv 2003.05383) + (1 - explained) x cosine; -1
        to 1.
    cosine : (N,) ndarray of float32
        Plain cosine of the two embeddings, -1 to 1.
    threshold : float
        A pair is the same person where score > threshold.
    cosine_map : (N, H, W) ndarray of float32 or None
        Cosine of the two faces in each cell, -1 to 1; None without maps.
    attention : (N, H, W) ndarray of float32 or None
        How much each cell counts, sums to 1; None without maps.
    explained : float
        1 - w, what the cells count in the score; the face as a whole counts w (see ``Model.with_whole``).

    Examples
    --------
    >>> import xcos
    >>> a, b = "examples/obama_portrait_2012.jpg", "examples/obama_congress_2009.jpg"
    >>> model = xcos.load()
    >>> compared = model.compare(model.features(a), model.features(b))
    >>> compared.same.tolist(), compared.contribution.shape
    ([True], (1, 7, 7))
    """

    score: Floats
    cosine: Floats
    threshold: float
    cosine_map: Floats | None = field(default=None, repr=False)
    attention: Floats | None = field(default=None, repr=False)
    explained: float = 1.0

    def __len__(self) -> int:
        return len(self.score)

    def __bool__(self) -> bool:
        """Refused, as by a NumPy array: which of the pairs would it be?"""
        raise ValueError(f"the truth value of {len(self)} compared pairs is ambiguous; use .same.any() or .same.all()")

    @property
    def same(self) -> NDArray[np.bool_]:
        """(N,) bool: score > threshold, in float64, as a Verification decides."""
        decided: NDArray[np.bool_] = self.score.astype(np.float64) > self.threshold
        return decided

    @property
    def whole(self) -> Floats:
        """(N,) float32: what the face as a whole adds to the score, (1 - explained) x cosine."""
        return (1 - self.explained) * self.cosine

    @property
    def local(self) -> Floats:
        """(N,) float32: what the cells add to the score, all together; local + whole is the score."""
        return self.score - self.whole

    @property
    def contribution(self) -> Floats | None:
        """(N, H, W) float32: explained x attention x cosine_map, whose sum over the cells is `local`."""
        if self.cosine_map is None or self.attention is None:
            return None
        return self.explained * self.attention * self.cosine_map

    def to_frame(self) -> Any:
        """A pandas DataFrame with a row for each pair: same, score, local, whole, cosine, threshold; without maps.

        Returns
        -------
        pandas.DataFrame
            The table.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        names = ("same", "score", "local", "whole", "cosine")
        columns = {name: getattr(self, name) for name in names}
        return frame({**columns, "threshold": [self.threshold] * len(self)})

    def __repr__(self) -> str:
        cells = "" if self.explained == 1 else f", the cells count {self.explained:.0%}"
        return f"Comparison({len(self)} pairs, {int(self.same.sum())} over the threshold {self.threshold:.4f}{cells})"


def plain_cosine(a: Floats, b: Floats) -> Floats:
    """Cosine of a[i] and b[i] for (N, E) twice -> (N,) float32, summed in float64; 0 for a zero vector.

    Raises ValueError for NaN and infinity, with the place.
    """
    x, y = a.astype(np.float64), b.astype(np.float64)
    norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    if not np.isfinite(norms).all():
        bad = a if not np.isfinite(a).all() else b
        i, j = (int(k) for k in np.argwhere(~np.isfinite(bad))[0])
        raise ValueError(f"embedding[{i}, {j}] is {bad[i, j]}, expected finite features")
    dots = np.einsum("ij,ij->i", x, y)
    cosine: Floats = np.divide(dots, norms, out=np.zeros_like(dots), where=norms > 0).astype(np.float32)
    return cosine
