"""What a case report says, as sections of a few kinds of blocks; how they are laid out is not known here."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..base.values import ByValue
from ..drawing.scales import SCALES, cell_number, tints
from ..drawing.sheet import pale_cells
from ..drawing.shown import Reason
from .limits import LIMITS
from .photograph import Photograph


class Card(Protocol):
    """Of ``xcos.recognition.card.ModelCard``."""

    @property
    def digest(self) -> str: ...
    @property
    def path(self) -> str | None: ...
    @property
    def parameters(self) -> int: ...
    @property
    def license(self) -> str: ...
    @property
    def origin(self) -> str: ...
    @property
    def training(self) -> str: ...
    @property
    def calibration(self) -> Mapping[str, str]: ...
    @property
    def truth(self) -> str: ...


class Told(Reason, Protocol):
    """Of ``xcos.Explanation``, which says what each is."""

    @property
    def card(self) -> Card | None: ...
    def sum_in_words(self) -> str: ...


@dataclass(frozen=True)
class Prose:
    """A paragraph: `plain`, `strong` (large, of the decision), `quiet` (small); `lead` is its first, bold words."""

    text: str
    kind: str = "plain"
    lead: str = ""


@dataclass(frozen=True)
class Facts:
    """Names and what they are; two values where both photographs have one."""

    rows: Sequence[tuple[str, Sequence[str]]]
    heads: Sequence[str] = ()


@dataclass(frozen=True)
class Table:
    """Heads and rows; all but the first column are numbers."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Pictures:
    """JPEG or PNG files side by side, each with what it shows; `height`: millimetres on paper, at most."""

    files: Sequence[bytes]
    captions: Sequence[str]
    height: float


@dataclass(frozen=True, eq=False)
class CellMap(ByValue):
    """A map cell by cell: texts, colours (H, W, 3) and whether a text is to be white on them."""

    title: str
    about: str
    texts: Sequence[Sequence[str]]
    colours: NDArray[np.uint8]
    white: NDArray[np.bool_]
    pale: NDArray[np.bool_]


@dataclass(frozen=True)
class Maps:
    """Maps side by side."""

    maps: Sequence[CellMap]


Block = Prose | Facts | Table | Pictures | Maps


@dataclass(frozen=True)
class Section:
    """Blocks under a title; `page`: begins a new one."""

    title: str
    blocks: Sequence[Block]
    page: bool = False


@dataclass(frozen=True)
class Report:
    """All of it: title, what stands under it and at the foot of every page."""

    title: str
    about: str
    foot: str
    date: datetime
    sections: Sequence[Section] = field(default_factory=tuple)


def report_of(
    e: Told, photographs: tuple[Photograph, Photograph], *, reference: str, command: str, date: datetime
) -> Report:
    """The report of an explanation and the two photographs as given."""
    when = f"{date:%Y-%m-%d %H:%M} UTC"
    about = " · ".join(part for part in (reference and f"Case {reference}", when, f"xcos {_core.__version__}") if part)
    digests = " and ".join(photo.digest[:12] for photo in photographs)
    foot = " · ".join(part for part in (reference, f"SHA-256 {digests}", when) if part)
    maps = [_cells(e, name) for name in SCALES if _values(e, name) is not None]
    three, others = maps[:3], maps[3:]
    sections = [
        Section("Decision", _decision(e)),
        Section("In words", [Prose(str(sentence)) for sentence in e.sentences()]),
        Section("Photographs as given", _photographs(photographs)),
        Section("Faces that were compared", _faces(e, photographs)),
        Section("Why: cell by cell", [Maps(three), *_sum(e), *([Maps(others)] if others else [])]),
        Section("Why: part by part", _parts(e)),
        Section("Model", _model(e), page=True),
        Section("How this report was made", _made(command, when)),
        Section("Limits", [Prose(text, lead=f"{lead}.") for lead, text in LIMITS], page=True),
        Section("Examined by", [Facts([(name, [""]) for name in ("Name", "Conclusion", "Date, signature")])]),
    ]
    first, second = e.names
    return Report(f"Comparison of two faces: {first} and {second}", about, foot, date, sections)


def _decision(e: Told) -> list[Block]:
    sentence = e.sentence()
    rows = [
        ("Score", [_signed(f"{e.score:.4f}" + ("" if e.explained == 1 else f" = {e.sum_in_words()}"))]),
        ("Threshold", [f"{_signed(f'{e.threshold:.4f}')}: {e.threshold_from}"]),
        ("Plain cosine of the faces", [_signed(f"{e.cosine:.4f}")]),
        ("Worth", [_capital(e.worth()) if e.llr is not None else "Not known: the model is not calibrated"]),
    ]
    if e.llr is not None:
        band = "in" if e.undecided else "outside of"
        rows.append(("Band of no decision", [f"The likelihood ratio lies {band} it"]))
    notes: list[Block] = [Prose(note) for note in e.notes()]
    care = Prose("The score is no probability, and the likelihood ratio none either: see Limits.", "quiet")
    return [Prose(_capital(_signed(sentence.replace("<=", "≤"))), "strong"), *notes, Facts(rows), care]


