"""Accuracy of the default model: verification pairs, and photographs end to end. Prints one table.

    python benchmarks/accuracy.py [--shared ../shared] [--model NAME_OR_FILE]

Pairs: an InsightFace .bin (pickle of a list of JPEG bytes, two a pair, and a list of bool), aligned 112 x 112.
Protocol, as in the xCos reference: folds of equal size in file order; thresholds -1, -0.995 ... 1; a pair is the
same person when score > threshold; the best threshold on the other folds is used on each fold; mean over folds.
Here with 5 folds, since lfw_dev.bin is one half of LFW.

Photographs: a tar of NAME_0001.jpg, NAME_0002.jpg; faces are found, aligned and compared at the model's own
threshold: each person's two photographs, and as many pairs of two people, shuffled with a fixed seed.
"""

import argparse
import pickle
import tarfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import xcos

FOLDS = 5
THRESHOLDS = np.arange(-200, 201) * 0.005
SEED = 20


def _latin1(text: str, encoding: str) -> bytes:
    """How pickle protocol 2 writes bytes."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes written as {encoding!r}")
    return text.encode("latin1")


class PlainUnpickler(pickle.Unpickler):
    """Admits lists, tuples, bytes, numbers and NumPy arrays of them; refuses every other class by name."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):
            return _latin1
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name in ("_reconstruct", "scalar"):
            return getattr(np._core.multiarray, name)
        if module in ("numpy.core.numeric", "numpy._core.numeric") and name == "_frombuffer":
            return getattr(np._core.numeric, name)
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        raise pickle.UnpicklingError(f"a .bin of pairs holds no {module}.{name}")


def read_pairs(path: Path) -> tuple[list[bytes], NDArray[np.bool_]]:
    """InsightFace .bin -> encoded pictures (two a pair) and labels, True = the same person."""
    with open(path, "rb") as file:
        pictures, labels = PlainUnpickler(file, encoding="bytes").load()
    pictures = [p if isinstance(p, bytes) else np.asarray(p, np.uint8).tobytes() for p in pictures]
    if len(pictures) != 2 * len(labels):
        raise ValueError(f"{path}: {len(pictures)} pictures for {len(labels)} labels, expected two each")
    return pictures, np.asarray(labels, bool)


def fold_accuracy(scores: NDArray[Any], labels: NDArray[np.bool_], folds: int) -> tuple[float, float, float]:
    """Mean accuracy over folds, its standard deviation, and the mean of the chosen thresholds."""
    right = (scores[None] > THRESHOLDS[:, None]) == labels[None]  # (thresholds, pairs)
    parts = np.array_split(np.arange(len(labels)), folds)
    accuracies, chosen = [], []
    for part in parts:
        others = np.setdiff1d(np.arange(len(labels)), part)
        best = int(right[:, others].mean(1).argmax())
        accuracies.append(right[best, part].mean())
        chosen.append(THRESHOLDS[best])
    return float(np.mean(accuracies)), float(np.std(accuracies)), float(np.mean(chosen))


def pairs(model: xcos.Model, path: Path) -> list[tuple[str, str]]:
    pictures, labels = read_pairs(path)
    features = model.features(pictures, aligned=True, progress=True)
    compared = model.compare(features[::2], features[1::2], maps=False)
    rows = []
    for name, scores, own in (
        ("xCos", compared.score, model.file.thresholds.get("xcos")),
        ("plain cosine", compared.cosine, model.file.thresholds.get("cosine")),
    ):
        mean, spread, threshold = fold_accuracy(scores, labels, FOLDS)
        text = f"{mean:.2%} ± {spread:.2%} (thresholds near {threshold:.3f}"
        if own is not None:
            text += f"; at the model's {own:.4f}: {((scores > own) == labels).mean():.2%}"
        rows.append((f"{path.name}, {len(labels)} pairs, {FOLDS} folds: {name}", text + ")"))
    return rows


def read_people(path: Path) -> dict[str, list[bytes]]:
    people: dict[str, list[bytes]] = defaultdict(list)
    with tarfile.open(path) as tar:
        for member in sorted((m for m in tar if m.isfile()), key=lambda m: m.name):
            file = tar.extractfile(member)
            assert file is not None
            people[Path(member.name).stem.rsplit("_", 1)[0]].append(file.read())
    return {name: found[:2] for name, found in people.items() if len(found) >= 2}


def shuffled(n: int) -> NDArray[np.intp]:
    """A permutation that leaves nothing in its place, the same every time."""
    rng = np.random.default_rng(SEED)
    while True:
        order = rng.permutation(n)
        if (order != np.arange(n)).all():
            return order


def photographs(model: xcos.Model, path: Path) -> list[tuple[str, str]]:
    people = read_people(path)
    images = [image for two in people.values() for image in two]
    found = sum(bool(xcos.detect(image)) for image in images)
    features = model.features(images, progress=True)
    first, second = features[::2], features[1::2]
    same = model.compare(first, second, maps=False)
    other = model.compare(first, second[shuffled(len(second))], maps=False)
    right = int(same.same.sum()), int((~other.same).sum())
    n = len(same)
    plain = model.file.thresholds.get("cosine", np.nan)
    plain_right = int((same.cosine > plain).sum() + (other.cosine <= plain).sum())
    return [
        (f"{path.name}: faces found", f"{found} of {len(images)} photographs"),
        (f"{path.name}: verify() on {n} same and {n} shuffled pairs",
         f"{sum(right) / (2 * n):.2%} ({right[0]}/{n} same, {right[1]}/{n} different)"),
        (f"{path.name}: plain cosine at {plain:.4f} on the same pairs", f"{plain_right / (2 * n):.2%}"),
    ]  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path(__file__).parents[2] / "shared")
    parser.add_argument("--model", help="name or file (default: the default model)")
    options = parser.parse_args(arguments)
    model = xcos.load(options.model)
    rows = pairs(model, options.shared / "data/lfw_dev.bin")
    rows += photographs(model, options.shared / "data/lfw_photos.tar")
    print(f"Model {model.name}, threshold {model.threshold:.4f}\n\n| figure | value |\n|---|---|")
    for name, value in rows:
        print(f"| {name} | {value} |")


if __name__ == "__main__":
    main()
