"""The lab `convolutional-networks`: right answers in any style pass, wrong ones are told apart."""

import math

import pytest
import torch
import torch.nn.functional as F
from lab_support import (
    assert_five_wrong_answers,
    assert_lab_scores,
    assert_styles_pass,
    refusals,
    solved,
)

from utils.check.core import lab

NAME = "convolutional-networks"
LAB = lab(NAME)
RIGHT = solved(NAME)  # the namespace of the solutions
places = RIGHT["output_size"]
conv2d, unfold, product = (RIGHT[name] for name in ("conv2d", "unfold", "conv2d_product"))
block, vjp = RIGHT["residual_block"], RIGHT["conv2d_vjp"]


# --- other styles ---------------------------------------------------------------------------
def size_by_counting(size, kernel, stride, padding, dilation):
    last = [u * dilation for u in range(kernel)][-1]
    starts = range(0, size + 2 * padding - last, stride)
    if not starts:
        raise ValueError("too long")
    return len(starts)


def conv_six_loops(x, w, b, stride, padding, dilation):
    """Every sum by hand; the picture is not padded, indices outside are skipped."""
    (B, _, H, W), (D, _, K, L) = x.shape, w.shape
    rows, columns = places(H, K, stride, padding, dilation), places(W, L, stride, padding, dilation)
    y = torch.zeros(B, D, rows, columns, dtype=torch.float64) + b[:, None, None]
    for i in range(rows):
        for j in range(columns):
            for u in range(K):
                for v in range(L):
                    r = i * stride + u * dilation - padding
                    c = j * stride + v * dilation - padding
                    if 0 <= r < H and 0 <= c < W:
                        y[:, :, i, j] += x[:, :, r, c].double() @ w[:, :, u, v].double().T
    return y


def conv_by_shifts(x, w, b, stride, padding, dilation):
    K, L = w.shape[2:]
    columns = unfold(x, K, L, stride, padding, dilation)
    y = torch.einsum("bnp,dn->bdp", columns, w.flatten(1))
    rows = places(x.shape[2], K, stride, padding, dilation)
    return y.reshape(len(x), len(w), rows, -1) + b[None, :, None, None]


def unfold_by_windows(x, K, L, stride, padding, dilation):
    x = F.pad(x, (padding,) * 4)
    windows = x.unfold(2, dilation * (K - 1) + 1, stride).unfold(3, dilation * (L - 1) + 1, stride)
    windows = windows[..., ::dilation, ::dilation]
    return windows.permute(0, 1, 4, 5, 2, 3).flatten(4).flatten(1, 3)


def pool_by_shifts(x, kernel, stride, padding):
    sides = [places(n, kernel, stride, padding, 1) for n in x.shape[2:]]
    x = F.pad(x, (padding,) * 4, value=-math.inf)
    best = None
    for u in range(kernel):
        for v in range(kernel):
            part = x[:, :, u::stride, v::stride][:, :, : sides[0], : sides[1]]
            best = part if best is None else torch.maximum(best, part)
    return best


def block_by_loops(x, w1, w2, stride, w_skip):
    b = torch.zeros(len(w1))
    h = conv2d(conv2d(x, w1, b, stride, 1, 1).clamp(min=0), w2, b, 1, 1, 1)
    skip = x if w_skip is None else torch.einsum(
        "bchw,dc->bdhw", x[:, :, ::stride, ::stride], w_skip[:, :, 0, 0]
    )  # fmt: skip
    if h.shape != skip.shape:
        raise ValueError("shapes differ")
    return (h + skip).clamp(min=0)


def cost_backwards(layers, channels, height, width):
    """The field from the last layer to the first: what a patch of the output needs."""
    parameters = flops = 0
    for kind, out, K, stride, padding in layers:
        height, width = (places(n, K, stride, padding, 1) for n in (height, width))
        if kind == "conv":
            parameters += out * (channels * K * K + 1)
            flops += 2 * out * channels * K * K * height * width
            channels = out
    field = 1
    for _, _, K, stride, _ in reversed(layers):
        field = (field - 1) * stride + K
    return parameters, flops, field


