"""Known mistakes of the lab `scaling-laws`: the power law, the interval, the held-out model."""

from __future__ import annotations

import numpy as np

from utils.check.core import Mistake


def _line(u, v):
    """Slope and intercept of the least-squares line."""
    u, v = np.asarray(u, float), np.asarray(v, float)
    with np.errstate(all="ignore"):
        slope = ((u - u.mean()) * (v - v.mean())).sum() / ((u - u.mean()) ** 2).sum()
    return slope, v.mean() - slope * u.mean()


def _power(x, y, floor, log=np.log, undo=np.exp):
    with np.errstate(all="ignore"):
        slope, intercept = _line(log(x), log(y - floor))
        return undo(intercept), -slope


def _inverse(x, y, floor):
    slope, intercept = _line(np.log(y - floor), np.log(x))
    return np.exp(-intercept / slope), -1 / slope


def _semilog(x, y, floor):
    slope, intercept = _line(np.log(x), y - floor)
    return intercept, -slope


_ONE = "Use one kind of logarithm throughout, and undo it for the scale."
POWER = (
    Mistake(
        "floor-ignored",
        "The floor was not subtracted: this fits the loss itself.",
        lambda x, y, f: _power(x, y, 0.0),
        "Only y - floor is a power of x.",
    ),
    Mistake(
        "floor-after-log",
        "The floor was subtracted from the logarithm of the loss.",
        lambda x, y, f: _power(x, np.exp(np.log(y) - f), 0.0),
        "First subtract, then take the logarithm.",
    ),
    Mistake(
        "sign",
        "The exponent has the wrong sign: it is positive where the loss falls.",
        lambda x, y, f: (_power(x, y, f)[0], -_power(x, y, f)[1]),
        "The slope of the line is minus the exponent.",
    ),
    Mistake(
        "log10-exp",
        "Logarithms to base 10 were undone with exp.",
        lambda x, y, f: _power(x, y, f, np.log10, np.exp),
        _ONE,
    ),
    Mistake(
        "mixed-logs",
        "One axis has natural logarithms, the other those to base 10.",
        lambda x, y, f: _power(np.exp(np.log10(x)), y, f),
        _ONE,
    ),
    Mistake(
        "mixed-logs-loss",
        "One axis has natural logarithms, the other those to base 10.",
        lambda x, y, f: _power(x, np.exp(np.log10(y - f)), 0.0),
        _ONE,
    ),
    Mistake(
        "scale-log",
        "The scale is still a logarithm.",
        lambda x, y, f: (np.log(_power(x, y, f)[0]), _power(x, y, f)[1]),
        "Undo the logarithm of the intercept.",
    ),
    Mistake(
        "order",
        "The exponent came first; the scale comes first.",
        lambda x, y, f: _power(x, y, f)[::-1],
        "np.polyfit gives the slope first.",
    ),
    Mistake(
        "semilog",
        "The logarithm was taken of x alone.",
        _semilog,
        "A power is straight when both axes are logarithmic.",
    ),
    Mistake(
        "axes-swapped",
        "x was fitted as a function of the loss: that makes small errors of x, not of the loss.",
        _inverse,
        "The loss is what scatters.",
    ),
)


def _exponents(x, y, floor, rows, columns=None):
    columns = rows if columns is None else columns
    pairs = zip(rows, columns, strict=True)
    return np.array([_power(x[r], y[c], floor)[1] for r, c in pairs])


def _rows(x, draws, seed):
    return np.random.default_rng(seed).integers(len(x), size=(draws, len(x)))


def _two_blocks(x, y, f, draws, seed, level):
    generator, shape = np.random.default_rng(seed), (draws, len(x))
    rows, columns = generator.integers(len(x), size=shape), generator.integers(len(x), size=shape)
    return _ends(_exponents(x, y, f, rows, columns), level)


def _in_turn(x, y, f, draws, seed, level):
    both = np.random.default_rng(seed).integers(len(x), size=(draws, 2, len(x)))
    return _ends(_exponents(x, y, f, both[:, 0], both[:, 1]), level)


def _residuals(x, y, f, draws, seed, level):
    slope, intercept = _line(np.log(x), np.log(y - f))
    fitted = intercept + slope * np.log(x)
    left = np.log(y - f) - fitted
    rows = _rows(x, draws, seed)
    return _ends(np.array([-_line(np.log(x), fitted + left[r])[0] for r in rows]), level)


