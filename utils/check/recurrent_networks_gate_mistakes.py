"""Named mistakes of the lab `recurrent-networks`: gates, clipping and padded sequences.

Legend as in `utils.check.recurrent_networks_reference`. Each function is wrong in one way.
"""

from __future__ import annotations

import torch
from torch import Tensor

from utils.check import recurrent_networks_reference as right
from utils.check.core import Mistake

_ORDER = "PyTorch stacks the rows for i, f, g and o, in this order."
LSTM = (
    Mistake(
        "order-ifog",
        "The parts were read in the order i, f, o, g.",
        lambda *args: right.lstm(*args, order="ifog"),
        _ORDER,
    ),
    Mistake(
        "order-iofg",
        "The parts were read in the order i, o, f, g.",
        lambda *args: right.lstm(*args, order="iofg"),
        _ORDER,
    ),
    Mistake(
        "order-figo",
        "Input gate and forget gate changed places.",
        lambda *args: right.lstm(*args, order="figo"),
        _ORDER,
    ),
    Mistake(
        "candidate-sigmoid",
        "The candidate g went through a sigmoid, like the gates.",
        lambda *args: right.lstm(*args, candidate=torch.sigmoid),
        "g is what is written, not how much: it has a sign, so tanh.",
    ),
    Mistake(
        "no-output-tanh",
        "The cell was shown as it is; h is o times tanh of the new cell.",
        lambda *args: right.lstm(*args, show=lambda c: c),
        "c may grow beyond 1; h may not.",
    ),
    Mistake(
        "cell-forgotten",
        "The old cell has no influence: the forget gate is missing.",
        lambda *args: right.lstm(*args, keep=lambda f, c: torch.zeros_like(c)),
        "The new cell is f times the old one plus i times g.",
    ),
    Mistake(
        "nothing-forgotten",
        "The old cell was added in full, without its gate.",
        lambda *args: right.lstm(*args, keep=lambda f, c: c),
        "The new cell is f times the old one plus i times g.",
    ),
    Mistake(
        "gates-raw",
        "The gates did not go through a sigmoid.",
        lambda *args: right.lstm(*args, gate=lambda a: a),
        "A gate is a share between 0 and 1.",
    ),
    Mistake(
        "old-cell-shown",
        "h was made from the old cell.",
        lambda x, h, c, *w: right.lstm(x, h, c, *w, show=lambda new: torch.tanh(c.double())),
        "First the new cell, then what is shown of it.",
    ),
    Mistake(
        "results-swapped",
        "The cell came first; h comes first, then c.",
        lambda *args: right.lstm(*args)[::-1],
        "Return (h, c).",
    ),
)
GRU = (
    Mistake(
        "reset-on-state",
        "The reset gate multiplied the state before the product with w_hh, as in the paper.",
        lambda *args: right.gru(*args, reset="state"),
        "PyTorch multiplies after the product: r * (U h + b').",
    ),
    Mistake(
        "reset-without-bias",
        "The recurrent bias of n stands outside the reset gate.",
        lambda *args: right.gru(*args, reset="without bias"),
        "r multiplies U h + b', the bias included; this is why there are two biases.",
    ),
    Mistake(
        "no-reset",
        "The reset gate is missing.",
        lambda *args: right.gru(*args, reset="nothing"),
        "r multiplies what the state gives to n.",
    ),
    Mistake(
        "update-swapped",
        "z kept the new and 1 - z the old.",
        lambda *args: right.gru(*args, swapped=True),
        "In PyTorch z = 1 keeps the state as it was.",
    ),
    Mistake(
        "order-zrn",
        "Reset gate and update gate changed places.",
        lambda *args: right.gru(*args, order="zrn"),
        "PyTorch stacks the rows for r, z and n, in this order.",
    ),
    Mistake(
        "candidate-sigmoid",
        "The candidate n went through a sigmoid, like the gates.",
        lambda *args: right.gru(*args, candidate=torch.sigmoid),
        "n is what is written, not how much: it has a sign, so tanh.",
    ),
)


def _scaled(gradients: list[Tensor], factor, norm) -> tuple[list[Tensor], Tensor]:
    return [g.double() * factor for g in gradients], norm


def _norm(gradients: list[Tensor]) -> Tensor:
    return right.clip(gradients, 1.0)[1]


def _each(gradients, top):
    return [right.clip([g], top)[0][0] for g in gradients], _norm(gradients)


def _by_value(gradients, top):
    return [g.double().clamp(-top, top) for g in gradients], _norm(gradients)


def _not_rooted(gradients, top):
    square = _norm(gradients) ** 2
    return _scaled(gradients, min(1.0, top / square), square)


def _sum_of_norms(gradients, top):
    total = sum(g.double().norm() for g in gradients)
    return _scaled(gradients, min(1.0, top / total), total)


