"""What the last feature map of a plain network gives without training: exact shares of its cosine, and cosines of
its cells.

From the last map on, an ArcFace network is linear (batch norm, flatten, fully connected; or global depthwise and
1 x 1 convolutions), so its embedding is a sum over the cells of that map, and the cosine of two embeddings is a
sum over cells of either image, or over pairs of cells. Nothing is approximated. That does not make it local: what
a cell adds depends on what all others of the other image add, see docs/explanations.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..base.values import ByValue
from ..plan.branch import back, front
from ..plan.file import ModelFile
from ..plan.network import Network
from ..recognition.features import Floats, plain_cosine
from ..recognition.model import SIDE
from ..storage.progress import Progress, batches
from .base import Crops, Explainer, enlarge

_LINEAR = ("conv", "linear", "batch_norm", "reshape", "avg_pool", "transpose")
_ARITHMETIC = ("add", "sub", "mul", "div")  # linear where the other operand is a constant


@dataclass(frozen=True, slots=True, eq=False)
class Decomposition(ByValue):
    """The cosine of N pairs, split; in units of the cosine.

    Attributes
    ----------
    first : (N, h, w) ndarray of float64
        Share of each cell of the first image; sums to the cosine.
    second : (N, h, w) ndarray of float64
        Share of each cell of the second image; sums to the cosine.
    pairs : (N, h*w, h*w) ndarray of float64
        Share of each pair of cells, first image down, second across; sums to the cosine, over rows to `first`, over
        columns to `second`.
    cosine : (N,) ndarray of float64
        The cosine itself.

    Examples
    --------
    >>> import xcos
    >>> crops = xcos.load().crops(["examples/obama_portrait_2012.jpg", "examples/obama_congress_2009.jpg"])
    >>> split = xcos.explainers.HeadDecomposition().split(crops[:1], crops[1:])
    >>> bool(abs(split.first.sum() - split.cosine[0]) < 1e-6)
    True
    """

    first: NDArray[np.float64]
    second: NDArray[np.float64]
    pairs: NDArray[np.float64]
    cosine: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class _LastMap(Explainer):
    """Methods that work on the map after which the network is linear."""

    explains: ClassVar[tuple[str, ...]] = ("cosine",)

    @property
    def passes(self) -> int:
        return 2

    @cached_property
    def _source(self) -> str:
        return linear_from(self.scorer.file, self.scorer.output)

    @cached_property
    def _trunk(self) -> Network:
        return Network(front(self.scorer.file, [self._source]))

    def _map_of(self, crops: Crops) -> Floats:
        x = self.scorer.inputs(crops)
        runs = [self._trunk.run(x[i : i + self.batch], self.threads) for i in range(0, len(x), self.batch)]
        return np.concatenate([run[self._source] for run in runs])


@dataclass(frozen=True, kw_only=True)
class HeadDecomposition(_LastMap):
    """Exact split of the plain cosine over the cells of the last feature map (ours; linear algebra alone).

    With e = b + sum_p A_p v_p, where v_p are the channels of cell p, A the linear layers after the map and b their
    bias, shared out evenly over the P cells, e_p = A_p v_p + b / P and::

        cos(e, f) = sum_p <e_p, f> / (|e| |f|) = sum_p sum_q <e_p, f_q> / (|e| |f|)

    A_p v_p is what the linear layers make of the map with all other cells zero: they run on P + 1 masked maps in the C
    engine. Cost: 2 forward passes a pair, and for each image the linear layers P + 1 times (0.3 M multiply-adds each
    for MobileFaceNet, 12.8 M for IR-50). :meth:`split` gives the numbers themselves.

    Parameters
    ----------
    score : "cosine"
        What is explained.

    Raises
    ------
    ValueError
        The network is not linear after some map (N, C, h, w).

    Examples
    --------
    >>> import xcos
    >>> a, b = "examples/obama_portrait_2012.jpg", "examples/obama_congress_2009.jpg"
    >>> pair = xcos.explainers.HeadDecomposition()(a, b)
    >>> pair.target, pair.first.shape
    ('cosine', (1, 112, 112))
    """

    @cached_property
    def _tail(self) -> Network:
        return Network(back(self.scorer.file, [self._source], [self.scorer.output]))

    def split(self, first: Crops, second: Crops) -> Decomposition:
        """Splits the cosines of pairs of crops.

        Parameters
        ----------
        first, second : (N, 112, 112, 3) ndarray of uint8
            Aligned crops, RGB.

        Returns
        -------
        Decomposition
            By cell, and by pair of cells.
        """
        maps = [self._map_of(crops) for crops in (first, second)]
        e, f = (self._shares(one) for one in maps)
        whole_e, whole_f = e.sum(1), f.sum(1)
        norms = np.linalg.norm(whole_e, axis=1) * np.linalg.norm(whole_f, axis=1)
        pairs = np.einsum("npe,nqe->npq", e, f, optimize=True) / norms[:, None, None]
        shape = (len(pairs), *maps[0].shape[2:])
        return Decomposition(pairs.sum(2).reshape(shape), pairs.sum(1).reshape(shape), pairs, pairs.sum((1, 2)))

    def _shares(self, maps: Floats) -> NDArray[np.float64]:
        """(N, C, h, w) -> (N, h*w, E): what each cell adds to the embedding."""
        cells = maps.shape[2] * maps.shape[3]
        masks = np.concatenate([np.eye(cells), np.zeros((1, cells))]).reshape(cells + 1, *maps.shape[2:])
        zeros = np.zeros_like(maps[:1])
        shares = np.empty((len(maps), cells, 0))
        for i, one in enumerate(maps):
            alone = _core.mask_blend(one[None], zeros, masks, np.zeros(cells + 1, np.int64), self.threads or 0)
            embedding = self._tail.run(alone, self.threads)[self.scorer.output].astype(np.float64)
            if not i:
                shares = np.empty((len(maps), cells, embedding.shape[1]))
            shares[i] = embedding[:-1] - embedding[-1] * (1 - 1 / cells)
        return shares

    def _explain(self, first: Crops, second: Crops, progress: Progress) -> tuple[Floats, Floats, Floats]:
        parts = [
            self.split(first[some], second[some])
            for some in (slice(b[0], b[-1] + 1) for b in batches(range(len(first)), self.batch, progress, self.name))
        ]
        maps = [np.concatenate([getattr(p, side) for p in parts]) for side in ("first", "second", "cosine")]
        return enlarge(maps[0], SIDE), enlarge(maps[1], SIDE), maps[2].astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class CellCosine(_LastMap):
    """Cosines of the cells of the last feature map, place by place: what xCos would be without training.

    c[i, j] = cosine over channels of the two maps at cell (i, j) (the patch cosine of arXiv 2003.05383 on the plain
    network's own map). Both faces have the same map. It does not sum to the score. Cost: 2 forward passes a pair.

    Parameters
    ----------
    score : "cosine"
        What is explained.

    Raises
    ------
    ValueError
        The network is not linear after some map (N, C, h, w).

    Examples
    --------
    >>> import xcos
    >>> a, b = "examples/obama_portrait_2012.jpg", "examples/obama_congress_2009.jpg"
    >>> xcos.explainers.CellCosine()(a, b).passes
    2
    """

    def _explain(self, first: Crops, second: Crops, progress: Progress) -> tuple[Floats, Floats, Floats]:
        a, b = (self._map_of(crops) for crops in (first, second))
        n, _, height, width = a.shape
        columns = [np.moveaxis(m, 1, 3).reshape(-1, m.shape[1]) for m in (a, b)]
        maps = enlarge(plain_cosine(*columns).reshape(n, height, width), SIDE)
        scorer = self.scorer
        score = scorer.compare(*(scorer.features(scorer.inputs(crops)) for crops in (first, second)))
        return maps, np.copy(maps), score


def linear_from(file: ModelFile, output: str) -> str:
    """Name of the earliest value, walking back from `output`, after which the network is linear.

    Raises ValueError where that is not a map of rank 4.
    """
    made_by = {layer["output"]: layer for layer in file.layers}
    name = output
    while name in made_by:
        layer = made_by[name]
        sources = [source for source in layer["inputs"] if source not in file.tensors]
        linear = layer["op"] in _LINEAR or (layer["op"] in _ARITHMETIC and sources == [layer["inputs"][0]])
        if not linear or len(sources) != 1:
            break
        name = sources[0]
    shape = Network(front(file, [name])).outputs[name] if name in made_by else None
    if name == output or shape is None or len(shape) != 4:
        raise ValueError(
            f"{file.name}: expected linear layers between a last map (N, C, h, w) and {output!r}, got {name!r} {shape}"
        )
    return name
