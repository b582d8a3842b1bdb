"""How pixels become the input of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..errors import ModelFileError

if TYPE_CHECKING:
    from .file import ModelFile


def preprocess(color: str = "RGB", mean: float = 127.5, scale: float = 1 / 127.5) -> dict[str, Any]:
    """How pixels become the input, as in docs/model-file.md: (pixel - mean) * scale, the same for three channels.

    The default is (x/255 - 0.5)/0.5, as InsightFace and the xCos reference prepare pictures.
    """
    return {"color": color, "mean": [float(mean)] * 3, "scale": [float(scale)] * 3}


def as_input(file: ModelFile, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pictures (N, H, W, C) uint8 RGB, or grey with C = 1, as the input (N, C, H, W) float32 of the file's network.

    Raises ModelFileError for a file that does not say how pixels become its input.
    """
    pre = file.preprocess
    if pre is None:
        raise ModelFileError(f"model {file.name!r}: its header has no preprocess; expected how pixels become its input")
    return _core.normalize(pixels, pre["mean"], pre["scale"], pre["color"] == "BGR")
