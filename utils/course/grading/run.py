"""Grade a folder of submissions of a lab: collect, run, write everything out."""

from __future__ import annotations

import datetime
import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat

from utils.check.core import Lab
from utils.course import labs as lab_forms
from utils.course.grading import gradebook, one, pages, pool, similar, tables
from utils.course.grading.intake import Submission, collect, hours_late
from utils.course.grading.sandbox import Limits
from utils.course.notebooks import course_root, read


@dataclass(frozen=True)
class Graded:
    """What grading one lab brought; `rows` are by learner, `folder` holds the files."""

    lab: str
    folder: Path
    rows: list[tables.Row]
    alike: list[similar.Pair]
    remarks: list[str]
    seconds: float
    fresh: int


@dataclass(frozen=True)
class Options:
    """How to grade. `ids` maps a learner to the id that seeds the variant; see `grade`."""

    workers: int = 0
    due: datetime.datetime | None = None
    checks: Path | None = None
    exported: Path | None = None
    seed: int = 0
    strict: bool = False
    limits: Limits = field(default_factory=Limits)
    way: str = ""
    again: bool = False


def grade(
    submissions: Path | str,
    lab: str,
    out: Path | str,
    options: Options = Options(),
    ids: dict[str, str] | None = None,
    say: Callable[[str], None] = lambda text: None,
    root: Path | None = None,
) -> Graded:
    """Grade every submission of `lab` below `submissions` and write all outputs into `out`.

    What is graded already, with the same file and the same checks, is not run again: a run
    that was cut off goes on, a second one gives the same points. Points given by hand in
    nbgrader's gradebook stay.

    Parameters
    ----------
    submissions
        A folder or a zip; see `utils.course.grading.intake`.
    options
        See `Options`: workers (0: one a core), the time it was due (local), a folder of an
        instructor's own checks, the platform's exported CSV to fill, a seed that draws other
        inputs.
    ids
        The learner's id that seeds the variant, by learner or by platform's number; without
        it the id that the notebook itself names counts.
    say
        Called with a line of progress at a time.

    Raises
    ------
    ValueError
        Where there are no submissions, no such lab, or a file of the instructor's is wrong.
    """
    started, root, out = time.perf_counter(), root or course_root(), Path(out)
    extra = one.instructor_checks(options.checks, lab)
    about = one.lab_for(lab, extra)
    release, source = forms(root, about)
    found, remarks = collect(Path(submissions), lab, options.strict)
    say(f"{lab}: {len(found)} submissions in {submissions}")
    folder = out / lab
    results, fresh = _results(found, about, release, folder, options, ids or {}, root, say)
    rows = _book(found, results, about, release, source, out, options)
    alike = similar.pairs(
        {row.submission.learner: row.result.code for row in rows if row.result.code},
        [c.source for form in (release, source) for c in form.cells if c.cell_type == "code"],
    )
    remarks += _write(rows, about, release, alike, folder, options, remarks)
    seconds = time.perf_counter() - started
    say(f"{lab}: {len(rows)} graded ({fresh} fresh) in {seconds:.0f} s; open {folder}/summary.html")
    return Graded(lab, folder, rows, alike, remarks, seconds, fresh)


def forms(root: Path, about: Lab) -> tuple[Any, Any]:
    """The release form and the instructor's form of a lab. Raises ValueError."""
    source = root / "labs" / "solutions" / f"{about.name}.ipynb"
    student = root / "labs" / f"{about.name}.ipynb"
    if not source.is_file() or not student.is_file():
        raise ValueError(f"{student} or {source} is not there; run `make labs`")
    return read(student), lab_forms.instructor(read(source), about, root)


