"""A TransformerConfig from and to Hugging Face's `config.json`.

Keys that change the mathematics and that we do not build are refused, never ignored.
"""

from __future__ import annotations

from dataclasses import replace

from utils.models.config import TransformerConfig

GATED = ("llama", "mistral", "mixtral", "qwen2", "qwen3")
ARCHITECTURES = {
    "gpt2": "GPT2LMHeadModel",
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "mixtral": "MixtralForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "bert": "BertForMaskedLM",
}

# What must have this value, where the key is there at all.
REQUIRED = {
    "gpt2": {
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
        "add_cross_attention": False,
    },
    "bert": {
        "position_embedding_type": "absolute",
        "is_decoder": False,
        "add_cross_attention": False,
        "tie_word_embeddings": True,
    },
    "gated": {
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "partial_rotary_factor": 1.0,
        "pretraining_tp": 1,
        "router_jitter_noise": 0.0,
    },
}

ACTIVATIONS = {
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu": "gelu",
    "relu": "relu",
}


def from_hf_config(raw: dict) -> TransformerConfig:
    """The config that a `config.json`, read as a dict, describes.

    Raises ValueError for an architecture or a setting that is not built here.
    """
    family = raw.get("model_type")
    if family not in ARCHITECTURES:
        raise ValueError(f"unknown architecture {family!r}: known are {', '.join(ARCHITECTURES)}")
    for key, value in REQUIRED["gated" if family in GATED else family].items():
        if raw.get(key, value) not in (value, None):
            raise ValueError(f"{family} with {key}={raw[key]!r} is not built here, only {value!r}")
    try:
        if family == "gpt2":
            return _read_gpt2(raw)
        return _read_bert(raw) if family == "bert" else _read_gated(family, raw)
    except KeyError as error:
        raise ValueError(f"config.json of a {family} lacks the key {error}") from None


