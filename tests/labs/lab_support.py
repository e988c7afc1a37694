"""What the tests of all labs share: the solutions' namespace, reports, whole-notebook scores."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from utils.check.core import Report, lab, task_rng
from utils.check.local import LocalLearner
from utils.course.mutate import solution_cells
from utils.course.notebooks import read

ROOT = Path(__file__).parents[2]


def solved(name: str) -> dict:
    """The namespace that the solutions of lab `name` define."""
    setup, cells = solution_cells(read(ROOT / "labs" / "solutions" / f"{name}.ipynb"))
    namespace = {"__name__": "solutions"}
    exec("\n\n".join([setup, *(cell.source for cell in cells)]), namespace)
    return namespace


def reports(name: str, namespace: dict, task_id: str, seed: int, limit: float = 5.0) -> Report:
    """The report of one task on what stands in `namespace`; a call may take `limit` seconds."""
    task = lab(name)[task_id]
    learner = LocalLearner(namespace, name, task.forbidden, limit=min(task.seconds, limit))
    return task.check(learner, task_rng(task_id, seed))


def refusals(
    name: str, right: dict, task_id: str, wrong: dict, seeds=range(3), limit: float = 5.0
) -> dict:
    """For each wrong answer (slug to changed names) the mistake that was found, at any seed.

    Also demands that each wrong answer is refused with a sentence or a comparison of its own
    and with hints.
    """
    found, messages = {}, {}
    for slug, changed in wrong.items():
        all_found = set()
        for seed in seeds:
            report = reports(name, right | changed, task_id, seed, limit)
            assert not report.passed, f"{task_id}: {slug} was accepted (seed {seed})"
            assert report.came and report.expected and len(report.hints) >= 2
            all_found.add(report.mistake)
        found[slug] = all_found.pop() if len(all_found) == 1 else all_found
        messages[slug] = report.sentence or report.came
    assert len(set(messages.values())) == len(messages), messages
    return found


def assert_styles_pass(name: str, right: dict, styles: list[dict], task_id: str, seed: int) -> None:
    """The solution passes, and each other style of a right answer, of which there are some."""
    assert len(styles) >= 1
    for other in [{}, *styles]:
        report = reports(name, right | other, task_id, seed)
        assert report.passed, f"{other}\n{report}"


def assert_five_wrong_answers(name: str, cases) -> None:
    """Of the pairs (task, wrong answers by slug) every task of the lab has five or more."""
    counts = Counter()
    for task_id, wrong in cases:
        counts[task_id] += len(wrong)
    assert set(counts) == set(lab(name).ids()) and min(counts.values()) >= 5


def assert_lab_scores(name: str, full: float) -> None:
    """A solved notebook scores `full`, an untouched and an empty one nothing."""
    about = lab(name)
    points = {task.id: task.points for task in about.tasks}
    setup, cells = solution_cells(read(ROOT / "labs" / f"{name}.ipynb"))
    assert not cells, "the student form holds a solution"
    stubs = [
        c.source for c in read(ROOT / "labs" / f"{name}.ipynb").cells
        if c.metadata.get("nbgrader", {}).get("solution") and c.cell_type == "code"
    ]  # fmt: skip
    untouched: dict = {"__name__": "student"}
    exec("\n\n".join([setup, *stubs]), untouched)
    for namespace, expected in ((solved(name), full), (untouched, 0), ({}, 0)):
        all_reports = [reports(name, namespace, task, seed=1) for task in points]
        earned = sum(points[r.task] * r.score for r in all_reports)
        assert earned == expected, [str(r) for r in all_reports if not r.passed]
