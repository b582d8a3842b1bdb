"""Small calls of everything in xcos._core that takes memory, for test_memory.py, and the script that lets each of
their allocations fail: python memory_calls.py core|python"""

import ctypes
import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image

import xcos
from xcos import _core

RNG = np.random.default_rng(1)


def encoded(kind, **options):
    image = Image.fromarray(RNG.integers(0, 256, (24, 17, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    image.save(file, kind, **({"exif": exif} if kind == "JPEG" else {}), **options)
    return file.getvalue()


PICTURES = [encoded("JPEG"), encoded("JPEG", progressive=True), encoded("PNG"), encoded("GIF"), encoded("PPM")]
WEIGHTS = [
    *(RNG.normal(size=(4, 8, 3, 3)).astype(np.float32), np.zeros(4, np.float32), 0.2),
    *(RNG.normal(size=(4, 8, 3, 3)).astype(np.float32), np.zeros(4, np.float32), 0.2),
    *(RNG.normal(size=(1, 4, 3, 3)).astype(np.float32), np.zeros(1, np.float32), 0.2),
]
GRIDS = RNG.normal(size=(3, 8, 7, 7)).astype(np.float32)
EMBEDDINGS = RNG.normal(size=(3, 12)).astype(np.float32)
TENSORS = {
    "c": RNG.normal(size=(16, 3, 3, 3)).astype(np.float32),
    "d": RNG.normal(size=(16, 1, 3, 3)).astype(np.float32),
    "g": RNG.normal(size=(8, 16, 1, 1)).astype(np.float32),
    "l": RNG.normal(size=(5, 8)).astype(np.float32),
    "n": np.ones(16, np.float32),
    "k": np.ones((1, 16, 1, 1), np.float32),
}
NORM = dict.fromkeys(("gamma", "beta", "mean", "var"), "n")
LAYERS = [
    {"op": "batch_norm", "inputs": ["x3"], "output": "b0", **NORM},
    {"op": "conv", "inputs": ["b0"], "output": "c1", "weight": "c16", "pad": [1] * 4, "bias": "n"},
    {"op": "batch_norm", "inputs": ["c1"], "output": "b1", **NORM},
    {"op": "add", "inputs": ["b1", "b0"], "output": "a1"},
    {"op": "prelu", "inputs": ["a1"], "output": "p1", "slope": "n"},
    {"op": "conv", "inputs": ["p1"], "output": "c2", "weight": "d", "groups": 16, "pad": [1] * 4, "stride": [2, 2]},
    {"op": "mul", "inputs": ["c2", "k"], "output": "m"},
    {"op": "avg_pool", "inputs": ["m"], "output": "v"},
    {"op": "conv", "inputs": ["v"], "output": "g1", "weight": "g"},
    {"op": "reshape", "inputs": ["g1"], "output": "r", "shape": [-1]},
    {"op": "linear", "inputs": ["r"], "output": "y", "weight": "l"},
]
FIRST = {"op": "conv", "inputs": ["x"], "output": "x3", "weight": "c", "pad": [1, 1, 1, 1]}
TENSORS["c16"] = RNG.normal(size=(16, 16, 3, 3)).astype(np.float32)
X = RNG.normal(size=(3, 3, 12, 12)).astype(np.float32)


def network():
    return _core.Network([{"name": "x", "shape": [3, 12, 12]}], [FIRST, *LAYERS], ["y", "m"], TENSORS)


def head():
    return _core.Head(*WEIGHTS)


def whole_head():
    return _core.Head(*WEIGHTS, whole=0.5)


def sizes_of_all_kinds():
    net = _core.Network([{"name": "x", "shape": [3, None, None]}], [FIRST], ["x3"], TENSORS)
    return [net.output_shapes([(2, 3, n, n)]) for n in range(1, 14)]


YUNET = [[np.full(n * width, 0.4, np.float32) for n in (16, 4, 1)] for width in (1, 1, 4, 10)]
PICTURE = RNG.integers(0, 256, (20, 30, 3), np.uint8)
CALLS = {
    "decode": lambda: [_core.decode(data, 10**6) for data in PICTURES],
    "decode, reduced": lambda: [_core.decode_reduced(data, 10**6, 1)[0] for data in PICTURES],
    "decode a buffer": lambda: _core.decode(bytearray(PICTURES[0]), 10**6),
    "warp": lambda: _core.warp(PICTURE[::-1], [[1, 0, 2], [0, 1, 3]], 9, 9),
    "resize": lambda: _core.resize(PICTURE, 9, 40),
    "normalize": lambda: _core.normalize(PICTURE[None], [1, 2, 3], [1, 1, 1]),
    "nms": lambda: _core.nms([[0, 0, 9, 9], [1, 1, 9, 9], [20, 20, 30, 30]], [0.5, 0.6, 0.7], 0.4),
    "yunet": lambda: _core.yunet_faces(*YUNET, 32, 32, 0.1, 0.4),
    "network": lambda: network().run([X], threads=1),
    "network, two threads": lambda: network().run([X], threads=2),
    "shapes": sizes_of_all_kinds,
    "head": lambda: head().compare(GRIDS, GRIDS),
    "head, all": lambda: head().compare_all(GRIDS, GRIDS, maps=True, threads=2),
    "head, whole": lambda: whole_head().compare(GRIDS, GRIDS, a_whole=EMBEDDINGS, b_whole=EMBEDDINGS),
    "head, whole, all": lambda: whole_head().compare_all(GRIDS, GRIDS, a_whole=EMBEDDINGS, b_whole=EMBEDDINGS),
    "transport": lambda: _core.transport(GRIDS, GRIDS[::-1], flow=True, iterations=5, threads=2),
}
WRONG = {
    "decode": lambda: [_core.decode(data[: len(data) // 2], 10**6) for data in PICTURES],
    "decode, reduced": lambda: [_core.decode_reduced(data[: len(data) // 2], 10**6, 1) for data in PICTURES],
    "decode, too large": lambda: _core.decode(PICTURES[0], 5),
    "warp": lambda: _core.warp(PICTURE, [[1, 0, np.nan], [0, 1, 3]], 9, 9),
    "nms": lambda: _core.nms([[0, 0, 9, 9]], [np.nan], 0.4),
    "yunet": lambda: _core.yunet_faces(*YUNET[:3], YUNET[2], 32, 32, 0.1, 0.4),
    "normalize": lambda: _core.normalize(PICTURE[None], [1, 2], [1, 1, 1]),
    "network": lambda: _core.Network([{"name": "x", "shape": [3, 12, 12]}], [FIRST, {"op": "?"}], ["y"], TENSORS),
    "network, input": lambda: network().run([X[:, :2]]),
    "head": lambda: _core.Head(*WEIGHTS[:3], *WEIGHTS[:6]),
    "head, NaN": lambda: head().compare(GRIDS, GRIDS * np.nan),
    "transport": lambda: _core.transport(GRIDS, GRIDS * np.nan, flow=True),
    "transport, setting": lambda: _core.transport(GRIDS, GRIDS, regularization=-1),
    "head, embeddings": lambda: whole_head().compare(GRIDS, GRIDS, a_whole=EMBEDDINGS, b_whole=EMBEDDINGS * np.nan),
}


def outcome(call):
    """What a call gives, as bytes; None where it ends in MemoryError, the only exception allowed."""
    try:
        result = call()
    except MemoryError:
        return None
    parts = result if isinstance(result, (list, tuple)) else [result]
    return b"".join(np.asarray(part).tobytes() for part in parts if part is not None)


def code_of_core():
    """Where the code of xcos._core lies in memory."""
    lines = [line for line in open("/proc/self/maps") if line.rstrip().endswith(_core.__file__) and "r-xp" in line]
    bounds = [[int(part, 16) for part in line.split()[0].split("-")] for line in lines]
    return min(b[0] for b in bounds), max(b[1] for b in bounds)


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def fail_each_in_core():
    """Each allocation of the core in turn; prints the number of failures, ends with an error on any other outcome."""
    hook = ctypes.CDLL(None)
    hook.fail_nth.argtypes = (ctypes.c_size_t, ctypes.c_size_t, ctypes.c_long)
    bounds = code_of_core()
    failures = 0
    for name, call in CALLS.items():
        expected = outcome(call)
        for n in range(1, 10_000):
            hook.fail_nth(*bounds, n)
            got = outcome(call)
            failed = hook.has_failed()
            hook.fail_nth(*bounds, 0)
            if not failed:
                break
            failures += 1
            if got not in (None, expected):
                sys.exit(f"{name}: without its allocation {n} it gives another result")
        if outcome(call) != expected:
            sys.exit(f"{name}: gives another result after failed allocations")
    print(failures)


def fail_each_in_python():
    """The same for what Python's own allocator gives to the binding and to NumPy."""
    import _testcapi

    failures = 0
    for name, call in CALLS.items():
        expected = outcome(call)
        for n in range(1, 3000):
            _testcapi.set_nomemory(n, n + 1)
            try:
                result = call()
            except MemoryError:
                result = None
            finally:
                _testcapi.remove_mem_hooks()
            failures += result is None
            if result is not None and outcome(lambda result=result: result) != expected:
                sys.exit(f"{name}: without Python's allocation {n} it gives another result")
        if outcome(call) != expected:
            sys.exit(f"{name}: gives another result after failed allocations")
    print(failures)


if __name__ == "__main__":
    assert xcos.__file__
    rounds = {"core": fail_each_in_core, "python": fail_each_in_python}[sys.argv[1]]
    for number in range(4):
        rounds()
        if number == 1:
            before = resident()
    grown = resident() - before
    if grown > 1_000_000:
        sys.exit(f"{grown} bytes more after failed allocations")