def _activation(name: str) -> str:
    if name not in ACTIVATIONS:
        raise ValueError(f"unknown activation {name!r}: known are {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]


def _read_gpt2(raw: dict) -> TransformerConfig:
    return TransformerConfig.of(
        "gpt2",
        vocab_size=raw["vocab_size"],
        context_length=raw["n_positions"],
        d_model=raw["n_embd"],
        num_layers=raw["n_layer"],
        num_heads=raw["n_head"],
        d_ff=raw.get("n_inner"),
        norm_eps=raw.get("layer_norm_epsilon", 1e-5),
        activation=_activation(raw.get("activation_function", "gelu_new")),
        tied=raw.get("tie_word_embeddings", True),
        dropout=raw.get("resid_pdrop", 0.1),
    )


def _read_bert(raw: dict) -> TransformerConfig:
    architecture = (raw.get("architectures") or ["BertForMaskedLM"])[0]
    parts = {
        "BertForMaskedLM": {"head": "mlm"},
        "BertForPreTraining": {"head": "mlm", "pooler": True},
        "BertModel": {"head": "none", "pooler": True},
    }
    if architecture not in parts:
        raise ValueError(f"unknown architecture {architecture!r}: known are {', '.join(parts)}")
    return TransformerConfig.of(
        "bert",
        **_sizes(raw),
        **parts[architecture],
        norm_eps=raw.get("layer_norm_eps", 1e-12),
        activation=_activation(raw.get("hidden_act", "gelu")),
        token_types=raw.get("type_vocab_size", 2),
        dropout=raw.get("hidden_dropout_prob", 0.1),
    )


def _sizes(raw: dict) -> dict:
    return {
        "vocab_size": raw["vocab_size"],
        "context_length": raw["max_position_embeddings"],
        "d_model": raw["hidden_size"],
        "num_layers": raw["num_hidden_layers"],
        "num_heads": raw["num_attention_heads"],
        "d_ff": raw["intermediate_size"],
    }


def _read_gated(family: str, raw: dict) -> TransformerConfig:
    theta, scaling = _read_rope(family, raw)
    window, full_layers = _read_window(family, raw)
    more = {}
    if family == "mixtral":
        more["num_experts"] = raw.get("num_local_experts", 8)
        more["experts_per_token"] = raw.get("num_experts_per_tok", 2)
        more["balance_weight"] = raw.get("router_aux_loss_coef", 0.001)
    return TransformerConfig.of(
        family,
        **_sizes(raw),
        num_kv_heads=raw.get("num_key_value_heads"),
        head_dim=raw.get("head_dim"),
        norm_eps=raw.get("rms_norm_eps", 1e-6),
        rope_theta=theta,
        rope_scaling=scaling,
        sliding_window=window,
        full_layers=full_layers,
        tied=raw.get("tie_word_embeddings", False),
        **more,
    )


def _read_rope(family: str, raw: dict) -> tuple[float, dict | None]:
    """Base and scaling, from the key of today (`rope_parameters`) or the two of old."""
    scaling = dict(raw.get("rope_parameters") or raw.get("rope_scaling") or {})
    default = 1e6 if family == "mixtral" else 10_000.0
    theta = scaling.pop("rope_theta", None) or raw.get("rope_theta") or default
    if scaling.pop("partial_rotary_factor", 1.0) != 1.0:
        raise ValueError("partial_rotary_factor other than 1.0 is not built here")
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    return float(theta), None if kind == "default" else scaling


def _read_window(family: str, raw: dict) -> tuple[int | None, int]:
    """The sliding window and the number of first layers without it."""
    if family in ("mistral", "mixtral"):
        return raw.get("sliding_window"), 0
    if family == "llama":  # their Llama has none, whatever its file says
        return None, 0
    window = raw.get("sliding_window") if raw.get("use_sliding_window") else None
    if window is None:
        return None, 0
    layers = raw["num_hidden_layers"]
    full = min(raw.get("max_window_layers", 28), layers)
    kinds = ["full_attention"] * full + ["sliding_attention"] * (layers - full)
    if (raw.get("layer_types") or kinds) != kinds:
        raise ValueError("layer_types other than full layers first, sliding ones last: not built")
    return window, full


def to_hf_config(config: TransformerConfig) -> dict:
    """A `config.json` that `from_hf_config` reads back as this config.

    Dropout of the gated families is not written: theirs has none outside attention. Raises
    ValueError if no Hugging Face architecture that we know is this config.
    """
    for family in ARCHITECTURES:
        raw = _write(family, config)
        try:
            if _normal(from_hf_config(raw)) == _normal(config):
                return raw
        except ValueError:
            continue
    raise ValueError(
        f"no Hugging Face architecture among {', '.join(ARCHITECTURES)} is this config: {config}"
    )


def _normal(config: TransformerConfig) -> TransformerConfig:
    """The same model with every default spelled out, for comparison."""
    window = config.sliding_window if config.full_layers < config.num_layers else None
    return replace(
        config,
        num_kv_heads=config.kv_heads,
        head_dim=config.head_size,
        d_ff=config.ff_size,
        qkv_bias=config.has_qkv_bias,
        dropout=0.0,
        rope_theta=float(config.rope_theta) if config.positions == "rope" else 10_000.0,
        sliding_window=window,
        full_layers=config.full_layers if window else 0,
        experts_per_token=config.experts_per_token if config.num_experts else 1,
        balance_weight=config.balance_weight if config.num_experts else 0.0,
    )


def _write(family: str, config: TransformerConfig) -> dict:
    names = {"gelu_tanh": "gelu_new", "gelu": "gelu", "relu": "relu", "swiglu": "silu"}
    raw = {"model_type": family, "architectures": [ARCHITECTURES[family]]}
    raw |= {"vocab_size": config.vocab_size, "tie_word_embeddings": config.tied}
    activation = names[config.activation]
    if family == "gpt2":
        dropout = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), config.dropout)
        return (
            raw
            | dropout
            | {
                "n_positions": config.context_length,
                "n_embd": config.d_model,
                "n_layer": config.num_layers,
                "n_head": config.num_heads,
                "n_inner": config.ff_size,
                "layer_norm_epsilon": config.norm_eps,
                "activation_function": activation,
                "bos_token_id": None,
                "eos_token_id": None,
            }
        )
    raw |= {
        "max_position_embeddings": config.context_length,
        "hidden_size": config.d_model,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "intermediate_size": config.ff_size,
        "hidden_act": activation,
    }
    return _write_bert(raw, config) if family == "bert" else _write_gated(raw, config)


def _write_bert(raw: dict, config: TransformerConfig) -> dict:
    if config.head == "none":
        raw["architectures"] = ["BertModel"]
    elif config.pooler:
        raw["architectures"] = ["BertForPreTraining"]
    dropout = ("hidden_dropout_prob", "attention_probs_dropout_prob")
    return (
        raw
        | dict.fromkeys(dropout, config.dropout)
        | {
            "layer_norm_eps": config.norm_eps,
            "type_vocab_size": config.token_types,
        }
    )


def _write_gated(raw: dict, config: TransformerConfig) -> dict:
    window = config.sliding_window
    raw |= {
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_size,
        "rms_norm_eps": config.norm_eps,
        "rope_theta": config.rope_theta,
        "rope_scaling": config.rope_scaling,
        "sliding_window": window,
    }
    if raw["model_type"] in ("qwen2", "qwen3"):
        raw |= {"use_sliding_window": window is not None, "max_window_layers": config.full_layers}
    if raw["model_type"] == "mixtral":
        raw |= {
            "num_local_experts": config.num_experts,
            "num_experts_per_tok": config.experts_per_token,
            "router_aux_loss_coef": config.balance_weight,
        }
    return raw
