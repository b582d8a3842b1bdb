"""Accuracy of what is being trained, by the C core's own arithmetic."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.names import shown
from ..datasets import read_bin
from ..evaluation.protocol import best_threshold, fold_numbers, reference_folds
from ..evaluation.whole import curve_of
from ..faces import How, crop_all
from ..measured.whole import WholeCurve
from ..plan.file import ModelFile
from ..plan.network import Network
from ..plan.pixels import as_input
from ..recognition.features import plain_cosine
from ..recognition.model import core_head
from ..storage.progress import Progress, batches
from .plan import Plan

_BATCH = 64


@dataclass(frozen=True, slots=True)
class Accuracy:
    """K-fold accuracies in percent of a set of pairs (thresholds -1, -0.995 ... 1 chosen on the other folds),
    the thresholds with the highest accuracy on all of them, and both by what the face as a whole may count."""

    xcos: float
    cosine: float
    xcos_threshold: float
    cosine_threshold: float
    curve: WholeCurve


def read_crops(path: str | os.PathLike[str]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A .bin of M pairs -> (2 M, 112, 112, 3) uint8 RGB, first and second faces in turn, and (M,) same.

    Raises OSError, ValueError as `xcos.datasets.read_bin`, ImageError for crops of another size.
    """
    pairs = read_bin(path)
    order = np.stack([pairs.first, pairs.second], 1).ravel()
    crops = crop_all(order.tolist(), How(aligned=True), read=pairs.images.__getitem__)
    return crops, np.asarray(pairs.same, bool)


class Validation:
    """Pairs whose frozen activations are computed once, to measure many candidates on."""

    def __init__(
        self, plan: Plan, path: str | os.PathLike[str], folds: int, threads: int = 0, progress: Progress = None
    ) -> None:
        crops, self._same = read_crops(path)
        network = Network(plan.frozen)
        inputs, embeddings = [], []
        for part in batches(range(len(crops)), _BATCH, progress, "validation pairs"):
            x = as_input(plan.whole, crops[part[0] : part[-1] + 1])
            found = network.run(x, threads or None)
            embeddings.append(found[plan.embedding].reshape(len(part), -1))
            inputs.append((x if plan.from_pixels else found[plan.cut]).astype(np.float16))
        whole = np.concatenate(embeddings)
        self._inputs = inputs
        self._cosine = plain_cosine(whole[::2], whole[1::2])
        self._folds = fold_numbers(len(self._same), folds)
        self._threads, self._cut = threads, plan.cut
        self._name = shown(Path(path).stem)

    def measure(
        self, trained: ModelFile, tensors: Mapping[str, NDArray[np.float32]], head: Mapping[str, Any]
    ) -> Accuracy:
        """Accuracy with the trained part as it is now, the head's tensors, and `whole` of its header."""
        network = Network(trained)
        grids = [network.run(part.astype(np.float32), self._threads or None)["grid"] for part in self._inputs]
        grid = np.concatenate(grids)
        compare = core_head(tensors, {**head, "whole": 0.0}, (grid.shape[2], grid.shape[3])).compare
        local = compare(grid[::2], grid[1::2], maps=False, threads=self._threads)[0]
        whole = head.get("whole", 0.0)
        scores = (1 - whole) * local + whole * self._cosine
        return Accuracy(
            100 * reference_folds(scores, self._same, self._folds).accuracy,
            100 * reference_folds(self._cosine, self._same, self._folds).accuracy,
            best_threshold(scores.astype(np.float64), self._same),
            best_threshold(self._cosine.astype(np.float64), self._same),
            curve_of(local, self._cosine, self._same, self._folds, self._name),
        )
