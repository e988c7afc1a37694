"""Checks of the lab `convolutional-networks`: a convolution and its gradient, pooling, a block.

Legend: B batch, C and D channels in and out, H and W height and width, K and L height and width
of the kernel, P places of the output.

The references are PyTorch's functions in float64; answers in float32 or float64 agree within
1e-4 relative and 1e-5. The formulas are those of the chapter on convolutional networks.
"""

from __future__ import annotations

import torch.nn.functional as F

from utils.check import convolutional_networks_gradient_mistakes as back
from utils.check import convolutional_networks_layer_mistakes as layers
from utils.check import convolutional_networks_mistakes as wrong
from utils.check import convolutional_networks_patches_mistakes as patches
from utils.check.core import Lab
from utils.check.trial import Trial

LAB = Lab("convolutional-networks", "Convolutional networks by hand", points=30)
LIBRARY = (
    "utils.*",
    "torch.ops.*",
    *(f"torch.{name}" for name in ("conv2d", "conv3d", "convolution", "conv_transpose2d")),
    *(f"torch.nn.functional.{name}" for name in ("conv2d", "conv3d", "conv_transpose2d")),
    *(f"torch.nn.functional.{name}" for name in ("unfold", "fold")),
    *(f"torch.nn.{name}" for name in ("Conv2d", "Conv3d", "ConvTranspose2d", "Unfold", "Fold")),
)
POOLING = (
    *(
        f"torch.nn.functional.{name}"
        for name in ("max_pool2d", "max_pool3d", "max_pool2d_with_indices")
    ),
    *(f"torch.nn.functional.{name}" for name in ("adaptive_max_pool2d", "fractional_max_pool2d")),
    *("torch.max_pool2d", "torch.max_pool3d", "torch.nn.MaxPool2d", "torch.nn.MaxPool3d"),
    "torch.nn.AdaptiveMaxPool2d",
)
ENGINES = (*("torch.autograd.*", "torch.func.*", "torch.Tensor.backward", "torch.nn.grad.*"),)


@LAB.task(
    "How many places?",
    points=2,
    minutes=8,
    difficulty=1,
    functions=("output_size",),
    forbidden=LIBRARY,
    hints=(
        "How long is the kernel when there are dilation - 1 empty places between its weights?",
        "The first place is at the beginning of the padded input. How far can the kernel still "
        "move from there, and how many steps of the stride fit into that way?",
        "A step that does not fit whole does not count; the first place does.",
    ),
)
def output_size(t: Trial) -> None:
    name = "output_size"
    t.equal(name, 15, 4, 2, 5, 7, expected=2, mistakes=wrong.SIZE)  # no two mistakes agree here,
    t.equal(name, 13, 3, 2, 2, 3, expected=6, mistakes=wrong.SIZE)  # and here is the one left over
    for _ in range(6):
        kernel, stride, dilation = t.integer(1, 5), t.integer(1, 4), t.integer(1, 3)
        padding, size = t.integer(0, 4), t.integer(13, 40)
        args = size, kernel, stride, padding, dilation
        t.equal(name, *args, expected=wrong.size(*args), mistakes=wrong.SIZE)
    for args in ((7, 7, 3, 0, 1), (5, 3, 2, 0, 2), (1, 3, 1, 1, 1), (8, 2, 3, 0, 1)):
        t.equal(name, *args, expected=wrong.size(*args), mistakes=wrong.SIZE)
    for args in ((4, 5, 1, 0, 1), (6, 3, 1, 0, 3), (2, 5, 3, 1, 1)):
        why = "the kernel, with its gaps, is longer than the padded input"
        t.raises("ValueError", name, *args, why=why, mistake=wrong.TOO_LONG)


