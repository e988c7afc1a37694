"""The lab `attention`: right answers in any style pass, wrong ones are told apart."""

import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from lab_support import (
    assert_five_wrong_answers,
    assert_lab_scores,
    assert_styles_pass,
    refusals,
    solved,
)

from utils.check.core import lab

LAB = lab("attention")
RIGHT = solved("attention")  # the namespace of the solutions


# --- other styles ---------------------------------------------------------------------------
def softmax_in_place(scores):
    work = scores.clone().double()
    work -= work.max(dim=-1, keepdim=True).values
    work.exp_()
    work /= work.sum(-1, keepdim=True)
    return work


def softmax_by_rows(scores):
    rows = []
    for row in scores.reshape(-1, scores.shape[-1]).tolist():
        top = max(row)
        parts = [math.exp(z - top) for z in row]
        rows.append([part / sum(parts) for part in parts])
    return torch.tensor(rows).reshape(scores.shape)


def attention_einsum(q, k, v):
    scores = torch.einsum("...td,...sd->...ts", q, k) * q.shape[-1] ** -0.5
    return torch.einsum("...ts,...se->...te", scores.softmax(-1), v)


def mask_by_loops(T, S):
    mask = torch.zeros(T, S, dtype=torch.bool)
    for t in range(T):
        for s in range(S - T + t + 1):
            mask[t, s] = True
    return mask


def masked_by_where(q, k, v, mask):
    scores = (q.double() @ k.double().mT) / q.shape[-1] ** 0.5
    weights = torch.where(mask, scores, -torch.inf).softmax(-1)
    return torch.where(mask.any(-1, keepdim=True), weights, 0.0) @ v.double()


def split_by_stack(x, num_heads):
    if x.shape[-1] % num_heads != 0:
        raise ValueError("no")
    return torch.stack(x.chunk(num_heads, dim=-1), dim=1)


def multi_head_by_loop(x, w_qkv, w_out, num_heads):
    _, T, D = x.shape
    width, out = D // num_heads, []
    for h in range(num_heads):
        q, k, v = (x @ w_qkv[:, i * D + h * width : i * D + (h + 1) * width] for i in range(3))
        out.append(masked_by_where(q, k, v, mask_by_loops(T, T)).to(x.dtype))
    return torch.cat(out, -1) @ w_out


class GrowingCache:
    def __init__(self):
        self.k = self.v = None

    @property
    def length(self):
        return 0 if self.k is None else self.k.shape[2]

    def append(self, k, v):
        self.k = k if self.k is None else torch.cat((self.k, k), 2)
        self.v = v if self.v is None else torch.cat((self.v, v), 2)
        return self.k, self.v


OTHER_STYLES = {
    "softmax": [{"softmax": softmax_in_place}, {"softmax": softmax_by_rows}],
    "attention": [{"attention": attention_einsum}],
    "causal_mask": [
        {"causal_mask": mask_by_loops},
        {"causal_mask": lambda T, S: torch.ones(T, S, dtype=torch.bool).tril(S - T)},
    ],
    "masked_attention": [{"masked_attention": masked_by_where}],
    "heads": [{"split_heads": split_by_stack, "merge_heads": lambda x: torch.cat(x.unbind(1), -1)}],
    "multi_head": [{"multi_head": multi_head_by_loop}],
    "cache": [{"KVCache": GrowingCache}],
}


@pytest.mark.parametrize("task", LAB.ids())
@pytest.mark.parametrize("seed", range(5))
def test_right_answers_pass(task, seed):
    assert_styles_pass("attention", RIGHT, OTHER_STYLES[task], task, seed)


# --- wrong answers --------------------------------------------------------------------------
softmax, masked = RIGHT["softmax"], RIGHT["masked_attention"]
split, merge, causal = RIGHT["split_heads"], RIGHT["merge_heads"], RIGHT["causal_mask"]


def changed_in_place(scores):
    scores -= scores.amax(-1, keepdim=True)
    return scores.exp() / scores.exp().sum(-1, keepdim=True)


