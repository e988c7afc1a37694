"""Named mistakes of the lab `attention`, one head: what a wrong answer would be, for each.

Legend as in `utils.check.attention`. Each function is deliberately wrong in one way.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from utils.check.core import Mistake


def _exp(x: Tensor) -> Tensor:
    return torch.exp(x.double())


def weights(of: Tensor, dim: int = -1) -> Tensor:
    """Softmax in float64."""
    return torch.softmax(of.double(), dim)


def scores(q: Tensor, k: Tensor, scale: float | None = None) -> Tensor:
    """Scaled scores (..., T, S); by 1 / sqrt(D) unless `scale` says otherwise."""
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    return q.double() @ k.double().transpose(-1, -2) * scale


SOFTMAX = (
    Mistake(
        "no-division",
        "The weights were not divided by their sum.",
        lambda s: _exp(s - s.amax(-1, keepdim=True)),
        "Add up one row of your result: it should be 1.",
    ),
    Mistake("no-division-no-shift", "The weights were not divided by their sum.", _exp),
    Mistake(
        "overflow",
        "exp overflowed: it was taken of the scores as they are.",
        lambda s: torch.exp(s) / torch.exp(s).sum(-1, keepdim=True),
        "exp(800) is more than a float holds, and exp(-800) is 0. Shift the scores first.",
    ),
    Mistake(
        "global-shift",
        "The largest score of the whole tensor was subtracted, not that of each row.",
        lambda s: torch.exp(s - s.max()) / torch.exp(s - s.max()).sum(-1, keepdim=True),
        "A row far below the largest score becomes all zeros. Each row needs its own maximum.",
    ),
    Mistake(
        "wrong-axis",
        "The weights sum to 1 along another axis than the last.",
        lambda s: weights(s, -2),
        "Each row of scores belongs to one query: sum over dim=-1.",
    ),
    Mistake(
        "first-axis",
        "The weights sum to 1 along the first axis, not the last.",
        lambda s: weights(s, 0),
        "Each row of scores belongs to one query: sum over dim=-1.",
    ),
    Mistake(
        "all-together",
        "The whole tensor was normalized together, not row by row.",
        lambda s: weights(s.flatten(), 0).view_as(s),
        "Give the sum a dim.",
    ),
    Mistake(
        "no-exp",
        "The scores were divided by their sum; exp is missing.",
        lambda s: s / s.sum(-1, keepdim=True),
        "Weights must be positive even where scores are negative.",
    ),
    Mistake(
        "log",
        "This is the logarithm of the weights.",
        lambda s: torch.log_softmax(s.double(), -1),
        "Take exp once more, or leave the logarithm out.",
    ),
)

_SCALE = "Measure the variance of q·k for D = 4 and D = 400 before you choose the divisor."
ATTENTION = (
    Mistake(
        "no-scale",
        "The scores were not divided by the square root of D.",
        lambda q, k, v: weights(scores(q, k, 1)) @ v.double(),
        _SCALE,
    ),
    Mistake(
        "scale-d",
        "The scores were divided by D, not by its square root.",
        lambda q, k, v: weights(scores(q, k, 1 / q.shape[-1])) @ v.double(),
        _SCALE,
    ),
    Mistake(
        "scale-up",
        "The scores were multiplied by the square root of D, not divided by it.",
        lambda q, k, v: weights(scores(q, k, q.shape[-1] ** 0.5)) @ v.double(),
        _SCALE,
    ),
    Mistake(
        "scale-value-width",
        "The scale was taken from the width of the values; it belongs to queries and keys.",
        lambda q, k, v: weights(scores(q, k, v.shape[-1] ** -0.5)) @ v.double(),
    ),
    Mistake(
        "scale-keys",
        "The scale was taken from the number of keys, not from the width D.",
        lambda q, k, v: weights(scores(q, k, k.shape[-2] ** -0.5)) @ v.double(),
        _SCALE,
    ),
    Mistake(
        "scale-queries",
        "The scale was taken from the number of queries, not from the width D.",
        lambda q, k, v: weights(scores(q, k, q.shape[-2] ** -0.5)) @ v.double(),
        _SCALE,
    ),
    Mistake(
        "scale-late",
        "The weights were scaled after the softmax; the scores have to be scaled before.",
        lambda q, k, v: weights(scores(q, k, 1)) / q.shape[-1] ** 0.5 @ v.double(),
    ),
    Mistake(
        "softmax-over-queries",
        "The softmax ran over the queries; each query needs weights that sum to 1 over the keys.",
        lambda q, k, v: weights(scores(q, k), -2) @ v.double(),
        "Scores have shape (..., T, S): keys are the last axis.",
    ),
    Mistake(
        "no-softmax",
        "The scores were used as weights: the softmax is missing.",
        lambda q, k, v: scores(q, k) @ v.double(),
    ),
    Mistake(
        "weights-returned",
        "The weights came back, not the weighted sum of the values.",
        lambda q, k, v: weights(scores(q, k)),
        "One product with v is missing.",
    ),
    Mistake(
        "keys-as-values",
        "The keys were summed, not the values.",
        lambda q, k, v: weights(scores(q, k)) @ k.double(),
    ),
    Mistake(
        "roles-swapped",
        "Queries and keys changed places.",
        lambda q, k, v: weights(scores(k, q)) @ v.double(),
    ),
)


def grid(queries: int, keys: int) -> tuple[Tensor, Tensor]:
    """Positions of the queries as a column and of the keys as a row."""
    return torch.arange(queries)[:, None] + keys - queries, torch.arange(keys)[None]


def tril(queries: int, keys: int) -> Tensor:
    """The lower triangle, aligned at the left."""
    return torch.ones(queries, keys, dtype=torch.bool).tril()


CAUSAL = (
    Mistake(
        "not-itself",
        "A query does not see its own position.",
        lambda T, S: grid(T, S)[1] < grid(T, S)[0],
        "The first query of a sequence would see nothing at all.",
    ),
    Mistake(
        "left-aligned",
        "The queries were taken to be the first T of the S positions; they are the last.",
        tril,
        "With T = 1 and S = 5 the one query has all five positions behind it or at its own.",
    ),
    Mistake(
        "inverted",
        "True stands where a key is hidden; here True means that the query may see it.",
        lambda T, S: grid(T, S)[1] > grid(T, S)[0],
    ),
    Mistake(
        "future",
        "The queries see the future and not the past: the triangle is upside down.",
        lambda T, S: grid(T, S)[1] >= grid(T, S)[0],
    ),
    Mistake(
        "one-too-many",
        "Each query sees one position of the future.",
        lambda T, S: grid(T, S)[1] <= grid(T, S)[0] + 1,
    ),
    Mistake(
        "additive",
        "The mask holds numbers to be added (0 and minus infinity); True and False were asked for.",
        lambda T, S: torch.zeros(T, S).masked_fill(grid(T, S)[1] > grid(T, S)[0], -math.inf),
    ),
    Mistake(
        "numbers",
        "The mask holds the numbers 1 and 0; True and False were asked for.",
        lambda T, S: (grid(T, S)[1] <= grid(T, S)[0]).float(),
        "A comparison gives booleans; .bool() converts.",
    ),
    Mistake(
        "transposed",
        "The mask has shape (S, T); queries come first.",
        lambda T, S: (grid(T, S)[1] <= grid(T, S)[0]).T,
    ),
    Mistake("all-seen", "Every query sees everything.", lambda T, S: torch.ones(T, S).bool()),
)


def _masked(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, fill: float = -math.inf) -> Tensor:
    return weights(scores(q, k).masked_fill(~mask, fill)) @ v.double()


def zeroed(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scale: float | None = None) -> Tensor:
    """Masked attention in which a query that sees nothing gets zeros."""
    of = scores(q, k, scale).masked_fill(~mask, -math.inf)
    return weights(of).nan_to_num(0.0) @ v.double()


MASKED = (
    Mistake(
        "mask-after-softmax",
        "The mask was applied after the softmax: the weights that are left do not sum to 1.",
        lambda q, k, v, m: weights(scores(q, k)) * m @ v.double(),
        "Hide the scores, not the weights.",
    ),
    Mistake(
        "score-zero",
        "Hidden scores were set to 0, which still gives them weight, for exp(0) is 1.",
        lambda q, k, v, m: weights(scores(q, k) * m) @ v.double(),
        "Which score has exp(score) = 0?",
    ),
    Mistake(
        "mask-inverted",
        "The mask was read the wrong way round: True means that the query may see the key.",
        lambda q, k, v, m: zeroed(q, k, v, ~m),
    ),
    Mistake(
        "mask-inverted-nan",
        "The mask was read the wrong way round: True means that the query may see the key.",
        lambda q, k, v, m: _masked(q, k, v, ~m),
    ),
    Mistake(
        "mask-ignored",
        "The mask had no effect.",
        lambda q, k, v, m: weights(scores(q, k)) @ v.double(),
    ),
    Mistake(
        "empty-row-nan",
        "A query that may see no key gave NaN; its result has to be zero.",
        _masked,
        "Softmax over nothing is 0/0. mask.any(dim=-1, keepdim=True) tells which rows see a key.",
    ),
    Mistake(
        "empty-row-mean",
        "A query that may see no key got the mean of all values; its result has to be zero.",
        lambda q, k, v, m: _masked(q, k, v, m, -1e30),
        "Where every score is the same large negative number, softmax gives equal weights.",
    ),
    Mistake(
        "no-scale",
        "The scores were not divided by the square root of D.",
        lambda q, k, v, m: zeroed(q, k, v, m, 1.0),
    ),
    Mistake(
        "weak-fill",
        "Hidden keys still have weight: the number put for their scores is not low enough.",
        lambda q, k, v, m: _masked(q, k, v, m, -10.0),
        "Use minus infinity.",
    ),
)
