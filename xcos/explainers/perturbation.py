"""Methods that hide parts of a picture and watch the score. The model is a black box to them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from ..recognition.features import Floats
from ..recognition.model import SIDE
from ..storage.progress import Progress, batches
from .base import Crops, FaceByFace
from .scoring import FILLS

Probe = Callable[[Floats], NDArray[np.float64]]  # masks (M, H, W), 1 = seen -> scores (M,)


@dataclass(frozen=True, kw_only=True)
class _Perturbation(FaceByFace):
    """fill : what stands where a mask hides: "black", "mean" (the picture's mean colour) or "blur" (Gaussian, 10
    pixels, as RISE-style methods use to stay closer to pictures that the network knows)."""

    fill: str = "black"

    def __post_init__(self) -> None:
        FaceByFace.__post_init__(self)
        if self.fill not in FILLS:
            raise ValueError(f"{self.name}: fill is {self.fill!r}; expected one of {', '.join(FILLS)}")

    @abstractmethod
    def _map(self, probe: Probe, clean: float) -> NDArray[np.floating]:
        """The map of one image of one pair: `probe` gives scores through masks, `clean` is the score without."""

    def _sides(
        self, sides: tuple[int, ...], first: Crops, second: Crops, progress: Progress
    ) -> tuple[Floats, Floats]:
        scorer, stacks = self.scorer, (first, second)
        inputs = [scorer.inputs(crops) for crops in stacks]
        fills = [scorer.fills(crops, self.fill) for crops in stacks]
        features = [scorer.features(x) for x in inputs]
        clean = scorer.compare(*features)
        maps = np.empty((len(sides), len(first), SIDE, SIDE), np.float32)

        def prober(side: int, i: int) -> Probe:
            image, fill, other = inputs[side][i : i + 1], fills[side][i : i + 1], features[1 - side][i : i + 1]
            return lambda masks: scorer.through(masks, image, fill, other, side).astype(np.float64)

        for (i,) in batches(range(len(first)), 1, progress, self.name):
            for place, side in enumerate(sides):
                maps[place, i] = self._map(prober(side, i), float(clean[i]))
        return maps, clean


@dataclass(frozen=True, kw_only=True)
class OcclusionMap(_Perturbation):
    """xFace: squares hide one image, place by place; the other stays whole.

    Knoche et al., "Explainable Model-Agnostic Similarity and Confidence in Face Verification", WACVW 2023, arXiv
    2211.13735. For each size, a pixel's value is the mean of (clean score - score) over the squares that cover it; the
    map is the mean over the sizes. Squares start at 0, stride, ... below 112 - size, as in the authors' code, so the
    outermost two pixels right and below are covered by none and stay 0. Where their code offers three ways to pair
    occluded images, this takes occluded against whole; it does not blur the result, as theirs does.

    Cost: 2 (441 + 400 + 289) + 2 = 2,262 forward passes a pair by default.

    Parameters
    ----------
    fill : str, default "black"
        What stands where a square hides: see :class:`CorrRISE`.
    sizes : sequence of int, optional
        Sides of the squares in pixels, 1 to 111.
    stride : int, default 5
        Pixels from one square to the next.

    Raises
    ------
    ValueError
        A size, the stride or the filling is none.

    Examples
    --------
    >>> import xcos
    >>> a, b = "examples/obama_portrait_2012.jpg", "examples/obama_congress_2009.jpg"
    >>> xcos.explainers.OcclusionMap(sizes=[56], stride=28)(a, b).passes
    10
    """

    sizes: Sequence[int] = (7, 14, 28)
    stride: int = 5

    def __post_init__(self) -> None:
        if isinstance(self.sizes, int | Sequence):  # one size, as --methods reads it, or a list
            object.__setattr__(self, "sizes", (self.sizes,) if isinstance(self.sizes, int) else tuple(self.sizes))
        _Perturbation.__post_init__(self)
        sound = [isinstance(size, int) and 1 <= size < SIDE for size in self.sizes]
        if not sound or not all(sound) or self.stride < 1:
            raise ValueError(
                f"OcclusionMap: expected sizes in 1..{SIDE - 1} and a stride above 0, "
                f"got {self.sizes} and {self.stride}"
            )

    @property
    def passes(self) -> int:
        return 2 + 2 * sum(len(range(0, SIDE - size, self.stride)) ** 2 for size in self.sizes)

    def _map(self, probe: Probe, clean: float) -> NDArray[np.floating]:
        seen = [_squares(size, self.stride) for size in self.sizes]
        scores = np.split(probe(np.concatenate(seen)), np.cumsum([len(masks) for masks in seen])[:-1])
        maps = []
        for masks, score in zip(seen, scores, strict=True):
            hidden = 1 - masks
            maps.append(np.tensordot(clean - score, hidden, 1) / np.maximum(hidden.sum(0), 1))
        return np.asarray(np.mean(maps, axis=0))


@dataclass(frozen=True, kw_only=True)
class CorrRISE(_Perturbation):
    """CorrRISE: correlation of the score with what random masks leave to be seen of one image.

    Lu et al., "Towards Visual Saliency Explanations of Face Verification", WACV 2024, arXiv 2305.08546. A pixel's value
    is Pearson's correlation, over the masks, of "this pixel was seen" with the score: in -1..1. Both images are seen
    through the same masks, the other one whole. A pixel that all masks treat alike gets 0.

    Cost: 2 masks + 2 forward passes a pair (1,002).

    Parameters
    ----------
    fill : str, default "black"
        What stands where a mask hides: "black", "mean" (the picture's mean colour) or "blur" (Gaussian, 10 pixels, as
        RISE-style methods use to stay closer to pictures that the network knows).
    masks : int, default 500
        How many.
    patches : int, default 3
        Squares of a mask.
    size : int, default 30
        Their side in pixels.
    shape : str, default "patches"
        "patches", or "grid" for the masks of RISE (Petsiuk et al. 2018, arXiv 1806.07421, section 3.2): a 7 x 7 grid of
        zeros and ones (p = 0.5), enlarged bilinearly and shifted at random. With fill="blur" that is RISE with a
        blurred background, and correlation instead of the mean.
    seed : int, default 0
        Of the masks.

    Raises
    ------
    ValueError
        A parameter is out of range.

    Examples
    --------
    >>> import xcos
    >>> a, b = "examples/obama_portrait_2012.jpg", "examples/obama_congress_2009.jpg"
    >>> pair = xcos.explainers.CorrRISE(masks=20)(a, b)
    >>> pair.method, pair.passes
    ('CorrRISE:masks=20', 42)
    """

    masks: int = 500
    patches: int = 3
    size: int = 30
    shape: str = "patches"
    seed: int = 0

    def __post_init__(self) -> None:
        _Perturbation.__post_init__(self)
        if self.shape not in ("patches", "grid"):
            raise ValueError(f"CorrRISE: shape is {self.shape!r}; expected patches or grid")
        if self.masks < 2 or self.patches < 1 or not 1 <= self.size < SIDE:
            raise ValueError(
                f"CorrRISE: expected 2 masks or more of 1 patch or more of 1..{SIDE - 1} pixels, "
                f"got masks={self.masks}, patches={self.patches}, size={self.size}"
            )

    @property
    def passes(self) -> int:
        return 2 + 2 * self.masks

    @cached_property
    def _masks(self) -> Floats:
        rng = np.random.default_rng(self.seed)
        if self.shape == "grid":
            return _grid_masks(self.masks, rng)
        masks = np.ones((self.masks, SIDE, SIDE), np.float32)
        corners = rng.integers(0, SIDE - self.size + 1, (self.masks, self.patches, 2))
        for mask, places in zip(masks, corners, strict=True):
            for top, left in places:
                mask[top : top + self.size, left : left + self.size] = 0
        return masks

    @cached_property
    def _centred(self) -> Floats:
        """The masks less their mean, each pixel's column of unit length (or zero)."""
        centred = self._masks - self._masks.mean(0)
        norms = np.linalg.norm(centred, axis=0)
        unit: Floats = np.divide(centred, norms, out=np.zeros_like(centred), where=norms > 1e-6)
        return unit

    def _map(self, probe: Probe, clean: float) -> NDArray[np.floating]:
        score = probe(self._masks)
        score -= score.mean()
        length = np.linalg.norm(score)
        return np.tensordot(score / length if length > 0 else score, self._centred, 1)


