"""Probes of the lab `evaluation`, and the test set that a learner's id seeds.

They run beside the learner's code, with its namespace first, and hold no reference.
Legend: `n` examples, `R` resamples.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

STATISTICS = {
    "mean": lambda x: x.mean(),
    "difference": lambda x, y: y.mean() - x.mean(),
    "agreement": lambda x, y: (x == y).mean(),
    "covariance": lambda x, y: (x * y).mean() - x.mean() * y.mean(),
}


class TestSet(NamedTuple):
    """Labels (n,) 0 or 1, two models' probabilities of class 1 (n,), row indices (R, n)."""

    __test__ = False  # not a test, whatever pytest thinks of the name

    labels: np.ndarray
    first: np.ndarray
    second: np.ndarray
    draws: np.ndarray


def own_test_set(seed: int, n: int = 400, resamples: int = 1000) -> TestSet:
    """The learner's own test set: n messages, spam (1) or not, as two filters judged them.

    Both filters find the same messages hard; which one is better, and how much, depends on the
    seed. Probabilities are rounded to hundredths. `RandomState` is used since NumPy promises that
    its numbers never change, so that a laptop and a grader draw the same.
    """
    rng = np.random.RandomState([seed % 2**32, seed // 2**32])
    labels = (rng.random_sample(n) < 0.3).astype(np.int64)
    sign, shared = 2 * labels - 1, 0.9 * rng.standard_normal(n)
    gain = rng.uniform(-0.35, 0.45)

    def judged(strength: float) -> np.ndarray:
        logits = 2.2 * (strength * sign + shared + 0.6 * rng.standard_normal(n)) - 0.4
        return np.clip(np.round(1 / (1 + np.exp(-logits)), 2), 0.01, 0.99)

    first, second = judged(0.95), judged(0.95 + gain)
    draws = rng.randint(0, n, (resamples, n), dtype=np.int64)
    return TestSet(labels, first, second, draws)


def bootstrap(
    namespace: dict[str, Any],
    statistic: str,
    arrays: tuple[np.ndarray, ...],
    draws: np.ndarray,
    level: float | None,
) -> Any:
    """`bootstrap_interval` for one of `STATISTICS`; level None leaves the argument out."""
    more = {} if level is None else {"level": level}
    function = namespace["bootstrap_interval"]
    return function(STATISTICS[statistic], tuple(a.copy() for a in arrays), draws.copy(), **more)
