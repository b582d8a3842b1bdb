"""Numbers read from LanceDB's own files are those that LanceDB gives, or it is asked."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import xcos

pytest.importorskip("lancedb", reason="LanceDB is not installed: pip install xcos[gallery]")

from xcos.gallery import files, search
from xcos.gallery.store import Store, fetch, numbers

NAMES = ("grid", "embedding")


def made_up(count, seed):
    rng = np.random.default_rng(seed)
    return xcos.Features(rng.standard_normal((count, 128, 7, 7), np.float32), rng.standard_normal((count, 512)))


@pytest.fixture
def gallery(tmp_path):
    """Three parts, one of a single face, one with a face that is marked as deleted."""
    gallery = xcos.Gallery(tmp_path)
    for part, count in enumerate((40, 1, 9)):
        gallery.add_features([f"p{part}-{i}" for i in range(count)], made_up(count, part))
    gallery._store.table.delete("name = 'p0-0' OR name = 'p2-4'")
    return gallery


def check(gallery):
    """All rows, in any order, are read from the files, and as LanceDB gives them."""
    view = search.View(gallery._store)
    rows = np.random.default_rng(1).permutation(view.rows)
    for name in NAMES:
        column = view._column(name)
        assert column is not None, "LanceDB keeps lists in another way now: see xcos/gallery/files.py"
        assert column.read(rows).tobytes() == numbers(fetch(view.table, rows, [name])[name]).tobytes()
        assert column.read(rows[:0]).shape[0] == 0
    return len(rows)


def test_files_say_what_lancedb_says_after_every_change(gallery, tmp_path):
    assert check(gallery) == 48
    other = made_up(3, 7)
    gallery.add_features(["zero", "one", "two"], xcos.Features(other.grid * 0, other.embedding))
    assert check(gallery) == 51
    gallery.remove("p0-1")
    gallery.update("p2-0", new_name="another")
    assert check(gallery) == 50
    for i in range(70):  # the parts are joined on the way
        gallery.add_features([f"single {i}"], made_up(1, 100 + i))
    assert len(search.View(gallery._store)._column("grid").starts) < 70 and check(gallery) == 120
    (tmp_path / "faces.lance" / "data" / "0000.lance").write_bytes(b"of a writer that was killed")
    assert check(gallery) == 120


@pytest.mark.parametrize("people", search.POLICIES)
def test_searches_are_the_same_whatever_is_held_and_whoever_reads(gallery, monkeypatch, people):
    gallery.add_features([f"p0-{i}" for i in range(1, 20)], made_up(19, 5))  # several faces a person

    def found(view, probe):
        listed = view.shortlist(probe.embedding[0], people, 20, None, None)
        ranked = search.rank(gallery.model, probe, view, listed, people)
        return ranked.people.tolist(), ranked.score.tobytes()

    views = [search.View(gallery._store), search.View(gallery._store, 0)]
    with monkeypatch.context() as patch:
        patch.setattr(Store, "column", lambda *_: None)
        views.append(search.View(gallery._store, 0))
        views.append(search.View(gallery._store))
        for view in views[2:]:
            assert view._column("grid") is None
    assert [view.holds for view in views] == [True, False, False, True]
    probes = made_up(3, 8)
    for i in (0, 1, 2, 0):
        assert len({str(found(view, probes[i])) for view in views}) == 1


def test_another_process_finds_the_same_after_each_change(gallery, photos, tmp_path):
    code = """
import sys, xcos
gallery = xcos.Gallery(sys.argv[1], create=False, memory=0)
for _ in sys.stdin:
    print([(hit.name, hit.score) for hit in gallery.search(sys.argv[2], k=5)], flush=True)
"""
    photo = photos["obama_blue_room_2010"]
    reader = subprocess.Popen([sys.executable, "-c", code, tmp_path, photo], text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip

    def both():
        print("again", file=reader.stdin, flush=True)
        here = [(hit.name, hit.score) for hit in gallery.search(photo, k=5)]
        assert reader.stdout.readline().strip() == str(here)
        return here[0][0]

    both()
    gallery.add("Obama", photos["obama_congress_2009"])
    assert both() == "Obama"
    gallery.add_features([f"more {i}" for i in range(8)], made_up(8, 9))
    assert both() == "Obama"
    gallery.remove("Obama")  # all older versions are gone, and their files
    assert both() != "Obama"
    reader.communicate()
    assert reader.returncode == 0


def test_with_too_few_faces_left_there_is_no_index(gallery, tmp_path):
    some = made_up(260, 3)
    gallery.add_features([f"many {i // 52}" for i in range(260)], some)
    gallery.index()
    assert gallery.info().index and len(gallery) == 308
    gallery.remove("many 0")
    assert gallery.info().index and check(gallery) == 256
    gallery.remove("many 1")
    assert gallery.info().index is None and check(gallery) == 204
    left = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert not any(some.embedding[60].tobytes() in file.read_bytes() for file in left)
    assert not any("_indices" in file.parts for file in left)
    gallery._store.erase(search.View(gallery._store).rows)
    assert len(gallery) == 0 and search.View(gallery._store)._column("grid") is None


def test_no_file_stays_open(gallery):
    view = search.View(gallery._store, 0)
    column, rows = view._column("grid"), view.rows
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        column.read(rows)
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_is_gone_or_cut_is_an_error(gallery):
    view = search.View(gallery._store, 0)
    column = view._column("grid")
    gallery.remove("p0-1")
    with pytest.raises(FileNotFoundError):
        column.read(view.rows)
    column = search.View(gallery._store, 0)._column("grid")
    for file in column._files:
        os.truncate(file, 3000)
    with pytest.raises(OSError, match="shorter than its columns"):
        column.read(column.starts)


def test_lancedb_is_asked_where_numbers_do_not_lie_plainly(gallery, monkeypatch):
    store = gallery._store
    view = search.View(store)
    folder, width = Path(store.path, "faces.lance"), 128 * 7 * 7
    good = files.column(folder, view.version, "grid", width, np.float16)
    assert good is not None
    for name, size in (("grid", width + 1), ("name", width), ("none", width)):
        assert files.column(folder, view.version, name, size, np.float16) is None
    assert files.column(folder, view.version + 1, "grid", width, np.float16) is None
    assert files.column("s3://none", 1, "grid", width, np.float16) is None
    good._offsets[1] += np.uint64(2 * width)  # as if the numbers lay elsewhere: seen by the first row of that page
    monkeypatch.setattr("xcos.gallery.store.column", lambda *_: good)
    assert store.column(view.table, "grid", view._sorted) is None
    good._offsets[1] -= np.uint64(2 * width)
    assert store.column(view.table, "grid", view._sorted) is good
    assert store.column(view.table, "grid", view._sorted + np.uint64(1 << 40)) is None


def test_a_damaged_manifest_or_file_is_not_believed(gallery):
    version, folder = gallery.info().version, Path(gallery._store.path, "faces.lance")
    manifest = next(folder.glob(f"_versions/{2**64 - 1 - version:020d}.manifest"))
    data = next(folder.glob("data/*.lance"))
    rng = np.random.default_rng(0)
    for path in (manifest, data):
        whole = path.read_bytes()
        for _ in range(60):
            part = len(whole) if path == manifest else 1500
            cut = bytearray(whole)
            at = len(cut) - int(rng.integers(1, part))
            cut[at:] = rng.bytes(len(cut) - at) if rng.random() < 0.5 else b""
            path.write_bytes(cut)
            found = files.column(folder, version, "grid", 128 * 7 * 7, np.float16)
            assert found is None or len(found.starts) <= 3
        path.write_bytes(whole)
    assert check(gallery) == 48
