"""Dates as people write them, and as eight digits: a small translation with exact truth.

``25 november 2026``, ``november 25, 2026`` and ``25.11.2026`` all mean ``20261125``. Characters
are numbered; 0 is padding and 1 the start of what is written.

Legend: N days, S longest way of writing.
"""

from __future__ import annotations

import datetime
from typing import NamedTuple

import torch
from torch import Tensor

MONTHS = "january february march april may june july august september october november december"
CHARS = "\0^0123456789abcdefghijklmnopqrstuvwxyz ,."
CODE = {char: number for number, char in enumerate(CHARS)}
PADDING, START, SOURCE_LENGTH, TARGET_LENGTH = 0, 1, 18, 9
FIRST, DAYS = datetime.date(1950, 1, 1), 36525


class Dates(NamedTuple):
    """All days from 1950 to 2049: `sources` (N, 3, S) and `targets` (N, 9), whole numbers."""

    sources: Tensor
    targets: Tensor


def writings(day: datetime.date) -> tuple[str, str, str]:
    """The three ways in which a day is written."""
    month = MONTHS.split()[day.month - 1]
    first, second = f"{day.day} {month} {day.year}", f"{month} {day.day}, {day.year}"
    return first, second, f"{day.day}.{day.month}.{day.year}"


def encode(text: str, length: int) -> list[int]:
    """The characters' numbers, padded to a length.

    Raises
    ------
    ValueError: a character has no number, or the text is longer than `length`.
    """
    strange = sorted(set(text) - set(CHARS))
    if strange or len(text) > length:
        raise ValueError(
            f"{text!r} cannot be encoded in {length} characters of {CHARS[1:]!r}: expected a text "
            f"that is not longer and has no others{f', such as {strange[0]!r}' if strange else ''}"
        )
    return [CODE[char] for char in text.ljust(length, CHARS[PADDING])]


def dates() -> Dates:
    """Every day of a hundred years, in three ways of writing and as ``^yyyymmdd``."""
    days = [FIRST + datetime.timedelta(n) for n in range(DAYS)]
    sources = [[encode(way, SOURCE_LENGTH) for way in writings(day)] for day in days]
    targets = [encode(f"{CHARS[START]}{day:%Y%m%d}", TARGET_LENGTH) for day in days]
    return Dates(torch.tensor(sources), torch.tensor(targets))
