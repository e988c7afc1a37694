"""The lab `recurrent-networks`: right answers in any style pass, wrong ones are told apart."""

import pytest
import torch
from lab_support import assert_lab_scores, assert_styles_pass, refusals, reports, solved
from torch import nn

from utils.check import recurrent_networks_reference as reference
from utils.check.core import lab

LAB = lab("recurrent-networks")
RIGHT = solved("recurrent-networks")  # the namespace of the solutions


# --- the references are PyTorch's -----------------------------------------------------------
def _layer(kind, D=3, H=5):
    torch.manual_seed(0)
    layer = kind(D, H, batch_first=True).double()
    return layer, list(layer.parameters())


def test_references_equal_torch():
    x, h, c = torch.randn(4, 6, 3).double(), torch.randn(4, 5).double(), torch.randn(4, 5).double()
    layer, weights = _layer(nn.RNN)
    states, last = layer(x, h[None])
    torch.testing.assert_close(reference.run(x, h, *weights), (states, last[0]))
    ups = torch.randn_like(states)
    h0, x = h.requires_grad_(), x.requires_grad_()
    states, _ = layer(x, h0[None])
    expected = torch.autograd.grad(states, [x, h0, weights[0], weights[1], weights[3]], ups)
    found = reference.back(x, h0, states, weights[0], weights[1], ups)
    torch.testing.assert_close(found, expected)
    x, h = x.detach(), h.detach()
    layer, weights = _layer(nn.LSTM)
    _, (h1, c1) = layer(x[:, :1], (h[None], c[None]))
    torch.testing.assert_close(reference.lstm(x[:, 0], h, c, *weights), (h1[0], c1[0]))
    layer, weights = _layer(nn.GRU)
    torch.testing.assert_close(reference.gru(x[:, 0], h, *weights), layer(x[:, :1], h[None])[1][0])
    layer, weights = _layer(nn.RNN)
    lengths = torch.tensor([6, 1, 4, 3])
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, True, enforce_sorted=False)
    out, last = layer(packed)
    states = nn.utils.rnn.pad_packed_sequence(out, batch_first=True)[0]
    torch.testing.assert_close(reference.padded(x, lengths, *weights), (states, last[0]))
    tensors = [torch.randn(3, 2), torch.randn(4)]
    leaves = [nn.Parameter(g.clone()) for g in tensors]
    for leaf in leaves:
        leaf.grad = leaf.detach().clone()
    norm = nn.utils.clip_grad_norm_(leaves, 0.7)
    clipped, found = reference.clip(tensors, 0.7)
    torch.testing.assert_close(found.float(), norm)
    torch.testing.assert_close([g.float() for g in clipped], [v.grad for v in leaves])


# --- other styles ---------------------------------------------------------------------------
def step_joined(x, h, w_ih, w_hh, b_ih, b_hh):
    joined = torch.cat([x, h], 1) @ torch.cat([w_ih, w_hh], 1).T
    return (joined + b_ih + b_hh).double().tanh()


def rnn_in_place(x, h0, *weights):
    states = torch.empty(*x.shape[:2], h0.shape[1])
    for t in range(x.shape[1]):
        states[:, t] = step_joined(x[:, t], states[:, t - 1] if t else h0, *weights)
    return states, states[:, -1]


def backward_by_einsum(x, h0, states, w_ih, w_hh, states_bar):
    slope, carried, sums = 1 - states.square(), torch.zeros_like(h0), []
    for t in reversed(range(x.shape[1])):
        sums.append(slope[:, t] * (states_bar[:, t] + carried))
        carried = torch.einsum("bi,ij->bj", sums[-1], w_hh)
    a = torch.stack(sums[::-1], 1)
    before = torch.cat([h0[:, None], states[:, :-1]], 1)
    w_ih_bar, w_hh_bar = (torch.einsum("bti,btj->ij", a, v) for v in (x, before))
    return a @ w_ih, carried, w_ih_bar, w_hh_bar, a.sum((0, 1))


def lstm_by_slices(x, h, c, w_ih, w_hh, b_ih, b_hh):
    H = h.shape[1]
    a = x @ w_ih.T + h @ w_hh.T + (b_ih + b_hh)
    i, f, g, o = (a[:, k * H : (k + 1) * H] for k in range(4))
    new = c * f.sigmoid() + g.tanh() * i.sigmoid()
    return new.tanh() * o.sigmoid(), new


