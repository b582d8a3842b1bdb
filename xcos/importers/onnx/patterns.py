"""Finds what exporters take apart, and puts it together again: layer norms and GELU.

`together` gives the nodes of a graph with one node in place of several; those that nothing reads any more stay
behind, for whoever keeps only what is needed.
"""

import math
from collections.abc import Iterable

from onnx import GraphProto, NodeProto, helper, numpy_helper

from .node import Array

NORMALIZE = "xcos.Normalize"
"""Inputs x, gamma, beta (the latter two may be ""), attributes axes and epsilon: what LayerNormalization does, over
any axes."""


def together(graph: GraphProto) -> list[NodeProto]:
    """The nodes of the graph, norms and GELU in one piece."""
    view = _View(graph)
    replaced: dict[str, NodeProto] = {}  # by the output of the node whose place is taken
    for node in graph.node:
        whole = _norm(view, node) if node.op_type == "Div" else _gelu(view, node) if node.op_type == "Erf" else None
        if whole is not None:
            replaced[whole.output[0]] = whole
    return [replaced.get(node.output[0], node) if node.output else node for node in graph.node]


class _View:
    """Who makes and who reads each value."""

    def __init__(self, graph: GraphProto) -> None:
        self._producers = {output: node for node in graph.node for output in node.output}
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        self._readers: dict[str, list[NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)
        self._outputs = {output.name for output in graph.output}

    def producer(self, name: str, *ops: str) -> NodeProto | None:
        node = self._producers.get(name)
        return node if node is not None and node.op_type in ops else None

    def only_reader(self, name: str, op: str) -> NodeProto | None:
        readers = self._readers.get(name, [])
        if len(readers) != 1 or readers[0].op_type != op or name in self._outputs:
            return None
        return readers[0]

    def numbers(self, name: str) -> Array | None:
        """A constant, where the name is one."""
        node = self.producer(name, "Constant")
        tensor = self._constants.get(name)
        if node is not None:
            tensor = next((item.t for item in node.attribute if item.name == "value"), None)
        return None if tensor is None or tensor.external_data else numpy_helper.to_array(tensor)

    def is_number(self, name: str, *wanted: float) -> bool:
        array = self.numbers(name)
        return (
            array is not None
            and array.size == 1
            and any(math.isclose(float(array.reshape(())), number, rel_tol=1e-3) for number in wanted)
        )


def _others(node: NodeProto, name: str) -> Iterable[str]:
    """The second input of a node of two, for each place at which the first one is `name`."""
    if len(node.input) == 2:
        for index in (0, 1):
            if node.input[index] == name:
                yield node.input[1 - index]


def _axes(view: _View, node: NodeProto) -> list[int] | None:
    for item in node.attribute:
        if item.name == "keepdims" and not item.i:
            return None
    for item in node.attribute:
        if item.name == "axes":
            return list(item.ints)
    array = view.numbers(node.input[1]) if len(node.input) > 1 else None
    return None if array is None else [int(axis) for axis in array.reshape(-1)]


def _mean(view: _View, name: str) -> tuple[str, list[int]] | None:
    """What a value is the mean of, and over which axes."""
    node = view.producer(name, "ReduceMean")
    axes = None if node is None else _axes(view, node)
    return None if node is None or axes is None else (node.input[0], axes)


def _centred(view: _View, name: str) -> tuple[str, list[int]] | None:
    """Of x - mean(x): x, and the axes."""
    node = view.producer(name, "Sub")
    mean = None if node is None else _mean(view, node.input[1])
    return mean if node is not None and mean is not None and mean[0] == node.input[0] else None


def _norm(view: _View, div: NodeProto) -> NodeProto | None:
    """(x - mean) / sqrt(mean((x - mean)^2) + epsilon), times gamma, plus beta where these follow."""
    centred, root = _centred(view, div.input[0]), view.producer(div.input[1], "Sqrt")
    shifted = None if root is None else view.producer(root.input[0], "Add")
    if centred is None or shifted is None:
        return None
    found = None
    for index in (0, 1):
        variance, epsilon = _mean(view, shifted.input[index]), view.numbers(shifted.input[1 - index])
        if variance is not None and epsilon is not None and epsilon.size == 1:
            found = variance, float(epsilon.reshape(()))
    if found is None or found[0][1] != centred[1]:
        return None
    (squares, _), epsilon_value = found
    square = view.producer(squares, "Pow", "Mul")
    if square is None or _centred(view, square.input[0]) != centred:
        return None
    if square.op_type == "Mul" and square.input[0] != square.input[1]:
        return None
    if square.op_type == "Pow" and not view.is_number(square.input[1], 2):
        return None
    output, gamma, beta = div.output[0], "", ""
    times = view.only_reader(output, "Mul")
    for other in _others(times, output) if times is not None else ():
        if times is not None and view.numbers(other) is not None:
            output, gamma = times.output[0], other
    plus = view.only_reader(output, "Add") if gamma else None
    for other in _others(plus, output) if plus is not None else ():
        if plus is not None and view.numbers(other) is not None:
            output, beta = plus.output[0], other
    return helper.make_node(
        "Normalize",
        [centred[0], gamma, beta],
        [output],
        div.name,
        domain="xcos",
        axes=centred[1],
        epsilon=epsilon_value,
    )


def _gelu(view: _View, erf: NodeProto) -> NodeProto | None:
    """x * (1 + erf(x / sqrt(2))) / 2, in each order of its factors."""
    inside = view.producer(erf.input[0], "Div", "Mul")
    if inside is None:
        return None
    x, scale = inside.input[0], math.sqrt(2) if inside.op_type == "Div" else math.sqrt(0.5)
    if inside.op_type == "Mul" and view.numbers(x) is not None:
        x = inside.input[1]
    if not any(view.is_number(other, scale) for other in _others(inside, x)):
        return None
    add = view.only_reader(erf.output[0], "Add")
    if add is None or not any(view.is_number(other, 1) for other in _others(add, erf.output[0])):
        return None
    # The factors still to come: x and a half, one after the other or multiplied already.
    name, missing = add.output[0], {"x", "half"}
    while missing:
        node = view.only_reader(name, "Mul")
        factors = None
        for other in _others(node, name) if node is not None else ():
            half = view.producer(other, "Mul")
            if other == x:
                factors = {"x"}
            elif view.is_number(other, 0.5):
                factors = {"half"}
            elif half is not None and any(view.is_number(number, 0.5) for number in _others(half, x)):
                factors = {"x", "half"}
        if node is None or factors is None or not factors <= missing:
            return None
        name, missing = node.output[0], missing - factors
    return helper.make_node("Gelu", [x], [name], erf.name)
