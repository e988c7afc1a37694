"""The explorable of degree, noise and sample size: JavaScript, Python and NumPy agree."""

import itertools
import random

import numpy as np
import pytest

from utils.explore.degree_noise import (
    DEGREES,
    GRID,
    TRUTH,
    DegreeNoise,
    alias,
    degree_noise,
    expected_errors,
    normals,
)


def settings(count: int = 200) -> list[dict]:
    rng = random.Random(0)
    edges = itertools.product((0, 19, 20, DEGREES), (0.0, 0.6), (2, 5, 20, 40), (1, 20))
    drawn = [
        (rng.randrange(DEGREES + 1), rng.uniform(0, 0.6), rng.randint(2, 40), rng.randint(1, 20))
        for _ in range(count)
    ]
    names = ("degree", "noise", "points", "draw")
    return [dict(zip(names, row, strict=True)) for row in [*edges, *drawn]]


def in_python(case: dict) -> dict:
    return degree_noise(case["degree"], case["noise"], case["points"], case["draw"])


def nodes(n: int) -> np.ndarray:
    return np.cos(np.pi * (np.arange(n) + 0.5) / n)


def test_javascript_computes_what_python_computes(javascript):
    cases = settings()
    for case, result in zip(cases, javascript("degree_noise.js", cases), strict=True):
        expected = in_python(case)
        assert result.keys() == expected.keys()
        for name, value in expected.items():
            assert result[name] == pytest.approx(value, rel=1e-9, abs=1e-12), (case, name)


def test_the_fit_is_numpys_of_least_norm():
    grid = np.cos(np.pi * np.arange(GRID) / (GRID - 1))
    for case in settings(30):
        design = np.polynomial.chebyshev.chebvander(nodes(case["points"]), case["degree"])
        ours = in_python(case)
        theirs = np.linalg.pinv(design, rcond=1e-10) @ ours["y"]
        curve = np.polynomial.chebyshev.chebval(grid, theirs)
        assert ours["curve"] == pytest.approx(curve, rel=1e-9, abs=1e-9), case
        train = np.mean((design @ theirs - ours["y"]) ** 2)
        assert ours["train"] == pytest.approx(train, rel=1e-9, abs=1e-12)


def test_the_expected_errors_are_those_of_many_samples():
    rng, n, noise = np.random.default_rng(0), 12, 0.4
    truth = np.polynomial.chebyshev.chebval(nodes(n), TRUTH)
    angles = np.pi * (np.arange(2000) + 0.5) / 2000
    new = np.polynomial.chebyshev.chebval(np.cos(angles), TRUTH)
    bias, variance = expected_errors(noise, n)
    for degree in (0, 5, 11, 12, 20, 45):
        design = np.polynomial.chebyshev.chebvander(nodes(n), degree)
        samples = truth + noise * rng.standard_normal((4000, n))
        fits = samples @ np.linalg.pinv(design, rcond=1e-10).T
        curves = fits @ np.polynomial.chebyshev.chebvander(np.cos(angles), degree).T
        assert curves.var(0).mean() == pytest.approx(variance[degree], rel=0.05)
        assert ((curves.mean(0) - new) ** 2).mean() == pytest.approx(
            bias[degree], rel=0.05, abs=2e-4
        )


def test_variance_is_sigma_squared_p_over_n_until_every_point_is_met():
    _, variance = expected_errors(0.5, 25)
    for degree in range(25):
        assert variance[degree] == pytest.approx(0.25 * (degree + 1) / 25)
    assert variance[40] < variance[24]


@pytest.mark.parametrize("n", [2, 7, 20])
def test_aliases_are_equal_on_the_points(n):
    for k in range(DEGREES + 1):
        j, sign = alias(k, n)
        high, low = (np.cos(d * np.arccos(nodes(n))) for d in (k, j))
        assert high == pytest.approx(sign * low, abs=1e-9)


def test_the_drawn_numbers_are_standard_normal():
    drawn = np.array([normals(40, draw) for draw in range(1, 200)])
    assert abs(drawn.mean()) < 0.04 and abs(drawn.std() - 1) < 0.03
    assert len(np.unique(drawn)) == drawn.size


def test_box_holds_state_and_no_script():
    widget = DegreeNoise(degree=7)
    assert widget.state() == {"degree": 7, "draw": 1, "noise": 0.3, "points": 20}
    bundle = widget._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert 'data-name="DegreeNoise"' in data["text/html"] and "<script" not in data["text/html"]


@pytest.mark.parametrize("wrong", [{"degree": -1}, {"degree": 61}, {"n": 1}, {"draw": 0}])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        degree_noise(**{"degree": 3, "noise": 0.1, "n": 10, "draw": 1, **wrong})
