"""Training in PyTorch (``pip install xcos[train]``): a grid and an xCos head for any network.

    xcos.train.train(Config(model=..., data=[...], output=...))     or: python -m xcos.train --help
    xcos.train.twin(file)               a model file as a torch module, and back
    xcos.train.XCosHead(D=32)           the head with gradients
    xcos.train.measure_locality(...)    does the map point at what has changed?

torch is imported here and in `xcos.twin`, and nowhere else in the package.
"""

try:
    import torch as _torch  # noqa: F401
except ImportError:
    raise ImportError("xcos.train needs PyTorch: pip install xcos[train]") from None

from ..datasets import Faces, join, read_faces
from ..plan.branch import back, cell_branch, front, larger_map, last_map, linear_end, own_copy, projection
from ..plan.local import local_branch
from ..twin.head import Compared, XCosHead
from ..twin.network import Twin, twin
from .config import Config, check_extras
from .locality import Locality, measure_locality
from .loop import train
from .losses import MarginHead, cell_targets, cosine_loss, flat_grid
from .truthful import with_truth

__all__ = [
    "Compared",
    "Config",
    "Faces",
    "Locality",
    "MarginHead",
    "Twin",
    "XCosHead",
    "back",
    "cell_branch",
    "cell_targets",
    "check_extras",
    "cosine_loss",
    "flat_grid",
    "front",
    "join",
    "larger_map",
    "last_map",
    "linear_end",
    "local_branch",
    "measure_locality",
    "own_copy",
    "projection",
    "read_faces",
    "train",
    "twin",
    "with_truth",
]
