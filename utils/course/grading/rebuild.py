"""A submission laid back onto the release form, and what had to be repaired for that.

Cells are found by nbgrader's grade id, by cell id, and then by what they are: the names they
define, the question they answer. Check cells are always the release's own.
"""

from __future__ import annotations

import ast
import copy
import json
import re
from dataclasses import dataclass, field
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell

from utils.course.labs import CHECK, CODE_STUB, EVERYTHING, REFLECTION, TEXT_STUB

MAX_BYTES, MAX_CELLS, MAX_SOURCE = 30 * 2**20, 2000, 200_000
_DEF = re.compile(r"^(?:async\s+)?(?:def|class)\s+([^\W\d]\w*)", re.M)
_MAGIC = re.compile(r"^\s*[%!].*$", re.M)


class Unreadable(ValueError):
    """The file is no notebook; the message says why in a learner's terms."""


@dataclass
class Cell:
    """One cell as it came."""

    kind: str
    source: str
    id: str = ""
    grade_id: str = ""
    place: int = 0


@dataclass
class Rebuilt:
    """The release form with a learner's work in it. `repairs` are sentences."""

    notebook: nbformat.NotebookNode
    repairs: list[str] = field(default_factory=list)
    answered: dict[str, bool] = field(default_factory=dict)  # reflection: worked on
    written: dict[str, bool] = field(default_factory=dict)  # solution cell: worked on
    learner_id: str = ""


def parse(data: bytes) -> list[Cell]:
    """The cells of a notebook file. Raises Unreadable."""
    if not data.strip():
        raise Unreadable("The file is empty.")
    if len(data) > MAX_BYTES:
        raise Unreadable(f"The file has {len(data) / 2**20:.0f} MB; at most 30 are read.")
    try:
        raw = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        start = data.lstrip()[:1]
        kind = "It begins like a web page. " if start == b"<" else ""
        raise Unreadable(f"The file is no notebook. {kind}({str(error)[:120]})") from None
    if isinstance(raw, dict) and isinstance(raw.get("worksheets"), list):
        sheets = [s for s in raw["worksheets"] if isinstance(s, dict)]
        raw = {"cells": [c for sheet in sheets for c in sheet.get("cells") or []]}
    if not isinstance(raw, dict) or not isinstance(raw.get("cells"), list):
        raise Unreadable("The file is JSON, but no notebook: it has no cells.")
    cells = [_cell(c, place) for place, c in enumerate(raw["cells"][:MAX_CELLS])]
    return [cell for cell in cells if cell]


def _cell(raw: Any, place: int) -> Cell | None:
    if not isinstance(raw, dict):
        return None
    source = raw.get("source", raw.get("input", ""))
    if isinstance(source, list):
        source = "".join(part for part in source if isinstance(part, str))
    if not isinstance(source, str):
        return None
    meta = raw.get("metadata") if isinstance(raw.get("metadata"), dict) else {}
    ours = meta.get("nbgrader") if isinstance(meta.get("nbgrader"), dict) else {}
    colab = meta.get("id")  # Colab keeps ids of its own there
    return Cell(
        kind=str(raw.get("cell_type", "code")),
        source=source[:MAX_SOURCE].replace("\r\n", "\n"),
        id=str(raw.get("id") or colab or ""),
        grade_id=str(ours.get("grade_id") or ""),
        place=place,
    )


def defined(source: str) -> list[str]:
    """Functions and classes that a source defines at its top level, also where it is broken."""
    try:
        body = ast.parse(_MAGIC.sub("pass", source)).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return _DEF.findall(source)
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    names = [node.name for node in body if isinstance(node, kinds)]
    assigned = [t.id for n in body if isinstance(n, ast.Assign) and isinstance(n.value, ast.Lambda)
                for t in n.targets if isinstance(t, ast.Name)]  # fmt: skip
    return names + assigned


def rebuild(cells: list[Cell], release: nbformat.NotebookNode) -> Rebuilt:
    """Lay `cells` onto `release`, which stays as it is."""
    return _Builder(cells, release).build()


