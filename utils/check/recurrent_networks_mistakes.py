"""Named mistakes of the lab `recurrent-networks`: the plain network, forward and backward.

Legend as in `utils.check.recurrent_networks_reference`. Each function is wrong in one way.
"""

from __future__ import annotations

import torch
from torch import Tensor

from utils.check import recurrent_networks_reference as right
from utils.check.core import Mistake


def _zero(v: Tensor) -> Tensor:
    return torch.zeros_like(v)


STEP = (
    Mistake(
        "no-tanh",
        "The sum came back as it is: the tanh is missing.",
        lambda *args: right.step(*args, act=lambda v: v),
        "States of a tanh network lie between -1 and 1.",
    ),
    Mistake(
        "sigmoid",
        "The sum went through a sigmoid, not through tanh.",
        lambda *args: right.step(*args, act=torch.sigmoid),
        "A sigmoid has no negative values.",
    ),
    Mistake(
        "state-weights-transposed",
        "w_hh was used without its transpose; it is square, so the shapes fit.",
        lambda x, h, w, u, b, c: right.step(x, h, w, u.T, b, c),
        "Row i of w_hh holds the weights of unit i, as in w_ih: both need .T here.",
    ),
    Mistake(
        "no-recurrent-bias",
        "b_hh was left out.",
        lambda x, h, w, u, b, c: right.step(x, h, w, u, b, _zero(c)),
        "There are two biases, one for each product.",
    ),
    Mistake(
        "no-input-bias",
        "b_ih was left out.",
        lambda x, h, w, u, b, c: right.step(x, h, w, u, _zero(b), c),
        "There are two biases, one for each product.",
    ),
    Mistake(
        "state-ignored",
        "The old state has no influence.",
        lambda x, h, w, u, b, c: right.step(x, _zero(h), w, u, b, c),
        "Without U h there is no memory.",
    ),
    Mistake(
        "tanh-too-early",
        "tanh was taken of the input's part alone, and the state's part added behind it.",
        lambda x, h, w, u, b, c: (
            torch.tanh(x.double() @ w.double().T + b) + h.double() @ u.double().T + c
        ),
        "Add both parts first, then bend the sum.",
    ),
)


def _over_the_batch(x: Tensor, h0: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor]:
    states, last = right.run(x.transpose(0, 1), h0, *weights)
    return states.transpose(0, 1), last


def _start_first(x: Tensor, h0: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor]:
    states, last = right.run(x, h0, *weights)
    return torch.cat([h0.double()[:, None], states], 1), last


def _shifted(x: Tensor, h0: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor]:
    states, last = _start_first(x, h0, *weights)
    return states[:, :-1], last


def _backwards(x: Tensor, h0: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor]:
    return right.run(x.flip(1), h0, *weights)


def _change(i: int, how) -> object:
    """A wrong answer that differs from `run` in one of its two results."""

    def wrong(*args):
        out = list(right.run(*args))
        out[i] = how(*out)
        return tuple(out)

    return wrong


RUN = (
    Mistake(
        "over-the-batch",
        "The loop went over the sequences of the batch, not over the steps of time.",
        _over_the_batch,
        "x is (B, T, D): step t of all sequences is x[:, t].",
    ),
    Mistake(
        "not-carried",
        "Every step began from h0 again: the state is not handed on.",
        lambda *args: right.run(*args, carry=False),
        "What a step returns is the h of the next one.",
    ),
    Mistake(
        "backwards",
        "The sequence was read from its end.",
        _backwards,
        "Only the gradient goes back in time.",
    ),
    Mistake(
        "shifted",
        "The states are those before each step: h0 is among them and the last one is not.",
        _shifted,
        "Append the state after the step, not before it.",
    ),
    Mistake(
        "start-among-states",
        "There are T + 1 states: h0 was put in front.",
        _start_first,
        "h0 was given, not computed: T inputs give T states.",
    ),
    Mistake(
        "time-first",
        "The states are (T, B, H): they were joined along the first axis.",
        _change(0, lambda states, last: states.transpose(0, 1)),
        "torch.stack takes a dim.",
    ),
    Mistake(
        "last-is-first",
        "The last state that came back is that of the first step.",
        _change(1, lambda states, last: states[:, 0]),
        "The last one is what the loop ends with.",
    ),
)


def _transposed(*args):
    x_bar, h0_bar, w_ih, w_hh, b = right.back(*args)
    return x_bar, h0_bar, w_ih, w_hh.T, b


def _only_the_end(x, h0, states, w_ih, w_hh, ups):
    end = _zero(ups)
    end[:, -1] = ups[:, -1]
    return right.back(x, h0, states, w_ih, w_hh, end)


def _mean(*args):
    x_bar, h0_bar, *weights = right.back(*args)
    return x_bar, h0_bar, *(w / len(x_bar) for w in weights)


BACK = (
    Mistake(
        "not-through-time",
        "No gradient went from a step to the one before it.",
        lambda *args: right.back(*args, carry=lambda a, w: torch.zeros_like(a)),
        "A state has two readers: the outside, by states_bar, and the next step.",
    ),
    Mistake(
        "only-the-end",
        "Only the gradient of the last state was used; the other states have one of their own.",
        _only_the_end,
        "Add states_bar[:, t] at every step of the way back.",
    ),
    Mistake(
        "no-slope",
        "The slope of tanh, 1 - h², is missing.",
        lambda *args: right.back(*args, slope=torch.ones_like),
        "The gradient of the state has to pass the tanh before it reaches the weights.",
    ),
    Mistake(
        "slope-of-the-state",
        "tanh was taken of the states once more: their slope is 1 - h² already.",
        lambda *args: right.back(*args, slope=lambda h: 1 - torch.tanh(h) ** 2),
        "tanh'(a) = 1 - tanh(a)², and tanh(a) is the state itself.",
    ),
    Mistake(
        "state-not-previous",
        "The gradient of w_hh was taken with the state after the step, not before it.",
        lambda *args: right.back(*args, previous=False),
        "w_hh multiplied the old state: h0 at the first step.",
    ),
    Mistake(
        "state-weights-transposed",
        "On the way back the gradient was multiplied by the transpose of w_hh.",
        lambda *args: right.back(*args, carry=lambda a, w: a @ w.T),
        "Forward it was h @ w_hh.T, so backward it is without the transpose.",
    ),
    Mistake(
        "overwritten",
        "The gradients of the weights are those of one step: each step replaced the one before.",
        lambda *args: right.back(*args, keep=lambda total, part: part),
        "All steps share the weights, so their gradients add up: +=, not =.",
    ),
    Mistake(
        "gradient-transposed",
        "The gradient of w_hh came back transposed.",
        _transposed,
        "Row i belongs to unit i of the new state.",
    ),
    Mistake(
        "mean-over-batch",
        "The gradients of the weights were divided by the number of sequences.",
        _mean,
        "Whether the loss is a mean is in states_bar already: add up.",
    ),
    Mistake(
        "start-without-weights",
        "The gradient of h0 has not passed w_hh.",
        lambda *args: (lambda out: (out[0], _before_weights(*args), *out[2:]))(right.back(*args)),
        "h0 was multiplied by w_hh as every other state was.",
    ),
)


def _before_weights(x, h0, states, w_ih, w_hh, ups):
    """The gradient at the first step's sum, which has not passed w_hh."""
    U = w_hh.double()
    h_bar = torch.zeros_like(h0.double())
    for t in reversed(range(x.shape[1])):
        a_bar = (ups[:, t].double() + h_bar) * (1 - states[:, t].double() ** 2)
        h_bar = a_bar @ U
    return a_bar
