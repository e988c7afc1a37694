"""The computation graph: JavaScript and Python agree, and Python agrees with torch."""

import random

import pytest
import torch

from utils.explore.backprop_graph import LAST_STEP, OPERATIONS, BackpropGraph, backprop_graph

NAMES = ("x1", "w1", "x2", "w2", "b", "y")
EDGES = [
    (0.0,) * 6,
    (1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
    (0.0, 2.0, 0.0, -2.0, 0.0, 0.0),
    (-2.0, 2.0, 2.0, 2.0, 2.0, -1.0),
    (30.0, 30.0, 0.0, 1.0, 0.0, -1.0),
    (-30.0, 30.0, 0.0, 1.0, 0.0, 1.0),
    (1e-8, 1.0, 0.0, 0.0, 0.0, 1.0),
]


def settings(count: int = 300) -> list[dict]:
    rng = random.Random(0)
    drawn = [tuple(rng.uniform(-3, 3) for _ in NAMES) for _ in range(count)]
    rows = [(row, tied) for row in EDGES + drawn for tied in (False, True)]
    return [dict(zip(NAMES, row, strict=True), tied=tied) for row, tied in rows]


def test_javascript_computes_what_python_computes(javascript):
    cases = settings()
    results = javascript("backprop_graph.js", cases)
    assert len(results) >= 400
    for case, result in zip(cases, results, strict=True):
        assert result == pytest.approx(backprop_graph(**case), rel=1e-9, abs=1e-15), case


def test_python_agrees_with_autograd():
    for case in settings(100):
        t = {name: torch.tensor(case[name], dtype=torch.float64) for name in NAMES}
        t = {name: leaf.requires_grad_() for name, leaf in t.items()}
        if case["tied"]:
            t["w2"] = t["w1"]
        t["p1"], t["p2"] = t["w1"] * t["x1"], t["w2"] * t["x2"]
        t["z"] = t["p1"] + t["p2"] + t["b"]
        t["a"] = torch.tanh(t["z"])
        t["e"] = t["a"] - t["y"]
        t["L"] = t["e"] ** 2
        if case["tied"]:
            del t["w2"]
        gradients = torch.autograd.grad(t["L"], list(t.values()))
        ours = backprop_graph(**case)
        for (name, value), gradient in zip(t.items(), gradients, strict=True):
            assert ours[f"value {name}"] == pytest.approx(value.item(), rel=1e-9, abs=1e-12)
            assert ours[f"gradient {name}"] == pytest.approx(gradient.item(), rel=1e-9, abs=1e-12)
        slope = torch.autograd.grad(torch.tanh(t["z"]), t["z"])[0].item()
        assert ours["local z->a"] == pytest.approx(slope, rel=1e-9, abs=1e-12)


def test_a_weight_used_twice_collects_both_gradients():
    case = dict(x1=1.0, w1=0.5, x2=-0.7, w2=0.5, b=0.1, y=1.0)
    apart, together = backprop_graph(**case), backprop_graph(**case, tied=True)
    assert together["value L"] == apart["value L"]
    expected = apart["gradient w1"] + apart["gradient w2"]
    assert together["gradient w1"] == pytest.approx(expected, rel=1e-12)
    assert "gradient w2" not in together and "local w1->p2" in together


def test_the_order_is_topological():
    seen = set(NAMES)
    for node, (_, inputs) in OPERATIONS.items():
        assert seen.issuperset(inputs)
        seen.add(node)


def test_box_holds_state_and_no_script():
    widget = BackpropGraph(b=1.5, step=4)
    assert widget.state()["b"] == 1.5 and widget.state()["step"] == 4
    bundle = widget._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert "application/vnd.jupyter.widget-view+json" in data
    assert 'data-name="BackpropGraph"' in data["text/html"]
    assert "<script" not in data["text/html"]
    assert "&quot;step&quot;: 4" in data["text/html"]


def test_wrong_settings_are_refused():
    case = dict.fromkeys(NAMES, 0.0)
    with pytest.raises(ValueError, match="b is nan; expected a finite number"):
        backprop_graph(**case | {"b": float("nan")})
    with pytest.raises(ValueError, match="y is inf"):
        backprop_graph(**case | {"y": float("inf")})
    with pytest.raises(Exception, match="step"):
        BackpropGraph(step=LAST_STEP + 1)