def gru_by_lerp(x, h, w_ih, w_hh, b_ih, b_hh):
    a, b = x @ w_ih.T + b_ih, h @ w_hh.T + b_hh
    H = h.shape[1]
    r, z = torch.sigmoid(a + b)[:, : 2 * H].split(H, 1)
    return torch.lerp(torch.tanh(a[:, 2 * H :] + r * b[:, 2 * H :]), h, z)


def clip_like_torch(gradients, max_norm):
    norm = torch.stack([g.norm() for g in gradients]).norm()
    return [g * min(1.0, max_norm / (norm.item() + 1e-6)) for g in gradients], norm


def padded_one_by_one(x, lengths, w_ih, w_hh, b_ih, b_hh):
    states, last = torch.zeros(*x.shape[:2], len(w_hh)), []
    for b, length in enumerate(lengths.tolist()):
        h = torch.zeros(1, len(w_hh))
        for t in range(length):
            h = step_joined(x[b : b + 1, t], h, w_ih, w_hh, b_ih, b_hh).float()
            states[b, t] = h[0]
        last.append(h[0])
    return states, torch.stack(last)


def padded_by_gather(x, lengths, *weights):
    inside = torch.arange(x.shape[1]) < lengths[:, None]
    states, _ = rnn_in_place(
        x.masked_fill(~inside[..., None], 0.0), torch.zeros(len(x), weights[1].shape[1]), *weights
    )
    last = states[torch.arange(len(x)), lengths - 1]
    return states.masked_fill(~inside[..., None], 0.0), last


OTHER_STYLES = {
    "step": [{"rnn_step": step_joined}],
    "loop": [{"rnn": rnn_in_place}],
    "backward": [{"rnn_backward": backward_by_einsum}],
    "lstm": [{"lstm_step": lstm_by_slices}],
    "gru": [{"gru_step": gru_by_lerp}],
    "clip": [{"clip_by_norm": clip_like_torch}],
    "padded": [{"rnn_padded": padded_one_by_one}, {"rnn_padded": padded_by_gather}],
}


@pytest.mark.parametrize("task", LAB.ids())
@pytest.mark.parametrize("seed", range(5))
def test_right_answers_pass(task, seed):
    assert_styles_pass("recurrent-networks", RIGHT, OTHER_STYLES[task], task, seed)


# --- wrong answers --------------------------------------------------------------------------
step, rnn = RIGHT["rnn_step"], RIGHT["rnn"]


def loop(x, h0, *weights, axis=1, carry=True, order=1, stack=1):
    h, states = h0, []
    for piece in x.unbind(axis)[::order]:
        h = step(piece, h if carry else h0, *weights)
        states.append(h)
    return torch.stack(states, stack), h


def before(x, h0, *weights):
    states, last = rnn(x, h0, *weights)
    return torch.cat([h0[:, None], states[:, :-1]], 1), last


def back(x, h0, states, w_ih, w_hh, ups, *, through=True, slope=None, old=True, U=None, add=True):
    slope, U = 1 - states**2 if slope is None else slope, w_hh if U is None else U
    x_bar, h_bar, total = torch.zeros_like(x), torch.zeros_like(h0), [0.0, 0.0, 0.0]
    for t in reversed(range(x.shape[1])):
        a = (ups[:, t] + h_bar) * slope[:, t]
        h = (states[:, t - 1] if t else h0) if old else states[:, t]
        parts = (a.T @ x[:, t], a.T @ h, a.sum(0))
        total = [q + p for q, p in zip(total, parts, strict=True)] if add else parts
        x_bar[:, t], h_bar = a @ w_ih, a @ U if through else torch.zeros_like(h0)
    return x_bar, h_bar, *total


def only_last(x, h0, states, w_ih, w_hh, ups):
    end = torch.zeros_like(ups)
    end[:, -1] = ups[:, -1]
    return back(x, h0, states, w_ih, w_hh, end)


def swapped_rows(w, order, parts):
    return torch.cat([w.chunk(parts)[i] for i in order])


def lstm_in_order(*order):
    def wrong(x, h, c, *weights):
        return RIGHT["lstm_step"](x, h, c, *(swapped_rows(w, order, 4) for w in weights))

    return wrong


def lstm(x, h, c, w, u, b, d, *, g_act=torch.tanh, show=torch.tanh, forget=True):
    i, f, g, o = (x @ w.T + b + h @ u.T + d).chunk(4, 1)
    c = (f.sigmoid() * c if forget else c) + i.sigmoid() * g_act(g)
    return o.sigmoid() * show(c), c


