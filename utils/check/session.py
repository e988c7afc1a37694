"""The checks as a learner meets them in a notebook: one line a task, hints on request."""

from __future__ import annotations

import os
from typing import Any

from utils.check.core import CheckFailed, Lab, Report, Task, lab, task_rng, variant_seed
from utils.check.local import LocalLearner

STRICT = ("NBGRADER_EXECUTION", "LMM_CHECKS_RAISE")  # set where a notebook is run by a program
_last: dict[str, Any] = {"report": None, "shown": 1, "learner_id": ""}


def check(task: Task, namespace: dict[str, Any]) -> Report:
    """Check and remember the report for `hint`. Raises CheckFailed under nbgrader."""
    report = _one(task, namespace)
    _last.update(report=report, shown=1)
    if not report.passed and any(os.environ.get(name) for name in STRICT):
        raise CheckFailed(report.as_text())
    return report


def _one(task: Task, namespace: dict[str, Any]) -> Report:
    learner = LocalLearner(namespace, task.lab, task.forbidden, task.seconds)
    return task.check(learner, task_rng(task.id, None), variant_seed(_last["learner_id"]))


def hint() -> None:
    """Print the next hint for the check that failed last."""
    report: Report | None = _last["report"]
    if report is None or report.passed:
        print("Hints are for a check that has failed: run one first.")
    elif _last["shown"] >= len(report.hints):
        print("That was the last hint. Compute the smallest case by hand and compare.")
    else:
        _last["shown"] += 1
        print(f"Hint {_last['shown']}: {report.hints[_last['shown'] - 1]}")


def learner_id(text: str) -> int:
    """Say who works here: labs with variants draw their data from this. Returns the seed."""
    _last["learner_id"] = text
    return variant_seed(text)


class Summary:
    """All tasks of a lab at once, as text and as a table."""

    def __init__(self, about: Lab, reports: list[Report]):
        self.lab, self.reports = about, reports

    @property
    def points(self) -> float:
        """Points earned by the tasks."""
        pairs = zip(self.lab.tasks, self.reports, strict=True)
        return sum(task.points * report.score for task, report in pairs)

    def _rows(self) -> list[tuple[str, str, str]]:
        rows = []
        for task, report in zip(self.lab.tasks, self.reports, strict=True):
            state = "passed" if report.passed else f"not yet: {report.sentence or report.came}"
            rows.append((task.title, f"{task.points * report.score:g} of {task.points:g}", state))
        return rows

    def _closing(self) -> str:
        total = sum(task.points for task in self.lab.tasks)
        by_hand = self.lab.points - total
        text = f"{self.points:g} of {total:g} points."
        if by_hand:
            text += f" The reflection questions bring up to {by_hand:g} more, given by hand."
        return text + f" Hand in this notebook, {self.lab.name}.ipynb, saved after this cell."

    def __repr__(self) -> str:
        rows = self._rows()
        wide = max(len(row[0]) for row in rows)
        lines = [f"{title:<{wide}}  {points:>10}  {state}" for title, points, state in rows]
        return "\n".join([*lines, self._closing()])

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        from html import escape

        left = "style='text-align:left'"  # notebooks align to the right
        body = "".join(
            f"<tr><th scope='row' {left}>{escape(a)}</th><td {left}>{escape(b)}</td>"
            f"<td {left}>{escape(c)}</td></tr>"
            for a, b, c in self._rows()
        )
        titles = ("Task", "Points", "State")
        head = "<tr>" + "".join(f"<th scope='col' {left}>{title}</th>" for title in titles)
        table = (
            f"<table><caption>{escape(self.lab.title)}</caption><thead>{head}</tr></thead>"
            f"<tbody>{body}</tbody></table><p>{escape(self._closing())}</p>"
        )
        return {"text/plain": repr(self), "text/html": table}


def everything(name: str, namespace: dict[str, Any]) -> Summary:
    """Check all tasks of the lab `name` on what stands in `namespace` (``globals()``)."""
    about = lab(name)
    return Summary(about, [_one(task, namespace) for task in about.tasks])
