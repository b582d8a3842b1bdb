"""From settings to a network with a grid: which part stays frozen, which is trained."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.values import ByValue
from ..errors import ModelFileError
from ..importers import import_network, preprocess
from ..importers.torch.importer import SUFFIXES
from ..plan import safetensors
from ..plan.branch import back, cell_branch, embedding_branch, front, last_map, own_copy, projection, value_shape
from ..plan.file import ModelFile
from ..plan.local import local_branch
from ..recognition.model import SIDE
from .config import Config


@dataclass(frozen=True, slots=True, eq=False)
class Plan(ByValue):
    """A network with the outputs `embedding` and ``grid``, cut at the value (or input) `cut`.

    whole  : the plan of the file to be written, without head
    frozen : computes `cut` (where that is no input) and the embedding; run by the C core
    trained: computes the grid from `cut`; run by torch
    head   : tensors ``head.*`` to go on with, or None for a new head
    fresh  : names of the trained tensors that start from random numbers, not from the network's
    """

    whole: ModelFile
    frozen: ModelFile
    trained: ModelFile
    embedding: str
    cut: str
    head: Mapping[str, NDArray[np.float32]] | None = None
    fresh: frozenset[str] = frozenset()

    @property
    def from_pixels(self) -> bool:
        """Is everything trained, with nothing left to keep in a cache?"""
        return bool(self.cut == self.whole.inputs[0]["name"])

    @property
    def grid(self) -> tuple[int, int, int]:
        """(D, rows, columns)."""
        depth, rows, columns = value_shape(self.whole, "grid")
        return depth, rows, columns


def read_teacher(
    source: str | os.PathLike[str] | ModelFile, pixels: Mapping[str, Any], embedding: str = ""
) -> tuple[ModelFile, str]:
    """A model file, an ONNX graph up to its embedding or a PyTorch checkpoint, and the name of its embedding.

    pixels : color, mean and scale (see `importers.preprocess`), None where not given: then they are those of the
        model file, or the defaults. embedding : by default the head's, else the first output.

    Raises OSError, ModelFileError as `ModelFile.read` and `importers.import_network`, ImportError where that needs
    onnx; ModelFileError for an input that is no picture.
    """
    if isinstance(source, ModelFile):
        file = source
    else:
        suffix = Path(source).suffix.lower()
        if suffix == ".onnx":
            from ..importers.onnx.embedding import import_embedding

            file = import_embedding(source, output=embedding, side=SIDE)
            embedding = file.outputs[0]  # without the division by its length
        elif suffix in SUFFIXES and not (suffix == ".safetensors" and _is_ours(source)):
            file = import_network(source)
        else:
            file = ModelFile.read(source)
    given = {key: value for key, value in pixels.items() if value is not None}
    said = {key: value for key, value in preprocess(**given).items() if key in given}
    file = dataclasses.replace(file, preprocess={**(file.preprocess or preprocess()), **said})
    return file, embedding or (file.head or {}).get("embedding") or file.outputs[0]


def _is_ours(path: str | os.PathLike[str]) -> bool:
    try:
        return "xcos" in safetensors.load(path, floats_alone=True)[0]
    except ModelFileError:  # whoever reads it as a checkpoint says what it is
        return False


def plain_network(file: ModelFile, embedding: str) -> tuple[ModelFile, str]:
    """What `embedding` needs, without any other output or head, and its name where it is one vector, (N, E)."""
    file = front(file, [embedding])
    if len(value_shape(file, embedding)) == 1:
        return file, embedding
    flat = f"{embedding}.flat"  # (E, 1, 1), as networks that end in a convolution have it
    layer = {"op": "reshape", "name": flat, "inputs": [embedding], "output": flat, "shape": [-1]}
    return dataclasses.replace(file, layers=[*file.layers, layer], outputs=[flat]), flat


def embedding_output(network: ModelFile, config: Config) -> str:
    """The output with the embedding. ValueError when the settings name another; ModelFileError for a network
    that takes no pictures."""
    if network.preprocess is None or len(network.inputs) != 1:
        raise ModelFileError(f"{network.name}: expected one input of pictures, with `preprocess` in its header")
    name = str(config.embedding or (network.head or {}).get("embedding") or network.outputs[0])
    if name not in network.outputs:
        raise ValueError(f"embedding is {name!r}; expected one of {', '.join(network.outputs)}")
    return name


def cut_value(network: ModelFile, embedding: str, config: Config) -> str:
    """The value (or input) that training starts from: what lies before it is frozen."""
    plain = front(network, [embedding])
    if config.since == "input":
        return str(plain.inputs[0]["name"])
    return config.since or config.at or last_map(plain, embedding)


def make_plan(network: ModelFile, config: Config, embeddings: NDArray[np.float32]) -> Plan:
    """Grows the grid on `network` as the settings say; `embeddings` (N, E) of faces say what matters in them.

    Raises ValueError, naming the value, where the network lacks one that the settings name; ModelFileError for
    a network that takes no pictures.
    """
    embedding = embedding_output(network, config)
    cut = cut_value(network, embedding, config)
    if config.branch == "grid":
        return _own_grid(network, embedding, cut)
    plain = front(network, [embedding])
    if config.branch in ("embedding", "local"):
        basis = main_axes(embeddings, config.depth)
        if basis.shape[1] < config.depth:
            raise ValueError(f"depth is {config.depth}; the embedding has only {len(basis)} numbers")
        mean = embeddings.mean(0)
        if config.branch == "local":
            grown = local_branch(plain, embedding, cut, basis, mean, config.blocks, config.spread, config.seed)
        else:
            grown = embedding_branch(plain, embedding, cut, basis, mean)
    elif config.branch == "cells":
        grown = cell_branch(plain, cut, config.copy, config.depth, seed=config.seed)
    else:
        at = config.at or last_map(plain, embedding)
        if config.since:
            plain, at = own_copy(plain, cut, at)
        grown = projection(plain, at, config.depth, seed=config.seed)
    whole = grown.file
    needed = [embedding] if cut == whole.inputs[0]["name"] else [embedding, cut]
    return Plan(whole, front(whole, needed), back(whole, [cut], ["grid"]), embedding, cut, fresh=grown.fresh)


def _own_grid(network: ModelFile, embedding: str, since: str) -> Plan:
    """A model's own grid and head, to train them further. The embedding must not hang on what is trained."""
    if network.head is None or network.head["grid"] != "grid":
        raise ValueError(f"{network.name}: expected a model with a head on the output 'grid'")
    whole = front(network, [embedding, "grid"])
    trained = back(whole, [since], ["grid"])
    shared = sorted(set(trained.tensors) & set(front(whole, [embedding]).tensors))
    if shared:
        raise ValueError(f"{network.name}: training from {since!r} would change the embedding (tensor {shared[0]!r})")
    head = {name: tensor for name, tensor in network.tensors.items() if name.startswith("head.")}
    return Plan(whole, front(whole, [embedding, since]), trained, embedding, since, head)


def main_axes(embeddings: NDArray[np.float32], depth: int) -> NDArray[np.float32]:
    """(E, min(depth, E)) orthonormal columns: the axes of largest variance of (N, E) embeddings."""
    centred = (embeddings - embeddings.mean(0)).astype(np.float64)
    _, axes = np.linalg.eigh(centred.T @ centred)
    return np.ascontiguousarray(axes[:, ::-1][:, :depth], np.float32)
