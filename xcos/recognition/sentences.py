"""An explanation in two or three sentences, made of its numbers by a table of words. No language model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from ..base.values import ByValue
from ..faces.parts import FACIAL
from .parts import Part
from .words import WORDS, Words

DIGITS = {"score": 4, "threshold": 4, "local": 3, "whole": 3, "contribution": 3, "cosine": 2, "evidence": 1}
NAMED = 2  # parts at each superlative, but the opposite end, which has one


class Told(Protocol):
    """Of ``xcos.Explanation``, which says what each is."""

    @property
    def score(self) -> float: ...
    @property
    def threshold(self) -> float: ...
    @property
    def local(self) -> float: ...
    @property
    def whole(self) -> float: ...
    @property
    def explained(self) -> float: ...
    @property
    def same(self) -> bool: ...
    @property
    def reliable(self) -> bool: ...
    @property
    def undecided(self) -> bool: ...
    @property
    def parts(self) -> Mapping[str, Part]: ...


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Sentence(ByValue):
    """One sentence of an explanation; ``str(sentence)`` is its text.

    Attributes
    ----------
    text : str
        The sentence.
    kind : str
        What it is about: same, different, undecided or unreliable (the decision), sum or sum_of_cells (what adds to the
        score), least_alike or most_different (where), hidden.
    numbers : dict of float
        Each number in the text, in its order, by the attribute of the explanation that it is, not rounded: "score",
        "parts.nose.cosine".
    parts : tuple of str
        The parts that it names, in its order.

    Examples
    --------
    >>> import xcos
    >>> e = xcos.explain("examples/obama_portrait_2012.jpg", "examples/biden_blue_room_2010.jpg")
    >>> sentence = e.sentences()[0]
    >>> sentence.kind, sentence.numbers["score"] == e.score
    ('different', True)
    """

    text: str
    kind: str
    numbers: Mapping[str, float]
    parts: tuple[str, ...]

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Sentence({self.text!r})"


def sentences_of(e: Told, language: str = "en") -> list[Sentence]:
    """The sentences of an explanation; see ``Explanation.sentences``. Raises ValueError for another language."""
    if language not in WORDS:
        raise ValueError(f"language: expected one of {', '.join(WORDS)}, got {language!r}")
    words = WORDS[language]
    decision = "same" if e.same else "different"
    if e.undecided or not e.reliable:
        decision = "undecided" if e.reliable else "unreliable"
    made = [_sentence(words, decision, {"score": e.score, "threshold": e.threshold})]
    if e.reliable:
        largest = sorted(e.parts.values(), key=lambda part: -abs(part.contribution))[:NAMED]
        sums = {"local": e.local} if e.explained == 1 else {"local": e.local, "whole": e.whole}
        kind = "sum_of_cells" if e.explained == 1 else "sum"
        made.append(_sentence(words, kind, sums, most=_items(largest, "contribution")))
        seen = sorted((e.parts[name] for name in FACIAL if all(e.parts[name].visible)), key=lambda part: part.cosine)
        if len(seen) > NAMED:
            facts = ("cosine", "evidence")
            kind = "least_alike" if e.same else "most_different"
            made.append(_sentence(words, kind, {}, least=_items(seen[:NAMED], *facts), most=_items(seen[-1:], *facts)))
    for side, which in enumerate(words.which):
        if names := [name for name in FACIAL if not e.parts[name].visible[side]]:
            listed = _joined(words, [words.names[name] for name in names])
            made.append(Sentence(words.kinds["hidden"].format(which=which, names=listed), "hidden", {}, tuple(names)))
    return made


Items = list[tuple[str, dict[str, float]]]


def _items(parts: Iterable[Part], *facts: str) -> Items:
    """Each part's name with those of its numbers that are known."""
    values = ((part.name, {fact: getattr(part, fact) for fact in facts}) for part in parts)
    return [(name, {fact: value for fact, value in known.items() if value is not None}) for name, known in values]


def _sentence(words: Words, kind: str, numbers: Mapping[str, float], **lists: Items) -> Sentence:
    """Fills the sentence in; its numbers and parts come in the order of the text, which the language decides."""
    fields: dict[str, str] = {name: _number(words, name, value) for name, value in numbers.items()}
    for place, items in lists.items():
        fields[place] = _joined(words, [_item(words, name, facts) for name, facts in items])
    template = words.kinds[kind]
    told: dict[str, float] = {}
    parts: list[str] = []
    for place in sorted(fields, key=lambda name: template.index(f"{{{name}}}")):
        for name, facts in lists.get(place, []):
            told |= {f"parts.{name}.{fact}": value for fact, value in facts.items()}
            parts.append(name)
        if place in numbers:
            told[place] = numbers[place]
    return Sentence(template.format(**fields), kind, told, tuple(parts))


def _item(words: Words, name: str, facts: Mapping[str, float]) -> str:
    said = [words.facts[fact].format(_number(words, fact, value)) for fact, value in facts.items()]
    return words.item.format(at=words.at[name], facts=words.joins[1].join(said))


def _joined(words: Words, items: list[str]) -> str:
    last, before = words.joins
    return last.join([before.join(items[:-1]), items[-1]]) if len(items) > 1 else items[0]


def _number(words: Words, name: str, value: float) -> str:
    rounded = round(value, DIGITS[name]) + 0.0  # no sign of zero
    return f"{rounded:.{DIGITS[name]}f}".replace("-", "−").replace(".", words.point)
