"""Searching people: which score ranks best when faces are covered, and how several photographs of a person count best.

    python benchmarks/search.py [--shared ../shared] [--choices 20]          writes benchmarks/results/search.md

Two collections: LFW (the people of lfw_dev.bin) and CelebA (every tenth person of celeba_crops.tar, whom training did
not see). First table: one photograph of each person with two or more is searched for among all other photographs, as it
is, with a mask (xcos.datasets.wear; six masks in turn), with sunglasses, and the middle 0.7 x 0.7 of it enlarged. The
100 photographs most alike by plain cosine are ranked anew by each score, as DeepFace-EMD does (arXiv 2112.04016):
xCos, cells alone and as the model mixes them, the patch Earth Mover's distance, and 0.7 of that with 0.3 of the cosine.
P@1, R-precision and MAP@R as in xcos.evaluate_search. Second table: people with five photographs or more are enrolled
with four of them and searched for with the others; beside them half of the other people are enrolled with up to four.
One photograph of each of the rest is a stranger. Third table: so many people are enrolled with one photograph, all
others are strangers; the share of them who find somebody over the model's threshold, which was set on pairs, and over
those that xcos.Gallery estimates for 1 % and 10 %. Means and standard deviations of random choices.
"""

from __future__ import annotations

import argparse
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from truth import people_of

import xcos
from xcos import datasets
from xcos.datasets import wear
from xcos.evaluation import SearchReport
from xcos.explainers import PatchEMD
from xcos.faces import crop
from xcos.gallery.search import POLICIES, averaged
from xcos.gallery.threshold import SAMPLE, over

ROOT = Path(__file__).parents[1]
RESULT = Path(__file__).parent / "results" / "search.md"
MASKS = ("surgical", "surgical_blue", "surgical_green", "cloth", "N95", "KN95")
LISTED, FUSED = 100, 0.7
ENROLLED = (20, 50, 100, 200, 500, 1000)
MOST = 4  # photographs a person is enrolled with
EVERY = 10  # as tools/split_people.py

Array = np.ndarray
People = tuple[Array, Array]  # aligned crops (N, 112, 112, 3), and who they show (N,)


def lfw(data: Path) -> People:
    crops, labels = people_of(datasets.read(data / "lfw_dev.bin"), data / "lfw_dev_pairs.txt")
    return crops, labels


def celeba(data: Path) -> People:
    with tarfile.open(data / "celeba_crops.tar") as tar:
        members = sorted((m for m in tar if m.isfile()), key=lambda m: m.name)
        names = sorted({m.name.split("/")[0] for m in members})[::EVERY]
        number = {name: i for i, name in enumerate(names)}
        held_out = [m for m in members if m.name.split("/")[0] in number]
        crops = np.stack([crop(tar.extractfile(m).read(), aligned=True) for m in held_out])
    return crops, np.array([number[m.name.split("/")[0]] for m in held_out])


def kinds(masks: dict[str, wear.Mask]) -> dict[str, Callable[[int, Array], Array]]:
    """What is done with probe number i."""
    return {
        "as it is": lambda i, face: face,
        "mask": lambda i, face: wear.mask(face, masks[MASKS[i % len(MASKS)]], aligned=True).image,
        "sunglasses": lambda i, face: wear.sunglasses(face, aligned=True).image,
        "part": lambda i, face: wear.part(face).image,
    }


def unit(features: xcos.Features) -> Array:
    return features.embedding / np.linalg.norm(features.embedding, axis=1, keepdims=True)


def emd_scores(probes: xcos.Features, known: xcos.Features) -> dict[str, Array]:
    """Scores (P, G) by plain cosine, and with the 100 most alike ranked anew by the patch Earth Mover's distance."""
    cosine = unit(probes) @ unit(known).T
    listed = most_alike(cosine)
    near = np.take_along_axis(cosine, listed, axis=1)
    emd = {
        weights: np.stack([
            PatchEMD(weights=weights).similarities(probes.grid[[i]], known.grid[row]) for i, row in enumerate(listed)
        ])
        for weights in ("uniform", "cross")
    }  # fmt: skip
    fused = f"{FUSED:g} patch EMD, cross + {1 - FUSED:g} cosine"
    return {"plain cosine": anew(cosine, listed, near)} | {
        name: anew(cosine, listed, values)
        for name, values in (("patch EMD, uniform", emd["uniform"]), ("patch EMD, cross", emd["cross"]),
                             (fused, FUSED * emd["cross"] + (1 - FUSED) * near))
    }  # fmt: skip


