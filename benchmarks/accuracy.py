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
import tarfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import xcos

FOLDS = 5
SEED = 20


def pairs(model: xcos.Model, path: Path) -> list[tuple[str, str]]:
    rows = []
    for report in xcos.compare_models(model, path, folds=FOLDS, progress=True):
        folds = report.folds
        text = f"{folds.accuracy:.2%} ± {folds.std:.2%} (thresholds near {folds.threshold:.3f}"
        own = model.file.thresholds.get(report.metric)
        if own is not None:
            text += f"; at the model's {own:.4f}: {((report.scores > own) == report.same).mean():.2%}"
        metric = {"xcos": "xCos", "cosine": "plain cosine"}[report.metric]
        rows.append((f"{path.name}, {len(report.same)} pairs, {FOLDS} folds: {metric}", text + ")"))
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
