"""The lab `scaling-laws`: right answers in any style pass, wrong ones are told apart."""

import math

import numpy as np
import pytest
import torch
from lab_support import assert_lab_scores, assert_styles_pass, refusals, solved
from scipy import special, stats

from utils.check.core import lab

NAME = "scaling-laws"
LAB = lab(NAME)
RIGHT = solved(NAME)  # the namespace of the solutions


# --- other styles ---------------------------------------------------------------------------
def power_by_lstsq(x, y, floor):
    X = np.column_stack([np.ones(len(x)), np.log10(x)])
    (intercept, slope), *_ = np.linalg.lstsq(X, np.log10(y - floor), rcond=None)
    return 10**intercept, -slope


def power_by_sums(x, y, floor):
    u, v = [math.log(one) for one in x], [math.log(one - floor) for one in y]
    mean_u, mean_v = sum(u) / len(u), sum(v) / len(v)
    top = sum((a - mean_u) * (b - mean_v) for a, b in zip(u, v, strict=True))
    slope = top / sum((a - mean_u) ** 2 for a in u)
    return [math.exp(mean_v - slope * mean_u), -slope]


def law_by_torch(theta, N, D):
    a, b, e, alpha, beta = (float(v) for v in theta)
    n, d = (torch.from_numpy(v).log() for v in (N, D))
    return torch.stack([a - alpha * n, b - beta * d, torch.full_like(n, e)], 1).logsumexp(1)


def law_by_runs(theta, N, D):
    a, b, e, alpha, beta = theta
    pairs = zip(N, D, strict=True)
    return [
        special.logsumexp([a - alpha * math.log(n), b - beta * math.log(d), e]) for n, d in pairs
    ]


def law_by_runs_array(theta, N, D):
    return np.array(law_by_runs(theta, N, D))


def objective_by_loop(theta, N, D, L, delta):
    total = 0.0
    for r in law_by_runs_array(theta, N, D) - np.log(L):
        total += r * r / 2 if abs(r) < delta else delta * abs(r) - delta**2 / 2
    return total


def objective_by_clip(theta, N, D, L, delta):
    r = np.abs(np.logaddexp.reduce(terms(theta, N, D)) - np.log(L))
    near = np.minimum(r, delta)
    return (near**2 / 2 + delta * (r - near)).sum()


def optimum_by_g(theta, C):
    A, B = np.exp(theta[:2])
    alpha, beta = theta[3:]
    G = (alpha * A / (beta * B)) ** (1 / (alpha + beta))
    return G * (C / 6) ** (beta / (alpha + beta)), (C / 6) ** (alpha / (alpha + beta)) / G


def optimum_in_logs(theta, C):
    a, b, _, alpha, beta = (float(v) for v in theta)
    log_n = (math.log(alpha / beta) + a - b + beta * math.log(C / 6)) / (alpha + beta)
    return math.exp(log_n), math.exp(math.log(C / 6) - log_n)


def interval_in_turn(x, y, floor, draws, seed, level):
    rng, found = np.random.default_rng(seed), []
    for row in rng.integers(0, len(x), (draws, len(x))):
        found.append(power_by_lstsq(x[row], y[row], floor)[1])
    outside = 100 * (1 - level) / 2
    return tuple(np.percentile(found, [outside, 100 - outside]))


def held_by_sorting(x, y, floor):
    order = np.argsort(x)
    x, y = x[order], y[order]
    scale, exponent = power_by_sums(x[:-1], y[:-1], floor)
    return floor + scale / x[-1] ** exponent - y[-1]


OTHER_STYLES = {
    "parameters": [
        {"parameters": lambda n, m, f, v, c: (n * 2 * m * (2 * m + f), v * m + c * m)},
        {"parameters": lambda n, m, f, v, c: [sum(4 * m**2 + 2 * m * f for _ in range(n)),
                                              m * (v + c)]},
    ],
    "operations": [
        {"training_flops": lambda N, D: N * D * 6.0, "tokens_for": lambda C, N: C / 6 / N}
    ],
    "power_law": [{"power_law": power_by_lstsq}, {"power_law": power_by_sums}],
    "log_law": [{"log_law": law_by_torch}, {"log_law": law_by_runs_array}],
    "objective": [{"objective": objective_by_loop}, {"objective": objective_by_clip}],
    "optimum": [{"optimum": optimum_by_g}, {"optimum": optimum_in_logs}],
    "interval": [{"exponent_interval": interval_in_turn, "held_out_error": held_by_sorting}],
}  # fmt: skip


