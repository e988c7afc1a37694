"""The explorable of a decision threshold: JavaScript, Python and scikit-learn agree."""

import math
import random

import pytest
from sklearn.metrics import confusion_matrix, precision_score, recall_score

from utils.explore.threshold_cost import GRID, ThresholdCost, threshold_cost


def settings(count: int = 200) -> list[dict]:
    rng, cases = random.Random(0), []
    for i in range(count):
        n = rng.choice((1, 2, 30, 114))
        labels = [rng.randint(0, 1) for _ in range(n)] if i % 10 else [i // 10 % 2] * n
        scores = [round(rng.gauss(3 if label else -3, 3), 2) for label in labels]
        # half of the thresholds fall on a score: alarms begin at the threshold itself
        threshold = rng.choice(scores) if i % 2 else rng.uniform(-9, 9)
        case = {"scores": scores, "labels": labels, "threshold": threshold}
        cases.append(case | {"miss_cost": rng.choice((1, 10, 50, rng.uniform(0.1, 60)))})
    return cases


def test_javascript_computes_what_python_computes(javascript):
    cases = settings()
    for case, result in zip(cases, javascript("threshold_cost.js", cases), strict=True):
        expected = threshold_cost(**case)
        assert result.keys() == expected.keys()
        for name, value in expected.items():
            near = value if value is None else pytest.approx(value, rel=1e-9, abs=1e-12)
            assert result[name] == near, (case, name)


def test_counts_and_rates_are_scikit_learns():
    for case in settings():
        ours, labels = threshold_cost(**case), case["labels"]
        said = [int(score >= case["threshold"]) for score in case["scores"]]
        tn, fp, fn, tp = confusion_matrix(labels, said, labels=[0, 1]).ravel()
        assert [ours[name] for name in ("tp", "fp", "fn", "tn")] == [tp, fp, fn, tn]
        if any(labels):
            assert ours["sensitivity"] == pytest.approx(recall_score(labels, said))
        if any(said):
            assert ours["precision"] == pytest.approx(precision_score(labels, said))
        if not any(said):
            assert ours["precision"] is None


def test_cost_counts_misses_and_alarms():
    scores, labels = [-2.0, 1.0, 3.0, -1.0], [1, 1, 0, 0]
    assert threshold_cost(scores, labels, 0.0, 10)["cost"] == pytest.approx(100 * (10 + 1) / 4)
    assert threshold_cost(scores, labels, 99.0, 10)["cost"] == pytest.approx(100 * 20 / 4)


def test_the_rule_is_best_for_calibrated_scores():
    rng, miss_cost = random.Random(1), 4.0
    scores = [rng.uniform(-6, 6) for _ in range(40000)]
    labels = [int(rng.random() < 1 / (1 + math.exp(-z))) for z in scores]
    found = threshold_cost(scores, labels, 0.0, miss_cost)
    at_rule = threshold_cost(scores, labels, found["rule"], miss_cost)["cost"]
    assert at_rule == pytest.approx(found["lowest"], rel=0.02)
    assert at_rule < min(found["curve"][GRID.index(z)] for z in (-4.0, 1.0))


def test_box_holds_state_and_no_script():
    widget = ThresholdCost(scores=[1.5, -2.0], labels=[1, 0])
    state = {"scores": [1.5, -2.0], "labels": [1, 0], "threshold": 0.0, "miss_cost": 10.0}
    assert widget.state() == state
    bundle = widget._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert 'data-name="ThresholdCost"' in data["text/html"] and "<script" not in data["text/html"]


@pytest.mark.parametrize(
    "wrong", [{"labels": [1]}, {"scores": [], "labels": []}, {"labels": [1, 2]}, {"miss_cost": 0}]
)
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        right = {"scores": [1.0, 2.0], "labels": [0, 1], "threshold": 0.0, "miss_cost": 1.0}
        threshold_cost(**right | wrong)
