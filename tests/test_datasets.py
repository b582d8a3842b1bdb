"""Readers of benchmarks: what they take, that they run nothing, and what they say of damaged files."""

import io
import json
import os
import pickle
import tarfile
import unicodedata

import numpy as np
import pytest
from PIL import Image

from xcos import datasets
from xcos.datasets import plain_pickle

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


class Evil:
    def __reduce__(self):
        return os.getcwd, ()


def picture(value: int, size: int = 16) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), (value, 2 * value, 255 - value)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_bin(protocol, tmp_path):
    images = [picture(1), picture(2), picture(1), picture(3)]
    path = tmp_path / "pairs.bin"
    for labels in ([True, False], [1, 0], list(np.array([True, False])), np.array([True, False])):
        for stored in (images, [np.frombuffer(p, np.uint8) for p in images]):
            path.write_bytes(pickle.dumps((stored, labels), protocol))
            pairs = datasets.read_bin(path)
            assert pairs.same.tolist() == [True, False] and pairs.name == "pairs" and pairs.aligned
            assert [pairs.images[i] for i in pairs.first] == images[::2]
            assert [pairs.images[i] for i in pairs.second] == images[1::2]
            assert len(pairs.images) == 3 and pairs.names[0] == "image 0"  # the repeated one is there once


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_pickles_run_nothing(protocol, tmp_path):
    path = tmp_path / "evil.bin"
    path.write_bytes(pickle.dumps(([Evil()], [True]), protocol))
    with pytest.raises(ValueError, match=r"evil\.bin.*getcwd"):
        datasets.read_bin(path)


NAMES = ("builtins eval", "builtins getattr", "os system", "numpy load", "numpy.core.multiarray fromfile")


@pytest.mark.parametrize("name", NAMES)
def test_everything_else_is_refused_by_name(name):
    with pytest.raises(pickle.UnpicklingError, match=name.replace(" ", ".")):
        plain_pickle.load(io.BytesIO(f"c{name.replace(' ', chr(10))}\n.".encode()))


def test_arrays_of_pickles():
    value = [[np.arange(6, dtype=">i4").reshape(2, 3).copy(order="F"), np.float64(2.5)], (np.array([True]),)]
    for protocol in PROTOCOLS:
        read = plain_pickle.load(io.BytesIO(pickle.dumps(value, protocol)))
        np.testing.assert_array_equal(read[0][0], value[0][0])
        assert read[0][1] == 2.5 and read[1][0].dtype == bool
    for bad in (np.array([Evil()], object), np.zeros(1, [("a", "i4")]), np.array(["2020"], "datetime64[D]")):
        with pytest.raises(pickle.UnpicklingError):
            plain_pickle.load(io.BytesIO(pickle.dumps(bad)))


def test_pickles_of_python_2():
    # What Python 2 wrote for ([b"\xff\xd8"], [True]): texts are its bytes.
    data = b"((lp0\nS'\\xff\\xd8'\np1\na(lp2\nI01\natp3\n."
    assert plain_pickle.load(io.BytesIO(data)) == ([b"\xff\xd8"], [True])


def test_damaged_bins(tmp_path):
    path = tmp_path / "pairs.bin"
    whole = pickle.dumps(([b"a", b"b"], [True]))
    others = [pickle.dumps(value) for value in ([1, 2, 3], ([b"a"], [True]), 3)]
    for data in (b"", whole[:-3], b"no pickle", *others):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=r"pairs\.bin"):
            datasets.read_bin(path)
    rng = np.random.default_rng(3)
    for _ in range(300):  # whatever the damage: a ValueError or pairs
        data = bytearray(whole)
        data[rng.integers(len(data))] = rng.integers(256)
        path.write_bytes(data)
        try:
            datasets.read_bin(path)
        except ValueError:
            pass


