"""Checks of the lab `tokenization`: byte-level byte-pair encoding, trained, fast enough.

Ids 0 to 255 are the bytes; merge number k makes the id 256 + k. The references
(`utils.check.tokenization_reference`) follow Sennrich et al. 2016, section 3.2, on bytes.
"""

from __future__ import annotations

from collections import Counter

from utils.check import tokenization_mistakes as wrong
from utils.check import tokenization_reference as right
from utils.check import tokenization_text_mistakes as text_wrong
from utils.check import tokenization_train_mistakes as train_wrong
from utils.check.core import Lab, Mistake
from utils.check.trial import Trial

LAB = Lab("tokenization", "Byte-pair encoding from scratch", points=30, variant=True)
LIBRARY = ("utils.*", "tokenizers.*", "tiktoken.*", "transformers.*", "sentencepiece.*")
PASSES, MERGES, CHUNKS = 20, 250, 3000  # of the speed task
MOST_TIME, MOST_MEMORY = 9.0, 60.0  # times 20 passes over all pairs; times one copy of the chunks


@LAB.task(
    "Text as bytes",
    points=2,
    minutes=6,
    difficulty=1,
    functions=("to_bytes", "to_text"),
    forbidden=LIBRARY,
    hints=(
        "str.encode gives bytes; list(…) of them gives numbers from 0 to 255.",
        "bytes(ids) is the way back; bytes.decode has an argument errors.",
    ),
)
def byte_ids(t: Trial) -> None:
    for text in ("", _text(t, "ab z"), _text(t, "aé中😀 \n"), "e\u0301 \x00"):
        ids = list(text.encode())
        t.equal("to_bytes", text, expected=ids, mistakes=wrong.TO_BYTES)
        t.equal("to_text", ids, expected=text, mistakes=wrong.TO_TEXT)
    whole = list(_text(t, "é中😀").encode())
    noise = [int(b) for b in t.rng.integers(128, 256, 6)]
    for ids in ([97, 255, 98], [0xE4, 0xB8, 97, *whole], whole[:-1], whole + noise):
        expected = bytes(ids).decode("utf-8", "replace")
        t.equal("to_text", ids, expected=expected, mistakes=wrong.TO_TEXT)


@LAB.task(
    "Count pairs and merge one",
    points=3,
    minutes=12,
    difficulty=1,
    functions=("pair_counts", "merge_pair"),
    forbidden=LIBRARY,
    hints=(
        "itertools.pairwise(word) gives the neighbours of one word; how much does each count?",
        "For merging walk through the ids with an index: where ids[i] and ids[i + 1] are the "
        "pair, append the new id and go on two places further, else one.",
        "Do 'aaaa' and 'aaa' by hand. What does the last id do that has no right neighbour?",
    ),
)
def pairs(t: Trial) -> None:
    for high in (2, 3, 300):
        words = [t.rng.integers(0, high, t.integer(1, 9)).tolist() for _ in range(t.integer(3, 6))]
        words += [[1, 1, 1], [7], [1, 0], [0, 1]]
        counts = t.distinct(len(words), 2, 40)
        found = right.pair_counts(words, counts)
        t.equal("pair_counts", words, counts, expected=found, mistakes=wrong.PAIRS)
    t.equal("pair_counts", [], [], expected={})
    for _ in range(3):
        ids = [*t.rng.integers(0, 2, t.integer(4, 9)).tolist(), 1, 1, 1, 0, 1, 0, 1, 1, 5]
        for pair in ((1, 1), (0, 1), (1, 0)):
            new = t.integer(256, 900)
            expected = right.merge_pair(ids, pair, new)
            t.equal("merge_pair", ids, pair, new, expected=expected, mistakes=wrong.MERGE)
    for ids in ([], [3], [3, 4], [4, 3, 4], [3, 3], [4, 3]):
        expected = right.merge_pair(ids, (3, 4), 256)
        t.equal("merge_pair", ids, (3, 4), 256, expected=expected, mistakes=wrong.MERGE)


@LAB.task(
    "Train",
    points=3,
    minutes=12,
    difficulty=2,
    functions=("train",),
    forbidden=LIBRARY,
    hints=(
        "Turn each chunk into a list of bytes once. Then repeat: count the pairs, choose one, "
        "merge it in every word.",
        "The most frequent pair, of equals the smallest: that is the smallest (-count, pair).",
        "When no pair is left there is nothing to choose from: stop before min or max is asked.",
    ),
)
def train(t: Trial) -> None:
    _trains(t, "train", train_wrong.TRAIN)


