"""Transformers exported by PyTorch, with both of its exporters: ONNX Runtime and PyTorch against the core."""

import io

import numpy as np
import plan_oracle
import pytest
import torch
import torch_networks as networks
import transformers
from onnx_graphs import onnxruntime_run

from xcos.importers.onnx import import_onnx
from xcos.plan.network import Network
from xcos.twin.network import twin

NETWORKS = {
    "ViT, patch 16": lambda: transformers.vit(16),
    "ViT, patch 8": lambda: transformers.vit(8, depth=1),
    "ViT, fused attention": lambda: transformers.vit(16, transformers.Fused),
    "EdgeFace": transformers.edgeface,
}


def agrees(network, exported):
    """Two batches, so that a batch of 1 that was traced does not pass for any."""
    file = import_onnx(exported)
    core = Network.load(file)
    for count in (1, 3):
        x = networks.pictures(count, seed=5)
        (expected,) = onnxruntime_run(exported, {"input": x.numpy()}, ["embedding"]).values()
        result = core.run(x.numpy())["embedding"]
        np.testing.assert_allclose(result, expected, atol=1e-4)
        with torch.no_grad():
            np.testing.assert_allclose(result, network(x).numpy(), atol=1e-4)
    np.testing.assert_allclose(result, plan_oracle.run(file, {"input": x.numpy()})["embedding"], atol=1e-4)
    return file


@pytest.mark.parametrize("opset", [13, 17, 18])
@pytest.mark.parametrize("name", NETWORKS)
def test_exported_by_tracing(name, opset):
    opset += opset == 13 and "fused" in name  # PyTorch exports that from opset 14 on
    network = NETWORKS[name]()
    file = agrees(network, networks.to_onnx(network, opset=opset))
    assert "erf" not in [layer["op"] for layer in file.layers]  # GELU is put together


@pytest.mark.parametrize(
    "make", [NETWORKS["ViT, fused attention"], lambda: transformers.edgeface(depths=(1, 1, 1, 1))]  # seconds each
)
def test_exported_by_dynamo(make):
    pytest.importorskip("onnxscript")
    network, buffer = make(), io.BytesIO()
    batch = torch.export.Dim("batch", min=1, max=64)
    torch.onnx.export(
        network,
        (torch.zeros(2, 3, 112, 112),),
        buffer,
        dynamo=True,
        opset_version=18,
        input_names=["input"],
        output_names=["embedding"],
        dynamic_shapes=({0: batch},),
        verbose=False,
    )
    agrees(network, buffer.getvalue())


EXPORTED = [(14, None), (17, None), (18, None), (17, 1), (17, 2)]  # opset, and the batch that was traced
ATTENTIONS = {
    "attention": {"batch_first": False, "encoder": False},
    "attention without its weights": {"batch_first": False, "encoder": False, "need_weights": False},
    "attention, batch first": {"batch_first": True, "encoder": False},
    "encoder": {"batch_first": False, "encoder": True},
    "encoder, norms first": {"batch_first": True, "encoder": True, "norm_first": True, "activation": "gelu"},
}


@pytest.mark.parametrize(
    ("name", "exporter", "traced"),
    [(name, *how) for name in ATTENTIONS for how in EXPORTED]
    + [(name, "dynamo", None) for name in ("attention without its weights", "encoder, norms first")],  # seconds each
)
def test_pytorchs_own_attention(name, exporter, traced):
    """With places before the batch, and the batch and the heads as one axis, against ONNX Runtime and PyTorch. What was
    traced with a fixed batch runs with any."""
    network, buffer = transformers.places_first(**ATTENTIONS[name]), io.BytesIO()
    settings = {"opset_version": exporter, "dynamo": False}
    free = {"dynamic_axes": {"input": {0: "batch"}}}
    if exporter == "dynamo":
        pytest.importorskip("onnxscript")
        settings = {"opset_version": 18, "dynamo": True, "verbose": False}
        free = {"dynamic_shapes": ({0: torch.export.Dim("batch", min=1, max=64)},)}
    settings |= {} if traced else free
    names = {"input_names": ["input"], "output_names": ["embedding"]}
    torch.onnx.export(network, (torch.zeros(traced or 2, 3, 32, 32),), buffer, **names, **settings)
    core = Network.load(import_onnx(buffer.getvalue()))
    for count in (traced,) if traced else (1, 3):
        x = networks.pictures(count, 32, seed=8).numpy()
        (expected,) = onnxruntime_run(buffer.getvalue(), {"input": x}, ["embedding"]).values()
        np.testing.assert_allclose(core.run(x)["embedding"], expected, atol=1e-5)
    x = networks.pictures(3, 32, seed=9)
    with torch.no_grad():
        np.testing.assert_allclose(core.run(x.numpy())["embedding"], network(x).numpy(), atol=1e-5)


@pytest.mark.parametrize("name", ["ViT, patch 16", "EdgeFace"])
def test_results_depend_on_neither_threads_nor_batch(name):
    core = Network.from_onnx(networks.to_onnx(NETWORKS[name](), opset=17))
    x = networks.pictures(5, seed=6).numpy()
    alone = np.concatenate([core.run(picture[None], threads=1)["embedding"] for picture in x])
    for threads in (1, 2, 3):
        np.testing.assert_array_equal(core.run(x, threads=threads)["embedding"], alone)


@pytest.mark.parametrize("name", ["ViT, patch 16", "EdgeFace"])
def test_twin(name):
    file = import_onnx(networks.to_onnx(NETWORKS[name](), opset=17))
    x = networks.pictures(2, seed=7)
    with torch.no_grad():
        result = twin(file)(x)["embedding"].numpy()
    np.testing.assert_allclose(result, Network.load(file).run(x.numpy())["embedding"], atol=1e-4)
