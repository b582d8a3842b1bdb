"""Times xcos beside other inference engines on face networks. Run it with --help."""

import argparse
import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from contest import Contestant
from machine import Machine, Peak
from networks import images, input_shape, multiply_adds, network
from options import add_common, installed, log
from peers import BEFORE, HELD, REFERENCE, SETTINGS, compare_with, hold_back
from report import Row, markdown

ROWS = [
    "mobilefacenet:1,1",
    "mobilefacenet:1,2",
    "mobilefacenet:8,2",
    "iresnet50:1,1",
    "iresnet50:1,2",
    "iresnet50:8,1",
    "iresnet50:8,2",
    "iresnet100:1,2",
    "iresnet100:8,2",
]


def measure(
    row: Row,
    model: Path,
    engines: list[str],
    peak: Peak | None,
    rounds: int,
    seconds: float,
    cpu_time: bool,
) -> None:
    """Fills a row: all engines answer the same batch, are compared, then take turns."""
    x = images(input_shape(model), seed=1)
    row.multiply_adds = multiply_adds(model)
    contestants: list[Contestant] = []
    try:
        reference = None
        for name in engines:
            if not SETTINGS[name].fits(row.batch, row.threads):
                continue
            try:
                contestant = Contestant(name, model, row.threads)
                contestants.append(contestant)
                output = contestant.run(x)
                if reference is None:
                    reference = output
                    row.output_rms = float(np.sqrt(np.square(reference).mean()))
                row.errors[name] = float(np.abs(output.reshape(reference.shape) - reference).max())
            except (RuntimeError, ValueError) as error:
                if name == REFERENCE:
                    raise
                log(f"  {name}: left out, {error}")
        able = [one for one in contestants if one.name in row.errors]
        row.peak_gflops = None if peak is None else peak.gflops(row.threads)
        row.load_average = os.getloadavg()[0]
        for turn in range(rounds):
            first = turn % len(able)  # each round begins with another engine
            for contestant in able[first:] + able[:first]:
                row.seconds.setdefault(contestant.name, []).append(contestant.turn(x, seconds, cpu_time))
    finally:
        for contestant in contestants:
            contestant.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Time xcos and other engines on face networks, taking turns, and print tables.",
        epilog="Example: python benchmarks/engines.py --rows mobilefacenet:1,1 iresnet50:8,2 --rounds 9",
    )
    parser.add_argument(
        "--rows",
        nargs="+",
        type=Row.parse,
        default=[Row.parse(text) for text in ROWS],
        metavar="NETWORK:BATCH,THREADS",
        help=f"what to time ({' '.join(ROWS)})",
    )
    parser.add_argument("--rounds", type=int, default=7, help="turns of each engine (%(default)s)")
    parser.add_argument("--seconds", type=float, default=0.5, help="about how long a turn lasts (%(default)s)")
    parser.add_argument(
        "--cpu-time", action="store_true", help="processor time of rows of one thread: for busy machines"
    )
    parser.add_argument(
        "--against",
        type=Path,
        metavar="CHECKOUT",
        help="another checkout of this repository, built, that takes part too",
    )
    parser.add_argument(
        "--baseline", action="store_true", help="hold the engines that can be held to SSE4.2: processors before AVX"
    )
    add_common(parser, list(SETTINGS))
    options = parser.parse_args()
    if options.cpu_time and any(row.threads > 1 for row in options.rows):
        parser.error("--cpu-time is for rows of one thread: others' time is not their processors'")

    if options.against is not None:
        compare_with(options.against)
        options.engines.append(BEFORE)
    if options.baseline:
        hold_back(options.cache)
        options.engines = [name for name in options.engines if name in HELD]
    versions = installed([REFERENCE, *(name for name in options.engines if name != REFERENCE)])
    peak = None if options.baseline else Peak.make()
    machine = replace(Machine.here(), isa="held to SSE4.2") if options.baseline else Machine.here()
    record = {"machine": asdict(machine), "versions": versions, "rounds": options.rounds, "cpu_time": options.cpu_time}
    record["rows"] = []
    for row in options.rows:
        log(row.title)
        model = network(row.network, row.batch, options.shared, options.cache)
        measure(row, model, list(versions), peak, options.rounds, options.seconds, options.cpu_time)
        record["rows"].append(asdict(row))
        if options.json is not None:  # as far as it has come
            options.json.write_text(json.dumps(record, indent=1))
    print(markdown(options.rows, machine, versions, options.rounds, options.cpu_time))


if __name__ == "__main__":
    main()
