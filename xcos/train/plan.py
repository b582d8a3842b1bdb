"""From settings to a network with a grid: which part stays frozen, which is trained."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..errors import ModelFileError
from ..model_file import ModelFile
from .branch import back, cell_branch, front, last_map, own_copy, projection, value_shape
from .config import Config


@dataclass(frozen=True, slots=True)
class Plan:
    """A network with the outputs `embedding` and ``grid``, cut at the value (or input) `cut`.

    whole  : the plan of the file to be written, without head
    frozen : computes `cut` (where that is no input) and the embedding; run by the C core
    trained: computes the grid from `cut`; run by torch
    """

    whole: ModelFile
    frozen: ModelFile
    trained: ModelFile
    embedding: str
    cut: str

    @property
    def from_pixels(self) -> bool:
        """Is everything trained, with nothing left to keep in a cache?"""
        return self.cut == self.whole.inputs[0]["name"]

    @property
    def grid(self) -> tuple[int, int, int]:
        """(D, rows, columns)."""
        depth, rows, columns = value_shape(self.whole, "grid")
        return depth, rows, columns


def read_network(source: str | os.PathLike[str] | ModelFile) -> ModelFile:
    """A model file, or an ONNX network imported, from its path."""
    if isinstance(source, ModelFile):
        return source
    if os.fspath(source).endswith(".onnx"):
        from ..importers.onnx import import_onnx

        return import_onnx(source)
    return ModelFile.read(source)


def make_plan(network: ModelFile, config: Config) -> Plan:
    """Grows the grid on `network` as the settings say.

    Raises ValueError, naming the value, where the network lacks one that the settings name; ModelFileError for
    a network that takes no pictures.
    """
    if network.preprocess is None or len(network.inputs) != 1:
        raise ModelFileError(f"{network.name}: expected one input of pictures, with `preprocess` in its header")
    embedding = config.embedding or (network.head or {}).get("embedding") or network.outputs[0]
    if embedding not in network.outputs:
        raise ValueError(f"embedding is {embedding!r}; expected one of {', '.join(network.outputs)}")
    plain = front(network, [embedding])
    at = config.at or last_map(plain, embedding)
    cut = at
    if config.branch == "cells":
        whole = cell_branch(plain, at, config.copy, config.depth, seed=config.seed)
    else:
        if config.since:
            cut = plain.inputs[0]["name"] if config.since == "input" else config.since
            plain, at = own_copy(plain, cut, at)
        whole = projection(plain, at, config.depth, seed=config.seed)
    needed = [embedding] if cut == whole.inputs[0]["name"] else [embedding, cut]
    return Plan(whole, front(whole, needed), back(whole, [cut], ["grid"]), embedding, cut)
