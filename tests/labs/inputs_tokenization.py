"""Inputs for the mutation run of the lab `tokenization`, drawn without its check.

Each function takes a NumPy generator and gives ("call" or "probe", name, arguments).
"""

import re

ALPHABETS = ("ab", "abc ", "aé中😀", "xyz.,\n", "hello wórld")


def text(rng, longest=20):
    letters = list(str(rng.choice(ALPHABETS)))
    return "".join(rng.choice(letters, int(rng.integers(0, longest + 1))))


def ids(rng, longest=8):
    high = int(rng.choice([2, 3, 6, 400]))
    return [int(n) for n in rng.integers(0, high, int(rng.integers(0, longest + 1)))]


def byte_ids(rng):
    if rng.random() < 0.5:
        return "call", "to_bytes", (text(rng),)
    given = list(text(rng).encode())
    if rng.random() < 0.5:
        given += [int(n) for n in rng.integers(0, 256, 3)]
    return "call", "to_text", (given,)


def pairs(rng):
    if rng.random() < 0.5:
        pair = tuple(int(n) for n in rng.integers(0, 3, 2))
        return "call", "merge_pair", (ids(rng), pair, int(rng.integers(256, 300)))
    words = [ids(rng) for _ in range(int(rng.integers(0, 5)))]
    return "call", "pair_counts", (words, [int(n) for n in rng.integers(1, 20, len(words))])


def counts(rng):
    chunks = re.findall(r" ?\w+| ?[^\w\s]+|\s+", text(rng, 60))
    return {chunk: int(rng.integers(1, 6)) for chunk in chunks}


def train(rng):
    return "call", "train", (counts(rng), int(rng.integers(0, 15)))


def merges(rng):
    """Pairs of ids that exist when they are merged, each new."""
    made = []
    start = sorted(set(text(rng).encode() or b"ab"))
    for k in range(int(rng.integers(0, 12))):
        known = [*start, *range(256, 256 + k)]
        pair = (int(rng.choice(known)), int(rng.choice(known)))
        if pair in made:
            break
        made.append(pair)
    return made


def encode(rng):
    return "call", "encode", (text(rng, 30), merges(rng))


def special_tokens(rng):
    known = ["<|end|>", "<|end|>a", "a", "(é", "ab", "."]
    chosen = [str(token) for token in rng.permutation(known)[: int(rng.integers(0, 5))]]
    return {token: 500 + i for i, token in enumerate(chosen)}


def decode(rng):
    learnt = merges(rng)
    top = 256 + len(learnt) + int(rng.random() < 0.1)
    given = [int(n) for n in rng.integers(-int(rng.random() < 0.05), top, int(rng.integers(0, 9)))]
    given += [int(n) for n in rng.integers(256, max(top, 257), 2)] if learnt else []
    specials = special_tokens(rng)
    return "call", "decode", (given + list(specials.values())[:2], learnt, specials)


def special(rng):
    specials = special_tokens(rng)
    parts = [text(rng, 6), *(f"{token}{text(rng, 4)}" for token in specials), text(rng, 4)]
    return "call", "encode_special", ("".join(rng.permutation(parts)), merges(rng), specials)


def own_text(rng):
    return "call", "my_numbers", ()


def fast(rng):
    if rng.random() < 0.3:
        return "call", "places", ([ids(rng) for _ in range(int(rng.integers(0, 5)))],)
    return "call", "train_fast", (counts(rng), int(rng.integers(0, 15)))


TASKS = (byte_ids, pairs, train, encode, decode, special, own_text, fast)
INPUTS = {task.__name__: task for task in TASKS}
