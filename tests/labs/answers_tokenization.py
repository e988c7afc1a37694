"""Answers for the tests of the lab `tokenization`: right ones in other styles, wrong ones."""

import re
from collections import Counter, defaultdict
from functools import partial
from itertools import pairwise

import numpy as np
from lab_support import solved

from utils.check import tokenization_reference as ref
from utils.check.probes_tokenization import invented_text

RIGHT = solved("tokenization")  # the namespace of the solutions
bytes_of, count, merge = (RIGHT[name] for name in ("to_bytes", "pair_counts", "merge_pair"))
train, encode, decode = (RIGHT[name] for name in ("train", "encode", "decode"))


# --- other styles ---------------------------------------------------------------------------
def count_with_counter(words, counts):
    found = Counter()
    for word, times in zip(words, counts, strict=True):
        found.update({p: n * times for p, n in Counter(pairwise(word)).items()})
    return found


def merge_as_text(ids, pair, new):
    """Ids as characters, so that str.replace does the merging."""
    text = "".join(map(chr, ids)).replace(chr(pair[0]) + chr(pair[1]), chr(new))
    return [ord(c) for c in text]


def train_with_lists(counts, num_merges):
    words = [(list(c.encode()), n) for c, n in counts.items()]
    merges = []
    for new in range(256, 256 + num_merges):
        found = defaultdict(int)
        for word, n in words:
            for i in range(1, len(word)):
                found[word[i - 1], word[i]] += n
        if found:
            top = max(found.values())
            merges.append(list(min(pair for pair in found if found[pair] == top)))
            words = [(merge_as_text(word, merges[-1], new), n) for word, n in words]
    return merges


def encode_merge_by_merge(text, merges):
    words = [bytes_of(chunk) for chunk in ref.split(text)]
    for k, pair in enumerate(merges):
        words = [merge(word, pair, 256 + k) for word in words]
    return [id for word in words for id in word]


def decode_recursively(ids, merges, specials):
    names = {id: text for text, id in specials.items()}

    def data(id):
        if id in names:
            return names[id].encode()
        if not 0 <= id < 256 + len(merges):
            raise ValueError(id)
        return bytes([id]) if id < 256 else b"".join(map(data, merges[id - 256]))

    return b"".join(map(data, ids)).decode("utf-8", "replace")


def special_by_find(text, merges, specials):
    places = [(text.find(s), -len(s), s) for s in specials if s in text]
    if not places:
        return encode(text, merges)
    at, _, token = min(places)
    rest = special_by_find(text[at + len(token) :], merges, specials)
    return [*encode(text[:at], merges), specials[token], *rest]


def train_by_scan(counts, num_merges, *, visit_all=False):
    """Counts kept up to date, the best pair found by looking at all of them."""
    words, times = [bytes_of(c) for c in counts], list(counts.values())
    found, where, merges = Counter(count(words, times)), defaultdict(set), []
    for i, word in enumerate(words):
        for pair in pairwise(word):
            where[pair].add(i)
    while found and len(merges) < num_merges:
        pair = min(found, key=lambda p: (-found[p], p))
        for i in range(len(words)) if visit_all else where.pop(pair):
            after = merge(words[i], pair, 256 + len(merges))
            if after == words[i]:
                continue
            for old in pairwise(words[i]):
                found[old] -= times[i]
                if not found[old]:
                    del found[old]
            for now in pairwise(after):
                found[now] += times[i]
                where[now].add(i)
            words[i] = after
        merges.append(pair)
    return merges


OTHER_STYLES = {
    "byte_ids": [
        {"to_bytes": lambda s: [*bytearray(s, "utf-8")]},
        {"to_text": lambda ids: str(bytearray(ids), "utf-8", "replace")},
        {"to_bytes": lambda s: np.frombuffer(s.encode(), np.uint8)},
    ],
    "pairs": [{"pair_counts": count_with_counter, "merge_pair": merge_as_text}],
    "train": [{"train": train_with_lists}],
    "encode": [{"encode": encode_merge_by_merge}],
    "decode": [{"decode": decode_recursively}],
    "special": [{"encode_special": special_by_find}],
    "own_text": [{"my_numbers": lambda: OWN | {"first": list(OWN["first"])}}],
    "fast": [{"train_fast": train_by_scan}],
}  # fmt: skip


