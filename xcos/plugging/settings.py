"""The settings of training that ``xcos.plug`` takes besides its own, for type checkers."""

from __future__ import annotations

from typing import TypedDict


class Settings(TypedDict, total=False):
    """Those of ``xcos.train.Config``, which says what each is, but for those that `plug` names itself.

    A test holds the two together: `Config` lies behind torch, and a type checker takes no keywords from a dataclass.
    """

    work: str
    name: str
    since: str | None
    branch: str
    copy: str
    blocks: int
    spread: int
    depth: int
    embed: int
    attend: int
    temperature: float
    normalization: str
    symmetric: bool
    whole: float | str
    batch: int
    rows: int
    steps: int
    accumulate: int
    per_person: int
    grouped: float
    flip: float
    colour: float
    blur: float
    masks: str
    mask_share: float
    paste: float
    large: float
    blended: float
    views: int
    pasted: int
    renew: int
    shake: float
    centroid: float
    identification: str
    weight_identity: float
    weight_score: float
    balance: float
    weight_cell: float
    weight_change: float
    weight_own: float
    weight_direction: float
    weight_entropy: float
    weight_whole: float
    floor: float
    optimizer: str
    rate: float
    backbone_rate: float
    decay: float
    warmup: int
    clip: float
    precision: str
    compile: bool
    device: str
    seed: int
    folds: int
    every: int
    held_out: str
    truth: int
    keep: str
    patience: int
    resume: str
    tensorboard: bool
    license: str
    origin: str
    training: str
