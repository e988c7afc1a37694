"""Gradient descent with momentum on a quadratic of two curvatures."""

from __future__ import annotations

import math

import traitlets

from utils.explore.base import Explorable, source

STEPS = 60
START = (1.2, 1.0)  # along the flat direction, of curvature 1, and along the steep one


def factor(rate: float, curvature: float, momentum: float) -> float:
    """The size of the larger root r of r² - (1 + momentum - rate curvature) r + momentum = 0.

    It is what one step multiplies a distance by, in the long run; without momentum it is
    ``|1 - rate * curvature|``.
    """
    b = 1 + momentum - rate * curvature
    inside = b * b - 4 * momentum
    if inside < 0:
        return math.sqrt(momentum)
    return (abs(b) + math.sqrt(inside)) / 2


def step_size(rate: float, curvature: float, momentum: float) -> dict:
    """Heavy-ball descent on ``(x² + curvature y²) / 2`` from `START`, `STEPS` steps.

    Each step is ``v = momentum v - rate gradient``, ``w = w + v``, with v = 0 at first.

    Returns the paths ``x`` and ``y`` and the ``loss`` (`STEPS` + 1 values each), the ``factor``
    a step of the ``flat`` and ``steep`` direction, and the ``limit`` of the rate, 2 (1 + momentum)
    / curvature. Raises ValueError if `rate` is not above 0, `curvature` below 1 or `momentum`
    outside 0 to 1 (1 excluded).
    """
    if not rate > 0:
        raise ValueError(f"rate is {rate!r}; expected a number above 0")
    if not curvature >= 1:
        raise ValueError(f"curvature is {curvature!r}; expected 1 or more, as the flat one is 1")
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum is {momentum!r}; expected a number from 0 to below 1")
    paths = []
    for place, slope in zip(START, (1.0, curvature), strict=True):
        path, speed = [place], 0.0
        for _ in range(STEPS):
            speed = momentum * speed - rate * slope * path[-1]
            path.append(path[-1] + speed)
        paths.append(path)
    x, y = paths
    return {
        "x": x,
        "y": y,
        "loss": [(a * a + curvature * b * b) / 2 for a, b in zip(x, y, strict=True)],
        "flat": factor(rate, 1.0, momentum),
        "steep": factor(rate, curvature, momentum),
        "limit": 2 * (1 + momentum) / curvature,
    }


class StepSize(Explorable):
    """The path of gradient descent in a valley and its loss, by step size and curvature."""

    _esm = source("step_size.js")
    title = "Step size and curvature"
    fallback = (
        "With JavaScript, sliders set step size, curvature and momentum here, and two pictures "
        "show the path of gradient descent in a valley and its loss step by step."
    )
    heights = ("37.5rem", "72.5rem")
    rate = traitlets.Float(0.15).tag(sync=True)
    curvature = traitlets.Float(10.0, min=1.0).tag(sync=True)
    momentum = traitlets.Float(0.0, min=0.0, max=0.99).tag(sync=True)
