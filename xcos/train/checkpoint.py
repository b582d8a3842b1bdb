"""Checkpoints from which a run goes on exactly where it was, and its log."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from .._files import replacing


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