def layer(x, w_qkv, w_out, H, *, order=(0, 1, 2), mask=causal, attend=masked, merge=merge):
    parts = [split(part, H) for part in (x @ w_qkv).chunk(3, -1)]
    q, k, v = (parts[i] for i in order)
    return merge(attend(q, k, v, mask(x.shape[1], x.shape[1]))) @ w_out


def unscaled(q, k, v, mask):
    return masked(q * math.sqrt(q.shape[-1]), k, v, mask)


class Shared(GrowingCache):
    store = None

    def append(self, k, v):
        Shared.store = Shared.store or []
        self.store.append((k, v))
        self.k, self.v = (torch.cat([p[i] for p in self.store], 2) for i in (0, 1))
        return self.k, self.v


class Forgetful(GrowingCache):
    def append(self, k, v):
        self.k, self.v = k, v
        return k, v


class Backwards(GrowingCache):
    def append(self, k, v):
        self.k = k if self.k is None else torch.cat((k, self.k), 2)
        self.v = v if self.v is None else torch.cat((v, self.v), 2)
        return self.k, self.v


class CountsCalls(GrowingCache):
    length = 0

    def append(self, k, v):
        self.length += 1
        return super().append(k, v)


def step(x, w_qkv, w_out, H, cache, *, mask=causal):
    q, k, v = (split(part, H) for part in (x @ w_qkv).chunk(3, -1))
    keys, values = cache.append(k, v)
    return merge(masked(q, keys, values, mask(x.shape[1], keys.shape[2]))) @ w_out


def step_alone(x, w_qkv, w_out, H, cache):
    return layer(x, w_qkv, w_out, H)


def left(T, S):
    return torch.ones(T, S, dtype=torch.bool).tril()


def everything(T, S):
    return torch.ones(T, S, dtype=torch.bool)


def scaled_by(q, k, v, scale):
    return softmax(q @ k.mT * scale) @ v


