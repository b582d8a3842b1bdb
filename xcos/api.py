"""The functions of the package that use a default model, and the way to model files."""

from __future__ import annotations

import os
from typing import Any, Literal, overload

from .faces.detection import FaceLike
from .faces.image import MAX_PIXELS, ImageLike, Many, OneImage
from .plan.file import ModelFile
from .plan.pixels import PerChannel
from .recognition.features import Features, Metric
from .recognition.results import Explanation, Verification
from .recognition.shipped import ModelLike, as_model
from .storage.progress import Progress


@overload
def verify(
    a: OneImage, b: OneImage, *,
    model: ModelLike = ..., metric: Metric = ..., threshold: float | None = ..., face: FaceLike = ...,
    aligned: bool = ..., bgr: bool = ..., upright: bool = ..., max_pixels: int = ...,
    threads: int | None = ..., progress: Progress = ...,
) -> Verification: ...
@overload
def verify(
    a: Many | Features, b: ImageLike | Many | Features, *,
    model: ModelLike = ..., metric: Metric = ..., threshold: float | None = ..., face: FaceLike = ...,
    aligned: bool = ..., bgr: bool = ..., upright: bool = ..., max_pixels: int = ...,
    threads: int | None = ..., progress: Progress = ...,
) -> list[Verification]: ...
@overload
def verify(
    a: ImageLike, b: Many | Features, *,
    model: ModelLike = ..., metric: Metric = ..., threshold: float | None = ..., face: FaceLike = ...,
    aligned: bool = ..., bgr: bool = ..., upright: bool = ..., max_pixels: int = ...,
    threads: int | None = ..., progress: Progress = ...,
) -> list[Verification]: ...
@overload
def verify(
    a: ImageLike | Many | Features, b: ImageLike | Many | Features, *,
    skip_failed: Literal[True],
    model: ModelLike = ..., metric: Metric = ..., threshold: float | None = ..., face: FaceLike = ...,
    aligned: bool = ..., bgr: bool = ..., upright: bool = ..., max_pixels: int = ...,
    threads: int | None = ..., progress: Progress = ...,
) -> list[Verification | None]: ...
@overload
def verify(
    a: ImageLike | Many | Features, b: ImageLike | Many | Features, *,
    skip_failed: bool = ...,
    model: ModelLike = ..., metric: Metric = ..., threshold: float | None = ..., face: FaceLike = ...,
    aligned: bool = ..., bgr: bool = ..., upright: bool = ..., max_pixels: int = ...,
    threads: int | None = ..., progress: Progress = ...,
) -> Any: ...
def verify(
    a: ImageLike | Many | Features,
    b: ImageLike | Many | Features,
    *,
    model: ModelLike = None,
    metric: Metric = "xcos",
    threshold: float | None = None,
    face: FaceLike = None,
    aligned: bool = False,
    bgr: bool = False,
    upright: bool = False,
    max_pixels: int = MAX_PIXELS,
    threads: int | None = None,
    progress: Progress = None,
    skip_failed: bool = False,
) -> Verification | list[Verification] | list[Verification | None]:
    """Do photographs `a` and `b` show one person? -> Verification, or a list of them for lists.

    A photograph is a path, bytes, a file object, a PIL image, or an (H, W, 3) uint8 RGB array. `model`: a
    Model, a name or a path; None: the default. `metric`: "cosine" decides by the plain cosine of the two embeddings
    at its own threshold, in place of the xCos score. Other keywords and errors are those of ``Model.verify``.
    """
    result: Verification | list[Verification] | list[Verification | None] = as_model(model).verify(
        a, b, metric=metric, threshold=threshold, face=face, aligned=aligned, bgr=bgr, upright=upright,
        max_pixels=max_pixels, threads=threads, progress=progress, skip_failed=skip_failed,
    )  # fmt: skip
    return result


