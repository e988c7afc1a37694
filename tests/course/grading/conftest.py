"""A made-up lab of two tasks, its release form, and submissions made from it."""

from __future__ import annotations

import nbformat
import pytest
import torch
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from utils.check.core import Lab, Mistake
from utils.course import labs
from utils.course.grading import one, remote, sandbox
from utils.course.notebooks import course_root

CHECKS = """\
from utils.check.core import Lab, Mistake

LAB = Lab("tiny", "A tiny lab", points=7)
SUM = Mistake("sum", "The sum was taken, not the mean.", lambda x: x.sum(-1), hint="Divide.")


@LAB.task("Double", points=2, minutes=5, difficulty=1, functions=("double",),
          hints=("Add it to itself.", "Or multiply."), seconds=1.0,
          forbidden=("utils.*", "torch.ldexp"))
def double(t):
    for size in (3, 5):
        x = t.normal(size)
        t.equal("double", x, expected=2 * x)


@LAB.task("Mean", points=3, minutes=5, difficulty=2, functions=("average",),
          hints=("Sum first.", "Then divide."), seconds=1.0,
          forbidden=("utils.*", "torch.mean", "torch.Tensor.mean"), forbidden_score=0.5)
def average(t):
    for rows, columns in ((3, 4), (2, 6)):
        x = t.normal(rows, columns)
        t.equal("average", x, expected=x.double().mean(-1).float(), mistakes=(SUM,))
"""


def tiny_lab() -> Lab:
    """The lab, made anew; its checks are the text above."""
    scope: dict = {"Mistake": Mistake}
    exec(CHECKS, scope)
    return scope["LAB"]


def tiny_source() -> nbformat.NotebookNode:
    """The form that an author edits."""

    def code(text: str, name: str, **meta):
        return new_code_cell(text, id=name, metadata=meta)

    return new_notebook(cells=[
        new_markdown_cell("# Tiny\n\nA lab.", id="intro"),
        code("import torch\nfrom utils import check", "first", tags=["setup"]),
        code("def double(x):\n    \"\"\"Twice x.\"\"\"\n    ### BEGIN SOLUTION\n    return x + x\n"
             "    ### END SOLUTION", "write-double"),
        code("check.tiny.double(double)", "try-double"),
        code("twice = double(torch.ones(2))\nprint(twice)", "experiment"),
        code("def average(x):\n    \"\"\"Means of the rows.\"\"\"\n    ### BEGIN SOLUTION\n"
             "    total = x.sum(-1)\n    return total / x.shape[-1]\n    ### END SOLUTION",
             "write-average"),
        code("check.tiny.average(average)", "try-average"),
        new_markdown_cell("**Reflection 1 (2 points).** Why?\n\n### BEGIN SOLUTION\nSo.\n"
                          "### END SOLUTION", id="why"),
        code('check.everything("tiny", globals())', "all"),
    ])  # fmt: skip


@pytest.fixture(scope="session")
def tiny():
    return tiny_lab()


@pytest.fixture(scope="session")
def release(tiny):
    return labs.release(tiny_source(), tiny, course_root())


@pytest.fixture(scope="session")
def solved(tiny):
    """What somebody hands in who solved everything: the release form with solutions."""
    made = labs.release(tiny_source(), tiny, course_root())
    write(made, "double", "def double(x):\n    return 2 * x")
    write(made, "average", "def average(x):\n    return x.sum(-1) / x.shape[-1]")
    cell(made, "reflection-1").source += "\n\nBecause the mean does not grow with the number."
    return made


def cell(nb, grade_id: str):
    """The cell with that grade id."""
    return next(c for c in nb.cells if c.metadata.get("nbgrader", {}).get("grade_id") == grade_id)


def write(nb, name: str, source: str) -> None:
    """Put `source` into the cell of the function `name`, in place."""
    cell(nb, f"solve-{name}").source = source


def as_bytes(nb) -> bytes:
    return nbformat.writes(nb).encode()


@pytest.fixture(scope="session")
def box():
    torch.set_num_threads(1)
    before, remote.GRACE = remote.GRACE, 0.7
    limits = sandbox.Limits(memory=400 * 2**20, seconds=10)
    with sandbox.Box(limits=limits) as made:
        yield made
    remote.GRACE = before


@pytest.fixture
def mark(tiny, release, box):
    """Grade a notebook (or bytes): the points of both tasks and the result."""

    def run(nb, **more):
        data = nb if isinstance(nb, bytes) else as_bytes(nb)
        result = one.grade_one("somebody", data, tiny, release, box, **more)
        return {task.task: task.points for task in result.tasks}, result

    return run
