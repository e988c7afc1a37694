"""Named mistakes of the lab `attention`, heads and cache: what a wrong answer would be, for each.

Legend as in `utils.check.attention`. Each function is deliberately wrong in one way.
"""

from __future__ import annotations

import torch
from torch import Tensor

from utils.check.attention_mistakes import grid, tril, zeroed
from utils.check.core import Mistake

SPLIT = (
    Mistake(
        "no-transpose",
        "The numbers were laid out anew without moving the axes: positions got mixed into heads.",
        lambda x, H: x.reshape(x.shape[0], H, x.shape[1], -1),
        "view or reshape alone never moves a number past another; an exchange of axes is needed.",
    ),
    Mistake(
        "interleaved",
        "Head h got every H-th column; its columns lie side by side.",
        lambda x, H: x.reshape(*x.shape[:2], -1, H).permute(0, 3, 1, 2),
        "In view(B, T, …, …) the head comes before the width of a head.",
    ),
    Mistake(
        "not-moved",
        "The heads are still behind the positions: (B, T, H, D/H).",
        lambda x, H: x.reshape(*x.shape[:2], H, -1),
    ),
    Mistake(
        "axes-crossed",
        "The last two axes changed places.",
        lambda x, H: x.reshape(*x.shape[:2], H, -1).permute(0, 2, 3, 1),
    ),
)
MERGE = (
    Mistake(
        "merge-no-transpose",
        "merge_heads laid the numbers out anew without moving the axes: heads and positions mix.",
        lambda y: y.reshape(y.shape[0], y.shape[2], -1),
        "Bring positions before heads first.",
    ),
    Mistake(
        "merge-interleaved",
        "merge_heads interleaved the heads; they have to lie side by side.",
        lambda y: y.permute(0, 2, 3, 1).reshape(y.shape[0], y.shape[2], -1),
    ),
    Mistake(
        "merge-not-flat",
        "merge_heads kept an axis for the heads.",
        lambda y: y.transpose(1, 2),
    ),
)
INDIVISIBLE = Mistake(
    "indivisible",
    "A width that is no multiple of num_heads must be refused with a ValueError.",
    hint="Look at D % num_heads before anything else, and say both numbers in the message.",
)


