"""PyTorch checkpoints of known layouts as model files."""

from .importer import SUFFIXES, import_torch

__all__ = ["SUFFIXES", "import_torch"]
