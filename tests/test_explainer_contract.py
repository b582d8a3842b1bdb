"""The contract of explainers: all of ours keep it, and each way of breaking it is found by its name."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from tiny_network import Tiny

import xcos
from xcos.explainers import METHODS, CorrRISE, Explainer, OcclusionMap, check
from xcos.explainers.contract import RULES

CHEAP = {"CorrRISE": {"masks": 40}, "OcclusionMap": {"sizes": (28,), "stride": 14}, "MinPlus": {"stride": 28},
         "FGGB": {"chunk": 64}}  # fmt: skip


OURS = [
    pytest.param(name, score, marks=[pytest.mark.slow] if name == "FGGB" else [])
    for name in METHODS
    for score in METHODS[name].explains
]


@pytest.mark.parametrize(("name", "score"), OURS)
def test_ours_keep_it(name, score):
    if name in ("GradCAM", "xSSAB", "FGGB"):
        pytest.importorskip("torch")
    model = Tiny().network() if score == "cosine" else None  # which has no head
    check(METHODS[name](model, score=score, threads=1, **CHEAP.get(name, {})))


@pytest.mark.parametrize("fill", ["mean", "blur"])
def test_ours_keep_it_with_other_fillings(fill):
    for explainer in (OcclusionMap, CorrRISE):
        check(explainer(Tiny().network(), score="cosine", fill=fill, threads=1, **CHEAP[explainer.__name__]))


@dataclass(frozen=True, kw_only=True)
class Good(Explainer):
    """Hides one cell after the other in black; written anew here, and the beginning of all that is broken below."""

    strength: float = 1.0

    @property
    def passes(self):
        return 2 + 2 * 49

    def _explain(self, first, second, progress):
        scorer = self.scorer
        features = [scorer.features(scorer.inputs(crops)) for crops in (first, second)]
        score = scorer.compare(*features)
        maps = np.zeros((2, *first.shape[:3]), np.float32)
        for y in range(0, 112, 16):
            for x in range(0, 112, 16):
                for side, crops in enumerate((first, second)):
                    hidden = crops.copy()
                    hidden[:, y : y + 16, x : x + 16] = 0
                    seen = scorer.features(scorer.inputs(hidden))
                    less = scorer.compare(*((seen, features[1]) if side == 0 else (features[0], seen)))
                    maps[side, :, y : y + 16, x : x + 16] = self.strength * (score - less)[:, None, None]
        return maps[0], maps[1], score


@dataclass(frozen=True, kw_only=True)
class Undocumented(Good):
    pass


@dataclass(frozen=True, kw_only=True)
class Nameless(Good):
    """All settings have one name."""

    name = "Nameless"


@dataclass(frozen=True, kw_only=True)
class Forgetful(Good):
    """Has a setting that `dataclasses.replace` cannot pass on."""

    power: int = field(default=1, init=False)


def broken(text, change):
    """A class whose maps and scores are `change` of (first crops, second crops, first map, second map, score)."""

    @dataclass(frozen=True, kw_only=True)
    class Broken(Good):
        __doc__ = text

        def _explain(self, first, second, progress):
            return change(first, second, *Good._explain(self, first, second, progress))

    return Broken


def whitened(a, b, first, second, score):
    a[:] = 255
    return first, second, score


class Wrapped:
    """Wraps the maps of a call, which `_explain` cannot break: their form is made after it."""

    def __call__(self, *args, **keywords):
        got = super().__call__(*args, **keywords)
        return replace(got, first=got.first.astype(np.float64))


@dataclass(frozen=True, kw_only=True)
class Double(Wrapped, Good):
    """Maps in float64."""


@dataclass(frozen=True, kw_only=True)
class OneSided(Good):
    """Alone, each side is the first."""

    def side(self, which, first, second):
        return super().side(0, first, second)


RNG = np.random.default_rng(0)
BROKEN = [
    (Undocumented, "documented", "no docstring"),
    (Nameless, "settings", "differ in strength have one name"),
    (broken("Small maps.", lambda a, b, x, y, s: (x[:, ::2], y, s)), "form", r"expected float32 of shape \(2, 1"),
    (broken("NaN.", lambda a, b, x, y, s: (x, y * np.nan, s)), "form", "second: expected finite numbers, got 25088"),
    (Double, "form", "got float64"),
    (broken("No score.", lambda a, b, x, y, s: (x, y, 2 * s + 1)), "form", "score: expected -1 to 1"),
    (broken("Fails.", lambda a, b, x, y, s: 1 / 0), "inputs", "ZeroDivisionError: division by zero"),
    (broken("Others' scores.", lambda a, b, x, y, s: (x, y, -s)), "score", "expected the scores of the model"),
    (broken("White.", whitened), "inputs", "the pictures were changed"),
    (broken("Noise.", lambda a, b, x, y, s: (x + RNG.normal(size=x.shape), y, s)), "repeat", "first differs when"),
    (broken("The batch.", lambda a, b, x, y, s: (x - x.mean(), y, s)), "batch", "first differs for pair 0 of 2 alone"),
    (broken("Reversed.", lambda a, b, x, y, s: (x, y[::-1], s)), "batch", "second differs for pair 0 of 2 alone"),
    (OneSided, "sides", r"side\(1\) differs from second"),
    (broken("Swapped.", lambda a, b, x, y, s: (y, x, s)), "sides", "changes with the other face"),
    (broken("Inverted.", lambda a, b, x, y, s: (-x, -y, s)), "signs", "first: where the faces are alike the mean is -"),
    (broken("One inverted.", lambda a, b, x, y, s: (x, -y, s)), "signs", "second: where the faces are alike the mean"),
]  # fmt: skip


@pytest.mark.parametrize(("explainer", "rule", "message"), BROKEN, ids=[f"{b[1]}-{b[0].__doc__}" for b in BROKEN])
def test_what_is_broken_is_found(explainer, rule, message):
    with pytest.raises(AssertionError, match=f"^{explainer.__name__} breaks the rule '{rule}': .*{message}"):
        check(explainer(Tiny().network(), score="cosine", threads=1))


def test_every_rule_is_broken_above():
    assert {rule for _, rule, _ in BROKEN} == set(RULES)


def test_a_good_one_passes():
    check(Good(Tiny().network(), score="cosine", strength=2.0, threads=1))


def test_a_setting_that_is_lost_is_found():
    explainer = Forgetful(threads=1)
    object.__setattr__(explainer, "power", 3)
    with pytest.raises(AssertionError, match="breaks the rule 'settings': with another model, power is 1, not 3"):
        check(explainer)


def test_the_example_of_the_documentation_keeps_it():
    page = (Path(__file__).parents[1] / "docs" / "compare.md").read_text(encoding="utf-8")
    example = page.split("## An explainer of your own")[1].split("```python\n")[1].split("```")[0]
    names = {"__name__": "own"}
    exec(compile(example, "docs/compare.md", "exec"), names)
    assert isinstance(names["Brightness"](), Explainer)


def test_what_is_no_explainer():
    for given in (Good, xcos.verify, None):
        with pytest.raises(TypeError, match=r"expected an instance of xcos\.explainers\.Explainer"):
            check(given)