# --- wrong answers --------------------------------------------------------------------------
def word_counts(words, counts, of, keep=lambda pair: pair):
    found = Counter()
    for word, times in zip(words, counts, strict=True):
        for pair in of(list(pairwise(word))):
            found[keep(pair)] += times
    return found


def all_ids(words, counts):
    return [id for word, times in zip(words, counts, strict=True) for id in word * times]


def count_apart(words, counts):
    found = Counter()
    for word, times in zip(words, counts, strict=True):
        text = "".join(map(chr, word))
        for pair in {text[i : i + 2] for i in range(len(text) - 1)}:
            found[ord(pair[0]), ord(pair[1])] += times * text.count(pair)
    return found


def merge_in_place(ids, pair, new):
    for i in range(len(ids) - 1):
        if tuple(ids[i : i + 2]) == tuple(pair):
            ids[i : i + 2] = [new]
    return ids


def merge_wrongly(ids, pair, new, *, step=2, once=False):
    out, i = [], 0
    while i < len(ids):
        found = tuple(ids[i : i + 2]) == tuple(pair) and not (once and new in out)
        out.append(new if found else ids[i])
        i += step if found else 1
    return out


def merge_marking(ids, pair, new):
    starts = [i for i in range(len(ids) - 1) if (ids[i], ids[i + 1]) == tuple(pair)]
    kept = [i for i in range(len(ids)) if i in starts or i - 1 not in starts]
    return [new if i in starts else ids[i] for i in kept]


def merge_backwards(ids, pair, new):
    return merge(ids[::-1], pair[::-1], new)[::-1]


def merge_short(ids, pair, new):
    done = merge(ids, pair, new)
    return done if tuple(ids[-2:]) == tuple(pair) else done[:-1]


def train_wrongly(counts, num_merges, *, key=None, count=count, first=256, least=1, again=True):
    words, times, merges = [bytes_of(c) for c in counts], list(counts.values()), []
    pairs = count(words, times)
    while len(merges) < num_merges and (not again or (pairs := count(words, times))):
        pairs = {p: n for p, n in pairs.items() if n >= least and (again or p not in merges)}
        if not pairs:
            break
        pair = min(pairs, key=partial(key or (lambda f, p: (-f[p], p)), pairs))
        words = [merge(word, pair, first + len(merges)) for word in words]
        merges.append(pair)
    return merges


def without_stop(counts, num_merges):
    words, times, merges = [bytes_of(c) for c in counts], list(counts.values()), []
    for k in range(num_merges):
        found = count(words, times)
        merges.append(min(found, key=lambda p: (-found[p], p)))
        words = [merge(word, merges[-1], 256 + k) for word in words]
    return merges


TRAIN = {
    "ties-largest": partial(train_wrongly, key=lambda f, p: (-f[p], -p[0], -p[1])),
    "ties-as-met": partial(train_wrongly, key=lambda f, p: -f[p]),
    "ties-right-id": partial(train_wrongly, key=lambda f, p: (-f[p], p[1], p[0])),
    "unweighted": partial(train_wrongly, count=lambda words, n: count(words, [1] * len(words))),
    "counted-once": partial(train_wrongly, again=False),
    "rarest": partial(train_wrongly, key=lambda f, p: (f[p], p)),
    "ids-from-257": partial(train_wrongly, first=257),
    "once-is-too-few": partial(train_wrongly, least=2),
    "one-too-few": lambda counts, n: train(counts, n - 1),
    "one-too-many": lambda counts, n: train(counts, n + 1),
    "raised": without_stop,
}


def never_lowered(counts, num_merges):
    words, times, merges = [bytes_of(c) for c in counts], list(counts.values()), []
    total = Counter(count(words, times))
    while total and len(merges) < num_merges:
        pair = min(total, key=lambda p: (-total[p], p))
        del total[pair]
        words = [merge(word, pair, 256 + len(merges)) for word in words]
        fresh = count(words, times)
        total.update({p: n for p, n in fresh.items() if 256 + len(merges) in p})
        merges.append(pair)
    return merges


