"""Near-identical solutions: what two learners share beyond the stub and what many write."""

from __future__ import annotations

import ast
import itertools
import re
from collections import Counter
from dataclasses import dataclass

WIDTH = 6  # tokens in a shingle
ALIKE = 0.85
MIN_SHINGLES = 25
COMMON = 0.2  # a shingle in more than this share of the class is how one writes it

WARNING = (
    "A flag is no proof. Short tasks have few ways to be written well, learners may work in "
    "pairs where that is allowed, and both may have read the same page or the published "
    "solution. Read both notebooks and talk to both learners before you conclude anything."
)
_TOKEN = re.compile(r"[A-Za-z_]\w*|\d+\.?\d*|[^\s\w]")


@dataclass(frozen=True)
class Pair:
    """Two learners, the share of their own code that is the same, and in which tasks."""

    first: str
    second: str
    share: float
    tasks: tuple[str, ...]


def shingles(source: str) -> Counter[tuple[str, ...]]:
    """Runs of `WIDTH` tokens; comments, docstrings, layout and chosen names do not count."""
    tokens = _TOKEN.findall(_without_names(source))
    return Counter(tuple(tokens[i : i + WIDTH]) for i in range(len(tokens) - WIDTH + 1))


def _without_names(source: str) -> str:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return source
    bound = {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    } | {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in bound:
            node.id = "v"
        elif isinstance(node, ast.arg):
            node.arg = "v"
            node.annotation = None
        definition = isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef)
        if definition and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def pairs(codes: dict[str, dict[str, str]], given: list[str]) -> list[Pair]:
    """Pairs that are nearly the same, the most alike first.

    Parameters
    ----------
    codes
        Each learner's code for each task.
    given
        What everybody has: the stubs and the published solution. It does not count.
    """
    known = Counter()
    for source in given:
        known |= shingles(source)
    own = {
        (who, task): Counter({s: n for s, n in shingles(code).items() if s not in known})
        for who, parts in codes.items()
        for task, code in parts.items()
    }
    spread = Counter(s for counts in own.values() for s in counts)
    often = max(3, COMMON * len(codes))
    own = {
        key: Counter({s: n for s, n in c.items() if spread[s] <= often}) for key, c in own.items()
    }
    found = []
    for first, second in itertools.combinations(sorted(codes), 2):
        tasks = [task for task in codes[first] if task in codes[second]]
        one = sum((own[first, task] for task in tasks), Counter())
        two = sum((own[second, task] for task in tasks), Counter())
        if min(one.total(), two.total()) < MIN_SHINGLES:
            continue
        share = (one & two).total() / (one | two).total()
        if share >= ALIKE:
            alike = tuple(
                t for t in tasks if own[first, t] and _share(own, first, second, t) >= ALIKE
            )
            found.append(Pair(first, second, round(share, 3), alike))
    return sorted(found, key=lambda pair: (-pair.share, pair.first, pair.second))


def _share(own: dict, first: str, second: str, task: str) -> float:
    both = (own[first, task] | own[second, task]).total()
    return (own[first, task] & own[second, task]).total() / both if both else 0.0
