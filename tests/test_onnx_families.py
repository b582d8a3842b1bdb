"""Small networks of families that people bring, exported by PyTorch: ONNX Runtime and PyTorch against the core."""

import numpy as np
import onnx
import pytest
import torch
import torch_networks as networks
from onnx import version_converter
from onnx_graphs import onnxruntime_run
from torch import nn
from torch.nn import functional as F

from xcos.importers.onnx import import_onnx
from xcos.plan.network import Network

SIZE = 32


def conv(inside, outside, kernel=1, stride=1, groups=1, pad=None, act=None):
    pad = kernel // 2 if pad is None else pad
    layer = nn.Conv2d(inside, outside, kernel, stride, pad, groups=groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outside), *([act] if act else []))


class Embedding(nn.Module):
    """Features, a global depthwise convolution, and the embedding, divided by its length."""

    def __init__(self, features, channels):
        super().__init__()
        self.features = features
        self.pool = conv(channels, channels, 8, groups=channels, pad=0)
        self.linear, self.norm = nn.Linear(channels, 16), nn.BatchNorm1d(16)

    def forward(self, x):
        return F.normalize(self.norm(self.linear(self.pool(self.features(x)).flatten(1))))


class Gate(nn.Module):
    """Squeeze-excite with a hard sigmoid."""

    def __init__(self, channels):
        super().__init__()
        self.down, self.up = nn.Conv2d(channels, 4, 1), nn.Conv2d(4, channels, 1)

    def forward(self, x):
        return x * F.hardsigmoid(self.up(F.relu(self.down(F.adaptive_avg_pool2d(x, 1)))))


class MobileV3(nn.Module):
    """An inverted residual with its gate and hard swish (Howard et al., arXiv 1905.02244)."""

    def __init__(self):
        super().__init__()
        self.stem = conv(3, 8, 3, 4, act=nn.Hardswish())
        self.block = nn.Sequential(
            conv(8, 24, act=nn.Hardswish()), conv(24, 24, 5, groups=24), Gate(24), nn.Hardswish(), conv(24, 8)
        )

    def forward(self, x):
        x = self.stem(x)
        return x + self.block(x)


