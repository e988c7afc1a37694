"""From the form of a lab that authors edit to the form that learners get.

``labs/solutions/NAME.ipynb`` holds solutions between ``### BEGIN SOLUTION`` and
``### END SOLUTION``, one line ``check.NAME.task(function)`` for each task, and reflection
questions ``**Reflection 1 (2 points).** …`` whose sample answer stands between the same
markers. `release` makes ``labs/NAME.ipynb`` from it, with nbgrader's metadata; `instructor`
makes the source that nbgrader's own commands start from.
"""

from __future__ import annotations

import ast
import copy
import re
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell

from utils.check.core import Lab, Task, lab
from utils.course import bootstrap
from utils.course.normalize import normalize
from utils.course.notebooks import dumps, labs, read

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
CODE_STUB = ("# YOUR CODE HERE", "raise NotImplementedError()")  # as nbgrader's ClearSolutions
TEXT_STUB = ("YOUR ANSWER HERE",)
CHECK = re.compile(r"^check\.(\w+)\.(\w+)\(([\w, ]*)\)\s*$", re.M)
EVERYTHING = re.compile(r"^check\.everything\(", re.M)
REFLECTION = re.compile(r"\A\*\*Reflection (\d+) \((\d+) points?\)\.\*\* \S")


class LabError(ValueError):
    """A lab's source cannot be released; the message lists what is wrong, one line each."""


def release(nb: nbformat.NotebookNode, about: Lab, root: Path) -> nbformat.NotebookNode:
    """The student form of a source; the source stays as it is. Raises LabError."""
    made = instructor(nb, about, root)
    for cell in made.cells:
        cell.source = cut(cell.source, cell.cell_type == "code")
        cell.metadata.pop("mystnb", None)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    first = next(i for i, cell in enumerate(made.cells) if cell.cell_type == "code")
    boot = new_code_cell(bootstrap.SOURCE, id=bootstrap.CELL_ID)
    boot.metadata["nbgrader"] = _metadata(bootstrap.CELL_ID, locked=True)
    made.cells.insert(first, boot)
    made.metadata.pop("lmm", None)
    _sign(made)
    return made


def instructor(nb: nbformat.NotebookNode, about: Lab, root: Path) -> nbformat.NotebookNode:
    """The source with nbgrader's metadata: what ``nbgrader generate_assignment`` starts from."""
    found = problems(nb, about)
    if found:
        raise LabError("\n".join(found))
    made = normalize(copy.deepcopy(nb), root)
    for cell in made.cells:
        data = _nbgrader(cell, about)
        cell.metadata.pop("nbgrader", None)
        if data:
            cell.metadata["nbgrader"] = data
            cell["id"] = data["grade_id"]  # so a submission is put back together by its ids
    ids = [cell.id for cell in made.cells]
    if _twice(ids):
        raise LabError(f"another cell has the id of a graded one: {', '.join(_twice(ids))}")
    return made


def cut(source: str, code: bool) -> str:
    """`source` with each solution replaced by the stub, indented as its first marker."""
    lines: list[str] = []
    inside = False
    for line in source.split("\n"):
        if line.strip() == BEGIN:
            indent = line[: len(line) - len(line.lstrip())]
            lines += [indent + stub for stub in (CODE_STUB if code else TEXT_STUB)]
            inside = True
        elif line.strip() == END:
            inside = False
        elif not inside:
            lines.append(line)
    return "\n".join(lines)


def problems(nb: nbformat.NotebookNode, about: Lab) -> list[str]:
    """What keeps a source from being released, as sentences; none when all is well."""
    found = [problem for cell in nb.cells for problem in _markers(cell)]
    if found:
        return found  # nothing that follows can be trusted
    return [*_tasks(nb, about), *_solutions(nb, about), *_points(nb, about), *_last(nb, about)]


def defined(source: str) -> list[str]:
    """Names of the functions and classes that a cell defines at its top level."""
    kinds = (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)
    return [node.name for node in ast.parse(source).body if isinstance(node, kinds)]


def checked_task(cell: nbformat.NotebookNode, about: Lab) -> Task | None:
    """The task whose check line stands in this cell."""
    match = CHECK.search(cell.source) if cell.cell_type == "code" else None
    return about[match[2]] if match and match[2] in about.ids() else None


def _markers(cell) -> list[str]:
    where, found, inside = f"cell {cell.get('id', '?')}", [], False
    for line in cell.source.split("\n"):
        text = line.strip()
        if "BEGIN SOLUTION" in text or "END SOLUTION" in text:
            if text not in (BEGIN, END):
                found.append(f"{where}: write {text!r} as {BEGIN!r} or {END!r}")
            elif (text == BEGIN) == inside:
                found.append(f"{where}: {text!r} stands without its partner")
            inside = text == BEGIN
            if cell.cell_type == "code" and inside and not line.startswith(" "):
                found.append(f"{where}: a solution outside a function would stop 'Run all'")
    if inside:
        found.append(f"{where}: {BEGIN!r} without {END!r}")
    if not found and cell.cell_type == "code":
        for form, text in (("source", cell.source), ("stub", cut(cell.source, True))):
            try:
                ast.parse(text)
            except SyntaxError as error:
                found.append(f"{where}: the {form} is not valid Python: {error}")
    return found


