"""Named mistakes of the lab `alignment`, likelihoods and preferences: each is wrong in one way.

Legend as in `utils.check.alignment`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from utils.check.core import Mistake


def picked(logits: Tensor, tokens: Tensor, shift: int = 1) -> Tensor:
    """Log-probabilities (B, T - shift) of the tokens at their places."""
    T = tokens.shape[1]
    logs = torch.log_softmax(logits.double(), -1)[:, : T - shift]
    return logs.gather(-1, tokens[:, shift:, None])[..., 0]


def _sum(logits: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
    return (picked(logits, tokens) * mask[:, 1:]).sum(1)


_SHIFT = "Which logits does a model have when it is about to write the second token?"
LOGS = (
    Mistake(
        "not-shifted",
        "Each token was looked up in the logits at its own place; they are about the next one.",
        lambda z, y, m: (picked(z, y, 0) * m).sum(1),
        _SHIFT,
    ),
    Mistake(
        "mask-not-shifted",
        "The mask was cut at its end, the tokens at their start: the mask belongs to the tokens.",
        lambda z, y, m: (picked(z, y) * m[:, :-1]).sum(1),
        "Cut tokens and mask in the same way.",
    ),
    Mistake(
        "prompt-counted",
        "The tokens of the prompt were counted too: the mask had no effect.",
        lambda z, y, m: picked(z, y).sum(1),
    ),
    Mistake(
        "mask-inverted",
        "The prompt was counted and the answer left out: True stands at tokens of the answer.",
        lambda z, y, m: (picked(z, y) * ~m[:, 1:]).sum(1),
    ),
    Mistake(
        "mean",
        "The mean over the answer's tokens came back; its log-probability is the sum.",
        lambda z, y, m: _sum(z, y, m) / m.sum(1),
        "The chance of an answer is the product of the chances of its tokens.",
    ),
    Mistake(
        "no-log-softmax",
        "The logits themselves were added: they are not log-probabilities yet.",
        lambda z, y, m: (z[:, :-1].gather(-1, y[:, 1:, None])[..., 0].double() * m[:, 1:]).sum(1),
    ),
    Mistake(
        "probabilities",
        "The probabilities were added; their logarithms have to be.",
        lambda z, y, m: (picked(z, y).exp() * m[:, 1:]).sum(1),
    ),
    Mistake(
        "negative",
        "The sign is that of a loss: a log-probability is never positive.",
        lambda z, y, m: -_sum(z, y, m),
    ),
    Mistake(
        "whole-batch",
        "The whole batch was added up; each answer needs a number of its own.",
        lambda z, y, m: _sum(z, y, m).sum(),
    ),
    Mistake(
        "per-token",
        "A number for each token came back; an answer's are to be added.",
        lambda z, y, m: picked(z, y) * m[:, 1:],
    ),
)

SFT = (
    Mistake(
        "mean-of-means",
        "Each answer was averaged first: a token of a short answer counted more than one of a "
        "long answer.",
        lambda z, y, m: -(_sum(z, y, m) / m.sum(1)).mean(),
        "Divide once, by the number of all answer tokens.",
    ),
    Mistake(
        "sign",
        "The sign is missing: this falls where answers become less likely.",
        lambda z, y, m: _sum(z, y, m).sum() / m.sum(),
    ),
    Mistake(
        "per-answer",
        "It was divided by the number of answers, not of their tokens.",
        lambda z, y, m: -_sum(z, y, m).mean(),
    ),
    Mistake(
        "not-divided",
        "The sum came back, not the mean.",
        lambda z, y, m: -_sum(z, y, m).sum(),
    ),
    Mistake(
        "all-places",
        "It was divided by the number of all places, prompt and filler included.",
        lambda z, y, m: -_sum(z, y, m).sum() / m.numel(),
        "The length of a prompt must not change the loss of an answer.",
    ),
    Mistake(
        "all-targets",
        "It was divided by the number of all targets, prompt and filler included.",
        lambda z, y, m: -_sum(z, y, m).sum() / m[:, 1:].numel(),
        "The length of a prompt must not change the loss of an answer.",
    ),
    Mistake(
        "prompt-counted",
        "The loss runs over prompt and filler as well.",
        lambda z, y, m: -picked(z, y).mean(),
    ),
    Mistake(
        "no-mean",
        "A number for each answer came back; a loss is one number.",
        lambda z, y, m: -_sum(z, y, m) / m.sum(1),
    ),
)

CHOICE = (
    Mistake(
        "overflow",
        "The logarithm was taken of a sigmoid that is 0 in float32.",
        lambda c, r: -torch.log(torch.sigmoid(c - r)).mean(),
        "For a large negative x, log sigmoid(x) is nearly x. logsigmoid knows that.",
    ),
    Mistake(
        "swapped",
        "The rejected answer was taken for the chosen one.",
        lambda c, r: -logsigmoid(r.double() - c.double()).mean(),
    ),
    Mistake(
        "sum",
        "The sum came back, not the mean.",
        lambda c, r: -logsigmoid((c - r).double()).sum(),
    ),
    Mistake("sign", "The sign is missing.", lambda c, r: logsigmoid((c - r).double()).mean()),
    Mistake(
        "no-log",
        "This is the mean chance of a wrong choice; its logarithm is missing.",
        lambda c, r: torch.sigmoid((r - c).double()).mean(),
        "A loss of maximum likelihood is minus a logarithm.",
    ),
    Mistake(
        "chance",
        "This is the mean chance of the choice; minus its logarithm is asked for.",
        lambda c, r: torch.sigmoid((c - r).double()).mean(),
    ),
    Mistake(
        "mean-first",
        "The differences were averaged before the sigmoid.",
        lambda c, r: -logsigmoid((c - r).double().mean()),
        "Each pair has a loss of its own; the mean comes last.",
    ),
    Mistake(
        "margin",
        "The difference itself was taken; the sigmoid and its logarithm are missing.",
        lambda c, r: (r - c).double().mean(),
    ),
    Mistake(
        "apart",
        "Each reward went through a sigmoid of its own; the difference has to.",
        lambda c, r: -torch.log(torch.sigmoid(c.double()) - torch.sigmoid(r.double())).mean(),
    ),
    Mistake(
        "no-mean", "A loss for each pair came back.", lambda c, r: -logsigmoid((c - r).double())
    ),
)

IMPLICIT = (
    Mistake(
        "no-reference",
        "The reference is missing: the reward counts from where the policy began.",
        lambda p, r, beta: beta * p.double(),
    ),
    Mistake("no-beta", "Beta is missing.", lambda p, r, beta: p.double() - r.double()),
    Mistake(
        "divided",
        "It was divided by beta: where KL is dear, a small move shows a large reward.",
        lambda p, r, beta: (p.double() - r.double()) / beta,
        "log(policy / reference) is reward / beta, up to a constant.",
    ),
    Mistake(
        "swapped",
        "The sign is wrong: an answer that became likelier was rewarded.",
        lambda p, r, beta: beta * (r.double() - p.double()),
    ),
    Mistake(
        "of-chances",
        "The logarithms were taken once more, or divided: they are logarithms already.",
        lambda p, r, beta: beta * p.double() / r.double(),
        "The logarithm of a ratio is a difference of logarithms.",
    ),
    Mistake(
        "exp",
        "This is the ratio of the chances; its logarithm is asked for.",
        lambda p, r, beta: beta * (p.double() - r.double()).exp(),
    ),
)


def _gap(c: Tensor, r: Tensor, ref_c: Tensor, ref_r: Tensor) -> Tensor:
    return (c.double() - ref_c.double()) - (r.double() - ref_r.double())


DPO = (
    Mistake(
        "no-reference",
        "The reference is missing from the loss.",
        lambda c, r, rc, rr, beta: -logsigmoid(beta * (c - r).double()).mean(),
    ),
    Mistake(
        "reference-added",
        "The reference entered with the wrong sign.",
        lambda c, r, rc, rr, beta: -logsigmoid(beta * (c - r + rc - rr).double()).mean(),
    ),
    Mistake(
        "swapped",
        "The rejected answer was taken for the chosen one.",
        lambda c, r, rc, rr, beta: -logsigmoid(-beta * _gap(c, r, rc, rr)).mean(),
    ),
    Mistake(
        "no-beta",
        "Beta is missing.",
        lambda c, r, rc, rr, beta: -logsigmoid(_gap(c, r, rc, rr)).mean(),
    ),
    Mistake(
        "beta-outside",
        "Beta stands in front of the logarithm; it belongs into the sigmoid.",
        lambda c, r, rc, rr, beta: -beta * logsigmoid(_gap(c, r, rc, rr)).mean(),
    ),
    Mistake(
        "beta-once",
        "Beta acts on the policy and not on the reference.",
        lambda c, r, rc, rr, beta: -logsigmoid(beta * (c - r).double() - (rc - rr).double()).mean(),
    ),
    Mistake(
        "divided",
        "It was divided by beta.",
        lambda c, r, rc, rr, beta: -logsigmoid(_gap(c, r, rc, rr) / beta).mean(),
    ),
    Mistake(
        "overflow",
        "The logarithm was taken of a sigmoid that is 0 in float32.",
        lambda c, r, rc, rr, beta: -torch.log(torch.sigmoid(beta * (c - rc - r + rr))).mean(),
        "Use preference_loss, which you have written.",
    ),
    Mistake(
        "sign",
        "The sign is missing.",
        lambda c, r, rc, rr, beta: logsigmoid(beta * _gap(c, r, rc, rr)).mean(),
    ),
    Mistake(
        "sum",
        "The sum came back, not the mean.",
        lambda c, r, rc, rr, beta: -logsigmoid(beta * _gap(c, r, rc, rr)).sum(),
    ),
)
