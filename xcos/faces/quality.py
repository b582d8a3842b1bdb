"""Is a face good enough to be compared? Measures of a photograph, and one value learned from them.

A dark, tiny or soft face is like nobody: two photographs of one person then score as two people do, without a word.
So each comparison says how good its two faces were, and below a threshold that there is no answer.

The value predicts what is left of a face: the cosine between the embedding of a photograph that was made worse and
that of the photograph itself. It is a linear model of the measures (ridge regression with the signs that noise and
compression must have, then squeezed into 0..1), fitted
on photographs of CelebA made darker, smaller, softer, noisier, flatter, brighter and more compressed
(tools/fit_quality.py, which also chooses the threshold; benchmarks/quality.py measures both on LFW). It knows the
default model's embeddings, but looks at pixels alone, so it serves any network.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .detection import Cut, Face

# Below this there is no answer. On photographs of CelebA made worse and held out, each compared with itself, 21.3 % are
# called two people; of those that are answered 2.8 %, which are 64 %. None of the 38 unchanged is refused.
THRESHOLD = 0.65

_GREY = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_INSIDE = np.hypot(*np.ogrid[-1.25:1.05:112j, -1.35:1.35:112j]) < 1  # an ellipse around eyes, nose and mouth
_FULL_SIZE = 112.0  # pixels: larger faces are made smaller for the network
_USUAL_SCORE = 0.93
_COLOURLESS = 0.02  # levels; a grey photograph says nothing about colours, and counts as the usual one
_USUAL_COLOUR = (-0.3, -0.3, 0.1)  # of the unchanged photographs of tools/fit_quality.py


@dataclass(frozen=True, slots=True, repr=False)
class Quality:
    """How good one face is for being compared.

    value       0 to 1: how much of the face is left, predicted from the other measures; 1 a sharp, well-lit photograph
    size        pixels of the photograph across the square that becomes the crop of 112; below, the crop is enlarged.
                None for pictures that were crops already, as `score` and `pose`
    sharpness   0 to about 1: how strong the finest structures are beside all of the face; low for blurred and
                enlarged faces
    brightness  0 to 255: mean grey of the face
    contrast    0 to 127: standard deviation of its grey
    noise       0 to about 40: standard deviation of the grain, in levels of grey, as the crop shows it
    pose        0 (frontal) to 1 (profile): how far the nose is from the middle between the eyes
    score       0 to 1: the detector's
    """

    value: float
    size: float | None
    sharpness: float
    brightness: float
    contrast: float
    noise: float
    pose: float | None
    score: float | None

    def __repr__(self) -> str:
        size = "" if self.size is None else f", {self.size:.0f} pixels"
        return f"Quality({self.value:.2f}{size}, brightness {self.brightness:.0f}, sharpness {self.sharpness:.2f})"

    @property
    def reliable(self) -> bool:
        """Is the value at least the threshold? If not, a comparison of this face says nothing."""
        return self.value >= THRESHOLD

    def reason(self) -> str:
        """What is worst about the face, in two words."""
        if self.brightness < 40:
            return "too dark"
        if self.brightness > 215:
            return "too bright"
        if self.size is not None and self.size < 40:
            return "too small"
        if self.contrast < 15:
            return "without contrast"
        if self.noise > 0.25 * self.contrast:
            return "too noisy"
        if self.sharpness < 0.1:
            return "too blurred"
        return "too poor"

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, ready for json.dumps."""
        return {**asdict(self), "reliable": self.reliable}


@dataclass(frozen=True, slots=True)
class Look:
    """What was looked at in a photograph.

    quality  how good the face is for being compared
    face     where it was found; None for a picture that was a crop already
    shape    height and width of the upright photograph, pixels
    path     of the photograph, absolute; None for what was no file that can be read again
    reduction  by how much it had been made smaller when the face was cut out of it: a large JPEG is read so
    """

    quality: Quality
    face: Face | None
    shape: tuple[int, int]
    path: str | None = None
    reduction: int = 1

    @property
    def turn(self) -> int:
        """Degrees by which the photograph was turned, clockwise, for the face to be upright."""
        return self.face.turn if self.face else 0


def look_at(cut: Cut) -> Look:
    """The quality of a face that was cut out of a picture."""
    return Look(measure(cut.crop, cut.face), cut.face, cut.shape, cut.path, cut.reduction)


def measure(crop: NDArray[np.uint8], face: Face | None) -> Quality:
    """The quality of a face: its aligned crop (112, 112, 3) uint8 RGB and where it was found, if that is known."""
    measures, x = describe(crop, face)
    return Quality(1 / (1 + math.exp(-float(x @ _WEIGHTS + _BIAS))), **measures)


