"""What a vocabulary does to a text: lengths, costs, and merges one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from utils.tokenizer.bpe import Tokenizer
from utils.tokenizer.pretokenize import replace_surrogates, split


@dataclass(frozen=True)
class TextCost:
    """Length of one text in characters (code points), UTF-8 bytes and tokens."""

    name: str
    characters: int
    bytes: int
    tokens: int

    @property
    def tokens_per_character(self) -> float:
        """What a reader pays for one character of this text."""
        return self.tokens / self.characters

    @property
    def bytes_per_token(self) -> float:
        """How far one token reaches: the compression that the vocabulary gives."""
        return self.bytes / self.tokens


def text_costs(tokenizer: Tokenizer, texts: Mapping[str, str]) -> list[TextCost]:
    """Lengths of named texts (in English, Chinese, code, ...) under one vocabulary.

    Raises
    ------
    ValueError
        For an empty text, which has no rate.
    """
    costs = []
    for name, text in texts.items():
        if not text:
            raise ValueError(f"the text {name!r} is empty")
        size = len(replace_surrogates(text).encode())
        costs.append(TextCost(name, len(text), size, len(tokenizer.encode_ordinary(text))))
    return costs


def merge_steps(tokenizer: Tokenizer, text: str) -> list[list[list[bytes]]]:
    """For each chunk of a text its tokens after each single merge: from bytes to final tokens."""
    chunk_tokens = tokenizer._chunk_tokens
    return [
        [
            [tokenizer.token_bytes(ord(token)) for token in stage]
            for stage in chunk_tokens.merge_stages(chunk)
        ]
        for chunk in split(text)
    ]
