"""Reads an ONNX face network up to its embedding: pictures of a given size in, the bare embedding out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import onnx

from ...base.foreign import complaint
from ...base.names import shown
from ...errors import ModelFileError
from ...plan.file import ModelFile
from .importer import import_onnx, load_onnx

# What exporters make of dividing by the length: the operators between the vector and its length.
_OF_A_LENGTH = {
    "Abs", "Add", "Cast", "Clip", "Div", "Expand", "Identity", "Max", "Mul", "Pow", "ReduceL2", "ReduceSum",
    "ReduceSumSquare", "Reciprocal", "Reshape", "Shape", "Sqrt", "Unsqueeze",
}  # fmt: skip
_NORMALISES = {"LpNormalization", "Normalizer"}


def import_embedding(
    source: str | os.PathLike[str],
    *,
    output: str = "",
    side: int = 112,
    shape: Sequence[int] | None = None,
    preprocess: Mapping[str, Any] | None = None,
) -> ModelFile:
    """Translates a graph from its one input to an embedding.

    A division by the embedding's length at the end, which cosines do not notice, is left out.
    output : the embedding's name, by default the graph's first output.
    side : an input of any size is taken as (3, side, side).
    shape : height and width of the pictures, whatever the graph declares.

    Raises what `import_onnx` raises; ModelFileError for several inputs.
    """
    try:
        model = load_onnx(source)
        pictures = _pictures(model.graph)
        sizes = [size.dim_value for size in pictures.type.tensor_type.shape.dim]
        free = len(sizes) != 4 or 0 in sizes[1:]
        shapes: dict[str, tuple[int, ...]] = {pictures.name: (3, side, side)} if free else {}
        if shape is not None:
            shapes = of_pictures(model, shape)
        end = before_normalisation(model.graph, output or model.graph.output[0].name)
        name = shown(os.path.splitext(os.path.basename(source))[0])
        try:
            return import_onnx(model, name=name, shapes=shapes, outputs=[end], preprocess=preprocess)
        except ModelFileError as error:
            if shape is not None or not free:
                raise
            raise ModelFileError(
                f"takes pictures of any height and width, but not of {side} x {side}; "
                f"say which with shape=(height, width) of xcos.convert, --shape of the command ({error})"
            ) from None
    except ModelFileError as error:
        raise ModelFileError(complaint(source, error, "an ONNX graph", ("an ONNX graph",))) from None


def of_pictures(source: str | os.PathLike[str] | onnx.ModelProto, shape: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """The shape after the batch of a graph's one input, for pictures of this height and width: (3, height, width), or
    as many channels as it declares, in front or behind.

    Raises ModelFileError for several inputs, and for what is no height and width from 1 on.
    """
    if len(shape) != 2 or not all(isinstance(size, int) and size > 0 for size in shape):
        raise ModelFileError(f"the shape {tuple(shape)!r}; expected height and width, two numbers from 1 on")
    pictures = _pictures(load_onnx(source).graph)
    sizes = [size.dim_value for size in pictures.type.tensor_type.shape.dim]
    if len(sizes) == 4 and sizes[3] in (1, 3) and sizes[1] not in (1, 3):
        return {pictures.name: (*shape, sizes[3])}
    return {pictures.name: ((sizes[1] if len(sizes) == 4 else 0) or 3, *shape)}


def _pictures(graph: onnx.GraphProto) -> onnx.ValueInfoProto:
    """The input of a graph that has one."""
    # Old exporters list weights among the inputs, even those that nothing reads any more.
    read = {name for node in graph.node for name in node.input}
    read -= {tensor.name for tensor in graph.initializer}
    inputs: list[onnx.ValueInfoProto] = [value for value in graph.input if value.name in read]
    if len(inputs) != 1:
        raise ModelFileError(f"has the inputs {[value.name for value in inputs]}; expected one of pictures")
    return inputs[0]


def ends_in_one_embedding(graph: onnx.GraphProto) -> bool:
    """Is the first output a vector, and every other one its length? So AdaFace has it."""
    producers = {output: node for node in graph.node for output in node.output}
    first, *others = [output.name for output in graph.output]
    vector = before_normalisation(graph, first)
    return all(_is_length_of(producers, vector, other) for other in others)


def before_normalisation(graph: onnx.GraphProto, name: str) -> str:
    """The value that `name` is once it is not divided by its own length; `name` itself where it is not."""
    producers = {output: node for node in graph.node for output in node.output}
    node = producers.get(name)
    while node is not None and node.op_type == "Identity":
        name = node.input[0]
        node = producers.get(name)
    if node is None:
        return name
    if node.op_type in _NORMALISES:
        return str(node.input[0])
    if node.op_type in ("Div", "Mul"):
        for vector, length in (node.input, reversed(node.input)) if node.op_type == "Mul" else (node.input,):
            if _is_length_of(producers, vector, length):
                return str(vector)
    return name


def _is_length_of(producers: Mapping[str, onnx.NodeProto], vector: str, length: str) -> bool:
    """Does `length` come from `vector` and constants alone, by the operators of a length, a sum among them?"""
    seen: set[str] = set()
    found: set[str] = set()
    waiting = [length]
    while waiting:
        name = waiting.pop()
        if name in seen or name == vector or not name:
            found |= {name} & {vector}
            continue
        seen.add(name)
        node = producers.get(name)
        if node is None or node.op_type == "Constant":
            continue
        if node.op_type not in _OF_A_LENGTH:
            return False
        found.add(node.op_type)
        waiting += node.input
    return vector in found and any(op.startswith("ReduceSum") or op == "ReduceL2" for op in found)
