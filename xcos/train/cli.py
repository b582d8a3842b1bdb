"""``python -m xcos.train --model ... --data ... --output ...`` and ``python -m xcos.train locality MODEL PAIRS``."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path

from ..base.names import shown
from . import Config, measure_locality, train
from .locality import COVERS


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    config = None
    given = list(sys.argv[1:] if arguments is None else arguments)
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    try:
        if given[:1] == ["locality"]:
            parser = argparse.ArgumentParser(prog="python -m xcos.train locality", description=measure_locality.__doc__)
            parser.formatter_class = argparse.RawDescriptionHelpFormatter
            parser.add_argument("model", help="model file")
            parser.add_argument("pairs", help=".bin of pairs")
            parser.add_argument("--seed", type=int, default=0)
            parser.add_argument("--threads", type=int, default=0)
            parser.add_argument("--cover", choices=COVERS, default="face", help="what is pasted on one of the faces")
            options = parser.parse_args(given[1:])
            found = measure_locality(**vars(options))
            print(json.dumps(found.to_dict(), indent=1))
        else:
            config = Config.from_arguments(given)
            train(config)
    except (OSError, ValueError) as error:
        print(f"xcos.train: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        kept = checkpoint_kept(config.output, config.work, config.resume) if config else ""
        print("; ".join(filter(None, ("xcos.train: interrupted", kept))), file=sys.stderr)
        return 130  # as shells have it for Ctrl-C
    return 0


def checkpoint_kept(output: str, work: str, resume: str) -> str:
    """What an interrupted run can tell of its checkpoint; "" where there is none, or it is not to be gone on from."""
    folder = Path(work) if work else Path(output).with_suffix(".work")
    if resume == "never" or not any(folder.glob("checkpoint-*.pt")):
        return ""
    return f"the same command goes on from the checkpoint in {shown(folder)}"
