"""The explorable of attention: JavaScript and Python agree, and Python agrees with torch."""

import random

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from utils.explore.attention_weights import AttentionWeights, attention_weights


def cases(count: int = 220) -> list[dict]:
    rng = random.Random(0)

    def point(size):
        return [rng.uniform(-size, size) for _ in range(2)]

    drawn = [
        {
            "query": point(3),
            "keys": [point(3) for _ in range(5)],
            "visible": rng.randint(1, 5),
            "scaled": rng.random() < 0.5,
            "temperature": rng.uniform(0.1, 4),
        }
        for _ in range(count)
    ]
    edges = [
        {"query": [0.0, 0.0], "visible": 1, "temperature": 0.05},
        {"query": [800.0, -800.0], "temperature": 0.05},
        {"query": [3.0, 3.0], "keys": [[1.0, 1.0]] * 5},
        {"keys": [[0.0, 0.0]] * 5},
    ]
    return [drawn[0] | edge for edge in edges] + drawn


def test_javascript_computes_what_python_computes(javascript):
    settings = cases()
    results = javascript("attention_weights.js", settings)
    assert len(results) >= 200
    for case, result in zip(settings, results, strict=True):
        expected = attention_weights(**case)
        assert set(result) == set(expected)
        for name, value in expected.items():
            assert result[name] == pytest.approx(value, rel=1e-9, abs=1e-14), (case, name)


def test_python_computes_what_torch_computes():
    for case in cases(60):
        query = torch.tensor([case["query"]], dtype=torch.float64)
        keys = torch.tensor(case["keys"], dtype=torch.float64)
        mask = (torch.arange(5) < case["visible"])[None]
        scale = (2**-0.5 if case["scaled"] else 1.0) / case["temperature"]
        output = scaled_dot_product_attention(query, keys, keys, attn_mask=mask, scale=scale)
        ours = attention_weights(**case)
        assert ours["output"] == pytest.approx(output[0].tolist(), rel=1e-9, abs=1e-12)


def test_the_answer_to_its_question_holds():
    """The first key lies inside the others' hull, so no direction makes its score the largest."""
    keys = AttentionWeights().key_points
    for angle in torch.linspace(0, 6.2832, 361):
        query = [3 * float(angle.cos()), 3 * float(angle.sin())]
        weights = attention_weights(query, keys, 5)["weights"]
        assert weights[0] < max(weights)


def test_values_reach_python_and_wrong_ones_are_refused():
    widget = AttentionWeights(query=[0.5, -1.0])
    assert widget.state()["query"] == [0.5, -1.0] and widget.state()["visible"] == 5
    for wrong, phrase in [
        ({"keys": [[1.0]]}, "needs 2 numbers"),
        ({"visible": 0}, "expected 1 to 5"),
        ({"temperature": 0.0}, "positive"),
    ]:
        with pytest.raises(ValueError, match=phrase):
            attention_weights(
                **{"query": [1.0, 0.0], "keys": widget.key_points, "visible": 5, **wrong}
            )
