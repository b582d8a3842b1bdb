"""The networks and the arithmetic of benchmarks/ are what they claim to be."""

import sys
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
torch = pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import networks  # noqa: E402
from machine import Machine, Peak  # noqa: E402
from onnx_torch import Graph  # noqa: E402
from report import Row, markdown  # noqa: E402


@pytest.fixture(scope="module")
def in_torch():
    return networks.iresnet(18)


@pytest.fixture(scope="module")
def iresnet18(in_torch, tmp_path_factory) -> Path:
    """Three images at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "iresnet", {18: in_torch}.__getitem__)
        return networks.network("iresnet18", 3, Path("unused"), tmp_path_factory.mktemp("networks"))


def onnx_runtime(path: Path, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def test_iresnet(in_torch, iresnet18):
    x = networks.images(networks.input_shape(iresnet18), seed=5)
    assert x.shape == (3, 3, 112, 112) and abs(x).max() <= 1
    with torch.inference_mode():
        expected = in_torch(torch.from_numpy(x)).numpy()
    output = onnx_runtime(iresnet18, x)
    np.testing.assert_allclose(output, expected, atol=1e-4)
    assert 1.2 < np.sqrt(np.square(output).mean()) < 2.2  # as trained networks' embeddings
    # Convolutions: 112² · 3·64·9 for the stem, then two 3×3 a block and one 1×1 a stage; 25088 · 512 at the end.
    assert networks.multiply_adds(iresnet18) == pytest.approx(2.61e9, rel=0.005)


def test_graph_in_torch(iresnet18):
    x = networks.images((3, 3, 112, 112), seed=6)
    with torch.inference_mode():
        output = Graph(onnx.load(iresnet18)).eval()(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(output, onnx_runtime(iresnet18, x), atol=1e-4)


def test_batch_of_mobilefacenet(shared, tmp_path):
    one = networks.network("mobilefacenet", 1, shared, tmp_path)
    four = networks.network("mobilefacenet", 4, shared, tmp_path)
    x = networks.images((4, 3, 112, 112), seed=7)
    alone = np.concatenate([onnx_runtime(one, image[None]) for image in x])
    np.testing.assert_allclose(onnx_runtime(four, x), alone, atol=1e-5)
    assert networks.multiply_adds(one) == networks.multiply_adds(four) == pytest.approx(221e6, rel=0.01)


def test_weights_in_blocks_become_plain(shared, tmp_path):
    path = networks.network("sface", 1, shared, tmp_path)
    graph = onnx.load(path).graph
    assert [value.name for value in graph.input] == ["data"]
    assert not any(node.op_type == "DequantizeLinear" for node in graph.node)
    output = onnx_runtime(path, 127 + 127 * networks.images((1, 3, 112, 112), seed=8))
    assert output.shape == (1, 128) and np.isfinite(output).all()


def test_peak():
    peak = Peak.make()
    if peak is None:
        pytest.skip("no gcc")
    assert 1 < peak.gflops(1, seconds=0.05) < 1000  # GFLOP/s of one core


def test_table():
    row = Row("iresnet50", 8, 2, multiply_adds=10**9, peak_gflops=400.0)
    row.seconds = {"xcos": [0.010, 0.011, 0.030], "ncnn": [0.020, 0.022, 0.020], "MNN": [0.5] * 3}
    row.seconds["OpenVINO, its default precision"] = [0.001] * 3
    row.errors = {"xcos": 1e-6, "ncnn": 2e-5, "MNN": 4e-3, "OpenVINO, its default precision": 0.1}
    assert row.fastest_peer() == "ncnn"  # the other computes in bf16
    assert row.ms("xcos") == pytest.approx(11)
    assert row.ratio("ncnn") == pytest.approx(0.5)  # of 0.5, 0.5, 1.5
    assert row.peak_share("ncnn") == "25%"  # 2e9 operations in 20 ms, of 400 GFLOP/s
    text = markdown([row], Machine("CPU", 2, "avx2"), dict.fromkeys(row.seconds, "1"), rounds=3, cpu_time=False)
    assert "| iresnet50 (8, 2) | 1,000 M | 11.00 | 45% | ncnn | 20.00 | 25% | **0.50** |" in text
    assert "| MNN 1 | 500.00† | 4.0e-03 |" in text


@pytest.mark.parametrize("text", ["iresnet50", "iresnet50:1", "iresnet50:1,x", "resnet:1,1", "yunet:8,1"])
def test_bad_row(text):
    with pytest.raises(Exception, match=r"expected|takes one image"):
        Row.parse(text)


def test_transformers(tmp_path):
    path = networks.network("vit", 2, Path("unused"), tmp_path)
    assert networks.input_shape(path) == [2, 3, 112, 112]
    tokens, width = 14 * 14 + 1, 256
    each = 12 * tokens * width**2 + 2 * tokens**2 * width  # four products and the mlp's two; attention's two
    expected = 6 * each + 14 * 14 * width * 3 * 8 * 8 + width * 512
    assert networks.multiply_adds(path) == pytest.approx(expected, rel=1e-6)