class GhostModule(nn.Module):
    """Half of the channels are made from the other half, cheaply (Han et al., arXiv 1911.11907)."""

    def __init__(self, inside, outside, act=None):
        super().__init__()
        self.first = conv(inside, outside // 2, act=act)
        self.cheap = conv(outside // 2, outside // 2, 3, groups=outside // 2, act=act)

    def forward(self, x):
        first = self.first(x)
        return torch.cat([first, self.cheap(first)], 1)


class GhostV2(nn.Module):
    """A bottleneck of GhostNetV2, whose long-range attention is computed at half the size (arXiv 2211.12905)."""

    def __init__(self):
        super().__init__()
        self.stem = conv(3, 8, 3, 4, act=nn.PReLU(8))
        self.ghost = GhostModule(8, 24, nn.PReLU(12))
        self.attention = nn.Sequential(
            conv(8, 24), conv(24, 24, (1, 5), groups=24, pad=(0, 2)), conv(24, 24, (5, 1), groups=24, pad=(2, 0))
        )
        self.gate, self.last = Gate(24), GhostModule(24, 8)

    def forward(self, x):
        x = self.stem(x)
        gate = torch.sigmoid(self.attention(F.avg_pool2d(x, 2)))
        wide = self.ghost(x) * F.interpolate(gate, size=(8, 8), mode="nearest")
        return x + self.last(self.gate(wide))


class Light(nn.Module):
    """Max feature maps and both pools (LightCNN: Wu et al., arXiv 1511.02683)."""

    def __init__(self):
        super().__init__()
        self.stem, self.block = nn.Conv2d(3, 24, 5, 1, 2), nn.Conv2d(12, 24, 3, 1, 1)

    def forward(self, x):
        x = torch.max(*torch.split(self.stem(x), 12, 1))
        x = F.max_pool2d(x, 2) + F.avg_pool2d(x, 2)
        x = torch.max(*torch.split(self.block(x), 12, 1)) + x
        return F.max_pool2d(x, 2, ceil_mode=True) + F.avg_pool2d(x, 2)


class Attended(nn.Module):
    """Attention by the mean and maximum over the channels (CBAM: Woo et al., arXiv 1807.06521), and the activations
    of other mobile networks."""

    def __init__(self):
        super().__init__()
        self.stem, self.spatial = conv(3, 8, 3, 4, act=nn.Mish()), nn.Conv2d(2, 1, 7, padding=3)
        self.tail = nn.Sequential(
            *(conv(8, 16, act=nn.GELU()), conv(16, 16, act=nn.ELU())),
            *(conv(16, 16, act=nn.SELU()), conv(16, 8, act=nn.Tanh())),
        )

    def forward(self, x):
        x = self.stem(x)
        seen = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        return self.tail(x * torch.sigmoid(self.spatial(seen)))


FAMILIES = {"MobileNetV3": (MobileV3, 8), "GhostNetV2": (GhostV2, 8), "LightCNN": (Light, 12), "CBAM": (Attended, 8)}


@pytest.mark.parametrize("opset", [13, 17])
@pytest.mark.parametrize("family", FAMILIES)
def test_families(family, opset):
    features, channels = FAMILIES[family]
    network = networks.with_random_state(Embedding(features(), channels), SIZE)
    exported = networks.to_onnx(network, SIZE, opset)
    x = networks.pictures(3, SIZE, seed=5)
    (expected,) = onnxruntime_run(exported, {"input": x.numpy()}, ["embedding"]).values()
    (result,) = Network.from_onnx(exported).run(x.numpy()).values()
    np.testing.assert_allclose(np.linalg.norm(result, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(result, expected, atol=1e-5)
    with torch.no_grad():
        np.testing.assert_allclose(result, network(x).numpy(), atol=1e-5)


class Measured(nn.Module):
    """As AdaFace ends (Kim et al., arXiv 2204.04946): the embedding divided by its length, and that length."""

    def __init__(self, features, channels):
        super().__init__()
        self.features = features
        self.end = nn.Sequential(nn.Flatten(), nn.Linear(channels * 64, 16), nn.BatchNorm1d(16))

    def forward(self, x):
        embedding = self.end(self.features(x))
        length = torch.norm(embedding, 2, 1, True)
        return torch.div(embedding, length), length


@pytest.mark.parametrize("opset", [13, 17])
def test_length_beside_the_embedding(opset):
    network = networks.with_random_state(Measured(MobileV3(), 8), SIZE)
    names = ("embedding", "length")
    exported = networks.to_onnx(network, SIZE, opset, names)
    x = networks.pictures(3, SIZE, seed=5)
    expected = onnxruntime_run(exported, {"input": x.numpy()}, names)
    result = Network.from_onnx(exported).run(x.numpy())
    for name in names:
        np.testing.assert_allclose(result[name], expected[name], atol=1e-5 * np.abs(expected[name]).max())


class Face(nn.Module):
    """The layers of MobileFaceNet."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            conv(3, 16, 3, 2, act=nn.PReLU(16)),
            conv(16, 16, 3, groups=16, act=nn.PReLU(16)),
            conv(16, 8, 1, 2, act=nn.PReLU(8)),
        )

    def forward(self, x):
        return self.layers(x)


@pytest.mark.filterwarnings("ignore::UserWarning")  # of PyTorch, at old opsets
@pytest.mark.parametrize("opset", range(7, 26))
def test_opsets(opset):
    """As PyTorch writes the older ones, and as onnx converts a graph to the newer ones."""
    ending = (conv(8, 8, 8, groups=8, pad=0), nn.Flatten(), nn.Linear(8, 16), nn.BatchNorm1d(16))
    network = networks.with_random_state(nn.Sequential(Face(), *ending), SIZE)
    exported = onnx.load_model_from_string(networks.to_onnx(network, SIZE, min(opset, 13)))
    if opset > 13:
        exported = version_converter.convert_version(exported, opset)
    x = networks.pictures(3, SIZE, seed=5)
    (result,) = Network.load(import_onnx(exported)).run(x.numpy()).values()
    (expected,) = onnxruntime_run(exported, {"input": x.numpy()}, ["embedding"]).values()
    np.testing.assert_allclose(result, expected, atol=1e-5)
