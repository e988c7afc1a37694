"""Named mistakes of the lab `alignment`, KL, groups and the clip: each is wrong in one way.

Legend as in `utils.check.alignment`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from utils.check.core import Mistake


def _three(s: Tensor, half: float = 0.5) -> tuple[Tensor, Tensor, Tensor]:
    s = s.double()
    return -s, half * s**2, torch.expm1(s) - s


def _with(place: int, value: Tensor, s: Tensor) -> tuple[Tensor, ...]:
    found = list(_three(s))
    found[place] = value.double()
    return tuple(found)


ESTIMATES = (
    Mistake(
        "direction",
        "Policy and reference changed places: these belong to samples of the reference.",
        lambda p, r: _three(p - r),
        "The samples are the policy's, so k1 = log - ref_log has the right mean.",
    ),
    Mistake("no-half", "k2 lacks its factor of one half.", lambda p, r: _three(r - p, half=1.0)),
    Mistake(
        "k1-sign",
        "k1 has the wrong sign: its mean would be minus the KL.",
        lambda p, r: _with(0, r - p, r - p),
    ),
    Mistake(
        "k3-direction",
        "k3 holds the ratio policy over reference; it needs reference over policy.",
        lambda p, r: _with(2, torch.expm1((p - r).double()) - (p - r).double(), r - p),
        "The mean of reference / policy under the policy is 1; that of the inverse is not.",
    ),
    Mistake(
        "k3-sign",
        "k3 has the wrong sign: it must never be negative.",
        lambda p, r: _with(2, (r - p).double() - torch.expm1((r - p).double()), r - p),
    ),
    Mistake(
        "k3-no-one",
        "k3 is 1 where the policies agree; it has to be 0.",
        lambda p, r: _with(2, torch.exp((r - p).double()) - (r - p).double(), r - p),
    ),
    Mistake(
        "k3-no-log",
        "k3 lacks its second part, minus s: without it the mean is 0 whatever the KL is.",
        lambda p, r: _with(2, torch.expm1((r - p).double()), r - p),
    ),
    Mistake(
        "k3-added",
        "k3 adds s; it has to be taken away.",
        lambda p, r: _with(2, torch.expm1((r - p).double()) + (r - p).double(), r - p),
    ),
    Mistake(
        "weighted",
        "k1 was weighted by the policy's probability: the samples are drawn with it already.",
        lambda p, r: _with(0, p.double().exp() * (p - r).double(), r - p),
    ),
)


def _scaled(rewards: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    return (rewards.double() - mean) / (deviation + 1e-6)


def _group(x: Tensor, dim: int | None = 1, correction: int = 1) -> Tensor:
    x = x.double()
    if dim is None:
        return _scaled(x, x.mean(), x.std())
    return _scaled(x, x.mean(dim, keepdim=True), x.std(dim, keepdim=True, correction=correction))


GROUP = (
    Mistake(
        "whole-batch",
        "Mean and deviation were taken over all prompts together.",
        lambda x: _group(x, None),
        "A hard prompt would give all its answers negative advantages.",
    ),
    Mistake(
        "across-prompts",
        "Mean and deviation ran over the prompts; a group is a row.",
        lambda x: _group(x, 0),
    ),
    Mistake(
        "no-deviation",
        "The advantages were not divided by the group's deviation.",
        lambda x: x.double() - x.double().mean(1, keepdim=True),
    ),
    Mistake(
        "no-mean",
        "The group's mean was not taken away.",
        lambda x: x.double() / (x.double().std(1, keepdim=True) + 1e-6),
    ),
    Mistake(
        "divided-by-g",
        "The deviation was divided by G; here it is by G - 1, as torch.std does.",
        lambda x: _group(x, 1, correction=0),
    ),
    Mistake(
        "equal-nan",
        "A group of equal rewards gave NaN; its advantages have to be 0.",
        lambda x: (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True),
        "0 / 0 is not a number. What may be added to the deviation?",
    ),
    Mistake(
        "variance",
        "It was divided by the variance; the deviation is its root.",
        lambda x: _scaled(x, x.double().mean(1, keepdim=True), x.double().var(1, keepdim=True)),
    ),
    Mistake("sign", "The sign is wrong: the best answer came out worst.", lambda x: -_group(x)),
    Mistake(
        "softmax",
        "This is a softmax of the rewards: it sums to 1, advantages to 0.",
        lambda x: x.double().softmax(1),
    ),
)


def _terms(log: Tensor, old: Tensor, a: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    ratio, column = (log.double() - old.double()).exp(), a.double()[:, None]
    return ratio * column, ratio.clamp(1 - epsilon, 1 + epsilon) * column


def _mean(x: Tensor, mask: Tensor) -> Tensor:
    return (x * mask).sum() / mask.sum()


def _whole(log: Tensor, mask: Tensor) -> Tensor:
    return (log * mask).sum(1, keepdim=True)


CLIP = (
    Mistake(
        "no-minimum",
        "The clipped product was taken alone: a bad answer that became likelier is let off.",
        lambda p, o, a, m, e: -_mean(_terms(p, o, a, e)[1], m),
        "With A = -1 and a ratio of 2 the loss must still push.",
    ),
    Mistake(
        "no-clip",
        "The clip has no effect.",
        lambda p, o, a, m, e: -_mean(_terms(p, o, a, e)[0], m),
    ),
    Mistake(
        "maximum",
        "The larger of the two products was taken; the smaller one counts.",
        lambda p, o, a, m, e: -_mean(torch.maximum(*_terms(p, o, a, e)), m),
    ),
    Mistake(
        "sign",
        "The objective came back; a loss is minus it.",
        lambda p, o, a, m, e: _mean(torch.minimum(*_terms(p, o, a, e)), m),
    ),
    Mistake(
        "minimum-of-losses",
        "The smaller of two losses was taken: with the sign turned the larger one counts.",
        lambda p, o, a, m, e: _mean(torch.minimum(*(-x for x in _terms(p, o, a, e))), m),
    ),
    Mistake(
        "ratio-inverted",
        "The ratio is old over new.",
        lambda p, o, a, m, e: -_mean(torch.minimum(*_terms(o, p, a, e)), m),
    ),
    Mistake(
        "mask-ignored",
        "Prompt and filler were counted too: the mask had no effect.",
        lambda p, o, a, m, e: -torch.minimum(*_terms(p, o, a, e)).mean(),
    ),
    Mistake(
        "all-places",
        "It was divided by the number of all places, not of the answers' tokens.",
        lambda p, o, a, m, e: -(torch.minimum(*_terms(p, o, a, e)) * m).mean(),
    ),
    Mistake(
        "answer-means",
        "Each answer was averaged first: a token of a long answer counted less.",
        lambda p, o, a, m, e: -((torch.minimum(*_terms(p, o, a, e)) * m).sum(1) / m.sum(1)).mean(),
        "That is the length bias of GRPO. Divide once, by the number of all answer tokens.",
    ),
    Mistake(
        "log-ratio",
        "The difference of the logarithms was used as ratio; exp is missing.",
        lambda p, o, a, m, e: (
            -_mean(
                torch.minimum(
                    (p - o).double() * a.double()[:, None],
                    (p - o).double().clamp(1 - e, 1 + e) * a.double()[:, None],
                ),
                m,
            )
        ),
    ),
    Mistake(
        "ratio-of-answers",
        "One ratio was made for the whole answer; the clip acts on each token.",
        lambda p, o, a, m, e: -_mean(torch.minimum(*_terms(_whole(p, m), _whole(o, m), a, e)), m),
    ),
)
