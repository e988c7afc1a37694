"""Probes of the lab `tokenization`, and the text that a learner's id seeds.

They run beside the learner's code and hold no reference. Nothing but the standard library is
imported, since a confined learner has no more.
"""

from __future__ import annotations

import itertools
import random
import tracemalloc
from typing import Any

WORDS, SYLLABLES, LENGTH = 120, 24, 1500


def invented_text(seed: int) -> str:
    """A text of 1,500 words in a language that `seed` invents; the same for the same seed.

    Frequent words and rare ones, as in Zipf's law: word number r of the language has a weight of
    1/r. Only `random.Random.random` is drawn from, which every version of Python keeps.

    Raises
    ------
    TypeError
        Where the seed is no whole number.
    """
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise TypeError(
            f"invented_text takes a whole number, got {type(seed).__name__}; a grader knows "
            "nothing of your notebook's SEED, so type numbers"
        )
    draw = random.Random(seed).random
    syllables = [_pick(draw, "bdfgklmnprstvz") + _pick(draw, "aeiou") for _ in range(SYLLABLES)]
    words = ["".join(_pick(draw, syllables) for _ in range(1 + int(3 * draw()))) for _ in
             range(WORDS)]  # fmt: skip
    ranked = [words[min(int((WORDS + 1) ** draw()) - 1, WORDS - 1)] for _ in range(LENGTH)]
    stops = ["." if draw() < 0.1 else "" for _ in ranked]
    return " ".join(word + stop for word, stop in zip(ranked, stops, strict=True))


def _pick(draw: Any, things: Any) -> Any:
    return things[int(len(things) * draw())]


def recount(namespace: dict[str, Any], counts: dict[str, int], passes: int) -> int:
    """The yardstick of speed: count all pairs of bytes in all chunks, `passes` times."""
    words, found = [chunk.encode() for chunk in counts], {}
    for _ in range(passes):
        found = {}
        for word, times in zip(words, counts.values(), strict=True):
            for pair in itertools.pairwise(word):
                found[pair] = found.get(pair, 0) + times
    return len(found)


def memory(namespace: dict[str, Any], counts: dict[str, int], num_merges: int) -> list[int]:
    """Bytes of one copy of the chunks as lists of ids, and the most that `train_fast` takes."""
    given = dict(counts)
    tracemalloc.start()
    try:
        words = [list(chunk.encode()) for chunk in given]
        copy = tracemalloc.get_traced_memory()[0]
        del words
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        namespace["train_fast"](given, num_merges)
        return [copy, tracemalloc.get_traced_memory()[1] - before]
    finally:
        tracemalloc.stop()