def rankings(model: xcos.Model, probes: xcos.Features, known: xcos.Features) -> dict[str, Array]:
    """Scores (P, G) of each way to rank the 100 most alike by plain cosine; those after them keep their order."""
    cosine = unit(probes) @ unit(known).T
    listed = most_alike(cosine)
    emd = emd_scores(probes, known)
    cells, mixed = (anew(cosine, listed, near_of(one, probes, known, listed)) for one in (model.with_whole(0), model))
    return {
        "plain cosine": emd.pop("plain cosine"),
        "xCos, cells alone (w = 0)": cells,
        f"xCos, as the model mixes (w = {model.whole:g})": mixed,
    } | emd


def most_alike(cosine: Array) -> Array:
    """(P, 100) the numbers of those most alike, the most alike first."""
    return np.argsort(-cosine, axis=1, kind="stable")[:, :LISTED]


def anew(cosine: Array, listed: Array, values: Array) -> Array:
    """(P, G) scores with the values of those listed, and all others behind them, in their order."""
    scores = cosine - 10.0
    np.put_along_axis(scores, listed, values, axis=1)
    return scores


def near_of(model: xcos.Model, probes: xcos.Features, known: xcos.Features, listed: Array) -> Array:
    return np.take_along_axis(model.compare_all(probes, known), listed, axis=1)


