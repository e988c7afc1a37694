"""Inputs for the mutation run of the lab `recurrent-networks`, drawn without its check.

Each function takes a NumPy generator and gives ("call", name, arguments).
"""

import torch


def normal(rng, *shape, scale=1.0):
    return torch.from_numpy(scale * rng.standard_normal(shape)).float()


def size(rng, low=1, high=6):
    return int(rng.integers(low, high + 1))


def weights(rng, G, D, H):
    return normal(rng, G * H, D), normal(rng, G * H, H), normal(rng, G * H), normal(rng, G * H)


def step(rng):
    B, D, H = size(rng), size(rng), size(rng)
    return "call", "rnn_step", (normal(rng, B, D), normal(rng, B, H), *weights(rng, 1, D, H))


def sequence(rng):
    B, T, D, H = size(rng), size(rng), size(rng), size(rng)
    return normal(rng, B, T, D), normal(rng, B, H), *weights(rng, 1, D, H)


def loop(rng):
    return "call", "rnn", sequence(rng)


def backward(rng):
    x, h0, w_ih, w_hh, _, _ = sequence(rng)
    shape = (*x.shape[:2], len(w_hh))
    states = torch.tanh(normal(rng, *shape))
    return "call", "rnn_backward", (x, h0, states, w_ih, w_hh, normal(rng, *shape))


def lstm(rng):
    B, D, H = size(rng), size(rng), size(rng)
    states = (normal(rng, B, H), normal(rng, B, H))
    return "call", "lstm_step", (normal(rng, B, D), *states, *weights(rng, 4, D, H))


def gru(rng):
    B, D, H = size(rng), size(rng), size(rng)
    return "call", "gru_step", (normal(rng, B, D), normal(rng, B, H), *weights(rng, 3, D, H))


def clip(rng):
    scale = float(rng.choice([0.0, 0.01, 1.0, 100.0]))
    shapes = [[size(rng) for _ in range(size(rng, 1, 3))] for _ in range(size(rng, 1, 4))]
    return "call", "clip_by_norm", ([normal(rng, *s, scale=scale) for s in shapes], 1.0)


def padded(rng):
    B, T, D, H = size(rng), size(rng), size(rng), size(rng)
    x, lengths = normal(rng, B, T, D), torch.from_numpy(rng.integers(1, T + 1, B))
    if rng.random() < 0.3:
        x[torch.arange(T) >= lengths[:, None]] = float("nan")
    return "call", "rnn_padded", (x, lengths, *weights(rng, 1, D, H))


INPUTS = {task.__name__: task for task in (step, loop, backward, lstm, gru, clip, padded)}
