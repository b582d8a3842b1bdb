"""Search among many faces: latency, memory and recall, beside faiss, uniface and deepface. Prints one table.

    python benchmarks/gallery.py [--faces 1000 10000 100000] [--searches 50] [--data FACES]
    python benchmarks/gallery.py --faces 1000 10000 100000 1000000 --data ../shared/data/celeba_crops.tar --folder DISK

The faces are made up: grids and embeddings of real ones (--data: a folder or tar of aligned crops; without it, the
photographs of examples/) with Gaussian noise as large as themselves, in a gallery of one photograph a person. Each
probe is one of them with half as much noise again. Measured is what follows the network: shortlist, reading, and
ranking by xCos; a face's network takes the same time everywhere (benchmarks/latency.py). `exact` re-ranks the 1,000
most alike by plain cosine of all embeddings; `index` those of an IVF_PQ index. recall@10: how many of the ten best of
the exact search are among the ten found. faiss, uniface and deepface, where they are installed, know plain cosine
alone: their rows tell what a shortlist costs, and their recall what xCos changes in the order (uniface's store gives
one hit, so 0.1 at most). A gallery takes 15 kB a face on the disk.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from machine import Machine

import xcos
from xcos.gallery.search import View, rank
from xcos.gallery.store import Store

EXAMPLES = Path(__file__).parents[1] / "examples"
PART = 5000
LISTS = (32, 64, 128)
PROBED = 32  # lists of faiss's IVF
Search = Callable[[xcos.Features], list[int]]  # the best, by number


def real_faces(data: str | None) -> xcos.Features:
    model = xcos.load()
    if data is None:
        return model.features(sorted(EXAMPLES.glob("*.jpg")))
    faces = xcos.datasets.read_faces(data)
    return model.features([faces.crop(i) for i in range(min(len(faces), 1000))], aligned=True)


def made_up(real: xcos.Features, start: int, count: int) -> xcos.Features:
    """`count` faces, always the same for one `start`."""
    rng = np.random.default_rng(start)
    which = rng.integers(len(real), size=count)
    grid = noisy(real.grid[which], 1.0, rng)
    return xcos.Features(np.maximum(grid, 0) if real.grid.min() >= 0 else grid, noisy(real.embedding[which], 1.0, rng))


def noisy(array: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    return array + share * array.std() * rng.standard_normal(array.shape, np.float32)


def fill(store: Store, real: xcos.Features, start: int, end: int) -> float:
    """Adds faces start to end; seconds."""
    begin = time.perf_counter()
    for at in range(start, end, PART):
        some = made_up(real, at, min(PART, end - at))
        names = [f"person {i:08d}" for i in range(at, at + len(some))]
        texts = {"id": names, "name": names, "photo": names, "digest": names, "meta": ["{}"] * len(some)}
        with store.writing():
            store.append(store.rows_of(some, texts, [None] * len(some)))
    return time.perf_counter() - begin


def timed(
    searches: Sequence[xcos.Features], search: Search
) -> tuple[str, list[set[int]]]:
    """p50 and p99 in ms, and what was found, after some searches that do not count."""
    for probe in searches[:3]:
        search(probe)
    taken, found = [], []
    for probe in searches:
        begin = time.perf_counter()
        found.append(set(search(probe)))
        taken.append(1e3 * (time.perf_counter() - begin))
    return f"{np.percentile(taken, 50):.1f} | {np.percentile(taken, 99):.1f}", found


def recall(found: list[set[int]], truth: list[set[int]]) -> str:
    return f"{np.mean([len(a & b) / len(b) for a, b in zip(found, truth, strict=True)]):.3f}"


def memory() -> str:
    """Of this process now, in MB (Linux), else its largest."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return f"{pages * os.sysconf('SC_PAGE_SIZE') / 1e6:.0f}"
    except OSError:
        return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:.0f}"


