"""The accuracy benchmark's own parts: a reader that runs nothing, and the protocol against a plain transcription."""

import importlib.util
import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

PATH = Path(__file__).parents[1] / "benchmarks/accuracy.py"
SPEC = importlib.util.spec_from_file_location("accuracy", PATH)
accuracy = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(accuracy)


class Evil:
    def __reduce__(self):
        return os.getcwd, ()


def load(data: bytes):
    return accuracy.PlainUnpickler(io.BytesIO(data), encoding="bytes").load()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_reader_takes_what_bins_hold(protocol, tmp_path):
    pictures = [b"\xff\xd8one", b"two", b"three", b"four"]
    path = tmp_path / "pairs.bin"
    for labels in ([True, False], [1, 0], list(np.array([True, False]))):
        for stored in (pictures, [np.frombuffer(p, np.uint8) for p in pictures]):
            path.write_bytes(pickle.dumps((stored, labels), protocol))
            read, found = accuracy.read_pairs(path)
            assert read == pictures and found.tolist() == [True, False]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_reader_runs_nothing(protocol):
    with pytest.raises(pickle.UnpicklingError, match="getcwd"):
        load(pickle.dumps(([Evil()], [True]), protocol))
    for name in ("eval", "__import__", "getattr"):
        with pytest.raises(pickle.UnpicklingError, match=name):
            load(f"cbuiltins\n{name}\n.".encode())


def test_protocol():
    rng = np.random.default_rng(7)
    labels = rng.random(200) < 0.5
    scores = (rng.normal(0.5 * labels, 0.3)).clip(-1, 1)
    expected = []
    for fold in range(5):
        test = [i for i in range(200) if i // 40 == fold]
        best, threshold = -1, None
        for k in range(401):
            t = (k - 200) * 0.005
            right = sum((scores[i] > t) == labels[i] for i in range(200) if i not in test)
            if right > best:
                best, threshold = right, t
        expected.append(sum((scores[i] > threshold) == labels[i] for i in test) / 40)
    assert accuracy.fold_accuracy(scores, labels, 5)[0] == pytest.approx(np.mean(expected))


def test_shuffled_pairs_are_of_two_people():
    order = accuracy.shuffled(70)
    assert sorted(order) == list(range(70)) and (order != np.arange(70)).all()
    np.testing.assert_array_equal(order, accuracy.shuffled(70))
