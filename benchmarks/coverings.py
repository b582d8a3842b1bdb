"""Faces in masks and sunglasses: what is still recognised, and do explanations point at the covering? Prints the tables
of docs/explanations.md.

    python benchmarks/coverings.py lfw_dev.bin
    python tools/split_people.py celeba_crops.tar train.tar celeba_held_out.tar
    python benchmarks/coverings.py celeba_held_out.tar        people whom training did not see; pairs are drawn

writes benchmarks/results/coverings_DATA_scores.md, the scores of 1,000 pairs of whom one or both wear something, and
coverings_DATA_maps.md, the maps of each method on the first 200 of them, with all figures in a .json beside. Figures
are kept as they come: a run that was stopped goes on with what is missing, another default model begins anew, and two
runs with different --methods may go side by side. Masks are the six frontal ones of MaskTheFace in turn, put on by
xcos.datasets.wear. One thread, since such runs share a machine.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from explanations import SCORES, BothScores

import xcos
from xcos import datasets, faithfulness
from xcos.cli.explainers import explainers_of
from xcos.datasets import wear
from xcos.drawing import tables
from xcos.evaluation import protocol
from xcos.evaluation.groups import wilson
from xcos.faithfulness.cell_statistics import decided_rightly, mean
from xcos.faithfulness.coverings import Thing, covered, coverings
from xcos.faithfulness.measure import Estimate, bootstrap, interval
from xcos.faithfulness.pairs import beginning
from xcos.storage.files import replacing

RESULTS = Path(__file__).parent / "results"
MASKS = ("surgical", "surgical_blue", "surgical_green", "cloth", "N95", "KN95")
FOLDS, RESAMPLES = 10, 500
BELLS, SQUARES, RISE = "MinPlus:stride=16", "OcclusionMap:sizes=28,stride=10", "CorrRISE:masks=200"
CONTROLS = ["CentreMap", "RandomMap"]
CHEAP = ["XCos", "XCos:map=cosine", "HeadDecomposition", "CellCosine", "PatchEMD", "GradCAM", "xSSAB", *CONTROLS]
# Fewer bells, squares and masks than by default: maps are read in cells of 16 pixels.
DEAR = [BELLS, SQUARES, RISE, "FGGB"]
FEW = {"FGGB": 10}  # pairs, where one takes half a minute
# What dear methods are asked about: one covering of each kind.
SHORT = {**dict.fromkeys(DEAR, ("mask", "sunglasses")), "FGGB": ("mask",)}

Worn = tuple[Sequence[Thing], Sequence[Thing]]


def conditions(masks: dict[str, wear.Mask]) -> dict[str, Worn]:
    """What the first and the second faces wear, in turn."""
    six = [masks[name] for name in MASKS]
    return {
        "nothing": ((), ()),
        "mask": (six, ()),
        "mask, both the same": (six, six),
        "mask, both, two kinds": (six, [*six[1:], six[0]]),
        "sunglasses": (["sunglasses"], ()),
        "sunglasses, both": (["sunglasses"], ["sunglasses"]),
        "gas mask": ([masks["gas"]], ()),
    }


class Kept:
    """Figures by name in a .json, read before and written after each."""

    def __init__(self, path: Path, model: str) -> None:
        self.path, self.model = path, model

    @property
    def figures(self) -> dict[str, Any]:
        found = json.loads(self.path.read_text()) if self.path.exists() else {}
        figures: dict[str, Any] = found["figures"] if found.get("model") == self.model else {}
        return figures

    def get(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self.figures:
            made = make()
            whole = {"model": self.model, "figures": {**self.figures, name: made}}
            with replacing(self.path) as file:  # another run may read it at any time
                file.write((json.dumps(whole, indent=1) + "\n").encode())
        return self.figures[name]


def read(path: Path) -> datasets.Pairs:
    """Pairs of a .bin, or pairs drawn from a tar of people's aligned crops."""
    if path.suffix == ".bin":
        return datasets.read(path)
    return datasets.pairs_of(datasets.read_faces(path), others=2)


