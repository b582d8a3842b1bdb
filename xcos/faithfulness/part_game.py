"""The part game: does a map name the pixels that turn a face into its twin with one part of somebody else?"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.extras import need
from ..base.values import ByValue
from ..evaluation.protocol import threshold_at
from ..explainers.base import Crops, Explainer
from ..explainers.scoring import NetworkLike, Scorer, Scores, as_network
from ..plan.network import Network
from ..recognition.features import Floats
from ..recognition.model import Model
from ..storage.progress import Progress, counter
from . import blends
from .measure import Measure
from .pairs import LabelledCrops, places
from .part_game_result import PartGame, Played, tally
from .people import FacesLike, People

FMR = 1e-3  # at the threshold of the filter
MASS = np.r_[0:20, 20:101:5]  # percent of a map's mass that is replaced
SHOWS = 0.05  # a part ends where less of the other face is blended in
ITSELF = "(the part itself)"

Bools = NDArray[np.bool_]


def part_game(
    explainers: Sequence[Explainer],
    people: FacesLike | LabelledCrops,
    model: NetworkLike = None,
    *,
    score: Scores = "xcos",
    most: int = 304,
    triplets: int | None = None,
    fmr: float = FMR,
    threshold: float | None = None,
    aligned: bool | None = None,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress = None,
) -> PartGame:
    """Plays the part game, after the inpainting game of Williford, May and Byrne (ECCV 2020, arXiv 2008.00916).

    *Triplet*. A and A' are two pictures of one person (probe and mate), B and B' of the next person. One part of B
    (eyes, nose, mouth, or half of the face) is blended into A, the **twin**, and the same part of B' into A', the
    **non-mate**. Where the paper has a network inpaint the part, these are the blends of :func:`truth`.

    *Filter*. The share `fmr` of all pairs of a probe and another person's mate is over the threshold t. A triplet is
    played if the model tells both pictures rightly: s(A, A') > s(A, non-mate) and s(A, A') > t; s(twin, non-mate) >
    s(twin, A') and s(twin, A') <= t. That is the model's and its score's alone: all explainers play the same triplets.

    *Map*. Asked is why A is the mate and not the non-mate. Its score for that is s(A, A') − s(A, non-mate), so that the
    map is the explainer's of (A, A') less its of (A, non-mate), both of the first face: what in A speaks more for the
    mate than for the non-mate. Positive values count, others are never chosen. No explainer sees the twin. Where the
    two maps are equal, as those of controls that look at no face, there is no difference, and the map of (A, A') is
    taken. Methods that norm each map (CorrRISE, MinPlus) are taken as they come. Explainers give maps of 112 x 112:
    those of cells are enlarged bilinearly by the explainers themselves.

    *Game*. The fewest highest pixels that hold 0, 1 ... 19, 20, 25 ... 100 % of the map's positive mass (chance decides
    among equals) are replaced in A by the twin's. The picture has flipped if it is nearer to the non-mate than to A'.
    Per part: the share of triplets flipped against the mean share of chosen pixels among those outside the part, read
    at 1 % and 5 % between the steps (the last value beyond them). *Overall*: the mean over the parts at that share, so
    that each part counts the same. A pixel lies outside if less than 5 % of the other face shows in it.

    Beside the explainers stands what the part itself does if it is given as map, the most that a map of places can
    reach. Intervals: 95 %, people drawn with replacement (2,000 times). Costs 10 runs of the network for each person,
    37 for each triplet and explainer, and the explanations: one for each probe and one for each triplet; methods that
    look through the same masks at each probe run the network on them once.

    Parameters
    ----------
    explainers : sequence of Explainer
        What makes the maps, a row each.
    people : str, path, Faces, (array, array) or LabelledCrops
        People with two pictures or more each, as :func:`truth` takes them, or pairs, of which the genuine ones are
        played (then each is taken to show a person of its own).
    model : Model, Network, str or path, optional
        What decides; None: the first explainer's.
    score : str, default "xcos"
        The score that decides; a Network has "cosine" alone.
    most : int, default 304
        At most so many people, drawn at random; of pairs all are played.
    triplets : int, optional
        At most so many of each part, the first; None: all.
    fmr : float, default 0.001
        Of the filter. Where it is less than one of the pairs at hand, all of those are under the threshold.
    threshold : float, optional
        Of the filter, instead of `fmr`.
    aligned : bool, optional
        The faces are aligned crops, or (False) photographs; None: pictures of 112 x 112 are crops.
    seed : int, default 0
        Of all draws.
    threads : int, optional
        Threads at most; None: the default.
    progress : bool or callable, optional
        As elsewhere, anew for each explainer.

    Returns
    -------
    PartGame
        A row for each explainer, every figure with its interval.

    Raises
    ------
    ValueError
        There is no explainer, there are fewer than two people, no triplet passes the filter, a number is out of range,
        or what readers and explainers raise.

    Examples
    --------
    >>> import xcos
    >>> import numpy as np
    >>> names = ("obama_portrait_2012", "obama_congress_2009", "biden_blue_room_2010")
    >>> crops = xcos.load().crops([f"examples/{name}.jpg" for name in names])
    >>> people = np.concatenate([crops, crops[2:, :, ::-1]]), [0, 0, 1, 1]  # of the last, a picture and its mirror
    >>> methods = [xcos.explainers.XCos(), xcos.explainers.RandomMap()]
    >>> game = xcos.faithfulness.part_game(methods, people, threshold=0.6, triplets=1)
    >>> [row.method for row in game.rows]
    ['XCos', 'RandomMap', '(the part itself)']
    >>> game.triplets["eyes"], game.rows[-1].flips["overall"]["1 %"].value
    (1, 1.0)
    """
    need("measuring explanations", "scipy")
    explainers = list(explainers)
    if not explainers:
        raise ValueError("explainers: expected at least one, got none")
    for name, value, least in (("most", most, 2), ("triplets", 1 if triplets is None else triplets, 1)):
        if value < least:
            raise ValueError(f"{name}: expected at least {least}, got {value}")
    if not 0 < fmr < 1:
        raise ValueError(f"fmr: expected a rate between 0 and 1, got {fmr}")
    model = as_network(explainers[0].model if model is None else model)
    pairs = people if isinstance(people, LabelledCrops) else _two_of_each(people, most, aligned, seed, threads)
    stage = _stage(model, score, pairs, fmr, threshold, triplets, threads)
    if not len(stage.part):
        count = len(stage.probes) * len(stage.passed)
        raise ValueError(f"{pairs.name}: none of {count} triplets passes the filter; expected more people")
    rows = [*(_row(stage, one, seed, progress) for one in explainers), _itself(stage, seed)]
    return PartGame(
        model.file.name, score, pairs.name, len(stage.probes), stage.threshold, fmr, stage.passed, stage.counts(), rows,
        seed,
    )  # fmt: skip


def flips(
    model: NetworkLike, explainer: Explainer, pairs: LabelledCrops, *, score: Scores | None = None
) -> tuple[Measure, Measure]:
    """The part game (:func:`part_game`) on the genuine pairs: share flipped at 1 % and at 5 % chosen outside the part.

    Where no triplet passes the filter, which few pairs do, both are NaN. Higher is better; RandomMap and CentreMap
    tell what chance has.

    Parameters
    ----------
    model : Model, Network, str or path, optional
        What decides.
    explainer : Explainer
        Makes the maps.
    pairs : LabelledCrops
        The genuine ones are played.
    score : str, optional
        The score that decides; None: the one that the explainer explains.

    Returns
    -------
    (Measure, Measure)
        The mean over the parts, with its interval; per_pair holds one number for each triplet.

    Raises
    ------
    ValueError
        There are fewer than two genuine pairs.

    Examples
    --------
    >>> import xcos
    >>> pairs = xcos.faithfulness.sample(xcos.datasets.read("examples/pairs.csv"), 6)
    >>> one, five = xcos.faithfulness.flips(None, xcos.explainers.XCos(), pairs)
    >>> one.name, five.name
    ('flips 1 %', 'flips 5 %')
    """
    stage = _stage(as_network(model), score or explainer.target, pairs, FMR, None, None, explainer.threads)
    names = ("flips 1 %", "flips 5 %")
    if not len(stage.part):
        first, second = (Measure(name, np.nan, np.nan, np.nan, np.empty(0)) for name in names)
        return first, second
    row = _row(stage, explainer, 0, None)
    found = row.flips["overall"]
    curve = row.curves["overall"]
    first, second = (
        Measure(name, one.value, one.low, one.high, row.each[key], {"x": row.outside, "flipped": curve})
        for name, (key, one) in zip(names, found.items(), strict=True)
    )
    return first, second


@dataclass(frozen=True, slots=True, eq=False)
class _Stage(ByValue):
    """What is played, and how the model sees it. person, part (T,): whose triplet, and of which of `names`; twins and
    others (T, 112, 112, 3): the probes' and the mates' twins; parts (P, 112, 112): where the other face shows."""

    scorer: Scorer
    names: list[str]
    parts: Bools
    probes: Crops
    mates: Crops
    mates_seen: Floats
    person: NDArray[np.intp]
    part: NDArray[np.intp]
    twins: Crops
    others: Crops
    others_seen: Floats
    threshold: float
    passed: dict[str, int]

    def counts(self) -> dict[str, int]:
        """How many of each part are played."""
        return {name: int((self.part == k).sum()) for k, name in enumerate(self.names)}

    def play(self, i: int, pixels: Bools) -> tuple[Bools, NDArray[np.float64]]:
        """Of triplet i with the chosen pixels (L, H, W) replaced: flipped (L,), and the share chosen outside the part.
        """
        who, scorer = self.person[i], self.scorer
        images, twins = (scorer.inputs(crop[None]) for crop in (self.probes[who], self.twins[i]))
        seen = scorer.masked(images, twins, ~pixels, np.zeros(len(pixels), np.int64))
        mate, other = (scorer.compare(seen, x[None]) for x in (self.mates_seen[who], self.others_seen[i]))
        return other > mate, pixels[:, ~self.parts[self.part[i]]].mean(1)

    def played(self, name: str, explains: str, passes: int, outcomes: Sequence[Any], seed: int) -> Played:
        flipped, outside = (np.stack(kind) for kind in zip(*outcomes, strict=True))
        return tally(name, explains, passes, self.person, self.part, self.names, flipped, outside, seed)


def _two_of_each(people: Any, most: int, aligned: bool | None, seed: int, threads: int | None) -> LabelledCrops:
    """A probe and a mate of each person."""
    source = People(people, aligned)
    two = source.draw(most, 2, seed, threads)
    if len(two) < 2:
        raise ValueError(f"{source.name}: {len(two)} people with two usable pictures; expected two{source.trouble}")
    return LabelledCrops(two[:, 0], two[:, 1], np.ones(len(two), bool), source.name)


@lru_cache(maxsize=2)
def _stage(
    model: Model | Network,
    score: Scores,
    pairs: LabelledCrops,
    fmr: float,
    threshold: float | None,
    most: int | None,
    threads: int | None,
) -> _Stage:
    """The triplets of these very pairs that pass the filter, made once; at most so many of each part."""
    scorer = Scorer(model, score, threads=threads)
    probes, mates = pairs.first[pairs.same], pairs.second[pairs.same]
    if len(probes) < 2:
        raise ValueError(f"{pairs.name}: expected two genuine pairs or more, got {len(probes)}")
    seen, mates_seen = (_seen(scorer, crops) for crops in (probes, mates))
    every: Floats = np.stack([scorer.compare(one[None], mates_seen) for one in seen])
    clean: Floats = np.diagonal(every)
    limit = _threshold(every, fmr) if threshold is None else float(threshold)
    masks = blends.parts()
    soft = blends.soften(np.stack(list(masks.values())))
    person: list[NDArray[np.intp]] = []
    part: list[NDArray[np.intp]] = []
    passed: dict[str, int] = {}
    pictures: list[list[Any]] = [[], [], []]  # twins, non-mates, and what the model sees of these
    for k, (name, mask) in enumerate(masks.items()):
        twins, others = (_blended(crops, mask, soft[k]) for crops in (probes, mates))
        twins_seen, others_seen = (_seen(scorer, crops) for crops in (twins, others))
        twin_mate = scorer.compare(twins_seen, mates_seen)
        rightly = (clean > scorer.compare(seen, others_seen)) & (clean > limit)
        rightly &= (scorer.compare(twins_seen, others_seen) > twin_mate) & (twin_mate <= limit)
        passed[name] = int(rightly.sum())
        who = np.flatnonzero(rightly)[:most]
        person.append(who)
        part.append(np.full(len(who), k))
        for kept, all_of_them in zip(pictures, [twins, others, others_seen], strict=True):
            kept.append(np.asarray(all_of_them)[who])
    of_person, of_part = np.concatenate(person), np.concatenate(part)
    order = np.lexsort((of_part, of_person))  # a probe's triplets one after the other
    twins, others, others_seen = (np.concatenate(kept)[order] for kept in pictures)
    return _Stage(
        scorer, list(masks), soft >= SHOWS, probes, mates, mates_seen, of_person[order], of_part[order],
        twins, others, others_seen, limit, passed,
    )  # fmt: skip


def _blended(crops: Crops, mask: Bools, soft: Floats) -> Crops:
    """Each face with the next person's inside the mask."""
    donors = np.roll(crops, -1, axis=0)
    return np.concatenate([blends.blend(a, b, mask[None], soft[None]) for a, b in zip(crops, donors, strict=True)])


