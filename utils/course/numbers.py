"""Numbers in the text, compared with the numbers that the cells recorded.

A mark follows the number it vouches for::

    97.2 %<!-- =accuracy -->          equal after rounding to what is written
    97.2 %<!-- =accuracy ±0.5 -->     within 0.5, in the unit written (per cent here)
    1.9 times<!-- =ratio ±20% -->     within 20 per cent of what is written
    0.8 million<!-- =parameters -->   the words thousand, million, billion count
    2.3 ms<!-- =step_seconds x1000 -->  recorded in seconds, written in milliseconds

The mark may stand after a unit of at most three words. ``recorded`` values come from
`utils.record.record`.
"""

from __future__ import annotations

import re
from decimal import Decimal

import nbformat

from utils.record import MIME

MARK = re.compile(
    r"<!--\s*=(?P<name>\w+)(?:\s+x(?P<factor>[\d.e+-]+))?"
    r"(?:\s*±\s*(?P<tolerance>[\d.]+)\s*(?P<relative>%)?)?\s*-->"
)
NUMBER = re.compile(
    r"(?P<sign>[-−]?)(?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)"
    r"(?:\s*(?:×|\\times)\s*10(?:\^\{?(?P<power>[-−]?\d+)\}?|(?P<super>[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)))?"
    r"(?P<tail>(?:[  $*`]*(?:\\?%|[A-Za-z/·²³µ]+)){0,3}[  $*`]*)\Z"
)
SCALES = {"%": Decimal("0.01"), "thousand": 10**3, "million": 10**6, "billion": 10**9}
_SUPER = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


def recorded(nb: nbformat.NotebookNode) -> dict[str, float]:
    """All numbers that the notebook's cells recorded, by name."""
    values: dict[str, float] = {}
    for cell in nb.cells:
        for output in cell.get("outputs", []):
            values |= output.get("data", {}).get(MIME, {})
    return values


def problems(nb: nbformat.NotebookNode) -> list[str]:
    """One sentence for each mark whose number is not what was recorded."""
    values = recorded(nb)
    found = []
    for cell in nb.cells:
        if cell.cell_type != "markdown":
            continue
        for match in MARK.finditer(cell.source):
            text = cell.source[max(0, match.start() - 60) : match.start()]
            problem = _problem(text.split("\n")[-1], match, values)
            if problem:
                found.append(f"cell {cell.get('id')}: {problem}")
        for comment in re.findall(r"<!--\s*=[^>]*-->", cell.source):
            if not MARK.fullmatch(comment):
                found.append(f"cell {cell.get('id')}: cannot read the mark {comment}")
    return found


def _problem(text: str, match: re.Match, values: dict[str, float]) -> str | None:
    name = match["name"]
    if name not in values:
        return f"no cell records {name!r} (recorded: {', '.join(sorted(values)) or 'nothing'})"
    number = NUMBER.search(text)
    if not number:
        return f"no number stands before the mark ={name}: …{text[-30:]!r}"
    written, unit, rounding = _read(number)
    measured = Decimal(repr(values[name])) * Decimal(match["factor"] or 1) / unit
    if match["tolerance"] is None:
        allowed = rounding / 2 * Decimal("1.001")
    elif match["relative"]:
        allowed = abs(written) * Decimal(match["tolerance"]) / 100
    else:
        allowed = Decimal(match["tolerance"])
    if abs(written - measured) > allowed:
        return f"the text says {written} for {name}, the cell recorded {measured:.6g} (±{allowed})"
    return None


def _read(number: re.Match) -> tuple[Decimal, Decimal, Decimal]:
    """The number as written, the size of its unit, and one step of its last digit."""
    digits = number["digits"].replace(",", "")
    value = Decimal(digits)
    step = Decimal(1).scaleb(-len(digits.partition(".")[2]))
    power = number["power"] or (number["super"] or "0").translate(_SUPER)
    scale = Decimal(10) ** int(power.replace("−", "-"))
    if number["sign"]:
        value = -value
    words = number["tail"].replace("\\", "").replace("$", "").split()
    unit = Decimal(1)
    for word in words[:1]:
        unit = Decimal(SCALES.get(word.strip("*`"), 1))
    return value * scale, unit, step * scale
