"""State dicts of PyTorch: reading them without running what is pickled, and walking them module by module."""

from __future__ import annotations

import logging
import math
import os
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ModelFileError
from ...plan import safetensors
from ...plan.build import PlanBuilder

_log = logging.getLogger("xcos")
State = dict[str, NDArray[np.float32]]

# Under one of these keys, or several, checkpoints keep the state dict, beside the epoch, optimizers and settings; or
# under another one that alone has a network of a known layout.
_WRAPPERS = (
    "state_dict", "model_state_dict", "model_state", "state_dict_backbone", "model", "net", "network", "backbone",
    "params",
)  # fmt: skip
# Tensors by which a layout is known; what stands before their names was put there by wrappers of the network:
# torch's parallel and compiled modules, Lightning, a class with the network and a classifier.
_KNOWN_BY = ("attention.embedding_net.0.weight", "input_layer.0.weight", "layer1.0.bn1.weight")


def read_state(source: str | os.PathLike[str]) -> State:
    """The floating-point tensors of a .safetensors file or of a checkpoint of ``torch.save``, as float32.

    Checkpoints are read with torch's ``weights_only``: nothing pickled in them is executed. A state dict kept
    under ``state_dict`` and the like is taken out, what wrappers put in front of the names of a known network is cut
    off, with what is not of that network, and integers (counters of batch norms) are left out.

    Raises OSError where the file cannot be opened, ModelFileError where it is damaged, holds other Python
    objects (they are named) or no state dict, ImportError for a checkpoint without torch.
    """
    if Path(source).suffix.lower() == ".safetensors":
        metadata, state = safetensors.load(source, floats_alone=True)
        if "xcos" in metadata:
            raise ModelFileError("a model file of xcos already: there is nothing to convert")
    else:
        state = _arrays(_unwrapped(_load(source)))
    return _rooted(state)


def _rooted(state: State) -> State:
    """The tensors of the network by its own names."""
    for known in _KNOWN_BY:
        roots = {name.removesuffix(known) for name in state if f".{name}".endswith(f".{known}")}
        if len(roots) == 1:
            (root,) = roots
            others = [name for name in state if not name.startswith(root)]
            if others:
                _log.warning("left out, since not of the network %s*: %s", root, ", ".join(sorted(others)[:4]))
            return {name.removeprefix(root): tensor for name, tensor in state.items() if name.startswith(root)}
        if roots:
            break
    return state


def _load(source: str | os.PathLike[str]) -> Any:
    try:
        import torch
    except ImportError:
        raise ImportError("reading checkpoints of PyTorch needs the package torch: pip install xcos[train]") from None
    with open(source, "rb"):  # a missing file is told as such
        pass
    try:
        with torch.serialization.safe_globals(_numpy_scalars()):
            return torch.load(source, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+)", str(error))
        found = f"Python objects ({named[1]})" if named else "no whole pickle of tensors and plain values"
        raise ModelFileError(
            f"holds {found}, which is not loaded; if you trust its maker, save its state dict alone with torch"
        ) from None
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, IndexError, AttributeError, TypeError) as error:
        raise ModelFileError(f"not a readable checkpoint of PyTorch ({str(error)[:160]})") from None


def _numpy_scalars() -> list[Any]:
    """What a pickled NumPy number is made of (checkpoints keep a best accuracy as one): plain data, no code."""
    from numpy._core import multiarray

    kinds = [type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64, np.int32, np.bool_)]
    scalar = multiarray.scalar
    names = ("numpy._core.multiarray.scalar", "numpy.core.multiarray.scalar")  # NumPy 2 and 1
    return [np.dtype, *kinds, *((scalar, name) for name in names)]


def _unwrapped(content: Any) -> Mapping[str, Any]:
    while isinstance(content, Mapping):
        inside = [content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)]
        if not inside:  # under a name of its own: the one that has a network of a known layout
            inside = [value for value in content.values() if isinstance(value, Mapping) and _is_known(value)]
            if len(inside) != 1:
                break
        content = inside[0]
    if not isinstance(content, Mapping):
        raise ModelFileError(f"holds a {type(content).__name__}; expected a state dict, or one under 'state_dict'")
    return content


def _is_known(state: Mapping[Any, Any]) -> bool:
    return any(f".{name}".endswith(f".{known}") for name in state for known in _KNOWN_BY)


def _arrays(content: Mapping[str, Any]) -> State:
    import torch

    others = {type(value).__name__ for value in content.values() if not isinstance(value, torch.Tensor)}
    if others or not content:
        found = f"values of type {', '.join(sorted(others))}" if others else "nothing"
        raise ModelFileError(f"holds {found}; expected a state dict, names with their tensors")
    return {
        str(name): value.detach().to(torch.float32).contiguous().numpy()
        for name, value in content.items()
        if value.is_floating_point()
    }