def encode_pieces(text, merges, of):
    return [id for chunk in ref.split(text) for id in of(bytes_of(chunk), merges)]


def step_by(ids, merges, choose, times=10**6):
    while times:
        hits = [(merges.index(p), i) for i, p in enumerate(pairwise(ids)) if p in merges]
        if not hits:
            break
        rank = choose(hits)[0]
        at = choose(hits)[1]
        ids, times = [*ids[:at], 256 + rank, *ids[at + 2 :]], times - 1
    return ids


def longest(ids, merges):
    table = ref.token_bytes(merges)
    data, out = bytes(ids), []
    while data:
        token = max((t for t in table if data.startswith(t)), key=len)
        out.append(table.index(token))
        data = data[len(token) :]
    return out


def one_pass(ids, merges):
    ranks = [merges.index(p) for p in pairwise(ids) if p in merges]
    return merge(ids, merges[min(ranks)], 256 + min(ranks)) if ranks else ids


def joined(text, merges):
    return ref.encode_chunk(bytes_of(text), merges)


def from_table(ids, merges, specials, finish, table=None):
    table = table or dict(enumerate(ref.token_bytes(merges)))
    table = table | {id: text.encode() for text, id in specials.items()}
    if any(id not in table for id in ids):
        raise ValueError("unknown")
    return finish([table[id] for id in ids])


def each_alone(parts):
    return "".join(part.decode("utf-8", "replace") for part in parts)


def skip_unknown(ids, merges, specials):
    known = {*range(256 + len(merges)), *specials.values()}
    return decode([id for id in ids if id in known], merges, specials)


def swapped(ids, merges, specials):
    table = [bytes([b]) for b in range(256)]
    for left, later in merges:
        table.append(table[later] + table[left])
    finish = lambda parts: b"".join(parts).decode("utf-8", "replace")  # noqa: E731
    return from_table(ids, merges, specials, finish, dict(enumerate(table)))


def split_by(text, merges, specials, pattern, keep=True):
    out = []
    for piece in re.split(f"({pattern})", text) if specials else [text]:
        if piece in specials:
            out += [specials[piece]] if keep else []
        else:
            out += encode(piece or "", merges)
    return out


def any_of(tokens, escape=re.escape):
    return "|".join(map(escape, tokens))


def first_special(text, merges, specials):
    if not specials:
        return encode(text, merges)
    start, *rest = re.split(f"({any_of(sorted(specials, key=len)[::-1])})", text)
    tail = [specials[rest[0]], *encode("".join(rest[1:]), merges)] if rest else []
    return encode(start, merges) + tail


OWN = ref.numbers(0)


def own(**changed):
    numbers = OWN | changed
    return lambda: numbers


