"""The default model on the shipped photographs gives what its twins in NumPy gave (golden.py), on every instruction
set of the machine, within 1e-5; and its crops are the same on every machine, but for what rounds otherwise."""

import json

import golden
import numpy as np
import pytest

import xcos
from xcos.recognition.model import Model

HELD = json.loads(golden.PLACE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def crops():
    return np.split(xcos.read_image(golden.CROPS), len(golden.PHOTOS))


def test_crops_are_those_of_the_other_machine(crops):
    """The detector's sums round otherwise on another processor, or in another order: points move by less than 0.01
    pixels (seen with SSE2, NEON and plain C), a pixel in a hundred by a level, one in a hundred thousand by two."""
    got = xcos.load().crops([str(path) for path in golden.PHOTOS])
    off = np.abs(got - np.asarray(crops, np.int16))
    assert off.max() <= 2
    assert np.count_nonzero(off > 1) <= 1e-5 * off.size
    assert np.count_nonzero(off) <= 0.02 * off.size


def test_golden_values(isa, crops):
    model = Model(xcos.load().file)  # made anew: networks keep the instruction set that they were made with
    assert model.name == HELD["model"], "another default model: run tests/golden.py and look at the difference"
    for (a, b), (pair, expected) in zip(golden.PAIRS, HELD["pairs"].items(), strict=True):
        assert pair == f"{a}, {b}"
        names = [path.stem for path in golden.PHOTOS]
        e = model.explain(crops[names.index(a)], crops[names.index(b)], aligned=True)
        got = {"score": e.score, "least cosine": e.cosine_map.min(), "most attention": e.attention.max()}
        assert got == pytest.approx(expected, abs=1e-5)
