"""The core as a library for C programs: libxcos.a, all of csrc/ but the binding."""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CSRC = ROOT / "csrc"
WARNINGS = ("-Wall", "-Wextra", "-Werror")

# As setuptools compiles the extension: what is tested is what is shipped, and ccache, where there is one, has it.
AS_SHIPPED = (
    *(sysconfig.get_config_var("CFLAGS") or "").split(), "-fPIC",
    "-std=c11", "-O3", "-fvisibility=hidden", "-fno-math-errno", "-Wall", "-Wextra",
    *(["-Werror"] if os.environ.get("XCOS_WERROR") == "1" else []),
)  # fmt: skip


def compiler() -> list[str]:
    """The C compiler to use (ccache before it, where CC says so), or a skip that says why there is none."""
    configured = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()
    for command in (configured, ["cc"], ["gcc"], ["clang"]):
        if shutil.which(command[0]):
            return command if command[0] == "ccache" else command[:1]
    pytest.skip("no C compiler: C programs cannot be built")


def archiver() -> list[str]:
    """What makes a library of object files: the one that belongs to a cross compiler, x86_64-w64-mingw32-gcc's."""
    beside = compiler()[-1].replace("-gcc", "-ar")
    return [beside if beside.endswith("-ar") and shutil.which(beside) else "ar"]


def blas(what: str) -> str:
    """What the package scipy_openblas32 says; asked in a process of its own, since it loads the library."""
    command = [sys.executable, "-c", f"import scipy_openblas32 as blas; print(blas.get_{what}())"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else pytest.skip("no scipy_openblas32: no headers of OpenBLAS")


def includes() -> list[str]:
    """Where the headers are: ours, OpenBLAS's and the image decoder's."""
    stb = os.environ.get("XCOS_STB_INCLUDE", "/usr/include/stb")
    if not Path(stb, "stb_image.h").is_file():
        pytest.skip("no stb_image.h: the core cannot be compiled")
    return ["-Icsrc", f"-I{blas('include_dir')}", f"-I{stb}"]


def libraries() -> list[str]:
    """What a program that links all of libxcos.a needs beside."""
    folder = blas("lib_dir")
    return [f"-L{folder}", f"-Wl,-rpath,{folder}", f"-l{blas('library')}", "-lm", "-pthread"]


def run(*command: str | Path) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def library(folder: Path, *options: str, only: str = "", system: str = "posix", products: bool = True) -> Path:
    """Compiles csrc/ (or its folder `only`, and what that needs) into folder/libxcos.a; without options as shipped.

    `products`: with those of OpenBLAS, or to be linked with c/products.c."""
    left_out = {"py", "posix", "windows"} - {system}
    sources = [path for path in sorted(CSRC.rglob("*.c")) if path.parent.name not in left_out]
    sources = [path for path in sources if products or path.name != "blas.c"]
    if only:
        needed = {"call.c", "status.c"}
        sources = [p for p in sources if only in p.relative_to(CSRC).parts or p.name in needed or "os" in p.parts]
    flags = [*(("-std=c11", "-fno-math-errno", *WARNINGS, *options) if options else AS_SHIPPED), *includes()]

    def compiled(path: Path) -> Path:
        target = folder / ("_".join(path.relative_to(CSRC).with_suffix(".o").parts))
        run(*compiler(), *flags, "-c", path.relative_to(ROOT), "-o", target)
        return target

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compiled, sources))
    run(*archiver(), "rcs", folder / "libxcos.a", *objects)
    return folder / "libxcos.a"


def program(
    target: Path,
    archive: Path,
    folder: Path,
    *options: str,
    link: Sequence[str] = ("-lm", "-pthread"),
    system: str = "posix",
) -> Path:
    """Compiles the C files of `folder`, and of its folder for the system, and links them with libxcos.a."""
    flags = ["-std=gnu11", *WARNINGS, f"-I{CSRC}", *options]
    files = [*sorted(folder.glob("*.c")), *sorted((folder / system).glob("*.c"))]
    run(*compiler(), *flags, *files, archive, "-o", target, *link)
    return target
