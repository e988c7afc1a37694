"""Checks of the lab `scaling-laws`: counts, a power law, the fitted law, its optimum, intervals.

Legend: n runs; N parameters, D tokens, L losses (nats a token), each of shape (n,); C operations;
theta = (a, b, e, alpha, beta) with a = log A, b = log B, e = log E.

The references follow Kaplan et al. 2020 (counts, 6 N D) and Hoffmann et al. 2022 (equations 2 to
4 and the Huber loss of logarithms), in float64; answers agree within 1e-4 relative.
"""

from __future__ import annotations

import numpy as np

from utils.check import scaling_laws_count_mistakes as counts
from utils.check import scaling_laws_fit_mistakes as fits
from utils.check import scaling_laws_mistakes as wrong
from utils.check.core import Lab
from utils.check.trial import Trial

LAB = Lab("scaling-laws", "Scaling laws", points=30)
COURSE = ("utils.*",)
HUBER = ("scipy.special.huber", "torch.nn.functional.huber_loss", "torch.nn.HuberLoss")
FITTERS = (*COURSE, "scipy.stats.*", "scipy.optimize.*")


@LAB.task(
    "Parameters with and without the tables",
    points=2,
    minutes=8,
    difficulty=1,
    functions=("parameters",),
    forbidden=COURSE,
    hints=(
        "Attention has four matrices of width times width: queries, keys, values, output.",
        "The feed-forward layer goes from width to inner and back: two matrices.",
        "Two tables hold one row of the width for each token and for each position.",
    ),
)
def parameters(t: Trial) -> None:
    for _ in range(3):
        layers, width, factor, vocabulary, context = t.distinct(5, 2, 30)
        args = layers, 2 * width, factor * width + 1, 100 * vocabulary, 10 * context
        t.equal("parameters", *args, expected=_parameters(*args), mistakes=counts.PARAMETERS)
    args = 12, 768, 3072, 50257, 1024  # GPT-2, the smallest
    t.equal("parameters", *args, expected=_parameters(*args), mistakes=counts.PARAMETERS)


@LAB.task(
    "The price of a training",
    points=2,
    minutes=6,
    difficulty=1,
    functions=("training_flops", "tokens_for"),
    forbidden=COURSE,
    hints=(
        "A weight takes one multiplication and one addition for each token on the way forward.",
        "The way back costs twice the way forward.",
        "For the second function solve C = 6 N D for D.",
    ),
)
def operations(t: Trial) -> None:
    for _ in range(2):
        N, D = (float(v) for v in 10 ** t.rng.uniform(3, 9, 2))
        t.equal("training_flops", N, D, expected=6 * N * D, mistakes=counts.FLOPS)
        C = float(N * 10 ** t.rng.uniform(2, 6))
        t.equal("tokens_for", C, N, expected=C / 6 / N, mistakes=counts.TOKENS)
    N, D = 10 ** t.rng.uniform(3, 5, 4), 10 ** t.rng.uniform(3, 5, 4)
    t.equal("training_flops", N, D, expected=6 * N * D, mistakes=counts.FLOPS)
    C = float(N.mean() * t.integer(200, 300) / 7)
    t.equal("tokens_for", C, N, expected=C / 6 / N, mistakes=counts.TOKENS)


@LAB.task(
    "A power law above a floor",
    points=3,
    minutes=10,
    difficulty=1,
    functions=("power_law",),
    forbidden=FITTERS,
    hints=(
        "Which quantity is a pure power of x? Subtract the floor before anything else.",
        "The logarithm of scale · x to the minus exponent is a straight line in log x. "
        "What are its slope and its intercept?",
        "np.polyfit(x, y, 1) gives slope and intercept, in this order. Use one kind of logarithm, "
        "and undo it for the scale.",
    ),
)
def power_law(t: Trial) -> None:
    for count in (t.integer(6, 9), t.integer(4, 6), 2):
        x, y, floor = _points(t, count)
        args = x, y, floor
        t.equal("power_law", *args, expected=_power(*args), mistakes=fits.POWER, atol=1e-9)
    x, y, floor = _points(t, 6)
    args = x, y - floor, 0.0
    t.equal("power_law", *args, expected=_power(*args), mistakes=fits.POWER, atol=1e-9)
    args = x, floor + 1 / (y - floor), floor  # rises: the exponent is negative
    t.equal("power_law", *args, expected=_power(*args), mistakes=fits.POWER, atol=1e-9)


