"""Training of byte-pair encoding: which pairs to merge, in which order.

The algorithm is that of Sennrich et al. 2016, "Neural Machine Translation of Rare Words with
Subword Units" (section 3.2, algorithm 1), on bytes (Radford et al. 2019, section 2.2): merge the
most frequent pair of neighboring tokens, until the vocabulary is full. The plain form recounts
every pair at each merge. Here instead

- equal chunks are one word with a count, so a merge is done once for all of them;
- pair counts are kept up to date: a merge changes only the counts around it;
- each pair knows the words it stands in, and a heap knows the most frequent pair. Entries of the
  heap may be out of date: a count that has fallen is noticed, and set right, when it comes up;
- a word is a string with one character a token, the character whose code point is the token's
  id, so that finding and replacing a pair are single calls of `str.split`.

**Ties.** Of several pairs with the same count the one with the smallest pair of ids comes first:
smallest left id, then smallest right id. Ids of bytes follow `pretokenize.byte_order`, merged
tokens follow in the order they were made. Hugging Face's `BpeTrainer` does the same when given
the alphabet of all 256 bytes, and the merges are equal (tested).

**No token is made twice**, say from "a" + "bc" and from "ab" + "c". Two occurrences of "abc" whose
ends are still ends of tokens have seen only the merges inside them, the same ones in the same
order (a run such as "aaa" is merged from its left end in both), so they are cut alike.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping

from utils.tokenizer.pretokenize import byte_order, count_chunks

_MOST_TOKENS = 0x110000  # an id must be a code point; the largest vocabularies have 260,000


def train_merges(
    texts: Iterable[str], vocab_size: int, *, min_frequency: int = 0
) -> list[tuple[bytes, bytes]]:
    """Merges that byte-pair encoding learns from texts, first one first.

    Parameters
    ----------
    texts : documents; no pair is counted across two of them.
    vocab_size : 256 bytes and the merged tokens; at least 256. Fewer merges come back when no
        pair is left.
    min_frequency : a pair that occurs less often is not merged.

    Raises
    ------
    ValueError
        For a vocabulary below 256 or beyond 1,114,112.
    TypeError
        Where `texts` is one string.
    """
    if not 256 <= vocab_size <= _MOST_TOKENS:
        raise ValueError(
            f"vocab_size must be from 256 (the bytes) to {_MOST_TOKENS}, got {vocab_size}"
        )
    return merges_of_counts(count_chunks(texts), vocab_size, min_frequency=min_frequency)


def merges_of_counts(
    chunk_counts: Mapping[str, int], vocab_size: int, *, min_frequency: int = 0
) -> list[tuple[bytes, bytes]]:
    """As `train_merges`, from the number of times each distinct chunk occurs."""
    token_bytes = [bytes([byte]) for byte in byte_order()]
    words, word_counts = _words(chunk_counts)
    pair_counts, queue = _count_pairs(words, word_counts)
    merges = []
    while len(token_bytes) < vocab_size and queue:
        negative_count, pair, where = queue[0]
        count = pair_counts[pair]
        if count != -negative_count:  # has fallen since it was pushed: set right, try again
            heapq.heapreplace(queue, (-count, pair, where))
            continue
        if count < max(1, min_frequency):
            break
        heapq.heappop(queue)
        left, right = token_bytes[ord(pair[0])], token_bytes[ord(pair[1])]
        merges.append((left, right))
        new = chr(len(token_bytes))
        token_bytes.append(left + right)
        found = _merge_pair(pair, new, where, words, word_counts, pair_counts)
        for new_pair, new_where in found.items():
            if pair_counts[new_pair] > 0:
                heapq.heappush(queue, (-pair_counts[new_pair], new_pair, new_where))
    assert len(set(token_bytes)) == len(token_bytes), "a token was made twice"
    return merges


def _words(chunk_counts: Mapping[str, int]) -> tuple[list[str], list[int]]:
    """Words of two tokens or more, with one character a byte, and their counts."""
    rank = {byte: rank for rank, byte in enumerate(byte_order())}
    table = bytes(rank[byte] for byte in range(256))
    words, counts = [], []
    for chunk, count in chunk_counts.items():
        data = chunk.encode()
        if len(data) > 1:
            words.append(data.translate(table).decode("latin-1"))
            counts.append(count)
    return words, counts


def _count_pairs(words: list[str], word_counts: list[int]) -> tuple[dict[str, int], list]:
    """Count of each pair, and a heap of (-count, pair, indices of the words it stands in)."""
    pair_counts: dict[str, int] = defaultdict(int)
    where: dict[str, list[int]] = defaultdict(list)
    for index, (word, count) in enumerate(zip(words, word_counts, strict=True)):
        for pair in map(str.__add__, word, word[1:]):
            pair_counts[pair] += count
            where[pair].append(index)
    queue = [(-pair_counts[pair], pair, indices) for pair, indices in where.items()]
    heapq.heapify(queue)
    return pair_counts, queue


def _merge_pair(
    pair: str,
    new: str,
    where: list[int],
    words: list[str],
    word_counts: list[int],
    pair_counts: dict[str, int],
) -> dict[str, list[int]]:
    """Replace a pair in its words and keep the counts right.

    Returns the pairs that the new token forms, with the words they stand in. An index may stand
    in a list twice: the second time there is nothing left to replace.
    """
    left, right = pair
    found: dict[str, list[int]] = defaultdict(list)
    for index in where:
        parts = words[index].split(pair)
        count = word_counts[index]
        before = parts[0][-1:]
        last = len(parts) - 1
        for position in range(1, last + 1):
            after = parts[position][:1] or (left if position < last else "")
            if before:
                pair_counts[before + left] -= count
                pair_counts[before + new] += count
                found[before + new].append(index)
            if after:
                pair_counts[right + after] -= count
                pair_counts[new + after] += count
                found[new + after].append(index)
            before = parts[position][-1:] or new
        if last:
            words[index] = new.join(parts)
    return found
