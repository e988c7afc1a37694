"""Generated data whose truth is known, so that a result can be compared with what is best.

Legend: ``n`` examples, ``d`` features, ``C`` classes. ``Table.truth`` holds the probability of
class 1, (n,), or of each class, (n, C), or, for regression, the mean of the target, (n,).
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit, softmax

from utils.arguments import check_positive_int, check_range
from utils.data.sets import Table

_PLANE = ("x", "y")

CHURN_BIAS = -0.4
CHURN_WEIGHTS = {  # change of the log odds of leaving for one unit more
    "months as customer": -0.05,
    "monthly fee": 0.02,
    "calls for support": 0.45,
    "two-year contract": -1.2,
    "pays automatically": -0.5,
}


def churn(n: int, seed: int = 0) -> Table:
    """Customers of an invented telephone company; class 1 leaves within the year.

    Whether one leaves is drawn with probability ``sigmoid(CHURN_BIAS + features @ weights)``, the
    weights being `CHURN_WEIGHTS` in the order of the columns. So logistic regression is the right
    model, its best coefficients are known, and ``truth`` is the best that any model can say.
    Features: months 0 to 72, fee 20 to 120, calls (Poisson, mean 1.5), contract and automatic
    payment 0 or 1; customers with a contract stay longer.
    """
    check_positive_int(n=n)
    generator = np.random.default_rng(seed)
    contract = generator.random(n) < 0.35
    months = 72 * generator.beta(np.where(contract, 2.5, 1.0), 1.5)
    features = np.stack(
        [
            months.round(),
            generator.uniform(20, 120, n).round(2),
            generator.poisson(1.5, n),
            contract,
            generator.random(n) < 0.5,
        ],
        axis=1,
    ).astype(float)
    truth = expit(CHURN_BIAS + features @ np.array(list(CHURN_WEIGHTS.values())))
    left = (generator.random(n) < truth).astype(np.int64)
    return Table(features, left, tuple(CHURN_WEIGHTS), ("stays", "leaves"), truth)


def linear(
    n: int, weights=(2.0, -1.0), bias: float = 0.5, noise: float = 0.3, seed: int = 0
) -> Table:
    """Regression: target = features @ weights + bias + noise * standard normal.

    Features (n, d) are standard normal, d the number of weights; ``truth`` is the target's mean.
    """
    check_positive_int(n=n)
    check_range(0, noise=noise)
    weights = np.asarray(weights, dtype=float)
    if weights.ndim != 1 or len(weights) == 0:
        raise ValueError(f"weights must be (d,) with d at least 1, got shape {weights.shape}")
    generator = np.random.default_rng(seed)
    features = generator.standard_normal((n, len(weights)))
    truth = features @ weights + bias
    target = truth + noise * generator.standard_normal(n)
    names = tuple(f"x{i}" for i in range(len(weights)))
    return Table(features, target, names, truth=truth)


def two_moons(n: int, noise: float = 0.1, seed: int = 0) -> Table:
    """Two half circles of radius 1 that reach into each other, blurred by normal noise."""
    labels, generator = _labels(n, 2, noise, seed)
    angle = np.pi * generator.random(n)
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    lower = np.stack([1 - np.cos(angle), 0.5 - np.sin(angle)], axis=1)
    points = np.where(labels[:, None] == 0, upper, lower)
    return _plane(points + noise * generator.standard_normal((n, 2)), labels, 2)


def spirals(n: int, arms: int = 2, turns: float = 1.5, noise: float = 0.02, seed: int = 0) -> Table:
    """Spirals around one another, one a class, out to radius 1, blurred by normal noise."""
    check_positive_int(arms=arms)
    check_range(0, turns=turns)
    labels, generator = _labels(n, arms, noise, seed)
    radius = np.sqrt(generator.random(n))  # evenly dense over the disk
    angle = 2 * np.pi * (turns * radius + labels / arms)
    points = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return _plane(points + noise * generator.standard_normal((n, 2)), labels, arms)


def xor(n: int, noise: float = 0.0, seed: int = 0) -> Table:
    """Points of the square from -1 to 1; class 1 where the signs of x and y differ.

    ``noise`` is the share of labels that are flipped, at most one half; ``truth`` knows it.
    """
    check_positive_int(n=n)
    check_range(0, 0.5 + 1e-12, noise=noise)
    generator = np.random.default_rng(seed)
    points = generator.uniform(-1, 1, (n, 2))
    differ = points[:, 0] * points[:, 1] < 0
    flipped = generator.random(n) < noise
    truth = np.where(differ, 1 - noise, noise)
    return Table(points, (differ ^ flipped).astype(np.int64), _PLANE, ("same", "differ"), truth)


def gaussian_mixture(
    n: int, means=((-1.0, 0.0), (1.0, 0.0)), std: float = 1.0, seed: int = 0
) -> Table:
    """One round normal cloud a class, all as likely; ``truth`` (n, C) by Bayes' rule.

    Parameters
    ----------
    means : (C, d), the clouds' centers.
    std : of every coordinate in every cloud.
    """
    means = np.asarray(means, dtype=float)
    if means.ndim != 2 or means.size == 0:
        raise ValueError(f"means must be (C, d), got shape {means.shape}")
    if not std > 0:
        raise ValueError(f"std must be above 0, got {std}")
    labels, generator = _labels(n, len(means), std, seed)
    features = means[labels] + std * generator.standard_normal((n, means.shape[1]))
    distance = ((features[:, None] - means) ** 2).sum(2)
    names = tuple(f"x{i}" for i in range(means.shape[1]))
    classes = tuple(f"cloud {c}" for c in range(len(means)))
    return Table(features, labels, names, classes, softmax(-distance / (2 * std**2), axis=1))


def _labels(n: int, classes: int, noise: float, seed: int):
    check_positive_int(n=n)
    check_range(0, noise=noise)
    generator = np.random.default_rng(seed)
    return generator.integers(0, classes, n), generator


def _plane(points: np.ndarray, labels: np.ndarray, arms: int) -> Table:
    classes = tuple(f"arm {c}" for c in range(arms))
    return Table(points, labels, _PLANE, classes)
