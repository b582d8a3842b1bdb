"""A gallery: who is found, what is kept, and what is gone after it was removed."""

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import xcos

pytest.importorskip("lancedb", reason="LanceDB is not installed: pip install xcos[gallery]")

from xcos.gallery.search import View, averaged
from xcos.gallery.store import fetch, numbers

KILLS = int(os.environ.get("XCOS_KILLS", "3"))  # XCOS_KILLS=100: minutes


@pytest.fixture
def gallery(tmp_path, photos):
    gallery = xcos.Gallery(tmp_path / "gallery")
    gallery.add("Obama", [photos["obama_portrait_2012"], photos["obama_congress_2009"]], meta={"born": 1961})
    gallery.add("Biden", photos["biden_blue_room_2010"])
    return gallery


@pytest.fixture(scope="module")
def faces():
    """Features of 600 made-up people: grids and embeddings as no face has them, but of the right shapes."""
    rng = np.random.default_rng(0)
    return xcos.Features(
        rng.standard_normal((600, 128, 7, 7), np.float32), rng.standard_normal((600, 512), np.float32)
    )


def near(faces, index, noise, seed=1):
    rng = np.random.default_rng(seed)
    grid = faces.grid[[index]] + noise * rng.standard_normal((1, *faces.grid.shape[1:]), np.float32)
    return xcos.Features(grid, faces.embedding[[index]] + noise * rng.standard_normal((1, 512), np.float32))


def files_with(folder, *needles):
    """Files below a folder that hold any of these bytes."""
    found = []
    for path in (p for p in Path(folder).rglob("*") if p.is_file()):
        data = path.read_bytes()
        found += [(path.name, needle[:20]) for needle in needles if needle in data]
    return found


def test_finds_the_person_and_says_why(gallery, photos):
    hits = gallery.search(photos["obama_blue_room_2010"])
    assert [hit.name for hit in hits] == ["Obama", "Biden"] and len(hits.found) == 1 and not hits.nobody
    best = hits[0]
    model = xcos.load()
    probe = model.features(photos["obama_blue_room_2010"])
    known = model.features([photos["obama_portrait_2012"], photos["obama_congress_2009"]])
    mean = xcos.Features(known.grid.mean(0, keepdims=True), known.embedding.mean(0, keepdims=True))
    expected = model.compare(probe, mean)
    assert best.score == pytest.approx(expected.score[0], abs=1e-3)  # float16
    assert best.cosine == pytest.approx(expected.cosine[0], abs=1e-5)
    assert (best.photos, best.meta, best.threshold) == (2, {"born": 1961}, model.threshold)
    single = model.compare_all(probe, known)[0]
    assert best.photo == ["obama_portrait_2012.jpg", "obama_congress_2009.jpg"][int(single.argmax())]
    e = best.explain()
    assert e.score == pytest.approx(best.score, abs=1e-6)
    assert e.contribution.sum() + e.whole == pytest.approx(e.score, abs=1e-5)
    assert (e.crops[0] == model.crops(photos["obama_blue_room_2010"])[0]).all() and (e.crops[1] == 128).all()
    json.dumps(hits.to_dict(), allow_nan=False)
    assert "Obama" in repr(hits) and "Hit('Obama'" in repr(best)


def test_nobody_is_an_answer(gallery, photos):
    gallery.remove("Obama")
    hits = gallery.search(photos["obama_blue_room_2010"])
    assert hits.nobody and hits.found == () and hits[0].name == "Biden" and hits.sentence().startswith("nobody")
    gallery.remove("Biden")
    empty = gallery.search(photos["obama_blue_room_2010"])
    assert empty.nobody and len(empty) == 0 and len(gallery) == 0


@pytest.mark.parametrize("people", ["template", "best", "mean"])
def test_several_photographs_a_person(tmp_path, faces, people):
    gallery = xcos.Gallery(tmp_path)
    names = [f"p{i // 3:03d}" for i in range(60)]
    gallery.add_features(names, faces[:60])
    probe = near(faces, 31, 1.0)
    model = xcos.load()
    half = xcos.Features(faces.grid[:60].astype(np.float16), faces.embedding[:60])
    single = model.compare_all(probe, half)[0].reshape(20, 3)
    mean = averaged(half, np.arange(0, 60, 3))
    np.testing.assert_allclose(mean.grid, half.grid.reshape(20, 3, 128, 7, 7).mean(1), atol=1e-6)
    expected = {"template": model.compare_all(probe, mean)[0], "best": single.max(1), "mean": single.mean(1)}[people]
    found = rank_of(gallery, probe, people)
    order = np.argsort(-expected, kind="stable")
    assert found.people.tolist() == order.tolist()
    np.testing.assert_allclose(found.score, expected[order], atol=2e-6)


