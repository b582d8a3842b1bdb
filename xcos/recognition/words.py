"""What sentences are made of: the words of each language, a table without logic.

Names in braces are filled in by sentences.py. Another language is another entry of WORDS with the same keys.
"""

# ruff: noqa: RUF001 (full-width brackets are Japanese)

from __future__ import annotations

from typing import NamedTuple


class Words(NamedTuple):
    """One language.

    point     decimal sign
    joins     between two items of a list, and between those before
    at        each part as it stands in a sentence
    names     each part alone
    item      of a list: a part with its numbers, of which `fact` is one, joined by the last of `joins`
    facts     what each number is called
    kinds     the sentences
    which     the first picture, and the second
    """

    point: str
    joins: tuple[str, str]
    at: dict[str, str]
    names: dict[str, str]
    item: str
    facts: dict[str, str]
    kinds: dict[str, str]
    which: tuple[str, str]


WORDS = {
    "en": Words(
        point=".",
        joins=(" and ", ", "),
        at={
            "eyes": "at the eyes", "brows": "at the brows", "nose": "at the nose", "mouth": "at the mouth",
            "cheeks": "on the cheeks", "chin": "at the chin", "forehead": "on the forehead", "hair": "at the hair",
            "background": "in the background",
        },
        names={
            "eyes": "eyes", "brows": "brows", "nose": "nose", "mouth": "mouth", "cheeks": "cheeks", "chin": "chin",
            "forehead": "forehead",
        },
        item="{at} ({facts})",
        facts={"contribution": "{}", "cosine": "cosine {}", "evidence": "evidence {}"},
        kinds={
            "same": "Same person: the score {score} is above the threshold {threshold}.",
            "different": "Different people: the score {score} is not above the threshold {threshold}.",
            "undecided": "Undecided: the score {score} says too little, the threshold is {threshold}.",
            "unreliable": "No answer, a face is too poor: the score is {score}, the threshold {threshold}.",
            "sum": "The cells add {local} to the score, the largest amounts {most}; the face as a whole adds {whole}.",
            "sum_of_cells": "The cells add {local}, which is all of the score, the largest amounts {most}.",
            "least_alike": "The two faces are least alike {least}, and most alike {most}.",
            "most_different": "The two faces differ most {least}, and least {most}.",
            "hidden": "Not surely to be seen in the {which} picture: {names}.",
        },
        which=("first", "second"),
    ),
    "de": Words(
        point=",",
        joins=(" und ", ", "),
        at={
            "eyes": "an den Augen", "brows": "an den Brauen", "nose": "an der Nase", "mouth": "am Mund",
            "cheeks": "an den Wangen", "chin": "am Kinn", "forehead": "an der Stirn", "hair": "an den Haaren",
            "background": "im Hintergrund",
        },
        names={
            "eyes": "Augen", "brows": "Brauen", "nose": "Nase", "mouth": "Mund", "cheeks": "Wangen", "chin": "Kinn",
            "forehead": "Stirn",
        },
        item="{at} ({facts})",
        facts={"contribution": "{}", "cosine": "Kosinus {}", "evidence": "Evidenz {}"},
        kinds={
            "same": "Dieselbe Person: Der Wert {score} liegt über der Schwelle {threshold}.",
            "different": "Verschiedene Personen: Der Wert {score} liegt nicht über der Schwelle {threshold}.",
            "undecided": "Unentschieden: Der Wert {score} sagt zu wenig, die Schwelle ist {threshold}.",
            "unreliable": "Keine Antwort, ein Gesicht ist zu schlecht: Der Wert ist {score}, die Schwelle {threshold}.",
            "sum": "Die Zellen geben {local} zum Wert, die größten Beträge {most}; das ganze Gesicht gibt {whole}.",
            "sum_of_cells": "Die Zellen geben {local}, das ist der ganze Wert, die größten Beträge {most}.",
            "least_alike": "Am wenigsten gleichen sich die beiden Gesichter {least}, am meisten {most}.",
            "most_different": "Am meisten unterscheiden sich die beiden Gesichter {least}, am wenigsten {most}.",
            "hidden": "Auf dem {which} Bild nicht sicher zu sehen: {names}.",
        },
        which=("ersten", "zweiten"),
    ),
    "ja": Words(
        point=".",
        joins=("と", "、"),
        at={
            "eyes": "目", "brows": "眉", "nose": "鼻", "mouth": "口", "cheeks": "頬", "chin": "あご", "forehead": "額",
            "hair": "髪", "background": "背景",
        },
        names={
            "eyes": "目", "brows": "眉", "nose": "鼻", "mouth": "口", "cheeks": "頬", "chin": "あご", "forehead": "額",
        },
        item="{at}（{facts}）",
        facts={"contribution": "{}", "cosine": "コサイン {}", "evidence": "証拠 {}"},
        kinds={
            "same": "同一人物です。スコア {score} はしきい値 {threshold} を上回ります。",
            "different": "別人です。スコア {score} はしきい値 {threshold} を上回りません。",
            "undecided": "どちらとも言えません。スコアは {score}、しきい値は {threshold} です。",
            "unreliable": "顔の写りが悪く、判定できません。スコアは {score}、しきい値は {threshold} です。",
            "sum": "スコアのうちセルの寄与は {local} で、特に大きいのは{most}です。顔全体の寄与は {whole} です。",
            "sum_of_cells": "スコアのすべてがセルの寄与 {local} で、特に大きいのは{most}です。",
            "least_alike": "二つの顔が最も似ていないのは{least}、最も似ているのは{most}です。",
            "most_different": "二つの顔が最も異なるのは{least}、最も近いのは{most}です。",
            "hidden": "{which}の写真では{names}が確実には見えません。",
        },
        which=("一枚目", "二枚目"),
    ),
}  # fmt: skip
