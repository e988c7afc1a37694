"""Named mistakes of the lab `tokenization`, training: what a wrong answer would be, for each.

Each function is deliberately wrong in one way; names as in `utils.check.tokenization_reference`.
"""

from __future__ import annotations

from collections import Counter
from functools import partial

from utils.check.core import Mistake
from utils.check.tokenization_mistakes import no_overlap, unweighted
from utils.check.tokenization_reference import (
    best,
    merge_pair,
    pair_counts,
    pairs_of,
    places,
    train_plainly,
)


def counted_once(counts, num_merges) -> list:
    """The most frequent pairs of the untouched text."""
    found = pair_counts([list(c.encode()) for c in counts], list(counts.values()))
    return sorted(found, key=lambda pair: (-found[pair], pair))[:num_merges]


TIES = "Of several pairs that are equally frequent take the smallest: (97, 98) before (97, 99)."
TRAIN = (
    Mistake(
        "ties-largest",
        "Of equally frequent pairs the largest was taken, not the smallest.",
        partial(train_plainly, choose=lambda f: max(f, key=lambda pair: (f[pair], pair))),
        f"{TIES} max with the key (count, pair) prefers large pairs.",
    ),
    Mistake(
        "ties-as-met",
        "Of equally frequent pairs the one that was met first was taken, not the smallest.",
        partial(train_plainly, choose=lambda f: max(f, key=f.get)),
        f"{TIES} max with the count alone keeps the first it meets.",
    ),
    Mistake(
        "ties-right-id",
        "Ties were broken by the right id before the left one.",
        partial(train_plainly, choose=lambda f: min(f, key=lambda p: (-f[p], p[::-1]))),
        TIES,
    ),
    Mistake(
        "unweighted",
        "Each chunk was counted once, however often it occurs.",
        partial(train_plainly, count=unweighted),
        "The number of times a chunk occurs must reach pair_counts.",
    ),
    Mistake(
        "counted-once",
        "The pairs were counted at the start alone: no merge builds on another.",
        counted_once,
        "A new token makes new pairs, and takes occurrences away from old ones. Count again.",
    ),
    Mistake(
        "rarest",
        "The rarest pair was merged, not the most frequent.",
        partial(train_plainly, choose=lambda f: min(f, key=lambda p: (f[p], p))),
        "min over (-count, pair), or max over count.",
    ),
    Mistake(
        "ids-from-257",
        "The first merge made the id 257; it makes 256.",
        partial(train_plainly, first=257),
        "Bytes are the ids 0 to 255: how many merges are there before the first one?",
    ),
    Mistake(
        "once-is-too-few",
        "Training stopped before the pairs that occur once.",
        partial(train_plainly, least=2),
        "It goes on as long as any pair is left.",
    ),
    Mistake(
        "no-overlap",
        "In a run such as 'aaa' the pair was counted once, not twice.",
        partial(train_plainly, count=no_overlap),
        "Every two neighbours are a pair: three equal ids hold two pairs.",
    ),
    Mistake(
        "one-too-few",
        "There is one merge too few.",
        lambda counts, num_merges: train_plainly(counts, num_merges - 1),
        "After the last merge the list has num_merges items.",
    ),
    Mistake(
        "one-too-many",
        "There is one merge too many.",
        lambda counts, num_merges: train_plainly(counts, num_merges + 1),
        "After the last merge the list has num_merges items.",
    ),
)


def never_lowered(counts, num_merges) -> list:
    """Counts kept up to date for the pairs that a merge makes, not for those it destroys."""
    words, times = [list(chunk.encode()) for chunk in counts], list(counts.values())
    found, merges = Counter(pair_counts(words, times)), []
    while found and len(merges) < num_merges:
        pair, new = best(found), 256 + len(merges)
        del found[pair]
        words = [merge_pair(word, pair, new) for word in words]
        for made, n in pair_counts(words, times).items():
            if new in made:
                found[made] += n
        merges.append(pair)
    return merges


FAST = (
    *TRAIN,
    Mistake(
        "stale-counts",
        "Counts were raised for the new pairs and never lowered for those that a merge destroys.",
        never_lowered,
        "Before you merge in a chunk take its pairs off the counts; after it, put the new ones on.",
    ),
)


def _numbered(words, of) -> dict:
    found: dict = {}
    for i, word in enumerate(words):
        for pair in of(word):
            found.setdefault(pair, set()).add(i)
    return found


PLACES = (
    Mistake(
        "from-one",
        "The words are numbered from 1, not from 0.",
        lambda words: {p: {i + 1 for i in found} for p, found in places(words).items()},
        "enumerate counts from 0.",
    ),
    Mistake(
        "how-often",
        "The numbers of the words were asked for, not how often the pair occurs.",
        lambda words: pair_counts(words, [1] * len(words)),
        "A set for each pair, and the number of the word goes into it.",
    ),
    Mistake(
        "first-pair",
        "Only the first pair of each word was noted.",
        lambda words: _numbered(words, lambda word: pairs_of(word)[:1]),
        "Every pair of a word belongs into the dict.",
    ),
    Mistake(
        "lists",
        "These are lists; sets were asked for, which hold each word once.",
        lambda words: {p: sorted(found) for p, found in places(words).items()},
        "defaultdict(set) starts each pair with an empty set.",
    ),
)
RECOUNTS = Mistake(
    "recounts",
    "It takes as long as counting all pairs anew for each merge.",
    hint="Keep a Counter of pairs. A merge changes only the chunks that hold the pair, so note "
    "for each pair which chunks these are.",
)
TOO_SLOW = Mistake(
    "too-slow",
    "The result is right, but something in the loop still walks through all chunks.",
    hint="Inside the loop nothing may take as many steps as there are chunks. Which line does?",
)
MEMORY = Mistake(
    "memory",
    "It keeps much more than the chunks, the counts and where each pair stands.",
    hint="Does a list grow by all chunks at each merge? What a merge has used up can go.",
)
