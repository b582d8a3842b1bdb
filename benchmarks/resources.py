"""Start-up, memory, and two processes at once, beside other engines. Run it with --help."""

import argparse
import datetime
import importlib
import itertools
import json
import os
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from contest import Contestant, answer, prepare, start
from machine import Machine
from networks import NAMES, images, input_shape, network
from options import add_common, installed, log
from peers import OURS, REFERENCE, SETTINGS, Setting, silenced

MIB = 1 << 20


def resident(field: str) -> float:
    """MiB that this process has (VmRSS), or had at most (VmHWM), in memory. Unlike getrusage's figure,
    VmHWM does not count the process that this one was started from."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise OSError(f"/proc/self/status has no {field}")


def first_steps(pipe: Connection, setting: Setting, model: Path, threads: int) -> None:
    """Body of a fresh process: import, load, first and later runs, with times and memory."""
    with silenced():
        importlib.import_module(setting.adapter.module)
    x = images(input_shape(model), seed=1)
    before = resident("VmRSS")
    stamps = [time.perf_counter()]
    engine = setting.adapter(model, threads, **setting.options)
    stamps.append(time.perf_counter())
    loaded = resident("VmHWM")
    for _ in range(4):
        engine.run(x)
        stamps.append(time.perf_counter())
    steps = [end - begin for begin, end in itertools.pairwise(stamps)]
    pipe.send(
        {
            "load": steps[0],
            "first run": steps[1],
            "later run": min(steps[2:]),
            "memory before": before,
            "peak after load": loaded,
            "peak after runs": resident("VmHWM"),
        }
    )


def load_table(name: str, model: Path, engines: list[str], threads: int, rounds: int) -> dict[str, Any]:
    """Load time and memory of each engine in fresh processes; the quickest of ``rounds``."""
    weights = model.stat().st_size / MIB
    print(f"\n{name}, {weights:.0f} MiB of weights, batch 1, {threads} thread(s), files in the page cache.")
    print("Milliseconds; MiB of memory: peak of the process, and what that is over its size after the import.")
    print("\n| engine | load | first run | together | later runs | peak | over the import | / weights |")
    print("|---|---|---|---|---|---|---|---|")
    record: dict[str, Any] = {}
    for engine in engines:
        try:
            answers = []
            for body in (prepare, *[first_steps] * rounds):
                extra = () if body is prepare else (threads,)
                pipe, process = start(body, SETTINGS[engine], model, *extra)
                answers.append(answer(pipe))
                process.join()
        except RuntimeError as error:
            log(f"{engine}: left out, {error}")
            continue
        best = {key: min(found[key] for found in answers[1:]) for key in answers[1]}
        record[engine] = best
        load, first, later = (best[key] * 1e3 for key in ("load", "first run", "later run"))
        over = best["peak after runs"] - best["memory before"]
        print(
            f"| {engine} | {load:.0f} | {first:.0f} | {load + first:.0f} | {later:.1f} "
            f"| {best['peak after runs']:.0f} | {over:.0f} | {over / weights:.2f} |",
            flush=True,
        )
    return record


def together_table(name: str, model: Path, engines: list[str], rounds: int, seconds: float) -> dict[str, Any]:
    """One process on two cores, then two of them at once, each with two threads."""
    x = images(input_shape(model), seed=1)
    print(f"\n{name}, batch 1: ms per image of one process with two threads on two cores; then two at once.")
    print("\n| engine | alone | two at once | times as long |")
    print("|---|---|---|---|")
    record: dict[str, Any] = {}
    for engine in engines:
        pair: list[Contestant] = []
        alone, both = [], []
        try:
            for _ in range(2):
                pair.append(Contestant(engine, model, 2))
            for _ in range(rounds):
                alone.append(pair[0].turn(x, seconds) * 1e3)
                for contestant in pair:
                    contestant.begin(x, seconds)
                both.append(sum(contestant.finish(x) for contestant in pair) / 2 * 1e3)
        except RuntimeError as error:
            log(f"{engine}: left out, {error}")
            continue
        finally:
            for contestant in pair:
                contestant.close()
        one, two = sorted(alone)[rounds // 2], sorted(both)[rounds // 2]
        record[engine] = {"alone": alone, "together": both}
        print(f"| {engine} | {one:.2f} | {two:.2f} | {two / one:.2f} |", flush=True)
    return record


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Load time and memory of a network in fresh processes, and two processes at once.",
        epilog="Example: python benchmarks/resources.py load --network iresnet50",
    )
    parser.add_argument("what", choices=("load", "together"), help="which table")
    parser.add_argument("--network", choices=NAMES, default="iresnet50", help="(%(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of each engine, for load (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="repetitions (%(default)s)")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a turn, for together (%(default)s)")
    add_common(parser, [OURS, "OpenVINO", "ncnn", "MNN", REFERENCE, "PyTorch", "OpenCV"])
    options = parser.parse_args()

    engines = list(installed(options.engines))
    machine = Machine.here()
    model = network(options.network, 1, options.shared, options.cache)
    load = os.getloadavg()[0]
    print(f"{machine.cpu}, {machine.cores} cores. {datetime.date.today()}, load average {load:.1f}.")
    if options.what == "load":
        record = load_table(options.network, model, engines, options.threads, options.rounds)
    else:
        record = together_table(options.network, model, engines, options.rounds, options.seconds)
    if options.json is not None:
        options.json.write_text(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
