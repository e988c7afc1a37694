"""Named mistakes of the lab `convolutional-networks`: sizes, convolution.

Legend as in `utils.check.convolutional_networks`. Each wrong answer is wrong in one way.
"""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor

from utils.check.core import Mistake


# --- references -------------------------------------------------------------------------------
def size(n: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """Places along one axis (PyTorch's `Conv2d`)."""
    return (n + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def conv(x, w, b, stride, padding, dilation) -> Tensor:
    """PyTorch's convolution in float64."""
    b = None if b is None else b.double()
    return F.conv2d(x.double(), w.double(), b, stride, padding, dilation)


# --- the size ---------------------------------------------------------------------------------
TOO_LONG = Mistake(
    "too-long",
    "A kernel that does not fit into the padded input was given a number of places.",
    None,
    "Compare the length of the kernel, with its gaps, with n + 2 padding, and raise a ValueError.",
)
SIZE = (
    Mistake(
        "stride-after",
        "The one place at the beginning was divided by the stride as well.",
        lambda n, k, s, p, d: (n + 2 * p - d * (k - 1)) // s,
        "Divide the way that the kernel can move, then add the place where it begins.",
    ),
    Mistake(
        "no-plus-one",
        "The steps were counted, not the places: one is missing.",
        lambda n, k, s, p, d: size(n, k, s, p, d) - 1,
        "With no step at all there is one place.",
    ),
    Mistake(
        "padding-once",
        "The padding was added once; it stands on both sides.",
        lambda n, k, s, p, d: (n + p - d * (k - 1) - 1) // s + 1,
        "How long is the padded input?",
    ),
    Mistake(
        "dilation-ignored",
        "The gaps between the weights of the kernel were left out.",
        lambda n, k, s, p, d: (n + 2 * p - k) // s + 1,
        "With dilation d neighboring weights are d places apart.",
    ),
    Mistake(
        "dilation-times-kernel",
        "The kernel was taken to be dilation times K long; it has K - 1 gaps, not K.",
        lambda n, k, s, p, d: (n + 2 * p - d * k) // s + 1,
        "Draw a kernel of 3 with dilation 2: it covers 5 places.",
    ),
    Mistake(
        "rounded-up",
        "The last step was rounded up; a step that does not fit whole is not made.",
        lambda n, k, s, p, d: math.ceil((n + 2 * p - d * (k - 1) - 1) / s) + 1,
        "Round down.",
    ),
    Mistake(
        "not-rounded",
        "The result is no whole number of places.",
        lambda n, k, s, p, d: (n + 2 * p - d * (k - 1) - 1) / s + 1,
        "// divides and rounds down.",
    ),
    Mistake(
        "stride-ignored",
        "The stride was left out.",
        lambda n, k, s, p, d: size(n, k, 1, p, d),
        "How many steps of the stride fit into the way that the kernel can move?",
    ),
)


# --- the convolution --------------------------------------------------------------------------
def _square(x, w, b, stride, padding, dilation):
    if w.shape[2] != w.shape[3]:
        raise ValueError("no other shape")
    return conv(x, w.mT, b, stride, padding, dilation)


def _one_side(x, w, b, stride, padding, dilation):
    return conv(F.pad(x, (0, 2 * padding, 0, 2 * padding)), w, b, stride, 0, dilation)


def _cut(x, w, right, wrong_way):
    """The first places of a convolution with other steps, as many as there should be."""
    rows, places = right.shape[2:]
    return wrong_way[:, :, :rows, :places]


def _stride_not_used(x, w, b, stride, padding, dilation):
    right = conv(x, w, b, stride, padding, dilation)
    return _cut(x, w, right, conv(x, w, b, 1, padding, dilation))


def _dilation_not_used(x, w, b, stride, padding, dilation):
    right = conv(x, w, b, stride, padding, dilation)
    return _cut(x, w, right, conv(x, w, b, stride, padding, 1))


def _bias_each_channel(x, w, b, *sizes):
    return conv(x, w, b * x.shape[1], *sizes)


CONV = (
    Mistake(
        "flipped",
        "The kernel was turned around in both directions, as mathematicians do.",
        lambda x, w, b, *sizes: conv(x, w.flip(2, 3), b, *sizes),
        "Here weight (u, v) meets the pixel u rows below and v columns right of the first.",
    ),
    Mistake(
        "kernel-transposed",
        "Rows and columns of the kernel were exchanged.",
        _square,
        "The third axis of w runs along the height, the fourth along the width.",
    ),
    Mistake(
        "height-width",
        "Height and width of the result are exchanged.",
        lambda *args: conv(*args).mT,
        "The result is (B, D, rows, columns).",
    ),
    Mistake(
        "padding-forgotten",
        "The picture was not padded.",
        lambda x, w, b, stride, padding, dilation: conv(x, w, b, stride, 0, dilation),
        "F.pad(x, (p, p, p, p)) puts p zeros on all four sides.",
    ),
    Mistake(
        "padding-one-side",
        "All of the padding stands below and on the right.",
        _one_side,
        "F.pad takes left, right, top, bottom.",
    ),
    Mistake(
        "stride-forgotten",
        "The stride was left out: there are too many places.",
        lambda x, w, b, stride, padding, dilation: conv(x, w, b, 1, padding, dilation),
        "output_size says how many places there are.",
    ),
    Mistake(
        "stride-not-used",
        "There are as many places as the stride leaves, but they are read one pixel apart.",
        _stride_not_used,
        "Place i begins at row i·stride.",
    ),
    Mistake(
        "dilation-forgotten",
        "The dilation was left out: there are too many places.",
        lambda x, w, b, stride, padding, dilation: conv(x, w, b, stride, padding, 1),
        "The kernel covers dilation·(K - 1) + 1 rows.",
    ),
    Mistake(
        "dilation-not-used",
        "The places are counted with the dilation, but the kernel is laid on without gaps.",
        _dilation_not_used,
        "A slice start:stop:step leaves gaps.",
    ),
    Mistake(
        "exchanged",
        "Stride and dilation were exchanged.",
        lambda x, w, b, stride, padding, dilation: conv(x, w, b, dilation, padding, stride),
        "The stride moves the kernel, the dilation spreads it.",
    ),
    Mistake(
        "one-channel",
        "Only the first channel was used.",
        lambda x, w, b, *sizes: conv(x[:, :1], w[:, :1], b, *sizes),
        "Each output channel adds up all input channels, each with weights of its own.",
    ),
    Mistake(
        "channels-mixed",
        "The channels were added before they met their weights.",
        lambda x, w, b, *sizes: conv(x.sum(1, keepdim=True), w.mean(1, keepdim=True), b, *sizes),
        "Each channel has a kernel of its own: multiply first, then add.",
    ),
    Mistake(
        "channel-mean",
        "The channels were averaged; they are added.",
        lambda x, w, b, *sizes: conv(x, w / x.shape[1], b, *sizes),
        "The formula sums over c, u and v.",
    ),
    Mistake(
        "window-mean",
        "The products were averaged; they are added.",
        lambda x, w, b, *sizes: conv(x, w / w[0].numel(), b, *sizes),
        "The formula sums over c, u and v.",
    ),
    Mistake(
        "bias-forgotten",
        "The bias is missing.",
        lambda x, w, b, *sizes: conv(x, w, None, *sizes),
        "b has one number for each output channel, (D,): it is added at every place.",
    ),
    Mistake(
        "bias-each-channel",
        "The bias was added once for each input channel.",
        _bias_each_channel,
        "It is added once, when the sum over channels is done.",
    ),
)
