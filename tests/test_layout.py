"""The house rules that a machine can check: who may include what, and what the built module shows."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from xcos import _core

ROOT = Path(__file__).parents[1]
SOURCES = sorted(p for p in (ROOT / "csrc").rglob("*.[ch]"))
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
STRING = re.compile(r'"(?:\\.|[^"\\\n])*"')


def including(pattern: str) -> set[str]:
    """Files of csrc/ that include a header whose name matches."""
    found = set()
    for path in SOURCES:
        if any(re.search(pattern, name) for name in INCLUDE.findall(path.read_text())):
            found.add(path.relative_to(ROOT / "csrc").as_posix())
    return found


def test_there_are_sources():
    assert len(SOURCES) > 5


def test_only_the_binding_knows_python():
    assert {name for name in including(r"^Python\.h$|^numpy/") if not name.startswith("py/")} == set()


def test_only_the_gemm_file_knows_blas():
    assert including(r"cblas") <= {"gemm.c"}


def test_only_x86_has_intrinsics():
    assert {name for name in including(r"intrin\.h$") if not name.startswith("x86/")} == set()


def test_only_the_image_file_has_the_decoder():
    assert including(r"stb_image") <= {"image.c"}


def test_kernels_know_no_network_arena_or_pool():
    kernels = {p.relative_to(ROOT / "csrc").as_posix() for p in SOURCES}
    kernels = {name for name in kernels if name.startswith(("x86/", "kernels", "head_kernels", "head_ref"))}
    assert kernels
    assert including(r"^(\.\./)?(net|arena|pool|conv|xcos)\.h$") & kernels == set()


def test_the_core_does_not_know_the_binding():
    assert {name for name in including(r"binding\.h$|^py/") if not name.startswith("py/")} == set()


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_the_core_never_prints_or_exits(path):
    code = STRING.sub('""', COMMENT.sub("", path.read_text()))
    assert re.findall(r"\b(printf|puts|putchar|perror|exit|_exit|abort)\s*\(", code) == []


def test_the_library_never_prints():
    for path in (ROOT / "xcos").rglob("*.py"):
        if path.name != "cli.py":
            assert not re.search(r"^\s*print\(", path.read_text(), re.MULTILINE), path


@pytest.mark.skipif(shutil.which("nm") is None, reason="nm (binutils) is not installed")
def test_the_module_exports_its_init_alone():
    table = subprocess.run(
        ["nm", "-D", "--defined-only", _core.__file__], capture_output=True, text=True, check=True
    ).stdout
    names = {line.split()[-1] for line in table.splitlines()} - {"_init", "_fini"}
    assert {name for name in names if not name.startswith(("__asan", "__ubsan"))} == {"PyInit__core"}
