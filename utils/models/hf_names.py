"""Which of Hugging Face's tensors each of ours is made of."""

from __future__ import annotations

import re
from typing import NamedTuple

from utils.models.config import TransformerConfig

PREFIX = {
    "gpt2": "transformer.",
    "bert": "bert.",
    **dict.fromkeys(("llama", "mistral", "mixtral", "qwen2", "qwen3"), "model."),
}


class Source(NamedTuple):
    """`names` are joined along the first axis; `stacked`: names of each expert, stacked."""

    names: tuple
    transposed: bool = False
    stacked: bool = False


def plain_name(name: str, family: str) -> str:
    """A tensor's name without the prefix, and with today's names of BERT's norms."""
    name = name.removeprefix(PREFIX[family])
    if family == "bert":
        name = name.replace("LayerNorm.gamma", "LayerNorm.weight")
        name = name.replace("LayerNorm.beta", "LayerNorm.bias")
    return name


def ignorable(name: str, config: TransformerConfig, family: str) -> bool:
    """Whether a tensor that we do not build may be there: buffers, tied copies, spare heads."""
    if family == "gpt2":
        return bool(re.fullmatch(r"h\.\d+\.attn\.(masked_)?bias", name)) or (
            name == "lm_head.weight" and config.tied
        )
    if family == "bert":
        spare = [r"embeddings\.position_ids", r"cls\.seq_relationship\..*"]
        spare += [r"cls\.predictions\.decoder\..*"] if config.head == "mlm" else [r"cls\..*"]
        spare += [] if config.pooler else [r"pooler\..*"]
        return any(re.fullmatch(pattern, name) for pattern in spare)
    return name.endswith("rotary_emb.inv_freq") or (name == "lm_head.weight" and config.tied)


def sources(config: TransformerConfig, family: str) -> dict[str, Source]:
    """For each tensor of our state dict, in order, the Hugging Face tensors it is made of."""
    if family == "gpt2":
        return _gpt2(config)
    return _bert(config) if family == "bert" else _gated(config)


def _pair(ours: str, theirs: str, **how) -> dict[str, Source]:
    return {f"{ours}.{part}": Source((f"{theirs}.{part}",), **how) for part in ("weight", "bias")}


def _gpt2(config: TransformerConfig) -> dict[str, Source]:
    table = {
        "embedding.tokens.weight": Source(("wte.weight",)),
        "embedding.positions.weight": Source(("wpe.weight",)),
    }
    linear = {
        "attention.qkv": "attn.c_attn",
        "attention.out": "attn.c_proj",
        "feedforward.up": "mlp.c_fc",
        "feedforward.down": "mlp.c_proj",
    }
    for i in range(config.num_layers):
        for ours, theirs in {"norm1": "ln_1", "norm2": "ln_2"}.items():
            table |= _pair(f"blocks.{i}.{ours}", f"h.{i}.{theirs}")
        for ours, theirs in linear.items():
            ours, theirs = f"blocks.{i}.{ours}", f"h.{i}.{theirs}"
            table[f"{ours}.weight"] = Source((f"{theirs}.weight",), transposed=True)
            table[f"{ours}.bias"] = Source((f"{theirs}.bias",))
    table |= _pair("norm", "ln_f")
    if not config.tied:
        table["head.weight"] = Source(("lm_head.weight",))
    return table


def _bert(config: TransformerConfig) -> dict[str, Source]:
    kinds = {"tokens": "word", "positions": "position", "types": "token_type"}
    table = {
        f"embedding.{ours}.weight": Source((f"embeddings.{theirs}_embeddings.weight",))
        for ours, theirs in kinds.items()
    }
    table |= _pair("embedding.norm", "embeddings.LayerNorm")
    for i in range(config.num_layers):
        ours, theirs = f"blocks.{i}", f"encoder.layer.{i}"
        for part in ("weight", "bias"):
            names = tuple(
                f"{theirs}.attention.self.{name}.{part}" for name in ("query", "key", "value")
            )
            table[f"{ours}.attention.qkv.{part}"] = Source(names)
        table |= _pair(f"{ours}.attention.out", f"{theirs}.attention.output.dense")
        table |= _pair(f"{ours}.norm1", f"{theirs}.attention.output.LayerNorm")
        table |= _pair(f"{ours}.feedforward.up", f"{theirs}.intermediate.dense")
        table |= _pair(f"{ours}.feedforward.down", f"{theirs}.output.dense")
        table |= _pair(f"{ours}.norm2", f"{theirs}.output.LayerNorm")
    if config.head == "mlm":
        table |= _pair("masked_head.dense", "cls.predictions.transform.dense")
        table |= _pair("masked_head.norm", "cls.predictions.transform.LayerNorm")
        table["masked_head.bias"] = Source(("cls.predictions.bias",))
    if config.pooler:
        table |= _pair("pooler", "pooler.dense")
    return table


def _gated(config: TransformerConfig) -> dict[str, Source]:
    table = {"embedding.tokens.weight": Source(("embed_tokens.weight",))}
    for i in range(config.num_layers):
        ours, theirs = f"blocks.{i}", f"layers.{i}"
        for part in ("weight", "bias") if config.has_qkv_bias else ("weight",):
            names = tuple(f"{theirs}.self_attn.{x}_proj.{part}" for x in "qkv")
            table[f"{ours}.attention.qkv.{part}"] = Source(names)
        single = {
            "attention.out": "self_attn.o_proj",
            "norm1": "input_layernorm",
            "norm2": "post_attention_layernorm",
        }
        if config.qk_norm:
            single |= {f"attention.{x}_norm": f"self_attn.{x}_norm" for x in "qk"}
        for name, other in single.items():
            table[f"{ours}.{name}.weight"] = Source((f"{theirs}.{other}.weight",))
        table |= _gated_feedforward(config, ours, theirs)
    table["norm.weight"] = Source(("norm.weight",))
    if not config.tied:
        table["head.weight"] = Source(("lm_head.weight",))
    return table


def _gated_feedforward(config: TransformerConfig, ours: str, theirs: str) -> dict[str, Source]:
    ours = f"{ours}.feedforward"
    if not config.num_experts:
        gate_up = tuple(f"{theirs}.mlp.{x}_proj.weight" for x in ("gate", "up"))
        return {
            f"{ours}.gate_up.weight": Source(gate_up),
            f"{ours}.down.weight": Source((f"{theirs}.mlp.down_proj.weight",)),
        }
    moe = f"{theirs}.block_sparse_moe"
    experts = [f"{moe}.experts.{e}" for e in range(config.num_experts)]
    return {
        f"{ours}.router.weight": Source((f"{moe}.gate.weight",)),
        f"{ours}.gate_up": Source(
            tuple((f"{e}.w1.weight", f"{e}.w3.weight") for e in experts), stacked=True
        ),
        f"{ours}.down": Source(tuple((f"{e}.w2.weight",) for e in experts), stacked=True),
    }
