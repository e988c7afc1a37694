"""Named mistakes of the lab `backpropagation` on numbers: what a wrong answer would be.

Legend as in `utils.check.backpropagation`. Each function is deliberately wrong in one way.
"""

from __future__ import annotations

import math
from functools import partial

from utils.check.backpropagation_references import adjoints, quotients, reachable, value
from utils.check.core import Mistake

# --- task 1 ---------------------------------------------------------------------------------
ADD = (
    Mistake("add-as-product", "These are the local derivatives of a product.",
            lambda a, b: (b, a), "Move a by a little: by how much does a + b move?"),
    Mistake("add-operands", "The operands came back, not how fast the sum moves with them.",
            lambda a, b: (a, b), "Move a by a little: by how much does a + b move?"),
    Mistake("add-sum", "The sum itself came back.", lambda a, b: (a + b, a + b)),
)  # fmt: skip
MUL = (
    Mistake("own-factor", "Each factor got itself in place of the other one.",
            lambda a, b: (a, b), "Hold b fixed: a times b rises by b when a rises by 1."),
    Mistake("mul-as-sum", "These are the local derivatives of a sum.",
            lambda a, b: (1.0, 1.0), "Hold b fixed: a times b rises by b when a rises by 1."),
    Mistake("mul-product", "The product itself came back.", lambda a, b: (a * b, a * b)),
)  # fmt: skip
POW = (
    Mistake("power-kept", "The power was not lowered by one.", lambda a, n: (n * a**n,),
            "The derivative of a² is 2a, not 2a²."),
    Mistake("factor-missing", "The factor n is missing.", lambda a, n: (a ** (n - 1),),
            "The derivative of a² is 2a, not a."),
    Mistake("factor-lowered", "The factor is n, not n - 1.",
            lambda a, n: ((n - 1) * a ** (n - 1),), "The derivative of a² is 2a."),
    Mistake("pow-square", "This is right for n = 2 alone.", lambda a, n: (2 * a,),
            "Both the factor and the power depend on n."),
)  # fmt: skip
TANH = (
    Mistake("not-squared", "This is 1 - tanh(a); tanh has to be squared.",
            lambda a: (1 - math.tanh(a),), "At a = 0 both agree; at a = -1 yours is above 1."),
    Mistake("tanh-of-input", "This is 1 - a²: the square is that of tanh(a), not of a.",
            lambda a: (1 - a * a,), "A slope of tanh is never negative."),
    Mistake("tanh-itself", "tanh(a) itself came back.", lambda a: (math.tanh(a),)),
    Mistake("sigmoid", "t (1 - t) belongs to the logistic function, not to tanh.",
            lambda a: (math.tanh(a) * (1 - math.tanh(a)),), "At 0 the slope of tanh is 1."),
)  # fmt: skip

# --- task 2 ---------------------------------------------------------------------------------
LENGTHS = Mistake(
    "lengths", "A Value has another number of slopes than of inputs.", None,
    "a * a has two inputs, a and a: a tuple keeps both, a set does not.",
)  # fmt: skip
OPERAND_CHANGED = Mistake(
    "operand-changed", "An operation changed the data of its operand.", None,
    "Make a new Value from the result; += writes into the one that is there.",
)  # fmt: skip
NO_INPUTS = Mistake(
    "no-inputs", "The result does not know what it was made from.", None,
    "Value(data) alone has no inputs; hand it the operands and the slopes too.",
)  # fmt: skip


def _changed(kind: str, a: float, b: float, of: str, slopes) -> tuple[float, list[float]]:
    if not kind.startswith(of):
        raise ValueError("another operation")
    data, right = value(kind, a, b)
    return data, slopes(a, b)[: len(right)]


def _halved(kind: str, a: float, b: float) -> tuple[float, list[float]]:
    data, slopes = value(kind, a, b)
    if not kind.endswith("_same"):
        raise ValueError("another operation")
    return data, [slope / 2 for slope in slopes]


VALUE = (
    Mistake("used-once", "In a * a the value a is used twice, and one of the uses is lost.",
            _halved, "Keep one input and one slope for each use."),
    Mistake("add-slopes", "A sum passes on its operands; its slopes are 1 and 1.",
            partial(_changed, of="add", slopes=lambda a, b: [b, a]), "Use add_slopes."),
    Mistake("own-factor", "Each factor got itself in place of the other one.",
            partial(_changed, of="mul", slopes=lambda a, b: [a, b]), "Use mul_slopes, in order."),
    Mistake("power-kept", "In a ** n the power was not lowered by one.",
            partial(_changed, of="pow", slopes=lambda a, n: [n * a**n]), "Use pow_slopes."),
    Mistake("not-squared", "The slope of tanh is 1 - tanh(a)², with the square.",
            partial(_changed, of="tanh", slopes=lambda a, b: [1 - math.tanh(a)]),
            "Use tanh_slopes."),
    Mistake("slope-at-result", "The slope of tanh was taken at tanh(a), not at a.",
            partial(_changed, of="tanh", slopes=lambda a, b: [1 - math.tanh(math.tanh(a)) ** 2]),
            "tanh_slopes wants the number that tanh was taken of."),
)  # fmt: skip