class _Builder:
    def __init__(self, cells: list[Cell], release: nbformat.NotebookNode):
        self.cells = cells
        self.made = Rebuilt(copy.deepcopy(release))
        self.used: set[int] = set()
        self.at: dict[str, int] = {}  # release cell -> place in the submission
        self.kept: list[str] = []

    def build(self) -> Rebuilt:
        release = self.made.notebook.cells
        for cell in release:
            grade_id = cell.metadata.get("nbgrader", {}).get("grade_id", "")
            if cell.metadata.get("nbgrader", {}).get("solution"):
                (self._solution if cell.cell_type == "code" else self._answer)(cell, grade_id)
            else:
                self._given(cell, grade_id)
        self._metadata_gone()
        self._order()
        self._extras()
        self.made.learner_id = _declared_id(self.cells)
        return self.made

    # --- solution cells ---------------------------------------------------------------------
    def _solution(self, cell: Any, grade_id: str) -> None:
        stub, names = cell.source, set(defined(cell.source))
        by_id = [c for c in self.cells if grade_id in (c.grade_id, c.id) or c.id == cell.id]
        by_name = [c for c in self.cells if names & set(defined(c.source)) and not _checks(c)]
        found = sorted({c.place: c for c in by_id + by_name}.values(), key=lambda c: c.place)
        what = ", ".join(sorted(names))
        worked = [c for c in found if not _same(c.source, stub)]
        defining = [c for c in worked if c in by_name]
        chosen = (defining or worked or found or [None])[-1]
        self.made.written[grade_id] = bool(worked)
        self.used |= {c.place for c in found}
        if chosen is None:
            self._say(f"The cell for {what} was deleted; the empty form stands in its place.")
            return
        if len(found) > 1:
            self._say(f"{len(found)} cells define {what}; the last one that was worked on counts.")
        elif chosen not in by_id and any(c.grade_id for c in self.cells):
            self._say(f"The cell for {what} had lost its id; it was found by the name it defines.")
        if chosen.kind != "code":
            self._say(f"The cell for {what} had been turned into {chosen.kind}; it is code again.")
        if chosen.place in self.at.values():  # several tasks solved in one cell
            cell.source = f"# {what}: solved in a cell further up"
        else:
            cell.source = chosen.source
            self.at[cell.id] = chosen.place
            helpers = [c for c in worked if c is not chosen and not names <= set(defined(c.source))]
            self.used -= {c.place for c in helpers}

    # --- reflection answers -----------------------------------------------------------------
    def _answer(self, cell: Any, grade_id: str) -> None:
        match = REFLECTION.match(cell.source)
        opening = match[0] if match else cell.source[:40]
        by_id = [c for c in self.cells if grade_id in (c.grade_id, c.id) or c.id == cell.id]
        by_text = [c for c in self.cells if c.source.startswith(opening)]
        found = sorted({c.place: c for c in by_id + by_text}.values(), key=lambda c: c.place)
        worked = [c for c in found if not _same(c.source, cell.source)]
        name = grade_id.replace("-", " ")
        self.used |= {c.place for c in found}
        chosen = (worked or found or [None])[-1]
        if chosen is None:
            self._say(f"The cell for {name} was deleted.")
            self.made.answered[grade_id] = False
            return
        following = self._answer_below(chosen, cell) if not worked else None
        self.made.answered[grade_id] = bool(worked or following)
        cell.source = chosen.source
        if following:
            self.used.add(following.place)
            cell.source += "\n\n" + following.source
            self._say(f"The answer to {name} stood in a cell of its own below the question.")
        self.at[cell.id] = chosen.place

    def _answer_below(self, chosen: Cell, cell: Any) -> Cell | None:
        """A text cell of the learner's own right behind an unanswered question."""
        known = {_tidy(c.source) for c in self.made.notebook.cells if c.id != cell.id}
        later = next((c for c in self.cells if c.place == chosen.place + 1), None)
        own = later and later.kind == "markdown" and not REFLECTION.match(later.source)
        return later if own and later.source.strip() and _tidy(later.source) not in known else None

    # --- everything else --------------------------------------------------------------------
    def _given(self, cell: Any, grade_id: str) -> None:
        locked = cell.metadata.get("nbgrader", {}).get("locked", False)
        names = (grade_id, cell.id) if grade_id else (cell.id,)
        same_id = [c for c in self.cells if c.grade_id in names or c.id in names]
        same_text = [c for c in self.cells if _tidy(c.source) == _tidy(cell.source)]
        found = [c for c in [*same_id, *same_text] if c.place not in self.used]
        if locked:
            line = CHECK.search(cell.source)
            marked = [c for c in self.cells if line and line[0].strip() in c.source and _checks(c)]
            everything = EVERYTHING.search(cell.source)
            marked += [c for c in self.cells if everything and EVERYTHING.search(c.source)]
            here = found or [c for c in marked if c.place not in self.used]
            own = set(defined(here[0].source)) if here else set()
            self.used |= {c.place for c in here if not defined(c.source)}
            if not here and grade_id != "bootstrap":
                self._say(f"The cell {grade_id} was deleted; the release's own is used.")
            elif here and _tidy(here[0].source) != _tidy(cell.source) and grade_id != "bootstrap":
                kept = f" What it defines ({', '.join(sorted(own))}) is kept." if own else ""
                self._say(f"The cell {grade_id} was edited; the release's own is used.{kept}")
        elif found:
            self.used |= {c.place for c in found}
            cell.source = found[0].source
        if found and cell.id not in self.at:
            self.at[cell.id] = found[0].place

    def _metadata_gone(self) -> None:
        if self.cells and not any(c.grade_id for c in self.cells):
            self._say("The notebook had lost nbgrader's metadata; cells were found without it.")

    def _order(self) -> None:
        places = [self.at[c.id] for c in self.made.notebook.cells if c.id in self.at]
        if places != sorted(places):
            self._say("The cells stood in another order; they are back in the release's.")

    def _extras(self) -> None:
        """Put the learner's own cells behind the release's cell that they stood behind."""
        by_place = {place: cell_id for cell_id, place in self.at.items()}
        ids = [cell.id for cell in self.made.notebook.cells]
        anchor, inserted = "", 0
        follow: dict[str, list[Any]] = {}
        for cell in self.cells:
            if cell.place in by_place:
                anchor = by_place[cell.place]
            elif cell.place not in self.used and cell.source.strip():
                code = cell.kind == "code" or (cell.kind != "markdown" and defined(cell.source))
                make = new_code_cell if code else new_markdown_cell
                follow.setdefault(anchor, []).append(make(cell.source, id=f"own-{inserted}"))
                inserted += 1
        made = [*follow.pop("", [])]
        for cell_id, cell in zip(ids, self.made.notebook.cells, strict=True):
            made += [cell, *follow.pop(cell_id, [])]
        self.made.notebook.cells = made

    def _say(self, sentence: str) -> None:
        if sentence not in self.made.repairs:
            self.made.repairs.append(sentence)


def _checks(cell: Cell) -> bool:
    return bool(CHECK.search(cell.source)) and not defined(cell.source)


def _tidy(source: str) -> str:
    return "\n".join(line.rstrip() for line in source.strip().split("\n"))


def _same(source: str, stub: str) -> bool:
    """Whether nothing but layout and comments distinguishes a cell from the stub."""
    if _tidy(source) == _tidy(stub) or not source.strip():
        return True
    try:
        return ast.dump(ast.parse(source)) == ast.dump(ast.parse(stub))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def untouched(source: str) -> bool:
    """Whether a cell still holds the stub's lines."""
    return CODE_STUB[1] in source or TEXT_STUB[0] in source


def _declared_id(cells: list[Cell]) -> str:
    """The id that the learner named with ``check.learner_id("…")``; the last one counts."""
    found = ""
    for cell in cells:
        if cell.kind == "code" and "learner_id" in cell.source:
            for match in re.finditer(r"learner_id\(\s*(['\"])(.{1,200}?)\1\s*\)", cell.source):
                found = match[2]
    return found
