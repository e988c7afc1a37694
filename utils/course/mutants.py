"""Small changes of a program, one at a time: what mutation testing plants in a solution.

Operators after Offutt et al. 1996, "An experimental determination of sufficient mutant
operators", and some that fit tensor code (axes, a dropped method, a missing term).
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

BINARY = {
    ast.Add: (ast.Sub,), ast.Sub: (ast.Add,), ast.Mult: (ast.Div, ast.Add),
    ast.Div: (ast.Mult,), ast.FloorDiv: (ast.Mult,), ast.Mod: (ast.FloorDiv,),
    ast.Pow: (ast.Mult,), ast.BitAnd: (ast.BitOr,), ast.BitOr: (ast.BitAnd,),
}  # fmt: skip
COMPARE = {
    ast.Lt: (ast.LtE, ast.Gt), ast.LtE: (ast.Lt, ast.GtE), ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE), ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,), ast.In: (ast.NotIn,), ast.NotIn: (ast.In,),
}  # fmt: skip
NAMES = {
    "amax": "amin", "amin": "amax", "max": "min", "min": "max", "sum": "mean", "mean": "sum",
    "tril": "triu", "triu": "tril", "any": "all", "all": "any", "zeros": "ones", "ones": "zeros",
    "argmax": "argmin", "argmin": "argmax", "floor": "ceil", "ceil": "floor", "exp": "expm1",
    "sqrt": "square", "inf": "e", "log": "log2", "sorted": "list",
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """A changed program: `line` in the program, `before` and `after` of the changed part."""

    source: str
    kind: str
    line: int
    before: str
    after: str

    def __str__(self) -> str:
        return f"line {self.line}, {self.kind}: {self.before} → {self.after}"


def mutants(source: str, lines: set[int] | None = None) -> list[Mutant]:
    """All programs with one small change, without duplicates; `lines` limits the places."""
    tree = ast.parse(source)
    seen, found = {ast.dump(tree)}, []
    for number, node in enumerate(ast.walk(tree)):
        place = getattr(node, "lineno", None)
        if place is None or (lines is not None and place not in lines):
            continue
        for kind, change in _changes(node):
            twin = copy.deepcopy(tree)
            target = next(n for i, n in enumerate(ast.walk(twin)) if i == number)
            before = ast.unparse(target)
            after = change(target)
            if after is not None:
                twin = _Replace(target, after).visit(twin)
            ast.fix_missing_locations(twin)
            if ast.dump(twin) in seen:
                continue
            seen.add(ast.dump(twin))
            text = ast.unparse(after if after is not None else target)
            found.append(Mutant(ast.unparse(twin), kind, place, before, text))
    return found


class _Replace(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST):
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> Any:
        return self.new if node is self.old else self.generic_visit(node)


def _changes(node: ast.AST) -> Iterator[tuple[str, Any]]:
    """Pairs of a kind and a function that changes the node in place, or gives another."""
    for kinds, changes in HANDLERS:
        if isinstance(node, kinds):
            yield from changes(node)


def _of_comparison(node: ast.Compare) -> Iterator[tuple[str, Any]]:
    for at, operator in enumerate(node.ops):
        for other in COMPARE.get(type(operator), ()):
            yield "comparison", _setter("ops", at, other())


def _of_logic(node: ast.BoolOp) -> Iterator[tuple[str, Any]]:
    yield "operator", _setter("op", None, ast.Or() if isinstance(node.op, ast.And) else ast.And())
    yield "missing term", lambda n: n.values[0]
    yield "missing term", lambda n: n.values[-1]


def _of_sign(node: ast.UnaryOp) -> Iterator[tuple[str, Any]]:
    yield "operator", lambda n: n.operand


def _of_condition(node: ast.AST) -> Iterator[tuple[str, Any]]:
    yield "condition", lambda n: _put(n, "test", ast.UnaryOp(ast.Not(), n.test))


def _of_name(node: ast.Attribute | ast.Name) -> Iterator[tuple[str, Any]]:
    name = "attr" if isinstance(node, ast.Attribute) else "id"
    if getattr(node, name) in NAMES and isinstance(node.ctx, ast.Load):
        yield "function", _setter(name, None, NAMES[getattr(node, name)])


def _of_slice(node: ast.Slice) -> Iterator[tuple[str, Any]]:
    for side in ("lower", "upper"):
        if getattr(node, side) is not None:
            yield "off by one", lambda n, s=side: _put(n, s, _plus_one(getattr(n, s)))
            yield "slice", _setter(side, None, None)


def _of_operation(node: ast.BinOp) -> Iterator[tuple[str, Any]]:
    for other in BINARY.get(type(node.op), ()):
        yield "operator", _setter("op", None, other())
    yield "missing term", lambda n: n.left
    yield "missing term", lambda n: n.right
    if not isinstance(node.op, ast.Add | ast.Mult):
        yield "operands", lambda n: ast.BinOp(n.right, n.op, n.left)


def _of_constant(node: ast.Constant) -> Iterator[tuple[str, Any]]:
    value = node.value
    if isinstance(value, bool):
        yield "constant", _setter("value", None, not value)
    elif isinstance(value, int):
        for other in (value + 1, value - 1):
            yield "axis or constant", _setter("value", None, other)
    elif isinstance(value, float):
        for other in (value * 2, value + 1.0):
            yield "constant", _setter("value", None, other)


def _of_call(node: ast.Call) -> Iterator[tuple[str, Any]]:
    if isinstance(node.func, ast.Attribute):
        yield "missing call", lambda n: n.func.value
    if len(node.args) == 1 and not isinstance(node.args[0], ast.Starred | ast.GeneratorExp):
        yield "missing call", lambda n: n.args[0]
    if len(node.args) == 2 and not any(isinstance(a, ast.Starred) for a in node.args):
        for at in (0, 1):
            yield "missing term", lambda n, i=at: n.args[i]
    for at in range(len(node.args) - 1):
        yield "arguments", lambda n, i=at: _swap(n, i)
    for at in range(len(node.keywords)):
        yield "argument left out", lambda n, i=at: _drop(n, i)
    if getattr(node.func, "id", None) == "range":
        yield "off by one", lambda n: _put_last(n)


def _of_statement(node: ast.stmt) -> Iterator[tuple[str, Any]]:
    if isinstance(node, ast.Return):
        if node.value is not None:
            yield "returned", _setter("value", None, ast.Constant(None))
        return
    if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
        yield "missing statement", lambda n: ast.Pass()


def _setter(field: str, at: int | None, value: Any) -> Any:
    def change(node: ast.AST) -> None:
        if at is None:
            setattr(node, field, value)
        else:
            getattr(node, field)[at] = value

    return change


def _put(node: ast.AST, field: str, value: Any) -> None:
    setattr(node, field, value)


def _plus_one(node: ast.expr) -> ast.expr:
    return ast.BinOp(node, ast.Add(), ast.Constant(1))


def _swap(node: ast.Call, at: int) -> None:
    node.args[at], node.args[at + 1] = node.args[at + 1], node.args[at]


def _drop(node: ast.Call, at: int) -> None:
    del node.keywords[at]


def _put_last(node: ast.Call) -> None:
    end = 0 if len(node.args) == 1 else 1
    node.args[end] = ast.BinOp(node.args[end], ast.Sub(), ast.Constant(1))


HANDLERS = (
    (ast.BinOp, _of_operation),
    (ast.Compare, _of_comparison),
    (ast.Constant, _of_constant),
    (ast.UnaryOp, _of_sign),
    (ast.BoolOp, _of_logic),
    (ast.If | ast.IfExp | ast.While, _of_condition),
    (ast.Call, _of_call),
    (ast.Attribute | ast.Name, _of_name),
    (ast.Slice, _of_slice),
    (ast.Assign | ast.AugAssign | ast.Expr | ast.Raise | ast.Return, _of_statement),
)
