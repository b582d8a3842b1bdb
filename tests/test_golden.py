"""The default model on the shipped photographs gives what its twins in NumPy gave (golden.py), on every instruction
set of the machine, within 1e-5."""

import json

import golden
import pytest

import xcos
from xcos.recognition.model import Model

HELD = json.loads(golden.PLACE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def crops():
    return xcos.load().crops([str(path) for path in golden.PHOTOS])


def test_golden_values(isa, crops):
    model = Model(xcos.load().file)  # made anew: networks keep the instruction set that they were made with
    assert model.name == HELD["model"], "another default model: run tests/golden.py and look at the difference"
    for (a, b), (pair, expected) in zip(golden.PAIRS, HELD["pairs"].items(), strict=True):
        assert pair == f"{a}, {b}"
        names = [path.stem for path in golden.PHOTOS]
        e = model.explain(crops[names.index(a)], crops[names.index(b)], aligned=True)
        got = {"score": e.score, "least cosine": e.cosine_map.min(), "most attention": e.attention.max()}
        assert got == pytest.approx(expected, abs=1e-5)
