"""The part game of all explainers: the table of docs/explanations.md.

    python benchmarks/part_game.py lfw_dev.bin --names lfw_dev_pairs.txt     people of the pairs
    python benchmarks/part_game.py celeba_held_out.tar                       people whom training did not see

writes benchmarks/results/part_game_DATA.md and, with all curves, a .json beside it, explainer by explainer: a run that
was stopped goes on with what is missing there; another model, other people or other triplets begin anew. --methods
XCos RandomMap --triplets 10 is a short look. One thread by default, since such runs share a machine.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from truth import people_of

import xcos
from xcos import datasets, faithfulness
from xcos.cli.explainers import explainers_of
from xcos.faithfulness.people import People

RESULTS = Path(__file__).parent / "results"
# FGGB, which propagates back a thousand times for each map, would take hours.
METHODS = ("XCos", "XCos:map=cosine", "HeadDecomposition", "CellCosine", "PatchEMD", "CorrRISE", "MinPlus", "GradCAM",
           "xSSAB", "OcclusionMap", "CentreMap", "RandomMap")  # fmt: skip


def pairs_of(options: argparse.Namespace) -> faithfulness.LabelledCrops:
    """Two pictures of each person, as pairs, so that all explainers find the triplets prepared."""
    source: Any = options.data
    if options.names:
        source = people_of(datasets.read(options.data), options.names)
    two = People(source).draw(options.people, 2, options.seed, options.threads)
    return faithfulness.LabelledCrops(two[:, 0], two[:, 1], np.ones(len(two), bool), options.data.stem)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="tar or folder of people, or .bin of aligned pairs with --names")
    parser.add_argument("--names", type=Path, help="LFW's list of the pairs")
    parser.add_argument("--people", type=int, default=304)
    parser.add_argument("--triplets", type=int, default=60, help="of each part, at most")
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--score", default="xcos")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    model = xcos.load()
    pairs = pairs_of(options)
    target = RESULTS / f"part_game_{options.data.stem}.json"
    for name in options.methods:
        found = json.loads(target.read_text()) if target.exists() else {}
        (explainer,) = explainers_of(model, [name], options.score, options.threads)
        asked = [model.file.name, options.score, len(pairs), options.triplets, options.seed]
        rows = found.get("rows", []) if found.get("asked") == asked else []
        if any(row["method"] == explainer.name for row in rows):
            continue
        game = faithfulness.part_game([explainer], pairs, model, score=options.score, triplets=options.triplets,
                                      seed=options.seed, threads=options.threads)  # fmt: skip
        caption, _, head, rule, *lines = game.to_markdown().splitlines()
        new = [{**row, "line": line} for row, line in zip(game.to_dict()["rows"], lines, strict=True)]
        # Read again: another run with other methods may have written meanwhile.
        found = json.loads(target.read_text()) if target.exists() else {}
        rows = found.get("rows", []) if found.get("asked") == asked else []
        known = {row["method"] for row in new}
        rows = sorted([row for row in rows if row["method"] not in known] + new, key=_place)
        facts = {key: value for key, value in game.to_dict().items() if key != "rows"}
        target.write_text(json.dumps({**facts, "asked": asked, "rows": rows}) + "\n")
        text = [caption, "", head, rule, *(row["line"] for row in rows)]
        target.with_suffix(".md").write_text("\n".join(text) + "\n")
        print(game.rows[0], flush=True)


def _place(row: dict[str, Any]) -> int:
    return METHODS.index(row["method"]) if row["method"] in METHODS else len(METHODS)


if __name__ == "__main__":
    main()
