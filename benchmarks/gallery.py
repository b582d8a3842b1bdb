"""Search among many faces: latency, memory and recall, beside faiss, uniface and deepface. Prints one table.

    python benchmarks/gallery.py [--faces 1000 10000 100000] [--searches 100] [--data FACES] [--keep FOLDER]
    python benchmarks/gallery.py --faces 1000000 --data ../shared/data/celeba_crops.tar --keep DISK
    python benchmarks/gallery.py --real --data ../shared/data/celeba_crops.tar ../shared/data/utkface_crops.tar

The faces are made up: grids and embeddings of 1,000 real ones (--data: folders or tars of aligned crops; without it,
the photographs of examples/) with Gaussian noise as large as themselves, in a gallery of one photograph a person. Each
probe is one of them with half as much noise again. So made, they are alike in groups, which an index finds more easily
than real faces: --real enrols all faces of --data as they are, but for those spread evenly among them that are searched
for. Measured is what follows the network: shortlist, reading, and ranking by xCos; a face's network takes the same time
everywhere (benchmarks/latency.py).

`exact` re-ranks the 1,000 most alike by plain cosine of all embeddings, `index` those that the gallery's index finds in
so many of its lists. Each search reads their grids from the gallery's files, or, `held`, finds them in memory: what a
process comes to that has read each of them once, where they fit Gallery(memory=). recall@10: how many of the ten best
of the exact search are among the ten found. faiss, uniface and deepface, where they are installed, know plain cosine
alone: their rows tell what a shortlist costs, and their recall what xCos changes in the order (uniface's store gives
one hit, so 0.1 at most).

All take turns of ten searches, so that what else the machine does falls on all. `least` is the quickest search, which
was disturbed least, `processor` the median of what the threads of this process used together, `MB` what each way holds,
without the files that the system keeps in memory while it has room. A gallery takes 15 kB a face on the disk. With
--keep it stays there, with its index, and the next run goes on from it: it enrols what was cut off, or searches again.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import numpy as np
from machine import Machine

import xcos
from xcos import _core
from xcos.gallery.search import View, rank
from xcos.gallery.store import Store, partitions_for

EXAMPLES = Path(__file__).parents[1] / "examples"
PART, BATCH = 20_000, 500  # faces made up, and looked at, at a time
TURN = 10  # searches
LISTS = (8, 32, 128, 512)  # of the index, and all
PROBED = 32  # lists of faiss's IVF
INDEXED = 10_000  # faces; with fewer there is no index
SMALL = 100_000  # faces; with more, stores of Python objects and those that copy all embeddings are left out
Search = Callable[[xcos.Features], list[int]]  # the best, by number


class Taken(NamedTuple):
    """By searches: ms each took, ms of all threads, what each found, and the load of the machine after each turn."""

    wall: list[float]
    processor: list[float]
    found: list[set[int]]
    load: list[float]


def real_faces(model: xcos.Model, data: Sequence[str], most: int | None) -> xcos.Features:
    """The first `most` of them, or all."""
    if not data:
        return model.features(sorted(EXAMPLES.glob("*.jpg")))
    parts, there = [], 0
    for faces in map(xcos.datasets.read_faces, data):
        for start in range(0, len(faces), BATCH):
            end = min(start + BATCH, len(faces), start + (most or len(faces)) - there)
            parts.append(model.features([faces.crop(i) for i in range(start, end)], aligned=True))
            there += len(parts[-1])
            if there == most:
                break
    return joined(parts)


def joined(parts: Sequence[xcos.Features]) -> xcos.Features:
    return xcos.Features(np.concatenate([p.grid for p in parts]), np.concatenate([p.embedding for p in parts]))


def made_up(real: xcos.Features, start: int, count: int) -> xcos.Features:
    """`count` faces, always the same for one `start`."""
    rng = np.random.default_rng(start)
    which = rng.integers(len(real), size=count)
    grid = noisy(real.grid[which], 1.0, rng)
    return xcos.Features(np.maximum(grid, 0) if real.grid.min() >= 0 else grid, noisy(real.embedding[which], 1.0, rng))


def noisy(array: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    return array + share * array.std() * rng.standard_normal(array.shape, np.float32)


def fill(store: Store, count: int, faces: Callable[[int, int], xcos.Features]) -> int:
    """Adds what is missing of `count` faces, of which faces(start, how many) gives some; how many that was."""
    there = store.table.count_rows()
    for at in range(there, count, PART):
        some = faces(at, min(PART, count - at))
        names = [f"person {i:08d}" for i in range(at, at + len(some))]
        texts = {"id": names, "name": names, "photo": names, "digest": names, "meta": ["{}"] * len(some)}
        with store.writing():
            store.append(store.rows_of(some, texts, [None] * len(some)))
    return count - there


def timed(probes: Sequence[xcos.Features], searches: Mapping[str, Search]) -> dict[str, Taken]:
    """Every probe by every search; these take turns, and the first probe of a turn is searched once more before."""
    taken = {name: Taken([], [], [], []) for name in searches}
    for start in range(0, len(probes), TURN):
        for name, search in searches.items():
            search(probes[start])
            for probe in probes[start : start + TURN]:
                begin, used = time.perf_counter(), time.process_time()
                found = search(probe)
                taken[name].wall.append(1e3 * (time.perf_counter() - begin))
                taken[name].processor.append(1e3 * (time.process_time() - used))
                taken[name].found.append(set(found))
            taken[name].load.append(os.getloadavg()[0])
    return taken


def recall(found: list[set[int]], truth: list[set[int]]) -> str:
    return f"{np.mean([len(a & b) / len(b) for a, b in zip(found, truth, strict=True)]):.3f}"


def memory() -> float:
    """Of this process alone now, in MB, without files that the system holds (Linux); elsewhere the most it ever was."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1e3
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def ways(store: Store, model: xcos.Model, first: xcos.Features) -> Iterator[tuple[str, Search]]:
    """The searches of xcos, exact first, each after its first one: then what it holds is there."""

    def search_in(view: View, lists: int | None = None) -> Search:
        def search(probe: xcos.Features) -> list[int]:
            listed = view.shortlist(probe.embedding[0], "template", 1000, lists, None)
            return rank(model, probe, view, listed, "template").people[:10].tolist()

        search(first)
        return search

    yield "exact, 1,000 ranked", search_in(View(store, 0))
    view = View(store)
    if view.holds:
        view.stored(np.arange(len(view)))
        yield "exact, 1,000 ranked, held", search_in(view)
    del view
    if store.index:
        view = View(store, 0)
        every = partitions_for(len(view))
        for lists in (*(n for n in LISTS if n < every), every):
            yield f"index, {lists} of {every} lists, 1,000 ranked", search_in(view, lists)


