"""Models by name: those that the package brings, and the default one."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Lock
from typing import TypeAlias

from ..errors import ModelFileError
from ..plan.file import ModelFile
from ..plan.network import Precision
from .model import Model

DEFAULT = "mobilefacenet_xcos_v2"
ModelLike: TypeAlias = Model | str | os.PathLike[str] | None  # None: the default; a name; a path
_MODELS = Path(__file__).parents[1] / "models"
_cache: dict[tuple[str, Precision], Model] = {}
_lock = Lock()


def kinds() -> dict[str, str]:
    """The networks of the package by name: recognizer, detector or landmarks."""
    return {path.stem: ModelFile.read(path).kind for path in sorted(_MODELS.glob("*.safetensors"))}


def model_path(name_or_path: str | os.PathLike[str] | None = None, kind: str = "") -> Path:
    """The file of a model: None for the default one, a name of the package's models, or a path as it is.

    Raises ModelFileError for a name (no folder, no suffix) that neither the package nor the working folder has; it
    tells the names of the networks of this `kind`, or of all with their kinds.
    """
    path = Path(DEFAULT if name_or_path is None else name_or_path)
    if path.suffix or len(path.parts) > 1:
        return path
    inside = _MODELS / f"{path.name}.safetensors"
    if inside.is_file():
        return inside
    if path.exists():
        return path
    names = [name if kind else f"{name} ({its})" for name, its in kinds().items() if not kind or its == kind]
    raise ModelFileError(f"no model named {path.name!r}: expected a path or one of {', '.join(names) or 'none'}")


def load(
    name_or_path: str | os.PathLike[str] | None = None, *, whole: float | None = None, precision: Precision = "fp32"
) -> Model:
    """The default model, a model of the package by its name, or one from a file.

    Models of the package are loaded once and shared; other files are read anew each time. Safe from any number of
    threads.

    Parameters
    ----------
    name_or_path : str or path, optional
        None: the default.
    whole : float, optional
        What the face as a whole counts in the score, 0 to 1, as ``Model.with_whole``; None: as in the file.

    precision : {"fp32", "bf16", "int8"}, default "fp32"
        Of the network's products, as ``xcos.Network`` has it: "bf16" and "int8" are faster and less exact, and take a
        processor with AVX512-BF16 or AVX512-VNNI.

    Returns
    -------
    Model
        Ready to verify.

    Raises
    ------
    OSError
        The file can't be read.
    ModelFileError
        It is damaged, holds no recognizer with an xCos head, there is no model of that name, no threshold for this
        `whole`, or this processor has no instructions for the `precision`.
    ValueError
        `whole` is not in 0..1.

    Examples
    --------
    >>> import xcos
    >>> model = xcos.load()
    >>> model.name
    'mobilefacenet_xcos_v2'
    >>> xcos.load(whole=0).whole
    0.0
    """
    if whole is not None:
        return load(name_or_path, precision=precision).with_whole(whole)
    path = model_path(name_or_path, "recognizer")
    if path.parent != _MODELS:
        return Model.load(path, precision=precision)
    key = path.name, precision
    with _lock:
        if key not in _cache:
            _cache[key] = Model.load(path, precision=precision)
        return _cache[key]


def as_model(model: ModelLike) -> Model:
    """The model that is meant: a Model as it is, else as `load` takes it; TypeError for what is none."""
    if isinstance(model, Model):
        return model
    if model is not None and not isinstance(model, (str, os.PathLike)):
        raise TypeError(f"model: expected a Model, a name, a path or None, got {type(model).__name__}")
    return load(model)
