"""Checks of the lab `large-models`: parameters, bytes, operations, days and money.

Legend, as in the chapter: M width, V vocabulary, T context, L blocks, H query heads, K heads of
keys and values, d size of a head, F feed-forward width, E experts of which k work on a token,
N parameters, D training tokens, B texts at once, G GPUs.

Counts of parameters, bytes of a cache and tokens must agree to the integer; operations, days
and money within a millionth.
"""

from __future__ import annotations

from itertools import pairwise

from utils.check import large_models_bytes_mistakes as held
from utils.check import large_models_llama_mistakes as gated
from utils.check import large_models_mistakes as wrong
from utils.check import large_models_reference as right
from utils.check import large_models_run_mistakes as run
from utils.check.core import Lab
from utils.check.trial import Trial

LAB = Lab("large-models", "Large models, counted", points=30)
FORBIDDEN = ("utils.*", "transformers.*", "torch.nn.*", "torch.utils.flop_counter.*")
CLOSE = {"rtol": 1e-6, "atol": 1e-9}
GPT2 = (50_257, 1024, 768, 12)
GPT3 = (50_257, 2048, 12_288, 96)
LLAMA3 = (128_256, 4096, 32, 32, 8, 128, 14_336)
MIXTRAL = (32_000, 4096, 32, 32, 8, 128, 14_336, 8, 2)


@LAB.task(
    "A layer and a network of layers",
    points=2,
    minutes=6,
    difficulty=1,
    functions=("dense", "mlp"),
    forbidden=FORBIDDEN,
    hints=(
        "Draw the network with 3 inputs, 4 hidden units and 2 outputs. Its edges are weights, "
        "and each unit that is no input has a bias: 26 in all.",
        "An MLP with n widths has n - 1 layers: one between each width and the next.",
    ),
)
def layers(t: Trial) -> None:
    for _ in range(2):
        d_in, d_out = t.distinct(2, 3, 40)
        t.equal("dense", d_in, d_out, expected=(d_in + 1) * d_out, mistakes=wrong.DENSE)
    for count in (3, 2, t.integer(4, 6)):
        widths = t.distinct(count, 3, 40)
        expected = sum((a + 1) * b for a, b in pairwise(widths))
        t.equal("mlp", widths, expected=expected, mistakes=wrong.MLP)


@LAB.task(
    "A Transformer block, and GPT-3",
    points=4,
    minutes=12,
    difficulty=1,
    functions=("block", "gpt"),
    forbidden=FORBIDDEN,
    hints=(
        "A block has six matrices, four of attention and two of the feed-forward part. Each is "
        "a dense layer with a bias.",
        "A norm has a scale and a shift for each of the M numbers. Two stand in each block, one "
        "more at the end of the model.",
        "Two tables come on top: V rows for tokens, T rows for positions, M numbers a row. The "
        "head is the first of them again.",
    ),
)
def transformer(t: Trial) -> None:
    for _ in range(2):
        M, F = t.integer(20, 40), t.integer(41, 59)  # no two missing parts are equal here
        t.equal("block", M, F, expected=right.block(M, F), mistakes=wrong.BLOCK)
    sizes = t.distinct(4, 5, 60)
    for shape in (tuple(sizes), (*sizes[:3], 1), GPT2, GPT3):
        t.equal("gpt", *shape, expected=right.gpt(*shape), mistakes=wrong.GPT)


