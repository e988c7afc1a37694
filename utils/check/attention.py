"""Checks of the lab `attention`: softmax, scaled dot-product, masks, heads, a causal cache.

Legend: B batch, T queries, S keys, D width of queries and keys, E width of values, H heads.

The references compute in float64 by the definition (Vaswani et al. 2017, "Attention is all
you need", equation 1); answers in float32 or float64 agree within 1e-4 relative and 1e-5.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from utils.check import attention_heads_mistakes as many
from utils.check import attention_mistakes as wrong
from utils.check.core import Lab
from utils.check.trial import Trial

LAB = Lab("attention", "Attention from scratch", points=30)
LIBRARY = (
    "utils.*",
    "torch.nn.functional.scaled_dot_product_attention",
    "torch.nn.functional.multi_head_attention_forward",
    "torch.nn.MultiheadAttention",
    "torch.ops.*",
)
SOFTMAX = (
    "torch.softmax",
    "torch.nn.functional.softmax",
    "torch.nn.Softmax",
    "torch.special.softmax",
    "torch.Tensor.softmax",
    "torch.log_softmax",
    "torch.nn.functional.log_softmax",
    "torch.Tensor.log_softmax",
    "torch.logsumexp",
    "torch.Tensor.logsumexp",
)


@LAB.task(
    "Softmax that does not overflow",
    points=2,
    minutes=8,
    difficulty=1,
    functions=("softmax",),
    forbidden=(*LIBRARY, *SOFTMAX),
    hints=(
        "The weights of a row are exp(score) divided by the sum of exp(score) over that row.",
        "Subtracting the same number from all scores of a row does not change its weights. "
        "Which number keeps every exp at 1 or below?",
        "keepdim=True lets the maximum and the sum, one a row, be used on the whole row.",
    ),
)
def softmax(t: Trial) -> None:
    shapes = [tuple(t.distinct(4, 2, 6)), tuple(t.distinct(2, 2, 7)), (t.integer(4, 9),)]
    for shape in shapes:
        scores = 2 * t.normal(*shape)
        t.equal("softmax", scores, expected=_softmax(scores), mistakes=wrong.SOFTMAX)
    rows = t.normal(3, 6) + torch.tensor([[800.0], [0.0], [-800.0]])
    t.equal("softmax", rows, expected=_softmax(rows), mistakes=wrong.SOFTMAX)
    hidden = t.normal(3, 5)
    hidden[torch.arange(3), torch.from_numpy(t.rng.integers(0, 5, 3))] = -math.inf
    t.equal("softmax", hidden, expected=_softmax(hidden), mistakes=wrong.SOFTMAX)
    one = t.normal(4, 1, dtype=torch.float64)
    t.equal("softmax", one, expected=torch.ones(4, 1), mistakes=wrong.SOFTMAX)


@LAB.task(
    "Scaled dot-product attention",
    points=3,
    minutes=10,
    difficulty=1,
    functions=("attention",),
    forbidden=LIBRARY,
    hints=(
        "Three steps: a score for each pair of query and key, softmax over the keys, then the "
        "weighted sum of the values.",
        "The scores are a matrix product of q with the transpose of k in its last two axes; "
        "their shape is (..., T, S).",
        "The dot product of two vectors of D independent standard normal numbers has variance "
        "D. By what must it be divided so that its variance is 1?",
    ),
)
def attention(t: Trial) -> None:
    for lead in ((), (t.integer(2, 3),), (2, t.integer(3, 4))):
        T, S, D, E = t.distinct(4, 2, 9)
        q, k, v = t.normal(*lead, T, D), t.normal(*lead, S, D), t.normal(*lead, S, E)
        expected = _attention(q, k, v)
        t.equal("attention", q, k, v, expected=expected, mistakes=wrong.ATTENTION)
    T, D = t.distinct(2, 3, 8)  # as many keys as queries, and scores that are large
    q, k, v = 30 * t.normal(T, D), 30 * t.normal(T, D), t.normal(T, D)
    t.equal("attention", q, k, v, expected=_attention(q, k, v), mistakes=wrong.ATTENTION)
    q, k, v = t.normal(2, 1, 4), t.normal(2, 1, 4), t.normal(2, 1, 3)  # a single key
    t.equal("attention", q, k, v, expected=v, mistakes=wrong.ATTENTION)


@LAB.task(
    "The causal mask",
    points=2,
    minutes=8,
    difficulty=2,
    functions=("causal_mask",),
    forbidden=LIBRARY,
    hints=(
        "Write the mask for T = 2, S = 4 by hand: the queries stand at positions 2 and 3.",
        "Query number t stands at position S - T + t and sees the positions up to its own.",
        "Compare a column of positions of queries with a row of positions of keys.",
    ),
)
def causal_mask(t: Trial) -> None:
    T = t.integer(4, 7)
    longer = T + t.integer(2, 5)
    for queries, keys in ((T, T), (T, longer), (1, longer), (1, 1), (2, 4)):
        expected = _causal(queries, keys)
        t.equal("causal_mask", queries, keys, expected=expected, mistakes=wrong.CAUSAL)


@LAB.task(
    "Attention under a mask",
    points=3,
    minutes=12,
    difficulty=2,
    functions=("masked_attention",),
    forbidden=LIBRARY,
    hints=(
        "A hidden key must get weight 0 exactly, and the weights of the others must sum to 1: "
        "act on the scores, before the softmax.",
        "exp of minus infinity is 0. masked_fill and torch.where put a number where a mask says.",
        "A row whose scores are all minus infinity gives 0/0. Find these rows from the mask and "
        "set their result to zero.",
    ),
)
def masked_attention(t: Trial) -> None:
    T, S, D, E = t.distinct(4, 3, 9)
    q, k, v = t.normal(2, 3, T, D), t.normal(2, 3, S, D), t.normal(2, 3, S, E)
    seen = _some(t, T, S)
    every = torch.ones(T, S, dtype=torch.bool)
    for mask in (seen, every, _some(t, 2, 1, T, S)):
        expected = _masked(q, k, v, mask)
        t.equal("masked_attention", q, k, v, mask, expected=expected, mistakes=wrong.MASKED)
    flat = (q[0, 0], k[0, 0], v[0, 0], seen)  # no leading axes
    t.equal("masked_attention", *flat, expected=_masked(*flat), mistakes=wrong.MASKED)
    large = (20 * q, 20 * k, v, seen)
    t.equal("masked_attention", *large, expected=_masked(*large), mistakes=wrong.MASKED)
    blind = seen.clone()
    blind[t.integer(0, T - 1)] = False
    for rows in (blind, torch.zeros_like(seen)):
        expected = _masked(q, k, v, rows)
        t.equal("masked_attention", q, k, v, rows, expected=expected, mistakes=wrong.MASKED)


@LAB.task(
    "Split into heads and merge",
    points=3,
    minutes=10,
    difficulty=2,
    functions=("split_heads", "merge_heads"),
    forbidden=LIBRARY,
    hints=(
        "Head h owns the columns h·D/H to (h+1)·D/H - 1 of each position. Write D as H times "
        "D/H first, without moving a number.",
        "Then two axes change places. Which two turn (B, T, H, D/H) into (B, H, T, D/H)?",
        "Merging does the same steps backwards, in the opposite order.",
    ),
)
def heads(t: Trial) -> None:
    for _ in range(2):
        B, T, H, size = t.distinct(4, 2, 7)
        x = t.normal(B, T, H * size)
        expected = x.view(B, T, H, size).transpose(1, 2)
        t.equal("split_heads", x, H, expected=expected, mistakes=many.SPLIT, atol=0)
        y = t.normal(B, H, T, size)
        merged = y.transpose(1, 2).reshape(B, T, H * size)
        t.equal("merge_heads", y, expected=merged, mistakes=many.MERGE, atol=0)
    x = t.normal(1, 3, 4)
    t.equal("split_heads", x, 1, expected=x[:, None], mistakes=many.SPLIT, atol=0)
    H = t.integer(3, 5)
    why = "the width is no multiple of num_heads"
    odd = t.normal(H, 2, 2 * H + 1)
    t.raises("ValueError", "split_heads", odd, H, why=why, mistake=many.INDIVISIBLE)


@LAB.task(
    "Causal multi-head attention",
    points=4,
    minutes=12,
    difficulty=2,
    functions=("multi_head",),
    forbidden=LIBRARY,
    hints=(
        "x @ w_qkv has width 3D: queries, keys and values lie side by side, in this order.",
        "Each of the three is split into heads; then the heads are only a leading axis, which "
        "masked_attention carries along.",
        "The scale comes from the width of a head, D/H, not from D.",
    ),
)
def multi_head(t: Trial) -> None:
    for _ in range(2):
        B, T, H, size = t.distinct(4, 2, 6)
        args = _layer(t, B, T, H, size)
        t.equal("multi_head", *args, expected=_multi_head(*args), mistakes=many.MULTI_HEAD)
    x, w_qkv, w_out, H = _layer(t, 2, 6, 2, 3)
    before = t.call("multi_head", x, w_qkv, w_out, H)
    changed = x.clone()
    changed[:, 4:] += 1
    after = t.call("multi_head", changed, w_qkv, w_out, H)
    t.same(after[:, :4], before[:, :4])
    args = _layer(t, 1, 1, 1, t.integer(2, 5))
    t.equal("multi_head", *args, expected=_multi_head(*args), mistakes=many.MULTI_HEAD)


@LAB.task(
    "A cache of keys and values",
    points=5,
    minutes=15,
    difficulty=3,
    functions=("KVCache", "decode_step"),
    forbidden=LIBRARY,
    hints=(
        "Feed the sequence in two pieces by hand: the second piece needs the keys and values of "
        "both, and the queries of its own alone.",
        "torch.cat joins along an axis; time is the third axis of (B, H, T, D/H). Set up what an "
        "object keeps in its __init__, so that no two objects share it.",
        "causal_mask(T, S) was written for this: T new queries are the last of S positions.",
    ),
)
def cache(t: Trial) -> None:
    B, H, size = 2, 3, 4  # always the same, so that what an earlier run left can be joined
    steps = (t.integer(3, 5), 1, 2)
    pairs = [(t.normal(B, H, n, size), t.normal(B, H, n, size)) for n in steps]
    came = t.probe("append", pairs, called="two caches, append(k, v) on each in turn")
    first = came[0][0]
    if isinstance(first, Tensor) and first.ndim == 4:
        t.require(
            first.shape[2] <= steps[0],
            came=f"{first.shape[2]} positions after {steps[0]} were appended to a new cache",
            expected=f"{steps[0]} positions",
            mistake=many.SHARED,
        )
    t.same(came, many.appended(pairs), args=(pairs,), mistakes=many.CACHE)
    B, H, size = t.distinct(3, 2, 5)
    for chunks in (steps, (1, 1, 1, 1), (2, 4), (5,)):
        x, w_qkv, w_out, _ = _layer(t, B, sum(chunks), H, size)
        parts = list(x.split(list(chunks), dim=1))
        called = f"decode_step for {chunks} new positions in turn, one cache"
        came = t.probe("decode", parts, w_qkv, w_out, H, called=called)
        expected = list(_multi_head(x, w_qkv, w_out, H).split(list(chunks), dim=1))
        t.same(came, expected, args=(parts, w_qkv, w_out, H), mistakes=many.DECODE)


# --- references -----------------------------------------------------------------------------
def _softmax(scores: Tensor) -> Tensor:
    return torch.softmax(scores.double(), dim=-1)


def _attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = torch.einsum("...td,...sd->...ts", q.double(), k.double()) / math.sqrt(q.shape[-1])
    return torch.einsum("...ts,...se->...te", _softmax(scores), v.double())


def _causal(queries: int, keys: int) -> Tensor:
    rows = [[s <= keys - queries + t for s in range(keys)] for t in range(queries)]
    return torch.tensor(rows)


def _masked(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    scores = torch.einsum("...td,...sd->...ts", q.double(), k.double()) / math.sqrt(q.shape[-1])
    weights = _softmax(scores.masked_fill(~mask, -math.inf)).nan_to_num(0.0)
    return torch.einsum("...ts,...se->...te", weights, v.double())


def _multi_head(x: Tensor, w_qkv: Tensor, w_out: Tensor, num_heads: int) -> Tensor:
    B, T, D = x.shape
    split = (x.double() @ w_qkv.double()).view(B, T, 3, num_heads, D // num_heads)
    q, k, v = split.permute(2, 0, 3, 1, 4)
    out = _masked(q, k, v, _causal(T, T)).transpose(1, 2).reshape(B, T, D)
    return out @ w_out.double()


# --- inputs ---------------------------------------------------------------------------------
def _some(t: Trial, *shape: int) -> Tensor:
    """A random mask in which each query sees at least one key and misses at least one."""
    mask = torch.from_numpy(t.rng.random(shape) < 0.6)
    places = torch.from_numpy(t.rng.integers(0, shape[-1], shape[:-1]))[..., None]
    mask.scatter_(-1, places, True)
    return mask.scatter_(-1, (places + 1) % shape[-1], False)


def _layer(t: Trial, B: int, T: int, H: int, size: int) -> tuple[Tensor, Tensor, Tensor, int]:
    D = H * size
    return t.normal(B, T, D), t.normal(D, 3 * D) / D**0.5, t.normal(D, D) / D**0.5, H
