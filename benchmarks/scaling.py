"""How xcos scales over threads and over processes: measured on the cores of this machine, and a model beyond.

    python benchmarks/scaling.py > benchmarks/results/scaling.md

The model is Amdahl's law: with n threads a run takes s + (1 - s) / n of the time that it takes one. The share s is
measured twice from one thread and two, as 2 T(2) - T(1) of T(1): of the calling thread's processor time it is what that
thread does alone; of time it counts the waiting of threads for each other as well. The first promises most, the second
least, and is what the last cores of a large machine will rather see.

Both are cut where memory cannot feed the cores: each run reads all weights once, threads together, processes each for
itself. The model assumes what no two cores can show: that more of them have the same clock, that memory is as fast as
here, and that no run finds its weights in a cache.
"""

import argparse
import datetime
import importlib
import os
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from contest import Contestant, answer, prepare, start
from machine import Machine
from networks import NAMES, images, input_shape, network
from options import log
from peers import OURS, SETTINGS, Setting, Xcos
from resources import MIB, resident

BEYOND = (4, 8, 16, 32)


def read_bandwidth(threads: int, seconds: float = 1.0) -> float:
    """Bytes a second that so many threads read from memory together: sums over 256 MiB, the best of many."""
    parts = np.array_split(np.ones(256 * MIB // 4, np.float32), threads)
    best, end = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        workers = [threading.Thread(target=np.max, args=(part,)) for part in parts]
        begin = time.perf_counter()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        best = max(best, sum(part.nbytes for part in parts) / (time.perf_counter() - begin))
    return best


def unshared(one: float, two: float) -> float:
    """The share of one thread's time that a second does not halve."""
    return min(max(0.0, 2 * two - one) / one, 1.0)


def alone(pipe: Connection, setting: Setting, model: Path, seconds: float) -> None:
    """Body of a fresh process: the share of what the calling thread does alone, and MiB of memory: of the network, of
    a run by one thread, and of a second thread."""
    importlib.import_module(setting.adapter.module)
    x = images(input_shape(model), seed=1)
    before = resident("VmRSS")
    engine = setting.adapter(model, 1, **setting.options)
    memory = [resident("VmRSS") - before]
    least = []
    for threads in (1, 2):
        engine.threads = threads
        times: list[float] = []
        end = time.perf_counter() + seconds
        while len(times) < 10 or time.perf_counter() < end:
            begin = time.thread_time()
            engine.run(x)
            times.append(time.thread_time() - begin)
        least.append(min(times))
        memory.append(resident("VmRSS") - before - sum(memory))
    pipe.send((unshared(*least), *memory))


def per_second(model: Path, cores: int, rounds: int, seconds: float) -> dict[tuple[str, int], float]:
    """Images a second of one process with 1 .. cores threads, and of as many processes with one thread each: of
    ``rounds`` turns the least disturbed."""
    x = images(input_shape(model), seed=1)
    ways = {("threads", n): (OURS, n) for n in range(1, cores + 1)}
    for n in range(2, cores + 1):
        SETTINGS[f"{OURS}, {n} processes"] = Setting(Xcos, processes=n)
        ways["processes", n] = (f"{OURS}, {n} processes", n)
    best = dict.fromkeys(ways, 0.0)
    contestants = {way: Contestant(name, model, threads) for way, (name, threads) in ways.items()}
    try:
        for _ in range(rounds):
            for way, contestant in contestants.items():
                best[way] = max(best[way], 1 / contestant.turn(x, seconds))
    finally:
        for contestant in contestants.values():
            contestant.close()
    best["processes", 1] = best["threads", 1]
    return best


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Images a second over threads and processes, and memory; beyond the cores here by a model.",
        epilog="Example: python benchmarks/scaling.py --rows iresnet50:8",
    )
    root = Path(__file__).resolve().parents[1]
    rows = ["mobilefacenet:1", "mobilefacenet:8", "iresnet50:1", "iresnet50:8"]
    parser.add_argument("--rows", nargs="+", default=rows, metavar="NETWORK:BATCH", help=f"({' '.join(rows)})")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each way (%(default)s)")
    parser.add_argument("--seconds", type=float, default=0.5, help="about how long a turn lasts (%(default)s)")
    parser.add_argument("--shared", type=Path, default=root.parent / "shared", help="folder with models/ (%(default)s)")
    parser.add_argument("--cache", type=Path, default=root / ".cache", help="where made networks lie (%(default)s)")
    options = parser.parse_args()

    machine = Machine.here()
    if machine.cores < 2:
        parser.error("one core shows no scaling: two are needed")
    bandwidth = read_bandwidth(machine.cores)
    print(
        "# Scaling\n\n"
        f"{machine.cpu}, {machine.cores} cores ({machine.isa}), which together read "
        f"{bandwidth / 1e9:.0f} GB/s from memory. {datetime.date.today()}, load average {os.getloadavg()[0]:.1f}.\n"
        f"Images a second: of {options.rounds} turns the best.\n"
    )
    found = []
    for row in options.rows:
        name, _, batch = row.partition(":")
        if name not in NAMES or not batch.isdigit():
            parser.error(f"--rows: {row!r}, expected NETWORK:BATCH")
        log(row)
        model = network(name, int(batch), options.shared, options.cache)
        for body, extra in ((prepare, ()), (alone, (options.seconds * options.rounds,))):
            pipe, process = start(body, SETTINGS[OURS], model, *extra)
            facts = answer(pipe)
            process.join()
        found.append((f"{name} ({batch})", facts, per_second(model, machine.cores, options.rounds, options.seconds)))

    counts = range(2, machine.cores + 1)
    head = ["network (batch)", "1 thread", *(f"{n} {way}" for n in counts for way in ("threads", "processes"))]
    head += ["MiB: network", "a run", "each thread more"]
    print(table(head))
    for title, (_, *memory), rates in found:
        one = rates["threads", 1]
        ways = [rates[way, n] for n in counts for way in ("threads", "processes")]
        cells = [f"{rate:.1f} (× {rate / one:.2f})" for rate in ways]
        print(f"| {title} | {one:.1f} | {' | '.join([*cells, *(f'{size:.1f}' for size in memory)])} |")

    print("\nThe model: times as many images a second as one thread, least and most.\n")
    head = ["network (batch)", "not shared, %: time, processor time", *(f"{n} threads" for n in BEYOND)]
    head.append("memory feeds, times one thread")
    print(table(head))
    for title, (serial, size, *_), rates in found:
        batch = int(title.partition("(")[2][:-1])
        fed = bandwidth / (rates["threads", 1] / batch * size * MIB)
        shares = (unshared(1 / rates["threads", 1], 1 / rates["threads", 2]), serial)
        range_of = sorted(shares, reverse=True)  # noise may turn them round where nearly all is shared
        times = [" to ".join(f"{min(fed, 1 / (s + (1 - s) / n)):.1f}" for s in range_of) for n in BEYOND]
        print(f"| {title} | {shares[0]:.1%}, {serial:.1%} | {' | '.join(times)} | {fed:.0f} |")


def table(head: list[str]) -> str:
    """The first two lines of a table in Markdown."""
    return f"| {' | '.join(head)} |\n{'|---' * len(head)}|"


if __name__ == "__main__":
    main()
