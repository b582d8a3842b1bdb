"""The trainable head against the NumPy twin of the head, and the losses against slow transcriptions."""

from dataclasses import replace

import head_oracle
import numpy as np
import pytest
import torch
from torch import nn

from xcos import _core
from xcos.train import MarginHead, XCosHead, cell_targets, cosine_loss, flat_grid
from xcos.train.losses import Owners, balanced_weights, change_loss, direction_loss, own_loss, pair_losses

torch.set_num_threads(1)


def random_head(**options):
    torch.manual_seed(1)
    head = XCosHead(**{"D": 12, "E": 5, "F": 6, "grid": (5, 4), **options})
    with torch.no_grad():
        for module in head.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.uniform_(-0.2, 0.2)
                module.running_var.uniform_(0.5, 2)
                module.weight.uniform_(0.5, 2)
                module.bias.uniform_(-0.2, 0.2)
    return head.eval()


def as_oracle(head):
    tensors = {name.removeprefix("head.").replace(".", "_"): value for name, value in head.tensors().items()}
    weights = {
        key.replace("prelu", "slope"): float(value[0]) if key.endswith("prelu") else value
        for key, value in tensors.items()
    }
    rows, columns = head.grid
    minmax = head.normalization == "minmax"
    return head_oracle.Weights(**weights, height=rows, width=columns, temperature=head.temperature, minmax=minmax)


@pytest.mark.parametrize(
    "options",
    [{}, {"temperature": 0.5}, {"normalization": "minmax"}, {"symmetric": True}, {"norm": False}],
    ids=str,
)
def test_head_and_its_folded_tensors(options):
    head = random_head(**options)
    oracle = as_oracle(head)
    a, b = (head_oracle.random_grids(oracle, 3, seed) for seed in (2, 3))
    expected = head_oracle.numpy_head(oracle, a, b)
    with torch.no_grad():
        found = head(torch.from_numpy(a), torch.from_numpy(b))
        pairs = head.all_pairs(torch.from_numpy(a), torch.from_numpy(b))
    for one, all_of_them, wanted in zip(found, pairs, expected, strict=True):
        np.testing.assert_allclose(one.numpy(), wanted, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(all_of_them.numpy()[range(3), range(3)], wanted, rtol=1e-5, atol=1e-5)
    other = _core.Head(**vars(oracle)).compare(a, b)
    for one, wanted in zip(found, other, strict=True):
        np.testing.assert_allclose(one.numpy(), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("learned", [False, True])
def test_the_whole_face_counts_its_share(learned):
    head = random_head(whole=0.3, learned=learned)
    oracle = replace(as_oracle(head), whole=0.3)
    a, b = (head_oracle.random_grids(oracle, 3, seed) for seed in (2, 3))
    e, f = (head_oracle.random_embeddings(3, seed) for seed in (4, 5))
    i, j = np.divmod(np.arange(9), 3)
    expected = head_oracle.numpy_head(oracle, a[i], b[j], e[i], f[j])[0].reshape(3, 3)
    unit_e, unit_f = (torch.nn.functional.normalize(torch.from_numpy(x)) for x in (e, f))
    plain = unit_e @ unit_f.T
    a, b = torch.from_numpy(a), torch.from_numpy(b)
    found = head.all_pairs(a, b, plain).score
    np.testing.assert_allclose(found.detach().numpy(), expected, atol=1e-5)
    np.testing.assert_allclose(head(a, b, plain.diagonal()).score.detach().numpy(), np.diag(expected), atol=1e-5)
    with pytest.raises(ValueError, match="whole above 0 expects the cosines"):
        head(a, b)
    found.sum().backward()
    assert (head.whole_logit is not None) == learned
    if learned:  # d score / d w = plain - local, d w / d logit = w (1 - w)
        local = (expected - 0.3 * plain.numpy()) / 0.7
        slope = (plain.numpy() - local).sum() * 0.3 * 0.7
        assert float(head.whole_logit.grad) == pytest.approx(slope, abs=1e-4)


def test_symmetric_head_ignores_the_order():
    head = random_head(symmetric=True)
    a, b = (torch.randn(3, 12, 5, 4, generator=torch.Generator().manual_seed(seed)) for seed in (4, 5))
    with torch.no_grad():
        for one, other in zip(head(a, b), head(b, a), strict=True):
            torch.testing.assert_close(one, other)


def test_head_from_tensors():
    head = random_head()
    again = XCosHead.from_tensors(head.tensors(), head.grid)
    for name, value in again.tensors().items():
        np.testing.assert_array_equal(value, head.tensors()[name])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"normalization": "max"}, "normalization is 'max'; expected one of softmax, minmax"),
        ({"temperature": 0}, "temperature is 0; expected a number above 0"),
        ({"grid": (0, 7)}, "expected 1 or more"),
        ({"whole": 1.5}, "whole is 1.5; expected a number from 0 to 1"),
        ({"whole": 0.0, "learned": True}, "between them where it is learned"),
    ],
)
def test_bad_heads(options, message):
    with pytest.raises(ValueError, match=message):
        XCosHead(**options)