@LAB.task(
    "Encode",
    points=4,
    minutes=12,
    difficulty=2,
    functions=("encode",),
    forbidden=LIBRARY,
    hints=(
        "split(text) gives the chunks. A dict from pair to rank makes looking up quick.",
        "For one chunk: which of its pairs has the lowest rank? Merge that one, then look again.",
        "merge_pair does the merging; the new id is 256 plus the rank.",
    ),
)
def encode(t: Trial) -> None:
    for letters in ("abc", "abcd.", "ab中é"):
        merges = right.train(_counts(t, letters, 40), 25)
        text = _text(t, letters, 60) + "  \n" + _text(t, letters, 3)
        expected = right.encode(text, merges)
        t.equal("encode", text, merges, expected=expected, mistakes=text_wrong.ENCODE)
    merges = [(98, 99), (97, 98), (97, 256), (256, 32), (258, 258)]
    for text in ("", "a", "abc", "abcabc abc", "aab", "中 bc d"):
        expected = right.encode(text, merges)
        t.equal("encode", text, merges, expected=expected, mistakes=text_wrong.ENCODE)
    t.equal("encode", text, [], expected=list(text.encode()))


@LAB.task(
    "Decode",
    points=2,
    minutes=10,
    difficulty=2,
    functions=("decode",),
    forbidden=LIBRARY,
    hints=(
        "Build a table from id to bytes: 256 single bytes, then for each merge the bytes of its "
        "left id followed by those of its right id.",
        "Special tokens go into the same table, as the bytes of their text. In a dict an unknown "
        "id is found by `id not in table`.",
        "Join the bytes of all ids and decode them once.",
    ),
)
def decode(t: Trial) -> None:
    specials = {"<|end|>": 1000, "<|中|>": 1001}
    merges = right.train(_counts(t, "ab中é", 40), 25)
    text = _text(t, "ab中é😀", 12)
    ids = right.encode(text, merges)
    cut = [*ids, *"中".encode()[: t.integer(1, 2)]]
    ends = [1000, *ids, 1001, 1000]
    shuffled = [int(id) for id in t.rng.permutation([*ids, 255, 280])]
    for given in (ids, cut, ends, shuffled, []):
        expected = right.decode(given, merges, specials)
        args = (given, merges, specials)
        t.equal("decode", *args, expected=expected, mistakes=text_wrong.DECODE)
    t.equal("decode", [97], [], {}, expected="a")
    for unknown in (256 + len(merges), -1, t.integer(2000, 9000)):
        why = f"no token has the id {unknown}"
        args = ([97, unknown], merges, specials)
        t.raises("ValueError", "decode", *args, why=why, mistake=text_wrong.UNKNOWN_ID)


@LAB.task(
    "Special tokens",
    points=3,
    minutes=10,
    difficulty=2,
    functions=("encode_special",),
    forbidden=LIBRARY,
    hints=(
        "Cut the text at the special tokens, keep them, and encode what lies between.",
        "re.split with a pattern in parentheses keeps what it splits at. re.escape makes a "
        "string stand for itself; '|' joins alternatives.",
        "Of alternatives re takes the first that fits, not the longest. And with no special "
        "token at all the pattern would be empty.",
    ),
)
def special(t: Trial) -> None:
    first = t.integer(500, 900)
    specials = {"<|end|>": first, "<|end|><|turn|>": first + 1, "[a]": first + 2, "<|e": first + 3}
    merges = right.train(_counts(t, "aend<|>", 40), 25)
    parts = [_text(t, "aend ", 3) for _ in range(5)]
    texts = [
        f"{parts[0]}<|end|>{parts[1]} <|end|>a",
        f"<|end|><|turn|>{parts[2]}<|e{parts[3]}[a]a<|end|><|end|>",
        f"{parts[4]} end|turn [b]<|turn|>",
        "",
    ]
    for text in texts:
        expected, args = right.encode_special(text, merges, specials), (text, merges, specials)
        t.equal("encode_special", *args, expected=expected, mistakes=text_wrong.SPECIAL)
    plain = right.encode(texts[1], merges)
    t.equal("encode_special", texts[1], merges, {}, expected=plain)


@LAB.task(
    "A language of your own",
    points=2,
    minutes=8,
    difficulty=2,
    functions=("my_numbers",),
    forbidden=LIBRARY,
    hints=(
        "The cell above prints all that is asked for, once your train and encode are right.",
        "The text follows from the id in that cell: write yours, run the cell, type its numbers.",
    ),
)
def own_text(t: Trial) -> None:
    truth, mistakes = right.numbers(t.variant), text_wrong.numbers(t.variant)
    came = t.call("my_numbers")
    named = Mistake("keys", "my_numbers gives a dict with the keys first, last and tokens.")
    have = sorted(map(str, came)) if isinstance(came, dict) else type(came).__name__
    t.require(have == sorted(truth), came=str(have), expected=str(sorted(truth)), mistake=named)
    for key in ("tokens", "first", "last"):
        t.called = f'my_numbers()["{key}"]'
        t.require(
            not _differs(came[key], truth[key]),
            came=str(came[key])[:80],
            expected=f"the {key} of your own text; here you have to measure",
            mistake=next((m for m in mistakes[key] if not _differs(came[key], m.wrong())), None),
        )


