"""The functions of the package that use a default model, and the way to model files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal, overload

from .faces.detection import FaceLike
from .faces.image import MAX_PIXELS, ImageLike, Many, OneImage
from .plan.file import ModelFile
from .plan.pixels import PerChannel
from .recognition.explanation import Explanation
from .recognition.features import Features, Metric
from .recognition.results import Verification
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
    """Decides whether photographs `a` and `b` show one person.

    A photograph is a path, bytes, a file object, a PIL image, or an (H, W, 3) uint8 RGB array.

    Parameters
    ----------
    a, b : image or list of images
        The two photographs; lists give a list: a[i] with b[i], or one with each of a list.
    model : Model, str or path, optional
        A Model, a name or a path; None: the default.
    metric : {"xcos", "cosine"}, default "xcos"
        The model's own score, or the plain cosine of the two embeddings at its own threshold: what
        ``with_whole(1)`` decides, and nothing of that is explained by cells.
    threshold : float, optional
        In place of the model's.
    face : int, Face or sequence of them, optional
        Which face of each photograph: see :class:`Model`; a tuple of two: one for `a`, one for `b`.
    aligned, bgr, upright : bool, default False
        What the photographs are like: see :class:`Model`.
    max_pixels : int, optional
        Larger pictures are refused.
    threads : int, optional
        Threads at most; None: the default.
    progress : bool or callable, optional
        True draws a bar, a function is called as progress(done, total).
    skip_failed : bool, default False
        For lists: a photograph that can't be used does not stop the others; its pairs are None, and the log counts
        them in a warning.

    Returns
    -------
    Verification or list of Verification
        With score, threshold, decision and quality; for lists, a list.

    Raises
    ------
    OSError
        A file can't be read.
    ImageError
        A file is no picture.
    NoFaceError
        There is no face on a picture.

    Examples
    --------
    >>> import xcos
    >>> a, b = "examples/obama_portrait_2012.jpg", "examples/obama_congress_2009.jpg"
    >>> v = xcos.verify(a, b)
    >>> bool(v), round(v.score, 2), round(v.threshold, 2)
    (True, 0.71, 0.27)
    >>> xcos.verify(a, "examples/biden_blue_room_2010.jpg").same
    False
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
    """Decides as :func:`verify` does, and gives the reason cell by cell.

    Parameters
    ----------
    a, b : image or list of images
        The two photographs; lists give a list: a[i] with b[i], or one with each of a list.
    model : Model, str or path, optional
        A Model, a name or a path; None: the default.
    threshold : float, optional
        In place of the model's.
    face : int, Face or sequence of them, optional
        Which face of each photograph: see :class:`Model`; a tuple of two: one for `a`, one for `b`.
    aligned, bgr, upright : bool, default False
        What the photographs are like: see :class:`Model`.
    max_pixels : int, optional
        Larger pictures are refused.
    threads : int, optional
        Threads at most; None: the default.
    skip_failed : bool, default False
        For lists: a photograph that can't be used does not stop the others; its pairs are None, and the log counts
        them in a warning.

    Returns
    -------
    Explanation or list of Explanation
        With the maps whose arithmetic is the score; for lists, a list.

    Raises
    ------
    OSError
        A file can't be read.
    ImageError
        A file is no picture.
    NoFaceError
        There is no face on a picture.

    Examples
    --------
    >>> import xcos
    >>> a, b = "examples/obama_portrait_2012.jpg", "examples/obama_congress_2009.jpg"
    >>> e = xcos.explain(a, b)
    >>> e.contribution.shape
    (7, 7)
    >>> bool(abs(e.contribution.sum() + e.whole - e.score) < 1e-6)
    True
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
    shape: Sequence[int] | None = None,
) -> ModelFile:
    """Imports a network and, with `target`, writes it as a model file.

    Parameters
    ----------
    source : str or path
        An ONNX graph (``pip install xcos[onnx]``), or a PyTorch checkpoint, ``.pth`` (``xcos[train]``) or
        ``.safetensors``, in the layout of the xCos reference (whole, or an IR or IR-SE backbone) or of InsightFace's
        iresnet. Nothing pickled in a checkpoint is executed.
    target : str or path, optional
        The model file to write.
    color : str, optional
        "RGB" or "BGR", the order of the network's channels. What is not given of `color`, `mean` and `scale` is RGB,
        127.5 and 1/127.5; an ONNX graph for which none is given stays without.
    mean, scale : float or sequence of float, optional
        The input is (pixel - mean) * scale, for pixels of 0 to 255: one number, or one for each of the
        network's channels.
    shape : (int, int), optional
        Height and width in pixels of the pictures of an ONNX graph, in place of those that it declares. None: an
        embedding network that takes any size, and can't be said so, is made one of 112 x 112.

    Returns
    -------
    ModelFile
        What was imported.

    Raises
    ------
    OSError
        A file can't be read or written.
    ValueError
        Another mean or scale.
    ModelFileError
        The content is damaged, uses an operator that the core lacks or is of an unknown layout; operator and node, or
        the tensor, are named.

    Examples
    --------
    >>> import xcos
    >>> import numpy as np
    >>> from onnx import TensorProto, helper, numpy_helper
    >>> graph = helper.make_graph(
    ...     [helper.make_node("Gemm", ["x", "w"], ["y"])], "linear",
    ...     [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])],
    ...     [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
    ...     [numpy_helper.from_array(np.ones((2, 3), np.float32), "w")],
    ... )
    >>> with open("linear.onnx", "wb") as f:
    ...     _ = f.write(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString())
    >>> file = xcos.convert("linear.onnx", "linear.safetensors")
    >>> file.outputs
    ['y']
    >>> xcos.Network.load("linear.safetensors").run([[1, 2]])["y"].tolist()
    [[3.0, 3.0, 3.0]]
    """
    from .importers import import_network, preprocess

    given = {"color": color, "mean": mean, "scale": scale}
    chosen: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    file = import_network(source, preprocess(**chosen) if chosen else None, shape)
    if target is not None:
        file.write(target)
    return file
