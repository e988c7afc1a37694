"""Points in nbgrader's own gradebook and folders, so that its tools can go on from there.

Points of checks are the automatic scores of the check cells. Reflection questions get theirs
by hand (formgrader, or any tool on the gradebook); a second grading keeps them.
"""

from __future__ import annotations

import contextlib
import copy
import datetime
import os
import shutil
import sys
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_output

from utils.course.grading.intake import Submission
from utils.course.grading.one import Result

CONFIG = """\
# Written by `make grade`. `nbgrader formgrader`, `nbgrader generate_feedback` and the other
# commands of nbgrader work from this folder.
c = get_config()
c.CourseDirectory.course_id = "course"
"""


@dataclass
class Manual:
    """Points that people gave: by grade cell, and what is still to be graded by hand."""

    scores: dict[str, float] = field(default_factory=dict)
    overrides: dict[str, float] = field(default_factory=dict)
    comments: dict[str, str] = field(default_factory=dict)
    pending: list[str] = field(default_factory=list)


class Course:
    """An nbgrader course folder; use as a context manager.

    `folder` is made when it is not there. `release` is the student form of the lab,
    `source` the instructor's.
    """

    def __init__(self, folder: Path, lab: str, release: Any, source: Any, due: Any = None):
        self.folder, self.lab, self.due = folder, lab, due
        self.release, self.source = release, source

    def __enter__(self) -> Course:
        from nbgrader.api import Gradebook

        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "nbgrader_config.py"
        if not config.exists():
            config.write_text(CONFIG, encoding="utf-8")
        for part, nb in (("source", self.source), ("release", self.release)):
            self._write(self.folder / part / self.lab, nb)
        with _tools_on_path():  # nbgrader calls the program `alembic` by its name
            self.book = Gradebook(f"sqlite:///{(self.folder / 'gradebook.db').resolve()}")
        self._assignment()
        return self

    def __exit__(self, *_: Any) -> None:
        self.book.close()

    def _write(self, folder: Path, nb: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{self.lab}.ipynb").write_text(nbformat.writes(nb), encoding="utf-8")

    def _assignment(self) -> None:
        about = {"course_id": "course"} | ({"duedate": self.due} if self.due else {})
        self.book.update_or_create_assignment(self.lab, **about)
        self.book.update_or_create_notebook(self.lab, self.lab)
        for cell in self.release.cells:
            data = cell.metadata.get("nbgrader")
            if not data or data["grade_id"] == "bootstrap":  # not in what nbgrader generates from
                continue
            place = (data["grade_id"], self.lab, self.lab)
            if data.get("grade"):
                about = {"max_score": float(data["points"]), "cell_type": cell.cell_type}
                self.book.update_or_create_grade_cell(*place, **about)
            if data.get("solution"):
                self.book.update_or_create_solution_cell(*place)
            self.book.update_or_create_source_cell(
                *place, cell_type=cell.cell_type, locked=bool(data.get("locked")),
                source=cell.source, checksum=data.get("checksum"),
            )  # fmt: skip

    def save(self, one: Submission, result: Result) -> Manual:
        """Write one learner's points and notebooks; what people gave before stays."""
        with warnings.catch_warnings():  # SQLAlchemy speaks of nbgrader's own way of adding
            warnings.filterwarnings("ignore", "Object of type")
            return self._save(one, result)

    def _save(self, one: Submission, result: Result) -> Manual:
        self.book.update_or_create_student(one.learner, lms_user_id=one.platform_id or None)
        when = one.when or datetime.datetime.now().replace(microsecond=0)
        utc = when.astimezone(datetime.UTC).replace(tzinfo=None)
        self.book.update_or_create_submission(self.lab, one.learner, timestamp=utc)
        changed = self._files(one, result)
        points = {f"check-{task.task}": task.points for task in result.tasks}
        for cell in self.release.cells:
            data = cell.metadata.get("nbgrader", {})
            if data.get("grade"):
                self._score(one.learner, data, points, result, changed)
            if data.get("solution") and cell.cell_type == "markdown":
                place = (data["grade_id"], self.lab, self.lab, one.learner)
                empty = not result.answered.get(data["grade_id"])
                self.book.find_comment(*place).auto_comment = "No response." if empty else None
        self.book.db.commit()
        return self.manual(one.learner)

    def _score(
        self, learner: str, data: Any, points: dict[str, float], result: Result, changed: bool
    ) -> None:
        grade = self.book.find_grade(data["grade_id"], self.lab, self.lab, learner)
        if not data.get("solution"):
            grade.auto_score = points.get(data["grade_id"], 0.0)
            grade.needs_manual_grade = changed and grade.manual_score is not None
            return
        answered = result.answered.get(data["grade_id"], False)
        grade.auto_score = None if answered else 0.0
        if grade.manual_score is None:
            grade.needs_manual_grade = answered
        elif changed:
            grade.needs_manual_grade = True  # another file than the one that was graded by hand

    def manual(self, learner: str) -> Manual:
        """What people gave this learner; comments in their words."""
        made = Manual()
        for cell in self.release.cells:
            data = cell.metadata.get("nbgrader", {})
            place = (data.get("grade_id"), self.lab, self.lab, learner)
            if data.get("grade"):
                grade = self.book.find_grade(*place)
                if grade.manual_score is not None:
                    reflection = bool(data.get("solution"))
                    kept = made.scores if reflection else made.overrides
                    kept[data["grade_id"]] = grade.manual_score + (grade.extra_credit or 0.0)
                if grade.needs_manual_grade:
                    made.pending.append(data["grade_id"])
            if data.get("solution"):
                said = self.book.find_comment(*place).manual_comment
                if said:
                    made.comments[data["grade_id"]] = said
        return made

    def _files(self, one: Submission, result: Result) -> bool:
        """The file as it came, and the rebuilt notebook with reports; True if it is a new one."""
        came = self.folder / "submitted" / one.learner / self.lab
        path = came / f"{self.lab}.ipynb"
        old = path.read_bytes() if path.is_file() else None
        came.mkdir(parents=True, exist_ok=True)
        path.write_bytes(one.data)
        stamp = came / "timestamp.txt"
        if one.when:
            stamp.write_text(one.when.astimezone().strftime("%Y-%m-%d %H:%M:%S %z"))
        graded = self.folder / "autograded" / one.learner / self.lab
        self._write(graded, self._with_reports(result))
        if stamp.is_file():
            shutil.copy(stamp, graded)
        return old is not None and old != one.data

    def _with_reports(self, result: Result) -> Any:
        nb = nbformat.reads(result.notebook, as_version=4) if result.notebook else None
        nb = nb or copy.deepcopy(self.release)
        text = {f"check-{task.task}": task for task in result.tasks}
        for cell in nb.cells:
            if cell.cell_type != "code":
                continue
            cell.outputs, cell.execution_count = [], None
            task = text.get(cell.metadata.get("nbgrader", {}).get("grade_id"))
            if task:
                lines = [f"{task.title}: {task.points:g} of {task.out_of:g} points"]
                lines += [t for t in (task.sentence, task.came and f"came back: {task.came}") if t]
                said = "\n".join(lines) + "\n"
                cell.outputs = [new_output("stream", name="stdout", text=said)]
        return nb


@contextlib.contextmanager
def _tools_on_path() -> Iterator[None]:
    """Programs of this environment are found, whether or not it is activated."""
    before = os.environ.get("PATH", os.defpath)
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), before])
    try:
        yield
    finally:
        os.environ["PATH"] = before


def total(result: Result, manual: Manual) -> float:
    """All points of a learner: checks, or what a person put in their place, and reflection."""
    checks: Iterable[float] = (
        manual.overrides.get(f"check-{task.task}", task.points) for task in result.tasks
    )
    return round(sum(checks) + sum(manual.scores.values()), 4)
