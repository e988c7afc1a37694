"""Folders of weights: shards, dtypes, old names, and checkpoints that do not fit."""

import json

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from utils.models.config import TransformerConfig
from utils.models.hf import from_hf_state, load_hf, save_hf, to_hf_state
from utils.models.hf_config import from_hf_config, to_hf_config
from utils.models.presets import PRESETS, preset
from utils.models.transformer import Transformer

SIZES = {"vocab_size": 31, "context_length": 16, "d_model": 24, "num_layers": 2, "num_heads": 4}
SAVABLE = ["gpt2", "llama", "mistral", "mixtral", "qwen2", "qwen3", "bert"]


def make(family, **more):
    torch.manual_seed(0)
    return Transformer(TransformerConfig.of(family, **(SIZES | more))).eval()


def same_weights(a, b):
    assert a.state_dict().keys() == b.state_dict().keys()
    return all(torch.equal(v, b.state_dict()[k]) for k, v in a.state_dict().items())


@pytest.mark.parametrize("family", SAVABLE)
def test_save_and_load_gives_the_same_model(family, tmp_path):
    model = make(family)
    save_hf(model, tmp_path)
    again = load_hf(tmp_path)
    assert same_weights(model, again) and not again.training
    tokens = torch.arange(10)[None]
    assert torch.equal(model(tokens), again(tokens))


@pytest.mark.parametrize("family", ["gpt2", "mixtral"])
def test_sharded_checkpoints(family, tmp_path):
    model = make(family)
    save_hf(model, tmp_path, max_shard_bytes=4000)
    assert len(list(tmp_path.glob("*.safetensors"))) > 3
    assert not (tmp_path / "model.safetensors").exists()
    assert same_weights(model, load_hf(tmp_path))
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    tokens = torch.arange(10)[None]
    torch.testing.assert_close(theirs.eval()(tokens).logits, model(tokens), atol=1e-5, rtol=0)
    theirs.save_pretrained(tmp_path / "theirs", max_shard_size="4KB")
    assert (tmp_path / "theirs" / "model.safetensors.index.json").is_file()
    assert same_weights(model, load_hf(tmp_path / "theirs"))


def test_dtype_is_kept_or_changed(tmp_path):
    save_hf(make("llama").bfloat16(), tmp_path)
    assert json.loads((tmp_path / "config.json").read_text("utf-8"))["torch_dtype"] == "bfloat16"
    assert load_hf(tmp_path).norm.weight.dtype == torch.bfloat16
    assert load_hf(tmp_path, dtype=torch.float32).norm.weight.dtype == torch.float32


def test_original_gpt2_and_bert_names(tmp_path):
    """The first GPT-2 files have no prefix and hold mask buffers; BERT's call norms gamma, beta."""
    model = make("gpt2")
    old = {k.removeprefix("transformer."): v for k, v in to_hf_state(model).items()}
    old |= {f"h.{i}.attn.bias": torch.ones(1, 1, 16, 16) for i in range(2)}
    old["lm_head.weight"] = old["wte.weight"].clone()
    model.load_state_dict(from_hf_state(model.config, old, "gpt2"))
    bert = make("bert")
    old = {
        k.replace("LayerNorm.weight", "LayerNorm.gamma").replace("Norm.bias", "Norm.beta"): v
        for k, v in to_hf_state(bert).items()
    }
    old |= {
        "bert.pooler.dense.weight": torch.ones(24, 24),
        "bert.pooler.dense.bias": torch.ones(24),
    }
    old["cls.seq_relationship.weight"] = torch.ones(2, 24)
    assert same_weights_state(from_hf_state(bert.config, old, "bert"), bert)


def same_weights_state(state, model):
    return all(torch.equal(state[k], v) for k, v in model.state_dict().items())


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_the_trip_through_config_json(name):
    config = preset(name)
    again = from_hf_config(json.loads(json.dumps(to_hf_config(config))))
    assert to_hf_config(again) == to_hf_config(config)
    assert again.max_length == config.max_length and again.ff_size == config.ff_size


