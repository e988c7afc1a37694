"""The explorable of depth against variance: JavaScript, Python and sampled networks agree."""

import itertools
import math
import random

import pytest
import torch

from utils.explore.depth_variance import (
    ACTIVATIONS,
    PATHS,
    DepthVariance,
    depth_variance,
    moments,
)

KEYS = ("depth", "width", "sigma", "activation", "path")
FUNCTIONS = {"none": lambda z: z, "ReLU": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid}


def settings(count: int = 200) -> list[dict]:
    rng = random.Random(0)
    edges = itertools.product((1, 64), (16, 1024), (0.01, 1.0), ACTIVATIONS, PATHS)
    drawn = [
        (
            rng.randint(1, 64),
            2 ** rng.randint(4, 10),
            10 ** rng.uniform(-2, 0),
            rng.choice(ACTIVATIONS),
            rng.choice(PATHS),
        )
        for _ in range(count)
    ]
    return [dict(zip(KEYS, row, strict=True)) for row in [*edges, *drawn]]


def test_javascript_computes_what_python_computes(javascript):
    cases = settings()
    for case, result in zip(cases, javascript("depth_variance.js", cases), strict=True):
        expected = depth_variance(**case)
        assert result.keys() == expected.keys()
        for name, value in expected.items():
            assert result[name] == pytest.approx(value, rel=1e-9, abs=0), (case, name)


def test_every_value_can_be_drawn_on_a_logarithmic_axis():
    for case in settings():
        result = depth_variance(**case)
        for v in result["signal"] + result["gradient"]:
            assert 1e-300 < v < 1e300, case


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
@pytest.mark.parametrize("q", [1e-6, 1e-2, 1.0, 30.0, 1e5])
def test_moments_are_those_of_a_fine_integral(activation, q):
    x = torch.linspace(-9, 9, 4_000_001, dtype=torch.float64)
    weights = torch.exp(-x * x / 2)
    weights /= weights.sum()
    y = FUNCTIONS[activation](math.sqrt(q) * x)
    slope = 1 - y * y if activation == "tanh" else y * (1 - y)
    mean = (weights * y).sum()
    found = [(weights * v).sum().item() for v in (y * y, (y - mean) ** 2, slope * slope)]
    assert moments(activation, q) == pytest.approx(found, rel=1e-8)


def sampled(depth, width, sigma, activation, path, seeds=12, B=8):
    """Mean squares of random networks, as `depth_variance` predicts them."""
    draw, f = torch.Generator().manual_seed(0), FUNCTIONS[activation]
    h = torch.randn(seeds, B, width, generator=draw).double().requires_grad_()
    kept = [h]
    for _ in range(depth):
        W = sigma * torch.randn(seeds, width, width, generator=draw).double()
        if path.startswith("residual"):
            x = h / h.square().mean(-1, keepdim=True).sqrt() if path.endswith("norm") else h
            scale = depth**-0.5 if path.endswith("depth") else 1.0
            h = h + scale * (f(x) @ W)
        else:
            h = f(h @ W)
            if path == "layer norm":
                h = h - h.mean(-1, keepdim=True)
            if path != "plain":
                h = h / h.square().mean(-1, keepdim=True).sqrt()
        kept.append(h)
    back = torch.randn(h.shape, generator=draw).double()
    slopes = torch.autograd.grad((h * back).sum(), kept)
    return [[v.square().mean().item() for v in values] for values in (kept, slopes)]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_random_networks_do_what_the_formulas_say(activation, path):
    case = {"depth": 5, "width": 256, "sigma": 0.08, "activation": activation, "path": path}
    expected = depth_variance(**case)
    signal, gradient = sampled(**case)
    # 12 networks of width 256 differ from their mean by up to sqrt(5 depth / width / 12) = 0.09.
    assert signal == pytest.approx(expected["signal"], rel=0.25)
    assert gradient == pytest.approx(expected["gradient"], rel=0.25)


def test_he_keeps_relu_and_width_sets_the_deviation():
    for width in (16, 128, 1024):
        result = depth_variance(50, width, math.sqrt(2 / width), "ReLU", "plain")
        assert result["signal"] == pytest.approx([1.0] * 51)
        assert result["gradient"] == pytest.approx([1.0] * 51)


def test_box_holds_state_and_no_script():
    widget = DepthVariance(depth=20, path="residual")
    assert widget.state() == {
        "depth": 20,
        "width": 128,
        "sigma": 0.1,
        "activation": "ReLU",
        "path": "residual",
    }
    bundle = widget._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert 'data-name="DepthVariance"' in data["text/html"] and "<script" not in data["text/html"]


@pytest.mark.parametrize(
    "wrong",
    [{"depth": 0}, {"width": 0}, {"sigma": 0.0}, {"activation": "GELU"}, {"path": "batch norm"}],
)
def test_wrong_settings_are_refused(wrong):
    right = dict(zip(KEYS, (5, 16, 0.1, "ReLU", "plain"), strict=True))
    with pytest.raises(ValueError, match="expected"):
        depth_variance(**{**right, **wrong})
