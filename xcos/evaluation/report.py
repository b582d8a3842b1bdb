"""The result of a benchmark: figures, curves, the scores themselves, and the pairs that went wrong."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..base.frame import frame
from ..base.values import ByValue
from ..datasets import Pairs
from ..datasets.groups import Labels, fitting
from ..drawing import tables
from ..drawing.shown import Benchmark
from ..recognition.explanation import Explanation
from ..recognition.model import Model
from ..recognition.results import PICTURES, save
from . import protocol
from .audited import Audit
from .differential import audit_of, people_of_pairs
from .figures import Mistake, rate_name, texts
from .groups import GroupRate, group_rates
from .protocol import Folds, Roc

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Report(ByValue):
    """One model and metric on one data set, made by ``xcos.evaluate``.

    Attributes
    ----------
    model, dataset, metric : str
        What they are called.
    index : (N,) ndarray of int
        Which pairs of the data set the scores are of: all, but for those with an image that failed.
    scores : (N,) ndarray of float32
        Or float64 of a function as metric; higher is more alike.
    same : (N,) ndarray of bool
        Labels.
    reference : Folds or None
        By the protocol of the xCos reference: thresholds -1, -0.995 ... 1; None where the metric is a function, whose
        scores those need not fit.
    exact : Folds
        With all observed scores as thresholds.
    fixed : Folds or None
        With the one threshold that ``xcos.evaluate`` was given, else None.
    roc : Roc
        All points; for the DET curve roc.far and roc.frr.
    auc : float
        Area under it.
    eer : float
        Equal error rate.
    tar_at_far : dict
        True accept rate by false accept rate: 1e-1, 1e-2 ... as far as the pairs allow.
    llr : (N,) ndarray of float64 or None
        Log-likelihood ratios of a calibrated model; cllr and min_cllr (bits) belong to them.
    failed : tuple of (str, str)
        Name and message for images that could not be used; their pairs are left out.
    images : int
        How many images are in use.
    seconds : dict
        What it took: "features" (of all images in use) and "compare" (of all pairs).
    flip : bool
        Features are those of each image and its mirror image together.
    pairs : Pairs
        The data set.
    model_ : Model
        The model itself.

    Examples
    --------
    >>> import xcos
    >>> report = xcos.evaluate(None, "examples/pairs.csv", folds=3)
    >>> len(report.scores), round(report.auc, 2)
    (6, 1.0)
    >>> report.save("report.json")
    """

    model: str
    dataset: str
    metric: str
    index: NDArray[np.intp]
    scores: NDArray[np.floating[Any]]
    same: NDArray[np.bool_]
    reference: Folds | None
    exact: Folds
    fixed: Folds | None
    roc: Roc
    auc: float
    eer: float
    tar_at_far: dict[float, float]
    llr: NDArray[np.float64] | None
    failed: tuple[tuple[str, str], ...]
    images: int
    seconds: dict[str, float]
    flip: bool
    pairs: Pairs
    model_: Model

    @property
    def folds(self) -> Folds:
        """By which the report goes: `fixed` if there, else `reference`, else `exact`."""
        return self.fixed or self.reference or self.exact

    @property
    def accuracy(self) -> float:
        """Mean accuracy over the folds."""
        return self.folds.accuracy

    @property
    def std(self) -> float:
        """Its standard deviation over the folds."""
        return self.folds.std

    @property
    def threshold(self) -> float:
        """The one given, else the mean of the folds'; mistakes and rates of groups are told at it."""
        return self.folds.threshold

    @property
    def seconds_per_pair(self) -> float:
        """Time for the features of two images and their comparison, images used often counted once."""
        return sum(self.seconds.values()) / max(len(self.scores), 1)

    @property
    def cllr(self) -> float | None:
        """Cost of the log-likelihood ratios in bits; see ``protocol.cllr``."""
        return None if self.llr is None else protocol.cllr(self.llr, self.same)

    @property
    def min_cllr(self) -> float:
        """The least cost that a monotone map of the scores could have."""
        return protocol.min_cllr(self.scores, self.same)

    def __repr__(self) -> str:
        return (
            f"Report({self.model}, {self.metric} on {self.dataset}: {self.accuracy:.2%} ± {self.std:.2%} over "
            f"{len(self.folds.accuracies)} folds, {len(self.scores)} pairs, AUC {self.auc:.4f}, EER {self.eer:.2%})"
        )

    def worst(self, n: int = 10, kind: str | None = None, *, threshold: float | None = None) -> list[Mistake]:
        """The pairs that are most wrong, worst first.

        Parameters
        ----------
        n : int, default 10
            How many at most.
        kind : str, optional
            Only "false match" or "false non-match".
        threshold : float, optional
            None: the report's.

        Returns
        -------
        list of Mistake
            Fewer than `n` where fewer are wrong.

        Raises
        ------
        ValueError
            The kind is another.
        """
        if kind not in (None, "false match", "false non-match"):
            raise ValueError(f"kind: expected 'false match' or 'false non-match', got {kind!r}")
        limit = self.threshold if threshold is None else threshold
        beyond = self.scores.astype(np.float64) - limit
        margin = np.where(self.same, -beyond, beyond)
        wrong = protocol.decide(self.scores, limit) != self.same
        if kind:
            wrong &= self.same == (kind == "false non-match")
        found = np.flatnonzero(wrong)
        found = found[np.argsort(-margin[found], kind="stable")][:n]
        return [
            Mistake(int(self.index[i]), bool(self.same[i]), float(self.scores[i]), float(margin[i]), self._names(i))
            for i in found.tolist()
        ]

    def _names(self, i: int) -> tuple[str, str]:
        k = self.index[i]
        return self.pairs.names[self.pairs.first[k]], self.pairs.names[self.pairs.second[k]]

    def explain(self, index: int) -> Explanation:
        """Explains one pair of the data set, always by the xCos score.

        Parameters
        ----------
        index : int
            Which pair, as in ``Mistake.index``.

        Returns
        -------
        Explanation
            The reason, cell by cell.
        """
        first, second = (self.pairs.images[int(which[index])] for which in (self.pairs.first, self.pairs.second))
        explained: Explanation = self.model_.explain(first, second, aligned=self.pairs.aligned)
        return explained

    def groups(
        self, *, threshold: float | None = None, interval: str = "wilson", confidence: float = 0.95
    ) -> list[GroupRate]:
        """False match and false non-match rates of every group of every column, with confidence intervals.

        Small groups have wide intervals: mind them before comparing.

        Parameters
        ----------
        threshold : float, optional
            None: the report's.
        interval : str, default "wilson"
            "wilson" or "bootstrap" (percentiles of resampled pairs).
        confidence : float, default 0.95
            Of the interval.

        Returns
        -------
        list of GroupRate
            One for each group and kind of error.

        Raises
        ------
        ValueError
            The interval or the confidence is none.
        """
        limit = self.threshold if threshold is None else threshold
        wrong = protocol.decide(self.scores, limit) != self.same
        columns = {name: column[self.index] for name, column in self.pairs.groups.items()}
        return group_rates(columns, wrong, self.same, interval, confidence)

    def audit(self, *, threshold: float | None = None, confidence: float = 0.95) -> Audit | None:
        """Rates of groups with intervals that know that pairs share people, and the worst group against the best.

        Parameters
        ----------
        threshold : float, optional
            None: the report's.
        confidence : float, default 0.95
            Of the intervals.

        Returns
        -------
        Audit or None
            As of :func:`audit`; None where the pairs have no columns of groups (names and numbers are none).

        Raises
        ------
        ValueError
            The confidence is no share.
        """
        labels = {name: Labels(one.groups, one.codes[self.index]) for name, one in fitting(self.pairs).items()}
        if not labels:
            return None
        folds = "the mean of those of the folds, each the best on the others"
        return audit_of(
            self.model, self.dataset, {self.metric: self.scores},
            {self.metric: self.threshold if threshold is None else threshold},
            "given" if threshold is not None or self.fixed else folds, self.same, labels,
            people_of_pairs(self.pairs)[self.index], confidence, self.failed,
        )  # fmt: skip

    def summary(self) -> dict[str, Any]:
        """The figures of a table.

        Returns
        -------
        dict
            By the name of their column.
        """
        whole = f", whole {self.model_.whole:g}" if self.metric == "xcos" and self.model_.whole else ""
        figures: dict[str, Any] = {
            "data set": self.dataset, "model": self.model, "metric": self.metric + whole + " + flip" * self.flip,
            "pairs": len(self.scores), "accuracy": self.accuracy, "±": self.std, "threshold": self.threshold,
            "exact accuracy": self.exact.accuracy, "exact ±": self.exact.std, "AUC": self.auc, "EER": self.eer,
        }  # fmt: skip
        figures |= {f"TAR@FAR {rate_name(far)}": tar for far, tar in self.tar_at_far.items()}
        if self.llr is not None:
            figures |= {"Cllr": self.cllr, "min Cllr": self.min_cllr}
        return figures | {"ms/pair": 1000 * self.seconds_per_pair}

    def to_dict(self) -> dict[str, Any]:
        """Figures, scores and labels.

        Returns
        -------
        dict
            Numbers, strings and lists only, ready for ``json.dumps``.
        """

        def folds(f: Folds) -> dict[str, Any]:
            lists = {"accuracies": f.accuracies.tolist(), "thresholds": f.thresholds.tolist()}
            return {"accuracy": f.accuracy, "std": f.std, "threshold": f.threshold, **lists}

        return {
            "model": self.model, "dataset": self.dataset, "metric": self.metric, "whole": self.model_.whole,
            "flip": self.flip,
            "pairs": len(self.scores), "images": self.images, "failed": [list(f) for f in self.failed],
            "reference": folds(self.reference) if self.reference else None, "exact": folds(self.exact),
            "fixed": folds(self.fixed) if self.fixed else None, "threshold": self.threshold,
            "auc": self.auc, "eer": self.eer,
            "tar_at_far": {rate_name(far): tar for far, tar in self.tar_at_far.items()},
            "cllr": self.cllr, "min_cllr": self.min_cllr, "seconds": self.seconds,
            "seconds_per_pair": self.seconds_per_pair, "groups": [rate.to_dict() for rate in self.groups()],
            "index": self.index.tolist(), "scores": self.scores.tolist(), "same": self.same.tolist(),
            "llr": None if self.llr is None else self.llr.tolist(),
        }  # fmt: skip

    def to_frame(self) -> Any:
        """A pandas DataFrame with a row for each pair that was judged, by its number in the data set.

        Columns: first and second, the names of the images; same, the label; score; decided, whether the score is over
        the report's threshold; llr where the model is calibrated; the columns of groups.

        Returns
        -------
        pandas.DataFrame
            The table.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        names = [self._names(i) for i in range(len(self.index))]
        calibrated = {} if self.llr is None else {"llr": self.llr}
        columns: dict[str, Any] = {
            "first": [first for first, _ in names], "second": [second for _, second in names], "same": self.same,
            "score": self.scores, "decided": protocol.decide(self.scores, self.threshold), **calibrated,
            **{name: column[self.index] for name, column in self.pairs.groups.items()},
        }  # fmt: skip
        return frame(columns, self.index)

    def title(self) -> str:
        """What was measured, in one line.

        Returns
        -------
        str
            Metric, model and data set.
        """
        return f"{self.metric}{' + flip' * self.flip}, {self.model} on {self.dataset}"

    def benchmark(self) -> Benchmark:
        """What pictures need of the report.

        Returns
        -------
        Benchmark
            Names, scores and the curve.
        """
        return Benchmark(
            self.metric + " + flip" * self.flip, self.model, self.dataset, self.scores, self.same, self.roc.far,
            self.roc.tar, self.auc, self.eer, self.threshold,
        )  # fmt: skip

    def plot(self, ax: Any = None) -> tuple[Figure, Any]:
        """Draws ROC, DET and histograms of the scores. Needs matplotlib (``pip install xcos[plot]``).

        Parameters
        ----------
        ax : three Axes, optional
            Where to draw; None: a new figure.

        Returns
        -------
        (Figure, array of Axes)
            The figure and its axes.
        """
        from ..drawing import benchmarks

        return benchmarks.benchmarks([self.benchmark()], ax)

    def plot_reliability(self, ax: Axes | None = None) -> tuple[Figure, Axes]:
        """Draws how often pairs of one probability (at even prior odds) are of one person: the diagonal, ideally.

        Needs matplotlib (``pip install xcos[plot]``).

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; None: a new figure.

        Returns
        -------
        (Figure, Axes)
            The figure and its axes.

        Raises
        ------
        ValueError
            The model has no calibration of this metric.
        """
        if self.llr is None:
            raise ValueError(f"model {self.model!r} has no calibration of {self.metric!r}: see xcos.calibrate")
        from ..drawing import benchmarks

        title = f"{self.dataset}: Cllr {self.cllr:.3f} bits, at least {self.min_cllr:.3f}"
        p, weights = 1 / (1 + np.exp(-self.llr)), protocol.balanced(self.same)
        return benchmarks.reliability(p, self.same, weights, self.model, title, ax)

    def html(self, path: str | os.PathLike[str], *, worst: int = 10) -> None:
        """Writes one self-contained page: table, curves, and the worst mistakes of both kinds, explained.

        It holds pictures of the mistakes: mind the terms of the data set before passing it on. Needs matplotlib.

        Parameters
        ----------
        path : str or path
            Where to; the file appears whole or not at all.
        worst : int, default 10
            How many mistakes of either kind.
        """
        from .html import write_html

        write_html([self], path, worst=worst)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes .json (``to_dict()``), .html, .npz (scores, labels, index), or the plot as .png, .pdf, .svg.

        Parameters
        ----------
        path : str or path
            Where to; the file appears whole or not at all.

        Raises
        ------
        ValueError
            The suffix is another.
        """
        from .html import page

        def picture(kind: str) -> Callable[[IO[bytes]], object]:
            return lambda file: file.write(self._render(kind))

        writers: dict[str, Callable[[IO[bytes]], object]] = {
            ".json": lambda file: file.write((json.dumps(self.to_dict(), indent=1) + "\n").encode()),
            ".html": lambda file: file.write(page([self]).encode()),
            ".npz": self._write_npz,
        }
        save(path, writers | {suffix: picture(suffix[1:]) for suffix in PICTURES})

    def _render(self, kind: str) -> bytes:
        from ..drawing import benchmarks

        return benchmarks.render([self.benchmark()], kind)

    def _write_npz(self, file: IO[bytes]) -> None:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, index=self.index, scores=self.scores, same=self.same)
        file.write(buffer.getvalue())

    def _repr_html_(self) -> str | None:
        return tables.html(*texts([self.summary()])) if find_spec("jinja2") else None
