"""Mask and predict: exact distributions of hidden words, from both sides and from the left."""

from __future__ import annotations

import math

import traitlets

from utils.data.sentences import LENGTH, rules
from utils.explore.base import Explorable, source

SENTENCES = (
    "this queen near the boys reads the letter and sees herself .",
    "those kings behind the aunt open the door then like themselves .",
    "that uncle beside the girls cooks the soup and paints himself .",
    "these girls near the king write the poem and see themselves .",
)


def _weights(grammar: list[dict], seen: list[str | None], place: int) -> dict[str, float]:
    """P(word at `place` and the seen words), up to one factor, for each word that may stand there.

    `seen` holds a word or None at each place; what stands at `place` is not used.
    """
    words = dict.fromkeys(w for row in grammar[place]["table"].values() for w in row)
    return {word: _total(grammar, [*seen[:place], word, *seen[place + 1 :]]) for word in words}


def _total(grammar: list[dict], seen: list[str | None]) -> float:
    """Sum of the probabilities of all sentences with the seen words, from the leaves up."""
    below: list[dict[str, float]] = [{} for _ in grammar]  # what the children say about a word
    total = 1.0
    for place in reversed(range(len(grammar))):
        parent, table = grammar[place]["parent"], grammar[place]["table"]
        sums = {}
        for above, row in table.items():
            sums[above] = 0.0
            for word, share in row.items():
                if seen[place] is None or seen[place] == word:
                    sums[above] += share * below[place].get(word, 1.0)
        if parent < 0:
            total *= sums[""]
        else:
            old = below[parent]
            below[parent] = {word: old.get(word, 1.0) * value for word, value in sums.items()}
    return total


def _shares(weights: dict[str, float]) -> dict[str, float]:
    total = sum(weights.values())
    return {word: weight / total if total > 0 else 0.0 for word, weight in weights.items()}


def _bits(shares: dict[str, float]) -> float:
    return -sum(p * math.log2(p) for p in shares.values() if p > 0)


def mask_predict(grammar: list[dict], words: list[str], hidden: list[bool], place: int) -> dict:
    """Distributions of the word at `place` given all words in sight, and given those before it.

    Parameters
    ----------
    grammar: for each place its ``parent`` (-1: none) and ``table``, {parent's word: {word: p}},
        as `utils.data.sentences.rules`; a parent stands before its children.
    words: one a place. hidden: true where a word is out of sight; at `place` it always is.

    Returns
    -------
    ``both`` and ``left``, {word: probability}; ``both_bits`` and ``left_bits``, their entropies;
    ``both_true`` and ``left_true``, the probability of the word that stands there.

    Raises
    ------
    ValueError: lengths that differ, or no such place.
    """
    if not len(grammar) == len(words) == len(hidden) or not 0 <= place < len(words):
        raise ValueError(
            f"got {len(grammar)} rules, {len(words)} words, {len(hidden)} masks, place {place}: "
            "expected one of each a place, and a place among them"
        )
    seen = [None if out else word for word, out in zip(words, hidden, strict=True)]
    both = _shares(_weights(grammar, seen, place))
    before = [*seen[:place], *[None] * (len(words) - place)]
    left = _shares(_weights(grammar, before, place))
    return {
        "both": both,
        "left": left,
        "both_bits": _bits(both),
        "left_bits": _bits(left),
        "both_true": both.get(words[place], 0.0),
        "left_true": left.get(words[place], 0.0),
    }


class MaskPredict(Explorable):
    """Words to hide; bars show what can be known of one, from both sides and from the left."""

    _esm = source("mask_predict.js")
    title = "Mask and predict"
    fallback = (
        "With JavaScript, words of a sentence can be hidden here, and bars show the exact "
        "probabilities of a hidden word from both sides and from the left alone."
    )
    heights = ("50.5rem", "56.5rem")
    grammar = traitlets.List(rules()).tag(sync=True)
    sentences = traitlets.List(list(SENTENCES)).tag(sync=True)
    sentence = traitlets.Int(0, min=0, max=len(SENTENCES) - 1).tag(sync=True)
    hidden = traitlets.List([k == 1 for k in range(LENGTH)]).tag(sync=True)
    place = traitlets.Int(1, min=0, max=LENGTH - 1).tag(sync=True)
