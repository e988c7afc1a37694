r"""From text to the chunks that byte-pair encoding never merges across.

GPT-2 cuts text with the pattern

    's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+

(Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.2, and the
code published with it). Python's `re` has no ``\p{L}``, so its classes are written out here from
`unicodedata`, and three patterns take turns: for ASCII, for the basic plane and for all of
Unicode, as a small class is matched faster than a large one.

Unicode's version matters: a letter that is new in version 15 is "other" to a program that knows
version 14. Python 3.11 knows 14.0, Python 3.14 knows 16.0, as do tokenizers 0.23 and tiktoken
0.14. What was added in between stands in a table, so that Python 3.11 to 3.14 all cut by 16.0. A
Python with a later Unicode cuts its new characters by that one. White space is the
property ``White_Space``: unlike Python's own ``\s`` it does not hold U+001C to U+001F.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache

UNICODE_VERSION = "16.0.0"
BLOCK_SIZE = 1 << 18  # characters cut at a time: bounds the memory that chunks take

_ASCII_SPACE = r" \t-\r"
_SPACE = _ASCII_SPACE + "\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_ASTRAL = re.compile("[\U00010000-\U0010ffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
# A chunk always ends between something and the space or line break behind it.
_SAFE_CUT = re.compile(f"(?<=[^{_SPACE}])[ \n]")

# Code points that became letters (L) and numbers (N) in Unicode 15.0, 15.1 and 16.0.
_ADDED = {
    "L": (
        "1C89-1C8A A7CB-A7CD A7DA-A7DC 105C0-105F3 10D4A-10D65 10D6F-10D85 10EC2-10EC4 "
        "1123F-11240 11380-11389 1138B-1138B 1138E-1138E 11390-113B5 113B7-113B7 113D1-113D1 "
        "113D3-113D3 11BC0-11BE0 11F02-11F02 11F04-11F10 11F12-11F33 1342F-1342F 13441-13446 "
        "13460-143FA 16100-1611D 16D40-16D6C 18CFF-18CFF 1B132-1B132 1B155-1B155 1DF25-1DF2A "
        "1E030-1E06D 1E4D0-1E4EB 1E5D0-1E5ED 1E5F0-1E5F0 2B739-2B739 2EBF0-2EE5D 31350-323AF"
    ),
    "N": (
        "10D40-10D49 116D0-116E3 11BF0-11BF9 11F50-11F59 16130-16139 16D70-16D79 1CCF0-1CCF9 "
        "1D2C0-1D2D3 1E4F0-1E4F9 1E5F1-1E5FA"
    ),
}


def byte_to_symbol() -> dict[int, str]:
    """GPT-2's printable stand-in for each of the 256 bytes.

    Printable bytes of Latin-1 stand for themselves, the other 68 are moved, in order, to U+0100
    and above, so that a vocabulary file holds no spaces or control characters.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    symbols = {byte: chr(byte) for byte in printable}
    symbols.update({byte: chr(0x100 + rank) for rank, byte in enumerate(others)})
    return symbols


def byte_order() -> list[int]:
    """The 256 bytes in the order of their ids: by the code point of their symbol, as GPT-2 has."""
    symbols = byte_to_symbol()
    return sorted(symbols, key=symbols.__getitem__)


def replace_surrogates(text: str) -> str:
    """Text that UTF-8 can hold: surrogate pairs are joined, lone surrogates become U+FFFD.

    As in tiktoken, so that any Python string can be encoded. Such strings come from JSON with
    broken escapes and from file names.
    """
    if text.isascii() or not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def split(text: str) -> list[str]:
    """Chunks of a text, in order; joined they are the text. Source: GPT-2's pattern, see above."""
    return [chunk for chunks in split_blocks(replace_surrogates(text)) for chunk in chunks]


def split_blocks(text: str) -> Iterator[list[str]]:
    """Chunks of a text without surrogates, a list for each quarter of a million characters."""
    for block in _blocks(text):
        yield _splitter(block)(block)


def count_chunks(texts: Iterable[str]) -> Counter[str]:
    """How often each distinct chunk occurs in the texts; nothing is cut across texts."""
    if isinstance(texts, str):
        raise TypeError("texts is an iterable of strings, got one string; pass [text]")
    counts: Counter[str] = Counter()
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"texts are strings, got {type(text).__name__}")
        for chunks in split_blocks(replace_surrogates(text)):
            counts.update(chunks)
    return counts


def _blocks(text: str) -> Iterator[str]:
    """Pieces of a text, cut only where a chunk ends whatever stands around."""
    start = 0
    while len(text) - start > BLOCK_SIZE:
        found = _SAFE_CUT.search(text, start + BLOCK_SIZE)
        if found is None:
            break
        yield text[start : found.start()]
        start = found.start()
    yield text[start:] if start else text


def _splitter(text: str) -> Callable[[str], list[str]]:
    if text.isascii():
        return _ASCII_PATTERN.findall
    return _wide_pattern(0x10FFFF if _ASTRAL.search(text) else 0xFFFF).findall


def _pattern(letter: str, number: str, space: str) -> re.Pattern[str]:
    """GPT-2's pattern with its classes written out.

    The alternatives exclude each other, except for spaces and apostrophes, so letters may come
    first, as the most frequent, and a run once taken is never given back (``++``).
    """
    return re.compile(
        f" ?[{letter}]++|'(?:[sdmt]|ll|ve|re)| ?[^{space}{letter}{number}]++| ?[{number}]++"
        f"|[{space}]+(?![^{space}])|[{space}]+"
    )


_ASCII_PATTERN = _pattern("A-Za-z", "0-9", _ASCII_SPACE)


@cache
def _wide_pattern(last: int) -> re.Pattern[str]:
    return _pattern(_ranges("L", last), _ranges("N", last), _SPACE)


def _ranges(kind: str, last: int) -> str:
    """Body of a character class: all code points up to `last` of category L or N."""
    category = unicodedata.category
    members = bytearray(category(chr(code))[0] == kind for code in range(last + 1))
    for added in _ADDED[kind].split():
        first, final = (int(code, 16) for code in added.split("-"))
        if first <= last:
            members[first : final + 1] = b"\x01" * (final - first + 1)
    runs = re.finditer(b"\x01+", members)
    return "".join(f"{chr(run.start())}-{chr(run.end() - 1)}" for run in runs)
