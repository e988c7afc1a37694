"""Named mistakes of the lab `convolutional-networks`: the gradient of a convolution.

Legend as in `utils.check.convolutional_networks`. Each wrong answer is wrong in one way.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from utils.check.core import Mistake


def backward(x, w, stride, padding, ybar) -> tuple[Tensor, Tensor, Tensor]:
    """PyTorch's gradients in float64: of x, of w, of the bias."""
    x, w = x.detach().double().requires_grad_(), w.detach().double().requires_grad_()
    y = F.conv2d(x, w, None, stride, padding)
    xbar, wbar = torch.autograd.grad(y, (x, w), ybar.double())
    return xbar, wbar, ybar.double().sum((0, 2, 3))


def _changed(place, change):
    """The right three with one of them changed: change(right, x, w, stride, padding, ybar)."""

    def wrong(*args):
        right = list(backward(*args))
        right[place] = change(right[place], *args)
        return tuple(right)

    return wrong


def _other_kernel(turn):
    def change(xbar, x, w, stride, padding, ybar):
        if turn(w).shape != w.shape:
            raise ValueError("no other shape")
        return backward(x, turn(w), stride, padding, ybar)[0]

    return change


def _scattered(x, w, stride, padding, ybar, *, step, add):
    """The gradient of the padded picture, place by place, and the padding cut off."""
    xbar = torch.zeros_like(F.pad(x, (padding,) * 4), dtype=torch.float64)
    K, L = w.shape[2:]
    for i in range(ybar.shape[2]):
        for j in range(ybar.shape[3]):
            rows, places = slice(i * step, i * step + K), slice(j * step, j * step + L)
            patch = torch.einsum("bd,dckl->bckl", ybar[:, :, i, j].double(), w.double())
            xbar[:, :, rows, places] = patch + (xbar[:, :, rows, places] if add else 0)
    return xbar[:, :, padding : padding + x.shape[2], padding : padding + x.shape[3]]


def _padded(xbar, x, w, stride, padding, ybar):
    return backward(F.pad(x, (padding,) * 4), w, stride, 0, ybar)[0]


def _cut_at_the_end(xbar, x, *rest):
    return _padded(xbar, x, *rest)[:, :, : x.shape[2], : x.shape[3]]


GRADIENT = (
    Mistake(
        "kernel-turned",
        "In xbar the kernel stands the wrong way around.",
        _changed(0, _other_kernel(lambda w: w.flip(2, 3))),
        "Pixel (i·stride + u, j·stride + v) was multiplied by weight (u, v), and gets that one.",
    ),
    Mistake(
        "channels-exchanged",
        "In xbar input and output channels of the kernel are exchanged.",
        _changed(0, _other_kernel(lambda w: w.transpose(0, 1))),
        "ybar has the axis D; it is summed away, and C stays.",
    ),
    Mistake(
        "overwritten",
        "In xbar a pixel kept what its last patch handed back; patches overlap and must add up.",
        _changed(0, lambda right, *args: _scattered(*args, step=args[2], add=False)),
        "+=, not =.",
    ),
    Mistake(
        "stride-not-used",
        "xbar was collected as if the stride were 1.",
        _changed(0, lambda right, *args: _scattered(*args, step=1, add=True)),
        "Place (i, j) hands back to the patch that begins at (i·stride, j·stride).",
    ),
    Mistake(
        "padding-kept",
        "xbar still has its padding.",
        _changed(0, _padded),
        "xbar has the shape of x: cut the padding off.",
    ),
    Mistake(
        "padding-cut-at-the-end",
        "The padding was cut off at the lower and right end alone.",
        _changed(0, _cut_at_the_end),
        "xbar begins at row and column number padding of the padded gradient.",
    ),
    Mistake(
        "w-mean",
        "wbar was divided by the number of images.",
        _changed(1, lambda right, *args: right / len(args[0])),
        "A mean over the batch belongs to the loss; here ybar already holds it.",
    ),
    Mistake(
        "w-place-mean",
        "wbar was divided by the number of places.",
        _changed(1, lambda right, *args: right / args[4][0, 0].numel()),
        "All uses of a weight add up.",
    ),
    Mistake(
        "w-turned",
        "wbar is turned around in both directions.",
        _changed(1, lambda right, *args: right.flip(2, 3)),
        "Weight (u, v) met the pixels u rows below and v columns right of each place.",
    ),
    Mistake(
        "w-channels-exchanged",
        "wbar has the axes of input and output channels exchanged.",
        _changed(1, lambda right, *args: right.transpose(0, 1)),
        "It has the shape of w.",
    ),
    Mistake(
        "b-mean",
        "The bias got the mean over the places, not the sum.",
        _changed(2, lambda right, *args: args[4].double().mean((0, 2, 3))),
        "Each of its uses, at all places and for all images, adds something.",
    ),
    Mistake(
        "b-each-image",
        "The bias got a value for each image; it is one vector for all of them.",
        _changed(2, lambda right, *args: args[4].double().sum((2, 3))),
        "Its shape is (D,).",
    ),
)
