"""What the xCos head says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..recognition.features import Floats
from ..recognition.model import SIDE, Model
from ..storage.progress import Progress
from .base import Crops, Explainer, enlarge

MAPS = ("contribution", "cosine")


@dataclass(frozen=True, kw_only=True)
class XCos(Explainer):
    """The maps of xCos (Lin et al., arXiv 2003.05383, section 3), enlarged from 7 x 7 to the crop.

    Both faces have the same map, since the cells of one are compared with those of the other at the same place. What
    the face as a whole adds (see ``Model.with_whole``) has no place and is in neither map. Zero lies where a cell adds
    nothing to the score, not at the threshold. Cost: 2 forward passes a pair, and the head.

    Parameters
    ----------
    map : str, default "contribution"
        "contribution", what each of the 49 cells adds to the score; or "cosine", the patch cosines alone.

    Raises
    ------
    ValueError
        Another map, or a model without an xCos head.

    Examples
    --------
    >>> import xcos
    >>> a, b = "examples/obama_portrait_2012.jpg", "examples/obama_congress_2009.jpg"
    >>> pair = xcos.explainers.XCos(map="cosine")(a, b)
    >>> pair.first.shape, bool((pair.first == pair.second).all())
    ((1, 112, 112), True)
    """

    map: str = "contribution"
    explains: ClassVar[tuple[str, ...]] = ("xcos",)

    def __post_init__(self) -> None:
        Explainer.__post_init__(self)
        if self.map not in MAPS:
            raise ValueError(f"XCos: map is {self.map!r}; expected one of {', '.join(MAPS)}")
        if not isinstance(self.model, Model):
            raise ValueError("XCos: expected an xcos.Model, which has an xCos head")

    @property
    def passes(self) -> int:
        return 2

    def _explain(self, first: Crops, second: Crops, progress: Progress) -> tuple[Floats, Floats, Floats]:
        scorer = self.scorer
        a, b = (scorer.features(scorer.inputs(crops)) for crops in (first, second))
        score, cosine, attention = scorer.compare_cells(a, b)
        assert cosine is not None and attention is not None and isinstance(self.model, Model)
        maps = enlarge(cosine if self.map == "cosine" else (1 - self.model.whole) * attention * cosine, SIDE)
        return maps, np.copy(maps), score
