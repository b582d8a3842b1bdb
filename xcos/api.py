"""The functions of the package that use a default model, and the way to model files."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Lock
from typing import Any

from .errors import ModelFileError
from .model import Model
from .model_file import ModelFile

DEFAULT = "mobilefacenet_xcos_v2"
_MODELS = Path(__file__).parent / "models"
_cache: dict[str, Model] = {}
_lock = Lock()


def model_path(name_or_path: str | os.PathLike[str] | None = None) -> Path:
    """The file of a model: None for the default one, a name of the package's models, or a path as it is.

    Raises ModelFileError for a name (no folder, no suffix) that neither the package nor the working folder has.
    """
    path = Path(DEFAULT if name_or_path is None else name_or_path)
    if path.suffix or len(path.parts) > 1:
        return path
    inside = _MODELS / f"{path.name}.safetensors"
    if inside.is_file():
        return inside
    if path.exists():
        return path
    names = ", ".join(sorted(model.stem for model in _MODELS.glob("*.safetensors")))
    raise ModelFileError(f"no model named {path.name!r}: expected a path or one of {names or 'none'}")


def load(name_or_path: str | os.PathLike[str] | None = None, *, whole: float | None = None) -> Model:
    """The default model, a model of the package by its name, or one from a file.

    whole : what the face as a whole counts in the score, 0 to 1, as ``Model.with_whole``; None: as in the file.

    Models of the package are loaded once and shared; other files are read anew each time. Safe from any
    number of threads. Raises OSError when the file can't be read, ModelFileError when it is damaged, holds
    no recognizer with an xCos head, there is no model of that name, or no threshold for this `whole`.
    """
    if whole is not None:
        return load(name_or_path).with_whole(whole)
    path = model_path(name_or_path)
    if path.parent != _MODELS:
        return Model.load(path)
    with _lock:
        if path.name not in _cache:
            _cache[path.name] = Model.load(path)
        return _cache[path.name]


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
