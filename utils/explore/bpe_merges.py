"""Byte-pair encoding of a short text, one merge at a time."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import traitlets

from utils.explore.base import Explorable, source
from utils.tokenizer.pretokenize import byte_order, replace_surrogates, split

TEXT = "the cat sat on the mat, then the rat ate the hat that the cat had"
LONGEST = 160  # characters


def bpe_merges(text: str, step: int) -> dict:
    """State of training on one text after ``step`` merges.

    Text is cut by GPT-2's pattern, as in `utils.tokenizer`. A merge takes the most frequent pair
    of neighbors within chunks, of several the one with the smallest pair of ids (bytes in the
    order of `byte_order`, then merged tokens as they were made). It ends where no pair occurs
    twice.

    Returns
    -------
    ``tokens``, for each chunk its tokens, each a list of bytes; ``merges``, all that there are, as
    ``[left, right, count]``; ``pairs``, those that now occur, most frequent first, in that form;
    ``step``, at most the number of merges; ``length``, tokens now; ``bytes`` of the text.

    Raises
    ------
    ValueError
        For a negative step.
    """
    if step < 0:
        raise ValueError(f"step is {step}; expected 0, the bytes, or more")
    order = byte_order()
    rank = {byte: i for i, byte in enumerate(order)}
    token_bytes = [[byte] for byte in order]
    chunks = [[rank[b] for b in chunk.encode()] for chunk in split(replace_surrogates(text))]
    merges, at_step = [], None
    while True:
        pairs = _pairs(chunks)
        ends = not pairs or pairs[0][1] < 2
        if at_step is None and (ends or len(merges) == step):
            at_step = {
                "tokens": [[token_bytes[id] for id in chunk] for chunk in chunks],
                "pairs": [[token_bytes[a], token_bytes[b], n] for (a, b), n in pairs],
                "step": len(merges),
                "length": sum(map(len, chunks)),
            }
        if ends:
            break
        (left, right), count = pairs[0]
        merges.append([token_bytes[left], token_bytes[right], count])
        token_bytes.append(token_bytes[left] + token_bytes[right])
        chunks = [_merged(chunk, left, right, len(token_bytes) - 1) for chunk in chunks]
    size = len(replace_surrogates(text).encode())
    return {**at_step, "merges": merges, "bytes": size}


def _pairs(chunks: list[list[int]]) -> list[tuple[tuple[int, int], int]]:
    """Pairs of neighbors with their counts, in the order in which they would be merged."""
    counts = Counter(pair for chunk in chunks for pair in pairwise(chunk))
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _merged(chunk: list[int], left: int, right: int, new: int) -> list[int]:
    out, i = [], 0
    while i < len(chunk):
        found = chunk[i : i + 2] == [left, right]
        out.append(new if found else chunk[i])
        i += 2 if found else 1
    return out


class BpeMerges(Explorable):
    """A text as a row of tokens, the counts of its pairs, and a button for the next merge."""

    _esm = source("bpe_merges.js")
    title = "Byte-pair encoding, one merge at a time"
    fallback = (
        "With JavaScript, buttons make one merge after another in a text of your own here, and "
        "bars show how often each pair of neighbors occurs."
    )
    heights = ("42rem", "53rem")
    text = traitlets.Unicode(TEXT).tag(sync=True)
    step = traitlets.Int(0, min=0).tag(sync=True)

    @traitlets.validate("text")
    def _short(self, proposal):
        if len(proposal["value"]) > LONGEST:
            raise traitlets.TraitError(
                f"the text has {len(proposal['value'])} characters; give at most {LONGEST}"
            )
        return proposal["value"]
