"""Who is who in photographs without names: clusters of faces, each with its least certain link."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import faces
from ..base.extras import need
from ..base.values import ByValue
from ..faces.folders import collection
from ..recognition.features import Features, plain_cosine
from ..recognition.model import Model
from ..recognition.shipped import ModelLike, as_model
from ..storage.progress import Progress, batches
from .enrol import Item, cut_all
from .links import Link

METHODS = ("agglomerative", "hdbscan")
MOST = 20_000  # faces; their scores with each other are a matrix of 1.6 GB
_BATCH = 128


@dataclass(frozen=True, slots=True, eq=False)
class Cluster(ByValue):
    """Photographs that seem to show one person.

    Attributes
    ----------
    photos : tuple of str
        Their paths inside the folder.
    link : Link
        The least certain one: the weakest of the strongest links that hold the cluster together (its maximum spanning
        tree). If it is wrong, these are two people.

    Examples
    --------
    >>> import xcos
    >>> found = xcos.gallery.cluster("examples")
    >>> found.clusters[0].photos
    ('obama_blue_room_2010.jpg', 'obama_congress_2009.jpg', 'obama_portrait_2012.jpg')
    """

    photos: tuple[str, ...]
    link: Link

    def __len__(self) -> int:
        return len(self.photos)

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dict.

        Returns
        -------
        dict
            Ready for JSON.
        """
        return {"photos": list(self.photos), "link": self.link.to_dict()}


