"""The part game against a slow twin in NumPy, and on maps that are right or wrong by construction."""

import json
from dataclasses import dataclass, field

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from tiny_network import Tiny

from xcos.explainers import CentreMap, CorrRISE, RandomMap
from xcos.explainers.controls import _Control
from xcos.faithfulness import LabelledCrops, PartGame, blends, compare, flips, part_game
from xcos.faithfulness.part_game import MASS, by_mass
from xcos.faithfulness.part_game_result import OUTSIDE, tally

PEOPLE = 7
THRESHOLD = 0.995
PARTS = blends.parts()


@pytest.fixture(scope="module")
def pairs():
    """Some people, two pictures each: blots of their own, and a little noise."""
    rng = np.random.default_rng(0)
    people = rng.normal(128, 50, (PEOPLE, 1, 14, 14, 3)).repeat(8, -3).repeat(8, -2)
    two = np.rint(people + rng.normal(0, 4, (PEOPLE, 2, 112, 112, 3))).clip(0, 255).astype(np.uint8)
    return LabelledCrops(two[:, 0], two[:, 1], np.ones(PEOPLE, bool), "blots")


@pytest.fixture(scope="module")
def tiny():
    return Tiny()


@pytest.fixture(scope="module")
def network(tiny):
    return tiny.network()


@pytest.fixture(scope="module")
def game(network, pairs):
    """All there is to look at, played once."""
    explainers = [
        CorrRISE(network, score="cosine", masks=20, shape="grid"),
        Knows(network, score="cosine", pairs=pairs),
        Knows(network, score="cosine", pairs=pairs, inside=False),
        RandomMap(network, score="cosine"),
        CentreMap(network, score="cosine"),
    ]
    return part_game(explainers, pairs, score="cosine", threshold=THRESHOLD)


@dataclass(frozen=True, kw_only=True)
class Knows(_Control):
    """Against: the part in which the second face is no longer the mate, or all but that."""

    pairs: object = field(default=None, hash=False)
    inside: bool = True

    def _explain(self, first, second, progress):
        maps = np.zeros(first.shape[:3], np.float32)
        for one, face in zip(maps, second, strict=True):
            changed = np.abs(self.pairs.second.astype(int) - face).max(-1) > 0  # beside each mate
            changed = changed[changed.mean((1, 2)).argmin()]
            if changed.any():
                best = max(PARTS.values(), key=lambda part: (part & changed).sum() / (part | changed).sum())
                one[best == self.inside] = -1
        return maps, maps, self._scores(first, second)


def cosine(a, b):
    return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


def twin_of_the_game(tiny, explainer, pairs):
    """{part: [(flipped (L,), outside (L,)) of each triplet]} by loops."""
    see = lambda crops: tiny.run(crops)[1]  # noqa: E731
    found = {name: [] for name in PARTS}
    for i in range(PEOPLE):
        (probe, donor), (mate, other_donor) = (x[[i, (i + 1) % PEOPLE]] for x in (pairs.first, pairs.second))
        for name, part in PARTS.items():
            soft = gaussian_filter(part.astype(np.float32), 2, mode="nearest")
            twin = blends.blend(probe, donor, part[None], soft[None])[0]
            other = blends.blend(mate, other_donor, part[None], soft[None])[0]
            p, m, t, o = see(np.stack([probe, mate, twin, other]))
            rightly = cosine(p, m) > max(cosine(p, o), THRESHOLD) and cosine(t, o) > cosine(t, m) <= THRESHOLD
            if not rightly:
                continue
            maps = explainer.side(0, np.stack([probe, probe]), np.stack([mate, other])).astype(float)
            saliency = np.maximum(maps[0] - maps[1], 0)
            chosen, mass, left, hybrids = np.zeros((112, 112), bool), 0.0, list(np.argsort(saliency, axis=None)), []
            for percent in MASS:
                while mass < percent / 100 * saliency.sum() - 1e-9:
                    chosen.flat[left[-1]] = True
                    mass += saliency.flat[left.pop()]
                hybrids.append(chosen.copy())
            hybrids = np.stack(hybrids)
            h = see(np.where(hybrids[..., None], twin, probe))
            found[name].append((cosine(h, o) > cosine(h, m), hybrids[:, soft < 0.05].mean(1)))
    return found


def test_the_game_is_that_of_loops(tiny, network, pairs, game):
    row = game.rows[0]
    found = twin_of_the_game(tiny, CorrRISE(network, score="cosine", masks=20, shape="grid"), pairs)
    assert {name: len(one) for name, one in found.items()} == game.passed == game.triplets
    assert min(game.triplets.values()) > 0
    curves = []
    for name, triplets in found.items():
        flipped, outside = np.mean(triplets, axis=0).astype(float).reshape(2, -1)
        rising = np.append(np.diff(outside) > 0, True)  # of equal ones the last
        curves.append(np.interp(OUTSIDE, 100 * outside[rising], flipped[rising]))
        np.testing.assert_allclose(row.curves[name], curves[-1], atol=1e-3)
        assert row.flips[name]["5 %"].value == pytest.approx(row.curves[name][list(OUTSIDE).index(5)])
    np.testing.assert_allclose(row.curves["overall"], np.mean(curves, 0), atol=1e-3)


