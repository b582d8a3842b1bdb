"""The command ``xcos compare-explanations``."""

from __future__ import annotations

import argparse
import sys
from ast import literal_eval
from collections.abc import Callable
from dataclasses import fields
from importlib.util import find_spec
from typing import Any

from ..base.names import shown

Print = Callable[[argparse.Namespace, Any, str], None]

# Without the expensive ones (OcclusionMap, FGGB) and those that need PyTorch; --methods all takes everything.
_DEFAULT = ("XCos", "HeadDecomposition", "CellCosine", "CorrRISE", "MinPlus", "CentreMap", "RandomMap")


def register(command: Callable[..., Any], threads: Callable[[str], int], print_: Print, model: Any) -> None:
    """Adds the command. `command` makes one parser, `threads` reads a number, `print_` puts out data or text; `model`
    is the parser of --model and --whole."""

    def run(options: argparse.Namespace) -> int:
        print_(options, *_compare(options))
        return 0

    parser = command("compare-explanations", run, "measure methods of explanation against each other", [model],
                     "xcos compare-explanations lfw.bin -n 500 --methods XCos CorrRISE --html page.html")
    parser.add_argument("data", metavar="DATA", help=".bin, .csv or folder (bcolz, MFR2, RMFD)")
    parser.add_argument("-n", type=threads, default=100, metavar="N", help="pairs, half of them genuine (default: 100)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of pairs (default: 0)")
    parser.add_argument("--methods", nargs="+", metavar="METHOD", default=list(_DEFAULT),
                        help="names in xcos.explainers, with parameters as CorrRISE:masks=200,fill=blur, or all "
                             f"(default: {' '.join(_DEFAULT)})")
    parser.add_argument("--score", choices=("xcos", "cosine"), default="xcos",
                        help="the score that decides, and is explained where a method can (default: xcos)")
    parser.add_argument("--fill", choices=("black", "mean", "blur", "road"), default="black",
                        help="what hides pixels in deletion and insertion (default: black)")
    parser.add_argument("--runs", type=threads, metavar="R",
                        help="at most so many runs of the network for a method's maps: fewer pairs for dear methods")
    parser.add_argument("--html", metavar="FILE", help="write a page with the table and maps side by side")
    parser.add_argument("--threads", type=threads, metavar="N", help="at most so many (default: all there are)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def _compare(options: argparse.Namespace) -> tuple[Any, str]:
    import xcos

    from .. import datasets, faithfulness

    if options.html:
        from ..storage.files import check_target

        check_target(options.html)  # now, not after an hour
    model = xcos.load(options.model, whole=options.whole)
    explainers = explainers_of(model, options.methods, options.score, options.threads)
    pairs = faithfulness.sample(datasets.read(options.data), options.n, options.seed)
    bar = not options.quiet and sys.stderr.isatty() and find_spec("tqdm") is not None
    table = faithfulness.compare(model, explainers, pairs, score=options.score, fill=options.fill, runs=options.runs,
                                 progress=bar)
    written = ""
    if options.html:
        table.html(options.html)
        written = f"\nwritten: {shown(options.html)}"
    return table.to_dict(), table.to_markdown() + written


def explainers_of(model: Any, names: list[str], score: str, threads: int | None) -> list[Any]:
    """Explainers by name and parameters, ``CorrRISE:masks=200,fill=blur``; "all" stands for all.

    Each explains `score` where it can, else the one that it does. Raises ValueError for a name or a parameter that
    is none.
    """
    from ..explainers import METHODS

    explainers = []
    for text in METHODS if names == ["all"] else names:
        name, _, rest = text.partition(":")
        if name not in METHODS:
            raise ValueError(f"--methods: no method named {name!r}; expected some of {', '.join(METHODS)}, or all")
        method: Any = METHODS[name]
        parameters = dict(_parameter(part) for part in rest.split(",") if part)
        known = {field.name for field in fields(method)} - {"model", "score", "threads"}
        if set(parameters) - known:
            raise ValueError(f"--methods: {text!r}; {name} takes {', '.join(sorted(known))}")
        explained = score if score in method.explains else method.explains[0]
        explainers.append(method(model, score=explained, threads=threads, **parameters))
    return explainers


def _parameter(text: str) -> tuple[str, Any]:
    """``masks=200`` -> ("masks", 200), ``sizes=7+14`` -> ("sizes", (7, 14)); what is no Python literal is a text."""
    key, _, value = text.partition("=")
    for read in (literal_eval, lambda several: tuple(map(literal_eval, several.split("+")))):
        try:
            return key, read(value)
        except (SyntaxError, ValueError):
            pass
    return key, value