@LAB.task(
    "Convolution by loops",
    points=4,
    minutes=15,
    difficulty=1,
    functions=("conv2d",),
    forbidden=LIBRARY,
    hints=(
        "Pad first: zeros on all four sides. From there on no index can leave the picture.",
        "Place (i, j) of the output sees the rows i·stride, i·stride + dilation, … of the padded "
        "picture: K of them. A slice has a step.",
        "A patch has the axes (B, C, K, L), the kernels (D, C, K, L). Which of them are summed "
        "away, and which stay?",
    ),
)
def conv2d(t: Trial) -> None:
    B, C, D = t.distinct(3, 2, 4)
    K, L = t.distinct(2, 2, 3)
    H, W = t.distinct(2, 10, 13)
    cases = [
        (B, C, D, H, W, K, L, 2, 1, 3),
        (B, C, D, W, H, 3, 3, 1, 1, 1),
        (2, 1, 3, 7, 6, 2, 4, 3, 2, 1),
        (1, 3, 1, 5, 8, 1, 1, 2, 0, 1),
        (1, 2, 2, 4, 5, 4, 5, 1, 0, 1),  # a kernel as large as the picture
    ]
    for B, C, D, H, W, K, L, stride, padding, dilation in cases:
        x, w, b = t.normal(B, C, H, W), t.normal(D, C, K, L), t.normal(D)
        args = x, w, b, stride, padding, dilation
        t.equal("conv2d", *args, expected=wrong.conv(*args), mistakes=wrong.CONV)


@LAB.task(
    "Patches as columns",
    points=4,
    minutes=12,
    difficulty=2,
    functions=("unfold", "conv2d_product"),
    forbidden=LIBRARY,
    hints=(
        "Column number p holds the patch of place p; places are counted along the rows of the "
        "output, as flatten does.",
        "Within a column the channel changes slowest, then the row of the kernel, then its "
        "column: as in w.flatten(1).",
        "Without loops over places: for each of the K·L positions in the kernel, a slice with the "
        "stride as its step gives all places at once.",
        "w.flatten(1) @ columns is (B, D, P). P is rows times columns of the output.",
    ),
)
def unfold(t: Trial) -> None:
    B, C, D = t.distinct(3, 2, 4)
    K, L = t.distinct(2, 2, 3)
    H, W = t.distinct(2, 10, 13)
    for case in (
        (B, C, H, W, K, L, 2, 1, 3),
        (2, 3, 6, 5, 3, 3, 1, 1, 1),
        (1, 1, 4, 7, 1, 2, 3, 0, 1),
    ):
        shape, sizes = case[:4], case[4:]
        args = t.normal(*shape), *sizes
        t.equal("unfold", *args, expected=patches.columns(*args), mistakes=patches.UNFOLD, atol=0)
    for kernels, case in ((D, (2, 1, 3)), (1, (1, 0, 1)), (3, (3, 2, 1))):
        x, w, b = t.normal(B, C, H, W), t.normal(kernels, C, K, L), t.normal(kernels)
        args = x, w, b, *case
        t.equal("conv2d_product", *args, expected=wrong.conv(*args), mistakes=patches.PRODUCT)


@LAB.task(
    "Pooling",
    points=3,
    minutes=8,
    difficulty=2,
    functions=("max_pool",),
    forbidden=(*LIBRARY, *POOLING),
    hints=(
        "The places are those of a convolution with the same kernel, stride and padding.",
        "Each channel is pooled by itself.",
        "What is padded must never win. Which number is smaller than all others? F.pad takes a "
        "value.",
    ),
)
def max_pool(t: Trial) -> None:
    B, C = t.distinct(2, 2, 4)
    H, W = t.distinct(2, 8, 11)
    for shape, K, stride, padding in (
        ((B, C, H, W), 3, 2, 1),
        ((B, C, W, H), 2, 3, 0),
        ((1, 2, 6, 9), 3, 1, 1),
        ((2, 1, 5, 4), 1, 1, 0),
    ):
        args = t.normal(*shape) - 1.0, K, stride, padding
        expected = F.max_pool2d(args[0].double(), K, stride, padding)
        t.equal("max_pool", *args, expected=expected, mistakes=layers.POOL, atol=0)
    x = -100.0 - 100 * t.normal(1, 2, 4, 5).abs()  # all far below zero
    expected = F.max_pool2d(x.double(), 3, 2, 1)
    t.equal("max_pool", x, 3, 2, 1, expected=expected, mistakes=layers.POOL, atol=0)


