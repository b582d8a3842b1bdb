"""The command line: ``verify | explain | detect | info | convert`` here, the rest in the modules cli_*."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import io
import json
import logging
import os
import re
import shlex
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

from ..base.names import shown
from . import audit, data, explainers, gallery, plug, serve, truth

SAME, DIFFERENT, FAILED, NO_ANSWER = 0, 1, 2, 3
INTERRUPTED = 130  # as shells have it for Ctrl-C

_EXAMPLES = """\
examples:
  xcos verify a.jpg b.jpg                       one line: decision, score, threshold
  xcos verify a.jpg b.jpg --json | jq .score
  xcos explain a.jpg b.jpg -o why.png           the reason, cell by cell (also .html .pdf .svg .json .npz)
  xcos explain a.jpg b.jpg --report case.pdf    all that it rests on, for the case file
  xcos detect group.jpg -o faces.png            numbers the faces, for --face
  xcos verify group.jpg b.jpg --face 2,0        face 2 of group.jpg and face 0 of b.jpg, as detect numbers them
  xcos info                                     the default model: licence, origin, threshold
  xcos convert network.onnx network.safetensors
  xcos serve                                    the same in a browser, on this machine alone
  xcos evaluate lfw.bin --html report.html      benchmarks: accuracy, curves, the worst mistakes
  xcos plug model.onnx --data people/ -o mine.safetensors    an xCos head for a network of one's own
  xcos compare-explanations lfw.bin -n 100      methods of explanation measured against each other
  xcos truth --faces people/ --pairs lfw.bin    are the cells about their own place?
  xcos audit --pairs lfw.bin --groups sex.csv   errors by group of people, with intervals
  xcos gallery add people/ photos/              search among many: enrol a folder person/photograph …
  xcos gallery search people/ someone.jpg       … and find who this is

exit code: 0 same person (or done), 1 different people, 2 error, 3 no answer (a face too poor; detect: no face;
           gallery search: nobody)
"""

_CARE = (
    "Face recognition errs, and errs differently for different groups of people. "
    "The score is no probability; let a person decide whatever matters."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code: the only place where exceptions become one, and a sentence.

    DIFFERENT is what a command returns and nothing else: whatever is raised ends in FAILED. The environment
    variable XCOS_DEBUG, or --verbose, shows the traceback.
    """
    options = argparse.Namespace(kept=lambda _: "")
    try:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # names may hold what the console's encoding lacks
                stream.reconfigure(errors="backslashreplace")
        given = sys.argv[1:] if arguments is None else arguments
        options = _parser().parse_args(given, options)
        options.command = shlex.join(["xcos", *given])
        logging.basicConfig(format="%(name)s: %(message)s", level=logging.DEBUG if options.verbose else logging.WARNING)
        code: int = options.run(options)
        return code
    except SystemExit:  # of the parser: 0 or 2
        raise
    except BrokenPipeError:  # nobody reads on
        return FAILED
    except KeyboardInterrupt:
        with contextlib.suppress(Exception):
            _say("; ".join(filter(None, ("interrupted", options.kept(options)))))
        return INTERRUPTED
    except BaseException as error:
        _complain(error)
        return FAILED


def _complain(error: BaseException) -> None:
    """Says what went wrong, and where if that is wanted; whatever fails then is no matter."""
    with contextlib.suppress(Exception):
        if os.environ.get("XCOS_DEBUG") or logging.getLogger().isEnabledFor(logging.DEBUG):
            traceback.print_exception(error)
        _say(_sentence(error))


def _say(sentence: str) -> None:
    """One line on stderr, if that is there."""
    if sys.stderr is not None:
        print(f"xcos: {sentence}", file=sys.stderr, flush=True)


