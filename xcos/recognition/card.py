"""What a model says of itself, for those who must judge its answers: licence, origin, training, what was measured."""

from __future__ import annotations

from dataclasses import dataclass

from ..measured.truth import CellTruth
from ..plan.file import ModelFile


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a model file says of itself, without its weights.

    Attributes
    ----------
    name : str
        Of the model.
    digest : str
        SHA-256, in hex, of what scores depend on (``ModelFile.digest``).
    path : str or None
        Of the file that it was read from; None: made in memory.
    parameters : int
        How many numbers it has.
    license, origin, training : str
        As in the file; "": it does not say.
    whole : float
        What the face as a whole counts in the score, 0 to 1.
    calibration : dict of str
        By metric, how its scores became likelihood ratios.
    truth : str
        What was measured of the cells; "": nothing.

    Examples
    --------
    >>> import xcos
    >>> xcos.load().card.license
    'MIT'
    """

    name: str
    digest: str
    path: str | None
    parameters: int
    license: str
    origin: str
    training: str
    whole: float
    calibration: dict[str, str]
    truth: str

    @classmethod
    def of(cls, file: ModelFile, path: str | None = None) -> ModelCard:
        """The card of a model file, of any kind.

        Parameters
        ----------
        file : ModelFile
            The file.
        path : str, optional
            Where it lies.

        Returns
        -------
        ModelCard
            What it says.
        """
        scores = (file.calibration or {"scores": {}})["scores"]
        calibration = {
            metric: f"{score['method']} on {score['pairs']:,} pairs of {score['data']}, Cllr {score['cllr']:.4f} bits"
            for metric, score in scores.items()
        }
        return cls(
            name=file.name,
            digest=file.digest(),
            path=path,
            parameters=sum(int(tensor.size) for tensor in file.tensors.values()),
            license=file.license,
            origin=file.origin,
            training=file.training,
            whole=(file.head or {}).get("whole", 0.0),
            calibration=calibration,
            truth=repr(CellTruth.from_dict(file.truth)) if file.truth else "",
        )
