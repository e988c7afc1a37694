"""What data functions return, and how it is split.

Legend: ``n`` examples, ``d`` features, ``C`` channels, ``H`` height, ``W`` width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch


@dataclass(frozen=True)
class ImageSet:
    """Labeled images as they are stored."""

    images: np.ndarray  # (n, H, W) gray or (n, H, W, 3), uint8
    labels: np.ndarray  # (n,) int64
    classes: tuple[str, ...]  # name of each label
    top: int  # the value of full white: 255, or 16 for the digits

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows) -> ImageSet:
        """The examples with these indices (or this mask), in this order."""
        return replace(self, images=self.images[rows], labels=self.labels[rows])

    def tensors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Images (n, C, H, W) float32 from 0 to 1, labels (n,) int64."""
        images = self.images[:, None] if self.images.ndim == 3 else np.moveaxis(self.images, 3, 1)
        scaled = np.ascontiguousarray(images, dtype=np.float32) / np.float32(self.top)
        return torch.from_numpy(scaled), torch.from_numpy(self.labels.copy())


@dataclass(frozen=True)
class Table:
    """Features and a target; ``truth`` where the data were generated and it is known."""

    features: np.ndarray  # (n, d) float64
    target: np.ndarray  # (n,) int64 class or float64 number
    names: tuple[str, ...]  # of the d features
    classes: tuple[str, ...] = ()  # name of each class; empty for regression
    truth: np.ndarray | None = None  # (n,) P(class 1) or mean; (n, C) P(each class)

    def __len__(self) -> int:
        return len(self.target)

    def take(self, rows) -> Table:
        """The examples with these indices (or this mask), in this order."""
        truth = None if self.truth is None else self.truth[rows]
        return replace(self, features=self.features[rows], target=self.target[rows], truth=truth)

    def tensors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Features (n, d) float32; target (n,) int64 classes or float32 numbers."""
        target = self.target if self.classes else self.target.astype(np.float32)
        return torch.from_numpy(self.features.astype(np.float32)), torch.from_numpy(target.copy())


Data = TypeVar("Data", ImageSet, Table)


def split(data: Data, fractions: Sequence[float] = (0.6, 0.2, 0.2), *, seed: int = 0) -> list[Data]:
    """Split at random into parts that share no example; each class is split alike.

    A part holds its fraction of all examples, to within one example, and its fraction of each
    class, to within two. Each part is shuffled. A regression target is split without classes.

    Parameters
    ----------
    fractions : of each part, positive, summing to 1; for example train, validation, test.

    Raises
    ------
    ValueError
        For fractions that are not positive or do not sum to 1, or a part that would be empty.
    """
    fractions = np.asarray(fractions, dtype=float)
    if fractions.ndim != 1 or not (fractions > 0).all() or not np.isclose(fractions.sum(), 1):
        raise ValueError(f"fractions must be positive and sum to 1, got {fractions.tolist()}")
    generator = np.random.default_rng(seed)
    labels = data.labels if isinstance(data, ImageSet) else data.target
    classes = isinstance(data, ImageSet) or bool(data.classes)
    groups = [np.flatnonzero(labels == c) for c in np.unique(labels)] if classes else None
    groups = [np.arange(len(data))] if groups is None else groups
    # cutting the running total of examples, not each class alone, spreads the rounding
    order = np.concatenate([generator.permutation(group) for group in groups])
    slots = _slots(len(order), fractions)
    parts = [generator.permutation(order[slots == part]) for part in range(len(fractions))]
    if min(len(part) for part in parts) == 0:
        raise ValueError(f"{len(data)} examples are too few for fractions {fractions.tolist()}")
    return [data.take(part) for part in parts]


def _slots(n: int, fractions: np.ndarray) -> np.ndarray:
    """Part of each of n places, such that every prefix is shared out by the fractions.

    Each place goes to the part that is furthest behind its due share, so that each stretch of
    places (here: each class) gets every part in nearly the right number.
    """
    given, slots = np.zeros(len(fractions)), np.empty(n, dtype=np.int64)
    for place in range(n):
        slots[place] = np.argmax(fractions * (place + 1) - given)
        given[slots[place]] += 1
    return slots
