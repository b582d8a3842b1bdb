"""Is the patch Earth Mover's distance of use with a network whose cells were never trained to know their own place?

    python benchmarks/last_map.py [--shared ../shared]          writes benchmarks/results/last_map.md

The covered probes of benchmarks/search.py again, with the grid that the network itself has: the last map before the
embedding of models/mobilefacenet512.onnx, 512 x 7 x 7. The embedding is that of the default model, so the rows of the
plain cosine are the same.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from search import FUSED, ROOT, Array, celeba, covered_table, emd_scores, lfw

import xcos
from xcos.datasets import wear

RESULT = Path(__file__).parent / "results" / "last_map.md"
NETWORK, MAP = "mobilefacenet512.onnx", "507"  # the activations before the convolution over the whole map


def looking(network: Path) -> Callable[[Array], xcos.Features]:
    """Aligned crops to the last map and the embedding."""
    graph = onnx.load(network)
    graph.graph.output.append(onnx.helper.make_tensor_value_info(MAP, onnx.TensorProto.FLOAT, [1, 512, 7, 7]))
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    input_name = session.get_inputs()[0].name

    def look(crops: Array) -> xcos.Features:
        pixels = (crops[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32) - 127) / 128  # blue first
        seen = [session.run(["output", MAP], {input_name: one[None]}) for one in pixels]
        return xcos.Features(np.concatenate([grid for _, grid in seen]), np.concatenate([e for e, _ in seen]))

    return look


def main(arguments: Any = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="folder with data/ (%(default)s)")
    options = parser.parse_args(arguments)
    data, look = options.shared / "data", looking(options.shared / "models" / NETWORK)
    masks = wear.read_masks(data / "masks")
    lines = ["# Searching people by the last map of a plain network", "",
             f"`python benchmarks/last_map.py`, {NETWORK}, {FUSED:g} of the distance in the fused row."]  # fmt: skip
    for name, read in (("LFW dev", lfw), ("CelebA held out", celeba)):
        people = read(data)
        table = covered_table(look, emd_scores, people, look(people[0]), masks)
        lines += ["", f"## {name}: covered probes", "", *table]
        print("\n".join(lines), flush=True)
    RESULT.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
