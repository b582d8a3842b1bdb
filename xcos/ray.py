"""Features of data sets that one machine is too small for, by Ray Data. Needs ``pip install xcos[ray]``.

    import ray, xcos.ray

    images = ray.data.read_binary_files("photos/", include_paths=True)
    found = images.map_batches(xcos.ray.FeatureExtractor, batch_size=64, compute=ray.data.ActorPoolStrategy(size=8),
                               num_cpus=4, fn_constructor_kwargs={"threads": 4})
    found.filter(lambda row: not row["error"]).write_parquet("features/")

Ray starts a worker anew that is killed and gives its batch to another. Leave it CPUs for reading beside those of
the workers: with none left it waits for ever.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .recognition import features
from .recognition.shipped import ModelLike, as_model

__all__ = ["FeatureExtractor"]


class FeatureExtractor:
    """What ``map_batches`` calls: batches of encoded images in, batches of features out.

    A batch in is a dict of columns, one of them with images; the other columns, such as "path", are passed on. The
    batch out has, beside these, "grid" (N, D, H, W) and "embedding" (N, E), float32, and "error", (N,) text: empty, or
    why the image could not be used; its features are NaN, so that an image that fails is told and the others go on.

    Parameters
    ----------
    model : Model, str or path, optional
        A Model, a name or a path; None: the default.
    column : str, default "bytes"
        The column with images: "bytes" as ``read_binary_files`` names it; paths do as well.
    aligned, bgr : bool, default False
        As in ``Model.features``.
    threads : int, optional
        Threads at most; None: the default.

    Examples
    --------
    >>> import numpy as np
    >>> import xcos.ray
    >>> batch = {"path": np.array(["examples/obama_portrait_2012.jpg", "absent.jpg"])}
    >>> found = xcos.ray.FeatureExtractor(column="path")(batch)
    >>> found["embedding"].shape, [bool(error) for error in found["error"]]
    ((2, 512), [False, True])
    """

    def __init__(
        self, model: ModelLike = None, *, column: str = "bytes", aligned: bool = False,
        bgr: bool = False, threads: int | None = None,
    ) -> None:
        self._model = as_model(model)
        self._column = column
        self._keywords: dict[str, Any] = {"aligned": aligned, "bgr": bgr, "threads": threads}

    def __call__(self, batch: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Raises KeyError, naming the columns there are, when the one with images is missing."""
        if self._column not in batch:
            raise KeyError(f"no column {self._column!r} in the batch; it has {', '.join(batch)}")
        images = batch[self._column]
        seen = list(self._model.stream(images, skip_failed=True, **self._keywords))
        none = self._model.features([])
        stack = features.Features.concatenate([none, *(part.features for part in seen)])
        index = np.concatenate([np.empty(0, np.intp), *(part.index for part in seen)])
        error = np.full(len(images), "", object)
        for i, message in (failure for part in seen for failure in part.failed):
            error[i] = message
        others = {name: values for name, values in batch.items() if name != self._column}
        return {**others, "grid": _spread(stack.grid, index, len(images)),
                "embedding": _spread(stack.embedding, index, len(images)), "error": error.astype(str)}


def _spread(array: NDArray[np.float32], index: NDArray[np.intp], n: int) -> NDArray[np.float32]:
    """(n, ...) with the rows of `array` at `index` and NaN elsewhere."""
    wide = np.full((n, *array.shape[1:]), np.nan, np.float32)
    wide[index] = array
    return wide


def __getattr__(name: str) -> Any:
    if name == "Features":  # what FeatureExtractor was called, for one version
        warnings.warn("xcos.ray.Features is now xcos.ray.FeatureExtractor", DeprecationWarning, stacklevel=2)
        return FeatureExtractor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
