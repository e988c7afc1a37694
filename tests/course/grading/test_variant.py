"""A lab with variants, graded: each learner's data follow from the id, written down or computed."""

import copy

import pytest
import torch
from conftest import as_bytes, cell, write

from utils.check.core import lab, variant_seed
from utils.check.evaluation_test_mistakes import report
from utils.check.probes_evaluation import own_test_set
from utils.course import labs
from utils.course.grading import one, sandbox
from utils.course.notebooks import course_root, read

EMPTY, OWN = 'check.learner_id("")', 'check.learner_id("Jane")'


@pytest.fixture(scope="module")
def release():
    return read(course_root() / "labs" / "evaluation.ipynb")


@pytest.fixture(scope="module")
def handed_in(release):
    """The solved lab with Jane's id; its findings are still those without an id."""
    made = copy.deepcopy(release)
    for solution in read(course_root() / "labs" / "solutions" / "evaluation.ipynb").cells:
        if solution.cell_type == "code" and labs.BEGIN in solution.source:
            write(made, labs.defined(solution.source)[0], solution.source)
    named = next(c for c in made.cells if EMPTY in c.source)
    named.source = named.source.replace(EMPTY, OWN)
    return made


@pytest.fixture(scope="module")
def lab_box():
    torch.set_num_threads(1)
    with sandbox.Box(lab="evaluation") as made:
        yield made


def compared(nb, release, box, **more):
    """Points and mistake of the last task, the report on one's own data."""
    about = lab("evaluation")
    about = type(about)(about.name, about.title, about.points, True, [about["compare"]])
    result = one.grade_one("jane", as_bytes(nb), about, release, box, **more)
    return result.tasks[0].points, result.tasks[0].mistake


def test_numbers_of_ones_own_data_count(handed_in, release, lab_box):
    assert compared(handed_in, release, lab_box) == (0.0, "without-id")
    mine = {
        key: round(value, 3) if isinstance(value, float) else value
        for key, value in report(*own_test_set(variant_seed("jane"))).items()
    }
    nb = copy.deepcopy(handed_in)
    cell(nb, "solve-findings").source = f"def findings():\n    return {mine!r}"
    assert compared(nb, release, lab_box) == (4.0, "")
    assert compared(nb, release, lab_box, variant_id="bob") == (0.0, "not-yours")


def test_findings_may_be_computed_from_the_cell_that_names_the_id(handed_in, release, lab_box):
    nb = copy.deepcopy(handed_in)
    cell(nb, "solve-findings").source = "def findings():\n    return report(*mine)"
    assert compared(nb, release, lab_box) == (4.0, "")
    assert compared(nb, release, lab_box, variant_id="bob") == (0.0, "not-yours")
