"""Named mistakes of the lab `tokenization`: encoding, decoding, special tokens, own numbers.

Each function is deliberately wrong in one way; names as in `utils.check.tokenization_reference`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from utils.check import tokenization_reference as right
from utils.check.core import Mistake
from utils.check.probes_tokenization import invented_text


# --- encoding ---------------------------------------------------------------------------------
def _chunks(text: str, of: Callable) -> list[int]:
    return [id for chunk in right.split(text) for id in of(list(chunk.encode()))]


def _longest(text: str, merges) -> list[int]:
    ids = {}
    for id, token in enumerate(right.token_bytes(merges)):
        ids.setdefault(token, id)
    out = []
    for chunk in map(str.encode, right.split(text)):
        while chunk:
            size = next(n for n in range(len(chunk), 0, -1) if chunk[:n] in ids)
            out.append(ids[chunk[:size]])
            chunk = chunk[size:]
    return out


def _by(text: str, merges, choose: Callable) -> list[int]:
    """Merge one pair after the other; `choose` picks from pairs of (rank, place)."""
    rank = {tuple(pair): k for k, pair in enumerate(merges)}

    def of(ids: list[int]) -> list[int]:
        while True:
            known = [(rank[p], i) for i, p in enumerate(right.pairs_of(ids)) if p in rank]
            if not known:
                return ids
            k, i = choose(known)
            ids = [*ids[:i], 256 + k, *ids[i + 2 :]]

    return _chunks(text, of)


def _one_merge(text: str, merges) -> list[int]:
    rank = {tuple(pair): k for k, pair in enumerate(merges)}

    def of(ids: list[int]) -> list[int]:
        known = [rank[p] for p in right.pairs_of(ids) if p in rank]
        return right.merge_pair(ids, merges[min(known)], 256 + min(known)) if known else ids

    return _chunks(text, of)


ENCODE = (
    Mistake(
        "across-chunks",
        "A merge reached over the border of two chunks.",
        lambda text, merges: right.encode_chunk(list(text.encode()), merges),
        "Split the text first, and encode each chunk alone.",
    ),
    Mistake(
        "longest-match",
        "From the left the longest token was taken each time; that is not byte-pair encoding.",
        _longest,
        "Begin with single bytes, and merge the pair that was learnt first.",
    ),
    Mistake(
        "leftmost-first",
        "The leftmost pair that can be merged was taken, not the one of lowest rank.",
        lambda text, merges: _by(text, merges, lambda known: min(known, key=lambda k: k[1])),
        "Look at the ranks of all pairs of a chunk before you merge one.",
    ),
    Mistake(
        "highest-rank",
        "The pair of the highest rank was merged first; the lowest comes first.",
        lambda text, merges: _by(text, merges, lambda known: max(known)),
        "Training merged the pair of rank 0 before all others; encoding does the same.",
    ),
    Mistake(
        "one-merge",
        "Each chunk was merged once.",
        _one_merge,
        "A merge makes new pairs. Go on until no pair has a rank.",
    ),
    Mistake(
        "rank-as-id",
        "The rank of a merge was used as its id.",
        lambda text, merges: [
            id - 256 if id >= 256 else id for id in right.encode(text, merges)
        ],
        "Merge number k makes the id 256 + k.",
    ),
    Mistake(
        "no-merge",
        "These are the bytes of the text: nothing was merged.",
        lambda text, merges: list(text.encode()),
        "Look up each pair of neighbours among the merges.",
    ),
)  # fmt: skip


# --- decoding ---------------------------------------------------------------------------------
def _joined(ids, merges, specials, way: str) -> str:
    return b"".join(right.pieces(ids, merges, specials)).decode("utf-8", way)


def _swapped(ids, merges, specials) -> str:
    table = [bytes([byte]) for byte in range(256)]
    for left, later in merges:
        table.append(table[later] + table[left])
    known = dict(enumerate(table)) | {id: text.encode() for text, id in specials.items()}
    return b"".join(known[id] for id in ids).decode("utf-8", "replace")


DECODE = (
    Mistake(
        "each-alone",
        "Each token was decoded alone, so that characters cut by a token border are lost.",
        lambda ids, merges, specials: "".join(
            piece.decode("utf-8", "replace") for piece in right.pieces(ids, merges, specials)
        ),
        "A token is bytes, not text. Join the bytes of all tokens, then decode once.",
    ),
    Mistake(
        "dropped",
        "Bytes that are not valid UTF-8 were dropped in silence.",
        lambda *args: _joined(*args, "ignore"),
        'errors="replace" shows that something is broken.',
    ),
    Mistake(
        "latin-1",
        "Each byte became a character of its own.",
        lambda *args: b"".join(right.pieces(*args)).decode("latin-1"),
        "The bytes are UTF-8.",
    ),
    Mistake(
        "swapped",
        "The two halves of a merged token stand in the wrong order.",
        _swapped,
        "The bytes of a merged token are those of its left id, then those of its right id.",
    ),
    Mistake(
        "specials-left-out",
        "Special tokens are missing from the text.",
        lambda ids, merges, specials: right.decode(
            [id for id in ids if id not in specials.values()], merges, specials
        ),
        "The id of a special token decodes to its text.",
    ),
)
UNKNOWN_ID = Mistake(
    "unknown-id",
    "An id that no token has was not refused with ValueError.",
    hint="An id below 0 or beyond the vocabulary is a bug elsewhere: raise ValueError that says "
    "which id came. Beware: in a list, place -1 exists.",
)


# --- special tokens ---------------------------------------------------------------------------
def _cut_by(text: str, merges, specials, pattern: str) -> list[int]:
    out: list[int] = []
    for piece in re.split(f"({pattern})", text) if specials else [text]:
        out += [specials[piece]] if piece in specials else right.encode(piece or "", merges)
    return out


def _unsorted(text: str, merges, specials, **order) -> list[int]:
    tokens = sorted(specials, **order) if order else list(specials)
    return _cut_by(text, merges, specials, "|".join(map(re.escape, tokens)))


def _first_only(text: str, merges, specials) -> list[int]:
    first, *rest = right.cut(text, specials)
    if not rest:
        return right.encode(first, merges)
    after = right.encode("".join(rest[1:]), merges)
    return [*right.encode(first, merges), specials[rest[0]], *after]


SPECIAL = (
    Mistake(
        "plain-text",
        "Special tokens were encoded as plain text.",
        lambda text, merges, specials: right.encode(text, merges),
        "Cut the text at the special tokens first; what lies between them is encoded.",
    ),
    Mistake(
        "dropped",
        "Special tokens are missing from the ids.",
        lambda text, merges, specials: [
            id for piece in right.cut(text, specials) if piece not in specials
            for id in right.encode(piece, merges)
        ],
        "re.split keeps what it splits at when the pattern stands in parentheses.",
    ),
    Mistake(
        "first-listed",
        "Where two special tokens begin at one place the first in the dict was taken.",
        _unsorted,
        "The longest counts. Sort them by length before you build the pattern.",
    ),
    Mistake(
        "shortest-first",
        "Where two special tokens begin at one place the shorter was taken.",
        lambda *args: _unsorted(*args, key=len),
        "The longest counts: <|end|><|turn|> may be a token of its own.",
    ),
    Mistake(
        "first-only",
        "Only the first special token of the text was found.",
        _first_only,
        "A text holds any number of special tokens.",
    ),
    Mistake(
        "not-escaped",
        "The special tokens were read as regular expressions: | means 'or' there.",
        lambda text, merges, specials: _cut_by(
            text, merges, specials, "|".join(sorted(specials, key=len, reverse=True))
        ),
        "re.escape makes a string stand for itself.",
    ),
)  # fmt: skip


# --- numbers of one's own text ----------------------------------------------------------------
def numbers(seed: int) -> dict[str, tuple[Mistake, ...]]:
    """Mistakes for each number of the text that `seed` invents."""
    text = invented_text(seed)
    counts = Counter(right.split(text))
    merges = right.train(counts, right.MERGES + 1)
    distinct = sum(len(right.encode(chunk, merges[:-1])) for chunk in counts)
    first, other = merges[0], right.numbers(0)
    return {
        "tokens": (
            _named("bytes", "This is the number of bytes.", len(text.encode())),
            _named("chunks", "This is the number of chunks.", sum(counts.values())),
            _named("distinct", "Only different chunks were counted.", distinct),
            _named("another-id", FOREIGN, other["tokens"]),
        ),
        "first": (
            _named("second", "This is the second merge.", merges[1]),
            _named("swapped", "The two ids are swapped.", first[::-1]),
            _named("another-id", FOREIGN, other["first"]),
        ),
        "last": (
            _named("merge-99", "This is merge 99, not merge 100.", merges[-3]),
            _named("merge-101", "This is merge 101, not merge 100.", merges[-1]),
            _named("its-id", "This is an id; the pair that was merged is asked for.", 355),
            _named("another-id", FOREIGN, other["last"]),
        ),
    }


FOREIGN = "These are the numbers of the text without an id, not of yours."


def _named(slug: str, sentence: str, value: Any) -> Mistake:
    hint = "Name yourself in the cell above, run it again, and type what it prints."
    return Mistake(slug, sentence, lambda: value, hint)
