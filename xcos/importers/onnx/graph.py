"""The state of an import: what each name of an ONNX graph stands for, and the plan as far as it stands."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...plan.build import PlanBuilder
from .dims import BATCH, Size, product
from .fold import ints_of
from .node import Array, Node, Refusal


@dataclass(frozen=True)
class Value:
    """A value of the plan; shape[0] is BATCH."""

    name: str
    shape: tuple[Size, ...]


@dataclass(frozen=True)
class Padded:
    """A value with zeros around it that no layer has added yet: the next one may take them as its padding."""

    value: Value
    pad: tuple[int, int, int, int]  # top, left, bottom, right


@dataclass(frozen=True)
class View:
    """A value whose batch is not in front, or counts as one axis with others: what is done to it later may part them.

    `axes` says of each axis that is seen which of the value's it is made of; the batch's alone may be made of several.
    """

    value: Value
    axes: tuple[tuple[int, ...], ...]

    @property
    def shape(self) -> tuple[Size, ...]:
        return tuple(product([self.value.shape[axis] for axis in group]) for group in self.axes)


def refusal_of(view: View) -> Refusal:
    """Why a translator that asks for a value as it stands cannot take this one."""
    if any(len(group) > 1 for group in view.axes):
        return Refusal(f"the shape {text(view.shape)} joins the batch with other axes, and nothing parts them")
    perm = [axis for (axis,) in view.axes]
    return Refusal(f"the order {perm} of the axes moves the batch, which must stay the first axis")


Operand = Value | Padded | View | Array
Translator = Callable[["Graph", Node], Operand | list[Operand]]


class Graph:
    """What the translators work on.

    Attributes
    ----------
    plan : the plan so far.
    batch : the batch that the graph was exported with, None where it is free there. A literal equal to it in
        a shape stands for the batch.
    operands : what the names seen so far stand for; None: it could not be imported.
    """

    def __init__(self, plan: PlanBuilder, batch: int | None) -> None:
        self.plan = plan
        self.batch = batch
        self.operands: dict[str, Operand | None] = {}
        self._materialised: dict[Padded, Value] = {}

    def emit(self, node: Node, op: str, inputs: Sequence[Value], shape: Sequence[Size], /, **attributes: Any) -> Value:
        """Appends a layer that gives a value of this shape; refuses shapes without the batch in front."""
        if not shape or shape[0] != BATCH:
            raise Refusal("the batch must stay the first dimension, and whole")
        if any(isinstance(size, int) and size < 1 for size in shape[1:]):
            raise Refusal(f"the result would have the shape {text(shape)}")
        names = [source.name for source in inputs]
        output = self.plan.layer(op, names, node.output, node.name, **attributes)
        return Value(output, tuple(shape))

    def operand(self, node: Node, index: int) -> Operand:
        if not node.has_input(index):
            raise Refusal(f"input {index} is missing")
        operand = self.operands[node.inputs[index]]
        assert operand is not None  # nodes behind what could not be imported are not translated
        return operand

    def padded(self, node: Node, index: int = 0) -> Padded:
        """An input that a run computes, its padding apart."""
        operand = self.operand(node, index)
        if isinstance(operand, Padded):
            return operand
        return Padded(self.value(node, index), (0, 0, 0, 0))

    def value(self, node: Node, index: int = 0) -> Value:
        """An input that a run computes."""
        operand = self.operand(node, index)
        if isinstance(operand, Padded):
            return self.materialise(node, operand)
        if isinstance(operand, View):
            raise refusal_of(operand)
        if not isinstance(operand, Value):
            raise Refusal(f"input {index} ({node.inputs[index]!r}) is a constant; expected a computed value")
        return operand

    def view(self, node: Node, index: int = 0) -> View:
        """An input that a run computes, wherever its batch stands."""
        operand = self.operand(node, index)
        if isinstance(operand, View):
            return operand
        value = self.value(node, index)
        return View(value, tuple((axis,) for axis in range(len(value.shape))))

    def is_constant(self, node: Node, index: int) -> bool:
        return isinstance(self.operand(node, index), np.ndarray)

    def constant(self, node: Node, index: int) -> Array:
        """An input that is known now, as numbers."""
        operand = self.operand(node, index)
        if not isinstance(operand, np.ndarray):
            raise Refusal(f"input {index} ({node.inputs[index]!r}) is computed; expected a constant")
        if operand.dtype == object:
            raise Refusal(f"input {index} ({node.inputs[index]!r}) depends on the size of the input")
        return operand

    def optional_constant(self, node: Node, index: int) -> Array | None:
        return self.constant(node, index) if node.has_input(index) else None

    def tensor(self, node: Node, index: int, shape: Sequence[int] | None = None) -> str:
        """A constant input as a tensor of the plan, of the shape given if one is."""
        array = self.constant(node, index)
        return self.plan.tensor(node.inputs[index], array if shape is None else array.reshape(shape))

    def ints(self, node: Node, attribute: str, index: int) -> list[int] | None:
        """Integers that are an attribute in older opsets and an input in newer ones."""
        args = [None] * index
        return ints_of(node, [*args, self.optional_constant(node, index)], attribute, index)

    def scalar(self, node: Node, number: float, rank: int) -> Value:
        """One number as a constant for arithmetic with a value of this rank."""
        shape = (1,) * rank
        return Value(self.plan.tensor(f"{node.output}.number", np.full(shape, number)), shape)

    def materialise(self, node: Node, padded: Padded) -> Value:
        """Padding as a layer of its own: a 1x1 depthwise convolution with ones."""
        if padded not in self._materialised:
            batch, channels, height, width = padded.value.shape
            if not isinstance(channels, int):
                raise Refusal("padding needs a known number of channels")
            top, left, bottom, right = padded.pad
            ones = self.plan.tensor(f"{padded.value.name}.ones", np.ones((channels, 1, 1, 1)))
            self._materialised[padded] = self.emit(
                node,
                "conv",
                [padded.value],
                (batch, channels, height + top + bottom, width + left + right),
                weight=ones,
                pad=list(padded.pad),
                groups=channels,
            )
        return self._materialised[padded]


def axis_of(node: Node, axis: int, rank: int, what: str = "axis") -> int:
    """An axis counted from the front; refuses the batch."""
    if not -rank <= axis < rank:
        raise Refusal(f"{what} {axis} is out of range for {rank} dimensions")
    axis %= rank
    if axis == 0:
        raise Refusal(f"{what} 0 is the batch, which no layer may touch")
    return axis


def image(value: Value) -> tuple[Size, int, Size, Size]:
    """The shape of a feature map (batch, channels, height, width), its channels known."""
    if len(value.shape) != 4:
        raise Refusal(f"the input has the shape {text(value.shape)}; expected (batch, channels, height, width)")
    batch, channels, height, width = value.shape
    if not isinstance(channels, int):
        raise Refusal("the number of channels is unknown")
    return batch, channels, height, width


def arithmetic(graph: Graph, node: Node, op: str, a: Value, b: Value | float) -> Value:
    """A layer of two inputs (add, mul, maximum ...), of which the second may be a number."""
    b = b if isinstance(b, Value) else graph.scalar(node, b, len(a.shape))
    shape = [broadcast(x, y) for x, y in zip(a.shape, b.shape, strict=True)]
    return graph.emit(node, op, [a, b], shape)


def known(sizes: Sequence[Size]) -> list[int]:
    """Sizes that must be known when importing."""
    result = [size for size in sizes if isinstance(size, int)]
    if len(result) != len(sizes):
        raise Refusal(f"needs a known size, got {text(sizes)}")
    return result


def text(sizes: Sequence[Size]) -> str:
    return "(" + ", ".join(map(str, sizes)) + ")"


def broadcast(a: Size, b: Size) -> Size:
    if a == 1 or b == 1:
        return b if a == 1 else a
    if a != b and (isinstance(a, int) or isinstance(b, int)):
        raise Refusal(f"sizes {a} and {b} do not broadcast")
    return a  # two unknown sizes: the core checks them when it plans a run