def gru(x, h, w, u, b, d, *, way="state", flip=False):
    a, H = x @ w.T + b, h.shape[1]
    r, z = (a + h @ u.T + d)[:, : 2 * H].sigmoid().chunk(2, 1)
    inner = {
        "state": (r * h) @ u[2 * H :].T + d[2 * H :],
        "bias": r * (h @ u[2 * H :].T) + d[2 * H :],
        "none": h @ u[2 * H :].T + d[2 * H :],
        "right": r * (h @ u[2 * H :].T + d[2 * H :]),
    }[way]
    n = (a[:, 2 * H :] + inner).tanh()
    return z * n + (1 - z) * h if flip else (1 - z) * n + z * h


def total_norm(gradients):
    return torch.cat([g.flatten() for g in gradients]).norm()


def clip_in_place(gradients, top):
    norm = total_norm(gradients)
    for g in gradients:
        g.mul_(min(1.0, top / max(norm.item(), 1e-9)))
    return gradients, norm


def clip_scaled(gradients, top, norm):
    return [g * min(1.0, top / max(norm.item(), 1e-30)) for g in gradients], norm


def raw(x, *weights):
    return rnn(x, torch.zeros(len(x), len(weights[1])), *weights)


def masked(x, lengths, *weights, last="column", zero=True):
    states, end = raw(x, *weights)
    inside = (torch.arange(x.shape[1]) < lengths[:, None])[..., None]
    shown, rows = states.masked_fill(~inside, 0.0) if zero else states, torch.arange(len(x))
    place = {"late": lengths.clamp(max=x.shape[1] - 1), "early": (lengths - 2).clamp(min=0)}
    if last in place:
        return shown, states[rows, place[last]]
    right = states[rows, lengths - 1]
    return shown, {"column": end, "zeros": shown[:, -1], "right": right}[last]


def through_mask(x, lengths, *weights):
    inside = (torch.arange(x.shape[1]) < lengths[:, None])[..., None].float()
    states, _ = raw(x * inside, *weights)
    return states * inside, states[torch.arange(len(x)), lengths - 1]


def zeroed_inputs(x, lengths, *weights):
    inside = (torch.arange(x.shape[1]) < lengths[:, None])[..., None]
    states, end = raw(x.masked_fill(~inside, 0.0), *weights)
    return states.masked_fill(~inside, 0.0), end


