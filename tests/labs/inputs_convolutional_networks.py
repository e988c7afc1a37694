"""Inputs for the mutation run of the lab `convolutional-networks`, drawn without its check.

Each function takes a NumPy generator and gives ("call", name, arguments).
"""

import torch


def normal(rng, *shape):
    return torch.from_numpy(rng.standard_normal(shape))


def size(rng, low=1, high=4):
    return int(rng.integers(low, high + 1))


def output_size(rng):
    args = size(rng, 1, 12), size(rng, 1, 5), size(rng), size(rng, 0, 3), size(rng, 1, 3)
    return "call", "output_size", args


def layer(rng):
    """Picture, kernels and bias, small, and sizes that fit: the picture is never too short."""
    stride, padding, dilation = size(rng, 1, 3), size(rng, 0, 2), size(rng, 1, 3)
    K, L, (B, C, D) = size(rng, 1, 3), size(rng, 1, 3), (size(rng, 1, 3) for _ in range(3))
    least = [max(dilation * (n - 1) + 1 - 2 * padding, 1) for n in (K, L)]
    H, W = (n + size(rng, 0, 3) for n in least)
    return (
        normal(rng, B, C, H, W),
        normal(rng, D, C, K, L),
        normal(rng, D),
        stride,
        padding,
        dilation,
    )


def conv2d(rng):
    return "call", "conv2d", layer(rng)


def unfold(rng):
    x, w, b, *sizes = layer(rng)
    if rng.random() < 0.5:
        return "call", "unfold", (x, *w.shape[2:], *sizes)
    return "call", "conv2d_product", (x, w, b, *sizes)


def max_pool(rng):
    K, stride = size(rng), size(rng, 1, 3)
    padding = size(rng, 0, K // 2)
    H, W = (K + size(rng, 0, 3) for _ in range(2))
    return "call", "max_pool", (normal(rng, size(rng), size(rng), H, W), K, stride, padding)


def residual_block(rng):
    B, C, stride = size(rng, 1, 3), size(rng, 1, 3), size(rng, 1, 2)
    projected = rng.random() < 0.5
    D = size(rng, 1, 3) if projected or rng.random() < 0.5 else C
    x, w1, w2 = (
        normal(rng, B, C, size(rng), size(rng)),
        normal(rng, D, C, 3, 3),
        normal(rng, D, D, 3, 3),
    )
    w_skip = normal(rng, D, C, 1, 1) if projected else None
    return "call", "residual_block", (x, w1, w2, stride, w_skip)


def cost(rng):
    layers = []
    for _ in range(size(rng, 0, 4)):
        kind = "conv" if rng.random() < 0.7 else "pool"
        out = size(rng, 1, 6) if kind == "conv" else None
        layers.append((kind, out, size(rng), size(rng, 1, 2), size(rng, 0, 2)))
    return "call", "cost", (layers, size(rng), size(rng, 40, 60), size(rng, 40, 60))


def conv2d_vjp(rng):
    x, w, _, stride, padding, _ = layer(rng)
    while min(n + 2 * padding - k for n, k in zip(x.shape[2:], w.shape[2:], strict=True)) < 0:
        x, w, _, stride, padding, _ = layer(rng)
    places = [
        (n + 2 * padding - k) // stride + 1 for n, k in zip(x.shape[2:], w.shape[2:], strict=True)
    ]
    return "call", "conv2d_vjp", (x, w, stride, padding, normal(rng, len(x), len(w), *places))


INPUTS = {
    task.__name__: task
    for task in (output_size, conv2d, unfold, max_pool, residual_block, cost, conv2d_vjp)
}
