"""A model file's network as a torch module: the same plan, the same tensors by name, with gradients."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..plan.file import ModelFile

_TENSOR_KEYS = ("weight", "bias", "gamma", "beta", "mean", "var", "slope")
_STATISTICS = ("mean", "var")  # of batch norms: state, moved by data and not by gradients


class Twin(nn.Module):
    """The plan of a model file in torch: what `xcos.Network` computes, to 1e-5, with gradients.

    Every tensor of the plan is a parameter, found by its name of the model file through :meth:`tensor` (running means
    and variances of batch norms are buffers). Called with the inputs in their order, float32 (N, ...); returns the
    outputs in theirs as a dict by name.

    Parameters
    ----------
    file : ModelFile
        The plan and its weights.

    Examples
    --------
    >>> import xcos
    >>> import torch
    >>> twin = xcos.train.Twin(xcos.load().file).eval()
    >>> with torch.no_grad():
    ...     sorted(twin(torch.zeros(1, 3, 112, 112))) == sorted(xcos.load().file.outputs)
    True
    """

    def __init__(self, file: ModelFile) -> None:
        super().__init__()
        self.file = file
        self._names: dict[str, str] = {}
        used: list[tuple[str, bool]] = []
        for layer in file.layers:
            used += [(layer[key], key in _STATISTICS) for key in _TENSOR_KEYS if key in layer]
            used += [(name, False) for name in layer["inputs"] if name in file.tensors]
        fixed = {name for name, is_fixed in used if is_fixed}
        for number, name in enumerate(dict.fromkeys(name for name, _ in used)):
            value = torch.from_numpy(file.tensors[name].copy())
            inner = f"t{number}"  # torch allows no dots in names of parameters
            self._names[name] = inner
            if name in fixed:
                self.register_buffer(inner, value)
            else:
                self.register_parameter(inner, nn.Parameter(value))

    def tensor(self, name: str) -> Tensor:
        """The parameter or buffer that stands for a tensor of the model file.

        Parameters
        ----------
        name : str
            The tensor's.

        Returns
        -------
        Tensor
            The parameter itself.

        Raises
        ------
        KeyError
            There is no such tensor.
        """
        value: Tensor = getattr(self, self._names[name])
        return value

    def tensors(self) -> dict[str, Tensor]:
        """All parameters and buffers that stand for tensors of the model file.

        Returns
        -------
        dict
            By their names of the model file.
        """
        return {name: self.tensor(name) for name in self._names}

    def forward(self, *inputs: Tensor) -> dict[str, Tensor]:
        """Runs the network.

        Parameters
        ----------
        *inputs : (N, ...) Tensor
            In their order.

        Returns
        -------
        dict
            Outputs by name.

        Raises
        ------
        ValueError
            There are more or fewer inputs.
        """
        expected = [entry["name"] for entry in self.file.inputs]
        if len(inputs) != len(expected):
            raise ValueError(f"got {len(inputs)} inputs; expected {len(expected)}: {', '.join(expected)}")
        values = dict(zip(expected, inputs, strict=True))
        for layer in self.file.layers:
            sources = [values[name] if name in values else self.tensor(name) for name in layer["inputs"]]
            tensors = {key: self.tensor(layer[key]) for key in _TENSOR_KEYS if key in layer}
            values[layer["output"]] = self._layer(layer, sources, tensors)
        return {name: values[name] for name in self.file.outputs}

    def _layer(self, layer: Mapping[str, Any], x: list[Tensor], t: Mapping[str, Tensor]) -> Tensor:
        if layer["op"] == "batch_norm":
            return F.batch_norm(
                x[0], t["mean"], t["var"], t["gamma"], t["beta"], self.training, eps=layer.get("epsilon", 1e-5)
            )
        result: Tensor = _OPS[layer["op"]](layer, x, t)
        return result

    def model_file(self, **changes: Any) -> ModelFile:
        """The model file with the tensors as they are now.

        An untrained twin gives back the file it was made from, byte for byte.

        Parameters
        ----------
        **changes : object
            Other fields to replace.

        Returns
        -------
        ModelFile
            A new file.
        """
        now = {name: value.detach().cpu().float().numpy() for name, value in self.tensors().items()}
        tensors = {name: now.get(name, value) for name, value in self.file.tensors.items()}
        return dataclasses.replace(self.file, **{"tensors": tensors, **changes})


def twin(file: ModelFile) -> Twin:
    """The network of a model file as a torch module in evaluation mode.

    Batch norms of the file, if any, use their running statistics until ``.train()`` is called.

    Parameters
    ----------
    file : ModelFile
        The plan and its weights.

    Returns
    -------
    Twin
        See :class:`Twin`.

    Examples
    --------
    >>> import xcos
    >>> xcos.train.twin(xcos.load().file).training
    False
    """
    return Twin(file).eval()


def _pad(x: Tensor, pad: Any, value: float = 0.0) -> Tensor:
    top, left, bottom, right = pad
    return F.pad(x, (left, right, top, bottom), value=value) if any(pad) else x


def _conv(layer: Mapping[str, Any], x: list[Tensor], t: Mapping[str, Tensor]) -> Tensor:
    top, left, bottom, right = layer.get("pad", (0, 0, 0, 0))
    source, padding = x[0], (top, left)
    if (top, left) != (bottom, right):
        source, padding = _pad(source, (top, left, bottom, right)), (0, 0)
    stride, dilation = tuple(layer.get("stride", (1, 1))), tuple(layer.get("dilation", (1, 1)))
    groups, weight, bias = layer.get("groups", 1), t["weight"], t.get("bias")
    if groups == 1 or source.device.type != "cpu":
        return F.conv2d(source, weight, bias, stride, padding, dilation, groups)
    # On a CPU the backward pass of depthwise convolutions takes five times as long in bfloat16.
    with torch.autocast("cpu", enabled=False):
        return F.conv2d(source.float(), weight, bias, stride, padding, dilation, groups).to(source.dtype)


def _prelu(layer: Mapping[str, Any], x: list[Tensor], t: Mapping[str, Tensor]) -> Tensor:
    # Not F.prelu: its backward pass takes three times as long on a CPU in bfloat16.
    slope = t["slope"].to(x[0].dtype).view(-1, *[1] * (x[0].ndim - 2))
    return F.relu(x[0]) - slope * F.relu(-x[0])


def _layer_norm(layer: Mapping[str, Any], x: list[Tensor], t: Mapping[str, Tensor]) -> Tensor:
    return F.layer_norm(x[0], x[0].shape[-1:], t.get("gamma"), t.get("beta"), layer.get("epsilon", 1e-5))


def _max_pool(layer: Mapping[str, Any], x: list[Tensor], t: Mapping[str, Tensor]) -> Tensor:
    kernel = layer.get("kernel", x[0].shape[2:])
    padded = _pad(x[0], layer.get("pad", (0, 0, 0, 0)), -torch.inf)
    stride, dilation = tuple(layer.get("stride", (1, 1))), tuple(layer.get("dilation", (1, 1)))
    return F.max_pool2d(padded, tuple(kernel), stride, dilation=dilation)


def _avg_pool(layer: Mapping[str, Any], x: list[Tensor], t: Mapping[str, Tensor]) -> Tensor:
    kernel, stride = tuple(layer.get("kernel", x[0].shape[2:])), tuple(layer.get("stride", (1, 1)))
    pad = layer.get("pad", (0, 0, 0, 0))
    mean = F.avg_pool2d(_pad(x[0], pad), kernel, stride)
    if layer.get("count_include_pad", False) or not any(pad):
        return mean
    inside = _pad(torch.ones_like(x[0][:1, :1]), pad)
    return mean / F.avg_pool2d(inside, kernel, stride)


def _slice(layer: Mapping[str, Any], x: list[Tensor], t: Mapping[str, Tensor]) -> Tensor:
    index = [slice(None)] * x[0].ndim
    index[layer["axis"]] = slice(layer.get("start", 0), layer.get("stop"))
    return x[0][tuple(index)]


def _resize(layer: Mapping[str, Any], x: list[Tensor], t: Mapping[str, Tensor]) -> Tensor:
    result = x[0]
    for axis, scale in zip((2, 3), layer["scale"], strict=True):
        size = result.shape[axis]
        places = (torch.arange(int(size * scale)) / scale).floor().long().clamp(max=size - 1)
        result = result.index_select(axis, places.to(result.device))
    return result


_OPS: dict[str, Any] = {
    "conv": _conv,
    "linear": lambda layer, x, t: F.linear(x[0], t["weight"], t.get("bias")),
    "matmul": lambda layer, x, t: x[0] @ (x[1].transpose(-1, -2) if layer.get("transposed", False) else x[1]),
    "layer_norm": _layer_norm,
    "prelu": _prelu,
    "relu": lambda layer, x, t: F.relu(x[0]),
    "sigmoid": lambda layer, x, t: torch.sigmoid(x[0]),
    "exp": lambda layer, x, t: torch.exp(x[0]),
    "log": lambda layer, x, t: torch.log(x[0]),
    "sqrt": lambda layer, x, t: torch.sqrt(x[0]),
    "abs": lambda layer, x, t: torch.abs(x[0]),
    "pow": lambda layer, x, t: torch.pow(x[0], layer["exponent"]),
    "tanh": lambda layer, x, t: torch.tanh(x[0]),
    "erf": lambda layer, x, t: torch.erf(x[0]),
    "gelu": lambda layer, x, t: F.gelu(x[0]),
    "elu": lambda layer, x, t: F.elu(x[0], layer["alpha"]),
    "softplus": lambda layer, x, t: F.softplus(x[0], threshold=100),
    "hard_sigmoid": lambda layer, x, t: (layer["alpha"] * x[0] + layer["shift"]).clamp(0, 1),
    "hard_swish": lambda layer, x, t: F.hardswish(x[0]),
    "clip": lambda layer, x, t: x[0].clamp(layer["min"], layer["max"]),
    "add": lambda layer, x, t: x[0] + x[1],
    "sub": lambda layer, x, t: x[0] - x[1],
    "mul": lambda layer, x, t: x[0] * x[1],
    "div": lambda layer, x, t: x[0] / x[1],
    "maximum": lambda layer, x, t: torch.maximum(x[0], x[1]),
    "minimum": lambda layer, x, t: torch.minimum(x[0], x[1]),
    "max_pool": _max_pool,
    "avg_pool": _avg_pool,
    "concat": lambda layer, x, t: torch.cat(x, layer["axis"]),
    "slice": _slice,
    "softmax": lambda layer, x, t: x[0].softmax(layer["axis"]),
    "transpose": lambda layer, x, t: x[0].permute(*layer["perm"]),
    "reshape": lambda layer, x, t: x[0].reshape(len(x[0]), *layer["shape"]),
    "resize": _resize,
}
