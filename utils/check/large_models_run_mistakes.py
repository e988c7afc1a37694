"""Named mistakes of the lab `large-models`: operations, days and money.

Legend as in `utils.check.large_models`. Each function is deliberately wrong in one way.
"""

from __future__ import annotations

import math

from utils.check.core import Mistake

DAY = 86_400  # seconds


def _flops(V, M, L, T, D, recompute, matrix=6, attention=12, head=6, factor=None):
    again = 4 / 3 if recompute else 1
    return D * (L * (matrix * 12 * M * M + attention * T * M) * (factor or again) + head * V * M)


RULE = (
    Mistake(
        "forward-alone",
        "This is the way forward alone.",
        lambda N, D: 2.0 * N * D,
        "The way back costs twice as much again.",
    ),
    Mistake(
        "backward-alone",
        "This is 4 a parameter and token: the way back alone, or both ways at the same price.",
        lambda N, D: 4.0 * N * D,
        "2 forward; backward two products a matrix, for the input's gradient and for its own.",
    ),
    Mistake(
        "pairs",
        "A multiplication and its addition are counted as one operation.",
        lambda N, D: 3.0 * N * D,
        "A FLOP is one multiplication or one addition: two for each entry of a matrix.",
    ),
    Mistake(
        "recomputed",
        "This is 8 a parameter and token, as with recomputation.",
        lambda N, D: 8.0 * N * D,
        "2 forward, 4 backward.",
    ),
    Mistake(
        "bytes",
        "This is 16 a parameter: bytes in training, not operations.",
        lambda N, D: 16.0 * N * D,
        "2 forward, 4 backward.",
    ),
)
FULL = (
    Mistake(
        "no-attention",
        "Attention's products of queries with keys and weights with values are missing.",
        lambda *a: _flops(*a, attention=0),
        "They grow with T and multiply no parameter.",
    ),
    Mistake(
        "attention-forward",
        "Of attention only the way forward is counted.",
        lambda *a: _flops(*a, attention=4),
        "As for a matrix, the way back costs twice the way forward.",
    ),
    Mistake(
        "attention-half",
        "Attention is halved: keys or values missing, or positions under the mask left out.",
        lambda *a: _flops(*a, attention=6),
        "Two products of 2 T M each; the chapter counts all T positions, masked ones too.",
    ),
    Mistake(
        "attention-squared",
        "Attention has T squared for each token; a token meets T keys once.",
        lambda V, M, L, T, D, r: _flops(V, M, L, T, D, r, attention=12 * T),
        "T squared is for a whole text of T tokens; D counts tokens.",
    ),
    Mistake(
        "no-head",
        "The head is missing: a tied table is multiplied all the same.",
        lambda *a: _flops(*a, head=0),
        "Looking a token up costs nothing; scoring all V tokens costs V M products.",
    ),
    Mistake(
        "table-twice",
        "The table is counted twice; looking a token up multiplies nothing.",
        lambda *a: _flops(*a, head=12),
        "Only as head does the table cost operations.",
    ),
    Mistake(
        "all-parameters",
        "Biases or norms are counted among the matrices; only matrices count.",
        lambda V, M, L, T, D, r: _flops(V, M, L, T, D, r) + 6 * 13 * M * L * D,
        "12 M M a block, and V M.",
    ),
    Mistake(
        "recompute-ignored",
        "recompute changes nothing here.",
        lambda *a: _flops(*a, factor=1),
        "With recomputation the blocks run forward twice.",
    ),
    Mistake(
        "recompute-always",
        "The blocks are recomputed here though recompute is False.",
        lambda *a: _flops(*a, factor=4 / 3),
        "Without recomputation the blocks run forward once.",
    ),
    Mistake(
        "recompute-head",
        "The head is recomputed too; only blocks are.",
        lambda *a: _flops(*a, head=8 if a[-1] else 6),
        "8 in place of 6 for what stands in a block.",
    ),
    Mistake(
        "recompute-no-attention",
        "Attention is not recomputed here; it is part of a block.",
        lambda *a: _flops(*a, attention=9 if a[-1] else 12),
        "12 becomes 16, as 6 becomes 8.",
    ),
    Mistake(
        "recompute-whole",
        "The whole block is counted twice; only its way forward is repeated.",
        lambda *a: _flops(*a, factor=2 if a[-1] else 1),
        "2 forward, 2 forward again, 4 backward.",
    ),
)


