"""Checks of the lab `optimizers`: update rules, clipping and a schedule, written by hand.

Legend: theta a parameter, g its gradient, b, m, v what is kept of earlier steps, all of one shape;
lr the learning rate, t the number of the step from 1; R rows and C columns of a matrix.

The references are the formulas of the chapter on optimizers in float64 (the modules of mistakes
hold them beside their wrong forms); the tests compare them with torch.optim. Answers in float32 or
float64 agree within 1e-4 relative and 1e-5, orthogonal matrices within 1e-3.
"""

from __future__ import annotations

import torch

from utils.check import optimizers_adam_mistakes as adams
from utils.check import optimizers_mistakes as wrong
from utils.check import optimizers_muon_mistakes as muons
from utils.check.core import Lab
from utils.check.trial import Trial

LAB = Lab("optimizers", "Optimizers", points=30)
LIBRARY = (
    "utils.*",
    "torch.optim.*",
    "torch.nn.utils.*",
    "torch.ops.*",
    "torch._fused_adam_",
    "torch._fused_adamw_",
    "torch._fused_sgd_",
)
DECOMPOSITIONS = ("torch.linalg.svd", "torch.linalg.qr", "torch.svd", "torch.Tensor.svd")


@LAB.task(
    "Momentum",
    points=3,
    minutes=8,
    difficulty=1,
    functions=("momentum_step",),
    forbidden=LIBRARY,
    hints=(
        "Two lines: the new b, then the new theta from it.",
        "With Nesterov the step is g + mu b, with the b that you have just made.",
    ),
)
def momentum(t: Trial) -> None:
    for nesterov in (False, True, False, True):
        shape = t.distinct(t.integer(1, 3), 2, 6)
        theta, g, b = t.normal(*shape), t.normal(*shape), t.normal(*shape)
        lr, mu = t.integer(2, 9) / 10, t.integer(3, 9) / 10
        args = theta, g, b, lr, mu, nesterov
        t.equal("momentum_step", *args, expected=wrong.momentum(*args), mistakes=wrong.MOMENTUM)


@LAB.task(
    "Clipping by the norm",
    points=3,
    minutes=10,
    difficulty=1,
    functions=("clip_gradients",),
    forbidden=(*LIBRARY, "torch.Tensor.renorm", "torch.renorm"),
    hints=(
        "Square all entries of all tensors, add up, take the root: that is the joint norm.",
        "The factor is max_norm / norm where that is below 1, else 1. The same for all tensors.",
        "All gradients may be zero, and then there is nothing to divide by.",
    ),
)
def clipping(t: Trial) -> None:
    def check(gradients, max_norm):
        expected = wrong.clip(gradients, max_norm)
        t.equal("clip_gradients", gradients, max_norm, expected=expected, mistakes=wrong.CLIPPING)

    for size, max_norm in ((3.0, 2.0), (3.0, 0.5), (0.01, 2.0)):
        a, b, c = t.distinct(3, 2, 6)
        check([size * t.normal(a, b), 0.3 * size * t.normal(c), size * t.normal(b)], max_norm)
    check([10 * t.normal(t.integer(2, 5)) + 20], 1.5)
    check([torch.zeros(t.integer(2, 4)), torch.zeros(2, 2)], 1.5)


