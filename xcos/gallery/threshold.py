"""The threshold of a search. The more people are enrolled, the more strangers pass a threshold that was set on pairs.

How alike people who are not the same look is told by the gallery's own people: each is a stranger to the others. Over a
threshold that a share p of such pairs passes, at most N x p of strangers find somebody among N people (Boole's
inequality); so p = rate / N, as the false positive identification rate of NIST's FRVT 1:N is meant. So small shares
are seldom seen, so the tail is drawn on: excesses over a high score fall off exponentially (the generalised Pareto
distribution of Pickands and of Balkema and de Haan, with shape 0, which scores do not exceed).
"""

from __future__ import annotations

import math

import numpy as np

from ..recognition.features import Features, Floats
from ..recognition.model import Model
from .search import Indices, View, averaged, rank

RATE = 0.01  # of strangers who may find somebody
FEWEST = 20  # people of whom something can be said
SAMPLE = 512  # people, chosen evenly among all, who are compared with each other


class Threshold(float):
    """A number that knows how it was set: a person is found where score > threshold.

    Parameters
    ----------
    value : float
        The number, of scores -1 to 1.
    source : str
        How it was set, in words.

    Attributes
    ----------
    source : str
        The same.

    Examples
    --------
    >>> from xcos.gallery import Threshold
    >>> limit = Threshold(0.4, "set by hand")
    >>> limit > 0.3, limit.source
    (True, 'set by hand')
    """

    source: str

    def __new__(cls, value: float, source: str) -> Threshold:
        made = super().__new__(cls, value)
        made.source = source
        return made

    def __reduce__(self) -> tuple[type[Threshold], tuple[float, str]]:
        return Threshold, (float(self), self.source)


def estimated(model: Model, view: View, rate: float) -> Threshold:
    """The threshold at which about `rate` of strangers find somebody among the people of the view; never below the
    model's own, which stands where there are too few people to tell."""
    people = len(view.names)
    if people < FEWEST:
        return Threshold(model.threshold, f"of pairs, not of a search, since fewer than {FEWEST} people are enrolled: "
                                          f"{model.file.thresholds_from}")  # fmt: skip
    chosen = _evenly(people, SAMPLE)
    faces, starts = view.faces_of(chosen)
    value = over(model, faces[starts], averaged(faces, starts), rate / people)
    if value <= model.threshold:
        return Threshold(model.threshold, f"{model.file.thresholds_from}; fewer than {rate:.2g} of strangers are "
                                          f"expected to pass it among {people:,} people")  # fmt: skip
    return Threshold(value, f"about {rate:.2%} of strangers pass it, estimated from {len(chosen)} of the "
                            f"{people:,} people enrolled")  # fmt: skip


def over(model: Model, faces: Features, people: Features, share: float) -> float:
    """The score that a share of pairs of two people passes: faces[i] is one of people[i], a stranger to the others."""
    scores = model.compare_all(faces, people)
    return tail(scores[~np.eye(len(scores), dtype=bool)], share)


def tail(scores: Floats, share: float) -> float:
    """The score that a share of all such scores passes, by an exponential tail over the largest sqrt(n) of the n."""
    count = math.isqrt(len(scores))
    largest = np.partition(scores, len(scores) - count - 1)[len(scores) - count - 1 :].astype(np.float64)
    start = float(largest.min())
    excess = float(largest.mean() - start) * (count + 1) / count
    return start + excess * math.log(count / (len(scores) * share))


def measured(
    model: Model, view: View, rate: float, sample: int, probes: int, threads: int | None
) -> Threshold:
    """See ``Gallery.threshold_for``; `probes`: lists of the index to look into, where there is one."""
    chosen = _evenly(len(view.names), sample)
    if len(chosen) * rate < 1:
        raise ValueError(f"rate {rate:g}: expected {1 / rate:.0f} people or more to measure it on, got {len(chosen)}")
    best = []
    for who in chosen:
        probe = view.faces_of([who])[0][0]
        listed = view.shortlist(probe.embedding[0], "template", 100, probes if view.indexed else None, None)
        found = rank(model, probe, view, listed[listed != who], "template", threads)
        best += found.score[:1].tolist()
    source = f"{rate:.2%} of {len(best)} people enrolled pass it, each searched for among the others"
    return Threshold(float(np.quantile(best, 1 - rate, method="higher")), source)


def _evenly(people: int, most: int) -> Indices:
    """So many people at most, evenly among all."""
    return np.unique(np.linspace(0, people - 1, min(most, people)).astype(np.intp))
