"""The face as a whole: what it counts in a score, and the threshold that belongs to it.

With w = `whole`, score = (1 - w) * sum over cells of attention * cosine + w * plain cosine of the two embeddings:
w = 0 is the paper's metric, w = 1 the plain network's. This module applies what ``xcos.evaluation.whole_curve``
measured and needs NumPy alone.
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
_ROWS = ("whole", "threshold", "accuracy")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class WholeCurve(ByValue):
    """Thresholds and accuracies by w, measured on one set of pairs.

    Attributes
    ----------
    whole : (K,) ndarray of float64
        w, ascending from 0 to 1.
    threshold : (K,) ndarray of float64
        Of the score with that w, -1 to 1: the one that decides most pairs rightly.
    accuracy : (K,) ndarray of float64
        Share of pairs decided rightly, K-fold.
    data : str
        What the pairs are called.
    pairs : int
        How many they are.

    Examples
    --------
    >>> import xcos
    >>> import numpy as np
    >>> from xcos.measured.whole import WholeCurve
    >>> curve = WholeCurve(np.array([0.0, 1.0]), np.array([0.2, 0.3]), np.array([0.98, 0.99]), "mine", 6000)
    >>> round(curve.threshold_at(0.5), 2), curve.smallest(within=0.02)
    (0.25, 0.0)
    """

    whole: Doubles
    threshold: Doubles
    accuracy: Doubles
    data: str
    pairs: int

    def __repr__(self) -> str:
        ends = f"{self.accuracy[0]:.2%} at 0, {self.accuracy[-1]:.2%} at 1"
        return f"WholeCurve({len(self.whole)} w, accuracy {ends}, {self.pairs} pairs of {self.data})"

    def threshold_at(self, whole: float) -> float:
        """The threshold for any w, on a straight line between the two that were measured around it.

        Parameters
        ----------
        whole : float
            w, 0 to 1.

        Returns
        -------
        float
            Of the score.
        """
        return float(np.interp(whole, self.whole, self.threshold))

    def smallest(self, within: float = 0.002) -> float:
        """The smallest measured w whose accuracy is hardly below the plain cosine's, w = 1.

        Parameters
        ----------
        within : float, default 0.002
            How much below, at most, as a share.

        Returns
        -------
        float
            w.
        """
        return float(self.whole[int(np.argmax(self.accuracy >= self.accuracy[-1] - within - 1e-9))])

    def to_dict(self) -> dict[str, Any]:
        """The curve as it stands in the model file.

        Returns
        -------
        dict
            Lists and numbers alone.
        """
        return {**{key: getattr(self, key).tolist() for key in _ROWS}, "data": self.data, "pairs": self.pairs}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> WholeCurve:
        """Reads what :meth:`to_dict` gives.

        Parameters
        ----------
        value : dict
            From a model file.

        Returns
        -------
        WholeCurve
            The curve.

        Raises
        ------
        ModelFileError
            It is something else.
        """
        if not isinstance(value, Mapping) or set(value) != {*_ROWS, "data", "pairs"}:
            raise ModelFileError("whole_curve must be an object with whole, threshold, accuracy, data and pairs")
        try:
            rows = [np.array(value[key], np.float64) for key in _ROWS]
        except (TypeError, ValueError):
            raise ModelFileError("whole_curve: expected lists of numbers") from None
        whole, threshold, accuracy = rows
        if whole.ndim != 1 or len(whole) < 2 or not all(row.shape == whole.shape for row in rows):
            raise ModelFileError("whole_curve: expected lists of one length, 2 or more")
        if whole[0] != 0 or whole[-1] != 1 or not (np.diff(whole) > 0).all():
            raise ModelFileError("whole_curve: whole must rise from 0 to 1")
        if not (np.abs(threshold) <= 1).all() or not ((accuracy >= 0) & (accuracy <= 1)).all():
            raise ModelFileError("whole_curve: expected thresholds in -1 to 1 and accuracies in 0 to 1")
        data, pairs = value["data"], value["pairs"]
        if not isinstance(data, str) or not isinstance(pairs, int) or isinstance(pairs, bool):
            raise ModelFileError("whole_curve: expected the data's name and its number of pairs")
        return cls(whole, threshold, accuracy, data, pairs)
