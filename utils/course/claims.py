"""The claim checks of the course: each has a number, one page, and stands there once."""

from __future__ import annotations

import re
from pathlib import Path

from utils.course.notebooks import read

PAGE_OF = {
    1: "concepts/large-models",
    2: "concepts/large-models",
    3: "concepts/scaling-laws",
    4: "concepts/foundation-models",
    5: "concepts/lifecycle",
    6: "algorithms/neural-networks",
    7: "algorithms/neural-networks",
    8: "algorithms/optimizers",
    9: "algorithms/regularization",
    10: "algorithms/convolutional-networks",
    11: "concepts/families",
    12: "algorithms/recurrent-networks",
    13: "algorithms/attention",
    14: "algorithms/transformer",
    15: "algorithms/pretraining-objectives",
    16: "math/probability-losses",
    17: "math/optimization",
    18: "math/generalization",
    19: "practice/evaluation",
    20: "practice/distributed-training",
    21: "applications/forecasting",
    22: "concepts/large-models",
    23: "algorithms/backpropagation",
    24: "algorithms/initialization-normalization",
}
HEADING = re.compile(r"^:::+\{admonition\} Claim check(?: (\d+))?\b", re.M)


def problems(paths: list[Path], root: Path) -> list[str]:
    """One sentence for each numbered claim check that is missing, doubled or on another page.

    Only pages among `paths` are asked for their claims. A claim check without a number is a
    page's own and may stand anywhere.
    """
    found = []
    for path in paths:
        if root / "chapters" not in path.parents:
            continue
        page = path.relative_to(root / "chapters").with_suffix("").as_posix()
        text = "\n".join(c.source for c in read(path).cells if c.cell_type == "markdown")
        numbers = [int(number) for number in HEADING.findall(text) if number]
        expected = sorted(number for number, home in PAGE_OF.items() if home == page)
        found += [f"{page}: claim check {n} is missing" for n in expected if n not in numbers]
        for number in sorted(set(numbers)):
            if numbers.count(number) > 1:
                found.append(f"{page}: claim check {number} stands there twice")
            if number not in expected:
                home = PAGE_OF.get(number, "no page")
                found.append(f"{page}: claim check {number} belongs to {home}")
    return found
