"""The few icons of the theme's buttons, drawn here.

Answers a flaw of the theme: it loads all of Font Awesome, 700 KB compressed, for a dozen signs.
"""

from __future__ import annotations

from lxml.html import Element

# Strokes on a grid of 24 by 24.
PATHS = {
    "angle-left": "M15 5l-7 7 7 7",
    "angle-right": "M9 5l7 7-7 7",
    "arrow-up": "M12 20V4M5 11l7-7 7 7",
    "bars": "M3 6h18M3 12h18M3 18h18",
    "chevron-down": "M5 9l7 7 7-7",
    "circle-half-stroke": "M12 3a9 9 0 1 0 0 18zM12 3a9 9 0 0 1 0 18",
    "download": "M12 3v12M6 10l6 6 6-6M4 20h16",
    "expand": "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
    "file": "M6 3h8l4 4v14H6zM14 3v4h4",
    "list": "M8 6h13M8 12h13M8 18h13M3 6h1M3 12h1M3 18h1",
    "magnifying-glass": "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 1 0 0-13zM15.5 15.5L21 21",
    "moon": "M20 14A8.5 8.5 0 0 1 10 4a8.5 8.5 0 1 0 10 10z",
    "sun": "M12 8a4 4 0 1 0 0 8 4 4 0 1 0 0-8zM12 2v3M12 19v3M2 12h3M19 12h3M5 5l2 2M17 17l2 2"
    "M5 19l2-2M17 7l2-2",
}
SAME = {
    "search": "magnifying-glass",
    "file-pdf": "file",
    "file-lines": "file",
    "chevron-up": "arrow-up",
    "adjust": "circle-half-stroke",
}
FILLED = {"circle-half-stroke"}


def name_of(classes: list[str]) -> str | None:
    """The icon that an element with these classes asks for; None if it is no icon."""
    kinds = {"fa-solid", "fas", "fa-regular", "far", "fa", "fa-brands", "fab"}
    if not kinds & set(classes):
        return None
    names = [c[3:] for c in classes if c.startswith("fa-") and c not in kinds]
    named = [SAME.get(name, name) for name in names if name not in ("lg", "fw", "sm", "xl")]
    return named[0] if named else None


def draw(name: str, keep: list[str], attributes: dict[str, str]):
    """An inline picture of the icon; `keep` and `attributes` are the replaced element's."""
    svg = Element(
        "svg",
        {
            "viewBox": "0 0 24 24",
            "width": "1em",
            "height": "1em",
            "fill": "none",
            "stroke": "currentColor",
            "stroke-width": "2",
            "aria-hidden": "true",
            "class": " ".join(["icon", *keep]),
            **attributes,
        },
    )
    parts = PATHS[name].split("z", 1) if name in FILLED else [PATHS[name]]
    for number, part in enumerate(parts):
        path = Element("path", {"d": part})
        if name in FILLED and number == 0:
            path.set("fill", "currentColor")
        svg.append(path)
    return svg