def covered_table(
    look: Callable[[Array], xcos.Features], rank: Callable[[xcos.Features, xcos.Features], dict[str, Array]],
    people: People, features: xcos.Features, masks: dict[str, wear.Mask],
) -> list[str]:
    crops, labels = people
    first = np.unique(labels, return_index=True)[1]
    probes = first[np.bincount(labels)[labels[first]] > 1]
    others = np.setdiff1d(np.arange(len(labels)), probes)
    columns = {}
    for kind, make in kinds(masks).items():
        seen = look(np.stack([make(i, crops[p]) for i, p in enumerate(probes)]))
        columns[kind] = {name: xcos.evaluate_search(scores, labels[others], labels[probes]).to_dict()
                         for name, scores in rank(seen, features[others]).items()}  # fmt: skip
    lines = [f"{len(probes)} probes among {len(others)} photographs of {labels.max() + 1} people. P@1, R-precision, "
             "MAP@R in percent; bold: the best MAP@R.", "",
             f"| | {' | '.join(columns)} |", "|---" * (1 + len(columns)) + "|"]  # fmt: skip
    best = {kind: max(one["map_at_r"] for one in rows.values()) for kind, rows in columns.items()}
    for name in columns["as it is"]:
        cells = []
        for kind, rows in columns.items():
            p, r, m = (100 * rows[name][key] for key in ("precision_at_1", "r_precision", "map_at_r"))
            bold = "**" if rows[name]["map_at_r"] == best[kind] else ""
            cells.append(f"{p:.1f}, {r:.1f}, {bold}{m:.1f}{bold}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def policy_table(model: xcos.Model, labels: Array, features: xcos.Features, choices: int) -> list[str]:
    single = model.compare_all(features, features)
    counts = np.bincount(labels)
    figures: dict[str, list[list[float]]] = {policy: [] for policy in POLICIES}
    sizes = []
    for seed in range(choices):
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(labels))
        order = order[np.argsort(labels[order], kind="stable")]
        place = np.arange(len(order)) - np.searchsorted(labels[order], labels[order])  # 0, 1 … within a person
        few = rng.permutation(np.flatnonzero(counts <= MOST))
        aside = np.isin(labels[order], few[len(few) // 2 :])
        enrolled = order[(place < MOST) & ~aside]
        probes = order[(place >= MOST) & ~aside]
        strangers = order[(place == 0) & aside]
        people, starts = np.unique(labels[enrolled], return_index=True)
        searched = np.concatenate([probes, strangers])
        blocks = single[np.ix_(searched, enrolled)]
        ends = np.diff([*starts, len(enrolled)])
        mean = averaged(features[enrolled], starts)
        scores = {
            "template": model.compare_all(features[searched], mean),
            "best": np.maximum.reduceat(blocks, starts, axis=1),
            "mean": np.add.reduceat(blocks, starts, axis=1) / ends,
        }
        sizes.append((len(people), len(probes), len(strangers)))
        for policy in POLICIES:
            report = xcos.evaluate_search(scores[policy], people, labels[searched])
            figures[policy].append(policy_figures(report, model.threshold))
    people, probed, asked = np.mean(sizes, axis=0).round().astype(int)
    heads = ("rank 1", "found at FPIR 1 %", "found at FPIR 10 %", "strangers over the pair threshold")
    lines = [f"{people} people, {probed} probes, {asked} strangers; {choices} random choices.", "",
             f"| | {' | '.join(heads)} |", "|---" * (1 + len(heads)) + "|"]  # fmt: skip
    for policy, values in figures.items():
        mean, spread = 100 * np.mean(values, axis=0), 100 * np.std(values, axis=0)
        cells = " | ".join(f"{m:.1f} ± {s:.1f}" for m, s in zip(mean, spread, strict=True))
        lines.append(f"| `{policy}` | {cells} |")
    return lines


def threshold_table(model: xcos.Model, labels: Array, features: xcos.Features, choices: int) -> list[str]:
    alone = features[np.unique(labels, return_index=True)[1]]
    scores = model.compare_all(alone, alone)
    heads = ("people enrolled", "over the threshold of pairs", "estimated for 1 %", "estimated for 10 %")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for people in (n for n in ENROLLED if 3 * n <= 2 * len(alone)):
        shares = []
        for seed in range(choices):
            order = np.random.default_rng(seed).permutation(len(alone))
            enrolled, strangers = order[:people], order[people:]
            best = scores[np.ix_(strangers, enrolled)].max(1)
            sample = alone[enrolled[:SAMPLE]]
            limits = [model.threshold, *(over(model, sample, sample, rate / people) for rate in (0.01, 0.1))]
            shares.append([(best > limit).mean() for limit in limits])
        mean, spread = 100 * np.mean(shares, axis=0), 100 * np.std(shares, axis=0)
        cells = " | ".join(f"{m:.1f} ± {s:.1f}" for m, s in zip(mean, spread, strict=True))
        lines.append(f"| {people:,} | {cells} |")
    return lines


def policy_figures(report: SearchReport, threshold: float) -> list[float]:
    passed = float((report.strangers > threshold).mean())
    return [report.hit_rate(1), report.dir_at(0.01), report.dir_at(0.1), passed]


def main(arguments: Any = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="folder with data/ (%(default)s)")
    parser.add_argument("--choices", type=int, default=20, help="random choices of the second table (%(default)s)")
    options = parser.parse_args(arguments)
    data, model = options.shared / "data", xcos.load()
    masks = wear.read_masks(data / "masks")
    lines = ["# Searching people", "", f"`python benchmarks/search.py`, {model.name}. What is measured: see there."]
    look, rank = partial(model.features, aligned=True), partial(rankings, model)
    for name, read in (("LFW dev", lfw), ("CelebA held out", celeba)):
        people = read(data)
        features = model.features(people[0], aligned=True)
        lines += ["", f"## {name}: covered probes", "", *covered_table(look, rank, people, features, masks)]
        lines += ["", f"## {name}: several photographs a person", ""]
        lines += policy_table(model, people[1], features, options.choices)
        lines += ["", f"## {name}: strangers who find somebody, in percent", ""]
        lines += threshold_table(model, people[1], features, options.choices)
        print("\n".join(lines), flush=True)
    RESULT.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