def unit_rows(rng, *shape):
    x = rng.standard_normal(shape).astype(np.float32)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


@pytest.mark.parametrize(("kind", "scale", "margin"), [("arcface", 64, 0.5), ("cosface", 30, 0.35)])
def test_margin_heads(kind, scale, margin):
    """Against the formulas of the papers, in float64, one picture at a time; the label -1 does not count."""
    rng = np.random.default_rng(6)
    head = MarginHead(kind, 8, 5)
    features, labels = unit_rows(rng, 6, 8), np.array([0, 4, 2, -1, 2, 1])
    weight = head.weight.detach().double().numpy()
    weight /= np.linalg.norm(weight, axis=1, keepdims=True)
    losses = []
    for x, label in zip(features.astype(np.float64), labels, strict=True):
        if label >= 0:
            cosine = weight @ x
            moved = np.cos(np.arccos(cosine[label]) + margin) if kind == "arcface" else cosine[label] - margin
            logits = scale * np.where(np.arange(5) == label, moved, cosine)
            losses.append(np.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits[label])
    found = head(torch.from_numpy(features), torch.from_numpy(labels))
    assert float(found.detach()) == pytest.approx(np.mean(losses), rel=1e-4)
    assert float(head(torch.from_numpy(features), torch.full((6,), -1)).detach()) == 0
    with pytest.raises(ValueError, match="margin head is 'softmax'; expected arcface or cosface"):
        MarginHead("softmax", 8, 5)


def test_cosine_loss_and_flat_grid():
    grid = torch.randn(3, 4, 2, 2)
    flat = flat_grid(grid)
    assert flat.shape == (3, 16)
    torch.testing.assert_close(flat.norm(dim=1), torch.ones(3))
    assert float(cosine_loss(torch.tensor([0.5, 0.0]), torch.tensor([0.0, 0.0]))) == pytest.approx(0.125)


def owners(rng, n):
    share = rng.choice([0, 0.3, 1], (n, 2, 3)).astype(np.float32)
    return Owners(*(torch.from_numpy(x) for x in (unit_rows(rng, n, 8), unit_rows(rng, n, 8), share)))


def test_cell_targets_and_direction():
    """Owners of a cell counted point by point: ten points, three of them of the pasted face at 30 %."""
    rng = np.random.default_rng(7)
    a, b = owners(rng, 2), owners(rng, 3)
    found = cell_targets(a, b).numpy()
    for i, j, r, c in np.ndindex(2, 3, 2, 3):
        points = []
        for one, n in ((a, i), (b, j)):
            pasted = round(10 * float(one.covered[n, r, c]))
            points.append([one.pasted[n].numpy()] * pasted + [one.base[n].numpy()] * (10 - pasted))
        assert found[i, j, r, c] == pytest.approx(np.mean([p @ q for p in points[0] for q in points[1]]), abs=1e-5)
    basis = torch.linalg.qr(torch.randn(8, 4))[0]
    mixed = (1 - a.covered[:, None]) * a.base[:, :, None, None] + a.covered[:, None] * a.pasted[:, :, None, None]
    grid = torch.einsum("nehw,ed->ndhw", mixed, basis)
    assert float(direction_loss(grid * 3, a, basis)) == pytest.approx(0, abs=1e-5)
    assert float(direction_loss(-grid, a, basis)) == pytest.approx(2, abs=1e-5)


def test_change_loss_is_that_of_a_loop():
    rng = np.random.default_rng(8)
    quads, width = 3, 0.2
    grid = rng.standard_normal((4 * quads, 5, 2, 3)).astype(np.float32)
    covered = np.zeros((4 * quads, 2, 3), np.float32)
    covered[quads : 2 * quads] = rng.choice([0, 0.01, 0.5, 0.8, 1], (quads, 2, 3))
    unit = grid / np.linalg.norm(grid, axis=1, keepdims=True)
    over, free = [], []
    for q in range(quads):
        clean, pasted, again, other = (unit[q + quads * k] for k in range(4))
        for row in range(2):
            for column in range(3):
                at = (slice(None), row, column)
                share = covered[quads + q, row, column]
                for change in (
                    clean[at] @ again[at] - pasted[at] @ again[at],
                    pasted[at] @ other[at] - clean[at] @ other[at],
                ):
                    if share > 0.75:
                        over.append(change)
                    elif share < 0.02:
                        free.append(change)
    expected = np.mean([np.log1p(np.exp((f - o) / width)) for f in free for o in over])
    found = change_loss(torch.from_numpy(grid), torch.from_numpy(covered), width)
    assert float(found) == pytest.approx(expected, rel=1e-5)
    assert float(change_loss(torch.from_numpy(grid), torch.zeros(4 * quads, 2, 3))) == 0


