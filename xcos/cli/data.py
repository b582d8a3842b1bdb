"""The commands for whole data sets: ``xcos evaluate | evaluate-search | calibrate | features``."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

from ..base.names import shown

Print = Callable[[argparse.Namespace, Any, str], None]


def register(command: Callable[..., Any], threads: Callable[[str], int], print_: Print, model: Any) -> None:
    """Adds the commands. `command` makes one parser, `threads` reads a number, `print_` puts out data or text; `model`
    is the parser of --model and --whole."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--threads", type=threads, metavar="N", help="at most so many (default: all there are)")
    common.add_argument("--quiet", action="store_true", help="no progress bar")
    sets = argparse.ArgumentParser(add_help=False)
    sets.add_argument("--photos", metavar="PATH", help="folder, tar or zip with the photographs of LFW's pairs.txt")
    sets.add_argument("--aligned", action="store_true", help="images of .csv and pairs.txt are aligned 112 x 112 crops")
    sets.add_argument("--folds", type=threads, metavar="K", help="folds in file order (default: the data's, mostly 10)")
    sets.add_argument("--cache", metavar="DIR", help="keep features there; an interrupted run goes on from them")

    sets.set_defaults(kept=cache_kept)

    evaluate = command("evaluate", _run(_evaluate, print_), "run verification benchmarks", [model, common, sets],
                       "xcos evaluate lfw.bin agedb_30.bin --metric xcos cosine --html report.html")
    evaluate.add_argument("data", nargs="+", metavar="DATA", help=".bin, .csv, pairs.txt or folder (bcolz, MFR2, RMFD)")
    evaluate.add_argument("--metric", nargs="+", choices=("xcos", "cosine"), default=["xcos", "cosine"],
                          help="scores to judge (default: both)")
    evaluate.add_argument("--threshold", type=_threshold, metavar="T",
                          help="judge this threshold; 'model': the one that verify uses (default: each fold's best)")
    evaluate.add_argument("--flip", action="store_true", help="features of each image and its mirror image together")
    evaluate.add_argument("--html", metavar="FILE", help="write a page with figures, curves and the worst mistakes")

    search = command("evaluate-search", _run(_evaluate_search, print_), "measure a search of lists of people",
                     [model, common], "xcos evaluate-search gallery.csv probes.csv --photos images.tar")
    search.add_argument("gallery", metavar="GALLERY", help="list: template, subject, file; or a folder person/picture")
    search.add_argument("probes", metavar="PROBES", help="the same of those searched for, strangers among them")
    search.add_argument("--photos", metavar="PATH", help="folder, tar or zip with the photographs of the lists")
    search.add_argument("--aligned", action="store_true", help="the photographs are aligned 112 x 112 crops")
    search.add_argument("--metric", nargs="+", choices=("xcos", "cosine"), default=["xcos", "cosine"],
                        help="scores to judge (default: both)")

    calibrate = command("calibrate", _run(_calibrate, print_), "measure what scores are worth, into a model file",
                        [model, common, sets], "xcos calibrate lfw.bin calibrated.safetensors")
    calibrate.add_argument("data", metavar="DATA", help=".bin, .csv, pairs.txt or folder (bcolz, MFR2, RMFD)")
    calibrate.add_argument("target", metavar="OUT", type=ends_in(".safetensors"), help="the model file to write")
    calibrate.add_argument("--method", choices=("logistic", "isotonic", "robust"), default="logistic",
                           help="how scores become log-likelihood ratios; robust: some pairs called one person are of "
                           "two (default: logistic)")
    calibrate.add_argument("--undecided", type=float, default=10.0, metavar="RATIO",
                           help="likelihood ratios from 1/RATIO to RATIO are no decision (default: 10)")
    calibrate.add_argument("--name", help="name of the calibrated model (default: the model's, and the data's)")

    features = command("features", _run(_features, print_), "write the features of all pictures of a folder or archive",
                       [common], "xcos features photos/ features.npz")
    features.add_argument("source", metavar="PATH", help="folder, zip, tar or tar.gz")
    features.add_argument("--model", help="name of a model of the package, or a model file")
    features.add_argument("target", metavar="OUT", help=".npz or .zarr")
    features.add_argument("--aligned", action="store_true", help="the pictures are aligned 112 x 112 crops")
    features.set_defaults(kept=_features_kept)


