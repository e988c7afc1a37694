"""Known mistakes of the lab `scaling-laws`: the law, its objective, its optimum.

Legend as in `utils.check.scaling_laws`. Each function is deliberately wrong in one way.
"""

from __future__ import annotations

import numpy as np

from utils.check.core import Mistake


def _terms(theta, N, D, log=np.log):
    a, b, e, alpha, beta = theta
    return np.stack([a - alpha * log(N), b - beta * log(D), np.full(len(N), e)])


def _lse(terms):
    return np.logaddexp.reduce(terms, axis=0)


def _quiet(function):
    def wrong(*args):
        with np.errstate(all="ignore"):
            return function(*args)

    return wrong


def _swap(theta):
    return np.asarray(theta)[[0, 1, 2, 4, 3]]


LAW = (
    Mistake(
        "overflow",
        "exp was taken of the terms as they are: it overflows, or all three become 0.",
        _quiet(lambda w, N, D: np.log(np.exp(_terms(w, N, D)).sum(0))),
        "Take the largest of the three out first.",
    ),
    Mistake(
        "global-shift",
        "The largest term of all runs was subtracted, not that of each run.",
        _quiet(
            lambda w, N, D: (
                np.log(np.exp(_terms(w, N, D) - _terms(w, N, D).max()).sum(0))
                + _terms(w, N, D).max()
            )
        ),
        "The maximum runs over the three terms, run by run.",
    ),
    Mistake(
        "shift-lost",
        "The largest term was subtracted and not added back.",
        lambda w, N, D: _lse(_terms(w, N, D)) - _terms(w, N, D).max(0),
    ),
    Mistake(
        "log10",
        "Logarithms to base 10 were taken of N and D; a and b are natural logarithms.",
        lambda w, N, D: _lse(_terms(w, N, D, np.log10)),
        "np.log is the natural logarithm.",
    ),
    Mistake(
        "exponents-swapped",
        "alpha belongs to N and beta to D.",
        lambda w, N, D: _lse(_terms(_swap(w), N, D)),
    ),
    Mistake(
        "sign",
        "The loss rises with N and D: the exponents need a minus.",
        lambda w, N, D: _lse(_terms(np.asarray(w) * [1, 1, 1, -1, -1], N, D)),
    ),
    Mistake(
        "no-floor",
        "E is missing.",
        lambda w, N, D: _lse(_terms(w, N, D)[:2]),
        "Three terms: the floor is there at any N and D.",
    ),
    Mistake(
        "floor-not-exp",
        "e was added as it is; it is the logarithm of E.",
        _quiet(lambda w, N, D: np.log(np.exp(_terms(w, N, D)[:2]).sum(0) + w[2])),
    ),
    Mistake(
        "law-itself",
        "This is L, not its logarithm.",
        _quiet(lambda w, N, D: np.exp(_lse(_terms(w, N, D)))),
    ),
    Mistake(
        "logs-added",
        "The logarithms were added: that multiplies the terms.",
        lambda w, N, D: _terms(w, N, D).sum(0),
    ),
)


def _residual(w, N, D, L):
    return _lse(_terms(w, N, D)) - np.log(L)


def _pieces(inner, outer):
    """A sum of two pieces, functions of |r| and delta."""

    def wrong(w, N, D, L, delta):
        r = np.abs(_residual(w, N, D, L))
        return np.where(r <= delta, inner(r, delta), outer(r, delta)).sum()

    return wrong


def _huber(r, delta):
    r = np.abs(r)
    return np.where(r <= delta, r * r / 2, delta * (r - delta / 2))


