"""The ablation changes what it says, at the parameters it says, and calls noise what is noise."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import modern_transformer_ablation as ablation  # noqa: E402


@pytest.mark.parametrize("name", ablation.VARIANTS)
def test_a_variant_differs_in_its_one_change_and_the_width(name):
    base, other = vars(ablation.config("base", 8)), vars(ablation.config(name, 8))
    asked = {key for key, value in ablation.VARIANTS[name].items() if base[key] != value}
    assert {key for key in base if base[key] != other[key]} == asked
    assert bool(asked) == (name != "base")


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


def test_a_smoke_run_is_no_result():
    with pytest.raises(SystemExit):
        ablation.main(["--smoke"])
