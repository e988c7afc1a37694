"""Training and encoding of byte-pair encoding: ours, the naive algorithm, tokenizers, tiktoken.

    python benchmarks/tokenizer.py [--rounds 7] [--naive-rounds 3]

One process, one thread, processor time, on the pinned source-text corpus (`utils.data.text`).
Training: ours beside the naive algorithm, which counts all pairs of all chunks anew at each merge
(the first megabyte, 512 tokens), and beside Hugging Face's trainer (the whole corpus, 10,000
tokens). Encoding: the documents of the validation part, which the vocabulary was not learned
from, one call a document, each repetition with a tokenizer made anew, so with empty caches.
Merges and ids of all are compared before anything is timed. MB are millions of UTF-8 bytes.
"""

import os

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import tiktoken
import tokenizers
import torch
from common import RESULTS, against, peak_memory, ratio, spread, take_turns, write_record
from tokenizers import models, pre_tokenizers, trainers

from utils.data.text import source_text
from utils.tokenizer import Tokenizer, pretokenize
from utils.tokenizer.training import train_merges

GPT2_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
NAIVE_BYTES, NAIVE_VOCABULARY, VOCABULARY = 10**6, 512, 10_000


def naive_merges(text: str, vocab_size: int) -> list[tuple[bytes, bytes]]:
    """Merges by the plain algorithm, with the same rule for ties: the smallest pair of ids."""
    tokens = [bytes([byte]) for byte in pretokenize.byte_order()]
    id_of = {token: id for id, token in enumerate(tokens)}
    chunks = [[id_of[bytes([b])] for b in chunk.encode()] for chunk in pretokenize.split(text)]
    merges = []
    while len(tokens) < vocab_size:
        counts: Counter[tuple[int, int]] = Counter()
        for chunk in chunks:
            counts.update(pairwise(chunk))
        if not counts:
            break
        pair = min(counts, key=lambda pair: (-counts[pair], pair))
        chunks = [replace(chunk, pair, len(tokens)) for chunk in chunks]
        merges.append((tokens[pair[0]], tokens[pair[1]]))
        tokens.append(tokens[pair[0]] + tokens[pair[1]])
    return merges


def replace(chunk: list[int], pair: tuple[int, int], new: int) -> list[int]:
    """The chunk with the pair, from the left, made one token."""
    result, i = [], 0
    while i < len(chunk):
        if i + 1 < len(chunk) and chunk[i] == pair[0] and chunk[i + 1] == pair[1]:
            result.append(new)
            i += 2
        else:
            result.append(chunk[i])
            i += 1
    return result


def hugging_face_train(texts: list[str], vocab_size: int) -> tokenizers.Tokenizer:
    """Hugging Face's trainer with GPT-2's cut and the alphabet of all bytes."""
    trained = tokenizers.Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, show_progress=False, initial_alphabet=alphabet
    )
    trained.train_from_iterator(texts, trainer)
    return trained


def as_tiktoken(tokenizer: Tokenizer) -> tiktoken.Encoding:
    """The same vocabulary in tiktoken, which takes ids for ranks; ours are in this order."""
    return tiktoken.Encoding(
        "trained", pat_str=GPT2_PATTERN, mergeable_ranks=tokenizer.vocabulary, special_tokens={}
    )


def megabyte(texts: list[str], size: int) -> str:
    """The first ``size`` bytes of the documents, to a whole character."""
    whole, total = [], 0
    for text in texts:
        whole.append(text)
        total += len(text.encode())
        if total >= size:
            break
    return "".join(whole).encode()[:size].decode("utf-8", "ignore")


def train_small(texts: list[str], rounds: int, size: int) -> dict:
    """Ours beside the naive algorithm."""
    text = megabyte(texts, size)
    some = text[:2_000]
    if naive_merges(some, NAIVE_VOCABULARY) != train_merges([some], NAIVE_VOCABULARY):
        raise SystemExit("the naive algorithm learns other merges: nothing to compare")
    times = take_turns(
        {
            "ours": lambda: train_merges([text], NAIVE_VOCABULARY),
            "naive": lambda: naive_merges(text, NAIVE_VOCABULARY),
        },
        rounds,
        warm_up=0,
    )
    return table(times, size, naive_over_ours=ratio(times["naive"], times["ours"])) | {
        "vocabulary": NAIVE_VOCABULARY
    }


def train_large(texts: list[str], rounds: int, vocab_size: int) -> dict:
    """Ours beside Hugging Face's trainer."""
    ours = Tokenizer.train(texts, vocab_size)
    theirs = hugging_face_train(texts, vocab_size)
    symbol = pretokenize.byte_to_symbol()
    names = {"".join(symbol[b] for b in token): id for token, id in ours.vocabulary.items()}
    if names != theirs.get_vocab():
        raise SystemExit("Hugging Face's trainer learns another vocabulary: nothing to compare")
    times = take_turns(
        {
            "ours": lambda: Tokenizer.train(texts, vocab_size),
            "hugging_face": lambda: hugging_face_train(texts, vocab_size),
        },
        rounds,
        warm_up=0,
    )
    size = sum(len(text.encode()) for text in texts)
    return table(
        times, size, ours_over_hugging_face=ratio(times["ours"], times["hugging_face"])
    ) | {"vocabulary": vocab_size}