def _tasks(nb, about: Lab) -> list[str]:
    found, seen = [], []
    for cell in (c for c in nb.cells if c.cell_type == "code"):
        lines = CHECK.findall(cell.source)
        if len(lines) > 1 or (not lines and re.search(r"\bcheck\.\w+\.\w+\(", cell.source)):
            found.append(f"cell {cell.id}: one check a cell, written check.LAB.TASK(names)")
        for module, name, arguments in lines:
            given = tuple(part.strip() for part in arguments.split(",") if part.strip())
            if module.replace("_", "-") != about.name or name not in about.ids():
                found.append(f"cell {cell.id}: check.{module}.{name} is no task of {about.name}")
            elif given != about[name].functions:
                wanted = ", ".join(about[name].functions)
                found.append(f"cell {cell.id}: check.{module}.{name} takes ({wanted})")
            if name in seen:
                found.append(f"cell {cell.id}: task {name} is checked twice")
            seen.append(name)
    missing = [name for name in about.ids() if name not in seen]
    found += [f"task {name} has no line check.….{name}(…)" for name in missing]
    known = [name for name in seen if name in about.ids()]
    if not missing and known != about.ids():
        found.append(f"the tasks stand in another order than in the check module: {known}")
    return found


def _solutions(nb, about: Lab) -> list[str]:
    cells = [c for c in nb.cells if c.cell_type == "code" and BEGIN in c.source]
    names = [name for cell in cells for name in defined(cell.source)]
    wanted = {name for task in about.tasks for name in task.functions}
    found = [f"{name} is defined in two solution cells" for name in _twice(names)]
    found += [f"no solution cell defines {name}" for name in sorted(wanted - set(names))]
    for cell in cells:
        if not defined(cell.source):
            found.append(f"cell {cell.id}: a solution cell defines a function or a class")
        elif not wanted & set(defined(cell.source)):
            found.append(f"cell {cell.id}: no task checks {', '.join(defined(cell.source))}")
    return found


def _points(nb, about: Lab) -> list[str]:
    found, numbers, total = [], [], sum(task.points for task in about.tasks)
    for cell in (c for c in nb.cells if c.cell_type == "markdown"):
        match = REFLECTION.match(cell.source)
        if match:
            numbers.append(match[1])
            total += int(match[2])
        if bool(match) != (BEGIN in cell.source):
            found.append(
                f"cell {cell.id}: a reflection begins '**Reflection 1 (2 points).** …' and holds "
                f"a sample answer between {BEGIN!r} and {END!r}"
            )
    found += [f"two questions are Reflection {number}" for number in _twice(numbers)]
    if total != about.points:
        found.append(f"tasks and reflections have {total:g} points, the lab says {about.points:g}")
    return found


def _last(nb, about: Lab) -> list[str]:
    code = [cell.source.strip() for cell in nb.cells if cell.cell_type == "code"]
    line = f'check.everything("{about.name}", globals())'
    return [] if code and code[-1] == line else [f"the last code cell is not {line}"]


def _twice(names: list[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})


def _nbgrader(cell, about: Lab) -> dict:
    """nbgrader's metadata for a cell; {} for text and experiments, which are the learner's."""
    if cell.cell_type == "markdown":
        match = REFLECTION.match(cell.source)
        return (
            _metadata(f"reflection-{match[1]}", grade=True, solution=True, points=int(match[2]))
            if match
            else {}
        )
    if BEGIN in cell.source:
        return _metadata(f"solve-{defined(cell.source)[0]}", solution=True)
    task = checked_task(cell, about)
    if task:
        return _metadata(f"check-{task.id}", grade=True, locked=True, points=task.points)
    if EVERYTHING.search(cell.source):
        return _metadata("everything", locked=True)
    return _metadata("setup", locked=True) if "setup" in cell.metadata.get("tags", []) else {}


def _metadata(grade_id: str, *, grade=False, solution=False, locked=False, points=None) -> dict:
    made = {"grade": grade, "solution": solution, "locked": locked, "task": False}
    made |= {"grade_id": grade_id, "schema_version": 3}
    return made | ({"points": points} if grade else {})


def _sign(nb) -> None:
    from nbgrader.utils import compute_checksum  # slow to import, and needed here alone

    for cell in nb.cells:
        if "nbgrader" in cell.metadata:
            cell.metadata["nbgrader"]["cell_type"] = cell.cell_type
            cell.metadata["nbgrader"]["checksum"] = compute_checksum(cell)


def student_text(source: Path, root: Path) -> str:
    """The text of the student form of the lab at `source`. Raises LabError with its path."""
    try:
        return dumps(release(read(source), lab(source.stem), root))
    except ValueError as error:
        raise LabError(f"{source.relative_to(root).as_posix()}:\n{error}") from error


def write_all(root: Path, chosen: list[Path] | None = None) -> list[Path]:
    """Write the student form of each lab (or of those `chosen`) into ``labs/``."""
    made = [(root / "labs" / s.name, student_text(s, root)) for s in chosen or labs(root)]
    for path, text in made:  # nothing is written unless every lab is well
        path.write_text(text, encoding="utf-8")
    return [path for path, _ in made]


def write_stamped(root: Path, to: Path, address: str, version: str = "") -> list[Path]:
    """Copies of the student forms with the home address, for publishing; needs no torch."""
    to.mkdir(parents=True, exist_ok=True)
    made = []
    for path in sorted((root / "labs").glob("*.ipynb")):
        nb = bootstrap.stamp(read(path), address, version)
        (to / path.name).write_text(dumps(nb), encoding="utf-8")
        made.append(to / path.name)
    return made
