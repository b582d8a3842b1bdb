"""A gallery of people: enrol them, find one, and see why."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from time import sleep
from typing import Any, TypeVar

import numpy as np

from .. import faces
from ..faces.folders import pictures, tell_skipped
from ..faces.image import MAX_PIXELS, as_list, read_image, title
from ..faces.quality import look_at
from ..recognition.features import Features, plain_cosine
from ..recognition.model import GIVEN, Model
from ..recognition.shipped import ModelLike, as_model
from ..storage.progress import Progress, counter
from . import transfer
from .enrol import Enrolled, Item, check_name, enrol, meta_text
from .files import Rows
from .hits import Hit, Hits, Probe
from .links import Link, duplicates
from .search import MEMORY, POLICIES, Found, View, averaged, rank, scores
from .store import LEAST, Store, fetch, partitions_for
from .threshold import RATE, Threshold, estimated, measured

T = TypeVar("T")
_BATCH = 128  # photographs of a folder that are enrolled in one step
_TRIES = 50  # a reader whose version was removed reads the latest one; after so many (12 s) the error is another
PROBES = 1024  # lists of the index that a search looks into: all of them up to a million faces
SHORTLIST = 1000
EXACT = 100_000  # faces; beyond, an index makes a search several times faster
_log = logging.getLogger("xcos")


@dataclass(frozen=True, slots=True)
class GalleryInfo:
    """What a gallery holds.

    Attributes
    ----------
    path : str
        Where it lies.
    people, faces : int
        How many.
    model, digest : str
        Name, and SHA-256, of the model that saw the faces.
    keep_photos : bool
        Are aligned crops of the photographs kept?
    index : str or None
        The kind of vector index, None: searches are exact.
    version : int
        Counts the changes.

    Examples
    --------
    >>> import xcos
    >>> xcos.Gallery("people_info").info().people
    0
    """

    path: str
    people: int
    faces: int
    model: str
    digest: str
    keep_photos: bool
    index: str | None
    version: int

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dict.

        Returns
        -------
        dict
            Ready for JSON.
        """
        return asdict(self)


