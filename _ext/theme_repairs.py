"""Make finished pages lean, whole without a network, and clean for an accessibility checker.

Each function answers the flaw of the theme or of an extension that it names, so that it can go
when that flaw is mended. They work on parsed HTML, because the theme's templates offer no place
for them.
"""

from __future__ import annotations

import struct
from pathlib import Path
from urllib.parse import unquote

from bs4 import BeautifulSoup
from icons import PATHS, draw, name_of
from sphinx.util import logging

logger = logging.getLogger(__name__)

# The theme's script wants Bootstrap (24 KB compressed) for nothing but tooltips over buttons that
# have a title already.
NO_TOOLTIPS = "window.bootstrap = { Tooltip: class {} };"
SEARCH_ONLY = ("searchtools.js", "language_data.js", "searchindex.js")


def drop_unused(soup, page: str) -> None:
    """Scripts and styles that the page does not use, and those that load from other hosts."""
    never = ["fontawesome.js", "bootstrap.js", "thebe"]
    if page != "search.html":  # the theme loads the whole index on every page
        never += SEARCH_ONLY
    if not soup.select_one("[class*='sd-']"):
        never += ["sphinx-design", "design-tabs"]
    if not soup.select_one(".toggle, .dropdown.admonition, .tag_hide-input, .tag_hide-output"):
        never += ["togglebutton"]
    for tag in soup.select("script, link"):
        if _unwanted(tag, never):
            tag.decompose()
    if page != "search.html":  # nothing blocks the first picture
        for script in soup.select("head script[src]"):
            if "documentation_options" not in script["src"]:  # inline scripts need it at once
                script["defer"] = ""
    stub = soup.new_tag("script")
    stub.string = NO_TOOLTIPS
    soup.head.append(stub)


def _unwanted(tag, never: list[str]) -> bool:
    """A script, style or preload whose address has one of the names; or a part of thebe's."""
    address = tag.get("src", "") or tag.get("href", "")
    asset = tag.name == "script" or {"preload", "stylesheet"} & set(tag.get("rel", []))
    if asset and any(name in address for name in never):
        return True
    text = (tag.string or "").strip()
    thebe = "THEBE_JS_URL" in text or text == "kernelName = 'python3'"
    return tag.name == "script" and (thebe or "thebe" in tag.get("type", ""))


def draw_icons(soup, page: str) -> None:
    """Replace the theme's empty icon elements by small inline pictures."""
    for tag in soup.find_all(["i", "span"], class_=True):
        name = name_of(tag["class"])
        if name is None:
            continue
        if name not in PATHS:
            logger.warning("%s: no picture for the icon %r; add it to _ext/icons.py", page, name)
            continue
        keep = [c for c in tag["class"] if not c.startswith("fa")]
        attributes = {k: v for k, v in tag.attrs.items() if k.startswith("data-")}
        tag.replace_with(draw(soup, name, keep, attributes))


def mend_names(soup, page: str) -> None:
    """What axe reports: names and roles that are missing, doubled or withdrawn."""
    for summary in soup.select("summary[aria-label]"):
        del summary["aria-label"]
    for button in soup.select("button.search-button, button.pst-navbar-icon.search-button"):
        button["aria-label"] = "Search"
    for entry in soup.select('[role="doc-biblioentry"], .citation-list[role]'):
        del entry["role"]
    items = ".sidebar-primary-items__start > .sidebar-primary-item"
    for logo in soup.select(f"{items}:has(.navbar-brand)"):
        logo["role"], logo["aria-label"] = "navigation", "Front page"  # in no landmark
    for table in soup.select("article .pst-scrollable-table-container > table"):
        table["tabindex"] = "0"  # what scrolls on a phone must be reached by keyboard


def size_images(soup, page: str, folder: Path) -> None:
    """Pictures keep their place while they load, and load when they come near."""
    for image in soup.select("article img[src]"):
        path = folder / unquote(image["src"])
        if path.suffix != ".png" or not path.is_file():
            continue
        width, height = struct.unpack(">II", path.read_bytes()[16:24])
        image["loading"], image["decoding"] = "lazy", "async"
        if not image.get("width"):
            image["width"], image["height"] = width, height


def mend(app, error) -> None:
    """Repair every page that was written."""
    if error is not None or app.builder.name != "html":
        return
    out = Path(app.outdir)
    for path in sorted(out.rglob("*.html")):
        if "_static" in path.parts:
            continue
        page = path.relative_to(out).as_posix()
        soup = BeautifulSoup(path.read_text(encoding="utf-8"), "html5lib")
        drop_unused(soup, page)
        draw_icons(soup, page)
        mend_names(soup, page)
        size_images(soup, page, path.parent)
        path.write_text(str(soup), encoding="utf-8")


def setup(app):
    app.connect("build-finished", mend, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
