"""What the checks of the lab `backpropagation` expect, differentiated by hand.

Most functions take flags that make them wrong in one way: `backpropagation_mistakes` names
these. Legend: D inputs, M hidden units, `g` the adjoint of a result, with its shape.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Graph = list[tuple[tuple[int, ...], tuple[float, ...]]]
Terms = list[tuple[float, tuple[int, ...]]]


def close(came: Any, expected: list[float]) -> bool:
    """Whether two lists of numbers agree to a relative 1e-9."""
    return len(came) == len(expected) and bool(np.allclose(came, expected, rtol=1e-9, atol=0))


# --- numbers --------------------------------------------------------------------------------
def value(kind: str, a: float, b: float) -> tuple[float, list[float]]:
    """Data of one operation, and its slope for each operand that is a Value."""
    if kind.startswith("pow"):
        return a**b, [b * a ** (b - 1)]
    if kind == "tanh":
        return math.tanh(a), [1 - math.tanh(a) ** 2]
    if kind.startswith("add"):
        data, slopes = a + b, [1.0, 1.0]
    else:
        data, slopes = a * b, [b, a]
    if kind.endswith("_same"):
        return data, [sum(slopes)]
    return data, slopes


def program(lines: list[tuple], numbers: list[float]) -> list[tuple]:
    """Data, slopes by place and True, for each value of a program; see the probe `operations`."""
    made: list[tuple] = [(number, {}, True) for number in numbers]
    for kind, first, *second in lines:
        b = made[second[0]][0] if kind in ("add", "mul") else second[0] if second else 0.0
        data, slopes = value(kind, made[first][0], b)
        edges: dict[int, float] = {}
        for place, slope in zip([first, *second], slopes, strict=False):
            edges[place] = edges.get(place, 0.0) + slope
        made.append((data, edges, True))
    return made


def reachable(inputs: list[tuple[int, ...]], root: int) -> set[int]:
    """The places that `root` is made from, itself included."""
    found = {root}
    for place in range(root, -1, -1):
        if place in found:
            found |= set(inputs[place])
    return found


def adjoints(
    graph: Graph,
    roots: list[int],
    *,
    add: bool = True,
    start: float = 1.0,
    slopes: bool = True,
    own: bool = True,
    clear: bool = False,
    order: str = "backward",
) -> list[float]:
    """The grad of each value after a sweep from each root in turn."""
    grads = [0.0] * len(graph)
    for root in roots:
        walk = _walk(graph, root, order)
        grads = [0.0 if clear and i in walk else grad for i, grad in enumerate(grads)]
        grads[root] = start
        for place in walk:
            for each, slope in zip(*graph[place], strict=True):
                part = (grads[place] if own else 1.0) * (slope if slopes else 1.0)
                grads[each] = grads[each] + part if add else part
    return grads


def _walk(graph: Graph, root: int, order: str) -> list[int]:
    below = sorted(reachable([inputs for inputs, _ in graph], root))
    if order == "forward":
        return below
    if order == "backward":
        return below[::-1]
    queue = [root]
    for place in queue:
        queue += [each for each in dict.fromkeys(graph[place][0]) if each not in queue]
    return queue


# --- differences ----------------------------------------------------------------------------
def polynomial(terms: Terms, xs: list[float]) -> float:
    """A sum of factors times powers of the numbers."""
    return sum(c * math.prod(x**n for x, n in zip(xs, p, strict=True)) for c, p in terms)


def derivatives(terms: Terms, xs: list[float]) -> list[float]:
    """Its exact derivatives."""
    lower = [
        [(c * p[i], (*p[:i], p[i] - 1, *p[i + 1 :])) for c, p in terms] for i in range(len(xs))
    ]
    return [polynomial(each, xs) for each in lower]


def quotients(
    terms: Terms,
    xs: list[float],
    h: float,
    *,
    up: float = 1.0,
    down: float = 1.0,
    width: float = 2.0,
    together: bool = False,
    left: float = 0.0,
) -> list[float]:
    """Difference quotients from `up` h above to `down` h below; `left`: not put back by this."""
    found, xs = [], list(xs)
    for i in range(len(xs)):
        move = [1.0 if j == i or together else 0.0 for j in range(len(xs))]
        high = polynomial(terms, [x + up * h * m for x, m in zip(xs, move, strict=True)])
        low = polynomial(terms, [x - down * h * m for x, m in zip(xs, move, strict=True)])
        found.append((high - low) / (width * h))
        xs[i] += left * h
    return found


# --- tensors --------------------------------------------------------------------------------
def reduced(g: np.ndarray, shape: tuple[int, ...], how: Any = np.sum) -> np.ndarray:
    """`g` summed over the axes along which an array of `shape` was copied to g's shape."""
    full = (1,) * (g.ndim - len(shape)) + tuple(shape)
    axes = tuple(i for i, (n, m) in enumerate(zip(full, g.shape, strict=True)) if n == 1 != m)
    return np.asarray(how(g, axis=axes, keepdims=True) if axes else g).reshape(shape)


