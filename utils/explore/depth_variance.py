"""How signal and gradient grow or shrink layer by layer, predicted from weights and wiring.

Legend: ``h`` what a layer passes on, ``q`` mean square of what enters the activation, ``g`` gain.

In a wide layer with independent weights of mean 0 and standard deviation sigma, ``W h`` is normal
with mean square ``g² <h²>``, g = sigma sqrt(width) (Poole et al. 2016; Schoenholz et al. 2017).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import traitlets

from utils.explore.base import Explorable, source

ACTIVATIONS = ("none", "ReLU", "tanh", "sigmoid")
PATHS = (
    "plain",
    "layer norm",
    "RMS norm",
    "residual",
    "residual / √depth",
    "residual, RMS norm",
)
# Places and weights for means over a standard normal variable: the trapezoidal rule in t with
# place = reach sinh(b t) / sinh(b), t from -1 to 1, which is finest around 0.
NODES, REACH, BEND = 401, 9.0, 8.0


def _rule() -> tuple[np.ndarray, np.ndarray]:
    t = (2 * np.arange(NODES) - (NODES - 1)) / (NODES - 1)
    scale = REACH / math.sinh(BEND)
    x = scale * np.sinh(BEND * t)
    weights = np.exp(-x * x / 2) * scale * BEND * np.cosh(BEND * t)
    return x, weights / weights.sum()


PLACES, WEIGHTS = _rule()


def moments(activation: str, q: float) -> tuple[float, float, float]:
    """Mean square, variance and mean squared slope of ``activation(z)``, z normal of variance q."""
    if activation == "none":
        return q, q, 1.0
    if activation == "ReLU":
        return q / 2, q / 2 * (1 - 1 / math.pi), 0.5
    z = math.sqrt(q) * PLACES
    if activation == "tanh":
        y = np.tanh(z)
        slope = 1 - y * y
    else:
        y = 1 / (1 + np.exp(np.minimum(-z, 700.0)))
        slope = y * (1 - y)
    mean = float((WEIGHTS * y).sum())
    spread = float((WEIGHTS * (y - mean) ** 2).sum())
    return mean * mean + spread, spread, float((WEIGHTS * slope * slope).sum())


def _step(path: str, activation: str, gain2: float, depth: int) -> Callable:
    """p, the mean square of h, to the next one and the factor of the gradient's mean square."""

    def step(p: float) -> tuple[float, float]:
        if not path.startswith("residual"):  # h' = norm(activation(W h))
            square, spread, slope = moments(activation, gain2 * p)
            if path == "plain":
                return square, gain2 * slope
            return 1.0, gain2 * slope / (spread if path == "layer norm" else square)
        if path.endswith("norm"):  # h' = h + W activation(h / sqrt(<h²>))
            square, _, slope = moments(activation, 1.0)
            return p + gain2 * square, 1 + gain2 * slope / p
        branch = gain2 / (depth if path.endswith("depth") else 1)  # h' = h + W activation(h)
        square, _, slope = moments(activation, p)
        return p + branch * square, 1 + branch * slope

    return step


def depth_variance(depth: int, width: int, sigma: float, activation: str, path: str) -> dict:
    """Mean squares of ``h`` and of the gradient in ``h`` for layers 0 to `depth`.

    The signal starts at 1 with the input, the gradient at 1 with the output, both as independent
    normal numbers. The formulas are those of wide layers, without biases.

    Returns ``gain`` (sigma sqrt(width)), ``signal`` and ``gradient`` (depth + 1 values each).
    Raises ValueError for a depth, width or sigma that is not above 0 and for unknown names.
    """
    if depth < 1 or width < 1 or not sigma > 0:
        raise ValueError(f"got {depth=}, {width=}, {sigma=}; expected numbers above 0")
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation is {activation!r}; expected one of {ACTIVATIONS}")
    if path not in PATHS:
        raise ValueError(f"path is {path!r}; expected one of {PATHS}")
    gain = sigma * math.sqrt(width)
    step, signal, factors = _step(path, activation, gain * gain, depth), [1.0], []
    for _ in range(depth):
        p, factor = step(signal[-1])
        signal.append(p)
        factors.append(factor)
    gradient = [1.0]
    for factor in reversed(factors):
        gradient.append(gradient[-1] * factor)
    return {"gain": gain, "signal": signal, "gradient": gradient[::-1]}


class DepthVariance(Explorable):
    """Signal and gradient through depth, by width, weights, activation and normalization."""

    _esm = source("depth_variance.js")
    title = "Depth against variance"
    fallback = (
        "With JavaScript, sliders set depth, width and the size of the weights here, and a "
        "picture shows how signal and gradient grow or shrink from layer to layer."
    )
    heights = ("45rem", "58rem")
    depth = traitlets.Int(50, min=1, max=64).tag(sync=True)
    width = traitlets.Int(128, min=16, max=1024).tag(sync=True)
    sigma = traitlets.Float(0.1, min=0.01, max=1.0).tag(sync=True)
    activation = traitlets.Enum(ACTIVATIONS, "ReLU").tag(sync=True)
    path = traitlets.Enum(PATHS, "plain").tag(sync=True)
