"""Do sentences name what was changed, and are covered parts noticed? Prints the tables of docs/reading.md.

    python benchmarks/parts.py lfw_dev.bin --names lfw_dev_pairs.txt [--masks ../shared/data/masks]
    python benchmarks/parts.py celeba_crops.tar

writes benchmarks/results/parts_PEOPLE.md. Swaps: eyes, nose or mouth of another person are blended into one of two
photographs of a person (the masks and blends of ``xcos.faithfulness.truth``, which know no landmarks). The map's change
points at the part where, of the seven parts of a face, that part's cosine falls most. Asked is whether the sentence
about the changed pair, made without the unchanged one, names the part among the two least alike ones; beside it how
often that of the unchanged pair does, too. Coverings: drawn over the first photograph; asked is which parts are said
not to be seen.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from truth import people_of

import xcos
from xcos import datasets
from xcos.datasets import wear
from xcos.evaluation.groups import wilson
from xcos.faces.parts import FACIAL
from xcos.faithfulness import blends
from xcos.faithfulness.people import People

RESULTS = Path(__file__).parent / "results"
SWAPPED = ("eyes", "nose", "mouth")


def swaps(model: xcos.Model, crops: NDArray[np.uint8]) -> dict[str, NDArray[np.bool_]]:
    """For each swapped part (N, 4) bool: does the map's change point at it; is it named; named first; named before.

    crops : (N, 2, 112, 112, 3), two of each person; the next person lends the part.
    """
    regions = blends.parts()
    masks = np.stack([regions[name] for name in SWAPPED])
    soft = blends.soften(masks)
    found: dict[str, list[tuple[bool, ...]]] = {name: [] for name in SWAPPED}
    for (one, two), lender in zip(crops, np.roll(crops[:, 0], -1, axis=0), strict=True):
        changed = blends.blend(one, lender, masks, soft)
        before, *after = model.explain([one, *changed], [two] * (1 + len(masks)), aligned=True)
        for name, e in zip(SWAPPED, after, strict=True):
            falls = {part: before.parts[part].cosine - e.parts[part].cosine for part in FACIAL}
            named, named_before = least_alike(e), least_alike(before)
            found[name].append(
                (max(FACIAL, key=falls.__getitem__) == name, name in named, name in named[:1], name in named_before)
            )
    return {name: np.array(rows) for name, rows in found.items()}


def least_alike(e: xcos.Explanation) -> tuple[str, ...]:
    """The two parts that the sentence about places names as least alike; none where there is no such sentence."""
    for sentence in e.sentences():
        if sentence.kind in ("least_alike", "most_different"):
            return sentence.parts[:2]
    return ()


def unseen(crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.bool_]:
    """(N, 7) bool: which parts of each crop are said not to be seen."""
    explained = (xcos.explain(crop, crop, aligned=True) for crop in crops)
    return np.array([[not e.parts[name].visible[0] for name in FACIAL] for e in explained])


def share(hits: NDArray[np.bool_]) -> str:
    if not len(hits):
        return "none"
    low, high = wilson(int(hits.sum()), len(hits), 0.95)
    return f"{hits.mean():.0%} [{low:.0%}, {high:.0%}]"


def table_of_swaps(found: dict[str, NDArray[np.bool_]]) -> list[str]:
    lines = [
        "| swapped | pairs | the map's change points at it | of these named | named first | named in all pairs "
        "| named before the swap |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, rows in {**found, "all three": np.concatenate([*found.values()])}.items():
        points, named, first, before = rows.T
        cells = [share(x) for x in (points, named[points], first[points], named, before)]
        lines.append(f"| {name} | {len(rows)} | {' | '.join(cells)} |")
    return lines


def table_of_coverings(crops: NDArray[np.uint8], masks: Path | None) -> list[str]:
    covered = {"nothing": list(crops), "sunglasses": [wear.sunglasses(crop, aligned=True).image for crop in crops]}
    if masks is not None:
        for name in ("surgical", "N95", "cloth"):
            worn = wear.read_masks(masks)[name]
            covered[f"mask, {name}"] = [wear.mask(crop, worn, aligned=True).image for crop in crops]
    lines = [f"| covered by | {' | '.join(FACIAL)} |", "|---" * (1 + len(FACIAL)) + "|"]
    for name, pictures in covered.items():
        lines.append(f"| {name} | {' | '.join(f'{rate:.0%}' for rate in unseen(pictures).mean(axis=0))} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("people", type=Path, help="tar or folder of people, or .bin of aligned pairs with --names")
    parser.add_argument("--names", type=Path, help="LFW's list of the pairs of the .bin")
    parser.add_argument("--masks", type=Path, help="folder with masks.cfg")
    parser.add_argument("-n", type=int, default=300, help="people at most (default: 300)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    source = people_of(datasets.read(options.people), options.names) if options.names else options.people
    crops = People(source, None).draw(options.n, 2, options.seed)
    model = xcos.load()
    lines = [
        f"{model.name}, {len(crops)} people of {options.people.stem}; in brackets 95 % (Wilson).", "",
        *table_of_swaps(swaps(model, crops)), "",
        f"Parts said not to be seen, of {len(crops)} crops:", "", *table_of_coverings(crops[:, 0], options.masks),
    ]  # fmt: skip
    text = "\n".join(lines) + "\n"
    print(text)
    (RESULTS / f"parts_{options.people.stem}.md").write_text(text)


if __name__ == "__main__":
    main()
