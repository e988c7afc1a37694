"""The IsoFLOP explorer: JavaScript and Python agree, and the closed form is the minimum."""

import itertools
import math
import random

import pytest
from scipy.optimize import minimize_scalar

from utils.explore.isoflop import PRESETS, Isoflop, isoflop, loss, optimum

KEYS = ("log_compute", "log_ratio", "preset")


def settings(count: int = 200) -> list[dict]:
    rng = random.Random(0)
    edges = itertools.product((8.0, 26.0), (-1.0, 0.0, 4.0), PRESETS)
    drawn = [
        (rng.uniform(8, 26), rng.uniform(-1, 4), rng.choice(list(PRESETS))) for _ in range(count)
    ]
    return [dict(zip(KEYS, row, strict=True)) for row in [*edges, *drawn]]


def same(result, expected, where):
    if isinstance(expected, dict):
        assert result.keys() == expected.keys()
        for name in expected:
            same(result[name], expected[name], (*where, name))
    elif isinstance(expected, list):
        assert len(result) == len(expected)
        for one, other in zip(result, expected, strict=True):
            same(one, other, where)
    else:
        assert result == pytest.approx(expected, rel=1e-9, abs=1e-12), where


def test_javascript_computes_what_python_computes(javascript):
    cases = settings()
    for case, result in zip(cases, javascript("isoflop.js", cases), strict=True):
        same(result, isoflop(**case), tuple(case.values()))


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("log_compute", [9.0, 18.0, 24.5])
def test_the_closed_form_is_the_minimum(name, log_compute):
    law, product = PRESETS[name], 10**log_compute / 6
    best = optimum(10**log_compute, law)
    found = minimize_scalar(
        lambda x: loss(math.exp(x), product / math.exp(x), law),
        bounds=(math.log(best["N"]) - 5, math.log(best["N"]) + 5),
        method="bounded",
        options={"xatol": 1e-9},
    )
    assert found.fun == pytest.approx(best["loss"], rel=1e-9)
    assert found.x == pytest.approx(math.log(best["N"]), abs=1e-3)


@pytest.mark.parametrize("name", PRESETS)
def test_the_smaller_budget_reaches_the_chosen_loss_at_its_optimum(name):
    chosen = isoflop(20.0, 3.2, name)
    enough = optimum(10**20 / chosen["times"], PRESETS[name])
    assert enough["loss"] == pytest.approx(chosen["chosen"]["loss"], rel=1e-9)
    at_best = isoflop(20.0, math.log10(chosen["best"]["ratio"]), name)
    assert at_best["times"] == pytest.approx(1) and at_best["smaller"] == pytest.approx(1)


def test_box_holds_state_and_no_script():
    widget = Isoflop(log_ratio=2.0, preset="Hoffmann")
    assert widget.state() == {"log_compute": 23.75, "log_ratio": 2.0, "preset": "Hoffmann"}
    bundle = widget._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert 'data-name="Isoflop"' in data["text/html"] and "<script" not in data["text/html"]


@pytest.mark.parametrize(
    "wrong", [{"preset": "Kaplan"}, {"log_compute": math.inf}, {"log_ratio": math.nan}]
)
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        isoflop(**{"log_compute": 20.0, "log_ratio": 1.0, "preset": "Hoffmann", **wrong})