def rank_of(gallery, probe, people="template", **how):
    from xcos.gallery.search import rank

    view = View(gallery._store)
    lists = how.get("probes")
    listed = view.shortlist(probe.embedding[0], people, how.get("faces", 1000), lists, None)
    return rank(gallery.model, probe, view, listed, people)


def test_held_in_memory_or_read_each_time_is_the_same(tmp_path, faces):
    from xcos.gallery import search

    gallery = xcos.Gallery(tmp_path)
    gallery.add_features([f"p{i // 2:03d}" for i in range(600)], faces)
    view = search.View(gallery._store)
    reading = search.View(gallery._store, 0)
    assert (view.holds, reading.holds) == (True, False)
    for people in ([5, 2, 299], [2, 0, 5, 7], [], [299]):
        (held, starts), (read, same) = view.faces_of(people), reading.faces_of(people)
        assert starts.tolist() == same.tolist()
        rows = [i for p in people for i in (2 * p, 2 * p + 1)]
        for one in (held, read):
            assert (one.embedding == faces.embedding[rows]).all()
            assert (one.grid == faces.grid[rows].astype(np.float16).astype(np.float32)).all()


@pytest.mark.parametrize("straight", [True, False])
def test_a_search_reads_its_shortlist_by_one_call_and_no_face_twice(tmp_path, faces, monkeypatch, straight):
    from xcos.gallery import search
    from xcos.gallery.files import Column

    read = []

    def counted(table, rows, columns, fetch=search.fetch):
        read.append((rows.tolist(), tuple(columns)))
        return fetch(table, rows, columns)

    def straight_from_files(column, rows, read_rows=Column.read):
        read.append((rows.tolist(), ("grid",)) if len(rows) > 1 else None)  # one: the check of a page
        return read_rows(column, rows)

    monkeypatch.setattr(search, "fetch", counted)
    if straight:
        monkeypatch.setattr(Column, "read", straight_from_files)
    else:
        monkeypatch.setattr(search.View, "_column", lambda view, name: None)
    gallery = xcos.Gallery(tmp_path)
    gallery.add_features([f"p{i:03d}" for i in range(600)], faces)
    view = search.View(gallery._store)
    for wanted in (400, 500):
        listed = view.shortlist(faces.embedding[7], "template", wanted, None, None)
        search.rank(gallery.model, faces[7], view, listed, "template")
    read = [one for one in read if one]
    assert [columns for _, columns in read] == [("grid",)] * 2  # the embeddings are there already
    assert [len(rows) for rows, _ in read] == [400, 100] and not set(read[0][0]) & set(read[1][0])


def test_an_exact_shortlist_is_the_most_alike_of_all_however_they_are_parted(tmp_path, faces, monkeypatch):
    from xcos.gallery import search

    gallery = xcos.Gallery(tmp_path)
    gallery.add_features([f"p{i:03d}" for i in range(600)], faces)
    embeddings = faces.embedding.astype(float)
    cosine = embeddings @ embeddings[7] / np.linalg.norm(embeddings, axis=1)
    for rows in (1 << 14, 600, 599, 7):
        monkeypatch.setattr(search, "_ROWS", rows)
        listed = search.View(gallery._store).shortlist(faces.embedding[7], "template", 50, None, None)
        assert listed.tolist() == np.argsort(-cosine, kind="stable")[:50].tolist()


def test_threads_that_read_the_same_faces_find_the_same(tmp_path, faces):
    from concurrent.futures import ThreadPoolExecutor

    gallery = xcos.Gallery(tmp_path)
    gallery.add_features([f"p{i:03d}" for i in range(600)], faces)
    view, rng = View(gallery._store), np.random.default_rng(0)
    asked = [rng.choice(600, 200, replace=False) for _ in range(24)]
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(view.faces_of, asked))
    for people, (found, _) in zip(asked, read, strict=True):
        assert (found.embedding == faces.embedding[people]).all()
        assert (found.grid == faces.grid[people].astype(np.float16)).all()


