"""Modules under the names that they had in the first version: found until 0.3, with a warning."""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.abc import Loader
else:
    Loader = object  # whose module would be half of the time that `import xcos` takes

MOVED = {
    "calibration": "measured.calibration", "features": "recognition.features", "image": "faces.image",
    "model": "recognition.model", "model_file": "plan.file", "network": "plan.network", "plot": "drawing.plot",
    "results": "recognition.results",
}  # fmt: skip
_PACKAGE = __name__.partition(".")[0]


class Moved(Loader):
    """Asked last, after all that look for files: a module of such a name would win."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, name = fullname.rpartition(".")
        return ModuleSpec(fullname, self) if package == _PACKAGE and name in MOVED else None

    def create_module(self, spec: ModuleSpec) -> None:
        """An empty one, which is not kept."""

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__
        home = f"{_PACKAGE}.{MOVED[name.rpartition('.')[2]]}"
        warnings.warn(f"{name} is {home} now; the old name goes with version 0.3", DeprecationWarning, stacklevel=2)
        sys.modules[name] = import_module(home)  # which is what the import statement gets