def _seen(scorer: Scorer, crops: Crops) -> Floats:
    """What the score is made of, a batch at a time: inputs are four times the pictures."""
    size = scorer.batch
    return np.concatenate([scorer.features(scorer.inputs(crops[i : i + size])) for i in range(0, len(crops), size)])


def _threshold(scores: Floats, fmr: float) -> float:
    """At which the share `fmr` of scores (n, n) off the diagonal is over it, or none where that is less than one."""
    others = scores[~np.eye(len(scores), dtype=bool)]
    if fmr * len(others) < 1:
        return float(others.max())
    return threshold_at(others, np.zeros(len(others), bool), fmr)


def _row(stage: _Stage, explainer: Explainer, seed: int, progress: Progress) -> Played:
    outcomes: list[Any] = []
    with counter(len(stage.part), progress, explainer.name) as done:
        for maps in _maps(explainer, stage):
            for pixels in by_mass(maps, MASS):
                outcomes.append(stage.play(len(outcomes), pixels))
            done(len(outcomes))
    return stage.played(explainer.name, explainer.target, explainer.passes, outcomes, seed)


def _itself(stage: _Stage, seed: int) -> Played:
    steps = np.stack([np.zeros_like(stage.parts), stage.parts], 1)  # nothing, and the part
    return stage.played(ITSELF, "", 0, [stage.play(i, steps[k]) for i, k in enumerate(stage.part)], seed)


