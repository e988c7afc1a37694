"""Checks of the lab `backpropagation`: an autograd engine for numbers and for arrays.

Legend: B examples, D inputs, M hidden units; `g` the adjoint of a result, with its shape.
The references differentiate by hand; the rules are those of the chapter (Goodfellow, Bengio and
Courville 2016, section 6.5).
"""

from __future__ import annotations

import numpy as np

from utils.check import backpropagation_mistakes as wrong
from utils.check import backpropagation_parts as parts
from utils.check import backpropagation_references as right
from utils.check import backpropagation_tensor_mistakes as many
from utils.check.core import Lab
from utils.check.trial import Trial

LAB = Lab("backpropagation", "An autograd engine", points=32)
ENGINES = ("utils.*", "torch.*")
DEEP = 3000  # more than Python's recursion allows


@LAB.task(
    "Local derivatives",
    points=2,
    minutes=8,
    difficulty=1,
    functions=("add_slopes", "mul_slopes", "pow_slopes", "tanh_slopes"),
    forbidden=ENGINES,
    hints=(
        "Hold all inputs but one fixed and differentiate; the result may depend on every input.",
        "(a b)' with respect to a is what stands beside a; (a^n)' is n times a power lower by 1.",
        "tanh' = 1 - tanh². Compute t = tanh(a) first.",
    ),
)
def local_derivatives(t: Trial) -> None:
    a, b = (float(v) for v in t.rng.uniform(0.3, 2.0, 2))
    for x, y in ((a, b), (-b, a), (0.0, -a)):
        t.equal("add_slopes", x, y, expected=(1.0, 1.0), mistakes=wrong.ADD)
        t.equal("mul_slopes", x, y, expected=(y, x), mistakes=wrong.MUL)
    n = t.integer(3, 5)
    for x, power in ((a, n), (-a, n), (a, -2), (b, 0.5), (0.0, 1), (0.0, 2), (a, 0)):
        expected = (power * x ** (power - 1) if power else 0.0,)
        t.equal("pow_slopes", x, power, expected=expected, mistakes=wrong.POW)
    for x in (a, -b, 0.0, 1000.0, -1000.0):
        t.equal("tanh_slopes", x, expected=(1 - np.tanh(x) ** 2,), mistakes=wrong.TANH)


@LAB.task(
    "Numbers that remember",
    points=3,
    minutes=10,
    difficulty=1,
    functions=("Value",),
    forbidden=ENGINES,
    hints=(
        "A result is Value(its data, what it was made from, one slope for each of these).",
        "Take the slopes from the functions of task 1; they want numbers, so hand them .data.",
        "Where a value is used twice, inputs may name it twice, with a slope each.",
    ),
)
def values(t: Trial) -> None:
    n = t.integer(3, 4)
    for kind in ("add", "mul", "tanh", "pow"):
        a, b = (float(v) for v in t.rng.uniform(0.3, 1.9, 2))
        second = {"tanh": (), "pow": (n,)}.get(kind, (1,))
        came = parts.operations(t, [(kind, 0, *second)], [a, b])
        parts.slopes_fit(t, came, (kind, a, n if kind == "pow" else b), [a, b])
    for kind in ("add", "mul"):
        a = float(t.rng.uniform(0.3, 1.9))
        came = parts.operations(t, [(kind, 0, 0)], [a])
        parts.slopes_fit(t, came, (kind + "_same", a, a), [a])
    numbers = [float(v) for v in t.rng.uniform(0.3, 1.9, 3)]
    lines = [("mul", 0, 1), ("add", 3, 2), ("tanh", 4), ("pow", 5, 2), ("add", 6, 0),
             ("mul", 7, 7), ("pow", 8, -1), ("add", 9, 3)]  # fmt: skip
    came = parts.operations(t, lines, numbers)
    t.same([tuple(each) for each in came], right.program(lines, numbers))


