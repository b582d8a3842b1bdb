"""Explainable face verification: do two photographs show one person, and why?

    import xcos

    e = xcos.explain("a.jpg", "b.jpg")
    e.score, e.same, e.threshold          # 0.55, True, 0.24
    e.contribution.sum() + e.whole        # the score again: the explanation is its arithmetic
    e.save("why.png")

The method is xCos (Lin et al., arXiv 2003.05383): two faces are compared cell by cell on a 7 x 7 grid
(patch cosines), a small learned module says how much each cell counts (attention, sums to 1), and the
score is the weighted sum; the face as a whole may count beside the cells, as a part that is shown.

Names are imported when first used, so ``import xcos`` itself costs next to nothing.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .base.moved import Moved

if TYPE_CHECKING:
    from . import datasets
    from . import evaluation as evaluation
    from . import explainers as explainers
    from . import faithfulness as faithfulness
    from . import gallery as gallery
    from . import plugging as plugging
    from . import ray as ray
    from . import serve as serve
    from . import train as train
    from . import view as view
    from ._core import __version__
    from .api import convert, explain, verify
    from .errors import ImageError, ModelFileError, NoFaceError, XcosError
    from .evaluation import Audit, Report, SearchReport, audit, calibrate, compare_models, evaluate, evaluate_search
    from .faces.detection import Face, align, crop, detect
    from .faces.image import read_image
    from .gallery import Gallery
    from .measured.calibration import Calibration
    from .plan.file import ModelFile
    from .plan.network import Network
    from .plugging.plug import Plugged, plug
    from .recognition.explanation import Explanation
    from .recognition.features import Comparison, Features, SeenFace
    from .recognition.model import Model
    from .recognition.plots import plot_maps, plot_pairs
    from .recognition.results import Verification, to_frame
    from .recognition.shipped import load

_HOME = {
    "Audit": "evaluation",
    "Calibration": "measured.calibration",
    "Comparison": "recognition.features",
    "Explanation": "recognition.explanation",
    "Face": "faces",
    "Features": "recognition.features",
    "Gallery": "gallery",
    "ImageError": "errors",
    "Model": "recognition.model",
    "ModelFile": "plan.file",
    "ModelFileError": "errors",
    "Network": "plan.network",
    "NoFaceError": "errors",
    "Plugged": "plugging",
    "Report": "evaluation",
    "SearchReport": "evaluation",
    "SeenFace": "recognition.features",
    "Verification": "recognition.results",
    "XcosError": "errors",
    "__version__": "_core",
    "align": "faces",
    "audit": "evaluation",
    "calibrate": "evaluation",
    "compare_models": "evaluation",
    "convert": "api",
    "crop": "faces",
    "datasets": "datasets",
    "detect": "faces",
    "evaluate": "evaluation",
    "evaluate_search": "evaluation",
    "explain": "api",
    "load": "recognition.shipped",
    "plot_maps": "recognition.plots",
    "plot_pairs": "recognition.plots",
    "plug": "plugging",
    "read_image": "faces.image",
    "to_frame": "recognition.results",
    "verify": "api",
}

# Not in __all__: some need packages that a star import must not ask for.
_MODULES = ("evaluation", "explainers", "faithfulness", "gallery", "plugging", "ray", "serve", "train", "view")

__all__ = [  # noqa: RUF022 (in the order of use; test_api checks it against _HOME)
    "verify",
    "explain",
    "to_frame",
    "plot_pairs",
    "plot_maps",
    "load",
    "convert",
    "plug",
    "evaluate",
    "evaluate_search",
    "compare_models",
    "audit",
    "calibrate",
    "Gallery",
    "datasets",
    "detect",
    "align",
    "crop",
    "read_image",
    "Model",
    "ModelFile",
    "Network",
    "Features",
    "Comparison",
    "Face",
    "SeenFace",
    "Verification",
    "Explanation",
    "Report",
    "Audit",
    "SearchReport",
    "Calibration",
    "Plugged",
    "XcosError",
    "ImageError",
    "NoFaceError",
    "ModelFileError",
    "__version__",
]


sys.meta_path.append(Moved())


def __getattr__(name: str) -> Any:
    home = name if name in _MODULES else _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f".{home}", __name__)
    value = module if name == home else getattr(module, name)
    globals()[name] = value  # found without this function next time
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
