"""The table of a gallery in LanceDB: what is kept of each face, who may write, and how faces are really deleted.

One row a face, in the table ``faces``:

    id         text, of our own making       photo   text, what the photograph was called
    name       text, whom it shows           digest  text, SHA-256 of the aligned crop: the same one again is noticed
    meta       text, JSON of the user's      embedding  E x float32      grid  D*H*W x float16
    crop       PNG of the aligned crop, or null unless photographs are kept

Which network saw the faces stands in the table's schema. Grids in float16 move a score by 0.00002 at most
(celeba held out, 100 x 847 pairs), a thousandth of what another photograph of the person moves it.
"""

from __future__ import annotations

import datetime
import json
import math
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..recognition.features import Features
from ..recognition.model import Model
from ..storage.files import alone
from .files import Column, Rows, column

try:
    import lancedb
    import pyarrow as pa
    from lancedb.index import IvfRq
except ImportError:
    raise ImportError("a gallery is kept by LanceDB: pip install xcos[gallery]") from None

TABLE = "faces"
_FACTS = b"xcos.gallery"
_FORMAT = 1
_INDEX = "embedding_idx"
_FRAGMENTS = 64  # parts of the table; beyond, small ones are joined, since each costs a file to open
LEAST = 256  # faces to train a list of an index with
_OLD = datetime.timedelta(hours=1)  # versions that readers may still be at
_WIDEN = 32  # faces whose grids are widened at a time, 0.8 MB: the cache holds them
_TEXTS = ("id", "name", "photo", "digest", "meta")


