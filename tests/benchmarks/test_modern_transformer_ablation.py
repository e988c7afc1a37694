"""The ablation changes what it says, at the parameters it says, and calls noise what is noise."""

import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import modern_transformer_ablation as ablation  # noqa: E402

from utils.models.attention import Mask, SelfAttention  # noqa: E402


@pytest.mark.parametrize("name", ablation.VARIANTS)
def test_a_variant_differs_in_its_one_change_and_the_width(name):
    base, other = vars(ablation.config("base", 8)), vars(ablation.config(name, 8))
    asked = {key for key, value in ablation.VARIANTS[name].items() if base[key] != value}
    assert {key for key in base if base[key] != other[key]} == asked
    attention = type(ablation.make(name, 8).blocks[0].attention)
    assert (attention is SelfAttention) == (name != "latent attention")
    assert bool(asked) == (name not in ("base", "latent attention"))


@pytest.mark.parametrize("name", ablation.VARIANTS)
def test_parameters_are_equal_or_those_at_work_are(name):
    base, count = (ablation.parameters(n, ablation.width(n)) for n in ("base", name))
    if ablation.VARIANTS[name].get("num_experts"):
        experts, chosen = ablation.EXPERTS, ablation.CHOSEN
        L, D, inner = ablation.L, ablation.D, ablation.width(name)
        count -= L * (experts - chosen) * 3 * D * inner + L * D * experts  # idle, and the routers
        assert count == base
    assert abs(count / base - 1) < 0.005


def test_noise_is_an_interval_that_holds_zero():
    losses = {"base": (1.0, 1.1, 1.2), "same": (1.01, 1.09, 1.2), "worse": (1.5, 1.61, 1.7)}
    figures = {name: {"runs": [{"loss": v} for v in row]} for name, row in losses.items()}
    ablation.add_differences(figures)
    assert figures["same"]["within_noise"] and not figures["worse"]["within_noise"]
    assert figures["worse"]["difference"] == pytest.approx(0.50333, abs=1e-4)
    assert figures["base"]["interval"] == pytest.approx([0.8516, 1.3484], abs=1e-4)
    assert "difference" not in figures["base"]


def test_the_rate_is_better_than_both_neighbors(monkeypatch):
    monkeypatch.setattr(ablation, "train", lambda name, rate, *rest: (rate, 0.0))
    score = lambda rate, *rest: torch.tensor((rate - 0.0011) ** 2)  # noqa: E731
    monkeypatch.setattr(ablation, "by_position", score)
    rate, tried = ablation.tune("base", 1, (None, None))
    assert rate == 0.001 and set(tried) == {0.0005, 0.001, 0.002, 0.004, 0.008}


def test_latent_attention_sees_no_future_and_hears_positions():
    torch.manual_seed(0)
    part = ablation.LatentAttention(ablation.config("latent attention", 8)).double()
    x = torch.randn(1, 7, ablation.D, dtype=torch.float64)
    before = part(x, Mask(causal=True))
    x[:, -1] += 1.0
    moved = (part(x, Mask(causal=True)) - before).abs().amax((0, 2)) > 0
    assert moved.tolist() == [False] * 6 + [True]
    order = torch.tensor([1, 0, 2, 3, 4, 5, 6])
    last = (part(x[:, order], Mask(causal=True)) - part(x, Mask(causal=True)))[:, -1]
    assert last.abs().max() > 1e-6


def test_swapped_pairs_change_a_model_with_positions_only():
    for name, changes in (("base", True), ("no positions", False)):
        torch.manual_seed(0)
        model = ablation.make(name, 8).double()
        for p in model.parameters():
            p.data *= 20
        tokens = torch.arange(12)[None]
        gap = (ablation.swapped(model).double()(tokens) - model(tokens)).abs().max()
        assert (gap > 1e-3) == changes  # float32


def test_a_smoke_run_is_no_result():
    with pytest.raises(SystemExit):
        ablation.main(["--smoke"])
