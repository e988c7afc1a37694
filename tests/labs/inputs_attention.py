"""Inputs for the mutation run of the lab `attention`, drawn without its check.

Each function takes a NumPy generator and gives ("call" or "probe", name, arguments).
"""

import math

import numpy as np
import torch


def normal(rng, *shape, scale=1.0):
    dtype = torch.float64 if rng.random() < 0.2 else torch.float32
    return torch.from_numpy(scale * rng.standard_normal(shape)).to(dtype)


def size(rng, low=1, high=7):
    return int(rng.integers(low, high + 1))


def softmax(rng):
    shape = [size(rng) for _ in range(size(rng, 1, 4))]
    scores = normal(rng, *shape, scale=10.0 ** rng.integers(-1, 4))
    if rng.random() < 0.5:
        scores = scores + float(rng.choice([-500.0, 500.0]))
    if shape[-1] > 1 and rng.random() < 0.3:
        scores[..., 0] = -math.inf
    return "call", "softmax", (scores,)


def qkv(rng, T=None, S=None):
    lead = [size(rng, 1, 3) for _ in range(size(rng, 0, 2))]
    T, S, D, E = T or size(rng), S or size(rng), size(rng), size(rng)
    scale = 10.0 ** rng.integers(-1, 3)
    q, k = normal(rng, *lead, T, D, scale=scale).float(), normal(rng, *lead, S, D).float()
    return q, k, normal(rng, *lead, S, E).float()


def attention(rng):
    return "call", "attention", qkv(rng)


def causal_mask(rng):
    T = size(rng, 1, 12)
    return "call", "causal_mask", (T, T + size(rng, 0, 12))


def masked_attention(rng):
    q, k, v = qkv(rng)
    mask = rng.random((q.shape[-2], k.shape[-2])) < rng.choice([0.0, 0.2, 0.7, 1.0])
    return "call", "masked_attention", (q, k, v, torch.from_numpy(mask))


def heads(rng):
    B, T, H, width = (size(rng, 1, 5) for _ in range(4))
    if rng.random() < 0.5:
        return "call", "merge_heads", (normal(rng, B, H, T, width),)
    return "call", "split_heads", (normal(rng, B, T, H * width + int(rng.random() < 0.2)), H)


def layer(rng, T):
    B, H, width = size(rng, 1, 3), size(rng, 1, 4), size(rng, 1, 4)
    D = H * width
    w_qkv, w_out = normal(rng, D, 3 * D).float(), normal(rng, D, D).float()
    return normal(rng, B, T, D).float(), w_qkv, w_out, H


def multi_head(rng):
    return "call", "multi_head", layer(rng, size(rng))


def cache(rng: np.random.Generator):
    pieces = [size(rng, 1, 3) for _ in range(size(rng, 1, 4))]
    if rng.random() < 0.4:
        B, H, width = size(rng, 1, 3), size(rng, 1, 3), size(rng, 1, 3)
        pairs = [tuple(normal(rng, B, H, n, width).float() for _ in "kv") for n in pieces]
        return "probe", "append", (pairs,)
    x, w_qkv, w_out, H = layer(rng, sum(pieces))
    return "probe", "decode", (list(x.split(pieces, dim=1)), w_qkv, w_out, H)


INPUTS = {
    task.__name__: task
    for task in (softmax, attention, causal_mask, masked_attention, heads, multi_head, cache)
}
