"""Four optimizers on a surface over the plane, from one start."""

from __future__ import annotations

import math
from collections.abc import Callable

import traitlets

from utils.explore.base import Explorable, source

Point = tuple[float, float]
LIMIT = 1e6  # a run that leaves this square has diverged and ends
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


def valley(x: float, y: float) -> tuple[float, Point]:
    """(x^2 + 25 y^2) / 2: curvatures 1 and 25, minimum 0 at the origin."""
    return 0.5 * (x * x + 25 * y * y), (x, 25 * y)


def banana(x: float, y: float) -> tuple[float, Point]:
    """Rosenbrock's function with factor 10, moved and scaled to the square; minimum 0 at (1, 1)."""
    bend = y - x * x
    return (1 - x) * (1 - x) + 10 * bend * bend, (-2 * (1 - x) - 40 * x * bend, 20 * bend)


def saddle(x: float, y: float) -> tuple[float, Point]:
    """x^4/4 - x^2/2 + y^2/2: a saddle at the origin, minima -1/4 at (1, 0) and (-1, 0)."""
    return 0.25 * x * x * x * x - 0.5 * x * x + 0.5 * y * y, (x * x * x - x, y)


SURFACES: dict[str, Callable[[float, float], tuple[float, Point]]] = {
    "valley": valley,
    "banana": banana,
    "saddle": saddle,
}
FLOORS = {"valley": 0.0, "banana": 0.0, "saddle": -0.25}


def _sgd(state, g, lr, step):
    return lr * g


def _momentum(state, g, lr, step):
    state["m"] = BETA1 * state["m"] + g
    return lr * state["m"]


def _rmsprop(state, g, lr, step):
    state["v"] = 0.99 * state["v"] + 0.01 * (g * g)
    return lr * g / (math.sqrt(state["v"]) + EPSILON)


def _adam(state, g, lr, step):
    state["m"] = BETA1 * state["m"] + (1 - BETA1) * g
    state["v"] = BETA2 * state["v"] + (1 - BETA2) * (g * g)
    state["c1"] *= BETA1
    state["c2"] *= BETA2
    mean, square = state["m"] / (1 - state["c1"]), state["v"] / (1 - state["c2"])
    return lr * mean / (math.sqrt(square) + EPSILON)


OPTIMIZERS = {"SGD": _sgd, "momentum": _momentum, "RMSProp": _rmsprop, "Adam": _adam}


def optimizer_race(surface: str, start: list[float], log_lr: float, steps: int) -> dict:
    """Paths of four optimizers with one learning rate ``10**log_lr``, as torch.optim has them.

    Momentum 0.9; RMSProp with alpha 0.99; Adam with betas 0.9 and 0.999. For each name: ``path``,
    at most steps + 1 points (x, y); ``loss`` at its end above the surface's minimum; ``diverged``,
    whether it left the square of half side 10^6.

    Raises
    ------
    ValueError
        For an unknown surface or a negative number of steps.
    """
    if surface not in SURFACES:
        raise ValueError(f"surface {surface!r} is unknown; choose one of {', '.join(SURFACES)}")
    if steps < 0:
        raise ValueError(f"steps is {steps}; expected 0 or more")
    lr = 10.0**log_lr
    return {name: _run(rule, surface, start, lr, steps) for name, rule in OPTIMIZERS.items()}


def _run(rule, surface: str, start: list[float], lr: float, steps: int) -> dict:
    function = SURFACES[surface]
    states = [{"m": 0.0, "v": 0.0, "c1": 1.0, "c2": 1.0} for _ in range(2)]
    at = list(start)
    path, diverged = [list(at)], False
    for step in range(1, steps + 1):
        gradient = function(*at)[1]
        at = [x - rule(s, g, lr, step) for x, s, g in zip(at, states, gradient, strict=True)]
        if not all(abs(x) <= LIMIT for x in at):
            diverged = True
            break
        path.append(list(at))
    loss = function(*path[-1])[0] - FLOORS[surface]
    return {"path": path, "loss": loss, "diverged": diverged}


class OptimizerRace(Explorable):
    """Paths of SGD, momentum, RMSProp and Adam over a surface; start and learning rate move."""

    _esm = source("optimizer_race.js")
    title = "Race of four optimizers on a surface"
    fallback = (
        "With JavaScript, four optimizers run over a surface here from a start that can be moved, "
        "with a learning rate from a slider."
    )
    heights = ("40rem", "63rem")
    surface = traitlets.Enum(list(SURFACES), "valley").tag(sync=True)
    start = traitlets.List(traitlets.Float(), [-1.8, 1.2], minlen=2, maxlen=2).tag(sync=True)
    log_lr = traitlets.Float(-1.5, min=-4.0, max=1.0).tag(sync=True)
    steps = traitlets.Int(60, min=0, max=300).tag(sync=True)