def peers(unit: np.ndarray) -> Iterator[tuple[str, Search]]:
    """Those who are installed, each with its search by plain cosine; all hold the embeddings in memory."""

    def of(probe: xcos.Features) -> np.ndarray:
        return probe.embedding / np.linalg.norm(probe.embedding)

    with suppress(ImportError):
        import faiss

        lists = int(len(unit) ** 0.5)
        kinds = {"flat": "Flat"} | ({f"IVF, {PROBED} of {lists} lists": f"IVF{lists},Flat"} if lists >= 100 else {})
        for name, kind in kinds.items():
            index = faiss.index_factory(unit.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
            index.train(unit[: 64 * lists])
            index.add(unit)
            if hasattr(index, "nprobe"):
                index.nprobe = PROBED
            yield f"faiss {name}, 1,000 best by cosine", lambda probe, index=index: (
                index.search(of(probe), 1000)[1][0][:10].tolist()
            )
    if len(unit) > SMALL:
        return
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


def measure(store: Store, model: xcos.Model, probes: Sequence[xcos.Features]) -> Iterator[tuple[str, ...]]:
    """The rows of one gallery, but for its size."""
    if store.table.count_rows() >= INDEXED and not store.index:
        begin = time.perf_counter()
        store.make_index(partitions_for(store.table.count_rows()))
        yield (f"making the index: {time.perf_counter() - begin:.0f} s",)
    begin = time.perf_counter()
    unit = View(store, 0).unit(averaged=True)
    yield (f"opening, and reading all embeddings: {time.perf_counter() - begin:.1f} s",)
    searches, held, before = {}, {}, memory()
    for kind in (ways(store, model, probes[0]), peers(unit)):
        for name, search in kind:
            searches[name] = search
            held[name], before = f"{memory() - before:.0f}", memory()
    taken = timed(probes, searches)
    truth = next(iter(taken.values())).found
    for name, t in taken.items():
        numbers = (*np.percentile(t.wall, (50, 99, 0)), np.median(t.processor))
        yield name, *(f"{number:.1f}" for number in numbers), recall(t.found, truth), held[name]
    loads = [load for t in taken.values() for load in t.load]
    yield (f"load meanwhile: {min(loads):.1f} to {max(loads):.1f}",)


def versions() -> Iterator[str]:
    for name in ("numpy", "lancedb", "faiss-cpu", "uniface", "deepface"):
        with suppress(PackageNotFoundError):
            yield f"{name} {version(name)}"


@contextmanager
def folder_of(kept: str | None, count: int) -> Iterator[Path]:
    """Where the gallery of so many faces lies."""
    if kept:
        yield Path(kept, str(count))
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def noisy_probes(real: xcos.Features, count: int, searches: int) -> list[xcos.Features]:
    """Some of the first faces made up, with noise."""
    rng = np.random.default_rng(1)
    first = made_up(real, 0, min(PART, count))
    chosen = map(first.__getitem__, rng.integers(len(first), size=searches).tolist())
    return [xcos.Features(noisy(f.grid, 0.5, rng), noisy(f.embedding, 0.5, rng)) for f in chosen]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--searches", type=int, default=100)
    parser.add_argument("--data", nargs="+", default=[], help="folders or tars of aligned crops, 112 x 112")
    parser.add_argument("--real", action="store_true", help="enrol the faces of --data as they are")
    parser.add_argument("--keep", metavar="FOLDER", help="keep the galleries there, and go on with what is there")
    options = parser.parse_args(arguments)
    model = xcos.load()
    real = real_faces(model, options.data, None if options.real else 1000)
    machine = Machine.here()
    print(f"{machine.cpu}, {machine.cores} cores, {_core.default_threads()} threads, {platform.platform()};")
    print(f"{', '.join(versions())}; {model.name}, {len(real)} real faces, {options.searches} searches.\n")
    print("| faces | | p50 ms | p99 ms | least ms | processor ms | recall@10 | MB |\n|---|---|---|---|---|---|---|---|")
    if options.real:
        searched = np.linspace(0, len(real) - 1, options.searches).astype(int)
        enrolled = real[np.setdiff1d(np.arange(len(real)), searched)]
        options.faces = [len(enrolled)]
    for count in options.faces:
        with folder_of(options.keep, count) as folder:
            store = Store(folder, model, False, True)

            def row(*cells: str, count: int = count) -> None:
                print(f"| {count:,} | {' | '.join((*cells, *[''] * (7 - len(cells))))} |", flush=True)

            begin = time.perf_counter()
            some = (lambda at, n: enrolled[at : at + n]) if options.real else partial(made_up, real)
            if added := fill(store, count, some):
                row(f"enrolling {added:,} features: {added / (time.perf_counter() - begin):,.0f} a second")
            probes = [real[i] for i in searched] if options.real else noisy_probes(real, count, options.searches)
            for cells in measure(store, model, probes):
                row(*cells)


if __name__ == "__main__":
    main()
