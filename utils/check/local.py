"""A learner whose code lives in this process: the notebook's own, or a test's.

The grader's child process uses it too, on its side of the wall; there `seconds` and `changed`
are taken again by the trusted side.
"""

from __future__ import annotations

import importlib
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from utils.check import forbidden
from utils.check.core import WATCHED_CALLS, LearnerError
from utils.check.data import difference, plain

MAX_TRACE_LINES = 6
PACKAGE = str(Path(__file__).parents[1])
LIBRARIES = str(Path(torch.__file__).parents[1])


class LocalLearner:
    """Runs what stands in `namespace`; see `utils.check.core.Learner`.

    `lab` names the module of probes; `forbidden_names` are watched during the first calls of
    each function; `limit` is in seconds for each call (where the system has timers, in the
    main thread; elsewhere there is none).
    """

    def __init__(
        self,
        namespace: dict[str, Any],
        lab: str = "",
        forbidden_names: Iterable[str] = (),
        limit: float = 10.0,
    ):
        self.namespace, self.lab, self.limit = namespace, lab, limit
        self.forbidden_names = tuple(forbidden_names)
        self.changed: tuple[int | str, ...] = ()
        self.seconds = 0.0
        self._calls: dict[str, int] = {}

    def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """What the function `name` returns for copies of the arguments, as plain data."""
        function = self._find(name)
        if not callable(function):
            raise LearnerError("missing", f"{name} is {type(function).__name__}, not a function.")
        given, named = plain(args), plain(kwargs)
        came = self._run(name, lambda: function(*given, **named))
        pairs = [*enumerate(zip(args, given, strict=True))]
        pairs += [(key, (kwargs[key], named[key])) for key in kwargs]
        self.changed = tuple(k for k, (old, new) in pairs if not _same(old, new))
        return came

    def value(self, name: str) -> Any:
        """The variable `name`, as plain data."""
        return _plain(name, self._find(name))

    def probe(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """What the probe `name` of this lab brings back."""
        function = getattr(probes(self.lab), name)
        given, named = plain(args), plain(kwargs)
        self.changed = ()
        return self._run(name, lambda: function(_Names(self.namespace), *given, **named))

    def _find(self, name: str) -> Any:
        return _Names(self.namespace)[name]

    def _run(self, name: str, call: Callable[[], Any]) -> Any:
        count = self._calls[name] = self._calls.get(name, 0) + 1
        watched = self.forbidden_names if count <= WATCHED_CALLS else ()
        try:
            with _time_limit(self.limit):
                came, used = self._watched(call, watched)
        except LearnerError:
            raise
        except NotImplementedError as error:
            trace = _trace(error)
            raise LearnerError("not_implemented", f"{name} is not written yet.", trace) from None
        except _TimeUp:
            text = f"{name} took longer than {self.limit:g} s."
            raise LearnerError("timed_out", text) from None
        except RecursionError as error:
            text = f"{name} calls itself without an end (RecursionError)."
            raise LearnerError("raised", text, _trace(error)) from None
        except (Exception, SystemExit) as error:
            text = f"{name} raised {type(error).__name__}: {str(error)[:300]}"
            raise LearnerError("raised", text, _trace(error)) from None
        if used:
            text = f"{name} uses {used[0]}, which does not count as a solution here."
            raise LearnerError("forbidden", text)
        return _plain(name, came)

    def _watched(self, call: Callable[[], Any], names: tuple[str, ...]) -> tuple[Any, list[str]]:
        if not names:
            start = time.perf_counter()
            came = call()
            self.seconds = time.perf_counter() - start
            return came, []
        with forbidden.guard(names) as used:
            start = time.perf_counter()
            came = call()
            self.seconds = time.perf_counter() - start
        return came, used


class _Names(dict):
    """A namespace that says which name is missing."""

    def __missing__(self, name: str) -> Any:
        raise LearnerError("missing", f"{name} is not defined; run the cell that defines it.")


def probes(lab: str) -> ModuleType:
    """The module of a lab's probes."""
    return importlib.import_module(f"utils.check.probes_{lab.replace('-', '_')}")


def _plain(name: str, value: Any) -> Any:
    try:
        return plain(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        text = f"{name} gave back {error}, which is neither numbers nor text."
        raise LearnerError("bad_value", text) from None


def _same(old: Any, new: Any) -> bool:
    try:
        new = plain(new)  # it may ask for a gradient now
    except TypeError:
        return False
    return difference(new, plain(old), 0.0, 0.0) is None


class _TimeUp(BaseException):
    """Not an Exception, so that a learner's ``except Exception`` does not swallow it."""


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    usable = hasattr(signal, "setitimer") and seconds
    if not usable or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: Any) -> None:
        raise _TimeUp

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _trace(error: BaseException) -> str:
    """The learner's own lines of a traceback: neither the check's nor a library's."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if not f.filename.startswith((PACKAGE, LIBRARIES))]
    lines = [f"{f.name}, line {f.lineno}: {f.line or ''}".rstrip(": ") for f in own]
    return "\n".join(lines[-MAX_TRACE_LINES:])
