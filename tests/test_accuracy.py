"""The accuracy benchmark's own part: which photographs it pairs. The rest: test_datasets, test_evaluation."""

import importlib.util
from pathlib import Path

import numpy as np

PATH = Path(__file__).parents[1] / "benchmarks/accuracy.py"
SPEC = importlib.util.spec_from_file_location("accuracy", PATH)
accuracy = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(accuracy)


def test_shuffled_pairs_are_of_two_people():
    order = accuracy.shuffled(70)
    assert sorted(order) == list(range(70)) and (order != np.arange(70)).all()
    np.testing.assert_array_equal(order, accuracy.shuffled(70))