# --- task 3 ---------------------------------------------------------------------------------
ORDER = {
    "recursion": Mistake(
        "recursion", "The recursion is too deep: Python allows about 1,000 calls in each other.",
        None, "Short graphs are right. A chain of thousands needs a loop with a list as stack."),
    "twice": Mistake(
        "twice", "A value stands in the list more than once.", None,
        "A value with two users is met twice. Remember which were met, by id(value)."),
    "not-values": Mistake(
        "not-values", "The list holds something else than the values that the graph is made of.",
        None, "List the values themselves, not their data or copies; and make the list anew in "
        "each call."),
    "root-missing": Mistake(
        "root-missing", "The root itself is missing.", None,
        "The root is made from all others, so it stands last."),
    "missing": Mistake(
        "missing", "A value that the root is made from is missing.", None,
        "Go down through all inputs, and theirs; and tell values apart by id, not by data."),
    "users-first": Mistake(
        "users-first", "The list is the wrong way round: users stand before their inputs.", None,
        "This is the order for the way back; the list for the way forward is asked for."),
    "order": Mistake(
        "order", "A value stands before one of its inputs.", None,
        "The order in which values are met is not enough: write one down only after all of its "
        "inputs are written."),
    "remembers": Mistake(
        "remembers", "Asked a second time for the same root, the answer is another one.", None,
        "Make the list and the set anew in each call; a default argument is made once."),
}  # fmt: skip


def order_faults(came: list | str, inputs: list[tuple[int, ...]], root: int) -> list:
    """Pairs of whether a fault is there and its mistake, in the order in which they are told."""
    if isinstance(came, str):
        return [(True, ORDER["recursion"])]
    first, second = came
    wanted, place = reachable(inputs, root), {each: at for at, each in enumerate(first)}
    late = [(place.get(i, -1), place.get(u, -1)) for u in wanted for i in inputs[u]]
    faults = {
        "not-values": -1 in first,
        "twice": len(set(first)) < len(first),
        "root-missing": wanted - set(first) == {root},
        "missing": bool(wanted - set(first)),
        "users-first": len(wanted) > 1 and all(i > u for i, u in late),
        "order": any(i > u for i, u in late),
        "remembers": second != first,
    }
    return [(found, ORDER[slug]) for slug, found in faults.items()]


def listed(came: list | str) -> str:
    """An order in words, the second where the first has no fault of its own."""
    if isinstance(came, str):
        return came
    first, second = came

    def words(order: list[int]) -> str:
        named = ["something else" if i < 0 else f"v{i}" for i in order[:12]]
        return (", ".join(named) or "an empty list") + (", …" if len(order) > 12 else "")

    again = f", and the second time {words(second)}" if second != first else ""
    return words(first) + again


# --- task 4 ---------------------------------------------------------------------------------
BACKWARD = (
    Mistake("no-start", "All slopes are zero: the root's own slope was not set to 1.",
            partial(adjoints, start=0.0), "How fast does the root move with itself?"),
    Mistake("cleared", "The grads of an earlier sweep were lost.",
            partial(adjoints, clear=True),
            "Two losses that share a number both move it. Who sweeps clears, not backward."),
    Mistake("overwritten", "A value that is used twice kept what the last use handed back.",
            partial(adjoints, add=False), "Add to a grad; do not set it."),
    Mistake("breadth-first", "A value handed on before all of its own slope had arrived.",
            partial(adjoints, order="breadth"), "Walk topological(root) from its end."),
    Mistake("forward-order", "The values were taken from the first to the last.",
            partial(adjoints, order="forward"), "The root knows its slope first."),
    Mistake("no-slope", "The local derivatives are missing: each grad was handed on as it is.",
            partial(adjoints, slopes=False), "The chain rule multiplies."),
    Mistake("no-grad", "Each value handed on its local derivative alone, without its own grad.",
            partial(adjoints, own=False), "The chain rule multiplies."),
)  # fmt: skip

# --- task 5 ---------------------------------------------------------------------------------
LIST_CHANGED = Mistake(
    "list-changed", "The list of numbers is not as it was before the call.", None,
    "Change a copy: list(numbers).",
)  # fmt: skip
DIFFERENCES = (
    Mistake("one-sided", "This is the one-sided quotient, from f itself to f raised by h.",
            partial(quotients, down=0.0, width=1.0), "Its error falls with h, not with h²."),
    Mistake("one-sided-below", "This is the one-sided quotient, from f lowered by h to f itself.",
            partial(quotients, up=0.0, width=1.0), "Its error falls with h, not with h²."),
    Mistake("divided-by-h", "Twice the slope: the two places are 2h apart, not h.",
            partial(quotients, width=1.0), "Try f(x) = x: the slope is 1."),
    Mistake("sign", "The sign is wrong: the lower value was not the one taken away.",
            partial(quotients, width=-2.0), "Try f(x) = x: the slope is 1."),
    Mistake("not-divided", "The difference was not divided by 2h.",
            lambda terms, xs, h: [2 * h * q for q in quotients(terms, xs, h)],
            "Try f(x) = x: the slope is 1."),
    Mistake("all-moved", "All numbers were moved at once.",
            partial(quotients, together=True), "One number at a time; the others stay."),
    Mistake("left-low", "A number that was lowered was not put back before the next one's turn.",
            partial(quotients, left=-1.0), "Start each pair of runs from a fresh copy."),
    Mistake("left-high", "A number that was raised was not put back before the next one's turn.",
            partial(quotients, left=1.0), "Start each pair of runs from a fresh copy."),
)  # fmt: skip
