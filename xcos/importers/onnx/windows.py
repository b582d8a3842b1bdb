"""Operators of ONNX that move a window over a map: convolution, its transpose, pooling; blocks of pixels."""

from typing import Any

import numpy as np

from .axes import reshaped, transposed
from .dims import Size
from .graph import Graph, Operand, Padded, Translator, Value, image, known
from .node import Node, Refusal
from .ops import cut

_MAX_WEIGHT = 2**26  # numbers that a transposed convolution may be written with
Pad = tuple[int, int, int, int]  # top, left, bottom, right: the order of ONNX's pads for two axes


def of_rows_too(translate: Translator) -> Translator:
    """A translator for (batch, channels, height, width) that takes (batch, channels, length) as a map of height 1."""

    def translator(graph: Graph, node: Node) -> Operand | list[Operand]:
        rows = graph.operand(node, 0)
        if not isinstance(rows, Value) or len(rows.shape) != 3:
            return translate(graph, node)
        batch, channels, length = rows.shape
        wide = node.with_height()
        graph.operands[wide.inputs[0]] = reshaped(graph, node, rows, [batch, channels, 1, length])
        if node.has_input(1):
            weight = graph.constant(node, 1)
            graph.operands[wide.inputs[1]] = weight[:, :, None] if weight.ndim == 3 else weight
        result = translate(graph, wide)
        assert isinstance(result, Value)
        return reshaped(graph, node, result, [batch, result.shape[1], result.shape[3]])

    return translator


def conv(graph: Graph, node: Node) -> Operand:
    weight = graph.constant(node, 1)
    if weight.ndim != 4:
        raise Refusal(f"the weight has the shape {weight.shape}; expected a convolution over one axis or two")
    kernel = list(weight.shape[2:])
    if node.get("kernel_shape", kernel) != kernel:
        raise Refusal(f"kernel_shape {node.get('kernel_shape')} differs from the weight's {kernel}")
    stride, dilation = _pair(node, "strides"), _pair(node, "dilations")
    source, pad = _window_input(graph, node, kernel, stride, dilation)
    batch, channels, height, width = image(source)
    groups = node.get("group", 1)
    if groups < 1 or channels != weight.shape[1] * groups or len(weight) % groups:
        raise Refusal(f"the weight {weight.shape} in {groups} groups does not fit {channels} channels")
    tensors = {"weight": graph.tensor(node, 1)}
    if node.has_input(2):
        if graph.constant(node, 2).shape != weight.shape[:1]:
            raise Refusal(f"the bias {graph.constant(node, 2).shape} does not fit the weight {weight.shape}")
        tensors["bias"] = graph.tensor(node, 2)
    shape = [
        batch,
        len(weight),
        _out(height, kernel[0], stride[0], dilation[0], pad[0] + pad[2]),
        _out(width, kernel[1], stride[1], dilation[1], pad[1] + pad[3]),
    ]
    attributes = {"stride": stride, "pad": list(pad), "dilation": dilation, "groups": groups}
    return graph.emit(node, "conv", [source], shape, **tensors, **attributes)


