"""Inputs for the checks of the lab `evaluation`; legend as in `utils.check.evaluation`."""

from __future__ import annotations

import numpy as np

from utils import metrics
from utils.check.trial import Trial


def classes(t: Trial, n: int, C: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels and predictions, more often of a lower class, so that nothing is symmetric."""
    weights = np.arange(C, 0, -1) / (C * (C + 1) / 2)
    y, g = t.rng.choice(C, n, p=weights), t.rng.choice(C, n)
    y[:3], g[:3] = (0, 0, 0), (C - 1, C - 1, 0)
    counts = metrics.confusion_matrix(y, g, C)
    return (y, g) if (counts != counts.T).any() else classes(t, n, C)


def skewed(t: Trial) -> tuple[np.ndarray, np.ndarray]:
    """Two classes; true and false positives, misses and the rest all occur, unlike often."""
    hits, false, missed, rest = (t.integer(6, 8), t.integer(2, 4), t.integer(10, 13), 17)
    y = np.repeat([1, 0, 1, 0], (hits, false, missed, rest))
    g = np.repeat([1, 1, 0, 0], (hits, false, missed, rest))
    order = t.rng.permutation(len(y))
    return y[order], g[order]


def ranked(t: Trial, n: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels (a third 1) and scores that are better than chance, on `steps` levels."""
    y = (np.arange(n) % 3 == 0).astype(np.int64)
    s = np.clip(0.5 * t.rng.random(n) + 0.3 * y + 0.1, 0, 1)
    s = np.round(s * steps) / steps
    s[:2] = s[0]  # a tie between the classes in any case
    order = t.rng.permutation(n)
    return y[order], s[order]


def right(t: Trial, one: int, other: int, both: int, neither: int):
    """Booleans of two models with these counts, shuffled together."""
    counts = (one, other, both, neither)
    order = t.rng.permutation(sum(counts))
    a = np.repeat([True, False, True, False], counts)[order]
    return a, np.repeat([False, True, True, False], counts)[order]


def _draws(t: Trial, R: int, n: int) -> np.ndarray:
    return t.rng.integers(0, n, (R, n))


def two(t: Trial, n: int, R: int, gap: float) -> tuple[np.ndarray, ...]:
    """Labels, two models' probabilities and draws; the second is right more often by `gap`."""
    y = (t.rng.random(n) < 0.4).astype(np.int64)
    made = []
    for rate in (0.75 - gap / 2, 0.75 + gap / 2):
        right, far = t.rng.random(n) < rate, np.round(t.rng.uniform(0.05, 0.45, n), 2)
        p = np.where((y == 1) == right, 0.5 + far, 0.5 - far)
        p[np.flatnonzero(y == 1)[:2]] = 0.5
        made.append(p)
    return y, *made, _draws(t, R, n)


def close(t: Trial, one: int, other: int) -> tuple[np.ndarray, ...]:
    """Two models that are wrong alone `other` and `one` times, on 60 examples."""
    a, b = right(t, one, other, 40, 20 - one - other)
    y = t.rng.permutation(np.arange(60) % 2)
    p, q = (np.where((y == 1) == right, 0.8, 0.3) for right in (a, b))
    return y, p, q, _draws(t, 23, 60)
