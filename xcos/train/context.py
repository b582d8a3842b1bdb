"""A grid whose cells know the rest of the face as far as they agree with it."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from ..model_file import ModelFile
from ..network import Network
from .branch import Grown, PlanWriter, front, grown, linear_end, own_copy, value_shape

# The context's share of a cell before training, as a multiple of the mean cell's own: cells then say about as much
# of themselves as of the whole, and xCos starts near the network's own accuracy (docs/experiments.md).
_SHARE = 12.0


def context_branch(
    file: ModelFile,
    embedding: str,
    since: str,
    basis: NDArray[np.float32],
    faces: NDArray[np.float32],
    blocks: int = 2,
    seed: int = 0,
) -> Grown:
    """Each cell is what it shows itself, and the face's context as far as the cell agrees with it.

    For networks that end in a global depthwise convolution and a linear map (MobileFaceNet). With u_c the last map
    at the cell c, copied from `since` on and deepened by `blocks` residual blocks, k_c the depthwise weights and W
    the linear map on `basis` (E, D), orthonormal columns:

        l_c = W (k_c u_c)                          what the cell shows: its share of the embedding
        C(a) = s W' mean_c (a_c k'_c u_c)          the face's embedding from the cells that a picks
        a_c = sigmoid(<w, l_c C(1)> + <v, u_c>)    does the cell agree with the whole face?
        m_c = sigmoid(<w', l_c C(a)> + <v', u_c>)  does the face belong to the cell?
        grid_c = l_c + m_c C(a)

    (vectors multiply number by number; offsets left out; k' and W' start as copies.) Where something else covers
    the face the context leaves out the cell, and the cell the context. w and w' start with equal numbers, such that
    <w, l_c C(1)> has a standard deviation of 1 over the cells of `faces`, inputs (n, 3, H, W) of the network.

    Raises ValueError where the network ends otherwise, or has no residual blocks on the last map's cells.
    """
    at, gains, matrix, offset = linear_end(file, embedding)
    if len(basis) != len(matrix):
        raise ValueError(f"the basis is of {len(basis)} numbers; {embedding!r} has {len(matrix)}")
    copied, value = own_copy(file, since, at)
    copied, fresh = _deepened(copied, gains.shape[2:], blocks, seed)
    depth, channels, cells = basis.shape[1], matrix.shape[1], gains[0, 0].size
    linear = (basis.T @ matrix)[:, :, None, None].astype(np.float32)
    shift = (basis.T @ offset / cells).astype(np.float32)
    writer = PlanWriter("grid", seed)
    products: list[str] = []

    def agreement(context: str) -> str:
        products.append(writer.add("mul", [local, context]))
        weighed = writer.conv(products[-1], (depth, 1))
        return writer.add("sigmoid", [writer.add("add", [weighed, writer.conv(value, (channels, 1), gain=0.1)])])

    local = writer.add("conv", [writer.scaled(value, gains)], {"weight": linear, "bias": shift})
    shares = writer.scaled(value, gains)
    tensors = {"weight": np.float32(_SHARE) * linear, "bias": np.float32(_SHARE) * shift}
    whole = writer.add("conv", [writer.add("avg_pool", [shares])], tensors)
    picked = writer.add("avg_pool", [writer.add("mul", [shares, agreement(whole)])])
    context = writer.add("conv", [picked], weight=f"{whole}.weight", bias=f"{whole}.bias")
    writer.add("add", [local, writer.add("mul", [context, agreement(context)])])
    network, own = grown(copied, writer)
    sums = Network(front(network, products[:1])).run(faces)[products[0]].sum(1)
    for layer in network.layers:
        if layer["inputs"][0] in products:
            network.tensors[layer["weight"]][:] = 1 / max(float(sums.std()), 1e-12)
    return Grown(network, own | fresh)


def _deepened(file: ModelFile, cells: tuple[int, ...], blocks: int, seed: int) -> Grown:
    """Puts residual blocks (1x1 convolution to twice the channels, 3x3 depthwise, 1x1 back, PReLU between) behind
    the last sum of the copied layers that has the grid's cells."""
    sums = [layer["output"] for layer in file.layers if layer["op"] == "add" and layer["output"].startswith("grid.")]
    fitting = [name for name in sums if value_shape(file, name)[1:] == tuple(cells)]
    if not fitting:
        raise ValueError(f"{file.name}: no residual block has {cells[0]} x {cells[1]} cells behind the cut")
    place = next(k for k, layer in enumerate(file.layers) if layer["output"] == fitting[-1])
    channels = value_shape(file, fitting[-1])[0]
    writer = PlanWriter("grid.deeper", seed)
    last = fitting[-1]
    for _ in range(blocks):
        inner = writer.prelu(writer.conv(last, (channels, 2 * channels)), 2 * channels)
        inner = writer.conv(inner, (2 * channels, 2 * channels), 3, pad=(1, 1, 1, 1), groups=2 * channels)
        inner = writer.prelu(inner, 2 * channels)
        # A weak last convolution: blocks start close to the identity.
        last = writer.add("add", [last, writer.conv(inner, (2 * channels, channels), gain=0.1)])
    behind = [
        {**layer, "inputs": [last if name == fitting[-1] else name for name in layer["inputs"]]}
        for layer in file.layers[place + 1 :]
    ]
    layers = [*file.layers[: place + 1], *writer.layers, *behind]
    return Grown(
        dataclasses.replace(file, layers=layers, tensors={**file.tensors, **writer.tensors}), frozenset(writer.fresh)
    )
