"""Named mistakes of the lab `differentiation`: layer normalization and attention.

Legend as in `utils.check.differentiation`. Each function is deliberately wrong in one way.
"""

from __future__ import annotations

import torch
from torch import Tensor

from utils.check.core import Mistake


def _norm(x, gamma, eps, ybar, *, mean=1, along=1, g=True, s=None, y=None, root=None):
    """The three answers, each part of xbar on request.

    `s` and `y` replace scale and n in xbar alone; `root` replaces the scale wherever it stands.
    """
    x, gamma, ybar = x.double(), gamma.double(), ybar.double()
    c = x - x.mean(-1, keepdim=True)
    right = (c.square().mean(-1, keepdim=True) + eps).sqrt() if root is None else root(c, eps)
    n = c / right
    scale = right if s is None else s(c, eps)
    n_in = n if y is None else y(n, x, right)
    nbar = ybar * gamma if g else ybar
    xbar = nbar - mean * nbar.mean(-1, keepdim=True)
    xbar = xbar - along * n_in * (n_in * nbar).mean(-1, keepdim=True)
    return xbar / scale, (n * ybar).sum(0), ybar.sum(0)


def _parts(x, gamma, eps, ybar, *, gammabar=None, betabar=None):
    right = _norm(x, gamma, eps, ybar)
    n = torch.nn.functional.layer_norm(x.double(), x.shape[-1:], eps=eps)
    answers = list(right)
    answers[1] = right[1] if gammabar is None else gammabar(n, ybar.double())
    answers[2] = right[2] if betabar is None else betabar(ybar.double())
    return tuple(answers)


def _without_eps(c: Tensor, eps: float) -> Tensor:
    return c.square().mean(-1, keepdim=True).sqrt()


def _unbiased(c: Tensor, eps: float) -> Tensor:
    return (c.var(-1, keepdim=True) + eps).sqrt()


LAYER_NORM = (
    Mistake(
        "fixed-statistics",
        "Mean and standard deviation were held fixed; they move with x.",
        lambda *a: _norm(*a, mean=0, along=0),
        "Add a constant to a row of x: its result does not change, so xbar must sum to zero.",
    ),
    Mistake(
        "fixed-mean",
        "The mean was held fixed; it moves with x.",
        lambda *a: _norm(*a, mean=0),
        "A row of xbar must sum to zero.",
    ),
    Mistake(
        "fixed-deviation",
        "The standard deviation was held fixed; it moves with x.",
        lambda *a: _norm(*a, along=0),
        "Stretching a centered row hardly changes its result, so xbar must be nearly orthogonal "
        "to the normalized row.",
    ),
    Mistake(
        "gamma-forgotten",
        "gamma is missing in xbar.",
        lambda *a: _norm(*a, g=False),
        "The normalized row is multiplied by gamma on the way to y.",
    ),
    Mistake(
        "not-divided",
        "xbar was not divided by the standard deviation.",
        lambda *a: _norm(*a, s=lambda c, eps: 1.0),
        "A row ten times as large is ten times less sensitive.",
    ),
    Mistake(
        "eps-forgotten",
        "eps is missing under the root.",
        lambda *a: _norm(*a, s=_without_eps),
        "The standard deviation in the way forward is the root of variance plus eps.",
    ),
    Mistake(
        "unbiased",
        "The variance was divided by D - 1; layer normalization divides by D.",
        lambda *a: _norm(*a, s=_unbiased),
        "Tensor.var divides by D - 1 unless it is told not to.",
    ),
    Mistake(
        "eps-forgotten-throughout",
        "eps is missing under the root, in the normalized row as well.",
        lambda *a: _norm(*a, root=_without_eps),
        "The standard deviation in the way forward is the root of variance plus eps.",
    ),
    Mistake(
        "unbiased-throughout",
        "The variance was divided by D - 1, in the normalized row as well; it is divided by D.",
        lambda *a: _norm(*a, root=_unbiased),
        "Tensor.var and Tensor.std divide by D - 1 unless they are told not to.",
    ),
    Mistake(
        "along-added",
        "The term along the normalized row was added; it is taken off.",
        lambda *a: _norm(*a, along=-1),
        "xbar must be nearly orthogonal to the normalized row.",
    ),
    Mistake(
        "y-for-n",
        "The weighted and shifted row stands where the normalized one belongs.",
        lambda x, gamma, eps, ybar: _norm(
            x, gamma, eps, ybar, y=lambda n, x, s: n * gamma.double()
        ),
        "The two terms that are taken off are made of n, before gamma and beta.",
    ),
    Mistake(
        "gamma-of-x",
        "gammabar was made from x; gamma multiplies the normalized row.",
        lambda x, *a: _parts(x, *a, gammabar=lambda n, w: (x.double() * w).sum(0)),
        "y = gamma n + beta.",
    ),
    Mistake(
        "beta-mean",
        "beta got the mean over the rows, not their sum.",
        lambda *a: _parts(*a, betabar=lambda w: w.mean(0)),
        "Each row's use of beta hands something back, and they add up.",
    ),
    Mistake(
        "gamma-mean",
        "gamma got the mean over the rows, not their sum.",
        lambda *a: _parts(*a, gammabar=lambda n, w: (n * w).mean(0)),
        "Each row's use of gamma hands something back, and they add up.",
    ),
)


