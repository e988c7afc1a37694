"""The computation graph of one neuron and its loss, stepped forward and backward.

The graph: p1 = w1 x1, p2 = w2 x2, z = p1 + p2 + b, a = tanh(z), e = a - y, L = e e. With `tied`
the second product uses w1 again, so that w1 collects a gradient from two places.
"""

from __future__ import annotations

import math

import traitlets

from utils.explore.base import Explorable, source

# Each node with its operation and its inputs, in topological order.
OPERATIONS = {
    "p1": ("product", ("w1", "x1")),
    "p2": ("product", ("w2", "x2")),
    "z": ("sum", ("p1", "p2", "b")),
    "a": ("tanh", ("z",)),
    "e": ("difference", ("a", "y")),
    "L": ("square", ("e",)),
}
LAST_STEP = 2 * len(OPERATIONS) + 1  # forward, the seed, backward


def _value(operation: str, inputs: list[float]) -> float:
    if operation == "product":
        return inputs[0] * inputs[1]
    if operation == "sum":
        return inputs[0] + inputs[1] + inputs[2]
    if operation == "tanh":
        return math.tanh(inputs[0])
    if operation == "difference":
        return inputs[0] - inputs[1]
    return inputs[0] * inputs[0]


def _locals(operation: str, inputs: list[float]) -> list[float]:
    """The derivative of the node's value in each of its inputs."""
    if operation == "product":
        return [inputs[1], inputs[0]]
    if operation == "sum":
        return [1.0, 1.0, 1.0]
    if operation == "tanh":  # 1 - tanh(z)^2, without its cancellation for large |z|
        q = math.exp(-2 * abs(inputs[0]))
        return [4 * q / (1 + q) ** 2]
    if operation == "difference":
        return [1.0, -1.0]
    return [2 * inputs[0]]


def backprop_graph(
    x1: float, w1: float, x2: float, w2: float, b: float, y: float, tied: bool = False
) -> dict[str, float]:
    """Every value, local derivative and gradient of the graph.

    Keys: ``"value z"``, ``"local z->a"`` (the derivative of a in z), ``"gradient z"`` (of L in
    z). With `tied`, ``w2`` is no node and ``w1`` stands in its place. The sweep visits the nodes
    in reverse topological order and adds to each input. Raises ValueError for an input that is
    not finite.
    """
    given = {"x1": x1, "w1": w1, "x2": x2, "w2": w2, "b": b, "y": y}
    for name, number in given.items():
        if not math.isfinite(number):
            raise ValueError(f"{name} is {number!r}; expected a finite number")
    if tied:
        del given["w2"]
    value = dict(given)
    inputs = {
        node: ["w1" if tied and name == "w2" else name for name in names]
        for node, (_, names) in OPERATIONS.items()
    }
    for node, (operation, _) in OPERATIONS.items():
        value[node] = _value(operation, [value[name] for name in inputs[node]])
    gradient = dict.fromkeys(value, 0.0) | {"L": 1.0}
    local = {}
    for node, (operation, _) in reversed(OPERATIONS.items()):
        slopes = _locals(operation, [value[name] for name in inputs[node]])
        for name, slope in zip(inputs[node], slopes, strict=True):
            local[f"{name}->{node}"] = slope
            gradient[name] += gradient[node] * slope
    parts = {"value": value, "local": local, "gradient": gradient}
    return {f"{part} {name}": number for part, d in parts.items() for name, number in d.items()}


class BackpropGraph(Explorable):
    """A neuron with two inputs and its squared error; one node is computed at each step."""

    _esm = source("backprop_graph.js")
    title = "Computation graph stepped forward and back"
    fallback = (
        "With JavaScript, buttons step through the graph of a neuron here: values on the way "
        "forward, gradients and local derivatives on the way back."
    )
    heights = ("37rem", "76rem")
    x1 = traitlets.Float(1.0).tag(sync=True)
    w1 = traitlets.Float(0.8).tag(sync=True)
    x2 = traitlets.Float(-0.5).tag(sync=True)
    w2 = traitlets.Float(0.6).tag(sync=True)
    b = traitlets.Float(0.0).tag(sync=True)
    y = traitlets.Float(-1.0).tag(sync=True)
    tied = traitlets.Bool(False).tag(sync=True)
    step = traitlets.Int(0, min=0, max=LAST_STEP).tag(sync=True)
