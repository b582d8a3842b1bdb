"""Lists of templates, and searches of them: against pages written by hand and the features themselves."""

import json
import tarfile

import pytest

import xcos
from xcos import datasets
from xcos.cli.command import main
from xcos.evaluation import search_templates

LIST = """\
TEMPLATE_ID,SUBJECT_ID,FILENAME,FACE_X,SIGHTING_ID
11,7,img/obama_portrait_2012.jpg,10,1
11,7,img/obama_congress_2009.jpg,12,2
5,9,img/biden_blue_room_2010.jpg,3,3
"""


@pytest.fixture
def folder(tmp_path, photos):
    """Two lists beside the photographs that they name."""
    (tmp_path / "img").mkdir()
    for name, path in photos.items():
        (tmp_path / "img" / f"{name}.jpg").symlink_to(path)
    (tmp_path / "gallery.csv").write_text(LIST)
    (tmp_path / "probes.csv").write_text("template;subject;file\n1;7;img/obama_blue_room_2010.jpg\n")
    return tmp_path


def test_a_list(folder, photos):
    found = datasets.read_templates(folder / "gallery.csv")
    assert (list(found.ids), list(found.subjects), found.owner.tolist()) == (["11", "5"], ["7", "9"], [0, 0, 1])
    assert found.names[2] == "img/biden_blue_room_2010.jpg" and found.images[2].samefile(photos["biden_blue_room_2010"])
    assert repr(found) == "Templates('gallery', 2 of 2 people, 3 photographs)" and len(found) == 2


def test_photographs_elsewhere(folder, photos, tmp_path):
    archive = tmp_path / "all.tar"
    with tarfile.open(archive, "w") as tar:
        for name, path in photos.items():
            tar.add(path, f"IJB/img/{name}.jpg")
    found = datasets.read_templates(folder / "gallery.csv", archive)
    assert found.images[1] == photos["obama_congress_2009"].read_bytes()
    people = tmp_path / "people.tar"
    with tarfile.open(people, "w") as tar:
        tar.add(photos["obama_portrait_2012"], "obama/a.jpg")
        tar.add(photos["obama_congress_2009"], "obama/b.jpg")
        tar.add(photos["biden_blue_room_2010"], "biden/a.jpg")
    found = datasets.read_templates(people)
    assert found.subjects == ["biden", "obama", "obama"] and found.owner.tolist() == [0, 1, 2]
    assert found.images[-2] == photos["obama_portrait_2012"].read_bytes() and len(found.images[:2]) == 2
    with pytest.raises(ValueError, match=r"people\.tar: holds photographs itself"):
        datasets.read_templates(people, archive)


@pytest.mark.parametrize(
    "text, error, message",
    [
        ("template_id,subject_id\n1,2\n", ValueError, r"list\.csv: has the columns \['template_id', 'subject_id'\]"),
        ("tid,sid,file\n1,,a.jpg\n", ValueError, r"list\.csv, line 2: sid is missing"),
        ("tid,sid,file\n\n1,2,a.jpg\n1,3,a.jpg\n", ValueError, r"line 4: template '1' shows '3', but '2' in line 3"),
        ("tid,sid,file\n1,2\n", ValueError, r"list\.csv, line 2: expected 3 fields, got 2"),
        ("tid,sid,file\n", ValueError, r"list\.csv: holds no templates"),
        ("# IJB\ntid,sid,file\n1,2,a.jpg\n", FileNotFoundError, r"list\.csv, line 3: a\.jpg is missing"),
    ],
)
def test_lists_that_are_wrong(tmp_path, text, error, message):
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(error, match=message):
        datasets.read_templates(tmp_path / "list.csv")


def test_a_search_is_of_mean_features(folder, photos):
    model = xcos.load()
    gallery, probes = (datasets.read_templates(folder / name) for name in ("gallery.csv", "probes.csv"))
    seen = []
    found = search_templates(model, gallery, probes, progress=lambda done, total: seen.append((done, total)))
    known = model.features([photos["obama_portrait_2012"], photos["obama_congress_2009"]])
    mean = xcos.Features(known.grid.mean(0, keepdims=True), known.embedding.mean(0, keepdims=True))
    expected = model.compare(model.features(photos["obama_blue_room_2010"]), mean)
    assert found.failed == () and seen[-1] == (4, 4)
    assert found.reports["xcos"].mate == pytest.approx(expected.score, abs=1e-5)
    assert found.reports["cosine"].mate == pytest.approx(expected.cosine, abs=1e-5)
    assert found.reports["xcos"].rank.tolist() == [1]


def test_photographs_without_a_face_are_misses(folder):
    (folder / "img" / "black.pgm").write_bytes(b"P5 64 64 255\n" + bytes(4096))
    with open(folder / "gallery.csv", "a") as file:
        file.write("6,33,img/black.pgm,0,0\n")
    (folder / "probes.csv").write_text("tid,sid,file\n1,33,img/obama_blue_room_2010.jpg\n2,9,img/black.pgm\n")
    gallery, probes = (datasets.read_templates(folder / name) for name in ("gallery.csv", "probes.csv"))
    reports, failed = search_templates(None, gallery, probes, ["xcos"])
    assert [name for name, _ in failed] == ["img/black.pgm"] * 2 and "no face" in failed[0][1]
    assert reports["xcos"].rank.tolist() == [3, 3] and reports["xcos"].mate.tolist() == [-1, -1]
    with pytest.raises(ValueError, match="expected some of xcos, cosine, got 'emd'"):
        search_templates(None, gallery, probes, ["emd"])


def test_command(folder, capsys):
    arguments = ["evaluate-search", str(folder / "gallery.csv"), str(folder / "probes.csv")]
    assert main(arguments) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "1 probes among 2 templates of 2 people; 0 strangers"
    assert out[3].startswith("| xcos | 100.00% |") and len(out) == 5
    with open(folder / "probes.csv", "a") as file:
        file.write("2;33;img/biden_blue_room_2010.jpg\n")
    assert main([*arguments, "--json", "--metric", "cosine"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["scores"]["cosine"]["strangers"] == 1 and data["failed"] == [] and list(data["scores"]) == ["cosine"]
    assert main(["evaluate-search", str(folder / "gone.csv"), str(folder / "probes.csv")]) == 2
    assert "gone.csv" in capsys.readouterr().err