@LAB.task(
    "The logarithm of the law",
    points=3,
    minutes=10,
    difficulty=2,
    functions=("log_law",),
    forbidden=COURSE,
    hints=(
        "The logarithm of A / N^alpha is a - alpha · log N. Write the other two terms in the "
        "same way.",
        "L is the sum of the exponentials of the three; the result is the logarithm of that sum.",
        "Subtract the largest of the three before exp and add it back after log, run by run.",
    ),
)
def log_law(t: Trial) -> None:
    for _ in range(2):
        theta, N, D = _constants(t), *_runs(t, t.integer(4, 8))
        args = theta, N, D
        t.equal("log_law", *args, expected=_log_law(*args), mistakes=wrong.LAW)
    for shift in (900.0, -900.0):  # what a descent may try
        args = theta + np.array([shift, shift, shift, 0, 0]), N, D
        t.equal("log_law", *args, expected=_log_law(*args), mistakes=wrong.LAW)
    spread = theta + np.array([1500.0, 0, -1500.0, 0, 0]), N, D
    t.equal("log_law", *spread, expected=_log_law(*spread), mistakes=wrong.LAW)
    steep = np.array([1000.0, -3000.0, -3000.0, 3.0, theta[4]])  # runs far from one another
    apart = steep, N * np.logspace(0, 280, len(N)), D
    t.equal("log_law", *apart, expected=_log_law(*apart), mistakes=wrong.LAW)