def scores(
    model: xcos.Model, pairs: faithfulness.LabelledCrops, first: Sequence[Thing], second: Sequence[Thing]
) -> dict[str, dict[str, Any]]:
    """Figures of each score on pairs of whom the first and the second faces wear something, with intervals."""
    pairs, _ = covered(pairs, first, second)
    both = [model.features(crops, aligned=True) for crops in (pairs.first, pairs.second)]
    alone = model.with_whole(0)
    compared = model.compare(*both, maps=False)
    known = {"plain cosine": (compared.cosine, float(model.file.thresholds["cosine"])),
             "cells alone (w = 0)": (alone.compare(*both, maps=False).score, alone.threshold),
             f"xCos (w = {model.whole:g})": (compared.score, model.threshold)}  # fmt: skip
    return {name: score_figures(values, pairs.same, threshold) for name, (values, threshold) in known.items()}


def score_figures(values: np.ndarray, same: np.ndarray, threshold: float) -> dict[str, Any]:
    def curve(drawn: np.ndarray) -> tuple[float, float]:
        found = protocol.roc(values[drawn], same[drawn])
        return protocol.area(found), protocol.equal_error_rate(found)

    n = len(same)
    low, high = interval(lambda rows: np.array([curve(row) for row in rows]), n, resamples=RESAMPLES)
    auc, eer = curve(np.arange(n))
    accepted = protocol.decide(values, threshold)
    found = {
        "accuracy": mean(decided_rightly(values, same, FOLDS)),
        "AUC": Estimate(auc, float(low[0]), float(high[0])),
        "EER": Estimate(eer, float(low[1]), float(high[1])),
    }
    for name, wrong in (("FNMR", ~accepted[same]), ("FMR", accepted[~same])):
        found[name] = Estimate(float(wrong.mean()), *wilson(int(wrong.sum()), len(wrong), 0.95))
    return {name: figure.to_dict() for name, figure in found.items()}


def table_of_scores(kept: dict[str, Any], caption: str) -> str:
    heads = ["who wears what", "score", "accuracy", "AUC", "EER", "FNMR", "FMR"]
    rows = [
        [worn, score, *(in_brackets(figures[head], 3 if head == "AUC" else 1, 1 if head == "AUC" else 100)
                        for head in heads[2:])]
        for worn, found in kept.items() for score, figures in found.items()
    ]  # fmt: skip
    return f"{caption}\n\n{tables.markdown(heads, rows)}\n"


def maps(explainer: Any, sets: Sequence[faithfulness.LabelledCrops], worn: Worn) -> dict[str, Any]:
    """Figures of a method's map on pairs of one person, on pairs of two, and on both together."""
    one, two = (coverings(None, explainer, pairs, first=worn[0], second=worn[1]) for pairs in sets)
    found = {}
    for a, b in zip(one, two, strict=True):
        both = bootstrap(a.name, np.concatenate([a.per_pair, b.per_pair]))
        found[a.name] = {"all": plain(both), "one person": plain(a), "two people": plain(b)}
    return {"pairs": len(one[0].per_pair) + len(two[0].per_pair), **found}


def plain(measure: faithfulness.Measure) -> dict[str, float]:
    return {key: getattr(measure, key) for key in ("value", "low", "high")}


