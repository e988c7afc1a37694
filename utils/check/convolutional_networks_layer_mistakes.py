"""Named mistakes of the lab `convolutional-networks`: pooling, a block, its bill.

Legend as in `utils.check.convolutional_networks`. Each wrong answer is wrong in one way.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from utils.check.convolutional_networks_mistakes import conv, size
from utils.check.core import Mistake


# --- pooling ----------------------------------------------------------------------------------
def _pool(x, K, stride, padding) -> Tensor:
    return F.max_pool2d(x.double(), K, stride, padding)


def _zeros(x, K, stride, padding):
    return _pool(F.pad(x, (padding,) * 4), K, stride, 0)


def _stride_not_used(x, K, stride, padding):
    rows, places = _pool(x, K, stride, padding).shape[2:]
    return _pool(x, K, 1, padding)[:, :, :rows, :places]


POOL = (
    Mistake(
        "zeros-win",
        "The padding is zero and wins where all pixels are below zero.",
        _zeros,
        "Pad with minus infinity: -math.inf is smaller than every number.",
    ),
    Mistake(
        "mean",
        "Windows were averaged; their largest number is asked for.",
        lambda x, K, stride, padding: F.avg_pool2d(x.double(), K, stride, padding),
        "amax over the last two axes of a window.",
    ),
    Mistake(
        "smallest",
        "The smallest number of each window came back.",
        lambda x, K, stride, padding: -_pool(-x, K, stride, padding),
        "amax, not amin.",
    ),
    Mistake(
        "stride-is-kernel",
        "The windows stand side by side, whatever the stride.",
        lambda x, K, stride, padding: _pool(x, K, K, padding),
        "Window i begins at row i·stride.",
    ),
    Mistake(
        "stride-forgotten",
        "The stride was left out: there are too many windows.",
        lambda x, K, stride, padding: _pool(x, K, 1, padding),
        "output_size says how many windows there are.",
    ),
    Mistake(
        "stride-not-used",
        "There are as many windows as the stride leaves, but they are one pixel apart.",
        _stride_not_used,
        "Window i begins at row i·stride.",
    ),
    Mistake(
        "padding-forgotten",
        "The picture was not padded.",
        lambda x, K, stride, padding: _pool(x, K, stride, 0),
        "F.pad(x, (p, p, p, p), value=…).",
    ),
    Mistake(
        "channels-together",
        "The largest number over all channels came back for each of them.",
        lambda *args: _pool(*args).amax(1, keepdim=True).expand_as(_pool(*args)),
        "Each channel is pooled by itself: reduce the last two axes alone.",
    ),
    Mistake(
        "channels-lost",
        "The channels were reduced as well; each is pooled by itself.",
        lambda *args: _pool(*args).amax(1),
        "Reduce the last two axes alone.",
    ),
    Mistake(
        "height-width",
        "Height and width of the result are exchanged.",
        lambda *args: _pool(*args).mT,
        "The result is (B, C, rows, columns).",
    ),
)


# --- the residual block -----------------------------------------------------------------------
def _paths(x, w1, w2, stride, w_skip, first=None, second=1, inner=torch.relu):
    """What comes through the two convolutions, and what comes past them."""
    h = inner(conv(x, w1, None, stride if first is None else first, 1, 1))
    skip = x.double() if w_skip is None else conv(x, w_skip, None, stride, 0, 1)
    return conv(h, w2, None, second, 1, 1), skip


def block(x, w1, w2, stride, w_skip) -> Tensor:
    """He et al. 2016, "Deep residual learning", figure 2, without normalization."""
    body, skip = _paths(x, w1, w2, stride, w_skip)
    return torch.relu(body + skip)


def _joined(join, **paths):
    def wrong(x, w1, w2, stride, w_skip):
        body, skip = _paths(x, w1, w2, stride, w_skip, **paths)
        if body.shape != skip.shape:
            raise ValueError("no other shape")
        return join(body, skip)

    return wrong


def _stride_second(x, w1, w2, stride, w_skip):
    return torch.relu(sum(_paths(x, w1, w2, stride, w_skip, first=1, second=stride)))


BROADCAST = Mistake(
    "broadcast",
    "Without w_skip, x was added to something of another shape, or the wrong error came.",
    None,
    "Compare x.shape with the shape of what it is added to, and raise a ValueError.",
)
BLOCK = (
    Mistake(
        "no-last-relu",
        "The ReLU after the sum is missing.",
        _joined(lambda body, skip: body + skip),
        "Add the two paths, then the ReLU.",
    ),
    Mistake(
        "relu-before-sum",
        "The last ReLU stands before the sum; it belongs after it.",
        _joined(lambda body, skip: torch.relu(body) + skip),
        "Add the two paths, then the ReLU.",
    ),
    Mistake(
        "relu-twice",
        "What comes through the convolutions met a ReLU before it was added, and another after.",
        _joined(lambda body, skip: torch.relu(torch.relu(body) + skip)),
        "Between the second convolution and the sum there is none.",
    ),
    Mistake(
        "relu-on-skip",
        "The path that goes past the convolutions met a ReLU.",
        _joined(lambda body, skip: torch.relu(body + torch.relu(skip))),
        "The shortcut carries x, or its projection, as it is.",
    ),
    Mistake(
        "no-inner-relu",
        "There is no ReLU between the two convolutions: together they are one linear map.",
        _joined(lambda body, skip: torch.relu(body + skip), inner=lambda h: h),
        "relu(conv2d(x, w1, …)) goes into the second convolution.",
    ),
    Mistake(
        "no-shortcut",
        "The shortcut is missing.",
        lambda *args: torch.relu(_paths(*args)[0]),
        "x, or its projection by w_skip, is added to what comes through the convolutions.",
    ),
    Mistake(
        "projection-alone",
        "Only the shortcut came back.",
        lambda *args: torch.relu(_paths(*args)[1]),
        "It is added to what comes through the convolutions.",
    ),
    Mistake(
        "stride-in-second",
        "The second convolution took the stride; the first does.",
        _stride_second,
        "conv2d(x, w1, …) takes the stride, conv2d(h, w2, …) takes 1.",
    ),
    Mistake(
        "multiplied",
        "The two paths were multiplied; they are added.",
        _joined(lambda body, skip: torch.relu(body * skip)),
        "A sum hands the gradient on to both as it is.",
    ),
)


# --- the bill ---------------------------------------------------------------------------------
def bill(
    layers,
    channels,
    height,
    width,
    *,
    bias=1,
    per=2,
    at="out",
    add=1,
    own=False,
    follow=True,
    pool=True,
) -> tuple[int, int, int]:
    """Parameters, FLOPs and receptive field; the keywords make one of the three wrong."""
    parameters, flops, field, jump = 0, 0, 1, 1
    for kind, out, K, stride, padding in layers:
        places = height * width
        height, width = (size(n, K, stride, padding, 1) for n in (height, width))
        places = height * width if at == "out" else places
        if kind == "conv":
            parameters += out * (channels * K * K + bias)
            flops += per * out * channels * K * K * places
            channels = out if follow else channels
        jump *= stride if own else 1
        field += (K - add) * jump if kind == "conv" or pool else 0
        jump *= 1 if own or (kind == "pool" and not pool) else stride
    return parameters, flops, field


def _flat_field(layers, *rest):
    """The field as if all strides were 1."""
    parameters, flops, _ = bill(layers, *rest)
    return parameters, flops, 1 + sum(K - 1 for _, _, K, _, _ in layers)


def _billed(**changed):
    return lambda *args: bill(*args, **changed)


COST = (
    Mistake(
        "no-bias",
        "The biases were not counted.",
        _billed(bias=0),
        "Each output channel has one.",
    ),
    Mistake(
        "one-bias",
        "One bias was counted for each input channel of each kernel.",
        lambda layers, channels, *size: (
            bill(layers, channels, *size, bias=0)[0] + _pairs(layers, channels),
            *bill(layers, channels, *size)[1:],
        ),
        "Each output channel has one.",
    ),
    Mistake(
        "multiplications-alone",
        "A multiplication and an addition were counted as one operation.",
        _billed(per=1),
        "They are two.",
    ),
    Mistake(
        "input-places",
        "The operations were counted for the places of the input, not of the output.",
        _billed(at="in"),
        "Go to the new height and width first.",
    ),
    Mistake(
        "kernel-not-less-one",
        "Each layer added K to the field; it adds K - 1 steps.",
        _billed(add=0),
        "A kernel of 1 sees no more than what is before it.",
    ),
    Mistake(
        "own-stride",
        "A layer's own stride was counted in its own step.",
        _billed(own=True),
        "Its stride moves its outputs apart; its inputs are as far apart as before.",
    ),
    Mistake(
        "strides-ignored",
        "The strides were left out of the field.",
        _flat_field,
        "After a stride of 2 a step is two pixels long.",
    ),
    Mistake(
        "channels-not-followed",
        "All layers were counted with the channels of the picture.",
        _billed(follow=False),
        "What one layer gives, the next one takes.",
    ),
    Mistake(
        "pooling-skipped",
        "Pooling was left out of the field.",
        _billed(pool=False),
        "Its windows and its stride widen the field as a convolution's do.",
    ),
)


def _pairs(layers, channels) -> int:
    total = 0
    for kind, out, *_ in layers:
        if kind == "conv":
            total, channels = total + out * channels, out
    return total
