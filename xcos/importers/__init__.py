"""Foreign networks as model files: ONNX graphs (`onnx`), PyTorch checkpoints of known layouts (`torch`)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ModelFileError
from ..plan.file import ModelFile
from ..plan.pixels import preprocess

__all__ = ["import_network", "preprocess"]


def _import_onnx(
    source: str | os.PathLike[str], pixels: Mapping[str, Any] | None, shape: Sequence[int] | None
) -> ModelFile:
    """The whole graph; where that cannot be said as a plan, up to its embedding, if that is all it computes: without
    the division by its length, and of pictures of 112 x 112 where it takes any size."""
    from .onnx.embedding import ends_in_one_embedding, import_embedding, of_pictures
    from .onnx.importer import import_onnx, load_onnx

    shapes = None if shape is None else of_pictures(source, shape)
    try:
        return import_onnx(source, preprocess=pixels, shapes=shapes)
    except ModelFileError as error:
        try:
            if ends_in_one_embedding(load_onnx(source).graph):
                return import_embedding(source, preprocess=pixels, shape=shape)
        except ModelFileError as without:
            if "shape=" in str(without):
                raise without from None
        raise error from None


def import_network(
    source: str | os.PathLike[str], pixels: Mapping[str, Any] | None = None, shape: Sequence[int] | None = None
) -> ModelFile:
    """An ONNX graph or a PyTorch checkpoint, told by its suffix, as a model file.

    `pixels`: how pixels become the input, see `preprocess`. None: unsaid for ONNX, the default for checkpoints.
    `shape`: height and width of the pictures of an ONNX graph, in place of those that it declares or leaves open.
    Raises what `onnx.import_onnx` and `torch.import_torch` raise; ModelFileError for other suffixes,
    and for the shape of a checkpoint, whose layout tells it.
    """
    suffix = Path(source).suffix.lower()
    if suffix == ".onnx":
        return _import_onnx(source, pixels, shape)
    from .torch.importer import SUFFIXES, import_torch

    if suffix in SUFFIXES:
        if shape is not None:
            raise ModelFileError(f"{os.fspath(source)}: a checkpoint tells its own shape; shape= is for ONNX graphs")
        return import_torch(source, preprocess=pixels)
    raise ModelFileError(f"{os.fspath(source)}: expected a file that ends in .onnx, {', '.join(SUFFIXES)}")
