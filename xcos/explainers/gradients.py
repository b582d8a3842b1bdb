"""Methods that propagate the score back, through the PyTorch twin of the model file (``pip install xcos[train]``).

The twin's scores are compared with the C engine's at each call: both run the same file.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..plan.branch import front
from ..recognition.features import Floats
from ..recognition.model import SIDE
from ..storage.progress import Progress, batches
from .base import Crops, FaceByFace, enlarge
from .decomposition import linear_from

if TYPE_CHECKING:
    from torch import Tensor

AGREE = 1e-3  # largest difference of a score between twin and engine; both are float32, 1e-5 is usual


@contextmanager
def _torch_threads(threads: int | None) -> Iterator[None]:
    """PyTorch with so many threads for a while; None leaves it as it is."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _fast(x: Tensor) -> Tensor:
    """The same numbers, colours innermost: PyTorch's convolutions on a CPU run forward several times as fast."""
    import torch

    return x.contiguous(memory_format=torch.channels_last)


def _unit(features: Tensor) -> Tensor:
    import torch

    return torch.nn.functional.normalize(features.flatten(1))


@dataclass(frozen=True, kw_only=True)
class _Gradient(FaceByFace):
    """Raises ImportError without torch, RuntimeError where the twin disagrees with the engine."""

    explains: ClassVar[tuple[str, ...]] = ("cosine",)

    @property
    def passes(self) -> int:
        """2 forward, 2 backward."""
        return 4

    @property
    def _values(self) -> list[str]:
        """Which values of the plan the method looks at, what the score is made of last."""
        return self.scorer.outputs

    @cached_property
    def _twin(self) -> Any:
        from ..twin.network import twin

        net = twin(front(self.scorer.file, self._values))
        for parameter in net.parameters():
            parameter.requires_grad_(False)
        return net

    @cached_property
    def _head(self) -> Any:
        from ..twin.head import OPTIONS, XCosHead

        file, options = self.scorer.file, self.scorer.file.head or {}
        shape = self.scorer.network.outputs[self.scorer.output]
        assert shape is not None and shape[2] is not None and shape[3] is not None  # checked by Model
        cells = (shape[2], shape[3])
        head = XCosHead.from_tensors(file.tensors, cells, **{key: options[key] for key in OPTIONS if key in options})
        for parameter in head.parameters():
            parameter.requires_grad_(False)
        return head

    def _sides(
        self, sides: tuple[int, ...], first: Crops, second: Crops, progress: Progress
    ) -> tuple[Floats, Floats]:
        scorer = self.scorer
        if find_spec("torch") is None:
            raise ImportError(f"{self.name} needs PyTorch: pip install xcos[train]")
        inputs = [scorer.inputs(crops) for crops in (first, second)]
        score = scorer.compare(*(scorer.features(x) for x in inputs))
        maps = np.empty((len(sides), len(first), SIDE, SIDE), np.float32)
        with _torch_threads(self.threads):
            for some in batches(range(len(first)), self.batch, progress, self.name):
                place = slice(some[0], some[-1] + 1)
                maps[:, place] = self._maps(sides, inputs[0][place], inputs[1][place], score[place])
        return maps, score

    def _maps(self, sides: tuple[int, ...], a: Floats, b: Floats, score: Floats) -> list[NDArray[np.floating]]:
        """Maps (N, H, W) of normalised inputs (N, 3, H, W), for each side: 0 is `a` as it faces `b`, 1 the reverse."""
        import torch

        x = [_fast(torch.from_numpy(one)).requires_grad_() for one in (a, b)]
        net = self._twin
        values = [net(one) for one in x]
        features = [v[self.scorer.output] for v in values]
        similarity = self._similarity(*values)
        difference = float((similarity.detach() - torch.from_numpy(score)).abs().max())
        if difference > AGREE:
            raise RuntimeError(f"{self.name}: the PyTorch twin's scores differ from the engine's by {difference:.2g}")
        return [self._one(x[side], values[side], features[1 - side].detach(), similarity) for side in sides]

    def _similarity(self, first: dict[str, Tensor], second: dict[str, Tensor]) -> Tensor:
        """Scores (N,) of the values that the score is made of: grids, embeddings, or both."""
        whole = self.scorer.outputs[-1]
        cosine = (_unit(first[whole]) * _unit(second[whole])).sum(1)
        if self.target == "xcos":
            output = self.scorer.output
            score: Tensor = self._head(first[output], second[output], cosine).score
            return score
        return cosine

    @abstractmethod
    def _one(self, x: Tensor, values: dict[str, Tensor], other: Tensor, score: Tensor) -> NDArray[np.floating]:
        """Maps (N, H, W) of inputs `x`, whose run gave `values`; `other`: the features they face; `score` (N,)."""


@dataclass(frozen=True, kw_only=True)
class GradCAM(_Gradient):
    """Grad-CAM of the score s at the last feature map: the baseline that the xCos paper compares itself with.

    Selvaraju et al. 2017, arXiv 1610.02391, equations 1 and 2::

        w_k = mean over cells of d s / d V_k      map = sum_k w_k V_k, enlarged from 7 x 7

    V is the map after which the network is linear for the cosine, and for xCos the grid that its head compares (the
    part of a score that the face as a whole adds does not hang on the grid, and is not in the map). Cost: 2 forward and
    2 short backward passes a pair. Needs torch (``pip install xcos[train]``).

    Parameters
    ----------
    score : "xcos" or "cosine", optional
        What is explained; None: the model's own score.
    relu : bool, default False
        Keep the positive part alone, as in the paper; without it (default) what speaks against stays negative.

    Raises
    ------
    ValueError
        The network is not linear after some map (N, C, h, w).

    Examples
    --------
    >>> import xcos
    >>> a, b = "examples/obama_portrait_2012.jpg", "examples/obama_congress_2009.jpg"
    >>> pair = xcos.explainers.GradCAM(relu=True, threads=1)(a, b)
    >>> bool(pair.first.min() >= 0)
    True
    """

    explains: ClassVar[tuple[str, ...]] = ("cosine", "xcos")
    relu: bool = False

    @cached_property
    def _values(self) -> list[str]:
        if self.target == "xcos":
            return self.scorer.outputs
        return [linear_from(self.scorer.file, self.scorer.output), self.scorer.output]

    def _one(self, x: Tensor, values: dict[str, Tensor], other: Tensor, score: Tensor) -> NDArray[np.floating]:
        import torch

        source = values[self._values[0]]
        (gradient,) = torch.autograd.grad(score.sum(), source, retain_graph=True)
        cells = (gradient.mean((2, 3), keepdim=True) * source).sum(1).detach()
        return enlarge((cells.clamp(min=0) if self.relu else cells).numpy(), SIDE)


