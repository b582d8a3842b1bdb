"""Noisy linear imputation of hidden pixels (ROAD: Rong et al. 2022, arXiv 2202.00449, section 4)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..base.extras import need

NOISE = 0.01 * 255  # standard deviation, a hundredth of the range as in the authors' code
_NEIGHBOURS = [
    *((dy, dx, 1 / 6) for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0))),
    *((dy, dx, 1 / 12) for dy, dx in ((1, 1), (1, -1), (-1, 1), (-1, -1))),
]


def impute(crop: NDArray[np.uint8], seen: NDArray[np.bool_], seed: int = 0) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 with the pixels where `seen` (H, W) is False replaced from their surroundings.

    Each hidden pixel is the weighted mean of its eight neighbours (1/6 beside, 1/12 diagonally, rescaled at the
    border), all solved at once, plus Gaussian noise of 1 % of the range; with nothing seen, the picture's mean
    colour plus noise. A copied pixel would betray the mask's shape less than black does. Needs scipy.
    """
    need("imputation", "scipy")
    from scipy.sparse import coo_matrix
    from scipy.sparse.linalg import splu

    hidden = np.flatnonzero(~seen)
    result = crop.reshape(-1, 3).astype(np.float64)
    if not len(hidden):
        return np.array(crop)
    if len(hidden) == seen.size:
        result[:] = result.mean(0)
    else:
        height, width = seen.shape
        place = np.full(seen.size, -1)
        place[hidden] = np.arange(len(hidden))
        rows, columns, values = [np.arange(len(hidden))], [np.arange(len(hidden))], [np.zeros(len(hidden))]
        right = np.zeros((len(hidden), 3))
        for dy, dx, weight in _NEIGHBOURS:
            y, x = hidden // width + dy, hidden % width + dx
            inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
            neighbour = np.where(inside, y * width + x, 0)
            values[0] += weight * inside
            unknown = inside & (place[neighbour] >= 0)
            known = inside & ~unknown
            right[known] += weight * result[neighbour[known]]
            rows.append(np.flatnonzero(unknown))
            columns.append(place[neighbour[unknown]])
            values.append(np.full(int(unknown.sum()), -weight))
        system = coo_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))))
        # This order of elimination, for symmetric patterns, takes half the time of SciPy's own choice.
        result[hidden] = splu(system.tocsc(), permc_spec="MMD_AT_PLUS_A").solve(right)
    result[hidden] += np.random.default_rng(seed).normal(0, NOISE, (len(hidden), 3))
    filled: NDArray[np.uint8] = result.round().clip(0, 255).astype(np.uint8).reshape(crop.shape)
    return filled
