"""What is trained: the network's own part, the head on its grids, and the losses of a batch."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..datasets import Faces
from ..twin.head import XCosHead
from ..twin.network import Twin
from .augment import Pasting, covered
from .config import LEARNED, Config
from .losses import Owners, PairLosses, cell_targets, change_loss, direction_loss, flat_grid, own_loss, pair_losses
from .plan import Plan


class Chosen(NamedTuple):
    """Pictures of a batch, and which versions of them (see `xcos.train.store.Versions`)."""

    pictures: NDArray[np.intp]
    versions: NDArray[np.intp]


class Batch(NamedTuple):
    """inputs (N, ...) of the trained part; whose they are; labels (N,), -1 where a paste makes them untrue; which
    `rows` are compared with all; the network's own embeddings of the pictures without paste, `plain` (N, E)."""

    inputs: Tensor
    owners: Owners
    labels: Tensor
    rows: Tensor
    plain: Tensor


class Losses(NamedTuple):
    """Each a number, `whole` the head's w; `features` (N, D*H*W) are for the identification loss, which may span
    processes."""

    score: Tensor
    cell: Tensor
    entropy: Tensor
    direction: Tensor
    change: Tensor
    own: Tensor
    whole: Tensor
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
        whole: dict[str, Any] = {"whole": config.start_whole, "learned": config.whole == LEARNED}
        if plan.head is not None:
            self.head = XCosHead.from_tensors(plan.head, *options, **whole)
        else:
            self.head = XCosHead(depth, config.embed, config.attend, *options, config.symmetric, **whole)
        self.floor, self.balance = config.floor, config.balance
        self.quads = config.quads
        self.precision = getattr(torch, config.precision)
        self.register_buffer("basis", torch.from_numpy(np.ascontiguousarray(basis)), persistent=False)
        self._most = torch.compile(self._measured) if config.compile else self._measured

    def forward(self, batch: Batch) -> Losses:
        """Losses of a batch."""
        grid, pairs, direction = self._most(batch.inputs, batch.owners, batch.rows, batch.plain)
        quads = grid[: 4 * self.quads], batch.owners.covered[: 4 * self.quads]
        whole = torch.as_tensor(self.head.whole)
        return Losses(*pairs, direction, change_loss(*quads), own_loss(*quads), whole, flat_grid(grid))

    def _measured(
        self, inputs: Tensor, owners: Owners, rows: Tensor, plain: Tensor
    ) -> tuple[Tensor, PairLosses, Tensor]:
        """The grid, and the losses whose sizes do not hang on what is pasted where."""
        if inputs.ndim == 4:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        with torch.autocast(inputs.device.type, self.precision, enabled=self.precision != torch.float32):
            grid = self.network(inputs)["grid"]
        grid = grid.float()
        some = Owners(*(part[rows] for part in owners))
        cosines = plain[rows] @ plain.T
        compared = self.head.all_pairs(grid[rows], grid, cosines)
        pasted = owners.covered.flatten(1).amax(1) > 0
        targets = cell_targets(some, owners)
        pairs = pair_losses(
            compared, targets, self.floor, rows, pasted, self.balance, whole=self.head.whole, plain=cosines
        )
        basis = self.basis
        assert isinstance(basis, Tensor)
        return grid, pairs, direction_loss(grid, owners, basis)


