"""Face networks in PyTorch with the names that published state dicts have, and random weights with plausible
batch norm statistics. Oracles for the core and sources for the importers."""

import io
import warnings

import torch
from torch import nn

torch.set_num_threads(1)  # its threads wait for each other where the tests share a machine

IR_DEPTHS = {50: (3, 4, 14, 3), 100: (3, 13, 30, 3), 152: (3, 8, 36, 3)}
IRESNET_DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 14, 3), 100: (3, 13, 30, 3), 200: (6, 26, 60, 6)}
WIDTHS = (64, 128, 256, 512)


class SqueezeExcite(nn.Module):
    def __init__(self, channels, reduction=16):
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // reduction, 1, bias=False)
        self.fc2 = nn.Conv2d(channels // reduction, channels, 1, bias=False)

    def forward(self, x):
        pooled = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.fc2(torch.relu(self.fc1(pooled))))


class IRUnit(nn.Module):
    """A unit of the xCos reference: batch norm, two convolutions, squeeze-excite, shortcut."""

    def __init__(self, inside, outside, stride, se):
        super().__init__()
        layers = [
            nn.BatchNorm2d(inside),
            nn.Conv2d(inside, outside, 3, 1, 1, bias=False),
            nn.PReLU(outside),
            nn.Conv2d(outside, outside, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outside),
        ]
        self.res_layer = nn.Sequential(*layers, *([SqueezeExcite(outside)] if se else []))
        if inside == outside:
            self.shortcut_layer = nn.MaxPool2d(1, stride)
        else:
            self.shortcut_layer = nn.Sequential(
                nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside)
            )

    def forward(self, x):
        return self.res_layer(x) + self.shortcut_layer(x)


class IR(nn.Module):
    """The backbone of the xCos reference (IR or IR-SE): outputs the embedding and the grid of 32 x H x W."""

    def __init__(self, depths, se=True, widths=WIDTHS, size=112, embedding=512, grid=32):
        super().__init__()
        self.input_layer = nn.Sequential(
            nn.Conv2d(3, widths[0], 3, 1, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.PReLU(widths[0])
        )
        units, inside = [], widths[0]
        for depth, width in zip(depths, widths, strict=True):
            for index in range(depth):
                units.append(IRUnit(inside, width, 2 if index == 0 else 1, se))
                inside = width
        self.body = nn.Sequential(*units)
        side = -(-size // 16)
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(inside),
            nn.Dropout(0.6),
            nn.Flatten(),
            nn.Linear(inside * side * side, embedding),
            nn.BatchNorm1d(embedding),
        )
        self.conv1x1 = nn.Sequential(nn.Conv2d(inside, grid, 1), nn.BatchNorm2d(grid), nn.PReLU(grid))

    def forward(self, x):
        x = self.body(self.input_layer(x))
        return self.output_layer(x), self.conv1x1(x)


class IBasicBlock(nn.Module):
    """A block of InsightFace's iresnet."""

    def __init__(self, inside, outside, stride):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inside)
        self.conv1 = nn.Conv2d(inside, outside, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        self.prelu = nn.PReLU(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outside)
        self.downsample = None
        if stride != 1 or inside != outside:
            self.downsample = nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside))

    def forward(self, x):
        y = self.bn3(self.conv2(self.prelu(self.bn2(self.conv1(self.bn1(x))))))
        return y + (x if self.downsample is None else self.downsample(x))


class IResNet(nn.Module):
    """InsightFace's iresnet: outputs the embedding."""

    def __init__(self, depths, widths=WIDTHS, size=112, embedding=512):
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.prelu = nn.PReLU(widths[0])
        inside = widths[0]
        for stage, (depth, width) in enumerate(zip(depths, widths, strict=True), 1):
            blocks = []
            for index in range(depth):
                blocks.append(IBasicBlock(inside, width, 2 if index == 0 else 1))
                inside = width
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))
        self.bn2 = nn.BatchNorm2d(inside)
        self.fc = nn.Linear(inside * (-(-size // 16)) ** 2, embedding)
        self.features = nn.BatchNorm1d(embedding)

    def forward(self, x):
        x = self.prelu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.features(self.fc(self.bn2(x).flatten(1)))


def pictures(count, size=112, seed=0):
    """Normalised pictures (count, 3, size, size) that differ as photographs do: blots of colour, some noise."""
    generator = torch.Generator().manual_seed(seed)
    result = 0.1 * torch.randn((count, 3, size, size), generator=generator)
    for side in (1, 3, 7, 14):
        blots = torch.randn((count, 3, side, side), generator=generator)
        result += 0.4 * nn.functional.interpolate(blots, size=(size, size), mode="bilinear")
    return result.clamp(-1, 1)


def with_random_state(network, size=112, seed=0):
    """Random weights; batch norm statistics are those of random pictures, jittered, as training leaves them.

    The network comes back in eval mode, its embedding of rms about 1.
    """
    generator = torch.Generator().manual_seed(seed)

    def uniform(tensor, low, high):
        tensor.copy_(torch.rand(tensor.shape, generator=generator) * (high - low) + low)

    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                fan_in = module.weight[0].numel()
                normal = torch.randn(module.weight.shape, generator=generator)
                module.weight.copy_(normal * (1.6 / fan_in) ** 0.5)
                if module.bias is not None:
                    uniform(module.bias, -0.1, 0.1)
            elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                uniform(module.weight, 0.6, 1.2)
                uniform(module.bias, -0.2, 0.2)
                module.momentum = 1.0  # the statistics of the one batch below
            elif isinstance(module, nn.PReLU):
                uniform(module.weight, 0.0, 0.5)
        network.train()(pictures(4, size, seed=1))
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.momentum = 0.1
                module.running_mean += 0.1 * torch.randn(module.running_mean.shape, generator=generator)
                module.running_var *= torch.rand(module.running_var.shape, generator=generator) + 0.5
        result = network.eval()(pictures(4, size, seed=2))
        embedding = result[0] if isinstance(result, tuple) else result
        last = [module for module in network.modules() if isinstance(module, nn.BatchNorm1d)][-1]
        rms = embedding.square().mean().sqrt()
        last.weight /= rms
        last.bias /= rms
    return network


def to_onnx(network, size=112, opset=13, outputs=("embedding",)):
    """The network as the bytes of an ONNX file with a free batch, batch norms unfolded."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of this exporter, which needs no further package
        torch.onnx.export(
            network,
            (torch.zeros(1, 3, size, size),),
            buffer,
            dynamo=False,
            opset_version=opset,
            input_names=["input"],
            output_names=list(outputs),
            dynamic_axes={name: {0: "n"} for name in ("input", *outputs)},
            training=torch.onnx.TrainingMode.PRESERVE,
            do_constant_folding=False,
        )
    return buffer.getvalue()
