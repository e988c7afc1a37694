"""Between a lab's checks and a learner's code: who calls, what is asked, what is reported.

A check never touches a learner's objects. It holds a `Learner`, which runs the learner's
functions somewhere (here, or in a confined process) and hands back plain data. So the same
check tutors in a notebook and grades submissions that nobody trusts.

::

    LAB = Lab("attention", "Attention from scratch", points=20)

    @LAB.task("Scores", points=2, minutes=8, difficulty=1, functions=("scores",), hints=(…, …))
    def scores(t):
        q, k = t.normal(5, 8), t.normal(7, 8)
        t.equal("scores", q, k, expected=q @ k.T / 8**0.5, mistakes=MISTAKES)
"""

from __future__ import annotations

import hashlib
import importlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:  # labs are published where neither NumPy nor torch is installed
    import numpy as np

Kind = Literal["missing", "not_implemented", "raised", "timed_out", "bad_value", "forbidden"]
MIN_HINTS = 2
WATCHED_CALLS = 3  # of each function: what a solution calls, it calls from the first time on
# Modules of this folder that a learner's process may hold, beside ``probes_LAB``: the others
# are references, wrong answers and the checks themselves.
WITHOUT_ANSWERS = (
    "__init__", "core", "data", "forbidden", "local", "render", "session", "trial",
)  # fmt: skip


class LearnerError(Exception):
    """A learner's function did not give a value.

    `kind` is one of `Kind`; `text` is one sentence in the learner's terms; `trace` is a short
    traceback of the learner's own lines, or "".
    """

    def __init__(self, kind: Kind, text: str, trace: str = ""):
        super().__init__(text)
        self.kind, self.text, self.trace = kind, text, trace