def write_bcolz(folder, images, labels, per_chunk, blosc):
    """The form by hand: images (N, H, W, 3) uint8; chunks by the Blosc of bcolz's time where it is installed."""
    rows = ((images.transpose(0, 3, 1, 2) / np.float32(255)) - np.float32(0.5)) / np.float32(0.5)
    for part in ("meta", "data"):
        (folder / part).mkdir(parents=True)
    (folder / "meta/sizes").write_text(json.dumps({"shape": list(rows.shape), "nbytes": rows.nbytes, "cbytes": 1}))
    storage = {"dtype": "float32", "expectedlen": len(rows), "chunklen": per_chunk, "dflt": 0.0, "cparams": {}}
    (folder / "meta/storage").write_text(json.dumps(storage))
    for k in range(-(-len(rows) // per_chunk)):
        raw = np.ascontiguousarray(rows[k * per_chunk : (k + 1) * per_chunk]).tobytes()
        header = b"blpk\x01\x00\x00\x00" + (1).to_bytes(8, "little")
        (folder / f"data/__{k}.blp").write_bytes(header + blosc.compress(raw, typesize=4))
    np.save(folder.with_name(f"{folder.name}_list.npy"), np.array(labels))


@pytest.mark.parametrize("compressor", ["blosc", "blosc2"])
def test_bcolz(tmp_path, compressor):
    pytest.importorskip("blosc2", reason="the PyPI package blosc2 is not installed")
    blosc = pytest.importorskip(compressor, reason=f"the PyPI package {compressor} is not installed")
    images = np.random.default_rng(1).integers(0, 256, (22, 8, 8, 3), np.uint8)
    labels = [i % 3 == 0 for i in range(11)]
    write_bcolz(tmp_path / "lfw", images, labels, 4, blosc)  # 22 rows in chunks of 4: the sixth is not full
    pairs = datasets.read(tmp_path / "lfw")
    assert len(pairs) == 11 and pairs.same.tolist() == labels and pairs.name == "lfw"
    for i in (0, 21, 3, 4, 12):
        np.testing.assert_array_equal(pairs.images[i], images[i])
    swapped = datasets.read_bcolz(tmp_path / "lfw", bgr=True)
    np.testing.assert_array_equal(swapped.images[5], images[5, ..., ::-1])
    (tmp_path / "lfw/data/__2.blp").write_bytes(b"blpk" + bytes(12) + b"damaged")
    with pytest.raises(ValueError, match=r"__2\.blp"):
        pairs.images[9]


def lfw(tmp_path, form):
    """A list of two folds and its photographs as a folder, a tar or a compressed tar."""
    names = [f"{who}/{who}_{k:04d}.jpg" for who in ("Ann_B", "C") for k in (1, 2, 10)]
    root = tmp_path / "lfw"
    for i, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"photograph %d" % i)
    listed = tmp_path / "pairs.txt"
    listed.write_text("2\t1\nAnn_B\t1\t2\nAnn_B\t1\tC\t10\nC\t1\t2\nC\t2\tAnn_B\t10\n")
    if form == "folder":
        return listed, tmp_path, names
    path = tmp_path / f"lfw.{form}"
    with tarfile.open(path, "w:gz" if form == "tgz" else "w") as tar:
        tar.add(root, "lfw")
    return listed, path, names


@pytest.mark.parametrize("form", ["folder", "tar", "tgz"])
def test_lfw(tmp_path, form):
    listed, photos, names = lfw(tmp_path, form)
    pairs = datasets.read_lfw(listed, photos)
    assert pairs.folds == 2 and not pairs.aligned and pairs.same.tolist() == [True, False, True, False]
    content = {name: b"photograph %d" % i for i, name in enumerate(names)}

    def read(i):
        image = pairs.images[i]
        return image if isinstance(image, bytes) else image.read_bytes()

    assert [pairs.names[i] for i in pairs.second] == [names[1], names[5], names[4], names[2]]
    for i in [*pairs.first, *pairs.second]:
        assert read(i) == content[pairs.names[i]]
    assert len(pairs.images) == 6
    (tmp_path / "pairs.txt").write_text("2\t1\nC\t1\t3\n")
    with pytest.raises(FileNotFoundError, match=r"C/C_0003\.jpg"):
        datasets.read_lfw(listed, photos)


@pytest.mark.parametrize(("text", "line"), [("x", 1), ("", 1), ("2 1\nA\t1\n", 2), ("2 1\nA\t1\t2\nA\t1\tB\tx\n", 3),
                                            ("2 1\nA\t1\t²\n", 2), ("²\nA\t1\t2\n", 1), ("1 1\nA\t1\t2\n", 1),
                                            (f"2 1\nA\t{'9' * 5000}\t2\n", 2)])  # fmt: skip
def test_lfw_lists_that_make_no_sense(tmp_path, text, line):
    (tmp_path / "pairs.txt").write_text(text)
    with pytest.raises(ValueError, match=f"line {line}"):
        datasets.read_lfw(tmp_path / "pairs.txt", tmp_path)


def test_the_list_of_lfw(shared, tmp_path):
    """The list of the shared .bin and the .bin agree on labels and on which images occur twice."""
    listed = shared / "data/lfw_dev_pairs.txt"
    for line in listed.read_text().splitlines()[1:]:
        parts = line.split("\t")
        for who, k in ((parts[0], parts[1]), (parts[-2] if len(parts) == 4 else parts[0], parts[-1])):
            path = tmp_path / who / f"{who}_{int(k):04d}.jpg"
            path.parent.mkdir(exist_ok=True)
            path.touch()
    by_name, by_content = datasets.read_lfw(listed, tmp_path), datasets.read_bin(shared / "data/lfw_dev.bin")
    np.testing.assert_array_equal(by_name.same, by_content.same)
    assert by_name.folds == 5 and len(by_name) == 3000
    assert len(by_name.images) >= len(by_content.images) > 3800  # a few photographs of LFW are there twice


def test_csv(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("second,first,same,age\nb.jpg,ä.jpg,1,young\nc/d.jpg,b.jpg,Different,old\n", encoding="utf-8-sig")
    pairs = datasets.read(path)
    assert [str(pairs.images[i].relative_to(tmp_path)) for i in pairs.first] == ["ä.jpg", "b.jpg"]
    assert [pairs.names[i] for i in pairs.second] == ["b.jpg", "c/d.jpg"]
    assert pairs.same.tolist() == [True, False] and pairs.groups["age"].tolist() == ["young", "old"]
    assert pairs[1:].groups["age"].tolist() == ["old"] and len(pairs[1:].used) == 2
    for text, message in (
        ("a,b\n1,2\n", "first, second, same"),
        ("first,second,same\na,b,maybe\n", "line 2: same is 'maybe'"),
        ("first,second,same\na,b,1\nc,d\n", "line 3"),
        ("first,second,same\na,b,1,extra\n", "line 2"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            datasets.read_csv(path)


def test_digest_is_of_content(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for i in range(3):
            (tmp_path / name / f"{i}.png").write_bytes(picture(i))
        (tmp_path / name / "pairs.csv").write_text("first,second,same\n0.png,1.png,1\n1.png,2.png,0\n")
    one, two = (datasets.read(tmp_path / name / "pairs.csv") for name in ("one", "two"))
    assert one.digest() == two.digest() != one[:1].digest()
    (tmp_path / "two/2.png").write_bytes(b"other")
    assert one.digest() != two.digest()


def test_unfit_pairs_and_unknown_forms(tmp_path):
    with pytest.raises(ValueError, match="images 0 to 5; there are 2"):
        datasets.Pairs("x", [b"a", b"b"], ["a", "b"], [0], [5], [True])
    with pytest.raises(ValueError, match="first has the shape"):
        datasets.Pairs("x", [b"a", b"b"], ["a", "b"], [0, 1], [1], [True])
    with pytest.raises(ValueError, match="1 names for 2 images"):
        datasets.Pairs("x", [b"a", b"b"], ["a"], [0], [1], [True])
    with pytest.raises(ValueError, match=r"expected a \.bin"):
        datasets.read(tmp_path / "pairs.tgz")
    with pytest.raises(ValueError, match="bcolz"):
        datasets.read(tmp_path)


GOOD = [
    [True, False], [1, 0], [1, -1], [1.0, 0.0], np.array([1, -1]), np.array([[True], [False]]),
    np.array([True, False], object),
]  # fmt: skip
BAD = [
    ["1", "0"], ["True", "False"], [b"1", b"0"], [1, 2], [True, None], [1.0, float("nan")], [0.9, 0.1],
    np.array([2, 1]),
]  # fmt: skip


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_labels(protocol, tmp_path):
    path = tmp_path / "pairs.bin"
    images = [picture(i) for i in range(4)]
    for labels in GOOD:
        path.write_bytes(pickle.dumps((images, labels), protocol))
        assert datasets.read_bin(path).same.tolist() == [True, False]
        assert datasets.Pairs("x", images, list("abcd"), [0, 1], [2, 3], labels).same.tolist() == [True, False]
    for labels in BAD:
        path.write_bytes(pickle.dumps((images, labels), protocol))
        with pytest.raises(ValueError, match=r"pairs\.bin: label \d is .*; expected bools, 0 and 1, or -1 and 1"):
            datasets.read_bin(path)
    with pytest.raises(ValueError, match="labels of -1, 0 and 1"):
        datasets.Pairs("x", images, list("abcd"), [0, 1, 2], [2, 3, 3], [-1, 0, 1])
    path.write_bytes(pickle.dumps(([], []), protocol))
    with pytest.raises(ValueError, match="holds no pairs"):
        datasets.read_bin(path)


@pytest.mark.parametrize("content", [
    b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 1\n", b"<!DOCTYPE html>\n<html></html>", b"",
    b"\x1f\x8b\x08abc", b"PK\x03\x04abc", b"no benchmark at all",
])  # fmt: skip
def test_a_bin_that_is_something_else_is_told_by_what_it_is(content, tmp_path):
    """Messages speak of the file, not of the parser."""
    path = tmp_path / "lfw.bin"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"lfw\.bin: .*(Git LFS|HTML page|empty|gzip|zip archive|text)") as caught:
        datasets.read_bin(path)
    assert "Error" not in str(caught.value)


def test_images_of_a_bin(tmp_path):
    path = tmp_path / "pairs.bin"
    images = [picture(1), picture(2)]
    arrays = [np.frombuffer(data, np.uint8) for data in images]
    columns, rows = [a[:, None] for a in arrays], [a[None] for a in arrays]
    single = [np.bytes_(data) for data in images], [np.void(data) for data in images]
    for form in ([bytearray(data) for data in images], np.array(images, object), columns, rows, *single):
        for protocol in PROTOCOLS:
            path.write_bytes(pickle.dumps((form, [True]), protocol))
            pairs = datasets.read_bin(path)
            assert [pairs.images[i] for i in (0, 1)] == images
    pixels = [np.asarray(Image.open(io.BytesIO(data))) for data in images]
    path.write_bytes(pickle.dumps((pixels, [True])))
    for image, expected in zip(datasets.read_bin(path).images, pixels, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(image))), expected)
    path.write_bytes(pickle.dumps((["/etc/passwd"] * 2, [True])))
    with pytest.raises(ValueError, match="expected a list of images"):
        datasets.read_bin(path)


ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-32", "latin-1"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lists_in_any_encoding(encoding, end, tmp_path):
    for name in ("Zoë/Zoë_0001.JPG", "Zoë/Zoë_0002.png", "Al B/Al B_0001.jpeg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    lines = ["# made by hand", "2\t1  ", "Zoë\t1\t2\t", "", "# another", "Zoë\t2\tAl B\t1  "]
    (tmp_path / "pairs.txt").write_bytes(end.join(lines).encode(encoding))
    pairs = datasets.read_lfw(tmp_path / "pairs.txt", tmp_path)
    assert pairs.same.tolist() == [True, False] and pairs.folds == 2
    assert [pairs.images[i].name for i in pairs.second] == ["Zoë_0002.png", "Al B_0001.jpeg"]
    (tmp_path / "Zoë/Zoë_0002.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"pairs\.txt, line 3: Zoë/Zoë_0002\.jpg is missing"):
        datasets.read_lfw(tmp_path / "pairs.txt", tmp_path)
    (tmp_path / "pairs.csv").write_bytes(end.join(["first;second;same", "ä.jpg;b c.jpg;1"]).encode(encoding))
    pairs = datasets.read_csv(tmp_path / "pairs.csv")
    assert pairs.names == ["ä.jpg", "b c.jpg"] and pairs.same.tolist() == [True]


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_tables_of_pandas(index, separator, tmp_path):
    pandas = pytest.importorskip("pandas")
    paths = {"First": ["a.jpg", "b.jpg"], " SECOND ": ["c.jpg", 'x, "y"; z.jpg']}
    frame = pandas.DataFrame({**paths, "Same": [1.0, 0.0], "Sex": ["f", "m"]})
    path = tmp_path / "pairs.csv"
    frame.to_csv(path, index=index, sep=separator)
    for _ in range(2):
        pairs = datasets.read_csv(path)
        assert pairs.names == ["a.jpg", "b.jpg", "c.jpg", 'x, "y"; z.jpg'] and pairs.same.tolist() == [True, False]
        assert {key: value.tolist() for key, value in pairs.groups.items()} == {"sex": ["f", "m"]}
        pandas.read_csv(path, sep=separator).to_csv(path, index=index, sep=separator)  # with an index of an index


@pytest.mark.parametrize("text", [
    "# by hand\nfirst,second,same\na,b,1\nc,d,0\ne,f,1\n", "sep=;\nfirst;second;same\na;b;1\nc;d;0\ne;f;1\n",
    "first|second|same\na|b|1\nc|d|0\ne|f|1\n", "row,first,second,same\n0,a,b,1\n1,c,d,0\n2,e,f,1\n",
    "id,first,second,same\n1,a,b,1\n2,c,d,0\n3,e,f,1\n",
])  # fmt: skip
def test_tables_of_other_programs(text, tmp_path):
    """Comments, Excel's line about the separator, bars; a named column that numbers the rows is no group."""
    (tmp_path / "pairs.csv").write_text(text)
    pairs = datasets.read_csv(tmp_path / "pairs.csv")
    assert pairs.names == list("acebdf") and pairs.same.tolist() == [True, False, True] and not pairs.groups


def test_names_with_accents_taken_apart(tmp_path):
    """As macOS writes file names, and lists do not."""
    for k in (1, 2):
        path = tmp_path / unicodedata.normalize("NFD", f"Zoë/Zoë_000{k}.jpg")
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (tmp_path / "pairs.txt").write_text(unicodedata.normalize("NFC", "1\nZoë\t1\t2\n"))
    assert len(datasets.read_lfw(tmp_path / "pairs.txt", tmp_path)) == 1


@pytest.mark.parametrize(("text", "said"), [
    ("first,second,same,same\na,b,1,0\n", "column 'same' twice"), ('first,second,same\na,b,"1\nc,d,0\n', "line"),
    ('first,second,same\n"' + "x" * 140_000 + '",b,1\n', "line 2: .*quote"), ("first,second,same\n", "no pairs"),
    ("first,second,same\na,b,1\nc,d,0\ne,f,-1\n", "labels of -1, 0 and 1"), ("", "columns"),
    ("first,second,same\na,b,0.5\n", "line 2: same is '0.5'"),
    ("first,second,same\na,b,nan\n", "line 2: same is 'nan'"),
    ("first,second,same\na,,1\n", "line 2: a path is missing"), ("f\0irst", "null bytes"),
])  # fmt: skip
def test_tables_that_make_no_sense(text, said, tmp_path):
    (tmp_path / "pairs.csv").write_text(text)
    with pytest.raises(ValueError, match=rf"pairs\.csv.*{said}"):
        datasets.read_csv(tmp_path / "pairs.csv")


def test_paths_of_tables(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("sub/a b.jpg", "home/c.jpg", "d.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "pairs.csv").write_text(f"first,second,same\nsub\\a b.jpg,~/c.jpg,1\n d.jpg ,{tmp_path}/d.jpg,1\n")
    images = datasets.read_csv(tmp_path / "pairs.csv").images
    assert all(os.path.exists(image) for image in images) and len(images) == 4


def test_pairs_of_people(tmp_path):
    from xcos.datasets import pairs_of

    rng = np.random.default_rng(0)
    pictures = {0: 1, 1: 2, 2: 9, 3: 3, 4: 2, 5: 1}
    owners = np.repeat(list(pictures), list(pictures.values()))
    for i, owner in enumerate(owners):
        folder = tmp_path / f"person{owner}"
        folder.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (112, 112, 3), np.uint8)).save(folder / f"{i:02}.png")
    faces = datasets.read_faces(tmp_path)
    pairs = pairs_of(faces, each=4, others=2)
    a, b = faces.labels[pairs.first], faces.labels[pairs.second]
    np.testing.assert_array_equal(a == b, pairs.same)
    assert np.bincount(a[pairs.same], minlength=6).tolist() == [0, 1, 4, 3, 1, 0]  # at most four of one person
    assert np.bincount(pairs.first[~pairs.same]).tolist() == [2] * len(owners)  # each picture meets two other people
    assert len(np.unique(np.sort([pairs.first[pairs.same], pairs.second[pairs.same]], 0), axis=1).T) == pairs.same.sum()
    assert (np.diff(a) >= 0).all() and (pairs.first[pairs.same] != pairs.second[pairs.same]).all()
    assert pairs.images[3] == faces.encoded(3)
    again = pairs_of(faces, each=4, others=2)
    np.testing.assert_array_equal(again.second, pairs.second)
    assert (pairs_of(faces, each=4, others=2, seed=1).second != pairs.second).any()
    for wrong, words in (({"each": 0}, "at least 1"), ({"others": 6}, "6 people"), ({"others": 0}, "at least 1")):
        with pytest.raises(ValueError, match=words):
            pairs_of(faces, **wrong)
