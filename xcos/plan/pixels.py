"""How pixels become the input of a network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..errors import ModelFileError

if TYPE_CHECKING:
    from .file import ModelFile


PerChannel: TypeAlias = float | Sequence[float]  # one number for all three channels, or three


def preprocess(color: str = "RGB", mean: PerChannel = 127.5, scale: PerChannel = 1 / 127.5) -> dict[str, Any]:
    """How pixels become the input, as in docs/model-file.md: (pixel - mean) * scale.

    The default is (x/255 - 0.5)/0.5, as InsightFace and the xCos reference prepare pictures.

    Parameters
    ----------
    color : "RGB" or "BGR"
        Order of the network's channels.
    mean, scale : float or three of them
        For pixels of 0 to 255; three are in the order of the network's channels.

    Raises
    ------
    ValueError
        For anything but one finite number or three.
    """
    return {"color": color, "mean": _three("mean", mean), "scale": _three("scale", scale)}


def per_channel(text: str) -> PerChannel:
    """``127.5`` or ``123.7,116.3,103.5`` as `preprocess` takes it. Raises ValueError as that does."""
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 3) or not all(map(math.isfinite, numbers)):
        raise ValueError(f"expected a number, or three with commas between them, got {text!r}")
    return numbers[0] if len(numbers) == 1 else numbers


def _three(name: str, value: PerChannel) -> list[float]:
    try:
        numbers = np.atleast_1d(np.asarray(value, np.float64))
    except (TypeError, ValueError):
        numbers = np.empty(0)
    if numbers.shape not in ((1,), (3,)) or not np.isfinite(numbers).all():
        raise ValueError(f"{name}: expected a finite number, or three, one for each channel, got {value!r}")
    three: list[float] = np.broadcast_to(numbers, 3).tolist()
    return three


def as_input(file: ModelFile, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pictures (N, H, W, C) uint8 RGB, or grey with C = 1, as the input (N, C, H, W) float32 of the file's network.

    Raises ModelFileError for a file that does not say how pixels become its input.
    """
    pre = file.preprocess
    if pre is None:
        raise ModelFileError(f"model {file.name!r}: its header has no preprocess; expected how pixels become its input")
    return _core.normalize(pixels, pre["mean"], pre["scale"], pre["color"] == "BGR")
