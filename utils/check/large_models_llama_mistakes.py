"""Named mistakes of the lab `large-models`: Llamas and mixtures of experts.

Legend as in `utils.check.large_models`. Each function is deliberately wrong in one way.
"""

from __future__ import annotations

from utils.check.core import Mistake


def _attention(M: int, H: int, K: int, d: int) -> int:
    return M * H * d + 2 * M * K * d + H * d * M


def _llama(V, M, L, H, K, d, F, in_block=0, plus=0) -> int:
    blocks = L * (_attention(M, H, K, d) + 3 * M * F + 2 * M + in_block)
    return 2 * V * M + blocks + M + plus


_FOUR = "Write the shape of each of the four matrices beside its name."
GROUPED = (
    Mistake(
        "every-head",
        "Each query head has keys and values of its own here; K heads serve all H.",
        lambda M, H, K, d: 4 * M * H * d,
        _FOUR,
    ),
    Mistake(
        "keys-or-values",
        "Keys or values are missing: each has K heads.",
        lambda M, H, K, d: 2 * M * H * d + M * K * d,
        _FOUR,
    ),
    Mistake(
        "output-missing",
        "The matrix of the output is missing.",
        lambda M, H, K, d: M * H * d + 2 * M * K * d,
        _FOUR,
    ),
    Mistake(
        "heads-fill-width",
        "The H heads are taken to fill the width; H times d need not be M.",
        lambda M, H, K, d: 2 * M * M + 2 * M * K * d,
        "Queries are M x (H d), the output (H d) x M.",
    ),
    Mistake(
        "output-grouped",
        "The output comes from K heads here; the H query heads give H results.",
        lambda M, H, K, d: M * H * d + 3 * M * K * d,
        _FOUR,
    ),
    Mistake(
        "biased",
        "Biases are counted; a Llama has none.",
        lambda M, H, K, d: _attention(M, H, K, d) + H * d + 2 * K * d + M,
        "Take the weights alone.",
    ),
    Mistake(
        "one-head-wide",
        "The size of a head is missing.",
        lambda M, H, K, d: 2 * M * (H + K),
        "Each head has d numbers.",
    ),
)
SWIGLU = (
    Mistake(
        "no-gate",
        "There are two matrices here; the gate is missing.",
        lambda M, F: 2 * M * F,
        "SwiGLU multiplies two ways up with each other, then goes back.",
    ),
    Mistake(
        "swiglu-biased",
        "Biases are counted; a Llama has none.",
        lambda M, F: 3 * M * F + 2 * F + M,
        "Take the weights alone.",
    ),
    Mistake(
        "gate-squared",
        "The gate goes from F to F here; it goes from M to F.",
        lambda M, F: 2 * M * F + F * F,
        "Gate and way up read the same input of width M.",
    ),
)
LLAMA = (
    Mistake(
        "one-table",
        "One table of V rows is missing: the head is not tied here.",
        lambda V, M, L, H, K, d, F: _llama(V, M, L, H, K, d, F, 0, -V * M),
        "A Llama keeps its head apart from the table of tokens.",
    ),
    Mistake(
        "norms-shifted",
        "The norms have a scale and a shift here; RMSNorm has a scale alone.",
        lambda V, M, L, H, K, d, F: _llama(V, M, L, H, K, d, F, 2 * M, M),
        "A norm of a Llama has M parameters.",
    ),
    Mistake(
        "norms-missing",
        "The two norms of each block are missing.",
        lambda V, M, L, H, K, d, F: _llama(V, M, L, H, K, d, F, -2 * M),
        "Two norms of M stand in each block.",
    ),
    Mistake(
        "one-norm",
        "Each block has one norm here; it has two.",
        lambda V, M, L, H, K, d, F: _llama(V, M, L, H, K, d, F, -M),
        "One norm stands before attention, one before the feed-forward part.",
    ),
    Mistake(
        "final-norm-missing",
        "The norm after the last block is missing.",
        lambda V, M, L, H, K, d, F: _llama(V, M, L, H, K, d, F, 0, -M),
        "One more norm stands before the head.",
    ),
    Mistake(
        "blocks-not-repeated",
        "One block is counted; there are L of them.",
        lambda V, M, L, H, K, d, F: _llama(V, M, 1, H, K, d, F),
        "Blocks share no weights.",
    ),
)


def _moe(V, M, L, H, K, d, F, E, k, total=0, active=0) -> tuple[int, int]:
    part, router = 3 * M * F, M * E
    return tuple(
        _llama(V, M, L, H, K, d, F, (n - 1) * part + router + more)
        for n, more in ((E, total), (k, active))
    )


def _named(V, M, L, H, K, d, F, E, k) -> tuple[int, int]:
    return E * _llama(V, M, L, H, K, d, F), k * _llama(V, M, L, H, K, d, F)


def _scaled(*shape: int) -> tuple[int, int]:
    total = _moe(*shape)[0]
    return total, total * shape[-1] // shape[-2]


MIXTURE = (
    Mistake(
        "whole-models",
        "The whole model is counted E times; only its feed-forward parts are.",
        _named,
        "Mixtral 8x7B is not 56 billion. Which parts do the experts share?",
    ),
    Mistake(
        "no-router",
        "The router is missing.",
        lambda *s: _moe(*s, -s[1] * s[7], -s[1] * s[7]),
        "A matrix from M to E in each block says which experts work.",
    ),
    Mistake(
        "router-once",
        "There is one router for the whole model here; each block has its own.",
        lambda *s: tuple(n - (s[2] - 1) * s[1] * s[7] for n in _moe(*s)),
        "Put the router where the experts are.",
    ),
    Mistake(
        "router-of-k",
        "The active router has k columns here; it scores all E experts before it picks k.",
        lambda *s: _moe(*s, 0, -s[1] * (s[7] - s[8])),
        "All of the router works on each token.",
    ),
    Mistake(
        "router-inactive",
        "The router is left out of the active parameters; it works on each token.",
        lambda *s: _moe(*s, 0, -s[1] * s[7]),
        "Someone has to pick the experts.",
    ),
    Mistake(
        "swapped",
        "Total and active have changed places.",
        lambda *s: _moe(*s)[::-1],
        "The total comes first.",
    ),
    Mistake(
        "one-active",
        "One expert is active here; k of them work on a token.",
        lambda *s: _moe(*s, 0, -(s[8] - 1) * 3 * s[1] * s[6]),
        "Use k.",
    ),
    Mistake(
        "share-of-total",
        "Active is taken as the share k/E of the total; attention and tables work on each token.",
        _scaled,
        "Only the experts are idle in part.",
    ),
    Mistake(
        "all-active",
        "All experts are counted as active.",
        lambda *s: (_moe(*s)[0],) * 2,
        "The router picks k of the E experts for a token.",
    ),
    Mistake(
        "attention-repeated",
        "Attention is counted once an expert; a block has one.",
        lambda *s: _moe(*s, (s[7] - 1) * _attention(s[1], *s[3:6]), (s[8] - 1) *
                        _attention(s[1], *s[3:6])),
        "Experts are feed-forward parts and nothing else.",
    ),
)  # fmt: skip