def peers(unit: np.ndarray, count: int) -> Iterator[tuple[str, Search]]:
    """Those who are installed, each with its search by plain cosine; all hold the embeddings in memory."""

    def of(probe: xcos.Features) -> np.ndarray:
        return probe.embedding / np.linalg.norm(probe.embedding)

    with suppress(ImportError):
        import faiss

        lists = int(count**0.5)
        kinds = {"faiss flat": "Flat"} | ({f"faiss IVF, {PROBED} lists": f"IVF{lists},Flat"} if count >= 10_000 else {})
        for name, kind in kinds.items():  # one after the other: each holds all embeddings
            index = faiss.index_factory(unit.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
            index.train(unit[: 64 * lists])
            index.add(unit)
            if hasattr(index, "nprobe"):
                index.nprobe = PROBED
            yield f"{name}, 1,000 best", lambda probe, index=index: index.search(of(probe), 1000)[1][0][:10].tolist()
        del index
    with suppress(ImportError), tempfile.TemporaryDirectory() as folder:
        from uniface.stores import FAISS

        store = FAISS(embedding_size=unit.shape[1], db_path=folder)
        for number, row in enumerate(unit):
            store.add(row, {"number": number})
        yield "uniface's store, the best alone", lambda probe: [store.search(of(probe)[0], -1)[0]["number"]]
    with suppress(ImportError):
        from deepface.modules.verification import find_cosine_distance

        yield "deepface's distances, sorted", lambda probe: (
            np.argsort(find_cosine_distance(unit, probe.embedding)[0])[:10].tolist()
        )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--searches", type=int, default=50)
    parser.add_argument("--data", help="folder or tar of aligned crops, 112 x 112")
    parser.add_argument("--folder", help="where to keep the gallery meanwhile: 15 kB a face (default: a temporary one)")
    options = parser.parse_args(arguments)
    model, real = xcos.load(), real_faces(options.data)
    machine = Machine.here()
    print(f"{machine.cpu}, {machine.cores} cores, load {os.getloadavg()[0]:.1f}; {len(real)} real faces\n")
    print("| faces | search | p50 ms | p99 ms | recall@10 | MB |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        store, there = Store(folder, model, False, True), 0
        for count in sorted(options.faces):
            seconds = fill(store, real, there, count)
            print(f"| {count:,} | enrolling {count - there:,} features, {(count - there) / seconds:.0f} a second"
                  " | | | | |", flush=True)  # fmt: skip
            there = count
            rng = np.random.default_rng(1)
            first = made_up(real, 0, min(PART, count))
            chosen = rng.integers(len(first), size=options.searches)
            chosen_faces = map(first.__getitem__, chosen.tolist())
            probes = [xcos.Features(noisy(f.grid, 0.5, rng), noisy(f.embedding, 0.5, rng)) for f in chosen_faces]
            view = View(store)

            def search(probe: xcos.Features, lists: int | None = None, view: View = view) -> list[int]:
                listed = view.shortlist(probe.embedding[0], "template", 1000, lists, None)
                return rank(model, probe, view, listed, "template").people[:10].tolist()

            latency, truth = timed(probes, search)
            print(f"| {count:,} | exact, 1,000 ranked | {latency} | 1.000 | {memory()} |", flush=True)
            for name, search_there in peers(view.unit(averaged=True), count):
                latency, found = timed(probes, search_there)
                print(f"| {count:,} | {name} by cosine | {latency} | {recall(found, truth)} | |", flush=True)
            if count >= 10_000:
                begin = time.perf_counter()
                store.make_index(int(count**0.5))
                print(f"| {count:,} | making the index, {time.perf_counter() - begin:.0f} s | | | | |", flush=True)
                view = View(store)
                for lists in LISTS:
                    latency, found = timed(probes, lambda probe, n=lists, v=view: search(probe, n, v))
                    print(f"| {count:,} | index, {lists} lists, 1,000 ranked | {latency} | {recall(found, truth)} |"
                          f" {memory()} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