@LAB.task(
    "Grouped queries, gated units: a Llama",
    points=3,
    minutes=12,
    difficulty=2,
    functions=("grouped_attention", "swiglu", "llama"),
    forbidden=FORBIDDEN,
    hints=(
        "Say for each of the four matrices what goes in and what comes out: queries are H heads "
        "of d numbers, keys K heads, values K heads; the output goes back to M.",
        "SwiGLU has a gate beside the way up: two matrices from M to F, one back.",
        "A block has its attention, its feed-forward part and two norms of M. Around the blocks "
        "stand one more norm and two tables of V rows: tokens, and the head of its own.",
    ),
)
def llamas(t: Trial) -> None:
    for _ in range(2):
        M, H, K, d = _attention_sizes(t)
        expected = right.grouped(M, H, K, d)
        t.equal("grouped_attention", M, H, K, d, expected=expected, mistakes=gated.GROUPED)
        M, F = t.distinct(2, 5, 60)
        t.equal("swiglu", M, F, expected=3 * M * F, mistakes=gated.SWIGLU)
    for shape in (_llama_sizes(t), LLAMA3):
        t.equal("llama", *shape, expected=right.llama(*shape), mistakes=gated.LLAMA)


@LAB.task(
    "A mixture of experts, total and active",
    points=3,
    minutes=10,
    difficulty=2,
    functions=("mixture",),
    forbidden=FORBIDDEN,
    hints=(
        "Only the feed-forward part of a block is there E times. What else of a Llama is there "
        "more than once?",
        "The router gives each of the E experts a score: one matrix from M to E, no bias.",
        "Active is what works on one token: k experts of each block, and everything else, the "
        "whole router included, since it scores all experts before it picks.",
    ),
)
def experts(t: Trial) -> None:
    for _ in range(2):
        k, more = t.integer(2, 4), t.integer(2, 6)
        shape = (*_llama_sizes(t), k + more, k)
        t.equal("mixture", *shape, expected=right.mixture(*shape), mistakes=gated.MIXTURE)
    alone = (*_llama_sizes(t), 1, 1)
    for shape in (alone, MIXTRAL):
        t.equal("mixture", *shape, expected=right.mixture(*shape), mistakes=gated.MIXTURE)


@LAB.task(
    "Bytes in training, shared out",
    points=3,
    minutes=12,
    difficulty=2,
    functions=("training_bytes",),
    forbidden=FORBIDDEN,
    hints=(
        "Without sharing it is 16 bytes a parameter both ways: 4 + 4 + 8 in 32 bits, 2 + 2 + 12 "
        "in 16 bits.",
        "The 12 are AdamW's two means and a copy of the weights, in 32 bits each.",
        "Stage 1 divides the states by G, stage 2 also the gradients, stage 3 also the weights: "
        "for each of the three, from which stage on is it shared?",
    ),
)
def training(t: Trial) -> None:
    N, G = t.integer(10**6, 10**9), t.integer(3, 60)
    for bits in (32, 16):
        for stage in (3, 0, 2, 1):  # so that each mistake shows where it alone does
            args = (N, bits, stage, G)
            expected = right.training(*args)
            t.equal("training_bytes", *args, expected=expected, mistakes=held.TRAINING, **CLOSE)
    for bits, stage in ((16, 4), (32, -1), (8, 0)):
        why = "bits are 16 or 32, stages 0 to 3"
        t.raises("ValueError", "training_bytes", N, bits, stage, G, why=why, mistake=held.UNKNOWN)


