"""State dicts of the xCos reference: IR and IR-SE backbones, plain or with the grid, attention and target of xCos.

The layouts are those of github.com/ntubiolin/xcos, and for backbones that of github.com/mk-minchul/AdaFace. Depth,
widths and the size of the input are read from the tensors; what they leave open is fixed there: every unit that
changes the channels, and the first, halves the map.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...errors import ModelFileError
from ...plan.build import PlanBuilder
from .state import State, Walker

_STEPS = 4  # units of stride 2: a map of 7 x 7 for pictures of 112 x 112
_DEFAULT_SIDE = 7
_NAMES: dict[tuple[int, ...], str] = {(3, 4, 14, 3): "-50", (3, 13, 30, 3): "-100", (3, 8, 36, 3): "-152"}

# The threshold that the reference quotes for its released ArcFace model, on xCos.
REFERENCE_THRESHOLD = 0.2545

_HEAD = {  # of the model file: convolution, batch norm and PReLU of the reference
    "embed": ("attention.embedding_net.0", "attention.embedding_net.1", "attention.embedding_net.2"),
    "attend1": ("attention.attention.0", "attention.attention.1", "attention.attention.2"),
    "attend2": ("attention.attention.3", "attention.attention.4", "attention.attention.5"),
}


def is_reference(state: State) -> bool:
    """Is this one of the reference's layouts?"""
    return any(f"{prefix}input_layer.0.weight" in state for prefix in ("", "backbone."))


def has_head(state: State) -> bool:
    """Does it hold xCos's grid and attention, not a backbone alone?"""
    return "attention.embedding_net.0.weight" in state


def build_reference(state: State, plan: PlanBuilder, epsilon: float) -> tuple[list[str], str]:
    """Puts the network into `plan`; its outputs (``embedding``, ``grid``), and what it is.

    A backbone alone gives its embedding. An xCos checkpoint gives the grid of its own backbone and the
    embedding of the target backbone; without one, that of its own, if it has an output layer. Classification
    weights (``head.*``) are dropped. Raises ModelFileError, naming the tensor, for what does not fit.
    """
    walk = Walker(state, plan, epsilon)
    if not has_head(state):
        prefix = "backbone." if "backbone.input_layer.0.weight" in state else ""
        side = _side(walk, [prefix])
        last, kind = _backbone(walk, prefix, plan.input("input", (3, 16 * side, 16 * side)))
        plan.rename(_embedding(walk, prefix, last), "embedding")
        if f"{prefix}conv1x1.0.weight" in state:
            raise ModelFileError("conv1x1.* makes a grid, but the attention (attention.*) is missing")
        walk.finish()
        return ["embedding"], f"{kind} backbone"

    own, target = "backbone.", "backbone_target."
    side = _side(walk, [own, target])
    source = plan.input("input", (3, 16 * side, 16 * side))
    outputs = ["grid"]
    last, kind = _backbone(walk, own, source)
    grid = walk.batch_norm(walk.conv(last, f"{own}conv1x1.0", 1), f"{own}conv1x1.1")
    plan.rename(walk.prelu(grid, f"{own}conv1x1.2"), "grid")
    if f"{target}input_layer.0.weight" in state:
        walk.drop(f"{own}output_layer.")  # the target's embedding is the one that counts
        last, other = _backbone(walk, target, source)
        plan.rename(_embedding(walk, target, last), "embedding")
        outputs = ["embedding", "grid"]
        kind = f"{kind} for the grid, {other} for the embedding"
    elif f"{own}output_layer.3.weight" in state:
        plan.rename(_embedding(walk, own, last), "embedding")
        outputs = ["embedding", "grid"]
    _head(walk, plan)
    walk.drop("head.")
    walk.finish()
    return outputs, f"xCos on {kind}"


def _side(walk: Walker, prefixes: list[str]) -> int:
    """Cells along a side of the last map, from the first output layer there is."""
    for prefix in prefixes:
        if f"{prefix}output_layer.3.weight" in walk:
            return walk.side(f"{prefix}output_layer.3", f"{prefix}output_layer.0")
    return _DEFAULT_SIDE