@dataclass(frozen=True, slots=True, eq=False)
class Clusters(ByValue):
    """The clusters of a folder, the largest first.

    Attributes
    ----------
    clusters : tuple of Cluster
        The clusters.
    single : tuple of str
        Photographs that are like no other.
    failed : tuple of (str, str)
        Name and reason of those that could not be used.
    labels : (N,) ndarray of int
        The cluster of each photograph that could be used, in the order of `photos`; -1: of none.
    photos : tuple of str
        Those that could be used.

    Examples
    --------
    >>> import xcos
    >>> found = xcos.gallery.cluster("examples")
    >>> len(found.clusters), found.single
    (1, ('biden_blue_room_2010.jpg',))
    """

    clusters: tuple[Cluster, ...]
    single: tuple[str, ...]
    failed: tuple[tuple[str, str], ...]
    labels: NDArray[np.intp] = field(repr=False)
    photos: tuple[str, ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.clusters)

    def __iter__(self) -> Iterator[Cluster]:
        return iter(self.clusters)

    def __repr__(self) -> str:
        return f"Clusters({len(self.clusters)} of {len(self.photos)} photographs, {len(self.single)} alone)"

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dict.

        Returns
        -------
        dict
            Ready for JSON.
        """
        return {"clusters": [one.to_dict() for one in self.clusters], "single": list(self.single),
                "failed": [list(pair) for pair in self.failed]}  # fmt: skip


def cluster(
    folder: str | os.PathLike[str], *, model: ModelLike = None,
    method: str = "agglomerative", threshold: float | None = None, aligned: bool = False,
    threads: int | None = None, progress: Progress = None,
) -> Clusters:
    """Sorts the photographs of a folder or archive by whom they show, by the matrix of their xCos scores.

    Parameters
    ----------
    folder : str or path
        Of the main face of each photograph.
    model : Model, str or path, optional
        A Model, a name or a path; None: the default.
    method : {"agglomerative", "hdbscan"}
        Clusters are joined while the mean score between them is over the threshold (scikit-learn's
        AgglomerativeClustering, average linkage); or HDBSCAN, which needs no threshold, only dense groups.
    threshold : float, optional
        None: the model's.
    aligned : bool, default False
        The photographs are aligned crops of 112 x 112.
    threads : int, optional
        Threads at most; None: the default.
    progress : bool or callable, optional
        True draws a bar, a function is called as progress(done, total).

    Returns
    -------
    Clusters
        The clusters, the largest first.

    Raises
    ------
    ValueError
        The folder holds no pictures, or more than 20,000 faces; an unknown `method`.
    OSError
        It can't be read.
    ImportError
        scikit-learn is missing: ``pip install xcos[eval]``.

    Examples
    --------
    >>> import xcos
    >>> xcos.gallery.cluster("examples").labels.tolist()
    [-1, 0, 0, 0]
    """
    need("clustering", "sklearn", "scipy")
    if method not in METHODS:
        raise ValueError(f"method: expected one of {', '.join(METHODS)}, got {method!r}")
    recognizer = as_model(model)
    limit = recognizer.threshold if threshold is None else float(threshold)
    names, read = collection(Path(folder))
    if len(names) > MOST:
        raise ValueError(f"{os.fspath(folder)}: {len(names)} pictures; expected {MOST} at most")
    crops: list[NDArray[np.uint8]] = []
    photos: list[str] = []
    failed: list[tuple[str, str]] = []
    for part in batches(range(len(names)), _BATCH, progress, "cluster"):
        items = [Item(read(i), names[i], "", None, {}) for i in part]
        good, cuts = cut_all(items, faces.How(aligned), threads, failed)
        crops += [cut.crop for cut in cuts]
        photos += [item.photo for item in good]
    seen = recognizer.features(crops, aligned=True, threads=threads)
    scores = recognizer.compare_all(seen, seen, threads=threads)
    scores = (scores + scores.T) / 2  # the order of two faces changes a score slightly
    found = _labels(scores, method, limit)
    groups = sorted((np.flatnonzero(found == one) for one in np.unique(found[found >= 0])), key=lambda g: -len(g))
    groups = [group for group in groups if len(group) > 1]
    labels = np.full(len(photos), -1, np.intp)
    clusters = []
    for number, group in enumerate(groups):
        labels[group] = number
        clusters.append(Cluster(tuple(photos[i] for i in group),
                                _link(recognizer, seen, photos, crops, *_weakest(scores, group), limit)))  # fmt: skip
    single = tuple(photos[i] for i in np.flatnonzero(labels < 0))
    return Clusters(tuple(clusters), single, tuple(failed), labels, tuple(photos))


def _labels(scores: NDArray[np.float32], method: str, limit: float) -> NDArray[np.intp]:
    from sklearn.cluster import HDBSCAN, AgglomerativeClustering

    if len(scores) < 2:
        return np.full(len(scores), -1, np.intp)
    distance = np.maximum(1 - scores.astype(np.float64), 0)
    np.fill_diagonal(distance, 0)
    kind: Any
    if method == "hdbscan":
        kind = HDBSCAN(min_cluster_size=2, metric="precomputed", copy=True, allow_single_cluster=True)
    else:
        kind = AgglomerativeClustering(None, metric="precomputed", linkage="average", distance_threshold=1 - limit)
    labels: NDArray[np.intp] = kind.fit(distance).labels_
    return labels


def _weakest(scores: NDArray[np.float32], group: NDArray[np.intp]) -> tuple[int, int]:
    """The weakest edge of the cluster's maximum spanning tree."""
    from scipy.sparse.csgraph import minimum_spanning_tree

    tree = minimum_spanning_tree(3.0 - scores[np.ix_(group, group)].astype(np.float64)).tocoo()  # 0 would be no edge
    at = int(np.argmax(tree.data))
    first, second = sorted((int(group[tree.row[at]]), int(group[tree.col[at]])))
    return first, second


def _link(
    model: Model, seen: Features, photos: list[str], crops: list[NDArray[np.uint8]], a: int, b: int, limit: float
) -> Link:
    both = seen[[a, b]]
    score = float(model.compare(both[0], both[1], maps=False).score[0])
    cosine = float(plain_cosine(both.embedding[:1], both.embedding[1:])[0])
    return Link(photos[a], photos[b], score, limit, cosine, both, np.stack([crops[a], crops[b]]), model)
