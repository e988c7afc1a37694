"""Checks of the lab `recurrent-networks`: steps, the loop, its gradient, gates, padding.

Legend: B sequences, T steps, D inputs, H units. Weights have PyTorch's names and shapes: w_ih
(G H, D), w_hh (G H, H), b_ih and b_hh (G H,), with G of 1, 4 (i, f, g, o) and 3 (r, z, n).

The references compute in float64; answers in float32 or float64 agree within 1e-4 relative and
1e-5. Sources: the equations of torch.nn.RNN, LSTM and GRU, which the chapter compares with.
"""

from __future__ import annotations

import torch
from torch import Tensor

from utils.check import recurrent_networks_gate_mistakes as gates
from utils.check import recurrent_networks_mistakes as wrong
from utils.check import recurrent_networks_reference as right
from utils.check.core import Lab
from utils.check.trial import Trial

LAB = Lab("recurrent-networks", "Recurrent networks from scratch", points=30)
LIBRARY = (
    "utils.*",
    *(f"torch.nn.{name}{cell}" for name in ("RNN", "GRU", "LSTM") for cell in ("", "Cell")),
    *(f"torch.{name}" for name in ("rnn_tanh", "rnn_tanh_cell", "rnn_relu", "rnn_relu_cell")),
    *(f"torch.{name}" for name in ("lstm", "lstm_cell", "gru", "gru_cell")),
    "torch.ops.*",
)
ENGINES = ("torch.autograd.*", "torch.func.*", "torch.Tensor.backward")


@LAB.task(
    "One step",
    points=2,
    minutes=8,
    difficulty=1,
    functions=("rnn_step",),
    forbidden=LIBRARY,
    hints=(
        "Two matrix products, one of the input and one of the old state, each with its bias.",
        "Rows of w_ih and w_hh belong to units, so a batch of rows x is multiplied by w_ih.T.",
        "The tanh is taken of the sum of both.",
    ),
)
def step(t: Trial) -> None:
    for B in (t.integer(2, 4), 1, 5):
        D, H = t.distinct(2, 2, 7)
        args = t.normal(B, D), t.normal(B, H), *_weights(t, 1, D, H)
        t.equal("rnn_step", *args, expected=right.step(*args), mistakes=wrong.STEP)


@LAB.task(
    "The loop",
    points=3,
    minutes=8,
    difficulty=1,
    functions=("rnn",),
    forbidden=LIBRARY,
    hints=(
        "Step t of all sequences is x[:, t]; the state begins as h0.",
        "Keep every new state in a list, and hand it to the next step.",
        "torch.stack(list, dim=1) makes (B, T, H) of T tensors (B, H).",
    ),
)
def loop(t: Trial) -> None:
    for equal in (True, False):
        B, T, D, H = t.distinct(4, 2, 7)
        T = B if equal else T  # where both are equal, the wrong axis raises no error
        args = _sequence(t, B, T, D, H)
        t.equal("rnn", *args, expected=right.run(*args), mistakes=wrong.RUN)
    args = _sequence(t, 3, 1, 2, 4)
    t.equal("rnn", *args, expected=right.run(*args), mistakes=wrong.RUN)


@LAB.task(
    "Backpropagation through time",
    points=5,
    minutes=20,
    difficulty=2,
    functions=("rnn_backward",),
    forbidden=(*LIBRARY, *ENGINES),
    hints=(
        "Go from the last step to the first and carry one thing along: the gradient that the "
        "next step hands to this step's state.",
        "At each step: add states_bar[:, t], multiply by 1 - h², and you have the gradient of "
        "the sum in front of tanh. From it follow the parts of x, of both matrices and the bias.",
        "The matrices and the bias are used at every step, so their gradients add up. The state "
        "that w_hh multiplied at step t is states[:, t - 1], at the first step h0.",
    ),
)
def backward(t: Trial) -> None:
    for case in ("all", "all", "last", "one step", "one unit"):
        B, T, D, H = t.distinct(4, 2, 7)
        T, H = 1 if case == "one step" else T, 1 if case == "one unit" else H
        x, h0, w_ih, w_hh, b_ih, b_hh = _sequence(t, B, T, D, H)
        states = right.run(x, h0, w_ih, w_hh, b_ih, b_hh)[0].float()
        ups = t.normal(B, T, H)
        if case == "last":
            ups[:, :-1] = 0.0
        args = x, h0, states, w_ih, w_hh, ups
        t.equal("rnn_backward", *args, expected=right.back(*args), mistakes=wrong.BACK)