def _photographs(photographs: tuple[Photograph, Photograph]) -> list[Block]:
    names = [photo.name for photo in photographs]
    rows = [(name, [photo.facts[name] for photo in photographs]) for name in photographs[0].facts]
    return [
        Pictures([photo.picture for photo in photographs], names, 74),
        Prose("Made smaller to fit; the frame is what was cut out and compared, turned upright.", "quiet"),
        Facts(rows, heads=["", *names]),
    ]


def _faces(e: Told, photographs: tuple[Photograph, Photograph]) -> list[Block]:
    rows = [(name, [photo.quality[name] for photo in photographs]) for name in photographs[0].quality]
    captions = [f"{name}: crop of 112 x 112 pixels" for name in e.names]
    return [Pictures([photo.crop for photo in photographs], captions, 52), Facts(rows, heads=["", *e.names])]


def _values(e: Told, name: str) -> NDArray[np.float32] | None:
    values: NDArray[np.float32] | None = e.cosine_map if name == "cosine" else getattr(e, name)
    return values


def _cells(e: Told, name: str) -> CellMap:
    values, scale = _values(e, name), SCALES[name]
    assert values is not None
    pale = pale_cells(e)
    colours, white = tints(name, values, pale)
    texts = [[_signed(cell_number(float(value), scale.digits)) for value in row] for row in values]
    about = _signed(f"; colours from {scale.low:g} to {scale.high:g}")
    return CellMap(scale.question, scale.about + about, texts, colours,
                   white, np.zeros(values.shape, bool) if pale is None else pale)  # fmt: skip


def _sum(e: Told) -> list[Block]:
    cells = f"cosine x attention, summed over {e.attention.size} cells"
    said = f"Contribution of a cell = cosine x attention; {cells} = {e.score:.4f}, which is the score."
    if e.explained < 1:
        product = float((e.cosine_map * e.attention).sum())
        said = (
            f"Contribution of a cell = {e.explained:.2g} x cosine x attention. {cells[0].upper()}{cells[1:]}: "
            f"{product:.4f}; times {e.explained:.2g}: {e.local:.4f}. The face as a whole adds {1 - e.explained:.2g} x "
            f"plain cosine {e.cosine:.4f} = {e.whole:.4f}. Together {e.score:.4f}, which is the score."
        )
    blocks: list[Block] = [Prose(_signed(said))]
    if pale_cells(e) is not None:
        blocks.append(Prose("Pale cells with slanted numbers know little about whether this is one person.", "quiet"))
    return blocks


def _parts(e: Told) -> list[Block]:
    known = e.evidence is not None
    rows = []
    for name, part in e.parts.items():
        seen = [which for which, can in zip(("first", "second"), part.visible, strict=True) if can]
        numbers = [f"{part.cosine:.3f}", f"{part.weight:.3f}", f"{part.contribution:.4f}"]
        evidence = [f"{part.evidence:.1f}"] if part.evidence is not None else []
        rows.append([name, *numbers, *evidence, {0: "neither", 1: "".join(seen), 2: "both"}[len(seen)]])
    rows.append(["the face as a whole", f"{e.cosine:.3f}", f"{1 - e.explained:.3f}", f"{e.whole:.4f}",
                 *([""] if known else []), ""])  # fmt: skip
    total = sum(part.contribution for part in e.parts.values()) + e.whole
    rows.append(["sum", "", "", f"{total:.4f}", *([""] if known else []), ""])
    head = ["Part", "Cosine", "Weight", "Adds", *(["Evidence"] if known else []), "Surely seen in"]
    about = (
        "Cosine and evidence: means over the part's cells, by its share of each; weight and what it adds: sums. "
        "Weights are those of the attention among the cells, that of the face as a whole its share in the score."
    )
    return [Table(head, [[_signed(cell) for cell in row] for row in rows]), Prose(about, "quiet")]


def _model(e: Told) -> list[Block]:
    rows = [("Name", e.model)]
    if card := e.card:
        file = Path(card.path) if card.path else None
        rows += [("SHA-256 of plan and weights", card.digest)]
        if file and file.is_file():
            rows += [("File", str(file)), ("SHA-256 of the file", sha256(file.read_bytes()).hexdigest())]
        rows += [("Parameters", f"{card.parameters:,}"), ("Licence", card.license), ("Origin", card.origin)]
        rows += [("Training", card.training), ("Cells, as measured", card.truth)]
        rows += [(f"Calibration, {metric}", text) for metric, text in card.calibration.items()]
    rows += [("Threshold", e.threshold_from)]
    said: list[Block] = [Facts([(name, [text]) for name, text in rows if text])]
    if e.card and e.card.path and (beside := Path(e.card.path).with_suffix(".md")).is_file():
        digest = sha256(beside.read_bytes()).hexdigest()
        said.append(Prose(f"The model's card with all figures lies beside its file: {beside.name}, SHA-256 {digest}."))
    return said


def _made(command: str, when: str) -> list[Block]:
    return [Facts([
        ("Command", [command]),
        ("Date", [when]),
        ("xcos", [f"{_core.__version__}, instruction set {_core.isa()}"]),
        ("Python, NumPy", [f"{platform.python_version()}, {np.__version__}"]),
        ("System", [f"{platform.system()} {platform.machine()}"]),
        ("Check", ["Run the command on files of these SHA-256 with the same version: the numbers come out the same, on "
                   "another processor up to the last digits."]),
    ])]  # fmt: skip


def _signed(text: str) -> str:
    return text.replace("-", "−")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
