"""An ONNX graph of a face network as a PyTorch module, for PyTorch's row of the comparison."""

from typing import Any

import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional as F


class Graph(nn.Module):
    """Calls the functional form of each node. Holds the operators of MobileFaceNet and the IResNets;
    another one raises ``NotImplementedError`` with its name."""

    def __init__(self, model: onnx.ModelProto) -> None:
        super().__init__()
        self.nodes = list(model.graph.node)
        self.input = model.graph.input[0].name
        self.output = model.graph.output[0].name
        self.input_shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
        self.shapes: dict[str, list[int]] = {}
        self.names: dict[str, str] = {}
        for index, tensor in enumerate(model.graph.initializer):
            array = numpy_helper.to_array(tensor)
            if array.dtype.kind == "i":
                self.shapes[tensor.name] = array.tolist()
            else:
                self.names[tensor.name] = f"weight{index}"
                self.register_buffer(f"weight{index}", torch.from_numpy(array.copy()))

    def forward(self, x: Tensor) -> Tensor:
        values = {name: getattr(self, buffer) for name, buffer in self.names.items()}
        values[self.input] = x
        for node in self.nodes:
            values[node.output[0]] = self.call(node, values)
        return values[self.output]

    def call(self, node: onnx.NodeProto, values: dict[str, Tensor]) -> Tensor:
        given: dict[str, Any] = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        inputs = [values[name] for name in node.input if name in values]
        match node.op_type:
            case "Conv":
                top, left, bottom, right = given.get("pads", [0, 0, 0, 0])
                if (top, left) != (bottom, right):
                    raise NotImplementedError(f"{node.name}: uneven padding {given['pads']}")
                bias = inputs[2] if len(inputs) == 3 else None
                strides, dilations = given.get("strides", [1, 1]), given.get("dilations", [1, 1])
                return F.conv2d(inputs[0], inputs[1], bias, strides, (top, left), dilations, given.get("group", 1))
            case "BatchNormalization":
                x, gamma, beta, mean, var = inputs
                return F.batch_norm(x, mean, var, gamma, beta, eps=given.get("epsilon", 1e-5))
            case "PRelu":
                return F.prelu(inputs[0], inputs[1].flatten())
            case "Relu":
                return F.relu(inputs[0])
            case "Add":
                return inputs[0] + inputs[1]
            case "Flatten":
                return inputs[0].flatten(1)
            case "Reshape":
                return inputs[0].reshape(self.shapes[node.input[1]])
            case "Gemm":
                weight = inputs[1] if given.get("transB", 0) else inputs[1].T
                return F.linear(inputs[0], weight, inputs[2])
        raise NotImplementedError(f"operator {node.op_type} ({node.name})")
