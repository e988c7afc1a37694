"""The scale calculator: JavaScript and Python agree; Python agrees with counts and papers."""

import random

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from utils.explore.scale_calculator import (
    DEFAULTS,
    GPUS,
    OPTIMIZERS,
    RECOMPUTE,
    ScaleCalculator,
    block_activations,
    preset_shape,
    scale_figures,
    shape_config,
)
from utils.models.config import TransformerConfig
from utils.models.counting import count_parameters, num_parameters
from utils.models.presets import preset
from utils.models.transformer import Transformer

PRESETS = {
    "gpt2-small": 124_439_808,
    "gpt3-175b": 174_604_259_328,
    "bert-large": 335_141_888,
    "llama-3-8b": 8_030_261_248,
    "llama-3-70b": 70_553_706_496,
    "qwen2.5-7b": 7_615_616_512,
    "mixtral-8x7b": 46_702_792_704,
}
COUNTED = ("parameters", "active_parameters")


def random_settings(rng: random.Random) -> dict:
    gated, kv = rng.choice(["llama", "qwen2"]), rng.randint(1, 16)
    experts = rng.choice([0, rng.randint(1, 64)])
    shape = {
        "family": rng.choice([gated, gated, "gpt2", "bert"]),
        "num_layers": rng.randint(1, 120),
        "num_heads": kv * rng.randint(1, 12),
        "num_kv_heads": kv,
        "head_size": 2 * rng.randint(1, 128),
        "d_ff": rng.randint(1, 60_000),
        "vocab_size": rng.randint(1, 300_000),
        "context_length": rng.randint(1, 100_000),
        "num_experts": experts,
        "experts_per_token": rng.randint(1, experts) if experts else 2,
    }
    return {
        "preset": rng.choice(list(PRESETS)),
        "shape": rng.choice([shape, shape, {"num_layers": 7}, {}]),
        "gpu": rng.choice(list(GPUS)),
        "sequence": rng.randint(1, 2**20),
        "batch": rng.randint(1, 1024),
        "gpus": rng.randint(1, 32_768),
        "tokens": 10 ** rng.uniform(6, 14),
        "precision": rng.choice([16, 32]),
        "optimizer": rng.choice(list(OPTIMIZERS)),
        "zero": rng.randint(0, 3),
        "recompute": rng.choice(RECOMPUTE),
        "utilisation": rng.uniform(0.01, 1),
        "price": rng.uniform(0, 12),
        "serve_bits": rng.choice([32, 16, 8, 4]),
    }


def all_settings() -> list[dict]:
    rng = random.Random(0)
    edges = [DEFAULTS | {"preset": name, "gpu": gpu} for name in PRESETS for gpu in GPUS]
    one = {"sequence": 1, "batch": 1, "gpus": 1, "tokens": 1.0, "price": 0.0, "utilisation": 1.0}
    edges += [DEFAULTS | one | {"preset": name, "zero": 3} for name in PRESETS]
    edges += [
        DEFAULTS | {"recompute": mode, "precision": bits, "optimizer": name}
        for mode in RECOMPUTE
        for bits in (16, 32)
        for name in OPTIMIZERS
    ]
    return edges + [random_settings(rng) for _ in range(300)]


def test_javascript_computes_what_python_computes(javascript):
    cases = all_settings()
    for case, result in zip(cases, javascript("scale_calculator.js", cases), strict=True):
        expected = scale_figures(**case)
        assert result == pytest.approx(expected, rel=1e-9), case
        assert [result[name] for name in COUNTED] == [expected[name] for name in COUNTED], case


@pytest.mark.parametrize(("name", "parameters"), PRESETS.items())
def test_presets_have_the_published_models_parameters(name, parameters):
    config, figures = preset(name), scale_figures(preset=name)
    assert figures["parameters"] == num_parameters(config) == parameters
    assert figures["active_parameters"] == num_parameters(config, active=True)
    with torch.device("meta"):
        assert count_parameters(Transformer(shape_config(preset_shape(name)))) == parameters


def test_training_in_mixed_precision_holds_16_bytes_a_parameter():
    """Rajbhandari et al. 2020, section 3.1 and figure 1: 7.5 billion parameters on 64 GPUs."""
    states = ("weights", "gradients", "optimizer_states")
    for bits in (16, 32):
        figures = scale_figures(precision=bits)
        assert sum(figures[name] for name in states) == 16 * figures["parameters"]
    printed = {0: 120, 1: 31.4, 2: 16.6, 3: 1.88}  # GB
    for stage, gigabytes in printed.items():
        figures = scale_figures(zero=stage, gpus=64)
        share = sum(figures[name] for name in states) / figures["parameters"]
        assert 7.5 * share == pytest.approx(gigabytes, rel=5e-3)


