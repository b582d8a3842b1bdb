"""Time of each explanation per pair, beside the same method with the network in PyTorch.

    python benchmarks/explainers.py [--pairs 1] [--threads 2]

The PyTorch side runs the same Python with the twin of the model file (xcos.train.twin) in place of the C engine, and
torch operations in place of mask_blend: what one would write there. Both sides get the same batches and threads. On a
busy machine look at the processor time. On the PyTorch side black-box methods run with a tenth of their masks or
squares and are scaled up, since every mask costs the same there.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

import xcos
from xcos.explainers import CorrRISE, GradCAM, HeadDecomposition, MinPlus, OcclusionMap, XCos, xSSAB
from xcos.explainers.scoring import Scorer
from xcos.twin.network import twin

PHOTOS = Path(__file__).parents[1] / "examples"


class TorchScorer(Scorer):
    """A scorer whose network runs in PyTorch."""

    def __init__(self, scorer: Scorer) -> None:
        super().__init__(scorer.model, scorer.score, scorer.batch, scorer.threads)
        self.twin = twin(scorer.network.file)

    def _run(self, x):
        with torch.inference_mode():
            return self.twin(torch.as_tensor(x))[self.output].numpy()

    def masked(self, images, fills, masks, which):
        images, fills, parts = torch.from_numpy(images), torch.from_numpy(fills), []
        for i in range(0, len(masks), self.batch):
            mask = torch.from_numpy(np.array(masks[i : i + self.batch], np.float32))[:, None]
            place = torch.from_numpy(which[i : i + self.batch])
            parts.append(self._run(mask * images[place] + (1 - mask) * fills[place]))
        return np.concatenate(parts)


def cost(explainer, a, b) -> tuple[float, float]:
    """Wall and processor seconds per pair, after one warm-up."""
    explainer(a[:1], b[:1], aligned=True)
    wall, processor = time.perf_counter(), time.process_time()
    explainer(a, b, aligned=True)
    return (time.perf_counter() - wall) / len(a), (time.process_time() - processor) / len(a)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = xcos.load()
    crops = model.crops([PHOTOS / "obama_portrait_2012.jpg", PHOTOS / "obama_congress_2009.jpg"])
    a, b = (np.repeat(one, options.pairs, axis=0) for one in (crops[:1], crops[1:]))
    many = {"threads": options.threads}
    methods = [
        (XCos(model, **many), None),
        (HeadDecomposition(model, **many), None),
        (GradCAM(model, **many), None),
        (xSSAB(model, **many), None),
        (CorrRISE(model, **many), CorrRISE(model, masks=50, **many)),
        (MinPlus(model, **many), MinPlus(model, stride=28, **many)),
        (OcclusionMap(model, **many), OcclusionMap(model, stride=16, **many)),
    ]
    print(f"| method | runs a pair | xcos s | xcos CPU s | PyTorch {torch.__version__} s | PyTorch CPU s |")
    print("| --- | --- | --- | --- | --- | --- |")
    for explainer, small in methods:
        figures = list(cost(explainer, a, b))
        if isinstance(explainer, (XCos, CorrRISE, MinPlus, OcclusionMap)):
            part = small or explainer
            vars(part)["scorer"] = TorchScorer(part.scorer)
            figures += [explainer.passes / part.passes * seconds for seconds in cost(part, a, b)]
        texts = [f"{seconds:.3g}" for seconds in figures] + ["—"] * (4 - len(figures))
        print(f"| {explainer.name} | {explainer.passes:,} | {' | '.join(texts)} |", flush=True)


if __name__ == "__main__":
    main()
