"""The explorable of one neuron: JavaScript and Python agree, and Python agrees with torch."""

import itertools
import random

import pytest
import torch

from utils.explore.neuron import ACTIVATIONS, POINTS, TARGETS, Neuron, activate, neuron

KEYS = ("w1", "w2", "b", "activation", "target")
EDGES = [
    (w1, w2, b, name, "XOR")
    for w1, w2, b in itertools.product((-2.0, 0.0, 1.0), (0.0, 2.0), (-3.0, 0.0, 0.5, 800.0))
    for name in ACTIVATIONS
]


def settings(count: int = 250) -> list[dict]:
    rng = random.Random(0)
    drawn = [
        (*(rng.uniform(-3, 3) for _ in range(3)), rng.choice(ACTIVATIONS), rng.choice([*TARGETS]))
        for _ in range(count)
    ]
    return [dict(zip(KEYS, row, strict=True)) for row in EDGES + drawn]


def test_javascript_computes_what_python_computes(javascript):
    cases = settings()
    results = javascript("neuron.js", cases)
    assert len(results) >= 200
    for case, result in zip(cases, results, strict=True):
        expected = neuron(**case)
        assert result.keys() == expected.keys()
        for name in ("z", "output", "distance"):
            assert result[name] == pytest.approx(expected[name], rel=1e-9, abs=1e-12), case
        assert result["correct"] == expected["correct"], case
        ends = [list(itertools.chain(*found["line"])) for found in (result, expected)]
        assert ends[0] == pytest.approx(ends[1], rel=1e-9), case


def test_activations_agree_with_torch():
    z = torch.linspace(-30, 30, 121, dtype=torch.float64)
    for name, function in (("sigmoid", torch.sigmoid), ("tanh", torch.tanh), ("ReLU", torch.relu)):
        ours = [activate(v, name) for v in z.tolist()]
        assert ours == pytest.approx(function(z).tolist(), rel=1e-9)


def test_the_line_is_where_the_sum_is_zero_and_ends_on_the_border():
    seen = 0
    for case in settings():
        for x1, x2 in neuron(**case)["line"]:
            assert case["w1"] * x1 + case["w2"] * x2 + case["b"] == pytest.approx(0, abs=1e-9)
            assert {x1, x2} & {-0.5, 1.5}
            seen += 1
    assert seen > 100


def test_and_and_or_can_be_reached_and_xor_cannot():
    grid = [round(-3 + 0.25 * i, 2) for i in range(25)]
    best = dict.fromkeys(TARGETS, 0)
    for w1, w2, b in itertools.product(grid, repeat=3):
        for name in TARGETS:
            best[name] = max(best[name], neuron(w1, w2, b, "step", name)["correct"])
    assert best == {"AND": 4, "OR": 4, "XOR": 3}
    assert len(POINTS) == 4


def test_box_holds_state_and_no_script():
    widget = Neuron(w1=2.0, target="OR")
    assert widget.state()["w1"] == 2.0 and widget.state()["target"] == "OR"
    bundle = widget._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert 'data-name="Neuron"' in data["text/html"] and "<script" not in data["text/html"]


@pytest.mark.parametrize("wrong", [{"activation": "relu"}, {"target": "NAND"}])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValueError, match="expected one of"):
        neuron(**{"w1": 1, "w2": 1, "b": 0, "activation": "step", "target": "AND", **wrong})
