"""A recognition model with its xCos head: from photographs to features, scores and explanations."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..errors import ModelFileError
from ..faces.detection import Cut, FaceLike, How, align, detect
from ..faces.image import MAX_PIXELS, ImageLike, Many, OneImage, as_list, read_image
from ..faces.looks import MAX_SIDE, MIN_SCORE
from ..faces.many import choices, crop_all, cut_each, stacked
from ..faces.quality import Look
from ..measured.calibration import Calibration
from ..measured.truth import CellTruth
from ..measured.whole import WholeCurve
from ..plan.file import ModelFile
from ..plan.network import Network, Precision
from ..plan.pixels import as_input
from ..storage.progress import Progress, batches
from .card import ModelCard
from .explanation import Explanation
from .features import Comparison, Features, Floats, Metric, SeenFace, plain_cosine
from .pairing import Failed, Failures, Pairs
from .results import Verification
from .streaming import Batch, stream

SIDE = 112  # pixels of an aligned crop; the ArcFace template is made for it
GIVEN = "given by the caller"  # how a threshold was set
_BATCH = 32  # images in one run of the network, where the caller does not say


class Model:
    """A network that turns aligned faces into grids and embeddings, and the head that compares them.

    Made by ``xcos.load()`` or :meth:`load`. Immutable, safe from any number of threads at once, picklable.

    Wherever an *image* is taken it may be a path, bytes, a file object, a PIL image, or an (H, W, 3) uint8 RGB array; a
    list of those or an (N, H, W, 3) array stands for N images. The keywords they share:

    - ``face``: which face of the photograph, counted from 0 as ``xcos.detect`` lists them (best first), or
      a ``Face``; None takes the largest x most central. A list gives one for each image.
    - ``aligned``: the images are 112 x 112 crops aligned to the ArcFace template already.
    - ``bgr``: arrays are BGR, as OpenCV reads them.
    - ``upright``: the photographs stand upright: do not look at them turned where no sure face is found.
    - ``max_pixels``: larger pictures are refused (default: 200 million).
    - ``threads``: threads at most; None: XCOS_NUM_THREADS, else what CPU affinity and cgroup quota leave.

    They raise OSError for files that can't be read, ``ImageError`` for content that is no picture (or no crop of 112 x
    112 with ``aligned``), ``NoFaceError`` where no face is found; all name the image.

    Parameters
    ----------
    file : ModelFile
        A recognizer with an xCos head and (3, 112, 112) input.
    network : Network, optional
        That of `file`, where there is one already.
    path : str, optional
        Where the file lies, for its card.
    precision : {"fp32", "bf16", "int8"}, default "fp32"
        Of the network's products, where none is given: see ``xcos.Network``. Features of all precisions compare with
        each other; the threshold is the file's.

    Raises
    ------
    ModelFileError
        `file` is another.

    Examples
    --------
    >>> import xcos
    >>> a, b = "examples/obama_portrait_2012.jpg", "examples/obama_congress_2009.jpg"
    >>> model = xcos.load()
    >>> scores = model.compare_all(model.features([a, b]), model.features([a, b]))
    >>> scores.shape
    (2, 2)
    >>> model.with_whole(0).whole
    0.0
    """

    def __init__(
        self,
        file: ModelFile,
        *,
        network: Network | None = None,
        path: str | None = None,
        precision: Precision = "fp32",
    ) -> None:
        if file.kind != "recognizer" or not file.head:
            found = f"a {file.kind}" if file.head else f"a {file.kind} without head"
            raise ModelFileError(
                f"model {file.name!r}: expected a recognizer with an xCos head, got {found} "
                "(xcos.Network runs any model file)"
            )
        shapes = [tuple(value["shape"]) for value in file.inputs]
        if shapes != [(3, SIDE, SIDE)]:
            raise ModelFileError(f"model {file.name!r}: expected one input of shape (3, 112, 112), got {shapes}")
        if "xcos" not in file.thresholds or file.preprocess is None:
            absent = "threshold 'xcos'" if file.preprocess else "preprocess"
            raise ModelFileError(f"model {file.name!r}: its header gives no {absent}")
        self._file, self._path = file, path
        self._network = network or Network(file, precision=precision)
        cells = _cells(file, self._network)
        self._head = core_head(file.tensors, file.head, cells)
        self._calibration = Calibration.from_dict(file.calibration) if file.calibration else None
        self._truth = CellTruth.from_dict(file.truth) if file.truth else None
        if self._truth and self._truth.alone.shape != cells:
            raise ModelFileError(
                f"model {file.name!r}: truth has maps of {self._truth.alone.shape}, expected those of the grid, {cells}"
            )

    @classmethod
    def load(cls, path: str | os.PathLike[str] | bytes, *, precision: Precision = "fp32") -> Model:
        """Reads a model file (docs/model-file.md).

        Parameters
        ----------
        path : str, path or bytes
            Its path or its bytes.
        precision : {"fp32", "bf16", "int8"}, default "fp32"
            Of the network's products: see ``xcos.Network``.

        Returns
        -------
        Model
            The model.

        Raises
        ------
        OSError
            It can't be read.
        ModelFileError
            It is damaged or of another kind.
        """
        lies = None if isinstance(path, bytes) else os.path.abspath(os.fsdecode(path))
        return cls(ModelFile.read(path), path=lies, precision=precision)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the model file; it appears whole or not at all.

        Parameters
        ----------
        path : str or path
            Where to.
        """
        self._file.write(path)

    def __reduce__(self) -> tuple[Callable[[ModelFile], Model], tuple[ModelFile]]:
        return partial(type(self), precision=self.precision), (self._file,)

    def __repr__(self) -> str:
        whole = f", whole {self.whole:g}" if self.whole else ""
        precision = f", {self.precision}" if self.precision != "fp32" else ""
        return f"Model({self.name!r}, threshold {self.threshold:.4f}{whole}{precision})"

    @property
    def name(self) -> str:
        """What the model is called."""
        return self._file.name

    @property
    def precision(self) -> Precision:
        """Of the network's products: "fp32", "bf16" or "int8"."""
        return self._network.precision

    @property
    def file(self) -> ModelFile:
        """The model file: header (licence, origin, training, thresholds) and tensors."""
        return self._file

    @cached_property
    def card(self) -> ModelCard:
        """What the model says of itself: licence, origin, training, what was measured of it."""
        return ModelCard.of(self._file, self._path)

    @property
    def threshold(self) -> float:
        """Two faces are called the same person when their score is over this."""
        return float(self._file.thresholds["xcos"])

    @property
    def calibration(self) -> Calibration | None:
        """What the scores are worth, measured by ``xcos.calibrate``; None without."""
        return self._calibration

    @property
    def whole(self) -> float:
        """What the face as a whole counts, w in 0..1: score = (1 - w) x sum of the cells + w x plain cosine."""
        assert self._file.head is not None
        return float(self._file.head.get("whole", 0.0))

    @property
    def whole_curve(self) -> WholeCurve | None:
        """Thresholds and accuracies by w, measured by ``xcos.evaluation.whole_curve``; None without."""
        curve = self._file.whole_curve
        return WholeCurve.from_dict(curve) if curve else None

    @property
    def truth(self) -> CellTruth | None:
        """What was measured of its cells: does each say something about its own place? None without."""
        return self._truth

    def with_whole(self, whole: float, *, threshold: float | None = None) -> Model:
        """This model with another w: what the face as a whole counts in the score.

        ::

            score = (1 - w) x sum over cells of attention x cosine + w x plain cosine of the embeddings

        w = 0 is the paper's metric, all of whose score is explained cell by cell; w = 1 is the plain network's. The
        threshold is the one that the model file has for this w (`whole_curve`, between two that were measured on a
        straight line; without a curve for the model's own w and for 1 alone), or `threshold`. A calibration of the
        score is left behind, since it holds for one w; that of the plain cosine serves for w = 1.

        Parameters
        ----------
        whole : float
            w, 0 to 1.
        threshold : float, optional
            In place of the file's.

        Returns
        -------
        Model
            It shares the network with this one.

        Raises
        ------
        ValueError
            w is not in 0..1 or the threshold is not finite.
        ModelFileError
            No threshold for this w is known or given.
        """
        whole = float(whole)
        if not 0 <= whole <= 1:
            raise ValueError(f"whole: expected a number from 0 to 1, got {whole}")
        if whole == self.whole and threshold is None:
            return self
        file, curve = self._file, self.whole_curve
        source = file.thresholds_from
        if threshold is not None:
            value, source = _finite(threshold), GIVEN
        elif curve is not None:
            value = curve.threshold_at(whole)
            source = f"highest accuracy on {curve.pairs:,} pairs of {curve.data}, whole {whole:g}"
        elif whole == 1 and "cosine" in file.thresholds:
            value = float(file.thresholds["cosine"])
        else:
            raise ModelFileError(
                f"model {self.name!r}: no threshold is known for whole = {whole:g} (its file has no whole_curve); "
                "give threshold=, or measure one: xcos.evaluation.whole_curve"
            )
        calibration = file.calibration
        if calibration and whole != self.whole:
            scores = {key: entry for key, entry in calibration["scores"].items() if key != "xcos"}
            calibration = {**calibration, "scores": scores | ({"xcos": scores["cosine"]} if whole == 1 else {})}
        changed = dataclasses.replace(
            file,
            head={**(file.head or {}), "whole": whole},
            thresholds={**file.thresholds, "xcos": value},
            thresholds_from=source,
            calibration=calibration,
        )
        return type(self)(changed, network=self._network, path=self._path)

    def _judging(self, metric: str, threshold: float | None = None) -> Model:
        """The model whose score is the metric."""
        if metric not in ("xcos", "cosine"):
            raise ValueError(f"metric: expected 'xcos' or 'cosine', got {metric!r}")
        return self.with_whole(1, threshold=threshold) if metric == "cosine" else self

    def crops(
        self,
        images: ImageLike | Many,
        *,
        face: FaceLike = None,
        aligned: bool = False,
        bgr: bool = False,
        upright: bool = False,
        max_pixels: int = MAX_PIXELS,
        threads: int | None = None,
    ) -> NDArray[np.uint8]:
        """Aligned faces of the images.

        Parameters
        ----------
        images : image or list of images
            One image or several: see the class.
        face : int, Face or sequence of them, optional
            Which face of each photograph.
        aligned, bgr, upright : bool, default False
            What the photographs are like.
        max_pixels : int, optional
            Larger pictures are refused.
        threads : int, optional
            Threads at most; None: the default.

        Returns
        -------
        (N, 112, 112, 3) ndarray of uint8
            RGB.
        """
        listed, _ = as_list(images)
        how = How(aligned, bgr, upright, max_pixels)
        return crop_all(listed, how, faces=choices(face, len(listed)), threads=threads)

    def faces(
        self,
        photo: OneImage,
        *,
        min_score: float = MIN_SCORE,
        max_side: int = MAX_SIDE,
        bgr: bool = False,
        upright: bool = False,
        max_pixels: int = MAX_PIXELS,
        threads: int | None = None,
    ) -> list[SeenFace]:
        """All faces of one photograph, each with what the network sees in it.

        Parameters
        ----------
        photo : path, bytes, file object, PIL image or (H, W, 3) uint8 array
            One photograph, of as many people as there are.
        min_score : float, optional
            Fainter faces are left out, as by ``xcos.detect``.
        max_side : int, optional
            Larger photographs are made this small, pixels, to be looked at, as by ``xcos.detect``.
        bgr, upright : bool, default False
            What the photograph is like: see the class.
        max_pixels : int, optional
            A larger picture is refused.
        threads : int, optional
            Threads at most; None: the default.

        Returns
        -------
        list of SeenFace
            Best score first, as ``xcos.detect`` lists them and ``face=`` counts them; empty where no face is found.

        Raises
        ------
        OSError, ImageError
            For a file that can't be read, content that is no picture.
        ValueError
            For `min_score` or `max_side` out of range.

        Examples
        --------
        >>> import xcos
        >>> model = xcos.load()
        >>> (face,) = model.faces("examples/obama_portrait_2012.jpg")
        >>> face.embedding.shape
        (512,)
        >>> other = model.features("examples/obama_congress_2009.jpg")
        >>> bool(model.compare(face.features, other).same[0])
        True
        """
        pixels = read_image(photo, bgr=bgr, max_pixels=max_pixels)
        found = detect(pixels, min_score=min_score, max_side=max_side, upright=upright, threads=threads)
        crops = align(pixels, found)
        seen = self.features(crops, aligned=True, threads=threads)
        return [SeenFace.of(face, crop, one) for face, crop, one in zip(found, crops, seen, strict=True)]

    def features(
        self,
        images: ImageLike | Many | Iterator[Any],
        *,
        face: FaceLike = None,
        aligned: bool = False,
        bgr: bool = False,
        upright: bool = False,
        max_pixels: int = MAX_PIXELS,
        batch: int = _BATCH,
        threads: int | None = None,
        progress: Progress = None,
        skip_failed: bool = False,
    ) -> Features:
        """What the network sees in N images: grids and embeddings. Errors: see the class.

        Parameters
        ----------
        images : image, list or iterator of images
            One image or several; an iterator is read as it goes (:meth:`stream` gives back what it has batch by batch).
        face : int, Face or sequence of them, optional
            Which face of each photograph.
        aligned, bgr, upright : bool, default False
            What the photographs are like.
        max_pixels : int, optional
            Larger pictures are refused.
        batch : int, optional
            So many images are held at a time.
        threads : int, optional
            Threads at most; None: the default.
        progress : bool or callable, optional
            True draws a tqdm bar, a function is called as progress(done, total).
        skip_failed : bool, default False
            An image that can't be used does not stop the others. Its place holds NaN (``Features.found`` tells which
            hold a face), and the log counts such images in a warning and tells what was wrong with the first.

        Returns
        -------
        Features
            A stack of N.

        Raises
        ------
        ValueError
            `batch` is below 1, or there are not as many faces chosen as images.
        """
        failed = Failures()
        how = How(aligned, bgr, upright, max_pixels)
        seen: Iterator[tuple[Sequence[int], Features]]
        if isinstance(images, Iterator):
            if face is not None or progress:
                raise ValueError("features: an iterator of images goes without face and progress")
            seen = _streamed(
                self.stream(
                    images, aligned=aligned, bgr=bgr, upright=upright, max_pixels=max_pixels, batch=batch,
                    threads=threads, skip_failed=skip_failed,
                ),
                failed,
            )  # fmt: skip
        else:
            if batch < 1:
                raise ValueError(f"batch: expected at least 1, got {batch}")
            listed, _ = as_list(images)
            chosen = choices(face, len(listed))
            told = failed.add if skip_failed else None
            parts = self._features(listed, chosen, how, batch, threads, progress, told)
            seen = ((numbers, features) for numbers, _, features in parts)
        numbers: list[int] = []
        stacks: list[Features] = []
        for some, features in seen:
            numbers += some
            stacks.append(features)
        total = len(numbers) + len(failed)
        failed.tell(total)
        found = Features.concatenate(stacks or [self._see(stacked([]), threads)])
        return found.spread(numbers, total) if failed else found

    def stream(
        self,
        images: Iterable[Any],
        *,
        aligned: bool = False,
        bgr: bool = False,
        upright: bool = False,
        max_pixels: int = MAX_PIXELS,
        flip: bool = False,
        batch: int = _BATCH,
        threads: int | None = None,
        skip_failed: bool = False,
    ) -> Iterator[Batch]:
        """Features of any number of images, batch by batch, in constant memory. Errors: see the class.

        Images are read as they are needed and decoded, found and aligned in parallel while the network runs on those
        before.

        Parameters
        ----------
        images : iterable of object
            Any number.
        aligned, bgr, upright : bool, default False
            What the photographs are like.
        max_pixels : int, optional
            Larger pictures are refused.
        flip : bool, default False
            Features are the mean of those of the image and of its mirror image, whose grid is mirrored back.
        batch : int, optional
            Images of a batch.
        threads : int, optional
            Threads at most; None: the default.
        skip_failed : bool, default False
            Images that can't be used are told in ``Batch.failed`` instead of raising.

        Returns
        -------
        iterator of Batch
            In the order of the images.
        """

        def see(crops: NDArray[np.uint8]) -> Features:
            seen = self._see(crops, threads)
            if not flip:
                return seen
            mirrored = self._see(np.ascontiguousarray(crops[:, :, ::-1]), threads)
            half = np.float32(0.5)
            return Features(
                half * (seen.grid + mirrored.grid[..., ::-1]), half * (seen.embedding + mirrored.embedding)
            )

        how = How(aligned, bgr, upright, max_pixels)
        return stream(see, images, how, batch=batch, threads=threads, skip_failed=skip_failed)

    def compare(
        self,
        first: Features,
        second: Features,
        *,
        metric: Metric = "xcos",
        maps: bool = True,
        threads: int | None = None,
    ) -> Comparison:
        """Compares first[i] with second[i]: scores, plain cosines, and the maps.

        The order of the two matters slightly: the attention sees them one after the other.

        Parameters
        ----------
        first, second : Features
            Of as many faces; a stack of one is compared with each of the other.
        metric : {"xcos", "cosine"}, default "xcos"
            The model's own score, or the plain cosine of the two embeddings at its own threshold: what
            ``with_whole(1)`` decides, and nothing of that is explained by cells.
        maps : bool, default True
            Give the maps, too.
        threads : int, optional
            Threads at most; None: the default.

        Returns
        -------
        Comparison
            Of N pairs.

        Raises
        ------
        ValueError
            The numbers differ; another metric.
        ModelFileError
            The model has no threshold for its cosine.
        """
        if metric != "xcos":
            return self._judging(metric).compare(first, second, maps=maps, threads=threads)
        n = max(len(first), len(second)) if len(first) and len(second) else 0
        if len(first) != len(second) and n != len(first) * len(second):
            raise ValueError(f"compare: expected two stacks of one length, got {len(first)} and {len(second)}")
        first, second = (f if len(f) == n else f[[0] * n] for f in (first, second))
        score, cosine_map, attention = self._head.compare(
            first.grid, second.grid, maps, threads or 0, first.embedding, second.embedding
        )
        cosine = plain_cosine(first.embedding, second.embedding)
        return Comparison(score, cosine, self.threshold, cosine_map, attention, 1 - self.whole)

    @overload
    def compare_all(
        self, first: Features, second: Features, *, maps: Literal[False] = ..., threads: int | None = ...
    ) -> Floats: ...
    @overload
    def compare_all(
        self, first: Features, second: Features, *, maps: Literal[True], threads: int | None = ...
    ) -> tuple[Floats, Floats, Floats]: ...
    @overload
    def compare_all(
        self, first: Features, second: Features, *, maps: bool, threads: int | None = ...
    ) -> Floats | tuple[Floats, Floats, Floats]: ...
    def compare_all(
        self, first: Features, second: Features, *, maps: bool = False, threads: int | None = None
    ) -> Floats | tuple[Floats, Floats, Floats]:
        """Compares every first[i] with every second[j].

        Parameters
        ----------
        first, second : Features
            Of N and of M faces.
        maps : bool, default False
            Give the maps, too.
        threads : int, optional
            Threads at most; None: the default.

        Returns
        -------
        (N, M) ndarray of float32, or three
            Scores; with `maps` (scores, cosine maps (N, M, H, W), attention (N, M, H, W)).
        """
        result = self._head.compare_all(
            first.grid, second.grid, maps, threads or 0, first.embedding, second.embedding
        )
        scores, cosine, attention = result
        return scores if cosine is None or attention is None else (scores, cosine, attention)

    @overload
    def verify(
        self, a: OneImage, b: OneImage, *,
        metric: Metric = ..., threshold: float | None = ..., face: FaceLike = ..., aligned: bool = ...,
        bgr: bool = ..., upright: bool = ..., max_pixels: int = ...,
        threads: int | None = ..., progress: Progress = ...,
    ) -> Verification: ...
    @overload
    def verify(
        self, a: Many | Features, b: ImageLike | Many | Features, *,
        metric: Metric = ..., threshold: float | None = ..., face: FaceLike = ..., aligned: bool = ...,
        bgr: bool = ..., upright: bool = ..., max_pixels: int = ...,
        threads: int | None = ..., progress: Progress = ...,
    ) -> list[Verification]: ...
    @overload
    def verify(
        self, a: ImageLike, b: Many | Features, *,
        metric: Metric = ..., threshold: float | None = ..., face: FaceLike = ..., aligned: bool = ...,
        bgr: bool = ..., upright: bool = ..., max_pixels: int = ...,
        threads: int | None = ..., progress: Progress = ...,
    ) -> list[Verification]: ...
    @overload
    def verify(
        self, a: ImageLike | Many | Features, b: ImageLike | Many | Features, *,
        skip_failed: Literal[True],
        metric: Metric = ..., threshold: float | None = ..., face: FaceLike = ..., aligned: bool = ...,
        bgr: bool = ..., upright: bool = ..., max_pixels: int = ...,
        threads: int | None = ..., progress: Progress = ...,
    ) -> list[Verification | None]: ...
    @overload
    def verify(
        self, a: ImageLike | Many | Features, b: ImageLike | Many | Features, *,
        skip_failed: bool = ...,
        metric: Metric = ..., threshold: float | None = ..., face: FaceLike = ..., aligned: bool = ...,
        bgr: bool = ..., upright: bool = ..., max_pixels: int = ...,
        threads: int | None = ..., progress: Progress = ...,
    ) -> Any: ...
    def verify(
        self,
        a: ImageLike | Many | Features,
        b: ImageLike | Many | Features,
        *,
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
        """Decides whether image `a` and image `b` show one person. Errors: see the class.

        Parameters
        ----------
        a, b : image, list of images or Features
            Lists give a list: a[i] with b[i], or one image with each of a list. Either may be Features, which
            were seen before.
        metric : {"xcos", "cosine"}, default "xcos"
            The model's own score, or the plain cosine of the two embeddings at its own threshold: what
            ``with_whole(1)`` decides, and nothing of that is explained by cells.
        threshold : float, optional
            In place of the model's.
        face : int, Face or sequence of them, optional
            None, one choice for both, or a tuple of two (for `a`, for `b`).
        aligned, bgr, upright : bool, default False
            What the photographs are like.
        max_pixels : int, optional
            Larger pictures are refused.
        threads : int, optional
            Threads at most; None: the default.
        progress : bool or callable, optional
            True draws a tqdm bar, a function is called as progress(done, total).
        skip_failed : bool, default False
            For lists: a photograph that can't be used does not stop the others; its pairs are None, and the log counts
            them in a warning.

        Returns
        -------
        Verification or list of Verification
            For lists, a list of them.

        Raises
        ------
        ValueError
            The lists differ in length, the threshold is not finite, or it is another metric.
        ModelFileError
            The model has no threshold for its cosine, and none is given.
        """
        if metric != "xcos":
            judging = self._judging(metric, threshold)
            decided: Verification | list[Verification] | list[Verification | None] = judging.verify(
                a, b, face=face, aligned=aligned, bgr=bgr, upright=upright, max_pixels=max_pixels, threads=threads,
                progress=progress, skip_failed=skip_failed,
            )  # fmt: skip
            return decided
        pairs = self._pairs(a, b, face, How(aligned, bgr, upright, max_pixels), threads, progress, skip_failed)
        compared = self.compare(*pairs.features, maps=False, threads=threads)
        decided = [
            Verification(**self._decision(compared, i, threshold), looks=looks) for i, looks in enumerate(pairs.looks)
        ]
        return pairs.placed(decided)

    @overload
    def explain(
        self, a: OneImage, b: OneImage, *,
        threshold: float | None = ..., face: FaceLike = ..., aligned: bool = ...,
        bgr: bool = ..., upright: bool = ..., max_pixels: int = ..., threads: int | None = ...,
    ) -> Explanation: ...
    @overload
    def explain(
        self, a: Many | Features, b: ImageLike | Many | Features, *,
        threshold: float | None = ..., face: FaceLike = ..., aligned: bool = ...,
        bgr: bool = ..., upright: bool = ..., max_pixels: int = ..., threads: int | None = ...,
    ) -> list[Explanation]: ...
    @overload
    def explain(
        self, a: ImageLike, b: Many | Features, *,
        threshold: float | None = ..., face: FaceLike = ..., aligned: bool = ...,
        bgr: bool = ..., upright: bool = ..., max_pixels: int = ..., threads: int | None = ...,
    ) -> list[Explanation]: ...
    @overload
    def explain(
        self, a: ImageLike | Many | Features, b: ImageLike | Many | Features, *,
        skip_failed: Literal[True],
        threshold: float | None = ..., face: FaceLike = ..., aligned: bool = ...,
        bgr: bool = ..., upright: bool = ..., max_pixels: int = ..., threads: int | None = ...,
    ) -> list[Explanation | None]: ...
    @overload
    def explain(
        self, a: ImageLike | Many | Features, b: ImageLike | Many | Features, *,
        skip_failed: bool = ...,
        threshold: float | None = ..., face: FaceLike = ..., aligned: bool = ...,
        bgr: bool = ..., upright: bool = ..., max_pixels: int = ..., threads: int | None = ...,
    ) -> Any: ...
    def explain(
        self,
        a: ImageLike | Many | Features,
        b: ImageLike | Many | Features,
        *,
        threshold: float | None = None,
        face: FaceLike = None,
        aligned: bool = False,
        bgr: bool = False,
        upright: bool = False,
        max_pixels: int = MAX_PIXELS,
        threads: int | None = None,
        skip_failed: bool = False,
    ) -> Explanation | list[Explanation] | list[Explanation | None]:
        """Decides as :meth:`verify` does, and gives the reason. Errors: see the class.

        Each holds its two crops (75 kB) and maps of its own, and nothing of the photographs or of the other pairs.

        Parameters
        ----------
        a, b : image, list of images or Features
            Lists give a list: a[i] with b[i], or one image with each of a list. Of Features the pictures are gone: grey
            stands in their place.
        threshold : float, optional
            In place of the model's.
        face : int, Face or sequence of them, optional
            None, one choice for both, or a tuple of two (for `a`, for `b`).
        aligned, bgr, upright : bool, default False
            What the photographs are like.
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
            For lists, a list of them.

        Raises
        ------
        ValueError
            The lists differ in length, or the threshold is not finite.
        """
        how = How(aligned, bgr, upright, max_pixels)
        pairs = self._pairs(a, b, face, how, threads, None, skip_failed, keep_crops=True)
        explained = self.explain_features(
            *pairs.features, pairs.crops, names=pairs.names, looks=pairs.looks, threshold=threshold, threads=threads
        )
        return pairs.placed(explained)

    def explain_features(
        self,
        first: Features,
        second: Features,
        crops: Sequence[NDArray[np.uint8]],
        *,
        names: Sequence[tuple[str, str]],
        looks: Sequence[tuple[Look, Look] | None] | None = None,
        threshold: float | None = None,
        threshold_from: str = GIVEN,
        threads: int | None = None,
    ) -> list[Explanation]:
        """Explanations of features that are there already: first[i] with second[i], or one with each.

        Parameters
        ----------
        first, second : Features
            As in :meth:`compare`.
        crops : sequence of (2, 112, 112, 3) ndarray of uint8
            Of each pair's two faces, RGB.
        names : sequence of (str, str)
            Of each pair's two faces.
        looks : sequence of (Look, Look), optional
            Of each pair's two photographs.
        threshold : float, optional
            In place of the model's.
        threshold_from : str
            How the threshold was set.
        threads : int, optional
            Threads at most; None: the default.

        Returns
        -------
        list of Explanation
            One for each pair.

        Raises
        ------
        ValueError
            As in :meth:`compare`.
        """
        compared = self.compare(first, second, threads=threads)
        assert compared.cosine_map is not None and compared.attention is not None
        cells = self._calibration.cells if self._calibration else None
        evidence = cells.evidence(compared.cosine_map) if cells else None
        return [
            Explanation(
                **self._decision(compared, i, threshold, threshold_from),
                cosine_map=compared.cosine_map[i].copy(),  # a view would keep those of all pairs
                attention=compared.attention[i].copy(),
                evidence=None if evidence is None else evidence[i].copy(),
                cells=cells,
                truth=self._truth,
                card=self.card,
                crops=crops[i],
                looks=looks[i] if looks else None,
                names=names[i],
            )
            for i in range(len(compared))
        ]

    def _pairs(
        self, a: Any, b: Any, face: Any, how: How, threads: int | None, progress: Progress, skip_failed: bool,
        keep_crops: bool = False,
    ) -> Pairs:
        def see(
            images: Sequence[Any], chosen: Sequence[Any], failed: Failed | None
        ) -> Iterator[tuple[list[int], list[Cut], Features]]:
            return self._features(images, chosen, how, _BATCH, threads, progress, failed)

        def nothing() -> Features:
            return self._see(stacked([]), threads)

        return Pairs(a, b, face, see, nothing, skip_failed=skip_failed, keep_crops=keep_crops)

    def _features(
        self,
        images: Sequence[Any],
        chosen: Sequence[Any],
        how: How,
        batch: int,
        threads: int | None,
        progress: Progress,
        failed: Failed | None,
    ) -> Iterator[tuple[list[int], list[Cut], Features]]:
        """Numbers and faces of the images and what the network sees in them, `batch` at a time; `failed`: see
        `cut_each`."""
        numbered = list(enumerate(zip(images, chosen, strict=True)))
        for part in batches(numbered, batch, progress, "features"):
            numbers, pairs = zip(*part, strict=True)
            some, theirs = zip(*pairs, strict=True)
            told = None if failed is None else partial(_renumbered, failed, numbers)
            found = list(cut_each(some, how, faces=theirs, threads=threads, failed=told))
            cuts = [one for _, one in found]
            yield [numbers[i] for i, _ in found], cuts, self._see(stacked(cuts), threads)

    def _see(self, crops: NDArray[np.uint8], threads: int | None) -> Features:
        head = self._file.head
        assert head is not None  # checked by __init__
        outputs = self._network.run(as_input(self._file, crops), threads=threads)
        grid = outputs[head["grid"]]
        # Without a whole-face embedding the flattened grid stands for it: the margin loss was trained on that.
        whole = head.get("embedding")
        return Features(grid, outputs[whole] if whole else grid.reshape(len(grid), -1))

    def _decision(
        self, compared: Comparison, i: int, threshold: float | None, threshold_from: str = GIVEN
    ) -> dict[str, Any]:
        return {
            "score": float(compared.score[i]),
            "threshold": self.threshold if threshold is None else _finite(threshold),
            "cosine": float(compared.cosine[i]),
            "threshold_from": self._file.thresholds_from if threshold is None else threshold_from,
            "model": self.name,
            "explained": compared.explained,
            **self._worth(float(compared.score[i])),
        }

    def _worth(self, score: float) -> dict[str, Any]:
        calibrated = self._calibration and self._calibration.scores.get("xcos")
        if not self._calibration or not calibrated:
            return {}
        llr = float(calibrated(score))
        return {"llr": llr, "llr_interval": calibrated.between(score), "undecided": self._calibration.is_undecided(llr)}


def _streamed(batches_: Iterator[Batch], failed: Failures) -> Iterator[tuple[Sequence[int], Features]]:
    for one in batches_:
        failed.update(one.failed)
        yield one.index.tolist(), one.features


def _renumbered(failed: Failed, numbers: Sequence[int], i: int, error: Exception) -> None:
    failed(numbers[i], error)


def _finite(threshold: Any) -> float:
    number = float(threshold)
    if not math.isfinite(number):
        raise ValueError(f"threshold: expected a finite number, got {number}")
    return number


def _cells(file: ModelFile, network: Network) -> tuple[int, int]:
    """Rows and columns of the grid."""
    assert file.head is not None
    shape = network.outputs[file.head["grid"]]
    if shape is None or len(shape) != 4:
        raise ModelFileError(f"model {file.name!r}: expected a grid of shape (N, D, H, W), got {shape}")
    assert shape[2] is not None and shape[3] is not None
    return shape[2], shape[3]


def core_head(
    tensors: Mapping[str, NDArray[np.float32]], head: Mapping[str, Any], cells: tuple[int, int]
) -> _core.Head:
    """The core's head from the tensors ``head.*`` and the header's `head` of a model file; cells (rows, columns)."""
    keywords: dict[str, Any] = {
        "height": cells[0],
        "width": cells[1],
        "temperature": float(head.get("temperature", 1.0)),
        "minmax": head.get("normalization") == "minmax",
        "whole": float(head.get("whole", 0.0)),
    }
    for layer in ("embed", "attend1", "attend2"):
        for part in ("weight", "bias"):
            keywords[f"{layer}_{part}"] = tensors[f"head.{layer}.{part}"]
        keywords[f"{layer}_slope"] = float(tensors[f"head.{layer}.prelu"][0])
    return _core.Head(**keywords)
