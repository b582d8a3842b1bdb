"""Measures of truth of several models: the table of docs/explanations.md.

    python benchmarks/truth.py lfw_dev.bin MODEL … --names lfw_dev_pairs.txt     people are those of the pairs
    python benchmarks/truth.py lfw_dev.bin MODEL … --faces celeba_crops.tar      people of elsewhere

writes benchmarks/results/truth_PAIRS.md or truth_FACES.md with a column for each model, all figures in a .json beside
it, and with --picture a figure of the first two models. A MODEL is a name or path; `v0` is made of files in --shared.
One thread by default, since such runs share a machine.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from xcos import datasets, faces
from xcos.faithfulness import truth

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"


def people_of(pairs: datasets.Pairs, names: Path) -> tuple[Any, Any]:
    """The pictures of a .bin, each once, and who they show, by LFW's list of the same pairs."""
    rows = [line.split("\t") for line in names.read_text().splitlines()]
    shown = {}
    for i, row in enumerate(row for row in rows if len(row) in (3, 4)):
        shown[int(pairs.first[i])] = row[0]
        shown[int(pairs.second[i])] = row[0] if len(row) == 3 else row[2]
    crops = np.stack([faces.crop(pairs.images[i], aligned=True) for i in shown])
    return crops, np.unique(list(shown.values()), return_inverse=True)[1]


def model_of(name: str, shared: Path) -> Any:
    if name != "v0":
        return name
    sys.path.insert(0, str(ROOT / "tools"))
    from build_models import first_model

    return first_model(shared / "models")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pairs", type=Path, help=".bin of aligned pairs")
    parser.add_argument("models", nargs="+", metavar="MODEL")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--names", type=Path, help="LFW's list of these pairs")
    source.add_argument("--faces", type=Path, help="folder or tar of people")
    parser.add_argument("--triples", type=int, default=300)
    parser.add_argument("--all-cells", action="store_true")
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()

    pairs = datasets.read(options.pairs)
    people = people_of(pairs, options.names) if options.names else options.faces
    found = []
    for name in options.models:
        measured = truth(
            model_of(name, options.shared), people, pairs, triples=options.triples, threads=options.threads,
            cells="all" if options.all_cells else None,
        )  # fmt: skip
        print(measured, flush=True)
        found.append(measured)
    target = RESULTS / f"truth_{(options.faces or options.pairs).stem}"
    table = found[0].to_markdown(*found[1:]).replace("people of arrays", "the people of these pairs")
    target.with_suffix(".md").write_text(table + "\n")
    target.with_suffix(".json").write_text(json.dumps([one.to_dict() for one in found], indent=1) + "\n")
    if options.picture:
        found[0].plot(beside=found[1] if len(found) > 1 else None)[0].savefig(options.picture, dpi=90)


if __name__ == "__main__":
    main()
