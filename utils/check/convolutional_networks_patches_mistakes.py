"""Named mistakes of the lab `convolutional-networks`: patches as columns, and their product.

Legend as in `utils.check.convolutional_networks`. Each wrong answer is wrong in one way.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from utils.check.convolutional_networks_mistakes import CONV, conv, size
from utils.check.core import Mistake


def columns(x, K, L, stride, padding, dilation) -> Tensor:
    """PyTorch's unfold in float64, (B, C * K * L, P)."""
    return F.unfold(x.double(), (K, L), dilation, padding, stride)


def _parts(x, K, L, stride, padding, dilation):
    """Columns as (B, C, K, L, rows, places)."""
    rows = size(x.shape[2], K, stride, padding, dilation)
    split = columns(x, K, L, stride, padding, dilation).unflatten(2, (rows, -1))
    return split.unflatten(1, (x.shape[1], K, L))


def _ordered(x, K, L, stride, padding, dilation, axes):
    parts = _parts(x, K, L, stride, padding, dilation)
    return parts.permute(0, *axes).flatten(4).flatten(1, 3)


def _stuck(x, K, L, stride, padding, dilation, *, step, gap):
    rows = size(x.shape[2], K, stride, padding, dilation)
    places = size(x.shape[3], L, stride, padding, dilation)
    parts = _parts(x, K, L, step, padding, gap)
    return parts[..., :rows, :places].flatten(4).flatten(1, 3)


UNFOLD = (
    Mistake(
        "axes-exchanged",
        "Patches stand as rows; they are asked for as columns.",
        lambda *args: columns(*args).mT,
        "The result is (B, C·K·L, P).",
    ),
    Mistake(
        "channel-fastest",
        "Within a column the channel changes fastest; it must change slowest.",
        lambda *args: _ordered(*args, axes=(2, 3, 1, 4, 5)),
        "The order must be that of w.flatten(1), (C, K, L).",
    ),
    Mistake(
        "kernel-columns-first",
        "Within a channel the rows of the kernel change fastest; its columns must.",
        lambda *args: _ordered(*args, axes=(1, 3, 2, 4, 5)),
        "The order must be that of w.flatten(1), (C, K, L).",
    ),
    Mistake(
        "places-by-column",
        "Places are counted down the columns of the output; count along its rows.",
        lambda *args: _ordered(*args, axes=(1, 2, 3, 5, 4)),
        "The order must be that of flatten on (rows, columns).",
    ),
    Mistake(
        "reshaped",
        "The axes stood in another order when they were flattened, so the patches are torn apart.",
        lambda *args: _parts(*args).permute(0, 1, 4, 5, 2, 3).reshape(columns(*args).shape),
        "Bring the axes into the order (B, C, K, L, rows, columns) before you flatten.",
    ),
    Mistake(
        "padding-forgotten",
        "The picture was not padded.",
        lambda x, K, L, stride, padding, dilation: columns(x, K, L, stride, 0, dilation),
        "F.pad(x, (p, p, p, p)) puts p zeros on all four sides.",
    ),
    Mistake(
        "stride-not-used",
        "There are as many places as the stride leaves, but they are read one pixel apart.",
        lambda *args: _stuck(*args, step=1, gap=args[5]),
        "Place i begins at row i·stride.",
    ),
    Mistake(
        "dilation-not-used",
        "The places are counted with the dilation, but the kernel is laid on without gaps.",
        lambda *args: _stuck(*args, step=args[3], gap=1),
        "Weight (u, v) of the kernel stands u·dilation rows below the first.",
    ),
)


def _product_turned(x, w, b, stride, padding, dilation):
    """(B, D, P) read as if places were counted down the columns."""
    right = conv(x, w, b, stride, padding, dilation)
    return right.flatten(2).unflatten(2, right.shape[:1:-1])


def _product_places(x, w, b, stride, padding, dilation):
    return conv(x, w, b, stride, padding, dilation).flatten(2)


PRODUCT = (
    Mistake(
        "not-a-picture",
        "The places are still one axis.",
        _product_places,
        "unflatten or view turns P into rows and columns.",
    ),
    Mistake(
        "height-width",
        "The places were cut into columns first; rows come first.",
        _product_turned,
        "The result is (B, D, rows, columns).",
    ),
    *(m for m in CONV if m.slug in ("flipped", "kernel-transposed", "bias-forgotten")),
    Mistake(
        "weights-by-position",
        "The weights were flattened in another order than the columns.",
        lambda x, w, b, *sizes: conv(x, w.permute(0, 2, 3, 1).reshape(w.shape), b, *sizes),
        "w.flatten(1) has the channel slowest, as the columns have.",
    ),
)