class Learner(Protocol):
    """Runs a learner's code and gives plain data back (see `utils.check.data`).

    Arguments are copied, so that what the code does to them harms no check. Each method
    raises `LearnerError`. After a call, `changed` names the arguments that the call changed
    in place (positions as int, keywords as str), and `seconds` is the time of the call, taken
    outside the learner's reach.
    """

    changed: tuple[int | str, ...]
    seconds: float

    def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """What the learner's function `name` returns."""
        ...

    def value(self, name: str) -> Any:
        """The learner's variable `name`, as plain data."""
        ...

    def probe(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """What the function `name` of ``utils.check.probes_LAB`` returns for the namespace.

        A probe runs beside the learner's code, takes its namespace (a dict) first, exercises
        objects with a state, and returns data alone. It holds no reference and no solution.
        """
        ...


@dataclass(frozen=True)
class Mistake:
    """A mistake that has a name: what the wrong answer would be, and a first hint against it.

    `wrong` takes the arguments of the function and gives the wrong answer; None where the
    check itself tells the mistake (then it is passed to `Trial.require`).
    """

    slug: str
    sentence: str
    wrong: Callable[..., Any] | None = None
    hint: str = ""


@dataclass(frozen=True)
class Report:
    """What a check found, in the learner's words. `score` is the share of the points earned."""

    task: str
    title: str
    passed: bool
    score: float = 0.0
    called: str = ""
    came: str = ""
    expected: str = ""
    mistake: str | None = None
    sentence: str = ""
    hints: tuple[str, ...] = ()
    trace: str = ""
    kind: str = ""  # "" or "wrong" or a `Kind`
    checks: int = 0

    def as_text(self, hints: int = 1) -> str:
        """The report as plain text with the first `hints` hints."""
        from utils.check.render import as_text

        return as_text(self, hints)

    def __repr__(self) -> str:
        return self.as_text()

    __str__ = __repr__

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        from utils.check.render import as_html

        return {"text/plain": self.as_text(), "text/html": as_html(self)}


class Refused(Exception):
    """Ends a check at the first thing that is wrong; carries the `Report`."""

    def __init__(self, report: Report):
        super().__init__(report.sentence)
        self.report = report


class CheckFailed(AssertionError):
    """A check failed where a notebook is executed by nbgrader or by our own tests."""


@dataclass(frozen=True)
class Task:
    """One task of a lab; called with the learner's objects it checks them in the notebook.

    `functions` are the names that the learner defines, in the order in which the check line
    names them. `forbidden` are dotted names whose use does not count as a solution
    (``utils.*`` means the package); then the share `forbidden_score` is earned.
    `seconds` limits each single call.
    """

    id: str
    title: str
    points: float
    minutes: int
    difficulty: int
    functions: tuple[str, ...]
    body: Callable[..., None] = field(repr=False)
    hints: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ("utils.*",)
    forbidden_score: float = 0.0
    seconds: float = 10.0
    lab: str = ""

    def __post_init__(self) -> None:
        if len(self.hints) < MIN_HINTS:
            raise ValueError(f"task {self.id} has {len(self.hints)} hints; give {MIN_HINTS}")
        if self.points <= 0 or self.minutes <= 0 or self.difficulty not in (1, 2, 3):
            raise ValueError(f"task {self.id}: points, minutes and difficulty (1 to 3) are needed")
        if not self.functions:
            raise ValueError(f"task {self.id} names no function that it checks")

    def check(self, learner: Learner, rng: np.random.Generator, variant: int = 0) -> Report:
        """Check what `learner` gives on inputs drawn from `rng`; never raises for its faults."""
        from utils.check.trial import Trial

        trial = Trial(self, learner, rng, variant)
        try:
            self.body(trial)
        except LearnerError as error:
            return trial.report_error(error)
        except Refused as refused:
            return refused.report
        except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            # What came has another form than the check can go through: no fault of ours, as the
            # solutions show, and a learner's data must never end a run over many.
            text = f"what came back has another form than asked ({type(error).__name__})."
            return trial.report_error(LearnerError("bad_value", text))
        if not trial.checks:
            raise RuntimeError(f"the check {self.id} compared nothing: it would pass anything")
        return Report(self.id, self.title, passed=True, score=1.0, checks=trial.checks)

    def __call__(self, *objects: Any) -> Report:
        """Check the learner's objects, given in the order of `functions`; for notebooks."""
        from utils.check import session

        if len(objects) != len(self.functions):
            wanted = ", ".join(self.functions)
            raise TypeError(f"write check.{self.lab.replace('-', '_')}.{self.id}({wanted})")
        return session.check(self, dict(zip(self.functions, objects, strict=True)))


@dataclass
class Lab:
    """A lab: its tasks in order. `points` is the sum over tasks and reflection questions.

    `variant` says that the learner's id seeds the data of the lab.
    """

    name: str
    title: str
    points: float
    variant: bool = False
    tasks: list[Task] = field(default_factory=list)

    def task(self, title: str, **about: Any) -> Callable[[Callable[..., None]], Task]:
        """Make a check function ``name(t)`` the check of the task ``name``; see `Task`."""

        def register(body: Callable[..., None]) -> Task:
            made = Task(id=body.__name__, title=title, body=body, lab=self.name, **about)
            if made.id in {task.id for task in self.tasks}:
                raise ValueError(f"lab {self.name} has two tasks {made.id}")
            self.tasks.append(made)
            return made

        return register

    def __getitem__(self, task_id: str) -> Task:
        for task in self.tasks:
            if task.id == task_id:
                return task
        raise KeyError(f"lab {self.name} has no task {task_id}; it has {self.ids()}")

    def ids(self) -> list[str]:
        """The ids of the tasks, in order."""
        return [task.id for task in self.tasks]

    def check(
        self,
        learner: Learner,
        seed: int | None = None,
        variant: int = 0,
        tasks: Iterable[str] | None = None,
    ) -> list[Report]:
        """A report for each task; with a seed the same inputs each time."""
        chosen = self.tasks if tasks is None else [self[name] for name in tasks]
        return [task.check(learner, task_rng(task.id, seed), variant) for task in chosen]


def task_rng(task_id: str, seed: int | None) -> np.random.Generator:
    """Random numbers for a task; without a seed fresh ones from the system."""
    import numpy as np

    if seed is None:
        return np.random.default_rng()
    return np.random.default_rng([seed, int.from_bytes(hashlib.sha256(task_id.encode()).digest())])


def variant_seed(learner_id: str) -> int:
    """The seed of a learner's variant: the same for the same id (case and spaces aside)."""
    text = " ".join(str(learner_id).split()).casefold()
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6]) if text else 0


def lab(name: str, package: str = "utils.check") -> Lab:
    """The lab `name`, from the module ``utils.check.NAME`` (hyphens are underscores there).

    Raises ValueError where there is no such lab.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", name):
        raise ValueError(f"{name!r} is no name of a lab; the labs are {', '.join(lab_names())}")
    try:
        module = importlib.import_module(f"{package}.{name.replace('-', '_')}")
        return module.LAB
    except (ModuleNotFoundError, AttributeError) as error:
        known = ", ".join(lab_names()) or "none yet"
        raise ValueError(f"there is no lab {name!r}; the labs are: {known}") from error


def lab_names() -> list[str]:
    """Names of the labs: the modules in this folder that say ``LAB = …``."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    labs = [f for f in files if "\nLAB = " in f.read_text(encoding="utf-8")]
    return [file.stem.replace("_", "-") for file in labs]


__all__ = [
    "CheckFailed", "Kind", "Lab", "Learner", "LearnerError", "Mistake", "Refused", "Report",
    "Task", "lab", "lab_names", "task_rng", "variant_seed",
]  # fmt: skip
