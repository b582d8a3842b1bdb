"""People with masks: readers of MFR2 and RMFD on small trees in their layout, and maps asked for what is covered."""

import itertools
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xcos
from xcos import datasets, faithfulness
from xcos.datasets import wear
from xcos.explainers import Explainer

EXAMPLES = Path(__file__).parents[1] / "examples"

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
        ("mfr2_labels.txt", "Bo, 1, cloth\nBo, 01, N95\n", r"line 2: Bo 01 wears 'N95', but 'cloth' in line 1"),
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


# ------------------------------------------------------------------------------------- maps of covered faces


@dataclass(frozen=True, kw_only=True)
class Drawn(Explainer):
    """Maps by a function of the first crops."""

    draw: Any = None

    @property
    def passes(self):
        return 0

    def _explain(self, first, second, progress):
        maps = np.array([self.draw(crop) for crop in first])
        return maps, maps, np.zeros(len(first), np.float32)


@pytest.fixture(scope="module")
def pairs():
    return faithfulness.sample(datasets.read(EXAMPLES / "pairs.csv"), 6)


@pytest.fixture(scope="module")
def masks():
    pytest.importorskip("PIL")
    return [wear.read_masks(EXAMPLES.parent / "docs")["surgical"]]


def explainer_of(draw):
    return Drawn("mobilefacenet_xcos_v2", draw=draw)


def test_what_is_worn(pairs, masks):
    changed, where = faithfulness.covered(pairs, [*masks, "sunglasses"], ["sunglasses"])
    for i in range(6):
        face = pairs.first[i]
        worn = wear.sunglasses(face, aligned=True) if i % 2 else wear.mask(face, masks[0], aligned=True)
        assert (changed.first[i] == worn.image).all() and (where[0, i] == worn.covered).all()
        assert (changed.second[i] == wear.sunglasses(pairs.second[i], aligned=True).image).all()
    assert (changed.first[~where[0]] == pairs.first[~where[0]]).all()
    assert (changed.second != pairs.second).any(-1)[~where[1]].sum() == 0
    bare, nothing = faithfulness.covered(pairs, (), masks)
    assert (bare.first == pairs.first).all() and not nothing[0].any() and nothing[1].any((1, 2)).all()


@pytest.mark.parametrize("thing", ["masks", "sunglasses"])
def test_a_map_equal_to_the_covering(pairs, masks, thing):
    """Where a pixel of the clean picture was changed, a map is 0, else 1; its negative points everywhere else."""
    first = masks if thing == "masks" else [thing]
    changed, where = faithfulness.covered(pairs, first)
    known = {crop.tobytes(): mask for crop, mask in zip(changed.first, where[0], strict=True)}
    nothing = np.zeros((112, 112), bool)

    def draw(crop):
        return 1.0 - known.get(crop.tobytes(), nothing)

    low, before, change, inside, outside = faithfulness.coverings(None, explainer_of(draw), pairs, first=first)
    assert [m.name for m in (low, before, change)] == ["low", "low before", "change"]
    assert (low.value, low.low, before.value, change.value) == (1, 1, 0.5, 1)
    assert 0.55 < inside.value <= 1 and 0 <= outside.value < 0.02
    worst = faithfulness.coverings(None, explainer_of(lambda crop: -draw(crop)), pairs, first=first)
    assert [m.value for m in worst[:3]] == [0, 0.5, 0] and worst[3].value == -inside.value


def test_areas_against_scikit_learn(pairs, masks):
    """Any map: cells, and what of them is covered, by NumPy; areas by scikit-learn."""
    roc_auc_score = pytest.importorskip("sklearn.metrics").roc_auc_score

    def draw(crop):
        return np.sin(crop.astype(np.float32).sum(2) / 40)

    found = faithfulness.coverings(None, explainer_of(draw), pairs, first=masks, second=["sunglasses"])
    want = [[], [], [], [], []]
    for face in pairs.first:
        worn = wear.mask(face, masks[0], aligned=True)
        cells = [(slice(16 * i, 16 * i + 16), slice(16 * j, 16 * j + 16)) for i in range(7) for j in range(7)]
        share = np.array([worn.covered[cell].mean() for cell in cells])
        before, after = (np.array([draw(x)[cell].mean() for cell in cells]) for x in (face, worn.image))
        used = (share > 0.55) | (share < 0.02)
        truth = share[used] > 0.55
        for k, values in enumerate((-after, -before, before - after)):
            want[k].append(roc_auc_score(truth, values[used]))
        for k, chosen in ((3, share > 0.55), (4, share < 0.02)):
            want[k].append((before - after)[chosen].mean())
    for measure, values in zip(found, want, strict=True):
        np.testing.assert_allclose(measure.per_pair, values, atol=1e-6)
    assert 0.2 < found[0].value < 0.8


def test_the_models_own_map_and_a_control(pairs, masks):
    cosine = faithfulness.coverings(None, xcos.explainers.XCos(map="cosine"), pairs, first=masks)
    assert cosine[2].value > 0.8 and cosine[3].value > 5 * abs(cosine[4].value)
    bell = faithfulness.coverings(None, xcos.explainers.CentreMap(), pairs, first=masks)
    assert bell[2].value == 0.5 and bell[0].per_pair.tolist() == bell[1].per_pair.tolist()


def test_what_cannot_be_worn(pairs):
    with pytest.raises(ValueError, match=r"expected masks of .*read_masks or 'sunglasses', got 'hat'"):
        faithfulness.covered(pairs, ["hat"])
    with pytest.raises(ValueError, match="expected something that the first faces wear"):
        faithfulness.coverings(None, xcos.explainers.CentreMap(), pairs, first=[])
