"""Search: a shortlist by plain cosine, its faces ranked by xCos in the C kernel.

The shortlist comes from all embeddings at once, by one product (exact), or from LanceDB's vector index. Then the whole
of each person on it is compared: the grids that no earlier search has read come from the files in which the database
keeps them, or by one call of it, and threads widen and score them part by part.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..recognition.features import Features
from ..recognition.model import Model
from .files import Column, Rows
from .store import Store, fetch, numbers, scan

Floats = NDArray[np.float32]
Indices = NDArray[np.intp]
POLICIES = ("template", "best", "mean")
MEMORY = 2 << 30  # bytes of features that a view may hold: 147,000 faces of 14.6 kB
_PART = 128  # faces that a thread widens and compares at a time
_ROWS = 1 << 14  # embeddings that a thread multiplies at a time, 32 MB of 512 numbers


class Found(NamedTuple):
    """People, best first: their numbers in the view, and scores."""

    people: Indices
    score: Floats


class Stored(NamedTuple):
    """Faces as the database keeps them: those at `places` of the two arrays, in this order."""

    store: Store
    grids: NDArray[np.float16]
    embeddings: Floats
    places: Indices

    def features(self, start: int = 0, end: int | None = None) -> Features:
        """Of the faces from start to end."""
        places = self.places[start:end]
        return Features(self.store.grids(self.grids[places]), self.embeddings[places])


class View:
    """A gallery at one version: who is where, and the embeddings once they are needed. Safe from any thread."""

    def __init__(self, store: Store, memory: int = MEMORY) -> None:
        """The latest one. `memory`: bytes of features to hold at most; of more faces than that none are held."""
        self.store = store
        self.table = store.pinned()
        self.version = int(self.table.version)
        listed = self.table.search().select(["name"]).with_row_id(True).to_arrow()
        names, person = np.unique(listed["name"].to_numpy(zero_copy_only=False).astype(object), return_inverse=True)
        order = np.argsort(person, kind="stable")
        self.names: list[str] = names.tolist()
        self.rows: Rows = listed["_rowid"].to_numpy()[order]
        self.starts: Indices = np.searchsorted(person[order], np.arange(len(names) + 1)).astype(np.intp)
        self._by_row = np.argsort(self.rows)
        self._sorted = self.rows[self._by_row]
        self.indexed = store.index is not None
        self._held = _Held(self) if _Held.size(store) * len(self) <= memory else None
        self._lock = threading.Lock()
        self._columns: dict[str, Column | None] = {}
        self._embeddings: Floats | None = None
        self._scales: dict[bool, Floats] = {}

    def __len__(self) -> int:
        """Faces."""
        return len(self.rows)

    @property
    def holds(self) -> bool:
        """Whether features stay in memory once they are read."""
        return self._held is not None

    def number(self, name: str) -> int:
        """The number of a person. Raises ValueError where nobody has this name."""
        at = int(np.searchsorted(np.array(self.names, object), name)) if self.names else 0
        if at == len(self.names) or self.names[at] != name:
            raise ValueError(f"nobody in {self.store.path} is called {name!r}")
        return at

    def places_of(self, people: Sequence[int] | Indices) -> tuple[Indices, Indices]:
        """The places of these people's faces in the view, one person after the other, and where each person begins."""
        who = np.asarray(people, np.intp)
        counts = self.starts[who + 1] - self.starts[who]
        starts = np.cumsum(counts) - counts
        return np.arange(counts.sum()) + np.repeat(self.starts[who] - starts, counts), starts

    def rows_of(self, people: Sequence[int] | Indices) -> tuple[Rows, Indices]:
        """The rows of these people, one after the other, and where each begins."""
        places, starts = self.places_of(people)
        return self.rows[places], starts

    def faces_of(self, people: Sequence[int] | Indices) -> tuple[Features, Indices]:
        """The features of these people's faces, one person after the other, and where each begins."""
        places, starts = self.places_of(people)
        return self.stored(places).features(), starts

    def stored(self, places: Indices) -> Stored:
        """The faces at these places, which must differ from each other; what is not in memory is read at once."""
        if self._held is None:
            return Stored(self.store, *self.fetch(places), np.arange(len(places)))
        return self._held.stored(places)

    def fetch(self, places: Indices) -> tuple[NDArray[np.float16], Floats]:
        """Grids and embeddings at these places; as they are stored, but for embeddings that are all in memory."""
        every = self._embeddings
        read = self._read(self.rows[places], ["grid"] if every is not None else ["grid", "embedding"])
        return read[0], read[1] if every is None else every[places]

    def _read(self, rows: Rows, names: Sequence[str]) -> list[NDArray[Any]]:
        """These columns of the rows: from the files themselves if they lie there plainly, else by one call."""
        columns = [self._column(name) for name in names]
        if None not in columns:
            return [column.read(rows) for column in columns if column]
        listed = fetch(self.table, rows, names)
        return [numbers(listed[name]) for name in names]

    def _column(self, name: str) -> Column | None:
        with self._lock:
            if name not in self._columns:
                self._columns[name] = self.store.column(self.table, name, self._sorted)
            return self._columns[name]

    def embeddings(self) -> Floats:
        """(faces, E). Kept in memory."""
        with self._lock:
            if self._embeddings is None:
                faces = np.empty((len(self), _widths(self.store)[1]), np.float32)
                for rows, some in scan(self.table, "embedding"):
                    faces[self._places(rows)] = some
                self._embeddings = faces
            return self._embeddings

    def unit(self, averaged: bool) -> Floats:
        """Unit embeddings: (people, E) of each person's mean if `averaged`, else (faces, E)."""
        return self._summed(averaged) * self._scale(averaged)[:, None]

    def _summed(self, averaged: bool) -> Floats:
        """The embeddings, or the sum of each person's."""
        faces = self.embeddings()
        single = not averaged or len(self.names) == len(faces)
        return faces if single else np.add.reduceat(faces, self.starts[:-1], axis=0)

    def _scale(self, averaged: bool) -> Floats:
        """One over the length of each row of `_summed`. Kept in memory."""
        if averaged not in self._scales:
            rows = self._summed(averaged)
            self._scales[averaged] = 1 / np.maximum(np.sqrt(np.einsum("ij,ij->i", rows, rows)), 1e-12)
        return self._scales[averaged]

    def _places(self, rows: Rows) -> Indices:
        """Where rows are in the view."""
        places: Indices = self._by_row[np.searchsorted(self._sorted, rows)]
        return places

    def shortlist(self, embedding: Floats, policy: str, faces: int, probes: int | None, refine: int | None) -> Indices:
        """People by plain cosine, the most alike first, until they have about `faces` photographs together.

        By the index if `probes` says how many of its lists to look into, else exact.
        """
        if not len(self):
            return np.empty(0, np.intp)
        if probes is None:
            people = self._exact(embedding, policy, faces)
        else:
            query = self.table.search(embedding, vector_column_name="embedding").distance_type("cosine")
            query = query.nprobes(probes).limit(faces).select(["_distance"]).with_row_id(True)
            found = (query.refine_factor(refine) if refine else query).to_arrow()["_rowid"].to_numpy()
            person = np.searchsorted(self.starts, self._places(found), side="right") - 1
            people = person[np.sort(np.unique(person, return_index=True)[1])]
        counts = np.diff(self.starts)[people]
        return people[: max(1, int(np.searchsorted(np.cumsum(counts), faces, side="right")))]

    def _exact(self, embedding: Floats, policy: str, most: int) -> Indices:
        probe = embedding / max(float(np.linalg.norm(embedding)), 1e-12)
        cosine = _products(self.embeddings(), probe)
        if policy == "template":  # the product with a sum is the sum of the products
            cosine = self._by_person(cosine) * self._scale(averaged=True)
        else:
            cosine *= self._scale(averaged=False)
        if policy == "best":
            cosine = np.maximum.reduceat(cosine, self.starts[:-1])
        elif policy == "mean":
            cosine = self._by_person(cosine) * _shares(self.starts)
        best = np.argpartition(-cosine, most)[:most] if most < len(cosine) else np.arange(len(cosine))
        ranked: Indices = best[np.argsort(-cosine[best], kind="stable")]
        return ranked

    def _by_person(self, numbers: Floats) -> Floats:
        """The sums of each person's numbers, one a face."""
        sums: Floats = np.add.reduceat(numbers, self.starts[:-1])
        return sums


