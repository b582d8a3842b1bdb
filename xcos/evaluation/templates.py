"""Searches of templates, photographs that count as one: ``xcos.evaluation.search_templates``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..datasets.templates import Templates
from ..recognition.features import Features, Floats
from ..recognition.model import Model
from ..recognition.shipped import ModelLike, as_model
from ..storage.progress import Progress, counter
from .search import SearchReport, evaluate_search

METRICS = ("xcos", "cosine")


class Searched(NamedTuple):
    """What a search of templates came to.

    Attributes
    ----------
    reports : dict
        By the name of the score.
    failed : tuple of (str, str)
        Name and reason of each photograph that could not be used.

    Examples
    --------
    >>> import xcos
    >>> templates = xcos.datasets.read_templates("examples")
    >>> xcos.evaluation.search_templates(None, templates, templates).failed
    ()
    """

    reports: dict[str, SearchReport]
    failed: tuple[tuple[str, str], ...]


def search_templates(
    model: ModelLike, gallery: Templates, probes: Templates, metric: Sequence[str] = METRICS, *,
    aligned: bool = False, threads: int | None = None, progress: Progress = None,
) -> Searched:
    """Measures a search of every probe among all templates of a gallery; a template is the mean of its features.

    A template without a photograph that can be used scores -1 with all others: failures to enrol count as misses, as
    NIST counts them.

    Parameters
    ----------
    model : Model, str or path, optional
        A Model, a name or a path; None: the default.
    gallery, probes : Templates
        Subjects of probes that the gallery lacks are strangers.
    metric : sequence of str, optional
        Scores to judge, of "xcos" and "cosine".
    aligned : bool, default False
        The photographs are aligned crops of 112 x 112.
    threads : int, optional
        Threads at most; None: the default.
    progress : bool or callable, optional
        True draws a bar, a function is called as progress(done, total).

    Returns
    -------
    Searched
        A report for each metric, and what could not be used.

    Raises
    ------
    ValueError
        Another metric, or no probe of anybody in the gallery.
    OSError
        A photograph can't be read.

    Examples
    --------
    >>> import xcos
    >>> templates = xcos.datasets.read_templates("examples")
    >>> found = xcos.evaluation.search_templates(None, templates, templates)
    >>> found.reports["xcos"].hit_rate(1)
    1.0
    """
    if unknown := [name for name in metric if name not in METRICS]:
        raise ValueError(f"metric: expected some of {', '.join(METRICS)}, got {unknown[0]!r}")
    recognizer = as_model(model)
    failed: list[tuple[str, str]] = []
    with counter(len(gallery.images) + len(probes.images), progress, "features") as done:
        enrolled, first = _averaged(recognizer, gallery, aligned, threads, failed, done)
        searched, second = _averaged(recognizer, probes, aligned, threads, failed,
                                     lambda count: done(len(gallery.images) + count))  # fmt: skip
    reports = {}
    for name in metric:
        scores = (recognizer.compare_all(searched, enrolled, threads=threads) if name == "xcos"
                  else _unit(searched.embedding) @ _unit(enrolled.embedding).T)  # fmt: skip
        scores = np.where(second[:, None] & first, scores, -1)
        reports[name] = evaluate_search(scores, gallery.subjects, probes.subjects)
    return Searched(reports, tuple(failed))


def _averaged(
    model: Model, templates: Templates, aligned: bool, threads: int | None, failed: list[tuple[str, str]],
    done: Callable[[int], object],
) -> tuple[Features, NDArray[np.bool_]]:
    """The mean features of each template, and which of them have any; what can't be used goes to `failed`."""
    none = model.features([])
    grid = np.zeros((len(templates), *none.grid.shape[1:]), np.float32)
    embedding = np.zeros((len(templates), none.embedding.shape[1]), np.float32)
    count = np.zeros(len(templates), np.float32)
    seen = 0
    images = (templates.images[i] for i in range(len(templates.images)))
    for batch in model.stream(images, aligned=aligned, threads=threads, skip_failed=True):
        owner = templates.owner[batch.index]
        np.add.at(grid, owner, batch.features.grid)
        np.add.at(embedding, owner, batch.features.embedding)
        np.add.at(count, owner, 1)
        failed += [(templates.names[i], why) for i, why in batch.failed]
        seen += len(batch.index) + len(batch.failed)
        done(seen)
    share: Floats = np.reciprocal(np.maximum(count, 1))
    return Features(grid * share[:, None, None, None], embedding * share[:, None]), count > 0


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))
