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

    What can't be measured is logged as a warning, with the reason, and is None.

    Parameters
    ----------
    file : ModelFile
        The model.
    faces : Faces
        People with two pictures or more, for own and leak.
    pairs : str or path, default ""
        A .bin of pairs, for alone and rank; without it the file stays as it is.
    triples : int, default 50
        As in ``xcos.faithfulness.truth``.
    folds : int, default 10
        Of the accuracies.
    seed : int, default 0
        Of all draws.
    threads : int, default 0
        Threads at most; 0: the default.
    progress : bool or callable, optional
        True draws a bar, a function is called as progress(done, total).

    Returns
    -------
    (ModelFile, Truth or None)
        The file, and all figures.

    Examples
    --------
    >>> import xcos
    >>> file, truth = xcos.train.with_truth(xcos.load().file, xcos.train.read_faces("examples"))
    >>> truth is None
    True
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
