"""How pixels become the input of a network that does not say it itself."""

from __future__ import annotations

from typing import Any


def preprocess(color: str = "RGB", mean: float = 127.5, scale: float = 1 / 127.5) -> dict[str, Any]:
    """How pixels become the input, as in docs/model-file.md: (pixel - mean) * scale, the same for three channels.

    The default is (x/255 - 0.5)/0.5, as InsightFace and the xCos reference prepare pictures.
    """
    return {"color": color, "mean": [float(mean)] * 3, "scale": [float(scale)] * 3}
