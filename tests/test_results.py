"""Results: their arithmetic, and what they look like as text, JSON, files and in notebooks."""

import copy
import dataclasses
import importlib
import io
import json
import pickle
import pkgutil
import re
import sys
from base64 import b64decode

import numpy as np
import pytest
from PIL import Image

import xcos
from xcos.recognition.explanation import Explanation
from xcos.recognition.results import Verification, save


def make(score_shift: float = 0.0, names: tuple[str, str] = ("a.jpg", "b.jpg"), explained: float = 1.0) -> Explanation:
    rng = np.random.default_rng(4)
    logits = rng.normal(size=(7, 7))
    attention = (np.exp(logits) / np.exp(logits).sum()).astype(np.float32)
    cosine = (rng.uniform(-0.3, 0.9, (7, 7)) + score_shift).clip(-1, 1).astype(np.float32)
    return Explanation(
        score=explained * float((attention * cosine).sum()) + (1 - explained) * 0.5,
        threshold=0.24,
        cosine=0.5,
        threshold_from="best on <pairs> & more",
        model="test",
        cosine_map=cosine,
        attention=attention,
        crops=rng.integers(0, 256, (2, 112, 112, 3), dtype=np.uint8),
        names=names,
        explained=explained,
    )


def verification(score: float, threshold: float = 0.24) -> Verification:
    return Verification(score, threshold, 0.5, "somehow", "test")


@pytest.mark.parametrize(("score", "same"), [(0.25, True), (0.24, False), (0.2, False), (-1.0, False)])
def test_same_is_over_the_threshold(score, same):
    assert verification(score).same is same


def test_contributions_sum_to_the_score():
    e = make()
    assert e.contribution.sum() == pytest.approx(e.score, abs=1e-6)
    np.testing.assert_allclose(e.contribution, e.attention.astype(float) * e.cosine_map, rtol=1e-6)


@pytest.mark.parametrize("explained", [0.7, 0.0])
def test_with_the_whole_they_sum_to_the_score(explained):
    e = make(explained=explained)
    assert e.whole == pytest.approx((1 - explained) * 0.5)
    assert e.contribution.sum() + e.whole == pytest.approx(e.score, abs=1e-6)
    assert e.local == pytest.approx(float(e.contribution.sum()), abs=1e-6)
    kept = e.to_dict()
    assert np.sum(kept["contribution"]) + kept["whole"] == pytest.approx(kept["score"], abs=1e-6)


# Data, not results: each is only itself.
INPUTS = {"Pairs", "People", "LabelledCrops", "ModelFile", "Seen", "Faces", "Templates"}


ARRAY = re.compile("NDArray|ndarray|Doubles|Floats|Crops")


def all_dataclasses():
    for found in pkgutil.walk_packages(xcos.__path__, "xcos."):
        if not found.name.endswith("__main__"):
            try:
                module = importlib.import_module(found.name)
            except ImportError:  # an extra that is not installed
                continue
            for one in vars(module).values():
                if isinstance(one, type) and dataclasses.is_dataclass(one) and one.__module__ == found.name:
                    yield one


def test_equality_is_of_the_arrays():
    e = make()
    assert pickle.loads(pickle.dumps(e)) == e and hash(pickle.loads(pickle.dumps(e))) == hash(e)
    for name in ("cosine_map", "attention", "crops"):
        changed = getattr(e, name).copy()
        changed.flat[5] = 0 if changed.flat[5] else 1
        assert dataclasses.replace(e, **{name: changed}) != e
    with_evidence = dataclasses.replace(e, evidence=np.full((7, 7), np.nan, np.float32))
    assert with_evidence != e and with_evidence == pickle.loads(pickle.dumps(with_evidence))
    assert verification(0.3) != verification(0.31) and verification(0.3) != e and e != "e"
    assert verification(1) == verification(1.0) and len({verification(1), verification(1.0), e, make()}) == 2


def test_all_results_that_hold_arrays_compare_them():
    """Whatever class it is: a copy is equal and hashes alike; with one number of an array changed it is not."""
    checked = set()
    for one in all_dataclasses():
        listed = dataclasses.fields(one)
        arrays = [f.name for f in listed if ARRAY.search(str(f.type)) and "Callable" not in str(f.type)]
        if not arrays or one.__name__ in INPUTS:
            continue
        made = object.__new__(one)
        for f in listed:
            value = np.arange(6.0).reshape(2, 3) if f.name in arrays else (f.name,)
            object.__setattr__(made, f.name, value)
        same, other = copy.deepcopy(made), copy.deepcopy(made)
        getattr(other, arrays[-1])[1, 2] = -1
        assert made == same and hash(made) == hash(same) and made != other, one
        checked.add(one.__name__)
    assert checked > {"Explanation", "Face", "Features", "Comparison", "CellTruth", "Roc", "SaliencyPair", "Measure"}


