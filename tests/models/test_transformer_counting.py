"""Parameter counts: formula, our module and transformers' module agree to the integer."""

import pytest
import torch
import transformers

from utils.models.config import TransformerConfig
from utils.models.counting import count_parameters, num_parameters
from utils.models.presets import PRESETS, preset
from utils.models.transformer import Transformer

GATED = {
    "llama": (transformers.LlamaConfig, transformers.LlamaForCausalLM),
    "mistral": (transformers.MistralConfig, transformers.MistralForCausalLM),
    "mixtral": (transformers.MixtralConfig, transformers.MixtralForCausalLM),
    "qwen2": (transformers.Qwen2Config, transformers.Qwen2ForCausalLM),
    "qwen3": (transformers.Qwen3Config, transformers.Qwen3ForCausalLM),
}


def reference(name):
    """transformers' module of the same shape, on the meta device."""
    family, config = PRESETS[name][0], preset(name)
    with torch.device("meta"):
        if family == "gpt2":
            return transformers.GPT2LMHeadModel(
                transformers.GPT2Config(
                    vocab_size=config.vocab_size,
                    n_positions=config.context_length,
                    n_embd=config.d_model,
                    n_layer=config.num_layers,
                    n_head=config.num_heads,
                )
            )
        sizes = {
            "vocab_size": config.vocab_size,
            "max_position_embeddings": config.context_length,
            "hidden_size": config.d_model,
            "num_hidden_layers": config.num_layers,
            "num_attention_heads": config.num_heads,
            "intermediate_size": config.ff_size,
        }
        if family == "bert":
            return transformers.BertModel(transformers.BertConfig(**sizes))
        make_config, make_model = GATED[family]
        return make_model(make_config(**sizes, num_key_value_heads=config.kv_heads))


@pytest.mark.parametrize("name", PRESETS)
def test_formula_module_and_reference_agree(name):
    config = preset(name)
    with torch.device("meta"):
        model = Transformer(config)
    theirs = sum(p.numel() for p in reference(name).parameters())
    assert num_parameters(config) == count_parameters(model) == theirs
    assert num_parameters(config, active=True) == count_parameters(model, active=True)


def test_known_totals():
    assert num_parameters(preset("gpt3-175b")) == 174_604_259_328
    assert num_parameters(preset("gpt2-small")) == 124_439_808
    assert num_parameters(preset("bert-base")) == 109_482_240
    assert num_parameters(preset("llama-2-7b")) == 6_738_415_616
    assert num_parameters(preset("mixtral-8x7b")) == 46_702_792_704
    # What Mistral AI calls 13B active parameters.
    assert num_parameters(preset("mixtral-8x7b"), active=True) == 12_879_925_248


SHAPE = {"vocab_size": 11, "context_length": 8, "d_model": 12, "num_layers": 2, "num_heads": 3}


@pytest.mark.parametrize(
    "config",
    [
        TransformerConfig.of("gpt2", **SHAPE, tied=False, d_ff=7),
        TransformerConfig.of("gpt2", **SHAPE, bias=False, pooler=True),
        TransformerConfig.of("llama", **SHAPE, head_dim=6, num_kv_heads=1),
        TransformerConfig.of("llama", **SHAPE, bias=True, tied=True),
        TransformerConfig.of("mixtral", **SHAPE, num_experts=3),
        TransformerConfig.of("bert", **SHAPE),
        TransformerConfig.of("bert", **SHAPE, norm="rmsnorm"),
        TransformerConfig.of("encoder-decoder", **SHAPE, encoder_layers=3),
        TransformerConfig.of("encoder-decoder", **SHAPE, encoder_layers=1, norm_position="pre"),
        TransformerConfig.of("qwen3", **SHAPE, qkv_bias=True, encoder_layers=1),
    ],
)
def test_formula_agrees_with_module_off_the_beaten_path(config):
    model = Transformer(config)
    assert num_parameters(config) == count_parameters(model)
    assert num_parameters(config, active=True) == count_parameters(model, active=True)


def test_trainable_leaves_out_frozen_weights():
    config = TransformerConfig.of("mixtral", **SHAPE, num_experts=3)
    model = Transformer(config)
    model.embedding.requires_grad_(False)
    frozen = sum(p.numel() for p in model.embedding.parameters())
    assert count_parameters(model, trainable=True) == num_parameters(config) - frozen


def test_unknown_preset_lists_the_known():
    with pytest.raises(ValueError, match=r"unknown preset 'gpt5'.*gpt2-small"):
        preset("gpt5")