@pytest.mark.parametrize("task", LAB.ids())
@pytest.mark.parametrize("seed", range(5))
def test_right_answers_pass(task, seed):
    assert_styles_pass(NAME, RIGHT, OTHER_STYLES[task], task, seed)


# --- wrong answers --------------------------------------------------------------------------
power, law, best = RIGHT["power_law"], RIGHT["log_law"], RIGHT["optimum"]
error = RIGHT["held_out_error"]


def terms(theta, N, D):
    a, b, e, alpha, beta = theta
    return np.array([a - alpha * np.log(N), b - beta * np.log(D), np.zeros(len(N)) + e])


def naive(theta, N, D):
    with np.errstate(all="ignore"):
        return np.log(np.exp(terms(theta, N, D)).sum(0))


def one_shift(theta, N, D):
    with np.errstate(all="ignore"):
        z = terms(theta, N, D)
        return np.log(np.exp(z - z.max()).sum(0)) + z.max()


def ten(theta, N, D):
    return law(theta, np.exp(np.log10(N)), np.exp(np.log10(D)))


def changed(theta, N, D):
    theta[0] = np.exp(theta[0] / 100)
    return law(theta, N, D)


def huber(r, delta, inner=0.5, offset=0.5):
    r = abs(r)
    return np.where(r <= delta, inner * r**2, delta * (r - offset * delta)).sum()


def gap(theta, N, D, L):
    return law(theta, N, D) - np.log(L)


def bootstrap(x, y, floor, draws, seed, level, *, pick=None, ends=None, fit=power):
    rng, n = np.random.default_rng(seed), len(x)
    pick = pick or (lambda rng: (r := rng.integers(n, size=(draws, n)), r))
    found = np.array([fit(x[a], y[b], floor)[1] for a, b in zip(*pick(rng), strict=True)])
    if ends:
        return ends(found, level)
    return tuple(np.quantile(found, ((1 - level) / 2, 1 - (1 - level) / 2)))


def separate(x, y, floor, draws, seed, level):
    shape = draws, len(x)

    def pick(rng):
        return rng.integers(len(x), size=shape), rng.integers(len(x), size=shape)

    return bootstrap(x, y, floor, draws, seed, level, pick=pick)


def separate_in_turn(x, y, floor, draws, seed, level):
    def pick(rng):
        n = len(x)
        both = [(rng.integers(n, size=n), rng.integers(n, size=n)) for _ in range(draws)]
        return zip(*both, strict=True)

    return bootstrap(x, y, floor, draws, seed, level, pick=pick)


def of_residuals(x, y, floor, draws, seed, level):
    scale, exponent = power(x, y, floor)
    line = scale * x**-exponent
    left = (y - floor) / line
    rows = np.random.default_rng(seed).integers(len(x), size=(draws, len(x)))
    found = [power(x, floor + line * left[r], floor)[1] for r in rows]
    return tuple(np.quantile(found, ((1 - level) / 2, (1 + level) / 2)))


def mirrored(x, y, floor, *rest):
    low, high = bootstrap(x, y, floor, *rest)
    middle = 2 * power(x, y, floor)[1]
    return middle - high, middle - low


def forecast(x, y, floor, out, fit=power):
    seen = [i for i in range(len(x)) if i != out]
    scale, exponent = fit(x[seen], y[seen], floor)
    return floor + scale * x[out] ** -exponent


def seen_error(x, y, floor):
    scale, exponent = power(x, y, floor)
    return floor + scale * x.max() ** -exponent - y[x.argmax()]


