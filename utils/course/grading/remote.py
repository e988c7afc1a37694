"""The `Learner` that a check sees when it grades: its code runs in a confined process.

It believes nothing but the data: time is taken here, and what comes back is compared by the
check as any other data.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from utils.check.core import LearnerError
from utils.check.data import plain
from utils.course.grading.box import wire
from utils.course.grading.sandbox import LOAD_SECONDS, Box, Child

GRACE = 1.5  # seconds beyond a call's own limit until the process is ended
KINDS = {"missing", "not_implemented", "raised", "timed_out", "bad_value", "forbidden"}


class RemoteLearner:
    """A `Learner` whose code runs in a confined process; see `utils.check.core.Learner`."""

    def __init__(self, box: Box, load: dict[str, Any], seconds: float):
        self.box, self.load, self.limit = box, load, seconds
        self.changed: tuple[int | str, ...] = ()
        self.seconds = 0.0
        self.errors: list[dict[str, str]] = []
        self.left = box.limits.seconds
        self._child: Child | None = None
        self._dead: LearnerError | None = None

    def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        return self._ask("call", name, args, kwargs)

    def value(self, name: str) -> Any:
        return self._ask("value", name, (), {})

    def probe(self, name: str, *args: Any, **kwargs: Any) -> Any:
        return self._ask("probe", name, args, kwargs)

    def close(self) -> None:
        if self._child:
            self._child.close()

    def _ask(self, do: str, name: str, args: tuple, kwargs: dict) -> Any:
        if self._dead:
            raise self._dead
        child = self._loaded(name)
        limit = min(self.limit, self.left) + GRACE
        question = {"do": do, "name": name, "args": plain(list(args)), "kwargs": plain(kwargs)}
        start = time.perf_counter()
        try:
            answer = child.ask(question, limit)
        except TimeoutError:
            raise self._end("timed_out", f"{name} took longer than {self.limit:g} s.") from None
        except wire.Closed:
            raise self._end("raised", f"{name} ended the Python process", how=True) from None
        except wire.WireError as error:
            raise self._end("bad_value", f"{name} gave back no data ({error}).") from None
        self.seconds = time.perf_counter() - start
        self.left -= self.seconds
        return self._believe(name, answer, len(args), set(kwargs))

    def _believe(self, name: str, answer: dict, count: int, keywords: set[str]) -> Any:
        changed = answer.get("changed", [])
        known = {*range(count), *keywords}
        safe = isinstance(changed, list) and all(isinstance(c, int | str) for c in changed)
        self.changed = tuple(c for c in changed if c in known) if safe else ()
        if "value" in answer:
            return answer["value"]
        kind, text, trace = (str(answer.get(k, "")) for k in ("kind", "text", "trace"))
        if kind not in KINDS:
            kind, text = "bad_value", f"{name} gave back no data."
        if kind == "missing":
            text = self._why_missing(name) or text
        raise LearnerError(kind, text[:2000].replace("It gave", f"{name} gave"), trace[:4000])

    def _why_missing(self, name: str) -> str:
        if not self.errors:
            return ""
        first = self.errors[0]
        return (
            f"{name} is not defined: running the notebook's definitions ended in "
            f"{first.get('text', '')} ({first.get('cell', '')}, line {first.get('line', '')})."
        )

    def _loaded(self, name: str) -> Child:
        if self._child is None:
            self._child = self.box.child()
            try:
                answer = self._child.ask({"do": "load", **self.load}, LOAD_SECONDS)
            except TimeoutError:
                text = f"The cells that define {name} ran longer than {LOAD_SECONDS:g} s."
                raise self._end("timed_out", text) from None
            except wire.WireError:
                text = f"The cells that define {name} ended the Python process"
                raise self._end("raised", text, how=True) from None
            errors = answer.get("errors")
            self.errors = [e for e in _dicts(errors)][:20]
        return self._child

    def _end(self, kind: str, text: str, how: bool = False) -> LearnerError:
        phrase = self._child.close() if self._child else ""
        if how:
            text += f" ({phrase or 'killed'})."
        self._dead = LearnerError(kind, text)
        return self._dead


def _dicts(errors: Any) -> Iterable[dict[str, str]]:
    for error in errors if isinstance(errors, list) else []:
        if isinstance(error, dict) and all(isinstance(v, str) for v in error.values()):
            yield {str(key): value[:500] for key, value in error.items()}
