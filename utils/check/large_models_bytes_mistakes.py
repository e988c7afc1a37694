"""Named mistakes of the lab `large-models`: bytes.

Legend as in `utils.check.large_models`. Each function is deliberately wrong in one way.
"""

from __future__ import annotations

import math

from utils.check.core import Mistake


def _bytes(bits, G, shared, states=None, scale=1.0):
    """Weights, gradients, states a parameter; `shared` says which of the three are divided."""
    each = (bits / 8, bits / 8, states if states is not None else 8.0 if bits == 32 else 12.0)
    parts = zip(("weights", "gradients", "states"), each, shared, strict=True)
    return {name: scale * size / (G if cut else 1) for name, size, cut in parts}


def _usual(stage):
    return stage >= 3, stage >= 2, stage >= 1


def _held(N, *args, **about):
    return {name: N * size for name, size in _bytes(*args, **about).items()}


UNKNOWN = Mistake(
    "unknown-accepted",
    "Bits other than 16 and 32, or a stage outside 0 to 3, must raise ValueError.",
    hint="A wrong setting that gives a number is worse than an error. Look at the arguments first.",
)
TRAINING = (
    Mistake(
        "copy-missing",
        "In 16 bits the states are 8 bytes here; the copy of the weights in 32 bits is missing.",
        lambda N, bits, stage, G: _held(N, bits, G, _usual(stage), states=8.0),
        "Small steps vanish in 16 bits, so the optimizer keeps the weights in 32.",
    ),
    Mistake(
        "one-mean",
        "One running mean of AdamW is missing: it keeps one of gradients and one of their squares.",
        lambda N, bits, stage, G: _held(
            N, bits, G, _usual(stage), states=4.0 if bits == 32 else 8.0
        ),
        "Print optimizer.state of one step: how many tensors of the weight's shape are there?",
    ),
    Mistake(
        "copy-in-32",
        "In 32 bits the states hold a copy of the weights here; the weights are in 32 bits anyway.",
        lambda N, bits, stage, G: _held(N, bits, G, _usual(stage), states=12.0),
        "A copy in 32 bits is needed only where the weights are in 16.",
    ),
    Mistake(
        "states-in-bits",
        "The states have the precision of the weights here; AdamW keeps them in 32 bits.",
        lambda N, bits, stage, G: _held(
            N, bits, G, _usual(stage), states=8.0 if bits == 32 else 6.0
        ),
        "4 bytes for each mean, and 4 for the copy, also in training with 16 bits.",
    ),
    Mistake(
        "stage-early",
        "One stage too early: what is divided at a stage is divided here at the one before.",
        lambda N, bits, stage, G: _held(N, bits, G, _usual(stage + 1)),
        "Stage 0 divides nothing, stage 1 the states.",
    ),
    Mistake(
        "stage-late",
        "One stage too late: what is divided at a stage is divided here at the one after.",
        lambda N, bits, stage, G: _held(N, bits, G, _usual(stage - 1)),
        "Stage 1 divides the states already, stage 3 all three.",
    ),
    Mistake(
        "not-shared",
        "Nothing is divided by G here.",
        lambda N, bits, stage, G: _held(N, bits, G, (False,) * 3),
        "What one GPU of G holds is asked for.",
    ),
    Mistake(
        "all-shared",
        "Everything is divided by G here, whatever the stage.",
        lambda N, bits, stage, G: _held(N, bits, G, (True,) * 3),
        "Only stage 3 divides all three.",
    ),
    Mistake(
        "stage-alone",
        "A stage divides one of the three here; each stage also does what those before it do.",
        lambda N, bits, stage, G: _held(N, bits, G, (stage == 3, stage == 2, stage == 1)),
        "Stage 2 divides gradients and states, stage 3 all three.",
    ),
    Mistake(
        "order",
        "The weights are divided first here, the states last; it is the other way round.",
        lambda N, bits, stage, G: _held(N, bits, G, (stage >= 1, stage >= 2, stage >= 3)),
        "The largest part is shared out first.",
    ),
    Mistake(
        "bits-as-bytes",
        "Bits were taken for bytes.",
        lambda N, bits, stage, G: _held(N, 8 * bits, G, _usual(stage), 8.0 if bits == 32 else 12.0),
        "Eight bits are a byte.",
    ),
)


