"""Known mistakes of the lab `pretraining-objectives`: the two losses; what wrong code returns."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from utils.check.core import Mistake


def _log_p(logits, labels):
    """log P of each label, (B, T); of token 0 where nothing is asked."""
    return logits.double().log_softmax(-1).gather(2, labels.clamp_min(0)[..., None])[..., 0]


def _sums(logits, labels):
    asked = labels != -100
    return -(_log_p(logits, labels) * asked).sum(1), asked.sum(1)


LOSS = [
    Mistake(
        "mean-over-all",
        "The sum is divided by the number of all tokens, not of those that are asked for.",
        lambda z, y: _sums(z, y)[0].sum() / y.numel(),
        "How many labels are not -100?",
    ),
    Mistake(
        "sum",
        "The losses are added up and not divided.",
        lambda z, y: _sums(z, y)[0].sum(),
        "The loss is a mean over the tokens that are asked for.",
    ),
    Mistake(
        "unasked-counted",
        "Tokens that are not asked for are counted, as if their label were token 0.",
        lambda z, y: -_log_p(z, y).mean(),
        "Leave out the places whose label is -100 before anything else.",
    ),
    Mistake(
        "last-token-counted",
        "-100 was used as an index counted from the end, or the places were not left out.",
        lambda z, y: -z.double().log_softmax(-1).gather(2, (y % z.shape[-1])[..., None]).mean(),
        "Leave out the places whose label is -100 before anything else.",
    ),
    Mistake(
        "mean-of-rows",
        "A mean was taken in each row first: tokens of rows that ask for few weigh more.",
        lambda z, y: (_sums(z, y)[0] / _sums(z, y)[1].clamp_min(1)).mean(),
        "One mean, over all tokens that are asked for.",
    ),
    Mistake(
        "sign",
        "The sign is wrong: a loss falls as the probability rises.",
        lambda z, y: -(_sums(z, y)[0].sum() / _sums(z, y)[1].sum()),
        "The logarithm of a probability is negative.",
    ),
    Mistake(
        "no-softmax",
        "The logits themselves were taken for log probabilities.",
        lambda z, y: -z.double()[y != -100].gather(1, y[y != -100][:, None]).mean(),
        "log_softmax turns logits into log probabilities.",
    ),
    Mistake(
        "no-logarithm",
        "The mean probability came back; its logarithm must be taken token by token.",
        lambda z, y: -z.double()[y != -100].softmax(1).gather(1, y[y != -100][:, None]).mean(),
        "Minus the logarithm of the probability of the label.",
    ),
    Mistake(
        "bits",
        "The loss is in bits; nats are asked for, with the natural logarithm.",
        lambda z, y: _sums(z, y)[0].sum() / _sums(z, y)[1].sum() / math.log(2),
        "torch.log, not torch.log2.",
    ),
    Mistake(
        "overflow",
        "Large logits overflow: the exponential of one is infinite, or a probability becomes 0.",
        lambda z, y: (
            -z[y != -100]
            .exp()
            .div(z[y != -100].exp().sum(1, keepdim=True))
            .log()
            .gather(1, y[y != -100][:, None])
            .mean()
        ),
        "log_softmax subtracts the largest logit first.",
    ),
    Mistake(
        "underflow",
        "The logarithm of softmax becomes minus infinity for large logits; log_softmax does not.",
        lambda z, y: -z[y != -100].softmax(1).log().gather(1, y[y != -100][:, None]).mean(),
        "log_softmax computes the logarithm without the probability on the way.",
    ),
]
LOSS_OF_NONE = [
    Mistake(
        "nan-of-none",
        "Where nothing is asked, 0 / 0 came back; one such batch spoils all weights.",
        lambda z, y: torch.tensor(math.nan),
        "Divide by the number of tokens asked for, but at least by 1.",
    ),
    *LOSS,
]


def _scores(u, v, dim=1):
    return F.normalize(u.double(), dim=dim) @ F.normalize(v.double(), dim=dim).T


def _both(z, sides=(1, 0)):
    return sum(-z.log_softmax(side).diag().mean() for side in sides) / len(sides)


CONTRAST = [
    Mistake(
        "not-normalized",
        "The vectors were not brought to length 1: long ones win whatever they point at.",
        lambda u, v, s: _both(s.exp().double() * u.double() @ v.double().T),
        "Divide each row by its norm.",
    ),
    Mistake(
        "normalized-columns",
        "The columns were brought to length 1, over the batch; each vector is a row.",
        lambda u, v, s: _both(s.exp().double() * _scores(u, v, 0)),
        "The norm runs over D, the last axis.",
    ),
    Mistake(
        "images-only",
        "Only the pictures look for their texts; the texts must look for their pictures too.",
        lambda u, v, s: _both(s.exp().double() * _scores(u, v), (1,)),
        "The same scores, read by columns, are the other half.",
    ),
    Mistake(
        "texts-only",
        "Only the texts look for their pictures; the pictures must look for their texts too.",
        lambda u, v, s: _both(s.exp().double() * _scores(u, v), (0,)),
        "The same scores, read by rows, are the other half.",
    ),
    Mistake(
        "not-halved",
        "The two halves were added and not divided by two.",
        lambda u, v, s: 2 * _both(s.exp().double() * _scores(u, v)),
        "The loss is the mean of the two.",
    ),
    Mistake(
        "scale-no-exp",
        "The scores were multiplied by log_scale itself; the scale is its exponential.",
        lambda u, v, s: _both(s.double() * _scores(u, v)),
        "log_scale is the logarithm of the scale.",
    ),
    Mistake(
        "scale-inverted",
        "The scores were divided by the scale; a large scale must make them large.",
        lambda u, v, s: _both(_scores(u, v) / s.exp().double()),
        "The scale is 1 over the temperature.",
    ),
    Mistake(
        "no-scale",
        "The scale is missing.",
        lambda u, v, s: _both(_scores(u, v)),
        "Multiply the cosines by exp(log_scale).",
    ),
    Mistake(
        "batch-summed",
        "The losses of the batch were added; each half is a mean over the batch.",
        lambda u, v, s: len(u) * _both(s.exp().double() * _scores(u, v)),
        "A larger batch must not have a larger loss for that alone.",
    ),
    Mistake(
        "sign",
        "The sign is wrong: the loss must fall as the right pairs get likelier.",
        lambda u, v, s: -_both(s.exp().double() * _scores(u, v)),
        "The logarithm of a probability is negative.",
    ),
    Mistake(
        "all-pairs",
        "One softmax was taken over all pairs together, not over each row and each column.",
        lambda u, v, s: (
            -(s.exp().double() * _scores(u, v))
            .flatten()
            .log_softmax(0)
            .view(len(u), -1)
            .diag()
            .mean()
        ),
        "Each picture chooses among the texts of its row.",
    ),
]
