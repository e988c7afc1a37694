"""How sure a measured number is: intervals for scores, tests for differences.

Legend: ``n`` examples, ``R`` runs (one a seed).

Which one to use: a share of right answers on a test set, `wilson`; any other statistic of a test
set, `bootstrap`; a mean over seeds, `t_interval`; two models on the same examples,
`paired_permutation` (any score) or `mcnemar` (right or wrong).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import stats

from utils.arrays import as_array


class Interval(NamedTuple):
    """Estimate and the two ends; arrays where the input had further axes."""

    estimate: float | np.ndarray
    low: float | np.ndarray
    high: float | np.ndarray


class Difference(NamedTuple):
    """Observed difference (first minus second) and the two-sided p-value."""

    difference: float
    p_value: float


def wilson(successes: int, total: int, level: float = 0.95) -> Interval:
    """Wilson's score interval for a share (Wilson, 1927).

    Unlike estimate ± 1.96 standard errors it stays inside [0, 1] and does not shrink to a point
    when all answers are right.
    """
    _check_level(level)
    if total < 1 or not 0 <= successes <= total:
        raise ValueError(f"needs 0 <= successes <= total and total >= 1; got {successes}, {total}")
    share, z = successes / total, stats.norm.ppf((1 + level) / 2)
    shrink = 1 + z**2 / total
    center = (share + z**2 / (2 * total)) / shrink
    half = z / shrink * np.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    # rounding may push an end across the share, or out of [0, 1], by one unit in the last place
    low, high = max(center - half, 0), min(center + half, 1)
    return Interval(share, float(min(low, share)), float(max(high, share)))


def t_interval(runs, level: float = 0.95) -> Interval:
    """Student's t interval of the mean over runs: (R,) gives floats, (R, ...) arrays (...)."""
    _check_level(level)
    runs = as_array(runs).astype(float)
    if runs.ndim == 0 or len(runs) < 2 or not np.isfinite(runs).all():
        raise ValueError(f"needs at least two runs of finite values, got shape {runs.shape}")
    mean = runs.mean(0)
    error = runs.std(0, ddof=1) / np.sqrt(len(runs))
    half = stats.t.ppf((1 + level) / 2, len(runs) - 1) * error
    parts = (mean, mean - half, mean + half)
    return Interval(*(float(part) for part in parts)) if runs.ndim == 1 else Interval(*parts)


def bootstrap(
    statistic: Callable[..., float],
    *arrays,
    level: float = 0.95,
    resamples: int = 2000,
    method: str = "BCa",
    seed: int = 0,
) -> Interval:
    """Bootstrap interval of ``statistic(*arrays)``; examples are drawn whole, with replacement.

    Parameters
    ----------
    statistic : a function from the arrays to one number, for example ``metrics.auc``.
    arrays : each (n, ...), row i of all of them being example i.
    method : ``"percentile"``, the plain quantiles of the resampled values; ``"BCa"``, corrected
        for bias and for a spread that changes with the value (Efron, 1987, "Better Bootstrap
        Confidence Intervals"). BCa also computes the statistic n times with one example left out.

    Raises
    ------
    ValueError
        For arrays of different or no length, an unknown method, fewer than 100 resamples, or a
        statistic that is not finite on a resample (such as AUC when one class was not drawn).
    """
    _check_level(level)
    arrays = [as_array(array) for array in arrays]
    lengths = {len(array) if array.ndim else 0 for array in arrays}
    if len(lengths) != 1 or min(lengths) < 2:
        raise ValueError(f"needs arrays of one length, at least 2; got {sorted(lengths)}")
    if method not in ("percentile", "BCa"):
        raise ValueError(f"method is 'percentile' or 'BCa', got {method!r}")
    if resamples < 100:
        raise ValueError(f"resamples must be at least 100, got {resamples}")
    (n,) = lengths
    generator = np.random.default_rng(seed)

    def value(rows=slice(None)) -> float:
        return float(statistic(*(array[rows] for array in arrays)))

    estimate = value()
    drawn = np.array([value(generator.integers(0, n, n)) for _ in range(resamples)])
    left_out = [value(np.delete(np.arange(n), i)) for i in range(n if method == "BCa" else 0)]
    if not np.isfinite([estimate, *drawn, *left_out]).all():
        raise ValueError("the statistic is not finite on the data or on a resample of it")
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    if method == "BCa":
        tails = _corrected(tails, estimate, drawn, np.array(left_out))
    low, high = np.quantile(drawn, tails)
    return Interval(estimate, float(low), float(high))


