"""The tokenizer: text to ids and back.

Equal to GPT-2, Hugging Face tokenizers and tiktoken on any text, given the same vocabulary
(tested). Encoding is one pass of a compiled pattern (`pretokenize`), one look-up a chunk in a
table that fills as chunks come (`merging`), and one conversion by NumPy: until then ids are
characters, the character whose code point is the id.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from utils.tokenizer import files, special
from utils.tokenizer.merging import ChunkTokens
from utils.tokenizer.pretokenize import byte_order, replace_surrogates, split_blocks
from utils.tokenizer.streaming import StreamDecoder
from utils.tokenizer.training import train_merges


class Tokenizer:
    """Byte-level byte-pair encoding with GPT-2's pre-tokenization.

    Parameters
    ----------
    vocabulary : id of each token, given by its bytes; holds all 256 bytes.
    merges : pairs of tokens by rank, first one first.
    special_tokens : id of each special token.

    Raises
    ------
    ValueError
        Where a byte or the result of a merge is missing, or an id is used twice.
    """

    def __init__(
        self,
        vocabulary: Mapping[bytes, int],
        merges: Iterable[tuple[bytes, bytes]],
        special_tokens: Mapping[str, int] | None = None,
    ):
        self.vocabulary = dict(vocabulary)
        self.merges = [tuple(pair) for pair in merges]
        self.special_tokens = dict(special_tokens or {})
        files.check_vocabulary(self.vocabulary, self.merges, self.special_tokens)
        self._bytes_of = {id: token for token, id in self.vocabulary.items()}
        self._bytes_of.update({id: token.encode() for token, id in self.special_tokens.items()})
        ids = self.vocabulary
        self._chunk_tokens = ChunkTokens(
            {byte: ids[bytes([byte])] for byte in range(256)},
            [(ids[left], ids[right], ids[left + right]) for left, right in self.merges],
        )

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        vocab_size: int,
        *,
        special_tokens: Sequence[str] = (),
        min_frequency: int = 0,
    ) -> Tokenizer:
        """Learn a vocabulary from documents; ids as Hugging Face's `BpeTrainer` gives them.

        Special tokens come first, then the 256 bytes, then merged tokens in the order they were
        made. See `utils.tokenizer.training` for the algorithm and how ties are broken.

        Parameters
        ----------
        vocab_size : number of ids in all, special tokens included; fewer where the texts have no
            more pairs to merge.
        min_frequency : a pair that occurs less often is not merged.

        Raises
        ------
        ValueError
            For a vocabulary with no room for bytes and special tokens, special tokens given
            twice, or a special token that training learned as an ordinary one.
        """
        specials = {token: id for id, token in enumerate(special_tokens)}
        if len(specials) < len(special_tokens) or "" in specials:
            raise ValueError(f"special tokens must differ and not be empty, got {special_tokens}")
        first = len(specials)
        if vocab_size < first + 256:
            raise ValueError(
                f"vocab_size must be at least {first + 256} (256 bytes and {first} special "
                f"tokens), got {vocab_size}"
            )
        merges = train_merges(texts, vocab_size - first, min_frequency=min_frequency)
        vocabulary = {bytes([byte]): first + rank for rank, byte in enumerate(byte_order())}
        for left, right in merges:
            vocabulary.setdefault(left + right, first + len(vocabulary))
        return cls(vocabulary, merges, specials)

    @classmethod
    def from_gpt2(cls, folder: str | os.PathLike | None = None) -> Tokenizer:
        """GPT-2's own vocabulary, from its files ``encoder.json`` and ``vocab.bpe``.

        Parameters
        ----------
        folder : where the two files are; by default ``gpt2_bpe`` in the data folder.

        Raises
        ------
        FileNotFoundError
            Where one is missing; the message says where to put it.
        """
        return cls(*files.read_gpt2(folder))

    @classmethod
    def load(cls, path: str | os.PathLike) -> Tokenizer:
        """Read Hugging Face's ``tokenizer.json``; ValueError for what this class cannot do."""
        return cls(*files.read_tokenizer_json(path))

    def save(self, path: str | os.PathLike) -> None:
        """Write Hugging Face's ``tokenizer.json``: `tokenizers` reads it and gives equal ids."""
        files.write_tokenizer_json(path, self.vocabulary, self.merges, self.special_tokens)

    @property
    def vocab_size(self) -> int:
        """Rows that an embedding table needs: the largest id plus one."""
        return max(self._bytes_of) + 1

    def encode(
        self,
        text: str,
        *,
        allowed_special: Collection[str] | str = (),
        disallowed_special: Collection[str] | str = "all",
    ) -> list[int]:
        """Ids of a text.

        Lone surrogates are encoded as U+FFFD, as in tiktoken.

        Parameters
        ----------
        allowed_special : special tokens that the text may hold, or "all"; each becomes its id.
        disallowed_special : special tokens that the text must not hold; "all" means all that are
            not allowed. With ``()`` those that are not allowed are encoded as plain text.

        Raises
        ------
        ValueError
            Where the text holds a disallowed special token.
        """
        return self.encode_to_array(
            text, allowed_special=allowed_special, disallowed_special=disallowed_special
        ).tolist()

    def encode_ordinary(self, text: str) -> list[int]:
        """Ids of a text in which special tokens have no meaning."""
        return _to_array(self._encode_plain(_checked_text(text))).tolist()

    def encode_batch(
        self,
        texts: Iterable[str],
        *,
        allowed_special: Collection[str] | str = (),
        disallowed_special: Collection[str] | str = "all",
    ) -> list[list[int]]:
        """Ids of each text; see `encode`."""
        if isinstance(texts, str):
            raise TypeError("texts is an iterable of strings, got one string; use encode")
        how = {"allowed_special": allowed_special, "disallowed_special": disallowed_special}
        return [self.encode(text, **how) for text in texts]

    def encode_to_array(
        self,
        text: str,
        *,
        allowed_special: Collection[str] | str = (),
        disallowed_special: Collection[str] | str = "all",
    ) -> np.ndarray:
        """As `encode`, as an array (T,) of uint32: a tenth of the memory, for large texts."""
        text = _checked_text(text)
        allowed, disallowed = special.choose(
            self.special_tokens, allowed_special, disallowed_special
        )
        special.refuse(text, disallowed)
        if not allowed:
            return _to_array(self._encode_plain(text))
        return _to_array(
            "".join(
                chr(self.special_tokens[part]) if is_special else self._encode_plain(part)
                for part, is_special in special.parts(text, allowed)
            )
        )

    def decode(
        self, ids: Iterable[int], *, errors: str = "replace", skip_special_tokens: bool = False
    ) -> str:
        """Text of ids.

        Parameters
        ----------
        ids : integers: a list, an array or a tensor (T,).
        errors : what to do with bytes that are not UTF-8, as in `bytes.decode`: "replace" puts
            U+FFFD, "strict" raises UnicodeDecodeError.
        skip_special_tokens : leave special tokens out of the text.

        Raises
        ------
        ValueError
            For an id that is not in the vocabulary.
        """
        ids = ids.tolist() if hasattr(ids, "tolist") else list(ids)
        if skip_special_tokens:
            specials = set(self.special_tokens.values())
            ids = [id for id in ids if id not in specials]
        return self.decode_bytes(ids).decode("utf-8", errors)

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Bytes of ids; they need not be complete characters."""
        ids = ids.tolist() if hasattr(ids, "tolist") else ids
        try:
            return b"".join(map(self._bytes_of.__getitem__, ids))
        except KeyError as error:
            raise ValueError(_unknown_id(error.args[0], self.vocab_size)) from None

    def stream_decoder(self, errors: str = "replace") -> StreamDecoder:
        """A decoder for ids that come one at a time."""
        return StreamDecoder(self.token_bytes, errors)

    def token_bytes(self, id: int) -> bytes:
        """Bytes of one token; of a special token its text."""
        try:
            return self._bytes_of[id]
        except KeyError:
            raise ValueError(_unknown_id(id, self.vocab_size)) from None

    def clear_cache(self) -> None:
        """Forget the chunks met so far: frees memory, changes no result."""
        self._chunk_tokens.clear()

    def __repr__(self) -> str:
        return (
            f"Tokenizer({len(self.vocabulary)} tokens, {len(self.merges)} merges, "
            f"special tokens {list(self.special_tokens)})"
        )

    def _encode_plain(self, text: str) -> str:
        """Tokens of a text without special tokens, one character each."""
        tokens_of = self._chunk_tokens.__getitem__
        blocks = split_blocks(replace_surrogates(text))
        return "".join(["".join(map(tokens_of, chunks)) for chunks in blocks])


def _to_array(tokens: str) -> np.ndarray:
    return np.frombuffer(tokens.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint32)


def _checked_text(text: str) -> str:
    if not isinstance(text, str):
        raise TypeError(f"text must be a string, got {type(text).__name__}")
    return text


def _unknown_id(id: object, vocab_size: int) -> str:
    return f"id {id!r} is not in the vocabulary; ids are integers from 0 to {vocab_size - 1}"
