"""What the measures of truth look at: anything that makes grids of crops."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..explainers.base import Crops
from ..plan.file import ModelFile
from ..recognition.features import Features, plain_cosine
from ..recognition.model import Model
from ..recognition.shipped import ModelLike, as_model
from .cell_statistics import Doubles, cosines

BATCH = 64  # crops at a time

Grids = NDArray[Any]
Mapped: TypeAlias = ModelLike | ModelFile | Callable[[Crops], Grids]  # whatever makes a map of a face


@dataclass(frozen=True, slots=True)
class Subject:
    """A model, or a function of crops (N, 112, 112, 3) uint8 -> grids (N, D, H, W), by one name for both.

    grids : of a batch of crops. model : None for a function.
    """

    name: str
    grids: Callable[[Crops], Grids]
    model: Model | None = None
    threads: int | None = None

    @classmethod
    def of(cls, model: Mapped, threads: int | None) -> Subject:
        """What `truth` takes as model. Raises ValueError for anything else."""
        if model is None or isinstance(model, (str, os.PathLike)):
            model = as_model(model)
        if isinstance(model, ModelFile):
            model = Model(model)
        if isinstance(model, Model):
            return cls(model.name, lambda crops: _features(model, crops, threads).grid, model, threads)
        if not callable(model):
            raise ValueError(f"model: expected a model or a function of crops, got {type(model).__name__}")
        name = getattr(model, "__name__", type(model).__name__)

        def grids(crops: Crops) -> Grids:
            grid = np.asarray(model(crops))
            if grid.ndim != 4 or len(grid) != len(crops) or grid.dtype.kind != "f":
                expected = f"expected grids ({len(crops)}, D, H, W) of floating-point numbers"
                raise ValueError(f"{name}: {expected}, got {grid.shape} {grid.dtype}")
            if not np.isfinite(grid).all():
                raise ValueError(f"{name}: expected finite grids, got NaN or infinity")
            return grid

        return cls(name, grids)

    def all(self, crops: Crops) -> Grids:
        """Grids of any number of crops, a batch at a time."""
        return np.concatenate([self.grids(crops[i : i + BATCH]) for i in range(0, len(crops), BATCH)])

    def compare(self, first: Crops, second: Crops) -> tuple[Doubles, dict[str, NDArray[Any]]]:
        """Maps (N, H, W) of pairs of crops, and their scores by name."""
        both, n = np.concatenate([first, second]), len(first)
        if self.model is None:
            grid = self.grids(both)
            return cosines(grid[:n], grid[n:]), {}
        seen = _features(self.model, both, self.threads)
        compared = self.model.compare(seen[:n], seen[n:], threads=self.threads)
        assert compared.attention is not None and compared.cosine_map is not None
        maps = compared.cosine_map.astype(np.float64)
        scores = {"score": (compared.attention * maps).sum((1, 2))}
        if self.model.file.head and self.model.file.head.get("embedding"):
            scores["cosine"] = plain_cosine(seen.embedding[:n], seen.embedding[n:])
        return maps, scores


def _features(model: Model, crops: Crops, threads: int | None) -> Features:
    return model.features(crops, aligned=True, batch=len(crops), threads=threads)