def test_own_loss_is_that_of_a_loop():
    """Cells whose 3 x 3 window is free of the paste or wholly covered by it, one by one, in float64."""
    random = np.random.default_rng(8)
    quads, size = 3, 5
    grid = random.standard_normal((4 * quads, 8, size, size)).astype(np.float32)
    covered = np.zeros((4 * quads, size, size), np.float32)
    covered[quads, :3] = 1
    covered[quads + 1, :, 1:] = 0.8
    covered[quads + 2, 0, 0] = 0.5
    unit = grid.astype(np.float64) / np.linalg.norm(grid.astype(np.float64), axis=1, keepdims=True)
    clean, pasted, again, other = unit.reshape(4, quads, 8, size, size)
    evidence = np.maximum(np.einsum("qdhw,qdhw->qhw", clean - other, again).mean(0), 0.1)
    parts = {"free": [], "covered": []}
    for q, row, column in np.ndindex(quads, size, size):
        window = covered[quads + q, max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
        for owner, name, fits in ((clean, "free", (window < 0.02).all()), (other, "covered", (window > 0.75).all())):
            if fits:
                should, is_ = owner[q, :, row, column], pasted[q, :, row, column]
                strayed = (is_ - should) @ again[q, :, row, column] / evidence[row, column]
                parts[name].append(1 - should @ is_ + strayed**2)
    assert len(parts["free"]) > 10 and len(parts["covered"]) > 10
    expected = np.mean(parts["free"]) + np.mean(parts["covered"])
    found = float(own_loss(torch.from_numpy(grid), torch.from_numpy(covered)))
    assert found == pytest.approx(expected, rel=1e-5)
    local = torch.from_numpy(grid).clone()
    local[quads : 2 * quads] = local[:quads]  # nothing pasted anywhere: cells are what they were
    assert float(own_loss(local, torch.zeros(4 * quads, size, size))) == pytest.approx(0, abs=1e-6)


def test_pair_losses_are_those_of_a_loop():
    head = random_head(grid=(2, 3))
    rng = np.random.default_rng(8)
    them = owners(rng, 4)
    grid = torch.randn(4, 12, 2, 3)
    rows = torch.tensor([2, 0])
    with torch.no_grad():
        compared = head.all_pairs(grid[rows], grid)
    targets = cell_targets(Owners(*(part[rows] for part in them)), them)
    pasted = torch.tensor([True, False, False, True])
    found = pair_losses(compared, targets, floor=3.0, rows=rows, pasted=pasted)
    wanted = (compared.attention * targets).sum((2, 3))
    weights = balanced_weights(wanted, rows)
    assert float(weights.sum()) == pytest.approx(1)
    score = cell = short = counted = 0.0
    for i, j in np.ndindex(2, 4):
        if int(rows[i]) == j:
            assert weights[i, j] == 0
            continue
        weight = float(weights[i, j]) * (0.2 if pasted[int(rows[i])] or pasted[j] else 1.0)
        score += weight * float(compared.score[i, j] - wanted[i, j]) ** 2
        counted += weight
        cell += float(weights[i, j] * ((compared.cosine[i, j] - targets[i, j]) ** 2).mean())
        attention = compared.attention[i, j].double()
        short += max(0.0, 3.0 + float((attention * attention.log()).sum())) ** 2 / 6
    # With the whole face in the score, pairs of clean pictures fit the sum, others the cells as much as they count.
    plain = torch.rand(2, 4)
    mixed = compared._replace(score=0.7 * compared.score + 0.3 * plain)
    sum_of_squares = 0.0
    for i, j in np.ndindex(2, 4):
        pasted_pair = bool(pasted[int(rows[i])] or pasted[j])
        miss = mixed.score[i, j] - wanted[i, j]
        if pasted_pair:
            miss = 0.7 * (compared.score[i, j] - wanted[i, j])
        sum_of_squares += float(weights[i, j]) * (0.2 if pasted_pair else 1.0) * float(miss) ** 2
    sums = pair_losses(mixed, targets, 3.0, rows, pasted, whole=0.3, plain=plain)
    assert [float(x) for x in sums] == pytest.approx([sum_of_squares / counted, cell, short], rel=1e-4)
    even = balanced_weights(wanted, rows, power=0)
    assert even[0, 0] == pytest.approx(1 / 6) and even[0, 2] == 0  # four pictures, two rows, not with themselves
    assert [float(x) for x in found] == pytest.approx([score / counted, cell, short], rel=1e-4)
