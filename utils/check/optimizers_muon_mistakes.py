"""Named mistakes of the lab `optimizers` in the orthogonalization and in Muon, in float64.

Legend as in `utils.check.optimizers`. Each rule is right with its defaults; a mistake changes one
of them, deliberately.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from utils.check.core import Mistake

A, B, C = 3.4445, -4.7750, 2.0315


def orthogonalize(u, rounds, *, norm=None, poly=None) -> Tensor:
    """Newton-Schulz rounds with Muon's polynomial (Jordan et al. 2024)."""
    x = u.double()
    x = x / (x.norm().clamp(min=1e-7) if norm is None else norm(x))
    for _ in range(rounds):
        x = _round(x) if poly is None else poly(x)
    return x


def _exact(u: Tensor) -> Tensor:
    p, _, q = torch.linalg.svd(u, full_matrices=False)
    return p @ q


def _round(x: Tensor, a: float = A, b: float = B, c: float = C) -> Tensor:
    gram = x @ x.T
    return a * x + b * gram @ x + c * gram @ gram @ x


ORTHOGONALIZE = (
    Mistake(
        "not-normalized",
        "The matrix was not divided by its norm first.",
        lambda *a: orthogonalize(*a, norm=lambda x: 1.0),
        "Singular values above about 1.3 make the polynomial explode.",
    ),
    Mistake(
        "normalized-each-round",
        "The matrix was divided by its norm in every round.",
        lambda *a: orthogonalize(
            *a, norm=lambda x: 1.0, poly=lambda x: _round(x / x.norm().clamp(min=1e-7))
        ),
        "Once, at the start.",
    ),
    Mistake(
        "largest-entry",
        "The matrix was divided by its largest entry, not by its Frobenius norm.",
        lambda *a: orthogonalize(*a, norm=lambda x: x.abs().max().clamp(min=1e-7)),
        "The root of the sum of all squares.",
    ),
    Mistake(
        "rows-normalized",
        "Each row was divided by its own norm.",
        lambda *a: orthogonalize(*a, norm=lambda x: x.norm(dim=1, keepdim=True).clamp(min=1e-7)),
        "One number for the whole matrix, or the singular vectors change.",
    ),
    Mistake(
        "spectral",
        "The matrix was divided by its largest singular value.",
        lambda *a: orthogonalize(*a, norm=lambda x: torch.linalg.svdvals(x).max().clamp(min=1e-7)),
        "The Frobenius norm is cheaper and never smaller.",
    ),
    Mistake(
        "entry-by-entry",
        "Powers were taken entry by entry; these are products of matrices.",
        lambda *a: orthogonalize(*a, poly=lambda x: A * x + B * x**3 + C * x**5),
        "X X' X, with the transpose in the middle.",
    ),
    Mistake(
        "coefficients-exchanged",
        "b and c were exchanged.",
        lambda *a: orthogonalize(*a, poly=lambda x: _round(x, b=C, c=B)),
        "b belongs to the third power, c to the fifth.",
    ),
    Mistake(
        "sign-of-b",
        "b was taken with a plus.",
        lambda *a: orthogonalize(*a, poly=lambda x: _round(x, b=-B)),
        "b = -4.7750.",
    ),
    Mistake(
        "no-fifth-power",
        "The term with c is missing.",
        lambda *a: orthogonalize(*a, poly=lambda x: _round(x, c=0.0)),
        "c (X X')^2 X.",
    ),
    Mistake(
        "one-round",
        "One round was made, whatever number was asked for.",
        lambda u, rounds: orthogonalize(u, 1),
        "Repeat it `rounds` times.",
    ),
    Mistake(
        "exact",
        "These are singular values of exactly 1; the rounds leave them between 0.7 and 1.2.",
        lambda u, rounds: _exact(u.double()),
        "Do as many rounds as asked for, by products alone.",
    ),
)


ZERO = Mistake(
    "zero-norm",
    "A matrix of zeros became something that is no number.",
    lambda u, rounds: u.double() / 0.0,
    "The norm that you divide by is at least 1e-7.",
)


