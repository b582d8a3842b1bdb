"""Operators of ONNX that move a window over a map: convolution, pooling, padding, resizing."""

import math
from collections.abc import Sequence

import numpy as np

from .dims import BATCH, Dim, Size
from .graph import Graph, Operand, Padded, Translator, Value, image, known, text
from .node import Array, Node, Refusal
from .ops import reshaped, transposed

Pad = tuple[int, int, int, int]  # top, left, bottom, right: the order of ONNX's pads for two axes


def conv(graph: Graph, node: Node) -> Operand:
    weight = graph.constant(node, 1)
    if weight.ndim != 4:
        raise Refusal(f"the weight has the shape {weight.shape}; expected a convolution over two axes")
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


def depth_to_space(graph: Graph, node: Node) -> Operand:
    value, block = graph.value(node), node.get("blocksize")
    batch, channels, height, width = image(value)
    if not block or block < 1 or channels % block**2:
        raise Refusal(f"blocks of {block} do not divide {channels} channels")
    depth = channels // block**2
    by_column = node.get("mode", "DCR") == "CRD"
    split = [depth, block, block] if by_column else [block, block, depth]
    parts = reshaped(graph, node, value, [batch, *split, *known([height, width])])
    order = [0, 1, 4, 2, 5, 3] if by_column else [0, 3, 4, 1, 5, 2]
    return reshaped(graph, node, transposed(graph, node, parts, order), [batch, depth, height * block, width * block])


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
    kernel, stride = _kernel(node), _pair(node, "strides")
    source, pad = _window_input(graph, node, kernel, stride, [1, 1], zeros_count=False)
    pad = _ceil_mode(node, source, kernel, stride, pad)
    return _pool(graph, node, "max_pool", source, kernel, stride, pad)


def average_pool(graph: Graph, node: Node) -> Operand:
    kernel, stride, count = _kernel(node), _pair(node, "strides"), bool(node.get("count_include_pad", 0))
    source, pad = _window_input(graph, node, kernel, stride, [1, 1], zeros_count=count)
    grown = _ceil_mode(node, source, kernel, stride, pad)
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
    **attributes: bool,
) -> Value:
    batch, channels, height, width = image(source)
    if any(pad[side] >= kernel[side % 2] for side in range(4)):
        raise Refusal(f"pads {list(pad)} are not below the kernel {kernel}")
    shape = [
        batch,
        channels,
        _out(height, kernel[0], stride[0], 1, pad[0] + pad[2]),
        _out(width, kernel[1], stride[1], 1, pad[1] + pad[3]),
    ]
    return graph.emit(node, op, [source], shape, kernel=kernel, stride=stride, pad=list(pad), **attributes)


def pad(graph: Graph, node: Node) -> Operand:
    if node.get("mode", "constant") != "constant":
        raise Refusal(f"mode {node.get('mode')!r}; expected 'constant'")
    padded = graph.padded(node)
    rank = len(padded.value.shape)
    amounts = graph.ints(node, "pads", 1)
    axes = graph.ints(node, "axes", 3) or list(range(rank))
    if amounts is None or len(amounts) != 2 * len(axes):
        raise Refusal(f"pads {amounts} do not fit {len(axes)} axes")
    filling = graph.optional_constant(node, 2)
    fill = node.get("value", 0.0) if filling is None else float(filling.reshape(()))
    ends = {
        axis % rank: pair for axis, pair in zip(axes, zip(amounts, amounts[len(axes) :], strict=False), strict=True)
    }
    touched = {axis for axis, pair in ends.items() if pair != (0, 0)}
    if not touched:
        return graph.operand(node, 0)
    if rank != 4 or not touched <= {2, 3}:
        raise Refusal(f"pads {amounts} of {text(padded.value.shape)}; expected height and width alone")
    if fill != 0 or min(amounts) < 0:
        raise Refusal(f"pads {amounts} with {fill}; expected zeros and no negative amounts")
    (top, bottom), (left, right) = ends.get(2, (0, 0)), ends.get(3, (0, 0))
    old = padded.pad
    return Padded(padded.value, (old[0] + top, old[1] + left, old[2] + bottom, old[3] + right))


def resize(graph: Graph, node: Node) -> Operand:
    """Resize of all opsets, and its forerunner Upsample."""
    source = graph.value(node)
    batch, channels, height, width = image(source)
    if node.get("mode", "nearest") != "nearest":
        raise Refusal(f"mode {node.get('mode')!r}; expected 'nearest'")
    if node.op == "Upsample" or node.opset < 11:
        transformation, rounding = "asymmetric", "floor"
    else:
        transformation = node.get("coordinate_transformation_mode", "half_pixel")
        rounding = node.get("nearest_mode", "round_prefer_floor")
    factors = _factors(graph, node, (batch, channels, height, width))
    if factors[:2] != [1, 1]:
        raise Refusal(f"scales {factors}; expected 1 for the batch and the channels")
    shape: list[Size] = [batch, channels]
    for size, factor in zip((height, width), factors[2:], strict=True):
        if not _is_floor(size, factor, transformation, rounding):
            how = f"{transformation} with {rounding} at scale {factor:g}"
            raise Refusal(f"{how} picks other pixels than floor(i / scale)")
        shape.append(math.floor(size * factor))
    if factors[2:] == [1, 1]:
        return source
    return graph.emit(node, "resize", [source], shape, scale=factors[2:])


