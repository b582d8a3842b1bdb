"""Puts a plan together, layer by layer: what the importers share."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


class PlanBuilder:
    """The growing inputs, layers and tensors of a model file (docs/model-file.md).

    Values and tensors share one space of names. `reserved` names are given only to who asks for exactly
    them, so that the names of a foreign network survive beside those of helper layers.
    """

    def __init__(self, reserved: Iterable[str] = ()) -> None:
        self.inputs: list[dict[str, Any]] = []
        self.layers: list[dict[str, Any]] = []
        self.tensors: dict[str, NDArray[np.float32]] = {}
        self._reserved = frozenset(reserved)
        self._taken: set[str] = set()

    def input(self, name: str, shape: Sequence[int | None]) -> str:
        """Declares an input, its shape counted after the batch; its name."""
        self.inputs.append({"name": self._fresh(name), "shape": list(shape)})
        return str(self.inputs[-1]["name"])

    def tensor(self, hint: str, array: ArrayLike) -> str:
        """Stores an array as float32, once where the same comes again under one hint; its name."""
        with np.errstate(over="ignore"):
            stored = np.ascontiguousarray(array, np.float32).reshape(np.shape(array))
        known = self.tensors.get(hint)
        if known is not None and np.array_equal(known, stored):
            return hint
        name = self._fresh(hint)
        self.tensors[name] = stored
        return name

    def layer(self, op: str, inputs: Sequence[str], output: str, name: str = "", **attributes: Any) -> str:
        """Appends a layer; the name of its output, which is `output` unless that is taken."""
        entry: dict[str, Any] = {"op": op}
        if name:
            entry["name"] = name
        entry |= {"inputs": list(inputs), "output": self._fresh(output), **attributes}
        self.layers.append(entry)
        return str(entry["output"])

    def source_of(self, name: str, op: str, **attributes: Any) -> str | None:
        """The input of the layer that gives `name`, if it is such a one."""
        for entry in self.layers:
            if entry["output"] == name and entry["op"] == op and all(entry[k] == v for k, v in attributes.items()):
                return str(entry["inputs"][0])
        return None

    def keep(self, outputs: Iterable[str]) -> None:
        """Takes away the layers and tensors that the outputs do not depend on."""
        needed = set(outputs)
        kept = []
        for entry in reversed(self.layers):
            if entry["output"] in needed:
                kept.append(entry)
                needed.update(entry["inputs"], (item for item in entry.values() if isinstance(item, str)))
        self.layers = kept[::-1]
        self.tensors = {name: array for name, array in self.tensors.items() if name in needed}

    def rename(self, old: str, new: str) -> None:
        """Renames the output of a layer; another layer's output of the new name makes way."""
        if new in self._taken:
            self._replace(new, self._fresh(new))
        self._taken.discard(old)
        self._taken.add(new)
        self._replace(old, new)

    def _replace(self, old: str, new: str) -> None:
        for entry in self.layers:
            entry["inputs"] = [new if source == old else source for source in entry["inputs"]]
            if entry["output"] == old:
                entry["output"] = new

    def _fresh(self, hint: str) -> str:
        name, count = hint, 0
        while name in self._taken or (name != hint and name in self._reserved):
            count += 1
            name = f"{hint}.{count}"
        self._taken.add(name)
        return name
