"""Make every page stand alone, say what it is, and pass an accessibility checker.

Each function names the flaw of the theme or of an extension that it answers, so that it
can go when that flaw is mended.
"""

from __future__ import annotations

from pathlib import Path

from bs4 import BeautifulSoup
from docutils import nodes

DESCRIPTION_LENGTH = 160


def describe(app, pagename, templatename, context, doctree):
    """The theme writes no meta description: take the page's first sentence."""
    if doctree is None:
        return
    first = next(iter(doctree.findall(nodes.paragraph)), None)
    if first is not None:
        text = " ".join(first.astext().split())[:DESCRIPTION_LENGTH].replace('"', "'")
        context["metatags"] = context.get("metatags", "") + (
            f'\n<meta name="description" content="{text}" />'
        )


def stamp(app, doctree, docname):
    """Say below the title when and where the page was last run."""
    path = Path(app.env.doc2path(docname))
    if path.suffix != ".ipynb":
        return
    import nbformat

    about = nbformat.read(path, as_version=4).metadata.get("lmm", {}).get("stamp")
    title = next(iter(doctree.findall(nodes.title)), None)
    if not about or title is None:
        return
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    run = f"{about['date']} in {about['seconds']:g} s on {about['processor']}"
    text = f"Last measured {run}; {versions}."
    line = nodes.paragraph("", "", nodes.Text(text), classes=["stamp"])
    title.parent.insert(title.parent.index(title) + 1, line)


def mend(app, error):
    """Remove what axe reports in the theme's pages, with an HTML parser."""
    if error is not None or app.builder.name != "html":
        return
    for path in Path(app.outdir).rglob("*.html"):
        soup = BeautifulSoup(path.read_text(encoding="utf-8"), "html5lib")
        for summary in soup.select("summary[aria-label]"):
            del summary["aria-label"]
        for button in soup.select("button.search-button, button.pst-navbar-icon.search-button"):
            button["aria-label"] = "Search"
        for entry in soup.select('[role="doc-biblioentry"], .citation-list[role]'):
            del entry["role"]
        items = ".sidebar-primary-items__start > .sidebar-primary-item"
        for logo in soup.select(f"{items}:has(.navbar-brand)"):
            logo["role"], logo["aria-label"] = "navigation", "Front page"  # in no landmark
        for script in soup.find_all("script"):  # sphinx-thebe loads itself from another host
            if "THEBE_JS_URL" in (script.string or "") or "thebe" in script.get("src", ""):
                script.decompose()
        path.write_text(str(soup), encoding="utf-8")


def setup(app):
    app.connect("html-page-context", describe)
    app.connect("doctree-resolved", stamp)
    app.connect("build-finished", mend, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