def in_brackets(figure: dict[str, float], digits: int, times: float = 1) -> str:
    value, low, high = (f"{times * figure[key]:.{digits}f}" for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def table_of_maps(kept: dict[str, Any], order: Sequence[str], caption: str) -> str:
    """One table for each figure, methods x what is worn."""
    worn = [name for name in order if any(key.startswith(f"{name} | ") for key in kept)]
    methods = sorted({key.partition(" | ")[2] for key in kept}, key=place)
    lines = [caption]
    for title, cell in BLOCKS.items():
        rows = []
        for name in methods:
            found = [kept.get(f"{condition} | {name}") for condition in worn]
            method, _, score = name.rpartition(" | ")
            pairs = str(max(one["pairs"] for one in found if one))
            cells = [cell(one) if one else "" for one in found]
            rows.append([method, "nothing" if method in CONTROLS else score, pairs, *cells])
        lines += ["", f"*{title}*", "", tables.markdown(["method", "explains", "pairs", *worn], rows)]
    return "\n".join(lines) + "\n"


def low(found: dict[str, Any], people: str) -> str:
    return f"{in_brackets(found['low'][people], 2)}; {found['low before'][people]['value']:.2f}"


BLOCKS: dict[str, Callable[[dict[str, Any]], str]] = {
    "Low, pairs of one person; behind the semicolon before anything was worn": partial(low, people="one person"),
    "Low, pairs of two people": partial(low, people="two people"),
    "Change, pairs of one person": lambda found: in_brackets(found["change"]["one person"], 2),
    "Drop in covered / in free cells, pairs of one person, in the method's unit": lambda found: " / ".join(
        f"{found[name]['one person']['value']:.2g}" for name in ("drop covered", "drop free")
    ),
}


def place(name: str) -> tuple[int, str]:
    method, _, score = name.rpartition(" | ")
    return [*CHEAP[: -len(CONTROLS)], *DEAR, *CONTROLS].index(method), score


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--masks", type=Path, default=Path(__file__).parents[2] / "shared/data/masks")
    parser.add_argument("--pairs", type=int, default=1000, help="for the scores (default: 1000)")
    parser.add_argument("-n", type=int, default=200, help="of these, for the maps (default: 200)")
    parser.add_argument("--methods", nargs="+", default=[*CHEAP, *DEAR])
    parser.add_argument("--maps-alone", action="store_true", help="leave the scores to another run")
    options = parser.parse_args()
    model = xcos.load()
    model_name, data = model.file.name, options.data.stem
    worn = conditions(wear.read_masks(options.masks))
    pairs = faithfulness.sample(read(options.data), options.pairs)
    RESULTS.mkdir(exist_ok=True)

    if not options.maps_alone:
        measure_scores(model, pairs, worn, Kept(RESULTS / f"coverings_{data}_scores.json", model_name))
    few = pairs[: options.n]
    measure_maps(model, few, worn, options.methods, Kept(RESULTS / f"coverings_{data}_maps.json", model_name))


def measure_scores(
    model: xcos.Model, pairs: faithfulness.LabelledCrops, worn: dict[str, Worn], kept: Kept
) -> None:
    for condition, (first, second) in worn.items():
        kept.get(condition, partial(scores, model, pairs, first, second))
        print(condition, flush=True)
    caption = (f"{kept.model} on {pairs.name}. Accuracy by {FOLDS} folds, errors at the model's own thresholds; all "
               "but AUC in percent, in brackets 95 % (bootstrap over pairs; errors: Wilson).")  # fmt: skip
    kept.path.with_suffix(".md").write_text(table_of_scores(kept.figures, caption))


def measure_maps(
    model: xcos.Model, few: faithfulness.LabelledCrops, worn: dict[str, Worn], methods: Sequence[str], kept: Kept
) -> None:
    caption = (f"{kept.model} on the first {len(few)} of {few.name}, half of them of one person; the first wears what "
               "the head of a column says, the second nothing but where it says both. In brackets 95 % over pairs.")
    sets = [few[few.same == kind] for kind in (True, False)]
    runs: dict[str, dict[bytes, dict[str, Any]]] = {name: {} for name in DEAR}
    for condition, name in jobs(methods, list(worn)):
        some = [beginning(one, FEW.get(name, len(few)) // 2) for one in sets]
        for score in SCORES:
            (explainer,) = explainers_of(model, [name], score, 1)
            if explainer.target != score or (name in CONTROLS and score != SCORES[0]):
                continue
            if name in DEAR and set(explainer.explains) == set(SCORES):
                explainer = replace(explainer)
                vars(explainer)["scorer"] = BothScores(explainer.scorer, runs[name])
            kept.get(f"{condition} | {name} | {score}", partial(maps, explainer, some, worn[condition]))
        kept.path.with_suffix(".md").write_text(table_of_maps(kept.figures, list(worn), caption))
        print(condition, name, flush=True)


def jobs(methods: Sequence[str], worn: Sequence[str]) -> list[tuple[str, str]]:
    """What is worn, and the method: quick methods first, faces by faces; then the others in the same way."""
    some = [condition for condition in worn if condition != "nothing"]
    quick = [(condition, name) for condition in some for name in methods if name in CHEAP]
    return quick + [(condition, name) for condition in some for name in methods if condition in SHORT.get(name, ())]


if __name__ == "__main__":
    main()
