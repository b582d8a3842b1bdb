"""A grid whose cells know their own windows: the network's last part without the convolutions that look around."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .branch import Grown, PlanWriter, cell_shares, grown, linear_end, own_copy, value_shape
from .file import ModelFile


def local_branch(
    file: ModelFile,
    embedding: str,
    since: str,
    basis: NDArray[np.float32],
    mean: NDArray[np.float32],
    blocks: int = 2,
    spread: int = 0,
    seed: int = 0,
) -> Grown:
    """`xcos.train.embedding_branch` whose cells do not look at each other.

    For networks that are linear from their last map to the embedding (`linear_end`). Of the copied 3x3 depthwise
    convolutions on the grid's cells the first `spread` stay; of the others only the middle is copied, which makes them
    one number per channel. They, not the frozen layers, are what lets a cell know the whole face: docs/experiments.md
    has the figures. In their place come residual blocks of 1x1 convolutions.

    Parameters
    ----------
    file : ModelFile
        The network.
    embedding : str
        The name of the output.
    since : str
        The value from which layers are copied.
    basis : (E, depth) ndarray of float32
        Directions of the embedding that the grid keeps.
    mean : (E,) ndarray of float32
        The embeddings' mean.
    blocks : int, default 2
        Residual blocks more than the network has.
    spread : int, default 0
        How many copied convolutions may see neighbours.
    seed : int, default 0
        Of the new weights.

    Returns
    -------
    Grown
        The new file with the output "grid", and the names of the new tensors.

    Raises
    ------
    ValueError
        The network ends otherwise, or has no residual blocks on the last map's cells.

    Examples
    --------
    >>> import xcos
    >>> import numpy as np
    >>> file = xcos.load().file
    >>> embedding = file.head["embedding"]
    >>> plain = xcos.train.front(file, [embedding])
    >>> since = xcos.train.larger_map(plain, xcos.train.last_map(plain, embedding))
    >>> basis, mean = np.eye(512, 8, dtype=np.float32), np.zeros(512, np.float32)
    >>> grown = xcos.train.local_branch(plain, embedding, since, basis, mean)
    >>> grown.file.outputs[-1]
    'grid'
    """
    end = linear_end(file, embedding)
    copied, value = own_copy(file, since, end.at)
    cells = value_shape(file, end.at)[1:]
    around = [layer["output"] for layer in copied.layers if _looks_around(copied, layer, cells)]
    layers, tensors = [], dict(copied.tensors)
    for layer in copied.layers:
        if layer["output"] in around[spread:]:
            weight = tensors[layer["weight"]]
            middle = weight[:, :, weight.shape[2] // 2, weight.shape[3] // 2]
            tensors[layer["weight"]] = np.ascontiguousarray(middle[:, :, None, None])
            layer = {**layer, "pad": [0, 0, 0, 0]}
        layers.append(layer)
    copied = dataclasses.replace(copied, layers=layers, tensors=tensors)
    copied, fresh = _deepened(copied, cells, blocks, seed)
    writer = PlanWriter("grid.end", seed)
    cell_shares(writer, value, end, mean, basis)
    network, own = grown(copied, writer)
    return Grown(network, own | fresh)


def _looks_around(file: ModelFile, layer: Mapping[str, Any], cells: tuple[int, ...]) -> bool:
    """Is it a copied convolution from neighbours to the grid's cells?"""
    return bool(
        layer["output"].startswith("grid.")
        and layer["op"] == "conv"
        and layer.get("stride", [1, 1]) == [1, 1]
        and max(file.tensors[layer["weight"]].shape[2:]) > 1
        and value_shape(file, layer["output"])[1:] == tuple(cells)
    )


def _deepened(file: ModelFile, cells: tuple[int, ...], blocks: int, seed: int) -> Grown:
    """Puts residual blocks (1x1 convolution to twice the channels, PReLU, 1x1 back) behind the last sum of the copied
    layers that has the grid's cells. Raises ValueError where there is none."""
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
