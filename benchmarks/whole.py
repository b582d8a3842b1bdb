"""What the face as a whole may count: accuracy and threshold by w. Prints one table for each model.

    python benchmarks/whole.py [MODEL …] [--shared ../shared] [--pairs BIN] [--folds 5] [--cache DIR]

score = (1 - w) * sum over cells of attention * cosine + w * plain cosine of the embeddings. Accuracy: folds of equal
size in file order, thresholds -1, -0.995 ... 1, the best on the other folds used on each (the protocol of the xCos
reference); 5 folds, since lfw_dev.bin is one half of LFW. The threshold is the best on all pairs. Chosen is the
smallest w that brings accuracy within 0.2 percentage points of the plain cosine's, w = 1: 1 - w is how much of a
decision is explained cell by cell.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import xcos
from xcos.evaluation import whole_curve
from xcos.measured.whole import WholeCurve

FOLDS = 5
WITHIN = 0.002


def table(name: str, curve: WholeCurve) -> str:
    chosen = curve.smallest(WITHIN)
    lines = [
        f"{name}: {curve.pairs:,} pairs of {curve.data}",
        "",
        "| w | explained | accuracy | threshold |",
        "|---|---|---|---|",
    ]
    for w, accuracy, threshold in zip(curve.whole, curve.accuracy, curve.threshold, strict=True):
        text = f"{w:.2f} | {1 - w:.0%} | {accuracy:.2%} | {threshold:.4f}"
        lines.append(f"| {' | '.join(f'**{part}**' for part in text.split(' | ')) if w == chosen else text} |")
    lines += ["", f"smallest w within {WITHIN:.1%} of the plain cosine: {chosen:g}"]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=[None], help="names or files (default: the default model)")
    parser.add_argument("--shared", type=Path, default=Path(__file__).parents[2] / "shared")
    parser.add_argument("--pairs", type=Path, help=".bin or .csv (default: lfw_dev.bin of --shared)")
    parser.add_argument("--folds", type=int, default=FOLDS)
    parser.add_argument("--cache", help="folder that keeps features for the next run")
    options = parser.parse_args(arguments)
    pairs = options.pairs or options.shared / "data/lfw_dev.bin"
    for name in options.models:
        model = xcos.load(name)
        curve = whole_curve(model, pairs, folds=options.folds, cache=options.cache, progress=True)
        print(table(model.name, curve), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
