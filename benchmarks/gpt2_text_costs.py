"""What GPT-2's own vocabulary makes of English, Chinese, code and numbers: tokens, no times.

    python benchmarks/gpt2_text_costs.py

Needs GPT-2's files encoder.json and vocab.bpe in the folder gpt2_bpe of the data folder. Texts: one
instruction in three forms; the passages of `utils.data.passages`; the validation part of the pinned
source text. Ids are compared with tiktoken's before anything is counted. Deterministic.
"""

import argparse
import re
from collections import Counter
from pathlib import Path

import tiktoken
from common import RESULTS, write_record

from utils.data.passages import passages
from utils.data.text import source_text
from utils.tokenizer import Tokenizer, text_costs

GPT2_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
ONE_THING = {
    "English": "Return the largest number in the list.",
    "Chinese": "返回列表中最大的数。",
    "code": "return max(numbers)",
}


def as_tiktoken(ours: Tokenizer) -> tiktoken.Encoding:
    """The same vocabulary in tiktoken; GPT-2's ids are in the order of its merges."""
    return tiktoken.Encoding(
        "gpt2", pat_str=GPT2_PATTERN, mergeable_ranks=ours.vocabulary, special_tokens={}
    )


def costs(tokenizer: Tokenizer, texts: dict[str, str]) -> dict[str, dict]:
    """Characters, bytes and tokens of each text."""
    found = text_costs(tokenizer, texts)
    return {
        c.name: {"characters": c.characters, "bytes": c.bytes, "tokens": c.tokens} for c in found
    }


def word_share(tokenizer: Tokenizer, texts: list[str]) -> dict:
    """Running words of English, with the space before them, and how many are one token."""
    words = [word for text in texts for word in re.findall(r" ?[A-Za-z]+", text)]
    single = sum(len(tokenizer.encode_ordinary(word)) == 1 for word in words)
    return {"words": len(words), "one_token": single}


def number_cuts(tokenizer: Tokenizer) -> dict[str, int]:
    """How the numbers 1000 to 9999 are cut: digits in each token, and for how many numbers."""
    cuts = Counter()
    for number in range(1000, 10_000):
        ids = tokenizer.encode_ordinary(str(number))
        cuts["+".join(str(len(tokenizer.token_bytes(id))) for id in ids)] += 1
    return dict(cuts.most_common())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=RESULTS / "gpt2_text_costs.json")
    options = parser.parse_args()
    tokenizer, code = Tokenizer.from_gpt2(), source_text()
    english, chinese = zip(*passages(), strict=True)
    theirs = as_tiktoken(tokenizer)
    for text in (*ONE_THING.values(), *english, *chinese, *code.validation):
        assert tokenizer.encode_ordinary(text) == theirs.encode_ordinary(text)
    named = dict(zip(code.validation_names, code.validation, strict=True))
    figures = {
        "vocabulary": len(tokenizer.vocabulary),
        "one_thing": costs(tokenizer, ONE_THING),
        "passages_english": costs(tokenizer, dict(enumerate(english))),
        "passages_chinese": costs(tokenizer, dict(enumerate(chinese))),
        "code_files": costs(tokenizer, {name: text for name, text in named.items() if text}),
        "words": word_share(tokenizer, [*english]),
        "number_cuts": number_cuts(tokenizer),
    }
    write_record(
        options.output,
        figures,
        script=__file__,
        used=["utils/tokenizer", "utils/data/text.py", "utils/data/passages.py"],
        packages=["tiktoken", "sympy"],
        seeds=[],
    )


if __name__ == "__main__":
    main()
