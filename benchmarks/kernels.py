"""Speeds of the C kernels on one core, and their share of the measured FMA peak.

    python benchmarks/kernels.py > benchmarks/results/kernels.txt

Builds tests/c/checkasm with the system's C compiler and runs its benchmark for every
instruction set of the machine. Each figure is the best of many short runs.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from test_kernels import build  # noqa: E402


def cpu_name() -> str:
    """The processor as the system calls it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown processor"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        program = build(Path(folder), "-O3")
        print(cpu_name(), flush=True)
        subprocess.run([program, "--bench"], check=True)


if __name__ == "__main__":
    main()
