"""What a page says about itself: description, preview for sharing, when it was last run."""

from __future__ import annotations

import html
from pathlib import Path

import lxml.html
from course_home import site
from docutils import nodes

DESCRIPTION_LENGTH = 160
PREVIEW = "preview.png"


def describe(app, pagename, templatename, context, doctree):
    """The theme writes no meta description and no preview: take the page's first sentences."""
    if doctree is None:
        return
    first = next((p for p in doctree.findall(nodes.paragraph) if "stamp" not in p["classes"]), None)
    if first is None:
        return
    text = " ".join(first.astext().split())
    if len(text) > DESCRIPTION_LENGTH:
        text = text[:DESCRIPTION_LENGTH].rsplit(" ", 1)[0] + " …"
    tags = {
        "og:title": context.get("title", ""),
        "og:description": text,
        "og:type": "article",
        "og:site_name": app.config.html_title,
    }
    if site():  # addresses in previews must be whole
        tags["og:url"] = f"{site()}/{pagename}.html"
        tags["og:image"] = f"{site()}/{PREVIEW}"
    lines = [f'<meta name="description" content="{html.escape(text)}" />']
    lines += [
        f'<meta property="{name}" content="{html.escape(plain(value))}" />'
        for name, value in tags.items()
    ]
    context["metatags"] = context.get("metatags", "") + "\n" + "\n".join(lines)


def plain(markup: str) -> str:
    """Text without tags: Sphinx hands titles over as HTML."""
    return lxml.html.fragment_fromstring(markup, create_parent=True).text_content()


def stamp(app, doctree, docname):
    """Say below the title when and where the page was last run."""
    path = Path(app.env.doc2path(docname))
    if path.suffix != ".ipynb" or docname == app.config.root_doc:
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


def setup(app):
    app.connect("html-page-context", describe)
    app.connect("doctree-resolved", stamp)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
