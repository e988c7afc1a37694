"""Convolutional networks: a plain one and residual ones for images of 8 by 8 pixels and up.

Design: one `ResNet` class of basic blocks; width, depth and stem are its only dials. ResNet-18
is its widths (64, 128, 256, 512), depths (2, 2, 2, 2) and ImageNet stem, exactly.

Dimensions: ``B`` batch, ``C`` channels (first ``in_channels``, last ``num_classes``), ``H`` and
``W`` height and width in pixels.
"""

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from utils.arguments import check_positive_int, choose

__all__ = ["BasicBlock", "ConvNet", "ResNet", "narrow_resnet", "resnet18", "resnet_from_hf"]

STEMS = ("imagenet", "cifar")


def check_images(images: Tensor, in_channels: int, smallest: int) -> None:
    """Raise ValueError for what is not ``(B, in_channels, H, W)`` with sides of ``smallest`` up."""
    shape = tuple(images.shape)
    if images.ndim != 4 or shape[1] != in_channels:
        raise ValueError(f"expected images of shape (B, {in_channels}, H, W), got {shape}")
    if min(shape[2:]) < smallest:
        raise ValueError(
            f"images of {shape[2]} by {shape[3]} pixels are too small for this network: "
            f"it needs at least {smallest} by {smallest}; use fewer stages or the CIFAR stem"
        )


