"""The explorable of KL and reward: JavaScript, Python and torch agree, and theory holds."""

import itertools
import random

import pytest
import torch

from utils.explore.kl_reward import ANSWERS, GRID, POINTS, REFERENCE, KlReward, kl_reward


def settings(count: int = 200) -> list[dict]:
    rng = random.Random(0)
    edges = itertools.product((-3.0, -1.0, 0.0, 1.5, 6.0), (0.0, 1.0, 2.0))
    drawn = [(rng.uniform(-1, 1.5), rng.uniform(0, 2)) for _ in range(count)]
    return [dict(zip(("log_beta", "error"), row, strict=True)) for row in (*edges, *drawn)]


def test_javascript_computes_what_python_computes(javascript):
    cases = settings()
    for case, result in zip(cases, javascript("kl_reward.js", cases), strict=True):
        expected = kl_reward(**case)
        assert result.keys() == expected.keys()
        for name in ("chances", "kl", "true", "proxy", "best"):
            assert result[name] == pytest.approx(expected[name], rel=1e-9, abs=1e-12), (case, name)
        for row, right in zip(result["path"], expected["path"], strict=True):
            assert row == pytest.approx(right, rel=1e-9, abs=1e-12), case


def test_the_tilted_policy_is_torch_s_softmax_and_beats_others():
    reference = torch.tensor(REFERENCE, dtype=torch.float64)
    for case in settings(30):
        beta, found = 10 ** case["log_beta"], kl_reward(**case)
        proxy = [p + case["error"] * len(a) for p, a in zip(POINTS, ANSWERS, strict=True)]
        reward = torch.tensor(proxy, dtype=torch.float64)
        policy = (reference.log() + reward / beta).softmax(0)
        chances = torch.tensor(found["chances"], dtype=torch.float64)
        torch.testing.assert_close(chances, policy, rtol=1e-9, atol=0)
        others = torch.distributions.Dirichlet(torch.ones(6).double()).sample((200,))
        gains = others @ reward - beta * (others * (others / reference).log()).sum(1)
        assert gains.max() <= found["proxy"] - beta * found["kl"] + 1e-9


def test_the_slope_of_proxy_against_kl_is_beta():
    for case in settings(50)[15:]:
        step = {**case, "log_beta": case["log_beta"] - 1e-5}
        here, there = kl_reward(**case), kl_reward(**step)
        slope = (there["proxy"] - here["proxy"]) / (there["kl"] - here["kl"])
        assert slope == pytest.approx(10 ** case["log_beta"], rel=1e-3)


def test_the_answer_to_the_question():
    kl, true, _ = kl_reward(0.0, 1.2)["best"]
    assert kl == pytest.approx(0.77, abs=0.005) and true == pytest.approx(2.34, abs=0.005)
    assert kl_reward(-1.0, 1.2)["true"] < -3.9
    path = kl_reward(0.0, 0.0)["path"]  # an exact proxy is never overdone
    assert len(path) == len(GRID)
    assert all(b[1] >= a[1] for a, b in itertools.pairwise(path))


def test_box_holds_state_and_no_script():
    widget = KlReward(error=1.0)
    assert widget.state() == {"log_beta": 1.5, "error": 1.0}
    bundle = widget._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert 'data-name="KlReward"' in data["text/html"] and "<script" not in data["text/html"]


@pytest.mark.parametrize("wrong", [{"error": -1.0}, {"log_beta": float("nan")}])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValueError, match="finite numbers"):
        kl_reward(**{"log_beta": 0.0, "error": 1.0, **wrong})