class _Held:
    """The features of a view's faces in memory, each from its first reading on, one after the other as they were read:
    so the system gives memory for these alone, however large its pages are. Safe from any thread."""

    def __init__(self, view: View) -> None:
        width, length = _widths(view.store)
        self._view = view
        self._grids = np.empty((len(view), width), np.float16)
        self._embeddings = np.empty((len(view), length), np.float32)
        self._where = np.full(len(view), -1)  # in these, of the face at each place in the view; -1: not read
        self._count = 0
        self._lock = threading.Lock()

    @staticmethod
    def size(store: Store) -> int:
        """Bytes of a face."""
        width, length = _widths(store)
        return 2 * width + 4 * length

    def stored(self, places: Indices) -> Stored:
        """Of the faces at these places in the view."""
        missing = places[self._where[places] < 0]
        if len(missing):
            grids, embeddings = self._view.fetch(missing)
            with self._lock:
                where = self._where[missing]
                new = where < 0  # the others another thread has read meanwhile
                where[new] = self._count + np.arange(np.count_nonzero(new))
                self._grids[where], self._embeddings[where] = grids, embeddings
                self._where[missing] = where
                self._count += np.count_nonzero(new)
        return Stored(self._view.store, self._grids, self._embeddings, self._where[places])


def _widths(store: Store) -> tuple[int, int]:
    """How many numbers a grid has, and an embedding."""
    grid, embedding = (store.schema.field(name).type.list_size for name in ("grid", "embedding"))
    return grid, embedding


