"""Maps that look at no face. A measure by which they do well is no measure of explanations."""

from __future__ import annotations

from dataclasses import dataclass
from zlib import crc32

import numpy as np

from ..recognition.features import Floats
from ..recognition.model import SIDE
from ..storage.progress import Progress
from .base import Crops, Explainer


@dataclass(frozen=True, kw_only=True)
class _Control(Explainer):
    @property
    def passes(self) -> int:
        """Two: those of the score itself, which any explanation goes with."""
        return 2

    def _scores(self, first: Crops, second: Crops) -> Floats:
        scorer = self.scorer
        return scorer.compare(*(scorer.features(scorer.inputs(crops)) for crops in (first, second)))


@dataclass(frozen=True, kw_only=True)
class RandomMap(_Control):
    """Noise: each pixel uniform in -1..1. What no explanation may fall below. Cost: nothing.

    Parameters
    ----------
    seed : int, default 0
        Of the noise.

    Examples
    --------
    >>> import xcos
    >>> a, b = "examples/obama_portrait_2012.jpg", "examples/obama_congress_2009.jpg"
    >>> xcos.explainers.RandomMap(seed=1)(a, b).first.shape
    (1, 112, 112)
    """

    seed: int = 0

    def _explain(self, first: Crops, second: Crops, progress: Progress) -> tuple[Floats, Floats, Floats]:
        noise = [np.array([self._noise(side, crop) for crop in crops]) for side, crops in enumerate((first, second))]
        return noise[0].reshape(first.shape[:3]), noise[1].reshape(second.shape[:3]), self._scores(first, second)

    def _noise(self, side: int, crop: Crops) -> Floats:
        """Drawn anew for each face, whatever stack it is in: the picture serves as a part of the seed."""
        rng = np.random.default_rng([self.seed, side, crc32(crop.tobytes())])
        return rng.uniform(-1, 1, (SIDE, SIDE)).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class CentreMap(_Control):
    """The same bell in the middle of every face. Cost: nothing.

    Faces lie in the middle of aligned crops, so this blind guess already does well by measures that only ask whether
    the masked pixels mattered.

    Parameters
    ----------
    sigma : float, optional
        Its width in pixels; by default a quarter of the crop.

    Examples
    --------
    >>> import xcos
    >>> a, b = "examples/obama_portrait_2012.jpg", "examples/obama_congress_2009.jpg"
    >>> pair = xcos.explainers.CentreMap()(a, b)
    >>> bool(pair.first[0, 56, 56] > pair.first[0, 0, 0])
    True
    """

    sigma: float = SIDE / 4

    def _explain(self, first: Crops, second: Crops, progress: Progress) -> tuple[Floats, Floats, Floats]:
        line = np.exp(-0.5 * ((np.arange(SIDE) - (SIDE - 1) / 2) / self.sigma) ** 2)
        bells = np.broadcast_to(np.outer(line, line).astype(np.float32), (len(first), SIDE, SIDE))
        return bells, bells, self._scores(first, second)