def _ends(values, level):
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return low, high


def _of(end):
    """An interval whose ends are wrong: `end` takes the exponents, the level and the estimate."""

    def wrong(x, y, f, draws, seed, level):
        found = _exponents(x, y, f, _rows(x, draws, seed))
        return end(found, level, _power(x, y, f)[1])

    return wrong


_WHOLE = "A run is a pair: one set of row numbers for both x and y."
INTERVAL = (
    Mistake("reversed", "The upper end came first.", _of(lambda v, p, _: _ends(v, p)[::-1])),
    Mistake(
        "one-sided",
        "What is left out was taken from each side in full; half of it belongs to each.",
        _of(lambda v, p, _: tuple(np.quantile(v, [1 - p, p]))),
        "At a level of 0.95 there is 0.025 on each side.",
    ),
    Mistake(
        "separate-draws",
        "x and y were drawn separately: pairs of different runs show no law.",
        _two_blocks,
        _WHOLE,
    ),
    Mistake(
        "separate-in-turn",
        "x and y were drawn separately, draw by draw: pairs of different runs show no law.",
        _in_turn,
        _WHOLE,
    ),
    Mistake(
        "residuals",
        "Residuals were drawn and put back on the fitted line; whole runs were asked for.",
        _residuals,
        _WHOLE,
    ),
    Mistake(
        "normal",
        "This is the mean plus and minus 1.96 standard deviations; quantiles were asked for.",
        _of(lambda v, p, _: (v.mean() - 1.96 * v.std(), v.mean() + 1.96 * v.std())),
    ),
    Mistake(
        "sign",
        "The ends have the wrong sign: slopes were kept in place of exponents.",
        _of(lambda v, p, _: tuple(-e for e in _ends(v, p)[::-1])),
    ),
    Mistake(
        "basic",
        "The quantiles were mirrored at the estimate (the basic bootstrap).",
        _of(lambda v, p, best: tuple(2 * best - e for e in _ends(v, p)[::-1])),
        "The quantiles of the exponents themselves were asked for.",
    ),
    Mistake(
        "floor-ignored",
        "The floor was not subtracted.",
        lambda x, y, f, draws, seed, level: _ends(
            _exponents(x, y, 0.0, _rows(x, draws, seed)), level
        ),
    ),
)


def _forecast(x, y, f, seen, at):
    scale, exponent = _power(x[seen], y[seen], f)
    return f + scale * x[at] ** -exponent


def _all_but(x, at):
    return np.arange(len(x)) != at % len(x)


HELD = (
    Mistake(
        "last-held-out",
        "The last run was held out; the one with the largest x was asked for.",
        lambda x, y, f: _forecast(x, y, f, _all_but(x, -1), -1) - y[-1],
        "np.argmax tells where it stands.",
    ),
    Mistake(
        "seen",
        "The fit has seen the run that it forecasts.",
        lambda x, y, f: _forecast(x, y, f, slice(None), x.argmax()) - y[x.argmax()],
        "Leave it out before the fit.",
    ),
    Mistake(
        "sign-of-error",
        "The sign is turned round: forecast minus measured was asked for.",
        lambda x, y, f: y[x.argmax()] - _forecast(x, y, f, _all_but(x, x.argmax()), x.argmax()),
    ),
    Mistake(
        "no-floor",
        "The forecast lacks the floor.",
        lambda x, y, f: _forecast(x, y, f, _all_but(x, x.argmax()), x.argmax()) - f - y[x.argmax()],
        "power_law describes the loss above the floor.",
    ),
    Mistake(
        "relative",
        "The error was divided by the loss; nats were asked for.",
        lambda x, y, f: _forecast(x, y, f, _all_but(x, x.argmax()), x.argmax()) / y[x.argmax()] - 1,
    ),
    Mistake(
        "smallest",
        "The run with the smallest x was held out; the largest was asked for.",
        lambda x, y, f: _forecast(x, y, f, _all_but(x, x.argmin()), x.argmin()) - y[x.argmin()],
    ),
    Mistake(
        "floor-zero",
        "The fit has no floor.",
        lambda x, y, f: _forecast(x, y, 0.0, _all_but(x, x.argmax()), x.argmax()) - y[x.argmax()],
    ),
)
