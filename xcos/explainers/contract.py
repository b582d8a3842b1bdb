"""What every explainer promises, and whether one keeps it: on networks so small that the truth of a map is known."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..plan.file import ModelFile
from ..plan.pixels import preprocess
from ..recognition.features import Floats
from ..recognition.model import SIDE, Model
from .base import NOT_IN_NAMES, Crops, Explainer, SaliencyPair
from .scoring import Scorer

CELLS, CHANNELS = 7, 3
SAME = 1e-3  # of a map's largest number: what rounding may change from one batch to another
NOTHING = 1e-7  # below it differences are rounding whatever the map's numbers
LEVEL = 0.1  # of a map's mean magnitude: what a map that looks at no face differs by from half to half

Broken = Iterator[str]  # what is wrong, in sentences


def check(explainer: Explainer) -> None:
    """Checks that an explainer keeps the contract of :class:`Explainer`, as scikit-learn's check_estimator does it.

    Where the truth of a map has to be known, the explainer is asked about small networks in place of its own model,
    with the settings that it has. One compares colours cell by cell, so that it is known which half of a face speaks
    for "the same person"; one looks at the mean colour alone, so that a mirrored face is the same to it.

    The rules, in the order in which they are looked at:

    - *documented*: the class says in a docstring of its own what it does
    - *settings*: ``dataclasses.replace`` makes one with another model; each setting that changes maps changes the name
    - *inputs*: the pictures are not changed
    - *form*: maps (N, 112, 112) float32, finite; scores (N,) float32 in -1..1; name, target and passes in the result
    - *score*: the scores are those of the model
    - *repeat*: the same pictures give the same maps again
    - *batch*: the maps of a stack are those of its pairs alone, and single images are stacks of one
    - *sides*: ``first`` is the map of the first face, ``second`` of the second: mirroring one face leaves the map of
      the other; ``side`` gives the same
    - *signs*: what speaks for "the same person" is not below what speaks against

    Parameters
    ----------
    explainer : Explainer
        With its settings: methods that hide pixels want enough masks for the last rule.

    Raises
    ------
    AssertionError
        Where a rule is broken: names the explainer and the rule, and says what was found.
    TypeError
        For anything but an instance of Explainer.
    ImportError
        Where the method needs a package that is missing.

    Examples
    --------
    >>> from xcos.explainers import CorrRISE, check
    >>> check(CorrRISE(masks=40))
    """
    if not isinstance(explainer, Explainer):
        raise TypeError(f"check: expected an instance of xcos.explainers.Explainer, got {explainer!r}")
    for rule, broken in RULES.items():
        try:
            said = next(broken(explainer), None)
        except ImportError:
            raise
        except Exception as error:
            raise AssertionError(_sentence(explainer, rule, f"{type(error).__name__}: {error}")) from error
        if said is not None:
            raise AssertionError(_sentence(explainer, rule, said))


def _sentence(explainer: Explainer, rule: str, said: str) -> str:
    return f"{type(explainer).__name__} breaks the rule {rule!r}: {said}"


def _documented(explainer: Explainer) -> Broken:
    said = type(explainer).__dict__.get("__doc__") or ""
    if not said.strip() or said.startswith(f"{type(explainer).__name__}("):  # what dataclasses write of themselves
        yield "its class has no docstring"


def _settings(explainer: Explainer) -> Broken:
    for one in fields(explainer):
        if one.name not in NOT_IN_NAMES:
            other = copy.copy(explainer)
            object.__setattr__(other, one.name, "another value")
            if other.name == explainer.name:
                yield f"explainers that differ in {one.name} have one name, {explainer.name!r}"
    other = _on(explainer, pooled=False)
    for one in fields(explainer):
        now, before = getattr(other, one.name), getattr(explainer, one.name)
        if one.name != "model" and now != before:
            yield f"with another model, {one.name} is {now!r}, not {before!r}"


def _form(explainer: Explainer) -> Broken:
    a, b = _faces(0), _faces(1)
    for asked in (explainer, _on(explainer, pooled=False)):
        got: Any = asked(a, b, aligned=True)
        if not isinstance(got, SaliencyPair):
            yield f"expected a SaliencyPair, got {type(got).__name__}"
            continue
        for name, shape in (("first", (2, SIDE, SIDE)), ("second", (2, SIDE, SIDE)), ("score", (2,))):
            array = getattr(got, name)
            if getattr(array, "shape", None) != shape or array.dtype != np.float32:
                found = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
                yield f"{name}: expected float32 of shape {shape}, got {found}"
            elif not np.isfinite(array).all():
                yield f"{name}: expected finite numbers, got {int((~np.isfinite(array)).sum())} others"
        if np.abs(got.score).max() > 1 + SAME:
            yield f"score: expected -1 to 1, got {got.score}"
        for name, expected in (("method", asked.name), ("target", asked.target), ("passes", asked.passes)):
            if getattr(got, name) != expected:
                yield f"{name}: expected {expected!r}, got {getattr(got, name)!r}"
        if not isinstance(got.passes, int) or got.passes < 0:
            yield f"passes: expected a number of at least 0, got {got.passes!r}"
        if not np.array_equal(got.crops, np.stack([a, b])):
            yield "crops: expected the two stacks of faces"


def _score(explainer: Explainer) -> Broken:
    a, b = _faces(0), _faces(1)
    asked = _on(explainer, pooled=False)
    scorer = Scorer(asked.model, asked.target)
    expected = scorer.compare(*(scorer.features(scorer.inputs(crops)) for crops in (a, b)))
    got = asked(a, b, aligned=True).score
    if not np.allclose(got, expected, atol=SAME):
        yield f"expected the scores of the model, {expected}, got {got}"


def _inputs(explainer: Explainer) -> Broken:
    a, b = _faces(0), _faces(1)
    asked = _on(explainer, pooled=False)
    asked(a, b, aligned=True)
    asked.side(0, a, b)
    if not (np.array_equal(a, _faces(0)) and np.array_equal(b, _faces(1))):
        yield "the pictures were changed"


def _repeat(explainer: Explainer) -> Broken:
    once, again = (_on(explainer, pooled=False)(_faces(0), _faces(1), aligned=True) for _ in range(2))
    yield from _differences(once, again, "when asked again")


def _batch(explainer: Explainer) -> Broken:
    a, b = _faces(0), _faces(1)
    asked = _on(explainer, pooled=False)
    whole = asked(a, b, aligned=True)
    for i in range(len(a)):
        yield from _differences(whole[i], asked(a[i], b[i], aligned=True), f"for pair {i} of {len(a)} alone")


def _sides(explainer: Explainer) -> Broken:
    a, b = _faces(0), _faces(1)
    asked = _on(explainer, pooled=True)
    given = asked(a, b, aligned=True)
    for which, name in enumerate(("first", "second")):
        if far := _distance(getattr(given, name), asked.side(which, a, b)):
            yield f"side({which}) differs from {name}, {far}"
    if np.array_equal(given.first, given.second):
        return  # one map for both faces
    for name, pair in (("second", (a[:, :, ::-1], b)), ("first", (a, b[:, :, ::-1]))):
        other = asked(*map(np.ascontiguousarray, pair), aligned=True)
        if far := _distance(getattr(given, name), getattr(other, name)):
            yield f"{name} changes with the other face, {far}"


def _signs(explainer: Explainer) -> Broken:
    edge = 2 * SIDE // CELLS  # less than half is alike: strengths without a sign (xSSAB) tell the two only then
    a = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    red = (np.indices((SIDE, SIDE)) // (SIDE // CELLS)).sum(0) % 2 == 0
    a[..., 0], a[..., 2] = 200 * red, 200 * ~red  # a chessboard, of which no mean or blur is left
    b = a.copy()
    b[:, :, edge:] = b[:, :, edge:, ::-1]  # red where the other is blue
    both = [np.concatenate([one, one[:, :, ::-1]]) for one in (a, b)]  # alike at the left, and at the right
    got = _on(explainer, pooled=False)(*both, aligned=True)
    for name in ("first", "second"):
        maps = getattr(got, name)
        left, right = maps[..., :edge].mean((1, 2)), maps[..., -edge:].mean((1, 2))
        alike, other = (left[0] + right[1]) / 2, (left[1] + right[0]) / 2  # of the same places
        if alike < other - LEVEL * np.abs(maps).mean():
            yield f"{name}: where the faces are alike the mean is {alike:.3g}, where they are not {other:.3g}"


RULES: dict[str, Callable[[Explainer], Broken]] = {
    "documented": _documented,
    "settings": _settings,
    "inputs": _inputs,
    "form": _form,
    "score": _score,
    "repeat": _repeat,
    "batch": _batch,
    "sides": _sides,
    "signs": _signs,
}


def _differences(one: SaliencyPair, other: SaliencyPair, when: str) -> Broken:
    for name in ("first", "second", "score"):
        if far := _distance(getattr(one, name), getattr(other, name)):
            yield f"{name} differs {when}, {far}"


def _distance(one: Floats, other: Floats) -> str:
    """How far two arrays are from each other, where that is more than rounding; empty where it is not."""
    if one.shape != other.shape:
        return f"{one.shape} and {other.shape}"
    far, scale = float(np.abs(one - other).max()), float(np.abs(one).max())
    return f"by {far:.3g} of {scale:.3g}" if far > SAME * scale + NOTHING else ""


def _faces(seed: int) -> Crops:
    """Two pictures of coloured squares, tinted by the seed: what a small network compares."""
    squares = np.random.default_rng(seed).integers(20, 236, (2, 2 * CELLS, 2 * CELLS, CHANNELS), np.uint8)
    squares[..., seed] //= 3
    return squares.repeat(SIDE // (2 * CELLS), axis=1).repeat(SIDE // (2 * CELLS), axis=2)


def _on(explainer: Explainer, *, pooled: bool) -> Explainer:
    """The explainer with a small model in place of its own."""
    return replace(explainer, model=_model(pooled))


@cache
def _model(pooled: bool) -> Model:
    """The mean colours of 7 x 7 cells, or with `pooled` the picture's in every cell; all cells count the same."""
    side = SIDE // CELLS
    cells = np.ones((CELLS**2, CELLS**2)) / CELLS**2 if pooled else np.eye(CELLS**2)
    tensors: dict[str, NDArray[Any]] = {
        "means": np.kron(np.eye(CHANNELS)[:, :, None, None], np.ones((side, side))) / side**2,
        "places": np.kron(np.eye(CHANNELS), cells),
        "head.embed.weight": np.zeros((1, CHANNELS, 3, 3)),
        "head.attend1.weight": np.zeros((1, 2, 3, 3)),
        "head.attend2.weight": np.zeros((1, 1, 3, 3)),
    }
    for layer in ("embed", "attend1", "attend2"):
        tensors |= {f"head.{layer}.bias": np.zeros(1), f"head.{layer}.prelu": np.ones(1)}
    layers: list[dict[str, Any]] = [
        {"op": "conv", "inputs": ["input"], "output": "colours", "weight": "means", "stride": [side, side]},
        {"op": "relu", "inputs": ["colours"], "output": "map"},
        {"op": "reshape", "inputs": ["map"], "output": "flat", "shape": [-1]},
        {"op": "linear", "inputs": ["flat"], "output": "embedding", "weight": "places"},
        {"op": "reshape", "inputs": ["embedding"], "output": "grid", "shape": [CHANNELS, CELLS, CELLS]},
    ]
    return Model(
        ModelFile(
            kind="recognizer", name="colours", inputs=[{"name": "input", "shape": [3, SIDE, SIDE]}], layers=layers,
            outputs=["grid", "embedding"], tensors={name: t.astype(np.float32) for name, t in tensors.items()},
            preprocess=preprocess(mean=0, scale=1 / 255),
            head={"kind": "xcos", "grid": "grid", "embedding": "embedding"},
            thresholds={"xcos": 0.5, "cosine": 0.5},
        )
    )  # fmt: skip
