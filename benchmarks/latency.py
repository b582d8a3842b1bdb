"""Time of `import xcos`, of `xcos.verify` on two shipped photographs, cold and warm, and of the default model's network
with and without its grid. Prints one table. Needs ``pip install xcos[train] build``.

    python benchmarks/latency.py [--threads 1] [--rounds 9]
    python benchmarks/latency.py --stages [--against ../before]

With --stages instead what the parts of one warm call take, and with --against what it takes in another built checkout
of this repository, by turns.

Cold: fresh processes, from before the import to the result (interpreter start not included); the files are in the
page cache. Warm: in one process after ten calls. Medians, and the fastest. The two networks take turns, one picture at
a time, one thread.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import xcos
from xcos import Model, Network, _core
from xcos.faces import decoding, detection, image, looks, quality
from xcos.train import front

ROOT = Path(__file__).parents[1]
PHOTOGRAPHS = [str(ROOT / "examples" / f"obama_{name}.jpg") for name in ("portrait_2012", "congress_2009")]

START = "import time; t = time.perf_counter(); import xcos; "
STOP = "; print(time.perf_counter() - t)"


def fresh(code: str, rounds: int) -> list[float]:
    """Seconds printed by `code` in fresh processes."""
    command = [sys.executable, "-c", START + code + STOP]
    return [float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(rounds)]


def warm(threads: int | None, rounds: int) -> list[float]:
    times = []
    for i in range(10 + rounds):
        start = time.perf_counter()
        xcos.verify(*PHOTOGRAPHS, threads=threads)
        if i >= 10:
            times.append(time.perf_counter() - start)
    return times


def networks(rounds: int) -> tuple[list[float], list[float]]:
    """Seconds of the plain network, and of that with the grid."""
    file = xcos.load().file
    both = [Network(front(file, outputs)) for outputs in (["embedding"], ["embedding", "grid"])]
    x = np.random.default_rng(0).uniform(-1, 1, (1, 3, 112, 112)).astype(np.float32)
    times: tuple[list[float], list[float]] = [], []
    for i in range(10 + rounds):
        for network, taken in zip(both, times, strict=True):
            start = time.perf_counter()
            network.run(x, threads=1)
            if i >= 10:
                taken.append(time.perf_counter() - start)
    return times


def wheel_size() -> tuple[int, int]:
    """Bytes of the wheel, and unpacked."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", folder, str(ROOT)]
        subprocess.run(command, check=True, capture_output=True)
        (path,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(path) as archive:
            return path.stat().st_size, sum(info.file_size for info in archive.infolist())


Clock = Callable[[], float]


class Stages:
    """Seconds of the parts of a call: each is a function of the package, under whose name it is looked up when it is
    called, and counts without the parts that are within it."""

    PARTS = (
        ("decode, turn upright", decoding, "decode"),
        ("decode, turn upright", decoding, "decode_reduced"),
        ("resize", _core, "resize"),
        ("normalise", _core, "normalize"),
        ("detector: network", looks, "run"),
        ("detector: boxes, non-maximum suppression", _core, "yunet_faces"),
        ("landmarks: network", detection, "run"),
        ("warp", _core, "warp"),
        ("quality", quality, "measure"),
        ("embedding, grid: network", Model, "_see"),
        ("head", Model, "compare"),
    )

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.seconds = {name: 0.0 for name, _, _ in self.PARTS}
        self._open: list[float] = []  # of each part at work, what the parts within it have taken
        self._kept = [(owner, name, getattr(owner, name)) for _, owner, name in self.PARTS]

    def __enter__(self) -> "Stages":
        for (part, owner, name), (_, _, function) in zip(self.PARTS, self._kept, strict=True):
            setattr(owner, name, self._timed(part, function))
        image.decode, image.decode_reduced = decoding.decode, decoding.decode_reduced
        return self

    def __exit__(self, *error: object) -> None:
        for owner, name, function in self._kept:
            setattr(owner, name, function)
        image.decode, image.decode_reduced = decoding.decode, decoding.decode_reduced

    def _timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            self._open.append(0.0)
            start = self._clock()
            try:
                return function(*args, **kwargs)
            finally:
                taken = self._clock() - start
                within = self._open.pop()
                if self._open:
                    self._open[-1] += taken
                self.seconds[part] += taken - within

        return run


def stages(threads: int, rounds: int, clock: Clock) -> None:
    """Prints the table of the parts: of all rounds the median."""
    taken: dict[str, list[float]] = {}
    for i in range(10 + rounds):
        with Stages(clock) as parts:
            start = clock()
            xcos.verify(*PHOTOGRAPHS, threads=threads)
            whole = clock() - start
        if i >= 10:
            rest = whole - sum(parts.seconds.values())
            for name, seconds in {**parts.seconds, "all else": rest, "whole": whole}.items():
                taken.setdefault(name, []).append(seconds)
    print(f"\n| part, {threads} threads | median ms | share |\n|---|---|---|")
    whole = statistics.median(taken["whole"])
    for name, times in taken.items():
        middle = statistics.median(times)
        print(f"| {name} | {1e3 * middle:.2f} | {middle / whole:.0%} |")


# What a process of its own does: for each line that it is given, some warm calls.
TURN = """
import statistics, sys, time, xcos
clock, threads, photographs = getattr(time, sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
for _ in range(10):
    xcos.verify(*photographs, threads=threads)
for line in sys.stdin:
    times = []
    for _ in range(20):
        start = clock()
        xcos.verify(*photographs, threads=threads)
        times.append(clock() - start)
    print(statistics.median(times), flush=True)
"""


def against(other: Path, threads: int, rounds: int, clock: Clock) -> None:
    """Prints what verify takes here and in the other checkout: turns of twenty calls, medians of medians."""
    processes = []
    for root in (ROOT, other.resolve()):
        command = [sys.executable, "-c", TURN, clock.__name__, str(threads), *PHOTOGRAPHS]
        environment = {**os.environ, "PYTHONPATH": str(root)}
        pipe = subprocess.PIPE
        processes.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment, cwd=root))
    times: tuple[list[float], list[float]] = [], []
    for _ in range(rounds):
        for process, taken in zip(processes, times, strict=True):
            assert process.stdin is not None and process.stdout is not None
            print(file=process.stdin, flush=True)
            taken.append(float(process.stdout.readline()))
    for process in processes:
        process.communicate()
    here, there = (statistics.median(taken) for taken in times)
    ratio = statistics.median(a / b for a, b in zip(*times, strict=True))
    print(f"\nxcos.verify, {threads} threads: {1e3 * here:.2f} ms here, {1e3 * there:.2f} ms there; × {ratio:.2f}.")


def cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown CPU")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, help="threads for verify (default: all there are)")
    parser.add_argument("--rounds", type=int, default=9, help="fresh processes; five times as many warm calls")
    parser.add_argument("--stages", action="store_true", help="the parts of a warm call instead")
    parser.add_argument("--against", type=Path, help="with --stages: another built checkout, which takes turns")
    parser.add_argument("--cpu-time", action="store_true", help="with --stages: processor time, on a machine at work")
    options = parser.parse_args(arguments)
    threads = options.threads or _core.default_threads()
    if options.stages:
        print(f"{cpu()}, {_core.isa()}, Python {platform.python_version()}, xcos {xcos.__version__}")
        clock: Clock = time.process_time if options.cpu_time else time.perf_counter
        stages(threads, 5 * options.rounds, clock)
        if options.against:
            against(options.against, threads, options.rounds, clock)
        return
    verify = f"xcos.verify(*{PHOTOGRAPHS!r}, threads={threads})"
    plain, whole = networks(30 * options.rounds)
    rows = [
        ("import xcos", fresh("pass", options.rounds)),
        ("import numpy, for comparison", fresh("import numpy", options.rounds)),
        ("import xcos and xcos.load()", fresh("xcos.load()", options.rounds)),
        (f"xcos.verify cold, import included, {threads} threads", fresh(verify, options.rounds)),
        (f"xcos.verify warm, {threads} threads", warm(threads, 5 * options.rounds)),
        ("the network alone", plain),
        ("the network with its grid", whole),
    ]
    print(f"{cpu()}, {_core.isa()}, Python {platform.python_version()}, xcos {xcos.__version__}\n")
    print("| what | median ms | fastest ms |\n|---|---|---|")
    for name, times in rows:
        print(f"| {name} | {1e3 * statistics.median(times):.2f} | {1e3 * min(times):.2f} |")
    ratio = statistics.median(whole) / statistics.median(plain)
    print(f"\nThe network with its grid takes {ratio:.2f} times as long as alone.")
    packed, unpacked = wheel_size()
    print(f"\nWheel: {packed / 1e6:.1f} MB, unpacked {unpacked / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
