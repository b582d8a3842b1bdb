"""Figures in README, documentation and model cards, written from the results under benchmarks/results/.

    python tools/figures.py            writes them all anew
    python tools/figures.py --check    names those that differ from the results, exit code 1 (a test does it)

A figure stands between comments, which no reader sees: `<!--=accuracy-->99.20 %<!--/-->`. FIGURES says of each name
where its value is: a cell of a table that a benchmark printed, or a table made of several. So no figure is older than
the result it comes from, and no two pages contradict each other.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from textwrap import shorten

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
DEFAULT = "mobilefacenet_xcos_v2"  # the model that the figures are of
PAGES = ["README.md", "xcos/models/*.md", "docs/*.md"]
MARK = re.compile(r"<!--=(?P<name>[\w.]+)-->(?P<value>.*?)<!--/-->", re.DOTALL)


@dataclass(frozen=True)
class Table:
    """A Markdown table, and the line of text before it."""

    under: str
    head: list[str]
    rows: list[list[str]]


@cache
def tables(file: str) -> list[Table]:
    """The tables of a result, as they were printed."""
    found: list[Table] = []
    under, before = "", ""
    for line in (RESULTS / file).read_text().splitlines():
        if not line.startswith("|"):
            under = line.strip() or under
        else:
            cells = [cell.strip().strip("*") for cell in line.strip().strip("|").split("|")]
            if not before.startswith("|"):
                found.append(Table(under, cells, []))
            elif set(line) - set("|-: "):
                found[-1].rows.append(cells)
        before = line
    return found


def below(file: str, under: str = "") -> list[Table]:
    """The tables of a result before which a line has the words `under`."""
    found = [one for one in tables(file) if under in one.under]
    if not found:
        raise LookupError(f"benchmarks/results/{file}: no table under {under!r}")
    return found


def cell(file: str, row: str, column: str | int = -1, under: str = "", pattern: str = "(.*)") -> str:
    """What `pattern` finds in a cell: of the first row that begins with the words `row` (its cells joined)."""
    for one in below(file, under):
        for cells in one.rows:
            if " ".join(cells).strip().startswith(row):
                text = cells[one.head.index(column) if isinstance(column, str) else column]
                if found := re.search(pattern, text):
                    return found[1]
                raise LookupError(f"benchmarks/results/{file}, {row}: {text!r} has no {pattern!r}")
    raise LookupError(f"benchmarks/results/{file}: no row {row!r} under {under!r}")


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table between blank lines, which its marks need around it."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n\n"


def accuracy(metric: str) -> str:
    """The mean of five folds and their standard deviation."""
    text = cell("accuracy.md", f"lfw_dev.bin, 3000 pairs, 5 folds: {metric}")
    mean, deviation = re.findall(r"([\d.]+)%", text)[:2]
    return f"{mean} % ± {deviation}"


def photographs(row: str) -> str:
    """Of 70 pairs of one person and 70 of two, so many were right."""
    share = float(cell("accuracy.md", f"lfw_photos.tar: {row}", pattern=r"^([\d.]+)%"))
    return f"{share * 1.4:.0f} of 140"


def locality() -> str:
    found = json.loads((RESULTS / "locality_lfw_dev.json").read_text())
    low, high = found["change_interval"]
    return f"{found['change_auc']:.3f} [{low:.3f}, {high:.3f}]"


def truth(row: str, pattern: str = r"^([\d.]+)") -> str:
    return cell("truth_lfw_dev.md", row, DEFAULT, pattern=pattern)


def truths() -> str:
    rows = [[cells[0], cells[1]] for cells in below("truth_lfw_dev.md")[0].rows]
    return markdown(["figure", "value [95 % interval]"], rows)


def by_whole() -> str:
    """Accuracy by what the face as a whole counts, in steps of a tenth and at the model's own share."""
    chosen = {"0.00", "0.10", "0.20", "0.30", "0.40", "0.50", "0.55", "0.60", "0.65", "0.70", "0.80", "1.00"}
    rows = [cells for cells in below("whole.md", DEFAULT)[0].rows if cells[0] in chosen]
    bold = ["**" if cells[0] == "0.65" else "" for cells in rows]
    head = [f"{b}{float(cells[0]):g}{b}" for b, cells in zip(bold, rows, strict=True)]
    line = [f"{b}{cells[2].rstrip('%')}{b}" for b, cells in zip(bold, rows, strict=True)]
    return markdown(["w", *head], [["accuracy, %", *line]])


def cllr(row: str, column: str) -> str:
    return cell("calibration_lfw_dev.md", row, column)


def calibrations() -> str:
    """What ratios of the score are worth on LFW whose second pictures are made worse."""
    rows = [cells for cells in below("calibration_lfw_dev.md")[0].rows if cells[1] == "xcos"]
    head = ["second picture", "pairs", "Cllr", "min Cllr", "undecided, one person", "two people"]
    return markdown(head, [[cells[0], *cells[2:5], *(x.replace("%", " %") for x in cells[5:])] for cells in rows])


