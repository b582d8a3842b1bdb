"""Methods of explanation measured on pairs of a benchmark: the tables of docs/explanations.md.

    python benchmarks/explanations.py lfw_dev.bin

writes, with all curves in a .json beside each,

    benchmarks/results/explanations_xcos.md      methods x measures, where the xCos score decides,
    benchmarks/results/explanations_cosine.md    the same where the plain cosine decides,
    benchmarks/results/explanations_fills.md     deletion and insertion with other fillings than black,
    benchmarks/results/explanations_patches.md   localisation of fewer and larger patches,

method by method: a run that was stopped goes on with what is missing there, another default model begins anew, and
two runs with different --methods may go side by side. Dear methods get the first pairs alone where all would take too
long; the tables say how many. One thread by default, since such runs share a machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import xcos
from xcos import datasets, faithfulness
from xcos.cli.explainers import explainers_of
from xcos.explainers.scoring import Scorer
from xcos.plan.branch import front
from xcos.plan.network import Network

RESULTS = Path(__file__).parent / "results"
SCORES = ("xcos", "cosine")
CHEAP = ["XCos", "XCos:map=cosine", "HeadDecomposition", "CellCosine", "GradCAM", "xSSAB", "CentreMap", "RandomMap"]
RISE = "CorrRISE:fill=blur,shape=grid"
# Pairs, and pairs for the measures that explain each several times: a thousand runs a pair, two thousand, a thousand
# slow ones.
DEAR = {"CorrRISE": (60, 12), "MinPlus": (10, 4), "FGGB": (10, 4), "OcclusionMap": (10, 4)}
REPEATED = 120  # of the same for the others
METHODS = [*CHEAP, *DEAR, RISE]
FILLED = ["XCos", "XCos:map=cosine", "CellCosine", "GradCAM", "CentreMap", "RandomMap", "CorrRISE", RISE]
FILLS = ("black", "mean", "blur", "road")
PATCHED = ["XCos:map=cosine", "XCos", "CellCosine", "HeadDecomposition", "CentreMap"]
PATCHES = ((27, 16), (1, 48), (1, 64))  # how many, pixels
FEW = 60  # pairs of the two small tables: imputation solves a large system for each picture


class BothScores(Scorer):
    """A scorer that runs the network once where two explainers, one of each score, look through the same masks.

    The network puts out what both scores are made of; the scores of the other explainer wait in `kept`.
    """

    def __init__(self, scorer: Scorer, kept: dict[bytes, dict[str, Any]]) -> None:
        super().__init__(scorer.model, scorer.score, scorer.batch, scorer.threads)
        self.each = {score: Scorer(scorer.model, score, scorer.batch, scorer.threads) for score in SCORES}
        outputs = dict.fromkeys(name for one in self.each.values() for name in one.outputs)
        self.network = Network(front(self.file, list(outputs)))
        self.kept = kept

    def _run(self, x):
        found = self.network.run(x, threads=self.threads)
        return np.concatenate([one.gather(found).reshape(len(x), -1) for one in self.each.values()], axis=1)

    def through(self, masks, image, fill, other, side):
        key = hashlib.blake2b(bytes([side]))
        for array in (masks, image, fill, other):
            key.update(np.ascontiguousarray(array))
        if key.digest() not in self.kept:
            seen = self.masked(image, fill, masks, np.zeros(len(masks), np.int64))
            self.kept[key.digest()] = self._both(*((seen, other) if side == 0 else (other, seen)))
        return self.kept[key.digest()][self.score]

    def compare(self, first, second):
        return self._both(first, second)[self.score]

    def _both(self, first, second):
        scores, start = {}, 0
        for name, scorer in self.each.items():
            size = sum(int(np.prod(self.network.outputs[output][1:])) for output in scorer.outputs)
            columns = slice(start, start + size)
            start = columns.stop
            scores[name] = scorer.compare(*(x[:, columns] for x in (first, second)))
        return scores


class Table:
    """Rows in a .json, and the text made of them in the .md beside it, read before and written after each row."""

    def __init__(self, name: str, model: str) -> None:
        self.model = model
        self.paths = [RESULTS / f"explanations_{name}.{kind}" for kind in ("md", "json")]

    @property
    def facts(self) -> dict[str, Any]:
        found = json.loads(self.paths[1].read_text()) if self.paths[1].exists() else {}
        return found if found.get("model") == self.model else {"model": self.model, "rows": []}

    def __contains__(self, method: str) -> bool:
        return any(row["method"] == method for row in self.facts["rows"])

    def add(self, row: dict[str, Any], caption: str, titles: list[str], **facts: Any) -> None:
        """`row` holds its line of the table under "line"."""
        rows = sorted([*self.facts["rows"], row], key=lambda one: METHODS.index(one["method"]))
        whole = {**self.facts, **facts, "rows": rows}
        lines = [titles, ["---"] * len(titles), *(one["line"] for one in rows)]
        RESULTS.mkdir(exist_ok=True)
        text = [caption, "", *("| " + " | ".join(line) + " |" for line in lines)]
        self.paths[0].write_text("\n".join(text) + "\n")
        self.paths[1].write_text(json.dumps(whole) + "\n")


def figure(measure: faithfulness.Measure, digits: int = 1) -> str:
    value, low, high = (f"{x:.{digits}f}" for x in (measure.value, measure.low, measure.high))
    return f"{value} [{low}, {high}]"


def measured(table: Table, model: xcos.Model, explainer, plain, pairs, score: str, dear) -> None:
    """One row of the table of `score`. `plain` is the explainer without shared runs, for the time of one pair."""
    n, repeated = dear or (len(pairs), REPEATED)
    found = faithfulness.compare(
        model, [explainer], pairs, score=score, examples=1 if dear else 4, sanity_pairs=repeated,
        runs=n * explainer.passes,
    )  # fmt: skip
    if plain is not explainer:
        seconds = plain(pairs.first[:1], pairs.second[:1], aligned=True).seconds
        found = replace(found, rows=[replace(found.rows[0], seconds=seconds)])
    caption, _, titles, _, line = found.to_markdown().splitlines()
    facts = found.to_dict()
    (row,) = facts.pop("rows")
    row["line"] = _cells(line)
    table.add(row, caption, _cells(titles), **facts)


def filled(table: Table, model: xcos.Model, explainer, pairs) -> None:
    """One row of deletion and insertion with each filling."""
    measures = {
        f"{name.__name__} {fill}": name(model, explainer, pairs, fill=fill, score="xcos")
        for name in (faithfulness.deletion, faithfulness.insertion)
        for fill in FILLS
    }
    caption = f"Score xcos of {model.file.name} on {pairs.name}; hidden pixels as named. In brackets 95 % over pairs."
    line = [explainer.name, explainer.target, *map(figure, measures.values())]
    titles = [f"{name} {'↓' if name.startswith('deletion') else '↑'}" for name in measures]
    row = {"method": explainer.name, "line": line, "measures": {k: v.to_dict() for k, v in measures.items()}}
    table.add(row, caption, ["method", "explains", *titles])


def located(table: Table, model: xcos.Model, explainer, pairs) -> None:
    """One row of localisation with each kind of patches."""
    titles = [f"{'one' if n == 1 else n} of {side} × {side}" for n, side in PATCHES]
    measures = [faithfulness.localisation(model, explainer, pairs, patches=n, side=side) for n, side in PATCHES]
    caption = f"Localisation by {model.file.name} on {pairs.name}: area under the ROC curve, in brackets 95 %."
    line = [explainer.name, *(figure(measure, 2) for measure in measures)]
    row = {"method": explainer.name, "line": line, "measures": [measure.to_dict() for measure in measures]}
    table.add(row, caption, ["method", *titles])


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("-n", type=int, default=120)
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    model = xcos.load()
    pairs = faithfulness.sample(datasets.read(options.data), options.n)
    few = replace(pairs[:FEW], name=f"the first {min(FEW, len(pairs))} of {pairs.name}")
    tables = {name: Table(name, model.file.name) for name in (*SCORES, "fills", "patches")}
    for name in options.methods:
        kept: dict[bytes, dict[str, Any]] = {}
        for score in SCORES:
            (explainer,) = (plain,) = explainers_of(model, [name], score, options.threads)
            if set(explainer.explains) == set(SCORES) and name in (*DEAR, RISE):
                explainer = replace(plain)
                vars(explainer)["scorer"] = BothScores(plain.scorer, kept)
            if name != RISE and explainer.name not in tables[score]:
                measured(tables[score], model, explainer, plain, pairs, score, DEAR.get(name))
            if score == "xcos" and name in FILLED and explainer.name not in tables["fills"]:
                filled(tables["fills"], model, explainer, few)
            if score == "xcos" and name in PATCHED and explainer.name not in tables["patches"]:
                located(tables["patches"], model, explainer, few)
        print(name, flush=True)


if __name__ == "__main__":
    main()
