"""ONNX graphs as model files."""

from .importer import import_onnx, load_onnx

__all__ = ["import_onnx", "load_onnx"]
