"""Groups of the pictures of pairs, and all pairs of a collection."""

import itertools

import numpy as np
import pytest

from xcos import datasets
from xcos.datasets.groups import labels_of

NAMES = ["x/a.jpg", "x/b.jpg", "y/c.jpg"]


@pytest.fixture
def pairs():
    return datasets.Pairs("three", [b"a", b"b", b"c"], NAMES, [0, 0, 1], [1, 2, 2], [True, False, False], folds=2)


def sides(pairs, groups=None, columns=None):
    """Texts of both pictures of each pair, by column; "" without a label."""
    found = labels_of(pairs, groups, columns)
    return {key: [tuple((*one.groups, "")[code] for code in row) for row in one.codes] for key, one in found.items()}


def test_labels_of_pictures_and_of_pairs_agree(pairs, tmp_path):
    expected = {"sex": [("f", "f"), ("f", "m"), ("f", "m")], "age": [("old", ""), ("old", "old"), ("", "old")]}
    by_image = {"sex": ["f", "f", "m"], "age": ["old", "nan", "old"]}
    tables = {
        "picture": "Picture;sex;age\na.jpg;f;old\nx/b.jpg;f;\nelsewhere\\c.jpg;m;old\nother.jpg;m;young\n",
        "index": "index,same,sex_first,sex_second,age_first,age_second\n"
        "2,0,f,m,,old\n0,1,f,f,old,NaN\n1,0,f,m,old,old\n",
    }
    assert sides(pairs, by_image) == expected
    for name, text in tables.items():
        (tmp_path / name).write_text(text)
        assert sides(pairs, tmp_path / name) == expected
        assert sides(datasets.with_groups(pairs, tmp_path / name)) == expected
        assert list(sides(pairs, tmp_path / name, ["age"])) == ["age"]
    plain = datasets.Pairs("x", pairs.images, NAMES, [0, 0], [1, 2], [1, 0], folds=2, groups={"light": ["dim", ""]})
    assert sides(plain) == {"light": [("dim", "dim"), ("", "")]}


@pytest.mark.parametrize(("content", "message"), [
    (b"", "is empty"),
    (b"picture,sex\n", "no rows"),
    (b"\x89PNG\r\n\x00\x01", "null bytes"),
    (b"\xfc\xfd,\xe4\n1,2\n", "expected picture"),
    (b"who,sex\na.jpg,f\n", r"has the columns \['who', 'sex'\]; expected picture"),
    (b"picture\na.jpg\n", "none of groups"),
    (b"picture,sex\nq.jpg,f\n", "none of its 1 pictures is of three; got such as 'q.jpg', expected such as 'x/a.jpg'"),
    (b"picture,sex\na.jpg,f\nx/a.jpg,m\n", "line 3: 'x/a.jpg' is 'm', but 'f' in line 2"),
    (b"picture,sex\na.jpg,NaN\n", "column 'sex' has no label"),
    (b"index,sex\n3,f\n", "line 2: index is '3'; expected a pair of three, 0 to 2"),
    (b"index,sex\nnan,f\n", "index is 'nan'"),
    (b"index,same,sex\n0,0,f\n", "line 2: same is '0', but pair 0 of three shows one person"),
])  # fmt: skip
def test_tables_that_do_not_fit(pairs, tmp_path, content, message):
    path = tmp_path / "groups.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        labels_of(pairs, path)


def test_groups_that_do_not_fit(pairs):
    with pytest.raises(ValueError, match="no columns of groups"):
        labels_of(pairs)
    with pytest.raises(ValueError, match="no column 'age'; expected some of sex"):
        labels_of(pairs, {"sex": ["f", "f", "m"]}, ["age"])
    with pytest.raises(ValueError, match="2 texts of 'sex' for 3 images"):
        labels_of(pairs, {"sex": ["f", "m"]})
    many = datasets.Pairs("many", [b""] * 101, [str(i) for i in range(101)], range(100), range(1, 101), [1] * 100)
    with pytest.raises(ValueError, match="101 groups; expected at most 100"):
        labels_of(many, {"name": many.names})


def test_a_name_of_two_pictures(tmp_path):
    pairs = datasets.Pairs("two", [b"a", b"b"], ["x/a.jpg", "y/a.jpg"], [0], [1], [True], folds=2)
    path = tmp_path / "groups.csv"
    path.write_text("picture,sex\ny/a.jpg,f\n")
    assert sides(pairs, path) == {"sex": [("", "f")]}
    path.write_text("picture,sex\na.jpg,f\n")
    with pytest.raises(ValueError, match="may be 2 pictures of two; expected its whole name"):
        labels_of(pairs, path)


def test_all_pairs():
    who = ["ann", "bob", "ann", "cy"]
    templates = datasets.Templates("four", list("1234"), who, list("abcd"), list("pqrs"), np.arange(4))
    pairs = datasets.all_pairs(templates, aligned=True)
    expected = list(itertools.combinations(range(4), 2))
    assert list(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)) == expected
    assert pairs.same.tolist() == [who[i] == who[j] for i, j in expected] and pairs.aligned
    some = [datasets.all_pairs(templates, most=3, seed=seed) for seed in (0, 0, *range(1, 9))]
    assert all(len(one) == 3 and len(one.used) == 3 for one in some)
    assert (some[0].used == some[1].used).all() and len({tuple(one.used) for one in some}) > 1
    with pytest.raises(ValueError, match="at least 2 pictures, got 1"):
        datasets.all_pairs(templates, most=1)
    with pytest.raises(ValueError, match="four: expected at least 2 pictures, got 1"):
        datasets.all_pairs(datasets.Templates("four", ["1"], ["ann"], ["a"], ["p"], np.arange(1)))


def test_labels_of_bools_are_copied():
    same = np.array([True, False])
    pairs = datasets.Pairs("x", [b"a", b"b"], ["a", "b"], [0, 0], [1, 1], same, folds=2)
    same[0] = False
    assert pairs.same.tolist() == [True, False]
