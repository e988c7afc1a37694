"""Recurrent networks: plain (Elman), GRU and LSTM; one step, and stacks of layers.

Design: a kind is one step function and a number of gates; the projections of all inputs are
one product before the loop over time. Parameters have the names and layouts of torch's
``nn.RNN``, ``nn.GRU`` and ``nn.LSTM``, so that a ``state_dict`` loads into either.
Padding: a state stands still where its sequence has ended, and outputs there are zero.

Dimensions: ``B`` batch, ``T`` sequence, ``D`` input width, ``H`` state width, ``G`` gates (1, 3,
4), ``L`` layers times directions,"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from utils.arguments import check_positive_int, check_range, choose

__all__ = ["KINDS", "Recurrent", "RecurrentCell", "check_lengths"]

State = tuple[Tensor, ...]


def rnn_step(x_BG: Tensor, state: State, w_hh: Tensor, b_hh: Tensor | None) -> State:
    """Elman's step, h' = tanh(W_ih x + b_ih + W_hh h + b_hh) (Elman 1990)."""
    (h,) = state
    return (torch.tanh(x_BG + F.linear(h, w_hh, b_hh)),)


def gru_step(x_BG: Tensor, state: State, w_hh: Tensor, b_hh: Tensor | None) -> State:
    """Gated recurrent unit (Cho et al. 2014), reset after the product, as in cuDNN and torch.

    Gates in this order: reset r, update z, new n; h' = (1 - z) n + z h.
    """
    (h,) = state
    x_reset_update, x_new = x_BG.tensor_split((2 * h.shape[-1],), dim=-1)
    h_reset_update, h_new = F.linear(h, w_hh, b_hh).tensor_split((2 * h.shape[-1],), dim=-1)
    reset, update = torch.sigmoid(x_reset_update + h_reset_update).chunk(2, dim=-1)
    new = torch.tanh(x_new + reset * h_new)
    return (new + update * (h - new),)


def lstm_step(x_BG: Tensor, state: State, w_hh: Tensor, b_hh: Tensor | None) -> State:
    """Long short-term memory (Hochreiter and Schmidhuber 1997) with forget gate (Gers 2000).

    Gates in this order: input i, forget f, candidate g, output o; c' = f c + i g, h' = o tanh c'.
    """
    h, c = state
    i, f, g, o = (x_BG + F.linear(h, w_hh, b_hh)).chunk(4, dim=-1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


Step = Callable[[Tensor, State, Tensor, Tensor | None], State]
# Kind: step function, number of gates, number of state tensors.
KINDS: dict[str, tuple[Step, int, int]] = {
    "rnn": (rnn_step, 1, 1),
    "gru": (gru_step, 3, 1),
    "lstm": (lstm_step, 4, 2),
}


def _new_parameters(gates_H: int, d_input: int, d_hidden: int, bias: bool) -> list[nn.Parameter]:
    """Weights and biases of one cell, uniform within 1 / sqrt(H), torch's rule."""
    shapes = [(gates_H, d_input), (gates_H, d_hidden)] + [(gates_H,), (gates_H,)] * bias
    bound = d_hidden**-0.5
    return [nn.Parameter(torch.empty(shape).uniform_(-bound, bound)) for shape in shapes]


class RecurrentCell(nn.Module):
    """One step of a recurrent network, with the parameters of torch's ``nn.RNNCell`` and so on.

    ``kind`` is ``"rnn"``, ``"gru"`` or ``"lstm"``. Raises TypeError or ValueError
    for bad arguments.
    """

    def __init__(self, kind: str, d_input: int, d_hidden: int, *, bias: bool = True):
        super().__init__()
        choose("kind", kind, KINDS)
        check_positive_int(d_input=d_input, d_hidden=d_hidden)
        self.kind, self.d_input, self.d_hidden = kind, d_input, d_hidden
        self.bias_ih = self.bias_hh = None
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        new = _new_parameters(KINDS[kind][1] * d_hidden, d_input, d_hidden, bias)
        for name, parameter in zip(names, new, strict=False):
            setattr(self, name, parameter)

    def forward(self, x_BD: Tensor, state: Tensor | State | None = None) -> Tensor | State:
        """Map input ``(B, D)`` and state to the next state.

        A state is ``(B, H)``, for LSTM a pair of these, hidden and cell; None is zero.
        Raises ValueError for other shapes.
        """
        step, _, num_states = KINDS[self.kind]
        if x_BD.ndim != 2 or x_BD.shape[1] != self.d_input:
            raise ValueError(f"expected inputs (B, {self.d_input}), got {tuple(x_BD.shape)}")
        shape = (len(x_BD), self.d_hidden)
        states = _check_state(state, num_states, shape, x_BD)
        new = step(
            F.linear(x_BD, self.weight_ih, self.bias_ih), states, self.weight_hh, self.bias_hh
        )
        return new if num_states > 1 else new[0]


def _check_state(
    state: Tensor | State | None, num_states: int, shape: tuple[int, ...], like: Tensor
) -> State:
    """Return the state as a tuple of tensors of ``shape``; zeros for None; else ValueError."""
    if state is None:
        return (like.new_zeros(shape),) * num_states
    states = (state,) if isinstance(state, Tensor) else tuple(state)
    shapes = [tuple(part.shape) for part in states]
    if shapes != [shape] * num_states:
        raise ValueError(f"expected a state of {num_states} tensor(s) of {shape}, got {shapes}")
    return states


