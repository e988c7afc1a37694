"""``python -m utils.course.grading SUBMISSIONS [--lab NAME] [--out FOLDER] …``; `make grade`."""

from __future__ import annotations

import argparse
import csv
import datetime
import sys
from pathlib import Path

from utils.check.core import lab_names
from utils.course.grading.run import Options, grade
from utils.course.notebooks import course_root


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit status: 0, or 2 where the call is wrong."""
    parser = argparse.ArgumentParser(prog="python -m utils.course.grading", description=__doc__)
    parser.add_argument("submissions", type=Path, help="folder or zip of submissions")
    parser.add_argument("--lab", default="", help="name of the lab; all that are found without it")
    parser.add_argument("--out", type=Path, help="folder for results (default: SUBMISSIONS-graded)")
    parser.add_argument("--due", help="when it was due, local time: 2026-11-30T23:59")
    parser.add_argument("--checks", type=Path, help="folder with your own checks, NAME.py each")
    parser.add_argument(
        "--gradebook", type=Path, help="CSV exported from Moodle or Canvas, to fill"
    )
    parser.add_argument("--ids", type=Path, help="CSV with the columns learner,id for variants")
    parser.add_argument("--workers", type=int, default=0, help="processes (default: one a core)")
    parser.add_argument("--seed", type=int, default=0, help="another number draws other inputs")
    parser.add_argument("--again", action="store_true", help="run also what has been graded")
    options = parser.parse_args(arguments)
    source = options.submissions
    out = options.out or source.parent / f"{source.stem}-graded"
    try:
        how = Options(
            workers=options.workers, due=_due(options.due), checks=options.checks,
            exported=options.gradebook, seed=options.seed, strict=not options.lab,
            again=options.again,
        )  # fmt: skip
        for folder in (options.checks, options.gradebook, options.ids):
            if folder and not folder.exists():
                raise ValueError(f"there is no {folder}")
        return _all(source, _labs(options.lab), out, how, _ids(options.ids))
    except ValueError as error:
        print(f"grade: {error}", file=sys.stderr)
        return 2


def _labs(name: str) -> list[str]:
    if name:
        return [name]
    return [lab for lab in lab_names() if (course_root() / "labs" / f"{lab}.ipynb").is_file()]


def _all(source: Path, labs: list[str], out: Path, how: Options, ids: dict[str, str]) -> int:
    done, problems = 0, []
    for lab in labs:
        try:
            grade(source, lab, out, how, ids, say=lambda text: print(text, flush=True))
            done += 1
        except ValueError as error:
            problems.append(error)
            if len(labs) == 1 or "holds no submission" not in str(error):
                raise
    if not done:
        raise ValueError(problems[0] if problems else "there are no labs to grade")
    print(f"Points by hand: cd {out / 'nbgrader'} && nbgrader formgrader; then grade once more.")
    return 0


def _due(text: str | None) -> datetime.datetime | None:
    if not text:
        return None
    when = datetime.datetime.fromisoformat(text)
    return when.astimezone().replace(tzinfo=None) if when.tzinfo else when


def _ids(path: Path | None) -> dict[str, str]:
    if path is None:
        return {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        if not {"learner", "id"} <= set(reader.fieldnames or ()):
            raise ValueError(f"{path} has the columns {reader.fieldnames}; wanted are learner,id")
        return {row["learner"].strip(): row["id"].strip() for row in reader}


if __name__ == "__main__":
    sys.exit(main())
