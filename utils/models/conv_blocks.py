"""Blocks of well-known convolutional networks, small enough to compare side by side.

Design: a block maps ``(B, c_in, H, W)`` to ``(B, c_out, H, W)``; every convolution is without bias
and followed by batch normalization, so that networks differ in their wiring alone. `SmallNet` puts
two blocks between the same stem and the same head.

Dimensions: ``B`` batch, ``C`` channels, ``H`` and ``W`` height and width in pixels.
"""

import torch
from torch import Tensor, nn

from utils.arguments import check_positive_int, choose

__all__ = ["BLOCKS", "SmallNet", "conv", "matched_width"]


def conv(
    c_in: int, c_out: int, kernel: int = 3, groups: int = 1, act: type[nn.Module] = nn.ReLU
) -> nn.Sequential:
    """Convolution that keeps height and width, batch normalization, activation."""
    return nn.Sequential(
        nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(c_out),
        act(),
    )


class VGGBlock(nn.Sequential):
    """Two 3 by 3 convolutions (Simonyan and Zisserman 2015; batch normalization came later)."""

    def __init__(self, c_in: int, c_out: int):
        super().__init__(conv(c_in, c_out), conv(c_out, c_out))


class InceptionBlock(nn.Module):
    """Four paths of a quarter of the channels each, side by side (Szegedy et al. 2015, fig. 2b)."""

    def __init__(self, c_in: int, c_out: int):
        super().__init__()
        if c_out % 4:
            raise ValueError(f"c_out must be a multiple of 4, one quarter a path; got {c_out}")
        q = c_out // 4
        self.paths = nn.ModuleList(
            [
                conv(c_in, q, 1),
                nn.Sequential(conv(c_in, q, 1), conv(q, q, 3)),
                nn.Sequential(conv(c_in, q, 1), conv(q, q, 5)),
                nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), conv(c_in, q, 1)),
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        """Shapes as in the module's head."""
        return torch.cat([path(x) for path in self.paths], dim=1)


class ResidualBlock(nn.Module):
    """Two 3 by 3 convolutions and a shortcut (He et al. 2016)."""

    def __init__(self, c_in: int, c_out: int):
        super().__init__()
        self.body = nn.Sequential(conv(c_in, c_out), conv(c_out, c_out, act=nn.Identity))
        same = c_in == c_out
        self.shortcut = nn.Identity() if same else conv(c_in, c_out, 1, act=nn.Identity)
        self.gate: nn.Module = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Shapes as in the module's head."""
        return torch.relu(self.shortcut(x) + self.gate(self.body(x)))


class DenseBlock(nn.Module):
    """Three 3 by 3 convolutions that each read all before them, then 1 by 1 (Huang et al. 2017).

    Each adds ``c_out // 2`` channels; order within a layer: convolution, normalization, ReLU.
    """

    def __init__(self, c_in: int, c_out: int, num_layers: int = 3):
        super().__init__()
        growth = c_out // 2
        self.layers = nn.ModuleList(conv(c_in + i * growth, growth) for i in range(num_layers))
        self.mix = conv(c_in + num_layers * growth, c_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Shapes as in the module's head."""
        for layer in self.layers:
            x = torch.cat([x, layer(x)], dim=1)
        return self.mix(x)


class Gate(nn.Module):
    """Squeeze and excitation: a factor from 0 to 1 for each channel (Hu et al. 2018)."""

    def __init__(self, channels: int, reduction: int = 4):
        super().__init__()
        narrow = max(channels // reduction, 2)
        self.mlp = nn.Sequential(
            nn.Linear(channels, narrow), nn.ReLU(), nn.Linear(narrow, channels), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)``, each channel of each image times its factor."""
        return x * self.mlp(x.mean((2, 3)))[:, :, None, None]


class SEBlock(ResidualBlock):
    """A residual block whose body passes a `Gate`."""

    def __init__(self, c_in: int, c_out: int):
        super().__init__(c_in, c_out)
        self.gate = Gate(c_out)


class MBConvBlock(nn.Module):
    """EfficientNet's block (Tan and Le 2019): 1 by 1 up, 3 by 3 channel by channel, gate, 1 by 1.

    The shortcut is there where the number of channels stays.
    """

    def __init__(self, c_in: int, c_out: int, expand: int = 4):
        super().__init__()
        wide, self.same = expand * c_in, c_in == c_out
        self.body = nn.Sequential(
            conv(c_in, wide, 1, act=nn.SiLU),
            conv(wide, wide, 3, groups=wide, act=nn.SiLU),
            Gate(wide),
            conv(wide, c_out, 1, act=nn.Identity),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Shapes as in the module's head."""
        return x + self.body(x) if self.same else self.body(x)


BLOCKS: dict[str, type[nn.Module]] = {
    "VGG": VGGBlock,
    "Inception": InceptionBlock,
    "ResNet": ResidualBlock,
    "DenseNet": DenseBlock,
    "SE": SEBlock,
    "EfficientNet": MBConvBlock,
}


class SmallNet(nn.Sequential):
    """Stem, block, 2 by 2 max pooling, block of twice the width, mean over the image, linear.

    ``(B, in_channels, H, W)`` with sides of at least 2 to ``(B, num_classes)``. Raises TypeError
    or ValueError for an unknown block or a bad number.
    """

    def __init__(self, block: str, width: int, in_channels: int = 1, num_classes: int = 10):
        choose("block", block, BLOCKS)
        check_positive_int(width=width, in_channels=in_channels, num_classes=num_classes)
        make = BLOCKS[block]
        super().__init__(
            conv(in_channels, width),
            make(width, width),
            nn.MaxPool2d(2),
            make(width, 2 * width),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(2 * width, num_classes),
        )


def matched_width(block: str, target: float, flops, step: int = 4) -> int:
    """The width, a multiple of ``step``, with ``flops(SmallNet(block, width))`` nearest target."""
    width = step
    while flops(SmallNet(block, width + step)) <= target:
        width += step
    below, above = (abs(flops(SmallNet(block, w)) - target) for w in (width, width + step))
    return width if below <= above else width + step
