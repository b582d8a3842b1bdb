"""A network ready to run: arrays in, named arrays out."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core
from ..errors import ModelFileError
from .file import ModelFile
from .safetensors import unload

Shape = tuple[int | None, ...]
Precision: TypeAlias = Literal["fp32", "bf16", "int8"]


class Network:
    """The plan of a model file, ready to run. Immutable; any number of threads may run it at once.

    Like a session of an inference engine: :meth:`run` takes float32 arrays with the batch first and returns the outputs
    by name. Pictures, colour order and normalisation are `Model`'s business. Pickles with its weights.

    Where an input may have any size, what depends on it shows when the network runs, as a ValueError.

    Parameters
    ----------
    file : ModelFile
        The plan and its weights.
    precision : {"fp32", "bf16", "int8"}, default "fp32"
        Of the products in 1 x 1 convolutions and fully connected layers: "bf16" rounds what is multiplied to bfloat16,
        "int8" to 8-bit integers, with a scale per output channel of the weights and one per pixel of the inputs. Sums,
        and all other layers, stay float32. Faster and less exact (docs/engine.md).

    Raises
    ------
    ModelFileError
        Shapes within the plan do not fit together; the layer is named. Or there is no such precision, or this processor
        has no instructions for it.

    Examples
    --------
    >>> import xcos
    >>> import numpy as np
    >>> network = xcos.Network(xcos.load().file)
    >>> network.inputs
    {'input': (None, 3, 112, 112)}
    >>> sorted(network.run(np.zeros((1, 3, 112, 112)))) == sorted(network.outputs)
    True
    """

    def __init__(self, file: ModelFile, *, precision: Precision = "fp32") -> None:
        self._file, self._precision = file, precision
        try:
            self._core = _core.Network(file.inputs, file.layers, file.outputs, file.tensors, precision)
            unload(file.tensors)
            self._outputs = self._infer_outputs()
        except ValueError as error:
            raise ModelFileError(f"{file.name}: {error}") from None

    @classmethod
    def load(
        cls, source: str | os.PathLike[str] | bytes | ModelFile, *, precision: Precision = "fp32"
    ) -> "Network":
        """Makes a network from a model file.

        Parameters
        ----------
        source : str, path, bytes or ModelFile
            Its path (memory-mapped), its bytes, or itself.
        precision : {"fp32", "bf16", "int8"}, default "fp32"
            Of the products: see the class.

        Returns
        -------
        Network
            Ready to run.

        Raises
        ------
        ModelFileError
            It is no sound model file.
        OSError
            It cannot be opened.
        """
        return cls(source if isinstance(source, ModelFile) else ModelFile.read(source), precision=precision)

    @classmethod
    def from_onnx(
        cls,
        source: str | os.PathLike[str] | bytes,
        *,
        shapes: Mapping[str, Sequence[int | None]] | None = None,
        outputs: Sequence[str] | None = None,
    ) -> "Network":
        """Makes a network from an ONNX graph; see ``xcos.importers.onnx.import_onnx``.

        Parameters
        ----------
        source : str, path or bytes
            The file, or its bytes.
        shapes : dict, optional
            Of the inputs by name, without the batch, in place of those of the graph; None in a shape: any size.
        outputs : sequence of str, optional
            Names of values in place of the graph's outputs.

        Returns
        -------
        Network
            Ready to run.

        Raises
        ------
        ModelFileError
            It cannot be imported.
        OSError
            It cannot be read.
        ImportError
            The package onnx is missing.
        """
        from ..importers.onnx.importer import import_onnx

        return cls(import_onnx(source, shapes=shapes, outputs=outputs))

    @property
    def file(self) -> ModelFile:
        """The model file that the network was made from."""
        return self._file

    @property
    def precision(self) -> Precision:
        """Of the products in 1 x 1 convolutions and fully connected layers: "fp32", "bf16" or "int8"."""
        return self._precision

    @property
    def inputs(self) -> dict[str, Shape]:
        """Shapes of the inputs by name; None: any size. The first is the batch."""
        return {entry["name"]: (None, *entry["shape"]) for entry in self._file.inputs}

    @property
    def outputs(self) -> dict[str, Shape | None]:
        """Shapes of the outputs by name, None for the batch; None alone where inputs of any size decide."""
        return dict(self._outputs)

    def output_shapes(self, shapes: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, ...]]:
        """Shapes of the outputs for given shapes of the inputs.

        Parameters
        ----------
        shapes : dict
            By name, batch included.

        Returns
        -------
        dict
            By name, batch included.

        Raises
        ------
        ValueError
            The inputs do not fit the network.
        """
        self._check_names(shapes)
        found = self._core.output_shapes([list(shapes[name]) for name in self.inputs])
        return dict(zip(self._file.outputs, found, strict=True))

    def run(self, x: ArrayLike | Mapping[str, ArrayLike], threads: int | None = None) -> dict[str, NDArray[np.float32]]:
        """Runs the network.

        Parameters
        ----------
        x : (N, ...) array or dict of arrays
            For a network with one input, or by name; N is any batch, the same for all. Other real numbers are converted
            to float32.
        threads : int, optional
            How many threads at most, the caller's among them; None: XCOS_NUM_THREADS, else what CPU affinity and the
            cgroup quota leave. Results do not depend on it.

        Returns
        -------
        dict of (N, ...) ndarray of float32
            Outputs by name.

        Raises
        ------
        ValueError
            Names, shapes or types of the inputs are not those of the network.
        """
        self._check_threads(threads)
        names = list(self.inputs)
        if not isinstance(x, Mapping):
            if len(names) != 1:
                raise ValueError(f"got one array; expected a dict with the inputs {names}")
            x = {names[0]: x}
        self._check_names(x)
        arrays = [self._array(name, x[name]) for name in names]
        if len({len(array) for array in arrays}) > 1:
            raise ValueError(f"inputs differ in their batch: {[array.shape for array in arrays]}")
        results = self._core.run(arrays, threads or 0)
        return dict(zip(self._file.outputs, results, strict=True))

    def run_masked(
        self, image: ArrayLike, fill: ArrayLike, masks: ArrayLike, threads: int | None = None
    ) -> dict[str, NDArray[np.float32]]:
        """Runs the network on one picture seen through many masks: ``mask * image + (1 - mask) * fill``.

        Gives what :meth:`run` gives for these pictures. What layers make of those parts that a mask leaves as they
        are, or hides altogether, is computed once for all masks.

        Parameters
        ----------
        image, fill : (C, H, W) array
            The picture, and what stands where a mask hides it.
        masks : (N, H, W) array
            1 where the picture is seen, 0 where it is hidden.
        threads : int, optional
            See :meth:`run`.

        Returns
        -------
        dict of (N, ...) ndarray of float32
            Outputs by name.

        Raises
        ------
        ValueError
            The network has another input than one (N, C, H, W), or the arrays do not fit it.

        Examples
        --------
        >>> import numpy as np
        >>> import xcos
        >>> network = xcos.Network(xcos.load().file)
        >>> picture, nothing = np.ones((3, 112, 112)), np.zeros((3, 112, 112))
        >>> masks = np.ones((20, 112, 112))
        >>> masks[:, :28, :28] = 0
        >>> network.run_masked(picture, nothing, masks)["embedding"].shape
        (20, 512)
        """
        self._check_threads(threads)
        results = self._core.run_masked(image, fill, masks, threads or 0)
        return dict(zip(self._file.outputs, results, strict=True))

    def __repr__(self) -> str:
        return f"Network({self._file.name!r}, inputs={self.inputs}, outputs={list(self._file.outputs)})"

    def __reduce__(self) -> tuple[Callable[[ModelFile], "Network"], tuple[ModelFile]]:
        return partial(Network, precision=self._precision), (self._file,)

    def _infer_outputs(self) -> dict[str, Shape | None]:
        if any(None in shape[1:] for shape in self.inputs.values()):
            return dict.fromkeys(self._file.outputs)
        shapes = self.output_shapes({name: [size or 1 for size in shape] for name, shape in self.inputs.items()})
        return {name: (None, *shape[1:]) for name, shape in shapes.items()}

    def _check_threads(self, threads: int | None) -> None:
        if threads is not None and threads < 1:
            raise ValueError(f"threads is {threads}; expected 1 or more, or None for the default")

    def _check_names(self, given: Mapping[str, Any]) -> None:
        if set(given) != set(self.inputs):
            raise ValueError(f"got inputs {sorted(given)}; expected {sorted(self.inputs)}")

    def _array(self, name: str, value: ArrayLike) -> NDArray[np.float32]:
        array = np.asarray(value)
        if array.dtype.kind not in "fiub":
            raise ValueError(f"input {name!r} has the type {array.dtype}; expected float32")
        expected = self.inputs[name]
        fits = array.ndim == len(expected) and all(
            want in (None, got) for want, got in zip(expected, array.shape, strict=True)
        )
        if not fits:
            sizes = ", ".join("any" if size is None else str(size) for size in expected[1:])
            raise ValueError(f"input {name!r} has the shape {array.shape}; expected (batch, {sizes})")
        return np.ascontiguousarray(array, np.float32)
