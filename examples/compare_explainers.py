"""Three explanations of one pair beside each other, and whether each of them can be believed on pairs with labels.

python examples/compare_explainers.py FIRST SECOND -o maps.png [--pairs PAIRS.csv]    (needs pip install 'xcos[eval]')
"""

import argparse
from pathlib import Path

import xcos
from xcos import explainers, faithfulness


def methods(masks: int) -> list[explainers.Explainer]:
    """Ours, a black box, and a control that looks at no face: what a measure says of that, it says of nothing."""
    return [explainers.XCos(), explainers.CorrRISE(masks=masks), explainers.CentreMap()]


def main() -> None:
    parser = argparse.ArgumentParser(description="Explanations of one pair, compared.")
    parser.add_argument("first")
    parser.add_argument("second")
    parser.add_argument("--pairs", help="with labels: first, second, same")
    parser.add_argument("--masks", type=int, default=500, help="of CorrRISE")
    parser.add_argument("-o", "--output", default="maps.png", help="one file a method, its name added")
    arguments = parser.parse_args()

    chosen, output = methods(arguments.masks), Path(arguments.output)
    for method in chosen:
        pair = method(arguments.first, arguments.second)
        name = type(method).__name__
        figure, _ = pair.plot()
        figure.savefig(output.with_stem(f"{output.stem}_{name}"))
        print(f"{name}: {pair.passes} runs of the network, {1000 * pair.seconds:.0f} ms")
    if arguments.pairs:
        data = xcos.datasets.read(arguments.pairs)
        pairs = faithfulness.sample(data, len(data.same))
        print(faithfulness.compare(None, chosen, pairs, measures=("deletion", "insertion")))


if __name__ == "__main__":
    main()
