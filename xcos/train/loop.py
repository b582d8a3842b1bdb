"""The training run."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ..base.names import shown
from ..datasets import Faces, join, read_faces
from ..plan.file import ModelFile
from ..storage.files import replacing
from ..storage.progress import batches
from . import checkpoint, distributed
from .augment import Augment, Pasting, read_masks
from .config import LEARNED, Config, check_extras
from .losses import MarginHead, Owners
from .optim import Optimizer
from .plan import Plan, cut_value, embedding_output, main_axes, make_plan, plain_network, read_teacher
from .store import Activations, Pixels, Store, Versions, first_look
from .student import Batch, Losses, Sampler, Student, make_batch
from .truthful import with_truth
from .validate import Accuracy, Validation

_log = logging.getLogger("xcos")


def train(config: Config, network: ModelFile | None = None, faces: Faces | None = None) -> ModelFile:
    """Trains a grid and its head on a network, writes the model file, and returns it.

    The plain embedding stays as it is, to the bit: the grid's layers have tensors of their own. At the end truth of the
    cells is measured (`config.truth`), logged, and written into the file.

    Under torchrun every process runs this; the losses of pairs are of each process's own batch, identification is over
    all of them, process 0 validates and writes. A run that was stopped goes on from its last checkpoint and ends as if
    it had not been; a checkpoint of other settings, data or network is refused (`config.resume`).

    Parameters
    ----------
    config : Config
        All settings.
    network : ModelFile, optional
        In place of the file that `config.model` names.
    faces : Faces, optional
        In place of the files that `config.data` names.

    Returns
    -------
    ModelFile
        The network with its grid and head.

    Raises
    ------
    OSError
        A file can't be read.
    ValueError
        Files or settings do not fit together (ModelFileError, ImageError).
    ImportError
        A package is missing that the settings need; told at the start.

    Examples
    --------
    >>> import xcos
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> photos = sorted(Path("examples").glob("*.jpg"))
    >>> for photo, crop in zip(photos, xcos.load().crops(photos)):
    ...     person = Path("train_people", photo.name.split("_")[0])
    ...     person.mkdir(parents=True, exist_ok=True)
    ...     Image.fromarray(crop).save(person / f"{photo.stem}.png")
    >>> config = xcos.train.Config(
    ...     data=["train_people"], output="trained.safetensors", steps=1, batch=4, rows=2, views=1, pasted=1, truth=0,
    ...     threads=1,
    ... )
    >>> file = xcos.train.train(config, network=xcos.load().file)
    >>> file.head["kind"], file.outputs[-1]
    ('xcos', 'grid')
    """
    check_extras(config)
    device = config.device or ("cuda" if torch.cuda.is_available() else "cpu")
    rank, world = distributed.start(device)
    if device == "cuda":
        device = f"cuda:{torch.cuda.current_device() if world == 1 else rank % torch.cuda.device_count()}"
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)  # the same weights in every process
    if network is None:
        pixels = {"color": config.color or None, "mean": config.mean, "scale": config.scale}
        network, embedding = read_teacher(config.model, pixels, config.embedding)
        if network.head is None:
            network, embedding = plain_network(network, embedding)
        config = dataclasses.replace(config, embedding=embedding)
    if faces is None:
        faces = join([read_faces(path) for path in config.data])
    # Read now, not after hours: a path that can't be read is an error.
    unseen = read_faces(config.held_out) if config.held_out and config.truth else None
    run = _Run(config, network, faces, device, rank, world)
    try:
        file = run.all()
    finally:
        distributed.stop()
    return _measured(config, file, faces, unseen) if rank == 0 and config.truth else file


def _measured(config: Config, file: ModelFile, faces: Faces, unseen: Faces | None) -> ModelFile:
    if unseen is None:
        unseen = dataclasses.replace(faces, name=f"{faces.name}, which training saw")
    file, found = with_truth(
        file, unseen, config.validate, triples=config.truth, folds=config.folds, seed=config.seed,
        threads=config.threads, progress=config.progress,
    )  # fmt: skip
    if found is not None:
        _log.info("%s", found.to_markdown())
        if config.output:
            file.write(config.output)
    return file


class _Run:
    """One process of a training run: what it holds between steps."""

    def __init__(self, config: Config, network: ModelFile, faces: Faces, device: str, rank: int, world: int) -> None:
        self.config, self.device, self.rank, self.world = config, device, rank, world
        output = Path(config.output)
        self.work = Path(config.work) if config.work else output.with_suffix(".work")
        self.work.mkdir(parents=True, exist_ok=True)
        # Asked before the preparation, which takes long, is in vain.
        self.made, self.judged = checkpoint.made_of(config, network, faces), checkpoint.judged_by(config)
        state = checkpoint.to_go_on(self._checkpoint(), self.made, config.resume)
        # Without views that are mirrored there is no clean picture beside a mirrored one with a pasted face.
        mirror = config.flip > 0 and config.versions > 1
        self.pasting = Pasting(len(faces), config.seed, mirror, config.large, config.blended)
        self.plan, self.store, self.plain = self._prepare(network, faces)
        self.targets = with_centroids(self.plain, faces.labels, config.centroid) if config.centroid else self.plain
        plan = self.plan
        versions = 2**31 if plan.from_pixels else config.versions
        self.sampler = Sampler(faces, config, rank, versions, self.pasting)
        self.student = Student(plan, config, main_axes(self.targets, plan.grid[0])).to(device)
        self.step, self.best, self.since_best = 0, -1.0, 0
        self.best_tensors: dict[str, Tensor] = {}
        self.accuracy: Accuracy | None = None
        self.margin: MarginHead | None = None
        if config.identification != "none" and config.weight_identity > 0 and self.sampler.classes:
            classes = distributed.local_classes(self.sampler.classes, rank, world)
            self.margin = MarginHead(config.identification, int(np.prod(plan.grid)), classes).to(device)
        self.epoch = max(1, len(faces) // (config.batch * world * config.accumulate))
        self.optimizer = Optimizer(self.student, self.margin, config, plan.fresh, self.epoch)
        self.wrapped: nn.Module = self.student
        if world > 1:
            # Not every loss has a weight, so not every parameter a gradient.
            self.wrapped = DistributedDataParallel(self.student, find_unused_parameters=True)
        if state is not None:
            self._load(state)
        self.log = checkpoint.Log(self.work, self.step, config.tensorboard) if rank == 0 else None
        self.validation = (
            Validation(plan, config.validate, config.folds, config.threads, self._bar())
            if config.validate and rank == 0
            else None
        )

    def all(self) -> ModelFile:
        config = self.config
        if self.rank == 0:
            with replacing(self.work / "config.json") as file:
                file.write(config.to_json().encode())
        every = config.every or self.epoch
        sums: dict[str, float] = {}
        self.store.renew(self._turn(self.step))  # now, with its bar, before the steps' own
        since, started = self.step, time.monotonic()
        coming = self._ahead()
        for (step,) in batches(range(self.step, config.steps), 1, self._bar(), "training"):
            for key, value in self._one(step, coming).items():
                sums[key] = sums.get(key, 0.0) + value
            self.step = step + 1
            if self.step % every and self.step < config.steps:
                continue
            means = {key: value / (self.step - since) for key, value in sums.items()}  # the last row may be shorter
            stop = self._checked({**means, "seconds": time.monotonic() - started})
            sums, since, started = {}, self.step, time.monotonic()
            if stop:
                break
        return self._written()

    def _prepare(self, network: ModelFile, faces: Faces) -> tuple[Plan, Store, NDArray[np.float32]]:
        """Plan, inputs, and the network's own embeddings, of length 1; process 0 fills the cache while the others
        wait."""
        config = self.config
        name = embedding_output(network, config)
        cut = cut_value(network, name, config)
        kept = None if cut == network.inputs[0]["name"] else cut
        augment = augmentation(config, kept is not None)
        if self.rank:
            torch.distributed.barrier()
        whole, sides = first_look(network, name, kept, faces, self.work, config.threads, self._bar())
        plan = make_plan(network, config, whole)
        versions = Versions(faces, augment, self.pasting, config.threads, config.shake)
        store: Store
        if plan.from_pixels:
            store = Pixels(plan, versions)
        else:
            pasted = config.pasted if config.quads else 0
            arguments = (sides, config.versions, pasted, self.work, config.threads, self._bar())
            store = Activations(plan, versions, *arguments)
        if self.rank == 0 and self.world > 1:
            torch.distributed.barrier()
        return plan, store, with_centroids(whole, faces.labels, 0.0)

    def _ahead(self) -> Iterator[Batch]:
        """The batches of all steps to come, each made while the one before it is computed with."""
        config = self.config
        with ThreadPoolExecutor(1) as pool:
            coming = None
            for step in range(self.step, config.steps):
                for part in range(config.accumulate):
                    following = pool.submit(self._batch, step, part)
                    if coming is not None:
                        yield coming.result()
                    coming = following
            if coming is not None:
                yield coming.result()

    def _batch(self, step: int, part: int) -> Batch:
        random = self.sampler.random(step, part)
        self.store.renew(self._turn(step))
        chosen = self.sampler.choose(random, self._turn(step))
        inputs = self.store.take(*chosen)
        rows = random.permutation(len(inputs))[: self.config.rows]
        cells = self.plan.grid[1], self.plan.grid[2]
        label = self.sampler.label
        return make_batch(inputs, chosen, self.targets, self.plain, label, cells, self.pasting, rows)

    def _turn(self, step: int) -> int:
        """How many times all versions of the pictures have been made anew before this step."""
        return step // self.config.renew if self.config.renew else 0

    def _one(self, step: int, coming: Iterator[Batch]) -> dict[str, float]:
        """Gradients of `accumulate` batches, one step of the optimisers; the numbers for the log."""
        config, numbers = self.config, dict[str, float]()
        self.student.train()
        for _ in range(config.accumulate):
            inputs, owners, *more = next(coming)
            batch = Batch(
                inputs.to(self.device),
                Owners(*(part.to(self.device) for part in owners)),
                *(part.to(self.device) for part in more),
            )
            losses: Losses = self.wrapped(batch)
            identity = losses.score.new_zeros(())
            if self.margin is not None:
                identity = distributed.identification(self.margin, losses.features, batch.labels, self.rank, self.world)
            total = (
                config.weight_score * losses.score
                + config.weight_cell * losses.cell
                + config.weight_direction * losses.direction
                + config.weight_change * losses.change
                + config.weight_own * losses.own
                + config.weight_entropy * losses.entropy
                + config.weight_identity * identity
            )
            if config.whole == LEARNED:
                total = total + config.weight_score * config.weight_whole * losses.whole
            (total / config.accumulate).backward()  # type: ignore[no-untyped-call]
            named = {"loss": total, "identity": identity, **losses._asdict()}
            del named["features"]
            for key, value in named.items():
                numbers[key] = numbers.get(key, 0.0) + float(value.detach()) / config.accumulate
        numbers["gradient"] = self.optimizer.step(step, self.student, self.margin)
        return numbers

    def _checked(self, numbers: Mapping[str, float]) -> bool:
        """Validates, logs, saves; True when it is time to stop."""
        found = dict(numbers)
        self.student.eval()
        score = float(self.step)  # without pairs to measure on, the last is the best
        if self.validation is not None:
            file = self.student.network.model_file()
            self.accuracy = self.validation.measure(file, self.student.head.tensors(), self._head())
            score = self.accuracy.xcos
            found |= {"xcos": self.accuracy.xcos, "cosine": self.accuracy.cosine}
        if score > self.best:
            self.best, self.since_best = score, 0
            self.best_tensors = {key: value.detach().cpu().clone() for key, value in self.student.state_dict().items()}
        else:
            self.since_best += 1
        if self.log is not None:
            self.log.write(self.step, found)
            _log.info("step %d: %s", self.step, ", ".join(f"{key} {value:.4g}" for key, value in found.items()))
        stop = 0 < self.config.patience <= self.since_best
        if self.world > 1:  # process 0 alone has validated
            flag = torch.tensor([float(stop)], device=self.device)
            torch.distributed.broadcast(flag, 0)
            stop = bool(flag.item())
        self._save()
        return stop

    def _checkpoint(self) -> Path:
        return self.work / (f"checkpoint-{self.rank}of{self.world}.pt")

    def _save(self) -> None:
        state: dict[str, Any] = {
            "made": self.made,
            "judged": self.judged,
            "step": self.step,
            "best": self.best,
            "since_best": self.since_best,
            "best_tensors": self.best_tensors,
            "student": self.student.state_dict(),
            "margin": self.margin.state_dict() if self.margin is not None else {},
            "optimizers": [part.state_dict() for part in self.optimizer.parts],
        }
        checkpoint.save(self._checkpoint(), state)

    def _load(self, state: dict[str, Any]) -> None:
        self.step = state["step"]
        if state.get("judged") == self.judged:  # else the best so far was by another measure
            self.best, self.since_best, self.best_tensors = state["best"], state["since_best"], state["best_tensors"]
        try:
            self.student.load_state_dict(state["student"])
            if self.margin is not None:
                self.margin.load_state_dict(state["margin"])
            for part, saved in zip(self.optimizer.parts, state["optimizers"], strict=True):
                part.load_state_dict(saved)
        except (RuntimeError, ValueError, KeyError) as error:  # torch's, for tensors and groups that do not fit
            raise ValueError(
                f"{self._checkpoint()}: its weights do not fit this run ({str(error)[:200]}); expected the same "
                "layers, people and optimizer"
            ) from None
        _log.info("going on from step %d", self.step)

    def _head(self) -> dict[str, Any]:
        config, whole = self.config, self.student.head.whole
        return {
            "kind": "xcos",
            "grid": "grid",
            "embedding": self.plan.embedding,
            "temperature": config.temperature,
            "normalization": config.normalization,
            "whole": whole if isinstance(whole, float) else round(whole.item(), 4),
        }

    def _written(self) -> ModelFile:
        """The model file of the best or the last step, written by process 0."""
        config, whole = self.config, self.plan.whole
        if self.best_tensors and config.keep == "best":
            self.student.load_state_dict(self.best_tensors)
        self.student.eval()
        trained = self.student.network.model_file()
        thresholds, source, curve = {}, "", None
        if self.validation is not None:
            found = self.validation.measure(trained, self.student.head.tensors(), self._head())
            thresholds = {"xcos": found.xcos_threshold, "cosine": found.cosine_threshold}
            source = f"highest accuracy on the pairs of {shown(Path(config.validate).name)}"
            curve = found.curve.to_dict()
        file = dataclasses.replace(
            whole,
            name=config.name or shown(Path(config.output).stem),
            outputs=[self.plan.embedding, "grid"],
            tensors={**whole.tensors, **trained.tensors, **self.student.head.tensors()},
            head=self._head(),
            thresholds=thresholds,
            thresholds_from=source,
            whole_curve=curve,
            calibration=None,
            truth=None,
            license=config.license or whole.license,
            origin=config.origin or whole.origin,
            training=config.training or f"{self.step} steps on {', '.join(shown(Path(d).name) for d in config.data)}",
        )
        if self.rank == 0 and config.output:
            file.write(config.output)
        return file

    def _bar(self) -> bool:
        return self.config.progress and self.rank == 0


def augmentation(config: Config, cached: bool) -> Augment:
    """The changes that are asked for, so that `blur` and `mask_share` hold over all versions of a picture that are
    shown: in a cache some of them are the picture as it is, which the changed ones make up for.

    Raises ValueError where the versions in a cache are too few for that.
    """
    masks = read_masks(config.masks) if config.masks else []
    blur, share = config.blur, config.mask_share
    if cached and config.changes:
        changed = config.versions - (2 if config.flip else 1)
        asked = {"colour": config.colour, "blur": blur, "mask_share": share if masks else 0.0}
        for name, value in asked.items():
            least = 0.0 if name == "colour" else value * config.versions
            if value and (changed < 1 or least > changed):
                raise ValueError(
                    f"views is {config.views}: {max(changed, 0)} of {config.versions} versions of a picture are "
                    f"changed, expected more for {name} {value}"
                )
        blur, share = (wanted * config.versions / max(changed, 1) for wanted in (blur, share))
    return Augment(config.flip, config.colour, min(blur, 1.0), masks, min(share, 1.0))


def with_centroids(embeddings: NDArray[np.float32], labels: NDArray[np.int64], share: float) -> NDArray[np.float32]:
    """(N, E) unit vectors moved by `share` to the mean direction of their person's, and brought to length 1 again.

    A person's mean says better who it is than one picture does. The label -1 belongs to nobody.
    """
    targets = np.array(embeddings, np.float32)
    known = labels >= 0
    if share > 0 and known.any():
        sums = np.zeros((int(labels.max()) + 1, targets.shape[1]), np.float32)
        np.add.at(sums, labels[known], targets[known])
        sums /= np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
        targets[known] = (1 - share) * targets[known] + share * sums[labels[known]]
    targets /= np.maximum(np.linalg.norm(targets, axis=1, keepdims=True), 1e-12)
    return targets