def _shares(ends: NDArray[Any]) -> Floats:
    """One over how many there are between each two of `ends`."""
    shares: Floats = (1 / np.diff(ends)).astype(np.float32)
    return shares


def averaged(features: Features, starts: Indices) -> Features:
    """The mean of each group of faces; the groups follow one another and begin at `starts`."""
    if len(starts) == len(features):
        return features
    share = _shares(np.append(starts, len(features)))
    grid: Floats = np.add.reduceat(features.grid, starts, axis=0)
    embedding: Floats = np.add.reduceat(features.embedding, starts, axis=0)
    return Features(grid * share[:, None, None, None], embedding * share[:, None])


def scores(model: Model, probe: Features, faces: Features, starts: Indices, policy: str) -> Floats:
    """(people,) the score of a face with each person: `faces` of one person follow one another from `starts` on."""
    if policy == "template":
        faces = averaged(faces, starts)
    single: Floats = model.compare_all(probe, faces, threads=1)[0]
    if policy == "best":
        return np.asarray(np.maximum.reduceat(single, starts))
    if policy == "mean":
        return np.asarray(np.add.reduceat(single, starts) * _shares(np.append(starts, len(faces))))
    return single


def rank(
    model: Model, probe: Features, view: View, people: Indices, policy: str, threads: int | None = None
) -> Found:
    """The people by xCos, best first; their faces are read at once and compared in parallel."""
    places, starts = view.places_of(people)
    stored = view.stored(places)
    ends = np.append(starts, len(places))[1:]
    cuts = np.flatnonzero(np.diff((ends - 1) // _PART)) + 1  # the first person of each part but the first

    def one(group: Indices) -> Floats:
        start, end = starts[group[0]], ends[group[-1]]
        return scores(model, probe, stored.features(start, end), starts[group] - start, policy)

    groups = np.split(np.arange(len(people)), cuts) if len(people) else []
    every = np.concatenate([np.empty(0, np.float32), *_spread(one, groups, threads)])
    order = np.argsort(-every, kind="stable")
    return Found(people[order], every[order])


def _products(rows: Floats, one: Floats) -> Floats:
    """(N,) the product of each row with `one`: as fast as memory gives the rows, by two threads or more.

    Not by BLAS, whose threads spin for some time after such a product, on the cores that the ranking waits for.
    """
    products = np.empty(len(rows), np.float32)
    parts = [slice(at, at + _ROWS) for at in range(0, len(rows), _ROWS)]
    _spread(lambda part: np.einsum("ij,j->i", rows[part], one, out=products[part]), parts, None)
    return products


def _spread(work: Callable[[Any], Floats], parts: Sequence[Any], threads: int | None) -> list[Floats]:
    with ThreadPoolExecutor(threads or _core.default_threads()) as pool:
        return list(pool.map(work, parts))
