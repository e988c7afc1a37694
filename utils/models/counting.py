"""How many parameters: by formula from a config, and by counting a module.

Legend: M = d_model, H query heads, K key and value heads, D head_dim, F = d_ff, E experts,
V vocab_size, L layers.
"""

from __future__ import annotations

from torch import nn

from utils.models.config import TransformerConfig
from utils.models.feedforward import MixtureOfExperts


def num_parameters(config: TransformerConfig, active: bool = False) -> int:
    """Parameters of `Transformer(config)` in closed form, a tied matrix counted once.

    `active=True` counts what works on one token: of E experts only `experts_per_token`.
    """
    layers = sum(layer_parameters(config, active).values())
    total = config.num_layers * layers + sum(embedding_parameters(config).values())
    if config.encoder_layers:
        cross = _norm(config) + _cross_parameters(config)
        total += config.num_layers * cross + config.encoder_layers * layers
    if config.norm_position == "pre":
        total += _norm(config) * (2 if config.encoder_layers else 1)
    return total + sum(head_parameters(config).values())


def embedding_parameters(config: TransformerConfig) -> dict[str, int]:
    """V M for tokens, context M for learned positions, token types, the norm behind them."""
    M = config.d_model
    return {
        "tokens": config.vocab_size * M,
        "positions": config.context_length * M if config.positions == "learned" else 0,
        "types": config.token_types * M,
        "norm": _norm(config) if config.embedding_norm else 0,
    }


def layer_parameters(config: TransformerConfig, active: bool = False) -> dict[str, int]:
    """One block without cross-attention, by part.

    Attention: M (H + 2 K) D and H D M weights; feed-forward: 2 M F, gated 3 M F, E times that
    and a router of M E for experts; two norms.
    """
    M, F = config.d_model, config.ff_size
    wide, inner = _qkv_width(config), config.num_heads * config.head_size
    attention = M * wide + inner * M
    attention += (wide if config.has_qkv_bias else 0) + (M if config.bias else 0)
    attention += 2 * config.head_size if config.qk_norm else 0
    up = 2 * F if config.activation == "swiglu" else F
    feedforward, router = M * up + F * M, 0
    if config.num_experts:
        feedforward *= config.experts_per_token if active else config.num_experts
        router = M * config.num_experts
    elif config.bias:
        feedforward += up + M
    norms = 2 * _norm(config)
    return {"attention": attention, "feedforward": feedforward, "router": router, "norms": norms}


def head_parameters(config: TransformerConfig) -> dict[str, int]:
    """The output matrix where it is not tied, BERT's prediction layer, the pooler."""
    M, V = config.d_model, config.vocab_size
    return {
        "output": V * M if config.head == "lm" and not config.tied else 0,
        "masked": M * M + M + _norm(config) + V if config.head == "mlm" else 0,
        "pooler": M * M + M if config.pooler else 0,
    }


def count_parameters(model: nn.Module, active: bool = False, trainable: bool = False) -> int:
    """Parameters of any module, shared ones once; works on the `meta` device.

    `active=True` counts only the experts that work on one token, `trainable=True` only
    parameters that require a gradient.
    """
    total = sum(p.numel() for p in model.parameters() if p.requires_grad or not trainable)
    if active:
        for module in model.modules():
            if isinstance(module, MixtureOfExperts):
                idle = len(module.down) - module.experts_per_token
                for weight in (module.gate_up, module.down):
                    if weight.requires_grad or not trainable:
                        total -= weight[0].numel() * idle
    return total


def _qkv_width(config: TransformerConfig) -> int:
    return (config.num_heads + 2 * config.kv_heads) * config.head_size


def _cross_parameters(config: TransformerConfig) -> int:
    M, wide = config.d_model, _qkv_width(config)
    weights = M * wide + config.num_heads * config.head_size * M
    return weights + (wide if config.has_qkv_bias else 0) + (M if config.bias else 0)


def _norm(config: TransformerConfig) -> int:
    return config.d_model * (2 if config.norm == "layernorm" and config.bias else 1)