@dataclass(frozen=True, kw_only=True)
class _Arguments(_Gradient):
    """threshold : of the cosine, from which arguments count as for or against; None: the model file's, else 0."""

    threshold: float | None = None

    @property
    def _limit(self) -> float:
        given = self.threshold
        return float(self.scorer.file.thresholds.get("cosine", 0.0) if given is None else given)


@dataclass(frozen=True, kw_only=True)
class xSSAB(_Arguments):
    """xSSAB: what supports a match and what opposes it, propagated back to the picture.

    Huber et al., "Efficient Explainable Face Verification based on Similarity Score Argument Backpropagation", WACV
    2024, arXiv 2304.13409, section 3. With unit embeddings e, f of d numbers and threshold t, the argument e_i f_i
    supports a match where it is at least t / d, else opposes it. The sums of the supporting and of the opposing
    arguments are propagated back to the picture (f fixed), and::

        map = mean over colours of |gradient of the supporting| - mean over colours of |gradient of the opposing|

    Cost: 2 forward and 4 backward passes a pair. Needs torch (``pip install xcos[train]``).

    Parameters
    ----------
    score : "cosine"
        What is explained.
    threshold : float, optional
        t; None: the model's, of the cosine.

    Examples
    --------
    >>> import xcos
    >>> a, b = "examples/obama_portrait_2012.jpg", "examples/obama_congress_2009.jpg"
    >>> xcos.explainers.xSSAB(threads=1)(a, b).passes
    6
    """

    @property
    def passes(self) -> int:
        return 6

    def _one(self, x: Tensor, values: dict[str, Tensor], other: Tensor, score: Tensor) -> NDArray[np.floating]:
        import torch

        arguments = _unit(values[self.scorer.output]) * _unit(other)
        support = (arguments >= self._limit / arguments.shape[1]).to(arguments.dtype)
        strengths = [
            torch.autograd.grad((arguments * part).sum(), x, retain_graph=True)[0].abs().mean(1)
            for part in (support, 1 - support)
        ]
        return (strengths[0] - strengths[1]).numpy()


@dataclass(frozen=True, kw_only=True)
class FGGB(_Arguments):
    """FGGB: each number of the embedding propagated back alone, and the maps added by what they say of the pair.

    Lu et al., "Explainable Face Verification via Feature-Guided Gradient Backpropagation", FG 2024, arXiv 2403.04549,
    section III. The gradient of each of the N numbers of the embedding F is normalised, and the maps are added by how
    far the number's share of the cosine is above an even share of the threshold t::

        G_k = d F_k / d picture      w_k = F_k F'_k / (|F| |F'|)      map = sum_k G~_k (w_k - t / N)

    The paper leaves the normalisation open: here G~_k is the mean over colours of the magnitude of G_k, divided by its
    sum over the pixels, so that each number spreads the same weight over the picture. Cost: 2 forward and 2 N backward
    passes a pair (1,024 for 512 numbers). Needs torch (``pip install xcos[train]``).

    Parameters
    ----------
    score : "cosine"
        What is explained.
    threshold : float, optional
        t; None: the model's, of the cosine.
    chunk : int, default 32
        So many copies of the image run forward once, and backward with another number each until all are done.

    Examples
    --------
    >>> import xcos
    >>> a, b = "examples/obama_portrait_2012.jpg", "examples/obama_congress_2009.jpg"
    >>> xcos.explainers.FGGB().passes
    1026
    """

    chunk: int = 32

    @property
    def passes(self) -> int:
        shape = self.scorer.network.outputs[self.scorer.output]
        assert shape is not None
        return 2 + 2 * int(np.prod([size or 1 for size in shape[1:]]))

    def _one(self, x: Tensor, values: dict[str, Tensor], other: Tensor, score: Tensor) -> NDArray[np.floating]:
        import torch

        unit = _unit(values[self.scorer.output]).detach()
        weights = unit * _unit(other) - self._limit / unit.shape[1]
        maps = torch.zeros((len(x), *x.shape[2:]))
        many = min(self.chunk, unit.shape[1])
        for i in range(len(x)):
            copies = _fast(x[i : i + 1].detach().repeat(many, 1, 1, 1)).requires_grad_()
            numbers = self._twin(copies)[self.scorer.output].flatten(1)
            for start in range(0, unit.shape[1], many):
                k = torch.arange(start, min(start + many, unit.shape[1]))
                chosen = numbers[: len(k)].gather(1, k[:, None]).sum()
                strength = torch.autograd.grad(chosen, copies, retain_graph=True)[0][: len(k)].abs().mean(1)
                strength /= strength.sum((1, 2), keepdim=True).clamp(min=1e-12)
                maps[i] += torch.tensordot(weights[i, k], strength, 1)
        return maps.numpy()
