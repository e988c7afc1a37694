"""The parts that every lab has, and their order (CONTRIBUTING, "A new lab").

Each fault named here is planted in ``tests/course/test_labs.py``.
"""

from __future__ import annotations

import re
from pathlib import Path

import nbformat

from utils.check.core import Lab, Task, lab
from utils.course import labs

TASKS, MINUTES, REFLECTIONS = (4, 8), (60, 90), (2, 4)
OPENING = ("**Goal:**", "**Time:**", "**Points:**", "**Machine:**", "**Before this:**")
HEADING = re.compile(r"^## Task (\d+): (.+?) \((★+), (\d+) minutes, (\d+) points?\)$", re.M)


def is_lab(path: Path, root: Path) -> bool:
    """Whether the notebook is the source of a lab."""
    return path.resolve().parent == (root / "labs" / "solutions").resolve()


def problems(path: Path, nb: nbformat.NotebookNode, root: Path) -> list[str]:
    """All that is wrong with the source of a lab, and with its student form."""
    try:
        about = lab(path.stem)
    except ValueError as error:
        return [str(error)]
    found = labs.problems(nb, about)
    return found or [
        *opening(nb, about),
        *sections(nb, about),
        *closing(nb),
        *plain_markdown(nb),
        *in_step(path, root),
    ]


def opening(nb: nbformat.NotebookNode, about: Lab) -> list[str]:
    """Title and one sentence; goal, time, points, machine, prerequisites."""
    text = nb.cells[0].source if nb.cells else ""
    found = [] if re.match(r"# \S.*\n\n\S", text) else ["does not open with a title and a sentence"]
    found += [f"the opening does not say {label}" for label in OPENING if label not in text]
    time = re.search(r"\*\*Time:\*\* (\d+) minutes", text)
    low, high = MINUTES
    if time and not low <= int(time[1]) <= high:
        found.append(f"says {time[1]} minutes; a lab takes {low} to {high}")
    if time and sum(task.minutes for task in about.tasks) > int(time[1]):
        found.append(f"the tasks take longer than the {time[1]} minutes that the opening says")
    points = re.search(r"\*\*Points:\*\* (\d+)", text)
    if points and int(points[1]) != about.points:
        found.append(f"the opening says {points[1]} points, the lab has {about.points:g}")
    return found


def sections(nb: nbformat.NotebookNode, about: Lab) -> list[str]:
    """Each task has its heading, a why, the stub, the check and then a small experiment."""
    found = []
    if not TASKS[0] <= len(about.tasks) <= TASKS[1]:
        found.append(f"has {len(about.tasks)} tasks; {TASKS[0]} to {TASKS[1]} are asked for")
    levels = [task.difficulty for task in about.tasks]
    if levels != sorted(levels):
        found.append(f"the difficulty does not rise: {levels}")
    heads = [i for i, c in enumerate(nb.cells) if c.source.startswith("## ")]
    tasks = [i for i in heads if nb.cells[i].source.startswith("## Task")]
    if len(tasks) != len(about.tasks):
        return [*found, f"{len(about.tasks)} tasks, {len(tasks)} headings '## Task …'"]
    for number, (start, task) in enumerate(zip(tasks, about.tasks, strict=True), 1):
        end = next((i for i in heads if i > start), len(nb.cells))
        part = nb.cells[start:end]
        found += [f"task {task.id}: {problem}" for problem in _section(part, number, task, about)]
    return found


def _section(part: list, number: int, task: Task, about: Lab) -> list[str]:
    stars, level = HEADING.match(part[0].source), "★" * task.difficulty
    wanted = f"## Task {number}: … ({level}, {task.minutes} minutes, {task.points:g} points)"
    if not stars or (
        int(stars[1]) != number
        or (stars[3], int(stars[4]), int(stars[5])) != (level, task.minutes, task.points)
    ):
        return [f"its heading is not {wanted!r}"]
    found = []
    if len(part[0].source.split("\n\n", 1)[-1]) < 80:
        found.append("the text under its heading does not say why")
    code = [c for c in part if c.cell_type == "code"]
    at = next((i for i, c in enumerate(code) if labs.checked_task(c, about) is task), None)
    if at is None or not any(labs.BEGIN in c.source for c in code[:at]):
        return [*found, "its section lacks the stub followed by the check"]
    if not code[at + 1 :]:
        found.append("no small experiment follows its check")
    return found


def closing(nb: nbformat.NotebookNode) -> list[str]:
    """Reflection questions after the tasks, then the last check, which says what to hand in."""
    kinds = [
        "task" if HEADING.match(c.source) else "reflection" if labs.REFLECTION.match(c.source)
        else "everything" if labs.EVERYTHING.search(c.source) else ""
        for c in nb.cells
    ]  # fmt: skip
    found, count = [], kinds.count("reflection")
    if not REFLECTIONS[0] <= count <= REFLECTIONS[1]:
        low, high = REFLECTIONS
        found.append(f"has {count} reflection questions; {low} to {high} are asked for")
    order = [kind for kind in kinds if kind]
    if order != sorted(order, key=["task", "reflection", "everything"].index):
        found.append("tasks, reflections and the last check stand in another order")
    texts = [c.source for c in nb.cells if c.cell_type == "markdown"]
    if not any(re.search(r"^## Hand in", text, re.M) for text in texts):
        found.append("has no section '## Hand in'")
    return found


def plain_markdown(nb: nbformat.NotebookNode) -> list[str]:
    """Labs are read in Colab and VS Code, where directives and roles show as raw text."""
    return [
        f"cell {cell.id}: {mark!r} is not plain Markdown"
        for cell in nb.cells
        if cell.cell_type == "markdown"
        for mark in (":::", "```{", "{cite", "{ref}", "{numref}", "{eq}", "{doc}")
        if mark in cell.source
    ]


def in_step(path: Path, root: Path) -> list[str]:
    """The committed student form is what the generator makes of the source now."""
    student = root / "labs" / path.name
    if not student.is_file():
        return ["has no student form; run `make labs`"]
    same = student.read_text(encoding="utf-8") == labs.student_text(path, root)
    return [] if same else ["its student form is out of step; run `make labs`"]
