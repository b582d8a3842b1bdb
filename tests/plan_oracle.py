"""A slow interpreter of plans in NumPy, in float64: the oracle for importers and for the core.

It follows docs/model-file.md to the letter and shares no code with the package.
"""

import math

import numpy as np
from scipy import special


def run(file, inputs, dtype=np.float64):
    """Runs the plan of a ModelFile: inputs by name to outputs by name. Every layer's shape is checked for
    keeping the batch in front."""
    values = {name: np.asarray(array, dtype) for name, array in inputs.items()}
    (batch,) = {len(array) for array in values.values()}
    for layer in file.layers:
        sources = [
            values[name] if name in values else np.asarray(file.tensors[name], dtype) for name in layer["inputs"]
        ]
        tensors = {
            key: np.asarray(file.tensors[layer[key]], dtype)
            for key in ("weight", "bias", "gamma", "beta", "mean", "var", "slope")
            if key in layer
        }
        result = _OPS[layer["op"]](layer, sources, tensors)
        assert result.shape[0] == batch, (layer, result.shape)
        values[layer["output"]] = result
    return {name: values[name] for name in file.outputs}


def _channels(vector, rank):
    return vector.reshape((1, -1) + (1,) * (rank - 2))


def _windows(x, kernel, stride, pad, dilation, fill):
    """(N, C, H, W) -> (kh*kw, N, C, OH, OW): what each place of the kernel sees."""
    top, left, bottom, right = pad
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=fill)
    rows = (x.shape[2] - dilation[0] * (kernel[0] - 1) - 1) // stride[0] + 1
    columns = (x.shape[3] - dilation[1] * (kernel[1] - 1) - 1) // stride[1] + 1
    assert rows > 0 and columns > 0
    return np.stack(
        [
            x[
                :,
                :,
                i * dilation[0] : i * dilation[0] + (rows - 1) * stride[0] + 1 : stride[0],
                j * dilation[1] : j * dilation[1] + (columns - 1) * stride[1] + 1 : stride[1],
            ]
            for i in range(kernel[0])
            for j in range(kernel[1])
        ]
    )