class Walker:
    """Turns the modules of a state dict into layers of a plan, and knows which tensors have not been used.

    Layers, values and tensors are named as in the state dict. `epsilon`: of all batch norms.
    """

    def __init__(self, state: State, plan: PlanBuilder, epsilon: float = 1e-5) -> None:
        self.plan = plan
        self.epsilon = epsilon
        self._state = state
        self._unused = set(state)

    def __contains__(self, name: str) -> bool:
        return name in self._state

    def take(self, name: str, *shape: int | None) -> NDArray[np.float32]:
        """A tensor, used now. ModelFileError when it is missing or has another shape (None: any size)."""
        if name not in self._state:
            raise ModelFileError(f"the tensor {name!r} is missing")
        tensor = self._state[name]
        fits = len(shape) == tensor.ndim and all(w in (None, g) for w, g in zip(shape, tensor.shape, strict=True))
        if not fits or 0 in tensor.shape:
            wanted = ", ".join("any" if size is None else str(size) for size in shape)
            raise ModelFileError(f"{name!r} has the shape {tuple(tensor.shape)}; expected ({wanted})")
        self._unused.discard(name)
        return tensor

    def drop(self, prefix: str) -> None:
        """Leaves the tensors of this prefix out on purpose."""
        self._unused = {name for name in self._unused if not name.startswith(prefix)}

    def finish(self) -> None:
        """Raises ModelFileError when there are tensors that nothing has used: then it is another network."""
        if self._unused:
            names = sorted(self._unused)
            more = f" and {len(names) - 4} more" if len(names) > 4 else ""
            raise ModelFileError(f"unknown tensors: {', '.join(names[:4])}{more}")

    def dimensions(self, name: str) -> int:
        """How many dimensions a tensor has; 0 when it is missing."""
        return self._state[name].ndim if name in self._state else 0

    def channels(self, path: str) -> int:
        """Output channels of the convolution or linear layer `path`."""
        return len(self.take(f"{path}.weight", *[None] * self._state.get(f"{path}.weight", np.empty(0)).ndim))

    def side(self, linear: str, norm: str) -> int:
        """Cells along a side of the square map that `linear` takes flattened, after the batch norm `norm`."""
        inputs, channels = self.take(f"{linear}.weight", None, None).shape[1], len(self.take(f"{norm}.weight", None))
        side = math.isqrt(inputs // channels)
        if side**2 * channels != inputs:
            raise ModelFileError(f"{linear} takes {inputs} numbers: no square map of {channels} channels")
        return side

    def conv(self, source: str, path: str, kernel: int, stride: int = 1) -> str:
        """A convolution that pads so that stride 1 keeps the size."""
        weight = self.take(f"{path}.weight", None, None, kernel, kernel)
        tensors = {"weight": self.plan.tensor(f"{path}.weight", weight)}
        if f"{path}.bias" in self:
            tensors["bias"] = self.plan.tensor(f"{path}.bias", self.take(f"{path}.bias", len(weight)))
        pad = [kernel // 2] * 4
        return self.plan.layer("conv", [source], path, path, stride=[stride] * 2, pad=pad, **tensors)

    def linear(self, source: str, path: str) -> str:
        weight = self.take(f"{path}.weight", None, None)
        tensors = {"weight": self.plan.tensor(f"{path}.weight", weight)}
        if f"{path}.bias" in self:
            tensors["bias"] = self.plan.tensor(f"{path}.bias", self.take(f"{path}.bias", len(weight)))
        return self.plan.layer("linear", [source], path, path, **tensors)

    def batch_norm(self, source: str, path: str) -> str:
        found = dict(zip(("gamma", "beta", "mean", "var"), self.statistics(path), strict=True))
        names = {"gamma": "weight", "beta": "bias", "mean": "running_mean", "var": "running_var"}
        tensors = {key: self.plan.tensor(f"{path}.{names[key]}", value) for key, value in found.items()}
        return self.plan.layer("batch_norm", [source], path, path, epsilon=self.epsilon, **tensors)

    def statistics(self, path: str) -> list[NDArray[np.float32]]:
        """gamma, beta, mean and variance of the batch norm `path`; 1 and 0 where it has none (``affine=False``)."""
        size = len(self.take(f"{path}.running_mean", None))
        mean, var = (self.take(f"{path}.{key}", size) for key in ("running_mean", "running_var"))
        if f"{path}.weight" not in self and f"{path}.bias" not in self:
            return [np.ones(size, np.float32), np.zeros(size, np.float32), mean, var]
        return [self.take(f"{path}.weight", size), self.take(f"{path}.bias", size), mean, var]

    def prelu(self, source: str, path: str) -> str:
        slope = self.plan.tensor(f"{path}.weight", self.take(f"{path}.weight", None))
        return self.plan.layer("prelu", [source], path, path, slope=slope)
