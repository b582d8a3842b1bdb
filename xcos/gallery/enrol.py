"""From photographs to rows of the table: faces cut out in parallel, seen by the network, repeated ones left out."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import faces
from ..recognition.features import Features
from ..recognition.model import Model
from ..view import png
from .store import Store


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What became of photographs that were to be enrolled.

    Attributes
    ----------
    ids : tuple of str
        Ids of the faces that are in the gallery now.
    repeated : tuple of str
        What the photographs are called that the same person was enrolled with already; they are left out.
    failed : tuple of (str, str)
        Name and reason of those that could not be used.

    Examples
    --------
    >>> import xcos
    >>> xcos.gallery.Enrolled(ids=("a1",)).to_dict()
    {'faces': 1, 'ids': ['a1'], 'repeated': [], 'failed': []}
    """

    ids: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()

    def __add__(self, other: Enrolled) -> Enrolled:
        return Enrolled(self.ids + other.ids, self.repeated + other.repeated, self.failed + other.failed)

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"Enrolled({len(self.ids)} faces, {len(self.repeated)} repeated, {len(self.failed)} failed)"

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dict.

        Returns
        -------
        dict
            Ready for JSON.
        """
        return {"faces": len(self.ids), "ids": list(self.ids), "repeated": list(self.repeated),
                "failed": [list(pair) for pair in self.failed]}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Item:
    """One photograph to be enrolled: what it is, what it is called, whom it shows, which face, what is kept with it."""

    image: Any
    photo: str
    name: str
    face: Any
    meta: Mapping[str, Any]


def check_name(name: Any) -> str:
    """Raises ValueError unless it is a text with something in it."""
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"name: expected a text, got {name!r}")
    return name


def meta_text(meta: Mapping[str, Any] | None) -> str:
    """JSON of what is kept with a face. Raises ValueError for what JSON cannot hold."""
    try:
        return json.dumps(dict(meta or {}), allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"meta: expected a dict that JSON can hold ({error})") from None


def cut_all(
    items: Sequence[Item], how: faces.How, threads: int | None, failed: list[tuple[str, str]] | None
) -> tuple[list[Item], list[faces.Cut]]:
    """The items with a face, and their faces. The others go to `failed`, what and why; None: an error is raised."""

    def tell(i: int, error: Exception) -> None:
        if failed is not None:
            failed.append((items[i].photo, str(error).removeprefix("<bytes>: ")))

    cuts = dict(faces.cut_each(
        [item.image for item in items], how, faces=[item.face for item in items], threads=threads,
        failed=None if failed is None else tell,
    ))  # fmt: skip
    return [items[i] for i in cuts], list(cuts.values())


def enrol(
    store: Store, model: Model, items: Sequence[Item], how: faces.How, threads: int | None, strict: bool
) -> Enrolled:
    """Enrols the items in one step. `strict`: whatever fails is raised, and then none is enrolled."""
    failed: list[tuple[str, str]] = []
    good, cuts = cut_all(items, how, threads, None if strict else failed)
    features = model.features([cut.crop for cut in cuts], aligned=True, threads=threads)
    digests = [hashlib.sha256(cut.crop.tobytes()).hexdigest() for cut in cuts]
    crops = [png(cut.crop) if store.facts["photos"] else None for cut in cuts]
    with store.writing():
        kept, repeated, twice = sort_out(store, good, digests)
        if twice and strict:
            raise ValueError(twice[0][1])
        enrolled = [good[i] for i in kept]
        ids = write(store, features[kept], enrolled, [digests[i] for i in kept], [crops[i] for i in kept])
    return Enrolled(ids, tuple(repeated), (*failed, *twice))


def write(
    store: Store, features: Features, items: Sequence[Item], digests: Sequence[str], crops: Sequence[bytes | None]
) -> tuple[str, ...]:
    """Adds faces, and gives their new ids. The caller holds the writer's lock."""
    ids = tuple(secrets.token_hex(8) for _ in items)
    texts = {
        "id": ids, "name": [item.name for item in items], "photo": [item.photo for item in items], "digest": digests,
        "meta": [meta_text(item.meta) for item in items],
    }  # fmt: skip
    if items:
        store.append(store.rows_of(features, texts, crops))
    return ids


def sort_out(
    store: Store, items: Sequence[Item], digests: Sequence[str]
) -> tuple[list[int], list[str], list[tuple[str, str]]]:
    """Which of the items are new, which are there already under the same name, and which under another."""
    owners = store.owners(digests)
    kept: list[int] = []
    repeated: list[str] = []
    twice: list[tuple[str, str]] = []
    for i, (item, digest) in enumerate(zip(items, digests, strict=True)):
        owner = owners.get(digest)
        if owner is None:
            kept.append(i)
            owners[digest] = item.name
        elif owner == item.name:
            repeated.append(item.photo)
        else:
            twice.append((item.photo, f"{item.photo}: this photograph is enrolled as {owner!r} already"))
    return kept, repeated, twice
