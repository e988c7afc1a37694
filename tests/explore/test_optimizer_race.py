"""The explorable of optimizers: JavaScript and Python agree, and Python agrees with torch.optim."""

import math
import random

import pytest
import torch

from utils.explore.optimizer_race import FLOORS, SURFACES, OptimizerRace, optimizer_race

TORCH = {
    "SGD": lambda p, lr: torch.optim.SGD(p, lr),
    "momentum": lambda p, lr: torch.optim.SGD(p, lr, momentum=0.9),
    "RMSProp": lambda p, lr: torch.optim.RMSprop(p, lr),
    "Adam": lambda p, lr: torch.optim.Adam(p, lr),
}


def cases(count: int = 200) -> list[dict]:
    rng = random.Random(0)
    drawn = [
        {
            "surface": rng.choice(list(SURFACES)),
            "start": [rng.uniform(-2.2, 2.2), rng.uniform(-2.2, 2.2)],
            "log_lr": rng.uniform(-3, 0.5),
            "steps": rng.randint(1, 120),
        }
        for _ in range(count)
    ]
    edges = [{"steps": 0}, {"log_lr": 1.0}, {"start": [0.0, 0.0], "surface": "saddle"}]
    return [drawn[0] | edge for edge in edges] + drawn


def test_javascript_computes_what_python_computes(javascript):
    settings = cases()
    results = javascript("optimizer_race.js", settings)
    assert len(results) >= 200
    for case, result in zip(settings, results, strict=True):
        for name, expected in optimizer_race(**case).items():
            ours = result[name]
            assert ours["diverged"] == expected["diverged"], (case, name)
            assert len(ours["path"]) == len(expected["path"])
            assert ours["loss"] == pytest.approx(expected["loss"], rel=1e-9, abs=1e-12)
            for a, b in zip(ours["path"], expected["path"], strict=True):
                assert a == pytest.approx(b, rel=1e-9, abs=1e-12), (case, name)
    assert any(r["diverged"] for result in results for r in result.values())


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("name", TORCH)
def test_python_computes_what_torch_optim_computes(surface, name):
    start, lr = [-1.3, 0.7], 0.002
    at = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    optimizer = TORCH[name]([at], lr)
    for _ in range(40):
        optimizer.zero_grad()
        value, gradient = SURFACES[surface](at[0], at[1])
        value.backward()
        torch.testing.assert_close(at.grad, torch.stack(gradient).detach())
        optimizer.step()
    ours = optimizer_race(surface, start, math.log10(lr), 40)[name]
    assert ours["path"][-1] == pytest.approx(at.tolist(), rel=1e-9)


def test_floors_and_the_answer_to_its_question_hold():
    for surface, function in SURFACES.items():
        lowest = min(
            function(x / 50, y / 50)[0] for x in range(-120, 121) for y in range(-120, 121)
        )
        assert lowest == pytest.approx(FLOORS[surface], abs=1e-12)
    start = [-1.8, 1.2]
    # SGD is stable below 2 / 25 = 0.08 (log10: -1.097) and not above.
    assert optimizer_race("valley", start, -1.15, 300)["SGD"]["loss"] < 1e-3
    assert optimizer_race("valley", start, -1.0, 300)["SGD"]["diverged"]
    assert optimizer_race("valley", start, -1.0, 300)["momentum"]["loss"] < 1e-3


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="is unknown; choose one of valley"):
        optimizer_race("hill", [0.0, 0.0], -1, 10)
    with pytest.raises(ValueError, match="expected 0 or more"):
        optimizer_race("valley", [0.0, 0.0], -1, -1)
    assert OptimizerRace().state()["surface"] == "valley"