def test_every_finite_float16_is_widened_exactly():
    from xcos.gallery.store import _widen

    half = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    half = half[np.isfinite(half)]
    wide = np.empty(half.shape, np.float32)
    _widen(half, wide)
    assert (wide.view(np.int32) == half.astype(np.float32).view(np.int32)).all()


def test_shortlist_is_the_most_alike_by_plain_cosine(tmp_path, faces):
    gallery = xcos.Gallery(tmp_path)
    gallery.add_features([f"p{i:03d}" for i in range(600)], faces)
    probe = near(faces, 77, 1.0)
    cosine = faces.embedding @ probe.embedding[0] / np.linalg.norm(faces.embedding, axis=1)
    expected = set(np.argsort(-cosine)[:25].tolist())
    assert set(rank_of(gallery, probe, faces=25).people.tolist()) == expected
    gallery.index(16)
    assert gallery.info().index
    assert set(rank_of(gallery, probe, faces=25, probes=16).people.tolist()) & expected  # by codes of PQ: about
    assert rank_of(gallery, probe, faces=100, probes=16).people[0] == 77


def test_a_photograph_twice_is_noticed(gallery, photos):
    again = gallery.add("Obama", [photos["obama_portrait_2012"], photos["obama_blue_room_2010"]])
    assert again.repeated == ("obama_portrait_2012.jpg",) and len(again) == 1 and len(gallery) == 4
    with pytest.raises(ValueError, match=r"biden_blue_room_2010.jpg: this photograph is enrolled as 'Biden' already"):
        gallery.add("Obama", [photos["biden_blue_room_2010"]])
    assert len(gallery) == 4


def test_group_photographs(tmp_path, photos):
    both = Image.new("RGB", (900, 600))
    for i, name in enumerate(("obama_portrait_2012", "biden_blue_room_2010")):
        both.paste(Image.open(photos[name]).resize((450, 600)), (450 * i, 0))
    left = [face.box[0] < 450 for face in xcos.detect(both)]
    gallery = xcos.Gallery(tmp_path)
    gallery.add("Obama", both, face=left.index(True))
    gallery.add("Biden", both, face=left.index(False))
    assert gallery.search(photos["obama_congress_2009"])[0].name == "Obama"
    assert gallery.search(both, face=left.index(False))[0].name == "Biden"


def test_all_or_none(gallery, photos, tmp_path):
    white = tmp_path / "white.png"
    Image.new("RGB", (200, 200), "white").save(white)
    with pytest.raises(xcos.NoFaceError, match="white"):
        gallery.add("New", [photos["obama_blue_room_2010"], white])
    assert gallery.names == ["Biden", "Obama"]


