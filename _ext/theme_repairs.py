"""Make finished pages lean, whole without a network, and clean for an accessibility checker.

Each function answers the flaw of the theme or of an extension that it names, so that it can go
when that flaw is mended. They work on parsed HTML, because the theme's templates offer no place
for them; lxml, because every page passes through here and html5lib took half of the build.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path
from urllib.parse import unquote

import lxml.html
from icons import PATHS, draw, name_of
from sphinx.util import logging

logger = logging.getLogger(__name__)

# The theme's script wants Bootstrap (24 KB compressed) for nothing but tooltips over buttons that
# have a title already.
NO_TOOLTIPS = "window.bootstrap = { Tooltip: class {} };"
SEARCH_ONLY = ("searchtools.js", "language_data.js", "searchindex.js")
FOLDED = ("toggle", "tag_hide-input", "tag_hide-output")
GLYPH = re.compile(r"(?:\.fa-[\w-]+:{1,2}before,?)+\{content:\"[^\"]*\"\}")


def drop_unused(root, page: str) -> None:
    """Scripts and styles that the page does not use, and those that load from other hosts."""
    never = ["fontawesome.js", "bootstrap.js", "thebe"]
    if page != "search.html":  # the theme loads the whole index on every page
        never += SEARCH_ONLY
    classes = [set(value.split()) for value in root.xpath("//@class")]
    if not any(name.startswith("sd-") for names in classes for name in names):
        never += ["sphinx-design", "design-tabs"]
    if not any(
        names.intersection(FOLDED) or names >= {"dropdown", "admonition"} for names in classes
    ):
        never += ["togglebutton"]
    for tag in root.xpath("//script | //link"):
        if _unwanted(tag, never):
            tag.drop_tree()
    if page != "search.html":  # nothing blocks the first picture
        for script in root.xpath("/html/head//script[@src]"):
            if "documentation_options" not in script.get("src"):  # inline scripts need it at once
                script.set("defer", "")
    stub = lxml.html.Element("script")
    stub.text = NO_TOOLTIPS
    root.find("head").append(stub)


def _unwanted(tag, never: list[str]) -> bool:
    """A script, style or preload whose address has one of the names; or a part of thebe's."""
    address = tag.get("src", "") or tag.get("href", "")
    asset = tag.tag == "script" or {"preload", "stylesheet"} & set(tag.get("rel", "").split())
    if asset and any(name in address for name in never):
        return True
    text = (tag.text or "").strip()
    thebe = "THEBE_JS_URL" in text or text == "kernelName = 'python3'"
    return tag.tag == "script" and (thebe or "thebe" in tag.get("type", ""))


def draw_icons(root, page: str) -> None:
    """Replace the theme's empty icon elements by small inline pictures."""
    for tag in root.xpath("//i[@class] | //span[@class]"):
        classes = tag.get("class").split()
        name = name_of(classes)
        if name is None:
            continue
        if name not in PATHS:
            logger.warning("%s: no picture for the icon %r; add it to _ext/icons.py", page, name)
            continue
        keep = [c for c in classes if not c.startswith("fa")]
        attributes = {k: v for k, v in tag.attrib.items() if k.startswith("data-")}
        picture = draw(name, keep, attributes)
        picture.tail = tag.tail
        tag.getparent().replace(tag, picture)


def mend_names(root, page: str) -> None:
    """What axe reports: names and roles that are missing, doubled or withdrawn."""
    for summary in root.xpath("//summary[@aria-label]"):
        del summary.attrib["aria-label"]
    for button in root.xpath(f"//button[{_classed('search-button')}]"):
        button.set("aria-label", "Search")
    biblio = f"//*[@role='doc-biblioentry'] | //*[{_classed('citation-list')}][@role]"
    for entry in root.xpath(biblio):
        del entry.attrib["role"]
    items = f"//*[{_classed('sidebar-primary-items__start')}]/*[{_classed('sidebar-primary-item')}]"
    for logo in root.xpath(f"{items}[.//*[{_classed('navbar-brand')}]]"):  # in no landmark
        logo.set("role", "navigation")
        logo.set("aria-label", "Front page")
    for table in root.xpath(f"//article//*[{_classed('pst-scrollable-table-container')}]/table"):
        table.set("tabindex", "0")  # what scrolls on a phone must be reached by keyboard


def _classed(name: str) -> str:
    """The XPath condition for elements of a class."""
    return f"contains(concat(' ', normalize-space(@class), ' '), ' {name} ')"


def drop_glyphs(css: str) -> str:
    """A style sheet without the signs of Font Awesome, a third of the theme's: icons are drawn."""
    return GLYPH.sub("", css)


def size_images(root, page: str, folder: Path) -> None:
    """Pictures keep their place while they load, and load when they come near."""
    for image in root.xpath("//article//img[@src]"):
        path = folder / unquote(image.get("src"))
        if path.suffix != ".png" or not path.is_file():
            continue
        width, height = struct.unpack(">II", path.read_bytes()[16:24])
        image.set("loading", "lazy")
        image.set("decoding", "async")
        if not image.get("width"):
            image.set("width", str(width))
            image.set("height", str(height))


def mend(app, error) -> None:
    """Repair every page that was written."""
    if error is not None or app.builder.name != "html":
        return
    out = Path(app.outdir)
    for sheet in sorted((out / "_static" / "styles").glob("*.css")):
        sheet.write_text(drop_glyphs(sheet.read_text(encoding="utf-8")), encoding="utf-8")
    for path in sorted(out.rglob("*.html")):
        if "_static" in path.parts:
            continue
        page = path.relative_to(out).as_posix()
        root = lxml.html.document_fromstring(path.read_text(encoding="utf-8"))
        drop_unused(root, page)
        draw_icons(root, page)
        mend_names(root, page)
        size_images(root, page, path.parent)
        text = lxml.html.tostring(root, encoding="unicode", doctype="<!DOCTYPE html>")
        path.write_text(text, encoding="utf-8")


def setup(app):
    app.connect("build-finished", mend, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
