"""What a training run is made of: one flat set of plain values, so that a run is its command line."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, TypeVar

from ..plan.pixels import per_channel

LEARNED = "learned"
_C = TypeVar("_C")

_RAISES = "    ValueError\n        For values that make no sense, naming them."
_EXAMPLE = """    >>> import xcos
    >>> config = xcos.train.Config(model="a.onnx", data=["people"], output="b.safetensors", depth=96)
    >>> config.depth, config.versions
    (96, 2)
    """


def _option(default: Any, text: str, kind: Callable[[str], Any] | None = None) -> Any:
    return field(default=default, metadata={"help": text, "kind": kind or type(default)})


def _whole(text: str) -> float | str:
    return text if text == LEARNED else float(text)


def _documented(config: type[_C]) -> type[_C]:
    """Adds each setting, with its help text, and an example to the docstring, which thus cannot differ from them."""
    parameters = [
        f"    {item.name} : {item.type}\n        {item.metadata['help'][0].upper()}{item.metadata['help'][1:]}."
        for item in dataclasses.fields(config)  # type: ignore[arg-type]
    ]
    if config.__doc__:  # python -OO has none
        sections = {"Parameters": parameters, "Raises": [_RAISES], "Examples": [_EXAMPLE]}
        config.__doc__ += "".join(
            f"\n\n    {title}\n    {'-' * len(title)}\n" + "\n".join(lines) for title, lines in sections.items()
        )
    return config


@_documented
@dataclass
class Config:
    """All settings of `xcos.train.train`, with their defaults; the help texts are those of the command line."""

    model: str = _option(
        "", "model file, ONNX network or PyTorch checkpoint whose embedding is the teacher; stays as it is"
    )
    color: str = _option("", "order of the network's channels, RGB or BGR (default: the model file's, else RGB)")
    mean: float | Sequence[float] | None = _option(
        None,
        "the input is (pixel - mean) * scale: a number, or R,G,B in the network's order (default: the model file's, "
        "else 127.5)",
        per_channel,
    )
    scale: float | Sequence[float] | None = _option(
        None, "a number or three likewise (default: the model file's, else 1/127.5 = 0.00784)", per_channel
    )
    data: list[str] = field(
        default_factory=list,
        metadata={"help": "folders of people, tars of the same, or .rec files (their .idx beside them)"},
    )
    output: str = _option("", "model file to write")
    work: str = _option("", "folder for cache, checkpoints and logs (default: OUTPUT with the suffix .work)")
    name: str = _option("", "name of the new model (default: the output's stem)")

    embedding: str = _option("", "output with the embedding (default: the head's, else the first)")
    at: str = _option("", "value that the grid is made from (default: the last map before the embedding)")
    since: str = _option("", "copy and train the layers from this value to `at` (default: none; input: the whole)")
    branch: str = _option(
        "projection",
        "projection (as in the reference), embedding, local, cells, or grid (a model's own, to go on with)",
    )
    copy: str = _option("", "for cells: the value made by the stride-2 unit whose weights are the start")
    blocks: int = _option(2, "for local: residual blocks more than the network has")
    spread: int = _option(0, "for local: how many of the copied convolutions of the grid's cells may see neighbours")
    depth: int = _option(32, "numbers in a cell (D)")
    embed: int = _option(16, "channels of the attention's embedding (E)")
    attend: int = _option(16, "channels of the attention (F)")
    temperature: float = _option(1.0, "temperature of the softmax")
    normalization: str = _option("softmax", "softmax or minmax")
    symmetric: bool = _option(False, "attention that does not depend on the order of the two faces")
    whole: float | str = _option(
        0.0, "what the plain cosine counts in the score beside the cells: 0 to 1, or `learned`, from 0.3 on", _whole
    )

    batch: int = _option(128, "pictures of a step, per process")
    rows: int = _option(32, "of the batch, how many are compared with all others (attention costs most)")
    steps: int = _option(2000, "steps in all")
    accumulate: int = _option(1, "batches whose gradients are added up for one step")
    per_person: int = _option(3, "pictures of a person, for the share of the batch that has several")
    grouped: float = _option(0.75, "share of the batch that is taken person by person")
    flip: float = _option(0.5, "probability of a mirrored picture")
    colour: float = _option(0.0, "strength of changes in brightness, contrast, saturation (0.3 is strong)")
    blur: float = _option(0.0, "probability of a blurred picture")
    masks: str = _option("", "folder of RGBA pictures to paste on faces")
    mask_share: float = _option(0.25, "share of faces with a mask")
    paste: float = _option(1.0, "share of the batch that shows another face pasted on one, with both and a third")
    large: float = _option(0.6, "share of the pastes that are large: windows, all but a window, half planes")
    blended: float = _option(0.5, "share of the pastes that are blended: soft edges, colours of the picture")
    views: int = _option(
        0, "versions of each picture in the cache: itself, mirrored, changed ones (0: 2; 8 with colour, blur or masks)"
    )
    pasted: int = _option(4, "versions of each picture with another face pasted on it in the cache")
    renew: int = _option(0, "steps after which all versions are made anew, with other pastes (0: never)")
    shake: float = _option(
        0.0,
        "from the first renewal on: how strongly pictures are resized, turned, moved and changed in colour (1: much)",
    )

    centroid: float = _option(0.0, "share of the mean of a person's embeddings in the target of each picture")
    identification: str = _option("none", "none, arcface or cosface")
    weight_identity: float = _option(1.0, "weight of the identification loss")
    weight_score: float = _option(20.0, "weight of L_cos")
    balance: float = _option(0.75, "how far rare targets of pairs are made up for: weight = frequency to minus this")
    weight_cell: float = _option(3.0, "weight of the cells' own L_cos (locality, with pasted faces)")
    weight_change: float = _option(2.0, "weight of the order of changes: covered cells over free ones")
    weight_own: float = _option(4.0, "weight of cells being functions of their windows (locality, with pasted faces)")
    weight_direction: float = _option(1.0, "weight of predicting the embedding from each cell")
    weight_entropy: float = _option(0.5, "weight of the entropy floor")
    weight_whole: float = _option(
        0.01, "what a learned `whole` costs, in units of L_cos, which alone would make it 1: its own target"
    )
    floor: float = _option(3.4, "least entropy of the attention that costs nothing, nats")

    optimizer: str = _option("adamw", "adamw (warm-up, cosine) or reference (SGD, Adam-amsgrad, StepLR)")
    rate: float = _option(1e-3, "learning rate of adamw")
    backbone_rate: float = _option(1.0, "learning rate of copied layers, as a share of it")
    decay: float = _option(0.05, "weight decay of adamw")
    warmup: int = _option(50, "steps of warm-up")
    clip: float = _option(5.0, "largest norm of the gradient")
    precision: str = _option("float32", "float32, or bfloat16 for mixed precision")
    compile: bool = _option(False, "let torch compile the losses: a minute at the start, less time for each step")
    device: str = _option("", "cpu, cuda (default: cuda where there is one)")
    threads: int = _option(0, "threads of torch and of the core (0: their defaults)")
    seed: int = _option(0, "everything random follows from it")

    validate: str = _option("", ".bin of pairs to choose the best step and the thresholds")
    folds: int = _option(10, "folds of the accuracy")
    every: int = _option(0, "steps between validations and checkpoints (0: one pass over the pictures)")
    held_out: str = _option(
        "", "folder or tar of people that training does not see, to measure truth on (default: those of training)"
    )
    truth: int = _option(50, "triples of people that truth is measured on at the end (0: not measured)")
    keep: str = _option("last", "write the weights of the last step, or of the best validation's: last, best")
    patience: int = _option(0, "stop after so many validations without a better one (0: never)")
    resume: str = _option(
        "same",
        "go on from the checkpoint in the work folder: if it is of the same settings, data and network (same), of "
        "others too (any), or never",
    )
    tensorboard: bool = _option(False, "write TensorBoard's log beside the CSV")
    progress: bool = _option(False, "draw a bar")
    license: str = _option("", "for the model file")
    origin: str = _option("", "for the model file")
    training: str = _option("", "for the model file")

    def __post_init__(self) -> None:
        for key, allowed in (
            ("color", ("", "RGB", "BGR")),
            ("branch", ("projection", "embedding", "local", "cells", "grid")),
            ("normalization", ("softmax", "minmax")),
            ("identification", ("arcface", "cosface", "none")),
            ("optimizer", ("adamw", "reference")),
            ("precision", ("float32", "bfloat16")),
            ("keep", ("best", "last")),
            ("resume", ("same", "any", "never")),
        ):
            if getattr(self, key) not in allowed:
                raise ValueError(f"{key} is {getattr(self, key)!r}; expected one of {', '.join(allowed)}")
        counts = ("batch", "rows", "steps", "accumulate", "per_person", "pasted", "depth", "embed", "attend")
        for key in (*counts, "folds"):
            if getattr(self, key) < 1:
                raise ValueError(f"{key} is {getattr(self, key)}; expected 1 or more")
        for key in ("grouped", "flip", "blur", "mask_share", "paste", "large", "blended", "centroid"):
            if not 0 <= getattr(self, key) <= 1:
                raise ValueError(f"{key} is {getattr(self, key)}; expected a share, 0 to 1")
        if self.whole != LEARNED and not (isinstance(self.whole, int | float) and 0 <= self.whole <= 1):
            raise ValueError(f"whole is {self.whole!r}; expected a number from 0 to 1, or {LEARNED!r}")
        if not 0 <= self.shake <= 2:
            raise ValueError(f"shake is {self.shake}; expected a strength, 0 to 2")
        if self.shake and not self.renew:
            raise ValueError(
                f"shake is {self.shake}: pictures are shaken from the first renewal on; expected renew too"
            )
        for key in ("blocks", "spread", "views", "truth", "renew"):
            if getattr(self, key) < 0:
                raise ValueError(f"{key} is {getattr(self, key)}; expected 0 or more")
        if self.branch in ("embedding", "local", "grid") and not self.since:
            raise ValueError(f"since: the branch `{self.branch}` needs the value from which layers are trained")
        if self.since and self.branch == "cells":
            raise ValueError("since: the branch `cells` trains its own layers only; choose `at` earlier instead")
        if self.branch == "cells" and not self.copy:
            raise ValueError("copy: the branch `cells` needs the value of the stride-2 unit to start from")

    @property
    def changes(self) -> bool:
        """True where colour, blur or masks are asked for."""
        return bool(self.colour or self.blur or self.masks)

    @property
    def versions(self) -> int:
        """`views`, or what its 0 stands for."""
        return self.views or (8 if self.changes else 2)

    @property
    def start_whole(self) -> float:
        """`whole`, or what a learned one starts from: about what the best cells so far need (docs/experiments.md)."""
        return 0.3 if isinstance(self.whole, str) else float(self.whole)

    @property
    def quads(self) -> int:
        """How many times a picture, the same with another face pasted on it, and both people's own are in a batch."""
        return round(self.paste * self.batch / 4)

    def to_json(self) -> str:
        """The settings as a JSON object, in ASCII: paths may hold what is no UTF-8.

        Returns
        -------
        str
            JSON.
        """
        return json.dumps(dataclasses.asdict(self), indent=1)

    @classmethod
    def from_arguments(cls, arguments: list[str] | None = None) -> Config:
        """Settings from a command line.

        Parameters
        ----------
        arguments : list of str, optional
            ``--depth 96 --data a.tar b.tar --symmetric``; None: the program's.

        Returns
        -------
        Config
            The settings.
        """
        parser = argparse.ArgumentParser(prog="python -m xcos.train", description="Trains an xCos head.")
        for item in dataclasses.fields(cls):
            default = item.default if item.default is not dataclasses.MISSING else []
            option = f"--{item.name.replace('_', '-')}"
            keywords: dict[str, Any] = {"default": default, "help": item.metadata["help"] + f" [{default}]"}
            if isinstance(default, bool):
                keywords["action"] = argparse.BooleanOptionalAction
            elif isinstance(default, list):
                keywords["nargs"] = "+"
            else:
                keywords["type"] = item.metadata["kind"]
            parser.add_argument(option, **keywords)
        given = vars(parser.parse_args(arguments))
        for key in ("model", "data", "output"):
            if not given[key]:
                parser.error(f"--{key} is required")
        return cls(**given)


def check_extras(config: Config) -> None:
    """Looks for the packages that these settings need: before hours of training, not after them.

    Parameters
    ----------
    config : Config
        The settings.

    Raises
    ------
    ImportError
        One is missing, which is named.

    Examples
    --------
    >>> import xcos
    >>> xcos.train.check_extras(xcos.train.Config(model="a.onnx", data=["people"], output="b.safetensors"))
    """
    measured = bool(config.validate or config.truth)
    needed = (
        ("sklearn", "scikit-learn", measured),
        ("scipy", "scipy", measured),
        ("tqdm", "tqdm", config.progress),
        ("PIL", "pillow", bool(config.masks)),
        ("tensorboard", "tensorboard", config.tensorboard),
    )
    missing = [package for module, package, used in needed if used and find_spec(module) is None]
    if missing:
        more = [package for package in missing if package == "tensorboard"]  # in none of our extras
        install = " ".join(["pip install xcos[train]", *more])
        raise ImportError(f"training with these settings needs {', '.join(missing)}: {install}")
