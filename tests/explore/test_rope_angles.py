"""The explorable of rotary positions: JavaScript, Python and `utils.models.rope` agree."""

import itertools
import random

import pytest
import torch

from utils.explore.rope_angles import BASES, LAST, PAIRS, RopeAngles, frequencies, rope_angles
from utils.models.rope import inverse_frequencies, rotate

KEYS = ("query", "key", "pair", "base")


def settings(count: int = 200) -> list[dict]:
    rng = random.Random(0)
    edges = itertools.product((0, LAST), (0, LAST), (1, PAIRS), BASES)
    drawn = [
        (rng.randint(0, LAST), rng.randint(0, LAST), rng.randint(1, PAIRS), rng.choice(BASES))
        for _ in range(count)
    ]
    return [dict(zip(KEYS, row, strict=True)) for row in [*edges, *drawn]]


def test_javascript_computes_what_python_computes(javascript):
    cases = settings()
    for case, result in zip(cases, javascript("rope_angles.js", cases), strict=True):
        expected = rope_angles(**case)
        assert result.keys() == expected.keys()
        for name, value in expected.items():
            assert result[name] == pytest.approx(value, rel=1e-9, abs=1e-12), (case, name)


def test_frequencies_are_those_of_the_models():
    for base in BASES:
        ours, _ = inverse_frequencies(2 * PAIRS, float(base))
        assert frequencies(float(base)) == pytest.approx(ours.tolist(), rel=1e-6)


def test_the_score_is_the_product_of_turned_vectors():
    x_D = torch.ones(2 * PAIRS, dtype=torch.float64)
    for case in settings(50):
        angle_F = torch.tensor(frequencies(float(case["base"])), dtype=torch.float64)
        q_D, k_D = (
            rotate(x_D, (case[name] * angle_F).cos(), (case[name] * angle_F).sin())
            for name in ("query", "key")
        )
        score = rope_angles(**case)["score"]
        assert score == pytest.approx(float(q_D @ k_D / (x_D @ x_D)), abs=1e-9)


def test_only_the_distance_counts():
    near, far = rope_angles(9, 5, 3, "10000"), rope_angles(59, 55, 3, "10000")
    assert near["score"] == far["score"] and near["cosine"] == far["cosine"]
    assert near["query_angle"] != far["query_angle"]


def test_box_holds_state_and_no_script():
    widget = RopeAngles(query=20, base="100")
    assert widget.state() == {"query": 20, "key": 5, "pair": 3, "base": "100"}
    bundle = widget._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert 'data-name="RopeAngles"' in data["text/html"] and "<script" not in data["text/html"]


@pytest.mark.parametrize("wrong", [{"base": "1000"}, {"pair": 0}, {"pair": PAIRS + 1}])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        rope_angles(**{"query": 1, "key": 0, "pair": 1, "base": "100", **wrong})