def _sentence(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{shown(error.filename)}: {error.strerror}"
    known = isinstance(error, (OSError, ValueError, TypeError, ImportError, MemoryError))
    kind = "" if known and str(error) else f"{type(error).__name__}: "
    return kind + (str(error) or "no more is known; XCOS_DEBUG=1 shows where")


def _photograph(name: str) -> Any:
    """What an argument stands for: ``-`` is standard input, as for other programs."""
    if name != "-":
        return name
    if sys.stdin is None:
        raise ValueError("-: standard input is closed")
    return sys.stdin.buffer


def _two(options: argparse.Namespace) -> list[Any]:
    if options.first == options.second == "-":
        raise ValueError("-: one of the two photographs can come from standard input, not both")
    return [_photograph(name) for name in (options.first, options.second)]


def _verify(options: argparse.Namespace) -> int:
    import xcos

    result = xcos.verify(*_two(options), metric=options.metric, **_keywords(options))
    _print(options, result.to_dict(), _summary(result))
    return _answer(result, options.undecided_code)


def _free_code(text: str) -> int:
    free = range(4, 126)  # the others have a meaning, here or for shells
    if not text.isascii() or not text.isdigit() or int(text) not in free:
        raise argparse.ArgumentTypeError(f"expected a number from 4 to 125, got {text!r}")
    return int(text)


def _answer(result: Any, undecided: int | None) -> int:
    if not result.reliable:
        return NO_ANSWER
    if result.undecided and undecided is not None:
        return undecided
    return SAME if result.same else DIFFERENT


def _explain(options: argparse.Namespace) -> int:
    import xcos

    photos = _two(options)
    if options.on_photo or options.report:  # they are shown later, and standard input can be read once
        photos = [photo if isinstance(photo, str) else photo.read() for photo in photos]
    result = xcos.explain(*photos, **_keywords(options))
    if options.output:
        result.save(options.output, dpi=options.dpi, on_photo=options.on_photo and tuple(photos))
    if options.report:
        result.report(options.report, photos=tuple(photos), reference=options.case, paper=options.paper,
                      command=options.command)  # fmt: skip
    written = "".join(f"\nwritten: {shown(path)}" for path in (options.output, options.report) if path)
    _print(options, result.to_dict(), f"{_summary(result)}\n\n{_table(result)}{written}")
    return _answer(result, options.undecided_code)


def _detect(options: argparse.Namespace) -> int:
    if options.output and len(options.images) > 1:
        raise ValueError(f"--output: expected one photograph for one picture, got {len(options.images)}")
    results, failed = [], False
    for name in options.images:
        try:
            results.append(_detect_one(options, name))
        except (OSError, ValueError) as error:  # the others are looked at all the same
            if len(options.images) == 1:
                raise
            _complain(error)
            failed = True
    data = [{"image": name, "faces": [face.to_dict() for face in found]} for name, found, _ in results]
    _print(options, data[0] if len(options.images) == 1 else data, "\n".join(text for *_, text in results))
    return FAILED if failed else SAME if any(found for _, found, _ in results) else NO_ANSWER


def _detect_one(options: argparse.Namespace, name: str) -> tuple[str, Any, str]:
    """The photograph, its faces, and these in words."""
    import xcos

    looking = _looking(options)
    image = xcos.read_image(_photograph(name), **{k: v for k, v in looking.items() if k == "max_pixels"})
    found = xcos.detect(image, **looking)
    if options.output:
        from ..drawing import plot
        from ..recognition.results import PICTURES, save

        save(options.output, {kind: _picture(plot, image, found, kind[1:], options.dpi) for kind in PICTURES})
    lines = [f"{len(found)} face{'s' * (len(found) != 1)} in {shown(name)}"]
    for i, face in enumerate(found):
        left, top, right, bottom = face.box
        lines.append(
            f"{i:3d}  score {face.score:.3f}  box {left:.0f},{top:.0f} to {right:.0f},{bottom:.0f}"
            f"  ({right - left:.0f} x {bottom - top:.0f} pixels)" + f", turned by {face.turn}°" * bool(face.turn)
        )
    return name, found, "\n".join(lines)


def _picture(plot: Any, image: Any, found: Any, kind: str, dpi: float | None) -> Any:
    return lambda file: file.write(plot.render_detections(image, found, kind, dpi))


def _info(options: argparse.Namespace) -> int:
    import xcos
    from xcos import _core
    from xcos.recognition.card import ModelCard
    from xcos.recognition.shipped import kinds, model_path

    file = xcos.ModelFile.read(model_path(options.model))
    card = ModelCard.of(file)
    facts = {
        "name": file.name,
        "kind": file.kind,
        "inputs": {value["name"]: list(value["shape"]) for value in file.inputs},
        "outputs": list(file.outputs),
        "layers": len(file.layers),
        "parameters": card.parameters,
        "thresholds": dict(file.thresholds or {}),
        "thresholds_from": file.thresholds_from,
        "whole": card.whole,
        "whole_curve": _curve(file),
        "truth": card.truth,
        "calibration": card.calibration,
        "license": file.license,
        "origin": file.origin,
        "training": file.training,
        "networks": (networks := kinds()),
        "xcos": xcos.__version__,
        "instruction set": _core.isa(),
        "threads": _core.default_threads(),
    }
    width = max(map(len, facts))
    named = [f"{name} ({kind})" for name, kind in networks.items()]
    told = {**facts, "kind": _kind(file), "whole": card.whole if file.head else "", "networks": named}
    lines = [f"{key.replace('_', ' '):{width}}  {text}" for key, value in told.items() if (text := _plain(value))]
    _print(options, facts, "\n".join(lines))
    return SAME


def _kind(file: Any) -> str:
    """What a network is for, in words."""
    if file.kind == "recognizer" and not file.head:
        return "recognizer without an xCos head, which `xcos plug` trains"
    about = {"recognizer": "with an xCos head: compares faces", "detector": "finds faces",
             "landmarks": "finds points of a face"}  # fmt: skip
    return f"{file.kind}, {about[file.kind]}"


def _convert(options: argparse.Namespace) -> int:
    import xcos
    from xcos.recognition.card import ModelCard

    pixels = {"color": options.color, "mean": options.mean, "scale": options.scale}
    file = xcos.convert(options.source, options.target, **pixels, shape=options.shape)
    parameters = ModelCard.of(file).parameters
    facts = {
        "name": file.name,
        "layers": len(file.layers),
        "parameters": parameters,
        "written": options.target,
    }
    size = f"{file.name}: {len(file.layers)} layers, {parameters:,} parameters"
    _print(options, facts, f"{size}, {shown(options.target)}")
    return SAME


def _curve(file: Any) -> dict[str, Any]:
    """Accuracy by w, as far as it was measured."""
    curve = file.whole_curve
    if not curve:
        return {}
    accuracy = {f"{w:g}": f"{a:.2%}" for w, a in zip(curve["whole"], curve["accuracy"], strict=True)}
    return {"data": curve["data"], "pairs": curve["pairs"], **accuracy}


def _keywords(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "model": _model(options),
        "threshold": options.threshold,
        "threads": options.threads,
        "aligned": options.aligned,
        "face": options.face,
        **_looking(options),
    }


def _model(options: argparse.Namespace) -> Any:
    if options.whole is None:
        return options.model
    from ..recognition.shipped import load

    return load(options.model).with_whole(options.whole, threshold=options.threshold)


def _looking(options: argparse.Namespace) -> dict[str, Any]:
    most = {} if options.max_pixels is None else {"max_pixels": options.max_pixels}
    return {"upright": options.upright, **most}


def _summary(result: Any) -> str:
    total = [f"the score is {result.sum_in_words()}"] if result.explained < 1 else []
    lines = [result.sentence(), *total, *result.notes(), f"threshold: {result.threshold_from}"]
    if result.llr is not None:
        lines += [result.worth(), f"probability: {result.probability():.2%} at even odds before"]
    counts = f"counts {1 - result.explained:.0%}" if result.explained < 1 else "for reference"
    return "\n".join([*lines, f"plain cosine, {counts}: {result.cosine:.4f}  (model {result.model})"])


def _table(result: Any) -> str:
    """The contributions in thousandths, as the figure names its cells."""
    contribution = result.contribution
    letters = "".join(f"{chr(ord('A') + i):>5}" for i in range(contribution.shape[1]))
    rows = [f"{i + 1:>2}" + "".join(f"{round(1000 * float(v)):>5}" for v in row) for i, row in enumerate(contribution)]
    whole = [f"the face as a whole: {round(1000 * result.whole)}"] if result.explained < 1 else []
    return "\n".join(["contribution of each cell, thousandths of the score:", "  " + letters, *rows, *whole])


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else str(value)


def _print(options: argparse.Namespace, data: Any, text: str) -> None:
    """Puts out a result; where stdout is closed, the exit code alone tells it."""
    try:  # JSON in ASCII fits any console
        print(json.dumps(data, indent=1, allow_nan=False) if options.json else text, flush=True)
    except OSError as error:
        sys.stdout = None  # the interpreter would try it once more when it ends, and complain
        raise type(error)(error.errno, error.strerror, "standard output") from None


def _face(text: str) -> Any:
    """``2`` for both photographs, ``2,0`` for each; an empty place chooses automatically."""
    try:
        numbers = [int(part) if part.strip() else None for part in text.split(",")]
    except ValueError:
        numbers = []
    if not 1 <= len(numbers) <= 2 or any(n is not None and n < 0 for n in numbers):
        raise argparse.ArgumentTypeError(f"expected N or N,M counted from 0, got {text!r}")
    return tuple(numbers) if len(numbers) == 2 else numbers[0]


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, got {text!r}")
    return value


def _channels(text: str) -> Any:
    from ..plan.pixels import per_channel

    try:
        return per_channel(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _threads(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, got {text!r}")
    return int(text)


def _shape(text: str) -> tuple[int, int]:
    height, _, width = text.lower().partition("x")
    return _threads(height), _threads(width or height)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Says what may be meant by a word that is none of those expected."""
        choice = re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message)
        if choice and (near := difflib.get_close_matches(choice[1], re.findall(r"[\w-]+", choice[2]), 1)):
            message = f"{choice[1]!r} is not known; did you mean {near[0]!r}?"
        super().error(message)


class _Version(argparse.Action):
    """Prints the version, importing the core only then."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        import xcos

        print(f"xcos {xcos.__version__}")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    layout = argparse.RawDescriptionHelpFormatter
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print JSON")
    common.add_argument("-v", "--verbose", action="store_true", help="log to stderr; show tracebacks")
    model = argparse.ArgumentParser(add_help=False)
    model.add_argument("--model", help="name of a model of the package, or a model file")
    model.add_argument("--whole", type=_share, metavar="W",
                       help="what the face as a whole counts in the score: 0, cells alone, to 1 (default: the model's)")
    looking = argparse.ArgumentParser(add_help=False)
    looking.add_argument("--upright", action="store_true", help="photographs stand upright: don't look at them turned")
    looking.add_argument("--max-pixels", type=_threads, metavar="N", help="largest picture (default: 200 million)")
    pair = argparse.ArgumentParser(add_help=False, parents=[model, looking])
    pair.add_argument("first", metavar="A", help="photograph; - reads standard input")
    pair.add_argument("second", metavar="B", help="the other photograph")
    pair.add_argument("--threshold", type=float, help="the same person when score > this (default: the model's)")
    pair.add_argument("--undecided-code", type=_free_code, metavar="CODE",
                      help="exit code, 4 to 125, where the likelihood ratio lies in the band of no decision (default: "
                      "0 or 1 all the same, by the threshold)")  # fmt: skip
    pair.add_argument("--threads", type=_threads, metavar="N", help="at most so many (default: all there are)")
    pair.add_argument("--aligned", action="store_true", help="the photographs are aligned 112 x 112 crops")
    pair.add_argument("--face", type=_face, metavar="N[,M]",
                      help="which face, as `xcos detect` numbers them, from 0")
    pixels = argparse.ArgumentParser(add_help=False)
    pixels.add_argument("--color", choices=("RGB", "BGR"), help="order of the network's channels (default: RGB)")
    pixels.add_argument("--mean", type=_channels, metavar="M[,M,M]",
                        help="the input is (pixel - MEAN) * SCALE, one number or each channel's (default: 127.5)")
    pixels.add_argument("--scale", type=_channels, metavar="S[,S,S]", help="(default: 1/127.5 = 0.00784)")

    parser = _Parser(
        prog="xcos", formatter_class=layout, epilog=_EXAMPLES + "\n" + _CARE,
        description="Tells whether two photographs show the same person, and why, cell by cell.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    commands: Any = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run: Any, text: str, parents: Sequence[argparse.ArgumentParser], example: str) -> Any:
        sub = commands.add_parser(
            name, help=text, description=text[0].upper() + text[1:] + ".", parents=[*parents, common],
            formatter_class=layout, epilog=f"example:\n  {example}",
        )
        sub.set_defaults(run=run)
        return sub

    verify = command("verify", _verify, "decide whether two photographs show one person", [pair],
                     "xcos verify a.jpg b.jpg")
    verify.add_argument("--metric", choices=("xcos", "cosine"), default="xcos",
                        help="what decides: the model's score or the plain cosine, at its own threshold")
    explain = command("explain", _explain, "decide, and show why", [pair], "xcos explain a.jpg b.jpg -o why.png")
    explain.add_argument("-o", "--output", metavar="FILE", help="write .html, .png, .pdf, .svg, .json or .npz")
    explain.add_argument("--dpi", type=float, help="dots an inch of a .png (default: 110)")
    explain.add_argument("--on-photo", action="store_true", help="show the photographs instead of the crops")
    explain.add_argument("--report", metavar="FILE", help="write a report for the case file, .pdf or .html")
    explain.add_argument("--case", metavar="TEXT", default="", help="the case's reference, on every page of the report")
    explain.add_argument("--paper", choices=("A4", "letter"), default="A4", help="of the report (default: A4)")
    detect = command("detect", _detect, "find the faces of photographs", [looking],
                     "xcos detect group.jpg -o faces.png")
    detect.add_argument("images", metavar="A", nargs="+", help="photograph, or several; - reads standard input")
    detect.add_argument("-o", "--output", metavar="FILE", help="write a .png, .pdf or .svg with boxes and points")
    detect.add_argument("--dpi", type=float, help="dots an inch of a .png (default: 110)")
    info = command("info", _info, "tell about a model and this installation", [], "xcos info --json")
    info.add_argument("model", nargs="?", help="name or file (default: the default model)")
    convert = command("convert", _convert, "turn an ONNX network or a PyTorch checkpoint into a model file", [pixels],
                      "xcos convert checkpoint.pth network.safetensors --color BGR")
    convert.add_argument("source", metavar="NETWORK", help=".onnx, .pth or .safetensors")
    convert.add_argument("target", metavar="OUT", type=data.ends_in(".safetensors"), help="the model file to write")
    convert.add_argument("--shape", type=_shape, metavar="HxW",
                         help="height and width of the pictures, for an ONNX network that leaves them open")
    data.register(command, _threads, _print, model)
    serve.register(command, _print, model)
    plug.register(command, _threads, _share, _print, pixels)
    explainers.register(command, _threads, _print, model)
    truth.register(command, _threads, _print)
    audit.register(command, _threads, _share, _print)
    gallery.register(command, common, _threads, _print, model)
    return parser
