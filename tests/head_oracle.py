"""The xCos head twice more, slowly: a NumPy twin in float64 and a PyTorch transcription.

Formulas: Lin et al., arXiv 2003.05383, section 3; f(g) = PReLU(conv3x3(g; embed)),
z = PReLU(conv3x3(concat[f(ga), f(gb)]; attend1)), logits = PReLU(conv3x3(z; attend2)),
attention = softmax(logits / temperature) over the cells, score = sum(attention * cosine); with whole = w,
score = (1 - w) * sum(attention * cosine) + w * cosine of the embeddings.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file


@dataclass(frozen=True)
class Weights:
    """What `_core.Head` is made from: float32 arrays, a slope per PReLU, and the switches."""

    embed_weight: np.ndarray
    embed_bias: np.ndarray
    embed_slope: float
    attend1_weight: np.ndarray
    attend1_bias: np.ndarray
    attend1_slope: float
    attend2_weight: np.ndarray
    attend2_bias: np.ndarray
    attend2_slope: float
    height: int = 7
    width: int = 7
    temperature: float = 1.0
    minmax: bool = False
    whole: float = 0.0

    @property
    def grid(self) -> tuple[int, int, int]:
        return self.embed_weight.shape[1], self.height, self.width


def random_weights(seed=0, depth=32, embed=16, attend=16, **more) -> Weights:
    """Weights whose logits differ by a few units over the cells for grids of unit variance."""
    rng = np.random.default_rng(seed)

    def conv(outputs, inputs, gain):
        return (rng.standard_normal((outputs, inputs, 3, 3)) * gain / np.sqrt(9 * inputs)).astype(np.float32)

    def vector(size):
        return (rng.standard_normal(size) * 0.2).astype(np.float32)

    return Weights(
        conv(embed, depth, 1), vector(embed), 0.25, conv(attend, 2 * embed, 1.4), vector(attend), 0.1,
        conv(1, attend, 1.4), vector(1), 0.5, **more,
    )  # fmt: skip


def load_weights(path: Path, **more) -> Weights:
    tensors = load_file(path)
    parts = {}
    for part in ("embed", "attend1", "attend2"):
        parts[f"{part}_weight"] = tensors[f"{part}.weight"]
        parts[f"{part}_bias"] = tensors[f"{part}.bias"]
        parts[f"{part}_slope"] = float(tensors[f"{part}.prelu"][0])
    return Weights(**parts, **more)


def random_grids(weights: Weights, count: int, seed: int) -> np.ndarray:
    """(count, D, H, W) float32, standard normal."""
    return np.random.default_rng(seed).standard_normal((count, *weights.grid)).astype(np.float32)


def random_embeddings(count: int, seed: int, size: int = 65) -> np.ndarray:
    """(count, size) float32, standard normal with a mean, so that cosines are of all sizes."""
    return (np.random.default_rng(seed).standard_normal((count, size)) + 0.7).astype(np.float32)


def _conv3x3(x, weight, bias):
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    return np.einsum("nchwrs,ocrs->nohw", windows, weight.astype(np.float64), optimize=True) + bias.reshape(-1, 1, 1)


def _prelu(x, slope):
    return np.where(x > 0, x, np.float64(np.float32(slope)) * x)


def numpy_head(w: Weights, a, b, a_whole=None, b_whole=None):
    """Grids (N, D, H, W) twice, embeddings (N, E) twice for whole > 0 -> scores (N,), cosine (N, H, W),
    attention (N, H, W), float64."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    unit = [g / np.maximum(np.sqrt((g * g).sum(1, keepdims=True)), 1e-6) for g in (a, b)]
    cosine = (unit[0] * unit[1]).sum(1)
    f = [_prelu(_conv3x3(g, w.embed_weight, w.embed_bias), w.embed_slope) for g in (a, b)]
    z = _prelu(_conv3x3(np.concatenate(f, 1), w.attend1_weight, w.attend1_bias), w.attend1_slope)
    logits = _prelu(_conv3x3(z, w.attend2_weight, w.attend2_bias), w.attend2_slope)[:, 0]
    if w.minmax:
        attention = logits - logits.min((1, 2), keepdims=True)
        total = attention.sum((1, 2), keepdims=True)
        equal = total == 0
        attention = np.where(equal, 1 / (w.height * w.width), attention / np.where(equal, 1, total))
    else:
        logits = logits / w.temperature
        attention = np.exp(logits - logits.max((1, 2), keepdims=True))
        attention /= attention.sum((1, 2), keepdims=True)
    score = (attention * cosine).sum((1, 2))
    return numpy_whole(score, w.whole, a_whole, b_whole) if w.whole else score, cosine, attention


def numpy_whole(score, whole, a_whole, b_whole):
    """Scores of the cells (N,) -> scores in which the face as a whole counts `whole`, float64."""
    x, y = np.asarray(a_whole, np.float64), np.asarray(b_whole, np.float64)
    norms = np.sqrt((x * x).sum(1) * (y * y).sum(1))
    plain = (x * y).sum(1) / np.where(norms == 0, 1, norms)
    return (1 - whole) * score + whole * plain


class TorchHead(torch.nn.Module):
    """The reference's modules with their batch norms folded; softmax only."""

    def __init__(self, w: Weights):
        super().__init__()
        depth, embed, attend = w.grid[0], len(w.embed_bias), len(w.attend1_bias)
        self.temperature = w.temperature
        self.embedding_net = self._block(depth, embed, w.embed_weight, w.embed_bias, w.embed_slope)
        self.attention = torch.nn.Sequential(
            self._block(2 * embed, attend, w.attend1_weight, w.attend1_bias, w.attend1_slope),
            self._block(attend, 1, w.attend2_weight, w.attend2_bias, w.attend2_slope),
        )
        self.eval()

    @staticmethod
    def _block(inputs, outputs, weight, bias, slope):
        conv, prelu = torch.nn.Conv2d(inputs, outputs, 3, padding=1), torch.nn.PReLU(init=slope)
        conv.weight.data, conv.bias.data = torch.from_numpy(weight), torch.from_numpy(bias)
        return torch.nn.Sequential(conv, prelu)

    @torch.inference_mode()
    def forward(self, a, b):
        cosine = torch.nn.functional.cosine_similarity(a, b, dim=1, eps=1e-6)
        z = torch.cat([self.embedding_net(a), self.embedding_net(b)], 1)
        logits = self.attention(z)[:, 0].flatten(1) / self.temperature
        attention = logits.softmax(1).view_as(cosine)
        return (attention * cosine).sum((1, 2)), cosine, attention
