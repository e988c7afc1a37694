"""Known mistakes of the lab `scaling-laws`: parameters, operations, tokens of a budget."""

from __future__ import annotations

from utils.check.core import Mistake


def _count(n, m, f, v, c, *, attention=4, forward=2, tables=None):
    return n * (attention * m * m + forward * m * f), (v + c) * m if tables is None else tables


PARAMETERS = (
    Mistake(
        "embeddings-counted",
        "The tables are counted in the blocks: the first number is the sum of both.",
        lambda n, m, f, v, c: (sum(_count(n, m, f, v, c)), (v + c) * m),
        "The first number is what the blocks hold, without any table.",
    ),
    Mistake(
        "no-output-matrix",
        "Attention has four matrices; the one behind the heads is missing.",
        lambda n, m, f, v, c: _count(n, m, f, v, c, attention=3),
        "Queries, keys, values, and the output that mixes the heads.",
    ),
    Mistake(
        "one-feed-forward",
        "The feed-forward layer has two matrices, one in and one out.",
        lambda n, m, f, v, c: _count(n, m, f, v, c, forward=1),
    ),
    Mistake(
        "gated",
        "Three matrices were counted in the feed-forward layer, as in a gated one; this has two.",
        lambda n, m, f, v, c: _count(n, m, f, v, c, forward=3),
    ),
    Mistake(
        "twelve",
        "12 · width² a block holds only where inner is four times the width.",
        lambda n, m, f, v, c: (12 * n * m * m, (v + c) * m),
        "Use the argument inner.",
    ),
    Mistake(
        "one-block",
        "One block was counted, not all layers.",
        lambda n, m, f, v, c: _count(1, m, f, v, c),
    ),
    Mistake(
        "no-positions",
        "The table of positions is missing.",
        lambda n, m, f, v, c: _count(n, m, f, v, c, tables=v * m),
    ),
    Mistake(
        "head-twice",
        "The table of tokens was counted twice; the head shares it.",
        lambda n, m, f, v, c: _count(n, m, f, v, c, tables=(2 * v + c) * m),
    ),
    Mistake(
        "order",
        "The two numbers came in the other order: blocks first, then tables.",
        lambda n, m, f, v, c: _count(n, m, f, v, c)[::-1],
    ),
)

_SIX = "2 operations for each weight and token forward, and twice as many backward."
FLOPS = (
    Mistake("forward-only", "2ND is the way forward alone.", lambda N, D: 2 * N * D, _SIX),
    Mistake("backward-only", "4ND is the way back alone.", lambda N, D: 4 * N * D, _SIX),
    Mistake(
        "multiplications-only",
        "3ND counts multiplications alone; each comes with an addition.",
        lambda N, D: 3 * N * D,
        _SIX,
    ),
    Mistake("no-factor", "The factor 6 is missing.", lambda N, D: N * D, _SIX),
    Mistake("summed", "N and D are multiplied, not added.", lambda N, D: 6 * (N + D), _SIX),
)
TOKENS = (
    Mistake("tokens-forward-only", "The price was 2ND here.", lambda C, N: C / (2 * N), _SIX),
    Mistake("tokens-no-factor", "The factor 6 is missing.", lambda C, N: C / N, _SIX),
    Mistake(
        "tokens-precedence",
        "C / 6 * N divides by 6 and multiplies by N.",
        lambda C, N: C / 6 * N,
        "Brackets: C / (6 * N).",
    ),
    Mistake("tokens-times-six", "The 6 went to the wrong side.", lambda C, N: 6 * C / N),
    Mistake("tokens-whole", "The tokens were rounded down.", lambda C, N: C // (6 * N)),
)
