"""Named mistakes of the lab `optimizers`, and the right rules, in float64.

Legend as in `utils.check.optimizers`. Each rule is right with its defaults; a mistake changes one
of them, deliberately.
"""

from __future__ import annotations

import math

from torch import Tensor

from utils.check.core import Mistake


def momentum(theta, g, b, lr, mu, nesterov, *, keep=None, step=None, sign=-1) -> tuple:
    """The new theta and b (Sutskever et al. 2013, in the form that torch.optim.SGD has)."""
    old, g = b.double(), g.double()
    b = mu * old + g if keep is None else keep(old, g, mu)
    move = g + mu * b if nesterov else b
    if step is not None:
        move = step(old, g, b, mu, nesterov)
    return theta.double() + sign * lr * move, b


MOMENTUM = (
    Mistake(
        "uphill",
        "The step goes up the gradient, not down.",
        lambda *a: momentum(*a, sign=1),
        "The gradient points to where the loss grows.",
    ),
    Mistake(
        "averaged",
        "b was made a mean, with a factor of 1 - mu before the gradient; here it is a sum.",
        lambda *a: momentum(*a, keep=lambda b, g, mu: mu * b + (1 - mu) * g),
        "Adam's m has that factor; momentum's b, as PyTorch has it, does not.",
    ),
    Mistake(
        "rate-in-state",
        "The learning rate went into b; it belongs to the step alone.",
        lambda theta, g, b, lr, mu, nesterov: momentum(
            theta, g, b, 1.0, mu, nesterov, keep=lambda b, g, mu: mu * b + lr * g
        ),
        "b is a sum of gradients; the rate may change from step to step.",
    ),
    Mistake(
        "nesterov-ignored",
        "Nesterov's form was not used where it was asked for.",
        lambda *a: momentum(*a, step=lambda old, g, b, mu, n: b),
        "With nesterov=True the step is g + mu b.",
    ),
    Mistake(
        "old-b",
        "The step used the b of the step before, not the new one.",
        lambda *a: momentum(*a, step=lambda old, g, b, mu, n: g + mu * old if n else old),
        "First update b, then move.",
    ),
    Mistake(
        "always-nesterov",
        "Nesterov's form was used where plain momentum was asked for.",
        lambda *a: momentum(*a, step=lambda old, g, b, mu, n: g + mu * b),
        "With nesterov=False the step is b.",
    ),
    Mistake(
        "nesterov-kept",
        "What came back as b is the step with Nesterov; the state is b itself.",
        lambda *a: (momentum(*a)[0], a[1].double() + a[4] * momentum(*a)[1]),
        "The look ahead is for the step only, and is not kept.",
    ),
    Mistake(
        "no-memory",
        "b was not used: the step is that of plain gradient descent.",
        lambda *a: momentum(*a, keep=lambda b, g, mu: g, step=lambda old, g, b, mu, n: g),
        "b holds the gradients of the steps before.",
    ),
    Mistake(
        "state-not-updated",
        "The b that came back is the old one.",
        lambda *a: (momentum(*a)[0], a[2].double()),
        "Hand back the new b; the next step needs it.",
    ),
)


def clip(gradients, max_norm, *, factor=None, norm=None, apply=None) -> tuple[list[Tensor], float]:
    """The gradients scaled to a joint norm of at most max_norm (Pascanu et al. 2013), the norm."""
    gradients = [g.double() for g in gradients]
    norms = [g.square().sum().item() for g in gradients]
    total = math.sqrt(sum(norms)) if norm is None else norm(gradients)
    scale = min(1.0, max_norm / total) if total > 0 else 1.0
    if factor is not None:
        scale = factor(total)
    return [scale * g for g in gradients] if apply is None else apply(gradients), total


def _each(gradients: list[Tensor], max_norm: float) -> list[Tensor]:
    return [g * min(1.0, max_norm / max(g.norm().item(), 1e-300)) for g in gradients]


CLIPPING = (
    Mistake(
        "each-by-itself",
        "Each gradient was shortened by itself; their common direction is lost.",
        lambda gs, most: clip(gs, most, apply=lambda gs: _each(gs, most)),
        "One norm for all of them together, one factor for all.",
    ),
    Mistake(
        "by-value",
        "The entries were cut off one by one; that changes the direction.",
        lambda gs, most: clip(gs, most, apply=lambda gs: [g.clamp(-most, most) for g in gs]),
        "Multiply all entries by one factor.",
    ),
    Mistake(
        "always-scaled",
        "Gradients shorter than max_norm were made longer.",
        lambda gs, most: clip(gs, most, factor=lambda norm: most / norm if norm else 1.0),
        "A short gradient stays as it is: the factor is at most 1.",
    ),
    Mistake(
        "normalized",
        "The gradients were scaled to length 1, not to max_norm.",
        lambda gs, most: clip(gs, most, factor=lambda n: 1 / n if n > most else 1.0),
        "After clipping the norm is max_norm.",
    ),
    Mistake(
        "sum-of-norms",
        "The norms of the tensors were added up; the joint norm is the root of the sum of squares.",
        lambda gs, most: clip(gs, most, norm=lambda gs: sum(g.norm().item() for g in gs)),
        "Think of all tensors laid end to end as one vector.",
    ),
    Mistake(
        "no-root",
        "The root is missing: the sum of the squares was used as the norm.",
        lambda gs, most: clip(gs, most, norm=lambda gs: sum(g.square().sum().item() for g in gs)),
        "The norm is the root of the sum of squares.",
    ),
    Mistake(
        "sum-of-sizes",
        "The absolute values were added up; the Euclidean norm is asked for.",
        lambda gs, most: clip(gs, most, norm=lambda gs: sum(g.abs().sum().item() for g in gs)),
        "Square, add up, take the root.",
    ),
    Mistake(
        "largest-norm",
        "The largest norm of a single tensor was used.",
        lambda gs, most: clip(gs, most, norm=lambda gs: max(g.norm().item() for g in gs)),
        "All tensors together make the norm.",
    ),
    Mistake(
        "mean-square",
        "The mean of the squares was used in place of their sum.",
        lambda gs, most: clip(
            gs,
            most,
            norm=lambda gs: math.sqrt(
                sum(g.square().sum().item() for g in gs) / sum(g.numel() for g in gs)
            ),
        ),
        "A norm grows with the number of entries.",
    ),
    Mistake(
        "norm-after",
        "The norm that came back is that after clipping.",
        lambda gs, most: (clip(gs, most)[0], min(most, clip(gs, most)[1])),
        "Hand back the norm before: it is what one logs to see that something went wrong.",
    ),
    Mistake(
        "not-clipped",
        "The gradients came back as they were.",
        lambda gs, most: clip(gs, most, factor=lambda norm: 1.0),
        "Longer ones have to be shortened.",
    ),
    Mistake(
        "zero-norm",
        "Gradients of zeros became something that is no number.",
        lambda gs, most: clip(gs, most, factor=lambda n: min(1.0, most / n) if n else math.nan),
        "What is max_norm divided by a norm of zero?",
    ),
)


