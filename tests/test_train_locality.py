"""Locality: do the cells change where another face was pasted?"""

import pickle

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from xcos.train import measure_locality
from xcos.train.locality import locality, patch


def test_locality_against_scikit_learn():
    rng = np.random.default_rng(3)
    n = 40
    clean, after = rng.uniform(-1, 1, (2, n, 7, 7)).astype(np.float32)
    share = rng.choice([0, 0.01, 0.5, 0.8, 1], (n, 7, 7)).astype(np.float32)
    same = rng.random(n) < 0.5
    attention = rng.dirichlet(np.ones(49), n).reshape(n, 7, 7).astype(np.float32)
    found = locality(clean, after, attention, share, same)
    change = np.where(same[:, None, None], clean - after, after - clean)
    use = (share > 0.75) | (share < 0.02)
    assert found.change_auc == pytest.approx(roc_auc_score(share[use] > 0.75, change[use]), abs=1e-9)
    find = [roc_auc_score(share[k][use[k]] > 0.75, -after[k][use[k]]) for k in np.flatnonzero(same)]
    assert found.find_auc == pytest.approx(np.mean(find), abs=1e-9)
    entropy = [-(a.ravel() * np.log(a.ravel())).sum() for a in attention.astype(np.float64)]
    assert found.effective_cells == pytest.approx(np.exp(np.mean(entropy)), rel=1e-6)
    for low, high, value in (
        (*found.change_interval, found.change_auc),
        (*found.find_interval, found.find_auc),
        (*found.effective_interval, found.effective_cells),
    ):
        assert low < value < high
    with pytest.raises(ValueError, match="pairs of one person, got 40 of two"):
        locality(clean, after, attention, share, np.zeros(n, bool))


def test_patches_come_from_the_right_face():
    first = np.zeros((3, 112, 112, 3), np.uint8)
    second = np.stack([np.full((112, 112, 3), 10 * (k + 1), np.uint8) for k in range(3)])
    same = np.array([False, True, False])
    patched, share = patch(first, second, same, (7, 7), np.random.default_rng(0))
    assert set(np.unique(patched[0])) == {0, 10} and set(np.unique(patched[2])) == {0, 30}
    assert set(np.unique(patched[1])) <= {0, 10, 30} and 20 not in patched[1]
    np.testing.assert_allclose(share.mean((1, 2)), (patched[..., 0] > 0).mean((1, 2)), atol=1e-6)
    grey, _ = patch(first, second, same, (7, 7), np.random.default_rng(0), "grey")
    assert set(np.unique(grey)) == {0, 127}
    noise, share = patch(first, second, same, (7, 7), np.random.default_rng(0), "noise")
    assert 100 < len(np.unique(noise)) and abs(noise[noise > 0].mean() - 128) < 3


@pytest.mark.slow
def test_measure_locality_of_the_first_model(shared, first_model, tmp_path):
    """The figures that its authors measured for head v0 with their own code: change 0.890, find 0.746, 30 cells.

    Theirs are of all 3,000 pairs; every sixth of them is asked here, within the same bounds.
    """
    with open(shared / "data" / "lfw_dev.bin", "rb") as file:
        pictures, same = pickle.load(file, encoding="bytes")
    sixth = [picture for k in range(0, len(same), 6) for picture in pictures[2 * k : 2 * k + 2]]
    (tmp_path / "sixth.bin").write_bytes(pickle.dumps((sixth, same[::6])))
    found = measure_locality(first_model, tmp_path / "sixth.bin", threads=1)
    assert found.change_auc == pytest.approx(0.890, abs=0.015)
    assert found.find_auc == pytest.approx(0.746, abs=0.03)
    assert found.effective_cells == pytest.approx(30, abs=1.5)
    assert found.pairs == 500
