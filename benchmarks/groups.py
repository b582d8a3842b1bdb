"""Errors of a model by group: sex on LFW; sex, race and age among all pairs of UTKFace. Prints the tables.

    python benchmarks/groups.py [MODEL] [--shared ../shared] [--cache DIR] [--save DIR]

Thresholds are the model's, fixed on LFW, the same for all groups, for the xCos score and for the plain cosine. LFW:
the 3,000 pairs of lfw_dev.bin with the sexes of lfw_dev_sex.csv, people by the names of its pictures. UTKFace: each of
2,000 crops with each other, of two people each; groups by the file's name, AGE_GENDER_RACE_TIME. Small children, whom
the model takes for each other, are not spread evenly over sexes and races, so these are told of adults (20 and older)
alone as well. --save also writes the pages and pictures there.

    python benchmarks/groups.py --simulate

How often 95 % intervals hold the true rate of made-up pairs, some of whose people are more easily taken for others.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import NormalDist

import numpy as np

import xcos
from xcos import datasets
from xcos.datasets import Pairs
from xcos.evaluation import dyads

SEXES = ("male", "female")
RACES = ("White", "Black", "Asian", "Indian", "others")  # as UTKFace's page names 0 to 4
AGES = (3, 10, 20, 30, 45, 60, 75)
ADULT = 20
SURE = 0.5  # cosine of UTKFace's two people from which they may be one
# People, rate, share of a score's variance that each person has, share of all pairs.
SIMULATED = ((20, 0.1, 0.1, 1), (60, 0.1, 0.1, 1), (60, 0.01, 0.1, 1), (60, 0.05, 0, 1), (200, 0.01, 0.1, 1),
             (200, 0.001, 0.1, 1), (200, 0.01, 0.02, 1), (300, 0.005, 0.2, 1), (200, 0.05, 0.1, 0.02))  # fmt: skip


def lfw(data: Path) -> Pairs:
    """The pairs with sex and person of each picture."""
    table = data / "lfw_dev_sex.csv"
    pairs = datasets.with_groups(datasets.read(data / "lfw_dev.bin"), table)
    with open(table, newline="") as file:
        rows = list(csv.DictReader(file))
    people = {f"person_{side}": [row[side].rpartition("_")[0] for row in rows] for side in ("first", "second")}
    return dataclasses.replace(pairs, groups={**pairs.groups, **people})


def utkface(data: Path) -> tuple[Pairs, dict[str, list[str]]]:
    """All pairs, and the groups of each picture."""
    templates = datasets.read_templates(data / "utkface_crops.tar")
    facts = [[int(part) for part in Path(name).name.split("_")[:3]] for name in templates.names]
    sex, race = [SEXES[sex] for _, sex, _ in facts], [RACES[race] for _, _, race in facts]
    groups = {"sex": sex, "race": race, "age": [age_group(age) for age, _, _ in facts]}
    both = [f"{r}, {s}" for r, s in zip(race, sex, strict=True)]
    for column, labels in (("sex", sex), ("race", race), ("sex and race", both)):
        groups[f"{column} of adults"] = [label if age >= ADULT else "" for label, (age, _, _) in
                                                  zip(labels, facts, strict=True)]  # fmt: skip
    return datasets.all_pairs(templates, aligned=True), groups


def age_group(age: int) -> str:
    """Two digits each, so that names sort as ages do."""
    for low, high in zip((0, *AGES), AGES, strict=False):
        if age < high:
            return f"{low:02d} to {high - 1:02d}"
    return f"{AGES[-1]} and more"


def coverage(people: int, rate: float, share: float, part: float, runs: int = 1000) -> tuple[float, float]:
    """How often intervals hold the rate: for as many pairs as they are worth, and for their plain number."""
    rng = np.random.default_rng(0)
    every = np.stack(np.triu_indices(people, 1), axis=1)
    limit = NormalDist().inv_cdf(1 - rate)
    held = np.zeros(2)
    for _ in range(runs):
        pairs = every[rng.permutation(len(every))[: round(part * len(every))]]
        own, rest = rng.normal(size=people) * share**0.5, rng.normal(size=len(pairs)) * (1 - 2 * share) ** 0.5
        found = dyads.tally(own[pairs].sum(1) + rest > limit, pairs)
        for i, n in enumerate((dyads.effective([found])[0], found.pairs)):
            low, high = dyads.wilson(found.rate, n, 0.95)
            held[i] += low <= rate <= high
    return held[0] / runs, held[1] / runs


def simulate() -> str:
    head = ("people", "pairs", "rate", "share of a person", "held, for what pairs are worth", "for their number")
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for people, rate, share, part in SIMULATED:
        worth, plain = coverage(people, rate, share, part)
        pairs = round(part * people * (people - 1) / 2)
        lines.append(f"| {people} | {pairs:,} | {rate:.1%} | {share:.0%} | {worth:.1%} | {plain:.1%} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", help="name or file (default: the default model)")
    parser.add_argument("--shared", type=Path, default=Path(__file__).parents[2] / "shared")
    parser.add_argument("--cache", help="folder that keeps features for the next run")
    parser.add_argument("--save", type=Path, metavar="DIR", help="write the pages and pictures there")
    parser.add_argument("--simulate", action="store_true", help="print how often intervals hold instead")
    options = parser.parse_args(arguments)
    if options.simulate:
        print(simulate())
        return
    with tempfile.TemporaryDirectory() as folder:
        tables(options, options.cache or folder)


def tables(options: argparse.Namespace, cache: str) -> None:
    model, data = xcos.load(options.model), options.shared / "data"
    pairs, groups = utkface(data)
    for name, what in (("lfw", (lfw(data), None, model)), ("utkface", (pairs, groups, model))):
        begin = time.perf_counter()
        people = "person" if name == "lfw" else None
        audit = xcos.audit(*what, people=people, cache=cache, progress=True)
        print(f"{audit}\n\n{time.perf_counter() - begin:.0f} s\n", flush=True)
        if options.save:
            for suffix in (".html", ".png"):
                audit.save(options.save / f"{name}{suffix}")
    column = "sex of adults"
    sure = xcos.audit(pairs, groups, model, columns=column, metric="cosine", threshold=SURE, cache=cache)
    of_adults = [sum(rate.errors for rate in one.of("cosine", "false match", column)) for one in (audit, sure)]
    print(f"Of adults of UTKFace {of_adults[0]:,} pairs are over the cosine's threshold, {of_adults[1]} over {SURE}.")


if __name__ == "__main__":
    main()
