"""Inputs for the mutation run of the lab `alignment`, drawn without its check.

Each function takes a NumPy generator and gives ("call" or "probe", name, arguments).
"""

import torch


def size(rng, low=1, high=6):
    return int(rng.integers(low, high + 1))


def normal(rng, *shape, scale=1.0):
    return torch.from_numpy(scale * rng.standard_normal(shape)).float()


def logs(rng, *shape, scale=2.0):
    return -normal(rng, *shape, scale=scale).abs()


def answers(rng, first):
    B, T, V = size(rng), size(rng, 3, 8), size(rng, 2, 9)
    mask = torch.from_numpy(rng.random((B, T)) < 0.6)
    mask[:, :first] = False
    mask[0, -1] = True
    return normal(rng, B, T, V, scale=2.0), torch.from_numpy(rng.integers(0, V, (B, T))), mask


def answer_log_prob(rng):
    return "call", "answer_log_prob", answers(rng, 1)


def sft_loss(rng):
    return "call", "sft_loss", answers(rng, 1)


def preference_loss(rng):
    chosen, rejected = normal(rng, 2, size(rng), scale=10.0 ** rng.integers(0, 3))
    return "call", "preference_loss", (chosen, rejected)


def dpo(rng):
    four, beta = (
        logs(rng, 4, size(rng), scale=10.0 ** rng.integers(0, 3)),
        float(rng.random() + 0.1),
    )
    if rng.random() < 0.4:
        return "call", "implicit_reward", (four[0], four[1], beta)
    return "call", "dpo_loss", (*four, beta)


def kl_estimates(rng):
    return "call", "kl_estimates", tuple(logs(rng, 2, size(rng), size(rng)))


def group_advantages(rng):
    rewards = normal(rng, size(rng), size(rng, 2, 8)) + normal(rng, 1)
    if rng.random() < 0.4:
        rewards = rewards.sign()
    return "call", "group_advantages", (rewards,)


def clipped_loss(rng):
    B, T = size(rng), size(rng)
    old = logs(rng, B, T)
    mask = torch.from_numpy(rng.random((B, T)) < 0.7)
    mask[0, 0] = True
    new = old + normal(rng, B, T, scale=0.5)
    return "call", "clipped_loss", (new, old, normal(rng, B), mask, float(0.4 * rng.random()))


INPUTS = {
    task.__name__: task
    for task in (
        answer_log_prob, sft_loss, preference_loss, dpo, kl_estimates, group_advantages,
        clipped_loss,
    )
}  # fmt: skip
