"""Vocabulary files: Hugging Face's ``tokenizer.json`` and GPT-2's ``encoder.json``, ``vocab.bpe``.

A ``tokenizer.json`` can describe much more than this package does. What would change ids and is
not done here is refused, by name, rather than passed over.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from utils.tokenizer.pretokenize import byte_to_symbol

Vocabulary = tuple[dict[bytes, int], list[tuple[bytes, bytes]], dict[str, int]]

_BYTE_LEVEL = {
    "type": "ByteLevel",
    "add_prefix_space": False,
    "trim_offsets": True,
    "use_regex": True,
}
GPT2_SPECIAL = "<|endoftext|>"


def check_vocabulary(
    vocabulary: Mapping[bytes, int],
    merges: Sequence[tuple[bytes, bytes]],
    special_tokens: Mapping[str, int],
) -> None:
    """Raise ValueError where tokens, merges and special tokens do not fit together."""
    missing = [byte for byte in range(256) if bytes([byte]) not in vocabulary]
    if missing:
        raise ValueError(
            f"a byte-level vocabulary holds all 256 bytes; {len(missing)} are missing, the first "
            f"is {missing[0]:#04x}"
        )
    for left, right in merges:
        for token in (left, right, left + right):
            if token not in vocabulary:
                raise ValueError(f"the merge {left!r} + {right!r} needs {token!r}, not a token")
    if len(set(merges)) < len(merges):
        raise ValueError("a pair stands in the list of merges twice")
    ids = [*vocabulary.values(), *special_tokens.values()]
    if len(set(ids)) < len(ids):
        twice = next(id for id in ids if ids.count(id) > 1)
        raise ValueError(f"each token has its own id; {twice} is given twice")
    if not 0 <= min(ids) <= max(ids) < 0x110000:
        raise ValueError(f"ids are from 0 to 1,114,111, got {min(ids)} to {max(ids)}")
    both = [token for token in special_tokens if not token or token.encode() in vocabulary]
    if both:
        raise ValueError(
            f"{both[0]!r} is empty or an ordinary token as well; choose another special token"
        )


def read_gpt2(folder: str | os.PathLike | None = None) -> Vocabulary:
    """Read ``encoder.json`` (ids) and ``vocab.bpe`` (merges) as published with GPT-2."""
    if folder is None:
        from utils.data.download import data_folder

        folder = data_folder() / "gpt2_bpe"
    folder = Path(folder)
    for name in ("encoder.json", "vocab.bpe"):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"no {folder / name}; get encoder.json and vocab.bpe of GPT-2 and put them into "
                f"{folder}, or set the environment variable LMM_DATA to the folder that holds "
                "gpt2_bpe"
            )
    ids = json.loads((folder / "encoder.json").read_text(encoding="utf-8"))
    lines = (folder / "vocab.bpe").read_text(encoding="utf-8").split("\n")[1:]
    special = {GPT2_SPECIAL: ids.pop(GPT2_SPECIAL)}
    vocabulary = {_to_bytes(token): id for token, id in ids.items()}
    return vocabulary, _read_merges([line for line in lines if line]), special


def read_tokenizer_json(path: str | os.PathLike) -> Vocabulary:
    """Read a ``tokenizer.json`` of a byte-level BPE with GPT-2's pre-tokenization.

    Raises
    ------
    ValueError
        For a file that asks for anything else: the message names the entry.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        _check_support(content)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    special = {token["content"]: token["id"] for token in content.get("added_tokens") or []}
    model = content["model"]
    vocabulary = {}
    for token, id in model["vocab"].items():
        if token in special:
            if special[token] != id:
                raise ValueError(f"{path}: {token!r} has the ids {id} and {special[token]}")
        else:
            vocabulary[_to_bytes(token)] = id
    return vocabulary, _read_merges(model["merges"]), special


