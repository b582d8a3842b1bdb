"""Small ONNX graphs from text, and ONNX Runtime as the oracle for them."""

import numpy as np
import onnx
import onnx.parser
import onnxruntime
from onnx import numpy_helper


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
