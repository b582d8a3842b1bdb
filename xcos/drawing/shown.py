"""What pictures and views need of a result. They know these values and not the results, which know them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray

from ..measured.truth import CellTruth


class Decision(Protocol):
    """Of ``xcos.Verification``, which says what each is."""

    @property
    def score(self) -> float: ...
    @property
    def threshold(self) -> float: ...
    @property
    def threshold_from(self) -> str: ...
    @property
    def cosine(self) -> float: ...
    @property
    def model(self) -> str: ...
    @property
    def explained(self) -> float: ...
    @property
    def local(self) -> float: ...
    @property
    def whole(self) -> float: ...
    @property
    def llr(self) -> float | None: ...
    @property
    def undecided(self) -> bool: ...
    @property
    def same(self) -> bool: ...
    @property
    def reliable(self) -> bool: ...
    def worth(self) -> str: ...
    def sentence(self) -> str: ...
    def notes(self) -> Sequence[str]: ...
    def to_dict(self) -> dict[str, Any]: ...


class Reason(Decision, Protocol):
    """Of ``xcos.Explanation``: the decision with its maps."""

    @property
    def cosine_map(self) -> NDArray[np.float32]: ...
    @property
    def attention(self) -> NDArray[np.float32]: ...
    @property
    def contribution(self) -> NDArray[np.float32]: ...
    @property
    def crops(self) -> NDArray[np.uint8]: ...
    @property
    def names(self) -> tuple[str, str]: ...
    @property
    def evidence(self) -> NDArray[np.float32] | None: ...
    @property
    def deviation(self) -> NDArray[np.float32] | None: ...
    @property
    def truth(self) -> CellTruth | None: ...
    @property
    def parts(self) -> Mapping[str, ShownPart]: ...
    def sentences(self, language: str = "en") -> Sequence[object]: ...


def is_reason(result: object) -> TypeGuard[Reason]:
    """Has the result maps? A runtime-checkable Protocol would ask for `parts`, which not every explanation has."""
    return hasattr(result, "cosine_map")


class ShownPart(Protocol):
    """Of ``xcos.recognition.parts.Part``."""

    @property
    def cosine(self) -> float: ...
    @property
    def weight(self) -> float: ...
    @property
    def contribution(self) -> float: ...
    @property
    def evidence(self) -> float | None: ...
    @property
    def visible(self) -> tuple[bool, bool]: ...
    @property
    def shares(self) -> NDArray[np.float64]: ...
    def to_dict(self) -> dict[str, Any]: ...


def told(e: Reason) -> list[str]:
    """The sentences of an explanation after its decision, which stands elsewhere; none of faces without a picture."""
    if any(crop.min() == crop.max() for crop in e.crops):
        return []
    return [str(sentence) for sentence in e.sentences()][1:]


class Placed(Protocol):
    """Of ``xcos.recognition.on_photo.OnPhoto``: maps in the coordinates of a photograph."""

    @property
    def name(self) -> str: ...
    @property
    def grid(self) -> NDArray[np.float64]: ...
    @property
    def outline(self) -> NDArray[np.float64]: ...
    def values(self, name: str) -> NDArray[np.float32]: ...
    def pixels(self) -> NDArray[np.uint8]: ...


class Maps(Protocol):
    """Of ``xcos.explainers.SaliencyPair``: maps of N pairs of faces."""

    @property
    def method(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def first(self) -> NDArray[np.float32]: ...
    @property
    def second(self) -> NDArray[np.float32]: ...
    @property
    def score(self) -> NDArray[np.float32]: ...
    @property
    def crops(self) -> NDArray[np.uint8]: ...
    def __len__(self) -> int: ...


class Measured(Protocol):
    """Of ``xcos.faithfulness.Truth``: a model, and each measure as an estimate with maps, or None."""

    @property
    def model(self) -> str: ...
    @property
    def own_map(self) -> Any: ...
    @property
    def leak_map(self) -> Any: ...
    @property
    def alone(self) -> Any: ...


class Player(Protocol):
    """Of ``xcos.faithfulness.Played``: an explainer's curves in the part game, by part, the parts together last."""

    @property
    def method(self) -> str: ...
    @property
    def outside(self) -> NDArray[np.float64]: ...
    @property
    def curves(self) -> Mapping[str, NDArray[np.float64]]: ...


class Benchmark(NamedTuple):
    """Scores of N pairs by one metric of one model on one data set, and the curve through T thresholds.

    scores, same    (N,) floats, and bools: both show one person
    far, tar        (T,) false and true accept rates
    auc, eer        of the curve
    threshold       of the score
    """

    metric: str
    model: str
    dataset: str
    scores: NDArray[np.floating[Any]]
    same: NDArray[np.bool_]
    far: NDArray[np.float64]
    tar: NDArray[np.float64]
    auc: float
    eer: float
    threshold: float


class RateShown(NamedTuple):
    """Of ``xcos.evaluation.AuditRate``: one rate of a group, with the ends of its interval."""

    metric: str
    column: str
    group: str
    kind: str
    rate: float
    low: float
    high: float
