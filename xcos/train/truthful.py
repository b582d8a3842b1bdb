"""Truth of what was trained, measured at the end: is each cell about its own place in the face?"""

from __future__ import annotations

import dataclasses
import logging
import os
from typing import TYPE_CHECKING

from ..datasets import Faces
from ..measured.truth import CellTruth
from ..plan.file import ModelFile
from ..storage.progress import Progress

if TYPE_CHECKING:
    from ..faithfulness import Truth

_log = logging.getLogger("xcos")


def with_truth(
    file: ModelFile,
    faces: Faces,
    pairs: str | os.PathLike[str] = "",
    *,
    triples: int = 50,
    folds: int = 10,
    seed: int = 0,
    threads: int = 0,
    progress: Progress = None,
) -> tuple[ModelFile, Truth | None]:
    """The file with what was measured of each of its cells, and all that was measured (`xcos.faithfulness.truth`).

    faces : people with two pictures or more, for own and leak; pairs : a .bin of pairs, for alone and rank. Without
    pairs the file stays as it is. What can't be measured is logged as a warning, with the reason, and is None.
    """
    from ..faithfulness import truth

    # A threshold decides nothing here, but a model has one.
    model = file if file.thresholds else dataclasses.replace(file, thresholds={"xcos": 0.0})
    measures = ("alone", "rank", "own") if pairs else ("own",)
    try:
        found = truth(
            model, faces, pairs or None, measures=measures, cells="all", triples=triples, folds=folds, seed=seed,
            threads=threads or None, progress=progress,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        _log.warning("%s: truth of its cells was not measured: %s", file.name, error)
        return file, None
    if not pairs:
        _log.warning("%s: without pairs nothing is known of what a cell alone tells; the file has no truth", file.name)
        return file, found
    return dataclasses.replace(file, truth=CellTruth.of(found).to_dict()), found