def _heads(x: Tensor, w: Tensor, H: int, order: str = "qkv") -> dict[str, Tensor]:
    B, T, D = x.shape
    parts = (x.double() @ w.double()).view(B, T, 3, H, D // H).permute(2, 0, 3, 1, 4)
    return dict(zip(order, parts, strict=True))


def _merge(out: Tensor) -> Tensor:
    return out.transpose(1, 2).flatten(2)


def _layer(x, w_qkv, w_out, H, *, order="qkv", mask="causal", scale=None, merge=_merge):
    h, T = _heads(x, w_qkv, H, order), x.shape[1]
    seen = tril(T, T)
    seen = {"causal": seen, "all": seen | True, "future": seen.T, "strict": seen.tril(-1)}[mask]
    return merge(zeroed(h["q"], h["k"], h["v"], seen, scale)) @ w_out.double()


MULTI_HEAD = (
    Mistake(
        "no-mask",
        "The future is seen: the causal mask is missing.",
        lambda *a: _layer(*a, mask="all"),
    ),
    Mistake(
        "mask-flipped",
        "The mask shows the future and hides the past.",
        lambda *a: _layer(*a, mask="future"),
    ),
    Mistake(
        "not-itself",
        "A position does not see itself.",
        lambda *a: _layer(*a, mask="strict"),
    ),
    Mistake(
        "scale-model-width",
        "The scores were divided by the square root of D; a head has width D/H.",
        lambda x, w, o, H: _layer(x, w, o, H, scale=x.shape[-1] ** -0.5),
    ),
    Mistake(
        "order-kqv",
        "Queries and keys changed places in x @ w_qkv.",
        lambda *a: _layer(*a, order="kqv"),
    ),
    Mistake(
        "order-qvk",
        "Keys and values changed places in x @ w_qkv.",
        lambda *a: _layer(*a, order="qvk"),
    ),
    Mistake(
        "order-vkq",
        "Queries and values changed places in x @ w_qkv.",
        lambda *a: _layer(*a, order="vkq"),
    ),
    Mistake(
        "one-head",
        "Everything was done in a single head.",
        lambda x, w, o, H: _layer(x, w, o, 1),
    ),
    Mistake(
        "no-output",
        "The product with w_out is missing.",
        lambda x, w, o, H: _layer(x, w, torch.eye(x.shape[-1]), H),
    ),
    Mistake(
        "output-transposed",
        "w_out was transposed; the product is merged @ w_out.",
        lambda x, w, o, H: _layer(x, w, o.T, H),
    ),
    Mistake(
        "merge-no-transpose",
        "The heads were merged without bringing positions before heads.",
        lambda x, w, o, H: _layer(x, w, o, H, merge=lambda y: y.reshape(x.shape)),
    ),
)


def appended(pairs: list[tuple[Tensor, Tensor]]) -> list:
    """Keys, values and length after each append, as they should be."""
    return [
        (_joined(pairs, i, 0), _joined(pairs, i, 1), sum(k.shape[2] for k, _ in pairs[: i + 1]))
        for i in range(len(pairs))
    ]


def _joined(pairs: list, last: int, which: int, dim: int = 2) -> Tensor:
    return torch.cat([pair[which] for pair in pairs[: last + 1]], dim=dim)


def _reversed(pairs: list) -> list:
    turned = [appended(pairs[: i + 1][::-1])[-1] for i in range(len(pairs))]
    return [(k, v, n) for k, v, n in turned]


SHARED = Mistake(
    "shared",
    "Two caches share their memory: what went into the one came out of the other.",
    hint="Set up what is kept in __init__, on self; what stands in the class itself is shared.",
)
CACHE = (
    Mistake(
        "not-kept",
        "append gave back the new keys and values alone.",
        lambda pairs: [(k, v, k.shape[2]) for k, v in pairs],
        "What an earlier append brought has to be joined with what comes now.",
    ),
    Mistake(
        "not-kept-length",
        "append gave back the new keys and values alone, though the length grew.",
        lambda pairs: [(k, v, n) for (k, v), (_, _, n) in zip(pairs, appended(pairs), strict=True)],
    ),
    Mistake(
        "newest-first",
        "The newest keys stand in front; they have to follow the older ones.",
        _reversed,
        "torch.cat joins in the order in which the tensors are named.",
    ),
    Mistake(
        "length-counts-calls",
        "length counts the calls; it has to count the positions.",
        lambda pairs: [(k, v, i + 1) for i, (k, v, _) in enumerate(appended(pairs))],
    ),
    Mistake(
        "length-of-last",
        "length is that of the last piece; it has to count all positions so far.",
        lambda pairs: [(k, v, pairs[i][0].shape[2]) for i, (k, v, _) in enumerate(appended(pairs))],
    ),
)


def _decode(parts, w_qkv, w_out, H, *, mask="causal", keep=True, order=1, scale=None) -> list:
    past: list[tuple[Tensor, Tensor]] = []
    out = []
    for x in parts:
        h, T = _heads(x, w_qkv, H), x.shape[1]
        past = (past if keep else []) + [(h["k"], h["v"])]
        k, v = (torch.cat([p[i] for p in past[::order]], dim=2) for i in (0, 1))
        S = k.shape[2]
        rows, columns = grid(T, S)
        seen = {
            "causal": columns <= rows,
            "all": torch.ones(T, S, dtype=torch.bool),
            "left": tril(T, S),
        }[mask]
        out.append(_merge(zeroed(h["q"], k, v, seen, scale)) @ w_out.double())
    return out


DECODE = (
    Mistake(
        "past-forgotten",
        "New positions see only the piece they came with; the cache was not used.",
        lambda *a: _decode(*a, keep=False),
    ),
    Mistake(
        "mask-left",
        "The new positions were masked as if they were the first of the sequence.",
        lambda *a: _decode(*a, mask="left"),
        "They are the last T of all S positions in the cache: causal_mask(T, S).",
    ),
    Mistake(
        "mask-missing",
        "Within a piece of several positions the earlier ones see the later ones.",
        lambda *a: _decode(*a, mask="all"),
        "One new position needs no mask, several do.",
    ),
    Mistake(
        "cache-newest-first",
        "The newest keys stand in front; they have to follow the older ones.",
        lambda *a: _decode(*a, order=-1),
    ),
    Mistake(
        "scale-model-width",
        "The scores were divided by the square root of D; a head has width D/H.",
        lambda x, w, o, H: _decode(x, w, o, H, scale=x[0].shape[-1] ** -0.5),
    ),
    Mistake(
        "no-output",
        "The product with w_out is missing.",
        lambda x, w, o, H: _decode(x, w, torch.eye(x[0].shape[-1]), H),
    ),
)
