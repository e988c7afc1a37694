"""Named mistakes of the lab `tokenization`, bytes and pairs: what a wrong answer would be.

Each function is deliberately wrong in one way; names as in `utils.check.tokenization_reference`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial

from utils.check.core import Mistake
from utils.check.tokenization_reference import merge_pair, pair_counts, pairs_of

# --- bytes ------------------------------------------------------------------------------------
TO_BYTES = (
    Mistake(
        "code-points",
        "These are the code points of the characters, not the bytes of the text.",
        lambda text: [ord(c) for c in text],
        "ord('中') is 20013; in UTF-8 this character takes three bytes, each below 256.",
    ),
    Mistake(
        "utf-16",
        "The text was encoded as UTF-16.",
        lambda text: list(text.encode("utf-16-le")),
        "Every ASCII character takes one byte in UTF-8.",
    ),
    Mistake(
        "ascii-only",
        "What is not ASCII was left out.",
        lambda text: list(text.encode("ascii", "ignore")),
        "Nothing of a text may be lost: a byte-level tokenizer knows no unknown character.",
    ),
    Mistake(
        "question-marks",
        "What is not ASCII became a question mark.",
        lambda text: list(text.encode("ascii", "replace")),
        "Nothing of a text may be lost: a byte-level tokenizer knows no unknown character.",
    ),
    Mistake(
        "bytes-object",
        "This is a bytes object; a list of ids was asked for, since ids above 255 follow.",
        lambda text: text.encode(),
        "list(…) of a bytes object gives its numbers.",
    ),
)
TO_TEXT = (
    Mistake(
        "dropped",
        "Bytes that are not valid UTF-8 were dropped in silence.",
        lambda ids: bytes(ids).decode("utf-8", "ignore"),
        "Whoever reads the text should see that something is broken: U+FFFD stands for it.",
    ),
    Mistake(
        "latin-1",
        "Each byte became a character of its own.",
        lambda ids: "".join(map(chr, ids)),
        "In UTF-8 a character beyond ASCII takes two to four bytes; decode them together.",
    ),
    Mistake(
        "one-by-one",
        "Each byte was decoded alone, so that characters of several bytes are lost.",
        lambda ids: "".join(bytes([b]).decode("utf-8", "replace") for b in ids),
        "Join all bytes first, then decode once.",
    ),
    Mistake(
        "escaped",
        "Invalid bytes were written as escapes.",
        lambda ids: bytes(ids).decode("utf-8", "backslashreplace"),
        'The name of what is asked for is errors="replace".',
    ),
)


# --- counting and merging ---------------------------------------------------------------------
def _each(words, counts, of: Callable) -> dict:
    found: Counter = Counter()
    for word, times in zip(words, counts, strict=True):
        for pair in of(word):
            found[pair] += times
    return dict(found)


def _apart(word) -> list:
    """Pairs where two of the same kind may not overlap, as `str.count` has it."""
    out, last = [], {}
    for i, pair in enumerate(pairs_of(word)):
        if last.get(pair, -2) < i - 1:
            out.append(pair)
            last[pair] = i
    return out


def unweighted(words, counts) -> dict:
    """Each distinct chunk counts once."""
    return pair_counts(words, [1] * len(counts))


def no_overlap(words, counts) -> dict:
    """A pair in a run of equal ids is counted without overlap."""
    return _each(words, counts, _apart)


PAIRS = (
    Mistake(
        "unweighted",
        "Each chunk was counted once, however often it occurs.",
        unweighted,
        "A chunk that occurs 50 times brings each of its pairs 50 times.",
    ),
    Mistake(
        "no-overlap",
        "In a run such as 'aaa' the pair was counted once, not twice.",
        no_overlap,
        "Every two neighbours are a pair: three equal ids hold two pairs.",
    ),
    Mistake(
        "across-words",
        "Pairs were counted across the border of two chunks.",
        lambda words, counts: {
            **Counter(pairs_of([id for w, n in zip(words, counts, strict=True) for id in w * n]))
        },
        "No token may reach over the end of a chunk, so a pair must not either.",
    ),
    Mistake(
        "unordered",
        "The two ids of a pair were put in order: (b, a) was counted as (a, b).",
        partial(_each, of=lambda word: [tuple(sorted(pair)) for pair in pairs_of(word)]),
        "'th' and 'ht' are different tokens.",
    ),
    Mistake(
        "once-a-word",
        "A pair was counted once a chunk, though the chunk holds it more often.",
        partial(_each, of=lambda word: set(pairs_of(word))),
        "'banana' holds the pair 'an' twice.",
    ),
    Mistake(
        "single-ids",
        "Single ids were counted, not pairs of neighbours.",
        partial(_each, of=lambda word: word),
        "pairwise(word) walks through the neighbours.",
    ),
)


def overlapping(ids, pair, new) -> list[int]:
    """Each place where the pair begins gives a new id."""
    hits = [i for i, p in enumerate(pairs_of(ids)) if p == tuple(pair)]
    covered = {i + 1 for i in hits} - set(hits)
    return [new if i in hits else id for i, id in enumerate(ids) if i not in covered]


def from_the_right(ids, pair, new) -> list[int]:
    """Occurrences are taken from the right end."""
    return merge_pair(list(ids)[::-1], tuple(pair)[::-1], new)[::-1]


def _first_alone(ids, pair, new) -> list[int]:
    place = pairs_of(ids).index(tuple(pair))
    return [*ids[:place], new, *ids[place + 2 :]]


def _kept(ids, pair, new) -> list[int]:
    hits = {i for i, p in enumerate(pairs_of(ids)) if p == tuple(pair)}
    return [new if i in hits else id for i, id in enumerate(ids)]


def _last_lost(ids, pair, new) -> list[int]:
    merged = merge_pair(ids, pair, new)
    return merged if tuple(ids[-2:]) == tuple(pair) else merged[:-1]


MERGE = (
    Mistake(
        "overlap",
        "An id was used by two merges: 'aaa' must become 'aa' and 'a', not 'aa' and 'aa'.",
        overlapping,
        "After a merge go on two places further.",
    ),
    Mistake(
        "from-the-right",
        "Of overlapping pairs the right one was merged; merging goes from the left.",
        from_the_right,
        "In 'aaa' the first two are merged, and the third stays.",
    ),
    Mistake(
        "first-alone",
        "Only the first occurrence was merged.",
        _first_alone,
        "Go on behind the merged pair, to the end.",
    ),
    Mistake(
        "right-kept",
        "The right id of the pair stayed behind the new one.",
        _kept,
        "One new id takes the place of two.",
    ),
    Mistake(
        "last-lost",
        "The last id got lost, since it has no right neighbour.",
        _last_lost,
        "The last id begins no pair, but it belongs to the result.",
    ),
    Mistake(
        "reversed-too",
        "The pair was merged in the other order as well.",
        lambda ids, pair, new: merge_pair(merge_pair(ids, pair, new), tuple(pair)[::-1], new),
        "'ht' is not 'th'.",
    ),
)
