"""The explorable of step size and curvature: JavaScript, Python and torch's SGD agree."""

import itertools
import random

import pytest
import torch

from utils.explore.step_size import START, STEPS, StepSize, factor, step_size

KEYS = ("rate", "curvature", "momentum")


def settings(count: int = 200) -> list[dict]:
    rng = random.Random(0)
    edges = itertools.product((0.01, 0.05, 1.0), (1.0, 40.0), (0.0, 0.95))
    drawn = [(rng.uniform(0.01, 1), rng.uniform(1, 40), rng.uniform(0, 0.95)) for _ in range(count)]
    return [dict(zip(KEYS, row, strict=True)) for row in [*edges, *drawn]]


def test_javascript_computes_what_python_computes(javascript):
    cases = settings()
    for case, result in zip(cases, javascript("step_size.js", cases), strict=True):
        expected = step_size(**case)
        assert result.keys() == expected.keys()
        for name, value in expected.items():
            assert result[name] == pytest.approx(value, rel=1e-9, abs=1e-300), (case, name)


def test_the_path_is_that_of_torch():
    for case in settings(20):
        w = torch.tensor(START, dtype=torch.float64, requires_grad=True)
        slope = torch.tensor([1.0, case["curvature"]], dtype=torch.float64)
        optimizer = torch.optim.SGD([w], lr=case["rate"], momentum=case["momentum"])
        ours = step_size(**case)
        for step in range(STEPS + 1):
            assert [ours["x"][step], ours["y"][step]] == pytest.approx(w.tolist(), rel=1e-6)
            optimizer.zero_grad()
            (slope * w * w).sum().div(2).backward()
            optimizer.step()


def test_factor_is_the_spectral_radius_of_a_step():
    for case in settings():
        rate, curvature, beta = (case[key] for key in KEYS)
        step = torch.tensor([[1 - rate * curvature, beta], [-rate * curvature, beta]]).double()
        radius = torch.linalg.eigvals(step).abs().max().item()
        assert factor(rate, curvature, beta) == pytest.approx(radius, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("curvature", [1.0, 10.0, 40.0])
def test_the_limit_divides_what_converges(curvature, momentum):
    limit = step_size(0.1, curvature, momentum)["limit"]
    assert factor(0.99 * limit, curvature, momentum) < 1 < factor(1.01 * limit, curvature, momentum)


def test_box_holds_state_and_no_script():
    widget = StepSize(rate=0.3, momentum=0.5)
    assert widget.state() == {"rate": 0.3, "curvature": 10.0, "momentum": 0.5}
    bundle = widget._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert 'data-name="StepSize"' in data["text/html"] and "<script" not in data["text/html"]


@pytest.mark.parametrize("wrong", [{"rate": 0.0}, {"curvature": 0.5}, {"momentum": 1.0}])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        step_size(**{"rate": 0.1, "curvature": 10.0, "momentum": 0.0, **wrong})
