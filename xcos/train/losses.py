"""Losses: identification as published, and what makes cells say what is in them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..twin.head import Compared, unit
from .augment import COVERED, FREE


class Owners(NamedTuple):
    """Whose face is in each cell of N pictures, where one face was pasted onto another.

    base (N, E), pasted (N, E): unit vectors that say who the two are (the frozen network's embeddings)
    covered (N, H, W): the share of the cell that the pasted face covers, 0 to 1; 0 everywhere without paste
    """

    base: Tensor
    pasted: Tensor
    covered: Tensor


def flat_grid(grid: Tensor) -> Tensor:
    """Grids as unit vectors: what the identification loss is computed on (reference).

    Parameters
    ----------
    grid : (N, D, H, W) Tensor
        Of N faces.

    Returns
    -------
    (N, D*H*W) Tensor
        Each of length 1.

    Examples
    --------
    >>> import xcos
    >>> import torch
    >>> xcos.train.flat_grid(torch.ones(2, 4, 7, 7)).shape
    torch.Size([2, 196])
    """
    return F.normalize(grid.flatten(1), dim=1)


def cosine_loss(score: Tensor, target: Tensor) -> Tensor:
    """L_cos of the paper: mean squared difference of xCos and the frozen network's cosine.

    Parameters
    ----------
    score : Tensor
        xCos scores.
    target : Tensor
        Cosines, of the same shape.

    Returns
    -------
    Tensor
        A scalar.

    Examples
    --------
    >>> import xcos
    >>> import torch
    >>> round(float(xcos.train.cosine_loss(torch.tensor([0.5]), torch.tensor([0.3]))), 4)
    0.04
    """
    return F.mse_loss(score, target)


def cell_targets(a: Owners, b: Owners) -> Tensor:
    """What the cosine of each cell should be, for all pairs.

    The cosine of the people whose faces are seen there. A cell covered by 30 % counts 30 % for the pasted face: the
    expectation over points of the cell in both pictures.

    Parameters
    ----------
    a, b : Owners
        Who is seen where, of N and of M pictures.

    Returns
    -------
    (N, M, H, W) Tensor
        -1 to 1.

    Examples
    --------
    >>> import xcos
    >>> import torch
    >>> from xcos.train.losses import Owners
    >>> unit = torch.eye(2)
    >>> owners = Owners(unit, unit.flip(0), torch.zeros(2, 7, 7))
    >>> xcos.train.cell_targets(owners, owners)[:, :, 0, 0].tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    total = torch.zeros(())
    for one, share_a in ((a.base, 1 - a.covered), (a.pasted, a.covered)):
        for two, share_b in ((b.base, 1 - b.covered), (b.pasted, b.covered)):
            total = total + (one @ two.T)[..., None, None] * (share_a[:, None] * share_b[None])
    return total


def balanced_weights(target: Tensor, rows: Tensor, power: float = 0.75, width: float = 0.1) -> Tensor:
    """Weights of pairs (N, M), sum 1, so that the rare high targets count: count of the target's bin to -power.

    Bins are `width` wide. Row n is picture rows[n] of the batch of M; its pair with itself counts nothing.
    """
    bins = ((target + 1) / width).clamp(0, 2 / width).long()
    counted = rows[:, None] != torch.arange(target.shape[1], device=rows.device)
    # Not bincount, which torch.compile cannot take in.
    counts = (F.one_hot(bins, int(2 / width) + 1) * counted[..., None]).sum((0, 1)).to(target.dtype)
    # A few pairs more in each bin: one of a single pair must not outweigh a thousand others.
    weights = (counts + 0.003 * target.numel()) ** -power
    weights = weights[bins] * counted
    return weights / weights.sum()


class PairLosses(NamedTuple):
    """score: L_cos over all pairs, balanced. cell: the same of each cell. entropy: the floor's violation."""

    score: Tensor
    cell: Tensor
    entropy: Tensor


# What a pair counts in L_cos that shows a pasted face. Accuracy is about pictures of one face; with all pairs alike it
# was 0.5 percentage points lower after 2,500 steps (docs/experiments.md).
_PASTED_SHARE = 0.2


def pair_losses(
    compared: Compared,
    targets: Tensor,
    floor: float,
    rows: Tensor,
    pasted: Tensor,
    power: float = 0.75,
    *,
    whole: Tensor | float = 0.0,
    plain: Tensor | None = None,
) -> PairLosses:
    """Losses of the pairs of some pictures of a batch with all of it.

    compared : of `XCosHead.all_pairs`, (N, M) and (N, M, H, W).
    targets  : (N, M, H, W), of `cell_targets`.
    rows     : (N,) which of the M pictures the N are.
    pasted   : (M,) bool, is another face pasted on the picture? Such pairs count a fifth in L_cos.
    power    : how far rare targets are made up for, see `balanced_weights`; 0: all pairs alike.
    floor    : least entropy of the attention in nats that costs nothing; ln(49) = 3.89 is uniform over 7 x 7.
    whole, plain : w of the score in `compared`, and the plain cosines (N, M) in it, of the pictures without paste.

    The score's target is the attention's mean of the cells' targets, the attention held fixed there: where
    a picture shows two people, xCos should be what its own attention looks at. Without pasted faces all cells
    have one target and this is the paper's L_cos. It is of the whole sum; but what the network's own embedding
    would say of a pasted picture is not known, and there the cells alone are asked to fit, as much as they count.
    """
    target = (compared.attention.detach() * targets).sum((2, 3))
    weights = balanced_weights(target, rows, power)
    mixed = pasted[rows][:, None] | pasted[None]
    clean = torch.where(mixed, _PASTED_SHARE, 1.0) * weights
    if plain is not None:
        target = torch.where(mixed, (1 - whole) * target + whole * plain, target)
    score = (clean * (compared.score - target) ** 2).sum() / clean.sum()
    cell = (weights * ((compared.cosine - targets) ** 2).mean((2, 3))).sum()
    attention = compared.attention.flatten(2)
    entropy = -(attention * (attention + 1e-9).log()).sum(2)
    short = F.relu(floor - entropy) ** 2
    return PairLosses(score, cell, (short * (weights > 0)).sum() / (weights > 0).sum())


def change_loss(grid: Tensor, covered: Tensor, width: float = 0.1) -> Tensor:
    """Do covered cells change more than free ones? Logistic loss over all pairs of the two, 0 at best.

    grid    : (4 Q, D, H, W), Q each of pictures, the same with another face pasted on them, other pictures of the
              same people, and the pasted faces' own pictures.
    covered : (4 Q, H, W), the share of each cell that the paste covers.
    width   : difference of cosines that counts much.

    The change of a cell is the drop of its cosine with the other picture of the person, from clean to pasted, and
    its rise with the picture of the pasted face: what `xcos.train.measure_locality` takes the area under the curve
    of, with a slope everywhere. 0 when no cell is covered, or none free.
    """
    clean, pasted, again, other = unit(grid).chunk(4)
    change = torch.cat([((clean - pasted) * again).sum(1), ((pasted - clean) * other).sum(1)])
    share = covered.chunk(4)[1].repeat(2, 1, 1)
    over, free = change[share > COVERED], change[share < FREE]
    if not len(over) or not len(free):
        return grid.sum() * 0
    return F.softplus((free[None] - over[:, None]) / width).mean()


_LEAST_EVIDENCE = 0.1  # of a cell: below it, at the start of a training, shares of it mean nothing


def own_loss(grid: Tensor, covered: Tensor) -> Tensor:
    """Is a cell a function of its own window, the cell and its neighbours (3 x 3 cells)? 0 when it is.

    grid, covered : as in `change_loss`.

    Where the window is free of the paste the pasted picture's vector should be the clean one's, where it is wholly
    covered that of the pasted face's own picture: 1 - cosine of the two, and the square of the share of the cell's
    evidence (of the cosine with the other picture of the person, over that of two people) by which they differ, since
    in weak cells, as those of hair and background, evidence is a small part of the vector. Each a mean over such
    cells, the four added.
    """
    clean, pasted, again, other = unit(grid).chunk(4)
    share = covered.chunk(4)[1][:, None]
    evidence = ((clean - other) * again).sum(1).mean(0).detach().clamp(min=_LEAST_EVIDENCE)
    free = F.max_pool2d(share, 3, 1, 1)[:, 0] < FREE
    over = -F.max_pool2d(-share, 3, 1, 1)[:, 0] > COVERED
    total = grid.new_zeros(())
    for owner, where in ((clean, free), (other, over)):
        differ = 1 - (owner * pasted).sum(1) + (((pasted - owner) * again).sum(1) / evidence) ** 2
        total = total + (differ * where).sum() / where.sum().clamp(min=1)
    return total


def direction_loss(grid: Tensor, owners: Owners, basis: Tensor) -> Tensor:
    """1 - cosine of each cell's vector and the owner's embedding in the basis (E, D): mean over cells.

    With `basis` the D main axes of the frozen network's embeddings, each cell predicts whose face it sees as
    well as it can: a target for every picture, where pairs only give differences.
    """
    basis = F.pad(basis, (0, grid.shape[1] - basis.shape[1]))  # a grid deeper than the embedding: the rest is 0
    base, pasted = owners.base @ basis, owners.pasted @ basis
    share = owners.covered[:, None]
    target = (1 - share) * base[:, :, None, None] + share * pasted[:, :, None, None]
    return 1 - (unit(grid) * unit(target)).sum(1).mean()


class MarginHead(nn.Module):
    """Cross-entropy over classes with a margin on the right one: ArcFace or CosFace.

    ArcFace (Deng et al., arXiv 1801.07698): s cos(angle + m); CosFace (Wang et al., arXiv 1801.09414): s (cos - m).

    Parameters
    ----------
    kind : str
        "arcface" or "cosface".
    size : int
        Numbers of a feature.
    classes : int
        Those of this process alone; see `xcos.train.distributed` for the loss of all.
    scale : float, optional
        s; None: the published one, 64 for ArcFace, 30 for CosFace.
    margin : float, optional
        m; None: the published one, 0.5 for ArcFace, 0.35 for CosFace.

    Raises
    ------
    ValueError
        Another kind.

    Examples
    --------
    >>> import xcos
    >>> import torch
    >>> head = xcos.train.MarginHead("arcface", 8, 3)
    >>> head(torch.nn.functional.normalize(torch.ones(1, 8)), torch.tensor([-1])).item()
    0.0
    """

    def __init__(self, kind: str, size: int, classes: int, scale: float | None = None, margin: float | None = None):
        super().__init__()
        if kind not in ("arcface", "cosface"):
            raise ValueError(f"margin head is {kind!r}; expected arcface or cosface")
        self.kind = kind
        self.scale = scale if scale is not None else {"arcface": 64.0, "cosface": 30.0}[kind]
        self.margin = margin if margin is not None else {"arcface": 0.5, "cosface": 0.35}[kind]
        self.weight = nn.Parameter(torch.randn(classes, size) * 0.01)

    def logits(self, features: Tensor, labels: Tensor) -> Tensor:
        """Scaled cosines with all classes, the right one's with the margin.

        Parameters
        ----------
        features : (N, size) Tensor
            Unit vectors.
        labels : (N,) Tensor
            -1: of no class here.

        Returns
        -------
        (N, classes) Tensor
            Logits.
        """
        cosine = features @ F.normalize(self.weight).T
        here = (labels >= 0).nonzero()[:, 0]
        right = cosine[here, labels[here]]
        if self.kind == "cosface":
            moved = right - self.margin
        else:
            angle = right.clamp(-1 + 1e-6, 1 - 1e-6).acos()
            # Past pi the cosine would rise again: there the penalty goes on linearly (InsightFace's form).
            beyond = right - self.margin * torch.sin(torch.tensor(torch.pi - self.margin))
            moved = torch.where(angle + self.margin < torch.pi, (angle + self.margin).cos(), beyond)
        return self.scale * cosine.index_put((here, labels[here]), moved)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Mean cross-entropy; pictures with the label -1 count nothing (0 when there are no others).

        Parameters
        ----------
        features : (N, size) Tensor
            Unit vectors.
        labels : (N,) Tensor
            -1: of no class here.

        Returns
        -------
        Tensor
            A scalar.
        """
        known = labels >= 0
        if not known.any():
            return features.sum() * 0
        return F.cross_entropy(self.logits(features, labels)[known], labels[known])
