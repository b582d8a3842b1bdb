"""Optimisers and schedules: the reference's, and AdamW with warm-up and cosine."""

from __future__ import annotations

import math

import torch
from torch import nn

from . import distributed
from .config import Config
from .losses import MarginHead
from .student import Student


class Optimizer:
    """Steps all parts; learning rates follow the step alone, so that a run can go on exactly."""

    def __init__(
        self, student: Student, margin: MarginHead | None, config: Config, fresh: frozenset[str], steps_per_epoch: int
    ) -> None:
        """fresh: names of those tensors of the student's network that start from random numbers."""
        self._config, self._epoch = config, steps_per_epoch
        backbone = list(student.network.parameters())
        attention = list(student.head.parameters())
        classes = list(margin.parameters()) if margin is not None else []
        self.parts: list[torch.optim.Optimizer]
        if config.optimizer == "reference":
            # Released configuration: SGD for the backbone and the classes, Adam-amsgrad for the attention.
            sgd = [{"params": backbone, "weight_decay": 4e-5}]
            if classes:
                sgd.append({"params": classes, "weight_decay": 4e-4})
            self.parts = [
                torch.optim.SGD(sgd, lr=1e-3, momentum=0.9),
                torch.optim.Adam(attention, lr=1e-4, weight_decay=4e-5, amsgrad=True),
            ]
        else:
            # A copied network's weights are of the order 0.02 (batch norms folded): steps as large as the
            # head's would wipe out what they know.
            slow = config.rate * config.backbone_rate
            new = {id(student.network.tensor(name)) for name in fresh}
            groups = [
                {"params": [p for p in backbone if id(p) not in new], "lr": slow, "weight_decay": config.decay},
                {"params": [p for p in backbone if id(p) in new], "weight_decay": config.decay},
                {"params": attention, "weight_decay": 0.0},
            ]
            if classes:
                groups.append({"params": classes, "weight_decay": config.decay})
            self.parts = [torch.optim.AdamW(groups, lr=config.rate, betas=(0.9, 0.99))]
        for part in self.parts:
            for group in part.param_groups:
                group["base"] = group["lr"]

    def factor(self, step: int) -> float:
        """What learning rates are multiplied with at `step`, counted from 0."""
        if self._config.optimizer == "reference":
            return float(0.99 ** (step // self._epoch // 8))  # StepLR(8, 0.99), by epochs
        rise = min(1.0, (step + 1) / max(1, self._config.warmup))
        fall = 0.5 * (1 + math.cos(math.pi * step / self._config.steps))
        return rise * (0.01 + 0.99 * fall)

    def step(self, step: int, student: Student, margin: MarginHead | None) -> float:
        """One step of all parts; returns the gradient's norm before it is clipped.

        Every process clips by the same norm: the student's gradients are alike in all, the classes' are summed.
        """
        gradients, own = _gradients(student), _gradients(margin)
        squares = distributed.total(nn.utils.get_total_norm(own) ** 2)
        norm = float((nn.utils.get_total_norm(gradients) ** 2 + squares) ** 0.5)
        for gradient in [*gradients, *own]:
            gradient.mul_(min(1.0, self._config.clip / (norm + 1e-6)))
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = group["base"] * self.factor(step)
            part.step()
            part.zero_grad(set_to_none=True)
        return norm


def _gradients(module: nn.Module | None) -> list[torch.Tensor]:
    return [p.grad for p in module.parameters() if p.grad is not None] if module is not None else []
