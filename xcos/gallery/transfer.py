"""A gallery as one file, and back; and faces whose features were made elsewhere."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from ..recognition.features import Features
from ..recognition.model import Model
from ..storage.files import replacing
from .enrol import Enrolled, Item, check_name, sort_out, write
from .search import View
from .store import Store, check_model, facts_of, fetch

_PART = 1024  # faces read and written at a time


def export(view: View, path: str | os.PathLike[str]) -> int:
    """Writes all faces of the view as Parquet; see ``Gallery.export``."""
    with replacing(path) as file, parquet.ParquetWriter(file, view.store.schema) as writer:
        for at in range(0, len(view), _PART):
            listed = fetch(view.table, view.rows[at : at + _PART], view.store.schema.names)
            writer.write_table(listed.cast(view.store.schema))
    return len(view)


def load(store: Store, model: Model, path: str | os.PathLike[str]) -> Enrolled:
    """Enrols the faces of such a file; see ``Gallery.load``."""
    name = os.fspath(path)
    with open(path, "rb") as raw:
        try:
            file = parquet.ParquetFile(raw)
        except pa.ArrowInvalid as error:
            raise ValueError(f"{name}: expected a gallery's export ({error})") from None
        check_model(facts_of(file.schema_arrow, name), model, name)
        result = Enrolled()
        for batch in file.iter_batches(_PART):
            rows = pa.Table.from_batches([batch])
            said = rows.select(["photo", "name", "meta", "digest", "crop"]).to_pylist()
            items = [Item(None, row["photo"], row["name"], None, json.loads(row["meta"])) for row in said]
            crops = [row["crop"] if store.facts["photos"] else None for row in said]
            result = result + _enrol(store, store.features(rows), items, [row["digest"] for row in said], crops)
    return result


def add_features(
    store: Store, names: Sequence[str], features: Features, photos: Sequence[str] | None
) -> Enrolled:
    """Enrols ready features; see ``Gallery.add_features``. Their digest is that of the embedding."""
    called = list(photos) if photos is not None else [""] * len(names)
    shapes = features.grid.shape[1:], features.embedding.shape[1]
    wanted = tuple(store.facts["grid"]), store.schema.field("embedding").type.list_size
    if shapes != wanted:
        raise ValueError(f"features: expected grids of {wanted[0]} and embeddings of {wanted[1]}, got {shapes}")
    if not len(names) == len(features) == len(called):
        counts = f"{len(names)}, {len(called)}, {len(features)}"
        raise ValueError(f"expected as many names and photos as faces, got {counts}")
    if not np.isfinite(features.embedding).all():
        raise ValueError("embedding: expected finite features")
    items = [Item(None, photo, check_name(name), None, {}) for photo, name in zip(called, names, strict=True)]
    digests = [hashlib.sha256(row.tobytes()).hexdigest() for row in features.embedding]
    return _enrol(store, features, items, digests, [None] * len(items))


def _enrol(
    store: Store, features: Features, items: Sequence[Item], digests: Sequence[str], crops: Sequence[bytes | None]
) -> Enrolled:
    with store.writing():
        kept, repeated, twice = sort_out(store, items, digests)
        ids = write(store, features[kept], [items[i] for i in kept], [digests[i] for i in kept],
                    [crops[i] for i in kept])  # fmt: skip
    return Enrolled(ids, tuple(repeated), tuple(twice))