WRONG = {
    "softmax": {
        "overflow": lambda s: s.exp() / s.exp().sum(-1, keepdim=True),
        "no-division": lambda s: (s - s.amax(-1, keepdim=True)).exp(),
        "first-axis": lambda s: (e := (s - s.amax(0)).exp()) / e.sum(0),
        "all-together": lambda s: (e := (s - s.max()).exp()) / e.sum(),
        "global-shift": lambda s: (e := (s - s.max()).exp()) / e.sum(-1, keepdim=True),
        "no-exp": lambda s: s / s.sum(-1, keepdim=True),
        "changed-input": changed_in_place,
        "forbidden": partial(F.softmax, dim=-1),
        None: lambda s: 2.0 ** (s - s.amax(-1, keepdim=True)),
    },
    "attention": {
        "no-scale": lambda q, k, v: scaled_by(q, k, v, 1),
        "scale-d": lambda q, k, v: scaled_by(q, k, v, 1 / q.shape[-1]),
        "scale-value-width": lambda q, k, v: scaled_by(q, k, v, v.shape[-1] ** -0.5),
        "scale-late": lambda q, k, v: softmax(q @ k.mT) / q.shape[-1] ** 0.5 @ v,
        "softmax-over-queries": lambda q, k, v: (q @ k.mT / q.shape[-1] ** 0.5).softmax(-2) @ v,
        "no-softmax": lambda q, k, v: q @ k.mT / q.shape[-1] ** 0.5 @ v,
        "weights-returned": lambda q, k, v: softmax(q @ k.mT / q.shape[-1] ** 0.5),
        "forbidden": lambda q, k, v: F.scaled_dot_product_attention(q, k, v),
        "raised": lambda q, k, v: q @ k @ v,
    },
    "causal_mask": {
        "not-itself": lambda T, S: everything(T, S).tril(S - T - 1),
        "left-aligned": left,
        "inverted": lambda T, S: everything(T, S).triu(S - T + 1),
        "future": lambda T, S: everything(T, S).triu(S - T),
        "one-too-many": lambda T, S: everything(T, S).tril(S - T + 1),
        "numbers": lambda T, S: torch.ones(T, S).tril(S - T),
        "all-seen": everything,
        "additive": lambda T, S: torch.full((T, S), -math.inf).triu(S - T + 1),
        "raised": lambda T, S: [][T],
    },
    "masked_attention": {
        "mask-after-softmax": lambda q, k, v, m: (
            softmax(q @ k.mT / q.shape[-1] ** 0.5) * m @ v
        ),
        "score-zero": lambda q, k, v, m: softmax(q @ k.mT / q.shape[-1] ** 0.5 * m) @ v,
        "mask-inverted": lambda q, k, v, m: masked(q, k, v, ~m),
        "mask-ignored": lambda q, k, v, m: masked(q, k, v, m | True),
        "empty-row-nan": lambda q, k, v, m: (
            (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(~m, -math.inf).softmax(-1) @ v
        ),
        "empty-row-mean": lambda q, k, v, m: (
            (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(~m, -1e9).softmax(-1) @ v
        ),
        "no-scale": unscaled,
        "forbidden": lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, attn_mask=m),
    },
    "heads": {
        "no-transpose": lambda x, H: x.view(len(x), H, x.shape[1], x.shape[2] // H),
        "interleaved": lambda x, H: (split(x, H), x.unflatten(-1, (-1, H)).permute(0, 3, 1, 2))[1],
        "not-moved": lambda x, H: split(x, H).transpose(1, 2),
        "axes-crossed": lambda x, H: split(x, H).mT,
        "indivisible": lambda x, H: (
            x[..., : x.shape[-1] // H * H].unflatten(-1, (H, -1)).transpose(1, 2)
        ),
    },
    "multi_head": {
        "no-mask": partial(layer, mask=everything),
        "mask-flipped": partial(layer, mask=lambda T, S: causal(T, S).T),
        "order-kqv": partial(layer, order=(1, 0, 2)),
        "order-qvk": partial(layer, order=(0, 2, 1)),
        "one-head": lambda x, w, o, H: layer(x, w, o, 1),
        "no-output": lambda x, w, o, H: layer(x, w, torch.eye(len(o)), H),
        "output-transposed": lambda x, w, o, H: layer(x, w, o.T, H),
        "merge-no-transpose": lambda x, w, o, H: layer(
            x, w, o, H, merge=lambda y: y.reshape(x.shape)
        ),
        "scale-model-width": lambda x, w, o, H: layer(
            x, w, o, H, attend=lambda q, k, v, m: masked(q / H**0.5, k, v, m)
        ),
    },
}  # fmt: skip
WRONG_MERGES = {
    "merge-no-transpose": lambda y: y.reshape(y.shape[0], y.shape[2], -1),
    "merge-interleaved": lambda y: y.permute(0, 2, 3, 1).flatten(2),
    "merge-not-flat": lambda y: y.transpose(1, 2),
}
WRONG_CACHES = {
    "shared": {"KVCache": Shared},
    "not-kept": {"KVCache": Forgetful},
    "newest-first": {"KVCache": Backwards},
    "length-counts-calls": {"KVCache": CountsCalls},
    "mask-left": {"decode_step": partial(step, mask=left)},
    "mask-missing": {"decode_step": partial(step, mask=everything)},
    "past-forgotten": {"decode_step": step_alone},
    "no-output": {"decode_step": lambda x, w, o, H, c: step(x, w, torch.eye(len(o)), H, c)},
}


def cases():
    for task, wrong in WRONG.items():
        name = LAB[task].functions[0]
        yield task, {slug: {name: function} for slug, function in wrong.items()}
    yield "heads", {slug: {"merge_heads": f} for slug, f in WRONG_MERGES.items()}
    yield "cache", WRONG_CACHES


@pytest.mark.parametrize(
    ("task", "wrong"), list(cases()), ids=lambda v: v if v in LAB.ids() else ""
)
def test_wrong_answers_are_named(task, wrong):
    found = refusals("attention", RIGHT, task, wrong)
    assert found == {slug: slug for slug in wrong}


def test_every_check_tells_five_wrong_answers_apart():
    assert_five_wrong_answers("attention", cases())


def test_scores():
    assert_lab_scores("attention", full=22)
