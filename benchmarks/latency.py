"""Time of `import xcos`, of `xcos.verify` on two shipped photographs, cold and warm, and of the default model's network
with and without its grid. Prints one table. Needs ``pip install xcos[train] build``.

    python benchmarks/latency.py [--threads 1] [--rounds 9]

Cold: fresh processes, from before the import to the result (interpreter start not included); the files are in the
page cache. Warm: in one process after ten calls. Medians, and the fastest. The two networks take turns, one picture at
a time, one thread.
"""

import argparse
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import xcos
from xcos import Network, _core
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
    options = parser.parse_args(arguments)
    threads = options.threads or _core.default_threads()
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
