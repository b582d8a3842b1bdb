"""Fuzz targets for what reads files in Python: model files, pickles, ONNX, pictures, arguments of the core.

    python fuzz/fuzz_python.py TARGET SECONDS FOLDER [CRASHES]
    python fuzz/fuzz_python.py TARGET 0 FILE        one input again

FOLDER holds seeds (fuzz/seeds.py). With the PyPI package atheris the search is guided by coverage; without it, inputs
are seeds changed at random, as the number in FUZZ_SEED says (the clock's, where it is not set). An input that raises
something else than its target allows, takes more than ten seconds (a minute under sanitizers), or more than four
gigabytes of memory, is written to CRASHES and ends the run with exit code 1; one that ends the process stays there as
TARGET-last, where every input stands while it is tried.
"""

import faulthandler
import io
import os
import pickle
import random
import resource
import signal
import sys
import time
import warnings
import zlib
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

try:
    import atheris
except ImportError:
    atheris = None

with atheris.instrument_imports(include=["xcos", "pickle", "json", "arguments"]) if atheris else nullcontext():
    from arguments import arguments

    import xcos
    import xcos.datasets.plain_pickle
    import xcos.importers.onnx

import numpy as np

SANITIZED = "libasan" in os.environ.get("LD_PRELOAD", "")
SMALL = 1 << 20  # values that a network may take and give here


def model(data: bytes) -> None:
    """A model file; what is sound is run, saved and read again."""
    try:
        file = xcos.ModelFile.read(data)
        network = xcos.Network(file)
        shapes = {name: [2, *(size or 33 for size in shape[1:])] for name, shape in network.inputs.items()}
        sizes = [*shapes.values(), *network.output_shapes(shapes).values()]
        if sum(np.prod(size, dtype=float) for size in sizes) < SMALL:
            network.run({name: np.ones(shape, np.float32) for name, shape in shapes.items()})
    except (xcos.ModelFileError, MemoryError):
        return
    except ValueError as error:
        if "layer" not in str(error) and "input" not in str(error):
            raise
        return
    assert xcos.ModelFile.read(file.to_bytes()).to_bytes() == file.to_bytes()


def onnx(data: bytes) -> None:
    """An ONNX file."""
    try:
        xcos.importers.onnx.import_onnx(data)
    except (xcos.ModelFileError, MemoryError):
        pass


def bin_(data: bytes) -> None:
    """The pickle of a benchmark."""
    try:
        xcos.datasets.plain_pickle.load(io.BytesIO(data))
    except pickle.UnpicklingError:
        pass


def image(data: bytes) -> None:
    """A picture."""
    try:
        picture = xcos.read_image(data, max_pixels=SMALL)
    except xcos.ImageError:
        return
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3


TARGETS: dict[str, Callable[[bytes], None]] = {
    "model": model,
    "onnx": onnx,
    "bin": bin_,
    "image": image,
    "arguments": arguments,
}


def mutate(data: bytes, chance: random.Random) -> bytes:
    """A few random changes: bits, bytes, numbers of four bytes, stretches cut, doubled or moved."""
    changed = bytearray(data)
    for _ in range(1 << chance.randrange(4)):
        at = chance.randrange(len(changed) + 1)
        length = chance.choice((1, 1, 2, 4, 8, chance.randrange(1, 200)))
        piece = changed[at : at + length]
        changed[at : at + length] = chance.choice(
            (
                bytes(b ^ 1 << chance.randrange(8) for b in piece),
                chance.randbytes(len(piece)),
                chance.choice((b"\0", b"\xff", b"\x7f", b"9", b"-", b"[", b"{")) * len(piece),
                b"",
                bytes(piece) * 2,
                bytes(changed[(start := chance.randrange(len(changed) + 1)) : start + length]),
            )
        )
    return bytes(changed)


def guarded(target: Callable[[bytes], None], name: str, crashes: Path) -> Callable[[bytes], None]:
    """The target with a limit of time, that leaves behind what ends it or the process."""
    last = (crashes / f"{name}-last").open("wb", buffering=0)

    def run(data: bytes) -> None:
        last.seek(0)
        last.truncate()
        last.write(data)
        signal.alarm(60 if SANITIZED else 10)
        try:
            target(data)
        except BaseException:
            found = crashes / f"{name}-{zlib.crc32(data):08x}"
            found.write_bytes(data)
            print(f"crasher: {found}", file=sys.stderr)
            raise
        finally:
            signal.alarm(0)

    return run


def late(*_: object) -> None:
    raise TimeoutError("too slow")


def main() -> None:
    name, seconds, folder = sys.argv[1], float(sys.argv[2]), Path(sys.argv[3])
    crashes = Path(sys.argv[4] if len(sys.argv) > 4 else "build/fuzz/crashes")
    faulthandler.enable()
    warnings.simplefilter("ignore")
    if folder.is_file():
        TARGETS[name](folder.read_bytes())
        return
    signal.signal(signal.SIGALRM, late)
    crashes.mkdir(parents=True, exist_ok=True)
    target = guarded(TARGETS[name], name, crashes)
    if atheris:
        corpus = folder.with_name(f"{folder.name}-corpus")
        corpus.mkdir(exist_ok=True)
        limits = [f"-max_total_time={int(seconds)}", "-rss_limit_mb=4000", "-max_len=100000", "-verbosity=0"]
        atheris.Setup([sys.argv[0], *limits, str(corpus), str(folder)], target)
        atheris.Fuzz()
        return
    if not SANITIZED:  # whose shadow takes terabytes of addresses; fuzz/run limits its allocations
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, resource.RLIM_INFINITY))
    seeds = [path.read_bytes() for path in sorted(folder.iterdir())]
    number = int(os.environ.get("FUZZ_SEED") or time.time_ns())
    chance, end, runs = random.Random(number), time.monotonic() + seconds, 0
    print(f"{name}: FUZZ_SEED={number}", flush=True)
    for seed in seeds:
        target(seed)
    while time.monotonic() < end:
        target(mutate(chance.choice(seeds), chance))
        runs += 1
    print(f"{name}: {runs} runs, nothing found")


if __name__ == "__main__":
    main()
