"""Named mistakes of the lab `evaluation`, curves: the ROC curve, its area, calibration.

Legend: `y` labels (n,), `s` scores (n,), `p` probabilities (n,), `m` bins. Each function is
deliberately wrong in one way.
"""

from __future__ import annotations

import numpy as np

from utils import metrics
from utils.check.core import Mistake


# --- ROC ------------------------------------------------------------------------------------
def roc(y, s) -> tuple[np.ndarray, np.ndarray]:
    """The right false and true positive rates, (k + 1,) each."""
    curve = metrics.roc_curve(y, s)
    return curve.x, curve.y


def _steps(y, s):
    y = y[np.argsort(-s, kind="stable")]
    return np.r_[0, np.cumsum(1 - y) / (1 - y).sum()], np.r_[0, np.cumsum(y) / y.sum()]


def _strict(y, s):
    found = [(s > t) for t in np.unique(s)[::-1]]
    rates = [[(f & (y == c)).sum() / (y == c).sum() for f in found] for c in (0, 1)]
    return np.r_[0, rates[0]], np.r_[0, rates[1]]


def _shares(y, s):
    x, up = roc(y, s)
    return x * (y == 0).mean(), up * (y == 1).mean()


ROC = (
    Mistake(
        "ties-split",
        "Examples with the same score got points of their own; no threshold can part them.",
        _steps,
        "One point for each distinct score: np.unique.",
    ),
    Mistake(
        "no-origin",
        "The first point, (0, 0), is missing: a threshold above all scores.",
        lambda y, s: tuple(part[1:] for part in roc(y, s)),
    ),
    Mistake(
        "axes-swapped",
        "The two rates changed places: the false positive rate comes first.",
        lambda y, s: roc(y, s)[::-1],
    ),
    Mistake(
        "rising-threshold",
        "The points run from low thresholds to high ones; the curve starts at (0, 0).",
        lambda y, s: tuple(part[::-1] for part in roc(y, s)),
        "Go through the scores from high to low.",
    ),
    Mistake(
        "strict",
        "A score equal to the threshold was not counted as positive; it should be.",
        _strict,
        "score >= threshold.",
    ),
    Mistake(
        "scores-inverted",
        "Low scores were taken for positive ones.",
        lambda y, s: roc(y, -s),
    ),
    Mistake(
        "counts",
        "Counts came back; rates were asked for.",
        lambda y, s: (roc(y, s)[0] * (y == 0).sum(), roc(y, s)[1] * (y == 1).sum()),
        "Divide by the number of examples of that class.",
    ),
    Mistake(
        "over-all",
        "The rates were divided by the number of all examples, not by that of their class.",
        _shares,
    ),
)
ONE_CLASS = Mistake(
    "one-class",
    "With a single class one of the rates is 0/0: a ValueError was asked for.",
    hint="Count both classes first, and raise.",
)


def _pairs(y, s, tie: float) -> float:
    gap = s[y == 1][:, None] - s[y == 0][None]
    return float(((gap > 0) + tie * (gap == 0)).mean())


AUC = (
    Mistake(
        "ties-nothing",
        "Ties between a positive and a negative count nothing; they count half.",
        lambda y, s: _pairs(y, s, 0.0),
        "Between two points the curve is a slope, not a stair: use trapezoids.",
    ),
    Mistake(
        "ties-whole",
        "Ties between a positive and a negative count whole; they count half.",
        lambda y, s: _pairs(y, s, 1.0),
        "Between two points the curve is a slope, not a stair: use trapezoids.",
    ),
    Mistake(
        "inverted",
        "This is the area above the curve.",
        lambda y, s: 1 - metrics.auc(y, s),
    ),
    Mistake(
        "negative",
        "The area has the wrong sign.",
        lambda y, s: -metrics.auc(y, s),
    ),
    Mistake(
        "no-half",
        "The area is twice what it should be.",
        lambda y, s: 2 * metrics.auc(y, s),
        "A trapezoid has the mean of its two sides as height.",
    ),
    Mistake(
        "gini",
        "This is 2 AUC - 1.",
        lambda y, s: 2 * metrics.auc(y, s) - 1,
    ),
    Mistake(
        "accuracy",
        "This is the accuracy at the threshold 0.5.",
        lambda y, s: float(((s >= 0.5) == y).mean()),
    ),
)


# --- calibration ----------------------------------------------------------------------------
def ece(y, p, m, *, weigh=True, gap=np.abs, middle=False, lower=False, empty=0.0, label=None):
    """The expected calibration error; each keyword makes it wrong in one way."""
    place = np.floor(p * m) if lower else np.ceil(p * m) - 1
    place = np.clip(place, 0, m - 1)
    hit = y if label is None else label(y, p)
    total = 0.0
    for k in range(m):
        inside = place == k
        if not inside.any():
            total += empty
            continue
        mean = (k + 0.5) / m if middle else p[inside].mean()
        total += float(gap(mean - hit[inside].mean())) * (inside.mean() if weigh else 1 / m)
    return total


def _largest(y, p, m):
    bins = metrics.reliability(y, p, m)
    return float(np.abs(bins.confidence - bins.accuracy).max())


def _over_filled(y, p, m):
    bins = metrics.reliability(y, p, m)
    return float(np.abs(bins.confidence - bins.accuracy).mean())


def _upper_only(y, p, m):
    kept = p > 0
    return ece(y[kept], p[kept], m) * kept.mean()


CALIBRATION = (
    Mistake(
        "unweighted",
        "All bins weigh the same; a bin weighs as much as its share of the examples.",
        _over_filled,
        "inside.mean() is the share of examples in a bin.",
    ),
    Mistake(
        "over-bins",
        "The gaps were divided by the number of bins; each has to be weighted by its examples.",
        lambda y, p, m: ece(y, p, m, weigh=False),
        "inside.mean() is the share of examples in a bin.",
    ),
    Mistake(
        "signed",
        "Gaps above and below cancelled: the absolute value is missing.",
        lambda y, p, m: ece(y, p, m, gap=lambda g: g),
    ),
    Mistake(
        "signed-other-way",
        "Gaps above and below cancelled: the absolute value is missing.",
        lambda y, p, m: ece(y, p, m, gap=lambda g: -g),
    ),
    Mistake("squared", "The gaps were squared.", lambda y, p, m: ece(y, p, m, gap=np.square)),
    Mistake(
        "middles",
        "The middle of each bin was compared; compare the mean probability of its examples.",
        lambda y, p, m: ece(y, p, m, middle=True),
    ),
    Mistake("largest", "This is the largest gap, not the weighted mean.", _largest),
    Mistake(
        "thresholded",
        "The share of right predictions at 0.5 was compared; it is the share of label 1.",
        lambda y, p, m: ece(y, p, m, label=lambda y, p: (p >= 0.5) == y),
        "A probability of 0.1 promises that one example in ten has label 1.",
    ),
    Mistake(
        "lower-edge",
        "Probabilities on the edge between two bins fell into the upper one.",
        lambda y, p, m: ece(y, p, m, lower=True),
        "Bin k is k/m < p <= (k + 1)/m.",
    ),
    Mistake(
        "zero-lost",
        "Probabilities of exactly 0 are in no bin; they belong to the first.",
        _upper_only,
        "Bin 0 includes both its edges.",
    ),
    Mistake(
        "empty-nan",
        "An empty bin gave NaN; it contributes nothing.",
        lambda y, p, m: ece(y, p, m, empty=float("nan")),
        "The mean of no numbers is 0/0.",
    ),
)
