"""Inputs for the mutation run of the lab `optimizers`, drawn without its check.

Each function takes a NumPy generator and gives ("call", name, arguments).
"""

import torch


def normal(rng, *shape, scale=1.0):
    return torch.from_numpy(scale * rng.standard_normal(shape))


def size(rng, low=1, high=5):
    return int(rng.integers(low, high + 1))


def shape(rng):
    return [size(rng) for _ in range(size(rng, 1, 3))]


def share(rng, low=0.0, high=0.99):
    return float(rng.uniform(low, high))


def momentum(rng):
    sides = shape(rng)
    theta, g, b = (normal(rng, *sides) for _ in range(3))
    return "call", "momentum_step", (theta, g, b, share(rng), share(rng), bool(rng.random() < 0.5))


def clipping(rng):
    scale = float(rng.choice([0.0, 0.01, 1.0, 100.0]))
    gradients = [normal(rng, *shape(rng), scale=scale) for _ in range(size(rng, 1, 4))]
    return "call", "clip_gradients", (gradients, share(rng, 0.1, 5.0))


def schedule(rng):
    warmup = size(rng, 0, 10)
    total = warmup + size(rng, 1, 40)
    step = size(rng, 0, 2 * total)
    return "call", "learning_rate", (step, share(rng, 0.1, 3.0), warmup, total, share(rng, 0, 1))


def state(rng, *sides):
    """theta, g, m, v, t, lr, beta1, beta2, eps."""
    theta, g, m = (normal(rng, *sides) for _ in range(3))
    v = normal(rng, *sides).square()
    rest = size(rng, 1, 50), share(rng), share(rng), share(rng), 10.0 ** rng.uniform(-4, 0)
    return theta, g, m, v, *rest[:-1], float(rest[-1])


def adam(rng):
    return "call", "adam_step", state(rng, *shape(rng))


def adamw(rng):
    return "call", "adamw_step", (*state(rng, *shape(rng)), share(rng, 0, 2))


def newton_schulz(rng):
    scale = float(rng.choice([0.0, 0.1, 1.0, 10.0], p=[0.1, 0.3, 0.3, 0.3]))
    return "call", "orthogonalize", (normal(rng, size(rng), size(rng), scale=scale), size(rng, 0))


def muon(rng):
    sides = size(rng), size(rng)
    theta, g, b = (normal(rng, *sides) for _ in range(3))
    return "call", "muon_step", (theta, g, b, share(rng), share(rng), share(rng, 0, 2))


INPUTS = {
    task.__name__: task for task in (momentum, clipping, schedule, adam, adamw, newton_schulz, muon)
}