@LAB.task(
    "The LSTM's step",
    points=3,
    minutes=10,
    difficulty=2,
    functions=("lstm_step",),
    forbidden=LIBRARY,
    hints=(
        "One sum as in rnn_step, four times as wide; chunk(4, dim=1) cuts it into i, f, g and o.",
        "Three of the four are gates and go through a sigmoid; g is what is written.",
        "The new cell is f c + i g; the new state is o times tanh of the new cell.",
    ),
)
def lstm(t: Trial) -> None:
    for B, H in ((t.integer(2, 4), t.integer(5, 7)), (1, t.integer(2, 4))):
        D = t.integer(2, 4)
        args = t.normal(B, D), t.normal(B, H), 2 * t.normal(B, H), *_weights(t, 4, D, H)
        t.equal("lstm_step", *args, expected=right.lstm(*args), mistakes=gates.LSTM)


@LAB.task(
    "The GRU's step",
    points=3,
    minutes=10,
    difficulty=2,
    functions=("gru_step",),
    forbidden=LIBRARY,
    hints=(
        "Keep the product of the input and that of the state apart: n needs them apart.",
        "r multiplies what the state gives to n, its bias included, before tanh.",
        "z = 1 keeps the old state, z = 0 takes n.",
    ),
)
def gru(t: Trial) -> None:
    for B, H in ((t.integer(2, 4), t.integer(5, 7)), (1, t.integer(2, 4))):
        D = t.integer(2, 4)
        args = t.normal(B, D), t.normal(B, H), *_weights(t, 3, D, H)
        t.equal("gru_step", *args, expected=right.gru(*args), mistakes=gates.GRU)


@LAB.task(
    "Clip by norm",
    points=2,
    minutes=8,
    difficulty=2,
    functions=("clip_by_norm",),
    forbidden=(*LIBRARY, "torch.nn.utils.*"),
    hints=(
        "The norm of all tensors together is the root of the sum of all squares.",
        "One factor for all of them, and never above 1.",
        "What is the factor if every gradient is zero?",
    ),
)
def clip(t: Trial) -> None:
    shapes = t.distinct(2, 2, 6), [t.integer(2, 5)], t.distinct(3, 1, 4)
    for size, top in ((1.0, 0.5 + t.rng.random()), (0.01, 1.5), (100.0, 1.0), (0.0, 1.0)):
        gradients = [size * t.normal(*shape) for shape in shapes]
        expected = right.clip(gradients, top)
        t.equal("clip_by_norm", gradients, top, expected=expected, mistakes=gates.CLIP)
    one = [3.0 * t.normal(t.integer(3, 6))]
    t.equal("clip_by_norm", one, 1.0, expected=right.clip(one, 1.0), mistakes=gates.CLIP)


@LAB.task(
    "Sequences of unequal length",
    points=4,
    minutes=14,
    difficulty=3,
    functions=("rnn_padded",),
    forbidden=(*LIBRARY, "torch.nn.utils.*"),
    hints=(
        "At step t the sequences with t < lengths are still running; the others keep the state "
        "that they have.",
        "torch.where(running[:, None], new, old) keeps the old state where a sequence has ended. "
        "What goes among the states there is zero.",
        "Handed on like this, the state that the loop ends with is the last one of every "
        "sequence, at its own length.",
    ),
)
def padded(t: Trial) -> None:
    for padding in (5.0, 0.0):
        B, T, D, H = t.integer(4, 6), t.integer(5, 7), *t.distinct(2, 2, 5)
        x, lengths = t.normal(B, T, D), torch.from_numpy(t.rng.integers(2, T - 1, B))
        places = t.rng.permutation(B)
        lengths[places[0]], lengths[places[1]] = T, 1
        x[torch.arange(T) >= lengths[:, None]] = padding
        args = x, lengths, *_weights(t, 1, D, H)
        t.equal("rnn_padded", *args, expected=right.padded(*args), mistakes=gates.PADDED)
    x = x.clone()
    x[torch.arange(T) >= lengths[:, None]] = float("nan")
    came = t.call("rnn_padded", x, *args[1:])
    values = came if isinstance(came, tuple | list) else [came]
    t.require(
        not any(isinstance(v, Tensor) and v.isnan().any() for v in values),
        came="NaN among the results, where only the padding holds NaN",
        expected="results that do not depend on the padding",
        mistake=gates.NAN,
    )
    t.same(came, right.padded(x, *args[1:]), args=(x, *args[1:]), mistakes=gates.PADDED)
    whole = t.normal(B, T, D)
    args = whole, torch.full((B,), T), *args[2:]
    t.equal("rnn_padded", *args, expected=right.padded(*args), mistakes=gates.PADDED)


# --- inputs ---------------------------------------------------------------------------------
def _weights(t: Trial, G: int, D: int, H: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    w_ih, w_hh = t.normal(G * H, D) / D**0.5, t.normal(G * H, H) / H**0.5
    return w_ih, w_hh, t.normal(G * H) / 2, t.normal(G * H) / 2


def _sequence(t: Trial, B: int, T: int, D: int, H: int) -> tuple[Tensor, ...]:
    return t.normal(B, T, D), t.normal(B, H) / 2, *_weights(t, 1, D, H)
