"""``:::{page-map}``: a table of all pages, what each needs, and how long it takes.

Made from the pages themselves when the book is built, so it cannot fall behind them. The body
of the directive is what a reader sees where the book is not built.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

import nbformat
from docutils import nodes
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective

LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+?)(?:\.ipynb|\.md)?\)")
COLUMNS = ("Page", "Before it", "To read", "To run")


def facts(path: Path) -> dict[str, str]:
    """Title, time to read, time to run and prerequisites (as Markdown) of a notebook."""
    nb = nbformat.read(path, as_version=4)
    text = "\n\n".join(cell.source for cell in nb.cells if cell.cell_type == "markdown")
    title = re.search(r"^# (.+)$", text, re.M)
    read = re.search(r"^\*\*Time:\*\* *(\d+) minutes", text, re.M)
    before = re.search(r"^\*\*Before this:\*\* *(.+)$", text, re.M)
    seconds = nb.metadata.get("lmm", {}).get("stamp", {}).get("seconds")
    return {
        "title": title[1] if title else path.stem,
        "read": f"{read[1]} min" if read else "",
        "run": f"{seconds:.0f} s" if seconds else "",
        "before": before[1] if before else "",
    }


def split_links(text: str, docname: str) -> list[tuple[str, str | None]]:
    """The pieces of a line of Markdown: (words, page linked to or None)."""
    pieces, end = [], 0
    for match in LINK.finditer(text):
        pieces.append((text[end : match.start()], None))
        target = posixpath.normpath(posixpath.join(posixpath.dirname(docname), match[2]))
        pieces.append((match[1], target if "://" not in match[2] else None))
        end = match.end()
    pieces.append((text[end:], None))
    return [(words, page) for words, page in pieces if words]


class PageMap(SphinxDirective):
    has_content = True

    def run(self):
        tables = []
        for part in self.env.app.config.external_site_map.root.subtrees:
            names = [str(item) for item in part.items]
            paths = {name: Path(self.env.doc2path(name)) for name in names}
            rows = {name: path for name, path in paths.items() if path.suffix == ".ipynb"}
            if rows:
                tables.append(self._table(part.caption or "", rows))
            for path in rows.values():
                self.env.note_dependency(str(path))
        return [nodes.container("", *tables, classes=["page-map"])]

    def _table(self, caption: str, rows: dict[str, Path]):
        table = nodes.table(classes=["page-map-part"])
        table += nodes.title("", caption)
        group = nodes.tgroup(cols=len(COLUMNS))
        table += group
        group += [nodes.colspec(colwidth=width) for width in (32, 44, 12, 12)]
        group += nodes.thead("", _row([nodes.Text(name) for name in COLUMNS]))
        body = nodes.tbody()
        for name, path in rows.items():
            about = facts(path)
            before = [self._piece(*piece) for piece in split_links(about["before"], name)]
            cells = [self._piece(about["title"], name), before]
            cells += [nodes.Text(about["read"]), nodes.Text(about["run"])]
            body += _row(cells)
        group += body
        return table

    def _piece(self, words: str, page: str | None):
        if page is None:
            return nodes.Text(words)
        reference = addnodes.pending_xref(
            "",
            refdomain="std",
            reftype="doc",
            reftarget="/" + page,
            refexplicit=True,
            refdoc=self.env.docname,
            refwarn=True,
        )
        reference += nodes.inline("", words)
        return reference


def _row(cells) -> nodes.row:
    row = nodes.row()
    for cell in cells:
        pieces = cell if isinstance(cell, list) else [cell]
        row += nodes.entry("", nodes.paragraph("", "", *pieces))
    return row


def setup(app):
    app.add_directive("page-map", PageMap)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
