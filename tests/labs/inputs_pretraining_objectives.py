"""Inputs for the mutation run of the lab `pretraining-objectives`, drawn without its check.

Each function takes a NumPy generator and gives ("call" or "probe", name, arguments).
"""

import torch


def size(rng, low=1, high=7):
    return int(rng.integers(low, high + 1))


def tokens(rng, *shape):
    return torch.from_numpy(rng.integers(5, 30, shape))


def draws(rng, *shape):
    return torch.from_numpy(rng.random(shape)).float()


def next_token(rng):
    return "call", "next_token", (tokens(rng, size(rng), size(rng)), size(rng, 0, 4))


def make_labels(rng):
    shape = size(rng), size(rng)
    rate = float(rng.choice([0.0, 0.15, 0.5, 1.0]))
    special = draws(rng, *shape) < 0.3
    return "call", "make_labels", (tokens(rng, *shape), draws(rng, *shape), special, rate)


def some_labels(rng, shape, high=30):
    labels = torch.from_numpy(rng.integers(0, high, shape))
    return labels.masked_fill(draws(rng, *shape) < rng.choice([0.0, 0.5, 0.9, 1.0]), -100)


def spoil(rng):
    shape = size(rng), size(rng, 1, 12)
    args = tokens(rng, *shape), some_labels(rng, shape), draws(rng, *shape), tokens(rng, *shape)
    return "call", "spoil", (*args, size(rng, 0, 4))


def masked_loss(rng):
    B, T, V = size(rng), size(rng), size(rng, 2, 7)
    logits = torch.from_numpy(rng.standard_normal((B, T, V))).float() * 10.0 ** rng.integers(0, 3)
    return "call", "masked_loss", (logits, some_labels(rng, (B, T), V))


def text(rng):
    n = size(rng, 0, 10)
    hidden = [bool(v) for v in rng.random(n) < rng.choice([0.0, 0.3, 0.7, 1.0])]
    names = [int(v) for v in 100 + rng.permutation(20)[:6]]
    return [int(v) for v in rng.integers(5, 30, n)], hidden, names, 99


def cut_spans(rng):
    return "call", "cut_spans", text(rng)


def restore_spans(rng):
    """Sources and targets as a bad model might write them: in any order, spans missing."""
    _, _, names, end = text(rng)
    source, target = [], []
    for name in names[: size(rng, 0, 4)]:
        source += [*(int(v) for v in rng.integers(5, 30, size(rng, 0, 3))), name]
    written = [name for name in names[:4] if rng.random() < 0.8]
    for name in (written[i] for i in rng.permutation(len(written))):
        target += [name, *(int(v) for v in rng.integers(5, 30, size(rng, 0, 3)))]
    if rng.random() < 0.9:
        target += [end, *(int(v) for v in rng.integers(5, 30, size(rng, 0, 2)))]
    return "call", "restore_spans", (source, target, names, end)


def info_nce(rng):
    B, D = size(rng), size(rng)
    images, texts = (torch.from_numpy(rng.standard_normal((B, D))).float() for _ in range(2))
    return "call", "info_nce", (images, texts, torch.tensor(float(rng.uniform(0, 4))))


INPUTS = {
    task.__name__: task
    for task in (next_token, make_labels, spoil, masked_loss, cut_spans, restore_spans, info_nce)
}
