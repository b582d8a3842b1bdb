"""An explanation by parts of the face: what eyes, nose, mouth … are alike by, count and add."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..base.values import ByValue
from ..faces.cells import covered
from ..faces.detection import SIDE, landmarks_by_look
from ..faces.parts import PARTS, POINTS, masks

if TYPE_CHECKING:
    from ..faces.detection import Face
    from ..faces.quality import Look

Doubles = NDArray[np.float64]

# A part can be seen where so much of it lies within crop and photograph, and where the landmark network's two looks
# agree on its points: they are no further apart than so many pixels of the crop, in the median. benchmarks/parts.py
# measures what that notices.
LEAST_INSIDE, MOST_APART = 0.5, 5.0
_BEYOND = SIDE // 2  # pixels around the crop, in which a part may lie that it does not show


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Part(ByValue):
    """One part of the face in an explanation, as ``Explanation.parts`` lists them.

    A cell counts for a part by the share of its pixels that show it, the mean of the two pictures. Shares of one cell
    sum to 1, so the contributions of all parts and the face as a whole sum to the score.

    Attributes
    ----------
    name : str
        eyes, brows, nose, mouth, cheeks, chin, forehead, hair or background.
    cosine : float
        How alike the two faces are there, -1 to 1: mean of the patch cosines, by share; NaN for a part that no cell
        shows.
    weight : float
        How much the part counts, 0 to 1: sum of share x attention. All parts sum to 1.
    contribution : float
        What it adds to the score: sum of share x contribution.
    evidence : float or None
        Whether its cells are as alike as usual for one person (> 0) or for two (< 0): the mean of the cells'
        log-likelihood ratios (natural), by share. A mean, since cells depend on each other and have no sum. None where
        the model is not calibrated: then nothing is known of what is usual.
    visible : (bool, bool)
        Whether it can be seen in the first picture, and in the second: at least half of it lies within crop and
        photograph, and the landmark network, which looks twice, finds its points within 5 pixels of the crop again.
        That notices most masks and hardly any sunglasses (docs/reading.md). Always true of hair and background, which
        have no points.
    shares : (H, W) ndarray of float64
        The share of each cell that shows it, 0 to 1.

    Examples
    --------
    >>> import xcos
    >>> e = xcos.explain("examples/obama_portrait_2012.jpg", "examples/obama_congress_2009.jpg")
    >>> sum(part.contribution for part in e.parts.values()) + e.whole - e.score < 1e-6
    True
    """

    name: str
    cosine: float
    weight: float
    contribution: float
    evidence: float | None
    visible: tuple[bool, bool]
    shares: Doubles

    def __repr__(self) -> str:
        return f"Part({self.name}: cosine {self.cosine:.3f}, weight {self.weight:.3f}, adds {self.contribution:.4f})"

    def to_dict(self) -> dict[str, Any]:
        """The part without its shares.

        Returns
        -------
        dict
            Ready for JSON; no evidence where none is known.
        """
        known = {} if self.evidence is None else {"evidence": self.evidence}
        return {"name": self.name, "cosine": self.cosine, "weight": self.weight, "contribution": self.contribution,
                **known, "visible": list(self.visible)}  # fmt: skip


def parts_of(
    crops: NDArray[np.uint8],
    looks: tuple[Look, Look] | None,
    cosine: NDArray[np.float32],
    attention: NDArray[np.float32],
    contribution: NDArray[np.float32],
    evidence: NDArray[np.float32] | None,
) -> dict[str, Part]:
    """Parts by name, in the order of ``xcos.faces.parts.PARTS``. Arguments: see Explanation.

    Raises ValueError for crops of one colour, which stand for faces of Features.
    """
    for crop, which in zip(crops, ("first", "second"), strict=True):
        if crop.min() == crop.max():
            raise ValueError(f"parts: the {which} crop has one colour, as of Features; expected the picture of a face")
    grid = (cosine.shape[0], cosine.shape[1])
    pairs = [_seen(crop, look) for crop, look in zip(crops, looks or (None, None), strict=True)]
    shares = np.mean([covered(mask, grid) for mask, _ in pairs], axis=0)
    made = {}
    for k, name in enumerate(PARTS):
        share = shares[k]
        weight, adds = (float((share * values).sum()) for values in (attention, contribution))
        alike, usual = _mean(cosine, share), None if evidence is None else _mean(evidence, share)
        visible = (pairs[0][1][k], pairs[1][1][k])
        made[name] = Part(name, alike, weight, adds, usual, visible, share)
    return made


def _mean(values: NDArray[np.float32], share: Doubles) -> float:
    return float((share * values).sum() / share.sum()) if share.any() else float("nan")


def _seen(crop: NDArray[np.uint8], look: Look | None) -> tuple[NDArray[np.bool_], list[bool]]:
    """Masks (9, 112, 112) of the parts in a crop, and which of them can be seen."""
    looks = landmarks_by_look(crop)
    apart = np.linalg.norm(looks[-1] - looks[0], axis=1)
    wide = masks(looks[-1], _BEYOND)
    inner = slice(_BEYOND, _BEYOND + SIDE)
    shown = np.zeros(wide.shape[1:], bool)
    shown[inner, inner] = _photographed(look.face, look.shape) if look and look.face else True
    inside = (wide & shown).sum((1, 2)) / np.maximum(wide.sum((1, 2)), 1)
    seen = [
        name not in POINTS or bool(share >= LEAST_INSIDE and np.median(apart[POINTS[name]]) <= MOST_APART)
        for name, share in zip(PARTS, inside, strict=True)
    ]
    return wide[:, inner, inner], seen


def _photographed(face: Face, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """(112, 112): pixels of the crop that lie in the photograph."""
    y, x = np.mgrid[:SIDE, :SIDE]
    place = np.stack([x, y], axis=-1) @ face.matrix[:, :2].T + face.matrix[:, 2]
    inside: NDArray[np.bool_] = ((place >= -0.5) & (place <= np.array(shape[::-1]) - 0.5)).all(axis=-1)
    return inside