@LAB.task(
    "Train fast",
    points=4,
    minutes=18,
    difficulty=3,
    functions=("places", "train_fast"),
    forbidden=LIBRARY,
    seconds=20.0,
    hints=(
        "Keep a Counter of all pairs. A merge touches the chunks that hold one pair, and places "
        "says which; all others stay as they are.",
        "For each touched chunk: take all its pairs off the counts, merge, put its new pairs on.",
        "To find the best pair without looking at all keep a heap of (-count, pair). An entry "
        "whose count has fallen since is put back with the right count when it comes up.",
    ),
)
def fast(t: Trial) -> None:
    words = [t.rng.integers(0, 3, n).tolist() for n in (0, 1, 2, 3, 5, 7)] + [[2, 2, 2]]
    t.equal("places", words, expected=right.places(words), mistakes=train_wrong.PLACES)
    _trains(t, "train_fast", train_wrong.FAST)
    counts = _vocabulary(t, CHUNKS)
    t.equal("train_fast", counts, MERGES, expected=right.train(counts, MERGES))
    once, limit = t.learner.seconds, f"at most {MOST_TIME:g} times as long as {PASSES} counts"
    called = f"train_fast on {CHUNKS:,} chunks, {MERGES} merges"
    for size in (1, 1, 1, PASSES):  # the first calls are watched for forbidden names, so slow
        t.probe("memory", {"ab": 1}, size, called=called)
        t.probe("recount", counts if size == PASSES else {"ab": 1}, size, called=called)
    came = f"{once / t.learner.seconds:.0f} times as long as {PASSES} counts of all pairs"
    slow = once > 3 * MOST_TIME * t.learner.seconds
    t.require(not slow, came=came, expected=limit, mistake=train_wrong.RECOUNTS)
    copy, peak = t.probe("memory", counts, MERGES, called=called)
    t.require(
        peak < MOST_MEMORY * copy,
        came=f"{peak / copy:.0f} times the memory of one copy of the chunks",
        expected=f"at most {MOST_MEMORY:g} times",
        mistake=train_wrong.MEMORY,
    )
    ratio = t.ratio("train_fast", (counts, MERGES), "recount", (counts, PASSES), rounds=4)
    t.called, came = called, f"{ratio:.1f} times as long as {PASSES} counts of all pairs"
    t.require(ratio < MOST_TIME, came=came, expected=limit, mistake=train_wrong.TOO_SLOW)


# --- inputs ---------------------------------------------------------------------------------
def _trains(t: Trial, name: str, mistakes: tuple) -> None:
    for letters, merges in (("abcdef", 40), ("ab中é", 20), ("abc", 12), ("aaab", 8), ("ab", 5)):
        counts = _counts(t, letters, 25)
        expected = right.train(counts, merges)
        t.equal(name, counts, merges, expected=expected, mistakes=mistakes)
    counts = {"ab": 1, "c": 4, "aaaa": 2, " dd": 2}  # runs out of pairs, with ties
    expected = right.train(counts, 99)
    t.equal(name, counts, 99, expected=expected, mistakes=mistakes)
    t.equal(name, counts, 1, expected=expected[:1], mistakes=mistakes)
    t.equal(name, counts, 0, expected=[])
    t.equal(name, {}, 3, expected=[])


def _text(t: Trial, letters: str, words: int = 3) -> str:
    return " ".join("".join(t.rng.choice(list(letters), t.integer(3, 8))) for _ in range(words))


def _counts(t: Trial, letters: str, words: int) -> dict[str, int]:
    """Chunks of random words, and how often they occur: some often, many once."""
    chunks = right.split(_text(t, letters, words))
    return {chunk: 1 + int(t.rng.pareto(1.0)) for chunk in Counter(chunks)}


def _vocabulary(t: Trial, size: int) -> dict[str, int]:
    """`size` distinct chunks built from 60 syllables, with falling counts."""
    words = _text(t, "abcdefghijklmnopqrstuvwxyz", 58).split()
    syllables = ["é", "中", *(word[: 1 + i % 3] for i, word in enumerate(words))]
    counts: dict[str, int] = {}
    while len(counts) < size:
        word = "".join(t.rng.choice(syllables, t.integer(2, 5)))
        counts.setdefault(f" {word}", 1 + 300 // (1 + len(counts)))
    return counts


def _differs(came: object, expected: object) -> bool:
    if isinstance(expected, tuple):
        return not isinstance(came, list | tuple) or tuple(came) != expected
    return isinstance(came, bool) or not isinstance(came, int) or came != expected
