"""The explorable of losses: JavaScript and Python agree, and Python agrees with torch."""

import random

import pytest
import torch
from torch.nn import functional

from utils.explore.logit_loss import LogitLoss, logit_loss

EDGES = [(z, y, s) for z in (-800.0, -40.0, 0.0, 40.0, 800.0) for y in (0, 1) for s in (0.0, 1.0)]


def settings(count: int = 300) -> list[dict]:
    rng = random.Random(0)
    drawn = [(rng.uniform(-30, 30), rng.randint(0, 1), rng.random()) for _ in range(count)]
    return [dict(zip(("logit", "label", "smoothing"), row, strict=True)) for row in EDGES + drawn]


def test_javascript_computes_what_python_computes(javascript):
    cases = settings()
    results = javascript("logit_loss.js", cases)
    assert len(results) >= 200
    for case, result in zip(cases, results, strict=True):
        assert result == pytest.approx(logit_loss(**case), rel=1e-9, abs=1e-15), case


def test_python_agrees_with_autograd():
    for case in settings(50)[len(EDGES) :]:
        z = torch.tensor(case["logit"], dtype=torch.float64, requires_grad=True)
        target = torch.tensor(
            case["label"] * (1 - case["smoothing"]) + case["smoothing"] / 2, dtype=torch.float64
        )
        ours = logit_loss(**case)
        for name, loss in [
            ("cross_entropy", functional.binary_cross_entropy_with_logits(z, target)),
            ("squared_error", (torch.sigmoid(z) - target) ** 2),
        ]:
            (gradient,) = torch.autograd.grad(loss, z)
            assert ours[name] == pytest.approx(loss.item(), rel=1e-9, abs=1e-12)
            assert ours[name + "_gradient"] == pytest.approx(gradient.item(), rel=1e-9, abs=1e-12)


def test_box_holds_state_and_no_script():
    widget = LogitLoss(logit=2.5, label=0)
    assert widget.state() == {"logit": 2.5, "label": 0, "smoothing": 0.0}
    bundle = widget._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert "application/vnd.jupyter.widget-view+json" in data
    assert 'data-name="LogitLoss"' in data["text/html"] and "<script" not in data["text/html"]
    assert "&quot;logit&quot;: 2.5" in data["text/html"]


@pytest.mark.parametrize(
    ("wrong", "phrase"), [({"label": 2}, "0 or 1"), ({"smoothing": 1.5}, "0 to 1")]
)
def test_wrong_settings_are_refused(wrong, phrase):
    with pytest.raises(ValueError, match=phrase):
        logit_loss(**{"logit": 0.0, "label": 1, **wrong})