class Store:
    """The table of one gallery, on a folder or on object storage."""

    def __init__(self, path: str | os.PathLike[str], model: Model, photos: bool | None, create: bool) -> None:
        """Opens the table, or makes it. Errors: those of ``Gallery``."""
        self.path = os.fspath(path)
        self._local = "://" not in self.path
        there = not self._local or Path(self.path, f"{TABLE}.lance").is_dir()
        if not there and not create:
            raise FileNotFoundError(2, "holds no gallery", self.path)
        if not there and Path(self.path).exists() and not Path(self.path).is_dir():
            raise NotADirectoryError(20, "expected a folder for the gallery", self.path)
        self._base = lancedb.connect(self.path)
        there = TABLE in self._base.list_tables().tables
        if not there and not create:
            raise FileNotFoundError(2, "holds no gallery", self.path)
        if not there:
            with self.writing():
                self._base.create_table(TABLE, schema=_schema(model, bool(photos)), exist_ok=True)
        self.table: Any = self._base.open_table(TABLE)
        self.schema = self.table.schema
        self.facts = facts_of(self.schema, self.path)
        check_model(self.facts, model, self.path)
        if photos is not None and photos != self.facts["photos"]:
            raise ValueError(f"{self.path}: was made with keep_photos={self.facts['photos']}, asked for {photos}")

    @property
    def version(self) -> int:
        """The latest version, whoever wrote it."""
        self.table.checkout_latest()
        return int(self.table.version)

    def pinned(self) -> Any:
        """A handle of the table at its latest version, for readers: what others write does not show in it."""
        table: Any = self._base.open_table(TABLE)
        table.checkout(table.version)
        return table

    def column(self, table: Any, name: str, rows: Rows) -> Column | None:
        """A column of lists of one size in the files of a table; None where LanceDB must be asked for it: on object
        storage, or where the first row of any page is not what it gives. `rows`: all of the table, sorted."""
        kind = self.schema.field(name).type
        width, folder = kind.list_size, Path(self.path, f"{TABLE}.lance")
        found = column(folder, table.version, name, width, kind.value_type.to_pandas_dtype()) if self._local else None
        if found is None or not len(rows) or not found.has(rows):
            return None
        at = np.searchsorted(rows, found.starts)  # where a whole page is deleted, the first row of the next one
        first = rows[np.unique(at[at < len(rows)])]
        given = numbers(fetch(table, first, (name,))[name])
        with suppress(OSError):
            return found if found.read(first).tobytes() == given.tobytes() else None
        return None

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One writer at a time among all processes of this machine; the others wait. It ends with its process.

        On object storage, which has no locks, LanceDB's own commits keep two writers from losing each other's rows.
        """
        if not self._local:
            yield
            return
        Path(self.path).mkdir(parents=True, exist_ok=True)
        with alone(Path(self.path, ".writer")):
            if hasattr(self, "table"):
                self.table.checkout_latest()
            yield

    def append(self, rows: Any) -> None:
        """Adds rows, an Arrow table of the schema: all of them are there when this returns, or none after an error."""
        self.table.add(rows)
        if self.table.stats()["fragment_stats"]["num_fragments"] > _FRAGMENTS:
            self._optimize(_OLD)

    def owners(self, digests: Sequence[str]) -> dict[str, str]:
        """Who is enrolled with crops of these digests: name by digest."""
        listed = ", ".join(f"'{digest}'" for digest in digests)
        if not listed:
            return {}
        found = self.table.search().where(f"digest IN ({listed})").select(["digest", "name"]).to_arrow()
        return dict(zip(found["digest"].to_pylist(), found["name"].to_pylist(), strict=True))

    def erase(self, rows: Rows) -> None:
        """Deletes rows so that their bytes are in no file any more: not in data, old versions, or an index.

        LanceDB marks rows as deleted and keeps them; so the parts of the table that held them are written anew, the
        index is made anew, and all older versions are removed. Readers at an older version read again.
        """
        self.table.delete(_among(rows))
        self._forget(rows)

    def change(self, rows: Rows, values: Mapping[str, str]) -> None:
        """Gives the rows other texts; the old ones are in no file any more."""
        self.table.update(where=_among(rows), values=dict(values))
        self._forget(rows)

    @property
    def index(self) -> str | None:
        """The kind of the vector index; None without."""
        kinds = [index.index_type for index in self.table.list_indices() if index.columns == ["embedding"]]
        return str(kinds[0]) if kinds else None

    def make_index(self, partitions: int) -> None:
        """An index of the embeddings by cosine: `partitions` lists, a bit for each number of a vector.

        IVF with RaBitQ (Gao and Long, arXiv 2405.12497). Its codes need no training, so it is made in a tenth of the
        time of product quantization with as many bits, and so quickly compared that a search can look into most lists.
        """
        kind = IvfRq(distance_type="cosine", num_partitions=partitions)
        self.table.create_index("embedding", config=kind, replace=True, name=_INDEX)

    def _forget(self, rows: Rows) -> None:
        """Removes the files with what was in these rows; what else was in them is written anew."""
        indexed = self.index  # some versions of LanceDB forget one whose rows are all written anew
        for part in sorted({int(row) >> 32 for row in rows}):  # the upper half of a row's address is its part
            inside = f"_rowid >= {part << 32} AND _rowid < {(part + 1) << 32}"
            self.table.update(where=inside, values_sql={"id": "id"})
        if indexed and (count := self.table.count_rows()) >= LEAST:
            self.make_index(partitions_for(count))
        elif self.index:
            self.table.drop_index(_INDEX)
        self._optimize(datetime.timedelta(0))

    def _optimize(self, older: datetime.timedelta) -> None:
        with warnings.catch_warnings():  # of readers at older versions, which read again
            warnings.simplefilter("ignore", UserWarning)
            self.table.optimize(cleanup_older_than=older, delete_unverified=not older)

    def rows_of(self, features: Features, texts: Mapping[str, Sequence[str]], crops: Sequence[bytes | None]) -> Any:
        """An Arrow table of the schema."""
        columns = [pa.array(texts[name], pa.string()) for name in _TEXTS]
        grids = features.grid.reshape(len(features), -1)
        if not np.isfinite(grids).all() or np.abs(grids).max(initial=0) > np.finfo(np.float16).max:
            raise ValueError("grid: expected finite numbers that float16 can hold, up to 65504")
        columns += [_vectors(features.embedding), _vectors(grids.astype(np.float16)), pa.array(crops, pa.binary())]
        return pa.table(columns, schema=self.schema)

    def features(self, rows: Any) -> Features:
        """The features in an Arrow table with the columns embedding and grid."""
        return Features(self.grids(numbers(rows["grid"])), numbers(rows["embedding"]))

    def grids(self, half: NDArray[np.float16]) -> NDArray[np.float32]:
        """(N, D, H, W) float32 of (N, D*H*W) float16."""
        wide = np.empty(half.shape, np.float32)
        for at in range(0, len(half), _WIDEN):
            _widen(half[at : at + _WIDEN], wide[at : at + _WIDEN])
        return wide.reshape(-1, *self.facts["grid"])


def _among(rows: Rows) -> str:
    """The condition for these rows by their addresses, since conditions are written down, and names must not be."""
    return f"_rowid IN ({', '.join(map(str, rows.tolist()))})"


def partitions_for(faces: int) -> int:
    """Lists of an index: the square root of the faces, as is usual for IVF (Jegou et al., 2011, section V), but no more
    than LanceDB has faces to train them with."""
    return max(1, min(math.isqrt(faces), faces // LEAST))


def fetch(table: Any, rows: Rows, columns: Sequence[str]) -> Any:
    """Columns of these rows, an Arrow table in the order of `rows`, which must differ from each other."""
    order = np.argsort(rows)  # LanceDB gives them in the order of their addresses
    found = table.take_row_ids(rows[order].tolist()).select(list(columns)).to_arrow()
    if len(found) != len(rows):
        raise ValueError(f"expected {len(rows)} rows, got {len(found)}: the table has changed")
    return found.take(np.argsort(order))


def scan(table: Any, column: str) -> Iterator[tuple[Rows, NDArray[Any]]]:
    """All rows and what they have in a column of lists of one size, (N, width), some at a time."""
    for batch in table.search().select([column]).with_row_id(True).to_batches():
        yield batch["_rowid"].to_numpy(), _matrix(batch[column])


def facts_of(schema: Any, name: str) -> dict[str, Any]:
    """What the schema says of the gallery. Raises ValueError where it is none, or of a later version."""
    text = (schema.metadata or {}).get(_FACTS)
    if text is None:
        raise ValueError(f"{name}: is no gallery of xcos")
    facts: dict[str, Any] = json.loads(text)
    if facts["format"] != _FORMAT:
        raise ValueError(f"{name}: a gallery of format {facts['format']}; this version reads {_FORMAT}")
    return facts


def check_model(facts: Mapping[str, Any], model: Model, name: str) -> None:
    """Raises ValueError, naming both, where the faces were seen by another model than this."""
    digest = model.file.digest()
    if facts["digest"] != digest:
        raise ValueError(
            f"{name}: its faces were enrolled with the model {facts['model']!r} ({facts['digest'][:12]}), "
            f"not with {model.name!r} ({digest[:12]}); features of two models cannot be compared"
        )


def _schema(model: Model, photos: bool) -> Any:
    none = model.features([])
    grid, width = none.grid.shape[1:], none.embedding.shape[1]
    facts = {"format": _FORMAT, "model": model.name, "digest": model.file.digest(), "grid": grid, "photos": photos}
    fields = [pa.field(name, pa.string(), nullable=False) for name in _TEXTS]
    fields += [
        pa.field("embedding", pa.list_(pa.float32(), width)),
        pa.field("grid", pa.list_(pa.float16(), int(np.prod(grid)))),
        pa.field("crop", pa.binary()),
    ]
    return pa.schema(fields, metadata={_FACTS: json.dumps(facts).encode()})


def _vectors(array: NDArray[Any]) -> Any:
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(array).reshape(-1)), array.shape[1])


def _widen(half: NDArray[np.float16], wide: NDArray[np.float32]) -> None:
    """Finite float16 as float32, faster than by astype: sign, exponent and mantissa move to their places, and
    a product with 2^112 puts the exponent right (its bias is 127 instead of 15)."""
    bits = wide.view(np.int32)
    bits[...] = half.view(np.int16)  # the sign fills the upper half
    bits <<= 13
    bits &= np.int32(-0x70002000)  # sign, 5 + 10 bits
    wide *= np.float32(2.0**112)


def numbers(column: Any) -> NDArray[Any]:
    """(N, width) of a table's column of lists of one size."""
    return _matrix(column.combine_chunks())


def _matrix(lists: Any) -> NDArray[Any]:
    array: NDArray[Any] = lists.flatten().to_numpy(zero_copy_only=False)
    return array.reshape(len(lists), lists.type.list_size)