def _cache(L, K, d, T, B, bits):
    return 2 * L * K * d * T * B * bits // 8


def _room(memory, N, L, K, d, B, bits, *, texts=None, weights=None):
    left = memory - (N * bits // 8 if weights is None else weights)
    return max(0, left // _cache(L, K, d, 1, B if texts is None else texts, bits))


def _rounded_up(memory, N, L, K, d, B, bits):
    return max(0, math.ceil((memory - N * bits // 8) / _cache(L, K, d, 1, B, bits)))


CACHE = (
    Mistake(
        "keys-alone",
        "Keys or values are missing: both are kept.",
        lambda *a: _cache(*a) // 2,
        "Each token leaves a key and a value in each head.",
    ),
    Mistake(
        "one-layer",
        "One block is counted; each of the L blocks keeps its own.",
        lambda L, *a: _cache(1, *a),
        "Attention of each block needs keys and values of its own.",
    ),
    Mistake(
        "one-text",
        "One text is counted; each of the B texts has its own.",
        lambda L, K, d, T, B, bits: _cache(L, K, d, T, 1, bits),
        "Texts share weights, not keys.",
    ),
    Mistake(
        "one-token",
        "One token is counted; keys and values of all T are kept.",
        lambda L, K, d, T, B, bits: _cache(L, K, d, 1, B, bits),
        "The next token attends to all before it.",
    ),
    Mistake(
        "numbers",
        "These are numbers, not bytes.",
        lambda L, K, d, T, B, bits: 2 * L * K * d * T * B,
        "A number takes bits / 8 bytes.",
    ),
    Mistake(
        "in-bits",
        "These are bits, not bytes.",
        lambda *a: 8 * _cache(*a),
        "Eight bits are a byte.",
    ),
    Mistake(
        "always-16",
        "Each number takes 2 bytes here, whatever bits says.",
        lambda L, K, d, T, B, bits: _cache(L, K, d, T, B, 16),
        "Use bits.",
    ),
)
FIT = (
    Mistake(
        "weights-forgotten",
        "The weights are not taken from the memory.",
        lambda *a: _room(*a, weights=0),
        "The model must be in memory before it can write.",
    ),
    Mistake(
        "weights-always-16",
        "The weights take 2 bytes each here, whatever bits says.",
        lambda *a: _room(*a, weights=2 * a[1]),
        "Weights and cache are in the same precision: use bits for both.",
    ),
    Mistake(
        "texts-forgotten",
        "One text has all the memory here; B texts share it.",
        lambda *a: _room(*a, texts=1),
        "One more token in each of B texts takes B times the bytes.",
    ),
    Mistake(
        "together",
        "These are the tokens of all texts together; those of each text are asked for.",
        lambda *a: _room(*a) * a[5],
        "All B texts grow to the same length.",
    ),
    Mistake(
        "rounded-up",
        "The result is rounded up: the last token does not fit.",
        _rounded_up,
        "Half a token does not fit.",
    ),
    Mistake(
        "negative",
        "A negative number of tokens: where the weights do not fit, no token does.",
        lambda memory, N, L, K, d, B, bits: (memory - N * bits // 8) // _cache(L, K, d, 1, B, bits),
        "No token at all is 0.",
    ),
    Mistake(
        "not-whole",
        "A part of a token: tokens come whole.",
        lambda memory, N, L, K, d, B, bits: max(
            0, (memory - N * bits / 8) / _cache(L, K, d, 1, B, bits)
        ),
        "Round down.",
    ),
)