def write_tokenizer_json(
    path: str | os.PathLike,
    vocabulary: Mapping[bytes, int],
    merges: Sequence[tuple[bytes, bytes]],
    special_tokens: Mapping[str, int],
) -> None:
    """Write a ``tokenizer.json``: merges as strings, which every version of `tokenizers` reads."""
    symbols = {_to_symbols(token): id for token, id in vocabulary.items()}
    clash = sorted(symbols.keys() & special_tokens.keys())
    if clash:
        raise ValueError(
            f"the special token {clash[0]!r} reads like an ordinary token in this format, where "
            "bytes are written as characters; choose another special token"
        )
    symbols.update(special_tokens)
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": id,
                "content": token,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for token, id in sorted(special_tokens.items(), key=lambda item: item[1])
        ],
        "normalizer": None,
        "pre_tokenizer": _BYTE_LEVEL,
        "post_processor": None,
        "decoder": _BYTE_LEVEL | {"add_prefix_space": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": dict(sorted(symbols.items(), key=lambda item: item[1])),
            "merges": [f"{_to_symbols(left)} {_to_symbols(right)}" for left, right in merges],
        },
    }
    Path(path).write_text(json.dumps(content, ensure_ascii=False, indent=2), encoding="utf-8")


def _check_support(content: Mapping) -> None:
    model = content.get("model") if isinstance(content, dict) else None
    if not isinstance(model, dict) or not {"vocab", "merges"} <= model.keys():
        raise ValueError("not a tokenizer.json of a BPE model: no model with vocab and merges")
    if model.get("type", "BPE") != "BPE":
        raise ValueError(f"model type {model['type']!r} is not supported, only 'BPE'")
    for name in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        _must_be_empty(model.get(name), f"model.{name}")
    for name in ("byte_fallback", "ignore_merges"):
        _must_be_empty(model.get(name), f"model.{name}")
    for name in ("normalizer", "truncation", "padding"):
        _must_be_empty(content.get(name), name)
    _must_be_byte_level(content.get("pre_tokenizer"), "pre_tokenizer")
    for name in ("post_processor", "decoder"):
        if content.get(name) is not None:
            _must_be_byte_level(content[name], name)
    for token in content.get("added_tokens") or []:
        wrong = [name for name in ("single_word", "lstrip", "rstrip") if token.get(name)]
        if wrong or not token.get("special", False):
            why = f"with {wrong[0]}" if wrong else "that is not special"
            raise ValueError(f"the added token {token['content']!r} {why} is not supported")


def _must_be_empty(value: object, name: str) -> None:
    if value:
        shown = json.dumps(value)
        raise ValueError(f"{name} = {shown[:100]} is not supported; it must be null or false")


def _must_be_byte_level(part: object, name: str) -> None:
    """A part that is ByteLevel; only the pre-tokenizer's options change ids."""
    kind = part.get("type") if isinstance(part, dict) else None
    if kind != "ByteLevel":
        raise ValueError(f"{name} of type {kind!r} is not supported, only 'ByteLevel'")
    if name == "pre_tokenizer":
        for option, needed in (("add_prefix_space", False), ("use_regex", True)):
            if part.get(option, True) is not needed:
                raise ValueError(f"{name}.{option} must be {str(needed).lower()} (as in GPT-2)")


def _read_merges(merges: Sequence) -> list[tuple[bytes, bytes]]:
    """Merges from "a b" (older files) or ["a", "b"] (newer ones)."""
    pairs = []
    for merge in merges:
        pair = merge.split(" ") if isinstance(merge, str) else merge
        if len(pair) != 2:
            raise ValueError(f"a merge is two tokens, got {merge!r}")
        pairs.append((_to_bytes(pair[0]), _to_bytes(pair[1])))
    return pairs


_SYMBOLS = byte_to_symbol()
_BYTES = {symbol: byte for byte, symbol in _SYMBOLS.items()}


def _to_symbols(token: bytes) -> str:
    return "".join(map(_SYMBOLS.__getitem__, token))


def _to_bytes(symbols: str) -> bytes:
    try:
        return bytes(map(_BYTES.__getitem__, symbols))
    except KeyError as error:
        raise ValueError(
            f"token {symbols!r} is not byte-level: {error.args[0]!r} stands for no byte"
        ) from None
