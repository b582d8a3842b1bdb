"""What was measured of a model's cells: does each say something about its own place in the face, and how much?

``xcos.faithfulness.truth`` measures it; the model file keeps what concerns each cell under `truth`, so that
explanations can show it. This module needs NumPy alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.values import ByValue
from ..errors import ModelFileError

Doubles = NDArray[np.float64]
LITTLE = 0.65  # accuracy of a cell alone below which it knows little: coin tossing is 0.5, the best cells reach 0.94
_MAPS = {"own": (-1.0, 2.0), "leak": (-1.0, 2.0), "alone": (0.0, 1.0)}  # shares may lie a little outside 0 to 1


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CellTruth(ByValue):
    """Measures of each cell of a model; NaN where a cell was not measured.

    Attributes
    ----------
    window : int
        Side in pixels of the square around a cell's own that it is about.
    own : (H, W) ndarray of float64
        Share of a cell's evidence for one person that stays when only its window is kept and the rest of the picture
        shows another face: 1 at best.
    leak : (H, W) ndarray of float64
        Share that stays when only its window shows another face: 0 at best.
    alone : (H, W) ndarray of float64
        Accuracy of telling people apart by the cosine of this cell alone: 0.5 knows nothing.

    Examples
    --------
    >>> import xcos
    >>> import numpy as np
    >>> from xcos.measured.truth import CellTruth
    >>> cells = CellTruth(48, own=np.full((7, 7), 0.8), leak=np.full((7, 7), 0.1), alone=np.full((7, 7), 0.6))
    >>> int(cells.little.sum())
    49
    """

    window: int
    own: Doubles
    leak: Doubles
    alone: Doubles

    def __repr__(self) -> str:
        return f"CellTruth(window {self.window} pixels, {self.little.sum()} of {self.alone.size} cells know little)"

    @property
    def little(self) -> NDArray[np.bool_]:
        """(H, W) bool: cells that know little, whose accuracy alone is below 65 %."""
        return self.alone < LITTLE

    @classmethod
    def of(cls, measured: Any, window: int = 48) -> CellTruth:
        """The maps of a result of ``xcos.faithfulness.truth`` that holds alone, own and leak.

        Shares of cells with hardly any evidence can be far off; they are cut to -1 and 2.

        Parameters
        ----------
        measured : Truth
            The result.
        window : int, default 48
            What it kept and replaced, in pixels.

        Returns
        -------
        CellTruth
            The maps.

        Raises
        ------
        ValueError
            One of the three was not measured.
        """
        missing = [name for name in ("alone", "own_map", "leak_map") if getattr(measured, name) is None]
        if missing:
            raise ValueError(f"truth of {measured.model}: {', '.join(missing)} not measured, expected all three maps")
        maps = [np.asarray(getattr(measured, f"{key}_map" if key != "alone" else key).value) for key in _MAPS]
        return cls(window, *(np.clip(m, low, high) for m, (low, high) in zip(maps, _MAPS.values(), strict=True)))

    def to_dict(self) -> dict[str, Any]:
        """The maps as they stand in the model file.

        Returns
        -------
        dict
            Numbers, null for those not measured, and lists of rows.
        """
        return {"window": self.window, **{key: _rows(getattr(self, key)) for key in _MAPS}}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> CellTruth:
        """Reads what :meth:`to_dict` gives.

        Parameters
        ----------
        value : dict
            From a model file.

        Returns
        -------
        CellTruth
            The maps.

        Raises
        ------
        ModelFileError
            It is something else.
        """
        if not isinstance(value, Mapping) or set(value) != {"window", *_MAPS}:
            raise ModelFileError("truth must be an object with window, own, leak and alone")
        window = value["window"]
        if not isinstance(window, int) or isinstance(window, bool) or window < 1:
            raise ModelFileError(f"truth: window is {str(window)[:80]}; expected a number of pixels")
        maps = {key: _map(key, value[key], *limits) for key, limits in _MAPS.items()}
        if len({m.shape for m in maps.values()}) != 1 or maps["alone"].ndim != 2:
            raise ModelFileError("truth: own, leak and alone must be maps (H, W) of one shape")
        if np.isnan(maps["alone"]).any():
            raise ModelFileError("truth: alone must be known for every cell")
        return cls(window, **maps)


def _rows(values: Doubles) -> list[list[float | None]]:
    return [[None if np.isnan(x) else round(float(x), 4) for x in row] for row in values]


def _map(key: str, value: Any, low: float, high: float) -> Doubles:
    try:
        found = np.array(value, np.float64)  # None becomes NaN
    except (TypeError, ValueError):
        raise ModelFileError(f"truth: {key} must be a list of rows of numbers") from None
    if np.isinf(found).any() or not found.size or (found < low).any() or (found > high).any():
        raise ModelFileError(f"truth: {key} must hold numbers from {low:g} to {high:g}")
    return found