@torch.no_grad()
def initialize_he_(module: nn.Module) -> None:
    """He's normal initialization by fan-out for every convolution (He et al. 2015)."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")


class ConvNet(nn.Module):
    """Plain network: for each width a 3 by 3 convolution, batch norm, ReLU and 2 by 2 max pooling;
    then the mean over the image and a linear layer.

    ``norm=False`` leaves batch normalization out. Input ``(B, in_channels, H, W)`` with sides of at
    least ``2 ** len(widths)`` pixels; output ``(B, num_classes)``.
    Raises TypeError or ValueError for bad arguments, ValueError for images of another shape.
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_channels: int = 1,
        widths: Sequence[int] = (32, 64),
        norm: bool = True,
    ):
        super().__init__()
        check_positive_int(num_classes=num_classes, in_channels=in_channels)
        check_positive_int(**{f"widths[{i}]": width for i, width in enumerate(widths)})
        if not widths:
            raise ValueError("widths is empty; give one number of channels for each layer")
        self.in_channels, self.smallest = in_channels, 2 ** len(widths)
        layers: list[nn.Module] = []
        for channels_in, channels_out in zip((in_channels, *widths[:-1]), widths, strict=True):
            layers.append(nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=not norm))
            layers += [nn.BatchNorm2d(channels_out)] if norm else []
            layers += [nn.ReLU(), nn.MaxPool2d(2)]
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(widths[-1], num_classes)
        initialize_he_(self)

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(B, C, H, W)`` to logits ``(B, num_classes)``."""
        check_images(images, self.in_channels, self.smallest)
        return self.head(self.features(images).mean((2, 3)))


class BasicBlock(nn.Module):
    """Two 3 by 3 convolutions and a shortcut (He et al. 2016, section 3.3, figure 5 left).

    ``(B, channels_in, H, W)`` to ``(B, channels_out, ceil(H / stride), ceil(W / stride))``. Where
    the shape changes the shortcut is a 1 by 1 convolution with batch norm (option B there).
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False),
                nn.BatchNorm2d(channels_out),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return ReLU(F(x) + shortcut(x)); shapes as in the class."""
        residual = torch.relu(self.norm1(self.conv1(x)))
        residual = self.norm2(self.conv2(residual))
        return torch.relu(residual + self.shortcut(x))


class ResNet(nn.Module):
    """Residual network of basic blocks (He et al. 2016).

    Parameters
    ----------
    widths: channels of each stage; every stage but the first halves height and width.
    depths: blocks in each stage.
    stem: ``"imagenet"`` (7 by 7 convolution, stride 2, then 3 by 3 max pooling, stride 2: the
        image shrinks four times) or ``"cifar"`` (3 by 3 convolution, stride 1, no pooling).
    zero_last_norm: start each block as its shortcut, by a zero scale in its last batch norm
        (Goyal et al. 2017, section 5.1).

    Input ``(B, in_channels, H, W)``; output ``(B, num_classes)``.
    Raises TypeError or ValueError for bad arguments, ValueError for images of another shape.
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_channels: int = 3,
        widths: Sequence[int] = (16, 32, 64),
        depths: Sequence[int] = (1, 1, 1),
        stem: str = "cifar",
        zero_last_norm: bool = False,
    ):
        super().__init__()
        check_positive_int(num_classes=num_classes, in_channels=in_channels)
        check_positive_int(**{f"widths[{i}]": width for i, width in enumerate(widths)})
        check_positive_int(**{f"depths[{i}]": depth for i, depth in enumerate(depths)})
        if not widths or len(widths) != len(depths):
            raise ValueError(
                f"widths and depths must have the same length, one entry a stage; "
                f"got {tuple(widths)} and {tuple(depths)}"
            )
        choose("stem", stem, STEMS)
        self.in_channels = in_channels
        # Below this a later stage would filter a single pixel and its padding only.
        self.smallest = 2 ** (len(widths) - 1) * (4 if stem == "imagenet" else 1)
        kernel, stride = (7, 2) if stem == "imagenet" else (3, 1)
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, widths[0], kernel, stride, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, padding=1) if stem == "imagenet" else nn.Identity(),
        )
        stages, channels = [], widths[0]
        for i, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            blocks = [BasicBlock(channels, width, stride=1 if i == 0 else 2)]
            blocks += [BasicBlock(width, width) for _ in range(depth - 1)]
            stages.append(nn.Sequential(*blocks))
            channels = width
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(channels, num_classes)
        initialize_he_(self)
        if zero_last_norm:
            for module in self.modules():
                if isinstance(module, BasicBlock):
                    nn.init.zeros_(module.norm2.weight)

    def features(self, images: Tensor) -> Tensor:
        """Map images ``(B, in_channels, H, W)`` to the pooled features ``(B, widths[-1])``."""
        check_images(images, self.in_channels, self.smallest)
        return self.stages(self.stem(images)).mean((2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(B, in_channels, H, W)`` to logits ``(B, num_classes)``."""
        return self.head(self.features(images))


def resnet18(num_classes: int = 1000, in_channels: int = 3, stem: str = "imagenet") -> ResNet:
    """ResNet-18 (He et al. 2016, table 1): 11,689,512 parameters with the default arguments."""
    return ResNet(num_classes, in_channels, (64, 128, 256, 512), (2, 2, 2, 2), stem)


def narrow_resnet(num_classes: int = 10, in_channels: int = 1, width: int = 16) -> ResNet:
    """Three stages of one block, ``width`` to ``4 * width`` channels, CIFAR stem: trains on a CPU.

    The shape is that of the networks for CIFAR-10 (He et al. 2016, section 4.2) with n = 1, except
    that the shortcuts which change shape are convolutions.
    """
    return ResNet(num_classes, in_channels, (width, 2 * width, 4 * width), (1, 1, 1), "cifar")


# In this order: transformers' name, as a pattern, and ours.
_HF_NAMES = [
    (r"^(resnet\.)?embedder\.embedder\.convolution\.", "stem.0."),
    (r"^(resnet\.)?embedder\.embedder\.normalization\.", "stem.1."),
    (r"^(resnet\.)?encoder\.stages\.(\d+)\.layers\.(\d+)\.", r"stages.\2.\3."),
    (r"\.layer\.0\.convolution\.", ".conv1."),
    (r"\.layer\.0\.normalization\.", ".norm1."),
    (r"\.layer\.1\.convolution\.", ".conv2."),
    (r"\.layer\.1\.normalization\.", ".norm2."),
    (r"\.shortcut\.convolution\.", ".shortcut.0."),
    (r"\.shortcut\.normalization\.", ".shortcut.1."),
    (r"^classifier\.1\.", "head."),
]


def resnet_from_hf(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of transformers' ``ResNetForImageClassification`` for ``ResNet``.

    Load the result with ``ResNet.load_state_dict``, which names missing, extra and mis-shaped
    keys. Raises ValueError for keys of another architecture, bottleneck blocks included.
    """
    renamed, unknown = {}, []
    for name, tensor in state_dict.items():
        new = name
        for pattern, ours in _HF_NAMES:
            new = re.sub(pattern, ours, new)
        if ".layer.2." in new or new == name:
            unknown.append(name)
        renamed[new] = tensor
    if unknown or not renamed:
        raise ValueError(
            f"these are not the weights of a ResNet of basic blocks; {len(unknown)} of "
            f"{len(state_dict)} keys are unknown, first: {unknown[:3]}"
        )
    return renamed
