"""Named mistakes of the lab `large-models`, MLPs and GPTs.

Legend as in `utils.check.large_models`. Each function is deliberately wrong in one way.
"""

from __future__ import annotations

from itertools import pairwise

from utils.check.core import Mistake


def _pairs(widths: list[int]) -> list[tuple[int, int]]:
    return list(pairwise(widths))


_BIASES = "Each output adds one number of its own; where is it stored?"
DENSE = (
    Mistake("no-bias", "The biases are missing.", lambda a, b: a * b, _BIASES),
    Mistake(
        "bias-of-inputs",
        "There is a bias for each input; biases belong to the outputs.",
        lambda a, b: a * b + a,
        _BIASES,
    ),
    Mistake(
        "one-bias",
        "There is one bias for the whole layer; each output has its own.",
        lambda a, b: a * b + 1,
        _BIASES,
    ),
    Mistake(
        "bias-of-both",
        "Inputs and outputs both have a bias; only outputs do.",
        lambda a, b: a * b + a + b,
        _BIASES,
    ),
    Mistake(
        "units",
        "The units were counted; parameters are the connections between them.",
        lambda a, b: a + b,
        "Each of the d_in inputs is connected with each of the d_out outputs.",
    ),
)
MLP = (
    Mistake(
        "ends-alone",
        "This is one layer from the first width to the last; those between are left out.",
        lambda w: (w[0] + 1) * w[-1],
        "Walk through the widths in pairs of neighbours.",
    ),
    Mistake(
        "last-layer-missing",
        "The last layer is missing.",
        lambda w: sum((a + 1) * b for a, b in _pairs(w)[:-1]),
        "The output has a layer too: n widths have n - 1 layers.",
    ),
    Mistake(
        "first-layer-missing",
        "The first layer is missing.",
        lambda w: sum((a + 1) * b for a, b in _pairs(w)[1:]),
        "The first layer leads from the inputs to the first hidden width.",
    ),
    Mistake(
        "mlp-no-bias",
        "The biases of the layers are missing.",
        lambda w: sum(a * b for a, b in _pairs(w)),
        "Use your dense for each layer.",
    ),
    Mistake(
        "output-bias-missing",
        "The last layer has no biases here; it has them like the others.",
        lambda w: sum((a + 1) * b for a, b in _pairs(w)) - w[-1],
        "Use your dense for each layer, the last one included.",
    ),
    Mistake(
        "inputs-biased",
        "The inputs have biases here; they are given, not computed.",
        lambda w: sum((a + 1) * b for a, b in _pairs(w)) + w[0],
        "Only what a layer computes has a bias.",
    ),
    Mistake(
        "mlp-units",
        "The units were counted; parameters are the connections between them.",
        lambda w: sum(w),
        "Use your dense for each pair of neighbours.",
    ),
)


def _block(M: int, F: int, less: int = 0) -> int:
    return 4 * M * M + 2 * M * F + 9 * M + F - less


def _gpt(V: int, T: int, M: int, L: int, plus: int = 0) -> int:
    return V * M + T * M + L * _block(M, 4 * M) + 2 * M + plus


BLOCK = (
    Mistake(
        "block-no-bias",
        "All biases are missing, those of attention and of the feed-forward part.",
        lambda M, F: _block(M, F, 5 * M + F),
        "Each of the six matrices is a dense layer.",
    ),
    Mistake(
        "4m-missing",
        "4M are missing: that is both norms, or the biases of the four matrices of attention.",
        lambda M, F: _block(M, F, 4 * M),
        "Set M = 1 and F = 1 and write down each of the 16 parameters of the block.",
    ),
    Mistake(
        "2m-missing",
        "2M are missing: one of the two norms, or the shifts of both.",
        lambda M, F: _block(M, F, 2 * M),
        "A block has two norms, each with a scale and a shift for each of the M numbers.",
    ),
    Mistake(
        "three-matrices",
        "Attention has three matrices here; the one that mixes the heads at its end is missing.",
        lambda M, F: _block(M, F, M * M + M),
        "Queries, keys, values, and the output: four.",
    ),
    Mistake(
        "way-back-missing",
        "The feed-forward part goes from M to F, but not back.",
        lambda M, F: _block(M, F, F * M + M),
        "What a block adds to the stream has width M again.",
    ),
    Mistake(
        "feedforward-no-bias",
        "The two biases of the feed-forward part are missing.",
        lambda M, F: _block(M, F, M + F),
        "One bias has F numbers, the other M.",
    ),
    Mistake(
        "feedforward-bias-width",
        "Both biases of the feed-forward part have the same width here.",
        lambda M, F: _block(M, F, F - M),
        "The layer to F has a bias of F numbers, the layer back one of M.",
    ),
    Mistake(
        "f-ignored",
        "The feed-forward width is taken to be 4M whatever F says.",
        lambda M, F: _block(M, 4 * M),
        "F = 4M is GPT's choice, not a law: use the argument.",
    ),
    Mistake(
        "attention-missing",
        "Attention is missing.",
        lambda M, F: 2 * M * F + M + F + 4 * M,
        "Attention has four matrices from M to M.",
    ),
)
GPT = (
    Mistake(
        "no-positions",
        "The table of positions is missing.",
        lambda V, T, M, L: _gpt(V, T, M, L, -T * M),
        "GPT learns a row of M numbers for each of the T positions.",
    ),
    Mistake(
        "no-tokens",
        "The table of tokens is missing.",
        lambda V, T, M, L: _gpt(V, T, M, L, -V * M),
        "GPT has a row of M numbers for each of the V tokens.",
    ),
    Mistake(
        "head-counted",
        "The head is counted beside the table of tokens; they are one matrix.",
        lambda V, T, M, L: _gpt(V, T, M, L, V * M),
        "The head is tied: the same numbers, counted once.",
    ),
    Mistake(
        "last-norm-missing",
        "The norm after the last block is missing.",
        lambda V, T, M, L: _gpt(V, T, M, L, -2 * M),
        "One more norm stands between the last block and the head.",
    ),
    Mistake(
        "last-norm-half",
        "The last norm has M parameters here; it has a scale and a shift.",
        lambda V, T, M, L: _gpt(V, T, M, L, -M),
        "A norm of width M has 2M parameters.",
    ),
    Mistake(
        "one-block",
        "One block is counted; there are L of them.",
        lambda V, T, M, L: _gpt(V, T, M, 1),
        "Blocks share no weights.",
    ),
    Mistake(
        "tables-in-blocks",
        "The tables are counted once a block.",
        lambda V, T, M, L: _gpt(V, T, M, L, (L - 1) * (V + T) * M),
        "Tokens are looked up once, before the first block.",
    ),
    Mistake(
        "width-f",
        "The feed-forward width is M here; in GPT it is 4M.",
        lambda V, T, M, L: _gpt(V, T, M, L, L * (_block(M, M) - _block(M, 4 * M))),
        "GPT's blocks have F = 4M.",
    ),
)
