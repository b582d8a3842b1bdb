"""A model as explanations need it: normalised inputs, features for one score, pictures seen through masks."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..faces import How, crop_all
from ..faces.detection import FaceLike
from ..faces.image import ImageLike, Many, as_list
from ..faces.many import choices
from ..plan.branch import front
from ..plan.file import ModelFile
from ..plan.network import Network
from ..plan.pixels import as_input
from ..recognition.features import Floats, plain_cosine
from ..recognition.model import SIDE, Model
from ..recognition.shipped import ModelLike, as_model

if TYPE_CHECKING:
    Scores = Literal["xcos", "cosine"]
else:
    Scores = str

NetworkLike: TypeAlias = ModelLike | Network  # a model, or a network whose plain cosine is the score

FILLS = ("black", "mean", "blur")
_FEW = 16  # masks: fewer are not worth what they share, which takes as long as three
_HEAVY = 4 << 20  # numbers: as in csrc/net/run.c
BLUR = 10.0  # pixels: standard deviation of the blur that hides, as in Fong and Vedaldi, arXiv 1704.03296, section 4


def as_network(model: NetworkLike) -> Model | Network:
    """The model that is meant: a Network or Model as it is, else as ``xcos.load`` takes it. Raises as that."""
    return model if isinstance(model, Network) else as_model(model)


class Scorer:
    """One score of a model over crops and masks; only the layers that this score needs are run."""

    def __init__(self, model: NetworkLike, score: Scores, batch: int = 32, threads: int | None = None) -> None:
        """Raises ValueError for a model without this score, or without what tells how pictures become inputs."""
        self.model, self.score, self.batch, self.threads = as_network(model), score, batch, threads
        self.file: ModelFile = self.model.file
        shapes = [tuple(value["shape"]) for value in self.file.inputs]
        if self.file.preprocess is None or shapes != [(3, SIDE, SIDE)]:
            raise ValueError(
                f"{self.file.name}: expected a header with 'preprocess' and one input (3, 112, 112), "
                f"got inputs {shapes} and preprocess {self.file.preprocess}"
            )
        if score == "xcos" and not isinstance(self.model, Model):
            raise ValueError(f"{self.file.name}: a network without an xCos head has the score 'cosine' alone")

    @cached_property
    def output(self) -> str:
        """Name of the value that the score is made of: the grid for "xcos", else the embedding."""
        head = self.file.head
        if head and (self.score == "xcos" or not head.get("embedding")):
            return str(head["grid"])
        return str(head["embedding"]) if head else embedding_name(self.file)

    @cached_property
    def outputs(self) -> list[str]:
        """`output`, and the embedding where the face as a whole counts in the score "xcos"."""
        head = self.file.head or {}
        whole = self.score == "xcos" and head.get("whole") and head.get("embedding")
        return [self.output, str(head["embedding"])] if whole else [self.output]

    @cached_property
    def network(self) -> Network:
        return Network(front(self.file, self.outputs))

    @cached_property
    def _reuses(self) -> bool:
        """Whether masks take turns (Network.run_masked). Weights that no cache holds are better read for a batch."""
        return sum(tensor.size for tensor in self.network.file.tensors.values()) < _HEAVY

    def crops(
        self, images: ImageLike | Many, *, face: FaceLike = None, aligned: bool = False, bgr: bool = False
    ) -> NDArray[np.uint8]:
        """Aligned faces, (N, 112, 112, 3) uint8 RGB."""
        listed, _ = as_list(images)
        return crop_all(listed, How(aligned, bgr), faces=choices(face, len(listed)), threads=self.threads)

    def inputs(self, crops: NDArray[np.uint8]) -> Floats:
        """(N, 112, 112, 3) uint8 RGB -> (N, 3, 112, 112) float32 as the network wants it."""
        return as_input(self.file, crops)

    def fills(self, crops: NDArray[np.uint8], kind: str) -> Floats:
        """What stands behind a mask, as the network wants it: black, each picture's mean colour, or its blur.

        Raises ValueError for a kind not in FILLS.
        """
        if kind == "black":
            return self.inputs(np.zeros_like(crops))
        if kind == "mean":
            return self.inputs(np.broadcast_to(crops.mean((1, 2), keepdims=True).round().astype(np.uint8), crops.shape))
        if kind == "blur":
            weights = _gaussian(crops.shape[1], BLUR)
            x = self.inputs(crops)
            return np.asarray(weights @ x @ weights.T, np.float32)
        raise ValueError(f"fill is {kind!r}; expected one of {', '.join(FILLS)}")

    def features(self, x: Floats) -> Floats:
        """Normalised inputs (N, 3, 112, 112) -> what the score is made of: grids (N, D, h, w) or embeddings (N, E);
        both side by side, (N, D * h * w + E), where both count (see :meth:`split`)."""
        parts = [self._run(x[i : i + self.batch]) for i in range(0, len(x), self.batch)]
        return np.concatenate(parts or [self._run(x)])

    def masked(self, images: Floats, fills: Floats, masks: NDArray[Any], which: NDArray[np.integer[Any]]) -> Floats:
        """Features of images[which[k]] seen through masks[k] (M, 112, 112), with fills[which[k]] where a mask is 0."""
        if self._reuses and len(set(which)) == 1 and len(masks) >= _FEW:
            one = which[0]
            return self.gather(self.network.run_masked(images[one], fills[one], masks, self.threads))
        parts = []
        for i in range(0, len(masks), self.batch):
            some = slice(i, i + self.batch)
            x = _core.mask_blend(images, fills, masks[some], which[some], self.threads or 0)
            parts.append(self._run(x))
        return np.concatenate(parts)

    def through(self, masks: NDArray[Any], image: Floats, fill: Floats, other: Floats, side: int) -> Floats:
        """Scores (M,) of one image (1, 3, H, W) seen through masks (M, H, W) with the features `other` (1, ...).

        `side`: 0 where the image is the first of its pair, 1 where it is the second.
        """
        seen = self.masked(image, fill, masks, np.zeros(len(masks), np.int64))
        return self.compare(*((seen, other) if side == 0 else (other, seen)))

    def compare(self, first: Floats, second: Floats) -> Floats:
        """Scores (N,) of features first[i] and second[i]; a stack of one stands for all."""
        n = max(len(first), len(second))
        first, second = (np.repeat(f, n, axis=0) if len(f) == 1 else f for f in (first, second))
        if self.score == "xcos":
            return self.compare_cells(first, second, maps=False)[0]
        return plain_cosine(first.reshape(n, -1), second.reshape(n, -1))

    def compare_cells(
        self, first: Floats, second: Floats, maps: bool = True
    ) -> tuple[Floats, Floats | None, Floats | None]:
        """Scores "xcos" (N,), cosines and attention (N, h, w) of features first[i] and second[i]."""
        assert isinstance(self.model, Model)
        (a, a_whole), (b, b_whole) = self.split(first), self.split(second)
        return self.model._head.compare(a, b, maps, self.threads or 0, a_whole, b_whole)

    def split(self, features: Floats) -> tuple[Floats, Floats]:
        """Features of the score "xcos" -> grids (N, D, h, w) and what counts as the whole face, (N, E)."""
        shape = self.network.outputs[self.output]
        assert shape is not None and None not in shape[1:]
        flat = features.reshape(len(features), -1)
        size = int(np.prod([side or 1 for side in shape[1:]]))
        whole = flat[:, size:] if len(self.outputs) > 1 else flat
        return flat[:, :size].reshape(len(flat), *(side or 1 for side in shape[1:])), whole

    def gather(self, found: Mapping[str, Floats]) -> Floats:
        """Features from the values of a run of the network."""
        if len(self.outputs) == 1:
            return found[self.output]
        return np.concatenate([found[name].reshape(len(found[name]), -1) for name in self.outputs], 1)

    def _run(self, x: Floats) -> Floats:
        return self.gather(self.network.run(x, threads=self.threads))


def embedding_name(file: ModelFile) -> str:
    """The output that is one vector per face: the one the head names, else the only one of rank 2.

    Raises ValueError where there is no such output, or several.
    """
    if file.head and file.head.get("embedding"):
        return str(file.head["embedding"])
    shapes = Network(file).outputs
    flat = [name for name, shape in shapes.items() if shape is not None and len(shape) == 2]
    if len(flat) != 1:
        raise ValueError(f"{file.name}: expected one output (N, E) as the embedding, got {shapes}")
    return flat[0]


def _gaussian(side: int, sigma: float) -> Floats:
    """(side, side): row i holds the weights of a blurred line's pixel i; the border repeats the outermost pixel."""
    reach = np.arange(-int(4 * sigma), int(4 * sigma) + 1)
    kernel = np.exp(-0.5 * (reach / sigma) ** 2)
    weights = np.zeros((side, side))
    places = np.clip(np.arange(side)[:, None] + reach, 0, side - 1)
    np.add.at(weights, (np.arange(side)[:, None], places), kernel / kernel.sum())
    return weights.astype(np.float32)
