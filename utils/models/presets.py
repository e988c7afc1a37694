"""Published shapes, by name: `preset("gpt3-175b")`.

GPT-2: Radford et al. 2019, table 2. GPT-3: Brown et al. 2020, table 2.1 (its alternating
sparse attention changes no parameter and is not built). BERT: Devlin et al. 2019, section 3,
as an encoder with pooler. The others: the `config.json` files that their makers published.
"""

from __future__ import annotations

from utils.models.config import TransformerConfig

_LLAMA3_SCALING = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


def _gpt(vocab_size: int, context_length: int, d_model: int, num_layers: int, num_heads: int):
    sizes = {"d_model": d_model, "num_layers": num_layers, "num_heads": num_heads}
    return "gpt2", {"vocab_size": vocab_size, "context_length": context_length} | sizes


def _bert(d_model: int, num_layers: int, num_heads: int):
    sizes = {"d_model": d_model, "num_layers": num_layers, "num_heads": num_heads}
    whole = {"vocab_size": 30_522, "context_length": 512, "head": "none", "pooler": True}
    return "bert", sizes | whole


def _gated(family: str, vocab_size: int, context_length: int, shape: tuple, **more):
    names = ("d_model", "num_layers", "num_heads", "num_kv_heads", "d_ff")
    sizes = {"vocab_size": vocab_size, "context_length": context_length}
    return family, sizes | dict(zip(names, shape, strict=True)) | more


PRESETS: dict[str, tuple[str, dict]] = {
    "gpt2-small": _gpt(50_257, 1024, 768, 12, 12),
    "gpt2-medium": _gpt(50_257, 1024, 1024, 24, 16),
    "gpt2-large": _gpt(50_257, 1024, 1280, 36, 20),
    "gpt2-xl": _gpt(50_257, 1024, 1600, 48, 25),
    "gpt3-175b": _gpt(50_257, 2048, 12_288, 96, 96),
    "bert-base": _bert(768, 12, 12),
    "bert-large": _bert(1024, 24, 16),
    "llama-2-7b": _gated("llama", 32_000, 4096, (4096, 32, 32, 32, 11_008), norm_eps=1e-5),
    "llama-3-8b": _gated(
        "llama", 128_256, 8192, (4096, 32, 32, 8, 14_336), norm_eps=1e-5, rope_theta=5e5
    ),
    "llama-3-70b": _gated(
        "llama", 128_256, 8192, (8192, 80, 64, 8, 28_672), norm_eps=1e-5, rope_theta=5e5
    ),
    "llama-3.1-8b": _gated(
        "llama",
        128_256,
        131_072,
        (4096, 32, 32, 8, 14_336),
        norm_eps=1e-5,
        rope_theta=5e5,
        rope_scaling=_LLAMA3_SCALING,
    ),
    "mistral-7b": _gated("mistral", 32_000, 32_768, (4096, 32, 32, 8, 14_336), norm_eps=1e-5),
    "mixtral-8x7b": _gated("mixtral", 32_000, 32_768, (4096, 32, 32, 8, 14_336)),
    "qwen2.5-7b": _gated("qwen2", 152_064, 131_072, (3584, 28, 28, 4, 18_944), rope_theta=1e6),
    "qwen3-8b": _gated(
        "qwen3", 151_936, 40_960, (4096, 36, 32, 8, 12_288), head_dim=128, rope_theta=1e6
    ),
}


def preset(name: str, **changes) -> TransformerConfig:
    """The config of a published model; `changes` override fields. ValueError if unknown."""
    if name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}: known are {', '.join(PRESETS)}")
    family, sizes = PRESETS[name]
    return TransformerConfig.of(family, **(sizes | changes))
