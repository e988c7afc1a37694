"""Inputs for the mutation run of the lab `differentiation`, drawn without its check.

Each function takes a NumPy generator and gives ("call", name, arguments).
"""

import torch


def normal(rng, *shape, scale=1.0):
    dtype = torch.float64 if rng.random() < 0.3 else torch.float32
    return torch.from_numpy(scale * rng.standard_normal(shape)).to(dtype)


def size(rng, low=1, high=6):
    return int(rng.integers(low, high + 1))


def linear(rng):
    B, D, M = (size(rng) for _ in range(3))
    parts = [normal(rng, *shape).float() for shape in ((B, D), (D, M), (B, M))]
    return "call", "linear_vjp", tuple(parts)


def embedding(rng):
    B, T, D, rows = (size(rng) for _ in range(4))
    ids = torch.from_numpy(rng.integers(0, rows, (B, T)))
    return "call", "embedding_vjp", (ids, rows, normal(rng, B, T, D))


def softmax(rng):
    shape = [size(rng) for _ in range(size(rng, 1, 3))]
    scale = 10.0 ** rng.integers(-1, 4)
    return "call", "softmax_vjp", (normal(rng, *shape, scale=scale), normal(rng, *shape))


def cross_entropy(rng):
    B, C = size(rng), size(rng, 2)
    labels = torch.from_numpy(rng.integers(0, C, B))
    labels[torch.from_numpy(rng.random(B) < rng.choice([0.0, 0.4, 1.0]))] = -100
    return "call", "cross_entropy_gradient", (normal(rng, B, C, scale=3.0), labels)


def layer_norm(rng):
    B, D = size(rng), size(rng, 2)
    x = normal(rng, B, D, scale=10.0 ** rng.integers(-1, 3)).double() + size(rng)
    eps = float(rng.choice([1e-5, 0.3]))
    return "call", "layer_norm_vjp", (x, normal(rng, D).double(), eps, normal(rng, B, D).double())


def attention(rng):
    lead = [size(rng, 1, 3) for _ in range(size(rng, 0, 2))]
    T, S, D, E = (size(rng) for _ in range(4))
    shapes = (*lead, T, D), (*lead, S, D), (*lead, S, E), (*lead, T, E)
    return "call", "attention_vjp", tuple(normal(rng, *shape).double() for shape in shapes)


INPUTS = {
    task.__name__: task
    for task in (linear, embedding, softmax, cross_entropy, layer_norm, attention)
}
