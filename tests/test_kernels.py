"""The kernels of every instruction set, checked by a C program (checkasm.c) in guarded memory."""

import ctypes
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]


def compiler() -> str:
    """The C compiler to use, or a skip that says why there is none."""
    configured = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    for name in (configured, "cc", "gcc", "clang"):
        if shutil.which(name):
            return name
    pytest.skip("no C compiler: checkasm cannot be built")


def build(target: Path, sources: list[Path], *options: str) -> Path:
    """Compiles the kernels together with `sources`."""
    csrc = ROOT / "csrc"
    kernels = [csrc / name for name in ("cpu.c", "status.c", "pack.c", "kernels_ref.c", "head_ref.c")]
    kernels += sorted((csrc / "x86").glob("*.c"))
    done = subprocess.run(
        [compiler(), "-std=gnu11", "-O3", "-Wall", "-Wextra", "-Werror", f"-I{csrc}", *options]
        + [str(path) for path in (*kernels, *sources)]
        + ["-o", str(target), "-lm", "-pthread"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return target


CHECKASM = [ROOT / "tests" / "checkasm.c", ROOT / "tests" / "checkasm_bench.c"]


@pytest.fixture(scope="module")
def checkasm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("kernels") / "checkasm", CHECKASM)


def test_every_kernel_agrees_with_its_oracle(checkasm: Path) -> None:
    done = subprocess.run([checkasm], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "generic gemm: ok" in done.stdout


def test_kernels_have_no_undefined_behaviour(tmp_path: Path) -> None:
    options = ("-O1", "-fsanitize=undefined", "-fno-sanitize-recover")
    program = build(tmp_path / "checkasm", CHECKASM, *options)
    done = subprocess.run([program], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def test_disabled_instruction_sets_are_not_used(checkasm: Path) -> None:
    environment = {**os.environ, "XCOS_DISABLE_CPU": "avx512, avx2"}
    done = subprocess.run([checkasm], capture_output=True, text=True, env=environment, timeout=300)
    assert {line.split()[0] for line in done.stdout.splitlines()} == {"generic"}


@pytest.mark.parametrize("tile", [2, 4])
def test_winograd_weights_reproduce_the_convolution(tmp_path: Path, tile: int) -> None:
    """A^T [(G g G^T) . (B^T d B)] A is the convolution, with A and B rebuilt here from the
    interpolation points alone (Toom-Cook): an oracle that shares nothing with the C code."""
    library = tmp_path / "pack.so"
    options = ["-std=gnu11", "-shared", "-fPIC", f"-I{ROOT / 'csrc'}"]
    subprocess.run(
        [compiler(), *options, str(ROOT / "csrc" / "pack.c"), "-o", str(library), "-lm"], check=True
    )
    pack = ctypes.CDLL(str(library)).xk_pack_winograd
    pack.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_ssize_t, *[ctypes.c_int] * 3,
                     ctypes.c_void_p, ctypes.c_void_p]  # fmt: skip
    points = [0.0, 0.5**0.5, -(0.5**0.5), 2**0.5, -(2**0.5)] if tile == 4 else [0.0, 1.0, -1.0]
    size = tile + 2

    def evaluate(length: int) -> np.ndarray:
        rows = [[p**i for i in range(length)] for p in points]
        return np.array([*rows, [0.0] * (length - 1) + [1.0]])

    # Divisors of Lagrange's basis: the transforms of the input are scaled by them.
    divisors = np.array([np.prod([p - q for q in points if q != p]) for p in points] + [1.0])
    if tile == 2:
        divisors[0] = 1.0  # the sign of this one (-1) stays in the input's transform
    input_t = np.linalg.inv(evaluate(size)).T * divisors[:, None]
    output_t = evaluate(tile).T
    rng = np.random.default_rng(0)
    for _ in range(20):
        g = rng.standard_normal((3, 3)).astype(np.float32)
        d = rng.standard_normal((size, size))
        u = np.zeros((size, size), np.float32)
        pack(tile, g.ctypes.data, 9, 9, 1, 1, 1, None, u.ctypes.data)
        got = output_t @ (u * (input_t @ d @ input_t.T)) @ output_t.T
        windows = np.lib.stride_tricks.sliding_window_view(d, (3, 3))
        np.testing.assert_allclose(got, np.einsum("ijrs,rs->ij", windows, g.astype(float)), atol=2e-6)