def describe(crop: NDArray[np.uint8], face: Face | None) -> tuple[dict[str, Any], NDArray[np.float64]]:
    """The measures of a face, and what the linear model sees of them: logarithms where ratios count. Measures that
    are not known are as good as can be."""
    grey = crop @ _GREY
    inside = grey[_INSIDE]
    contrast = float(inside.std())
    fine, middle, coarse = (_structure(grey, 1), _structure(grey, 2), _structure(grey, 4))
    grain = _grain(grey)
    measures: dict[str, Any] = {
        "size": None, "sharpness": 5 * fine / max(contrast, 1.0), "brightness": float(inside.mean()),
        "contrast": contrast, "noise": grain, "pose": None, "score": None,
    }  # fmt: skip
    if face is not None:
        from .detection import crop_scale

        eyes = np.asarray(face.points[:2], np.float64)
        between = eyes[1] - eyes[0]
        offset = (face.points[2] - eyes.mean(axis=0)) @ between / max(float(between @ between), 1e-6)
        pose = min(1.0, 2 * abs(float(offset)))
        measures |= {"size": 112 / max(crop_scale(face.points), 1e-6), "pose": pose, "score": face.score}
    size = _log2((measures["size"] or _FULL_SIZE) / _FULL_SIZE, 0.035, 1.0)
    dark, flat = _log2(measures["brightness"] / 64, 1 / 64, 1.0), _log2(contrast / 32, 1 / 32, 1.0)
    sharp = _log2(measures["sharpness"] / 0.3, 0.03, 14.0)
    noisy = max(_log2(grain / max(contrast, 1.0)) + 4.5, 0)
    middle_to_coarse, fine_to_middle = _log2(middle / coarse), _log2(fine / middle)
    return measures, np.array([
        size, dark, max(measures["brightness"] - 170, 0) / 85, flat, min(sharp, 0), max(sharp, 0),
        (measures["score"] or _USUAL_SCORE) - _USUAL_SCORE, measures["pose"] or 0.0, size * size, dark * dark,
        min(sharp, 0) ** 2, middle_to_coarse, fine_to_middle, min(middle_to_coarse, -1) ** 2, fine_to_middle**2,
        _log2(middle), _log2(coarse / max(contrast, 1.0)),
        noisy, *_blocks(crop, grey),
    ])  # fmt: skip


def _structure(grey: NDArray[np.float32], step: int) -> float:
    """How strong structures of `step` (1, 2 or 4) pixels are inside the face: deviation of pixels from their four
    neighbours."""
    small = grey
    for _ in range(step.bit_length() - 1):  # means of four, as often as it takes
        small = np.float32(0.25) * (small[::2, ::2] + small[::2, 1::2] + small[1::2, ::2] + small[1::2, 1::2])
    around = small[:-2, 1:-1] + small[2:, 1:-1] + small[1:-1, :-2] + small[1:-1, 2:]
    inside = _INSIDE[::step, ::step][1:-1, 1:-1]
    return max(float((small[1:-1, 1:-1] - around / 4)[inside].std()), 1e-3)


def _grain(grey: NDArray[np.float32]) -> float:
    """Standard deviation of the noise: the median of what second differences in both directions leave of it
    (their kernel: Immerkær 1996, doi 10.1006/cviu.1996.0060)."""
    rows = grey[:-2] - 2 * grey[1:-1] + grey[2:]
    both = np.abs(rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:])[_INSIDE[1:-1, 1:-1]] / 6
    return float(np.median(both)) / 0.6745


def _blocks(crop: NDArray[np.uint8], grey: NDArray[np.float32]) -> list[float]:
    """What compression does to fine structures: JPEG keeps least of those of colour, and flattens whole blocks.

    Of blue and of red beside grey: how far they are spread, median beside mean; of both how strong; then the share of
    neighbours that are alike.
    """
    spread, strong = [], 0.0
    for plane in (crop[..., 2] - grey, crop[..., 0] - grey):
        around = plane[:-2, 1:-1] + plane[2:, 1:-1] + plane[1:-1, :-2] + plane[1:-1, 2:]
        fine = np.abs(plane[1:-1, 1:-1] - around / 4)[_INSIDE[1:-1, 1:-1]]
        mean = float(fine.mean())
        strong += mean
        spread.append(_log2((float(np.median(fine)) + 0.1) / (mean + 0.1)))
    alike = float((np.abs(np.diff(grey, axis=1))[_INSIDE[:, 1:]] < 0.5).mean())
    return [*([*spread, _log2(strong + 0.1)] if strong >= _COLOURLESS else _USUAL_COLOUR), alike]


def _log2(ratio: float, least: float = 0.01, most: float = 8.0) -> float:
    return math.log2(min(max(ratio, least), most))


# Made by tools/fit_quality.py.
_WEIGHTS = np.array([
    1.926, -0.752, 1.083, 0.004, -0.584, 0.323, 5.756, 0.178, 0.615, -0.246, 0.041, -1.308, 0.23, -1.952, -0.057,
    0.442, 0.817, -1.081, 0.372, 0.724, 0.259, -2.572,
])  # fmt: skip
_BIAS = 5.176
