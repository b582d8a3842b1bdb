"""Pairs of faces a second through the xCos head, beside the same computation in PyTorch. Prints one table.

    python benchmarks/pairs.py [--threads 1] [--first 512] [--second 1024] [--rounds 9] [--depth 32]

A cell holds 32 numbers as in the reference; the default model's holds 128 (--depth 128).

All engines take turns, every round; medians, and the median of the rounds' ratios. PyTorch runs in inference mode on
the same number of threads, computes what depends on one face once per face, writes into buffers that stay, and goes
through the pairs in batches of the size that is the fastest of several. The second attention convolution is done in
two ways, as a convolution and as a product with its dense (784, 49) matrix, and the faster counts.
--against CHECKOUT lets the head of another built checkout of this repository take its turns too.
XCOS_DISABLE_CPU=avx512 shows the AVX2 kernels (of xcos; ATEN_CPU_CAPABILITY=avx2 does the same for PyTorch).
"""

import argparse
import importlib.util
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from machine import Machine
from torch import Tensor
from torch.nn import functional

from xcos import _core

EMBED, ATTEND, CELLS = 16, 16, 7
SLOPES = 0.12, 0.18, 0.5  # of the three PReLUs, about what training gives
REPEATED = 200  # pairs at least in one figure: fewer take too short a time
BATCHES = 256, 1024, 4096  # pairs that PyTorch takes at once

Clock = Callable[[], float]


def random_weights(depth: int) -> list[np.ndarray]:
    """Weight and bias of embed, attend1 and attend2. What they hold does not matter for the time."""
    rng = np.random.default_rng(0)
    shapes = [(EMBED, depth), (ATTEND, 2 * EMBED), (1, ATTEND)]
    tensors = []
    for outputs, inputs in shapes:
        tensors.append(rng.standard_normal((outputs, inputs, 3, 3)) / np.sqrt(9 * inputs))
        tensors.append(rng.standard_normal(outputs) * 0.1)
    return [tensor.astype(np.float32) for tensor in tensors]


