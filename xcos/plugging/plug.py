"""Plugs an xCos head into a face network: ``xcos.plug``. Needs ``pip install xcos[train,eval]``."""

from __future__ import annotations

import dataclasses
import difflib
import logging
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.names import shown
from ..base.values import ByValue
from ..errors import ModelFileError
from ..plan.file import ModelFile
from ..plan.maps import find_map, grid_settings
from ..plan.pixels import PerChannel
from ..recognition.model import SIDE, Model
from ..storage.files import check_target

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..evaluation import Table
    from ..faithfulness import Truth
    from .settings import Settings

_log = logging.getLogger("xcos")

@dataclass(frozen=True, slots=True, eq=False)
class Plugged(ByValue):
    """What ``xcos.plug`` made.

    Attributes
    ----------
    model : Model
        The network with its head, as written.
    layer : str
        The value of the plan that the grid is made from.
    way : str
        How the network goes on from there to its embedding.
    branch : str
        What the grid is: `embedding` (each cell's share of it) or `projection` of that value.
    since : str
        The value from which layers were copied and trained; empty where the last map is taken as it is.
    table : Table
        Accuracy of xCos and of the plain cosine on the pairs that the threshold was chosen on.
    truth : Truth or None
        Is each cell about its own place? On the same pairs and on people held out; None where it was not measured or
        could not be.

    Examples
    --------
    >>> import xcos
    >>> xcos.Plugged.__dataclass_fields__["truth"].type
    'Truth | None'
    """

    model: Model
    layer: str
    way: str
    branch: str
    since: str
    table: Table
    truth: Truth | None

    def __repr__(self) -> str:
        figures = ", ".join(f"{report.metric} {report.accuracy:.2%} ± {report.std:.2%}" for report in self.table)
        return f"Plugged({self.model.name}: {figures} on {len(self.table[0].scores)} pairs; grid from {self.layer!r})"

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dict.

        Returns
        -------
        dict
            Plain values, ready for ``json.dumps``.
        """
        return {
            "name": self.model.name,
            "layer": self.layer,
            "way": self.way,
            "branch": self.branch,
            "since": self.since,
            "threshold": self.model.threshold,
            "reports": [report.summary() for report in self.table],
            "truth": None if self.truth is None else self.truth.to_dict(),
        }


def plug(
    model: str | os.PathLike[str] | ModelFile,
    data: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    layer: str = "",
    embedding: str = "",
    color: str | None = None,
    mean: PerChannel | None = None,
    scale: PerChannel | None = None,
    pairs: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    progress: bool = False,
    **settings: Unpack[Settings],
) -> Plugged:
    """Trains an xCos head for a face network and writes both as one model file.

    The network's last stage is copied and trained to give a grid whose cells are about their own places: where the
    network is linear from its last map on, each cell's share of the embedding to begin with, else a 1x1 convolution and
    PReLU. A new attention compares two grids (Lin et al., arXiv 2003.05383); all learn what the network's own cosine
    says of pairs, faces pasted on faces among them. The network itself is not touched: its embeddings stay the same to
    the bit. What it sees in the pictures is computed once and kept in a folder beside `output`, so that an interrupted
    run goes on; what was left by another network, data or settings is refused (`resume`).

    Parameters
    ----------
    model : str or path or ModelFile
        .onnx, a PyTorch checkpoint of a known layout (see ``xcos.convert``), or a model file, whose head, if any, is
        replaced; with one input of 3 x 112 x 112 pixels.
    data : str or path or sequence of str or path
        Pictures for training: a folder ``person/picture``, a tar of the same, InsightFace's .rec, or several of these.
        Pictures of 112 x 112 pixels are aligned crops; in others the face is found and cut out.
    output : str or path
        The model file to write.
    layer : str, default ""
        The value that the grid is made from; by default found: the last map of more than one cell.
    embedding : str, default ""
        The network's output that is its embedding; by default the first.
    color : str, optional
        "RGB" or "BGR", as in ``xcos.convert``; a model file says it itself.
    mean, scale : float, optional
        How pixels become the input, as in ``xcos.convert``.
    pairs : str or path, optional
        An InsightFace .bin of pairs for choosing the threshold and the best step. By default a tenth of the people with
        several pictures is held out from training for it.
    threads : int, optional
        At most so many; None: the default.
    progress : bool, default False
        Draw bars with tqdm.
    **settings : Unpack[Settings]
        Any other setting of ``xcos.train.Config``, such as steps, depth, name, license, seed; `since`, the value from
        which layers are copied, by default the last map with more cells than the grid, "none" for a projection of the
        frozen last map; `truth`, how many triples of people it is measured on, 0 for not at all; `whole`, what the
        network's own cosine counts in the score beside the cells, 0 unless given (``Model.with_whole`` changes it
        later: the file has the thresholds for every w).

    Returns
    -------
    Plugged
        The model, and what was measured of it.

    Raises
    ------
    TypeError
        A setting is none; told before any picture is read, as the next two are.
    ValueError
        A setting makes no sense, or the data does not fit.
    ImportError
        torch, scikit-learn or what else the settings need is missing.
    OSError
        A file can't be read.
    ModelFileError
        The network can't be run.

    Examples
    --------
    >>> import xcos
    >>> try:
    ...     xcos.plug("network.onnx", "people", "mine.safetensors", stpes=3)
    ... except TypeError as error:
    ...     str(error)
    "plug() got an unexpected setting 'stpes'; did you mean 'steps'?"
    """
    from ..datasets import read_bin, read_faces
    from ..evaluation import Table
    from ..evaluation.cache import see
    from ..evaluation.protocol import best_threshold
    from ..evaluation.run import METRICS, report
    from ..evaluation.whole import curve_from
    from ..train import Config, check_extras, train, with_truth
    from .data import hold_out, whole_faces

    _check_names(settings, [item.name for item in dataclasses.fields(Config)])
    target = Path(output)
    work = Path(settings.pop("work", "") or target.with_suffix(".work"))
    network, end = read_network(model, {"color": color, "mean": mean, "scale": scale}, embedding)
    at, way = find_map(network, end, layer)
    grid = grid_settings(network, end, at, settings.pop("since", None))
    _log.info("%s: the grid is made from %r, which goes on by %s: %s", network.name, at, way, grid)
    sources = [data] if isinstance(data, str | os.PathLike) else list(data)
    config = Config(
        data=[os.fspath(source) for source in sources], output=os.fspath(target), work=os.fspath(work), at=at,
        embedding=end, validate=os.fspath(pairs or work), threads=threads or 0, progress=progress,
        **{**grid, **settings},
    )  # fmt: skip
    check_extras(config)
    work.mkdir(parents=True, exist_ok=True)
    check_target(target)
    if pairs is not None:
        read_bin(pairs)  # what can't be read is told now, not after hours
    people = read_faces(config.held_out) if config.held_out else None
    faces = whole_faces(sources, work, threads, progress)
    whose = "people held out from training"
    unseen = dataclasses.replace(faces, name=f"{faces.name}, which training saw")
    if pairs is not None:
        whose = shown(Path(pairs).name)
    else:
        faces, unseen, pairs = hold_out(faces, work, config.seed)
    trained = train(dataclasses.replace(config, validate=os.fspath(pairs), truth=0), network, faces)
    benchmark = dataclasses.replace(read_bin(pairs), folds=config.folds)
    mine = Model(trained)
    seen = see(mine, benchmark, flip=False, cache=None, threads=threads, progress=progress)
    table = Table([report(mine, benchmark, seen, metric, threads=threads) for metric in METRICS])
    curve = curve_from(mine, benchmark, seen, threads)
    # Training measures on activations in half precision; the thresholds are those of the file as it runs.
    made = dataclasses.replace(
        trained,
        thresholds={report.metric: best_threshold(report.scores.astype(np.float64), report.same) for report in table},
        thresholds_from=f"highest accuracy on {len(benchmark):,} pairs of {whose}",
        whole_curve=dataclasses.replace(curve, data=whose).to_dict(),
    )
    made.write(target)
    found = None
    if config.truth:
        judges = unseen if people is None else people
        made, found = with_truth(
            made, judges, pairs, triples=config.truth, folds=config.folds, seed=config.seed,
            threads=config.threads, progress=progress,
        )  # fmt: skip
        made.write(target)
    return Plugged(Model(made), at, way, config.branch, config.since, table, found)


def read_network(
    source: str | os.PathLike[str] | ModelFile, pixels: dict[str, Any], embedding: str = ""
) -> tuple[ModelFile, str]:
    """The network as a plan that ends at its embedding (N, E), and the embedding's name.

    Parameters
    ----------
    source : str or path or ModelFile
        As the first argument of :func:`plug`.
    pixels : dict
        color, mean and scale where they are given.
    embedding : str, default ""
        The output's name; by default the first.

    Returns
    -------
    (ModelFile, str)
        The plan, and the name.

    Raises
    ------
    ModelFileError
        It takes no pictures of 3 x 112 x 112.
    ValueError
        It has no such output.

    Examples
    --------
    >>> import xcos
    >>> file, embedding = xcos.plugging.read_network(xcos.load().file, {})
    >>> file.outputs == [embedding]
    True
    """
    from ..train import plan

    file, end = plan.read_teacher(source, pixels, embedding)
    if len(file.inputs) != 1 or list(file.inputs[0]["shape"]) != [3, SIDE, SIDE]:
        shapes = {value["name"]: value["shape"] for value in file.inputs}
        raise ModelFileError(f"{file.name}: takes {shapes}; expected one input of shape [3, {SIDE}, {SIDE}]")
    return plan.plain_network(file, end)


def _check_names(settings: Collection[str], known: list[str]) -> None:
    """Raises TypeError, as Python does for any other keyword, for settings that `plug` does not take."""
    own = {"at": "layer", "validate": "pairs", "model": "model", "data": "data", "output": "output"}
    for name in settings:
        if name in own or name not in known:
            close = difflib.get_close_matches(name, [key for key in (*known, *own.values()) if key not in own], 1)
            meant = own.get(name) or (close[0] if close else "")
            hint = f"; did you mean {meant!r}?" if meant else ": xcos.train.Config has those that it takes"
            raise TypeError(f"plug() got an unexpected setting {name!r}{hint}")
