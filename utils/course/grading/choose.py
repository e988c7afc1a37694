"""Which statements of a notebook have to run so that a task's functions exist, and no others.

Experiments, plots and check lines are left out; imports, definitions and assignments run when
the task's functions need them, directly or through each other.
"""

from __future__ import annotations

import ast
import symtable
from dataclasses import dataclass
from typing import Any

import nbformat

from utils.course.fingerprint import code_sources

SETTINGS = {"manual_seed", "seed", "set_default_dtype"}  # calls of a library worth running
_IMPORTS = (ast.Import, ast.ImportFrom)
_DEFS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
# What a check by source cannot see through; a person should look.
DYNAMIC = {
    "eval", "exec", "compile", "__import__", "globals", "vars", "importlib", "ctypes", "gc",
    "inspect", "setprofile", "settrace", "_getframe", "_exit", "fork", "modules", "subprocess",
    "__builtins__", "__subclasses__", "__globals__", "socket",
}  # fmt: skip


@dataclass
class Statement:
    """A top-level statement: what it binds and what it needs."""

    cell: int
    index: int
    node: ast.stmt
    binds: set[str]
    needs: set[str]
    solution: bool  # stands in a cell for a solution
    own: bool  # the learner's: there, or in a cell that the release does not have

    @property
    def defines(self) -> bool:
        return isinstance(self.node, _DEFS)


@dataclass
class Program:
    """The code cells of a rebuilt notebook, taken apart once and asked for each task."""

    cells: list[tuple[str, str]]
    statements: list[Statement]
    broken: list[str]
    lazy_annotations: bool

    def closure(self, names: tuple[str, ...]) -> list[Statement]:
        """The statements that `names` need, in the order of the notebook."""
        final = {n for s in self.statements if s.defines for n in s.binds}
        imported = {n for s in self.statements if isinstance(s.node, _IMPORTS) for n in s.binds}
        todo, wanted, chosen = list(names), set(), set()
        while todo:
            name = todo.pop()
            if name in wanted:
                continue
            wanted.add(name)
            for place, statement in enumerate(self.statements):
                if place in chosen or name not in statement.binds:
                    continue
                if name in final and not self._may_rebind(statement, name):
                    continue
                if name in imported and _only_a_call(statement.node):
                    continue
                chosen.add(place)
                todo += statement.needs | statement.binds
        stars = [i for i, s in enumerate(self.statements) if "*" in s.binds]
        return [self.statements[i] for i in sorted(chosen | set(stars))]

    @staticmethod
    def _may_rebind(statement: Statement, name: str) -> bool:
        """Whether a statement may bind a name that a definition binds too.

        An experiment such as ``scores = scores(q, k)`` may not; an alias, a decorator applied
        by hand, a method added to a class may.
        """
        if statement.defines or statement.solution:
            return True
        node = statement.node
        if isinstance(node, ast.Assign):
            plain = any(isinstance(t, ast.Name) and t.id == name for t in node.targets)
            return not plain or isinstance(node.value, ast.Name | ast.Attribute | ast.Lambda)
        if isinstance(node, ast.Expr):
            return isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Name)
        return isinstance(node, ast.Import | ast.ImportFrom | ast.If | ast.Try)

    def load(self, chosen: list[Statement]) -> list[tuple[str, str, list[int]]]:
        """The cells with the numbers of the statements to run, for the confined process."""
        by_cell: dict[int, list[int]] = {}
        for statement in chosen:
            by_cell.setdefault(statement.cell, []).append(statement.index)
        return [(*self.cells[cell], numbers) for cell, numbers in by_cell.items()]

    def text(self, chosen: list[Statement]) -> str:
        """The source of the chosen statements, with all imports of the notebook."""
        first = [s.node for s in self.statements if isinstance(s.node, _IMPORTS)]
        return "\n".join(ast.unparse(n) for n in first + [s.node for s in chosen])


def program(nb: nbformat.NotebookNode) -> Program:
    """Take the code cells apart; cells that are no Python are named in `broken`."""
    made = Program([], [], [], False)
    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    for cell, source in zip(code, code_sources(nb), strict=True):
        about = cell.metadata.get("nbgrader", {})
        if about.get("grade") or about.get("grade_id") in ("everything", "bootstrap"):
            continue
        label = f"cell {about.get('grade_id') or cell.id}"
        try:
            body = ast.parse(source).body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
            text = error.msg if isinstance(error, SyntaxError) else type(error).__name__
            made.broken.append(f"{label}{line}: {text}")
            continue
        made.cells.append((label, source))
        solution = bool(about.get("solution"))
        own = solution or cell.id.startswith("own-")
        for index, node in enumerate(body):
            futures = isinstance(node, ast.ImportFrom) and node.module == "__future__"
            made.lazy_annotations |= futures
            if not futures:
                number = len(made.cells) - 1
                binds = _binds(node)
                made.statements.append(
                    Statement(number, index, node, binds, _needs(node), solution, own)
                )
    return made


def _only_a_call(node: ast.stmt) -> bool:
    """Whether a statement is a call of a library that settles nothing for later code."""
    named = {getattr(part, "attr", "") for part in ast.walk(node)}
    return isinstance(node, ast.Expr) and not SETTINGS & named


def _binds(node: ast.stmt) -> set[str]:
    if isinstance(node, _DEFS):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    found: set[str] = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store | ast.Del):
            found.add(part.id)
        elif isinstance(part, ast.Attribute | ast.Subscript) and isinstance(part.ctx, ast.Store):
            found |= _root(part)
        elif isinstance(part, _DEFS):
            found.add(part.name)
        elif isinstance(part, ast.Import | ast.ImportFrom):
            found |= _binds(part)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        function = node.value.func  # table.append(…), setattr(Value, …)
        if isinstance(function, ast.Attribute):
            found |= _root(function)
        elif isinstance(function, ast.Name) and function.id == "setattr" and node.value.args:
            found |= _root(node.value.args[0])
    return found


def _root(node: ast.AST) -> set[str]:
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return {node.id} if isinstance(node, ast.Name) else set()


def _needs(node: ast.stmt) -> set[str]:
    """Global names that running the statement, or calling what it defines, looks up."""
    text = ast.unparse(node)
    found: set[str] = set()
    tables = [symtable.symtable(text, "cell", "exec")]
    while tables:
        table = tables.pop()
        top = table.get_type() in ("module", symtable.symtable("", "", "exec").get_type())
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (top or symbol.is_global()):
                found.add(symbol.get_name())
        tables += table.get_children()
    return found


def dynamic(chosen: list[Statement]) -> list[str]:
    """Names in the code of a task that hide from a check of the source what it calls."""
    found: set[str] = set()
    for statement in chosen:
        for node in ast.walk(statement.node):
            name: Any = None
            if isinstance(node, ast.Attribute):
                name = node.attr
            elif isinstance(node, ast.Name):
                name = node.id
            elif isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name.split(".")[0] for alias in node.names]
                found |= DYNAMIC & {*names, (getattr(node, "module", "") or "").split(".")[0]}
            if name in DYNAMIC:
                found.add(name)
            if _computed_getattr(node):
                found.add("getattr with a computed name")
    return sorted(found)


def _computed_getattr(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "getattr"
        and len(node.args) > 1
        and not isinstance(node.args[1], ast.Constant)
    )
