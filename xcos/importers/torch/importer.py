"""Imports PyTorch checkpoints of known face networks as model files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...base.foreign import complaint
from ...base.names import shown
from ...errors import ModelFileError
from ...plan.build import PlanBuilder
from ...plan.file import ModelFile
from ...plan.network import Network
from ...plan.pixels import preprocess as default_preprocess
from .iresnet import build_iresnet, is_iresnet
from .reference import REFERENCE_THRESHOLD, build_reference, has_head, is_reference
from .state import read_state

SUFFIXES = (".pth", ".pt", ".ckpt", ".tar", ".bin", ".safetensors")


def import_torch(
    source: str | os.PathLike[str],
    *,
    name: str | None = None,
    preprocess: Mapping[str, Any] | None = None,
    epsilon: float = 1e-5,
) -> ModelFile:
    """Translates a state dict of a known layout into a model file.

    Known are the xCos reference (a whole checkpoint, with both backbones and the attention, or an IR or IR-SE
    backbone alone; depths 50, 100, 152), AdaFace's IR and IR-SE backbones, and InsightFace's iresnet (18, 34, 50, 100,
    200), under whatever names wrappers have put in front (``module.``, ``model.``). Batch norms in front
    of padded convolutions stay layers; those of the attention are folded into ``head.*``, exactly.

    Parameters
    ----------
    source : a file of ``torch.save`` (read with ``weights_only``, needs torch) or .safetensors (needs nothing).
    name : name of the model; by default that of the file.
    preprocess : how pixels become the input, as in docs/model-file.md; by default (x/255 - 0.5)/0.5, RGB.
    epsilon : of the backbone's batch norms, which no state dict tells; torch's default is 1e-5.

    Raises
    ------
    ModelFileError : not such a file, or a layout that is not known; names the tensor.
    OSError : the file cannot be opened. ImportError : a checkpoint, and torch is not installed.
    """
    try:
        return _translate(source, name or shown(Path(source).stem), dict(preprocess or default_preprocess()), epsilon)
    except ModelFileError as error:
        ours = Path(source).suffix.lower() == ".safetensors"
        readable = ("a safetensors file",) if ours else ("a zip archive", "a pickle")
        wanted = "a .safetensors file" if ours else "a checkpoint of torch.save"
        raise ModelFileError(complaint(source, error, wanted, readable)) from None


def _translate(source: str | os.PathLike[str], name: str, preprocess: dict[str, Any], epsilon: float) -> ModelFile:
    state = read_state(source)
    plan = PlanBuilder()
    if is_reference(state):
        outputs, what = build_reference(state, plan, epsilon)
    elif is_iresnet(state):
        outputs, what = build_iresnet(state, plan, epsilon)
    else:
        some = ", ".join(sorted(state)[:4]) or "none"
        raise ModelFileError(
            f"a layout that is not known (tensors: {some}, ...); expected that of the xCos reference or of "
            "InsightFace's iresnet. Other networks: export them as ONNX."
        )
    head: dict[str, Any] = {}
    if is_reference(state) and has_head(state):
        embedding = "embedding" if "embedding" in outputs else None
        head = {
            "head": {"kind": "xcos", "grid": "grid", "embedding": embedding, "temperature": 1.0,
                     "normalization": "softmax"},
            "thresholds": {"xcos": REFERENCE_THRESHOLD},
            "thresholds_from": "the value that the xCos reference quotes for its released ArcFace model; "
                               "not measured on this checkpoint",
        }  # fmt: skip
    file = ModelFile(
        kind="recognizer",
        name=name,
        inputs=plan.inputs,
        layers=plan.layers,
        outputs=outputs,
        tensors=plan.tensors,
        preprocess=preprocess,
        origin=f"converted from the PyTorch checkpoint {shown(Path(source).name)}: {what}",
        **head,
    )
    Network(file)  # sizes that do not fit together are told now, with the layer
    return file
