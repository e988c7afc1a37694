"""Checks of the lab `evaluation`: metrics, calibration, bootstrap, McNemar's test, a report.

Legend: n examples, C classes, R resamples.

References are `utils.metrics` and `utils.intervals`, which tests compare with scikit-learn and
SciPy. Data are NumPy arrays; answers agree within 1e-4 relative and 1e-5 unless a task says so.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from utils import intervals, metrics
from utils.check import evaluation_curve_mistakes as curve
from utils.check import evaluation_inputs as draw
from utils.check import evaluation_interval_mistakes as interval
from utils.check import evaluation_mistakes as wrong
from utils.check import evaluation_test_mistakes as paired
from utils.check.core import Lab
from utils.check.data import difference, short
from utils.check.probes_evaluation import own_test_set
from utils.check.trial import Trial

LAB = Lab("evaluation", "Evaluation: how good, and how sure", points=30, variant=True)
LIBRARY = ("utils.*", "sklearn.*", "statsmodels.*")
TESTS = ("scipy.stats.bootstrap", "scipy.stats.binomtest", "scipy.stats.mannwhitneyu")
NOT_IT = (*LIBRARY, *TESTS)


@LAB.task(
    "The confusion matrix",
    points=2,
    minutes=8,
    difficulty=1,
    functions=("confusion_matrix",),
    forbidden=NOT_IT,
    hints=(
        "Begin with a square of zeros; each example adds 1 in one place.",
        "The true class chooses the row, the predicted class the column.",
    ),
)
def confusion(t: Trial) -> None:
    for C, present in ((2, 2), (t.integer(3, 5), None), (5, 3)):  # the last: classes that lack
        y, g = draw.classes(t, 60, present or C)
        t.equal("confusion_matrix", y, g, C, expected=wrong.matrix(y, g, C),
                mistakes=wrong.CONFUSION)  # fmt: skip
    y = np.array([t.integer(0, 3)])
    t.equal("confusion_matrix", y, y, 4, expected=wrong.matrix(y, y, 4), mistakes=wrong.CONFUSION)


@LAB.task(
    "Precision, recall and F1",
    points=3,
    minutes=8,
    difficulty=1,
    functions=("precision_recall_f1",),
    forbidden=NOT_IT,
    hints=(
        "Three counts are enough: true positives, all that was predicted 1, all that is 1.",
        "F1 = 2PR / (P + R), which is also 2 TP / (predicted 1 + truly 1).",
        "Each of the three quotients has a case in which its denominator is 0.",
    ),
)
def precision_recall(t: Trial) -> None:
    empty = np.zeros(t.integer(4, 8), dtype=np.int64)
    some = empty.copy()
    some[: t.integer(1, 3)] = 1
    pairs = [draw.skewed(t), draw.skewed(t), (some, empty), (empty, some), (empty, empty)]
    pairs += [(some, 1 - some), (some, some)]
    for y, g in pairs:
        expected = wrong.scores(y, g)
        t.equal("precision_recall_f1", y, g, expected=expected, mistakes=wrong.PRECISION_RECALL)


@LAB.task(
    "The ROC curve and its area",
    points=4,
    minutes=14,
    difficulty=2,
    functions=("roc_curve", "auc"),
    forbidden=NOT_IT,
    hints=(
        "Take each distinct score as a threshold, from high to low; examples whose score is at "
        "least the threshold count as positive.",
        "The curve begins at (0, 0), before the first threshold, and ends at (1, 1).",
        "The area between two points is a trapezoid: the step to the right times the mean height.",
    ),
)
def ranking(t: Trial) -> None:
    for steps in (8, 10**6, 2):  # with ties, without, with almost nothing else
        y, s = draw.ranked(t, 30, steps)
        t.equal("roc_curve", y, s, expected=curve.roc(y, s), mistakes=curve.ROC)
    y, s = np.array([1, 0]), np.array([0.25, -3.5])
    t.equal("roc_curve", y, s, expected=curve.roc(y, s), mistakes=curve.ROC)
    for only in (np.zeros(4, dtype=np.int64), np.ones(4, dtype=np.int64)):
        t.raises("ValueError", "roc_curve", only, np.arange(4) / 4.0,
                 why="both classes are needed", mistake=curve.ONE_CLASS)  # fmt: skip
    for steps in (6, 10**6, 2):
        y, s = draw.ranked(t, 30, steps)
        t.equal("auc", y, s, expected=metrics.auc(y, s), mistakes=curve.AUC)
    t.equal("auc", y, np.full(30, 0.5), expected=0.5, mistakes=curve.AUC)


@LAB.task(
    "Expected calibration error",
    points=3,
    minutes=10,
    difficulty=2,
    functions=("calibration_error",),
    forbidden=NOT_IT,
    hints=(
        "For each bin: the mean probability of its examples, and the share of them with label 1.",
        "The mean over the bins is weighted by how many examples each bin holds.",
        "np.ceil(p * num_bins) - 1 is the number of the bin, but for p = 0.",
    ),
)
def calibration(t: Trial) -> None:
    for m in (t.integer(4, 7), 10):
        p = t.rng.uniform(0.02, 0.98, 80)
        y = (t.rng.random(80) < p**2).astype(np.int64)
        _calibrated(t, y, p, m)
    part = np.r_[0:17, t.rng.integers(0, 17, 20)]  # sixteenths: every other one is an edge
    y = (np.maximum(part - 1, 0) // 2 + t.integer(0, 1)) % 2  # gaps of both signs, bin by bin
    _calibrated(t, y, part / 16, 8)
    p = np.array([0.0, 0.0, 0.0, 0.9])
    _calibrated(t, np.array([1, 1, 0, 1]), p, 4)
    _calibrated(t, np.array([0, 1, 1]), np.array([0.25, 0.5, 0.125]), 1)
    _calibrated(t, np.array([1]), np.array([1.0]), 2)


@LAB.task(
    "A bootstrap interval",
    points=3,
    minutes=12,
    difficulty=2,
    functions=("bootstrap_interval",),
    forbidden=NOT_IT,
    hints=(
        "For each row of draws: take those rows of every array, and compute the statistic.",
        "The ends are two quantiles of the R values; np.quantile interpolates between them.",
        "What lies outside is 1 - level in all, half of it below and half above.",
    ),
)
def bootstrap(t: Trial) -> None:
    cases = [("mean", 1, 0.9), ("agreement", 2, 0.8), ("covariance", 2, 0.9)]
    for statistic, count, level in [*cases, ("difference", 2, None), ("mean", 1, 0.5)]:
        n, R = t.integer(12, 16), t.integer(17, 24)
        arrays = tuple(t.rng.integers(0, 3, n).astype(float) for _ in range(count))
        if statistic in ("mean", "difference"):
            arrays = tuple(t.rng.standard_exponential(n) for _ in range(count))
        args = (statistic, arrays, t.rng.integers(0, n, (R, n)), level)
        said = "" if level is None else f", level={level}"
        called = f"bootstrap_interval({statistic}, {count} of shape ({n},), draws ({R}, {n}){said})"
        came = t.probe("bootstrap", *args, called=called)
        t.same(came, interval.percentile(*args), args=args, mistakes=interval.BOOTSTRAP)


@LAB.task(
    "How many examples",
    points=2,
    minutes=8,
    difficulty=2,
    functions=("interval_width", "needed_size"),
    forbidden=NOT_IT,
    hints=(
        "The standard error of a share is the square root of share * (1 - share) / n.",
        "Set the width equal to what is asked and solve for n; then round.",
        "A share of 0 or 1 makes the width 0 for any n. How many examples are the least?",
    ),
)
def size(t: Trial) -> None:
    for _ in range(3):
        share, n = t.rng.uniform(0.6, 0.95), t.integer(5, 5000)
        expected = interval.width(share, n)
        t.equal("interval_width", share, n, expected=expected, mistakes=interval.WIDTH, atol=1e-9)
    for low, high in ((0.02, 0.05), (0.05, 0.1), (0.1, 0.3)):
        share, wide = t.rng.uniform(0.05, 0.4), t.rng.uniform(low, high)
        expected = interval.needed(share, wide)
        t.equal("needed_size", share, wide, expected=expected, mistakes=interval.NEEDED)
    t.equal("needed_size", 1.0, 0.1, expected=1, mistakes=interval.NEEDED)


@LAB.task(
    "Two models, the same examples",
    points=3,
    minutes=12,
    difficulty=3,
    functions=("mcnemar",),
    forbidden=NOT_IT,
    hints=(
        "Count the examples on which the first model alone is right, and those on which the "
        "second alone is.",
        "If there is no difference, each disagreement is a fair coin. How probable is a count as "
        "small as the smaller of the two, or smaller?",
        "math.comb gives whole numbers of any size; divide two whole numbers at the end.",
    ),
)
def two_models(t: Trial) -> None:
    few, more = t.integer(2, 5), t.integer(8, 12)
    for one, other, both, neither in (
        (few, more, 30, 8), (more, few, 11, 3), (0, few, 5, 2), (4, 4, 9, 1), (0, 0, 6, 3),
        (1, 0, 0, 0), (few, few + 1, 4, 4), (700 + few, 750 + more, 400, 90),
    ):  # fmt: skip
        a, b = draw.right(t, one, other, both, neither)
        expected = intervals.mcnemar(a, b).p_value
        t.equal("mcnemar", a, b, expected=expected, mistakes=paired.MCNEMAR, rtol=1e-6, atol=1e-9)


@LAB.task(
    "A report on your own test set",
    points=4,
    minutes=14,
    difficulty=3,
    functions=("report", "findings"),
    forbidden=NOT_IT,
    hints=(
        "Start from two boolean arrays: whether each model was right on each example.",
        "bootstrap_interval takes a function of two arrays: the mean of the second minus that of "
        "the first.",
        "findings holds the numbers that report gives for mine, to three decimals.",
    ),
)
def compare(t: Trial) -> None:
    for gap in (-0.3, 0.05, 0.3, 0.05):  # the first model better, nearly equal, the second
        args = draw.two(t, 70, 19, gap)
        t.equal("report", *args, expected=paired.report(*args), mistakes=paired.REPORT)
    for one, other in ((8, 2), (11, 2), (3, 11), (0, 0)):  # p: 0.11, 0.02, 0.06 and 1
        args = draw.close(t, one, other)
        t.equal("report", *args, expected=paired.report(*args), mistakes=paired.REPORT)
    _own_findings(t)


def _calibrated(t: Trial, y: np.ndarray, p: np.ndarray, m: int) -> None:
    expected = metrics.reliability(y, p, m).error
    t.equal("calibration_error", y, p, m, expected=expected, mistakes=curve.CALIBRATION)


@lru_cache(maxsize=256)
def _own(seed: int) -> dict[str, Any]:
    return paired.report(*own_test_set(seed))


def _own_findings(t: Trial) -> None:
    """The learner's numbers, compared without saying what they should be."""
    came, right, mine = t.call("findings"), _own(t.variant), own_test_set(t.variant)
    wrong = came if isinstance(came, dict) else {}
    parts = [key for key in right if key in wrong and not _close(wrong[key], right[key])]
    parts += [f"{key} (missing)" for key in right if key not in wrong]
    parts += sorted(f"{key} (not asked for)" for key in wrong.keys() - right.keys())
    named = paired.WITHOUT_ID if _close(came, _own(0)) else None
    for mistake in paired.REPORT if not named else ():
        if _close(came, mistake.wrong(*mine)):
            named = mistake
            break
    t.require(
        not parts,
        came=f"{short(came)}; what does not fit: {', '.join(map(str, parts))}",
        expected="what report(*mine) gives, to three decimals",
        mistake=named or paired.NOT_YOURS,
    )


def _close(came: Any, right: Any) -> bool:
    return difference(came, right, 0.0, 6e-4) is None
