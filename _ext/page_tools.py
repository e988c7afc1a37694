"""What stands below each page, and what the site has beside its pages.

Below: read marks, run and download, cite, report and edit (where the home address is known).
Beside: 404 page, sitemap, robots, and a zip of the whole site.
"""

from __future__ import annotations

import datetime
import html
import re
import shutil
import zipfile
from pathlib import Path

from course_home import ROOT, colab_address, edit_address, home, issue_address, site
from page_meta import plain

ZIP = "large-models-measured.zip"
NO_TOOLS = {"search", "genindex", "prf-prf"}
CITE_KEY = re.compile(r"[^a-z0-9]+")

TOOLS = """
<section class="page-tools d-print-none" aria-label="Tools for this page" data-page="{page}">
<label class="read-mark pst-js-only"><input type="checkbox"> I have read this page</label>
<ul>{links}</ul>
<details><summary>Cite this page</summary>
<p>{text}</p>
<pre tabindex="0">{bibtex}</pre>
</details>
</section>
"""

# What the theme brings and no page uses (see theme_repairs).
UNUSED = (
    "_static/**/*.map",
    "_static/scripts/fontawesome*",
    "_static/scripts/bootstrap*",
    "_static/vendor/fontawesome/**/*",
    "_static/locales/**/*",
    "_static/sphinx-thebe*",
    "_static/katex.min.js",
    "_static/*webpack-macros.html",
)

NOT_FOUND = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Page not found – {title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta name="description" content="This address has no page; here is the list of those that exist.">
<style>:root {{ color-scheme: light dark; }}
html {{ background: light-dark(#fff, #121212); color: light-dark(#1a1a1a, #eee); }}
body {{ font: 1.05rem/1.6 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; }}
a {{ color: light-dark(#0b57d0, #8ab4f8); }}
</style></head><body><main><h1>There is no such page</h1>
<p>The address may be mistyped, or the page may have moved. These are the pages of
<a href="{base}/index.html">{title}</a>:</p><ul>{links}</ul></main></body></html>
"""


def add_tools(app, pagename, templatename, context, doctree):
    """Append the tools to the page's text, and its file's link to the zip of the site."""
    if doctree is None or pagename in NO_TOOLS:
        return
    source = Path(app.env.doc2path(pagename)).resolve().relative_to(ROOT).as_posix()
    title = plain(context.get("title", pagename))
    links = list(_links(app, pagename, source, context["pathto"]))
    text, bibtex = citation(title, pagename, _measured(app, pagename))
    context["body"] += TOOLS.format(
        page=html.escape(pagename),
        links="".join(f"<li>{link}</li>" for link in links),
        text=html.escape(text),
        bibtex=html.escape(bibtex),
    )


def _links(app, pagename: str, source: str, pathto):
    """Links of one page: download, run, report, edit, the site as a zip."""
    if source.endswith(".ipynb"):
        name = html.escape(pathto(f"_sources/{source}", 1))
        yield f'<a href="{name}" download>Download the notebook</a>'
        if home() and colab_address(home(), source):
            yield f'<a href="{html.escape(colab_address(home(), source))}">Open in Colab</a>'
        yield f"Run it in JupyterLab: <code>make lab</code>, then open <code>{source}</code>"
    if home():
        yield f'<a href="{html.escape(issue_address(home()))}">Report an error</a>'
        yield f'<a href="{html.escape(edit_address(home(), source))}">Propose a change</a>'
    if pagename == app.config.root_doc:
        yield f'<a href="{ZIP}" download>The whole site as a zip</a>, to read without the internet'


def _measured(app, pagename: str) -> str:
    """The year in which the page was last run, else this one."""
    path = Path(app.env.doc2path(pagename))
    if path.suffix == ".ipynb":
        import nbformat

        about = nbformat.read(path, as_version=4).metadata.get("lmm", {}).get("stamp", {})
        if "date" in about:
            return about["date"][:4]
    return str(datetime.date.today().year)


def citation(title: str, pagename: str, year: str) -> tuple[str, str]:
    """A page's citation as a sentence and as BibTeX."""
    book = "Large Models, Measured"
    address = f"{site()}/{pagename}.html" if site() else ""
    text = f"The authors of {book}. “{title}.” In {book}, {year}. {address}".strip()
    key = CITE_KEY.sub("-", f"lmm {pagename.rsplit('/', 1)[-1]}".lower())
    lines = [
        f"@incollection{{{key},",
        f"  author    = {{{{The authors of {book}}}}},",
        f"  title     = {{{title}}},",
        f"  booktitle = {{{book}}},",
        f"  year      = {{{year}}},",
    ]
    if address:
        lines.append(f"  url       = {{{address}}},")
    return text, "\n".join([*lines, "}"])


def finish(app, error) -> None:
    """Write what the site has beside its pages; last of all, so that the zip holds the rest."""
    if error is not None or app.builder.name != "html":
        return
    out = Path(app.outdir)
    for path in {p for pattern in UNUSED for p in out.glob(pattern) if p.is_file()}:
        path.unlink()
    titles = {n: plain(app.env.titles[n].astext()) for n in sorted(app.env.found_docs)}
    titles = {n: t for n, t in titles.items() if (out / f"{n}.html").is_file()}
    base = site()
    links = "".join(
        f'<li><a href="{base}/{n}.html">{html.escape(t)}</a></li>' for n, t in titles.items()
    )
    page = NOT_FOUND.format(title=html.escape(app.config.html_title), base=base, links=links)
    (out / "404.html").write_text(page, encoding="utf-8")
    (out / ".nojekyll").touch()
    shutil.copy(ROOT / "assets" / "preview" / "preview.png", out / "preview.png")
    if base:
        _write_sitemap(out, base, titles)
    write_zip(out)


def _write_sitemap(out: Path, base: str, titles) -> None:
    """A sitemap needs whole addresses, so there is one only where the site's is known."""
    rows = "".join(f"<url><loc>{html.escape(f'{base}/{n}.html')}</loc></url>\n" for n in titles)
    sitemap = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{rows}</urlset>\n'
    )
    (out / "sitemap.xml").write_text(sitemap, encoding="utf-8")
    (out / "robots.txt").write_text(f"Sitemap: {base}/sitemap.xml\n", encoding="utf-8")


def write_zip(out: Path) -> None:
    """The site in one file, the same bytes for the same pages."""
    target = out / ZIP
    target.unlink(missing_ok=True)
    files = sorted(p for p in out.rglob("*") if p.is_file())
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            name = f"large-models-measured/{path.relative_to(out).as_posix()}"
            info = zipfile.ZipInfo(name, date_time=(2020, 1, 1, 0, 0, 0))
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(info, path.read_bytes())


def setup(app):
    app.connect("html-page-context", add_tools)
    app.connect("build-finished", finish, priority=950)  # after theme_repairs
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
