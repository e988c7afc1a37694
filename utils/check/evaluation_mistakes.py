"""Named mistakes of the lab `evaluation`, counts: what a wrong answer would be, for each.

Legend: `y` labels (n,), `g` predicted classes (n,), `C` classes. Each function is deliberately
wrong in one way. Curves, intervals and tests stand in `evaluation_curve_mistakes`,
`evaluation_interval_mistakes` and `evaluation_test_mistakes`.
"""

from __future__ import annotations

import numpy as np

from utils import metrics
from utils.check.core import Mistake


# --- confusion matrix -----------------------------------------------------------------------
def matrix(y, g, C):
    """The right counts (C, C)."""
    return metrics.confusion_matrix(y, g, C)


def _once(y, g, C):
    counts = np.zeros((C, C), dtype=int)
    counts[y, g] += 1
    return counts


CONFUSION = (
    Mistake(
        "transposed",
        "Rows and columns changed places: a row belongs to the true class.",
        lambda y, g, C: matrix(y, g, C).T,
        "Read the docstring: counts[i, j] are the examples of class i that were taken for j.",
    ),
    Mistake(
        "counted-once",
        "Each pair of classes was counted once, however often it occurs.",
        _once,
        "counts[labels, predicted] += 1 adds to each place once; a loop or np.add.at adds each "
        "time.",
    ),
    Mistake(
        "shares",
        "Shares came back; counts were asked for.",
        lambda y, g, C: matrix(y, g, C) / len(y),
        "Do not divide.",
    ),
    Mistake(
        "row-shares",
        "Each row was divided by its sum; counts were asked for.",
        lambda y, g, C: matrix(y, g, C) / np.maximum(matrix(y, g, C).sum(1, keepdims=True), 1),
        "Do not divide.",
    ),
    Mistake(
        "floats",
        "The counts are floats; whole numbers were asked for.",
        lambda y, g, C: matrix(y, g, C).astype(float),
        "np.zeros takes a dtype.",
    ),
    Mistake(
        "absent-classes",
        "A class that does not occur in these data has no row and column.",
        lambda y, g, C: metrics.confusion_matrix(y, g),
        "The size is num_classes, whatever the data hold.",
    ),
    Mistake(
        "hits-alone",
        "The right predictions were counted, the wrong ones were not.",
        lambda y, g, C: np.diag(np.diag(matrix(y, g, C))),
    ),
    Mistake(
        "misses-alone",
        "The wrong predictions were counted, the right ones were not.",
        lambda y, g, C: matrix(y, g, C) * (1 - np.eye(C, dtype=int)),
    ),
)


# --- precision, recall, F1 ------------------------------------------------------------------
def scores(y, g) -> tuple[float, float, float]:
    """The right precision, recall and F1."""
    return tuple(metrics.precision_recall_f1(y, g))


def _over(top, bottom, empty=0.0):
    return top / bottom if bottom else empty


def _counts(y, g):
    return int(((g == 1) & (y == 1)).sum()), int((g == 1).sum()), int((y == 1).sum())


def _arithmetic(y, g):
    precision, recall, _ = scores(y, g)
    return precision, recall, (precision + recall) / 2


def _no_two(y, g):
    precision, recall, f1 = scores(y, g)
    return precision, recall, f1 / 2


def _specificity(y, g):
    precision = scores(y, g)[0]
    recall = _over(int(((g == 0) & (y == 0)).sum()), int((y == 0).sum()))
    return precision, recall, _over(2 * precision * recall, precision + recall)


def _accuracy(y, g):
    hits, called, positive = _counts(y, g)
    same = float((y == g).mean())
    return same, _over(hits, positive), _over(2 * hits, called + positive)


def _empty_as(value):
    def wrong(y, g):
        hits, called, positive = _counts(y, g)
        harmonic = _over(2 * hits, called + positive, value)
        return _over(hits, called, value), _over(hits, positive, value), harmonic

    return wrong


def _through_nan(y, g):
    precision, recall, f1 = _empty_as(float("nan"))(y, g)
    return precision, recall, 2 * precision * recall / (precision + recall) if f1 == 0 else f1


def _f1_nan(y, g):
    precision, recall, f1 = scores(y, g)
    return precision, recall, f1 if precision + recall else float("nan")


PRECISION_RECALL = (
    Mistake(
        "swapped",
        "Precision and recall changed places.",
        lambda y, g: tuple(scores(y, g)[i] for i in (1, 0, 2)),
        "Precision divides by what was called positive, recall by what is positive.",
    ),
    Mistake(
        "arithmetic-mean",
        "F1 is the plain mean of precision and recall; it has to be the harmonic one.",
        _arithmetic,
        "2PR / (P + R).",
    ),
    Mistake(
        "factor-two",
        "F1 is half of what it should be: the factor 2 is missing.",
        _no_two,
        "With P = R = 1 F1 has to be 1.",
    ),
    Mistake(
        "class-zero",
        "Class 0 was taken for the positive class.",
        lambda y, g: scores(1 - y, 1 - g),
    ),
    Mistake(
        "specificity",
        "Recall is over the examples of class 0; it belongs to class 1.",
        _specificity,
        "Recall: of all that are truly positive, how many were found?",
    ),
    Mistake("accuracy", "The accuracy stands in the place of precision.", _accuracy),
    Mistake(
        "macro",
        "The mean over both classes came back; the scores of class 1 were asked for.",
        lambda y, g: tuple(metrics.precision_recall_f1(y, g, "macro")),
    ),
    Mistake(
        "percent",
        "Percent came back; shares between 0 and 1 were asked for.",
        lambda y, g: tuple(100 * v for v in scores(y, g)),
    ),
    Mistake(
        "empty-nan",
        "A quotient 0/0 gave NaN; here it counts as 0.",
        _empty_as(float("nan")),
        "Ask whether the denominator is 0 before you divide.",
    ),
    Mistake(
        "empty-nan-in-f1",
        "A quotient 0/0 gave NaN, and F1 with it; here it counts as 0.",
        _through_nan,
        "Ask whether the denominator is 0 before you divide.",
    ),
    Mistake(
        "empty-one",
        "A quotient 0/0 gave 1; here it counts as 0.",
        _empty_as(1.0),
        "Ask whether the denominator is 0 before you divide.",
    ),
    Mistake(
        "f1-nan",
        "F1 is NaN where precision and recall are both 0; here it counts as 0.",
        _f1_nan,
        "P + R is 0 there.",
    ),
)