def test_bad_arguments_are_told(gallery, photos, tmp_path):
    photo = photos["obama_blue_room_2010"]
    for keywords, message in (
        ({"k": 0}, "k of at least 1"), ({"people": "worst"}, "template, best, mean"), ({"nprobes": 0}, "nprobes"),
        ({"threshold": float("nan")}, "finite"), ({"exact": False}, "has no index"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            gallery.search(photo, **keywords)
    with pytest.raises(ValueError, match="memory: expected bytes, 0 or more, got -1"):
        xcos.Gallery(tmp_path / "gallery", memory=-1)
    with pytest.raises(ValueError, match="name"):
        gallery.add(" ", photo)
    with pytest.raises(ValueError, match="meta"):
        gallery.add("X", photo, meta={"x": object()})
    with pytest.raises(ValueError, match=r"nobody in .* is called 'X'"):
        gallery.remove("X")
    with pytest.raises(ValueError, match="no photograph of 'Biden'"):
        gallery.remove("Biden", photo="00")
    with pytest.raises(ValueError, match="100 people or more"):
        gallery.threshold_for(0.01)
    with pytest.raises(FileNotFoundError, match="holds no gallery"):
        xcos.Gallery(tmp_path / "none", create=False)
    with pytest.raises(ValueError, match="keep_photos"):
        xcos.Gallery(tmp_path / "gallery", keep_photos=True)


def test_another_model_is_refused_by_name(gallery, tmp_path):
    file = xcos.load().file
    tensors = {**file.tensors, "head.embed.bias": file.tensors["head.embed.bias"] + 1}
    import dataclasses

    other = xcos.Model(dataclasses.replace(file, name="other", tensors=tensors))
    with pytest.raises(ValueError, match=rf"enrolled with the model '{file.name}' .* not with 'other'"):
        xcos.Gallery(tmp_path / "gallery", model=other)
    gallery.export(tmp_path / "all.parquet")
    with pytest.raises(ValueError, match="not with 'other'"):
        xcos.Gallery(tmp_path / "second", model=other).load(tmp_path / "all.parquet")
    assert len(xcos.Gallery(tmp_path / "gallery", model=xcos.load(whole=0))) == 3  # sees the same


def test_photographs_are_kept_only_when_asked(tmp_path, photos):
    kept = xcos.Gallery(tmp_path / "kept", keep_photos=True)
    kept.add("Obama", photos["obama_portrait_2012"])
    crop = xcos.crop(photos["obama_portrait_2012"])
    e = kept.search(photos["obama_congress_2009"])[0].explain()
    assert (e.crops[1] == crop).all()
    plain = xcos.Gallery(tmp_path / "plain")
    plain.add("Obama", photos["obama_portrait_2012"])
    # Without the other face's picture no parts can be told; page and figure are there all the same.
    without = plain.search(photos["obama_congress_2009"])[0].explain()
    for name in ("why.html", "why.png"):
        without.save(tmp_path / name)
        assert (tmp_path / name).stat().st_size > 10_000
    assert files_with(tmp_path / "kept", b"\x89PNG") and not files_with(tmp_path / "plain", b"\x89PNG")


def test_removed_means_gone(tmp_path, faces):
    """One of 600 in one part of the table, where LanceDB alone would keep the bytes."""
    names = [f"person number {i:03d}" for i in range(600)]
    gallery = xcos.Gallery(tmp_path)
    gallery.add_features(names, faces, photos=[f"file_{i:03d}.jpg" for i in range(600)])
    gallery.index(8)
    traces = (b"person number 300", b"file_300.jpg", faces.embedding[300].tobytes(),
              faces.grid[300].astype(np.float16).tobytes())  # fmt: skip
    assert files_with(tmp_path, *traces)
    assert gallery.remove("person number 300") == 1
    assert files_with(tmp_path, *traces) == []
    assert len(gallery) == 599 and gallery.info().index
    assert rank_of(gallery, near(faces, 301, 0.5)).people[0] == 300  # the next one has its number now
    gallery.update("person number 400", new_name="somebody else", meta={"a": 1})
    assert files_with(tmp_path, b"person number 400") == []
    assert gallery.photos("somebody else")[0]["meta"] == {"a": 1} and len(gallery) == 599


def test_one_photograph_is_removed(gallery, photos):
    first, second = gallery.photos("Obama")
    assert gallery.remove("Obama", photo=first["id"]) == 1
    assert [row["id"] for row in gallery.photos("Obama")] == [second["id"]] and "Biden" in gallery


def test_export_and_load(gallery, photos, tmp_path):
    assert gallery.export(tmp_path / "all.parquet") == 3
    other = xcos.Gallery(tmp_path / "other")
    assert len(other.load(tmp_path / "all.parquet")) == 3
    again = other.load(tmp_path / "all.parquet")
    assert len(again) == 0 and len(again.repeated) == 3
    a, b = (g.search(photos["obama_blue_room_2010"]) for g in (gallery, other))
    assert [(hit.name, hit.score, hit.meta) for hit in a] == [(hit.name, hit.score, hit.meta) for hit in b]
    (tmp_path / "text").write_text("no parquet")
    with pytest.raises(ValueError, match="expected a gallery's export"):
        other.load(tmp_path / "text")


def test_a_folder(tmp_path, shared):
    with tarfile.open(shared / "data/lfw_photos.tar") as tar:
        tar.extractall(tmp_path / "photos", members=list(tar)[:30], filter="data")
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"no picture")
    said = []
    gallery = xcos.Gallery(tmp_path / "gallery")
    done = gallery.add_folder(tmp_path / "photos", progress=lambda *at: said.append(at))
    assert len(done.failed) == 1 and done.failed[0][0] == "broken.jpg" and len(done) == len(gallery) > 10
    assert said[-1][0] == said[-1][1]
    again = gallery.add_folder(tmp_path / "photos")
    assert len(again) == 0 and len(again.repeated) == len(done)


def test_duplicates(tmp_path, faces):
    gallery = xcos.Gallery(tmp_path)
    gallery.add_features([f"p{i:02d}" for i in range(40)], faces[:40])
    gallery.add_features(["twin"], near(faces, 7, 0.2))
    links = gallery.duplicates()
    assert (links[0].first, links[0].second) == ("p07", "twin") and links[0].score > 0.5
    half = xcos.Features(faces.grid[[7]].astype(np.float16), faces.embedding[[7]])
    assert links[0].score == pytest.approx(xcos.load().compare(half, near(faces, 7, 0.2)).score[0], abs=1e-3)
    assert links[0].explain().score == pytest.approx(links[0].score, abs=1e-6)


def test_threshold_for_is_a_quantile_of_wrong_hits(tmp_path, faces):
    gallery = xcos.Gallery(tmp_path)
    gallery.add_features([f"p{i:03d}" for i in range(120)], faces[:120])
    scores = xcos.load().compare_all(faces[:120], faces[:120])
    np.fill_diagonal(scores, -1)
    assert gallery.threshold_for(0.05) == pytest.approx(np.quantile(scores.max(1), 0.95, method="higher"), abs=1e-3)


def test_beyond_so_many_faces_an_index_is_asked_for_once(tmp_path, faces, photos, monkeypatch, caplog):
    from xcos.gallery import gallery as module

    gallery = xcos.Gallery(tmp_path)
    gallery.add_features([f"p{i:03d}" for i in range(300)], faces[:300])
    photo = photos["obama_portrait_2012"]
    monkeypatch.setattr(module, "EXACT", 300)
    gallery.search(photo, k=1)
    assert caplog.messages == []
    monkeypatch.setattr(module, "EXACT", 299)
    gallery.search(photo, k=1, exact=True)
    assert caplog.messages == []
    expected = [hit.name for hit in gallery.search(photo, k=3)]
    gallery.search(photo, k=1)
    assert len(caplog.messages) == 1 and "300 faces are searched without an index; beyond 299" in caplog.text
    gallery.index(8)
    assert [hit.name for hit in xcos.Gallery(tmp_path).search(photo, k=3, nprobes=8)] == expected
    assert len(caplog.messages) == 1  # with an index there is nothing to say
    gallery.add("Late", photos["obama_blue_room_2010"])
    assert gallery.info().index and gallery.search(photo, k=1, exact=False)[0].name == "Late"


WRITER = """
import sys, numpy as np, xcos
gallery = xcos.Gallery(sys.argv[1])
rng = np.random.default_rng()
print("ready", flush=True)
while True:
    n = 3
    f = xcos.Features(rng.standard_normal((n, 128, 7, 7)), rng.standard_normal((n, 512)))
    print(*gallery.add_features([f"p{k}" for k in rng.integers(1 << 40, size=n)], f).ids, flush=True)
"""


def kill_writers(folder, kills):
    """Starts writers one after the other and kills each while it writes; all ids that they acknowledged."""
    rng = np.random.default_rng(0)
    acknowledged = []
    for _ in range(kills):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0.02, 0.4))
        process.send_signal(signal.SIGKILL)
        lines = process.stdout.read().splitlines(keepends=True)
        acknowledged += [i for line in lines if line.endswith("\n") for i in line.split()]
        process.wait()
    return acknowledged