def test_operations_are_six_a_parameter_and_token():
    figures = scale_figures(preset="gpt3-175b", tokens=300e9, sequence=2048)
    assert figures["rule_flops"] == 6 * 174_604_259_328 * 300e9
    assert figures["rule_flops"] == pytest.approx(3.14e23, rel=1e-3)  # Brown et al., table D.1
    assert figures["flops"] == pytest.approx(figures["rule_flops"], rel=0.03)
    again = scale_figures(preset="gpt3-175b", tokens=300e9, sequence=2048, recompute="blocks")
    assert again["executed_flops"] == pytest.approx(4 / 3 * again["flops"], rel=0.01)


def test_activations_are_those_of_korthikanti():
    """Equation 1, and table 2 for recomputed attention: s b h (34 + 5 a s / h) and 34 s b h."""
    config, s = preset("gpt3-175b"), 2048
    h, a = config.d_model, config.num_heads
    assert block_activations(config, s, 2, True) == h * 34 + 5 * a * s
    assert block_activations(config, s, 2, False) == h * 34


def kept_floats(config: TransformerConfig) -> float:
    """Numbers that one block of our module keeps for a token, by saved-tensor hooks."""
    tokens = torch.randint(64, (2, config.context_length))

    def total(layers: int) -> int:
        sizes = {name: getattr(config, name) for name in config.__dataclass_fields__}
        model, kept = Transformer(TransformerConfig(**(sizes | {"num_layers": layers}))), {}
        own = {p.untyped_storage().data_ptr() for p in model.parameters()}

        def pack(tensor):
            if tensor.untyped_storage().data_ptr() not in own:
                kept[tensor.untyped_storage().data_ptr()] = tensor
            return tensor

        fused = sdpa_kernel(SDPBackend.FLASH_ATTENTION)
        with fused, torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
            model(tokens, tokens)
        return sum(t.untyped_storage().nbytes() for t in kept.values())

    return (total(2) - total(1)) / 4 / tokens.numel()


@pytest.mark.parametrize("more", [{}, {"num_experts": 4}])
def test_feed_forward_activations_are_what_autograd_keeps(more):
    torch.manual_seed(0)
    sizes = {"vocab_size": 64, "context_length": 32, "d_model": 64, "num_layers": 1}
    small, large = (
        TransformerConfig.of("llama", num_heads=4, d_ff=d_ff, **sizes, **more) for d_ff in (64, 192)
    )
    measured = kept_floats(large) - kept_floats(small)
    ours = (block_activations(c, 32, 4, False) / 4 for c in (small, large))
    low, high = ours
    assert high - low == pytest.approx(measured, rel=1e-6)
    assert high <= kept_floats(large) <= 1.4 * high


def test_kv_cache_outgrows_the_weights():
    at = {n: scale_figures(sequence=2**n) for n in (16, 17)}
    assert at[16]["kv_cache"] < at[16]["serving_weights"]
    assert at[17]["kv_cache"] > at[17]["serving_weights"]
    assert at[16]["kv_cache"] == 2 * 32 * 8 * 128 * 2 * 2**16


def test_time_energy_and_cost_follow_from_gpu_hours():
    figures = scale_figures(gpu="A100", gpus=10, utilisation=0.5, price=3.0)
    hours = figures["executed_flops"] / (312e12 * 0.5) / 3600
    assert figures["seconds"] == pytest.approx(hours * 360)
    assert figures["energy"] == pytest.approx(hours * 0.4)
    assert figures["cost"] == pytest.approx(3 * hours)


def test_box_holds_state_and_no_script():
    widget = ScaleCalculator(gpu="H200")
    assert widget.state() == DEFAULTS | {"gpu": "H200"}
    html = widget._box()
    assert 'data-name="ScaleCalculator"' in html and "<script" not in html


@pytest.mark.parametrize(
    ("wrong", "phrase"),
    [
        ({"gpu": "TPU"}, "H100"),
        ({"zero": 4}, "0, 1, 2, 3"),
        ({"precision": 8}, "16, 32"),
        ({"sequence": 0}, "above 0"),
        ({"shape": {"family": "rwkv"}}, "gpt2"),
        ({"shape": {"num_kv_heads": 5}}, "multiple"),
        ({"colour": 1}, "unknown settings"),
        ({"preset": "gpt-9"}, "unknown preset"),
    ],
)
def test_wrong_settings_are_refused(wrong, phrase):
    with pytest.raises(ValueError, match=phrase):
        scale_figures(**wrong)