@LAB.task(
    "Inputs before users",
    points=3,
    minutes=12,
    difficulty=2,
    functions=("topological", "Value"),
    forbidden=ENGINES,
    seconds=3.0,
    hints=(
        "A value may be written down when all its inputs are. Which value is always last?",
        "Go down to the inputs first, and write a value down on the way back. A set of id(value) "
        "says which were met.",
        "Keep a list of your own for recursion's stack: put a value on it twice, first to open "
        "it (its inputs come on top), then to write it down.",
    ),
)
def topological(t: Trial) -> None:
    diamond = [(), (0,), (0,), (1, 2)]
    cases = [(diamond, 3), ([()], 0), ([(), (0, 0)], 1), ([(), (0,), (1, 0), (2, 1, 0)], 3)]
    cases += [([(), (), (0, 1), (1, 0), (2,), (3, 4)], 5), ([(), (0,), (1,), (0,), (3,)], 2)]
    cases += [(parts.random_inputs(t, 12), 11) for _ in range(4)]
    for inputs, root in cases:
        parts.order(t, inputs, root, parts.in_words(inputs, root))
    doubled = [()] + [(i, i) for i in range(40)]
    parts.order(t, doubled, 40, "topological of 40 doublings, v1 = v0 + v0, v2 = v1 + v1 and so on")
    chain = [()] + [(i,) for i in range(DEEP)]
    parts.order(t, chain, DEEP, f"topological of a chain of {DEEP:,} values")


@LAB.task(
    "The way back",
    points=4,
    minutes=10,
    difficulty=2,
    functions=("backward", "Value"),
    forbidden=ENGINES,
    seconds=3.0,
    hints=(
        "The root's own slope is 1. Then take the values from the last to the first.",
        "A value hands to each of its inputs: its own grad times the slope of that input.",
        "Two uses of a value each hand something back, and it gets the sum.",
    ),
)
def backward(t: Trial) -> None:
    same, diamond = [(), (0, 0)], [(), (0,), (0,), (1, 2)]
    early = [(), (0, 0), (1, 1), (1, 2)]  # v3 uses v1 at once and through v2
    cases = [([()], [0]), ([(), (0,), (1,)], [2]), ([(), (), (0, 1)], [2]), (same, [1])]
    cases += [(diamond, [3]), (early, [3]), ([(), (), (0, 1), (0, 1)], [2, 3])]
    cases += [(parts.random_inputs(t, 10), [9]) for _ in range(3)]
    for inputs, roots in cases:
        parts.sweep(t, inputs, roots, parts.in_words(inputs, roots[0], "backward"))
    doubled = [()] + [(i, i) for i in range(30)]
    parts.sweep(t, doubled, [30], "backward of 30 doublings, v1 = v0 + v0, v2 = v1 + v1 …")


@LAB.task(
    "A check that needs no engine",
    points=3,
    minutes=8,
    difficulty=2,
    functions=("central_differences",),
    forbidden=ENGINES,
    hints=(
        "For each number: f with this one raised by h, f with it lowered by h, and nothing else "
        "moved.",
        "The two places are 2h apart.",
        "Work on a copy of the list for each call of f.",
    ),
)
def central_differences(t: Trial) -> None:
    for count, h in ((1, 0.5), (3, 0.25), (4, 0.1), (3, None)):
        numbers = [float(v) for v in t.rng.uniform(0.5, 1.5, count)]
        terms = [(float(t.rng.uniform(1, 3)), tuple(int(n) for n in t.rng.integers(1, 5, count)))
                 for _ in range(3)]  # fmt: skip
        called = f"central_differences of a polynomial of {count} numbers"
        called += f", h = {h}" if h else ", h left out"
        came = t.probe("differences", terms, numbers, h, called=called)
        unchanged = right.close(came[1], numbers)
        t.require(
            unchanged, came="other numbers in the list than before", expected="the list as it was",
            mistake=wrong.LIST_CHANGED,
        )  # fmt: skip
        args = (terms, numbers, h or 1e-5)
        expected = right.quotients(*args) if h else right.derivatives(terms, numbers)
        t.same(came[0], expected, args=args, mistakes=wrong.DIFFERENCES, rtol=1e-5)


