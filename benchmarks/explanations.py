"""Methods of explanation measured on pairs of a benchmark: the tables of docs/explanations.md.

    python benchmarks/explanations.py lfw_dev.bin --score xcos

writes benchmarks/results/explanations_xcos.md (and .json, with all curves), method by method, so that a stopped run
leaves what it has. Dear methods get the first pairs alone; the table says how many. One thread, since several such
runs share a machine.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import xcos
from xcos import datasets, faithfulness
from xcos.cli_explainers import explainers_of

RESULTS = Path(__file__).parent / "results"
CHEAP = ["XCos", "XCos:map=cosine", "HeadDecomposition", "CellCosine", "GradCAM", "xSSAB", "CentreMap", "RandomMap"]
# Pairs for the maps of dear methods: CorrRISE and MinPlus about a thousand runs a pair, FGGB a thousand slow ones,
# OcclusionMap two thousand.
DEAR = {"CorrRISE": 24, "MinPlus": 24, "CorrRISE:shape=grid,fill=blur": 16, "FGGB": 10, "OcclusionMap": 10}
SANITY = {"FGGB": 2}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--score", choices=("xcos", "cosine"), default="xcos")
    parser.add_argument("-n", type=int, default=120)
    options = parser.parse_args()
    model = xcos.load()
    pairs = faithfulness.sample(datasets.read(options.data), options.n)
    table = None
    for name, n in [*((name, options.n) for name in CHEAP), *DEAR.items()]:
        (explainer,) = explainers_of(model, [name], options.score, 1)
        one = faithfulness.compare(
            model, [explainer], pairs, score=options.score, sanity_pairs=SANITY.get(name, 10), examples=0,
            runs=n * explainer.passes,
        )  # fmt: skip
        row = dataclasses.replace(one.rows[0], method=name)
        table = dataclasses.replace(one, rows=[*(table.rows if table else ()), row])
        RESULTS.mkdir(exist_ok=True)
        for kind in ("md", "json"):
            table.save(RESULTS / f"explanations_{options.score}.{kind}")


if __name__ == "__main__":
    main()
