"""References of the lab `tokenization`: byte-level byte-pair encoding by the definition.

Ids 0 to 255 are the bytes, 256 + k is what merge number k makes. Training is that of Sennrich
et al. 2016, "Neural Machine Translation of Rare Words with Subword Units" (section 3.2), on
bytes; of pairs that are equally frequent the smallest is merged first.
"""

from __future__ import annotations

import heapq
import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from utils.check.probes_tokenization import invented_text

Pair = tuple[int, int]
MERGES = 100  # of a learner's own text


def split(text: str) -> list[str]:
    """Chunks that no merge crosses; the notebook gives the same function."""
    return re.findall(r" ?\w+| ?[^\w\s]+|\s+", text)


def pairs_of(ids: Sequence[int]) -> list[Pair]:
    """All pairs of neighbours, in order."""
    return list(itertools.pairwise(ids))


def pair_counts(words: Sequence[Sequence[int]], counts: Sequence[int]) -> dict[Pair, int]:
    """How often each pair of neighbours occurs, word i counting counts[i] times."""
    found: Counter = Counter()
    for word, times in zip(words, counts, strict=True):
        for pair in pairs_of(word):
            found[pair] += times
    return dict(found)


def places(words: Sequence[Sequence[int]]) -> dict[Pair, set[int]]:
    """For each pair the numbers of the words that hold it."""
    found: dict[Pair, set[int]] = defaultdict(set)
    for i, word in enumerate(words):
        for pair in pairs_of(word):
            found[pair].add(i)
    return dict(found)


def merge_pair(ids: Sequence[int], pair: Sequence[int], new: int) -> list[int]:
    """Each occurrence of the pair, from the left and without overlap, becomes `new`."""
    out, i = [], 0
    while i < len(ids):
        found = tuple(ids[i : i + 2]) == tuple(pair)
        out.append(new if found else ids[i])
        i += 2 if found else 1
    return out


def best(found: Mapping[Pair, int]) -> Pair:
    """The most frequent pair; of several the smallest."""
    return min(found, key=lambda pair: (-found[pair], pair))


def train_plainly(
    counts: Mapping[str, int],
    num_merges: int,
    *,
    choose: Callable[[Mapping[Pair, int]], Pair] = best,
    count: Callable = pair_counts,
    merge: Callable = merge_pair,
    least: int = 1,
    first: int = 256,
) -> list[Pair]:
    """Training that counts anew for each merge; the keywords make it wrong in one way."""
    words, times = [list(chunk.encode()) for chunk in counts], list(counts.values())
    merges: list[Pair] = []
    while len(merges) < num_merges:
        found = {pair: n for pair, n in count(words, times).items() if n >= least}
        if not found:
            break
        pair = choose(found)
        words = [merge(word, pair, first + len(merges)) for word in words]
        merges.append(pair)
    return merges


def train(counts: Mapping[str, int], num_merges: int) -> list[Pair]:
    """The same merges, with counts kept up to date and a heap of (-count, pair)."""
    words, times = [list(chunk.encode()) for chunk in counts], list(counts.values())
    found: Counter = Counter(pair_counts(words, times))
    where = defaultdict(set, places(words))
    heap = [(-n, pair) for pair, n in found.items()]
    heapq.heapify(heap)
    merges: list[Pair] = []
    while heap and len(merges) < num_merges:
        n, pair = heapq.heappop(heap)
        if found[pair] != -n or not n:
            if found[pair]:
                heapq.heappush(heap, (-found[pair], pair))  # it has fallen since: set right
            continue
        made: set[Pair] = set()
        for i in where.pop(pair):
            for old in pairs_of(words[i]):
                found[old] -= times[i]
            words[i] = merge_pair(words[i], pair, 256 + len(merges))
            for now in pairs_of(words[i]):
                found[now] += times[i]
                where[now].add(i)
                made.add(now)
        merges.append(pair)
        for now in made:
            heapq.heappush(heap, (-found[now], now))
    return merges


def encode_chunk(ids: Sequence[int], merges: Sequence[Sequence[int]]) -> list[int]:
    """Merge the pair of lowest rank until none is left."""
    rank = {tuple(pair): k for k, pair in reversed(list(enumerate(merges)))}
    ids = list(ids)
    while known := [rank[pair] for pair in pairs_of(ids) if pair in rank]:
        ids = merge_pair(ids, merges[min(known)], 256 + min(known))
    return ids


def encode(text: str, merges: Sequence[Sequence[int]]) -> list[int]:
    """Ids of a text, chunk by chunk."""
    return [id for chunk in split(text) for id in encode_chunk(list(chunk.encode()), merges)]


def token_bytes(merges: Iterable[Sequence[int]]) -> list[bytes]:
    """Bytes of each id."""
    table = [bytes([byte]) for byte in range(256)]
    for left, right in merges:
        table.append(table[left] + table[right])
    return table


def pieces(ids: Sequence[int], merges, specials: Mapping[str, int]) -> list[bytes]:
    """Bytes of each id of a text, special tokens included. Raises ValueError."""
    table = dict(enumerate(token_bytes(merges)))
    table |= {id: text.encode() for text, id in specials.items()}
    unknown = [id for id in ids if id not in table]
    if unknown:
        raise ValueError(f"no token has the id {unknown[0]}")
    return [table[id] for id in ids]


def decode(ids: Sequence[int], merges, specials: Mapping[str, int]) -> str:
    """Text of ids: all bytes first, then UTF-8."""
    return b"".join(pieces(ids, merges, specials)).decode("utf-8", "replace")


def cut(text: str, specials: Iterable[str]) -> list[str]:
    """Text between special tokens and the tokens themselves; leftmost, then longest."""
    longest = sorted(specials, key=len, reverse=True)
    if not longest:
        return [text]
    return re.split("(" + "|".join(map(re.escape, longest)) + ")", text)


def encode_special(text: str, merges, specials: Mapping[str, int]) -> list[int]:
    """Ids of a text in which special tokens stand for one id each."""
    out: list[int] = []
    for piece in cut(text, specials):
        out += [specials[piece]] if piece in specials else encode(piece, merges)
    return out


def numbers(seed: int) -> dict:
    """First and hundredth merge of the text that `seed` invents, and its tokens under 100."""
    text = invented_text(seed)
    merges = train(Counter(split(text)), MERGES)
    return {"first": merges[0], "last": merges[-1], "tokens": len(encode(text, merges))}
