"""Small ONNX graphs from text, ONNX Runtime as the oracle for them, and what the tests of the import share."""

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import plan_oracle
import pytest
from onnx import numpy_helper

from xcos.errors import ModelFileError
from xcos.importers.onnx import import_onnx
from xcos.plan.network import Network


def graph(body, *, opset=13, x=("N", 3, 9, 10), outputs=("y",), constants=None, as_inputs=False):
    """A model with the input x and the nodes of `body` (ONNX's text form); `constants` become initializers,
    listed among the inputs too with `as_inputs`, as old exporters do."""
    sizes = ",".join(map(str, x))
    ends = ", ".join(f"float {name}" for name in outputs)
    text = f'<ir_version: 8, opset_import: ["": {opset}]> g (float[{sizes}] x) => ({ends}) {{ {body} }}'
    model = onnx.parser.parse_model(text)
    for name, value in (constants or {}).items():
        tensor = numpy_helper.from_array(np.asarray(value), name)
        model.graph.initializer.append(tensor)
        if as_inputs:
            model.graph.input.append(onnx.helper.make_tensor_value_info(name, tensor.data_type, tensor.dims))
    return model


def onnxruntime_run(model, inputs, outputs, one_by_one=False):
    """What ONNX Runtime makes of a model (ModelProto or bytes): outputs by name.

    `one_by_one` runs each entry of the batch alone, for graphs of batch 1.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    data = model if isinstance(model, bytes) else model.SerializeToString()
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    if not one_by_one:
        return dict(zip(outputs, session.run(list(outputs), inputs), strict=True))
    batch = len(next(iter(inputs.values())))
    runs = [
        session.run(list(outputs), {name: array[i : i + 1] for name, array in inputs.items()}) for i in range(batch)
    ]
    return {name: np.concatenate([run[k] for run in runs]) for k, name in enumerate(outputs)}


RNG = np.random.default_rng(3)


def rand(*shape, low=-1.0, high=1.0):
    return RNG.uniform(low, high, shape).astype(np.float32)


def ints(*values):
    return np.array(values, np.int64)


def check(body, *, x=("N", 3, 9, 10), outputs=("y",), batch=3, shapes=None, sizes=None, tolerance=1e-5, **kw):
    """The graph means the same in ONNX Runtime and as a plan, in a batch of 3; its model file."""
    model = graph(body, x=x, outputs=outputs, **kw)
    file = import_onnx(model, shapes=shapes)
    inputs = {"x": rand(batch, *(sizes or x[1:]))}
    expected = onnxruntime_run(model, inputs, outputs, one_by_one=x[0] == 1)
    computed = plan_oracle.run(file, inputs)
    core = Network.load(file).run(inputs)
    for name in outputs:
        assert computed[name].shape == expected[name].shape == core[name].shape
        scale = max(1.0, float(np.abs(expected[name]).max()))
        np.testing.assert_allclose(computed[name], expected[name], atol=tolerance * scale, rtol=0)
        np.testing.assert_allclose(core[name], expected[name], atol=tolerance * scale, rtol=0)
    return file


def ops(file):
    return [layer["op"] for layer in file.layers]


def refuse(body, message, **kw):
    shapes = kw.pop("shapes", None)
    with pytest.raises(ModelFileError, match=message):
        import_onnx(graph(body, **kw), shapes=shapes)
