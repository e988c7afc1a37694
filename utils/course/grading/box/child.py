"""Runs the definitions of one submission and answers calls; only data leave this process."""

from __future__ import annotations
import __future__

import ast
import contextlib
import importlib
import linecache
import os
import sys
import types
from typing import Any

from . import wire


def serve(incoming: int, outgoing: int) -> None:
    """Answer messages until the other side closes.

    The first is ``load``; then come ``call``, ``value`` and ``probe``. Each answer carries the
    number of its question. What a learner's code prints goes nowhere.
    """
    learner: Any = None
    while True:
        try:
            asked = wire.read(incoming)
        except wire.Closed:
            return
        if asked["do"] == "load":
            learner, errors = _load(asked)
            answer: dict[str, Any] = {"errors": errors}
        else:
            answer = _answer(learner, asked)
        _send(outgoing, {"number": asked["number"], **answer})


def _send(outgoing: int, answer: dict[str, Any]) -> None:
    try:
        wire.write(outgoing, answer)
    except wire.Closed:
        raise
    except wire.WireError as error:
        kept = {"number": answer["number"], "kind": "bad_value", "text": f"It gave back {error}."}
        wire.write(outgoing, kept)


def _answer(learner: Any, asked: dict[str, Any]) -> dict[str, Any]:
    from utils.check.core import LearnerError

    method = getattr(learner, {"call": "call", "value": "value", "probe": "probe"}[asked["do"]])
    try:
        came = method(asked["name"], *asked["args"], **asked["kwargs"])
    except LearnerError as error:
        return {"kind": error.kind, "text": error.text[:2000], "trace": error.trace[:4000]}
    except MemoryError:
        return {"kind": "raised", "text": f"{asked['name']} needs more memory than is allowed."}
    except BaseException as error:  # whatever a learner's class does in comparisons, for example
        text = f"{asked['name']} raised {type(error).__name__}: {str(error)[:300]}"
        return {"kind": "raised", "text": text}
    return {"value": came, "changed": list(learner.changed)}


def _load(asked: dict[str, Any]) -> tuple[Any, list[dict[str, str]]]:
    """Run the chosen statements of each cell; one that fails does not keep others from running."""
    from utils.check.local import LocalLearner

    _quiet_check()
    _poison(asked["forbidden"])
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    errors: list[dict[str, str]] = []
    for label, source, chosen in asked["cells"]:
        linecache.cache[label] = (len(source), None, source.splitlines(keepends=True), label)
        flags = __future__.annotations.compiler_flag if asked["lazy_annotations"] else 0
        body = ast.parse(source).body
        for number in chosen:
            piece = ast.Module([body[number]], type_ignores=[])
            try:
                exec(compile(piece, label, "exec", flags, True), module.__dict__)
            except BaseException as error:
                text = f"{type(error).__name__}: {str(error)[:300]}"
                errors.append({"cell": label, "line": str(body[number].lineno), "text": text})
    names = (asked["lab"], asked["forbidden"] if asked["watch"] else (), asked["seconds"])
    return LocalLearner(module.__dict__, *names), errors


class _Silent:
    """Stands for ``check`` where a learner's cell names it: takes everything, says nothing."""

    def __getattr__(self, name: str) -> _Silent:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> _Silent:
        return self


def _quiet_check() -> None:
    import utils.check
    from utils.check.core import variant_seed

    silent = _Silent()
    utils.check.__getattr__ = lambda name: silent  # type: ignore[attr-defined]
    for name in ("everything", "hint"):
        setattr(utils.check, name, silent)
    utils.check.learner_id = variant_seed  # type: ignore[attr-defined]  # data of a variant hang on it


def _poison(names: list[str]) -> None:
    """Put in place of each forbidden function one that says so, wherever torch keeps it."""
    from utils.check.core import LearnerError

    for name in names:
        module, _, attribute = name.rpartition(".")
        if name.endswith(".*"):
            continue

        def refuse(*_: Any, name: str = name, **__: Any) -> None:
            text = f"It uses {name}, which does not count as a solution here."
            raise LearnerError("forbidden", text)

        class Refused:
            def __init__(self, *_: Any, name: str = name, **__: Any):
                refuse(name=name)

        places = [module]
        if module.startswith("torch"):
            places += ["torch._C._nn", "torch._C._VariableFunctions", "torch.ops.aten"]
        for place in places:
            with contextlib.suppress(Exception):
                holder = _find(place)
                old = getattr(holder, attribute)
                setattr(holder, attribute, Refused if isinstance(old, type) else refuse)


def _find(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        module, _, attribute = name.rpartition(".")
        return getattr(_find(module), attribute)


def quiet() -> None:
    """Standard input, output and error lead nowhere from here on."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    if null > 2:
        os.close(null)
    sys.stdin = os.fdopen(0, "r", closefd=False)
    sys.stdout, sys.stderr = (os.fdopen(fd, "w", closefd=False) for fd in (1, 2))
