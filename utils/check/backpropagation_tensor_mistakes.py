"""Named mistakes of the lab `backpropagation` on arrays: what a wrong answer would be.

Legend as in `utils.check.backpropagation`. Each function is deliberately wrong in one way.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from utils.check.backpropagation_references import reduced, tensor, trained
from utils.check.core import Mistake


# --- task 6 ---------------------------------------------------------------------------------
def _leading(g: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return g.sum(tuple(range(g.ndim - len(shape))))


def _first(g: np.ndarray, axis: tuple[int, ...], keepdims: bool) -> np.ndarray:
    return g[tuple(slice(0, 1) if i in axis else slice(None) for i in range(g.ndim))]


def _no_keepdims(g: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    g = _leading(g, shape)
    return g.sum(tuple(i for i, n in enumerate(shape) if n == 1 and g.shape[i] > 1))


def _ones_only(g: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    full = (1,) * (g.ndim - len(shape)) + tuple(shape)
    return reduced(g, full)


REDUCE = (
    Mistake("mean", "The mean was taken; each copy counts in full.",
            partial(reduced, how=np.mean), "Slopes of several uses are added (task 4)."),
    Mistake("one-copy", "What one of the copies hands back was kept, and the rest lost.",
            partial(reduced, how=_first), "Slopes of several uses are added (task 4)."),
    Mistake("largest", "The largest was taken, not the sum.", partial(reduced, how=np.max)),
    Mistake("not-reduced", "g came back as it is.", lambda g, shape: g,
            "The gradient of an array has the shape of the array."),
    Mistake("wrong-end", "The sum runs over the last axes; shapes are lined up at their ends, so "
            "the axes that `shape` lacks are the first.",
            lambda g, shape: g.sum(tuple(range(len(shape), g.ndim))), "Compare g.ndim with "
            "len(shape): the difference is how many axes at the front to sum over."),
    Mistake("leading-only", "Axes of length 1 in `shape` were copied along too.", _leading,
            "A column (B, 1) that was added to (B, M) was used M times a row."),
    Mistake("axis-lost", "An axis of length 1 was summed away; it should stay.", _no_keepdims,
            "keepdims=True."),
    Mistake("leading-kept", "Axes that `shape` lacks are left over, with length 1.", _ones_only,
            "(1, M) is not (M,): sum the axes at the front away."),
    Mistake("everything", "All axes were summed, those too that were not copied along.",
            lambda g, shape: np.broadcast_to(g.sum(), shape), "Only the copied axes."),
)  # fmt: skip

# --- task 7 ---------------------------------------------------------------------------------
NOT_LINKED = Mistake(
    "not-linked", "An operand is missing among the inputs of the result, or has no pull.", None,
    "Tensor(data, (self, other), (pull for self, pull for other)).",
)  # fmt: skip


def _pulls(of: str, pulls, kind: str, arrays: list[np.ndarray], g: np.ndarray) -> dict:
    if kind != of:
        raise ValueError("another operation")
    return tensor(kind, arrays, g, pulls)


def _both(first, second):
    """Pulls that are summed to the shapes of their operands."""
    return lambda a, b, g: [reduced(first(a, b, g), a.shape), reduced(second(a, b, g), b.shape)]


TENSOR = (
    Mistake("add-not-reduced", "In x + y a gradient keeps the shape of the result, where its "
            "operand was broadcast.", partial(_pulls, "add", lambda a, b, g: [g, g]),
            "reduce_to(g, self.data.shape) undoes it."),
    Mistake("mul-not-reduced", "In x * y a gradient keeps the shape of the result, where its "
            "operand was broadcast.", partial(_pulls, "mul", lambda a, b, g: [g * b, g * a]),
            "Multiply first, then reduce_to the operand's shape."),
    Mistake("own-factor", "In x * y each factor got itself in place of the other one.",
            partial(_pulls, "mul", _both(lambda a, b, g: g * a, lambda a, b, g: g * b)),
            "As in task 1, entry by entry."),
    Mistake("g-missing", "In x * y the pulls give the other factor alone, without g.",
            partial(_pulls, "mul", _both(lambda a, b, g: b + 0 * g, lambda a, b, g: a + 0 * g)),
            "A pull turns g into what the input gets."),
    Mistake("factor-missing", "In x * y the pulls hand g on as it is.",
            partial(_pulls, "mul", _both(lambda a, b, g: g, lambda a, b, g: g)),
            "As in task 1, entry by entry."),
    Mistake("no-transpose", "In x @ y the other factor has to be transposed.",
            partial(_pulls, "matmul", lambda a, b, g: [g @ b, a @ g]),
            "With square matrices nothing fails, and the numbers are wrong. Look at the shapes."),
    Mistake("sides-swapped", "In x @ y the factors of the pulls stand in the wrong order.",
            partial(_pulls, "matmul", lambda a, b, g: [b.T @ g, g @ a.T]),
            "Write the shapes under the product: which order fits?"),
    Mistake("matmul-own-factor", "In x @ y each pull uses its own operand, not the other one.",
            partial(_pulls, "matmul", lambda a, b, g: [g @ a.T, b.T @ g]),
            "As with numbers: each factor gets the other."),
    Mistake("pulls-crossed", "The pulls of x @ y stand in the wrong order: each input got the "
            "other's.", partial(_pulls, "matmul", lambda a, b, g: [a.T @ g, g @ b.T]),
            "The first pull belongs to the first input."),
    Mistake("elementwise", "x @ y was differentiated like x * y.",
            partial(_pulls, "matmul", lambda a, b, g: [g * b, g * a]),
            "Each entry of x is used in a whole row of the result."),
    Mistake("not-squared", "The derivative of tanh is 1 - t², with the square.",
            partial(_pulls, "tanh", lambda a, b, g: [g * (1 - np.tanh(a))]), "As in task 1."),
    Mistake("tanh-of-input", "The derivative of tanh is 1 - t² with t = tanh(x), not 1 - x².",
            partial(_pulls, "tanh", lambda a, b, g: [g * (1 - a * a)]), "As in task 1."),
)  # fmt: skip

# --- task 8 ---------------------------------------------------------------------------------
TRAIN = (
    Mistake("not-cleared", "The grads of earlier steps were added to those of the later ones.",
            partial(trained, keep=True), "Set each grad to 0.0 before each sweep."),
    Mistake("uphill", "The step goes uphill: the loss rises.", partial(trained, sign=1.0),
            "The gradient points to where the loss grows."),
    Mistake("sum", "The loss is the sum of the squares, not their mean.",
            partial(trained, factor=1.0), "Divide by the number of examples."),
    Mistake("half", "The loss is half the mean of the squares.",
            lambda x, y, *rest: trained(x, y, *rest, factor=0.5 / len(y)), "No factor 1/2 here."),
    Mistake("rate-missing", "The step ignores the rate.",
            lambda x, y, start, rate, steps: trained(x, y, start, 1.0, steps)),
    Mistake("biases-still", "The biases were not trained.", partial(trained, moved=(0, 2)),
            "All four parameters move."),
    Mistake("first-layer-still", "The first layer was not trained.",
            partial(trained, moved=(2, 3)), "All four parameters move."),
    Mistake("last-layer-still", "The last layer was not trained.",
            partial(trained, moved=(0, 1)), "All four parameters move."),
    Mistake("loss-after", "Each loss was noted after the step, not before it.",
            partial(trained, after=True), "Note the loss that you swept from."),
    Mistake("target-sign", "y was added to the output, not taken away.",
            partial(trained, target=-1.0), "The error is the output minus y."),
    Mistake("not-moved", "The parameters came back as they were.", partial(trained, moved=())),
)  # fmt: skip
