"""The core from C (c/core): bounds of the public API, the pool, arenas, schedules, the choice of algorithms, quotas."""

import subprocess
from pathlib import Path

import libxcos
import pytest

TESTS = ("api", "weights", "pool", "interrupt", "arena", "schedules", "pick", "quota")


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("core")
    archive = libxcos.library(folder)
    return libxcos.program(
        folder / "core", archive, Path(__file__).parent / "c" / "core", "-g", link=libxcos.libraries()
    )


@pytest.mark.parametrize("name", TESTS)
def test_core(core: Path, name: str) -> None:
    done = subprocess.run([core, name], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_all_are_run(core: Path) -> None:
    assert tuple(subprocess.run([core], capture_output=True, text=True, check=True).stdout.split()) == TESTS
