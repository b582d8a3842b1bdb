"""Methods of explanation measured on pairs of a benchmark: the tables of docs/explanations.md.

    python benchmarks/explanations.py lfw_dev.bin --score xcos

writes benchmarks/results/explanations_xcos.md (and .json, with all curves), method by method: a run that was stopped
goes on with the methods that are missing there. Dear methods get the first pairs alone; the table says how many. One
thread, since several such runs share a machine.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import xcos
from xcos import datasets, faithfulness
from xcos.cli_explainers import explainers_of

RESULTS = Path(__file__).parent / "results"
CHEAP = ["XCos", "XCos:map=cosine", "HeadDecomposition", "CellCosine", "GradCAM", "xSSAB", "CentreMap", "RandomMap"]
# CorrRISE and MinPlus make about a thousand runs a pair, OcclusionMap two thousand, FGGB a thousand slow ones.
DEAR = ["CorrRISE", "MinPlus", "OcclusionMap", "FGGB"]
DEAR_PAIRS, DEAR_SANITY = 10, 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--score", choices=("xcos", "cosine"), default="xcos")
    parser.add_argument("-n", type=int, default=120)
    parser.add_argument("--methods", nargs="+", default=CHEAP + DEAR)
    options = parser.parse_args()
    model = xcos.load()
    pairs = faithfulness.sample(datasets.read(options.data), options.n)
    table, numbers = (RESULTS / f"explanations_{options.score}.{kind}" for kind in ("md", "json"))
    lines = table.read_text().splitlines() if table.exists() else []
    facts = json.loads(numbers.read_text()) if numbers.exists() else {"rows": []}
    done = {row["method"] for row in facts["rows"]}
    for name in options.methods:
        (explainer,) = explainers_of(model, [name], options.score, 1)
        if explainer.name in done:
            continue
        dear = name in DEAR
        one = faithfulness.compare(
            model, [explainer], pairs, score=options.score, examples=0, sanity_pairs=DEAR_SANITY if dear else 10,
            runs=DEAR_PAIRS * explainer.passes if dear else None,
        )  # fmt: skip
        text = one.to_markdown().splitlines()
        lines = [*(lines or text[:-1]), text[-1]]
        facts = {**one.to_dict(), "rows": [*facts["rows"], *one.to_dict()["rows"]]}
        RESULTS.mkdir(exist_ok=True)
        table.write_text("\n".join(lines) + "\n")
        numbers.write_text(json.dumps(facts) + "\n")


if __name__ == "__main__":
    main()
