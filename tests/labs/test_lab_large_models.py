"""The lab `large-models`: right answers in any style pass, wrong ones are told apart."""

import math

import numpy as np
import pytest
import torch
from lab_support import assert_lab_scores, refusals, reports, solved
from torch import nn

from utils.check import large_models_reference as reference
from utils.check.core import lab
from utils.models.counting import num_parameters
from utils.models.presets import preset

LAB = lab("large-models")
RIGHT = solved("large-models")  # the namespace of the solutions
dense, mlp, block, gpt, grouped, swiglu, llama, mixture, held, cache_bytes, fit, full, plan = (
    RIGHT[name] for name in (
        "dense", "mlp", "block", "gpt", "grouped_attention", "swiglu", "llama", "mixture",
        "training_bytes", "cache_bytes", "tokens_that_fit", "flops_full", "plan_run",
    )
)  # fmt: skip


# --- the references, against the counter of the course ---------------------------------------
def test_references_agree_with_the_counter():
    for name in ("gpt2-small", "gpt2-xl", "gpt3-175b"):
        c = preset(name)
        counted = reference.gpt(c.vocab_size, c.context_length, c.d_model, c.num_layers)
        assert counted == num_parameters(c)
    assert counted == 174_604_259_328
    for name in ("llama-2-7b", "llama-3-8b"):
        assert reference.llama(*gated_shape(preset(name))) == num_parameters(preset(name))
    c = preset("mixtral-8x7b")
    both = reference.mixture(*gated_shape(c), c.num_experts, c.experts_per_token)
    assert both == (num_parameters(c), num_parameters(c, active=True))


def gated_shape(c):
    heads = (c.num_heads, c.kv_heads, c.head_size)
    return (c.vocab_size, c.d_model, c.num_layers, *heads, c.ff_size)


# --- other styles ---------------------------------------------------------------------------
def mlp_by_loop(widths):
    total, before = 0, None
    for width in widths:
        if before is not None:
            total += (before + 1) * width
        before = width
    return np.int64(total)


def gpt_by_shapes(V, T, M, L):
    shapes = [(V, M), (T, M), (M,), (M,)]
    for _ in range(L):
        shapes += [(M, M), (M,)] * 4 + [(M, 4 * M), (4 * M,), (4 * M, M), (M,)] + [(M,)] * 4
    return sum(math.prod(shape) for shape in shapes)


def llama_at_once(V, M, L, H, K, d, F):
    return M * (2 * V + L * (2 * d * (H + K) + 3 * F + 2) + 1)


def mixture_as_list(V, M, L, H, K, d, F, E, k):
    rest = M * (2 * V + L * (2 * d * (H + K) + E + 2) + 1)
    return [rest + L * n * 3 * M * F for n in (E, k)]


def training_by_table(N, bits, stage, G):
    each = {16: (2, 2, 12), 32: (4, 4, 8)}
    if bits not in each or not 0 <= stage <= 3:
        raise ValueError("no such setting")
    divided = [stage > 2, stage > 1, stage > 0]
    names = ("weights", "gradients", "states")
    values = torch.tensor(each[bits], dtype=torch.float64) * N
    values[divided] /= G
    return dict(zip(names, values, strict=True))


def fit_by_search(memory, N, L, K, d, B, bits):
    low, high = 0, memory + 1
    while high - low > 1:
        middle = (low + high) // 2
        enough = 8 * memory >= N * bits + 2 * L * K * d * middle * B * bits
        low, high = (middle, high) if enough else (low, middle)
    return low


def full_by_parts(V, M, L, T, D, recompute=False):
    parts = np.array([12.0 * L * M**2 * 6, 12.0 * L * T * M, 6.0 * V * M])
    if recompute:
        parts[:2] *= 4 / 3
    return float(parts.sum() * D)


def plan_by_trying(flops, held, days, peak, utilisation, memory, price):
    gpus = 1
    while gpus * memory < held or flops / (gpus * peak * utilisation) > days * 86400:
        gpus += 1
    hours = flops / (gpus * peak * utilisation) / 3600
    return {"cost": gpus * hours * price, "days": hours / 24, "gpus": float(gpus)}