@LAB.task(
    "What the fit makes small",
    points=4,
    minutes=12,
    difficulty=2,
    functions=("objective",),
    forbidden=(*COURSE, *HUBER),
    hints=(
        "The residual r of a run is log_law minus the natural logarithm of its loss.",
        "Up to delta the Huber loss is r²/2. Beyond, it is a straight line of slope delta.",
        "At |r| = delta the two pieces must meet: what must be subtracted from delta · |r|?",
    ),
)
def objective(t: Trial) -> None:
    for delta in (0.05, 0.2, 1.0):
        theta, N, D = _constants(t), *_runs(t, 2 * t.integer(3, 5))
        # half of the residuals within delta, half beyond, of both signs
        r = delta * np.r_[t.rng.uniform(0.2, 0.9, len(N) // 2), t.rng.uniform(1.5, 4, len(N) // 2)]
        signs = np.where(np.arange(len(N)) % 2, 1.0, -1.0)
        L = np.exp(_log_law(theta, N, D) + r * signs)
        args = theta, N, D, L, delta
        expected = _objective(*args)
        t.equal("objective", *args, expected=expected, mistakes=wrong.OBJECTIVE, atol=1e-9)


@LAB.task(
    "The best split of a budget",
    points=4,
    minutes=12,
    difficulty=2,
    functions=("optimum",),
    forbidden=(*COURSE, "scipy.optimize.*"),
    hints=(
        "Put D = C / (6 N) into the law and set the derivative by log N to zero: "
        "alpha · A / N^alpha = beta · B / D^beta.",
        "Put D = C / (6 N) into that and solve for N: first collect all powers of N on one side.",
        "N to the power alpha + beta is alpha A / (beta B) times (C / 6) to the power beta. "
        "theta holds the logarithms of A and B.",
    ),
)
def optimum(t: Trial) -> None:
    for _ in range(3):
        theta, C = _constants(t), float(10 ** t.rng.uniform(15, 25))
        t.equal("optimum", theta, C, expected=_optimum(theta, C), mistakes=wrong.OPTIMUM)
    theta = _constants(t)
    theta[4] = theta[3]  # equal exponents
    t.equal("optimum", theta, C, expected=_optimum(theta, C), mistakes=wrong.OPTIMUM)


@LAB.task(
    "An interval, and a model not seen",
    points=4,
    minutes=17,
    difficulty=3,
    functions=("exponent_interval", "held_out_error"),
    forbidden=FITTERS,
    hints=(
        "A run is a pair: the same row numbers choose its x and its y.",
        "Fit each row of numbers with power_law and keep the exponent. Between which two "
        "quantiles of these lies the share `level`, with as much left out below as above?",
        "The held-out run is that of the largest x, wherever it stands; the fit must not see it. "
        "The error is the forecast, floor included, minus the measured loss.",
    ),
)
def interval(t: Trial) -> None:
    for level, draws in ((0.95, 100), (0.8, 61), (0.5, 40)):
        args = *_points(t, t.integer(8, 12)), draws, t.integer(0, 10**6), level
        expected = _interval(*args)
        t.equal("exponent_interval", *args, expected=expected, mistakes=fits.INTERVAL, atol=1e-9)
    for place in (0, 3, -1):
        x, y, floor = _points(t, t.integer(5, 8))
        at = x.argmax()
        for values in (x, y):
            values[[place, at]] = values[[at, place]]
        expected = _held_out(x, y, floor)
        t.equal("held_out_error", x, y, floor, expected=expected, mistakes=fits.HELD, atol=1e-9)


# --- references -----------------------------------------------------------------------------
def _parameters(layers, width, inner, vocabulary, context) -> tuple[int, int]:
    attention, feed_forward = 4 * width * width, 2 * width * inner
    return layers * (attention + feed_forward), (vocabulary + context) * width


def _power(x, y, floor) -> tuple[float, float]:
    u, v = np.log(x), np.log(y - floor)
    slope = ((u - u.mean()) * (v - v.mean())).sum() / ((u - u.mean()) ** 2).sum()
    return float(np.exp(v.mean() - slope * u.mean())), float(-slope)


def _log_law(theta, N, D):
    a, b, e, alpha, beta = theta
    return np.logaddexp(np.logaddexp(a - alpha * np.log(N), b - beta * np.log(D)), e)


def _objective(theta, N, D, L, delta) -> float:
    r = np.abs(_log_law(theta, N, D) - np.log(L))
    return float(np.where(r <= delta, r * r / 2, delta * r - delta * delta / 2).sum())


def _optimum(theta, C) -> tuple[float, float]:
    a, b, _, alpha, beta = theta
    log_n = (np.log(alpha) + a - np.log(beta) - b + beta * np.log(C / 6)) / (alpha + beta)
    return float(np.exp(log_n)), float(C / 6 / np.exp(log_n))


def _interval(x, y, floor, draws, seed, level) -> tuple[float, float]:
    rows = np.random.default_rng(seed).integers(len(x), size=(draws, len(x)))
    u, v = np.log(x)[rows], np.log(y - floor)[rows]
    u, v = u - u.mean(1, keepdims=True), v - v.mean(1, keepdims=True)
    found = -(u * v).sum(1) / (u * u).sum(1)
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _held_out(x, y, floor) -> float:
    seen = np.arange(len(x)) != x.argmax()
    scale, exponent = _power(x[seen], y[seen], floor)
    return float(floor + scale * x.max() ** -exponent - y[x.argmax()])


# --- inputs ---------------------------------------------------------------------------------
def _points(t: Trial, count: int):
    """x, y (count,) and a floor: a noisy power law above it, in no order."""
    x = 10 ** (3 + t.rng.permutation(count) * 0.4 + t.rng.uniform(0, 0.2, count))
    floor, exponent = t.rng.uniform(0.5, 2), t.rng.uniform(0.1, 0.4)
    noise = np.exp(0.15 * t.rng.standard_normal(count))
    return x, floor + t.rng.uniform(4, 20) * x**-exponent * noise, float(floor)


def _constants(t: Trial):
    """theta, with three terms of comparable size at the runs of `_runs`."""
    a, b = t.rng.uniform(4, 6), t.rng.uniform(6.5, 8)
    alpha, beta = t.rng.uniform(0.2, 0.3), t.rng.uniform(0.32, 0.45)
    return np.array([a, b, t.rng.uniform(-0.9, 0.9), alpha, beta])


def _runs(t: Trial, count: int):
    """N and D (count,)."""
    return 10 ** t.rng.uniform(6, 10, count), 10 ** t.rng.uniform(7, 11, count)
