"""Grade one submission: every task against the checks, in the trusted process."""

from __future__ import annotations

import contextlib
import hashlib
import sys
import types
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import nbformat

from utils.check import core, forbidden
from utils.check.core import Lab, LearnerError, Report, Task
from utils.course.grading import choose, rebuild
from utils.course.grading.remote import RemoteLearner
from utils.course.grading.sandbox import Box

MAX_TEXT = 1500


@dataclass
class TaskResult:
    """What one task brought: points, and the report in the learner's words."""

    task: str
    title: str
    points: float
    out_of: float
    passed: bool
    kind: str = ""
    mistake: str = ""
    called: str = ""
    came: str = ""
    expected: str = ""
    sentence: str = ""
    hints: list[str] = field(default_factory=list)
    trace: str = ""
    dynamic: list[str] = field(default_factory=list)


@dataclass
class Result:
    """All that grading one submission brought; goes to a file, so that a run can be resumed."""

    learner: str
    lab: str
    digest: str
    status: str = "graded"  # or "unreadable", "failed"
    problem: str = ""
    repairs: list[str] = field(default_factory=list)
    tasks: list[TaskResult] = field(default_factory=list)
    answered: dict[str, bool] = field(default_factory=dict)
    declared_id: str = ""
    code: dict[str, str] = field(default_factory=dict)
    notebook: str = ""
    confinement: str = ""
    weak: list[str] = field(default_factory=list)

    @property
    def points(self) -> float:
        """Points of the tasks; those of reflection questions are in nbgrader's gradebook."""
        return sum(task.points for task in self.tasks)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Result:
        tasks = [TaskResult(**task) for task in raw.pop("tasks")]
        return cls(**raw, tasks=tasks)


def grade_one(
    learner: str,
    data: bytes,
    about: Lab,
    release: nbformat.NotebookNode,
    box: Box,
    variant_id: str = "",
    extra: types.ModuleType | None = None,
    seed: int = 0,
) -> Result:
    """The result for the notebook file `data`; never raises for what a learner did.

    The inputs of the checks follow from the file, the lab and `seed`: grading twice gives the
    same points, and nobody can know the inputs before the file is complete.
    """
    digest = hashlib.sha256(data).hexdigest()
    made = Result(learner, about.name, digest, confinement=box.way, weak=list(box.weak))
    try:
        rebuilt = rebuild.rebuild(rebuild.parse(data), release)
        program = choose.program(rebuilt.notebook)
    except rebuild.Unreadable as error:
        made.status, made.problem = "unreadable", str(error)
        made.tasks = [_nothing(task, str(error)) for task in about.tasks]
        return made
    made.repairs, made.answered = rebuilt.repairs, rebuilt.answered
    made.declared_id = rebuilt.learner_id
    made.repairs += [f"No valid Python, so it was left out: {text}." for text in program.broken]
    made.notebook = nbformat.writes(rebuilt.notebook)
    number = int.from_bytes(hashlib.sha256(f"{about.name}|{seed}|{digest}".encode()).digest()[:8])
    variant = core.variant_seed(variant_id or rebuilt.learner_id) if about.variant else 0
    for task in about.tasks:
        made.tasks.append(_task(task, program, box, about, number, variant, extra, made))
    made.weak = list(box.weak)
    return made


def _nothing(task: Task, text: str) -> TaskResult:
    return TaskResult(task.id, task.title, 0.0, task.points, False, "missing", sentence=text)


def _task(
    task: Task,
    program: choose.Program,
    box: Box,
    about: Lab,
    number: int,
    variant: int,
    extra: types.ModuleType | None,
    made: Result,
) -> TaskResult:
    chosen = program.closure(task.functions)
    own = [s for s in chosen if s.own]
    made.code[task.id] = "\n".join(choose.ast.unparse(s.node) for s in own)
    used = forbidden.in_source(program.text(chosen), task.forbidden)
    load = {
        "cells": program.load(chosen), "lab": about.name, "seconds": float(task.seconds),
        "forbidden": list(task.forbidden), "watch": True,
        "lazy_annotations": program.lazy_annotations,
    }  # fmt: skip
    absent = _absent(task, program, chosen)
    if absent:
        report = _error(task, LearnerError("missing", absent))
    elif used:
        text = f"{task.functions[0]} uses {used[0]}, which does not count as a solution here."
        report = _error(task, LearnerError("forbidden", text))
    else:
        report = _checked(task, load, box, number, variant, extra)
    share = report.score
    if report.kind == "forbidden" and share:  # a part of the points, where the result is right
        free = load | {"forbidden": [], "watch": False}
        share *= _checked(task, free, box, number, variant, extra).passed
    points = round(task.points * min(max(share, 0.0), 1.0), 4)
    return _result(task, report, points, choose.dynamic(own))


