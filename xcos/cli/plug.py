"""The command ``xcos plug``: an xCos head for a face network of one's own."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from ..base.names import shown
from .data import Print, ends_in, progress_wanted

# Settings of xcos.train.Config that have an option here; all others: `python -m xcos.train`.
_SETTINGS = ("steps", "since", "depth", "whole", "name", "license", "seed", "work", "truth", "resume")


def register(
    command: Callable[..., Any],
    threads: Callable[[str], int],
    share: Callable[[str], float],
    print_: Print,
    pixels: Any,
) -> None:
    """Adds the command; `threads` and `share` read numbers, `pixels` is the parser of --color, --mean and --scale."""
    plug = command("plug", lambda options: _plug(options, print_), "train an xCos head for a face network", [pixels],
                   "xcos plug model.onnx --data people/ -o mine.safetensors --color BGR")
    plug.set_defaults(kept=_kept)
    plug.add_argument("network", metavar="NETWORK", help=".onnx, a PyTorch checkpoint (see convert) or a model file")
    plug.add_argument("--data", nargs="+", required=True, metavar="PATH",
                      help="folder person/picture, tar or zip of it, or .rec; photographs or aligned 112 x 112 crops")
    plug.add_argument("-o", "--output", required=True, metavar="OUT", type=ends_in(".safetensors"),
                      help="the model file to write")
    plug.add_argument("--layer", default="", help="the map the grid is made from (default: the last one)")
    plug.add_argument("--embedding", default="", help="the output that is the embedding (default: the first)")
    plug.add_argument("--pairs", metavar="BIN", help=".bin to choose the threshold on (default: people held out)")
    plug.add_argument("--steps", type=int, help="steps of training")
    plug.add_argument("--since",
                      help="train a copy of the layers from this value on (default: the last larger map; none: not)")
    plug.add_argument("--depth", type=int, help="numbers in a cell (default: 128, without copied layers 32)")
    plug.add_argument("--whole", type=share, metavar="W",
                      help="what the network's own cosine counts in the score beside the cells, 0 to 1 (default: 0)")
    plug.add_argument("--truth", type=int, metavar="N",
                      help="people that the cells' truth is measured on at the end (default: 50; 0: not measured)")
    plug.add_argument("--name", help="name of the new model (default: that of OUT)")
    plug.add_argument("--license", help="licence of the new model, for its file")
    plug.add_argument("--seed", type=int, help="everything random follows from it (default: 0)")
    plug.add_argument("--work", metavar="DIR", help="folder for caches and checkpoints (default: beside OUT)")
    plug.add_argument("--resume", choices=("same", "any", "never"),
                      help="go on from a checkpoint of the same settings, data and network (default), of any, or never")
    plug.add_argument("--threads", type=threads, metavar="N", help="at most so many (default: all there are)")
    plug.add_argument("--quiet", action="store_true", help="no progress bar")


def _kept(options: argparse.Namespace) -> str:
    from ..train.cli import checkpoint_kept

    return checkpoint_kept(options.output, options.work or "", options.resume or "same")


def _plug(options: argparse.Namespace, print_: Print) -> int:
    from ..plugging.plug import plug

    settings = {key: value for key in _SETTINGS if (value := getattr(options, key)) is not None}
    made = plug(
        options.network, options.data, options.output, layer=options.layer, embedding=options.embedding,
        color=options.color, mean=options.mean, scale=options.scale, pairs=options.pairs, threads=options.threads,
        progress=progress_wanted(options), **settings,
    )  # fmt: skip
    text = [
        made.table.to_markdown(),
        f"\nthe grid is made from {made.layer!r}; the network goes on from there by {made.way}",
        f"copied and trained: {f'the layers from {made.since!r} on' if made.since else 'none'} (branch {made.branch})",
        f"threshold {made.model.threshold:.4f} ({made.model.file.thresholds_from})",
        f"written: {shown(options.output)}",
    ]
    if made.truth is not None:
        text[1:1] = ["", made.truth.to_markdown()]
    print_(options, {**made.to_dict(), "written": options.output}, "\n".join(text))
    return 0
