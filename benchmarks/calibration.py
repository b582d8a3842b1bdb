"""Do likelihood ratios hold on faces that the calibration never saw? Prints the table of docs/evaluate.md.

    python benchmarks/calibration.py lfw_dev.bin [--model FILE] [--masks ../shared/data/masks]

writes benchmarks/results/calibration_PAIRS.md. The second picture of each pair is made worse in turn, or wears a mask;
"turned" are the pairs in which a face is among the tenth turned furthest, by how far the tip of the nose is from the
middle between the outer corners of the eyes. Cllr is what the ratios lose against perfect ones, in bits; min Cllr what
the best monotone map of the same scores would lose; undecided the share of pairs of one person, and of two, whose ratio
lies in the model's band of no decision.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

import xcos
from xcos import datasets, faces
from xcos.datasets import wear

RESULTS = Path(__file__).parent / "results"
Pixels = NDArray[np.uint8]


def jpeg(picture: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=10)
    return Image.open(buffer)


WORSE: dict[str, Callable[[Image.Image], Image.Image]] = {
    "28 x 28 pixels": lambda p: p.resize((28, 28), Image.Resampling.BOX).resize(p.size, Image.Resampling.BICUBIC),
    "blurred, 2 pixels": lambda p: p.filter(ImageFilter.GaussianBlur(2)),
    "JPEG of quality 10": jpeg,
    "a quarter of the light": lambda p: p.point(lambda value: value // 4),
}


def turned(crops: Pixels) -> NDArray[np.float64]:
    """How far the nose is off the middle of the eyes' outer corners, in their distance."""
    points = np.array([faces.landmarks(crop) for crop in crops])
    left, right, nose = points[:, 36], points[:, 45], points[:, 30]
    between = right - left
    away = ((nose - (left + right) / 2) * between).sum(1) / (between**2).sum(1)
    return np.abs(away)


def cases(pairs: datasets.Pairs, masks: Path) -> Iterator[tuple[str, datasets.Pairs]]:
    """Names and pairs; the second picture of each is one of its own."""
    crops = np.stack([faces.crop(image, aligned=True) for image in pairs.images])
    yield "as they are", pairs
    far = turned(crops)
    furthest = far >= np.quantile(far[pairs.used], 0.9)
    chosen = furthest[pairs.first] | furthest[pairs.second]
    yield "turned", dataclasses.replace(
        pairs, first=pairs.first[chosen], second=pairs.second[chosen], same=pairs.same[chosen], groups={}
    )
    surgical = next(mask for name, mask in wear.read_masks(masks).items() if name.startswith("surgical"))

    def seconds(change: Callable[[Pixels], Pixels]) -> datasets.Pairs:
        changed = np.stack([change(crops[i]) for i in pairs.second])
        images = np.concatenate([crops, changed])
        second = len(crops) + np.arange(len(pairs))
        return dataclasses.replace(pairs, images=images, names=[str(i) for i in range(len(images))], second=second)

    for name, worse in WORSE.items():
        yield name, seconds(lambda crop, worse=worse: np.asarray(worse(Image.fromarray(crop)).convert("RGB")))
    yield "one wears a mask", seconds(lambda crop: wear.mask(crop, surgical, aligned=True).image)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pairs", type=Path, help=".bin of aligned pairs")
    parser.add_argument("--model")
    parser.add_argument("--masks", type=Path, default=Path(__file__).parents[2] / "shared/data/masks")
    options = parser.parse_args()
    model = xcos.load(options.model)
    lines = [
        f"{model.name} on {options.pairs.stem}",
        "",
        "| second picture | metric | pairs | Cllr | min Cllr | undecided: one person | two people |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, pairs in cases(datasets.read(options.pairs), options.masks):
        for metric in ("xcos", "cosine"):
            report = xcos.evaluate(model, pairs, metric, folds=2)
            assert report.llr is not None and model.calibration is not None
            unsure = np.array([model.calibration.is_undecided(llr) for llr in report.llr])
            shares = " | ".join(f"{unsure[report.same == kind].mean():.1%}" for kind in (True, False))
            lines.append(
                f"| {name} | {metric} | {len(report.same):,} | {report.cllr:.3f} | {report.min_cllr:.3f} | {shares} |"
            )
            print(lines[-1], flush=True)
    (RESULTS / f"calibration_{options.pairs.stem}.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