class Sampler:
    """Which pictures make a batch: a function of seed, process and step alone, so that a run can go on exactly.

    The share `paste` of the batch are, in quarters: pictures, the same with another face pasted on them, other
    pictures of the same people (or the mirrored picture), and the pasted faces' own pictures. Of the rest `grouped`
    are `per_person` pictures of each of some people, then any pictures.
    """

    def __init__(self, faces: Faces, config: Config, rank: int, versions: int, pasting: Pasting) -> None:
        """versions: how many there are of each picture, without pasted faces."""
        order = np.argsort(faces.labels, kind="stable")
        ends = np.flatnonzero(np.diff(faces.labels[order])) + 1
        people = [part for part in np.split(order, ends) if faces.labels[part[0]] >= 0]
        self._people = [part for part in people if len(part) >= config.per_person]
        # Each picture's person: where their pictures begin in `_order`, how many there are, which of them it is.
        self._order, self._start, self._size, self._place = order, *np.zeros((3, len(faces)), np.intp)
        self._size[:] = 1
        for part, start in zip(np.split(order, ends), [0, *ends], strict=True):
            if faces.labels[part[0]] >= 0:
                self._start[part], self._size[part], self._place[part] = start, len(part), np.arange(len(part))
        several = np.flatnonzero(self._size > 1)
        self._pool = several if len(several) else np.arange(len(faces))
        self._count, self._config, self._rank = len(faces), config, rank
        self._versions, self._pasting = versions, pasting
        # Identification learns people with several pictures; the others would only be memorised.
        self.label = np.full(len(faces), -1)
        for number, part in enumerate(self._people):
            self.label[part] = number

    @property
    def classes(self) -> int:
        """People with at least `per_person` pictures: the classes of the identification loss."""
        return len(self._people)

    def random(self, step: int, part: int) -> np.random.Generator:
        """Everything random of one batch."""
        return np.random.default_rng([self._config.seed, self._rank, step, part])

    def choose(self, random: np.random.Generator, turn: int = 0) -> Chosen:
        """The batch; its pastes are those of the turn (`xcos.train.store.Activations`)."""
        config = self._config
        quads = self._quads(random, turn)
        rest = config.batch - len(quads.pictures)
        groups = min(round(config.grouped * rest / config.per_person), len(self._people))
        chosen = random.permutation(len(self._people))[:groups]
        grouped = [random.permutation(self._people[k])[: config.per_person] for k in chosen]
        single = random.integers(0, self._count, max(0, rest - groups * config.per_person))
        pictures = np.concatenate([*grouped, single])[:rest].astype(np.intp)
        versions = random.integers(0, self._versions, len(pictures))
        return Chosen(
            np.concatenate([quads.pictures, pictures]), np.concatenate([quads.versions, versions]).astype(np.intp)
        )

    def _quads(self, random: np.random.Generator, turn: int) -> Chosen:
        config, quads = self._config, self._config.quads
        pictures = random.choice(self._pool, quads)
        numbers = turn * config.pasted + random.integers(0, config.pasted, quads)
        pasted = [self._pasting(int(k), int(n)) for k, n in zip(pictures, numbers, strict=True)]
        clean = np.array([p.mirrored for p in pasted], np.intp)
        size = self._size[pictures]
        further = (self._place[pictures] + random.integers(1, np.maximum(size, 2))) % size
        again = np.where(size > 1, self._order[self._start[pictures] + further], pictures)
        versions = random.integers(0, self._versions, quads)
        alone = again == pictures  # nobody else's picture: its own other side
        versions[alone] = 1 - clean[alone] if self._pasting.mirror else 0
        sources = np.array([p.source for p in pasted], np.intp)
        sides = np.array([p.source_mirrored for p in pasted], np.intp)
        return Chosen(
            np.concatenate([pictures, pictures, again, sources]), np.concatenate([clean, -1 - numbers, versions, sides])
        )


def make_batch(
    inputs: NDArray[np.float32],
    chosen: Chosen,
    targets: NDArray[np.float32],
    plain: NDArray[np.float32],
    labels: NDArray[np.integer],
    cells: tuple[int, int],
    pasting: Pasting,
    rows: NDArray[np.integer],
) -> Batch:
    """Says whose cells are whose. Where a face is pasted, the picture is no longer one of its class."""
    pictures, versions = chosen
    share = np.zeros((len(pictures), *cells), np.float32)
    source = pictures.copy()
    for k in np.flatnonzero(versions < 0):
        pasted = pasting(int(pictures[k]), int(-1 - versions[k]))
        share[k], source[k] = covered(pasted.mask, cells), pasted.source
    owners = Owners(torch.from_numpy(targets[pictures]), torch.from_numpy(targets[source]), torch.from_numpy(share))
    known = np.where(versions < 0, -1, labels[pictures])
    return Batch(
        torch.from_numpy(inputs), owners, torch.from_numpy(known.astype(np.int64)), torch.from_numpy(rows),
        torch.from_numpy(plain[pictures]),
    )  # fmt: skip