def check_lengths(lengths: Tensor, B: int, T: int) -> Tensor:
    """Return lengths as an int64 tensor ``(B,)``; ValueError unless all are in 1 to T."""
    lengths = torch.as_tensor(lengths)
    if lengths.shape != (B,) or lengths.is_floating_point() or lengths.dtype == torch.bool:
        raise ValueError(
            f"lengths must be {B} integers, one a sequence, "
            f"got shape {tuple(lengths.shape)} of {lengths.dtype}"
        )
    if lengths.min() < 1 or lengths.max() > T:
        raise ValueError(
            f"lengths must be in 1 to {T}, got {int(lengths.min())} to {int(lengths.max())}; "
            "drop empty sequences"
        )
    return lengths.long()


class Recurrent(nn.Module):
    """Stack of recurrent layers, equal to torch's ``nn.RNN``, ``nn.GRU``, ``nn.LSTM``, batch first.

    ``dropout`` acts between layers, in training. Raises TypeError or ValueError for bad arguments.
    """

    def __init__(
        self,
        kind: str,
        d_input: int,
        d_hidden: int,
        num_layers: int = 1,
        *,
        bidirectional: bool = False,
        dropout: float = 0.0,
        bias: bool = True,
    ):
        super().__init__()
        choose("kind", kind, KINDS)
        check_positive_int(d_input=d_input, d_hidden=d_hidden, num_layers=num_layers)
        check_range(0, 1, dropout=dropout)
        if dropout and num_layers == 1:
            raise ValueError("dropout acts between layers: with num_layers=1 it must be 0")
        self.kind, self.d_input, self.d_hidden = kind, d_input, d_hidden
        self.num_layers, self.dropout, self.bias = num_layers, dropout, bias
        self.directions = ("", "_reverse") if bidirectional else ("",)
        for layer in range(num_layers):
            width = d_input if layer == 0 else d_hidden * len(self.directions)
            for direction in self.directions:
                new = _new_parameters(KINDS[kind][1] * d_hidden, width, d_hidden, bias)
                names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
                for name, parameter in zip(names, new, strict=False):
                    self.register_parameter(f"{name}_l{layer}{direction}", parameter)

    def forward(
        self,
        x_BTD: Tensor,
        state: Tensor | State | None = None,
        lengths: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | State]:
        """Run over ``(B, T, D)``; return outputs ``(B, T, H)`` or ``(B, T, 2 H)`` and final states.

        State, given and returned: ``(L, B, H)``, for LSTM a pair of these; None is zero. With
        ``lengths`` ``(B,)`` what follows a sequence's end has no effect: outputs there are zero,
        the final state is the one at its end, and the backward direction starts there.
        Raises ValueError for other shapes, and for lengths outside 1 to T.
        """
        if x_BTD.ndim != 3 or x_BTD.shape[2] != self.d_input or x_BTD.shape[1] == 0:
            raise ValueError(
                f"expected inputs (B, T, {self.d_input}) with T of at least 1, "
                f"got {tuple(x_BTD.shape)}"
            )
        B, T, _ = x_BTD.shape
        shape = (self.num_layers * len(self.directions), B, self.d_hidden)
        states = _check_state(state, KINDS[self.kind][2], shape, x_BTD)
        alive_TB1 = None
        if lengths is not None:
            lengths = check_lengths(lengths, B, T).to(x_BTD.device)
            alive_TB1 = (torch.arange(T, device=x_BTD.device)[:, None] < lengths)[..., None]
        out_TBD, finals = x_BTD.transpose(0, 1), []
        for layer in range(self.num_layers):
            if layer and self.dropout:
                out_TBD = F.dropout(out_TBD, self.dropout, self.training)
            outputs = []
            for direction in self.directions:
                start = tuple(part[len(finals)] for part in states)
                output, final = self._run(out_TBD, start, alive_TB1, f"_l{layer}{direction}")
                outputs.append(output)
                finals.append(final)
            out_TBD = torch.cat(outputs, dim=-1) if len(outputs) > 1 else outputs[0]
        last = tuple(torch.stack(parts) for parts in zip(*finals, strict=True))
        return out_TBD.transpose(0, 1), last if len(last) > 1 else last[0]

    def _run(
        self, x_TBD: Tensor, state: State, alive_TB1: Tensor | None, suffix: str
    ) -> tuple[Tensor, State]:
        """One layer in one direction: outputs ``(T, B, H)`` and the final state."""
        step = KINDS[self.kind][0]
        w_ih, w_hh = getattr(self, "weight_ih" + suffix), getattr(self, "weight_hh" + suffix)
        b_ih, b_hh = (
            getattr(self, name + suffix) if self.bias else None for name in ("bias_ih", "bias_hh")
        )
        gates = F.linear(x_TBD, w_ih, b_ih).unbind(0)
        times = range(len(gates))
        outputs: list[Tensor] = [x_TBD] * len(gates)
        for t in reversed(times) if suffix.endswith("_reverse") else times:
            new = step(gates[t], state, w_hh, b_hh)
            if alive_TB1 is not None:
                new = tuple(
                    torch.where(alive_TB1[t], after, before)
                    for after, before in zip(new, state, strict=True)
                )
            state = new
            outputs[t] = state[0]
        output_TBH = torch.stack(outputs)
        if alive_TB1 is not None:
            output_TBH = output_TBH * alive_TB1
        return output_TBH, state
