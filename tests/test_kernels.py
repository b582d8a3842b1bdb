"""The kernels of every instruction set, checked by a C program (c/checkasm) in guarded memory."""

import ctypes
import os
import platform
import shutil
import subprocess
from pathlib import Path

import libxcos
import numpy as np
import pytest

CHECKASM = Path(__file__).parent / "c" / "checkasm"


def build(folder: Path, *options: str) -> Path:
    """checkasm, and the kernels alone."""
    archive = libxcos.library(folder, *options, only="kernels")
    return libxcos.program(folder / "checkasm", archive, CHECKASM, *options)


@pytest.fixture(scope="module")
def checkasm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("kernels"))


def test_every_kernel_agrees_with_its_oracle(checkasm: Path) -> None:
    done = subprocess.run([checkasm], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "generic gemm: ok" in done.stdout and "generic pairs: ok" in done.stdout
    assert "generic transport: ok" in done.stdout


@pytest.mark.slow
def test_kernels_have_no_undefined_behaviour(tmp_path: Path) -> None:
    program = build(tmp_path, "-O0", "-fsanitize=undefined", "-fno-sanitize-recover")
    done = subprocess.run([program], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def emulated(program: Path, *emulator: str) -> set[str]:
    """Instruction sets whose kernels agree with their oracles on another processor, played by qemu's user mode."""
    if shutil.which(emulator[0]) is None:
        pytest.skip(f"no {emulator[0]}: this processor cannot be played")
    done = subprocess.run([*emulator, program], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return {line.split()[0] for line in done.stdout.splitlines()}


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="another processor's program")
def test_a_processor_without_avx_runs_sse2(checkasm: Path) -> None:
    assert emulated(checkasm, "qemu-x86_64", "-cpu", "Nehalem") == {"sse2", "generic"}


@pytest.mark.slow
def test_a_64_bit_arm_runs_neon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("aarch64-linux-gnu-gcc") is None:
        pytest.skip("no aarch64-linux-gnu-gcc: nothing can be compiled for Arm")
    monkeypatch.setenv("CC", "aarch64-linux-gnu-gcc")
    assert emulated(build(tmp_path, "-O3", "-static"), "qemu-aarch64") == {"neon", "generic"}


def test_disabled_instruction_sets_are_not_used(checkasm: Path) -> None:
    environment = {**os.environ, "XCOS_DISABLE_CPU": "avx512, avx2,sse2,neon"}
    done = subprocess.run([checkasm], capture_output=True, text=True, env=environment, timeout=300)
    assert {line.split()[0] for line in done.stdout.splitlines()} == {"generic"}
    environment["XCOS_DISABLE_CPU"] = "avx1024"
    done = subprocess.run([checkasm], capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 2
    assert done.stderr == "checkasm: XCOS_DISABLE_CPU names 'avx1024', expected a list of avx512, avx2, sse2, neon\n"


@pytest.mark.parametrize("tile", [2, 4])
def test_winograd_weights_reproduce_the_convolution(tmp_path: Path, tile: int) -> None:
    """A^T [(G g G^T) . (B^T d B)] A is the convolution, with A and B rebuilt here from the
    interpolation points alone (Toom-Cook): an oracle that shares nothing with the C code."""
    library = tmp_path / "pack.so"
    source = libxcos.CSRC / "kernels" / "pack.c"
    options = ("-std=gnu11", "-shared", "-fPIC", f"-I{libxcos.CSRC}")
    libxcos.run(*libxcos.compiler(), *options, source, "-o", library, "-lm")
    pack = getattr(ctypes.CDLL(str(library)), f"xk_pack_winograd{tile}")
    pack.argtypes = [ctypes.c_void_p, *[ctypes.c_ssize_t] * 2, *[ctypes.c_int] * 3, ctypes.c_void_p, ctypes.c_void_p]
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
        pack(g.ctypes.data, 9, 9, 1, 1, 1, None, u.ctypes.data)
        got = output_t @ (u * (input_t @ d @ input_t.T)) @ output_t.T
        windows = np.lib.stride_tricks.sliding_window_view(d, (3, 3))
        np.testing.assert_allclose(got, np.einsum("ijrs,rs->ij", windows, g.astype(float)), atol=2e-6)