def rate(step, peak, warmup, total, floor, *, warm=None, progress=None, wave=None) -> float:
    """Linear warm-up, then half a cosine (Loshchilov and Hutter 2017) to floor times peak."""
    if step < warmup:
        return peak * (step / warmup if warm is None else warm(step, warmup, floor))
    p = min(1.0, (step - warmup) / (total - warmup))
    p = p if progress is None else progress(step, warmup, total)
    if wave is not None:
        return peak * wave(p, floor)
    return peak * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * p)))


def _cosine(p: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * p))


SCHEDULE = (
    Mistake(
        "no-warm-up",
        "The first steps have no warm-up.",
        lambda *a: rate(*a, warm=lambda step, warmup, floor: 1.0),
        "Before step `warmup` the rate is a share of the peak.",
    ),
    Mistake(
        "warm-up-one-ahead",
        "The warm-up is one step ahead: step 0 has the rate 0 here.",
        lambda *a: rate(*a, warm=lambda step, warmup, floor: (step + 1) / warmup),
        "The task says step / warmup. (Other libraries begin at 1 / warmup; both are in use.)",
    ),
    Mistake(
        "warm-up-from-floor",
        "The warm-up starts at the floor; here it starts at 0.",
        lambda *a: rate(*a, warm=lambda step, warmup, floor: floor + (1 - floor) * step / warmup),
        "The floor is for the end of the schedule.",
    ),
    Mistake(
        "warm-up-counted",
        "The cosine was counted from step 0, so that the rate jumps when the warm-up ends.",
        lambda *a: rate(*a, progress=lambda step, warmup, total: min(1.0, step / total)),
        "At step `warmup` the rate is the peak.",
    ),
    Mistake(
        "stretched",
        "The cosine was stretched over `total` steps after the warm-up; it ends too late.",
        lambda *a: rate(*a, progress=lambda step, warmup, total: min(1.0, (step - warmup) / total)),
        "From `warmup` to `total` there are total - warmup steps.",
    ),
    Mistake(
        "rises-again",
        "After step `total` the rate rises again.",
        lambda *a: rate(
            *a, progress=lambda step, warmup, total: (step - warmup) / (total - warmup)
        ),
        "Progress ends at 1.",
    ),
    Mistake(
        "whole-wave",
        "A whole wave was used: the rate falls and comes back.",
        lambda *a: rate(*a, wave=lambda p, floor: floor + (1 - floor) * _cosine(2 * p)),
        "From 1 to -1 the cosine takes pi, not 2 pi.",
    ),
    Mistake(
        "quarter-wave",
        "A quarter of a wave was used.",
        lambda *a: rate(*a, wave=lambda p, floor: floor + (1 - floor) * math.cos(math.pi * p / 2)),
        "Half a wave: (1 + cos(pi p)) / 2.",
    ),
    Mistake(
        "straight",
        "The rate falls in a straight line.",
        lambda *a: rate(*a, wave=lambda p, floor: floor + (1 - floor) * (1 - p)),
        "Half a cosine wave: (1 + cos(pi p)) / 2.",
    ),
    Mistake(
        "no-floor",
        "The rate falls to 0, not to the floor.",
        lambda *a: rate(*a, wave=lambda p, floor: _cosine(p)),
        "At step `total` it is floor times peak.",
    ),
    Mistake(
        "cut-at-floor",
        "The wave was cut off at the floor; it is meant to end there.",
        lambda *a: rate(*a, wave=lambda p, floor: max(floor, _cosine(p))),
        "Shrink the wave to the height from the floor to 1.",
    ),
    Mistake(
        "floor-added",
        "The floor was added to the wave, so that the rate begins above the peak.",
        lambda *a: rate(*a, wave=lambda p, floor: floor + _cosine(p)),
        "The wave's height is then 1 - floor.",
    ),
    Mistake(
        "floor-is-a-rate",
        "The floor was taken as a learning rate; it is a share of the peak.",
        lambda step, peak, warmup, total, floor: rate(step, peak, warmup, total, floor / peak),
        "With a peak of 0.02 and a floor of 0.1 the last rate is 0.002.",
    ),
)
