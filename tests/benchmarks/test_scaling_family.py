"""The family of scaling laws: one model's runs side by side are those of `Transformer`."""

import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from utils.models.transformer import Transformer

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import scaling_family as family
import scaling_laws

NAMES = {"tokens": "embedding.tokens", "positions": "embedding.positions", "norm": "norm"}
PARTS = {"norm1": "norm1", "qkv": "attention.qkv", "out": "attention.out"}
PARTS |= {"norm2": "norm2", "up": "feedforward.up", "down": "feedforward.down"}


def one_model(i, weights, g):
    """`Transformer` with the weights of run g."""
    state = {}
    for name, weight in weights.items():
        part, _, block = name.partition(".")
        matrix = part in ("qkv", "out", "up", "down")
        there = f"blocks.{block}.{PARTS[part]}" if block else NAMES[part]
        state[f"{there}.weight"] = weight[g].T if matrix else weight[g]
    model = Transformer(family.config(i))
    model.load_state_dict(state)
    return model


@pytest.mark.parametrize("i", [0, 3])
def test_losses_are_those_of_the_transformer(i):
    weights = family.start(i, [3, 4])
    windows = torch.randint(family.V, (2, 5, family.T + 1))
    ours = family.losses(weights, windows)
    for g in range(2):
        theirs = one_model(i, weights, g)(windows[g, :, :-1], windows[g, :, 1:])
        torch.testing.assert_close(ours[g], theirs, rtol=1e-5, atol=1e-5)


def test_sizes_double_and_count_what_is_multiplied():
    sizes = [family.size(i) for i in range(len(family.SHAPES))]
    for i, one in enumerate(sizes):
        assert one == pytest.approx(2304 * 2**i, rel=0.003)
        model = Transformer(family.config(i))
        matrices = sum(p.numel() for p in model.parameters() if p.dim() == 2)
        assert matrices - model.embedding.positions.weight.numel() == one


def test_a_run_is_adam_of_torch_and_no_run_sees_another():
    text = torch.randint(family.V, (64, family.T + 1), dtype=torch.uint8)
    tokens, rates = 4 * family.B * family.T, [0.01, 0.02]
    ours = family.train(0, tokens, [0, 1], rates, text)
    alone = family.train(0, tokens, [1], rates[1:], text)
    for name, weight in ours.items():
        torch.testing.assert_close(weight[1:], alone[name], rtol=1e-4, atol=1e-5)
    model = one_model(0, family.start(0, [1]), 0)
    optimizer = torch.optim.Adam(model.parameters(), betas=family.BETAS, eps=family.EPS)
    factor = family.cosine(4, warmup=1)
    for t, rows in enumerate(family.order(1, 64, tokens // family.T, 4)):
        optimizer.param_groups[0]["lr"] = rates[1] * factor(t + 0.5)
        optimizer.zero_grad()
        batch = text[rows].long()
        F.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten()).backward()
        optimizer.step()
    expected = one_model(0, ours, 1).state_dict()
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(weight, expected[name], rtol=1e-3, atol=1e-4)


def test_short_text_is_passed_whole_before_it_comes_again():
    rows = family.order(0, 1000, 16, 6).flatten().tolist()
    assert len(rows) == 48 and len(set(rows)) == 16
    assert sorted(rows[:16]) == sorted(rows[16:32]) == sorted(set(rows))


def test_diagonals_of_the_grid_cost_the_same():
    for job in scaling_laws.jobs(2**15):
        cost = family.size(job["size"]) * job["tokens"]
        steps = cost / (family.size(0) * 2**15)
        assert 2 ** round(torch.tensor(steps).log2().item()) == pytest.approx(steps, rel=0.003)
