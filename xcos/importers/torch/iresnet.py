"""State dicts of InsightFace's iresnet (arcface_torch): 18, 34, 50, 100, 200, and any other depth or width.

Layout of github.com/deepinsight/insightface, recognition/arcface_torch. Depth, widths and the size of the input
are read from the tensors; the first block of each of the four stages halves the map.
"""

from __future__ import annotations

from ...plan.build import PlanBuilder
from .state import State, Walker

_STAGES = 4
_DEPTHS: dict[tuple[int, ...], str] = {
    (2, 2, 2, 2): "18", (3, 4, 6, 3): "34", (3, 4, 14, 3): "50", (3, 13, 30, 3): "100", (6, 26, 60, 6): "200",
}  # fmt: skip


def is_iresnet(state: State) -> bool:
    """Is this the layout of iresnet?"""
    return {"conv1.weight", "prelu.weight", "layer1.0.bn1.weight", "fc.weight", "features.weight"} <= set(state)


def build_iresnet(state: State, plan: PlanBuilder, epsilon: float) -> tuple[list[str], str]:
    """Puts the network into `plan`; its output (``embedding``), and what it is.

    Raises ModelFileError, naming the tensor, for what does not fit.
    """
    walk = Walker(state, plan, epsilon)
    side = 16 * walk.side("fc", "bn2")
    value = plan.input("input", (3, side, side))
    value = walk.prelu(walk.batch_norm(walk.conv(value, "conv1", 3), "bn1"), "prelu")
    depths = []
    for stage in range(1, _STAGES + 1):
        block = 0
        while f"layer{stage}.{block}.conv1.weight" in walk:
            value = _block(walk, value, f"layer{stage}.{block}", 1 if block else 2)
            block += 1
        depths.append(block)
    flat = plan.layer("reshape", [walk.batch_norm(value, "bn2")], "flatten", shape=[-1])
    plan.rename(walk.batch_norm(walk.linear(flat, "fc"), "features"), "embedding")
    walk.finish()
    return ["embedding"], f"iresnet{_DEPTHS.get(tuple(depths), f' of {depths} blocks')}"


def _block(walk: Walker, source: str, path: str, stride: int) -> str:
    value = walk.conv(walk.batch_norm(source, f"{path}.bn1"), f"{path}.conv1", 3)
    value = walk.prelu(walk.batch_norm(value, f"{path}.bn2"), f"{path}.prelu")
    value = walk.batch_norm(walk.conv(value, f"{path}.conv2", 3, stride), f"{path}.bn3")
    short = source
    if f"{path}.downsample.0.weight" in walk:
        short = walk.batch_norm(walk.conv(source, f"{path}.downsample.0", 1, stride), f"{path}.downsample.1")
    return walk.plan.layer("add", [value, short], path, path)
