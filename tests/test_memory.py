"""No leaks: not in 10,000 calls, not on error paths, not where allocations fail."""

import ctypes
import gc
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import memory_calls
import numpy as np
import pytest
from memory_calls import CALLS, WRONG, resident

from xcos.plan.file import ModelFile
from xcos.plan.network import Network

HERE = Path(__file__).parent
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
sanitized = pytest.mark.skipif("libasan" in os.environ.get("LD_PRELOAD", ""), reason="the sanitizer keeps freed memory")


def flat(call, times):
    """Resident memory grows by less than a megabyte in `times` calls, after as many to fill all caches."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    for _ in range(min(times, 1000)):
        call()
    gc.collect()
    before = resident()
    for _ in range(times):
        call()
    gc.collect()
    if trim:
        trim(0)
    assert resident() - before < 1_000_000


@linux
@sanitized
@pytest.mark.parametrize("name", CALLS)
def test_calls_leave_nothing(name):
    flat(CALLS[name], 10_000 if not name.startswith(("network", "shapes")) else 2_000)


@linux
@sanitized
def test_ten_thousand_runs_of_one_network():
    network = memory_calls.network()
    flat(lambda: network.run([memory_calls.X], threads=1), 10_000)


@linux
@sanitized
@pytest.mark.parametrize("name", WRONG)
def test_errors_leave_nothing(name):
    def call():
        with pytest.raises((TypeError, ValueError)):
            WRONG[name]()

    flat(call, 2_000)


@pytest.mark.parametrize("name", CALLS)
def test_references_of_arguments(name):
    """What a call was given has as many references after it as before."""
    given = [*memory_calls.PICTURES, *memory_calls.TENSORS.values(), memory_calls.X, memory_calls.GRIDS]
    given += [memory_calls.PICTURE, *memory_calls.LAYERS, memory_calls.FIRST, memory_calls.TENSORS]
    given += [item for part in memory_calls.YUNET for item in part] + list(memory_calls.WEIGHTS)
    CALLS[name]()
    before = [sys.getrefcount(item) for item in given]
    for _ in range(10):
        CALLS[name]()
    assert [sys.getrefcount(item) for item in given] == before


def test_a_network_owns_its_weights():
    """It keeps no array of the caller, and what is written to one later changes no result."""
    rng = np.random.default_rng(2)
    for size in (9, None):  # None: how to convolve is decided, and weights are packed, when it runs
        tensors = {name: value.copy() for name, value in memory_calls.TENSORS.items()}
        references = {name: sys.getrefcount(value) for name, value in tensors.items()}
        layers = [
            {**memory_calls.FIRST, "output": "a"},
            {"op": "conv", "inputs": ["a"], "output": "b", "weight": "c16", "bias": "n", "pad": [1] * 4},
            {"op": "prelu", "inputs": ["a"], "output": "p", "slope": "n"},
            {"op": "batch_norm", "inputs": ["p"], "output": "q", **memory_calls.NORM},
            {"op": "mul", "inputs": ["q", "k"], "output": "y"},
        ]
        inputs = [{"name": "x", "shape": [3, size, size]}]
        network = memory_calls._core.Network(inputs, layers, ["y", "b"], tensors)
        twin = memory_calls._core.Network(inputs, layers, ["y", "b"], tensors)
        x = rng.normal(size=(2, 3, 9, 9)).astype(np.float32)
        expected = [y.tobytes() for y in twin.run([x])]
        assert {name: sys.getrefcount(value) for name, value in tensors.items()} == references
        for value in tensors.values():
            value[...] = 7
        assert [y.tobytes() for y in network.run([x])] == expected


@linux
@sanitized
def test_a_network_holds_its_weights_once(tmp_path):
    """Packed: the pages of the mapped file they came from go back to the system."""
    layer = {"op": "linear", "inputs": ["x"], "output": "y", "weight": "w"}
    size = 4096  # 64 MiB of weights
    weights = np.random.default_rng(0).random((size, size), np.float32)
    inputs = [{"name": "x", "shape": [size]}]
    path = tmp_path / "net.safetensors"
    ModelFile("recognizer", "large", inputs, [layer], ["y"], {"w": weights}).write(path)
    del weights
    gc.collect()
    before = resident()
    network = Network.load(path)
    for _ in range(2):
        network.run(np.ones((1, size), np.float32), threads=1)
    assert resident() - before < 1.5 * 4 * size * size
    np.testing.assert_array_equal(network.file.tensors["w"], ModelFile.read(path).tensors["w"])


def script(which, **environment):
    return subprocess.run(
        [sys.executable, str(HERE / "memory_calls.py"), which],
        env={**os.environ, "PYTHONPATH": str(HERE.parent), **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


@linux
@sanitized
def test_each_allocation_of_the_core_may_fail(tmp_path):
    """Each ends in MemoryError, or in the right result where the core can do without."""
    compiler = shutil.which("cc") or pytest.skip("no C compiler")
    hook = tmp_path / "fail_alloc.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", hook, HERE / "fail_alloc.c"], check=True)
    done = script("core", LD_PRELOAD=str(hook))
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) > 200


@pytest.mark.slow
@linux
@sanitized
def test_each_allocation_of_the_binding_may_fail():
    testcapi = pytest.importorskip("_testcapi")
    if not hasattr(testcapi, "set_nomemory"):
        pytest.skip("this Python cannot let its allocations fail")
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        pytest.skip("free-threaded CPython 3.13 crashes by itself when its allocations fail")
    done = script("python")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) > 100
