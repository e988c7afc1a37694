"""Make the explorables of a page live: module and runtime go into the page, inline.

Stored outputs hold a box without script (`utils/explore/base.py`). Inline, because a page opened
from a folder may not load modules from files.
"""

import re
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "utils" / "explore"
BOX = re.compile(r'<div class="explorable"[^>]* data-name="(\w+)"')
EXPORT = "export default { render };"


def script(name: str) -> str:
    """The text of one page script: runtime, shared helpers, module, start."""
    file = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower() + ".js"
    parts = [(FOLDER / part).read_text(encoding="utf-8") for part in ("runtime.js", "shared.js")]
    module = (FOLDER / file).read_text(encoding="utf-8")
    if module.count(EXPORT) != 1:
        raise ValueError(f"{file} must hold the line {EXPORT!r} once")
    return "\n".join([*parts, module.replace(EXPORT, f'start("{name}", {{ render }});')])


def inline(app, pagename, templatename, context, doctree):
    """Append the scripts of the explorables that the page's body holds."""
    names = sorted(set(BOX.findall(context.get("body") or "")))
    for name in names:
        context["body"] += f'\n<script type="module">\n{script(name)}\n</script>\n'


def setup(app):
    app.connect("html-page-context", inline)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