def encode(learned: list[str], texts: list[str], rounds: int, vocab_size: int) -> dict:
    """Encoding of unseen documents with one vocabulary."""
    ours = Tokenizer.train(learned, vocab_size)
    with tempfile.TemporaryDirectory() as folder:
        ours.save(Path(folder, "tokenizer.json"))
        saved = Path(folder, "tokenizer.json").read_text(encoding="utf-8")
    contenders = encoders(ours, saved, texts)
    make, use = contenders["ours"]
    expected = use(make())
    for name, (make, use) in contenders.items():
        if use(make()) != expected:
            raise SystemExit(f"{name} gives other ids: nothing to compare")
    times = take_turns(
        {name: partial(seconds, make, use) for name, (make, use) in contenders.items()}, rounds
    )
    size = sum(len(text.encode()) for text in texts)
    speeds = {
        f"ours_over_{name}": ratio(times[name], times["ours"]) for name in times if name != "ours"
    }
    return table(times, size, **speeds) | {"documents": len(texts), "vocabulary": vocab_size}


def encoders(ours: Tokenizer, saved: str, texts: list[str]) -> dict[str, tuple]:
    """By name: how to make a tokenizer, not timed, and how to encode with it, timed."""

    def load() -> tokenizers.Tokenizer:
        return tokenizers.Tokenizer.from_str(saved)

    return {
        "ours": (
            lambda: Tokenizer(ours.vocabulary, ours.merges),
            lambda made: [made.encode_ordinary(text) for text in texts],
        ),
        "hugging_face": (load, lambda made: [made.encode(text).ids for text in texts]),
        "hugging_face_batch_fast": (
            load,
            lambda made: [encoding.ids for encoding in made.encode_batch_fast(texts)],
        ),
        "tiktoken": (
            lambda: as_tiktoken(ours),
            lambda made: [made.encode_ordinary(text) for text in texts],
        ),
    }


def seconds(make: Callable, use: Callable) -> float:
    """Processor time of ``use`` on what ``make`` has made."""
    made = make()
    start = time.process_time()
    use(made)
    return time.process_time() - start


def table(times: dict[str, list[float]], size: int, **ratios) -> dict:
    """Seconds and MB/s of each contender, and ratios of times or speeds."""
    rows = {
        name: {
            "seconds": spread(seconds),
            "megabytes_per_second": spread(size / 1e6 / s for s in seconds),
            "repetitions": len(seconds),
        }
        for name, seconds in times.items()
    }
    return {"bytes": size, **rows, **ratios}


def training_memory(name: str, size: int, vocab_size: int) -> None:
    """What is measured for memory: the training, corpus included."""
    corpus = source_text()
    train = hugging_face_train if name == "hugging_face" else Tokenizer.train
    train(cut([*corpus.train, *corpus.validation], size), vocab_size)


def cut(texts: list[str], size: int) -> list[str]:
    """The first documents, of ``size`` bytes or a little more; all for size 0."""
    if not size:
        return texts
    total = 0
    for number, text in enumerate(texts):
        total += len(text.encode())
        if total >= size:
            return texts[: number + 1]
    return texts


def targets(figures: dict) -> dict:
    """The figures that were aimed at; of Hugging Face's two ways the faster one counts."""
    small, large, encoding = (
        figures[name] for name in ("training_small", "training_large", "encoding")
    )
    slower = min(
        encoding[name]["median"]
        for name in ("ours_over_hugging_face", "ours_over_hugging_face_batch_fast")
    )
    third = round(1 / 3, 4)
    return {
        "training_over_naive": against(small["naive_over_ours"]["median"], at_least=150),
        "training_time_over_hugging_face": against(
            large["ours_over_hugging_face"]["median"], at_most=3.5
        ),
        "encoding_over_hugging_face": against(slower, at_least=2),
        "encoding_over_tiktoken": against(encoding["ours_over_tiktoken"]["median"], at_least=third),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--naive-rounds", type=int, default=3)
    parser.add_argument("--bytes", type=int, default=0, help="of the corpus; 0: all")
    parser.add_argument("--naive-bytes", type=int, default=NAIVE_BYTES)
    parser.add_argument("--vocabulary", type=int, default=VOCABULARY)
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--output", type=Path, default=RESULTS / "tokenizer.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    corpus = source_text()
    learned, unseen = cut([*corpus.train], options.bytes), cut([*corpus.validation], options.bytes)
    figures = {
        "training_small": train_small(learned, options.naive_rounds, options.naive_bytes),
        "training_large": train_large(
            cut([*corpus.train, *corpus.validation], options.bytes),
            options.rounds,
            options.vocabulary,
        ),
        "encoding": encode(learned, unseen, options.rounds, options.vocabulary),
    }
    if not options.no_memory:
        figures["training_large_peak_bytes"] = {
            name: peak_memory(training_memory, name, options.bytes, options.vocabulary)
            for name in ("ours", "hugging_face")
        }
    figures["targets"] = targets(figures)
    for name, row in figures["targets"].items():
        print(name, row)
    write_record(
        options.output,
        figures,
        script=__file__,
        used=["utils/tokenizer", "utils/data/text.py"],
        packages=["tokenizers", "tiktoken", "sympy"],
        seeds=[],
        clock="processor time, one thread",
    )


if __name__ == "__main__":
    main()