@LAB.task(
    "The cache of a model that writes",
    points=3,
    minutes=12,
    difficulty=2,
    functions=("cache_bytes", "tokens_that_fit"),
    forbidden=FORBIDDEN,
    hints=(
        "For one token, one block and one head: d numbers of a key, d of a value. Eight bits are "
        "a byte.",
        "First take the weights from the memory. What is left is shared by the B texts; how much "
        "does one more token in each of them take?",
        "// rounds down, also below zero: -1 // 5 is -1. Which number of tokens is the least "
        "that can be?",
    ),
)
def cache(t: Trial) -> None:
    for bits in (8, 32, 16):  # so that each mistake shows where it alone does
        args = (*t.distinct(5, 9, 40), bits)
        t.equal("cache_bytes", *args, expected=right.cache(*args), mistakes=held.CACHE)
    for bits in (16, 8):
        N, L, K, d, B = t.integer(10**6, 10**7), *t.distinct(4, 3, 20)
        a_token, weights = right.cache(L, K, d, 1, B, bits), N * bits // 8
        tokens = t.integer(50, 500)
        exact = weights + tokens * a_token
        for memory in (exact + a_token // 2, exact, exact - 1, weights, weights // 2):
            args = (memory, N, L, K, d, B, bits)
            t.equal("tokens_that_fit", *args, expected=right.fits(*args), mistakes=held.FIT)


@LAB.task(
    "Operations: the rule and the full count",
    points=3,
    minutes=12,
    difficulty=3,
    functions=("flops_rule", "flops_full"),
    forbidden=FORBIDDEN,
    hints=(
        "A multiplication and an addition for each entry of a matrix and each token, forward; "
        "twice that backward.",
        "Attention costs 4 T M a token and block forward: T keys are met, T values are summed, "
        "2 T M each. How much with the way back?",
        "Recomputation runs the blocks forward a second time: their matrices and their "
        "attention. The head is no block.",
    ),
)
def operations(t: Trial) -> None:
    for _ in range(2):
        N, D = t.integer(10**6, 10**9), t.integer(10**6, 10**9)
        t.equal("flops_rule", N, D, expected=6.0 * N * D, mistakes=run.RULE, **CLOSE)
    for recompute in (False, True, False):
        args = (*t.distinct(4, 20, 90), t.integer(500, 5000), recompute)
        t.equal("flops_full", *args, expected=right.flops(*args), mistakes=run.FULL, **CLOSE)


@LAB.task(
    "A run: GPUs, days, money",
    points=3,
    minutes=12,
    difficulty=3,
    functions=("plan_run",),
    forbidden=FORBIDDEN,
    hints=(
        "One GPU does peak times utilisation operations a second. How many does it do in the "
        "days that are given?",
        "Two demands: enough operations by the last day, enough memory for what is held. The "
        "larger number of GPUs meets both, and half a GPU cannot be rented.",
        "With that many GPUs the run may end before the last day: compute the days again. Each "
        "GPU is paid for each hour of them.",
    ),
)
def plan(t: Trial) -> None:
    for by_memory in (False, True, False):
        args = _run_sizes(t, by_memory)
        t.equal("plan_run", *args, expected=right.plan(*args), mistakes=run.PLAN, **CLOSE)
    few = (_run_sizes(t, True)[0], 3 * 80e9, 1e6, 1e15, 0.5, 80e9, 2.0)  # memory filled exactly
    t.equal("plan_run", *few, expected=right.plan(*few), mistakes=run.PLAN, **CLOSE)


# --- inputs ---------------------------------------------------------------------------------
def _attention_sizes(t: Trial) -> tuple[int, int, int, int]:
    """M, H, K, d with K at most a third of H, and H d other than M."""
    K, times, d = t.integer(2, 4), t.integer(3, 5), t.integer(7, 12)
    H = K * times
    return H * d + t.integer(1, 9), H, K, d


def _llama_sizes(t: Trial) -> tuple[int, ...]:
    M, H, K, d = _attention_sizes(t)
    return t.integer(300, 900), M, t.integer(3, 9), H, K, d, 2 * M + t.integer(1, 30)


def _run_sizes(t: Trial, by_memory: bool) -> tuple[float, ...]:
    """A run whose number of GPUs is set by memory, or else by the last day; never just so."""
    peak, utilisation = 1e12 * t.integer(100, 900), t.integer(25, 60) / 100
    memory, days, price = 1e9 * t.integer(16, 90), float(t.integer(5, 40)), t.integer(5, 40) / 10
    by_day, full = t.integer(5, 30) + t.integer(2, 8) / 10, t.integer(40, 90) + 0.5
    if not by_memory:
        full = t.integer(1, 3) + 0.5
    flops = peak * utilisation * 86_400 * days * by_day
    return flops, memory * full, days, peak, utilisation, memory, price