@pytest.mark.slow
def test_a_killed_writer_loses_nothing_acknowledged(tmp_path):
    acknowledged = kill_writers(tmp_path, KILLS)
    there = ids(xcos.Gallery(tmp_path))
    assert len(acknowledged) > 0 and set(acknowledged) <= there
    assert len(there) % 3 == 0  # whole steps alone
    view = View(xcos.Gallery(tmp_path)._store)
    read, given = view._column("grid").read(view.rows), fetch(view.table, view.rows, ["grid"])["grid"]
    assert read.tobytes() == numbers(given).tobytes()


def ids(gallery):
    return set(gallery._store.table.search().select(["id"]).to_arrow()["id"].to_pylist())


READER = """
import sys, numpy as np, xcos
gallery = xcos.Gallery(sys.argv[1], create=False)
end = len(gallery)
while end < int(sys.argv[3]):
    hits = gallery.search(sys.argv[2], k=1)
    assert hits[0].name == "Obama" and hits.faces >= end, (hits, end)
    end = hits.faces
print("done", end)
"""


def test_many_readers_beside_one_writer(gallery, photos, faces, tmp_path):
    """Readers in other processes go on while rows come and go and old versions are removed under them."""
    goal = 3 + 15 * 4
    command = [sys.executable, "-c", READER, str(tmp_path / "gallery"), str(photos["obama_blue_room_2010"]), str(goal)]
    readers = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for step in range(15):
        some = faces[10 * step : 10 * step + 5]
        gallery.add_features([f"s{step}-{i}" for i in range(5)], some)
        if step % 5 == 4:
            gallery.add_features(["x"], faces[10 * step + 5])  # before the removal, so that readers never see fewer
        gallery.update(f"s{step}-0", new_name="y")  # removes all old versions
    outputs = [process.communicate(timeout=300) for process in readers]
    assert [process.returncode for process in readers] == [0, 0], outputs
    assert all(out.startswith("done") for out, _ in outputs)


