"""What is trained: the network's own part, the head on its grids, and the losses of a batch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .augment import covered, paste_rectangles
from .config import Config
from .data import Faces
from .head import XCosHead
from .losses import Owners, cell_targets, direction_loss, flat_grid, pair_losses
from .plan import Plan
from .twin import Twin


class Batch(NamedTuple):
    """inputs (N, ...) of the trained part; whose they are; labels (N,), -1 where a paste makes them untrue."""

    inputs: Tensor
    owners: Owners
    labels: Tensor


class Losses(NamedTuple):
    """Each a number; `features` (N, D*H*W) are for the identification loss, which may span processes."""

    score: Tensor
    cell: Tensor
    entropy: Tensor
    direction: Tensor
    features: Tensor


class Student(nn.Module):
    """The trained part of a network, and the head."""

    def __init__(self, plan: Plan, config: Config, basis: NDArray[np.float32]) -> None:
        """basis (E, D): main axes of the teacher's embeddings, for the direction loss."""
        super().__init__()
        depth, *cells = plan.grid
        self.network = Twin(plan.trained)
        shape = cells[0], cells[1]
        options = (shape, config.temperature, config.normalization)
        if plan.head is not None:
            self.head = XCosHead.from_tensors(plan.head, *options)
        else:
            self.head = XCosHead(depth, config.embed, config.attend, *options, config.symmetric)
        self.floor = config.floor
        self.precision = getattr(torch, config.precision)
        self.register_buffer("basis", torch.from_numpy(np.ascontiguousarray(basis)), persistent=False)

    def forward(self, batch: Batch, rows: Tensor) -> Losses:
        """Losses of a batch; the pictures `rows` of it are compared with all."""
        device = batch.inputs.device.type
        inputs = batch.inputs
        if inputs.ndim == 4:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        with torch.autocast(device, self.precision, enabled=self.precision != torch.float32):
            grid = self.network(inputs)["grid"]
        grid = grid.float()
        some = Owners(*(part[rows] for part in batch.owners))
        compared = self.head.all_pairs(grid[rows], grid)
        pairs = pair_losses(compared, cell_targets(some, batch.owners), self.floor, rows)
        basis = self.basis
        assert isinstance(basis, Tensor)
        return Losses(*pairs, direction_loss(grid, batch.owners, basis), flat_grid(grid))


class Sampler:
    """Which pictures make a batch: a function of seed, process and step alone, so that a run can go on exactly.

    `grouped` of the batch are `per_person` pictures of each of some people, the rest any pictures.
    """

    def __init__(self, faces: Faces, config: Config, rank: int) -> None:
        order = np.argsort(faces.labels, kind="stable")
        ends = np.flatnonzero(np.diff(faces.labels[order])) + 1
        several = [part for part in np.split(order, ends) if len(part) >= config.per_person]
        people = [part for part in several if faces.labels[part[0]] >= 0]
        self._people, self._count, self._config, self._rank = people, len(faces), config, rank
        # Identification learns people with several pictures; the others would only be memorised.
        self.label = np.full(len(faces), -1)
        for number, part in enumerate(people):
            self.label[part] = number

    @property
    def classes(self) -> int:
        """People with at least `per_person` pictures: the classes of the identification loss."""
        return len(self._people)

    def random(self, step: int, part: int) -> np.random.Generator:
        """Everything random of one batch."""
        return np.random.default_rng([self._config.seed, self._rank, step, part])

    def pictures(self, random: np.random.Generator) -> NDArray[np.intp]:
        """(batch,) indices."""
        config = self._config
        groups = min(round(config.grouped * config.batch / config.per_person), len(self._people))
        chosen = random.permutation(len(self._people))[:groups]
        grouped = [random.permutation(self._people[k])[: config.per_person] for k in chosen]
        rest = random.integers(0, self._count, max(0, config.batch - groups * config.per_person))
        found: NDArray[np.intp] = np.concatenate([*grouped, rest])[: config.batch].astype(np.intp)
        return found


def make_batch(
    inputs: NDArray[np.float32],
    pictures: NDArray[np.intp],
    targets: NDArray[np.float32],
    labels: NDArray[np.integer],
    cells: tuple[int, int],
    paste: float,
    random: np.random.Generator,
) -> Batch:
    """Pastes rectangles of other faces of the batch into a share of it, at the same place; says whose cells are whose.

    Works on pixels as well as on a map of the network: there the rectangles are of whole places, which ones seen by
    the frozen layers through their windows is left out. Maps that do not divide into the cells are not pasted.
    """
    n, *_, height, width = inputs.shape
    share = np.zeros((n, *cells), np.float32)
    source = np.arange(n)
    known = labels[pictures]
    pasted = np.flatnonzero(random.random(n) < paste)
    if len(pasted) and height % cells[0] == 0 and width % cells[1] == 0:
        original = inputs
        inputs = inputs.copy()
        for k in pasted:
            other = int((k + random.integers(1, n)) % n) if n > 1 else 0
            mask = paste_rectangles(random, height, width)
            inputs[k][:, mask] = original[other][:, mask]
            share[k], source[k] = covered(mask, cells), other
        known = np.where(share.any((1, 2)), -1, known)
    owners = Owners(
        torch.from_numpy(targets[pictures]), torch.from_numpy(targets[pictures[source]]), torch.from_numpy(share)
    )
    return Batch(torch.from_numpy(inputs), owners, torch.from_numpy(known.astype(np.int64)))