OTHER_STYLES = {
    "layers": [{"mlp": mlp_by_loop, "dense": lambda a, b: float((a + 1) * b)}],
    "transformer": [{"gpt": gpt_by_shapes, "block": lambda M, F: 4 * M * M + M * (2 * F + 9) + F}],
    "llamas": [
        {
            "llama": llama_at_once,
            "grouped_attention": lambda M, H, K, d: torch.tensor(2 * M * d * (H + K)),
            "swiglu": lambda M, F: M * F + M * F + F * M,
        }
    ],
    "experts": [{"mixture": mixture_as_list}],
    "training": [{"training_bytes": training_by_table}],
    "cache": [
        {"tokens_that_fit": fit_by_search, "cache_bytes": lambda *a: math.prod(a) * 2 / 8},
    ],
    "operations": [{"flops_full": full_by_parts, "flops_rule": lambda N, D: 6.0 * D * N}],
    "plan": [{"plan_run": plan_by_trying}],
}


@pytest.mark.parametrize("task", LAB.ids())
def test_right_answers_pass(task):
    assert len(OTHER_STYLES[task]) >= 1
    for other in [{}, *OTHER_STYLES[task]]:
        for seed in range(20):
            report = reports("large-models", RIGHT | other, task, seed)
            assert report.passed, f"{other}\n{report}"


# --- wrong answers --------------------------------------------------------------------------
def total(N, bits, stage, G, states=None, shared=lambda s: (s > 2, s > 1, s > 0)):
    if bits not in (16, 32) or stage not in range(4):
        raise ValueError("no such setting")
    each = (bits / 8, bits / 8, states(bits) if states else {32: 8, 16: 12}[bits])
    divided = [N * size / (G if cut else 1) for size, cut in zip(each, shared(stage), strict=True)]
    return dict(zip(("weights", "gradients", "states"), divided, strict=True))


def states(size):
    return lambda *a: total(*a, states=size)


def shared(how):
    return lambda *a: total(*a, shared=how)


def anything(N, bits, stage, G):
    return total(N, bits if bits in (16, 32) else 16, min(max(stage, 0), 3), G)


def forward_again(V, M, L, T, D, r, *, matrix=6, attention=12, head=6, blocks=None):
    factor = blocks(r) if blocks else (4 / 3 if r else 1)
    return D * (factor * L * (matrix * 12 * M * M + attention * T * M) + head * V * M)


def whole(**about):
    return lambda *a: forward_again(*a, **about)


def bought(choose=max, round=math.ceil, use=True, last=False, pay=lambda g, d, p: g * d * 24 * p):
    def plan_run(flops, held, days, peak, utilisation, memory, price):
        rate = peak * (utilisation if use else 1) * 86400
        gpus = choose(round(flops / (rate * days)), round(held / memory))
        needed = days if last else flops / rate / gpus
        return {"gpus": gpus, "days": needed, "cost": pay(gpus, needed, price)}

    return plan_run


def by_module(M, F):
    layer = nn.TransformerEncoderLayer(M, 1, F, device="meta")
    return sum(p.numel() for p in layer.parameters())


