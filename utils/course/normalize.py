"""Bring a notebook into the one form in which it is stored.

Two people who run the same page must get the same file, so everything that differs
between runs or machines and that no reader needs is removed: timings, memory addresses,
absolute paths, progress bars, widget state, editor metadata. What is left is documented
in CONTRIBUTING, section "How a notebook is stored".
"""

from __future__ import annotations

import base64
import io
import re
import sys
from pathlib import Path

import nbformat

KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}
CELL_METADATA = ("tags", "mystnb", "nbgrader", "lmm", "editable", "deletable")
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
RANDOM_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){0,3}(-[0-9a-f]{12})?\Z|cell-\d+\Z")
PALETTE_ABOVE_BYTES = 40_000

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]{6,}")
_PROGRESS = re.compile(r"\d+%\|.*\|\s*\d+/\d+|\bit/s\b|\bs/it\b")
_IPYKERNEL = re.compile(r"/?\S*ipykernel_\d+[/\\]\d+\.py")
_SITE = re.compile(r"(?:[A-Za-z]:)?[/\\]\S*?site-packages[/\\]")


def normalize(nb: nbformat.NotebookNode, root: Path) -> nbformat.NotebookNode:
    """Normalize in place and return; doing it twice changes nothing.

    `root` is the folder of the course; its absolute path is cut out of the outputs.
    """
    nb.nbformat, nb.nbformat_minor = 4, 5
    course = nb.metadata.get("lmm")
    nb.metadata = nbformat.from_dict(
        {"kernelspec": KERNELSPEC, "language_info": {"name": "python"}}
        | ({"lmm": course} if course else {})
    )
    nb.cells = [cell for cell in nb.cells if cell.source.strip()]
    _name_cells(nb)
    count = 0
    for cell in nb.cells:
        cell.metadata = nbformat.from_dict(_cell_metadata(cell))
        cell.source = "\n".join(line.rstrip() for line in cell.source.split("\n")).strip("\n")
        if cell.cell_type != "code":
            cell.pop("attachments", None)
            continue
        count += 1
        cell.execution_count = count
        cell.outputs = _outputs(cell, count, root)
    return nb


def _cell_metadata(cell) -> dict:
    kept = {key: cell.metadata[key] for key in CELL_METADATA if key in cell.metadata}
    if not kept.get("tags"):
        kept.pop("tags", None)
    return kept


def _name_cells(nb) -> None:
    """Give every cell without a telling id one made from its text."""
    taken: set[str] = set()
    for cell in nb.cells:
        current = cell.get("id", "")
        if not current or RANDOM_ID.match(current) or current in taken:
            current = _unique(_slug(cell), taken)
        cell["id"] = current
        taken.add(current)


def _slug(cell) -> str:
    source = cell.source
    if cell.cell_type == "markdown":
        heading = re.search(r"^#{1,4} (.+)$", source, re.M)
        named = re.search(r"^:::+\{(?:[\w-]+)\} *(.+)$", source, re.M)
        text = (heading or named).group(1) if heading or named else source[:60]
    else:
        defined = re.search(r"^(?:def|class) (\w+)", source, re.M)
        assigned = re.search(r"^(\w+)[^=\n]*=(?!=)", source, re.M)
        match = defined or assigned
        text = match.group(1) if match else source.split("\n")[0]
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:44].strip("-") or "cell"
    return f"{slug}-text" if RANDOM_ID.match(slug) else slug


def _unique(slug: str, taken: set[str]) -> str:
    candidate, number = slug, 2
    while candidate in taken:
        candidate, number = f"{slug}-{number}", number + 1
    return candidate


def _outputs(cell, count: int, root: Path) -> list:
    outputs: list = []
    for output in cell.outputs:
        kind = output.output_type
        if kind == "stream":
            output = _stream(output, root)
            if not output.text:
                continue
            if outputs and outputs[-1].output_type == "stream" and outputs[-1].name == output.name:
                outputs[-1].text += output.text
                continue
        elif kind == "error":
            output.traceback = [_clean(line, root) for line in output.traceback]
        else:
            output.metadata = nbformat.from_dict({})
            output.pop("transient", None)
            output.data = nbformat.from_dict(_bundle(output.data, cell, root))
            if kind == "execute_result":
                output.execution_count = count
        outputs.append(output)
    return outputs


def _stream(output, root: Path):
    text = re.sub(r"[^\n]*\r(?!\n)", "", output.text)
    lines = [line for line in text.splitlines(keepends=True) if not _PROGRESS.search(line)]
    output.text = _clean(_ANSI.sub("", "".join(lines)), root)
    return output


def _bundle(data: dict, cell, root: Path) -> dict:
    out = {}
    for mime, value in data.items():
        if mime == WIDGET_VIEW:
            value = {"model_id": f"view-{cell.get('id', 'cell')}"} | {
                k: v for k, v in value.items() if k != "model_id"
            }
        elif mime == "image/png":
            value = _png(value, photo="photo" in cell.metadata.get("tags", []))
        elif mime.startswith("text/") or mime == "image/svg+xml":
            value = _clean(value, root)
        out[mime] = value
    return out


def _clean(text: str, root: Path) -> str:
    text = _ADDRESS.sub("at 0x…", text)
    text = _IPYKERNEL.sub("cell", text)
    text = _SITE.sub("site-packages/", text)
    for path, short in ((root, "."), (Path(sys.base_prefix), "python"), (Path.home(), "~")):
        if len(str(path)) > 1:
            text = text.replace(str(path) + "/", short + "/").replace(str(path), short)
    return text


def _png(encoded: str, photo: bool) -> str:
    """Drop the metadata of a fresh picture; reduce a big line drawing to 255 colours."""
    from PIL import Image  # publishing labs does without

    raw = base64.b64decode(encoded)
    image = Image.open(io.BytesIO(raw))
    if "Software" not in image.info:  # matplotlib signs its pictures; this one has been here
        return encoded.strip()
    clean = image.convert("RGB")
    if len(raw) > PALETTE_ABOVE_BYTES and not photo:
        clean = clean.quantize(255, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    clean.info.clear()
    buffer = io.BytesIO()
    clean.save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()