WRONG = {
    "parameters": {
        "embeddings-counted": lambda n, m, f, v, c: (
            n * (4 * m * m + 2 * m * f) + m * (v + c), m * (v + c)
        ),
        "no-output-matrix": lambda n, m, f, v, c: (n * (3 * m * m + 2 * m * f), m * (v + c)),
        "one-feed-forward": lambda n, m, f, v, c: (n * (4 * m * m + m * f), m * (v + c)),
        "gated": lambda n, m, f, v, c: (n * (4 * m * m + 3 * m * f), m * (v + c)),
        "twelve": lambda n, m, f, v, c: (12 * n * m**2, m * (v + c)),
        "one-block": lambda n, m, f, v, c: (4 * m * m + 2 * m * f, m * (v + c)),
        "no-positions": lambda n, m, f, v, c: (n * (4 * m * m + 2 * m * f), m * v),
        "head-twice": lambda n, m, f, v, c: (n * (4 * m * m + 2 * m * f), m * (v + c + v)),
        "order": lambda n, m, f, v, c: (m * (v + c), n * (4 * m * m + 2 * m * f)),
    },
    "operations": {
        "forward-only": lambda N, D: 2 * N * D,
        "backward-only": lambda N, D: 4 * N * D,
        "multiplications-only": lambda N, D: 3 * N * D,
        "no-factor": lambda N, D: N * D,
        "summed": lambda N, D: 6 * (N + D),
    },
    "power_law": {
        "floor-ignored": lambda x, y, f: power(x, y, 0),
        "floor-after-log": lambda x, y, f: power(x, np.exp(np.log(y) - f), 0),
        "sign": lambda x, y, f: (power(x, y, f)[0], -power(x, y, f)[1]),
        "log10-exp": lambda x, y, f: (np.exp(np.log10(power(x, y, f)[0])), power(x, y, f)[1]),
        "mixed-logs": lambda x, y, f: power(np.exp(np.log10(x)), y, f),
        "scale-log": lambda x, y, f: (np.log(power(x, y, f)[0]), power(x, y, f)[1]),
        "order": lambda x, y, f: power(x, y, f)[::-1],
        "semilog": lambda x, y, f: tuple(np.polyfit(np.log(x), y - f, 1)[::-1] * [1, -1]),
        "forbidden": lambda x, y, f: (
            np.exp(stats.linregress(np.log(x), np.log(y - f)).intercept), 0.0
        ),
    },
    "log_law": {
        "overflow": naive,
        "global-shift": one_shift,
        "shift-lost": lambda w, N, D: law(w, N, D) - terms(w, N, D).max(0),
        "log10": ten,
        "exponents-swapped": lambda w, N, D: law(w[[0, 1, 2, 4, 3]], N, D),
        "sign": lambda w, N, D: law(np.r_[w[:3], -w[3:]], N, D),
        "no-floor": lambda w, N, D: np.logaddexp(*terms(w, N, D)[:2]),
        "floor-not-exp": lambda w, N, D: np.log(np.exp(terms(w, N, D)[:2]).sum(0) + w[2] * 1.0),
        "law-itself": lambda w, N, D: np.exp(law(w, N, D)),
        "logs-added": lambda w, N, D: terms(w, N, D).sum(0),
        "changed-input": changed,
    },
    "objective": {
        "square-not-halved": lambda w, N, D, L, d: huber(gap(w, N, D, L), d, inner=1),
        "no-offset": lambda w, N, D, L, d: huber(gap(w, N, D, L), d, offset=0),
        "offset-delta": lambda w, N, D, L, d: huber(gap(w, N, D, L), d, offset=1),
        "smooth-l1": lambda w, N, D, L, d: huber(gap(w, N, D, L), d) / d,
        "squares-only": lambda w, N, D, L, d: (gap(w, N, D, L) ** 2).sum() / 2,
        "signed": lambda w, N, D, L, d: sum(
            r * r / 2 if r <= d else d * (r - d / 2) for r in gap(w, N, D, L)
        ),
        "mean": lambda w, N, D, L, d: huber(gap(w, N, D, L), d) / len(N),
        "per-run": lambda w, N, D, L, d: np.array([huber(r, d) for r in gap(w, N, D, L)]),
        "loss-not-log": lambda w, N, D, L, d: huber(law(w, N, D) - L, d),
        "nats-not-logs": lambda w, N, D, L, d: huber(np.exp(law(w, N, D)) - L, d),
        "loss-log10": lambda w, N, D, L, d: huber(law(w, N, D) - np.log10(L), d),
        "forbidden": lambda w, N, D, L, d: torch.nn.functional.huber_loss(
            *(torch.from_numpy(v) for v in (law(w, N, D), np.log(L))), reduction="sum", delta=d
        ),
    },
    "optimum": {
        "exponents-swapped": lambda w, C: (
            N := best(w, 6.0)[0] * (C / 6) ** (w[3] / (w[3] + w[4])), C / 6 / N
        ),
        "no-six": lambda w, C: (N := best(w, 6 * C)[0], C / N),
        "no-ratio": lambda w, C: (
            N := best(w, C)[0] * (w[4] / w[3]) ** (1 / (w[3] + w[4])), C / 6 / N
        ),
        "ratio-inverted": lambda w, C: (
            N := best(w, C)[0] * (w[4] / w[3]) ** (2 / (w[3] + w[4])), C / 6 / N
        ),
        "g-inverted": lambda w, C: (
            N := best(w, C)[0] / best(w, 6.0)[0] ** 2, C / 6 / N
        ),
        "logs-as-constants": lambda w, C: best(np.r_[np.log(w[:2]), w[2:]], C),
        "order": lambda w, C: best(w, C)[::-1],
        "tokens-without-six": lambda w, C: (best(w, C)[0], C / best(w, C)[0]),
    },
    "interval": {
        "reversed": lambda *args: bootstrap(*args)[::-1],
        "one-sided": lambda *args: bootstrap(
            *args, ends=lambda v, p: tuple(np.quantile(v, (1 - p, p)))
        ),
        "separate-draws": separate,
        "separate-in-turn": separate_in_turn,
        "residuals": of_residuals,
        "normal": lambda *args: bootstrap(
            *args, ends=lambda v, p: (v.mean() - 1.96 * v.std(), v.mean() + 1.96 * v.std())
        ),
        "basic": mirrored,
        "sign": lambda *args: tuple(-end for end in bootstrap(*args)[::-1]),
        "floor-ignored": lambda *args: bootstrap(*args, fit=lambda x, y, f: power(x, y, 0)),
    },
}  # fmt: skip
WRONG_SECOND = {  # of the second function of a task
    "operations": {
        "tokens-forward-only": lambda C, N: C / (2 * N),
        "tokens-no-factor": lambda C, N: C / N,
        "tokens-precedence": lambda C, N: C / 6 * N,
        "tokens-times-six": lambda C, N: 6 * C / N,
        "tokens-whole": lambda C, N: C // (6 * N),
    },
    "interval": {
        "last-held-out": lambda x, y, f: forecast(x, y, f, len(x) - 1) - y[-1],
        "seen": seen_error,
        "sign-of-error": lambda x, y, f: -error(x, y, f),
        "no-floor": lambda x, y, f: error(x, y, f) - f,
        "relative": lambda x, y, f: error(x, y, f) / y[x.argmax()],
        "smallest": lambda x, y, f: forecast(x, y, f, x.argmin()) - y[x.argmin()],
        "floor-zero": lambda x, y, f: error(x, y, 0),
    },
}


def cases():
    for place, wrong in enumerate((WRONG, WRONG_SECOND)):
        for task, answers in wrong.items():
            name = LAB[task].functions[place]
            yield task, {slug: {name: function} for slug, function in answers.items()}


@pytest.mark.parametrize(
    ("task", "wrong"), list(cases()), ids=lambda v: v if v in LAB.ids() else ""
)
def test_wrong_answers_are_named(task, wrong):
    assert refusals(NAME, RIGHT, task, wrong) == {slug: slug for slug in wrong}


def test_every_check_tells_five_wrong_answers_apart():
    assert set(WRONG) == set(LAB.ids()) and min(map(len, WRONG.values())) >= 5


def test_scores():
    assert_lab_scores(NAME, full=22)