def _factors(graph: Graph, node: Node, shape: Sequence[Size]) -> list[float]:
    """The four scales of a resize."""
    last = 1 if node.op == "Upsample" or node.opset < 11 else 2
    if "scales" in node:
        factors = node.get("scales")
    elif node.has_input(last) and graph.constant(node, last).size:
        factors = graph.constant(node, last).reshape(-1).astype(float).tolist()
    else:
        return _factors_from_sizes(graph, node, shape)
    axes = node.get("axes", list(range(len(factors))))
    result = [1.0] * 4
    for axis, factor in zip(axes, factors, strict=True):
        result[axis] = float(str(np.float32(factor)))  # 2.3 as it was meant, not as float32 holds it
    if not all(math.isfinite(factor) and 1 / 64 <= factor <= 64 for factor in result):
        raise Refusal(f"scales {result}; expected 1/64 to 64")
    return result


def _factors_from_sizes(graph: Graph, node: Node, shape: Sequence[Size]) -> list[float]:
    operand = graph.operand(node, 3)
    if not isinstance(operand, np.ndarray) or node.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise Refusal("the size is computed from values, or keeps the aspect ratio")
    sizes = operand.reshape(-1).tolist()
    axes = node.get("axes", list(range(len(sizes))))
    result = [1.0] * 4
    for axis, size in zip(axes, sizes, strict=True):
        if axis == 0 and size in (BATCH, graph.batch):
            continue
        old = shape[axis]
        if isinstance(size, Dim) and isinstance(old, Dim) and size.symbols == old.symbols:
            result[axis] = size.coefficient / old.coefficient
        elif isinstance(size, int) and isinstance(old, int):
            result[axis] = size / old
            if math.floor(old * result[axis]) != size:
                raise Refusal(f"no number times {old} gives {size}")
        else:
            raise Refusal(f"resizes {old} to {size}, no fixed ratio")
    return result


def _is_floor(size: Size, factor: float, transformation: str, rounding: str) -> bool:
    """Whether a resize picks the source pixels floor(i / scale), as a plan does.

    The formulas are those of the operator's text in the ONNX standard. Where the size is unknown, whole
    scales alone are certain: their pattern repeats.
    """
    if not isinstance(size, int) and not factor.is_integer():
        return False
    source = size if isinstance(size, int) else 64
    count = math.floor(source * factor)
    index = np.arange(count, dtype=np.float64)
    position: Array
    picked: Array
    expected = np.minimum(np.floor(index / factor), source - 1)
    if transformation == "asymmetric":
        position = index / factor
    elif transformation == "half_pixel" or (transformation == "pytorch_half_pixel" and count > 1):
        position = (index + 0.5) / factor - 0.5
    elif transformation == "align_corners" and count > 1:
        position = index * (source - 1) / (count - 1)
    else:
        return False
    if rounding == "floor":
        picked = np.floor(position)
    elif rounding == "ceil":
        picked = np.ceil(position)
    elif rounding == "round_prefer_floor":
        picked = np.ceil(position - 0.5)
    else:
        picked = np.floor(position + 0.5)
    return bool((np.clip(picked, 0, source - 1) == expected).all())


def _pair(node: Node, attribute: str) -> list[int]:
    values = node.get(attribute, [1, 1])
    if len(values) != 2 or min(values) < 1:
        raise Refusal(f"{attribute} {values}; expected two numbers above 0")
    return [int(value) for value in values]


def _kernel(node: Node) -> list[int]:
    if "kernel_shape" not in node:
        raise Refusal("kernel_shape is missing")
    if _pair(node, "dilations") != [1, 1]:
        raise Refusal(f"dilations {node.get('dilations')}; expected 1")
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


def _ceil_mode(node: Node, source: Value, kernel: list[int], stride: list[int], pad: Pad) -> Pad:
    """ceil_mode as padding below and right: a last window that begins inside the map is kept."""
    if not node.get("ceil_mode", 0) or stride == [1, 1]:
        return pad
    grown = list(pad)
    for axis, size in enumerate(source.shape[2:]):
        if stride[axis] == 1:
            continue
        length = known([size])[0]
        room = length + pad[axis] + pad[axis + 2] - kernel[axis]
        count = -(-room // stride[axis]) + 1
        if (count - 1) * stride[axis] >= length + pad[axis]:
            count -= 1
        grown[axis + 2] += max(0, (count - 1) * stride[axis] - room)
    return (grown[0], grown[1], grown[2], grown[3])


WINDOW_OPS: dict[str, Translator] = {
    "AveragePool": average_pool,
    "Conv": conv,
    "DepthToSpace": depth_to_space,
    "MaxPool": max_pool,
    "Pad": pad,
    "Resize": resize,
    "SpaceToDepth": space_to_depth,
    "Upsample": resize,
}
