"""The explorable of expert routing: JavaScript, Python and the models' router agree."""

import itertools
import random

import pytest
import torch

from utils.explore.expert_routing import (
    CHOICES,
    EXPERTS,
    TOKENS,
    ExpertRouting,
    directions,
    expert_routing,
)
from utils.models.feedforward import load_balancing_loss

KEYS = ("chosen", "start", "scale", "fan", "factor")


def settings(count: int = 200) -> list[dict]:
    rng = random.Random(0)
    edges = itertools.product(CHOICES, (0.0, 6.0), (0.5, 4.0), (0.0, 45.0, 90.0), (0.5, 1.0, 4.0))
    drawn = [
        (
            rng.choice(CHOICES),
            rng.uniform(0, 6),
            rng.uniform(0.5, 4),
            rng.uniform(0, 90),
            rng.uniform(0.5, 4),
        )
        for _ in range(count)
    ]
    return [dict(zip(KEYS, row, strict=True)) for row in (*edges, *drawn)]


def test_javascript_computes_what_python_computes(javascript):
    cases = settings()
    for case, result in zip(cases, javascript("expert_routing.js", cases), strict=True):
        expected = expert_routing(**case)
        assert result.keys() == expected.keys()
        for name, value in expected.items():
            if name in ("probability", "weight"):
                for found, right in zip(result[name], value, strict=True):
                    assert found == pytest.approx(right, rel=1e-9, abs=1e-300), (case, name)
            elif name == "loss":
                assert result[name] == pytest.approx(value, rel=1e-9), case
            else:
                assert result[name] == value, (case, name)


def test_probabilities_and_loss_are_those_of_the_models():
    tokens = torch.tensor(TOKENS, dtype=torch.float64)
    for case in settings(50):
        found = expert_routing(**case)
        vectors = torch.tensor(directions(case["fan"]), dtype=torch.float64)
        logits = case["scale"] * tokens @ vectors.T
        logits[:, 0] += case["start"]
        right = logits.softmax(-1)
        torch.testing.assert_close(torch.tensor(found["probability"]).double(), right)
        if case["fan"] > 0:  # else torch.topk may settle a tie in another way
            loss = load_balancing_loss([logits], case["chosen"])
            assert found["loss"] == pytest.approx(float(loss), rel=1e-9)


def test_seats_add_up():
    for case in settings():
        found, choices = expert_routing(**case), case["chosen"] * len(TOKENS)
        assert sum(found["load"]) == choices
        assert sum(map(sum, found["kept"])) == sum(found["seated"]) == choices - found["dropped"]
        assert found["idle"] == EXPERTS * found["capacity"] - sum(found["seated"])
        assert max(found["seated"]) <= found["capacity"]
        assert all(sum(row) == pytest.approx(1) for row in found["weight"])
        assert 0 < found["loss"] <= EXPERTS + 1e-9


def test_the_first_come_is_seated_first_and_second_choices_last():
    found = expert_routing(1, 60.0, 1.0, 90.0, 1.0)
    assert found["load"] == [16, 0, 0, 0] and found["capacity"] == 4
    assert [row[0] for row in found["kept"]] == [1] * 4 + [0] * 12
    assert found["lost"] == found["dropped"] == 12 and found["loss"] == pytest.approx(4)
    both = expert_routing(2, 60.0, 1.0, 90.0, 1.0)
    assert both["load"][0] == 16 and both["capacity"] == 8 and both["seated"][0] == 8
    assert expert_routing(1, 60.0, 1.0, 90.0, 4.0)["lost"] == 0


def test_box_holds_state_and_no_script():
    widget = ExpertRouting(start=2.0)
    state = {"chosen": 1, "start": 2.0, "scale": 2.0, "fan": 90.0, "factor": 1.0}
    assert widget.state() == state
    bundle = widget._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert 'data-name="ExpertRouting"' in data["text/html"] and "<script" not in data["text/html"]


@pytest.mark.parametrize(
    ("wrong", "word"),
    [({"chosen": 3}, "expected one of"), ({"factor": 0.0}, "expected a positive")],
)
def test_wrong_settings_are_refused(wrong, word):
    case = {"chosen": 1, "start": 0.0, "scale": 1.0, "fan": 90.0, "factor": 1.0}
    with pytest.raises(ValueError, match=word):
        expert_routing(**case | wrong)
