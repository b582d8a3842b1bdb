"""The cells of a grid over a picture, and how much of each a mask covers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .detection import SIDE


def edges(grid: tuple[int, int], size: tuple[int, ...] = (SIDE, SIDE)) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where rows and columns of cells begin, and where the last one ends, in pixels of a picture (height, width)."""
    rows, columns = (np.rint(np.arange(n + 1) * side / n).astype(np.intp) for n, side in zip(grid, size, strict=True))
    return rows, columns


def covered(mask: NDArray[np.bool_] | NDArray[np.float64], grid: tuple[int, int]) -> NDArray[np.float64]:
    """(..., H, W): the share of each cell's pixels that lies in the mask (..., height, width), bool or 0..1."""
    rows, columns = edges(grid, mask.shape[-2:])
    inside = np.add.reduceat(np.add.reduceat(mask.astype(np.float64), rows[:-1], -2), columns[:-1], -1)
    share: NDArray[np.float64] = inside / np.outer(np.diff(rows), np.diff(columns))
    return share
