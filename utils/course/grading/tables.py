"""CSV files: everything, and what Canvas and Moodle import."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from utils.check.core import Lab
from utils.course.grading.gradebook import Manual, total
from utils.course.grading.intake import Submission
from utils.course.grading.one import Result

CANVAS = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")
MOODLE = ("Identifier", "Full name", "Email address", "Grade", "Maximum Grade", "Feedback comments")
ADDRESSES = ("Email address", "SIS Login ID", "SIS User ID", "ID number", "Username")
HEAD = (
    "learner", "name", "platform", "platform_id", "lab", "status", "points_checks",
    "points_by_hand", "points", "out_of", "to_grade_by_hand",
)  # fmt: skip
TAIL = (
    "handed_in", "hours_late", "late", "earlier_submissions", "declared_id", "repairs", "look_at",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """All about one learner that the outputs need."""

    submission: Submission
    result: Result
    manual: Manual
    late_hours: float | None

    @property
    def points(self) -> float:
        """Points of checks and those given by hand."""
        return total(self.result, self.manual)

    @property
    def late(self) -> bool | None:
        """Late by the platform's word or by the clock; None where nobody knows."""
        if self.submission.late is not None:
            return self.submission.late or bool(self.late_hours)
        return None if self.late_hours is None else self.late_hours > 0


def safe(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t") else text


def write_grades(path: Path, rows: list[Row], about: Lab) -> None:
    """One line a learner with all there is."""
    tasks = [task.id for task in about.tasks]
    head = [*HEAD, *tasks, *TAIL]
    _write(path, head, (_grades(row, about, tasks) for row in rows))


def _grades(row: Row, about: Lab, tasks: list[str]) -> list:
    one, result = row.submission, row.result
    points = {task.task: task.points for task in result.tasks}
    late = "" if row.late is None else ("yes" if row.late else "no")
    return [
        one.learner, safe(one.name), one.platform, one.platform_id, about.name, result.status,
        _number(result.points), _number(sum(row.manual.scores.values())), _number(row.points),
        _number(about.points), " ".join(row.manual.pending),
        *(_number(row.manual.overrides.get(f"check-{t}", points.get(t, 0.0))) for t in tasks),
        one.when.isoformat(" ", "seconds") if one.when else "",
        "" if row.late_hours is None else _number(row.late_hours), late, one.replaced,
        safe(result.declared_id), " ".join(result.repairs), safe(" ".join(look_at(result))),
    ]  # fmt: skip


def look_at(result: Result) -> list[str]:
    """What a person should look at, as sentences."""
    found = [result.problem] if result.problem else []
    for task in result.tasks:
        if task.kind == "forbidden":
            found.append(f"{task.task}: {task.sentence}")
        if task.dynamic:
            hidden = ", ".join(task.dynamic)
            found.append(f"{task.task}: its code uses {hidden}, which can hide what it calls.")
    return found


def write_canvas(path: Path, rows: list[Row], about: Lab) -> None:
    """Canvas: Gradebook, Import. The column has the lab's title; points possible stand below."""
    head = [*CANVAS, about.title]
    first = ["    Points Possible", "", "", "", "", _number(about.points)]
    lines = (
        [safe(r.submission.name), r.submission.platform_id, "", _mail(r), "", _number(r.points)]
        for r in rows
    )
    _write(path, head, [first, *lines])


def write_moodle(path: Path, rows: list[Row], about: Lab) -> None:
    """Moodle: the assignment's offline grading worksheet, or Grades, Import, CSV file."""
    _write(path, list(MOODLE), (
        [f"Participant {r.submission.platform_id}" if r.submission.platform_id else "",
         safe(r.submission.name), _mail(r), _number(r.points), _number(about.points), comment(r)]
        for r in rows
    ))  # fmt: skip


def comment(row: Row) -> str:
    """A sentence for the gradebook."""
    passed = sum(task.passed for task in row.result.tasks)
    text = f"{passed} of {len(row.result.tasks)} tasks passed."
    if row.result.status != "graded":
        text = row.result.problem
    if row.manual.pending:
        text += f" {len(row.manual.pending)} answers are still to be graded by hand."
    return text


def fill(exported: Path, path: Path, rows: list[Row], about: Lab) -> list[str]:
    """The platform's own exported CSV with the points filled in; who was not found in it.

    Raises ValueError for a file whose columns are those of neither platform.
    """
    with exported.open(encoding="utf-8-sig", newline="") as file:
        lines = list(csv.reader(file))
    head = lines[0] if lines else []
    if "Identifier" in head and "Grade" in head:
        column = head.index("Grade")
    elif "Student" in head and "ID" in head:
        titles = [
            i for i, h in enumerate(head) if h == about.title or h.startswith(f"{about.title} (")
        ]
        column = titles[0] if titles else len(head)
        if not titles:
            head.append(about.title)
    else:
        raise ValueError(
            f"{exported} begins with the columns {', '.join(head[:6])}; wanted is Moodle's grading "
            "worksheet (Identifier, …, Grade) or Canvas's exported gradebook (Student, ID, …)"
        )
    missing = {row.submission.learner for row in rows}
    for line in lines[1:]:
        line += [""] * (len(head) - len(line))
        row = match(dict(zip(head, line, strict=False)), rows)
        if row:
            line[column] = _number(row.points)
            missing.discard(row.submission.learner)
            if "Feedback comments" in head:
                line[head.index("Feedback comments")] = comment(row)
        elif "Points Possible" in line[0] and column == len(head) - 1 and not line[column]:
            line[column] = _number(about.points)
    _write(path, head, lines[1:])
    return sorted(missing)


def match(entry: dict[str, str], rows: Iterable[Row]) -> Row | None:
    """The row that an entry of a platform's list speaks of: by number, then address, then name."""
    number = (entry.get("ID") or entry.get("Identifier", "").removeprefix("Participant ")).strip()
    words = {entry.get(k, "").strip().casefold() for k in ADDRESSES} - {""}
    name = _letters(entry.get("Full name") or entry.get("Student", ""))
    rows = list(rows)
    by_number = [r for r in rows if number and r.submission.platform_id == number]
    by_word = [r for r in rows if r.submission.learner.casefold() in words]
    by_name = [r for r in rows if name and _letters(r.submission.name) == name]
    for found in (by_number, by_word, by_name):
        if len(found) == 1:
            return found[0]
    return None


def _letters(name: str) -> str:
    return "".join(sorted(c for c in name.casefold() if c.isalpha()))


def _mail(row: Row) -> str:
    return row.submission.learner if "@" in row.submission.learner else ""


def _number(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".")


def _write(path: Path, head: list[str], lines: Iterable[list]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        writer.writerows(lines)