@LAB.task(
    "A schedule",
    points=3,
    minutes=10,
    difficulty=1,
    functions=("learning_rate",),
    forbidden=(*LIBRARY, "transformers.*"),
    hints=(
        "Three stretches: before `warmup`, up to `total`, after it.",
        "Progress p goes from 0 at step `warmup` to 1 at step `total`, and stays 1.",
        "floor + (1 - floor) * (1 + cos(pi p)) / 2 goes from 1 to floor; times the peak.",
    ),
)
def schedule(t: Trial) -> None:
    for with_warmup, with_floor in ((True, False), (True, True), (False, True), (False, False)):
        warmup = t.integer(4, 12) if with_warmup else 0
        total = warmup + t.integer(20, 60)
        peak, floor = t.integer(2, 9) / 5, t.integer(1, 6) / 10 if with_floor else 0.0
        # places at which wrong schedules differ: both stretches, their ends, and what follows
        inside = [warmup + t.integer(3, 8), (2 * warmup + total) // 2, total - t.integer(2, 6)]
        after = [total, total + t.integer(5, 15), 2 * total]
        first = [0, warmup // 3, warmup // 2, warmup - 1] if warmup else []
        for step in [*first, warmup, *after, *reversed(inside)]:
            args = step, peak, warmup, total, floor
            t.equal("learning_rate", *args, expected=wrong.rate(*args), mistakes=wrong.SCHEDULE)


def _state(t: Trial, *shape: int) -> tuple[torch.Tensor, ...]:
    """theta, g, m and v; v is small in places, where eps counts."""
    v = t.normal(*shape).square() * torch.where(t.normal(*shape) > 0.5, 1e-3, 1.0)
    return t.normal(*shape), t.normal(*shape), t.normal(*shape), v


@LAB.task(
    "Adam",
    points=4,
    minutes=15,
    difficulty=2,
    functions=("adam_step",),
    forbidden=LIBRARY,
    hints=(
        "In this order: the new m, the new v, both corrected, the step.",
        "m and v are means; the correction divides by the weight that they have collected, "
        "1 - beta ** t.",
        "eps is added to the root, and m and v come back uncorrected.",
    ),
)
def adam(t: Trial) -> None:
    for step in (1, 2, t.integer(3, 6), t.integer(7, 40)):
        shape = t.distinct(t.integer(1, 2), 2, 6)
        theta, g, m, v = _state(t, *shape)
        if step == 1:
            m, v = torch.zeros(shape), torch.zeros(shape)
        betas = t.integer(6, 9) / 10, t.integer(92, 99) / 100
        args = theta, g, m, v, step, t.integer(2, 9) / 10, *betas, t.integer(1, 5) / 10
        t.equal("adam_step", *args, expected=adams.adam(*args), mistakes=adams.ADAM)
    theta, g = t.normal(4), 1e-3 * t.normal(4)
    args = theta, g, torch.zeros(4), torch.zeros(4), 1, 0.5, 0.9, 0.999, 1e-8
    t.equal("adam_step", *args, expected=adams.adam(*args), mistakes=adams.ADAM)


@LAB.task(
    "Decoupled weight decay",
    points=3,
    minutes=8,
    difficulty=2,
    functions=("adamw_step",),
    forbidden=LIBRARY,
    hints=(
        "Your adam_step can do nearly all of it.",
        "It is called with another theta, and with the gradient as it is.",
        "The factor is 1 - lr * decay.",
    ),
)
def adamw(t: Trial) -> None:
    for step in (1, t.integer(2, 5), t.integer(6, 30)):
        shape = t.distinct(2, 2, 6)
        theta, g, m, v = _state(t, *shape)
        theta = theta + 2 * theta.sign()
        lr, decay = t.integer(2, 6) / 10, t.integer(2, 8) / 10
        args = theta, g, m, v, step, lr, 0.9, 0.99, 1e-3, decay
        t.equal("adamw_step", *args, expected=adams.adamw(*args), mistakes=adams.ADAMW)


@LAB.task(
    "Orthogonalize",
    points=3,
    minutes=12,
    difficulty=3,
    functions=("orthogonalize",),
    forbidden=(*LIBRARY, *DECOMPOSITIONS),
    hints=(
        "Divide once, by u.norm(); then the rounds.",
        "With G = X X' a round is a X + (b G + c G G) X; all of them are products with @.",
        "A matrix of zeros must not be divided by zero: clamp the norm from below.",
    ),
)
def newton_schulz(t: Trial) -> None:
    for rounds, size in ((1, 3.0), (5, 0.01), (t.integer(2, 4), 1.0), (0, 1.0)):
        u = size * t.normal(*t.distinct(2, 2, 7))
        expected = muons.orthogonalize(u, rounds)
        mistakes = muons.ORTHOGONALIZE
        t.equal(
            "orthogonalize", u, rounds, expected=expected, mistakes=mistakes, rtol=1e-3, atol=1e-3
        )
    zeros = torch.zeros(t.distinct(2, 2, 5))
    came = t.call("orthogonalize", zeros, 5)
    t.same(came, zeros.double(), args=(zeros, 5), mistakes=(muons.ZERO,))


@LAB.task(
    "Muon",
    points=3,
    minutes=12,
    difficulty=3,
    functions=("muon_step",),
    forbidden=(*LIBRARY, *DECOMPOSITIONS),
    hints=(
        "In this order: the new b, the matrix u, its orthogonalized form, the step.",
        "b and u use the same formula, once with the old b and once with the new one.",
        "The factor is math.sqrt(max(1, R / C)); the decay shrinks theta, as in task 5.",
    ),
)
def muon(t: Trial) -> None:
    for tall in (False, True, False, True):  # wide first: there the factor is 1
        C, R = sorted(t.distinct(2, 2, 7))
        shape = (R, C) if tall else (C, R)
        theta, g, b = 2 * t.normal(*shape), t.normal(*shape), t.normal(*shape)
        lr, mu, decay = t.integer(2, 6) / 10, t.integer(5, 9) / 10, t.integer(2, 8) / 10
        args = theta, g, b, lr, mu, decay
        expected = muons.muon(*args)
        t.equal("muon_step", *args, expected=expected, mistakes=muons.MUON, rtol=1e-3, atol=1e-3)