def vjp_by_columns(x, w, stride, padding, ybar):
    K, L = w.shape[2:]
    ybar_BDP = ybar.flatten(2)
    wbar = torch.einsum("bdp,bnp->dn", ybar_BDP, unfold(x, K, L, stride, padding, 1))
    columns = torch.einsum("bdp,dn->bnp", ybar_BDP, w.flatten(1))
    columns = columns.unflatten(1, (-1, K, L)).unflatten(4, ybar.shape[2:])
    xbar = torch.zeros_like(F.pad(x, (padding,) * 4))
    for u in range(K):
        for v in range(L):
            part = xbar[:, :, u::stride, v::stride]
            part[:, :, : ybar.shape[2], : ybar.shape[3]] += columns[:, :, u, v]
    inside = xbar[:, :, padding : padding + x.shape[2], padding : padding + x.shape[3]]
    return [inside, wbar.view(w.shape), ybar_BDP.sum((0, 2))]


OTHER_STYLES = {
    "output_size": [{"output_size": size_by_counting}],
    "conv2d": [{"conv2d": conv_six_loops}, {"conv2d": conv_by_shifts}],
    "unfold": [{"unfold": unfold_by_windows}, {"conv2d_product": conv_six_loops}],
    "max_pool": [{"max_pool": pool_by_shifts}],
    "residual_block": [{"residual_block": block_by_loops}],
    "cost": [{"cost": cost_backwards}],
    "conv2d_vjp": [{"conv2d_vjp": vjp_by_columns}],
}


@pytest.mark.parametrize("task", LAB.ids())
@pytest.mark.parametrize("seed", range(4))
def test_right_answers_pass(task, seed):
    assert_styles_pass(NAME, RIGHT, OTHER_STYLES[task], task, seed)


# --- wrong answers --------------------------------------------------------------------------
def conv(x, w, b, stride, padding, dilation, *, step=None, gap=None, cut=True):
    """A convolution whose places are as they should be, read in other steps or gaps."""
    K, L = w.shape[2:]
    sides = [
        places(n, k, stride, padding, dilation) for n, k in zip(x.shape[2:], (K, L), strict=True)
    ]
    y = product(x, w, b, step or stride, padding, gap or dilation)
    return y[:, :, : sides[0], : sides[1]] if cut else y


def square(f, fallback):
    """A mistake that only has the right shape where kernels are square; elsewhere the fallback."""
    return lambda x, w, *a: f(x, w, *a) if w.shape[2] == w.shape[3] else fallback(x, w, *a)


def padded_below(x, w, b, stride, padding, dilation):
    return product(F.pad(x, (0, 2 * padding, 0, 2 * padding)), w, b, stride, 0, dilation)


def in_place(x, w, b, *sizes):
    b += 1
    return product(x, w, b - 1, *sizes)


def columns(x, K, L, stride, padding, dilation, *, step=None, gap=None, order=None):
    """Columns with other steps, gaps or axes (channel, row and column of kernel, row, column)."""
    sides = [
        places(n, k, stride, padding, dilation) for n, k in zip(x.shape[2:], (K, L), strict=True)
    ]
    rows = places(x.shape[2], K, step or stride, padding, gap or dilation)
    parts = unfold(x, K, L, step or stride, padding, gap or dilation)
    parts = parts.unflatten(2, (rows, -1)).unflatten(1, (x.shape[1], K, L))
    parts = parts[..., : sides[0], : sides[1]]
    return parts.permute(0, *(order or (1, 2, 3, 4, 5))).flatten(4).flatten(1, 3)