def test_results_are_frozen_and_slotted():
    for result in (verification(0.3), make()):
        with pytest.raises(dataclasses.FrozenInstanceError):
            result.score = 1.0
        assert not hasattr(result, "__dict__")


def test_repr_is_one_short_line_with_the_threshold():
    assert repr(verification(0.3)) == "Verification(same person: score 0.3000 > threshold 0.2400)"
    assert repr(verification(0.1)) == "Verification(different people: score 0.1000 <= threshold 0.2400)"
    assert repr(make()).startswith("Explanation(") and len(repr(make())) < 90


def test_results_pickle():
    e = pickle.loads(pickle.dumps(make()))
    np.testing.assert_array_equal(e.crops, make().crops)
    assert e.to_dict() == make().to_dict()
    assert pickle.loads(pickle.dumps(verification(0.3))) == verification(0.3)


def test_dict_is_plain_json():
    e = make()
    back = json.loads(json.dumps(e.to_dict()))
    assert back["same"] is e.same
    assert back["threshold_from"] == e.threshold_from
    assert np.sum(back["contribution"]) == pytest.approx(back["score"], abs=1e-6)
    assert np.float32(back["cosine_map"]).shape == (7, 7)


def test_save_json_and_npz(tmp_path):
    e = make()
    e.save(tmp_path / "e.json")
    assert json.loads((tmp_path / "e.json").read_text()) == e.to_dict()
    e.save(str(tmp_path / "e.npz"))
    with np.load(tmp_path / "e.npz", allow_pickle=False) as archive:
        for name in ("cosine_map", "attention", "contribution", "crops"):
            np.testing.assert_array_equal(archive[name], getattr(e, name))
        assert archive["score"] == e.score and list(archive["names"]) == list(e.names)
        assert not any(archive[name].dtype.hasobject for name in archive.files)
        assert "allow_pickle" not in archive.files  # NumPy 1.26 takes the keyword for an array
    verification(0.3).save(tmp_path / "v.json")
    assert json.loads((tmp_path / "v.json").read_text())["score"] == 0.3


def test_save_pictures(tmp_path):  # those of explanations: test_plot.py
    for suffix, magic in ((".png", b"\x89PNG"), (".PDF", b"%PDF"), (".svg", b"<?xml")):
        path = tmp_path / f"picture{suffix}"
        verification(0.3).save(path)
        assert path.read_bytes().startswith(magic)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["picture.PDF", "picture.png", "picture.svg"]


def test_save_names_what_it_can_write(tmp_path):
    with pytest.raises(ValueError, match=r"e\.gif.*\.png.*\.npz.*got '\.gif'"):
        make().save(tmp_path / "e.gif")
    with pytest.raises(ValueError, match=r"\.json, got ''"):
        verification(0.3).save(tmp_path / "plain")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        make().save(tmp_path / "nowhere" / "e.json")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "e.json"
    path.write_text("old")

    def fail(file: io.BufferedWriter) -> None:
        file.write(b"half")
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError):
        save(path, {".json": fail})
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["e.json"]


def test_notebooks_show_a_picture_or_a_table():
    e = make()
    shown = e._repr_mimebundle_()
    with Image.open(io.BytesIO(b64decode(shown["image/jpeg"]))) as image:
        image.load()
        assert image.width > 800 and image.format == "JPEG"
        inside = re.search('src="data:image/webp;base64,([^"]+)"', shown["text/html"])
        assert inside and shown["text/html"] == e._repr_html_()
        with Image.open(io.BytesIO(b64decode(inside[1]))) as fallback:  # the same but for what compression takes
            difference = np.abs(np.asarray(image, int) - np.asarray(fallback.convert("RGB"), int))
            assert difference.mean() < 5  # the crops are noise, which suffers most
    table = verification(0.3)._repr_html_()
    assert table is not None and "0.2400" in table and "same person" in table


def test_without_matplotlib(monkeypatch):
    e = make()
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"] + ["xcos.drawing.plot"]:
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delattr("xcos.drawing.plot", raising=False)
    with pytest.raises(ImportError, match=r"pip install xcos\[plot\]"):
        e.plot()
    with pytest.raises(ImportError, match=r"pip install xcos\[plot\]"):
        e.save("never.png")
    shown = e._repr_mimebundle_()
    assert set(shown) == {"text/html"}
    table = shown["text/html"]
    assert table is not None and "best on &lt;pairs&gt; &amp; more" in table
