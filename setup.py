"""Builds the one extension module, xcos._core, from csrc/.

What a user may set in the environment:

- ``XCOS_STB_INCLUDE``  folder that holds stb_image.h (else ``pkg-config stb`` is asked)
- ``XCOS_WERROR=1``     warnings are errors (CI)
- ``XCOS_SANITIZE=1``   AddressSanitizer and UndefinedBehaviorSanitizer; ``XCOS_SANITIZE=thread``:
                        ThreadSanitizer (``make sanitize`` and ``make tsan`` run the tests with them)

Nothing here looks at the CPU of the build machine: instruction sets are chosen
at run time (csrc/kernels/cpu.c), function by function.
"""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
WINDOWS = sys.platform == "win32"


def openblas() -> Path:
    """Folder of the package that has OpenBLAS. It is not imported, which would load the library: that may be another
    machine's (tools/arm.sh)."""
    found = find_spec("scipy_openblas32")
    if found is None or found.origin is None:
        sys.exit("xcos: scipy-openblas32 was not found. Install it from PyPI.")
    return Path(found.origin).parent


def sources() -> list[str]:
    """The C files, but for those of another operating system."""
    other = ROOT / "csrc" / "os" / ("posix" if WINDOWS else "windows")
    return sorted(str(p.relative_to(ROOT)) for p in (ROOT / "csrc").rglob("*.c") if other not in p.parents)


def stb_include() -> str:
    """Folder of stb_image.h, or an end of the build that says what to install."""
    candidates = []
    if os.environ.get("XCOS_STB_INCLUDE"):
        candidates = [os.environ["XCOS_STB_INCLUDE"]]
    else:
        try:
            flags = subprocess.run(
                ["pkg-config", "--cflags-only-I", "stb"], capture_output=True, text=True, check=True
            ).stdout.split()
            candidates = [flag.removeprefix("-I") for flag in flags]
        except (OSError, subprocess.CalledProcessError):
            pass
        candidates.append("/usr/include/stb")  # where Debian puts it, for machines without pkg-config
    for folder in candidates:
        if (Path(folder) / "stb_image.h").is_file():
            return folder
    sys.exit(
        f"xcos: stb_image.h was not found (looked in: {', '.join(candidates) or 'nowhere'}).\n"
        "Install it (Debian/Ubuntu: apt-get install libstb-dev) or set XCOS_STB_INCLUDE to its folder."
    )


class BuildExt(build_ext):
    """Compiles the core and puts OpenBLAS's shared library beside it.

    scipy-openblas32 asks other packages not to depend on it at run time, so the
    library travels inside our package, where the extension finds it by its own
    place: by $ORIGIN or @loader_path in _libs; on Windows in its own folder.
    """

    def initialize_options(self) -> None:
        super().initialize_options()
        if WINDOWS:  # Microsoft's compiler has neither vector extensions nor all of C11
            self.compiler = "mingw32"

    def build_extension(self, ext: Extension) -> None:
        # One place holds the version: pyproject.toml.
        ext.define_macros.append(("XCOS_VERSION", f'"{self.distribution.get_version()}"'))
        super().build_extension(ext)
        self.copy_openblas(Path(self.get_ext_fullpath(ext.name)).parent)

    def copy_extensions_to_source(self) -> None:  # build_ext --inplace and editable installs
        super().copy_extensions_to_source()
        self.copy_openblas(ROOT / "xcos")

    def copy_file(self, infile: str, outfile: str, *args: Any, **kwargs: Any) -> tuple[str, bool]:
        """Writes beside the file and renames: a process that has loaded the old one keeps it, and does not crash."""
        beside = f"{outfile}.{os.getpid()}"
        shutil.copy2(infile, beside)
        os.replace(beside, outfile)
        return outfile, True

    def copy_openblas(self, package: Path) -> None:
        target = package if WINDOWS else package / "_libs"
        target.mkdir(exist_ok=True)
        for library in (openblas() / "lib").glob("*.dll" if WINDOWS else "libscipy_openblas*"):
            self.copy_file(str(library), str(target / library.name))


class BuildPy(build_py):
    """Puts the photographs of examples/ into the built package, for the page of ``xcos serve``."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:  # a source tree is served from where they lie
            target = Path(self.build_lib) / "xcos" / "serve" / "examples"
            target.mkdir(parents=True, exist_ok=True)
            for photograph in (ROOT / "examples").glob("*.jpg"):
                shutil.copy2(photograph, target / photograph.name)


compile_args = ["-std=c11", "-O3", "-fvisibility=hidden", "-fno-math-errno", "-Wall", "-Wextra"]
link_args = []
libraries = ["libscipy_openblas" if WINDOWS else "scipy_openblas"]
macros = [("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION")]
if WINDOWS:
    # GCC does not align the stack as it expects there (bug 54412).
    compile_args.append("-Wa,-muse-unaligned-vector-move")
    link_args.append("-static")  # GCC's own libraries; those of the system and of Python are shared all the same
    # What pyconfig.h defines for Microsoft's compiler alone; the formats of C99.
    macros += [("MS_WIN64", ""), ("__USE_MINGW_ANSI_STDIO", "1")]
else:
    libraries += ["m", "pthread"]
    origin = "@loader_path" if sys.platform == "darwin" else "$ORIGIN"
    link_args.append(f"-Wl,-rpath,{origin}/_libs")
if os.environ.get("XCOS_WERROR") == "1":
    compile_args.append("-Werror")
if os.environ.get("XCOS_SANITIZE"):
    kinds = "thread" if os.environ["XCOS_SANITIZE"] == "thread" else "address,undefined"
    sanitizers = [f"-fsanitize={kinds}", "-fno-omit-frame-pointer", "-g"]
    compile_args += [*sanitizers, "-O1"]
    link_args += sanitizers

setup(
    cmdclass={"build_ext": BuildExt, "build_py": BuildPy},
    ext_modules=[
        Extension(
            "xcos._core",
            sources=sources(),
            depends=sorted(str(p.relative_to(ROOT)) for end in ("*.h", "*.def") for p in (ROOT / "csrc").rglob(end)),
            include_dirs=[
                "csrc",
                numpy.get_include(),
                stb_include(),
                str(openblas() / "include"),
            ],
            library_dirs=[str(openblas() / "lib")],
            libraries=libraries,
            extra_compile_args=compile_args,
            extra_link_args=link_args,
            define_macros=macros,
        )
    ],
)
