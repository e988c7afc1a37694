"""The parts that every content page has, and their order (CONTRIBUTING, "Anatomy of a page")."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import nbformat

CONTENT_FOLDERS = ("concepts", "algorithms", "math", "practice", "applications")
GOALS, QUESTIONS, EXERCISES, READINGS = (3, 5), (3, 5), (4, 6), (3, 6)
# What a page must hold, in this order, and how it is recognized in its text.
PARTS = {
    "goals": r"^:class: goals",
    "an equation": r"^\$\$",
    "a prediction": r"^:class: predict",
    "takeaways": r"^:class: takeaways",
    "a quiz": r"^:::+\{quiz\}",
    "exercises": r"^:::+\{exercise\}",
    "further reading": r"^## Further reading",
}


def is_content_page(path: Path, root: Path) -> bool:
    """Pages of the five parts have the full anatomy; start, teaching and outlook don't."""
    parts = path.relative_to(root).parts
    return len(parts) > 2 and parts[0] == "chapters" and parts[1] in CONTENT_FOLDERS


def problems(nb: nbformat.NotebookNode) -> list[str]:
    """One sentence for each part that is missing, too small or out of place."""
    text = "\n\n".join(c.source for c in nb.cells if c.cell_type == "markdown")
    return [
        *_opening(nb),
        *_order(text),
        *_goals(text),
        *_quiz(text),
        *_exercises(text),
        *_reading(text),
        *_claims(text),
        *_fences(text),
        *_figure(nb),
    ]


def _opening(nb) -> list[str]:
    first = nb.cells[0].source if nb.cells else ""
    if not re.match(r"# \S.*\n\n\S", first):
        return ["does not open with a title and a sentence on what the reader will be able to do"]
    return []


def _order(text: str) -> list[str]:
    places = {name: re.search(rx, text, re.M) for name, rx in PARTS.items()}
    found = [f"has no part: {name}" for name, match in places.items() if not match]
    starts = [(match.start(), name) for name, match in places.items() if match]
    for (a, before), (b, after) in pairwise(starts):
        if a > b:
            found.append(f"{before} stands behind {after}")
    return found


def _goals(text: str) -> list[str]:
    block = re.search(r"^:class: goals\n(.*?)^:::", text, re.M | re.S)
    if not block:
        return []
    found = _count("goals", len(re.findall(r"^[-*] ", block[1], re.M)), GOALS)
    for label in ("**Time:**", "**Before this:**"):
        if label not in block[1]:
            found.append(f"the goals do not say {label}")
    return found


def _quiz(text: str) -> list[str]:
    blocks = re.findall(r"^:::+\{quiz\} *(.*?)\n(.*?)^:::+$", text, re.M | re.S)
    found = _count("quiz questions", len(blocks), QUESTIONS)
    for question, body in blocks:
        short = question[:40]
        answers = re.split(r"^- \[(?=[ x]\])", body, flags=re.M)[1:]
        if len(answers) < 2:
            found.append(f"quiz {short!r} has fewer than two answers")
        if not any(answer.startswith("x") for answer in answers):
            found.append(f"quiz {short!r} has no right answer")
        if all(answer.startswith("x") for answer in answers):
            found.append(f"quiz {short!r} has no wrong answer")
        if any(not re.search(r"^ +[-*] \S", answer, re.M) for answer in answers):
            found.append(f"quiz {short!r} leaves an answer unexplained")
    return found


def _exercises(text: str) -> list[str]:
    titles = re.findall(r"^:::+\{exercise\} *(.*)$", text, re.M)
    labels = re.findall(r"^:label: (ex-\S+)$", text, re.M)
    solved = re.findall(r"^:::+\{solution\} *(ex-\S+)\n:class: dropdown", text, re.M)
    found = _count("exercises", len(titles), EXERCISES)
    found += [f"exercise {title!r} is not rated with ★" for title in titles if "★" not in title]
    if len(labels) != len(titles):
        found.append("an exercise has no label ex-…")
    found += [
        f"exercise {name} has no folded solution" for name in labels[:-1] if name not in solved
    ]
    if labels and labels[-1] in solved:
        found.append("the last exercise is meant to stay open, but has a solution")
    return found


def _reading(text: str) -> list[str]:
    _, _, after = text.partition("## Further reading")
    works = [
        line for line in re.findall(r"^[-*] .*(?:\n(?![-*] ).+)*", after, re.M) if "{cite" in line
    ]
    return _count("works for further reading", len(works), READINGS)


def _claims(text: str) -> list[str]:
    claims = len(re.findall(r"^:class: claim", text, re.M))
    verdicts = re.findall(r"^\*\*Verdict\.\*\*(.*)$", text, re.M)
    words = ("holds", "hold under conditions", "does not hold", "do not hold")
    found = [] if claims == len(verdicts) else [f"{claims} claims, {len(verdicts)} verdicts"]
    return found + [
        f"the verdict {v.strip()[:40]!r} does not say whether the claim holds"
        for v in verdicts
        if not any(word in v.lower() for word in words)
    ]


def _fences(text: str) -> list[str]:
    ticks = re.findall(r"^```+\{(\w[\w:-]*)\}", text, re.M)
    return [f"```{{{name}}} shows as code outside the book; use :::{{{name}}}" for name in ticks]


def _figure(nb) -> list[str]:
    drawn = any(
        "image/png" in output.get("data", {})
        for cell in nb.cells
        for output in cell.get("outputs", [])
    )
    return [] if drawn else ["has no figure"]


def _count(what: str, number: int, limits: tuple[int, int]) -> list[str]:
    low, high = limits
    return [] if low <= number <= high else [f"has {number} {what}; {low} to {high} are asked for"]
