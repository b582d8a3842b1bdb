"""The networks of the comparison, as ONNX files of a fixed batch size in a cache folder.

MobileFaceNet comes from a file with trained weights. The IResNets have InsightFace's
arcface_torch layout and random weights: their time does not depend on the values, as long as
these are of the usual size. So every batch norm gets the statistics of what really flows through
it, and the embedding has an rms of about 1.6, as trained networks of this kind have.
"""

import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

SIZE = 112
DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 14, 3), 100: (3, 13, 30, 3), 200: (6, 26, 60, 6)}
EMBEDDING_RMS = 1.6
SHARED_FILES = {
    "mobilefacenet": "mobilefacenet512.onnx",
    "detector": "face_detect_rfb320.onnx",
    "yunet": "yunet_2023mar_int8bq.onnx",
    "landmarks": "face_landmark68.onnx",
    "sface": "sface_2021dec_int8bq.onnx",
}
TRANSFORMERS = {
    "vit": {"patch": 8, "width": 256, "heads": 4, "depth": 6, "embedding": 512},
    "edgeface": {"widths": (32, 64, 100, 192), "depths": (3, 3, 9, 3), "embedding": 512},  # EdgeFace-XS
}
ANY_BATCH = ("mobilefacenet", *(f"iresnet{depth}" for depth in DEPTHS))  # the others: one image
NAMES = tuple(dict.fromkeys((*ANY_BATCH, *TRANSFORMERS, *SHARED_FILES)))


def network(name: str, batch: int, shared: Path, cache: Path) -> Path:
    """ONNX file of network ``name`` with the batch size written into it; made once, then reused."""
    fixed = cache / f"{name}-b{batch}.onnx"
    if not fixed.exists():
        cache.mkdir(parents=True, exist_ok=True)
        if name in TRANSFORMERS:
            export_transformer(name, batch, fixed)
            return fixed
        if name in SHARED_FILES:
            source = shared / "models" / SHARED_FILES[name]
        else:
            source = cache / f"{name}.onnx"
            if not source.exists():
                export_iresnet(int(name.removeprefix("iresnet")), source)
        model = with_plain_weights(onnx.load(source))
        onnx.save(with_batch(model, batch) if name in ANY_BATCH else model, fixed)
    return fixed