def _threshold(text: str) -> float | str:
    if text == "model":
        return text
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"expected a finite number or 'model', got {text!r}")
    return value


def _run(work: Callable[[argparse.Namespace], tuple[Any, str]], print_: Print) -> Callable[[argparse.Namespace], int]:
    def run(options: argparse.Namespace) -> int:
        print_(options, *work(options))
        return 0

    return run


def ends_in(*suffixes: str) -> Callable[[str], str]:
    """A type of arguments: names of files to be written that end so, which is asked before work that may take hours."""

    def name(text: str) -> str:
        if not text.lower().endswith(suffixes):
            raise argparse.ArgumentTypeError(f"expected a name that ends in {', '.join(suffixes)}, got {text!r}")
        return text

    return name


def progress_wanted(options: argparse.Namespace) -> bool:
    """A bar where someone looks on and tqdm is there."""
    from importlib.util import find_spec

    return not options.quiet and sys.stderr.isatty() and find_spec("tqdm") is not None


def cache_kept(options: argparse.Namespace) -> str:
    """What an interrupted command with --cache can tell of it."""
    if options.cache is None:
        return "nothing is kept without --cache DIR"
    return f"the same command goes on from what {shown(options.cache)} holds by now"


def pairs_of(options: argparse.Namespace, path: str) -> Any:
    """The pairs of a file in any form; pairs.txt needs --photos."""
    from .. import datasets

    if path.lower().endswith(".txt"):
        if not options.photos:
            raise ValueError(f"{path}: --photos must say where the photographs of this list are")
        return datasets.read_lfw(path, options.photos, aligned=options.aligned)
    if path.lower().endswith(".csv"):
        return datasets.read_csv(path, aligned=options.aligned)
    return datasets.read(path)


def _keywords(options: argparse.Namespace) -> dict[str, Any]:
    progress = progress_wanted(options)
    return {"folds": options.folds, "cache": options.cache, "threads": options.threads, "progress": progress}


def _evaluate(options: argparse.Namespace) -> tuple[Any, str]:
    import xcos

    if options.html:
        from ..storage.files import check_target

        check_target(options.html)  # now, not after an hour
    sets = [pairs_of(options, path) for path in options.data]
    model = xcos.load(options.model, whole=options.whole)
    how = {"threshold": options.threshold, "flip": options.flip, **_keywords(options)}
    table = xcos.compare_models(model, sets, options.metric, **how)
    if options.html:
        table.html(options.html)
    lines = [table.to_markdown(), *dict.fromkeys(_folds_in_words(report) for report in table)]
    for report in table:
        if audit := report.audit():
            lines.append(f"\n{report.metric} on {report.dataset}, error rates at the threshold {report.threshold:.4f}:")
            lines += [f"  {r.column} {r.group}: {r.kind} {r.text()} of {r.pairs:,} pairs"
                      for r in audit.rates if r.column]  # fmt: skip
    return table.to_dict(), "\n".join([*lines, *([f"written: {shown(options.html)}"] if options.html else [])])


def _folds_in_words(report: Any) -> str:
    folds = len(report.folds.accuracies)
    each = len(report.scores) / folds
    return f"accuracy on {report.dataset}: over {folds} folds of {each:,.0f} pairs, in their order (--folds)"