def _conv(layer, sources, tensors):
    weight, groups = tensors["weight"], layer.get("groups", 1)
    windows = _windows(
        sources[0],
        weight.shape[2:],
        layer.get("stride", [1, 1]),
        layer.get("pad", [0, 0, 0, 0]),
        layer.get("dilation", [1, 1]),
        0,
    )
    taps, batch, channels, rows, columns = windows.shape
    windows = windows.reshape(taps, batch, groups, channels // groups, rows, columns)
    weight = weight.reshape(groups, len(weight) // groups, weight.shape[1], taps)
    result = np.einsum("tngchw,gkct->ngkhw", windows, weight, optimize=True)
    result = result.reshape(batch, -1, rows, columns)
    return result + _channels(tensors["bias"], 4) if "bias" in tensors else result


def _linear(layer, sources, tensors):
    return sources[0] @ tensors["weight"].T + tensors.get("bias", 0)


def _batch_norm(layer, sources, tensors):
    gamma, beta, mean, var = (_channels(tensors[key], sources[0].ndim) for key in ("gamma", "beta", "mean", "var"))
    return (sources[0] - mean) / np.sqrt(var + layer.get("epsilon", 1e-5)) * gamma + beta


def _matmul(layer, sources, tensors):
    a, b = sources
    return a @ (b.swapaxes(-1, -2) if layer.get("transposed", False) else b)


def _layer_norm(layer, sources, tensors):
    x = sources[0] - sources[0].mean(axis=-1, keepdims=True)
    x = x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + layer.get("epsilon", 1e-5))
    return x * tensors.get("gamma", 1) + tensors.get("beta", 0)


def _prelu(layer, sources, tensors):
    slope = _channels(tensors["slope"], sources[0].ndim)
    return np.where(sources[0] > 0, sources[0], slope * sources[0])


def _pool_windows(layer, x, fill):
    if "kernel" not in layer:
        return x.reshape(*x.shape[:2], 1, 1, -1).transpose(4, 0, 1, 2, 3)
    pad = layer.get("pad", [0, 0, 0, 0])
    return _windows(x, layer["kernel"], layer.get("stride", [1, 1]), pad, layer.get("dilation", [1, 1]), fill)


def _max_pool(layer, sources, tensors):
    return _pool_windows(layer, sources[0], -np.inf).max(axis=0)


def _avg_pool(layer, sources, tensors):
    windows = _pool_windows(layer, sources[0], 0)
    if layer.get("count_include_pad", False):
        return windows.mean(axis=0)
    return windows.sum(axis=0) / _pool_windows(layer, np.ones_like(sources[0]), 0).sum(axis=0)


def _slice(layer, sources, tensors):
    index = [slice(None)] * sources[0].ndim
    index[layer["axis"]] = slice(layer.get("start", 0), layer.get("stop"))
    return sources[0][tuple(index)]


def _softmax(layer, sources, tensors):
    e = np.exp(sources[0] - sources[0].max(axis=layer["axis"], keepdims=True))
    return e / e.sum(axis=layer["axis"], keepdims=True)


def _resize(layer, sources, tensors):
    result = sources[0]
    for axis, scale in zip((2, 3), layer["scale"], strict=True):
        index = np.floor(np.arange(math.floor(result.shape[axis] * scale)) / scale).astype(int)
        result = np.take(result, np.minimum(index, result.shape[axis] - 1), axis=axis)
    return result


_OPS = {
    "conv": _conv,
    "linear": _linear,
    "matmul": _matmul,
    "layer_norm": _layer_norm,
    "batch_norm": _batch_norm,
    "prelu": _prelu,
    "relu": lambda layer, sources, tensors: np.maximum(sources[0], 0),
    "sigmoid": lambda layer, sources, tensors: 1 / (1 + np.exp(-sources[0])),
    "exp": lambda layer, sources, tensors: np.exp(sources[0]),
    "log": lambda layer, sources, tensors: np.log(sources[0]),
    "sqrt": lambda layer, sources, tensors: np.sqrt(sources[0]),
    "abs": lambda layer, sources, tensors: np.abs(sources[0]),
    "pow": lambda layer, sources, tensors: sources[0] ** np.float32(layer["exponent"]),
    "tanh": lambda layer, sources, tensors: np.tanh(sources[0]),
    "erf": lambda layer, sources, tensors: special.erf(sources[0]),
    "gelu": lambda layer, sources, tensors: sources[0] * special.ndtr(sources[0]),
    "elu": lambda layer, sources, tensors: np.where(
        sources[0] < 0, np.float32(layer["alpha"]) * np.expm1(np.minimum(sources[0], 0)), sources[0]
    ),
    "softplus": lambda layer, sources, tensors: np.logaddexp(sources[0], 0),
    "hard_sigmoid": lambda layer, sources, tensors: np.clip(layer["alpha"] * sources[0] + layer["shift"], 0, 1),
    "hard_swish": lambda layer, sources, tensors: sources[0] * np.clip(sources[0] + 3, 0, 6) / 6,
    "clip": lambda layer, sources, tensors: np.clip(sources[0], layer["min"], layer["max"]),
    "add": lambda layer, sources, tensors: sources[0] + sources[1],
    "sub": lambda layer, sources, tensors: sources[0] - sources[1],
    "mul": lambda layer, sources, tensors: sources[0] * sources[1],
    "div": lambda layer, sources, tensors: sources[0] / sources[1],
    "maximum": lambda layer, sources, tensors: np.maximum(*sources),
    "minimum": lambda layer, sources, tensors: np.minimum(*sources),
    "max_pool": _max_pool,
    "avg_pool": _avg_pool,
    "concat": lambda layer, sources, tensors: np.concatenate(sources, axis=layer["axis"]),
    "slice": _slice,
    "softmax": _softmax,
    "transpose": lambda layer, sources, tensors: sources[0].transpose(layer["perm"]),
    "reshape": lambda layer, sources, tensors: sources[0].reshape(len(sources[0]), *layer["shape"]),
    "resize": _resize,
}
