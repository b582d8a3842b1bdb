"""One node of an ONNX graph, with the differences between opsets levelled where that is possible."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

Array = NDArray[Any]
"""A constant. Of dtype object where its elements are sizes (int or Dim)."""


class Refusal(Exception):
    """Why a node cannot be imported."""


class Node:
    """A node's operator, names and attributes.

    `opset` is the version of the operator set that the graph follows.
    """

    def __init__(self, proto: NodeProto, opset: int) -> None:
        self.op = proto.op_type if proto.domain in ("", "ai.onnx") else f"{proto.domain}.{proto.op_type}"
        self.name = proto.name
        self.opset = opset
        self.inputs: list[str] = list(proto.input)
        self.outputs: list[str] = list(proto.output)
        self._attributes = {item.name: item for item in proto.attribute}
        self._proto = proto

    def __str__(self) -> str:
        where = repr(self.name) if self.name else f"with the output {self.outputs[0]!r}"
        return f"{self.op} {where}"

    def __contains__(self, attribute: str) -> bool:
        return attribute in self._attributes

    def get(self, attribute: str, default: Any = None) -> Any:
        """An attribute: int, float, str, a list of these, or an array."""
        if attribute not in self._attributes:
            return default
        value: Any = helper.get_attribute_value(self._attributes[attribute])
        if isinstance(value, bytes):
            return value.decode()
        if isinstance(value, TensorProto):
            return array_of(value)
        return list(value) if not isinstance(value, int | float | str) else value

    def has_input(self, index: int) -> bool:
        return index < len(self.inputs) and self.inputs[index] != ""

    def with_height(self) -> "Node":
        """A node with a window over one axis as one over two, of height 1; it has two inputs of its own."""
        proto = NodeProto()
        proto.CopyFrom(self._proto)
        for index, name in enumerate(self.inputs[:2]):
            proto.input[index] = f"{name}.of height 1" if name else ""
        for item in proto.attribute:
            if item.name in ("kernel_shape", "strides", "dilations"):
                item.ints.insert(0, 1)
            elif item.name == "output_padding":
                item.ints.insert(0, 0)
            elif item.name == "pads":
                item.ints[:] = [0, *item.ints[: len(item.ints) // 2], 0, *item.ints[len(item.ints) // 2 :]]
        return Node(proto, self.opset)

    def of(self, inputs: Sequence[str], **attributes: int | list[int]) -> "Node":
        """The same operator for other inputs, some of its attributes replaced."""
        proto = NodeProto()
        proto.CopyFrom(self._proto)
        del proto.input[:], proto.attribute[:]
        proto.input.extend(inputs)
        proto.attribute.extend(item for item in self._proto.attribute if item.name not in attributes)
        proto.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())
        return Node(proto, self.opset)

    @property
    def output(self) -> str:
        return self.outputs[0]


def array_of(tensor: TensorProto) -> Array:
    """A tensor as an array; small types that NumPy lacks (bfloat16, int4, float8) become float32."""
    if tensor.data_location == TensorProto.EXTERNAL:  # onnx.load has read those of a file given by its path
        raise ValueError(f"the numbers of {tensor.name!r} lie in another file; expected the path of the ONNX file")
    array = numpy_helper.to_array(tensor)
    return array.astype(np.float32) if array.dtype.kind not in "biufO" else array
