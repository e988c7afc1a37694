"""Calls that do not count as a solution: found in the source, and seen while the code runs.

A dotted name forbids that function or class (``torch.nn.functional.softmax``), also as a method
of tensors (``torch.Tensor.softmax``); a name that ends in ``.*`` forbids all below it
(``utils.*``). The helpers in `ALLOWED` never
count. Both ways can be got round by someone who means to; for grading they are reported as
found, by name.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

METHOD = "torch.Tensor."
ALLOWED = ("utils.check", "utils.plot", "utils.style", "utils.record")


def in_source(source: str, names: Iterable[str]) -> list[str]:
    """The forbidden names that a source uses, resolved through its imports, in order.

    `source` may be several cells joined by newlines; what cannot be parsed gives nothing.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    names, aliases, found = tuple(names), {}, []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                target = alias.name if alias.asname else alias.name.split(".")[0]
                aliases[alias.asname or target] = target
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                aliases[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    methods = {name.removeprefix(METHOD): name for name in names if name.startswith(METHOD)}
    for node in ast.walk(tree):
        full = _dotted(node, aliases)
        if isinstance(node, ast.Attribute) and node.attr in methods and not full:
            full = methods[node.attr]
        elif full and "." in full and full.rpartition(".")[2] in methods:
            root = full.partition(".")[0]
            known = {target.partition(".")[0] for target in aliases.values()}
            full = full if root in known else methods[full.rpartition(".")[2]]
        if full and matches(full, names) and full not in found:
            found.append(full)
    return found


def _dotted(node: ast.AST, aliases: dict[str, str]) -> str | None:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or not isinstance(node.ctx, ast.Load):
        return None
    return ".".join([aliases.get(node.id, node.id), *reversed(parts)])


def matches(full: str, names: Iterable[str]) -> bool:
    """Whether the dotted name `full` is forbidden by one of `names`."""
    if any(full == a or full.startswith(a + ".") for a in ALLOWED):
        return False
    for name in names:
        if name.endswith(".*"):
            if full.startswith(name[:-1]):
                return True
        elif full == name or full.startswith(name + "."):
            return True
    return False


@contextmanager
def guard(names: Iterable[str]) -> Iterator[list[str]]:
    """While the block runs, note forbidden calls in the list that is yielded.

    It watches calls through `sys.setprofile`, so that an alias or a local import does not
    hide one. Costs time at each call: leave it out where speed is measured.
    """
    names, used = tuple(names), []
    targets = {name: _resolve(name) for name in names if not name.endswith(".*")}
    builtin = {id(obj): name for name, obj in targets.items() if obj is not None}
    codes = {id(obj.__code__): n for n, obj in targets.items() if hasattr(obj, "__code__")}
    methods = {name: name for name in names if name.startswith(METHOD)}
    codes |= {
        id(method.__code__): n
        for n, obj in targets.items()
        if isinstance(obj, type)
        for method in (getattr(obj, "__init__", None), getattr(obj, "forward", None))
        if hasattr(method, "__code__") and method.__qualname__.startswith(obj.__name__)
    }

    def watch(frame: Any, event: str, arg: Any) -> None:
        if event == "call":
            name = codes.get(id(frame.f_code))
            module = frame.f_globals.get("__name__", "")
            if name is None and "." in module and matches(f"{module}.x", names):
                name = f"{module}.{frame.f_code.co_name}"
        elif event == "c_call":
            name = builtin.get(id(arg)) or methods.get(_method_name(arg))
        else:
            return
        if name is not None and name not in used:
            used.append(name)

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        yield used
    finally:
        sys.setprofile(before)


def _method_name(function: Any) -> str:
    owner = getattr(function, "__self__", None)
    owner = getattr(function, "__objclass__", None) if owner is None else owner
    kind = owner if isinstance(owner, type) else type(owner)
    of_tensor = any(c.__module__ == "torch._C" and c.__name__ == "TensorBase" for c in kind.__mro__)
    return METHOD + function.__name__ if of_tensor else ""


def _resolve(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError):
        return None
