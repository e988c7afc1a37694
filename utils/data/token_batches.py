"""Batches for language models: windows of a long text, and documents packed into rows.

Legend: B rows, T tokens a row, N ids of the whole text.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

IGNORED = -100  # a target that does not count, as in torch's cross-entropy
PADDING = -1  # the document number of padding


class TokenBatches:
    """Batches (tokens, targets) of windows, each (B, T) int64; a target is the next id.

    An epoch takes every window of T ids once. ``order="sequential"``: from the start, the last
    batch may have fewer rows; for evaluation. ``order="random"``: shuffled, and cut at another
    offset below T in each epoch, as seed and number of the epoch say; up to B - 1 windows are
    left over. Up to T ids at the text's ends are not used.

    Iterating goes on at ``epoch`` and ``batch``, the next one to come, so an iteration that was
    broken off is continued; `state_dict` and `load_state_dict` carry the place to another
    process, and a Trainer's checkpoint does by itself.

    ids: a `utils.data.shards.TokenShards`, or an array or tensor (N,) of whole numbers.

    Raises
    ------
    TypeError, ValueError: ids are not (N,) whole numbers, or too few for one batch; a size or
    the order is out of range.
    """

    def __init__(
        self, ids, batch_size: int, length: int, *, order: str = "random", seed: int = 0
    ) -> None:
        if order not in ("random", "sequential"):
            raise ValueError(f"order must be 'random' or 'sequential', got {order!r}")
        for name, value in (("batch_size", batch_size), ("length", length)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
        if not isinstance(seed, int) or seed < 0:
            raise ValueError(f"seed must be a whole number of at least 0, got {seed!r}")
        self.ids = _as_ids(ids)
        self.batch_size, self.length, self.order, self.seed = batch_size, length, order, seed
        self.epoch, self.batch = 0, 0
        random = order == "random"
        # With the largest offset, so that all epochs have the same number of batches.
        self.windows = (len(self.ids) - 1 - (length - 1 if random else 0)) // length
        if self.windows < (batch_size if random else 1):
            raise ValueError(
                f"{len(self.ids)} ids give {max(self.windows, 0)} windows of {length}, and a batch "
                f"needs {batch_size if random else 1}: take a longer text, or smaller batches"
            )

    def __len__(self) -> int:
        """Batches an epoch."""
        if self.order == "random":
            return self.windows // self.batch_size
        return math.ceil(self.windows / self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        epoch, starts = self.epoch, self._starts(self.epoch)
        while self.epoch == epoch and self.batch < len(self):
            rows = starts[self.batch * self.batch_size : (self.batch + 1) * self.batch_size]
            self.batch += 1
            yield self._read(rows)
        if self.epoch == epoch:
            self.epoch, self.batch = epoch + 1, 0

    def _starts(self, epoch: int) -> np.ndarray:
        """Where the windows of an epoch begin, in the order in which they come."""
        starts = np.arange(self.windows) * self.length
        if self.order == "sequential":
            return starts
        random = np.random.default_rng([self.seed, epoch])
        return random.permutation(starts) + random.integers(self.length)

    def _read(self, starts: np.ndarray) -> tuple[Tensor, Tensor]:
        windows = [self.ids[int(a) : int(a) + self.length + 1] for a in starts]
        rows = torch.from_numpy(np.stack(windows).astype(np.int64))
        return rows[:, :-1].contiguous(), rows[:, 1:].contiguous()

    def state_dict(self) -> dict:
        """The place, and what it is a place in."""
        names = ("epoch", "batch", "order", "seed", "batch_size", "length", "windows")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state: dict) -> None:
        """Go to a place. Raises ValueError, naming the difference, if it is one in other data."""
        own = self.state_dict()
        if set(state) != set(own):
            raise ValueError(f"the state of TokenBatches has {sorted(own)}, got {sorted(state)}")
        for name in own.keys() - {"epoch", "batch"}:
            if state[name] != own[name]:
                raise ValueError(
                    f"the place is one in batches with {name}={state[name]}, these have "
                    f"{own[name]}: continue with the data that training began with"
                )
        self.epoch, self.batch = state["epoch"], state["batch"]


def _as_ids(ids):
    """The ids as something that slices give arrays of."""
    ids = ids.cpu().numpy() if isinstance(ids, Tensor) else ids
    ids = np.asarray(ids) if isinstance(ids, list | tuple) else ids
    if isinstance(ids, np.ndarray) and (ids.ndim != 1 or not np.issubdtype(ids.dtype, np.integer)):
        raise TypeError(f"ids must be whole numbers of shape (N,), got {ids.dtype} {ids.shape}")
    if not hasattr(ids, "__len__") or isinstance(ids, str | bytes):
        raise TypeError(f"ids must be an array or TokenShards, got {type(ids).__name__}")
    return ids


@dataclass(frozen=True)
class Packed:
    """Rows of documents: tokens, targets, documents, each (B, T) int64.

    ``documents`` numbers the documents within all rows from 0 and is -1 at padding; a target
    is -100 at a document's last token and at padding. For the model:
    ``model(packed.tokens, packed.targets, documents=packed.documents)``.
    """

    tokens: Tensor
    targets: Tensor
    documents: Tensor

    @property
    def padding(self) -> float:
        """Share of the places that hold no token."""
        return (self.documents == PADDING).double().mean().item()


def pack(documents: Sequence, length: int, *, pad: int = 0) -> Packed:
    """Put documents into rows of `length`, each document whole where it fits into a row.

    Longer documents are cut into pieces of `length`, which are documents of their own. Pieces
    are placed from the longest to the shortest, each into the fullest row that has room ("best
    fit decreasing", as for language models in Ding et al. 2024, "Fewer Truncations Improve
    Language Modeling"). Empty documents are left out. `pad` is the id at padding.

    Raises
    ------
    ValueError: `length` below 2, or no document with a token. TypeError: a document is not a
    sequence of whole numbers.
    """
    if not isinstance(length, int) or length < 2:
        raise ValueError(f"length must be a whole number of at least 2, got {length!r}")
    pieces = []
    for number, document in enumerate(documents):
        ids = np.asarray(document)
        if ids.size and (ids.ndim != 1 or not np.issubdtype(ids.dtype, np.integer)):
            raise TypeError(
                f"document {number} must be a sequence of whole numbers, got {ids.dtype} of shape "
                f"{ids.shape}; encode the text first"
            )
        pieces += [ids[a : a + length] for a in range(0, len(ids), length)]
    if not pieces:
        raise ValueError("there is no document with a token to pack")
    rows = _best_fit([len(piece) for piece in pieces], length)
    shape = (len(rows), length)
    tokens, targets = np.full(shape, pad, np.int64), np.full(shape, IGNORED, np.int64)
    numbers = np.full(shape, PADDING, np.int64)
    for row, members in enumerate(rows):
        place = 0
        for number in members:
            ids = pieces[number]
            end = place + len(ids)
            tokens[row, place:end] = ids
            targets[row, place : end - 1] = ids[1:]
            numbers[row, place:end] = number
            place = end
    return Packed(*map(torch.from_numpy, (tokens, targets, numbers)))


def _best_fit(lengths: list[int], room: int) -> list[list[int]]:
    """Rows of indices whose lengths add up to at most `room`."""
    rows: list[list[int]] = []
    free: list[tuple[int, int]] = []  # (room left, row), sorted
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        at = bisect.bisect_left(free, (lengths[index], -1))
        if at == len(free):
            left, row = room, len(rows)
            rows.append([])
        else:
            left, row = free.pop(at)
        rows[row].append(index)
        bisect.insort(free, (left - lengths[index], row))
    return rows
