"""Parts of the checks of the lab `backpropagation` that several inputs of a task share."""

from __future__ import annotations

from typing import Any

import numpy as np

from utils.check import backpropagation_mistakes as wrong
from utils.check import backpropagation_references as right
from utils.check import backpropagation_tensor_mistakes as many
from utils.check.trial import Trial


def operations(t: Trial, lines: list[tuple], numbers: list[float]) -> list:
    """Run lines on Values of the numbers; require what every operation keeps to."""
    names = {"add": "a + b", "mul": "a * b", "tanh": "a.tanh()", "pow": "a ** n"}
    kind, single = lines[0][0], len(lines) == 1
    a = f"a = Value({numbers[0]:.3g})"
    word = names[kind].replace("b", "a") if lines[0][1:] == (0, 0) else names[kind]
    called = f"{word}, {a}" if single else f"a program of {len(lines)} lines"
    came = t.probe("operations", lines, numbers, called=called)
    t.require(
        all(paired for _, _, paired in came),
        came="as many inputs as slopes in not every Value",
        expected="one slope for each input",
        mistake=wrong.LENGTHS,
    )
    t.require(
        right.close([each[0] for each in came[: len(numbers)]], numbers),
        came=f"operands with data {[each[0] for each in came[: len(numbers)]]}",
        expected=f"operands left as they were, {numbers}",
        mistake=wrong.OPERAND_CHANGED,
    )
    return came


def slopes_fit(t: Trial, came: list, args: tuple, numbers: list[float]) -> None:
    """Compare the one operation that followed `numbers` with `right.value(*args)`."""
    data, edges, _ = came[len(numbers)]
    t.require(
        bool(edges), came="a Value without inputs", expected="a Value that knows its inputs",
        mistake=wrong.NO_INPUTS,
    )  # fmt: skip
    expected = right.value(*args)
    found = (data, [edges.get(place, 0.0) for place in range(len(expected[1]))])
    t.same(found, expected, args=args, mistakes=wrong.VALUE)


def random_inputs(t: Trial, count: int) -> list[tuple[int, ...]]:
    """Values that each use one to three earlier ones; the last uses the one before it too."""
    inputs: list[tuple[int, ...]] = [()]
    for place in range(1, count):
        some = t.rng.integers(0, place, t.integer(0 if place < 3 else 1, 3))
        inputs.append(tuple(int(i) for i in some))
    inputs[-1] = (count - 2, *inputs[-1])
    return inputs


def in_words(inputs: list[tuple[int, ...]], root: int, name: str = "topological") -> str:
    """A graph in words, with the call that is made on its root."""
    made = [f"v{i} from {', '.join(f'v{j}' for j in us)}" for i, us in enumerate(inputs) if us]
    return f"{name}(v{root})" + (f", where {'; '.join(made)}" if made else ", a single value")


def order(t: Trial, inputs: list[tuple[int, ...]], root: int, called: str) -> None:
    """Check what `topological` gives for one graph."""
    graph = [(each, (1.0,) * len(each)) for each in inputs]
    came: Any = t.probe("order", graph, root, called=called)
    for condition, mistake in wrong.order_faults(came, inputs, root):
        text = "too deep a recursion" if came == "RecursionError" else wrong.listed(came)
        wanted = "every value that the root is made from, once, inputs before users, the root last"
        t.require(not condition, came=text, expected=wanted, mistake=mistake)


def sweep(t: Trial, inputs: list[tuple[int, ...]], roots: list[int], called: str) -> None:
    """Check the grads after `backward` from each root, with slopes drawn here."""
    graph = [(us, tuple(float(v) for v in t.rng.uniform(0.5, 1.5, len(us)))) for us in inputs]
    numbers = [float(v) for v in t.rng.standard_normal(len(graph))]
    called += "" if len(roots) == 1 else f", then backward(v{roots[1]})"
    came = t.probe("gradients", graph, numbers, roots, called=f"{called}: the grads of all values")
    args = (graph, roots)
    t.same(came, right.adjoints(*args), args=args, mistakes=wrong.BACKWARD, rtol=1e-6)


def train(t: Trial, x: np.ndarray, y: np.ndarray, M: int, rate: float, steps: int) -> None:
    """Check `train` on x (B, D), y (B, 1) with M hidden units, from a start drawn here."""
    D = x.shape[1]
    start = [t.rng.standard_normal(shape) for shape in ((D, M), (M,), (M, 1), (1,))]
    args = (x, y, start, rate, steps)
    came = t.call("train", *args)
    t.same(came, right.trained(*args), args=args, mistakes=many.TRAIN)
