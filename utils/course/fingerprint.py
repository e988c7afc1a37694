"""A fingerprint of what the outputs of a notebook depend on.

It covers the code cells, every module of ``utils`` that they import, directly or through
another one, and the files under ``assets/`` and ``benchmarks/results/`` that the code
names. Comments, docstrings and layout do not count, so that only a change that can alter
an output makes it stale.
"""

from __future__ import annotations

import ast
import hashlib
from functools import lru_cache
from pathlib import Path

import nbformat

PACKAGE = "utils"
DATA_FOLDERS = ("assets", "benchmarks/results")


def fingerprint(nb: nbformat.NotebookNode, root: Path) -> str:
    """Hex digest (16 characters) of the notebook's code and of what it imports.

    `root` is the folder that holds ``utils``.
    """
    digest = hashlib.sha256()
    trees = [_parse(source) for source in code_sources(nb)]
    for tree in trees:
        digest.update(_skeleton(tree).encode())
    for path in sorted(_closure(trees, root)):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(_module_skeleton(path, path.stat().st_mtime_ns).encode())
    for path in sorted(_named_files(trees, root)):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def code_sources(nb: nbformat.NotebookNode) -> list[str]:
    """The code cells' sources, without IPython's magics (lines that begin with % or !)."""
    cells = (c.source for c in nb.cells if c.cell_type == "code")
    return ["\n".join(_plain(line) for line in source.splitlines()) for source in cells]


def _plain(line: str) -> str:
    return f"'{line.strip()}'" if line.lstrip().startswith(("%", "!")) else line


def _parse(source: str) -> ast.Module:
    try:
        return ast.parse(source)
    except SyntaxError as error:
        raise ValueError(f"a code cell is not valid Python: {error}\n{source}") from error


def _skeleton(tree: ast.Module) -> str:
    """The tree as text, without docstrings."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef | ast.Module)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
            and isinstance(body[0].value.value, str)
        ):
            node.body = body[1:] or [ast.Pass()]
    return ast.dump(tree)


@lru_cache(maxsize=512)
def _module_skeleton(path: Path, _mtime: int) -> str:
    return _skeleton(ast.parse(path.read_text(encoding="utf-8")))


def _closure(trees: list[ast.Module], root: Path) -> set[Path]:
    found: set[Path] = set()
    todo = [path for tree in trees for path in _imports(tree, root, None)]
    while todo:
        path = todo.pop()
        if path in found:
            continue
        found.add(path)
        todo += _imports(ast.parse(path.read_text(encoding="utf-8")), root, path)
    return found


def _imports(tree: ast.Module, root: Path, importer: Path | None) -> list[Path]:
    """Files of the package that the tree imports."""
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and importer is None:
            if getattr(node.value, "id", None) == "check":  # check.NAME loads a lab's checks
                names.append(f"{PACKAGE}.check.{node.attr}")
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, root, importer)
            names += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    ours = [n for n in names if n == PACKAGE or n.startswith(PACKAGE + ".")]
    return [path for name in ours for path in _files(name, root)]


def _absolute(node: ast.ImportFrom, root: Path, importer: Path | None) -> str:
    if not node.level or importer is None:
        return node.module or ""
    parts = importer.relative_to(root).with_suffix("").parts
    parts = parts[: len(parts) - node.level]
    return ".".join([*parts, *([node.module] if node.module else [])])


def _files(name: str, root: Path) -> list[Path]:
    parts = name.split(".")
    packages = (root.joinpath(*parts[:i], "__init__.py") for i in range(1, len(parts) + 1))
    module = root.joinpath(*parts).with_suffix(".py")
    return [path for path in [*packages, module] if path.is_file()]


def _named_files(trees: list[ast.Module], root: Path) -> set[Path]:
    """Files of the data folders whose path, or whose name, stands in a string of the code."""
    strings = {
        node.value
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    files = (p for f in DATA_FOLDERS for p in (root / f).rglob("*") if p.is_file())
    return {p for p in files if any(s.endswith(p.name) for s in strings)}