OBJECTIVE = (
    Mistake(
        "square-not-halved",
        "The inner piece is r², not half of it, so the two pieces do not meet.",
        _pieces(lambda r, d: r * r, lambda r, d: d * (r - d / 2)),
        "At |r| = delta both pieces must be delta²/2.",
    ),
    Mistake(
        "no-offset",
        "The outer piece is delta · |r|, too high by delta²/2: the pieces do not meet.",
        _pieces(lambda r, d: r * r / 2, lambda r, d: d * r),
        "At |r| = delta both pieces must be delta²/2.",
    ),
    Mistake(
        "offset-delta",
        "The outer piece subtracts delta², not half of it.",
        _pieces(lambda r, d: r * r / 2, lambda r, d: d * (r - d)),
        "At |r| = delta both pieces must be delta²/2.",
    ),
    Mistake(
        "smooth-l1",
        "This is the Huber loss divided by delta (smooth L1).",
        lambda w, N, D, L, d: _huber(_residual(w, N, D, L), d).sum() / d,
    ),
    Mistake(
        "squares-only",
        "Every residual was squared: the straight piece is missing.",
        lambda w, N, D, L, d: (_residual(w, N, D, L) ** 2 / 2).sum(),
    ),
    Mistake(
        "signed",
        "The residual was compared with delta without its absolute value.",
        lambda w, N, D, L, d: np.where(
            _residual(w, N, D, L) <= d,
            _residual(w, N, D, L) ** 2 / 2,
            d * (_residual(w, N, D, L) - d / 2),
        ).sum(),
        "A residual of -3 delta is beyond delta too.",
    ),
    Mistake(
        "mean",
        "The mean came back; the sum over the runs was asked for.",
        lambda w, N, D, L, d: _huber(_residual(w, N, D, L), d).mean(),
    ),
    Mistake(
        "per-run",
        "One number a run came back; their sum was asked for.",
        lambda w, N, D, L, d: _huber(_residual(w, N, D, L), d),
    ),
    Mistake(
        "loss-not-log",
        "The loss itself was subtracted from the logarithm of the law.",
        lambda w, N, D, L, d: _huber(_lse(_terms(w, N, D)) - L, d).sum(),
        "Both sides in logarithms.",
    ),
    Mistake(
        "nats-not-logs",
        "The residuals are differences of losses; differences of logarithms were asked for.",
        lambda w, N, D, L, d: _huber(np.exp(_lse(_terms(w, N, D))) - L, d).sum(),
        "Both sides in logarithms.",
    ),
    Mistake(
        "loss-log10",
        "The logarithm of the loss was taken to base 10.",
        lambda w, N, D, L, d: _huber(_lse(_terms(w, N, D)) - np.log10(L), d).sum(),
        "np.log is the natural logarithm.",
    ),
)


def _best(a, b, alpha, beta, C, *, ratio=None, power=None):
    """N and C / N: the ratio and the power of the closed form can be put in wrong."""
    G = (alpha / beta if ratio is None else ratio) * np.exp(a - b)
    N = G ** (1 / (alpha + beta)) * C ** (beta / (alpha + beta) if power is None else power)
    return N, C / N


OPTIMUM = (
    Mistake(
        "exponents-swapped",
        "alpha and beta changed places in the power of C.",
        lambda w, C: _best(w[0], w[1], w[3], w[4], C / 6, power=w[3] / (w[3] + w[4])),
        "The larger beta is, the faster text is used up, and the more N grows.",
    ),
    Mistake(
        "no-six",
        "The budget was taken as ND: the 6 is missing.",
        lambda w, C: _best(w[0], w[1], w[3], w[4], C),
        "N times D must be C / 6.",
    ),
    Mistake(
        "no-ratio",
        "alpha / beta is missing in front of A / B: the terms were set equal, not their slopes.",
        lambda w, C: _best(w[0], w[1], w[3], w[4], C / 6, ratio=1.0),
        "The derivative by log N brings the exponents down.",
    ),
    Mistake(
        "ratio-inverted",
        "beta / alpha stands in place of alpha / beta.",
        lambda w, C: _best(w[0], w[1], w[3], w[4], C / 6, ratio=w[4] / w[3]),
    ),
    Mistake(
        "g-inverted",
        "N was multiplied by 1 / G: A and B have changed places.",
        lambda w, C: _best(
            w[1], w[0], w[3], w[4], C / 6, ratio=w[4] / w[3], power=w[4] / (w[3] + w[4])
        ),
    ),
    Mistake(
        "logs-as-constants",
        "a and b were used as A and B; they are their logarithms.",
        lambda w, C: _best(np.log(w[0]), np.log(w[1]), w[3], w[4], C / 6),
    ),
    Mistake(
        "order",
        "The tokens came first; N comes first.",
        lambda w, C: _best(w[0], w[1], w[3], w[4], C / 6)[::-1],
    ),
    Mistake(
        "tokens-without-six",
        "N is right; D is C / N, without the 6.",
        lambda w, C: (
            _best(w[0], w[1], w[3], w[4], C / 6)[0],
            C / _best(w[0], w[1], w[3], w[4], C / 6)[0],
        ),
    ),
)
