"""The rankings of benchmarks/search.py are what its table says: against loops, and strangers counted by hand."""

import sys
from pathlib import Path

import numpy as np
import pytest

import xcos

pytest.importorskip("lancedb", reason="LanceDB is not installed: pip install xcos[gallery]")
sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import search


def made_up(count, seed):
    rng = np.random.default_rng(seed)
    return xcos.Features(rng.standard_normal((count, 128, 7, 7)), rng.standard_normal((count, 512)))


def test_only_those_most_alike_are_ranked_anew(monkeypatch):
    monkeypatch.setattr(search, "LISTED", 3)
    model, probes, known = xcos.load(), made_up(2, 0), made_up(8, 1)
    found = search.rankings(model, probes, known)
    cosine = search.unit(probes) @ search.unit(known).T
    emd = xcos.explainers.PatchEMD(model, weights="cross")
    for name, scores in found.items():
        for i in range(2):
            order = np.argsort(-cosine[i])
            assert set(np.argsort(-scores[i])[:3]) == set(order[:3]), name
            assert np.argsort(-scores[i])[3:].tolist() == order[3:].tolist(), name
    for j in np.argsort(-cosine[0])[:3]:
        mixed = model.compare(probes[0], known[int(j)])
        assert found["plain cosine"][0, j] == pytest.approx(mixed.cosine[0], abs=1e-6)
        assert found["xCos, as the model mixes (w = 0.65)"][0, j] == pytest.approx(mixed.score[0], abs=1e-6)
        cells = model.with_whole(0).compare(probes[0], known[int(j)]).score[0]
        assert found["xCos, cells alone (w = 0)"][0, j] == pytest.approx(cells, abs=1e-6)
        moved = emd.similarities(probes.grid[[0]], known.grid[[j]])[0]
        fused = 0.7 * moved + 0.3 * mixed.cosine[0]
        assert found["0.7 patch EMD, cross + 0.3 cosine"][0, j] == pytest.approx(fused, abs=1e-5)


def test_strangers_are_counted(monkeypatch):
    monkeypatch.setattr(search, "ENROLLED", (20, 500))
    features = made_up(60, 2)
    features = xcos.Features(features.grid + 1.5, features.embedding + 1.5)  # all alike: strangers pass
    lines = search.threshold_table(xcos.load(), np.repeat(np.arange(30), 2), features, 2)
    assert len(lines) == 3 and lines[2].startswith("| 20 | 100.0 ± 0.0 |")  # 500 are more than there are


def test_policies_are_those_of_the_gallery(monkeypatch):
    labels = np.repeat(np.arange(12), 6)
    labels[36:] = np.arange(6, 42)  # six people of six photographs, 36 of one
    rng = np.random.default_rng(3)
    people = made_up(42, 4)
    faces = xcos.Features(people.grid[labels] + 0.3 * rng.standard_normal((72, 128, 7, 7)),
                          people.embedding[labels] + 0.3 * rng.standard_normal((72, 512)))  # fmt: skip
    lines = search.policy_table(xcos.load(), labels, faces, 3)
    assert lines[0] == "24 people, 12 probes, 18 strangers; 3 random choices."
    assert [line.split(" | ")[1] for line in lines[4:]] == ["100.0 ± 0.0"] * 3