def test_plot(gallery, photos):
    pytest.importorskip("matplotlib")
    _, ax = gallery.search(photos["obama_blue_room_2010"]).plot()
    assert [label.get_text() for label in ax.get_yticklabels()] == ["Obama", "Biden"]
    widths = [bar.get_width() for bar in ax.patches]
    assert widths[0] > xcos.load().threshold > widths[1]


def test_without_lancedb_the_extra_is_named():
    code = "import sys; sys.modules['lancedb'] = None\nimport xcos\nxcos.Gallery"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ)
    assert "pip install xcos[gallery]" in found.stderr


def run(*arguments, expected=0):
    import contextlib
    import io

    from xcos.cli import main

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main(["gallery", *map(str, arguments), "--json"]) == expected
    return json.loads(out.getvalue())


def test_command_line(tmp_path, photos, capsys):
    place = tmp_path / "people"
    first, probe = photos["obama_portrait_2012"], photos["obama_congress_2009"]
    assert run("add", place, first, "--name", "Obama", "--meta", '{"a": 1}')["faces"] == 1
    found = run("search", place, probe, "-o", tmp_path / "why.json")
    assert found["threshold_from"].startswith("of pairs, not of a search")
    assert found["hits"][0]["name"] == "Obama" and found["hits"][0]["meta"] == {"a": 1}
    assert json.loads((tmp_path / "why.json").read_text())["score"] == pytest.approx(found["hits"][0]["score"])
    nobody = run("search", place, photos["biden_blue_room_2010"], expected=3)  # 1 is "different people" alone
    assert nobody["nobody"] and len(nobody["hits"]) == 1
    assert run("info", place)["people"] == 1
    assert run("export", place, tmp_path / "all.parquet")["faces"] == 1
    assert run("import", tmp_path / "other", tmp_path / "all.parquet")["faces"] == 1
    assert run("duplicates", place) == []
    assert run("remove", place, "Obama") == {"removed": 1}
    from xcos.cli import main

    for bad in (["remove", place, "Obama"], ["search", tmp_path / "none", probe], ["add", place, first, probe]):
        assert main(["gallery", *map(str, bad)]) == 2
    said = capsys.readouterr().err
    assert "is called 'Obama'" in said and "holds no gallery" in said and "--name" in said


def test_clusters_are_people(tmp_path, photos):
    from sklearn.metrics import adjusted_rand_score

    from xcos.gallery import cluster

    for name in photos:
        (tmp_path / f"{name}.jpg").write_bytes(photos[name].read_bytes())
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    found = cluster(tmp_path)
    assert len(found) == 1 and len(found.clusters[0]) == 3 and found.single == ("biden_blue_room_2010.jpg",)
    assert found.failed[0][0] == "broken.jpg"
    assert adjusted_rand_score(["obama" in photo for photo in found.photos], found.labels) == 1
    assert set(cluster(tmp_path, method="hdbscan").photos) == set(found.photos)
    model = xcos.load()
    names = found.clusters[0].photos
    seen = model.features([tmp_path / name for name in names])
    scores = model.compare_all(seen, seen)
    both = np.sort([(scores[i, j] + scores[j, i]) / 2 for i, j in ((0, 1), (0, 2), (1, 2))])
    link = found.clusters[0].link
    i, j = (names.index(name) for name in (link.first, link.second))
    assert (scores[i, j] + scores[j, i]) / 2 == pytest.approx(both[1], abs=1e-5)  # of three the tree drops the weakest
    assert link.explain().score == pytest.approx(link.score, abs=1e-6)
    with pytest.raises(ValueError, match="agglomerative, hdbscan"):
        cluster(tmp_path, method="other")
