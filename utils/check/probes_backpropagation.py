"""Probes of the lab `backpropagation`: they run small programs on the learner's own objects.

A program or a graph comes as data, and only data go back: no reference stands here. In a graph
value number i is made from earlier ones: ``(inputs, slopes)`` of each, as tuples.
"""

from __future__ import annotations

from typing import Any

import numpy as np

WRITTEN = {
    "add": "a + b", "mul": "a * b", "pow": "a ** n", "tanh": "a.tanh()", "matmul": "a @ b",
}  # fmt: skip


def operations(namespace: dict[str, Any], lines: list[tuple], numbers: list[float]) -> list:
    """Make a Value of each number, then run the lines: ``(operation, place, place or number)``.

    Gives for each value in the end its data, its slopes summed for each place that it was made
    from, and whether there are as many slopes as inputs.
    """
    made = [namespace["Value"](number) for number in numbers]
    for kind, first, *second in lines:
        other = second[0] if second else None
        other = made[other] if kind in ("add", "mul", "matmul") else other
        made.append(_run(kind, made[first], other, "Value"))
    return [_found(value, made) for value in made]


def _run(kind: str, a: Any, b: Any, wanted: str) -> Any:
    if kind in ("add", "mul"):
        made = a + b if kind == "add" else a * b
    elif kind == "matmul":
        made = a @ b
    else:
        made = a**b if kind == "pow" else a.tanh()
    return _remembers(made, WRITTEN[kind], wanted)


def _remembers(made: Any, written: str, wanted: str) -> Any:
    if not hasattr(made, "inputs"):
        raise TypeError(f"{written} gave a {type(made).__name__} where a {wanted} was expected")
    return made


def _found(value: Any, made: list) -> tuple[float, dict, bool]:
    places = {id(each): place for place, each in enumerate(made)}
    inputs, slopes = tuple(value.inputs), tuple(value.slopes)
    edges: dict[int, float] = {}
    for each, slope in zip(inputs, slopes, strict=False):
        if id(each) in places:
            edges[places[id(each)]] = edges.get(places[id(each)], 0.0) + slope
    return value.data, edges, len(inputs) == len(slopes)


def _graph(make: type, graph: list[tuple], numbers: list[float]) -> list:
    made: list = []
    for (inputs, slopes), number in zip(graph, numbers, strict=True):
        made.append(make(number, tuple(made[i] for i in inputs), tuple(slopes)))
    return made


def order(namespace: dict[str, Any], graph: list[tuple], root: int) -> list | str:
    """The places that `topological` gives for a root, asked twice; -1 for what is no value.

    The text "RecursionError" where the recursion went too deep.
    """
    made = _graph(namespace["Value"], graph, [1.0] * len(graph))  # data alike: they are no names
    places = {id(each): place for place, each in enumerate(made)}
    try:
        found = [namespace["topological"](made[root]) for _ in range(2)]
    except RecursionError:
        return "RecursionError"
    return [[places.get(id(each), -1) for each in given] for given in found]


def order_facts(namespace: dict[str, Any], graph: list[tuple], root: int) -> Any:
    """What all right answers of `order` share: the members, and no input after its user."""
    found = order(namespace, graph, root)
    if isinstance(found, str):
        return found
    return [(sorted(given), _late(given, graph)) for given in found]


def _late(given: list[int], graph: list[tuple]) -> int:
    """How many inputs stand after their user."""
    return sum(i in given[at:] for at, each in enumerate(given) for i in graph[each][0])


def gradients(
    namespace: dict[str, Any], graph: list[tuple], numbers: list[float], roots: list[int]
) -> list[float]:
    """`backward` from each root in turn; the `grad` of every value in the end."""
    made = _graph(namespace["Value"], graph, numbers)
    for root in roots:
        namespace["backward"](made[root])
    return [each.grad for each in made]


def differences(
    namespace: dict[str, Any], terms: list[tuple], numbers: list[float], h: float | None
) -> list:
    """`central_differences` of a sum of products, and the numbers after it.

    Each term is ``(factor, powers)``, with one power for each number. `h` None: left out.
    """

    def f(values: Any) -> float:
        xs = [float(x) for x in values]
        return sum(c * float(np.prod([x**n for x, n in zip(xs, powers, strict=True)]))
                   for c, powers in terms)  # fmt: skip

    given = list(numbers)
    came = namespace["central_differences"](f, given, *([] if h is None else [h]))
    return [came, given]


def tensor_operation(
    namespace: dict[str, Any], kind: str, arrays: list[np.ndarray], g: np.ndarray
) -> dict[str, Any]:
    """The data of one operation, and what its pulls hand to each array for the adjoint `g`.

    Two operands where there are two arrays; one array is used twice but for tanh. None stands
    for an array that is not among the inputs.
    """
    made = [namespace["Tensor"](each) for each in arrays]
    if kind == "tanh":
        result = _remembers(namespace["tanh"](made[0]), "tanh(x)", "Tensor")
    else:
        result = _run(kind, made[0], made[-1], "Tensor")
    handed: list = [None] * len(made)
    for each, pull in zip(result.inputs, result.pulls, strict=False):
        for place, one in enumerate(made):
            if each is one:
                got = np.asarray(pull(g))
                handed[place] = got if handed[place] is None else handed[place] + got
    same = len(result.inputs) == len(result.pulls)
    return {"data": result.data, "handed": handed, "paired": same}
