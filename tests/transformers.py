"""Transformers that people bring, small and with random weights, in PyTorch: ViT, and EdgeFace's mixture of both."""

import torch
import torch_networks as networks
from torch import nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Multi-head attention as timm writes it: queries, keys and values of one product, the heads split off."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        batch, count, width = x.shape
        qkv = self.qkv(x).reshape(batch, count, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        attention = (q @ k.transpose(-2, -1) * self.scale).softmax(-1)
        return self.proj((attention @ v).transpose(1, 2).reshape(batch, count, width))


class Fused(Attention):
    """The same by PyTorch's own function, which exporters take apart."""

    def forward(self, x):
        batch, count, width = x.shape
        qkv = self.qkv(x).reshape(batch, count, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        x = F.scaled_dot_product_attention(qkv[0], qkv[1], qkv[2])
        return self.proj(x.transpose(1, 2).reshape(batch, count, width))


class Block(nn.Module):
    def __init__(self, width, heads, attention):
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(width, eps=1e-6), attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class ViT(nn.Module):
    """A vision transformer (Dosovitskiy et al., arXiv 2010.11929): patches, a class token, positions, blocks."""

    def __init__(self, size=112, patch=16, width=64, heads=4, depth=2, attention=Attention, embedding=32):
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.token = nn.Parameter(torch.randn(1, 1, width) * 0.2)
        self.positions = nn.Parameter(torch.randn(1, (size // patch) ** 2 + 1, width) * 0.2)
        self.blocks = nn.Sequential(*[Block(width, heads, attention) for _ in range(depth)])
        self.norm, self.head = nn.LayerNorm(width, eps=1e-6), nn.Linear(width, embedding)
        self.last = nn.BatchNorm1d(embedding)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.positions
        return self.last(self.head(self.norm(self.blocks(x))[:, 0]))


class PlacesFirst(nn.Module):
    """PyTorch's own attention and encoder, with places before the batch (their default) or behind it."""

    def __init__(self, batch_first, encoder, width=16, size=32, patch=8, embedding=16, **settings):
        super().__init__()
        self.batch_first = batch_first
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.positions = nn.Parameter(torch.randn(1, (size // patch) ** 2, width) * 0.2)
        if encoder:
            layer = nn.TransformerEncoderLayer(width, 4, 2 * width, batch_first=batch_first, **settings)
            self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        else:
            self.encoder, self.settings = None, settings
            self.attention = nn.MultiheadAttention(width, 4, batch_first=batch_first)
        self.head, self.last = nn.Linear(width, embedding), nn.BatchNorm1d(embedding)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2) + self.positions
        x = x if self.batch_first else x.transpose(0, 1)
        x = x + self.attention(x, x, x, **self.settings)[0] if self.encoder is None else self.encoder(x)
        return self.last(self.head(x.mean(1) if self.batch_first else x[0] + x.mean(0)))


class ChannelNorm(nn.Module):
    """A layer norm over the channels of a map, written out as ConvNeXt's code has it (arXiv 2201.03545)."""

    def __init__(self, channels):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.rand(channels) + 0.5), nn.Parameter(torch.randn(channels) * 0.1)

    def forward(self, x):
        mean = x.mean(1, keepdim=True)
        variance = (x - mean).pow(2).mean(1, keepdim=True)
        x = (x - mean) / torch.sqrt(variance + 1e-6)
        return self.weight[:, None, None] * x + self.bias[:, None, None]


def mlp(width):
    return nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))


class ConvBlock(nn.Module):
    """Depthwise convolution, then norm and two linear layers over the channels, scaled, beside the input."""

    def __init__(self, width, kernel):
        super().__init__()
        self.conv = nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm, self.mlp = nn.LayerNorm(width, eps=1e-6), mlp(width)
        self.gamma = nn.Parameter(torch.rand(width) * 0.5)

    def forward(self, x):
        y = self.mlp(self.norm(self.conv(x).permute(0, 2, 3, 1)))
        return x + (self.gamma * y).permute(0, 3, 1, 2)


class CrossCovariance(nn.Module):
    """Attention between channels instead of places (XCiT: El-Nouby et al., arXiv 2106.09681)."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.temperature = heads, nn.Parameter(torch.rand(heads, 1, 1) + 0.5)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        batch, count, width = x.shape
        qkv = self.qkv(x).reshape(batch, count, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]
        q, k, v = q.transpose(-2, -1), k.transpose(-2, -1), v.transpose(-2, -1)
        q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
        attention = (q @ k.transpose(-2, -1) * self.temperature).softmax(dim=-1)
        return self.proj((attention @ v).permute(0, 3, 1, 2).reshape(batch, count, width))


class SplitEncoder(nn.Module):
    """EdgeNeXt's encoder (Maaz et al., arXiv 2206.10589): the channels in groups, each convolved and passed on to the
    next, then cross-covariance attention, with positions where `size` says how large the map is."""

    def __init__(self, width, scales, heads, size=0):
        super().__init__()
        self.part = -(-width // scales)
        self.convs = nn.ModuleList(
            nn.Conv2d(self.part, self.part, 3, padding=1, groups=self.part) for _ in range(scales - 1)
        )
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.attention, self.mlp = CrossCovariance(width, heads), mlp(width)
        self.gamma1, self.gamma2 = nn.Parameter(torch.rand(width) * 0.5), nn.Parameter(torch.rand(width) * 0.5)
        self.positions = nn.Parameter(torch.randn(1, width, size, size) * 0.1) if size else None

    def forward(self, x):
        parts, whole, last = torch.split(x, self.part, 1), [], None
        for conv, part in zip(self.convs, parts, strict=False):
            last = conv(part if last is None else part + last)
            whole.append(last)
        y = torch.cat([*whole, parts[-1]], 1)
        batch, width, height, columns = y.shape
        if self.positions is not None:
            y = y + self.positions
        y = y.reshape(batch, width, height * columns).permute(0, 2, 1)
        y = y + self.gamma1 * self.attention(self.norm1(y))
        y = y.reshape(batch, height, columns, width)
        return x + (self.gamma2 * self.mlp(self.norm2(y))).permute(0, 3, 1, 2)


class EdgeFace(nn.Module):
    """EdgeFace (George et al., arXiv 2307.01838): EdgeNeXt's four stages for 112x112 pictures, and a head whose linear
    layer is of low rank."""

    def __init__(self, widths=(24, 48, 88, 168), depths=(2, 2, 3, 2), size=112, embedding=32):
        super().__init__()
        stages: list[nn.Module] = [nn.Sequential(nn.Conv2d(3, widths[0], 4, 4), ChannelNorm(widths[0]))]
        for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            if stage:
                stages.append(nn.Sequential(ChannelNorm(widths[stage - 1]), nn.Conv2d(widths[stage - 1], width, 2, 2)))
            kernel, place = (3, 5, 7, 9)[stage], size // (4 << stage)
            blocks: list[nn.Module] = [ConvBlock(width, kernel) for _ in range(depth - (stage > 0))]
            if stage:
                blocks.append(SplitEncoder(width, stage + 1, 4, place if stage == 1 else 0))
            stages += blocks
        self.stages = nn.Sequential(*stages)
        self.norm = nn.LayerNorm(widths[-1], eps=1e-6)
        self.low, self.high = nn.Linear(widths[-1], 16, bias=False), nn.Linear(16, embedding)
        self.last = nn.BatchNorm1d(embedding)

    def forward(self, x):
        return self.last(self.high(self.low(self.norm(self.stages(x).mean([-2, -1])))))


def vit(patch=16, attention=Attention, **sizes):
    torch.manual_seed(1)
    return networks.with_random_state(ViT(patch=patch, attention=attention, **sizes))


def edgeface(**sizes):
    torch.manual_seed(2)
    return networks.with_random_state(EdgeFace(**sizes))


def places_first(**settings):
    torch.manual_seed(3)
    return networks.with_random_state(PlacesFirst(**settings), 32)