def result_shape(kind: str, shapes: list[tuple[int, ...]]) -> tuple[int, ...]:
    """The shape of the result of an operation."""
    if kind == "matmul":
        return (shapes[0][0], shapes[-1][1])
    return np.broadcast_shapes(*shapes)


def tensor(kind: str, arrays: list[np.ndarray], g: np.ndarray, pulls: Any = None) -> dict:
    """Data of an operation and what each array gets for `g`; `pulls(a, b, g)` in our place."""
    a, b = arrays[0], arrays[-1]
    if kind == "tanh":
        data, parts = np.tanh(a), [g * (1 - np.tanh(a) ** 2)]
    elif kind == "matmul":
        data, parts = a @ b, [g @ b.T, a.T @ g]
    else:
        data = a + b if kind == "add" else a * b
        parts = [g, g] if kind == "add" else [g * b, g * a]
        parts = parts if pulls else [reduced(parts[0], a.shape), reduced(parts[1], b.shape)]
    parts = pulls(a, b, g) if pulls else parts
    parts = [sum(parts)] if len(arrays) == 1 else parts
    return {"data": data, "handed": parts, "paired": True}


def trained(
    x: np.ndarray,
    y: np.ndarray,
    start: list[np.ndarray],
    rate: float,
    steps: int,
    *,
    keep: bool = False,
    sign: float = -1.0,
    factor: float | None = None,
    moved: tuple[int, ...] = (0, 1, 2, 3),
    after: bool = False,
    target: float = 1.0,
) -> tuple[list[np.ndarray], list[float]]:
    """Parameters and losses of gradient descent on the mean squared error.

    x (B, D), y (B, 1); start: (D, M), (M,), (M, 1), (1,).
    """
    factor = 1 / len(y) if factor is None else factor
    parameters, losses = [p.copy() for p in start], []
    kept = [np.zeros_like(p) for p in start]
    for _ in range(steps):
        gradients, loss = _slopes(x, target * y, parameters, factor)
        kept = [k * keep + g for k, g in zip(kept, gradients, strict=True)]
        parameters = [
            p + sign * rate * k if i in moved else p
            for i, (p, k) in enumerate(zip(parameters, kept, strict=True))
        ]
        losses.append(_slopes(x, target * y, parameters, factor)[1] if after else loss)
    return parameters, losses


def _slopes(x, y, parameters, factor) -> tuple[list[np.ndarray], float]:
    w1, b1, w2, b2 = parameters
    hidden = np.tanh(x @ w1 + b1)
    out = np.tanh(hidden @ w2 + b2)
    at_out = 2 * factor * (out - y) * (1 - out**2)
    at_hidden = at_out @ w2.T * (1 - hidden**2)
    gradients = [x.T @ at_hidden, at_hidden.sum(0), hidden.T @ at_out, at_out.sum(0)]
    return gradients, float(factor * ((out - y) ** 2).sum())