@LAB.task(
    "Undo broadcasting",
    points=3,
    minutes=10,
    difficulty=2,
    functions=("reduce_to",),
    forbidden=ENGINES,
    hints=(
        "A number that was copied to five places was used five times: what did task 4 do then?",
        "Two kinds of axes were copied along: those that `shape` lacks, at the front, and those "
        "where it has length 1.",
        "np.sum takes a tuple of axes; keepdims=True leaves an axis with length 1.",
    ),
)
def broadcasting(t: Trial) -> None:
    B, M, K = t.distinct(3, 2, 6)
    for shape, to in (
        ((M, M), (M,)), ((K, B, M), (B, 1)), ((B, M), (M,)), ((B, M), (1, M)), ((B, M), (B, 1)),
        ((B, M), (B, M)), ((B, M), ()), ((B, M), (1, 1)), ((K, B, M), (M,)), ((B, 1), (1,)),
        ((K, B, M), (K, 1, M)), ((1, M), (1, M)), ((), ()),
    ):  # fmt: skip
        g = t.rng.standard_normal(shape)
        t.equal("reduce_to", g, to, expected=right.reduced(g, to), mistakes=many.REDUCE)


@LAB.task(
    "Tensors that remember",
    points=4,
    minutes=12,
    difficulty=3,
    functions=("Tensor", "tanh"),
    forbidden=ENGINES,
    hints=(
        "A pull takes g, the adjoint of the result, and gives what one input gets; its shape is "
        "that of the input, so reduce_to belongs into the pulls of + and *.",
        "For Z = X W, with G of Z's shape: what is left of X's shape and right of W's? There is "
        "only one product of G with a transpose that has it.",
        "x + y passes on g. x * y passes on g times the other factor. tanh: g (1 - t²).",
    ),
)
def tensors(t: Trial) -> None:
    B, D, M = t.distinct(3, 2, 6)
    cases = [("add", (B, M), (B, M)), ("add", (B, M), (M,)), ("add", (1, M), (B, 1))]
    cases += [("mul", (B, M), (B, M)), ("mul", (B, M), (M,)), ("mul", (B, 1), (1, M))]
    cases += [("mul", (), (B, M)), ("add", (B, M)), ("mul", (B, M)), ("tanh", (B, M))]
    cases += [("matmul", (D, D), (D, D)), ("matmul", (B, D), (D, M)), ("matmul", (1, D), (D, 1))]
    cases += [("matmul", (D, D))]
    for kind, *shapes in cases:
        arrays = [t.rng.standard_normal(shape) for shape in shapes]
        g = t.rng.standard_normal(right.result_shape(kind, shapes))
        sizes = " and ".join(str(shape) for shape in shapes)
        used = "" if len(shapes) > 1 or kind == "tanh" else ", used twice"
        called = f"{kind} of shape {sizes}{used}; then each pull with a g of shape {g.shape}"
        came = t.probe("tensor_operation", kind, arrays, g, called=called)
        t.require(
            all(part is not None for part in came["handed"]) and came["paired"],
            came="a result whose inputs or pulls lack an operand",
            expected="each operand among the inputs, with one pull for each",
            mistake=many.NOT_LINKED,
        )
        expected = {"data": came["data"], "handed": None, "paired": True}
        expected |= right.tensor(kind, arrays, g)
        t.same(came, expected, args=(kind, arrays, g), mistakes=many.TENSOR)


@LAB.task(
    "A network learns XOR",
    points=4,
    minutes=14,
    difficulty=3,
    functions=("train",),
    forbidden=ENGINES,
    hints=(
        "One step: clear the grads, run the network, make the loss from Tensors, sweep, note the "
        "loss, move the parameters.",
        "y is data: Tensor(-y) can be added. The mean is total(…) times Tensor(1 / how many).",
        "p.data = p.data - rate * p.grad makes a new array; p.data -= … writes into the one that "
        "was handed to you.",
    ),
)
def xor(t: Trial) -> None:
    B, D, M = t.distinct(3, 2, 5)
    for steps, rate in ((1, 0.5), (4, 0.3), (3, 1.0), (0, 0.1)):
        x, y = t.rng.standard_normal((B, D)), t.rng.choice([-1.0, 1.0], (B, 1))
        parts.train(t, x, y, M, rate, steps)
    x = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    parts.train(t, x, np.array([[-1.0], [1.0], [1.0], [-1.0]]), 4, 0.2, 100)
