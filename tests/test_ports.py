"""The core on systems that this one is not: built by a cross compiler, its C tests run by whatever plays that system.

Windows is played by Wine, 64-bit Arm by qemu's user mode; programs of musl, another C library, run as they are.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import libxcos
import pytest

pytestmark = pytest.mark.slow  # each port compiles the whole core

TESTS = Path(__file__).parent / "c"
Program = Callable[..., subprocess.CompletedProcess[str]]


@dataclass(frozen=True)
class Port:
    """A system: its compiler, what runs its programs (none: this machine), and options of the compiler."""

    compiler: str
    runner: str | None = None
    options: tuple[str, ...] = ()
    link: tuple[str, ...] = ("-lm", "-pthread")
    system: str = "posix"

    def build(self, name: str, folder: Path) -> Program:
        """The program of tests/c/`name`, to be called with arguments."""
        found(self.compiler)
        runner = [found(self.runner)] if self.runner else []
        ccache = ["ccache"] if shutil.which("ccache") else []
        only = "kernels" if name == "checkasm" else ""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CC", " ".join([*ccache, self.compiler]))
            patch.setenv("CCACHE_NOHASHDIR", "1")
            archive = libxcos.library(folder, "-O2", *self.options, only=only, system=self.system, products=False)
            link = [*([] if only else [str(TESTS / "products.c")]), *self.link]
            options = (*self.options, "-static")
            program = libxcos.program(
                folder / f"{name}.exe", archive, TESTS / name, *options, link=link, system=self.system
            )
        wine = {"WINEPREFIX": str(folder / "wine"), "WINEDEBUG": "-all", "WINEDLLOVERRIDES": "mscoree,mshtml="}

        def run(*arguments: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [*runner, program, *arguments], capture_output=True, text=True, timeout=300, env={**os.environ, **wine}
            )

        return run


PORTS = {
    # Its C library lacks C99's formats, and GCC does not align its stack as it expects (bug 54412).
    "windows": Port(
        "x86_64-w64-mingw32-gcc", "wine64", ("-D__USE_MINGW_ANSI_STDIO=1", "-Wa,-muse-unaligned-vector-move"), (),
        "windows",
    ),
    "arm": Port("aarch64-linux-gnu-gcc", "qemu-aarch64"),
    "musl": Port("musl-gcc"),
}  # fmt: skip


def found(tool: str) -> str:
    """Where a program lies (Debian keeps wine64 apart from other programs), or a skip that names it."""
    where = shutil.which(tool) or shutil.which(tool, path="/usr/lib/wine")
    return where or pytest.skip(f"no {tool}: this port cannot be tried")


@pytest.mark.parametrize("name", PORTS)
def test_the_core_holds(name: str, tmp_path: Path) -> None:
    core = PORTS[name].build("core", tmp_path)
    tests = core().stdout.split()
    assert {"api", "pool", "schedules", "quota"} <= set(tests)
    done = core(*tests)
    assert done.returncode == 0, done.stdout + done.stderr


def test_kernels_hold_on_windows(tmp_path: Path) -> None:
    """Another calling convention, and another stack (those of Arm: test_kernels.py)."""
    done = PORTS["windows"].build("checkasm", tmp_path)()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "generic gemm: ok" in done.stdout and "generic functions: ok" in done.stdout