def _maps(explainer: Explainer, stage: _Stage) -> Iterator[Floats]:
    """The maps (k, H, W) of the triplets of one probe after the other, in the triplets' order."""
    asked = replace(explainer)
    if type(asked.scorer) is Scorer:  # one that was put in by others has its own reasons
        vars(asked)["scorer"] = _Remembering(asked.scorer)
    for who in np.unique(stage.person):
        second = np.concatenate([stage.mates[who][None], stage.others[stage.person == who]])
        first = np.ascontiguousarray(np.broadcast_to(stage.probes[who], second.shape))
        maps = asked.side(0, first, second)
        if isinstance(asked.scorer, _Remembering):
            asked.scorer.kept.clear()
        yield difference(maps[:1], maps[1:])


def difference(mate: Floats, others: Floats) -> Floats:
    """Maps (1, H, W) less maps (k, H, W); the first itself where both are equal."""
    less: Floats = mate - others
    return np.where((less == 0).all((1, 2), keepdims=True), mate, less)


def by_mass(maps: Floats, percent: NDArray[Any]) -> Bools:
    """(N, L, H, W): of each map (N, H, W) the fewest highest pixels that hold so many percent of its positive mass."""
    flat = np.maximum(maps.reshape(len(maps), -1), 0).astype(np.float64)
    rank = flat.shape[1] - 1 - places(maps).reshape(flat.shape)  # 0 for the highest
    result = np.empty((len(maps), len(percent), flat.shape[1]), bool)
    for k, values in enumerate(flat):
        falling = np.sort(values)[::-1]
        positive = int(np.count_nonzero(falling))
        before = np.r_[0.0, np.cumsum(falling[:positive])][:positive]  # mass of the pixels above each
        counts = np.searchsorted(before, percent / 100 * values.sum(), "left")
        counts[percent >= 100] = positive  # the last ones' mass is lost in rounding
        result[k] = rank[k] < counts[:, None]
    return result.reshape(len(maps), len(percent), *maps.shape[1:])


class _Remembering(Scorer):
    """A scorer that runs the network once for one picture and the same masks, whatever it is compared with."""

    def __init__(self, scorer: Scorer) -> None:
        super().__init__(scorer.model, scorer.score, scorer.batch, scorer.threads)
        self.kept: dict[bytes, Floats] = {}

    def masked(self, images: Floats, fills: Floats, masks: NDArray[Any], which: NDArray[np.integer[Any]]) -> Floats:
        key = hashlib.blake2b()
        for array in (images, fills, masks, which):
            key.update(np.ascontiguousarray(array).data)
        if key.digest() not in self.kept:
            self.kept[key.digest()] = super().masked(images, fills, masks, which)
        return self.kept[key.digest()]
