"""The mutation run: it plants what it says, and tells a good check from a lax one."""

import pytest
from nbformat.v4 import new_code_cell, new_notebook

from utils.check.core import Lab
from utils.course.mutants import mutants
from utils.course.mutate import measure, solution_cells

SOURCE = (
    "def clip(x, low, high):\n    ### BEGIN SOLUTION\n    if x < low:\n        return low\n"
    "    return min(x, high)\n    ### END SOLUTION"
)
HINTS = ("one", "two")


@pytest.mark.parametrize(
    ("source", "kind", "changed"),
    [
        ("a + b", "operator", "a - b"),
        ("a + b", "missing term", "a"),
        ("a / b", "operands", "b / a"),
        ("a @ b", "operands", "b @ a"),
        ("a <= b", "comparison", "a < b"),
        ("f(x, dim=-1)", "argument left out", "f(x)"),
        ("x.sum(1)", "axis or constant", "x.sum(2)"),
        ("x.sum(1)", "function", "x.mean(1)"),
        ("f(a, b)", "arguments", "f(b, a)"),
        ("x.clone()", "missing call", "x"),
        ("x[1:n]", "off by one", "x[1:n + 1]"),
        ("x[1:n]", "slice", "x[1:]"),
        ("min(a, b)", "missing term", "a"),
        ("range(n)", "off by one", "range(n - 1)"),
        ("~x", "operator", "x"),
        ("a and b", "operator", "a or b"),
        ("f(x, keepdim=True)", "constant", "f(x, keepdim=False)"),
        ("x = 2.0", "constant", "x = 4.0"),
        ("x += 1", "missing statement", "pass"),
        ("a if b else c", "condition", "a if not b else c"),
    ],
)
def test_each_kind_of_change_is_planted(source, kind, changed):
    found = {(m.kind, m.source) for m in mutants(source)}
    assert (kind, changed) in found, found


def test_mutants_differ_from_the_program_and_from_each_other():
    found = [m.source for m in mutants(SOURCE)]
    assert len(set(found)) == len(found) > 8
    assert mutants(SOURCE, lines={1}) == []  # nothing outside the solution is touched


def small_lab(values):
    about = Lab("small", "Small", points=1)

    @about.task("Clip", points=1, minutes=1, difficulty=1, functions=("clip",), hints=HINTS)
    def clip(t):
        for x in values:
            t.equal("clip", x, -1.0, 1.0, expected=max(-1.0, min(x, 1.0)))

    return about


@pytest.fixture
def notebook():
    setup = new_code_cell("import math")
    setup.metadata["tags"] = ["setup"]
    return new_notebook(cells=[setup, new_code_cell(SOURCE)])


INPUTS = {"clip": lambda rng: ("call", "clip", (float(rng.normal() * 2), -1.0, 1.0))}


def test_a_good_check_refuses_all_and_a_lax_one_is_shown_up(notebook):
    good = measure(small_lab([-3.0, 0.5, 3.0]), notebook, INPUTS, say=lambda _: None)
    lax = measure(small_lab([0.5]), notebook, INPUTS, say=lambda _: None)
    assert good.share == 1 and good.survivors == [] and good.unchanged >= 1
    assert lax.share < 0.8 and len(lax.survivors) == lax.changed - lax.refused
    assert all(text.startswith("clip, line ") for text in lax.survivors)
    assert good.mutants == lax.mutants == good.changed + good.unchanged


def test_only_the_lines_of_the_solution_are_changed(notebook):
    setup, (cell,) = solution_cells(notebook)
    assert setup == "import math" and cell.lines == frozenset({2, 3, 4, 5})
