"""The command ``xcos audit``: errors of a model by group of people."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from ..base.names import shown
from .data import Print, cache_kept, ends_in, pairs_of, progress_wanted


def register(
    command: Callable[..., Any], threads: Callable[[str], int], share: Callable[[str], float], print_: Print
) -> None:
    """Adds the command. `command` makes one parser, `threads` and `share` read numbers, `print_` puts out data or
    text."""

    def run(options: argparse.Namespace) -> int:
        print_(options, *_audit(options))
        return 0

    parser = command("audit", run, "tell errors by group of people, and the worst group against the best", [],
                     "xcos audit --pairs pairs.csv --groups people.csv -o audit.html")
    parser.set_defaults(kept=cache_kept)
    parser.add_argument("model", nargs="?", metavar="MODEL", help="name or file (default: the default model)")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--pairs", metavar="DATA", help=".bin, .csv, folder of a bcolz carray, or pairs.txt")
    what.add_argument("--pictures", metavar="PATH", help="folder or archive person/picture, or list of templates: each "
                      "picture is compared with each other, 2,000 at most; a picture in no person's folder shows "
                      "somebody else")
    parser.add_argument("--groups", metavar="TABLE", help=".csv with a column picture, or index (the number of the "
                        "pair from 0), and columns of groups (default: those of the pairs themselves)")
    parser.add_argument("--columns", nargs="+", metavar="NAME", help="columns of groups (default: all)")
    parser.add_argument("--people", metavar="NAME", help="a column that says whom pictures show (default: pictures "
                        "that pairs of one person join are one person's)")
    parser.add_argument("--metric", nargs="+", choices=("xcos", "cosine"), default=["xcos", "cosine"],
                        help="scores to judge (default: both)")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--threshold", type=float, metavar="T", help="for all scores (default: the model's for each)")
    where.add_argument("--at-fmr", type=share, metavar="RATE", help="the threshold at which so many of the pairs of "
                       "two people at hand are taken for one")
    parser.add_argument("--confidence", type=share, default=0.95, metavar="C", help="of intervals (default: 0.95)")
    parser.add_argument("--photos", metavar="PATH", help="folder, tar or zip with the photographs of pairs.txt")
    parser.add_argument("--aligned", action="store_true", help="pictures of other kinds than .bin are aligned crops "
                        "of 112 x 112")
    parser.add_argument("--cache", metavar="DIR", help="keep features there; an interrupted run goes on from them")
    parser.add_argument("-o", "--output", metavar="FILE",
                        type=ends_in(".html", ".md", ".json", ".png", ".pdf", ".svg"),
                        help="write .html, .md, .json, .png, .pdf or .svg")
    parser.add_argument("--threads", type=threads, metavar="N", help="at most so many (default: all there are)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def _audit(options: argparse.Namespace) -> tuple[Any, str]:
    import xcos

    if options.output:
        from ..storage.files import check_target

        check_target(options.output)  # now, not after an hour
    if options.pairs:
        pairs = pairs_of(options, options.pairs)
    else:
        templates = xcos.datasets.read_templates(options.pictures)
        pairs = xcos.datasets.all_pairs(templates, aligned=options.aligned)
    found = xcos.audit(
        pairs, options.groups, options.model, columns=options.columns, people=options.people, metric=options.metric,
        threshold=options.threshold, at_fmr=options.at_fmr, confidence=options.confidence, cache=options.cache,
        threads=options.threads, progress=progress_wanted(options),
    )  # fmt: skip
    if options.output:
        found.save(options.output)
    return found.to_dict(), str(found) + (f"\n\nwritten: {shown(options.output)}" if options.output else "")