def groups_of_lfw() -> str:
    """Errors by sex, the explained score beside the plain cosine."""
    asked = [
        ("two women taken for one", "sex female", "FMR"),
        ("two men taken for one", "sex male", "FMR"),
        ("a woman and a man taken for one", "sex two groups", "FMR"),
        ("a woman taken for two", "sex female", "FNMR"),
        ("a man taken for two", "sex male", "FNMR"),
    ]
    rows = [
        [title, *(cell("groups.md", row, at, f"{rate}: pairs") for at in (2, 4, 6, 7, 9))] for title, row, rate in asked
    ]
    return markdown(["", "pairs", "errors, xCos", "rate", "errors, plain cosine", "rate"], rows)


RATIOS = "The worst group against the best"


def groups() -> str:
    """FMR among adults and ages of UTKFace, the explained score beside the plain cosine."""
    rows = []
    for column in ("sex of adults", "race of adults", "sex and race of adults", "age"):
        found = [
            cell("groups.md", f"{column} {score} FMR", at, RATIOS)
            for score in ("xcos", "cosine")
            for at in ("worst", "best", -1)
        ]
        rows.append([column, *found])
    head = ["xCos: worst", "best", "worst / best", "plain cosine: worst", "best", "worst / best"]
    return markdown(["groups", *head], rows)


def speed() -> str:
    """Our rows of engines.md: the networks that recognise, against the fastest peer of each."""
    rows = []
    for cells in below("engines.md")[0].rows:
        name, batch, threads = re.fullmatch(r"(\w+) \((\d+), (\d+)\)", cells[0]).groups()  # type: ignore[union-attr]
        title = {"mobilefacenet": "MobileFaceNet", "iresnet50": "IResNet-50", "iresnet100": "IResNet-100"}.get(name)
        if title:
            rows.append([title, f"{batch}, {threads}", cells[2], f"{cells[5]} ({cells[4]})", cells[7]])
    return markdown(["network", "batch, threads", "xcos, ms", "fastest peer, ms", "xcos / peer"], rows)


def ratio(row: str) -> str:
    return cell("engines.md", row, "xcos / peer")


def machine() -> str:
    """Processor and day of engines.md."""
    line = next(one for one in (RESULTS / "engines.md").read_text().splitlines() if "GFLOP/s" in one)
    cpu, _, rest = line.partition(";")
    day = re.search(r"\d{4}-\d\d-\d\d", rest)
    return f"{re.sub(r' [(].*', '', cpu)}, {day[0] if day else '?'}"


FIGURES: dict[str, Callable[[], str]] = {
    "accuracy": lambda: accuracy("xCos"),
    "accuracy.cosine": lambda: accuracy("plain cosine"),
    "accuracy.cells": lambda: cell("whole.md", "0.00", "accuracy", DEFAULT).replace("%", " %"),
    "photographs": lambda: photographs("verify()"),
    "photographs.cosine": lambda: photographs("plain cosine"),
    "own": lambda: truth("own"),
    "leak": lambda: truth("leak"),
    "corners": lambda: f"{truth('corners alone')} %",
    "best_cell": lambda: f"{truth('best cell alone')} %",
    "truth": truths,
    "calibration": calibrations,
    "groups": groups,
    "groups.lfw": groups_of_lfw,
    "groups.ratio": lambda: cell("groups.md", "sex and race of adults xcos FMR", under=RATIOS),
    "locality": locality,
    "by_whole": by_whole,
    "cllr": lambda: cllr("as they are xcos", "Cllr"),
    "cllr.least": lambda: cllr("as they are xcos", "min Cllr"),
    "cllr.cosine": lambda: cllr("as they are cosine", "Cllr"),
    "cllr.cosine.least": lambda: cllr("as they are cosine", "min Cllr"),
    "cllr.mask": lambda: cllr("one wears a mask xcos", "Cllr"),
    "cllr.mask.least": lambda: cllr("one wears a mask xcos", "min Cllr"),
    "speed": speed,
    "speed.machine": machine,
    "speed.mobilefacenet": lambda: ratio("mobilefacenet (1, 1)"),
    "speed.iresnet50": lambda: ratio("iresnet50 (1, 1)"),
}


def pages() -> list[Path]:
    return [path for pattern in PAGES for path in sorted(ROOT.glob(pattern))]


def anew(path: Path) -> tuple[str, list[str]]:
    """A page with its figures as the results have them, and what was not so."""
    wrong = []

    def write(found: re.Match[str]) -> str:
        name, old = found["name"], found["value"]
        if name not in FIGURES:
            raise LookupError(f"{path.relative_to(ROOT)}: no figure {name!r}; expected one of {', '.join(FIGURES)}")
        new = FIGURES[name]()
        if new != old:
            was, now = (shorten(text, 60) for text in (old, new))
            wrong.append(f"{path.relative_to(ROOT)}: {name} is {was!r}, the results say {now!r}")
        return f"<!--={name}-->{new}<!--/-->"

    return MARK.sub(write, path.read_text()), wrong


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, exit code 1 where a figure differs")
    options = parser.parse_args(arguments)
    differing = []
    for path in pages():
        text, wrong = anew(path)
        differing += wrong
        if wrong and not options.check:
            path.write_text(text)
    print("\n".join(differing) or "all figures are those of the results")
    return 1 if differing and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