def conv_transpose(graph: Graph, node: Node) -> Operand:
    """As a convolution that gives a block of stride x stride pixels at once, which are then put in their places.

    The pixel s * i + a of the result is the sum over q of x[i - q] * w[s * q + a], s being the stride.
    """
    weight, source = graph.constant(node, 1), graph.value(node)
    batch, channels, *sizes = image(source)
    if weight.ndim != 4:
        raise Refusal(f"the weight has the shape {weight.shape}; expected a convolution over one axis or two")
    if node.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID") or "output_shape" in node:
        raise Refusal("auto_pad or output_shape; expected pads")
    stride, dilation, groups = _pair(node, "strides"), _pair(node, "dilations"), node.get("group", 1)
    pads, extra = node.get("pads", [0, 0, 0, 0]), node.get("output_padding", [0, 0])
    if len(pads) != 4 or len(extra) != 2 or min(*pads, *extra) < 0:
        raise Refusal(f"pads {pads} and output_padding {extra}; expected four and two numbers, none negative")
    if groups < 1 or channels != len(weight) or channels % groups:
        raise Refusal(f"the weight {weight.shape} in {groups} groups does not fit {channels} channels")
    filters = weight.shape[1] * groups
    bias = graph.optional_constant(node, 2)
    if bias is not None and bias.shape != (filters,):
        raise Refusal(f"the bias {bias.shape} does not fit {filters} channels")
    reach = [d * (size - 1) + 1 for d, size in zip(dilation, weight.shape[2:], strict=True)]
    taps = [-(-size // s) for size, s in zip(reach, stride, strict=True)]
    if len(weight) * weight.shape[1] * np.prod(taps, dtype=float) * np.prod(stride, dtype=float) > _MAX_WEIGHT:
        raise Refusal(f"strides {stride} and dilations {dilation} make more than {_MAX_WEIGHT} weights")
    spread = np.zeros((*weight.shape[:2], *(q * s for q, s in zip(taps, stride, strict=True))), np.float32)
    spread[:, :, : reach[0] : dilation[0], : reach[1] : dilation[1]] = weight
    # (groups, inside, outside, taps, stride, taps, stride) to (outside, stride, stride, inside, taps, taps)
    spread = spread.reshape(groups, -1, weight.shape[1], taps[0], stride[0], taps[1], stride[1])
    spread = spread.transpose(0, 2, 4, 6, 1, 3, 5)[..., ::-1, ::-1]
    spread = spread.reshape(filters * stride[0] * stride[1], -1, *taps)
    tensors = {"weight": graph.plan.tensor(node.inputs[1], spread)}
    if bias is not None:
        tensors["bias"] = graph.plan.tensor(node.inputs[2], np.repeat(bias, stride[0] * stride[1]))
    begin, out, below = [], [], []
    for axis, size in enumerate(sizes):
        begin.append(pads[axis] if stride[axis] > 1 else 0)
        out.append(size * stride[axis] + (reach[axis] - stride[axis] + extra[axis] - pads[axis] - pads[axis + 2]))
        # As many rows of zeros below as the last block of the result takes.
        end = reach[axis] - stride[axis] + extra[axis] - pads[axis + 2]
        below.append(max(0, -(-end // stride[axis])) if stride[axis] > 1 else end)
    pad = [taps[axis] - 1 - (pads[axis] if stride[axis] == 1 else 0) for axis in (0, 1)] + below
    if min(pad) < 0:
        raise Refusal(f"pads {pads} cut away more than the kernel {list(weight.shape[2:])} adds")
    blocks: list[Size] = [size + (pad[axis] + pad[axis + 2] - taps[axis] + 1) for axis, size in enumerate(sizes)]
    shape = [batch, len(spread), *blocks]
    value = graph.emit(node, "conv", [source], shape, **tensors, stride=[1, 1], pad=pad, dilation=[1, 1], groups=groups)
    if stride != [1, 1]:
        value = _unfolded(graph, node, value, stride)
    for axis in (0, 1):
        if stride[axis] > 1:
            value = cut(graph, node, value, axis + 2, begin[axis], begin[axis] + known([out[axis]])[0])
    return value


def _unfolded(graph: Graph, node: Node, value: Value, block: list[int]) -> Value:
    """Channels (depth, rows, columns of a block) as blocks of pixels."""
    batch, channels, height, width = value.shape
    depth = known([channels])[0] // (block[0] * block[1])
    height, width = known([height, width])
    parts = reshaped(graph, node, value, [batch, depth, *block, height, width])
    parts = transposed(graph, node, parts, [0, 1, 4, 2, 5, 3])
    return reshaped(graph, node, parts, [batch, depth, height * block[0], width * block[1]])


def depth_to_space(graph: Graph, node: Node) -> Operand:
    value, block = graph.value(node), node.get("blocksize")
    batch, channels, height, width = image(value)
    if not block or block < 1 or channels % block**2:
        raise Refusal(f"blocks of {block} do not divide {channels} channels")
    depth = channels // block**2
    if node.get("mode", "DCR") == "CRD":
        return _unfolded(graph, node, value, [block, block])
    parts = reshaped(graph, node, value, [batch, block, block, depth, *known([height, width])])
    parts = transposed(graph, node, parts, [0, 3, 4, 1, 5, 2])
    return reshaped(graph, node, parts, [batch, depth, height * block, width * block])


def space_to_depth(graph: Graph, node: Node) -> Operand:
    value, block = graph.value(node), node.get("blocksize")
    batch, channels = value.shape[0], image(value)[1]
    height, width = known(value.shape[2:])
    if not block or block < 1 or height % block or width % block:
        raise Refusal(f"blocks of {block} do not divide a map of {height} by {width}")
    split = [batch, channels, height // block, block, width // block, block]
    parts = transposed(graph, node, reshaped(graph, node, value, split), [0, 3, 5, 1, 2, 4])
    return reshaped(graph, node, parts, [batch, channels * block**2, height // block, width // block])


def max_pool(graph: Graph, node: Node) -> Operand:
    kernel, stride, dilation = _kernel(node), _pair(node, "strides"), _pair(node, "dilations")
    if dilation != [1, 1] and node.get("auto_pad", "NOTSET").startswith("SAME"):
        raise Refusal("auto_pad and dilations: ONNX Runtime and the standard differ")
    source, pad = _window_input(graph, node, kernel, stride, dilation, zeros_count=False)
    pad = _ceil_mode(node, source, kernel, stride, dilation, pad)
    attributes = {} if dilation == [1, 1] else {"dilation": dilation}
    return _pool(graph, node, "max_pool", source, kernel, stride, pad, **attributes)


def average_pool(graph: Graph, node: Node) -> Operand:
    kernel, stride, count = _kernel(node), _pair(node, "strides"), bool(node.get("count_include_pad", 0))
    if _pair(node, "dilations") != [1, 1]:
        raise Refusal(f"dilations {node.get('dilations')}; expected 1")
    source, pad = _window_input(graph, node, kernel, stride, [1, 1], zeros_count=count)
    grown = _ceil_mode(node, source, kernel, stride, [1, 1], pad)
    if count and grown != pad:  # the node's own padding counts, the border that ceil_mode adds does not
        source = graph.materialise(node, Padded(source, pad))
        grown, count = (0, 0, grown[2] - pad[2], grown[3] - pad[3]), False
    return _pool(graph, node, "avg_pool", source, kernel, stride, grown, count_include_pad=count)


def _pool(
    graph: Graph,
    node: Node,
    op: str,
    source: Value,
    kernel: list[int],
    stride: list[int],
    pad: Pad,
    **attributes: Any,
) -> Value:
    batch, channels, height, width = image(source)
    if any(pad[side] >= kernel[side % 2] for side in range(4)):
        raise Refusal(f"pads {list(pad)} are not below the kernel {kernel}")
    dilation = attributes.get("dilation", [1, 1])
    shape = [
        batch,
        channels,
        _out(height, kernel[0], stride[0], dilation[0], pad[0] + pad[2]),
        _out(width, kernel[1], stride[1], dilation[1], pad[1] + pad[3]),
    ]
    return graph.emit(node, op, [source], shape, kernel=kernel, stride=stride, pad=list(pad), **attributes)


def _pair(node: Node, attribute: str) -> list[int]:
    values = node.get(attribute, [1, 1])
    if len(values) != 2 or min(values) < 1:
        raise Refusal(f"{attribute} {values}; expected two numbers above 0")
    return [int(value) for value in values]


def _kernel(node: Node) -> list[int]:
    if "kernel_shape" not in node:
        raise Refusal("kernel_shape is missing")
    return _pair(node, "kernel_shape")


def _out(size: Size, kernel: int, stride: int, dilation: int, total_pad: int) -> Size:
    """Size of the result along one axis; windows lie within the padded map."""
    reach = total_pad - dilation * (kernel - 1)
    return size + reach if stride == 1 else (size + (reach - 1)) // stride + 1


def _window_input(
    graph: Graph,
    node: Node,
    kernel: list[int],
    stride: list[int],
    dilation: list[int],
    zeros_count: bool = True,
) -> tuple[Value, Pad]:
    """The input of a window operator and its explicit padding.

    A Pad node before it joins the padding unless the zeros would mean something else: `zeros_count` says
    whether the operator sees its own padding as zeros.
    """
    padded = graph.padded(node)
    image(padded.value)
    auto = node.get("auto_pad", "NOTSET")
    own = node.get("pads", [0, 0, 0, 0])
    if len(own) != 4 or min(own) < 0:
        raise Refusal(f"pads {own}; expected four numbers, none negative")
    if padded.pad != (0, 0, 0, 0):
        if zeros_count and auto in ("NOTSET", "VALID"):
            extra = own if auto == "NOTSET" else [0, 0, 0, 0]
            top, left, bottom, right = (a + int(b) for a, b in zip(padded.pad, extra, strict=True))
            return padded.value, (top, left, bottom, right)
        padded = Padded(graph.materialise(node, padded), (0, 0, 0, 0))
    if auto == "NOTSET":
        return padded.value, (own[0], own[1], own[2], own[3])
    if auto == "VALID":
        return padded.value, (0, 0, 0, 0)
    if auto not in ("SAME_UPPER", "SAME_LOWER"):
        raise Refusal(f"auto_pad {auto!r} is unknown")
    begin, end = [], []
    for size, k, s, d in zip(padded.value.shape[2:], kernel, stride, dilation, strict=True):
        reach = d * (k - 1) + 1
        if s == 1:
            total = reach - 1
        else:
            length = known([size])[0]
            total = max((-(-length // s) - 1) * s + reach - length, 0)
        small, large = total // 2, total - total // 2
        begin.append(small if auto == "SAME_UPPER" else large)
        end.append(large if auto == "SAME_UPPER" else small)
    return padded.value, (begin[0], begin[1], end[0], end[1])


def _ceil_mode(node: Node, source: Value, kernel: list[int], stride: list[int], dilation: list[int], pad: Pad) -> Pad:
    """ceil_mode as padding below and right: a last window that begins inside the map is kept."""
    if not node.get("ceil_mode", 0) or stride == [1, 1]:
        return pad
    grown = list(pad)
    for axis, size in enumerate(source.shape[2:]):
        if stride[axis] == 1:
            continue
        length = known([size])[0]
        room = length + pad[axis] + pad[axis + 2] - dilation[axis] * (kernel[axis] - 1) - 1
        count = -(-room // stride[axis]) + 1
        if (count - 1) * stride[axis] >= length + pad[axis]:
            count -= 1
        grown[axis + 2] += max(0, (count - 1) * stride[axis] - room)
    return (grown[0], grown[1], grown[2], grown[3])


WINDOW_OPS: dict[str, Translator] = {
    "AveragePool": of_rows_too(average_pool),
    "Conv": of_rows_too(conv),
    "ConvTranspose": of_rows_too(conv_transpose),
    "DepthToSpace": depth_to_space,
    "MaxPool": of_rows_too(max_pool),
    "SpaceToDepth": space_to_depth,
}
