"""Checkpoints from which a run goes on exactly where it was, and its log."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..datasets import Faces
from ..evaluation.cache import network_digest
from ..plan.file import ModelFile
from ..storage.files import replacing
from .augment import read_masks
from .config import Config

_log = logging.getLogger("xcos")

# Settings that change no weight, or name files whose contents count instead. All others count, new ones too.
_HARMLESS = frozenset(
    "model color mean scale data masks output work name license origin training validate folds held_out truth every "
    "keep patience resume device threads compile progress tensorboard".split()
)


def made_of(config: Config, network: ModelFile, faces: Faces) -> dict[str, Any]:
    """What the weights of a run hang on: the settings that matter, and SHA-256 of network, pictures and masks.

    Reads all pictures once. Raises what `Faces.encoded` and `read_masks` raise.
    """
    settings = {key: value for key, value in dataclasses.asdict(config).items() if key not in _HARMLESS}
    pictures, masks = hashlib.sha256(np.ascontiguousarray(faces.labels).tobytes()), hashlib.sha256()
    for index in range(len(faces)):
        pictures.update(hashlib.sha256(faces.encoded(index)).digest())
    for mask in read_masks(config.masks) if config.masks else []:
        masks.update(f"{mask.shape}".encode() + mask.tobytes())
    digests = {"network": network_digest(network), "data": pictures.hexdigest(), "masks": masks.hexdigest()}
    return {"settings": settings, **digests}


def judged_by(config: Config) -> str:
    """What the best step is chosen by: SHA-256 of the pairs and their folds; empty without pairs."""
    if not config.validate:
        return ""
    return f"{hashlib.sha256(Path(config.validate).read_bytes()).hexdigest()} in {config.folds} folds"


def to_go_on(path: Path, made: Mapping[str, Any], resume: str) -> dict[str, Any] | None:
    """The checkpoint to go on from, or None where the run starts anew: nothing is there, or `resume` is "never".

    Raises ValueError, naming what differs, where the checkpoint is of another network, data or settings than `made`
    says, unless `resume` is "any".
    """
    if resume == "never" or not path.exists():
        return None
    state = load(path)
    differs = _differences(state.get("made"), made)
    if differs and resume != "any":
        raise ValueError(
            f"{path}: is of another run: {differs}. Another `output` or `work` starts anew and keeps both; "
            "resume=never starts anew in its place; resume=any goes on from its weights all the same"
        )
    if differs:
        _log.warning("%s: going on from another run: %s", path, differs)
    return state


def _differences(then: Mapping[str, Any] | None, now: Mapping[str, Any]) -> str:
    if then is None:
        return "it does not say what it was made with"
    defaults = dataclasses.asdict(Config())  # what a setting meant that its version did not have yet
    found = [
        f"{key} was {old!r}, is {value!r}"
        for key, value in now["settings"].items()
        if (old := then["settings"].get(key, defaults[key])) != value
    ]
    names = {"network": "another network (or version of xcos)", "data": "other pictures", "masks": "other masks"}
    return "; ".join(found + [text for key, text in names.items() if then[key] != now[key]])


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Writes a checkpoint in one step: whoever opens `path` sees the old one or the whole new one."""
    with replacing(path) as file:
        torch.save(dict(state), file)


def load(path: Path) -> dict[str, Any]:
    """Reads a checkpoint without running code from it (torch's weights_only)."""
    found: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return found


class Log:
    """Rows of numbers as CSV, and for TensorBoard when it is asked for. Goes on after `step` in an old file."""

    def __init__(self, folder: Path, step: int = 0, tensorboard: bool = False) -> None:
        self._path = folder / "log.csv"
        self._fields: list[str] = []
        self._board: Any = None
        rows: list[dict[str, str]] = []
        if step and self._path.exists():
            with open(self._path, newline="") as file:
                rows = [row for row in csv.DictReader(file) if int(row["step"]) <= step]
        self._rows: list[Mapping[str, Any]] = list(rows)
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter  # needs the package tensorboard

            self._board = SummaryWriter(str(folder), purge_step=step)

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        """Adds one row; a column that is new makes the file anew."""
        row = {"step": step, **{key: f"{value:.6g}" for key, value in numbers.items()}}
        self._rows.append(row)
        fields = list(dict.fromkeys(key for each in self._rows for key in each))
        new = fields != self._fields
        with open(self._path, "w" if new else "a", newline="") as file:
            writer = csv.DictWriter(file, fields)
            if new:
                writer.writeheader()
            writer.writerows(self._rows if new else [row])
        self._fields = fields
        if self._board is not None:
            for key, value in numbers.items():
                self._board.add_scalar(key, value, step)
            self._board.flush()