@overload
def explain(
    a: OneImage, b: OneImage, *,
    model: ModelLike = ..., threshold: float | None = ..., face: FaceLike = ..., aligned: bool = ...,
    bgr: bool = ..., upright: bool = ..., max_pixels: int = ..., threads: int | None = ...,
) -> Explanation: ...
@overload
def explain(
    a: Many | Features, b: ImageLike | Many | Features, *,
    model: ModelLike = ..., threshold: float | None = ..., face: FaceLike = ..., aligned: bool = ...,
    bgr: bool = ..., upright: bool = ..., max_pixels: int = ..., threads: int | None = ...,
) -> list[Explanation]: ...
@overload
def explain(
    a: ImageLike, b: Many | Features, *,
    model: ModelLike = ..., threshold: float | None = ..., face: FaceLike = ..., aligned: bool = ...,
    bgr: bool = ..., upright: bool = ..., max_pixels: int = ..., threads: int | None = ...,
) -> list[Explanation]: ...
@overload
def explain(
    a: ImageLike | Many | Features, b: ImageLike | Many | Features, *,
    skip_failed: Literal[True],
    model: ModelLike = ..., threshold: float | None = ..., face: FaceLike = ..., aligned: bool = ...,
    bgr: bool = ..., upright: bool = ..., max_pixels: int = ..., threads: int | None = ...,
) -> list[Explanation | None]: ...
@overload
def explain(
    a: ImageLike | Many | Features, b: ImageLike | Many | Features, *,
    skip_failed: bool = ...,
    model: ModelLike = ..., threshold: float | None = ..., face: FaceLike = ..., aligned: bool = ...,
    bgr: bool = ..., upright: bool = ..., max_pixels: int = ..., threads: int | None = ...,
) -> Any: ...
def explain(
    a: ImageLike | Many | Features,
    b: ImageLike | Many | Features,
    *,
    model: ModelLike = None,
    threshold: float | None = None,
    face: FaceLike = None,
    aligned: bool = False,
    bgr: bool = False,
    upright: bool = False,
    max_pixels: int = MAX_PIXELS,
    threads: int | None = None,
    skip_failed: bool = False,
) -> Explanation | list[Explanation] | list[Explanation | None]:
    """Like ``verify``, with the reason cell by cell -> Explanation, or a list of them for lists.

    Keywords and errors are those of ``verify`` and ``Model.explain``.
    """
    result: Explanation | list[Explanation] | list[Explanation | None] = as_model(model).explain(
        a, b, threshold=threshold, face=face, aligned=aligned, bgr=bgr, upright=upright, max_pixels=max_pixels,
        threads=threads, skip_failed=skip_failed,
    )  # fmt: skip
    return result


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str] | None = None,
    *,
    color: str | None = None,
    mean: PerChannel | None = None,
    scale: PerChannel | None = None,
) -> ModelFile:
    """Imports a network and, with `target`, writes it as a model file.

    source : an ONNX graph (``pip install xcos[onnx]``), or a PyTorch checkpoint, ``.pth`` (``xcos[train]``) or
        ``.safetensors``, in the layout of the xCos reference (whole, or an IR or IR-SE backbone) or of
        InsightFace's iresnet. Nothing pickled in a checkpoint is executed.
    color, mean, scale : "RGB" or "BGR", and input = (pixel - mean) * scale for pixels of 0 to 255. A mean or scale
        is one number, or three in the order of the network's channels. Those not given are RGB, 127.5 and
        1/127.5; an ONNX graph for which none is given stays without.

    Raises OSError when a file can't be read or written, ValueError for another mean or scale, ModelFileError for
    content that is damaged, uses an operator that the core lacks or is of an unknown layout; operator and node, or the
    tensor, are named.
    """
    from .importers import import_network, preprocess

    given = {"color": color, "mean": mean, "scale": scale}
    chosen: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    file = import_network(source, preprocess(**chosen) if chosen else None)
    if target is not None:
        file.write(target)
    return file
