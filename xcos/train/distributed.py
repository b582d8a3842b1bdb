"""Several processes under torchrun: gathering with gradients, and a margin head whose classes are shared out."""

from __future__ import annotations

import os
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from .losses import MarginHead


def start(device: str) -> tuple[int, int]:
    """(rank, processes); joins the group that torchrun announces in the environment, (0, 1) without one."""
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return 0, 1
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    return dist.get_rank(), dist.get_world_size()


def stop() -> None:
    """Leaves the group, if there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def local_classes(people: int, rank: int, world: int) -> int:
    """How many of `people` classes are kept by `rank`: those with label % world == rank."""
    return (people - rank + world - 1) // world


class _Gather(torch.autograd.Function):
    """all_gather along the batch. The gradient is the sum of what all processes send back, times their number:
    DistributedDataParallel divides by it, which is right for a loss of each process's own batch, and this one is
    the loss of all."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.count = len(x)
        parts = [torch.empty_like(x) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, x.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous()
        dist.all_reduce(total)
        start = dist.get_rank() * ctx.count
        return total[start : start + ctx.count] * dist.get_world_size()


class _Sum(torch.autograd.Function):
    """all_reduce by sum; each process's part gets the gradient that the sum gets in that process.

    All processes compute the same loss from the sum, so their gradients are one and the same.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


def gather(x: Tensor) -> Tensor:
    """The batches of all processes, one after the other, with gradients. The same x when there is one process."""
    if not dist.is_initialized():
        return x
    found: Tensor = _Gather.apply(x)  # type: ignore[no-untyped-call]
    return found


def total(x: Tensor) -> Tensor:
    """The sum over all processes, without gradients; x itself when there is one."""
    if dist.is_initialized():
        x = x.clone()
        dist.all_reduce(x)
    return x


def identification(head: MarginHead, features: Tensor, labels: Tensor, rank: int, world: int) -> Tensor:
    """Mean cross-entropy over the classes of all processes and the pictures of all batches.

    Every process holds the weights of its own classes only (`local_classes`), as in InsightFace's partial FC: of
    the softmax, the largest logit and the sum of exponentials are exchanged. All processes return the same loss.
    labels (N,): -1 counts nothing.
    """
    if world == 1:
        whole: Tensor = head(features, labels)
        return whole
    everyone, all_labels = gather(features), gather(labels)
    mine = (all_labels >= 0) & (all_labels % world == rank)
    local = torch.where(mine, all_labels // world, torch.full_like(all_labels, -1))
    logits = head.logits(everyone, local)
    largest = logits.detach().max(1).values
    dist.all_reduce(largest, op=dist.ReduceOp.MAX)
    summed: Tensor = _Sum.apply((logits - largest[:, None]).exp().sum(1))  # type: ignore[no-untyped-call]
    right = torch.zeros_like(largest)
    rows = mine.nonzero()[:, 0]
    right = right.index_put((rows,), logits[rows, local[rows]] - largest[rows])
    right = _Sum.apply(right)  # type: ignore[no-untyped-call]
    known = all_labels >= 0
    loss: Tensor = (summed.log() - right)[known].sum() / known.sum().clamp(min=1)
    return loss