class TorchPairs:
    """The head over all pairs of two stacks of grids."""

    def __init__(self, weights: list[np.ndarray], dense: bool) -> None:
        self.embed, self.embed_bias, self.attend1, self.bias1, self.attend2, self.bias2 = map(torch.from_numpy, weights)
        cells = torch.eye(ATTEND * CELLS * CELLS).reshape(-1, ATTEND, CELLS, CELLS)
        self.matrix = functional.conv2d(cells, self.attend2, padding=1).flatten(1) if dense else None
        self.sums = torch.empty(0)
        self.batch = BATCHES[0]

    def prepare(self, grids: Tensor, second: bool) -> tuple[Tensor, Tensor]:
        """Unit vectors (cells, N, D) and the face's half of attend1 (N, F, 7, 7)."""
        norm = grids.norm(dim=1, keepdim=True).clamp_min(1e-6)
        unit = (grids / norm).flatten(2).permute(2, 0, 1).contiguous()
        f = functional.leaky_relu_(functional.conv2d(grids, self.embed, self.embed_bias, padding=1), SLOPES[0])
        weight = self.attend1[:, EMBED:] if second else self.attend1[:, :EMBED]
        return unit, functional.conv2d(f, weight, None if second else self.bias1, padding=1)

    def tune(self, a: Tensor, b: Tensor) -> None:
        """Chooses the batch size."""
        self.batch = min(BATCHES, key=lambda size: seconds(lambda: self.scores(a, b, size)))

    def scores(self, a: Tensor, b: Tensor, batch: int = 0) -> Tensor:
        """(N, M)"""
        batch = batch or self.batch
        unit_a, half_a = self.prepare(a, second=False)
        unit_b, half_b = self.prepare(b, second=True)
        result = torch.empty(len(a), len(b))
        for j in range(0, len(b), batch):
            columns = slice(j, j + batch)
            width = len(half_b[columns])
            rows = max(1, batch // width)
            for i in range(0, len(a), rows):
                p, q = half_a[i : i + rows, None], half_b[None, columns]
                if self.sums.shape[:2] != (len(p), width):
                    self.sums = torch.empty(len(p), width, ATTEND, CELLS, CELLS)
                z = functional.leaky_relu_(torch.add(p, q, out=self.sums), SLOPES[1]).flatten(0, 1)
                if self.matrix is None:
                    logits = functional.conv2d(z, self.attend2, self.bias2, padding=1).flatten(1)
                else:
                    logits = torch.addmm(self.bias2, z.flatten(1), self.matrix)
                attention = functional.leaky_relu_(logits, SLOPES[2]).softmax(1).view(len(p), width, -1)
                cosine = torch.bmm(unit_a[:, i : i + rows], unit_b[:, columns].transpose(1, 2))
                result[i : i + rows, columns] = torch.einsum("nmc,cnm->nm", attention, cosine)
        return result


class TorchHead:
    """The head pair by pair: a[i] with b[i], straight from the formulas."""

    def __init__(self, weights: list[np.ndarray]) -> None:
        self.weights = [torch.from_numpy(w) for w in weights]

    def scores(self, a: Tensor, b: Tensor) -> Tensor:
        embed, embed_bias, attend1, bias1, attend2, bias2 = self.weights
        f = [functional.leaky_relu_(functional.conv2d(g, embed, embed_bias, padding=1), SLOPES[0]) for g in (a, b)]
        z = functional.leaky_relu_(functional.conv2d(torch.cat(f, 1), attend1, bias1, padding=1), SLOPES[1])
        logits = functional.leaky_relu_(functional.conv2d(z, attend2, bias2, padding=1), SLOPES[2])
        cosine = functional.cosine_similarity(a, b, dim=1, eps=1e-6).flatten(1)
        return (logits.flatten(1).softmax(1) * cosine).sum(1)


def core_of(checkout: Path) -> ModuleType:
    """The extension module of another checkout, beside ours: it has its own workers, which sleep meanwhile."""
    found = sorted((checkout / "xcos").glob("_core.*.so"))
    if len(found) != 1:
        raise SystemExit(f"{checkout}: expected a checkout with a built xcos/_core, found {len(found)} of them")
    spec = importlib.util.spec_from_file_location("before._core", found[0])
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def seconds(call: Callable[[], object], repeat: int = 1, clock: Clock = time.perf_counter) -> float:
    start = clock()
    for _ in range(repeat):
        call()
    return (clock() - start) / repeat


def take_turns(
    calls: dict[str, Callable[[], object]], clock: Clock, rounds: int, repeat: int = 1
) -> dict[str, list[float]]:
    """Seconds of each call in every round, after a round that does not count."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for i in range(rounds + 1):
        for name, call in calls.items():
            taken = seconds(call, repeat, clock)
            if i:
                times[name].append(taken)
    return times


def print_rows(what: str, pairs: int, threads: int, times: dict[str, list[float]]) -> None:
    ours = times["xcos"]
    for name, taken in times.items():
        ratio = statistics.median(other / own for other, own in zip(taken, ours, strict=True))
        middle = statistics.median(taken)
        rate = f"{pairs / middle / threads / 1e6:.3f}"
        print(f"| {what} | {name} | {middle * 1e3:.3f} | {middle / pairs * 1e6:.2f} | {rate} | {ratio:.2f} |")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--first", type=int, default=512, help="faces on one side of all pairs")
    parser.add_argument("--second", type=int, default=1024, help="faces on the other side")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--depth", type=int, default=32, help="numbers in a cell")
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="processor time instead of elapsed time: for one thread on a machine that has other things to do",
    )
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="another built checkout of this repository")
    options = parser.parse_args(arguments)
    if options.cpu_time and options.threads != 1:
        parser.error("--cpu-time needs --threads 1")
    clock = time.process_time if options.cpu_time else time.perf_counter
    torch.set_num_threads(options.threads)
    threads = options.threads

    weights = random_weights(options.depth)
    cores = {"xcos": _core} | ({} if options.against is None else {"xcos before": core_of(options.against)})
    heads = {
        name: core.Head(*weights[:2], SLOPES[0], *weights[2:4], SLOPES[1], *weights[4:], SLOPES[2], CELLS, CELLS)
        for name, core in cores.items()
    }
    head = heads["xcos"]
    rng = np.random.default_rng(1)
    a, b = (
        rng.standard_normal((count, options.depth, CELLS, CELLS)).astype(np.float32)
        for count in (options.first, options.second)
    )
    torch_a, torch_b = torch.from_numpy(a), torch.from_numpy(b)

    machine = Machine.here()
    print(
        f"{machine.cpu}, {machine.cores} cores, load {os.getloadavg()[0]:.1f}; {threads} thread(s),"
        f" {'processor' if options.cpu_time else 'elapsed'} time\n"
        f"xcos {_core.__version__} ({_core.isa()}), PyTorch {torch.__version__}"
        f" ({torch.backends.cpu.get_cpu_capability()}), Python {platform.python_version()}\n"
    )
    with torch.inference_mode():
        ours = head.compare_all(a, b, threads=threads)[0]
        calls: dict[str, Callable[[], object]] = {
            name: partial(one.compare_all, a, b, threads=threads) for name, one in heads.items()
        }
        error = 0.0
        for name, dense in (("convolution", False), ("dense matrix", True)):
            engine = TorchPairs(weights, dense)
            engine.tune(torch_a[:64], torch_b)
            error = max(error, float(np.abs(engine.scores(torch_a, torch_b).numpy() - ours).max()))
            calls[f"PyTorch, {name}, batches of {engine.batch}"] = partial(engine.scores, torch_a, torch_b)
        straight = TorchHead(weights)
        count = min(len(a), len(b))
        each = head.compare(a[:count], b[:count], maps=False, threads=threads)[0]
        error = max(error, float(np.abs(straight.scores(torch_a[:count], torch_b[:count]).numpy() - each).max()))
        print("| what | engine | ms | us a pair | million pairs a second and core | time / xcos |")
        print("|---|---|---|---|---|---|")
        size = f"all pairs, {len(a)} x {len(b)} of {options.depth} numbers a cell"
        pairs = len(a) * len(b)
        print_rows(size, pairs, threads, take_turns(calls, clock, options.rounds, max(1, REPEATED // pairs)))
        for n in dict.fromkeys((count, 1)):
            pair: dict[str, Callable[[], object]] = {
                name: partial(one.compare, a[:n], b[:n], maps=False, threads=threads) for name, one in heads.items()
            }
            pair["PyTorch"] = partial(straight.scores, torch_a[:n], torch_b[:n])
            what = f"{n} pairs of two new faces each" if n > 1 else "one pair"
            print_rows(what, n, threads, take_turns(pair, clock, options.rounds, max(1, REPEATED // n)))
        print(f"\nLargest difference of a score between the engines: {error:.1e}")


if __name__ == "__main__":
    main()
