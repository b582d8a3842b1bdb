"""FaceNet's Inception-ResNet v1 in PyTorch, after Szegedy et al., arXiv 1602.07261, and davidsandberg/facenet."""

import torch
from torch import nn


class Conv(nn.Sequential):
    def __init__(self, inside, outside, kernel, stride=1, padding=0):
        super().__init__(
            nn.Conv2d(inside, outside, kernel, stride, padding, bias=False), nn.BatchNorm2d(outside, 1e-3), nn.ReLU()
        )


class Parallel(nn.Module):
    """Branches side by side, their channels concatenated."""

    def __init__(self, *branches):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.branches], 1)


class Residual(nn.Module):
    def __init__(self, channels, inside, scale, *branches, relu=True):
        super().__init__()
        self.body = nn.Sequential(Parallel(*branches), nn.Conv2d(inside, channels, 1))
        self.scale, self.relu = scale, relu

    def forward(self, x):
        y = x + self.scale * self.body(x)
        return torch.relu(y) if self.relu else y


def block35(c):
    return Residual(
        8 * c, 3 * c, 0.17, Conv(8 * c, c, 1),
        nn.Sequential(Conv(8 * c, c, 1), Conv(c, c, 3, 1, 1)),
        nn.Sequential(Conv(8 * c, c, 1), Conv(c, c, 3, 1, 1), Conv(c, c, 3, 1, 1)),
    )  # fmt: skip


def block17(inside, c):
    side = nn.Sequential(Conv(inside, c, 1), Conv(c, c, (1, 7), 1, (0, 3)), Conv(c, c, (7, 1), 1, (3, 0)))
    return Residual(inside, 2 * c, 0.10, Conv(inside, c, 1), side)


def block8(inside, c, relu=True, scale=0.20):
    side = nn.Sequential(Conv(inside, c, 1), Conv(c, c, (1, 3), 1, (0, 1)), Conv(c, c, (3, 1), 1, (1, 0)))
    return Residual(inside, 2 * c, scale, Conv(inside, c, 1), side, relu=relu)


class InceptionResNetV1(nn.Module):
    """w: 32 in the published network; its embedding has length 1."""

    def __init__(self, w=32, depths=(5, 10, 5)):
        super().__init__()
        a, b, c = 8 * w, 28 * w, 56 * w
        self.body = nn.Sequential(
            Conv(3, w, 3, 2), Conv(w, w, 3), Conv(w, 2 * w, 3, 1, 1), nn.MaxPool2d(3, 2),
            Conv(2 * w, 5 * w // 2, 1), Conv(5 * w // 2, 6 * w, 3), Conv(6 * w, a, 3, 2),
            *(block35(w) for _ in range(depths[0])),
            Parallel(
                Conv(a, 12 * w, 3, 2),
                nn.Sequential(Conv(a, 6 * w, 1), Conv(6 * w, 6 * w, 3, 1, 1), Conv(6 * w, 8 * w, 3, 2)),
                nn.MaxPool2d(3, 2),
            ),
            *(block17(b, 4 * w) for _ in range(depths[1])),
            Parallel(
                nn.Sequential(Conv(b, 8 * w, 1), Conv(8 * w, 12 * w, 3, 2)),
                nn.Sequential(Conv(b, 8 * w, 1), Conv(8 * w, 8 * w, 3, 2)),
                nn.Sequential(Conv(b, 8 * w, 1), Conv(8 * w, 8 * w, 3, 1, 1), Conv(8 * w, 8 * w, 3, 2)),
                nn.MaxPool2d(3, 2),
            ),
            *(block8(c, 6 * w) for _ in range(depths[2])), block8(c, 6 * w, False, 1.0),
        )  # fmt: skip
        self.pool = nn.AdaptiveAvgPool2d(1)
        linear = nn.Linear(c, 512, bias=False)
        self.last = nn.Sequential(nn.Flatten(), nn.Dropout(0.6), linear, nn.BatchNorm1d(512, 1e-3))

    def forward(self, x):
        return nn.functional.normalize(self.last(self.pool(self.body(x))))
