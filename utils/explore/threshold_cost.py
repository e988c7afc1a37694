"""A decision threshold on given scores: the confusion matrix and what it costs."""

from __future__ import annotations

import math

import traitlets

from utils.explore.base import Explorable, source

REACH, STEP = 8, 0.25  # the thresholds of the curve, as logits: -REACH to REACH
GRID = [-REACH + STEP * i for i in range(round(2 * REACH / STEP) + 1)]


def counts(scores: list[float], labels: list[int], threshold: float) -> dict[str, int]:
    """True and false positives and negatives if every score of at least `threshold` is an alarm."""
    result = {"tp": 0, "fp": 0, "fn": 0, "tn": 0}
    for score, label in zip(scores, labels, strict=True):
        result[("tp" if label else "fp") if score >= threshold else ("fn" if label else "tn")] += 1
    return result


def threshold_cost(
    scores: list[float], labels: list[int], threshold: float, miss_cost: float
) -> dict:
    """Counts, rates and cost at a threshold, and the cost at every threshold of `GRID`.

    ``scores`` and ``threshold`` are logits; ``labels`` are 1 for what is looked for. A false alarm
    costs 1, a miss ``miss_cost``. ``cost``, ``curve`` and ``lowest`` are for 100 cases;
    ``best`` is the first threshold of `GRID` with the lowest cost; ``rule`` is the threshold
    -ln(miss_cost), the best one for calibrated scores (Elkan, 2001, section 2). A rate is None
    where nothing is divided by. Raises ValueError for lists that don't fit or costs not above 0.
    """
    if len(scores) != len(labels) or not scores or set(labels) - {0, 1}:
        raise ValueError(
            f"got {len(scores)} scores and {len(labels)} labels; expected equally many, at least "
            "one, and labels 0 or 1"
        )
    if not miss_cost > 0:
        raise ValueError(f"miss_cost is {miss_cost!r}; expected a number above 0")

    def cost(at: float) -> float:
        found = counts(scores, labels, at)
        return 100 * (miss_cost * found["fn"] + found["fp"]) / len(scores)

    def share(part: int, whole: int) -> float | None:
        return part / whole if whole else None

    found, curve = counts(scores, labels, threshold), [cost(at) for at in GRID]
    return {
        **found,
        "sensitivity": share(found["tp"], found["tp"] + found["fn"]),
        "specificity": share(found["tn"], found["tn"] + found["fp"]),
        "precision": share(found["tp"], found["tp"] + found["fp"]),
        "cost": cost(threshold),
        "curve": curve,
        "lowest": min(curve),
        "best": GRID[curve.index(min(curve))],
        "rule": -math.log(miss_cost),
    }


class ThresholdCost(Explorable):
    """Scores of two classes, a threshold among them, the confusion matrix and its cost."""

    _esm = source("threshold_cost.js")
    title = "Threshold, confusion matrix and cost"
    fallback = (
        "With JavaScript, sliders move a decision threshold and the cost of a miss here, and two "
        "pictures show the scores of both classes and the cost against the threshold."
    )
    heights = ("49.5rem", "77.5rem")
    scores = traitlets.List(traitlets.Float()).tag(sync=True)
    labels = traitlets.List(traitlets.Int()).tag(sync=True)
    threshold = traitlets.Float(0.0).tag(sync=True)
    miss_cost = traitlets.Float(10.0).tag(sync=True)