CLIP = (
    Mistake(
        "each-alone",
        "Each tensor was clipped by its own norm.",
        _each,
        "One factor for all: otherwise the direction of the whole gradient changes.",
    ),
    Mistake(
        "by-value",
        "Single entries were cut off at max_norm.",
        _by_value,
        "Clipping by norm multiplies; it cuts off nothing.",
    ),
    Mistake(
        "stretched",
        "A short gradient was made longer.",
        lambda g, top: _scaled(g, top / _norm(g), _norm(g)),
        "The factor is never above 1.",
    ),
    Mistake(
        "not-rooted",
        "The sum of squares was used as the norm: its root is missing.",
        _not_rooted,
        "A norm is a length: take the root.",
    ),
    Mistake(
        "sum-of-norms",
        "The norms of the tensors were added; their squares add up.",
        _sum_of_norms,
        "The norm of everything together is the root of the sum of all squares.",
    ),
    Mistake(
        "norm-afterwards",
        "The norm that came back is that after clipping.",
        lambda g, top: (right.clip(g, top)[0], _norm(right.clip(g, top)[0])),
        "The norm before clipping is what one wants to see in a log.",
    ),
)


def _raw(x: Tensor, *weights: Tensor) -> Tensor:
    """States of a run that does not know of lengths."""
    return right.run(x, torch.zeros(len(x), weights[1].shape[1]), *weights)[0]


def _inside(x: Tensor, lengths: Tensor) -> Tensor:
    return (torch.arange(x.shape[1]) < lengths[:, None])[..., None]


def _unaware(x, lengths, *weights):
    states = _raw(x, *weights)
    return states, states[:, -1]


def _last_column(x, lengths, *weights):
    return right.padded(x, lengths, *weights)[0], _raw(x, *weights)[:, -1]


def _zeros_at_the_end(x, lengths, *weights):
    states, _ = right.padded(x, lengths, *weights)
    return states, states[:, -1]


def _not_zeroed(x, lengths, *weights):
    return _raw(x, *weights), right.padded(x, lengths, *weights)[1]


def _frozen(x, lengths, *weights):
    states, last = right.padded(x, lengths, *weights)
    return torch.where(_inside(x, lengths), states, last[:, None]), last


def _one_off(by: int):
    def wrong(x, lengths, *weights):
        states, _ = right.padded(x, lengths, *weights)
        place = (lengths - 1 + by).clamp(0, x.shape[1] - 1)
        return states, _raw(x, *weights)[torch.arange(len(x)), place]

    return wrong


def _inputs_masked(x, lengths, *weights):
    x = x * _inside(x, lengths)
    states = _raw(x, *weights)
    return states * _inside(x, lengths), states[:, -1]


def _sorted(x, lengths, *weights):
    order = lengths.argsort(descending=True, stable=True)
    states, last = right.padded(x, lengths, *weights)
    return states[order], last[order]


PADDED = (
    Mistake(
        "unaware",
        "The lengths were not used: padding was read like any other step.",
        _unaware,
        "A sequence of length 3 has ended after 3 steps; from there on its state must not move.",
    ),
    Mistake(
        "last-column",
        "The last state is that of the last column: the state after reading the padding.",
        _last_column,
        "The last state of a sequence stands at its own length - 1.",
    ),
    Mistake(
        "zeros-at-the-end",
        "The last state is the last column of the masked states: zero for every shorter sequence.",
        _zeros_at_the_end,
        "The last state of a sequence stands at its own length - 1.",
    ),
    Mistake(
        "not-zeroed",
        "The last states are right, but the states behind the end of a sequence are not zero.",
        _not_zeroed,
        "What is behind the end goes on into means and losses; zero is the agreement here.",
    ),
    Mistake(
        "frozen-shown",
        "Behind the end of a sequence its last state is repeated; zeros are asked for.",
        _frozen,
        "Keep the state for yourself and put zeros among the states.",
    ),
    Mistake(
        "one-too-late",
        "The last state was taken one step too late: it has read one step of padding.",
        _one_off(1),
        "The first state has index 0, so the one after `length` steps has index length - 1.",
    ),
    Mistake(
        "one-too-early",
        "The last state was taken one step too early.",
        _one_off(-1),
        "The state after `length` steps has index length - 1.",
    ),
    Mistake(
        "inputs-masked",
        "The padding was set to zero and then read: a step with input zero still moves the state.",
        _inputs_masked,
        "tanh(b + U h + b') is not h. Keep the old state where a sequence has ended.",
    ),
    Mistake(
        "left-sorted",
        "The sequences came back in the order of their lengths.",
        _sorted,
        "Whoever sorts has to undo it.",
    ),
)
NAN = Mistake(
    "nan-through-mask",
    "A NaN in the padding reached the result: zero times NaN is NaN.",
    hint="Choose with torch.where or by index; multiplying by a mask does not remove a NaN.",
)
