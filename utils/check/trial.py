"""What the author of a check works with: fresh inputs, comparisons, requirements."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch

from utils.check.core import WATCHED_CALLS, Learner, LearnerError, Mistake, Refused, Report, Task
from utils.check.data import difference, plain, short


class Trial:
    """One run of one check. Each comparison that fails ends it with a `Refused`.

    `learner` runs the code, `rng` draws the inputs, `variant` is the seed of the learner's own
    data (0: no id given). `checks` counts the comparisons made.
    """

    def __init__(self, task: Task, learner: Learner, rng: np.random.Generator, variant: int = 0):
        self.task, self.learner, self.rng, self.variant = task, learner, rng, variant
        self.checks = 0
        self.called = ""

    # --- inputs ---------------------------------------------------------------------------
    def normal(self, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """Standard normal numbers."""
        return torch.from_numpy(self.rng.standard_normal(shape)).to(dtype)

    def integer(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return int(self.rng.integers(low, high + 1))

    def distinct(self, count: int, low: int, high: int) -> list[int]:
        """`count` different whole numbers from `low` to `high`: sizes that no axis shares."""
        return [int(n) for n in self.rng.permutation(np.arange(low, high + 1))[:count]]

    # --- calls and comparisons ------------------------------------------------------------
    def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """The learner's answer. An argument that the call changed is a mistake."""
        self.called = _written(name, args, kwargs)
        came = self.learner.call(name, *args, **kwargs)
        if self.learner.changed:
            which = ", ".join(_ordinal(place) for place in self.learner.changed)
            self.refuse(
                came=f"{which} has changed after the call",
                expected="arguments left as they were",
                mistake=Mistake(
                    "changed-input",
                    f"{name} changed its argument in place ({which}).",
                    hint="An operation that ends in _ (masked_fill_, +=) works in place; use "
                    "the form without, or work on a clone.",
                ),
            )
        return came

    def probe(self, name: str, *args: Any, called: str = "", **kwargs: Any) -> Any:
        """The data that a probe brings; `called` says in words what it did."""
        self.called = called or _written(name, args, kwargs)
        return self.learner.probe(name, *args, **kwargs)

    def value(self, name: str) -> Any:
        """The learner's variable `name`, where a task asks for a value and not a function."""
        self.called = name
        return self.learner.value(name)

    def equal(
        self,
        name: str,
        *args: Any,
        expected: Any,
        mistakes: Iterable[Mistake] = (),
        rtol: float = 1e-4,
        atol: float = 1e-5,
        **kwargs: Any,
    ) -> Any:
        """Call `name` and compare with `expected`; return what came."""
        came = self.call(name, *args, **kwargs)
        self.same(came, expected, args=args, kwargs=kwargs, mistakes=mistakes, rtol=rtol, atol=atol)
        return came

    def raises(self, error: str, name: str, *args: Any, why: str, mistake: Mistake) -> None:
        """Require that the call raises the error named `error`; `why` says for what."""
        try:
            came = short(self.call(name, *args))
        except LearnerError as refused:
            self.require(
                refused.kind == "raised" and f" raised {error}:" in refused.text,
                came=refused.text,
                expected=f"{error}: {why}",
                mistake=mistake,
            )
        else:
            self.refuse(came=came, expected=f"{error}: {why}", mistake=mistake)

    def same(
        self,
        came: Any,
        expected: Any,
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
        mistakes: Iterable[Mistake] = (),
        rtol: float = 1e-4,
        atol: float = 1e-5,
    ) -> None:
        """Compare; where it differs, look for the mistake whose `wrong(*args)` it equals."""
        self.checks += 1
        expected = plain(expected)
        found = difference(came, expected, rtol, atol)
        if found is None:
            return
        named = _named(came, args, kwargs or {}, mistakes, rtol, atol)
        self.refuse(came=f"{short(came)} ({found})", expected=short(expected), mistake=named)

    def require(
        self, condition: bool, *, came: str, expected: str, mistake: Mistake | None = None
    ) -> None:
        """Refuse unless `condition`: for properties and edge cases."""
        self.checks += 1
        if not condition:
            self.refuse(came=came, expected=expected, mistake=mistake)

    def ratio(
        self,
        name: str,
        args: Sequence[Any],
        yardstick: str,
        yard_args: Sequence[Any] = (),
        rounds: int = 5,
    ) -> float:
        """How many times as long the call takes as the probe `yardstick`, timed beside it.

        The shortest of `rounds` times of each counts: other programs only ever add time. Calls
        that are watched for forbidden names run slower and come first, untimed.
        """
        for _ in range(WATCHED_CALLS):
            self.call(name, *args)
        ours, theirs = [], []
        for _ in range(rounds):
            self.probe(yardstick, *yard_args)
            theirs.append(self.learner.seconds)
            self.call(name, *args)
            ours.append(self.learner.seconds)
        return min(ours) / max(min(theirs), 1e-9)

    # --- reports --------------------------------------------------------------------------
    def refuse(self, *, came: str, expected: str, mistake: Mistake | None = None) -> None:
        """End the check with a report."""
        hints = (mistake.hint,) if mistake and mistake.hint else ()
        raise Refused(
            self._report(
                kind="wrong",
                came=came,
                expected=expected,
                mistake=mistake.slug if mistake else None,
                sentence=mistake.sentence if mistake else "",
                hints=(*hints, *self.task.hints),
            )
        )

    def report_error(self, error: LearnerError) -> Report:
        """The report on code that gave no value."""
        score = self.task.forbidden_score if error.kind == "forbidden" else 0.0
        came = {
            "missing": "nothing: it is not defined",
            "not_implemented": "nothing: it is not written yet",
            "raised": "nothing: an error ended it",
            "timed_out": "nothing within the time limit",
            "bad_value": "something that cannot be compared",
            "forbidden": "a result made by something that does not count as a solution",
        }[error.kind]
        return self._report(
            kind=error.kind,
            score=score,
            came=came,
            expected="a value",
            mistake=error.kind.replace("_", "-"),
            sentence=error.text,
            hints=self.task.hints,
            trace=error.trace,
        )

    def _report(self, **about: Any) -> Report:
        called = self.called or f"{self.task.functions[0]}(…)"
        return Report(
            self.task.id, self.task.title, passed=False, called=called, checks=self.checks, **about
        )


def _named(came, args, kwargs, mistakes, rtol, atol) -> Mistake | None:
    for mistake in mistakes:
        if mistake.wrong is None:
            continue
        try:
            wrong = plain(mistake.wrong(*args, **kwargs))
        except (RuntimeError, ValueError, IndexError, TypeError, ZeroDivisionError):
            continue  # the mistake makes no sense for these inputs
        if difference(came, wrong, rtol, atol) is None:
            return mistake
    return None


def _written(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> str:
    parts = [_argument(a) for a in args] + [f"{k}={_argument(v)}" for k, v in kwargs.items()]
    return f"{name}({', '.join(parts)})"


def _argument(value: Any) -> str:
    if isinstance(value, torch.Tensor | np.ndarray):
        kind = "tensor" if isinstance(value, torch.Tensor) else "array"
        return f"{kind}{list(value.shape)}"
    return short(value, 60)


def _ordinal(place: int | str) -> str:
    if isinstance(place, str):
        return f"argument {place}"
    names = ("first", "second", "third", "fourth", "fifth", "sixth")
    return f"the {names[place]} argument" if place < len(names) else f"argument {place + 1}"
