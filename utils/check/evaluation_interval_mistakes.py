"""Named mistakes of the lab `evaluation`, intervals: the bootstrap, widths, sizes of test sets.

Legend: `draws` row indices (R, n), `s` a share, `w` a width. Each function is deliberately
wrong in one way.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from utils.check.core import Mistake
from utils.check.probes_evaluation import STATISTICS

Z = 1.96


# --- bootstrap ------------------------------------------------------------------------------
def percentile(statistic, arrays, draws, level=None, *, rows=None, tails=None):
    """The percentile interval; `rows` and `tails` make it wrong."""
    level = 0.95 if level is None else level
    rows = rows or (lambda arrays, drawn: [a[drawn] for a in arrays])
    values = [STATISTICS[statistic](*rows(arrays, drawn)) for drawn in draws]
    low, high = tails(level) if tails else ((1 - level) / 2, (1 + level) / 2)
    return tuple(float(v) for v in np.quantile(values, (low, high)))


def _normal(statistic, arrays, draws, level=None):
    values = [STATISTICS[statistic](*(a[drawn] for a in arrays)) for drawn in draws]
    half = stats.norm.ppf((1 + (level or 0.95)) / 2) * np.std(values)
    center = float(STATISTICS[statistic](*arrays))
    return center - half, center + half


def _basic(statistic, arrays, draws, level=None):
    low, high = percentile(statistic, arrays, draws, level)
    center = float(STATISTICS[statistic](*arrays))
    return 2 * center - high, 2 * center - low


BOOTSTRAP = (
    Mistake(
        "tails-whole",
        "Each tail holds all of 1 - level; the two share it.",
        lambda *args: percentile(*args, tails=lambda level: (1 - level, level)),
        "For a level of 0.95 the ends are the quantiles 0.025 and 0.975.",
    ),
    Mistake(
        "level-fixed",
        "The interval has level 0.95 whatever level is asked for.",
        lambda s, arrays, draws, level=None: percentile(s, arrays, draws),
    ),
    Mistake(
        "reversed",
        "The upper end comes first.",
        lambda *args: percentile(*args)[::-1],
    ),
    Mistake(
        "first-alone",
        "The first array alone was drawn anew; row i of all arrays is one example.",
        lambda *args: percentile(*args, rows=lambda a, drawn: [a[0][drawn], *a[1:]]),
        "Take the same rows from every array.",
    ),
    Mistake(
        "columns",
        "The columns of draws were used; each row is one resample.",
        lambda s, arrays, draws, *rest: percentile(s, arrays, draws.T, *rest),
    ),
    Mistake(
        "extremes",
        "The smallest and the largest value came back.",
        lambda *args: percentile(*args, tails=lambda level: (0, 1)),
        "np.quantile reads off the two ends.",
    ),
    Mistake(
        "normal",
        "This is the estimate plus and minus standard errors; the quantiles were asked for.",
        _normal,
    ),
    Mistake(
        "basic",
        "The interval is mirrored at the estimate; the plain quantiles were asked for.",
        _basic,
    ),
)


# --- width of an interval -------------------------------------------------------------------
def width(share, n, z=Z):
    """The right width of the simple interval."""
    return 2 * z * math.sqrt(share * (1 - share) / n)


def needed(share, wide):
    """The right number of examples: at least one."""
    return max(1, math.ceil((2 * Z / wide) ** 2 * share * (1 - share)))


WIDTH = (
    Mistake(
        "half",
        "This is half the width: from the middle to one end.",
        lambda s, n: width(s, n) / 2,
        "The interval reaches 1.96 standard errors to each side.",
    ),
    Mistake("no-root", "The square root is missing.", lambda s, n: 2 * Z * s * (1 - s) / n),
    Mistake(
        "n-outside-root",
        "n was taken out of the square root.",
        lambda s, n: 2 * Z * math.sqrt(s * (1 - s)) / n,
        "Four times the examples give half the width.",
    ),
    Mistake(
        "no-complement",
        "The variance of a share is share times (1 - share); the second factor is missing.",
        lambda s, n: 2 * Z * math.sqrt(s / n),
    ),
    Mistake(
        "worst-case",
        "The width for a share of one half came back, whatever the share.",
        lambda s, n: width(0.5, n),
    ),
    Mistake(
        "one-less",
        "The variance was divided by n - 1; here it is n.",
        lambda s, n: width(s, n - 1),
    ),
    Mistake(
        "one-error",
        "The interval reaches one standard error to each side; it has to be 1.96.",
        lambda s, n: width(s, n, 1.0),
    ),
)
NEEDED = (
    Mistake(
        "nothing-needed",
        "With no example there is no share; at least 1 was asked for.",
        lambda s, w: 0,
    ),
    Mistake(
        "rounded-down",
        "One example too few: the interval is still wider than asked.",
        lambda s, w: needed(s, w) - 1,
        "Round up.",
    ),
    Mistake("one-too-many", "One example fewer would do.", lambda s, w: needed(s, w) + 1),
    Mistake(
        "half",
        "`width` was taken for the distance from the middle to one end.",
        lambda s, w: needed(s, 2 * w),
        "The whole interval is to be no wider than `width`.",
    ),
    Mistake(
        "no-square",
        "The ratio was not squared.",
        lambda s, w: math.ceil(2 * Z / w * s * (1 - s)),
        "Solve the formula of the width for n.",
    ),
    Mistake("worst-case", "This is for a share of one half.", lambda s, w: needed(0.5, w)),
    Mistake(
        "float",
        "A number with a fraction came back; examples are whole.",
        lambda s, w: (2 * Z / w) ** 2 * s * (1 - s),
        "Round up, to an int.",
    ),
)