def _results(
    found: list[Submission],
    about: Lab,
    release: Any,
    folder: Path,
    options: Options,
    ids: dict[str, str],
    root: Path,
    say: Callable[[str], None],
) -> tuple[dict[str, one.Result], int]:
    state = folder / "state"
    state.mkdir(parents=True, exist_ok=True)
    base = _base_key(about, release, options, root)
    results, pieces, keys = {}, [], {}
    for s in found:
        variant = ids.get(s.learner) or ids.get(s.platform_id, "")
        keys[s.learner] = hashlib.sha256(f"{base}|{variant}|".encode() + s.data).hexdigest()
        kept = None if options.again else _kept(state / f"{s.learner}.json", keys[s.learner])
        if kept:
            results[s.learner] = kept
        else:
            pieces.append(pool.Piece(s.learner, s.data, variant))
    if results:
        say(f"{len(results)} were graded before and have not changed")
    with tempfile.TemporaryDirectory(prefix="grading-", ignore_cleanup_errors=True) as parent:
        Path(parent).chmod(0o755)
        job = pool.Job(about.name, nbformat.writes(release), options.checks, options.seed,
                       options.limits, options.way, parent)  # fmt: skip
        workers = options.workers or pool.default_workers()
        for number, result in enumerate(pool.run_all(job, pieces, workers) if pieces else (), 1):
            results[result.learner] = result
            if result.status != "failed":
                _store(state / f"{result.learner}.json", keys[result.learner], result)
            most = sum(task.points for task in about.tasks)
            note = f" ({result.status})" if result.status != "graded" else ""
            say(f"[{number}/{len(pieces)}] {result.learner}: {result.points:g} of {most:g}{note}")
    return results, len(pieces)


def _base_key(about: Lab, release: Any, options: Options, root: Path) -> str:
    """Changes with the checks, the grader, the release form and the seed."""
    digest = hashlib.sha256(f"{about.name}|{options.seed}|{options.limits}".encode())
    digest.update(nbformat.writes(release).encode())
    for path in sorted((root / "utils" / "check").glob("*.py")):
        digest.update(path.read_bytes())
    for path in sorted((root / "utils" / "course" / "grading").rglob("*.py")):
        digest.update(path.read_bytes())
    for path in sorted(options.checks.glob("*.py")) if options.checks else ():
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _kept(path: Path, key: str) -> one.Result | None:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return one.Result.from_dict(raw["result"]) if raw["key"] == key else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _store(path: Path, key: str, result: one.Result) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps({"key": key, "result": result.as_dict()}), encoding="utf-8")
    fresh.replace(path)


def _book(
    found: list[Submission],
    results: dict[str, one.Result],
    about: Lab,
    release: Any,
    source: Any,
    out: Path,
    options: Options,
) -> list[tables.Row]:
    rows = []
    with gradebook.Course(out / "nbgrader", about.name, release, source, options.due) as book:
        for s in found:
            manual = book.save(s, results[s.learner])
            rows.append(tables.Row(s, results[s.learner], manual, hours_late(s, options.due)))
    return rows


def _write(
    rows: list[tables.Row],
    about: Lab,
    release: Any,
    alike: list[similar.Pair],
    folder: Path,
    options: Options,
    remarks: list[str],
) -> list[str]:
    """All files; further remarks."""
    more = []
    tables.write_grades(folder / "grades.csv", rows, about)
    tables.write_canvas(folder / "canvas.csv", rows, about)
    tables.write_moodle(folder / "moodle.csv", rows, about)
    if options.exported:
        target = folder / f"filled-{options.exported.name}"
        missing = tables.fill(options.exported, target, rows, about)
        if missing:
            more.append(f"Not found in {options.exported.name}: {', '.join(missing)}.")
    asked = {
        c.metadata.nbgrader.grade_id: (c.source, float(c.metadata.nbgrader.points))
        for c in release.cells
        if c.cell_type == "markdown" and c.metadata.get("nbgrader", {}).get("grade")
    }
    shutil.rmtree(folder / "feedback", ignore_errors=True)
    (folder / "feedback").mkdir(parents=True)
    for row in rows:
        page = pages.feedback(row, about, asked)
        (folder / "feedback" / f"{row.submission.learner}.html").write_text(page, "utf-8")
    text = pages.summary(rows, about, alike, remarks + more)
    (folder / "summary.html").write_text(text, encoding="utf-8")
    return more
