"""benchmarks/baseline.py: a library whose copy asks a processor that ends at SSE4.2."""

import ctypes
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import libxcos
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import baseline

FEATURES = ("sse2", "sse4.2", "avx", "avx2", "fma", "avx512f")
PACKAGE = """
import ctypes, pathlib
library = ctypes.CDLL(str(next(pathlib.Path(__file__).parent.glob("*.so"))))
features = [bool(library.feature(i)) for i in range(6)]
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="CPUID is x86's")
def test_a_copy_sees_an_old_processor(tmp_path, monkeypatch):
    """The compiler's own detection, in a package's library, is the oracle of what is seen."""
    if shutil.which("objdump") is None:
        pytest.skip("no objdump: CPUID instructions cannot be found")
    package = tmp_path / "site" / "asking"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(PACKAGE)
    cases = "".join(f'case {i}: return __builtin_cpu_supports("{name}");' for i, name in enumerate(FEATURES))
    source = tmp_path / "asking.c"
    source.write_text(f"int feature(int i) {{ __builtin_cpu_init(); switch (i) {{ {cases} }} return 0; }}")
    options = ("-O2", "-shared", "-fPIC", "-static-libgcc")
    libxcos.run(*libxcos.compiler(), *options, source, "-o", package / "asking.so")
    monkeypatch.syspath_prepend(str(package.parent))
    folder = baseline.held("asking", tmp_path)
    script = (
        f"import sys, baseline, pathlib; baseline.hold(pathlib.Path({str(folder)!r}))\n"
        "import asking; print(asking.__file__, asking.features)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=baseline.__file__.rpartition("/")[0]
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{folder}/asking/__init__.py {[True, True, False, False, False, False]}"
    original = ctypes.CDLL(str(package / "asking.so"))
    flags = Path("/proc/cpuinfo").read_text()
    assert bool(original.feature(FEATURES.index("avx2"))) == (" avx2 " in flags)