def muon(theta, g, b, lr, mu, decay, *, keep=None, look=None, scale=None, shrink=None, ns=None):
    """The new theta and b, as torch.optim.Muon has them, with the products in float64."""
    theta, g, old = theta.double(), g.double(), b.double()
    b = mu * old + (1 - mu) * g if keep is None else keep(old, g, mu)
    u = mu * b + (1 - mu) * g if look is None else look(old, b, g, mu)
    step = orthogonalize(u, 5) if ns is None else ns(u)
    rows, columns = theta.shape
    factor = math.sqrt(max(1, rows / columns)) if scale is None else scale(rows, columns)
    small = (1 - lr * decay) * theta if shrink is None else shrink(theta, lr, decay)
    return small - lr * factor * step, b


MUON = (
    Mistake(
        "no-nesterov",
        "b itself was orthogonalized; the look ahead is missing.",
        lambda *a: muon(*a, look=lambda old, b, g, mu: b),
        "u = mu b + (1 - mu) g, with the new b.",
    ),
    Mistake(
        "old-b",
        "u was made from the old b.",
        lambda *a: muon(*a, look=lambda old, b, g, mu: mu * old + (1 - mu) * g),
        "First update b, then u.",
    ),
    Mistake(
        "summed",
        "b is a sum; the factor 1 - mu is missing.",
        lambda *a: muon(*a, keep=lambda b, g, mu: mu * b + g),
        "Here b is a mean, as Adam's m.",
    ),
    Mistake(
        "gradient-orthogonalized",
        "The gradient was orthogonalized before the momentum, not the momentum after.",
        lambda theta, g, *rest: muon(theta, orthogonalize(g, 5), *rest, ns=lambda u: u),
        "What is orthogonalized is the step.",
    ),
    Mistake(
        "not-orthogonalized",
        "The step was not orthogonalized.",
        lambda *a: muon(*a, ns=lambda u: u),
        "Use orthogonalize with five rounds.",
    ),
    Mistake(
        "orthogonalized-kept",
        "The orthogonalized step came back as b.",
        lambda *a: (muon(*a)[0], orthogonalize(a[4] * muon(*a)[1] + (1 - a[4]) * a[1].double(), 5)),
        "The state is b as it was before.",
    ),
    Mistake(
        "no-scale",
        "The factor for tall matrices is missing.",
        lambda *a: muon(*a, scale=lambda r, c: 1.0),
        "The root of R / C where that is above 1.",
    ),
    Mistake(
        "scale-without-max",
        "The factor is below 1 for wide matrices; there it is 1.",
        lambda *a: muon(*a, scale=lambda r, c: math.sqrt(r / c)),
        "max(1, R / C) under the root.",
    ),
    Mistake(
        "scale-upside-down",
        "The factor was taken of C / R.",
        lambda *a: muon(*a, scale=lambda r, c: math.sqrt(max(1, c / r))),
        "Rows over columns.",
    ),
    Mistake(
        "scale-without-root",
        "The root over R / C is missing.",
        lambda *a: muon(*a, scale=lambda r, c: max(1, r / c)),
        "sqrt(max(1, R / C)).",
    ),
    Mistake(
        "decay-in-gradient",
        "The decay was added to the gradient.",
        lambda theta, g, b, lr, mu, decay: muon(
            theta, g.double() + decay * theta.double(), b, lr, mu, 0.0
        ),
        "Shrink theta itself, as AdamW does.",
    ),
    Mistake(
        "decay-without-rate",
        "theta was shrunk by 1 - decay; the learning rate is missing.",
        lambda *a: muon(*a, shrink=lambda theta, lr, decay: (1 - decay) * theta),
        "The factor is 1 - lr * decay.",
    ),
    Mistake(
        "no-decay",
        "There is no decay.",
        lambda *a: muon(*a, shrink=lambda theta, lr, decay: theta),
        "theta becomes (1 - lr decay) theta before the step.",
    ),
    Mistake(
        "uphill",
        "The step goes up the gradient, not down.",
        lambda *a: muon(*a, ns=lambda u: -orthogonalize(u, 5)),
        "The gradient points to where the loss grows.",
    ),
    Mistake(
        "state-not-updated",
        "The b that came back is the old one.",
        lambda *a: (muon(*a)[0], a[2].double()),
        "Hand back the new b; the next step needs it.",
    ),
)
