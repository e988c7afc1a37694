"""Rotary position embedding: how far each pair of a query and a key turns, and their product."""

from __future__ import annotations

import math

import traitlets

from utils.explore.base import Explorable, source

PAIRS = 8  # a head of width 16
LAST = 63  # the last position
BASES = ("100", "10000", "500000")


def frequencies(base: float) -> list[float]:
    """Radians per position of each pair, ``base ** (-i / PAIRS)`` (Su et al. 2021, "RoFormer")."""
    return [base ** (-i / PAIRS) for i in range(PAIRS)]


def similarity(distance: float, base: float) -> float:
    """Cosine of a vector with itself turned by ``distance`` positions, all pairs equally long."""
    return sum(math.cos(distance * w) for w in frequencies(base)) / PAIRS


def rope_angles(query: int, key: int, pair: int, base: str) -> dict:
    """Angles of a query and a key that were equal before they were turned.

    Returns
    -------
    ``frequency`` (radians a position), ``period`` (positions a turn), ``apart`` (radians from key
    to query) and ``cosine`` of it, one number a pair; ``query_angle`` and ``key_angle`` of pair
    number ``pair``, counted from 1, in radians; ``score``, the mean of the cosines, which is the
    dot product divided by what it is at the same position.

    Raises
    ------
    ValueError
        For an unknown base or a pair outside 1 … PAIRS.
    """
    if base not in BASES:
        raise ValueError(f"base is {base!r}; expected one of {', '.join(BASES)}")
    if not 1 <= pair <= PAIRS:
        raise ValueError(f"pair is {pair!r}; expected a whole number from 1 to {PAIRS}")
    frequency = frequencies(float(base))
    apart = [(query - key) * w for w in frequency]
    return {
        "frequency": frequency,
        "period": [2 * math.pi / w for w in frequency],
        "apart": apart,
        "cosine": [math.cos(angle) for angle in apart],
        "query_angle": query * frequency[pair - 1],
        "key_angle": key * frequency[pair - 1],
        "score": similarity(query - key, float(base)),
    }


class RopeAngles(Explorable):
    """One pair's two arrows on a circle, and the product of all pairs against the distance."""

    _esm = source("rope_angles.js")
    title = "Rotary positions: angles of a query and a key"
    fallback = (
        "With JavaScript, sliders set the positions of a query and a key here; one picture shows "
        "how far a pair of their numbers turns, another their product against the distance."
    )
    heights = ("46rem", "80rem")
    query = traitlets.Int(9, min=0, max=LAST).tag(sync=True)
    key = traitlets.Int(5, min=0, max=LAST).tag(sync=True)
    pair = traitlets.Int(3, min=1, max=PAIRS).tag(sync=True)
    base = traitlets.Enum(BASES, "10000").tag(sync=True)