def _plan(flops, held, days, peak, use, memory, price, *, gpus=None, paid=None, last=None):
    a_day = peak * use * DAY
    by_day, by_memory = math.ceil(flops / (a_day * days)), math.ceil(held / memory)
    gpus = max(by_day, by_memory) if gpus is None else gpus(by_day, by_memory)
    needed = flops / (a_day * gpus) if last is None else days
    paid = gpus * needed * 24 * price if paid is None else paid(gpus, needed, price)
    return {"gpus": gpus, "days": needed, "cost": paid}


def _down(flops, held, days, peak, use, memory, price):
    gpus = max(int(flops / (peak * use * DAY * days)), int(held / memory))
    return _plan(flops, held, days, peak, use, memory, price, gpus=lambda a, b: gpus)


def _fraction(flops, held, days, peak, use, memory, price):
    gpus = max(flops / (peak * use * DAY * days), held / memory)
    return _plan(flops, held, days, peak, use, memory, price, gpus=lambda a, b: gpus)


def _one_more(flops, held, days, peak, use, memory, price):
    gpus = max(int(flops / (peak * use * DAY * days)), int(held / memory)) + 1
    return _plan(flops, held, days, peak, use, memory, price, gpus=lambda a, b: gpus)


PLAN = (
    Mistake(
        "memory-forgotten",
        "The GPUs meet the last day, but what is held does not fit into their memory.",
        lambda *a: _plan(*a, gpus=lambda by_day, by_memory: by_day),
        "held / memory GPUs are needed too, whatever the days.",
    ),
    Mistake(
        "days-forgotten",
        "The GPUs hold what is held, but miss the last day.",
        lambda *a: _plan(*a, gpus=lambda by_day, by_memory: by_memory),
        "How many operations does one GPU do by the last day?",
    ),
    Mistake(
        "one-too-many",
        "One GPU too many where the numbers come out whole.",
        _one_more,
        "Rounding up leaves a whole number as it is.",
    ),
    Mistake(
        "added",
        "The GPUs for the days and those for the memory are added; the same GPUs do both.",
        lambda *a: _plan(*a, gpus=lambda by_day, by_memory: by_day + by_memory),
        "Take the larger of the two numbers.",
    ),
    Mistake("rounded-down", "Rounded down: one GPU is missing.", _down, "math.ceil rounds up."),
    Mistake("part-of-a-gpu", "A part of a GPU: they come whole.", _fraction, "Round up."),
    Mistake(
        "peak-as-rate",
        "The GPUs run at their peak here; a run reaches the share utilisation of it.",
        lambda *a: _plan(*a[:4], 1.0, *a[5:]),
        "Operations a second: peak times utilisation.",
    ),
    Mistake(
        "days-as-given",
        "The days are those that were given; with whole GPUs the run ends earlier.",
        lambda *a: _plan(*a, last=True),
        "Divide the operations by what all GPUs do a day.",
    ),
    Mistake(
        "paid-by-day",
        "The price is for an hour; here it was paid for a day.",
        lambda *a: _plan(*a, paid=lambda gpus, days, price: gpus * days * price),
        "A day has 24 hours.",
    ),
    Mistake(
        "one-paid",
        "One GPU is paid for; each of them costs its price.",
        lambda *a: _plan(*a, paid=lambda gpus, days, price: days * 24 * price),
        "Hours times GPUs times price.",
    ),
)
