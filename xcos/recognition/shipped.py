"""Models by name: those that the package brings, and the default one."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Lock
from typing import TypeAlias

from ..errors import ModelFileError
from ..plan.file import ModelFile
from .model import Model

DEFAULT = "mobilefacenet_xcos_v2"
ModelLike: TypeAlias = Model | str | os.PathLike[str] | None  # None: the default; a name; a path
_MODELS = Path(__file__).parents[1] / "models"
_cache: dict[str, Model] = {}
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


def load(name_or_path: str | os.PathLike[str] | None = None, *, whole: float | None = None) -> Model:
    """The default model, a model of the package by its name, or one from a file.

    Models of the package are loaded once and shared; other files are read anew each time. Safe from any number of
    threads.

    Parameters
    ----------
    name_or_path : str or path, optional
        None: the default.
    whole : float, optional
        What the face as a whole counts in the score, 0 to 1, as ``Model.with_whole``; None: as in the file.

    Returns
    -------
    Model
        Ready to verify.

    Raises
    ------
    OSError
        The file can't be read.
    ModelFileError
        It is damaged, holds no recognizer with an xCos head, there is no model of that name, or no threshold for this
        `whole`.
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
        return load(name_or_path).with_whole(whole)
    path = model_path(name_or_path, "recognizer")
    if path.parent != _MODELS:
        return Model.load(path)
    with _lock:
        if path.name not in _cache:
            _cache[path.name] = Model.load(path)
        return _cache[path.name]


def as_model(model: ModelLike) -> Model:
    """The model that is meant: a Model as it is, else as `load` takes it; TypeError for what is none."""
    if isinstance(model, Model):
        return model
    if model is not None and not isinstance(model, (str, os.PathLike)):
        raise TypeError(f"model: expected a Model, a name, a path or None, got {type(model).__name__}")
    return load(model)
