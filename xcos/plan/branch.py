"""Cuts a plan in two, and grows a branch for the grid on it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .file import ModelFile
from .network import Network

Layers = list[dict[str, Any]]
Tensors = dict[str, NDArray[np.float32]]


def value_shape(file: ModelFile, value: str) -> tuple[int, ...]:
    """Shape of a value of the plan after the batch. ValueError when no layer gives a value of this name."""
    return tuple(Network(front(file, [value])).output_shapes(_one(file))[value][1:])


def front(file: ModelFile, values: Sequence[str]) -> ModelFile:
    """The part of the plan that computes some values, and nothing else: what is frozen, run by the C core.

    Parameters
    ----------
    file : ModelFile
        The network.
    values : sequence of str
        Names of values of its plan.

    Returns
    -------
    ModelFile
        Its outputs are the values.

    Raises
    ------
    ValueError
        No layer gives such a value.

    Examples
    --------
    >>> import xcos
    >>> file = xcos.load().file
    >>> value = xcos.train.last_map(file, file.outputs[-1])
    >>> xcos.train.front(file, [value]).outputs == [value]
    True
    """
    made = {layer["output"] for layer in file.layers}
    for value in values:
        if value not in made:
            raise ValueError(f"{file.name}: no layer gives the value {value!r}; expected one of {_some(made)}")
    needed, layers = set(values), []
    for layer in reversed(file.layers):
        if layer["output"] in needed:
            needed.update(layer["inputs"])
            layers.append(layer)
    layers.reverse()
    return dataclasses.replace(
        file, layers=layers, outputs=list(values), head=None, tensors=_used(layers, file.tensors), thresholds={}
    )


def back(file: ModelFile, values: Sequence[str], outputs: Sequence[str]) -> ModelFile:
    """The part of the plan from some values, its inputs now, to outputs: what is trained.

    Parameters
    ----------
    file : ModelFile
        The network.
    values : sequence of str
        Names of values of its plan.
    outputs : sequence of str
        Names of values that are made from them alone.

    Returns
    -------
    ModelFile
        The part.

    Raises
    ------
    ValueError
        An output needs more than the values.

    Examples
    --------
    >>> import xcos
    >>> file = xcos.load().file
    >>> value = xcos.train.last_map(file, file.outputs[-1])
    >>> [entry["name"] for entry in xcos.train.back(file, [value], file.outputs[-1:]).inputs] == [value]
    True
    """
    needed, layers = set(outputs), []
    for layer in reversed(file.layers):
        if layer["output"] in needed and layer["output"] not in values:
            needed.update(layer["inputs"])
            layers.append(layer)
    layers.reverse()
    shapes = {entry["name"]: entry["shape"] for entry in file.inputs}
    missing = sorted((needed & set(shapes)) - set(values))
    if missing:
        raise ValueError(f"{file.name}: {', '.join(outputs)} cannot be had from {', '.join(values)} alone")
    entries = [
        {"name": value, "shape": list(shapes[value] if value in shapes else value_shape(file, value))}
        for value in values
    ]
    return dataclasses.replace(
        file,
        inputs=entries,
        layers=layers,
        outputs=list(outputs),
        preprocess=None,
        head=None,
        tensors=_used(layers, file.tensors),
        thresholds={},
    )


def last_map(file: ModelFile, embedding: str) -> str:
    """The last value before the embedding that is a map of more than one cell.

    Parameters
    ----------
    file : ModelFile
        The network.
    embedding : str
        The name of the output.

    Returns
    -------
    str
        The value's name.

    Raises
    ------
    ValueError
        There is none.

    Examples
    --------
    >>> import xcos
    >>> file = xcos.load().file
    >>> value = xcos.train.last_map(file, file.head["embedding"])
    >>> value in {layer["output"] for layer in file.layers}
    True
    """
    layers = front(file, [embedding]).layers
    names = [layer["output"] for layer in layers]
    for start in range(len(names), 0, -60):  # a network of the core has at most 64 outputs
        part = names[max(0, start - 60) : start]
        shapes = Network(front(file, part)).output_shapes(_one(file))
        for name in reversed(part):
            if len(shapes[name]) == 4 and min(shapes[name][2:]) > 1:
                return str(name)
    raise ValueError(f"{file.name}: no map of several cells leads to {embedding!r}")


def larger_map(file: ModelFile, at: str) -> str:
    """The last value before a map that has more rows and columns, and that the map is made from alone.

    A copy of the layers from there on is the network's last stage.

    Parameters
    ----------
    file : ModelFile
        The network.
    at : str
        The map's name.

    Returns
    -------
    str
        The value's name; empty where there is none.

    Examples
    --------
    >>> import xcos
    >>> file = xcos.load().file
    >>> value = xcos.train.last_map(file, file.head["embedding"])
    >>> xcos.train.larger_map(file, value) != value
    True
    """
    size = value_shape(file, at)[1:]
    for layer in reversed(front(file, [at]).layers):
        value = layer["output"]
        shape = value_shape(file, value)
        if len(shape) != 3 or shape[1] <= size[0] or shape[2] <= size[1]:
            continue
        try:
            back(file, [value], [at])
        except ValueError:  # a way around it: inside a residual block
            continue
        return str(value)
    return ""


def own_copy(file: ModelFile, since: str, at: str) -> tuple[ModelFile, str]:
    """A second copy of the layers that lead from one value to another, with own tensors.

    Training the copy leaves the embedding as it is.

    Parameters
    ----------
    file : ModelFile
        The network.
    since : str
        Name of the value (or input) where the copy starts.
    at : str
        Name of the value where it ends.

    Returns
    -------
    (ModelFile, str)
        The new file, and the name of the copy of `at`.

    Raises
    ------
    ValueError
        `at` does not come from `since`.

    Examples
    --------
    >>> import xcos
    >>> file = xcos.load().file
    >>> plain = xcos.train.front(file, [file.head["embedding"]])
    >>> at = xcos.train.last_map(plain, *plain.outputs)
    >>> new, name = xcos.train.own_copy(plain, xcos.train.larger_map(plain, at), at)
    >>> len(new.layers) > len(plain.layers), name == f"grid.{at}"
    (True, True)
    """
    names = [entry["name"] for entry in file.inputs]
    if since not in names and since not in {layer["output"] for layer in file.layers}:
        raise ValueError(f"{file.name}: there is no value or input {since!r}")
    copied: dict[str, str] = {since: since}
    layers, tensors = [], dict(file.tensors)
    for layer in front(file, [at]).layers:
        if not any(name in copied for name in layer["inputs"]) or layer["output"] == since:
            continue
        twice = dict(layer)
        for key, value in layer.items():
            if isinstance(value, str) and value in file.tensors and key not in ("op", "name", "output"):
                twice[key] = f"grid.{value}"
                tensors[twice[key]] = file.tensors[value].copy()
        twice["inputs"] = [copied.get(name, name) for name in layer["inputs"]]
        twice["output"] = copied[layer["output"]] = f"grid.{layer['output']}"
        layers.append(twice)
    if at not in copied or at == since:
        raise ValueError(f"{file.name}: {at!r} does not come from {since!r}")
    new = dataclasses.replace(file, layers=[*file.layers, *layers], tensors=tensors)
    return new, str(copied[at])


class Grown(NamedTuple):
    """A network with the output "grid", and the names of those tensors of it that start from random numbers."""

    file: ModelFile
    fresh: frozenset[str]


class PlanWriter:
    """Layers and their tensors as they are added one after the other; names start with `prefix`, which no copied
    layer's name may do (`own_copy`: "grid." and the name of the original, often a bare number).

    fresh : names of the tensors that start from random numbers or from nothing
    """

    def __init__(self, prefix: str, seed: int) -> None:
        self.prefix = prefix
        self.layers: Layers = []
        self.tensors: Tensors = {}
        self.fresh: set[str] = set()
        self._random = np.random.default_rng(seed)

    def conv(
        self,
        source: str,
        channels: tuple[int, int],
        kernel: int = 1,
        *,
        stride: int = 1,
        pad: Sequence[int] = (0, 0, 0, 0),
        groups: int = 1,
        gain: float = 1.0,
    ) -> str:
        """A convolution with weights of variance gain^2 / fan-in."""
        inputs, outputs = channels
        shape = (outputs, inputs // groups, kernel, kernel)
        deviation = gain / np.sqrt(np.prod(shape[1:]))
        weight = (self._random.standard_normal(shape) * deviation).astype(np.float32)
        name = self.add(
            "conv",
            [source],
            {"weight": weight, "bias": np.zeros(outputs, np.float32)},
            stride=[stride, stride],
            pad=list(pad),
            groups=groups,
        )
        self.fresh |= {f"{name}.weight", f"{name}.bias"}
        return name

    def prelu(self, source: str, channels: int) -> str:
        name = self.add("prelu", [source], {"slope": np.full(channels, 0.25, np.float32)})
        self.fresh.add(f"{name}.slope")
        return name

    def scaled(self, source: str, gains: NDArray[np.float32]) -> str:
        """The map multiplied by a constant (1, C, H, W)."""
        name = f"{self.prefix}.{len(self.layers)}.gains"
        self.tensors[name] = gains.copy()
        return self.add("mul", [source, name])

    def add(self, op: str, inputs: list[str], tensors: Tensors | None = None, **attributes: Any) -> str:
        name = f"{self.prefix}.{len(self.layers)}"
        keys = {}
        for key, value in (tensors or {}).items():
            self.tensors[f"{name}.{key}"] = value
            keys[key] = f"{name}.{key}"
        self.layers.append({"op": op, "name": name, "inputs": inputs, "output": name, **keys, **attributes})
        return name


def projection(file: ModelFile, at: str, depth: int = 32, seed: int = 0) -> Grown:
    """The reference's grid: 1x1 convolution and PReLU on a map (C, H, W).

    The batch norm between them in the reference is part of the convolution, as in every file of ours.

    Parameters
    ----------
    file : ModelFile
        The network.
    at : str
        The map's name.
    depth : int, default 32
        Numbers of a cell.
    seed : int, default 0
        Of the weights.

    Returns
    -------
    Grown
        The new file with the outputs of `file` and "grid", and the names of the new tensors.

    Examples
    --------
    >>> import xcos
    >>> file = xcos.load().file
    >>> grown = xcos.train.projection(file, xcos.train.last_map(file, file.head["embedding"]), depth=8)
    >>> grown.file.outputs[-1], len(grown.fresh)
    ('grid', 3)
    """
    channels = _channels(file, at)
    writer = PlanWriter("grid.end", seed)
    writer.prelu(writer.conv(at, (channels, depth)), depth)
    return grown(file, writer)


def cell_branch(file: ModelFile, at: str, copy: str, depth: int = 96, width: int = 256, seed: int = 0) -> Grown:
    """A branch whose cells see little beyond themselves.

    From the map `at` (C, 2H, 2W): the stride-2 unit that makes the value `copy` of the network (1x1 convolution, PReLU,
    3x3 depthwise convolution, PReLU, 1x1 convolution) with its weights as a start, then per cell a residual pair of 1x1
    convolutions, one to `width` numbers with PReLU, and for each cell its own linear map to `depth` numbers. Two things
    keep cells local: no convolution of the new part but the stride's looks at neighbours, and the stride's window
    starts *at* the cell (pad bottom and right only). Networks pad all around, so that a cell of a 7x7 map of 112 pixels
    is centred on its upper left corner, 7.5 pixels off.

    Parameters
    ----------
    file : ModelFile
        The network.
    at : str
        The map's name.
    copy : str
        The value that the unit makes.
    depth : int, default 96
        Numbers of a cell.
    width : int, default 256
        Numbers between the residual pair.
    seed : int, default 0
        Of the new weights.

    Returns
    -------
    Grown
        The new file with the output "grid", and the names of the new tensors.

    Raises
    ------
    ValueError
        The network has no such unit.

    Examples
    --------
    >>> import xcos
    >>> file = xcos.load().file
    >>> try:
    ...     xcos.train.cell_branch(file, xcos.train.last_map(file, file.head["embedding"]), "unknown")
    ... except ValueError:
    ...     "no such unit"
    'no such unit'
    """
    channels = _channels(file, at)
    by_output = {layer["output"]: layer for layer in file.layers}
    unit: Layers = []
    value = copy
    for expected in ("conv", "prelu", "conv", "prelu", "conv"):
        layer = by_output.get(value)
        if layer is None or layer["op"] != expected:
            raise ValueError(f"{file.name}: {copy!r} is not made by conv, prelu, conv, prelu, conv")
        unit.insert(0, dict(layer))
        value = layer["inputs"][0]
    if unit[2].get("stride") != [2, 2] or file.tensors[unit[2]["weight"]].shape[2:] != (3, 3):
        raise ValueError(f"{file.name}: the unit of {copy!r} has no 3x3 convolution of stride 2")
    if file.tensors[unit[0]["weight"]].shape[1] != channels:
        raise ValueError(f"{file.name}: the unit of {copy!r} takes another number of channels than {at!r} has")
    writer = PlanWriter("grid.end", seed)
    last = at
    for layer in unit:
        tensors: Tensors = {key: file.tensors[layer[key]].copy() for key in ("weight", "bias", "slope") if key in layer}
        attributes = {key: layer[key] for key in ("stride", "pad", "dilation", "groups") if key in layer}
        if attributes.get("stride") == [2, 2]:
            attributes["pad"] = [0, 0, 1, 1]
        last = writer.add(layer["op"], [last], tensors, **attributes)
    middle = len(file.tensors[unit[-1]["weight"]])
    inner = writer.prelu(writer.conv(last, (middle, width)), width)
    # A weak second half: the pair starts close to the identity.
    last = writer.add("add", [last, writer.conv(inner, (width, middle), gain=0.3)])
    last = writer.prelu(writer.conv(last, (middle, width)), width)
    rows, columns = (size // 2 for size in value_shape(file, at)[1:])
    # One map to start with for all cells, from random numbers.
    start = (np.random.default_rng([seed, 1]).standard_normal((depth, width)) / np.sqrt(width)).astype(np.float32)
    _own_maps(writer, last, np.broadcast_to(start, (rows, columns, depth, width)), np.zeros(depth, np.float32))
    own = writer.layers[-3]
    writer.fresh |= {own["weight"], own["bias"]}
    return grown(file, writer)


def embedding_branch(
    file: ModelFile, embedding: str, since: str, basis: NDArray[np.float32], mean: NDArray[np.float32]
) -> Grown:
    """The network's own last part, with the sum over cells left out: each cell is its share of the embedding.

    For networks that are linear from their last map (C, H, W) to the embedding (`linear_end`): layers from `since` to
    the map are copied. Where a global depthwise convolution ends the network (MobileFaceNet), its weights become a
    constant (1, C, H, W) that multiplies the map, and the linear map a 1x1 convolution; where a fully connected
    layer does (SFace, InsightFace's iresnet), each cell has its own linear map. Outputs are taken on `basis` (E, D),
    orthonormal columns, and `mean` (E,) is subtracted, a 1/(H W) of it in each cell: before training the sum of the
    grid over its cells is the embedding on that basis.

    Raises ValueError where the network ends otherwise.
    """
    end = linear_end(file, embedding)
    if len(basis) != len(end.matrix):
        raise ValueError(f"the basis is of {len(basis)} numbers; {embedding!r} has {len(end.matrix)}")
    copied, value = own_copy(file, since, end.at)
    writer = PlanWriter("grid.end", 0)
    cell_shares(writer, value, end, mean, basis)
    return grown(copied, writer)


class LinearEnd(NamedTuple):
    """How a network goes on from its last map to the embedding.

    at     : name of that map (C, H, W)
    gains  : (1, C, H, W) where a global depthwise convolution ends it, else None
    matrix : (E, C) with gains: embedding = matrix @ sum over cells of (gains * map) + offset;
             without (E, C, H, W): embedding = sum over channels and cells of matrix * map, + offset
    offset : (E,)
    """

    at: str
    gains: NDArray[np.float32] | None
    matrix: NDArray[np.float32]
    offset: NDArray[np.float32]


def linear_end(file: ModelFile, embedding: str) -> LinearEnd:
    """What the layers between the last map and the embedding come to, batch norms included.

    They are convolutions over the whole map and fully connected layers, in any number.

    Parameters
    ----------
    file : ModelFile
        The network.
    embedding : str
        The name of the output.

    Returns
    -------
    LinearEnd
        One linear map.

    Raises
    ------
    ValueError
        There are other layers than these, or `embedding` is a map itself.

    Examples
    --------
    >>> import xcos
    >>> file = xcos.load().file
    >>> xcos.train.linear_end(file, file.head["embedding"]).at == xcos.train.last_map(file, file.head["embedding"])
    True
    """
    by_output = {layer["output"]: layer for layer in file.layers}
    value, size = embedding, int(np.prod(value_shape(file, embedding)))
    matrix, offset = np.eye(size, dtype=np.float32), np.zeros(size, np.float32)
    while True:
        shape = value_shape(file, value) if value in by_output else ()
        layer = by_output.get(value, {})
        if len(shape) == 3 and min(shape[1:]) > 1 and layer["op"] != "transpose":
            if value == embedding:
                break
            return LinearEnd(value, None, matrix.reshape(size, *shape), offset)
        keys = ("weight", "bias", "gamma", "beta", "mean", "var")
        t = {key: file.tensors[layer[key]] for key in keys if key in layer}
        before = value_shape(file, layer["inputs"][0]) if layer and layer["inputs"][0] in by_output else ()
        if layer.get("op") == "batch_norm" and int(np.prod(shape)) == len(t["gamma"]):
            gain = t["gamma"] / np.sqrt(t["var"] + layer.get("epsilon", 1e-5))
            offset = offset + matrix @ (t["beta"] - gain * t["mean"])
            matrix = matrix * gain
        elif layer.get("op") == "transpose" and len(before) == 3:
            order = np.argsort([axis - 1 for axis in layer["perm"][1:]])
            matrix = matrix.reshape(size, *shape).transpose(0, *(order + 1)).reshape(size, -1)
        elif layer.get("op") in ("linear", "conv") and int(np.prod(shape)) == len(t["weight"]) and before:
            offset = offset + matrix @ t["bias"] if "bias" in t else offset
            channels = before[0]
            if layer.get("groups", 1) == channels > 1 and t["weight"].shape[2:] == before[1:]:
                gains = t["weight"].reshape(1, *before)
                return LinearEnd(layer["inputs"][0], gains, matrix, offset)
            if t["weight"][0].size != int(np.prod(before)):
                break
            matrix = matrix @ t["weight"].reshape(len(t["weight"]), -1)
        elif layer.get("op") != "reshape":
            break
        value = layer["inputs"][0]
    raise ValueError(f"{file.name}: {embedding!r} is not made from a map by linear layers alone (at {value!r})")


def cell_shares(
    writer: PlanWriter, value: str, end: LinearEnd, mean: NDArray[np.float32], basis: NDArray[np.float32]
) -> str:
    """Layers from `value`, the last map or its copy, to each cell's share of the embedding less `mean` on `basis`."""
    if end.gains is not None:
        rows, columns = end.gains.shape[2:]
        weight, source = (basis.T @ end.matrix)[:, :, None, None], writer.scaled(value, end.gains)
    else:
        rows, columns = end.matrix.shape[2:]
    bias = (basis.T @ (end.offset - mean) / (rows * columns)).astype(np.float32)
    if end.gains is not None:
        return writer.add("conv", [source], {"weight": weight.astype(np.float32), "bias": bias})
    maps = np.einsum("ed,echw->hwdc", basis, end.matrix, optimize=True)
    return _own_maps(writer, value, maps.astype(np.float32), bias)


def _own_maps(writer: PlanWriter, source: str, maps: NDArray[np.float32], bias: NDArray[np.float32]) -> str:
    """For each cell its own linear map, `maps` (H, W, D, C): cells become groups of channels of a 1x1 convolution."""
    rows, columns, depth, width = maps.shape
    cells = rows * columns
    last = writer.add("transpose", [source], perm=[0, 2, 3, 1])
    last = writer.add("reshape", [last], shape=[cells * width, 1, 1])
    tensors = {"weight": maps.reshape(cells * depth, width, 1, 1).copy(), "bias": np.tile(bias, cells)}
    last = writer.add("conv", [last], tensors, stride=[1, 1], pad=[0, 0, 0, 0], groups=cells)
    last = writer.add("reshape", [last], shape=[rows, columns, depth])
    return writer.add("transpose", [last], perm=[0, 3, 1, 2])


def grown(file: ModelFile, writer: PlanWriter) -> Grown:
    """`file` with the writer's layers behind its own; the last of them gives the grid."""
    writer.layers[-1]["output"] = "grid"
    outputs = [*(name for name in file.outputs if name != "grid"), "grid"]
    kept = front(dataclasses.replace(file, head=None), outputs[:-1] + _sources(writer))
    whole = dataclasses.replace(
        file,
        layers=[*kept.layers, *writer.layers],
        outputs=outputs,
        tensors={**kept.tensors, **writer.tensors},
        head=None,
        thresholds={},
    )
    return Grown(whole, frozenset(writer.fresh))


def _sources(writer: PlanWriter) -> list[str]:
    return [writer.layers[0]["inputs"][0]]


def _channels(file: ModelFile, at: str) -> int:
    shape = value_shape(file, at)
    if len(shape) != 3:
        raise ValueError(f"{file.name}: {at!r} has the shape {shape}; expected a map (channels, rows, columns)")
    return shape[0]


def _used(layers: Sequence[Mapping[str, Any]], tensors: Mapping[str, NDArray[np.float32]]) -> Tensors:
    names = {layer[key] for layer in layers for key in layer if isinstance(layer[key], str)}
    names |= {name for layer in layers for name in layer["inputs"]}
    return {name: tensor for name, tensor in tensors.items() if name in names}


def _one(file: ModelFile) -> dict[str, list[int]]:
    return {entry["name"]: [1, *(size or 1 for size in entry["shape"])] for entry in file.inputs}


def _some(names: set[str]) -> str:
    listed = sorted(names)
    return ", ".join(listed[:8]) + (", ..." if len(listed) > 8 else "")
