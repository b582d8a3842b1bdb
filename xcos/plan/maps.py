"""Where a grid can be made from in a network: its last map, how it goes on from there, which layers to copy."""

from __future__ import annotations

from typing import Any

from .branch import larger_map, last_map, linear_end, value_shape
from .file import ModelFile

# Numbers in a cell where its start is the network's own last layers; more main axes carry little of an embedding.
DEPTH = 128

# Layers that change the numbers of a map but leave it a map: not yet the way into the embedding.
_POINTWISE = (
    "batch_norm", "prelu", "relu", "sigmoid", "clip", "exp", "log", "sqrt", "abs", "pow", "tanh", "erf", "gelu", "elu",
    "softplus", "hard_sigmoid", "hard_swish", "add", "sub", "mul", "div", "maximum", "minimum", "transpose",
)  # fmt: skip


def find_map(file: ModelFile, embedding: str, layer: str = "") -> tuple[str, str]:
    """The last map before the embedding, and how the network goes on from it to the embedding.

    Parameters
    ----------
    file : ModelFile
        The network.
    embedding : str
        The name of the output.
    layer : str, default ""
        Another map to take.

    Returns
    -------
    (str, str)
        The map's name, and the way from it in words.

    Raises
    ------
    ValueError
        There is no map of more than one cell, or `layer` is none.

    Examples
    --------
    >>> import xcos
    >>> file = xcos.load().file
    >>> at, way = xcos.plugging.find_map(file, file.head["embedding"])
    >>> at == xcos.train.last_map(file, file.head["embedding"])
    True
    """
    producers = {entry["output"]: entry for entry in file.layers}
    at = layer or last_map(file, embedding)
    while not layer and producers[at]["op"] == "transpose":  # exports from TensorFlow flatten (7, 7, C)
        at = producers[at]["inputs"][0]
    shape = value_shape(file, at)
    if len(shape) != 3 or min(shape[1:]) < 2:
        raise ValueError(f"{file.name}: {at!r} has the shape {shape}; expected a map (channels, rows, columns)")
    return at, _way(file, at, shape)


def grid_settings(file: ModelFile, embedding: str, at: str, since: str | None = None) -> dict[str, Any]:
    """How the grid is made from a map, as settings of ``xcos.train.Config``.

    By default the network's last stage, from the last larger map on, is copied and trained: its branch is `embedding`
    where the network is linear from `at` on, else `projection`.

    Parameters
    ----------
    file : ModelFile
        The network.
    embedding : str
        The name of the output.
    at : str
        The map's name.
    since : str, optional
        Another value to start from; "none", or a network without a larger map: a projection of `at` as it is.

    Returns
    -------
    dict
        Settings by name.

    Examples
    --------
    >>> import xcos
    >>> file = xcos.load().file
    >>> at, way = xcos.plugging.find_map(file, file.head["embedding"])
    >>> xcos.plugging.grid_settings(file, file.head["embedding"], at)["branch"]
    'embedding'
    """
    if since is None:
        since = larger_map(file, at)
    if since in ("", "none"):
        return {"branch": "projection", "since": ""}
    copied = {"branch": "projection", "since": since, "backbone_rate": 0.5}
    try:
        linear = linear_end(file, embedding).at == at
    except ValueError:
        linear = False
    return copied | {"branch": "embedding", "depth": min(DEPTH, *value_shape(file, embedding))} if linear else copied


def _way(file: ModelFile, at: str, shape: tuple[int, ...]) -> str:
    reached = {at}
    for entry in file.layers:
        if not reached.intersection(entry["inputs"]):
            continue
        kernel = file.tensors[entry["weight"]].shape[2:] if entry["op"] == "conv" else ()
        if kernel == shape[1:]:
            depthwise = entry.get("groups", 1) == shape[0]
            return "a depthwise convolution over the whole map" if depthwise else "a convolution over the whole map"
        if entry["op"] in ("avg_pool", "max_pool"):
            return "pooling"
        if entry["op"] == "reshape":
            return "a fully connected layer on the flattened map"
        if entry["op"] not in _POINTWISE:
            return f"{entry['op']} layers"
        reached.add(entry["output"])
    return "nothing: it is the embedding itself"
