"""The scripts of two recorded runs on recurrent networks: smoke runs, starts, counts, refusals."""

import math
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import lstm_transformer
import recurrent_copy


def test_open_gates_keep_and_the_orthogonal_matrix_is_one():
    H, A = recurrent_copy.H, recurrent_copy.A
    square = recurrent_copy.layer("rnn", "orthogonal").weight_hh_l0.detach()
    torch.testing.assert_close(square @ square.T, torch.eye(H), rtol=0, atol=1e-5)
    made = recurrent_copy.layer("gru", "open")
    with torch.no_grad():
        made.weight_ih_l0.zero_()
        made.weight_hh_l0.zero_()
        _, after = made(torch.zeros(1, 1, A + 2), torch.ones(1, 1, H))
    assert (after > 1 - 2 / recurrent_copy.SPAN).all()  # what replaces the rest is at least -1
    made = recurrent_copy.layer("lstm", "open")
    bias = (made.bias_ih_l0 + made.bias_hh_l0)[H : 2 * H].detach()
    torch.testing.assert_close(bias.sigmoid(), torch.full((H,), 1 - 1 / recurrent_copy.SPAN))
    assert math.isclose(1 + math.exp(bias[0]), recurrent_copy.SPAN, rel_tol=1e-5)


def test_the_symbol_is_shown_once_and_asked_for_at_the_end():
    x, answer = recurrent_copy.batch(7, torch.Generator().manual_seed(0))
    assert x.shape == (recurrent_copy.B, 9, recurrent_copy.A + 2)
    tokens = x.argmax(2)
    assert (tokens[:, 0] == answer).all() and (tokens[:, 1:-1] == recurrent_copy.A).all()
    assert (tokens[:, -1] == recurrent_copy.A + 1).all()


@pytest.mark.parametrize("T", lstm_transformer.CONTEXTS)
def test_both_models_cost_the_same_and_as_counted(T):
    D = lstm_transformer.width(T)
    formulas = lstm_transformer.lstm_flops(), lstm_transformer.transformer_flops(D, T)
    assert abs(formulas[0] / formulas[1] - 1) < 0.05
    for kind, formula in zip(lstm_transformer.KINDS, formulas, strict=True):
        assert math.isclose(lstm_transformer.counted_flops(kind, T), formula)


def test_loss_by_position_ends_at_the_same_bytes():
    data = torch.arange(2000) % 100
    seen = {}

    class Reads(torch.nn.Module):
        def forward(self, x):
            seen.setdefault(x.shape[1], []).append(x[:, -1])
            return torch.zeros(*x.shape, lstm_transformer.V)

    for T in lstm_transformer.CONTEXTS:
        losses = lstm_transformer.by_position(Reads(), data, T)
        assert losses == pytest.approx([math.log(lstm_transformer.V)] * T, rel=1e-5)
    short, long = (torch.cat(parts) for parts in seen.values())
    assert torch.equal(short, long)