def _backbone(walk: Walker, prefix: str, source: str) -> tuple[str, str]:
    """The layers up to the last map; its name, and what the backbone is called."""
    layer = f"{prefix}input_layer"
    value = walk.prelu(walk.batch_norm(walk.conv(source, f"{layer}.0", 3), f"{layer}.1"), f"{layer}.2")
    inside = walk.channels(f"{layer}.0")
    stages: list[int] = []
    adaface = walk.dimensions(f"{prefix}body.0.res_layer.4.weight") == 4
    squeeze = f"{prefix}body.0.res_layer.{6 if adaface else 5}.fc1.weight" in walk
    unit = 0
    while f"{prefix}body.{unit}.res_layer.1.weight" in walk:
        path = f"{prefix}body.{unit}"
        outside = walk.channels(f"{path}.res_layer.{4 if adaface else 3}")
        first = unit == 0 or outside != inside
        stages += [0] * first
        stages[-1] += 1
        value = _unit(walk, value, path, 2 if first else 1, inside != outside, squeeze, adaface)
        inside, unit = outside, unit + 1
    if len(stages) != _STEPS:
        raise ModelFileError(f"{prefix}body has {len(stages)} stages of {stages} units; expected {_STEPS}")
    return value, f"{'AdaFace ' * adaface}IR{'-SE' * squeeze}{_NAMES.get(tuple(stages), f' of {stages} units')}"


def _unit(
    walk: Walker, source: str, path: str, stride: int, changes: bool, squeeze: bool, adaface: bool
) -> str:
    """One residual unit; AdaFace's has a batch norm more, after the first convolution."""
    parts = iter(f"{path}.res_layer.{i}" for i in range(7))
    value = walk.conv(walk.batch_norm(source, next(parts)), next(parts), 3)
    if adaface:
        value = walk.batch_norm(value, next(parts))
    value = walk.prelu(value, next(parts))
    value = walk.batch_norm(walk.conv(value, next(parts), 3, stride), next(parts))
    plan = walk.plan
    if squeeze:
        layer = next(parts)
        share = plan.layer("avg_pool", [value], f"{layer}.avg_pool", f"{layer}.avg_pool")
        share = plan.layer("relu", [walk.conv(share, f"{layer}.fc1", 1)], f"{layer}.relu", f"{layer}.relu")
        share = plan.layer("sigmoid", [walk.conv(share, f"{layer}.fc2", 1)], f"{layer}.sigmoid")
        value = plan.layer("mul", [value, share], layer, layer)
    short = source
    if changes:
        short = walk.conv(source, f"{path}.shortcut_layer.0", 1, stride)
        short = walk.batch_norm(short, f"{path}.shortcut_layer.1")
    elif stride > 1:
        name = f"{path}.shortcut_layer"
        short = plan.layer("max_pool", [source], name, name, kernel=[1, 1], stride=[stride] * 2)
    return plan.layer("add", [value, short], path, path)


def _embedding(walk: Walker, prefix: str, source: str) -> str:
    layer = f"{prefix}output_layer"
    flat = walk.plan.layer("reshape", [walk.batch_norm(source, f"{layer}.0")], f"{layer}.2", shape=[-1])
    return walk.batch_norm(walk.linear(flat, f"{layer}.3"), f"{layer}.4")


def _head(walk: Walker, plan: PlanBuilder) -> None:
    """``head.*`` of a model file: each batch norm follows its convolution, so it folds into it exactly."""
    for part, (conv, norm, prelu) in _HEAD.items():
        weight = walk.take(f"{conv}.weight", None, None, 3, 3).astype(np.float64)
        bias: NDArray[np.float64] = np.zeros(len(weight))
        if f"{conv}.bias" in walk:
            bias = walk.take(f"{conv}.bias", len(weight)).astype(np.float64)
        gamma, beta, mean, var = (x.astype(np.float64) for x in walk.statistics(norm))
        gain = gamma / np.sqrt(var + walk.epsilon)
        plan.tensor(f"head.{part}.weight", weight * gain[:, None, None, None])
        plan.tensor(f"head.{part}.bias", (bias - mean) * gain + beta)
        plan.tensor(f"head.{part}.prelu", walk.take(f"{prelu}.weight", 1))
