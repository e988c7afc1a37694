"""Named mistakes of the lab `evaluation`, two models: McNemar's test and the report.

Legend: `a` and `b` booleans (n,), right or wrong for each of two models, `y` labels (n,), `p`
and `q` probabilities (n,) of the two, `draws` row indices (R, n). Each function is wrong in
one way.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import stats

from utils import intervals
from utils.check.core import Mistake

ALPHA = 0.05


# --- McNemar --------------------------------------------------------------------------------
def _split(a, b) -> tuple[int, int]:
    return int((a & ~b).sum()), int((b & ~a).sum())


def _tail(total, upto) -> float:
    return sum(math.comb(total, k) for k in range(upto + 1)) / 2**total


def _of_tail(change, *, least=min, shift=0, cap=True):
    def wrong(a, b):
        one, other = _split(a, b)
        value = change * _tail(one + other, least(one, other) + shift)
        return min(1.0, value) if cap else value

    return wrong


def _chi2(correct: float):
    def wrong(a, b):
        one, other = _split(a, b)
        return float(stats.chi2.sf((abs(one - other) - correct) ** 2 / (one + other), 1))

    return wrong


def _unpaired(a, b):
    n, pooled = len(a), (a.mean() + b.mean()) / 2
    z = (a.mean() - b.mean()) / math.sqrt(2 * pooled * (1 - pooled) / n)
    return float(2 * stats.norm.sf(abs(z)))


def _all_examples(a, b):
    return min(1.0, 2 * _tail(len(a), min(_split(a, b))))


def _without_disagreement(value):
    def wrong(a, b):
        if (a != b).any():
            raise ValueError("this mistake needs models that agree throughout")
        return value

    return wrong


def _point(a, b):
    one, other = _split(a, b)
    return math.comb(one + other, one) / 2 ** (one + other)


MCNEMAR = (
    Mistake(
        "no-disagreement-nan",
        "Without a disagreement nothing speaks for a difference: p is 1 there.",
        _without_disagreement(float("nan")),
    ),
    Mistake(
        "no-disagreement-zero",
        "Without a disagreement p came out as 0, which would be certainty; it is 1 there.",
        _without_disagreement(0.0),
    ),
    Mistake(
        "one-sided",
        "This is one tail; a difference the other way would count as well.",
        _of_tail(1),
        "The coin is fair, so the other tail is as large.",
    ),
    Mistake(
        "above-one",
        "A probability above 1 came back.",
        _of_tail(2, cap=False),
        "Where the two counts are equal the tails overlap: the value is 1 there.",
    ),
    Mistake(
        "all-examples",
        "All examples entered the coin flips; those on which both agree say nothing.",
        _all_examples,
        "How often do the two models disagree?",
    ),
    Mistake("chi-square", "This is the chi-square approximation, not the exact test.", _chi2(0)),
    Mistake(
        "chi-square-corrected",
        "This is the chi-square approximation with continuity correction, not the exact test.",
        _chi2(1),
    ),
    Mistake(
        "unpaired",
        "The two models were compared as if they had seen different examples.",
        _unpaired,
        "Look at each example: which of the two was right?",
    ),
    Mistake(
        "tail-open",
        "The observed count itself is missing from the tail.",
        _of_tail(2, shift=-1),
        "As extreme as what was seen, or more: the count that was seen belongs to it.",
    ),
    Mistake("wrong-end", "The tail was summed up to the larger count.", _of_tail(2, least=max)),
    Mistake(
        "wrong-end-one-sided", "This is the larger part, not the tail.", _of_tail(1, least=max)
    ),
    Mistake("point", "This is the probability of this outcome alone, without the tail.", _point),
    Mistake("complement", "This is 1 - p.", lambda a, b: 1 - intervals.mcnemar(a, b).p_value),
)


# --- the report -----------------------------------------------------------------------------
def report(y, p, q, draws, **about: Any) -> dict[str, Any]:
    """The right report; a keyword replaces what stands under that key."""
    a, b = (p >= 0.5) == y, (q >= 0.5) == y
    one, other = _split(a, b)
    p_value = float(intervals.mcnemar(a, b).p_value)
    low, high = np.quantile(b[draws].mean(1) - a[draws].mean(1), (0.025, 0.975))
    better = "second" if other > one else "first"
    return {
        "accuracy_first": float(a.mean()),
        "accuracy_second": float(b.mean()),
        "only_first": one,
        "only_second": other,
        "p_value": p_value,
        "low": float(low),
        "high": float(high),
        "verdict": better if p_value < ALPHA else "undecided",
    } | about


def _by_accuracy(y, p, q, draws):
    right = report(y, p, q, draws)
    better = "second" if right["accuracy_second"] > right["accuracy_first"] else "first"
    return right | {"verdict": better}


def _by_separate(y, p, q, draws):
    a, b = (p >= 0.5) == y, (q >= 0.5) == y
    ends = [np.quantile(right[draws].mean(1), (0.025, 0.975)) for right in (a, b)]
    apart = "second" if ends[1][0] > ends[0][1] else "first"
    open_ = ends[1][0] <= ends[0][1] and ends[0][0] <= ends[1][1]
    return report(y, p, q, draws, verdict="undecided" if open_ else apart)


def _other_way(y, p, q, draws):
    right = report(y, p, q, draws)
    return right | {"low": -right["high"], "high": -right["low"]}


def _swapped(y, p, q, draws):
    return report(y, q, p, draws)


def _counts_swapped(y, p, q, draws):
    right = report(y, p, q, draws)
    return right | {"only_first": right["only_second"], "only_second": right["only_first"]}


def _wrong_counts(y, p, q, draws):
    a, b = (p >= 0.5) == y, (q >= 0.5) == y
    return report(y, p, q, draws, only_first=int(a.sum()), only_second=int(b.sum()))


def _strictly(y, p, q, draws):
    return report(y, np.where(p == 0.5, 0.0, p), np.where(q == 0.5, 0.0, q), draws)


def _turned(y, p, q, draws):
    right = report(y, p, q, draws)
    other = {"first": "second", "second": "first", "undecided": "undecided"}
    return right | {"verdict": other[right["verdict"]]}


def _percent(y, p, q, draws):
    right = report(y, p, q, draws)
    shares = ("accuracy_first", "accuracy_second", "low", "high")
    return right | {key: 100 * right[key] for key in shares}


REPORT = (
    Mistake(
        "strict-threshold",
        "A probability of exactly 0.5 was taken for class 0; from 0.5 on it is class 1.",
        _strictly,
    ),
    Mistake("models-swapped", "The two models changed places.", _swapped),
    Mistake(
        "difference-other-way",
        "The interval is that of first minus second; second minus first was asked for.",
        _other_way,
    ),
    Mistake(
        "counts-swapped",
        "only_first and only_second changed places.",
        _counts_swapped,
        "only_first counts the examples on which the first model is right and the second wrong.",
    ),
    Mistake(
        "counts-of-right",
        "All right answers of a model were counted; those were asked that it alone has.",
        _wrong_counts,
    ),
    Mistake(
        "percent",
        "Percent came back; shares were asked for.",
        _percent,
    ),
    Mistake(
        "verdict-turned",
        "The numbers are right, but the verdict names the less accurate model.",
        _turned,
    ),
    Mistake(
        "verdict-by-accuracy",
        "The more accurate model was declared better although p is 0.05 or more.",
        _by_accuracy,
        "What does the test say about this difference?",
    ),
    Mistake(
        "verdict-by-overlap",
        "The verdict follows from two separate intervals; the paired test decides.",
        _by_separate,
        "Two intervals may overlap while the paired difference is clear.",
    ),
)
WITHOUT_ID = Mistake(
    "without-id",
    "These are the numbers of the test set without an id, not of yours.",
    hint="Run the cell with check.learner_id again, with your id, and then the cells below it.",
)
NOT_YOURS = Mistake(
    "not-yours",
    "These are not the numbers of your test set.",
    hint="Run the cell with check.learner_id, then print report(*mine), and compare number by "
    "number. Three decimals are needed.",
)