def _corrected(
    tails: np.ndarray, estimate: float, drawn: np.ndarray, left_out: np.ndarray
) -> np.ndarray:
    """The quantiles that BCa reads off instead of ``tails`` (Efron, 1987, eqs. 2.3 and 6.6)."""
    below = ((drawn < estimate).mean() + (drawn <= estimate).mean()) / 2  # ties count half
    if not 0 < below < 1:  # all resamples alike, or all on one side: nothing to correct with
        return tails
    bias = stats.norm.ppf(below)
    away = left_out.mean() - left_out
    spread = (away**2).sum() ** 1.5
    acceleration = (away**3).sum() / (6 * spread) if spread > 0 else 0.0
    z = bias + stats.norm.ppf(tails)
    return stats.norm.cdf(bias + z / (1 - acceleration * z))


def paired_permutation(first, second, resamples: int = 10_000, seed: int = 0) -> Difference:
    """Is the mean score of the first model another than the second's, on the same examples?

    Under the null hypothesis the two scores of an example could as well be swapped, so the signs
    of the differences are drawn at random. Up to ``log2(resamples)`` examples all sign patterns
    are tried and the p-value is exact; beyond, it counts the observed one among the drawn ones,
    so that it is never zero.

    Parameters
    ----------
    first, second : (n,) scores, for example 1 for right and 0 for wrong.
    """
    first, second = as_array(first).astype(float), as_array(second).astype(float)
    if first.ndim != 1 or first.shape != second.shape or first.size == 0:
        raise ValueError(f"needs two arrays (n,), got shapes {first.shape} and {second.shape}")
    difference = first - second
    if not np.isfinite(difference).all():
        raise ValueError("scores hold NaN or infinity")
    if resamples < 100:
        raise ValueError(f"resamples must be at least 100, got {resamples}")
    observed = abs(difference.sum())
    # sums that differ by rounding alone are ties
    limit = observed * (1 - 1e-12)
    moving = difference[difference != 0]  # the sign of a zero does not matter
    if len(moving) < 64 and 2 ** len(moving) <= resamples:
        patterns = np.arange(2 ** len(moving))[:, None] >> np.arange(len(moving)) & 1
        p_value = float((np.abs((1 - 2 * patterns) @ moving) >= limit).mean())
    else:
        generator = np.random.default_rng(seed)
        reached = 0
        for size in _pieces(resamples, max(1, 2_000_000 // len(moving))):  # bounds the memory
            signs = generator.integers(0, 2, (size, len(moving)), dtype=np.int8) * 2 - 1
            reached += int((np.abs(signs @ moving) >= limit).sum())
        p_value = (reached + 1) / (resamples + 1)
    return Difference(float(difference.mean()), p_value)


def _pieces(total: int, size: int) -> list[int]:
    return [min(size, total - start) for start in range(0, total, size)]


def mcnemar(first, second) -> Difference:
    """Exact McNemar test: do two models differ in how often they are right?

    Only the examples on which they disagree count; under the null hypothesis each is a coin flip
    (McNemar, 1947; exact by the binomial distribution).

    Parameters
    ----------
    first, second : (n,) true or false, whether each model was right.
    """
    first, second = as_array(first), as_array(second)
    if first.ndim != 1 or first.shape != second.shape or first.size == 0:
        raise ValueError(f"needs two arrays (n,), got shapes {first.shape} and {second.shape}")
    if not (np.isin(first, (0, 1)).all() and np.isin(second, (0, 1)).all()):
        raise ValueError("needs right or wrong for each example: values 0 and 1, or booleans")
    first, second = first.astype(bool), second.astype(bool)
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    total = only_first + only_second
    p_value = stats.binomtest(only_first, total).pvalue if total else 1.0
    return Difference((only_first - only_second) / len(first), float(p_value))


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level is a probability between 0 and 1, such as 0.95; got {level}")
