"""Encoding of one chunk: apply the merges, lowest rank first.

A chunk in work is a string with one character a token: the character whose code point is the
token's id. So the ranks of all pairs of neighbors are one `map` of look-ups.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from itertools import repeat
from operator import add

LONG_CHUNK = 60  # tokens; longer chunks are merged by a heap, in n log n steps
LONGEST_CACHED = 256  # characters
CACHE_SIZE = 1 << 18  # distinct chunks, some 50 MB at most


class ChunkTokens(dict):
    """Tokens of a chunk, worked out when first asked for: ``chunk_tokens[" hello"]``.

    Maps a chunk (without surrogates) to a string with one character a token. The rule is that of
    GPT-2, Hugging Face tokenizers and tiktoken: of all pairs of neighbors merge the one of the
    lowest rank, the leftmost first, until none is in the list of merges.

    Parameters
    ----------
    byte_ids : id of each of the 256 bytes.
    merges : (left id, right id, id of the merged token) by rank.
    """

    def __init__(self, byte_ids: Mapping[int, int], merges: Iterable[tuple[int, int, int]]):
        super().__init__()
        self._byte_symbols = [chr(byte_ids[byte]) for byte in range(256)]
        self._pairs, self._merged = [], []
        for left, right, merged in merges:
            self._pairs.append(chr(left) + chr(right))
            self._merged.append(chr(merged))
        self._ranks = {pair: rank for rank, pair in enumerate(self._pairs)}

    def __missing__(self, chunk: str) -> str:
        word = "".join(map(self._byte_symbols.__getitem__, chunk.encode()))
        tokens = self.merge_short(word) if len(word) <= LONG_CHUNK else self.merge_long(word)
        if len(chunk) <= LONGEST_CACHED:
            if len(self) >= CACHE_SIZE:
                self.clear()
            self[chunk] = tokens
        return tokens

    def merge_short(self, word: str) -> str:
        """Merge with a list of the ranks of all pairs, searched anew for each merge."""
        rank_of, merged = self._ranks.get, self._merged
        none = len(merged)
        ranks = list(map(rank_of, map(add, word, word[1:]), repeat(none)))
        tokens = list(word)
        while ranks:
            rank = min(ranks)
            if rank == none:
                break
            position = ranks.index(rank)
            tokens[position] = new = merged[rank]
            del tokens[position + 1], ranks[position]
            if position:
                ranks[position - 1] = rank_of(tokens[position - 1] + new, none)
            if position < len(ranks):
                ranks[position] = rank_of(new + tokens[position + 1], none)
        return "".join(tokens)

    def merge_long(self, word: str) -> str:
        """Merge with a heap of (rank, position) and a linked list: n log n for any text."""
        rank_of, pairs = self._ranks.get, self._pairs
        tokens, length = list(word), len(word)
        following = list(range(1, length + 1))
        preceding = list(range(-1, length - 1))
        queue = []

        def note(position: int) -> None:
            """Put the pair that begins at a position into the heap, if it can be merged."""
            if position >= 0 and following[position] < length:
                rank = rank_of(tokens[position] + tokens[following[position]])
                if rank is not None:
                    heapq.heappush(queue, (rank, position))

        for position in range(length - 1):
            note(position)
        while queue:
            rank, position = heapq.heappop(queue)
            right = following[position]
            if right >= length or tokens[position] + tokens[right] != pairs[rank]:
                continue  # one of the two has been merged with another neighbor
            tokens[position], tokens[right] = self._merged[rank], ""
            following[position] = following[right]
            if following[right] < length:
                preceding[following[right]] = position
            note(position)
            note(preceding[position])
        return "".join(tokens)

    def merge_stages(self, chunk: str) -> list[str]:
        """The word after each single merge, from its bytes to its tokens."""
        stages = ["".join(map(self._byte_symbols.__getitem__, chunk.encode()))]
        while True:
            word = stages[-1]
            ranks = [self._ranks[pair] for pair in map(add, word, word[1:]) if pair in self._ranks]
            if not ranks:
                return stages
            stages.append(word.replace(self._pairs[min(ranks)], self._merged[min(ranks)], 1))
