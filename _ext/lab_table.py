"""``:::{lab-table}``: the labs with time, points, what is needed and what is asked.

Made from the student forms in ``labs/`` when the book is built. The body of the directive is what
a reader sees where the book is not built.
"""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
from course_home import LABS_BRANCH, ROOT, colab_address, home
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

TASK = re.compile(r"^## Task \d+: (.+?) \((★+), (\d+) minutes, (\d+) points?\)", re.M)


def facts(path: Path) -> dict:
    """Title, minutes, points and tasks of a lab, read from its student form."""
    nb = nbformat.read(path, as_version=4)
    text = "\n\n".join(cell.source for cell in nb.cells if cell.cell_type == "markdown")
    points = re.search(r"^\*\*Points:\*\* (\d+), of which (\d+)", text, re.M)
    return {
        "name": path.stem,
        "title": re.search(r"^# (?:Lab: )?(.+)$", text, re.M)[1],
        "time": re.search(r"^\*\*Time:\*\* (\d+) minutes", text, re.M)[1],
        "points": f"{points[1]} ({points[2]} checked, {int(points[1]) - int(points[2])} by hand)",
        "machine": re.search(r"^\*\*Machine:\*\* ([^;.\n]+)", text, re.M)[1],
        "tasks": TASK.findall(text),
    }


class LabTable(SphinxDirective):
    has_content = True

    def run(self):
        found = []
        for path in sorted((ROOT / "labs").glob("*.ipynb")):
            self.env.note_dependency(str(path))
            found += self._lab(facts(path))
        return found

    def _lab(self, about: dict) -> list[nodes.Node]:
        title = nodes.rubric("", f"{about['name']}: {about['title']}")
        line = f"{about['time']} minutes; points: {about['points']}; machine: {about['machine']}. "
        where = nodes.paragraph("", line)
        path = f"labs/{about['name']}.ipynb"
        where += nodes.literal("", path)
        address = home() and colab_address(home(), path, LABS_BRANCH)
        if address:
            where += nodes.Text(", ")
            where += nodes.reference("", "open in Colab", refuri=address)
        tasks = nodes.enumerated_list(enumtype="arabic", prefix="", suffix=".")
        for name, stars, minutes, points in about["tasks"]:
            text = f"{name} ({stars}, {minutes} minutes, {points} points)"
            tasks += nodes.list_item("", nodes.paragraph("", text))
        return [title, where, tasks]


def setup(app):
    app.add_directive("lab-table", LabTable)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