def test_what_maps_that_are_known_get(game):
    """The part flips all with nothing chosen outside; the rest never does; noise and a bell need much of the face."""
    _, right, wrong, noise, bell, itself = game.rows
    for name in game.triplets:
        assert right.curves[name][0] == itself.curves[name][0] == 1
        assert not wrong.curves[name][: list(OUTSIDE).index(50)].any()
    for row in (noise, bell):
        assert row.flips["overall"]["1 %"].value < 0.2
    assert [row.method for row in game.rows[3:]] == ["RandomMap", "CentreMap", "(the part itself)"]


def test_by_mass():
    maps = np.array([[[4.0, -9, 3], [2, 1, 0]], [[0, -1, 0], [0, 0, 0]]], np.float32)
    chosen = by_mass(maps, np.array([0, 40, 41, 90, 100]))
    assert chosen[0].sum((1, 2)).tolist() == [0, 1, 2, 3, 4]
    assert chosen[0, 2].tolist() == [[True, False, True], [False, False, False]]
    assert not chosen[0, -1, 0, 1] and not chosen[1].any()


def test_intervals_are_over_people():
    """Ten times the same triplets of a person say no more than one."""
    rng = np.random.default_rng(0)
    flipped = np.sort(rng.random((30, 5)) < 0.5, axis=1)
    outside = np.tile(np.linspace(0, 0.2, 5), (30, 1))
    once, often = (
        tally("x", "xcos", 2, np.arange(30).repeat(n), np.zeros(30 * n, int), ["eyes"], flipped.repeat(n, 0),
                  outside.repeat(n, 0))
        for n in (1, 10)
    )  # fmt: skip
    for key, at in (("1 %", 0.2), ("5 %", 1.0)):
        one = once.flips["eyes"][key]
        assert one.value == pytest.approx(np.mean(flipped[:, 0] + at * (flipped[:, 1].astype(float) - flipped[:, 0])))
        assert one.low < one.value < one.high
        assert once.flips["overall"][key] == one
        np.testing.assert_allclose([often.flips["eyes"][key].low, often.flips["eyes"][key].high], [one.low, one.high],
                                   atol=1e-9)  # fmt: skip
        assert once.each[key].mean() == pytest.approx(one.value)


def test_result(game, tmp_path):
    frame = game.to_frame()
    assert len(frame) == len(game) * 5 * 2 and set(frame.outside) == {"1 %", "5 %"}
    for suffix in (".md", ".json", ".svg"):
        game.save(tmp_path / f"game{suffix}")
    assert json.loads((tmp_path / "game.json").read_text())["rows"][0]["method"] == "CorrRISE:masks=20,shape=grid"
    assert (tmp_path / "game.md").read_text() == game.to_markdown() + "\n"
    assert "% chosen outside the part" in (tmp_path / "game.svg").read_text()
    assert isinstance(game, PartGame) and "Part game: score cosine of tiny on 7 people of blots" in repr(game)
    with pytest.raises(ValueError, match="expected 5 axes"):
        import matplotlib.figure

        game.plot(matplotlib.figure.Figure().subplots(1, 2))


def test_in_the_table_of_methods(network, pairs):
    """There the filter is at a false match rate: of seven people's 42 pairs none is over it."""
    explainer = RandomMap(network, score="cosine")
    table = compare(network, [explainer], LabelledCrops(
        np.concatenate([pairs.first, pairs.first[:2]]), np.concatenate([pairs.second, pairs.second[1:3]]),
        np.arange(PEOPLE + 2) < PEOPLE), score="cosine", measures=["flips 1 %", "flips 5 %"])  # fmt: skip
    assert table.columns == ["flips 1 %", "flips 5 %"]
    one, _ = flips(network, explainer, pairs)
    game = part_game([explainer], pairs, score="cosine")
    assert one.value == game.rows[0].flips["overall"]["1 %"].value == table.rows[0].measures["flips 1 %"].value
    assert len(one.per_pair) == sum(game.triplets.values())


def test_errors(network, pairs):
    explainer = RandomMap(network, score="cosine")
    with pytest.raises(ValueError, match="explainers: expected at least one, got none"):
        part_game([], pairs)
    with pytest.raises(ValueError, match="most: expected at least 2, got 1"):
        part_game([explainer], pairs, most=1)
    with pytest.raises(ValueError, match="fmr: expected a rate between 0 and 1, got 2"):
        part_game([explainer], pairs, fmr=2)
    with pytest.raises(ValueError, match="blots: none of 28 triplets passes the filter"):
        part_game([explainer], pairs, score="cosine", threshold=1.1)
    with pytest.raises(ValueError, match="expected two genuine pairs or more, got 1"):
        part_game([explainer], pairs[:1], score="cosine")