def with_plain_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with everything that is computed from weights alone computed: the 8-bit blocks of
    YuNet's and SFace's weights become fp32, as not every engine reads them. Only inputs that are used and have no
    value remain."""
    from onnx.reference import ReferenceEvaluator

    graph = model.graph
    known = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    nodes = []
    for node in graph.node:
        if node.op_type in ("DequantizeLinear", "Reshape") and all(name in known for name in node.input):
            evaluator = ReferenceEvaluator(node, opsets={"": model.opset_import[0].version})
            known[node.output[0]] = evaluator.run(None, {name: known[name] for name in node.input})[0]
        else:
            nodes.append(node)
    used = {name for node in nodes for name in node.input}
    inputs = [value for value in graph.input if value.name in used and value.name not in known]
    weights = [onnx.numpy_helper.from_array(known[name], name) for name in known if name in used]
    for field, values in ((graph.input, inputs), (graph.node, nodes), (graph.initializer, weights)):
        kept = [type(value).FromString(value.SerializeToString()) for value in values]
        del field[:]
        field.extend(kept)
    return model


def with_batch(model: onnx.ModelProto, batch: int) -> onnx.ModelProto:
    """The same graph for inputs of ``batch`` images: inputs, outputs and final reshapes say so."""
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = batch
    del model.graph.value_info[:]
    shapes = {node.input[1] for node in model.graph.node if node.op_type == "Reshape"}
    for tensor in model.graph.initializer:
        if tensor.name in shapes:
            shape = onnx.numpy_helper.to_array(tensor).copy()
            shape[0] = batch
            tensor.CopyFrom(onnx.numpy_helper.from_array(shape, tensor.name))
    return onnx.shape_inference.infer_shapes(model)


def export_transformer(name: str, batch: int, path: Path) -> None:
    """Writes a transformer of the tests, of the size that people use and with random weights, as ONNX of this batch."""
    import torch

    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    import transformers

    net = getattr(transformers, name)(**TRANSFORMERS[name])
    names = {"input_names": ["input"], "output_names": ["embedding"]}
    torch.onnx.export(net, (torch.zeros(batch, 3, SIZE, SIZE),), path, opset_version=17, dynamo=False, **names)


def export_iresnet(depth: int, path: Path) -> None:
    """Writes an IResNet with random weights as ONNX, batch size left open."""
    import torch

    net = iresnet(depth)
    torch.onnx.export(
        net,
        (torch.zeros(1, 3, SIZE, SIZE),),
        path,
        input_names=["input"],
        output_names=["embedding"],
        dynamic_axes={"input": {0: "batch"}, "embedding": {0: "batch"}},
        opset_version=13,
        dynamo=False,
    )


def iresnet(depth: int):
    """An IResNet (torch module, evaluation mode) with random weights and measured batch-norm statistics."""
    import torch
    from torch import nn

    class Block(nn.Module):
        """bn1, conv1, bn2, prelu, conv2 (which has the stride), bn3, plus the shortcut."""

        def __init__(self, inputs: int, outputs: int, stride: int) -> None:
            super().__init__()
            self.bn1 = nn.BatchNorm2d(inputs)
            self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
            self.bn2 = nn.BatchNorm2d(outputs)
            self.prelu = nn.PReLU(outputs)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, stride, padding=1, bias=False)
            self.bn3 = nn.BatchNorm2d(outputs)
            self.downsample = None
            if stride != 1 or inputs != outputs:
                self.downsample = nn.Sequential(
                    nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
                )

        def forward(self, x):
            y = self.conv1(self.bn1(x))
            y = self.bn3(self.conv2(self.prelu(self.bn2(y))))
            return y + (x if self.downsample is None else self.downsample(x))

    torch.manual_seed(depth)
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.PReLU(64)]
    channels = 64
    for stage, blocks in enumerate(DEPTHS[depth]):
        for block in range(blocks):
            layers.append(Block(channels, 64 << stage, 2 if block == 0 else 1))
            channels = 64 << stage
    layers += [nn.BatchNorm2d(512), nn.Flatten(), nn.Linear(512 * 7 * 7, 512), nn.BatchNorm1d(512)]
    net = nn.Sequential(*layers)

    with torch.inference_mode():
        for module in net.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
            elif isinstance(module, nn.PReLU):
                module.weight.uniform_(0.05, 0.45)
            elif isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.7, 1.3)
                module.bias.uniform_(-0.3, 0.3)
                module.momentum = 1.0  # the statistics of one batch, not an average over many
        for module in net.modules():
            if isinstance(module, Block) and module.downsample is None:
                module.bn3.weight.uniform_(0.2, 0.5)  # residual branches are smaller than the trunk
        faces = torch.from_numpy(images((8, 3, SIZE, SIZE), seed=depth))
        net.train()
        embedding = net[:-1](faces)
        features = net[-1]
        features.running_mean.copy_(embedding.mean(0))
        features.running_var.fill_(embedding.var(0).mean())
        features.weight.fill_(1.0)
        net.eval()
        rms = net(torch.from_numpy(images((8, 3, SIZE, SIZE), seed=depth + 1))).square().mean().sqrt()
        features.weight.mul_(EMBEDDING_RMS / rms)
        features.bias.zero_()
    return net


def input_shape(path: Path) -> list[int]:
    """Shape of the first input, batch included."""
    graph = onnx.load(path, load_external_data=False).graph
    return [dim.dim_value for dim in graph.input[0].type.tensor_type.shape.dim]


def images(shape: Sequence[int], seed: int) -> NDArray[np.float32]:
    """Smooth random pictures in -1..1 of the shape (count, channels, height, width): noise at five scales."""
    count, channels, height, width = shape
    rng = np.random.default_rng(seed)
    total = np.zeros(shape)
    for cell in (1, 4, 8, 16, 32):
        rows, cols = math.ceil(height / cell), math.ceil(width / cell)
        noise = rng.standard_normal((count, channels, rows, cols)) * math.sqrt(cell)
        total += noise.repeat(cell, axis=2).repeat(cell, axis=3)[:, :, :height, :width]
    return np.tanh(total / 8).astype(np.float32)


def multiply_adds(path: Path) -> int:
    """Multiply-adds of the convolutions and matrix products of a network, per image."""
    model = onnx.shape_inference.infer_shapes(onnx.load(path), data_prop=True)
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*model.graph.value_info, *model.graph.output)
    }
    shapes |= {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    batch = model.graph.input[0].type.tensor_type.shape.dim[0].dim_value
    total = 0
    for node in model.graph.node:
        if node.op_type == "Conv":  # each output takes the product of one filter
            total += math.prod(shapes[node.output[0]]) * math.prod(shapes[node.input[1]][1:])
        elif node.op_type == "Gemm":
            total += batch * math.prod(shapes[node.input[1]])
        elif node.op_type == "MatMul":  # each output takes a row times a column
            total += math.prod(shapes[node.output[0]]) * shapes[node.input[1]][-2]
    return total // batch
