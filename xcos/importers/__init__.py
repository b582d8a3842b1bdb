"""Foreign networks as model files: ONNX graphs (`onnx`), PyTorch checkpoints of known layouts (`torch`)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import ModelFileError
from ..plan.file import ModelFile
from ..plan.pixels import preprocess

__all__ = ["import_network", "preprocess"]


def _import_onnx(source: str | os.PathLike[str], pixels: Mapping[str, Any] | None) -> ModelFile:
    """The whole graph; where that cannot be said as a plan, up to its embedding, if that is all it computes: without
    the division by its length, and of pictures of 112 x 112 where it takes any size."""
    from .onnx.embedding import ends_in_one_embedding, import_embedding
    from .onnx.importer import import_onnx, load_onnx

    try:
        return import_onnx(source, preprocess=pixels)
    except ModelFileError:
        try:
            if ends_in_one_embedding(load_onnx(source).graph):
                return import_embedding(source, preprocess=pixels)
        except ModelFileError:
            pass
        raise


def import_network(source: str | os.PathLike[str], pixels: Mapping[str, Any] | None = None) -> ModelFile:
    """An ONNX graph or a PyTorch checkpoint, told by its suffix, as a model file.

    `pixels`: how pixels become the input, see `preprocess`. None: unsaid for ONNX, the default for checkpoints.
    Raises what `onnx.import_onnx` and `torch.import_torch` raise; ModelFileError for other suffixes.
    """
    suffix = Path(source).suffix.lower()
    if suffix == ".onnx":
        return _import_onnx(source, pixels)
    from .torch.importer import SUFFIXES, import_torch

    if suffix in SUFFIXES:
        return import_torch(source, preprocess=pixels)
    raise ModelFileError(f"{os.fspath(source)}: expected a file that ends in .onnx, {', '.join(SUFFIXES)}")
