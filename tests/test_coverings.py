"""People with masks: readers of MFR2 and RMFD on small trees in their layout, and maps asked for what is covered."""

import itertools
import shutil
import tarfile

import numpy as np
import pytest

import xcos
from xcos import datasets

KINDS = {("Ann Lee", 1): "no-mask", ("Ann Lee", 2): "surgical", ("Ann Lee", 3): "cloth", ("Bo", 1): "no-mask",
         ("Bo", 2): "cloth", ("Bo", 10): "surgical"}  # fmt: skip
LINES = ["Ann Lee\t1\t2", "Ann Lee\t2\t3", "Bo\t1\t10", "Bo\t2\t10", "Ann Lee\t1\tBo\t1", "Ann Lee\t2\tBo\t2",
         "Ann Lee\t3\tBo\t10", "Ann Lee\t1\tBo\t2"]  # fmt: skip


@pytest.fixture
def mfr2(tmp_path):
    """Its files are their own names."""
    root = tmp_path / "around" / "mfr2"
    for who, number in KINDS:
        path = root / who / f"{who}_{number:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(path.name.encode())
    (root / "pairs.txt").write_text("\n".join(LINES) + "\n")
    (root / "mfr2_labels.txt").write_text("".join(f"{who}, {n}, {kind}\n" for (who, n), kind in KINDS.items()))
    return root


def shown_by(pairs, i):
    """Names and numbers of a pair's pictures, read from the pictures themselves."""
    names = [pairs.images[k].read_bytes().decode() for k in (pairs.first[i], pairs.second[i])]
    return [(name[:-9], int(name[-8:-4])) for name in names]


