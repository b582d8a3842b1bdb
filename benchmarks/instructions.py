"""Instructions that kernels and networks take on processors that this machine is not, counted under qemu's user mode.

    python benchmarks/instructions.py kernels     # SSE2 as a Nehalem, NEON as a 64-bit Arm, each beside plain C
    python benchmarks/instructions.py networks    # xcos and other engines as a Nehalem, which has SSE4.2 and no AVX

A count is a difference: of a program that does a thing once more often than another. It is the same whatever else the
machine does. It says nothing of caches, nor of how many instructions such a processor executes in a cycle.
Needs qemu-user, a C compiler and, for Arm, aarch64-linux-gnu-gcc.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from networks import NAMES, images, input_shape, multiply_adds, network
from options import add_common, installed, log
from peers import OURS, REFERENCE, SETTINGS

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from test_kernels import build  # noqa: E402

NEHALEM = ("qemu-x86_64", "-cpu", "Nehalem")
LINES = [  # of tests/c/checkasm/bench.c: those whose tiles are not named
    "gemm layer, 196 x 128, depth 256",
    "gemm layer, 49 x 512, depth 128",
    "winograd 4 input, 7 tiles of 128",
    "winograd 4 output, 7 tiles of 128",
    "winograd 2 input, 7 tiles of 128",
    "winograd 2 output, 7 tiles of 128",
    "depthwise 3x3 stride 1, row of 14 x 256",
    "depthwise 3x3 stride 2, row of 28 x 256",
    "depthwise 5x5 stride 1, row of 14 x 128",
]


class Counter:
    """Counts the instructions of programs under an emulator."""

    def __init__(self, folder: Path) -> None:
        self.plugin = folder / "count_instructions.so"
        source = Path(__file__).with_name("count_instructions.c")
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", source, "-o", self.plugin], check=True)

    def whole(self, emulator: tuple[str, ...], command: list[str], **environment: str) -> int:
        """Instructions of a whole program."""
        done = subprocess.run(
            [*emulator, "-plugin", self.plugin, *command],
            capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": "0", **environment},
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{command}: {done.stderr.strip()}")
        return int(re.findall(r"^instructions: (\d+)$", done.stderr, re.MULTILINE)[-1])

    def once(self, emulator: tuple[str, ...], command: list[str], times: int = 1, **environment: str) -> float:
        """Instructions of what `command` does so many times as its last argument, added to it, says."""
        counts = [self.whole(emulator, [*command, str(n)], **environment) for n in (1, 1 + times)]
        return (counts[1] - counts[0]) / times


def kernels(counter: Counter, folder: Path) -> None:
    """A table of kernels: instructions in thousands with vectors and in plain C, on both processors."""
    programs = {}
    for name, compiler in (("x86", "cc"), ("arm", "aarch64-linux-gnu-gcc")):
        os.environ["CC"] = compiler
        (folder / name).mkdir()
        programs[name] = str(build(folder / name, "-O3", "-static"))
    print("| instructions, thousands | SSE2 | plain C | plain C / SSE2 | NEON | plain C | plain C / NEON |")
    print("|---|---|---|---|---|---|---|")
    for line in LINES:
        cells = []
        for name, emulator in (("x86", NEHALEM), ("arm", ("qemu-aarch64",))):
            command = [programs[name], "--repeat", line]
            vectors, plain = (
                counter.once(emulator, command, 10, XCOS_DISABLE_CPU=without) for without in ("", "sse2,neon")
            )
            cells += [f"{vectors / 1e3:,.1f}", f"{plain / 1e3:,.1f}", f"**{plain / vectors:.1f}**"]
        print(f"| {line} | {' | '.join(cells)} |", flush=True)


def networks(counter: Counter, names: list[str], options: argparse.Namespace) -> None:
    """A table of networks: instructions in millions of each engine, for one image on one thread."""
    versions = installed(options.engines)
    engines = list(versions)
    title = (f"{name} {version}" for name, version in versions.items())
    print(f"| instructions, millions | multiply-adds | {' | '.join(title)} | xcos / fewest of the others |")
    print("|---" * (len(engines) + 3) + "|")
    for name in names:
        model = network(name, 1, options.shared, options.cache)
        counts = {}
        for engine in engines:
            log(f"{name}: {engine}")
            SETTINGS[engine].adapter.prepare(model)
            command = [sys.executable, __file__, "run", "--engines", engine, "--model", str(model), "--times"]
            counts[engine] = counter.once(NEHALEM, command, OPENBLAS_NUM_THREADS="1")
        ratio = counts[OURS] / min(count for engine, count in counts.items() if engine != OURS)
        cells = [f"{multiply_adds(model) / 1e6:,.0f} M", *(f"{counts[engine] / 1e6:,.0f}" for engine in engines)]
        print(f"| {name} | {' | '.join(cells)} | **{ratio:.2f}** |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Count the instructions of kernels and networks under qemu's user mode.",
        epilog="Example: python benchmarks/instructions.py networks --networks mobilefacenet",
    )
    parser.add_argument("what", choices=("kernels", "networks", "run"), help="run: what networks starts under qemu")
    parser.add_argument("--networks", nargs="+", choices=NAMES, default=["mobilefacenet", "iresnet50"])
    parser.add_argument("--model", type=Path, help="for run: the network")
    parser.add_argument("--times", type=int, help="for run: how often")
    add_common(parser, [OURS, REFERENCE, "OpenCV, classic"])
    options = parser.parse_args()
    if options.what == "run":
        setting = SETTINGS[options.engines[0]]
        engine = setting.adapter(options.model, 1, **setting.options)
        x = images(input_shape(options.model), seed=1)
        for _ in range(options.times):
            engine.run(x)
        return
    with tempfile.TemporaryDirectory() as folder:
        counter = Counter(Path(folder))
        if options.what == "kernels":
            kernels(counter, Path(folder))
        else:
            networks(counter, options.networks, options)


if __name__ == "__main__":
    main()
