"""Checks that keep the notebooks true: each returns sentences, none when all is well.

Every check has a planted fault in ``tests/course/test_check.py`` that it must find.
"""

from __future__ import annotations

import base64
import re
from pathlib import Path

import nbformat

from utils.course import anatomy, claims, lab_anatomy, numbers
from utils.course.fingerprint import fingerprint
from utils.course.normalize import RANDOM_ID, normalize
from utils.course.notebooks import dumps, read

MAX_NOTEBOOK_BYTES = 1_000_000
MAX_IMAGE_BYTES = 100_000
MAX_CELL_LINES = 25
MAX_PAGE_SECONDS = 60
MAX_MEAN_SECONDS = 15
MEAN_NEEDS_PAGES = 5
MIN_ALT = 40


def check_page(path: Path, root: Path) -> list[str]:
    """All that is wrong with one page, as sentences that begin with its path."""
    try:
        nb = read(path)
    except ValueError as error:
        return [str(error)]
    found = [
        *stored_form(nb, path, root),
        *freshness(nb, root),
        *outputs(nb),
        *pictures(nb),
        *lengths(nb),
        *numbers.problems(nb),
    ]
    if anatomy.is_content_page(path, root):
        found += anatomy.problems(nb)
    if lab_anatomy.is_lab(path, root):
        found += lab_anatomy.problems(path, nb, root)
    return [f"{path.relative_to(root).as_posix()}: {problem}" for problem in found]


def check_course(paths: list[Path], root: Path) -> list[str]:
    """What is wrong with the pages together: claim checks, and the mean of their running times.

    Below five pages a mean says nothing, and only the limit for each page holds.
    """
    chapters = [path for path in paths if (root / "chapters") in path.parents]
    found = claims.problems([p for p in chapters if anatomy.is_content_page(p, root)], root)
    stamps = [read(path).metadata.get("lmm", {}).get("stamp", {}) for path in paths]
    seconds = [stamp["seconds"] for stamp in stamps if "seconds" in stamp]
    mean = sum(seconds) / len(seconds) if seconds else 0.0
    if len(seconds) >= MEAN_NEEDS_PAGES and mean > MAX_MEAN_SECONDS:
        found.append(f"the pages take {mean:.1f} s in the mean; the limit is {MAX_MEAN_SECONDS} s")
    return found


def stored_form(nb: nbformat.NotebookNode, path: Path, root: Path) -> list[str]:
    """The file is what the normalizer would write, and not too large."""
    found = []
    text = path.read_text(encoding="utf-8")
    if len(text.encode()) > MAX_NOTEBOOK_BYTES:
        found.append(f"is {len(text.encode()):,} bytes; the limit is {MAX_NOTEBOOK_BYTES:,}")
    again = dumps(normalize(nbformat.from_dict(nb), root))
    if again != text:
        found.append("is not in the stored form; run `python -m utils.course run` on it")
    bad = [c.get("id", "?") for c in nb.cells if RANDOM_ID.match(c.get("id", ""))]
    return found + [f"cell id {name} tells nothing" for name in bad]


def freshness(nb: nbformat.NotebookNode, root: Path) -> list[str]:
    """The outputs belong to this code, and to the helpers as they are now."""
    stored = nb.metadata.get("lmm", {})
    if "fingerprint" not in stored or "stamp" not in stored:
        return ["was never run with `python -m utils.course run`"]
    found = []
    if stored["fingerprint"] != fingerprint(nb, root):
        found.append("its outputs are older than its code or the helpers it uses; run it again")
    if stored["stamp"]["seconds"] > MAX_PAGE_SECONDS:
        took = stored["stamp"]["seconds"]
        found.append(f"takes {took} s; the limit for a page is {MAX_PAGE_SECONDS} s")
    return found


def outputs(nb: nbformat.NotebookNode) -> list[str]:
    """Every code cell was run; no error or warning stands in an output unannounced."""
    found = []
    for cell in nb.cells:
        if cell.cell_type != "code":
            continue
        tags = cell.metadata.get("tags", [])
        if cell.execution_count is None:
            found.append(f"cell {cell.id} was not run")
        for output in cell.outputs:
            if output.output_type == "error" and "raises-exception" not in tags:
                found.append(f"cell {cell.id} ends in {output.ename} without being tagged")
            if output.output_type == "stream" and output.name == "stderr" and "stderr" not in tags:
                found.append(f"cell {cell.id} writes to stderr: {output.text[:80]!r}")
    return found


def pictures(nb: nbformat.NotebookNode) -> list[str]:
    """Every picture has a text that says what it shows, and is small enough."""
    found = []
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            found += [
                f"cell {cell.id}: an image without alternative text"
                for alt in re.findall(r"!\[([^\]]*)\]\(", cell.source)
                if len(alt.strip()) < MIN_ALT
            ]
            continue
        images = [
            output.data["image/png"]
            for output in cell.get("outputs", [])
            if "image/png" in output.get("data", {})
        ]
        if not images:
            continue
        about = cell.metadata.get("mystnb", {})
        if len(about.get("image", {}).get("alt", "").strip()) < MIN_ALT:
            found.append(f"cell {cell.id}: the figure has no alternative text (mystnb.image.alt)")
        if not about.get("figure", {}).get("caption", "").strip():
            found.append(f"cell {cell.id}: the figure has no caption (mystnb.figure.caption)")
        for image in images:
            size = len(base64.b64decode(image))
            if size > MAX_IMAGE_BYTES:
                found.append(f"cell {cell.id}: a picture of {size:,} bytes")
    return found


def lengths(nb: nbformat.NotebookNode) -> list[str]:
    """No code cell is too long to be read at a glance."""
    return [
        f"cell {cell.id} has {len(cell.source.splitlines())} lines; {MAX_CELL_LINES} at most"
        for cell in nb.cells
        if cell.cell_type == "code" and len(cell.source.splitlines()) > MAX_CELL_LINES
    ]