def _attention(q, k, v, obar, *, root=True, back=None, which=None) -> tuple[Tensor, ...]:
    q, k, v, obar = (x.double() for x in (q, k, v, obar))
    scale = q.shape[-1] ** -0.5
    a = torch.softmax(q @ k.mT * scale, -1)
    abar = obar @ v.mT
    gbar = a * (abar - (a * abar).sum(-1, keepdim=True)) if back is None else back(a, abar)
    factor = scale if root else 1.0
    answers = {"q": gbar @ k * factor, "k": gbar.mT @ q * factor, "v": a.mT @ obar}
    for name, f in (which or {}).items():
        answers[name] = f(a, gbar, q, k, v, obar, factor)
    return answers["q"], answers["k"], answers["v"]


def _twice(a: Tensor, abar: Tensor) -> Tensor:
    p = torch.softmax(a, -1)
    return p * (abar - (p * abar).sum(-1, keepdim=True))


ATTENTION = (
    Mistake(
        "no-root",
        "The root of D is missing on the way back.",
        lambda *x: _attention(*x, root=False),
        "The scores were divided by it, so what they hand back is divided by it too.",
    ),
    Mistake(
        "no-softmax",
        "The way back goes past the softmax.",
        lambda *x: _attention(*x, back=lambda a, abar: abar),
        "Abar is the weight of A; the scores need softmax_vjp of it.",
    ),
    Mistake(
        "softmax-twice",
        "A softmax was taken of the weights A: the softmax's way back begins at the scores.",
        lambda *x: _attention(*x, back=_twice),
        "softmax_vjp takes what went into the softmax, not what came out of it.",
    ),
    Mistake(
        "softmax-diagonal",
        "Only the diagonal of the softmax's Jacobian was used.",
        lambda *x: _attention(*x, back=lambda a, abar: a * (1 - a) * abar),
        "A larger score takes weight from the other keys as well.",
    ),
    Mistake(
        "softmax-no-sum",
        "The term that is common to a row of the softmax is missing.",
        lambda *x: _attention(*x, back=lambda a, abar: a * abar),
        "Rows of A sum to 1, so a row of Gbar sums to zero.",
    ),
    Mistake(
        "softmax-over-queries",
        "The common term was summed over the queries, not over the keys.",
        lambda *x: _attention(
            *x, back=lambda a, abar: a * (abar - (a * abar).sum(-2, keepdim=True))
        ),
        "A row of A belongs to one query.",
    ),
    Mistake(
        "weights-not-transposed",
        "Vbar was made with A as it is; its transpose is needed.",
        lambda *x: _attention(*x, which={"v": lambda a, g, q, k, v, o, f: a @ o}),
        "Each value collects from all queries that looked at it: down a column of A.",
    ),
    Mistake(
        "scores-not-transposed",
        "Kbar was made with Gbar as it is; its transpose is needed.",
        lambda *x: _attention(*x, which={"k": lambda a, g, q, k, v, o, f: g @ q * f}),
        "Each key collects from all queries: down a column of Gbar.",
    ),
    Mistake(
        "q-and-k-exchanged",
        "Qbar was made from Q and Kbar from K; each is made from the other one.",
        lambda *x: _attention(
            *x,
            which={
                "q": lambda a, g, q, k, v, o, f: g @ q * f,
                "k": lambda a, g, q, k, v, o, f: g.mT @ k * f,
            },
        ),
        "The slope of a product in one factor is the other factor.",
    ),
    Mistake(
        "root-of-e",
        "The root is that of the values' width; it is that of the keys'.",
        lambda q, k, v, o: tuple(
            x * (q.shape[-1] / v.shape[-1]) ** 0.5 if i < 2 else x
            for i, x in enumerate(_attention(q, k, v, o))
        ),
        "D is q.shape[-1].",
    ),
)