MY = Counter(ref.split(invented_text(0)))
MY_MERGES = ref.train(MY, 101)
WRONG = [
    ("byte_ids", "to_bytes", {
        "code-points": lambda s: list(map(ord, s)),
        "utf-16": lambda s: list(s.encode("utf-16-le")),
        "ascii-only": lambda s: [b for b in s.encode() if b < 128],
        "question-marks": lambda s: [ord(c) if ord(c) < 128 else 63 for c in s],
        "bytes-object": str.encode,
    }),
    ("byte_ids", "to_text", {
        "dropped": lambda ids: bytes(ids).decode(errors="ignore"),
        "latin-1": lambda ids: bytes(ids).decode("latin-1"),
        "one-by-one": lambda ids: "".join(chr(b) if b < 128 else "\ufffd" for b in ids),
        "escaped": lambda ids: bytes(ids).decode(errors="backslashreplace"),
        "raised": lambda ids: bytes(ids).decode(),
    }),
    ("pairs", "pair_counts", {
        "unweighted": lambda words, n: word_counts(words, [1] * len(n), list),
        "no-overlap": count_apart,
        "across-words": lambda words, n: Counter(pairwise(all_ids(words, n))),
        "unordered": partial(word_counts, of=list, keep=lambda p: (min(p), max(p))),
        "once-a-word": partial(word_counts, of=set),
        "single-ids": lambda words, n: Counter(all_ids(words, n)),
    }),
    ("pairs", "merge_pair", {
        "changed-input": merge_in_place,
        "overlap": merge_marking,
        "from-the-right": merge_backwards,
        "first-alone": partial(merge_wrongly, once=True),
        "right-kept": partial(merge_wrongly, step=1),
        "last-lost": merge_short,
        "reversed-too": lambda i, p, n: merge(merge(i, p, n), p[::-1], n),
    }),
    ("train", "train", TRAIN),
    ("encode", "encode", {
        "across-chunks": joined,
        "longest-match": partial(encode_pieces, of=longest),
        "leftmost-first": partial(encode_pieces, of=partial(step_by, choose=lambda h: h[0])),
        "highest-rank": partial(encode_pieces, of=partial(step_by, choose=max)),
        "one-merge": partial(encode_pieces, of=one_pass),
        "rank-as-id": lambda s, m: [i if i < 256 else i - 256 for i in encode(s, m)],
        "no-merge": lambda s, m: bytes_of(s),
    }),
    ("decode", "decode", {
        "each-alone": partial(from_table, finish=each_alone),
        "dropped": partial(from_table, finish=lambda p: b"".join(p).decode("utf-8", "ignore")),
        "latin-1": partial(from_table, finish=lambda p: b"".join(p).decode("latin-1")),
        "swapped": swapped,
        "specials-left-out": lambda i, m, s: decode([x for x in i if x not in s.values()], m, s),
        "unknown-id": skip_unknown,
    }),
    ("special", "encode_special", {
        "plain-text": lambda s, m, k: encode(s, m),
        "dropped": lambda s, m, k: split_by(s, m, k, any_of(sorted(k, key=len)[::-1]), keep=False),
        "first-listed": lambda s, m, k: split_by(s, m, k, any_of(k)),
        "shortest-first": lambda s, m, k: split_by(s, m, k, any_of(sorted(k, key=len))),
        "first-only": first_special,
        "not-escaped": lambda s, m, k: split_by(s, m, k, any_of(sorted(k, key=len)[::-1], str)),
        "raised": lambda s, m, k: [k[x] for x in re.split("<", s)],
    }),
    ("own_text", "my_numbers", {
        "keys": lambda: {"first": (1, 2)},
        "bytes": own(tokens=len(invented_text(0).encode())),
        "chunks": own(tokens=sum(MY.values())),
        "distinct": own(tokens=sum(len(ref.encode(c, MY_MERGES[:100])) for c in MY)),
        "second": own(first=MY_MERGES[1]),
        "swapped": own(first=MY_MERGES[0][::-1]),
        "merge-99": own(last=MY_MERGES[98]),
        "merge-101": own(last=MY_MERGES[100]),
        "its-id": own(last=355),
    }),
    ("fast", "places", {
        "from-one": lambda w: {p: {i + 1 for i in s} for p, s in ref.places(w).items()},
        "how-often": lambda w: {p: n for p, n in count(w, [1] * len(w)).items()},
        "first-pair": lambda w: ref.places([word[:2] for word in w]),
        "lists": lambda w: {p: list(s) for p, s in ref.places(w).items()},
    }),
    ("fast", "train_fast", {
        "stale-counts": never_lowered,
        "ties-largest": TRAIN["ties-largest"],
        "ties-as-met": TRAIN["ties-as-met"],
        "one-too-many": TRAIN["one-too-many"],
    }),
]  # fmt: skip


def greedy(counts, num_merges):
    """Fast, and keeps eighty copies of the chunks: only the memory is at fault."""
    copies = [[list(chunk.encode()) for chunk in counts] for _ in range(80)]
    merges = RIGHT["train_fast"](counts, num_merges)
    assert len(copies) == 80
    return merges


SLOW = {
    "recounts": train,
    "too-slow": partial(train_by_scan, visit_all=True),
    "memory": greedy,
}
