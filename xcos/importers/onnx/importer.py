"""Imports ONNX graphs as model files. Needs the package onnx (``pip install xcos[onnx]``)."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

try:
    import onnx
    import onnx.inliner
except ImportError as missing:
    raise ImportError("importing ONNX graphs needs the package onnx: pip install xcos[onnx]") from missing
import numpy as np
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from ...base.foreign import complaint
from ...base.names import shown
from ...errors import ModelFileError
from ...plan.build import PlanBuilder
from ...plan.file import ModelFile
from .axes import AXIS_OPS
from .choice import CHOICE_OPS
from .dims import BATCH, Dim, Size
from .fold import can_fold, fold
from .graph import Graph, Operand, Padded, Value, View, refusal_of
from .node import Node, Refusal, array_of
from .norms import NORM_OPS
from .ops import OPS
from .patterns import together
from .pointwise import POINTWISE_OPS
from .reduce import REDUCE_OPS
from .sizes import SIZE_OPS
from .views import VIEW_OPS
from .windows import WINDOW_OPS

OLDEST_OPSET = 7
TRANSLATORS = AXIS_OPS | OPS | CHOICE_OPS | NORM_OPS | POINTWISE_OPS | REDUCE_OPS | SIZE_OPS | WINDOW_OPS | VIEW_OPS


def import_onnx(
    source: str | os.PathLike[str] | bytes | onnx.ModelProto,
    *,
    name: str | None = None,
    kind: str = "recognizer",
    shapes: Mapping[str, Sequence[int | None]] | None = None,
    outputs: Sequence[str] | None = None,
    preprocess: Mapping[str, Any] | None = None,
) -> ModelFile:
    """Translates an ONNX graph (opset 7 and up) into a model file that runs with any batch.

    Parameters
    ----------
    source : path of an ONNX file, its bytes, or a loaded model.
    name : name of the model; by default that of the file or graph.
    kind : "recognizer", "detector" or "landmarks".
    shapes : shapes of inputs by name, counted after the batch, in place of those in the graph; None where any
        size will do. A graph of convolutions exported at 640x640 takes pictures of any size after
        ``shapes={"input": (3, None, None)}``, if nothing in it depends on the size.
    outputs : names of values to end at in place of the graph's outputs.
    preprocess : how pixels become the input, as in docs/model-file.md.

    Raises
    ------
    ModelFileError : no ONNX graph, or one that a plan cannot say. Lists every node concerned and why.
    OSError : the file cannot be opened.
    """
    where = f"{os.fspath(source)}: " if isinstance(source, str | os.PathLike) else ""
    try:
        model = load_onnx(source)
    except ModelFileError as error:
        raise ModelFileError(complaint(source, error, "an ONNX graph", ("an ONNX graph",))) from None
    try:
        default = shown(Path(source).stem) if isinstance(source, str | os.PathLike) else model.graph.name
        return _translate(model, name or default or "onnx", kind, shapes or {}, outputs, preprocess)
    except ModelFileError as error:
        raise ModelFileError(f"{where}{error}") from None
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError) as error:
        # Any field of a damaged graph may hold anything; onnx and NumPy object in their own ways.
        raise ModelFileError(f"{where}damaged graph ({type(error).__name__}: {str(error)[:200]})") from error


def load_onnx(source: str | os.PathLike[str] | bytes | onnx.ModelProto) -> onnx.ModelProto:
    """The graph, local functions inlined. Raises ModelFileError for what is none, OSError."""
    try:
        if isinstance(source, onnx.ModelProto):
            model = source
        elif isinstance(source, bytes):
            model = onnx.load_model_from_string(source)
        else:
            model = onnx.load(source)
        if model.functions:
            model = onnx.inliner.inline_local_functions(model)
    except DecodeError:
        raise ModelFileError("the ONNX graph is damaged or cut short: its end does not come where it says") from None
    except (onnx.checker.ValidationError, ValueError) as error:
        raise ModelFileError(f"not a readable ONNX file ({str(error)[:200]})") from None
    if not model.graph.node or not model.graph.output:
        raise ModelFileError("not an ONNX file, or a graph without nodes or outputs")
    return model


def _translate(
    model: onnx.ModelProto,
    name: str,
    kind: str,
    shapes: Mapping[str, Sequence[int | None]],
    outputs: Sequence[str] | None,
    preprocess: Mapping[str, Any] | None,
) -> ModelFile:
    opset = next((item.version for item in model.opset_import if item.domain in ("", "ai.onnx")), 0)
    if opset < OLDEST_OPSET:
        raise ModelFileError(f"opset {opset}; expected {OLDEST_OPSET} or above")
    wanted = list(outputs or [output.name for output in model.graph.output])
    nodes, needed = _needed([Node(proto, opset) for proto in together(model.graph)], wanted)

    reserved = {item for node in nodes for item in (*node.inputs, *node.outputs)} | set(wanted)
    plan = PlanBuilder(reserved)
    graph = Graph(plan, _declare_inputs(model.graph, plan, needed, shapes))
    problems = _read_constants(model.graph, graph, needed)
    for proto in plan.inputs:
        sizes: list[Size] = [
            Dim(1, (f"{proto['name']}[{axis}]",)) if size is None else size
            for axis, size in enumerate(proto["shape"], 1)
        ]
        graph.operands[proto["name"]] = Value(proto["name"], (BATCH, *sizes))
    for node in nodes:
        problem = _visit(graph, node, needed, wanted)
        if problem:
            problems.append(f"{node}: {problem}")
    if problems:
        count = "1 node" if len(problems) == 1 else f"{len(problems)} nodes"
        raise ModelFileError("\n  ".join([f"{count} cannot be imported:", *problems]))
    _name_outputs(graph, wanted)
    plan.keep(wanted)
    producer = " ".join(filter(None, [model.producer_name, model.producer_version]))
    return ModelFile(
        kind=kind,
        name=name,
        inputs=plan.inputs,
        layers=plan.layers,
        outputs=wanted,
        tensors=plan.tensors,
        preprocess=preprocess,
        origin=f"imported from ONNX, opset {opset}" + (f", written by {producer}" if producer else ""),
    )


def _needed(nodes: list[Node], wanted: Sequence[str]) -> tuple[list[Node], set[str]]:
    """The nodes that the outputs wanted depend on, in order, and the names of all values read on the way."""
    needed = set(wanted)
    kept = []
    for node in reversed(nodes):
        if needed.intersection(node.outputs):
            kept.append(node)
            needed.update(filter(None, node.inputs))
    return kept[::-1], needed


def _declare_inputs(
    graph: onnx.GraphProto, plan: PlanBuilder, needed: set[str], shapes: Mapping[str, Sequence[int | None]]
) -> int | None:
    """Declares the inputs that are read; the batch that the graph was exported with, None where free."""
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [item for item in graph.input if item.name in needed and item.name not in constants]
    unknown = set(shapes) - {item.name for item in inputs}
    if unknown:
        raise ModelFileError(f"shapes names {min(unknown)!r}, which is no input: {[item.name for item in inputs]}")
    batches: set[int] = set()
    for item in inputs:
        tensor = item.type.tensor_type
        if tensor.elem_type not in (
            onnx.TensorProto.FLOAT,
            onnx.TensorProto.FLOAT16,
            onnx.TensorProto.DOUBLE,
        ):
            kind = onnx.TensorProto.DataType.Name(tensor.elem_type) if tensor.elem_type else "no tensor"
            raise ModelFileError(f"input {item.name!r} is {kind}; expected floating point")
        sizes = [dim.dim_value if dim.dim_value > 0 else None for dim in tensor.shape.dim]
        if item.name in shapes:
            sizes = [*sizes[:1], *shapes[item.name]] if sizes else [None, *shapes[item.name]]
        if len(sizes) < 2:
            raise ModelFileError(f"input {item.name!r} has the shape {sizes}; expected a batch and more")
        if sizes[0] is not None:
            batches.add(sizes[0])
        plan.input(item.name, sizes[1:])
    if len(batches) > 1:
        raise ModelFileError(f"the inputs have different batches: {sorted(batches)}")
    return batches.pop() if batches else None


def _read_constants(graph: onnx.GraphProto, state: Graph, needed: set[str]) -> list[str]:
    """Takes over the initializers that are read; what cannot be."""
    problems = []
    for tensor in graph.initializer:
        if tensor.name in needed:
            try:
                state.operands[tensor.name] = array_of(tensor)
            except (ValueError, TypeError, LookupError, OSError) as error:
                state.operands[tensor.name] = None
                problems.append(f"initializer {tensor.name!r}: {str(error)[:200]}")
    for sparse in graph.sparse_initializer:
        if sparse.values.name in needed:
            state.operands[sparse.values.name] = None
            problems.append(f"initializer {sparse.values.name!r}: sparse tensors are not supported")
    return problems


def _visit(graph: Graph, node: Node, needed: set[str], wanted: Sequence[str]) -> str | None:
    """Translates or evaluates one node; why that cannot be done, if so."""
    results: list[Operand] = []
    problem = None
    try:
        results = _results(graph, node)
        for index, output in enumerate(node.outputs):
            if 0 < len(results) <= index and output in needed:
                raise Refusal(f"its output {index} is not supported")
        for output, operand in zip(node.outputs, results, strict=False):
            if isinstance(operand, View) and output in wanted:
                raise refusal_of(operand)
    except Refusal as refusal:
        problem = str(refusal)
    except (ValueError, TypeError, LookupError, OverflowError) as error:  # attributes of the wrong kind
        problem = f"it is malformed: {error}"
    for output, operand in zip(node.outputs, results, strict=False):
        if isinstance(operand, Padded) and output in wanted:
            operand = graph.materialise(node, operand)
        graph.operands[output] = operand
    for output in node.outputs[len(results) :]:
        graph.operands[output] = None
    return problem


def _results(graph: Graph, node: Node) -> list[Operand]:
    """What the outputs of a node stand for; empty where an input could not be imported."""
    if node.op not in TRANSLATORS and not can_fold(node.op):
        raise Refusal("the operator is not supported")
    for name in filter(None, node.inputs):
        if name not in graph.operands:
            raise Refusal(f"it reads {name!r}, which nothing before it computes")
    operands = [graph.operands[name] if name else None for name in node.inputs]
    if any(name and operand is None for name, operand in zip(node.inputs, operands, strict=True)):
        return []
    constants = [operand for operand in operands if operand is None or isinstance(operand, np.ndarray)]
    if len(constants) == len(operands) and can_fold(node.op):
        return [*fold(node, constants)]
    if node.op not in TRANSLATORS:
        raise Refusal("the operator is supported for constants alone")
    result = TRANSLATORS[node.op](graph, node)
    return result if isinstance(result, list) else [result]


def _name_outputs(graph: Graph, wanted: Sequence[str]) -> None:
    """Gives the values that the graph ends at the names of its outputs."""
    inputs = {entry["name"] for entry in graph.plan.inputs}
    renamed: dict[str, str] = {}
    for output in wanted:
        value = graph.operands.get(output)
        if not isinstance(value, Value):
            raise ModelFileError(f"output {output!r} is a constant or is computed nowhere")
        if value.name == output:
            continue
        if value.name in inputs or value.name in wanted or value.name in renamed:
            # The same value under a second name: a layer that changes nothing.
            source = renamed.get(value.name, value.name)
            graph.plan.layer("transpose", [source], output, perm=list(range(len(value.shape))))
        else:
            graph.plan.rename(value.name, output)
            renamed[value.name] = output
