"""What the commands of this folder have in common: options, versions of the engines, log lines."""

import argparse
import sys
from pathlib import Path

from peers import REFERENCE, SETTINGS


def log(line: str) -> None:
    """A line for whoever waits; standard output holds the tables alone."""
    print(line, file=sys.stderr, flush=True)


def add_common(parser: argparse.ArgumentParser, engines: list[str]) -> None:
    """Adds --engines, --shared, --cache and --json; ``engines`` are those asked for by default."""
    root = Path(__file__).resolve().parents[1]
    parser.add_argument(
        "--engines",
        nargs="+",
        choices=SETTINGS,
        default=engines,
        metavar="NAME",
        help=f"who takes part, of: {'; '.join(SETTINGS)}",
    )
    parser.add_argument(
        "--shared", type=Path, default=root.parent / "shared", help="folder that holds models/ (%(default)s)"
    )
    parser.add_argument(
        "--cache", type=Path, default=root / ".cache", help="where made networks are kept (%(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there as well")


def installed(engines: list[str]) -> dict[str, str]:
    """Versions of the engines asked for; a line for each that is not installed."""
    versions = {name: SETTINGS[name].version() for name in engines}
    for name, version in versions.items():
        if version is None:
            log(f"{name}: left out, not installed")
    if REFERENCE in versions and versions[REFERENCE] is None:
        sys.exit(f"{REFERENCE} is not installed; it is what the other engines are compared with")
    return {name: version for name, version in versions.items() if version is not None}