def torn(x, K, L, *sizes):
    right = unfold(x, K, L, *sizes)
    rows = places(x.shape[2], K, *sizes)
    parts = right.unflatten(2, (rows, -1)).unflatten(1, (x.shape[1], K, L))
    return parts.permute(0, 1, 4, 5, 2, 3).reshape(right.shape)


def pool(x, K, stride, padding, *, fill=-math.inf, reduce=torch.amax, step=None, cut=True):
    sides = [places(n, K, stride, padding, 1) for n in x.shape[2:]]
    step = step or stride
    x = F.pad(x, (padding,) * 4, value=fill)
    windows = reduce(x.unfold(2, K, step).unfold(3, K, step), (4, 5))
    return windows[:, :, : sides[0], : sides[1]] if cut else windows


def res(x, w1, w2, stride, skip, *, inner=torch.relu, join=None, first=None, second=1):
    b = torch.zeros(len(w1))
    body = product(inner(product(x, w1, b, first or stride, 1, 1)), w2, b, second, 1, 1)
    past = x if skip is None else product(x, skip, b, stride, 0, 1)
    if body.shape != past.shape:
        raise ValueError("shapes differ")
    return (join or (lambda h, s: torch.relu(h + s)))(body, past)


def hidden_broadcast(x, w1, w2, stride, skip):
    b = torch.zeros(len(w1))
    h = product(torch.relu(product(x, w1, b, stride, 1, 1)), w2, b, 1, 1, 1)
    return torch.relu(h + (x if skip is None else product(x, skip, b, stride, 0, 1)))


def bill(layers, C, H, W, *, bias=1, each=2, less=1, start=1, out=True, follow=True, pools=True):
    n, flops, field, jump = 0, 0, 1, start
    for kind, D, K, s, p in layers:
        before = H * W
        H, W = places(H, K, s, p, 1), places(W, K, s, p, 1)
        if kind == "conv":
            n += D * (C * K * K + bias)
            flops += each * D * C * K * K * (H * W if out else before)
            C = D if follow else C
        if kind == "conv" or pools:
            field, jump = field + (K - less) * jump, jump * s
    return n, flops, field


def own_stride(layers, *rest):
    field, jump = 1, 1
    for _, _, K, s, _ in layers:
        jump *= s
        field += (K - 1) * jump
    return (*bill(layers, *rest)[:2], field)


def many_biases(layers, C, H, W):
    n, flops, field = bill(layers, C, H, W, bias=0)
    for kind, D, *_ in layers:
        if kind == "conv":
            n, C = n + D * C, D
    return n, flops, field


def back(x, w, stride, padding, ybar, *, kernel=None, step=None, add=True, cut=True, at=None):
    """The gradient of the picture alone, collected in another way."""
    xbar, w = torch.zeros_like(F.pad(x, (padding,) * 4)), w if kernel is None else kernel(w)
    (K, L), step = w.shape[2:], step or stride
    for i in range(ybar.shape[2]):
        for j in range(ybar.shape[3]):
            patch = xbar[:, :, i * step : i * step + K, j * step : j * step + L]
            new = torch.einsum("bd,dckl->bckl", ybar[:, :, i, j], w)
            patch.copy_(patch + new if add else new)
    at = padding if at is None else at
    return xbar[:, :, at : at + x.shape[2], at : at + x.shape[3]] if cut else xbar


def with_x(**how):
    return lambda *a: (back(*a, **how), *vjp(*a)[1:])


def with_w(change):
    return lambda *a: (vjp(*a)[0], change(vjp(*a)[1], *a), vjp(*a)[2])


def exchanged(x, w, *rest):
    if w.shape[0] != w.shape[1]:
        return vjp(x, w, *rest)
    return back(x, w, *rest, kernel=lambda w: w.transpose(0, 1)), *vjp(x, w, *rest)[1:]