WRONG = {
    "dense": {
        "no-bias": lambda a, b: a * b,
        "bias-of-inputs": lambda a, b: (b + 1) * a,
        "one-bias": lambda a, b: a * b + 1,
        "bias-of-both": lambda a, b: (a + 1) * (b + 1) - 1,
        "units": lambda a, b: a + b,
        "forbidden": lambda a, b: sum(p.numel() for p in nn.Linear(a, b).parameters()),
        "raised": lambda a, b: a.shape[0] * b,
        None: lambda a, b: 2 * a * b,
    },
    "mlp": {
        "ends-alone": lambda w: dense(w[0], w[-1]),
        "last-layer-missing": lambda w: mlp(w[:-1]),
        "first-layer-missing": lambda w: mlp(w[1:]),
        "mlp-no-bias": lambda w: sum(w[i] * w[i + 1] for i in range(len(w) - 1)),
        "output-bias-missing": lambda w: mlp(w) - w[-1],
        "inputs-biased": lambda w: mlp(w) + w[0],
        "mlp-units": sum,
    },
    "block": {
        "block-no-bias": lambda M, F: 4 * M * M + 2 * M * F + 4 * M,
        "4m-missing": lambda M, F: 4 * dense(M, M) + mlp([M, F, M]),
        "2m-missing": lambda M, F: 4 * dense(M, M) + mlp([M, F, M]) + 2 * M,
        "three-matrices": lambda M, F: block(M, F) - dense(M, M),
        "way-back-missing": lambda M, F: 4 * dense(M, M) + dense(M, F) + 4 * M,
        "feedforward-no-bias": lambda M, F: 4 * dense(M, M) + 2 * M * F + 4 * M,
        "feedforward-bias-width": lambda M, F: 4 * dense(M, M) + 2 * (M * F + M) + 4 * M,
        "f-ignored": lambda M, F: 12 * M * M + 13 * M,
        "attention-missing": lambda M, F: mlp([M, F, M]) + 4 * M,
        "forbidden": by_module,
    },
    "gpt": {
        "no-positions": lambda V, T, M, L: gpt(V, T, M, L) - T * M,
        "no-tokens": lambda V, T, M, L: gpt(0, T, M, L),
        "head-counted": lambda V, T, M, L: gpt(2 * V, T, M, L),
        "last-norm-missing": lambda V, T, M, L: (V + T) * M + L * block(M, 4 * M),
        "last-norm-half": lambda V, T, M, L: (V + T) * M + L * block(M, 4 * M) + M,
        "one-block": lambda V, T, M, L: gpt(V, T, M, 1),
        "tables-in-blocks": lambda V, T, M, L: L * gpt(V, T, M, 1) - (L - 1) * 2 * M,
        "width-f": lambda V, T, M, L: (V + T) * M + L * block(M, M) + 2 * M,
        None: lambda V, T, M, L: V * M + T * M + L * 12 * M * M,
    },
    "grouped_attention": {
        "every-head": lambda M, H, K, d: grouped(M, H, H, d),
        "keys-or-values": lambda M, H, K, d: grouped(M, H, K, d) - M * K * d,
        "output-missing": lambda M, H, K, d: M * d * (H + 2 * K),
        "heads-fill-width": lambda M, H, K, d: 2 * M * (M + K * d),
        "output-grouped": lambda M, H, K, d: M * d * (H + 3 * K),
        "biased": lambda M, H, K, d: dense(M, (H + 2 * K) * d) + dense(H * d, M),
        "one-head-wide": lambda M, H, K, d: grouped(M, H, K, 1),
    },
    "swiglu": {
        "no-gate": lambda M, F: M * F + F * M,
        "swiglu-biased": lambda M, F: 2 * dense(M, F) + dense(F, M),
        "gate-squared": lambda M, F: 2 * M * F + F * F,
    },
    "llama": {
        "one-table": lambda V, M, *s: llama(V, M, *s) - V * M,
        "norms-shifted": lambda V, M, L, *s: llama(V, M, L, *s) + (2 * L + 1) * M,
        "norms-missing": lambda V, M, L, *s: llama(V, M, L, *s) - 2 * L * M,
        "one-norm": lambda V, M, L, *s: llama(V, M, L, *s) - L * M,
        "final-norm-missing": lambda V, M, *s: llama(V, M, *s) - M,
        "blocks-not-repeated": lambda V, M, L, *s: llama(V, M, 1, *s),
    },
    "mixture": {
        "whole-models": lambda *s: (s[7] * llama(*s[:7]), s[8] * llama(*s[:7])),
        "no-router": lambda *s: tuple(n - s[2] * s[1] * s[7] for n in mixture(*s)),
        "router-once": lambda *s: tuple(n - (s[2] - 1) * s[1] * s[7] for n in mixture(*s)),
        "router-of-k": lambda *s: (mixture(*s)[0], mixture(*s[:7], s[8], s[8])[1]),
        "router-inactive": lambda *s: (mixture(*s)[0], llama(*s[:6], s[8] * s[6])),
        "swapped": lambda *s: mixture(*s)[::-1],
        "one-active": lambda *s: (mixture(*s)[0], mixture(*s[:8], 1)[1]),
        "share-of-total": lambda *s: (mixture(*s)[0], mixture(*s)[0] * s[8] // s[7]),
        "all-active": lambda *s: (mixture(*s)[0], mixture(*s)[0]),
        "attention-repeated": lambda *s: tuple(
            n + (times - 1) * s[2] * grouped(s[1], *s[3:6])
            for n, times in zip(mixture(*s), s[7:], strict=True)
        ),
        None: lambda *s: mixture(*s)[0],
    },
    "training_bytes": {
        "one-mean": states(lambda bits: {32: 4, 16: 8}[bits]),
        "copy-missing": states(lambda bits: 8),
        "copy-in-32": states(lambda bits: 12),
        "states-in-bits": states(lambda bits: {32: 8, 16: 6}[bits]),
        "stage-early": shared(lambda s: (s > 1, s > 0, True)),
        "stage-late": shared(lambda s: (False, s > 2, s > 1)),
        "not-shared": shared(lambda s: (False,) * 3),
        "all-shared": shared(lambda s: (True,) * 3),
        "stage-alone": shared(lambda s: (s == 3, s == 2, s == 1)),
        "order": shared(lambda s: (s > 0, s > 1, s > 2)),
        "bits-as-bytes": lambda N, bits, stage, G: total(N, bits, stage, G) | {
            k: 8 * v for k, v in total(N, bits, stage, G).items() if k != "states"
        },
        "unknown-accepted": anything,
        None: lambda *a: sum(total(*a).values()),
    },
    "cache_bytes": {
        "keys-alone": lambda L, K, d, T, B, bits: L * K * d * T * B * bits // 8,
        "one-layer": lambda L, *a: cache_bytes(1, *a),
        "one-text": lambda L, K, d, T, B, bits: cache_bytes(L, K, d, T, 1, bits),
        "one-token": lambda L, K, d, T, B, bits: cache_bytes(L, K, d, 1, B, bits),
        "numbers": lambda *a: 2 * math.prod(a[:5]),
        "in-bits": lambda *a: 2 * math.prod(a),
        "always-16": lambda *a: 4 * math.prod(a[:5]),
    },
    "tokens_that_fit": {
        "weights-forgotten": lambda memory, N, *a: fit(memory, 0, *a),
        "weights-always-16": lambda memory, N, *a: fit(memory - 2 * N, 0, *a),
        "texts-forgotten": lambda m, N, L, K, d, B, bits: fit(m, N, L, K, d, 1, bits),
        "together": lambda *a: a[5] * fit(*a),
        "rounded-up": lambda m, N, L, K, d, B, bits: max(
            0, -(-(m - N * bits // 8) // cache_bytes(L, K, d, 1, B, bits))
        ),
        "negative": lambda m, N, *a: (m - N * a[-1] // 8) // cache_bytes(*a[:3], 1, *a[3:]),
        "not-whole": lambda m, N, *a: max(
            0, (m - N * a[-1] / 8) / cache_bytes(*a[:3], 1, *a[3:])
        ),
    },
    "flops_rule": {
        "forward-alone": lambda N, D: 2 * N * D,
        "backward-alone": lambda N, D: 4 * N * D,
        "pairs": lambda N, D: 3 * N * D,
        "recomputed": lambda N, D: 8 * N * D,
        "bytes": lambda N, D: 16 * N * D,
    },
    "flops_full": {
        "no-attention": whole(attention=0),
        "attention-forward": whole(attention=4),
        "attention-half": whole(attention=6),
        "attention-squared": lambda *a: forward_again(*a, attention=12 * a[3]),
        "no-head": whole(head=0),
        "table-twice": whole(head=12),
        "all-parameters": lambda *a: full(*a) + 6 * 13 * a[1] * a[2] * a[4],
        "recompute-ignored": whole(blocks=lambda r: 1),
        "recompute-always": whole(blocks=lambda r: 4 / 3),
        "recompute-head": lambda *a: forward_again(*a, head=8 if a[-1] else 6),
        "recompute-no-attention": lambda *a: forward_again(*a, attention=9 if a[-1] else 12),
        "recompute-whole": whole(blocks=lambda r: 2 if r else 1),
    },
    "plan_run": {
        "memory-forgotten": bought(choose=lambda time, memory: time),
        "days-forgotten": bought(choose=lambda time, memory: memory),
        "added": bought(choose=lambda time, memory: time + memory),
        "rounded-down": bought(round=math.floor),
        "part-of-a-gpu": bought(round=lambda n: n),
        "one-too-many": bought(round=lambda n: math.floor(n) + 1),
        "peak-as-rate": bought(use=False),
        "days-as-given": bought(last=True),
        "paid-by-day": bought(pay=lambda gpus, days, price: gpus * days * price),
        "one-paid": bought(pay=lambda gpus, days, price: days * 24 * price),
    },
}  # fmt: skip


@pytest.mark.parametrize("function", WRONG)
def test_wrong_answers_are_named(function):
    task = next(task for task in LAB.tasks if function in task.functions)
    wrong = {slug: {function: answer} for slug, answer in WRONG[function].items()}
    found = refusals("large-models", RIGHT, task.id, wrong)
    assert found == {slug: slug for slug in wrong}


def test_every_check_tells_five_wrong_answers_apart():
    assert set(WRONG) == {name for task in LAB.tasks for name in task.functions}
    for task in LAB.tasks:
        assert sum(len(WRONG[name]) for name in task.functions) >= 5


def test_scores():
    assert_lab_scores("large-models", full=24)
