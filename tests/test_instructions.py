"""benchmarks/instructions.py: what it counts is what a program executes."""

import platform
import shutil
import sys
from pathlib import Path

import libxcos
import pytest

for package in ("onnx", "onnxruntime"):
    pytest.importorskip(package)
sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from instructions import NEHALEM, Counter  # noqa: E402

# So many times 1,000 rounds of two instructions.
LOOP = """
#include <stdlib.h>
int main(int argc, char **argv) {
    long rounds = 1000 * atol(argv[argc - 1]);
    __asm__ volatile("1: sub $1, %0\\n jnz 1b" : "+r"(rounds));
    return 0;
}
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="a program of x86")
def test_instructions_of_a_loop(tmp_path):
    if shutil.which(NEHALEM[0]) is None:
        pytest.skip("no qemu-x86_64: nothing to count with")
    source, program = tmp_path / "loop.c", tmp_path / "loop"
    source.write_text(LOOP)
    libxcos.run(*libxcos.compiler(), "-O2", "-static", source, "-o", program)
    # Reading a number of two digits takes a few more than one of one digit.
    assert Counter(tmp_path).once(NEHALEM, [str(program)], 9) == pytest.approx(2000, abs=10)