def _evaluate_search(options: argparse.Namespace) -> tuple[Any, str]:
    import xcos

    from ..datasets import read_templates
    from ..evaluation import search_templates

    gallery, probes = (
        read_templates(path, options.photos if path.lower().endswith((".csv", ".tsv", ".txt")) else None)
        for path in (options.gallery, options.probes)
    )
    model = xcos.load(options.model, whole=options.whole)
    found = search_templates(model, gallery, probes, options.metric, aligned=options.aligned, threads=options.threads,
                             progress=progress_wanted(options))  # fmt: skip
    figures = {name: report.to_dict() for name, report in found.reports.items()}
    some = next(iter(figures.values()))
    rates = [f"DIR at FPIR {rate}" for rate in some["dir_at_far"]]
    heads = ["score", *(f"rank {k}" for k in some["rank"]), "P@1", "R-precision", "MAP@R", *rates]
    lines = [f"{some['mated']} probes among {some['photographs']} templates of {some['people']} people; "
             f"{some['strangers']} strangers", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]  # fmt: skip
    for name, one in figures.items():
        values = [*one["rank"].values(), one["precision_at_1"], one["r_precision"], one["map_at_r"],
                  *one["dir_at_far"].values()]  # fmt: skip
        lines.append(f"| {name} | {' | '.join(f'{value:.2%}' for value in values)} |")
    lines += [f"{len(found.failed)} photographs could not be used:"] if found.failed else []
    data = {"gallery": gallery.name, "probes": probes.name, "scores": figures, "failed": [*map(list, found.failed)]}
    return data, "\n".join([*lines, *(f"{shown(name)}: {why}" for name, why in found.failed)])


def _calibrate(options: argparse.Namespace) -> tuple[Any, str]:
    import xcos

    from ..storage.files import check_target

    check_target(options.target)
    model = xcos.load(options.model, whole=options.whole)
    model = xcos.calibrate(model, pairs_of(options, options.data), method=options.method,
                           undecided=options.undecided, name=options.name, **_keywords(options))  # fmt: skip
    model.save(options.target)
    assert model.calibration is not None
    lines = [
        f"{metric}: Cllr {score.cllr:.4f} bits (at least {score.min_cllr:.4f}) on {score.pairs} pairs of {score.data}"
        for metric, score in model.calibration.scores.items()
    ]
    score = next(iter(model.calibration.scores.values()))
    needed = "; ".join(f"{within:g}: {score.pairs_for(within):,}" for within in (2.0, 1.5, 1.2))
    lines += [f"pairs like these that tell a likelihood ratio of 10 within a factor of {needed}", f"name: {model.name}"]
    data = {"written": options.target, "name": model.name, "method": options.method}
    scores = {metric: score.to_dict() for metric, score in model.calibration.scores.items()}
    return {**data, "scores": scores}, "\n".join([*lines, f"written: {shown(options.target)}"])


def _parts(options: argparse.Namespace) -> Path:
    """Where an interrupted run of ``features`` leaves what it has."""
    target = Path(options.target)
    return target.with_name(f"{target.name}.parts")


def _features_kept(options: argparse.Namespace) -> str:
    from ..recognition.collected import count_kept

    count = count_kept(_parts(options))
    if not count:
        return "nothing is kept yet"
    return f"{count:,} pictures are kept in {shown(_parts(options))}, and the same command goes on from there"


def _features(options: argparse.Namespace) -> tuple[Any, str]:
    import xcos

    from ..evaluation.cache import network_digest
    from ..faces.folders import counted_collection
    from ..recognition.collected import Collected
    from ..recognition.writers import FeatureWriter
    from ..storage.progress import counter

    names, read, skipped = counted_collection(options.source)
    failed: list[tuple[str, str]] = []
    model = xcos.load(options.model)
    key = f"{network_digest(model.file)} aligned={options.aligned}"
    with FeatureWriter(options.target) as writer, counter(len(names), progress_wanted(options), "features") as done:
        collected = Collected(model, names, read, _parts(options), key, aligned=options.aligned,
                              threads=options.threads)  # fmt: skip
        for batch in collected:
            writer.write([names[i] for i in batch.index], batch.features)
            failed += [(names[i], message) for i, message in batch.failed]
            done(writer.count + len(failed))
        if not writer.count:
            collected.clear()
            where = f"{shown(options.source)}: no face in any of {len(names)} pictures"
            raise ValueError(f"{where}; the first: {failed[0][1]}")
    collected.clear()
    lines = [f"{writer.count} faces of {len(names)} pictures, written: {shown(options.target)}"]
    lines += chain([f"{len(failed)} could not be used:"] if failed else [], (message for _, message in failed))
    data = {"written": options.target, "faces": writer.count, "failed": [list(pair) for pair in failed],
            "skipped": dict(skipped)}
    return data, "\n".join(lines)
