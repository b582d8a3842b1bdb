"""The functions of the package that use a default model, and the way to model files."""

from __future__ import annotations

import os
from typing import Any

from .plan.file import ModelFile
from .recognition.model import Model
from .recognition.shipped import load


def _model(model: Model | str | os.PathLike[str] | None) -> Model:
    return model if isinstance(model, Model) else load(model)


def verify(a: Any, b: Any, *, model: Model | str | os.PathLike[str] | None = None, **keywords: Any) -> Any:
    """Do photographs `a` and `b` show one person? -> Verification, or a list of them for lists.

    A photograph is a path, bytes, a file object, a PIL image, or an (H, W, 3) uint8 RGB array. `model`: a
    Model, a name or a path; None: the default. Keywords (threshold, face, aligned, bgr, threads, progress)
    and errors are those of ``Model.verify``.
    """
    return _model(model).verify(a, b, **keywords)


def explain(a: Any, b: Any, *, model: Model | str | os.PathLike[str] | None = None, **keywords: Any) -> Any:
    """Like ``verify``, with the reason cell by cell -> Explanation, or a list of them for lists.

    Keywords (threshold, face, aligned, bgr, threads) and errors are those of ``Model.explain``.
    """
    return _model(model).explain(a, b, **keywords)


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str] | None = None,
    *,
    color: str | None = None,
    mean: float | None = None,
    scale: float | None = None,
) -> ModelFile:
    """Imports a network and, with `target`, writes it as a model file.

    source : an ONNX graph (``pip install xcos[onnx]``), or a PyTorch checkpoint, ``.pth`` (``xcos[train]``) or
        ``.safetensors``, in the layout of the xCos reference (whole, or an IR or IR-SE backbone) or of
        InsightFace's iresnet. Nothing pickled in a checkpoint is executed.
    color, mean, scale : "RGB" or "BGR", and input = (pixel - mean) * scale. Those not given are RGB, 127.5 and
        1/127.5; an ONNX graph for which none is given stays without.

    Raises OSError when a file can't be read or written, ModelFileError for content that is damaged, uses
    an operator that the core lacks or is of an unknown layout; operator and node, or the tensor, are named.
    """
    from .importers import import_network, preprocess

    given = {"color": color, "mean": mean, "scale": scale}
    chosen: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    file = import_network(source, preprocess(**chosen) if chosen else None)
    if target is not None:
        file.write(target)
    return file
