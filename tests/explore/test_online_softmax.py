"""The explorable of the online softmax: JavaScript, Python and torch agree."""

import itertools
import random

import pytest
import torch

from utils.explore.online_softmax import BLOCKS, ORDERS, OnlineSoftmax, online_softmax

KEYS = ("scale", "block", "order")


def settings(count: int = 200) -> list[dict]:
    rng = random.Random(0)
    edges = itertools.product((0.0, 1.0, 4.0, 300.0), BLOCKS, ORDERS)
    drawn = [(rng.uniform(0, 5), rng.choice(BLOCKS), rng.choice(ORDERS)) for _ in range(count)]
    return [dict(zip(KEYS, row, strict=True)) for row in (*edges, *drawn)]


def test_javascript_computes_what_python_computes(javascript):
    cases = settings()
    for case, result in zip(cases, javascript("online_softmax.js", cases), strict=True):
        expected = online_softmax(**case)
        assert result.keys() == expected.keys()
        for name in ("scores", "values", "weights", "answer"):
            assert result[name] == pytest.approx(expected[name], rel=1e-9, abs=1e-300), case
        for found, right in zip(result["steps"], expected["steps"], strict=True):
            assert found == pytest.approx(right, rel=1e-9, abs=1e-300), case
        assert result["raised"] == expected["raised"], case


def test_every_state_is_torch_s_softmax_of_what_was_read():
    for case in settings():
        found = online_softmax(**case)
        scores, values = (torch.tensor(found[k], dtype=torch.float64) for k in ("scores", "values"))
        for i, (m, total, answer, _) in enumerate(found["steps"]):
            seen = slice(0, (i + 1) * case["block"])
            expected = (scores[seen].softmax(0) * values[seen]).sum().item()
            assert answer == pytest.approx(expected, rel=1e-9)
            assert m == scores[seen].max().item()
            assert total == pytest.approx((scores[seen] - m).exp().sum().item(), rel=1e-9)
        assert found["answer"] == pytest.approx(answer, rel=1e-9)


def test_rising_corrects_always_and_falling_never():
    raised = [online_softmax(1.0, 1, order)["raised"] for order in ORDERS]
    assert raised == [2, 11, 0]


def test_box_holds_state_and_no_script():
    widget = OnlineSoftmax(read=2)
    assert widget.state() == {"read": 2, "block": 3, "scale": 1.0, "order": "as given"}
    bundle = widget._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert 'data-name="OnlineSoftmax"' in data["text/html"] and "<script" not in data["text/html"]


@pytest.mark.parametrize("wrong", [{"block": 5}, {"order": "random"}])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValueError, match="expected one of"):
        online_softmax(**{"scale": 1.0, "block": 3, "order": "as given", **wrong})
