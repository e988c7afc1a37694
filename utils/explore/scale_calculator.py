"""What a Transformer costs: parameters, bytes, operations, days, kilowatt-hours and money.

Legend: N parameters, L layers, M = H d width, H heads of size d, K key and value heads,
F feed-forward width, V vocabulary, E experts of which k work on a token, T tokens in a
sequence, B sequences on a GPU at once, G GPUs, e bytes of a number in training.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import traitlets

from utils.explore.base import Explorable, source
from utils.models.config import TransformerConfig
from utils.models.counting import layer_parameters, num_parameters
from utils.models.presets import preset as published

FAMILIES = ("gpt2", "bert", "llama", "qwen2")
OPTIMIZERS = {"AdamW": 2, "SGD with momentum": 1, "SGD": 0}  # numbers of 4 bytes a parameter
RECOMPUTE = ("nothing", "attention", "blocks")


class GPU(NamedTuple):
    """Data-sheet figures: dense bf16 FLOP/s, bytes, bytes/s, watts of the board."""

    peak: float
    memory: float
    bandwidth: float
    power: float


# NVIDIA's data sheets of the A100 (80 GB, SXM), H100 (SXM; half of the 1,979 TFLOP/s printed
# "with sparsity") and H200, AMD's of the MI300X, NVIDIA's Ada whitepaper 2.1, appendix A, for
# the RTX 4090 (with 32-bit accumulation). In 32 bits all five run TF32 at half of that.
GPUS = {
    "A100": GPU(312e12, 80e9, 2.039e12, 400),
    "H100": GPU(989.5e12, 80e9, 3.35e12, 700),
    "H200": GPU(989.5e12, 141e9, 4.8e12, 700),
    "MI300X": GPU(1307.4e12, 192e9, 5.3e12, 750),
    "RTX 4090": GPU(165.2e12, 24e9, 1.008e12, 450),
}


def preset_shape(name: str) -> dict:
    """The fields of `shape_config` for a name of `utils.models.presets`."""
    config = published(name)
    family = "bert" if config.pooler else "gpt2" if config.positions == "learned" else "llama"
    return {
        "family": "qwen2" if config.has_qkv_bias and family == "llama" else family,
        "num_layers": config.num_layers,
        "num_heads": config.num_heads,
        "num_kv_heads": config.kv_heads,
        "head_size": config.head_size,
        "d_ff": config.ff_size,
        "vocab_size": config.vocab_size,
        "context_length": config.context_length,
        "num_experts": config.num_experts,
        "experts_per_token": config.experts_per_token,
    }


def shape_config(shape: dict) -> TransformerConfig:
    """The config of a shape; its width is ``num_heads * head_size``.

    Experts count for the gated families only. Raises ValueError where the family is unknown
    or sizes do not fit together.
    """
    sizes = {name: value for name, value in shape.items() if name not in ("family", "head_size")}
    family = shape["family"]
    if family not in FAMILIES:
        raise ValueError(f"family is {family!r}; expected one of {', '.join(FAMILIES)}")
    if family in ("gpt2", "bert"):
        sizes["num_experts"] = 0
    if family == "bert":
        sizes |= {"head": "none", "pooler": True}
    return TransformerConfig.of(family, d_model=shape["num_heads"] * shape["head_size"], **sizes)


def block_matrices(config: TransformerConfig) -> int:
    """Parameters of all blocks that are multiplied for one token: no biases, no norms."""
    plain = replace(config, bias=False, qkv_bias=False)
    parts = layer_parameters(plain, active=True)
    return config.num_layers * (parts["attention"] + parts["feedforward"] + parts["router"])


def head_matrix(config: TransformerConfig) -> int:
    """Parameters of the product with the vocabulary: V M, and 0 for an encoder."""
    return config.vocab_size * config.d_model if config.head == "lm" else 0


def block_activations(config: TransformerConfig, sequence: int, e: int, keep_scores: bool) -> int:
    """Bytes that one block keeps for one token's backward pass (linear layers' inputs, q, k, v,
    both norms' inputs, the feed-forward part before and after its non-linearity).

    For e = 2 and GPT-2's shape this is M (34 + 5 H T / M), Korthikanti et al. 2023, equation 1;
    gated and expert layers, grouped heads and models without dropout are counted alike.
    """
    M, F, dropout = config.d_model, config.ff_size, config.activation != "swiglu"
    wide = (2 * config.num_heads + 2 * config.kv_heads) * config.head_size
    feedforward = (2 if dropout else 4) * F
    if config.num_experts:  # besides its F's, an expert keeps its input and its output
        feedforward = config.experts_per_token * (feedforward + 2 * M)
    kept = e * (4 * M + wide + feedforward) + (2 * M if dropout else 0)
    scores = (2 * e + 1 if dropout else e) * config.num_heads * sequence
    return kept + (scores if keep_scores else 0)


def _training(config: TransformerConfig, s: dict) -> dict[str, float]:
    """Bytes on each GPU: model states after Rajbhandari et al. 2020, activations."""
    parameters, e = num_parameters(config), s["precision"] // 8
    share = [s["gpus"] if s["zero"] >= stage else 1 for stage in (3, 2, 1)]
    state = 4 * OPTIMIZERS[s["optimizer"]] + (4 if e == 2 else 0)  # with a 32-bit master copy
    weights, gradients, optimizer = (
        parameters * size / part for size, part in zip((e, e, state), share, strict=True)
    )
    block = block_activations(config, s["sequence"], e, s["recompute"] == "nothing")
    kept = config.num_layers * block
    if s["recompute"] == "blocks":  # each block's input, and one block while it is run again
        kept = config.num_layers * e * config.d_model
        kept += block_activations(config, s["sequence"], e, True)
    head = 2 * e * config.d_model + (4 * config.vocab_size if head_matrix(config) else 0)
    activations = s["batch"] * s["sequence"] * (kept + head)
    return {
        "weights": weights,
        "gradients": gradients,
        "optimizer_states": optimizer,
        "activations": activations,
        "training_memory": weights + gradients + optimizer + activations,
    }


def _serving(config: TransformerConfig, s: dict) -> dict[str, float]:
    """Bytes to generate text, the GPUs that hold them, tokens/s that their bandwidth allows."""
    gpu, size = GPUS[s["gpu"]], s["serve_bits"] / 8
    weights = num_parameters(config) * size
    per_token = 4 * config.num_layers * config.kv_heads * config.head_size if config.causal else 0
    cache = per_token * s["sequence"] * s["batch"]
    gpus = math.ceil((weights + cache) / gpu.memory)
    read = (block_matrices(config) + head_matrix(config)) * size + cache
    return {
        "serving_weights": weights,
        "kv_cache": cache,
        "serving_memory": weights + cache,
        "serving_gpus": gpus,
        "decode_rate": s["batch"] * gpus * gpu.bandwidth / read if config.causal else 0,
    }


def _operations(config: TransformerConfig, s: dict) -> dict[str, float]:
    """FLOPs of training, time, energy and cost."""
    gpu, tokens = GPUS[s["gpu"]], s["tokens"]
    blocks = block_matrices(config)
    attention = 4 * config.num_layers * s["sequence"] * config.num_heads * config.head_size
    flops = (6 * (blocks + head_matrix(config)) + 3 * attention) * tokens
    again = {"nothing": 0, "attention": attention, "blocks": 2 * blocks + attention}
    executed = flops + again[s["recompute"]] * tokens
    peak = gpu.peak if s["precision"] == 16 else gpu.peak / 2
    hours = executed / (peak * s["utilisation"]) / 3600
    return {
        "rule_flops": 6 * num_parameters(config, active=True) * tokens,
        "flops": flops,
        "executed_flops": executed,
        "gpu_hours": hours,
        "seconds": hours * 3600 / s["gpus"],
        "energy": hours * gpu.power / 1000,
        "cost": hours * s["price"],
    }


def _check(s: dict) -> None:
    allowed = {
        "gpu": GPUS,
        "precision": (16, 32),
        "optimizer": OPTIMIZERS,
        "zero": (0, 1, 2, 3),
        "recompute": RECOMPUTE,
        "serve_bits": (32, 16, 8, 4),
    }
    for name, values in allowed.items():
        if s[name] not in values:
            expected = ", ".join(map(str, values))
            raise ValueError(f"{name} is {s[name]!r}; expected one of {expected}")
    for name in ("sequence", "batch", "gpus", "tokens", "utilisation"):
        if not s[name] > 0:
            raise ValueError(f"{name} is {s[name]!r}; expected a number above 0")


def scale_figures(**settings) -> dict[str, float]:
    """Every figure of the explorable: parameters, bytes, FLOPs, seconds, kWh, money.

    Settings are the traits of `ScaleCalculator`, with its defaults; `shape` overrides fields of
    the preset's. FLOPs are 6 N_matrices + 12 L T H d a token, and those run again on top; time
    is FLOPs / (G peak utilisation), energy the boards' full power. Raises ValueError for a
    setting that is unknown or out of range.
    """
    unknown = sorted(set(settings) - set(DEFAULTS))
    if unknown:
        raise ValueError(f"unknown settings {unknown}: known are {', '.join(DEFAULTS)}")
    s = DEFAULTS | settings
    _check(s)
    config = shape_config(preset_shape(s["preset"]) | s["shape"])
    counts = {
        "parameters": num_parameters(config),
        "active_parameters": num_parameters(config, active=True),
    }
    return counts | _training(config, s) | _serving(config, s) | _operations(config, s)


class ScaleCalculator(Explorable):
    """Memory by kind against a GPU's, and the time, energy and cost of training."""

    _esm = source("scale_calculator.js")
    title = "What a Transformer costs"
    fallback = (
        "With JavaScript, choose a model and a GPU here; bars show memory by kind against the "
        "GPU's memory and the time of training, and each figure tells its formula."
    )
    heights = ("36rem", "66.5rem")
    preset = traitlets.Unicode("llama-3-8b").tag(sync=True)
    shape = traitlets.Dict({}).tag(sync=True)
    gpu = traitlets.Unicode("H100").tag(sync=True)
    sequence = traitlets.Int(8192, min=1).tag(sync=True)
    batch = traitlets.Int(1, min=1).tag(sync=True)
    gpus = traitlets.Int(1024, min=1).tag(sync=True)
    tokens = traitlets.Float(15e12).tag(sync=True)
    precision = traitlets.Int(16).tag(sync=True)
    optimizer = traitlets.Unicode("AdamW").tag(sync=True)
    zero = traitlets.Int(0, min=0, max=3).tag(sync=True)
    recompute = traitlets.Unicode("attention").tag(sync=True)
    utilisation = traitlets.Float(0.4).tag(sync=True)
    price = traitlets.Float(2.0, min=0.0).tag(sync=True)
    serve_bits = traitlets.Int(16).tag(sync=True)


DEFAULTS: dict = {
    name: trait.default()
    for name, trait in ScaleCalculator.class_own_traits(sync=True).items()
    if not name.startswith("_")
}
