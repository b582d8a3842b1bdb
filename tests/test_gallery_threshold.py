"""The threshold of a search: exponential tails with a known answer, made-up people, and real strangers."""

import copy
import pickle

import numpy as np
import pytest

import xcos

pytest.importorskip("lancedb", reason="LanceDB is not installed: pip install xcos[gallery]")

from xcos.gallery import Threshold
from xcos.gallery.threshold import FEWEST, RATE, tail


def made_up(count, seed=0):
    """People whose faces are alike in part, so that their scores spread about 0.3."""
    rng = np.random.default_rng(seed)
    common = np.random.default_rng(99)
    grid = 0.7 * common.standard_normal((1, 128, 7, 7)) + rng.standard_normal((count, 128, 7, 7))
    return xcos.Features(grid, 0.7 * common.standard_normal((1, 512)) + rng.standard_normal((count, 512)))


def enrolled(folder, faces, start=0):
    gallery = xcos.Gallery(folder)
    gallery.add_features([f"p{start + i:04d}" for i in range(len(faces))], faces)
    return gallery


@pytest.mark.parametrize("share", [1e-3, 1e-5, 1e-7])
def test_an_exponential_tail_is_drawn_on(share):
    rng = np.random.default_rng(3)
    found = [tail(rng.exponential(0.05, 40_000).astype(np.float32), share) for _ in range(20)]
    assert np.mean(found) == pytest.approx(-0.05 * np.log(share), rel=0.02)
    assert np.std(found) < 0.03


def test_it_rises_with_the_people(tmp_path):
    faces = made_up(1200)
    gallery = enrolled(tmp_path, faces[:60])
    few = gallery.threshold
    assert "estimated from 60 of the 60 people" in few.source
    gallery.add_features([f"q{i:04d}" for i in range(1140)], faces[60:])
    many = gallery.threshold
    assert many > few > gallery.model.threshold and "estimated from 512 of the 1,200 people" in many.source
    strangers = gallery.model.compare_all(made_up(1000, 1), faces).max(1)
    assert (strangers > gallery.model.threshold).mean() > 0.9
    assert (strangers > many).mean() < 0.03


def test_with_few_people_it_is_the_models(tmp_path, photos):
    gallery = enrolled(tmp_path, made_up(FEWEST - 1))
    limit = gallery.threshold
    assert limit == gallery.model.threshold and gallery.model.file.thresholds_from in limit.source
    assert "fewer than 20 people" in limit.source
    hits = gallery.search(photos["obama_portrait_2012"], k=1)
    assert hits.threshold_from == hits[0].threshold_from == hits[0].explain().threshold_from == limit.source
    assert hits.to_dict()["threshold_from"] == hits[0].to_dict()["threshold_from"] == limit.source


def test_never_below_the_models_own(tmp_path):
    rng = np.random.default_rng(0)
    faces = xcos.Features(rng.standard_normal((30, 128, 7, 7)), rng.standard_normal((30, 512)))  # like nobody at all
    limit = enrolled(tmp_path, faces).threshold
    assert limit == xcos.load().threshold and "expected to pass it among 30 people" in limit.source


def test_a_search_says_where_its_threshold_is_from(tmp_path, photos):
    gallery = enrolled(tmp_path, made_up(120))
    photo = photos["obama_portrait_2012"]
    hit = gallery.search(photo, k=1)[0]
    assert hit.threshold == gallery.threshold and hit.explain().threshold_from == gallery.threshold.source
    measured = gallery.threshold_for(0.05)
    assert measured.source == "5.00% of 120 people enrolled pass it, each searched for among the others"
    assert gallery.search(photo, k=1, threshold=measured)[0].explain().threshold_from == measured.source
    assert gallery.search(photo, k=1, threshold=0.5)[0].explain().threshold_from == "given by the caller"


def test_a_threshold_is_a_number():
    limit = Threshold(0.5, "by hand")
    assert limit == 0.5 and 0.6 > limit and repr(limit) == "0.5"
    for other in (copy.deepcopy(limit), pickle.loads(pickle.dumps(limit))):
        assert other == 0.5 and other.source == "by hand"


@pytest.mark.slow
def test_strangers_of_celeba(tmp_path, shared):
    """350 people enrolled, 550 others searched for: about RATE of these find somebody, not most as by pairs."""
    faces = xcos.datasets.read_faces(shared / "data" / "celeba_crops.tar")
    first = np.unique(faces.labels, return_index=True)[1][::2][:900]
    model = xcos.load()
    seen = model.features(faces.crops(first), aligned=True)
    gallery = enrolled(tmp_path, seen[:350])
    best = model.compare_all(seen[350:], seen[:350]).max(1)
    assert (best > model.threshold).mean() > 0.5
    assert RATE / 10 < (best > gallery.threshold).mean() < 3 * RATE
