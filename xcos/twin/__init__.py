"""Plans and the xCos head as PyTorch modules, with gradients: what training and explainers by gradient share."""

try:
    import torch as _torch  # noqa: F401
except ImportError:
    raise ImportError("gradients and training need PyTorch: pip install xcos[train]") from None
