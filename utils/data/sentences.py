"""Sentences of twelve words from a small grammar whose every probability is known.

``this queen near the boys reads the letter and sees herself .``: the word at each place depends
on the word at one earlier place, its parent, or on none. So the probability of a sentence, and
that of any word given any others, are sums that can be done exactly. Number and gender of the
subject (place 1) come back at the verbs (5 and 9) and at the pronoun (10); another noun (4), of
any number, stands between; the object (7) goes by the verb.

Legend: N sentences, T = 12 places, V = vocab_size, words after the special tokens.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

SPECIAL = ("[START]", "[MASK]", "<0>", "<1>", "<2>", "<end>")
START, MASK, SENTINEL, END = 0, 1, 2, 5  # SENTINEL is the first of three
_MEN, _WOMEN = ("king", "boy", "uncle"), ("queen", "girl", "aunt")
_NOUNS = dict(zip((*_MEN, *_WOMEN), (5, 3, 2, 4, 4, 2), strict=True))  # with their weights
_OBJECTS = {
    ("read", "write"): {"letter": 6, "poem": 3, "story": 1},
    ("eat", "cook"): {"soup": 6, "bread": 3, "fish": 1},
    ("open", "close"): {"door": 6, "box": 3, "window": 1},
}
_VERBS, _SECOND = (
    {"read": 4, "write": 2, "eat": 3, "cook": 1, "open": 4, "close": 2},
    {"see": 5, "like": 3, "paint": 2},
)


def _plural(words: Mapping[str, float]) -> dict[str, float]:
    return {f"{word}s": weight for word, weight in words.items()}


def _slots() -> list[tuple[int | None, dict]]:
    """Each place: its parent's place, and the words' weights for each word of the parent."""
    many, verb = _plural(_NOUNS), _plural(_VERBS)  # a verb in the singular ends in s as well
    one = {"this": _NOUNS, "that": _NOUNS, "these": many, "those": many}
    agree = {noun: _plural(_VERBS) for noun in _NOUNS} | {noun: _VERBS for noun in many}
    second = {noun: _plural(_SECOND) for noun in _NOUNS} | {noun: _SECOND for noun in many}
    own = {noun: {"himself": 1} for noun in _MEN} | {noun: {"herself": 1} for noun in _WOMEN}
    own |= {noun: {"themselves": 1} for noun in many}
    objects = {v: row for pair, row in _OBJECTS.items() for w in pair for v in (w, f"{w}s")}
    assert objects.keys() == {*verb, *_VERBS}
    return [
        (None, {None: {"this": 3, "that": 2, "these": 3, "those": 2}}),
        (0, one),
        (None, {None: {"near": 3, "behind": 2, "beside": 1}}),
        (None, {None: {"the": 1}}),
        (None, {None: _NOUNS | many}),
        (1, agree),
        (None, {None: {"the": 1}}),
        (5, objects),
        (None, {None: {"and": 3, "then": 1}}),
        (1, second),
        (1, own),
        (None, {None: {".": 1}}),
    ]


_SLOTS = _slots()
PARENTS = tuple(parent for parent, _ in _SLOTS)
WORDS = (*SPECIAL, *dict.fromkeys(w for _, t in _SLOTS for row in t.values() for w in row))
CODE = {word: number for number, word in enumerate(WORDS)}
VOCAB_SIZE, LENGTH = len(WORDS), len(_SLOTS)


def rules() -> list[dict]:
    """The grammar: for each place its ``parent`` (-1: none) and ``table``, {parent: {word: p}}.

    Where there is no parent the table has the one key "".
    """
    rows = []
    for parent, table in _SLOTS:
        shares = {
            above or "": {word: weight / sum(row.values()) for word, weight in row.items()}
            for above, row in table.items()
        }
        rows.append({"parent": -1 if parent is None else parent, "table": shares})
    return rows


def _tables() -> Tensor:
    """P(word at a place | word at its parent), (T, V, V), float64; without parent, equal rows."""
    tables = torch.zeros(LENGTH, VOCAB_SIZE, VOCAB_SIZE, dtype=torch.float64)
    for place, rule in enumerate(rules()):
        for above, row in rule["table"].items():
            for word, share in row.items():
                tables[place, CODE[above] if above else slice(None), CODE[word]] = share
    return tables


TABLES = _tables()


def text(tokens: Tensor) -> str:
    """Words of one row of token numbers."""
    return " ".join(WORDS[number] for number in tokens.tolist())


def encode(sentence: str) -> Tensor:
    """Token numbers (n,), int64, of words with blanks between them.

    Raises
    ------
    ValueError: a word is not of the vocabulary.
    """
    strange = [word for word in sentence.split() if word not in CODE]
    if strange:
        raise ValueError(f"{strange[0]!r} is no word of this grammar; its words are WORDS")
    return torch.tensor([CODE[word] for word in sentence.split()])


def sentences(n: int, seed: int = 0) -> Tensor:
    """n sentences drawn from the grammar, (n, 12) int64."""
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.zeros(n, LENGTH, dtype=torch.int64)
    for place, parent in enumerate(PARENTS):
        above = tokens[:, 0 if parent is None else parent]
        drawn = torch.multinomial(TABLES[place][above], 1, generator=generator)
        tokens[:, place] = drawn[:, 0]
    return tokens


def log_probability(tokens: Tensor) -> Tensor:
    """ln P of whole sentences (N, 12), (N,) float64; minus infinity where the grammar forbids it.

    Raises
    ------
    ValueError: not (N, 12).
    """
    _check(tokens)
    total = torch.zeros(len(tokens), dtype=torch.float64)
    for place, parent in enumerate(PARENTS):
        above = tokens[:, 0 if parent is None else parent]
        total += TABLES[place, above, tokens[:, place]].log()
    return total


def conditionals(tokens: Tensor, hidden: Tensor) -> Tensor:
    """P(word at a place | all visible words at the others), (N, T, V) float64.

    tokens (N, 12); hidden (N, 12), true where the word may not be used. At a hidden place that is
    what can be known of it, at a visible one what the others tell. Exact, by sums along the
    parents, first up, then down (Pearl 1988, "belief propagation"). Zeros where the visible words
    contradict the grammar.

    Raises
    ------
    ValueError: shapes other than (N, 12).
    """
    _check(tokens)
    if hidden.shape != tokens.shape:
        raise ValueError(f"hidden must have shape {tuple(tokens.shape)}, got {tuple(hidden.shape)}")
    seen = torch.zeros(*tokens.shape, VOCAB_SIZE, dtype=torch.float64)
    seen.scatter_(2, tokens[..., None], 1.0)
    seen = torch.where(hidden[..., None], 1.0, seen)
    up: list = [None] * LENGTH  # what a place and those below it say about its parent
    below = torch.ones_like(seen)  # product of what its children say about a place
    for place in reversed(range(LENGTH)):
        parent = PARENTS[place]
        if parent is not None:
            up[place] = (seen[:, place] * below[:, place]) @ TABLES[place].T
            below[:, parent] *= up[place]
    found = torch.empty_like(seen)
    above = torch.empty_like(seen)  # what all others say, those below it left out
    for place, parent in enumerate(PARENTS):
        if parent is None:
            above[:, place] = TABLES[place, 0]
        else:
            others = above[:, parent] * seen[:, parent]
            for sibling in range(LENGTH):
                if PARENTS[sibling] == parent and sibling != place:
                    others = others * up[sibling]
            above[:, place] = others @ TABLES[place]
        found[:, place] = above[:, place] * below[:, place]
    return found / found.sum(-1, keepdim=True).clamp_min(1e-300)


def _check(tokens: Tensor) -> None:
    if tokens.ndim != 2 or tokens.shape[1] != LENGTH:
        raise ValueError(f"sentences have shape (N, {LENGTH}), got {tuple(tokens.shape)}")