@pytest.mark.parametrize("head", ["", "2\t4\n", "# a comment\n"])
def test_mfr2(mfr2, head):
    (mfr2 / "pairs.txt").write_text(head + "\n".join(LINES))
    pairs = datasets.read(mfr2.parent)  # the folder around it will do
    assert len(pairs) == 8 and pairs.name == "mfr2" and not pairs.aligned
    assert pairs.folds == (2 if head.startswith("2") else 10)
    read = []
    for i in range(8):
        one, other = shown_by(pairs, i)
        read.append((one, other))
        kinds = KINDS[one], KINDS[other]
        assert (pairs.groups["mask_first"][i], pairs.groups["mask_second"][i]) == kinds
        assert pairs.groups["masked"][i] == ["both", "one", "neither"][kinds.count("no-mask")]
        assert pairs.same[i] == (one[0] == other[0])
    listed = [line.split("\t") for line in LINES]
    asked = [((x[0], int(x[1])), (x[0] if len(x) == 3 else x[2], int(x[-1]))) for x in listed]
    assert sorted(read) == sorted(asked)
    if head.startswith("2"):
        assert read == asked  # folds are told: they are runs of the list as it is
    else:
        assert pairs.same.tolist() == [True, False] * 4 and read[::2] == asked[:4]


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("pairs.txt", "Bo\t1\n", r"pairs\.txt, line 1: expected the numbers of folds"),
        ("pairs.txt", "Bo\t1\t2\nBo\t1\tx\n", r"pairs\.txt, line 2: expected NAME N M or NAME N NAME M, got 'Bo"),
        ("pairs.txt", "# none\n", r"pairs\.txt, line 1: expected the numbers of folds"),
        ("mfr2_labels.txt", "Bo, 1, cloth\n\nBo, two, cloth\n", r"labels\.txt, line 3: expected NAME, N, KIND OF MASK"),
        ("mfr2_labels.txt", "Bo, 1\n", r"labels\.txt, line 1: expected NAME, N, KIND OF MASK, got 'Bo, 1'"),
        ("mfr2_labels.txt", "Bo, 1, cloth\nBo, 01, surgical\n", r"line 2: Bo 01 wears 'surgical', but 'cloth' in line 1"),
        ("mfr2_labels.txt", "\n", r"labels\.txt: holds no labels"),
    ],
)
def test_lists_of_mfr2_that_make_no_sense(mfr2, name, text, message):
    (mfr2 / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        datasets.read_mfr2(mfr2)


def test_what_mfr2_lacks(mfr2):
    (mfr2 / "mfr2_labels.txt").write_text("bo, 1, None\nBo, 2, cloth\n")
    pairs = datasets.read_mfr2(mfr2, folds=4)
    assert set(pairs.groups["masked"]) == {""} and pairs.folds == 4  # of no pair both are known
    assert set(pairs.groups["mask_second"][pairs.groups["mask_first"] != ""]) == {""}
    (mfr2 / "Bo/Bo_0002.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"pairs\.txt, line 4: Bo/Bo_0002\.jpg is missing"):
        datasets.read_mfr2(mfr2)
    (mfr2 / "pairs.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"pairs\.txt"):
        datasets.read(mfr2)


@pytest.fixture
def rmfd(tmp_path):
    """Four people: a and b in both folders, c bare alone, d masked alone."""
    root = tmp_path / "self-built-masked-face-recognition-dataset"
    counts = {"AFDB_masked_face_dataset": {"a": 3, "b": 2, "d": 1}, "AFDB_face_dataset": {"a": 4, "b": 1, "c": 2}}
    for folder, people in counts.items():
        for who, count in people.items():
            (root / folder / who).mkdir(parents=True)
            for k in range(count):
                (root / folder / who / f"{k}.jpg").write_bytes(f"{folder} {who} {k}".encode())
    (root / "AFDB_face_dataset/.DS_Store").write_text("clutter")
    return root


@pytest.mark.parametrize("form", ["folder", "tar"])
def test_rmfd(rmfd, tmp_path, form):
    if form == "tar":
        with tarfile.open(tmp_path / "rmfd.tar", "w") as tar:
            tar.add(rmfd, rmfd.name)
    pairs = datasets.read_rmfd(tmp_path / "rmfd.tar") if form == "tar" else datasets.read(rmfd)
    seen = [tuple(pairs.images[k].decode().split() for k in two) for two in zip(pairs.first, pairs.second, strict=True)]
    wears = [tuple("masked" in folder for folder, _, _ in two) for two in seen]
    for key, column in (("mask_first", 0), ("mask_second", 1)):
        assert pairs.groups[key].tolist() == [("no-mask", "mask")[w[column]] for w in wears]
    assert pairs.groups["masked"].tolist() == [("neither", "one", "both")[sum(w)] for w in wears]
    assert pairs.same.tolist() == [one[1] == other[1] for one, other in seen] == [True, False] * (len(pairs) // 2)
    genuine = [(tuple(one), tuple(other)) for one, other in seen[::2]]
    assert len(set(genuine)) == len(genuine) and all(one != other for one, other in genuine)
    a = 6 + 10 + 3  # of a: 4 bare ones in pairs, 10 of the 12 of each kind, 3 masked ones in pairs
    b, c = 0 + 2 + 1, 1  # d, of whom there is one picture, is a stranger only
    assert len(genuine) == a + b + c
    for (one, own), (again, other) in zip(seen[::2], seen[1::2], strict=True):
        assert one == again and own[0] == other[0]  # beside each the same picture, and one that wears as much
    few = datasets.read_rmfd(rmfd, each=2, seed=1, folds=3)
    assert few.folds == 3 and len(few) == 2 * (2 + 2 + 2 + 2 + 1 + 1)


def test_folders_that_are_not_rmfds(rmfd):
    with pytest.raises(ValueError, match="each: expected at least 1 pair, got 0"):
        datasets.read_rmfd(rmfd, each=0)
    (rmfd / "AFDB_face_dataset/stray.jpg").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"AFDB_face_dataset/stray\.jpg lies in no person's folder"):
        datasets.read_rmfd(rmfd)
    (rmfd / "AFDB_face_dataset/stray.jpg").unlink()
    shutil.copytree(rmfd / "AFDB_face_dataset", rmfd / "more")
    with pytest.raises(ValueError, match="has the folders AFDB_face_dataset, AFDB_masked_face_dataset, more; expected"):
        datasets.read_rmfd(rmfd)
    with pytest.raises(ValueError, match=r"of a bcolz carray.*MFR2.*RMFD"):
        datasets.read(rmfd)
    for folder in ("more", "AFDB_face_dataset/a", "AFDB_masked_face_dataset/a", "AFDB_masked_face_dataset/b"):
        shutil.rmtree(rmfd / folder)
    (rmfd / "AFDB_face_dataset/c/1.jpg").unlink()
    with pytest.raises(ValueError, match="no person has two pictures whose like another person has"):
        datasets.read_rmfd(rmfd)


def test_errors_by_mask(tmp_path, photos):
    """Photographs in RMFD's folders through xcos.evaluate: rates by what is worn."""
    faces = {"obama": ["obama_portrait_2012", "obama_congress_2009"], "biden": ["biden_blue_room_2010"] * 2}
    for folder, (who, names) in itertools.product(("masked", "unmasked"), faces.items()):
        for k, name in enumerate(names):
            path = tmp_path / "people" / folder / who / f"{k}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(photos[name], path)
    report = xcos.evaluate(None, tmp_path / "people", folds=2)
    rates = {(r.group, r.kind): r for r in report.groups() if r.column == "masked"}
    assert {group for group, _ in rates} == {"neither", "one", "both"} and report.accuracy == 1
    assert rates["one", "false non-match"].pairs == 8 and rates["both", "false match"].pairs == 2
