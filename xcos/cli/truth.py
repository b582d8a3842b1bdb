"""The command ``xcos truth``: are a model's cells about their own place?"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from ..base.names import shown
from .data import Print, ends_in, progress_wanted


def register(command: Callable[..., Any], threads: Callable[[str], int], print_: Print) -> None:
    """Adds the command. `command` makes one parser, `threads` reads a number, `print_` puts out data or text."""

    def run(options: argparse.Namespace) -> int:
        print_(options, *_truth(options))
        return 0

    parser = command("truth", run, "measure whether a model's cells tell of their own place", [],
                     "xcos truth --faces people/ --pairs lfw.bin -o truth.png")
    parser.add_argument("model", nargs="?", metavar="MODEL", help="name or file (default: the default model)")
    parser.add_argument("--faces", metavar="PATH", help="people with two pictures or more: folder person/picture, tar "
                        "of the same, or .rec; without, only alone and rank are measured")
    parser.add_argument("--pairs", metavar="DATA", help=".bin, .csv or folder (bcolz, MFR2, RMFD); without, no "
                        "alone and no rank")
    parser.add_argument("--measures", nargs="+", metavar="NAME", help="some of alone, rank, own (with leak), parts, "
                        "repeat (default: all that faces and pairs allow)")
    parser.add_argument("--all-cells", action="store_true", help="own and leak of every cell, not of ten")
    parser.add_argument("--triples", type=threads, default=300, metavar="N", help="people at most (default: 300)")
    parser.add_argument("--folds", type=threads, default=5, metavar="K", help="of alone, in file order (default: 5)")
    parser.add_argument("--aligned", action=argparse.BooleanOptionalAction, help="the faces are aligned 112 x 112 "
                        "crops, or photographs (default: pictures of 112 x 112 are crops)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of people (default: 0)")
    parser.add_argument("-o", "--output", metavar="FILE", type=ends_in(".png", ".pdf", ".svg", ".md", ".json"),
                        help="write .png, .pdf, .svg, .md or .json")
    parser.add_argument("--threads", type=threads, metavar="N", help="at most so many (default: all there are)")
    bar = parser.add_mutually_exclusive_group()
    bar.add_argument("--progress", action="store_true", help="a progress bar also where nobody looks on")
    bar.add_argument("--quiet", action="store_true", help="no progress bar")


def _truth(options: argparse.Namespace) -> tuple[Any, str]:
    from ..faithfulness.truth import MEASURES, ON_PAIRS, truth

    if not options.faces and not options.pairs:
        raise ValueError("truth: expected --faces, --pairs or both")
    if options.output:
        from ..storage.files import check_target

        check_target(options.output)  # now, not after an hour
    possible = [name for name in MEASURES if (options.pairs if name in ON_PAIRS else options.faces)]
    found = truth(
        options.model, options.faces, options.pairs, measures=options.measures or possible,
        cells="all" if options.all_cells else None, triples=options.triples, folds=options.folds,
        aligned=options.aligned, seed=options.seed, threads=options.threads,
        progress=options.progress or progress_wanted(options),
    )  # fmt: skip
    if options.output:
        found.save(options.output)
    return found.to_dict(), found.to_markdown() + (f"\nwritten: {shown(options.output)}" if options.output else "")