WRONG = {
    "output_size": {
        "no-plus-one": lambda n, k, s, p, d: (n + 2 * p - d * (k - 1) - 1) // s,
        "padding-once": lambda n, k, s, p, d: (n + p - d * (k - 1) - 1) // s + 1,
        "dilation-ignored": lambda n, k, s, p, d: (n + 2 * p - k) // s + 1,
        "dilation-times-kernel": lambda n, k, s, p, d: (n + 2 * p - d * k) // s + 1,
        "stride-after": lambda n, k, s, p, d: (n + 2 * p - d * (k - 1)) // s,
        "rounded-up": lambda n, k, s, p, d: -(-(n + 2 * p - d * (k - 1) - 1) // s) + 1,
        "not-rounded": lambda n, k, s, p, d: (n + 2 * p - d * (k - 1) - 1) / s + 1,
        "stride-ignored": lambda n, k, s, p, d: n + 2 * p - d * (k - 1),
        "too-long": lambda n, k, s, p, d: (n + 2 * p - d * (k - 1) - 1) // s + 1,
    },
    "conv2d": {
        "flipped": lambda x, w, *a: product(x, w.flip(2, 3), *a),
        "kernel-transposed": square(lambda x, w, *a: product(x, w.mT, *a), product),
        "height-width": lambda *a: product(*a).mT,
        "padding-forgotten": lambda x, w, b, s, p, d: product(x, w, b, s, 0, d),
        "padding-one-side": padded_below,
        "stride-forgotten": lambda *a: conv(*a, step=1, cut=False),
        "stride-not-used": lambda *a: conv(*a, step=1),
        "dilation-forgotten": lambda *a: conv(*a, gap=1, cut=False),
        "dilation-not-used": lambda *a: conv(*a, gap=1),
        "exchanged": lambda x, w, b, s, p, d: product(x, w, b, d, p, s),
        "one-channel": lambda x, w, *a: product(x[:, :1], w[:, :1], *a),
        "channels-mixed": lambda x, w, *a: product(x.sum(1, True), w.mean(1, True), *a),
        "channel-mean": lambda x, w, *a: product(x / x.shape[1], w, *a),
        "window-mean": lambda x, w, *a: product(x / w[0].numel(), w, *a),
        "bias-forgotten": lambda x, w, b, *a: product(x, w, 0 * b, *a),
        "bias-each-channel": lambda x, w, b, *a: product(x, w, b * x.shape[1], *a),
        "changed-input": in_place,
        "forbidden": F.conv2d,
    },
    "unfold": {
        "axes-exchanged": lambda *a: unfold(*a).mT,
        "channel-fastest": lambda *a: columns(*a, order=(2, 3, 1, 4, 5)),
        "kernel-columns-first": lambda *a: columns(*a, order=(1, 3, 2, 4, 5)),
        "places-by-column": lambda *a: columns(*a, order=(1, 2, 3, 5, 4)),
        "reshaped": torn,
        "padding-forgotten": lambda x, K, L, s, p, d: unfold(x, K, L, s, 0, d),
        "stride-not-used": lambda *a: columns(*a, step=1),
        "dilation-not-used": lambda *a: columns(*a, gap=1),
        "forbidden": lambda x, K, L, s, p, d: F.unfold(x, (K, L), d, p, s),
    },
    "max_pool": {
        "zeros-win": lambda *a: pool(*a, fill=0.0),
        "mean": lambda *a: pool(*a, fill=0.0, reduce=torch.mean),
        "smallest": lambda *a: pool(*a, fill=math.inf, reduce=torch.amin),
        "stride-is-kernel": lambda x, K, s, p: pool(x, K, K, p),
        "stride-forgotten": lambda *a: pool(*a, step=1, cut=False),
        "stride-not-used": lambda *a: pool(*a, step=1),
        "padding-forgotten": lambda x, K, s, p: pool(x, K, s, 0),
        "channels-together": lambda *a: pool(*a).amax(1, True).expand_as(pool(*a)),
        "channels-lost": lambda *a: pool(*a).amax(1),
        "height-width": lambda *a: pool(*a).mT,
        "forbidden": F.max_pool2d,
    },
    "residual_block": {
        "no-last-relu": lambda *a: res(*a, join=torch.add),
        "relu-before-sum": lambda *a: res(*a, join=lambda h, s: h.relu() + s),
        "relu-twice": lambda *a: res(*a, join=lambda h, s: (h.relu() + s).relu()),
        "relu-on-skip": lambda *a: res(*a, join=lambda h, s: (h + s.relu()).relu()),
        "no-inner-relu": lambda *a: res(*a, inner=lambda h: h),
        "no-shortcut": lambda *a: res(*a, join=lambda h, s: h.relu()),
        "projection-alone": lambda *a: res(*a, join=lambda h, s: s.relu()),
        "stride-in-second": lambda x, w1, w2, s, k: res(x, w1, w2, s, k, first=1, second=s),
        "multiplied": lambda *a: res(*a, join=lambda h, s: (h * s).relu()),
        "broadcast": hidden_broadcast,
    },
    "cost": {
        "no-bias": lambda *a: bill(*a, bias=0),
        "one-bias": many_biases,
        "multiplications-alone": lambda *a: bill(*a, each=1),
        "input-places": lambda *a: bill(*a, out=False),
        "kernel-not-less-one": lambda *a: bill(*a, less=0),
        "own-stride": own_stride,
        "strides-ignored": lambda layers, *a: (
            *bill(layers, *a)[:2],
            1 + sum(layer[2] - 1 for layer in layers),
        ),
        "channels-not-followed": lambda *a: bill(*a, follow=False),
        "pooling-skipped": lambda *a: bill(*a, pools=False),
    },
    "conv2d_vjp": {
        "kernel-turned": with_x(kernel=lambda w: w.flip(2, 3)),
        "channels-exchanged": exchanged,
        "overwritten": with_x(add=False),
        "stride-not-used": with_x(step=1),
        "padding-kept": with_x(cut=False),
        "padding-cut-at-the-end": with_x(at=0),
        "w-mean": with_w(lambda v, x, *a: v / len(x)),
        "w-place-mean": with_w(lambda v, x, w, s, p, y: v / y[0, 0].numel()),
        "w-turned": with_w(lambda v, *a: v.flip(2, 3)),
        "w-channels-exchanged": with_w(lambda v, *a: v.transpose(0, 1)),
        "b-mean": lambda *a: (*vjp(*a)[:2], a[4].mean((0, 2, 3))),
        "b-each-image": lambda *a: (*vjp(*a)[:2], a[4].sum((2, 3))),
    },
}
PRODUCT = {
    "not-a-picture": lambda *a: product(*a).flatten(2),
    "height-width": lambda *a: (y := product(*a)).flatten(2).unflatten(2, y.shape[:1:-1]),
    "flipped": lambda x, w, *a: product(x, w.flip(2, 3), *a),
    "bias-forgotten": lambda x, w, b, *a: product(x, w, 0 * b, *a),
    "weights-by-position": lambda x, w, *a: product(x, w.permute(0, 2, 3, 1).reshape(w.shape), *a),
}


def cases():
    for task, wrong in WRONG.items():
        name = LAB[task].functions[0]
        yield task, {slug: {name: function} for slug, function in wrong.items()}
    yield "unfold", {slug: {"conv2d_product": function} for slug, function in PRODUCT.items()}


CASES = list(cases())


@pytest.mark.parametrize(("task", "wrong"), CASES, ids=[f"{t}-{len(w)}" for t, w in CASES])
def test_wrong_answers_are_named(task, wrong):
    found = refusals(NAME, RIGHT, task, wrong)
    assert found == {slug: slug for slug in wrong}


def test_every_check_tells_five_wrong_answers_apart():
    assert_five_wrong_answers(NAME, CASES)


def test_scores():
    assert_lab_scores(NAME, full=24)