class Gallery:
    """People, by what a model sees in their photographs, kept in a folder by LanceDB.

    Kept are names, what you say with them (`meta`), what the photographs are called, and features; nothing of the
    photographs themselves, unless asked. Features are biometric data all the same: see docs/gallery.md.

    Any number of processes may search while one writes; writers take turns. What a method that writes has returned from
    is on the disk, also when the process is killed. Safe from any number of threads.

    Parameters
    ----------
    path : str or path
        A folder, made when it is missing; or an address of object storage as LanceDB reads it (``s3://...``).
    model : Model, str or path, optional
        A Model, a name or a path; None: the default. Another model than the one that the faces were enrolled with is
        refused.
    keep_photos : bool, optional
        Keep the aligned crop of each face, for the pictures of ``Hit.explain``. Decided when the gallery is made; None:
        as it was made, for a new one False.
    create : bool, default True
        Make the gallery where there is none.
    memory : int, default 2 << 30
        Bytes of features that may stay in memory once a search has read them, 14.6 kB a face: a gallery that needs no
        more is read once until it changes, a larger one by each search. 0: nothing stays.

    Raises
    ------
    ValueError
        The gallery was made with another model (both are named), other `keep_photos`, or is of a later format;
        `memory` is negative.
    OSError
        The folder can't be read or written, or holds no gallery and `create` is False.
    ImportError
        LanceDB is missing: ``pip install xcos[gallery]``.

    Examples
    --------
    >>> import xcos
    >>> gallery = xcos.Gallery("people")
    >>> gallery.add("Barack Obama", "examples/obama_portrait_2012.jpg", meta={"team": "blue"})
    Enrolled(1 faces, 0 repeated, 0 failed)
    >>> hits = gallery.search("examples/obama_congress_2009.jpg")
    >>> hits.nobody, hits[0].name
    (False, 'Barack Obama')
    >>> gallery.search("examples/biden_blue_room_2010.jpg").nobody
    True
    """

    def __init__(
        self, path: str | os.PathLike[str], *, model: ModelLike = None,
        keep_photos: bool | None = None, create: bool = True, memory: int = MEMORY,
    ) -> None:
        if memory < 0:
            raise ValueError(f"memory: expected bytes, 0 or more, got {memory}")
        self._memory = memory
        self._model = as_model(model)
        self._store = Store(path, self._model, keep_photos, create)
        self._view: View | None = None
        self._lock, self._estimating = Lock(), Lock()
        self._estimate: tuple[View, Threshold] | None = None
        self._hinted = False

    @property
    def model(self) -> Model:
        """The model that compares."""
        return self._model

    def __len__(self) -> int:
        """Faces enrolled."""
        return self._read(len)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __repr__(self) -> str:
        counts = self._read(lambda view: f"{len(view.names)} people, {len(view)} faces")
        return f"Gallery({self._store.path!r}, {counts}, model {self._model.name!r})"

    @property
    def names(self) -> list[str]:
        """The people, sorted."""
        return self._read(lambda view: list(view.names))

    def info(self) -> GalleryInfo:
        """Tells what the gallery holds.

        Returns
        -------
        GalleryInfo
            Counts, and the model.
        """
        facts, kind = self._store.facts, self._store.index
        return self._read(
            lambda view: GalleryInfo(self._store.path, len(view.names), len(view), facts["model"], facts["digest"],
                                     facts["photos"], kind, view.version)
        )  # fmt: skip

    def photos(self, name: str) -> list[dict[str, Any]]:
        """The photographs of a person.

        Parameters
        ----------
        name : str
            Of the person.

        Returns
        -------
        list[dict[str, object]]
            Id, what each is called, and `meta`.

        Raises
        ------
        ValueError
            Nobody has this name.
        """
        rows = self._rows(name, None)[1]
        return [{**row, "meta": json.loads(row["meta"])} for row in rows]

    def add(
        self, name: str, photos: Any, *, meta: Mapping[str, Any] | None = None, called: str = "", face: Any = None,
        aligned: bool = False, bgr: bool = False, upright: bool = False, max_pixels: int = MAX_PIXELS,
        threads: int | None = None,
    ) -> Enrolled:
        """Enrols one or several photographs of a person: all of them, or after an error none.

        Parameters
        ----------
        name : str
            Whom they show; the person may be there already.
        photos : image or list of images
            One photograph or a list; see ``Model`` for what one may be.
        meta : dict, optional
            Kept with each of them; what JSON can hold.
        called : str, default ""
            What a photograph is called that is no file, but pixels or bytes.
        face : int, Face or list, optional
            Which face, as ``xcos.detect`` numbers them, of group photographs.
        aligned, bgr, upright : bool, default False
            What the photographs are like: see ``Model``.
        max_pixels : int, optional
            Larger pictures are refused.
        threads : int, optional
            Threads at most; None: the default.

        Returns
        -------
        Enrolled
            A photograph that the person was enrolled with already is left out and named there.

        Raises
        ------
        ValueError
            A photograph is enrolled under another name, or can't be used (ImageError, NoFaceError).
        OSError
            A file can't be read.
        """
        check_name(name)
        meta_text(meta)
        listed, _ = as_list(photos)
        chosen = list(face) if isinstance(face, (list, tuple)) else [face] * len(listed)
        if len(chosen) != len(listed):
            raise ValueError(f"face: expected one choice or one for each of {len(listed)} photos, got {len(chosen)}")
        items = [Item(x, title(x, called), name, f, meta or {}) for x, f in zip(listed, chosen, strict=True)]
        how = faces.How(aligned, bgr, upright, max_pixels)
        return enrol(self._store, self._model, items, how, threads, strict=True)

    def add_folder(
        self, folder: str | os.PathLike[str], *, aligned: bool = False, upright: bool = False,
        max_pixels: int = MAX_PIXELS, threads: int | None = None, progress: Progress = None,
    ) -> Enrolled:
        """Enrols the photographs of a folder ``person/photograph``; those that lie in it directly are people of one.

        Photographs are enrolled by the hundred; run again after an interruption it goes on, since what is there already
        is left out.

        Parameters
        ----------
        folder : str or path
            Where they lie.
        aligned, upright : bool, default False
            What the photographs are like: see ``Model``.
        max_pixels : int, optional
            Larger pictures are refused.
        threads : int, optional
            Threads at most; None: the default.
        progress : bool or callable, optional
            True draws a bar, a function is called as progress(done, total).

        Returns
        -------
        Enrolled
            Photographs that cannot be used are told there.

        Raises
        ------
        ValueError
            The folder holds no pictures.
        OSError
            It is none (NotADirectoryError), or can't be read.
        """
        root = Path(folder)
        if not root.is_dir():
            raise NotADirectoryError(20, "expected a folder", os.fspath(folder))
        paths, skipped = pictures(root)
        tell_skipped(root, skipped)
        if not paths:
            raise ValueError(f"{root}: holds no pictures")
        result = Enrolled()
        how = faces.How(aligned, False, upright, max_pixels)
        with counter(len(paths), progress, "enrol") as done:
            for start in range(0, len(paths), _BATCH):
                items = [_item(root, path) for path in paths[start : start + _BATCH]]
                result = result + enrol(self._store, self._model, items, how, threads, strict=False)
                done(start + len(items))
        return result

    def add_features(self, names: list[str], features: Features, *, photos: list[str] | None = None) -> Enrolled:
        """Enrols faces whose features are there already, made by this gallery's model.

        ``xcos.ray.FeatureExtractor`` makes those of more photographs than one machine can see.

        Parameters
        ----------
        names : list of str
            One for each face.
        features : Features
            Of N faces.
        photos : list of str, optional
            What the photographs are called, one for each face.

        Returns
        -------
        Enrolled
            Photographs that the person was enrolled with already are left out and named there.

        Raises
        ------
        ValueError
            The numbers or shapes do not fit, or a feature is not finite.
        """
        return transfer.add_features(self._store, names, features, photos)

    def search(
        self, photo: Any, k: int = 10, *, threshold: float | None = None, people: str = "template",
        shortlist: int = SHORTLIST, exact: bool | None = None, nprobes: int = PROBES, refine: int | None = None,
        face: Any = None, aligned: bool = False, bgr: bool = False, upright: bool = False,
        max_pixels: int = MAX_PIXELS, threads: int | None = None,
    ) -> Hits:
        """Who is this? The k people most alike, and whether any of them is over the threshold.

        Parameters
        ----------
        photo : image
            One photograph; see ``Model`` for what it may be.
        k : int, default 10
            People at most.
        threshold : float, optional
            A person is found where score > threshold. None: :attr:`threshold`.
        people : {"template", "best", "mean"}
            How several photographs of a person count: their averaged features, the best score, or the mean of scores.
        shortlist : int, optional
            Photographs that are compared by xCos, those most alike by plain cosine.
        exact : bool, optional
            Make the shortlist from all embeddings, held in memory (2 kB a face); False: by the index. None: by the
            index where there is one; beyond 100,000 faces without one, a warning is logged once.
        nprobes : int, optional
            Lists of the index to look into; more find more and take longer. 1,024 are all up to a million faces.
        refine : int, optional
            Read the embeddings of `refine` times as many as the shortlist and rank those; None: rank by the index.
        face : int or Face, optional
            Which face, as ``xcos.detect`` numbers them, of a group photograph.
        aligned, bgr, upright : bool, default False
            What the photograph is like: see ``Model``.
        max_pixels : int, optional
            A larger picture is refused.
        threads : int, optional
            Threads at most; None: the default.

        Returns
        -------
        Hits
            The hits, best first.

        Raises
        ------
        ValueError
            An argument is out of range, `exact=False` without an index, or a photograph that can't be used.
        OSError
            A file can't be read.
        """
        if k < 1 or shortlist < k:
            raise ValueError(f"expected k of at least 1 and a shortlist of at least k, got {k} and {shortlist}")
        if people not in POLICIES:
            raise ValueError(f"people: expected one of {', '.join(POLICIES)}, got {people!r}")
        if nprobes < 1 or (refine is not None and refine < 1):
            raise ValueError(f"nprobes, refine: expected at least 1, got {nprobes} and {refine}")
        if threshold is not None and not np.isfinite(float(threshold)):
            raise ValueError(f"threshold: expected a finite number, got {threshold}")
        how = faces.How(aligned, bgr, upright, max_pixels)
        probe = self._probe(photo, face, how, threads)

        def look(view: View) -> Hits:
            if exact is False and not view.indexed:
                raise ValueError(f"{self._store.path}: has no index, see Gallery.index")
            limit = self._limit(view) if threshold is None else _with_source(threshold)
            lists = nprobes if view.indexed and not exact else None
            if exact is None and lists is None and len(view) > EXACT:
                self._hint(len(view))
            listed = view.shortlist(probe.features.embedding[0], people, shortlist, lists, refine)
            found = rank(self._model, probe.features, view, listed, people, threads)
            hits = self._hits(view, probe, Found(found.people[:k], found.score[:k]), limit, people)
            compared = int(np.diff(view.starts)[listed].sum()) if len(listed) else 0
            return Hits(hits, float(limit), limit.source, probe, compared, len(view))

        return self._read(look)

    @property
    def threshold(self) -> Threshold:
        """The threshold of searches that are given none; its `source` says how it was set.

        About 1 % of strangers are expected to find somebody over it. It rises with the number of people enrolled:
        estimated from how alike 512 of them at most are to each other, anew after each change. With fewer than 20
        people nothing can be told; then it is the model's, which was set on pairs.
        """
        return self._read(self._limit)

    def threshold_for(self, rate: float = 0.01, *, sample: int = 500, threads: int | None = None) -> Threshold:
        """The threshold over which `rate` of strangers are taken for somebody, measured on the gallery's own people.

        Each of a sample of people is searched for among all the others, who are strangers to them; the threshold is the
        score that `rate` of the best wrong hits pass. People enrolled under two names spoil it: see :meth:`duplicates`.

        Parameters
        ----------
        rate : float, default 0.01
            The false positive identification rate, between 0 and 1.
        sample : int, default 500
            People to try, chosen evenly among all.
        threads : int, optional
            Threads at most; None: the default.

        Returns
        -------
        float
            Of the score.

        Raises
        ------
        ValueError
            There are fewer than 1 / rate people, or the rate is none.
        """
        if not 0 < rate < 1:
            raise ValueError(f"rate: expected a number between 0 and 1, got {rate}")

        return self._read(lambda view: measured(self._model, view, rate, sample, PROBES, threads))

    def remove(self, name: str, *, photo: str | None = None) -> int:
        """Deletes a person, or one photograph of theirs, really: their bytes are in no file any more.

        The parts of the table that held them, and the index if there is one, are written anew, which takes a while in a
        large gallery. What copies of the disk hold is beyond this.

        Parameters
        ----------
        name : str
            Of the person.
        photo : str, optional
            The id of one photograph.

        Returns
        -------
        int
            Faces deleted.

        Raises
        ------
        ValueError
            Nobody has this name, or no photograph of theirs this id.
        """
        with self._store.writing():
            rows, _ = self._rows(name, photo)
            self._store.erase(rows)
        return len(rows)

    def update(self, name: str, *, new_name: str | None = None, meta: Mapping[str, Any] | None = None,
               photo: str | None = None) -> int:  # fmt: skip
        """Gives a person another name, or all their photographs (or one, by its id) another `meta`.

        Parameters
        ----------
        name : str
            Of the person.
        new_name : str, optional
            One that is there already joins the two.
        meta : dict, optional
            What JSON can hold.
        photo : str, optional
            The id of one photograph.

        Returns
        -------
        int
            Faces changed.

        Raises
        ------
        ValueError
            Nobody has this name, or no photograph of theirs this id.
        """
        values = {} if new_name is None else {"name": check_name(new_name)}
        values |= {} if meta is None else {"meta": meta_text(meta)}
        with self._store.writing():
            rows, _ = self._rows(name, photo)
            if values:
                self._store.change(rows, values)
        return len(rows)

    def index(self, partitions: int | None = None) -> None:
        """Makes a vector index (IVF_RQ), for more faces than can be searched exactly in time: beyond about 100,000.

        Parameters
        ----------
        partitions : int, optional
            Lists of the index; None: the square root of the number of faces, one for 256 faces at most.

        Raises
        ------
        ValueError
            There are fewer than 256 faces, too few to train it on.
        """
        with self._store.writing():
            if (count := self._store.table.count_rows()) < LEAST:
                raise ValueError(f"an index needs {LEAST} faces at least, there are {count}")
            self._store.make_index(partitions or partitions_for(count))

    def export(self, path: str | os.PathLike[str]) -> int:
        """Writes everything into one Parquet file; it appears whole or not at all.

        Parameters
        ----------
        path : str or path
            Where to.

        Returns
        -------
        int
            Faces written.
        """
        return self._read(lambda view: transfer.export(view, path))

    def load(self, path: str | os.PathLike[str]) -> Enrolled:
        """Enrols the faces of a file written by :meth:`export`, but for those that are there already.

        Parameters
        ----------
        path : str or path
            The file.

        Returns
        -------
        Enrolled
            What became of them.

        Raises
        ------
        ValueError
            The file is no such file, or of another model.
        OSError
            It can't be read.
        """
        return transfer.load(self._store, self._model, path)

    def duplicates(self, threshold: float | None = None, *, threads: int | None = None) -> tuple[Link, ...]:
        """Pairs of names that look like one person, the most alike first.

        Each person is compared with the 20 most alike by plain cosine.

        Parameters
        ----------
        threshold : float, optional
            Pairs with a score over this; None: the model's.
        threads : int, optional
            Threads at most; None: the default.

        Returns
        -------
        tuple of Link
            ``link.explain()`` says why.
        """
        limit = self._model.threshold if threshold is None else float(threshold)
        return self._read(lambda view: duplicates(self._model, view, limit, threads))

    def _probe(self, photo: Any, face: Any, how: faces.How, threads: int | None) -> Probe:
        cut = faces.cut(photo, how, face=face, threads=threads)
        features = self._model.features([cut.crop], aligned=True, threads=threads)
        return Probe(title(photo, "searched for"), cut.crop, features, look_at(cut))

    def _hits(self, view: View, probe: Probe, found: Found, limit: Threshold, people: str) -> tuple[Hit, ...]:
        """What was found, with what is said of each person's photograph most alike, read by one call."""
        places, starts = view.places_of(found.people)
        features = view.stored(places).features()
        single = scores(self._model, probe.features, features, np.arange(len(places)), "best")
        ends = np.append(starts, len(places))[1:]
        best = np.array([a + np.argmax(single[a:b]) for a, b in zip(starts, ends, strict=True)], np.intp)
        enrolled = averaged(features, starts) if people == "template" else features[best]
        cosine = plain_cosine(probe.features.embedding, enrolled.embedding)
        said = fetch(view.table, view.rows[places[best]], ("id", "photo", "meta", "crop")).to_pylist()
        return tuple(
            Hit(
                name=view.names[who], score=float(found.score[i]), threshold=float(limit), threshold_from=limit.source,
                cosine=float(cosine[i]), photo=row["photo"], id=row["id"], photos=int(ends[i] - starts[i]),
                meta=json.loads(row["meta"]), probe=probe, enrolled=enrolled[i],
                crop=None if row["crop"] is None else read_image(row["crop"]), model=self._model,
            )
            for i, (who, row) in enumerate(zip(found.people, said, strict=True))
        )  # fmt: skip

    def _rows(self, name: str, photo: str | None) -> tuple[Rows, list[dict[str, Any]]]:
        """Where a person's photographs are, and what is said of them."""
        def look(view: View) -> tuple[Rows, list[dict[str, Any]]]:
            rows, _ = view.rows_of([view.number(name)])
            said = fetch(view.table, rows, ("id", "photo", "meta")).to_pylist()
            chosen = [i for i, row in enumerate(said) if photo in (None, row["id"])]
            if not chosen:
                raise ValueError(f"no photograph of {name!r} has the id {photo!r}")
            return rows[chosen], [said[i] for i in chosen]

        return self._read(look)

    def _hint(self, count: int) -> None:
        """Says once that an index would help."""
        if not self._hinted:
            self._hinted = True
            _log.warning("%s: %s faces are searched without an index; beyond %s it is faster with one: "
                         "Gallery.index(), or xcos gallery index; exact=True asks for this and says nothing",
                         self._store.path, f"{count:,}", f"{EXACT:,}")  # fmt: skip

    def _limit(self, view: View) -> Threshold:
        """The view's threshold, estimated once."""
        with self._estimating:
            if self._estimate is None or self._estimate[0] is not view:
                self._estimate = view, estimated(self._model, view, RATE)
            return self._estimate[1]

    def _latest(self) -> View:
        with self._lock:  # one thread makes it, the others wait
            if self._view is None or self._view.version != self._store.version:
                self._view = View(self._store, self._memory)
            return self._view

    def _read(self, work: Callable[[View], T]) -> T:
        """work(view) at the latest version; again where another process removed that version meanwhile."""
        for attempt in range(_TRIES):
            version = None
            try:
                version = self._store.version
                return work(self._latest())
            except (OSError, RuntimeError, ValueError):
                if attempt == _TRIES - 1 or self._unchanged(version):
                    raise
                sleep(0.01 * attempt)
        raise AssertionError("not reached")

    def _unchanged(self, version: int | None) -> bool:
        """Is it still the latest one? Not being able to say is a change, too."""
        try:
            return version == self._store.version
        except (OSError, RuntimeError, ValueError):
            return False


def _with_source(threshold: float) -> Threshold:
    return threshold if isinstance(threshold, Threshold) else Threshold(threshold, GIVEN)


def _item(root: Path, path: Path) -> Item:
    inside = path.relative_to(root)
    name = inside.parts[0] if len(inside.parts) > 1 else path.stem
    return Item(path, inside.as_posix(), name, None, {})