WRONG = {
    "step": {
        "no-tanh": lambda x, h, w, u, b, d: x @ w.T + b + h @ u.T + d,
        "sigmoid": lambda x, h, w, u, b, d: (x @ w.T + b + h @ u.T + d).sigmoid(),
        "state-weights-transposed": lambda x, h, w, u, b, d: step(x, h, w, u.T, b, d),
        "no-recurrent-bias": lambda x, h, w, u, b, d: step(x, h, w, u, b, 0 * d),
        "no-input-bias": lambda x, h, w, u, b, d: step(x, h, w, u, 0 * b, d),
        "state-ignored": lambda x, h, w, u, b, d: step(x, 0 * h, w, u, b, d),
        "tanh-too-early": lambda x, h, w, u, b, d: (x @ w.T + b).tanh() + h @ u.T + d,
        "raised": lambda x, h, w, u, b, d: x @ w,
        None: lambda x, h, w, u, b, d: (x @ w.T + b + h @ u.T + d).relu(),
    },
    "loop": {
        "over-the-batch": lambda x, h0, *w: tuple(
            v.transpose(0, 1) if v.ndim == 3 else v for v in rnn(x.transpose(0, 1), h0, *w)
        ),
        "not-carried": lambda *args: loop(*args, carry=False),
        "backwards": lambda *args: loop(*args, order=-1),
        "shifted": before,
        "start-among-states": lambda x, h0, *w: (
            torch.cat([h0[:, None], rnn(x, h0, *w)[0]], 1),
            rnn(x, h0, *w)[1],
        ),
        "time-first": lambda *args: loop(*args, stack=0),
        "last-is-first": lambda *args: (rnn(*args)[0], rnn(*args)[0][:, 0]),
    },
    "backward": {
        "not-through-time": lambda *args: back(*args, through=False),
        "only-the-end": only_last,
        "no-slope": lambda *args: back(*args, slope=torch.ones_like(args[2])),
        "slope-of-the-state": lambda *args: back(*args, slope=1 - torch.tanh(args[2]) ** 2),
        "state-not-previous": lambda *args: back(*args, old=False),
        "state-weights-transposed": lambda *args: back(*args, U=args[4].T),
        "overwritten": lambda *args: back(*args, add=False),
        "gradient-transposed": lambda *args: (*(o := back(*args))[:3], o[3].T, o[4]),
        "mean-over-batch": lambda *args: (
            *(o := back(*args))[:2],
            *(v / len(args[0]) for v in o[2:]),
        ),
    },
    "lstm": {
        "order-ifog": lstm_in_order(0, 1, 3, 2),
        "order-iofg": lstm_in_order(0, 2, 3, 1),
        "order-figo": lstm_in_order(1, 0, 2, 3),
        "candidate-sigmoid": lambda *args: lstm(*args, g_act=torch.sigmoid),
        "no-output-tanh": lambda *args: lstm(*args, show=lambda c: c),
        "nothing-forgotten": lambda *args: lstm(*args, forget=False),
        "cell-forgotten": lambda x, h, c, *w: lstm(x, h, 0 * c, *w),
        "results-swapped": lambda *args: lstm(*args)[::-1],
        "old-cell-shown": lambda x, h, c, *w: lstm(x, h, c, *w, show=lambda new: c.tanh()),
    },
    "gru": {
        "reset-on-state": lambda *args: gru(*args, way="state"),
        "reset-without-bias": lambda *args: gru(*args, way="bias"),
        "no-reset": lambda *args: gru(*args, way="none"),
        "update-swapped": lambda *args: gru(*args, way="right", flip=True),
        "order-zrn": lambda x, h, *w: RIGHT["gru_step"](
            x, h, *(swapped_rows(v, (1, 0, 2), 3) for v in w)
        ),
        None: lambda *args: RIGHT["gru_step"](*args) * 0.5,
    },
    "clip": {
        "each-alone": lambda g, top: (
            [clip_scaled([v], top, v.norm())[0][0] for v in g],
            total_norm(g),
        ),
        "by-value": lambda g, top: ([v.clamp(-top, top) for v in g], total_norm(g)),
        "stretched": lambda g, top: ([v * top / total_norm(g) for v in g], total_norm(g)),
        "not-rooted": lambda g, top: clip_scaled(g, top, total_norm(g) ** 2),
        "sum-of-norms": lambda g, top: clip_scaled(g, top, sum(v.norm() for v in g)),
        "norm-afterwards": lambda g, top: (
            c := clip_scaled(g, top, total_norm(g))[0],
            total_norm(c),
        ),
        "changed-input": clip_in_place,
    },
    "padded": {
        "unaware": lambda x, lengths, *w: (raw(x, *w)[0], raw(x, *w)[1]),
        "last-column": lambda *args: masked(*args),
        "zeros-at-the-end": lambda *args: masked(*args, last="zeros"),
        "not-zeroed": lambda *args: masked(*args, last="right", zero=False),
        "one-too-late": lambda *args: masked(*args, last="late"),
        "one-too-early": lambda *args: masked(*args, last="early"),
        "inputs-masked": zeroed_inputs,
        "nan-through-mask": through_mask,
        "left-sorted": lambda x, lengths, *w: tuple(
            v[lengths.argsort(descending=True, stable=True)]
            for v in RIGHT["rnn_padded"](x, lengths, *w)
        ),
    },
}  # fmt: skip


@pytest.mark.parametrize("task", LAB.ids())
def test_wrong_answers_are_named(task):
    name = LAB[task].functions[0]
    wrong = {slug: {name: function} for slug, function in WRONG[task].items()}
    assert len(wrong) >= 5
    found = refusals("recurrent-networks", RIGHT, task, wrong)
    assert found == {slug: slug for slug in wrong}


def test_torchs_own_layers_do_not_count():
    def by_cell(x, h, *weights):
        cell = nn.RNNCell(x.shape[1], h.shape[1])
        cell.load_state_dict(dict(zip(cell.state_dict(), weights, strict=True)))
        return cell(x, h).detach()

    report = reports("recurrent-networks", RIGHT | {"rnn_step": by_cell}, "step", 0)
    assert report.mistake == "forbidden" and report.score == 0


def test_scores():
    assert_lab_scores("recurrent-networks", full=22)