def _absent(task: Task, program: choose.Program, chosen: list[choose.Statement]) -> str:
    """A sentence where nothing binds one of the task's names; "" where all may be there."""
    bound = {name for statement in chosen for name in statement.binds}
    names = [name for name in task.functions if name not in bound]
    if not names or "*" in bound:
        return ""
    cells = [text for text in program.broken if any(n in text for n in names)] or program.broken
    why = f" One cell is no valid Python ({cells[0]})." if cells else ""
    return f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} not defined.{why}"


def _checked(
    task: Task,
    load: dict[str, Any],
    box: Box,
    number: int,
    variant: int,
    extra: types.ModuleType | None,
) -> Report:
    learner = RemoteLearner(box, load, float(task.seconds))
    with contextlib.closing(learner):
        report = _guarded(task, learner, number, variant)
        more = None if hasattr(extra, "LAB") else getattr(extra, task.id, None)
        if report.passed and isinstance(more, types.FunctionType):
            again = Task(**{**_fields(task), "body": more})
            report = _guarded(again, learner, number + 1, variant)
    return report


def _guarded(task: Task, learner: RemoteLearner, number: int, variant: int) -> Report:
    """The check's report; a check that cannot make sense of what came refuses it."""
    try:
        return task.check(learner, core.task_rng(task.id, number), variant)
    except Exception as error:
        if "compared nothing" in str(error):
            raise  # the check itself is at fault, not the learner
        where = f"{type(error).__name__}: {str(error)[:200]}"
        text = f"The check could make nothing of what {task.functions[0]} gave back ({where})."
        return _error(task, LearnerError("bad_value", text))


def _fields(task: Task) -> dict[str, Any]:
    return {name: getattr(task, name) for name in task.__dataclass_fields__}


def _error(task: Task, error: LearnerError) -> Report:
    from utils.check.trial import Trial

    return Trial(task, None, core.task_rng(task.id, 0)).report_error(error)  # type: ignore[arg-type]


def _result(task: Task, report: Report, points: float, dynamic: list[str]) -> TaskResult:
    return TaskResult(
        task.id, task.title, points, task.points, report.passed, report.kind, report.mistake or "",
        _cut(report.called), _cut(report.came), _cut(report.expected), _cut(report.sentence),
        [_cut(h) for h in report.hints], _cut(report.trace), dynamic,
    )  # fmt: skip


def _cut(text: str) -> str:
    clean = "".join(c if c.isprintable() or c == "\n" else "�" for c in str(text))
    return clean if len(clean) <= MAX_TEXT else clean[: MAX_TEXT - 1] + "…"


def instructor_checks(folder: Path | None, name: str) -> types.ModuleType | None:
    """The module ``NAME.py`` of an instructor's own folder of checks; None where there is none.

    It holds functions ``task(t)``, run after the course's check of that task, or a `Lab` named
    ``LAB`` that takes the place of the course's. Raises ValueError for a function that names
    no task.
    """
    stem = name.replace("-", "_")
    path = folder / f"{stem}.py" if folder else None
    if path is None or not path.is_file():
        return None
    module = types.ModuleType(f"instructor_checks_{stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), module.__dict__)
    return module


def lab_for(name: str, extra: types.ModuleType | None) -> Lab:
    """The lab, or the one that an instructor put in its place. Raises ValueError."""
    about = getattr(extra, "LAB", None) or core.lab(name)
    if not isinstance(about, Lab) or about.name != name:
        raise ValueError(f"the folder of checks holds a LAB that is not {name!r}")
    own = {
        key
        for key, value in vars(extra or types.ModuleType("none")).items()
        if isinstance(value, types.FunctionType)
        and value.__module__ == extra.__name__
        and not key.startswith("_")
    }
    if "LAB" not in vars(extra or types.ModuleType("none")) and own - set(about.ids()):
        raise ValueError(
            f"the folder of checks has functions that name no task of {name}: "
            f"{', '.join(sorted(own - set(about.ids())))}; its tasks are {', '.join(about.ids())} "
            "(begin the name of a helper with _)"
        )
    return about