@dataclass(frozen=True, kw_only=True)
class MinPlus(_Perturbation):
    """MinPlus: what is lost where a bell is taken from the picture, and what is there where it alone is shown.

    Mery, "True Black-Box Explanation in Facial Analysis", CVPRW 2022. At each point k of a grid a bell G_k (height 1)
    is taken from the picture, or shown alone of it, with the filling where a picture is not seen::

        minus_k = s(a, b) - s((1 - G_k) a, b)        plus_k = s(G_k a, b) - s(nothing, b)
        map(p)  = mean of both, each as sum_k G_k(p) value_k / sum_k G_k(p), divided by its largest magnitude

    The paper also repeats both steps greedily; this is one step of each, and grid and bell are our choice. In -1..1.
    Cost: 2 (2 (112 / stride)^2 + 1) + 2 forward passes a pair (788 by default).

    Parameters
    ----------
    fill : str, default "black"
        What stands where a picture is not seen: see :class:`CorrRISE`.
    stride : int, default 8
        Pixels between the points of the grid.
    sigma : float, default 14.0
        Width of the bell in pixels.

    Raises
    ------
    ValueError
        A parameter is out of range.

    Examples
    --------
    >>> import xcos
    >>> a, b = "examples/obama_portrait_2012.jpg", "examples/obama_congress_2009.jpg"
    >>> xcos.explainers.MinPlus(stride=56)(a, b).passes
    20
    """

    stride: int = 8
    sigma: float = 14.0

    def __post_init__(self) -> None:
        _Perturbation.__post_init__(self)
        if not 1 <= self.stride <= SIDE or self.sigma <= 0:
            raise ValueError(
                f"MinPlus: expected a stride in 1..{SIDE} and sigma above 0, got {self.stride} and {self.sigma}"
            )

    @property
    def passes(self) -> int:
        return 2 + 2 * (2 * len(self._bells) + 1)

    @cached_property
    def _bells(self) -> Floats:
        centres = np.arange((self.stride - 1) / 2, SIDE, self.stride)
        lines = np.exp(-0.5 * ((np.arange(SIDE) - centres[:, None]) / self.sigma) ** 2)
        bells: Floats = np.einsum("iy,jx->ijyx", lines, lines).reshape(-1, SIDE, SIDE).astype(np.float32)
        return bells

    def _map(self, probe: Probe, clean: float) -> NDArray[np.floating]:
        bells = self._bells
        total = bells.sum(0)
        minus = clean - probe(1 - bells)
        nothing = probe(np.zeros((1, SIDE, SIDE), np.float32))
        maps = [np.tensordot(change, bells, 1) / total for change in (minus, probe(bells) - nothing)]
        return np.asarray(np.mean([m / max(float(np.abs(m).max()), 1e-12) for m in maps], axis=0))


@lru_cache(maxsize=8)
def _squares(size: int, stride: int) -> Floats:
    """Masks that each hide one square: (count, 112, 112)."""
    places = range(0, SIDE - size, stride)
    masks = np.ones((len(places) ** 2, SIDE, SIDE), np.float32)
    corners = ((top, left) for top in places for left in places)
    for mask, (top, left) in zip(masks, corners, strict=True):
        mask[top : top + size, left : left + size] = 0
    masks.flags.writeable = False
    return masks


def _grid_masks(count: int, rng: np.random.Generator, cells: int = 7, share: float = 0.5) -> Floats:
    """The masks of RISE: grids of zeros and ones, enlarged by one cell too many and cut out at a random shift."""
    from .base import enlarge

    cell = -(-SIDE // cells)
    grids = (rng.random((count, cells + 1, cells + 1)) < share).astype(np.float32)
    large = enlarge(grids, (cells + 1) * cell)
    shifts = rng.integers(0, cell, (count, 2))
    return np.stack([m[y : y + SIDE, x : x + SIDE] for m, (y, x) in zip(large, shifts, strict=True)])
