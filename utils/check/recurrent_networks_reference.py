"""References of the lab `recurrent-networks`, in float64, with the places where answers go wrong.

Legend: B sequences, T steps, D inputs, H units. A name that ends in `bar` is a gradient. The
keywords are what `recurrent_networks_mistakes` turns; their defaults give the right answer.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def step(
    x: Tensor,
    h: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor,
    b_hh: Tensor,
    act: Callable = torch.tanh,
) -> Tensor:
    """(B, D) and (B, H) to (B, H): tanh(W x + b + U h + b')."""
    return act(x.double() @ w_ih.double().T + b_ih + h.double() @ w_hh.double().T + b_hh)


def run(x: Tensor, h0: Tensor, *weights: Tensor, carry: bool = True) -> tuple[Tensor, Tensor]:
    """States (B, T, H) and the last one, by `step` along the second axis."""
    h, states = h0.double(), []
    for t in range(x.shape[1]):
        h = step(x[:, t], h if carry else h0, *weights)
        states.append(h)
    return torch.stack(states, 1), h


def back(
    x: Tensor,
    h0: Tensor,
    states: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    states_bar: Tensor,
    *,
    carry: Callable = lambda a, w: a @ w,
    slope: Callable = lambda h: 1 - h * h,
    previous: bool = True,
    keep: Callable = lambda total, part: total + part,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Backpropagation through time: the gradients of x, h0, w_ih, w_hh and of either bias."""
    x, h0, states, w_ih, w_hh, ups = (v.double() for v in (x, h0, states, w_ih, w_hh, states_bar))
    before = torch.cat([h0[:, None], states[:, :-1]], 1)
    h_bar, x_bars = torch.zeros_like(h0), []
    totals = torch.zeros_like(w_ih), torch.zeros_like(w_hh), torch.zeros_like(w_hh[0])
    for t in reversed(range(x.shape[1])):
        a_bar = (ups[:, t] + h_bar) * slope(states[:, t])
        x_bars.insert(0, a_bar @ w_ih)
        h = before[:, t] if previous else states[:, t]
        parts = a_bar.T @ x[:, t], a_bar.T @ h, a_bar.sum(0)
        totals = tuple(keep(total, part) for total, part in zip(totals, parts, strict=True))
        h_bar = carry(a_bar, w_hh)
    return torch.stack(x_bars, 1), h_bar, *totals


def lstm(
    x: Tensor,
    h: Tensor,
    c: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor,
    b_hh: Tensor,
    *,
    order: str = "ifgo",
    gate: Callable = torch.sigmoid,
    candidate: Callable = torch.tanh,
    show: Callable = torch.tanh,
    keep: Callable = lambda f, c: f * c,
) -> tuple[Tensor, Tensor]:
    """States (B, H) and (B, H) to the next two; rows of the weights in the given order."""
    a = step(x, h, w_ih, w_hh, b_ih, b_hh, act=lambda v: v)
    part = dict(zip(order, a.chunk(4, 1), strict=True))
    c = keep(gate(part["f"]), c.double()) + gate(part["i"]) * candidate(part["g"])
    return gate(part["o"]) * show(c), c


def gru(
    x: Tensor,
    h: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor,
    b_hh: Tensor,
    *,
    order: str = "rzn",
    reset: str = "product",
    swapped: bool = False,
    candidate: Callable = torch.tanh,
) -> Tensor:
    """State (B, H) to the next one; `reset` says what the reset gate multiplies."""
    h = h.double()
    of_x = dict(zip(order, (x.double() @ w_ih.double().T + b_ih).chunk(3, 1), strict=True))
    of_h = dict(zip(order, (h @ w_hh.double().T + b_hh).chunk(3, 1), strict=True))
    r, z = (torch.sigmoid(of_x[name] + of_h[name]) for name in "rz")
    U, bias = w_hh.double().chunk(3)[order.index("n")], b_hh.chunk(3)[order.index("n")]
    inner = {
        "product": r * of_h["n"],
        "state": (r * h) @ U.T + bias,
        "without bias": r * (h @ U.T) + bias,
        "nothing": of_h["n"],
    }[reset]
    n = candidate(of_x["n"] + inner)
    return z * n + (1 - z) * h if swapped else (1 - z) * n + z * h


def clip(gradients: list[Tensor], max_norm: float) -> tuple[list[Tensor], Tensor]:
    """The gradients times min(1, max_norm / norm), and the norm of all of them together."""
    norm = torch.cat([g.double().flatten() for g in gradients]).norm()
    factor = min(1.0, max_norm / max(norm.item(), 1e-300))
    return [g.double() * factor for g in gradients], norm


def padded(x: Tensor, lengths: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor]:
    """Each sequence alone, without its padding: states (B, T, H), zero behind, and the last."""
    H = weights[1].shape[1]
    states, last = torch.zeros(*x.shape[:2], H).double(), torch.zeros(len(x), H).double()
    for b, length in enumerate(lengths.tolist()):
        found, end = run(x[b : b + 1, :length], torch.zeros(1, H), *weights)
        states[b, :length], last[b] = found[0], end[0]
    return states, last
