"""One neuron with two inputs: weights, bias, activation, and the line where it decides."""

from __future__ import annotations

import math

import traitlets

from utils.explore.base import Explorable, source

POINTS = ((0, 0), (0, 1), (1, 0), (1, 1))
TARGETS = {"AND": (0, 0, 0, 1), "OR": (0, 1, 1, 1), "XOR": (0, 1, 1, 0)}
ACTIVATIONS = ("step", "sigmoid", "tanh", "ReLU")
LOW, HIGH = -0.5, 1.5  # the square that is drawn, on both axes


def activate(z: float, activation: str) -> float:
    """The output of a neuron whose weighted sum is `z`. Raises ValueError for another name."""
    if activation == "step":
        return 1.0 if z > 0 else 0.0
    if activation == "sigmoid":
        return 1 / (1 + math.exp(-z)) if z >= 0 else math.exp(z) / (1 + math.exp(z))
    if activation == "tanh":
        return math.tanh(z)
    if activation == "ReLU":
        return max(z, 0.0)
    raise ValueError(f"activation is {activation!r}; expected one of {', '.join(ACTIVATIONS)}")


def decision_line(w1: float, w2: float, b: float) -> list[list[float]]:
    """The two points where ``w1 x1 + w2 x2 + b = 0`` leaves the square; none if it misses it."""
    ends = []
    for side in (LOW, HIGH):
        if w2 != 0 and LOW <= -(w1 * side + b) / w2 <= HIGH:
            ends.append([side, -(w1 * side + b) / w2])
        if w1 != 0 and LOW <= -(w2 * side + b) / w1 <= HIGH:
            ends.append([-(w2 * side + b) / w1, side])
    best, farthest = [], 0.0
    for i, first in enumerate(ends):
        for second in ends[i + 1 :]:
            apart = (first[0] - second[0]) ** 2 + (first[1] - second[1]) ** 2
            if apart > farthest:
                best, farthest = [first, second], apart
    return best


def neuron(w1: float, w2: float, b: float, activation: str, target: str) -> dict:
    """What the neuron says about the four points of a truth table.

    Returns
    -------
    ``z`` and ``output`` (4 numbers each, in the order of `POINTS`), ``correct`` (how many
    points have ``z > 0`` exactly where the target is 1), ``distance`` (from the origin to the
    line, negative on the side of class 0; 0 for zero weights) and ``line`` (`decision_line`).

    Raises
    ------
    ValueError
        For an unknown activation or target.
    """
    if target not in TARGETS:
        raise ValueError(f"target is {target!r}; expected one of {', '.join(TARGETS)}")
    z = [w1 * x1 + w2 * x2 + b for x1, x2 in POINTS]
    length = math.sqrt(w1 * w1 + w2 * w2)
    return {
        "z": z,
        "output": [activate(v, activation) for v in z],
        "correct": sum((v > 0) == (t == 1) for v, t in zip(z, TARGETS[target], strict=True)),
        "distance": b / length if length > 0 else 0.0,
        "line": decision_line(w1, w2, b),
    }


class Neuron(Explorable):
    """The plane of two inputs with the neuron's line, and its activation with the four points."""

    _esm = source("neuron.js")
    title = "One neuron: weights, bias, activation, decision line"
    fallback = (
        "With JavaScript, sliders set the two weights and the bias of a neuron here; one picture "
        "shows its line among four points, another its activation."
    )
    heights = ("44rem", "82rem")
    w1 = traitlets.Float(1.0, min=-2.0, max=2.0).tag(sync=True)
    w2 = traitlets.Float(-1.0, min=-2.0, max=2.0).tag(sync=True)
    b = traitlets.Float(0.5, min=-3.0, max=3.0).tag(sync=True)
    activation = traitlets.Enum(ACTIVATIONS, "sigmoid").tag(sync=True)
    target = traitlets.Enum(tuple(TARGETS), "AND").tag(sync=True)
