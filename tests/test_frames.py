"""Results as pandas tables: the same numbers, in the same places."""

import sys

import numpy as np
import pytest

import xcos
from xcos.datasets import Pairs

pd = pytest.importorskip("pandas")


@pytest.fixture(scope="module")
def model():
    return xcos.load()


@pytest.fixture(scope="module")
def photographs(photos):
    return [photos[name] for name in ("obama_congress_2009", "biden_blue_room_2010", "obama_blue_room_2010")]


def test_verifications(photographs, photos):
    some = [photographs[0], np.zeros((150, 150, 3), np.uint8), photographs[1]]
    results = xcos.verify(some, photos["obama_portrait_2012"], skip_failed=True)
    table = xcos.to_frame(results)
    assert list(table.index) == [0, 1, 2] and table.iloc[1].isna().all()
    for k in (0, 2):
        assert {name: table[name][k] for name in table} == results[k].to_dict()
    assert table["same"][0] and not table["same"][2]


def test_explanations(photographs, photos):
    results = xcos.explain(photographs, photos["obama_portrait_2012"])
    table = xcos.to_frame(results)
    assert table["first"].tolist() == [result.names[0] for result in results]
    assert table["score"].tolist() == [result.score for result in results]
    assert not {"cosine_map", "attention", "names"} & set(table)
    assert xcos.to_frame([]).empty


def test_a_comparison(model, photographs):
    seen = model.features(photographs)
    compared = model.compare(seen[0], seen)
    table = compared.to_frame()
    assert list(table) == ["same", "score", "local", "whole", "cosine", "threshold"] and len(table) == 3
    for name in ("same", "score", "local", "whole", "cosine"):
        np.testing.assert_array_equal(table[name], getattr(compared, name))
    assert (table["threshold"] == model.threshold).all()


def test_a_report(model, photographs):
    pytest.importorskip("sklearn")
    images = [*model.crops(photographs), np.zeros((3, 3, 3), np.uint8)]  # the last one can't be used
    first, second = np.array([0, 3, 0, 1, 2, 1]), np.array([2, 1, 1, 2, 0, 0])
    same = np.array([1, 0, 0, 0, 1, 0], bool)
    groups = {"light": np.array(list("abcdef"))}
    pairs = Pairs("four", images, list("pqrs"), first, second, same, folds=2, groups=groups)
    report = xcos.evaluate(model, pairs, threshold="model")
    table = report.to_frame()
    assert table.index.tolist() == [0, 2, 3, 4, 5] and table["first"].tolist() == list("ppqrq")
    assert table["second"].tolist() == list("rqrpp") and table["light"].tolist() == list("acdef")
    np.testing.assert_array_equal(table["same"], same[table.index])
    seen = model.features(images[:3], aligned=True)
    np.testing.assert_allclose(table["score"], model.compare(seen[first[table.index]], seen[second[table.index]]).score)
    np.testing.assert_array_equal(table["decided"], table["score"] > model.threshold)


def test_without_pandas(model, photographs, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    seen = model.features(photographs[:1])
    for ask in (model.compare(seen, seen).to_frame, lambda: xcos.to_frame([])):
        with pytest.raises(ImportError, match="a DataFrame needs pandas: pip install pandas"):
            ask()
