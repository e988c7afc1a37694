"""Token ids in files that are mapped into memory, so that a corpus need not fit into it.

A shard is one file: a head of 64 bytes, then the ids, little-endian, in the smallest whole
number that the vocabulary fits. The head holds a mark, bytes an id, vocabulary size, number of
ids and their SHA-256, so a file that was cut, damaged or made for another vocabulary is refused.
Shards are named NAME-00000-of-00003.tokens; a missing one is noticed.

Legend: N ids in all shards together.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

MARK = b"LMMTOK1\n"
HEAD = struct.Struct("<8sQQQ32s")  # mark, bytes an id, vocabulary size, ids, SHA-256
DTYPES = {1: np.dtype("<u1"), 2: np.dtype("<u2"), 4: np.dtype("<u4")}
_NAME = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.tokens")


class ShardError(ValueError):
    """A shard that cannot be used, with the reason."""


def id_dtype(vocab_size: int) -> np.dtype:
    """uint8 up to 256 ids, uint16 up to 65,536, else uint32.

    Raises ValueError for less than one id, or more than 2^32.
    """
    for size, dtype in DTYPES.items():
        if 1 <= vocab_size <= 1 << (8 * size):
            return dtype
    raise ValueError(f"vocab_size must be in 1 … 2^32, got {vocab_size}")


def write_shards(
    folder: str | os.PathLike,
    pieces: Iterable,
    vocab_size: int,
    *,
    name: str = "train",
    shard_tokens: int = 1 << 27,
) -> list[Path]:
    """Write the ids of all pieces, one after the other, into shards; return their paths.

    pieces: sequences of whole numbers of any length, such as documents with their end token;
    they are taken one at a time. shard_tokens: ids a shard, the last one may have fewer. The
    files get their names when all are complete; until then nothing can be opened.

    Raises
    ------
    ValueError: an id outside the vocabulary, not whole numbers, no ids at all, or shards of
    that name are there already.
    """
    folder, dtype = Path(folder), id_dtype(vocab_size)
    if shard_tokens < 1:
        raise ValueError(f"shard_tokens must be at least 1, got {shard_tokens}")
    folder.mkdir(parents=True, exist_ok=True)
    if there := sorted(folder.glob(f"{name}-*-of-*.tokens")):
        raise ValueError(f"{folder.name!r} holds {there[0].name} already: delete it or rename")
    parts: list[Path] = []
    try:
        for chunk in _chunks(pieces, vocab_size, dtype, shard_tokens):
            parts.append(folder / f"{name}-{len(parts):05d}.part")
            _write(parts[-1], chunk, vocab_size)
        if not parts:
            raise ValueError("there are no token ids to write")
    except BaseException:
        for part in parts:
            part.unlink(missing_ok=True)
        raise
    paths = [folder / f"{name}-{i:05d}-of-{len(parts):05d}.tokens" for i in range(len(parts))]
    for part, path in zip(parts, paths, strict=True):
        os.replace(part, path)
    return paths


def _chunks(
    pieces: Iterable, vocab_size: int, dtype: np.dtype, shard_tokens: int
) -> Iterator[list[np.ndarray]]:
    """Lists of arrays that make up one shard each."""
    held, room = [], shard_tokens
    for number, piece in enumerate(pieces):
        ids = _checked(np.asarray(piece), vocab_size, number).astype(dtype)
        while len(ids):
            held.append(ids[:room])
            ids, room = ids[room:], room - len(held[-1])
            if not room:
                yield held
                held, room = [], shard_tokens
    if held:
        yield held


def _checked(ids: np.ndarray, vocab_size: int, number: int) -> np.ndarray:
    if ids.size == 0:
        return ids.reshape(-1)
    if ids.ndim != 1 or not np.issubdtype(ids.dtype, np.integer):
        raise ValueError(
            f"piece {number} must be a sequence of whole numbers, got {ids.dtype} of shape "
            f"{ids.shape}; encode the text first"
        )
    if ids.min() < 0 or ids.max() >= vocab_size:
        raise ValueError(
            f"piece {number} has ids {ids.min()} … {ids.max()}, the vocabulary 0 … "
            f"{vocab_size - 1}: was it encoded by another tokenizer?"
        )
    return ids


def _write(path: Path, arrays: list[np.ndarray], vocab_size: int) -> None:
    digest, count = hashlib.sha256(), sum(map(len, arrays))
    with open(path, "wb") as file:
        file.write(bytes(HEAD.size))
        for array in arrays:
            digest.update(array.tobytes())
            file.write(array.tobytes())
        file.seek(0)
        size = arrays[0].itemsize
        file.write(HEAD.pack(MARK, size, vocab_size, count, digest.digest()))
        file.flush()
        os.fsync(file.fileno())


class TokenShards:
    """The ids of all shards of a name in a folder, as one sequence of N.

    `shards[a:b]` reads ids as int64, (b - a,), across the borders of shards; `len` is N.
    Only what is read comes into memory. ``verify`` reads every file once to compare checksums.

    Raises
    ------
    FileNotFoundError: no shard of that name. ShardError: a shard is missing, cut short, too
    long, damaged, foreign, or of another vocabulary than the others.
    """

    def __init__(
        self, folder: str | os.PathLike, name: str = "train", *, verify: bool = True
    ) -> None:
        paths = _all_of(Path(folder), name)
        opened = [_open(path, verify) for path in paths]
        sizes = {vocab_size for _, vocab_size in opened}
        if len(sizes) > 1:
            raise ShardError(f"the shards of {name!r} are of different vocabularies: {sizes}")
        self.maps = [ids for ids, _ in opened]
        self.vocab_size = sizes.pop()
        self.starts = np.cumsum([0, *map(len, self.maps)])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getitem__(self, index: slice) -> np.ndarray:
        if not isinstance(index, slice) or index.step not in (None, 1):
            raise TypeError("shards are read by slices without a step, such as shards[0:100]")
        first, last, _ = index.indices(len(self))
        pieces = []
        shard = int(np.searchsorted(self.starts, first, side="right")) - 1
        while first < last:
            base = int(self.starts[shard])
            piece = self.maps[shard][first - base : last - base]
            pieces.append(piece)
            first, shard = first + len(piece), shard + 1
        return np.concatenate(pieces).astype(np.int64) if pieces else np.empty(0, np.int64)


def _all_of(folder: Path, name: str) -> list[Path]:
    """The paths of a complete set of shards, in order."""
    matches = [(path, _NAME.fullmatch(path.name)) for path in sorted(folder.glob("*.tokens"))]
    found = {(int(m[2]), int(m[3])): path for path, m in matches if m and m[1] == name}
    if not found:
        others = sorted({m[1] for _, m in matches if m})
        raise FileNotFoundError(
            f"there are no shards of {name!r} in the folder {folder.name!r}"
            + (f"; there are {', '.join(others)}" if others else "; write_shards makes them")
        )
    counts = {count for _, count in found}
    if len(counts) > 1:
        raise ShardError(f"{name!r} has shards of different sets, of {sorted(counts)} files each")
    count = counts.pop()
    missing = [i for i in range(count) if (i, count) not in found]
    if missing:
        raise ShardError(f"{name!r} lacks {len(missing)} of {count} shards: {missing[:5]}")
    return [found[i, count] for i in range(count)]


def _open(path: Path, verify: bool) -> tuple[np.ndarray, int]:
    """The ids of a file, mapped, and its vocabulary size."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        head = file.read(HEAD.size)
    if len(head) < HEAD.size or not head.startswith(MARK):
        raise ShardError(f"{path.name} is refused: it does not begin with the head of a shard")
    _, width, vocab_size, count, sha256 = HEAD.unpack(head)
    if width not in DTYPES or not count or not 1 <= vocab_size <= 1 << (8 * width):
        raise ShardError(f"{path.name} is refused: its head is damaged")
    expected = HEAD.size + count * width
    if size != expected:
        fault = "cut short" if size < expected else "too long"
        raise ShardError(
            f"{path.name} is refused: it is {fault}, {size} bytes where {count} ids take {expected}"
        )
    ids = np.memmap(path, DTYPES[width], "r", offset=HEAD.size, shape=(count,))
    if verify and hashlib.sha256(ids).digest() != sha256:
        raise ShardError(
            f"{path.name} is refused: its ids do not match their checksum, so it was damaged "
            "after it was written; write it anew"
        )
    return ids, vocab_size
