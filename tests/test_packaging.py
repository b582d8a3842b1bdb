"""sdist and wheel: built from the tree, complete, and working in another environment."""

import mmap
import runpy
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy
import pytest
from setuptools import Distribution

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow  # builds sdist and wheel

pytest.importorskip("build", reason="the PyPI package build is not installed")
pytest.importorskip("scipy_openblas32", reason="the PyPI package scipy-openblas32 is not installed")
if not (ROOT / "setup.py").is_file():
    pytest.skip("not in a source tree", allow_module_level=True)


def run(*command: object, **keywords: object) -> str:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False, **keywords)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """The sdist of the tree, and the wheel built from that sdist."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT)
    return folder


@pytest.fixture(scope="module")
def other(dist, tmp_path_factory):
    """Python of a new virtual environment that holds the wheel, and sees NumPy but not this environment."""
    folder = tmp_path_factory.mktemp("venv")
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / "bin/python"
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])").strip())
    for name in ("numpy", "numpy.libs"):
        origin = Path(numpy.__file__).parents[1] / name
        if origin.exists():
            (site / name).symlink_to(origin)
    run(sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", *dist.glob("*.whl"))
    return python


def test_sdist_holds_what_is_needed(dist):
    (path,) = dist.glob("*.tar.gz")
    with tarfile.open(path) as tar:
        names = {name.split("/", 1)[1] for name in tar.getnames() if "/" in name}
    for needed in (
        "setup.py", "pyproject.toml", "LICENSE", "THIRD_PARTY_NOTICES.md", "README.md", "Makefile", "CHANGELOG.md",
        "csrc/xcos.h", "csrc/py/module.c", "csrc/kernels/x86/avx2.c", "csrc/ops/ops.def", "xcos/_core.pyi",
        "xcos/py.typed",
        "tests/test_packaging.py", "CITATION.cff", "docs/model-file.md", "docs/conf.py",
        "xcos/view/explanation.js", "xcos/serve/page.html", "examples/obama_portrait_2012.jpg",
        "xcos/models/mobilefacenet_xcos_v2.safetensors",
    ):  # fmt: skip
        assert needed in names, needed
    assert not {name for name in names if name.endswith((".so", ".pyc"))}


def test_wheel_holds_the_package_alone(dist):
    (path,) = dist.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
    assert {name.split("/")[0] for name in names} == {"xcos", path.name.split("-cp")[0] + ".dist-info"}
    for needed in (
        "py.typed", "_core.pyi", "models/mobilefacenet_xcos_v2.safetensors", "models/yunet.safetensors",
        "view/explanation.js", "view/explanation.css", "serve/page.html", "serve/page.js", "serve/page.css",
        "casefile/case.html", "drawing/page.html", "evaluation/report.html", "evaluation/audit.html",
        "faithfulness/comparison.html",
        "serve/search.html", "serve/search.js", "serve/photograph.html", "serve/photograph.js",
        "serve/openapi.json", "serve/examples/obama_portrait_2012.jpg",
    ):  # fmt: skip
        assert f"xcos/{needed}" in names
    assert path.stat().st_size <= 20_000_000
    assert any(name.startswith("xcos/_libs/libscipy_openblas") for name in names)
    assert not {name for name in names if name.endswith((".c", ".h"))}


def test_wheel_works_elsewhere(other, photos, tmp_path):
    pair = [str(photos["obama_portrait_2012"]), str(photos["biden_blue_room_2010"])]
    code = f"""
import xcos
v = xcos.verify(*{pair!r})
maps = open("/proc/self/maps").read()
print(xcos.__file__)
print(v.same, "scipy_openblas32" in maps)
"""
    where, what = run(other, "-I", "-c", code, cwd=tmp_path).splitlines()
    assert Path(where).is_relative_to(other.parents[1])
    assert what == "False False"


def test_command_is_installed(other, tmp_path):
    assert run(other.parent / "xcos", "--version", cwd=tmp_path).startswith("xcos ")


def test_a_build_leaves_the_loaded_extension_alone(tmp_path, monkeypatch):
    """`make` while a process runs: what that has mapped into memory stays as it was."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["setup.py", "--version"])
    command = runpy.run_path("setup.py")["BuildExt"](Distribution())
    (tmp_path / "new").write_bytes(b"new" * 4096)
    target = tmp_path / "loaded.so"
    target.write_bytes(b"old" * 4096)
    with target.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as loaded:
        command.copy_file(str(tmp_path / "new"), str(target))
        assert loaded[:] == b"old" * 4096
    assert target.read_bytes() == b"new" * 4096
    assert {path.name for path in tmp_path.iterdir()} == {"new", "loaded.so"}