@LAB.task(
    "A residual block",
    points=3,
    minutes=10,
    difficulty=2,
    functions=("residual_block",),
    forbidden=LIBRARY,
    hints=(
        "Two paths from x: through the two convolutions, with a ReLU between them, and past them. "
        "They are added, and a ReLU follows.",
        "The first convolution takes the stride, so the other path must take it too.",
        "Where there is no w_skip, x itself is added; it must then have the shape of what it is "
        "added to, in every axis, or a broadcast would hide the fault.",
    ),
)
def residual_block(t: Trial) -> None:
    B, C, D = t.distinct(3, 2, 4)
    H, W = t.distinct(2, 6, 9)
    for C_in, D_out, stride, projected in ((C, D, 2, True), (C, C, 1, False), (D, D, 1, True)):
        x, w1 = t.normal(B, C_in, H, W), t.normal(D_out, C_in, 3, 3) / 4
        w2 = t.normal(D_out, D_out, 3, 3) / 4
        w_skip = t.normal(D_out, C_in, 1, 1) if projected else None
        args = x, w1, w2, stride, w_skip
        t.equal("residual_block", *args, expected=layers.block(*args), mistakes=layers.BLOCK)
    why = "without w_skip, x has not the shape of what it is added to"
    for C_in, stride in ((1, 1), (2, 1), (3, 2)):
        x = t.normal(2, C_in, 5, 5)
        args = x, t.normal(3, C_in, 3, 3), t.normal(3, 3, 3, 3), stride, None
        t.raises("ValueError", "residual_block", *args, why=why, mistake=layers.BROADCAST)


@LAB.task(
    "The bill",
    points=3,
    minutes=12,
    difficulty=2,
    functions=("cost",),
    forbidden=LIBRARY,
    hints=(
        "Walk through the layers and carry along: channels, height, width, and for the receptive "
        "field its side and the distance of neighboring outputs in pixels of the input.",
        "A convolution has D (C·K·K + 1) parameters and takes 2·D·C·K·K operations at each place "
        "of its output. Pooling has none and changes no channels.",
        "A layer adds K - 1 steps to the field, each as long as the product of the strides "
        "before it; only then does its own stride count.",
    ),
)
def cost(t: Trial) -> None:
    stem = [("conv", 64, 7, 2, 3), ("pool", None, 3, 2, 1), ("conv", 32, 5, 1, 2)]
    args = stem, 3, 64, 48
    t.equal("cost", *args, expected=layers.bill(*args), mistakes=layers.COST)
    for _ in range(5):
        some = []
        for _ in range(t.integer(2, 5)):
            K, stride, padding = t.integer(1, 4), t.integer(1, 2), t.integer(0, 2)
            pooled = t.rng.random() < 0.3
            some.append(
                (
                    "pool" if pooled else "conv",
                    None if pooled else t.integer(2, 9),
                    K,
                    stride,
                    padding,
                )
            )
        args = some, t.integer(1, 4), t.integer(60, 80), t.integer(81, 99)
        t.equal("cost", *args, expected=layers.bill(*args), mistakes=layers.COST)
    args = [], 3, 8, 9  # no layer: nothing is computed, and an output is a pixel
    t.equal("cost", *args, expected=(0, 0, 1), mistakes=layers.COST)


@LAB.task(
    "The way back",
    points=5,
    minutes=20,
    difficulty=3,
    functions=("conv2d_vjp",),
    forbidden=(*LIBRARY, *ENGINES),
    hints=(
        "Use the same loops. Place (i, j) multiplied a patch by the kernels; what does its ybar, "
        "(B, D), hand back to that patch, and what to the kernels?",
        "Patches overlap: a pixel that was used at several places gets the sum of what they hand "
        "back. So do the kernels, which were used at all places and for all images.",
        "Collect for the padded picture, then cut the padding off.",
    ),
)
def conv2d_vjp(t: Trial) -> None:
    B, C, D = t.distinct(3, 2, 4)
    K, L = t.distinct(2, 2, 3)
    H, W = t.distinct(2, 6, 9)
    cases = (
        (B, C, D, H, W, K, L, 2, 1),
        (2, 3, 3, 5, 6, 3, 3, 1, 1),  # as many channels out as in
        (1, 2, 3, 5, 7, 2, 2, 3, 0),  # pixels that no patch holds
        (2, 1, 1, 4, 4, 1, 1, 1, 0),
    )
    for B, C, D, H, W, K, L, stride, padding in cases:
        x, w = t.normal(B, C, H, W), t.normal(D, C, K, L)
        places = wrong.size(H, K, stride, padding, 1), wrong.size(W, L, stride, padding, 1)
        args = x, w, stride, padding, t.normal(B, D, *places)
        expected = back.backward(*args)
        t.equal("conv2d_vjp", *args, expected=expected, mistakes=back.GRADIENT)