def test_rope_scaling_and_windows_survive(tmp_path):
    scaling = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 4}
    for model in (
        make("llama", rope_scaling=scaling, rope_theta=5e5),
        make("mistral", sliding_window=3),
        make("qwen2", sliding_window=3, full_layers=1),
    ):
        save_hf(model, tmp_path)
        again = load_hf(tmp_path).config
        for name in ("rope_scaling", "rope_theta", "sliding_window", "full_layers"):
            assert getattr(again, name) == getattr(model.config, name), name


def test_missing_extra_and_misshaped_tensors_are_named(tmp_path):
    save_hf(make("llama"), tmp_path)
    path = tmp_path / "model.safetensors"
    good = load_file(path)
    bad = dict(good)
    del bad["model.layers.1.mlp.up_proj.weight"]
    bad["model.layers.0.mlp.spare.weight"] = torch.ones(2)
    bad["model.norm.weight"] = torch.ones(25)
    save_file(bad, path)
    with pytest.raises(ValueError) as error:
        load_hf(tmp_path)
    message = str(error.value)
    assert "1 missing: layers.1.mlp.up_proj.weight" in message
    assert "1 extra: layers.0.mlp.spare.weight" in message
    assert "1 mis-shaped: norm.weight is (25,), expected (24,)" in message


def test_tied_checkpoint_with_an_untied_config_is_refused(tmp_path):
    save_hf(make("llama", tied=True), tmp_path)
    path = tmp_path / "config.json"
    raw = json.loads(path.read_text("utf-8")) | {"tie_word_embeddings": False}
    path.write_text(json.dumps(raw), encoding="utf-8")
    with pytest.raises(ValueError, match=r"1 missing: lm_head\.weight"):
        load_hf(tmp_path)


def test_missing_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no config\.json"):
        load_hf(tmp_path)
    save_hf(make("gpt2"), tmp_path, max_shard_bytes=4000)
    next(tmp_path.glob("model-00002-*")).unlink()
    with pytest.raises(FileNotFoundError, match="lacks the shards model-00002"):
        load_hf(tmp_path)
    for path in tmp_path.glob("model*"):
        path.unlink()
    with pytest.raises(FileNotFoundError, match=r"neither model\.safetensors nor"):
        load_hf(tmp_path)


GOOD = to_hf_config(TransformerConfig.of("llama", **SIZES))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "t5"}, "unknown architecture 't5': known are gpt2, llama"),
        ({"model_type": None}, "unknown architecture None"),
        ({"hidden_act": "relu"}, "hidden_act='relu' is not built here"),
        ({"attention_bias": True}, "attention_bias=True is not built here"),
        ({"rope_scaling": {"rope_type": "longrope", "factor": 2.0}}, "longrope"),
        ({"rope_parameters": {"partial_rotary_factor": 0.5}}, "partial_rotary_factor"),
    ],
)
def test_settings_that_are_not_built_are_refused(change, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        Transformer(from_hf_config(GOOD | change))


def test_lacking_key_is_named():
    raw = {k: v for k, v in GOOD.items() if k != "hidden_size"}
    with pytest.raises(ValueError, match="llama lacks the key 'hidden_size'"):
        from_hf_config(raw)


@pytest.mark.parametrize(
    "config",
    [
        TransformerConfig.of("encoder-decoder", **SIZES, encoder_layers=1),
        TransformerConfig.of("gpt2", **SIZES, norm="rmsnorm"),
        TransformerConfig.of("llama", **SIZES, bias=True),
        TransformerConfig.of("gpt2", **SIZES, num_kv_heads=2),
    ],
)
def test_a_model_without_a_name_there_is_not_saved(config, tmp_path):
    with pytest.raises(ValueError, match="no Hugging Face architecture"):
        save_hf(Transformer(config), tmp_path)
    assert not list(tmp_path.iterdir())
