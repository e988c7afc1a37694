"""Logits equal transformers' with the same random weights, to 1e-5 in float32."""

import pytest
import torch
import transformers

from utils.models.cache import KVCache
from utils.models.hf import load_hf, save_hf

COMMON = {
    "vocab_size": 97,
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "intermediate_size": 80,
    "max_position_embeddings": 64,
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
}
ROPE = {
    "linear": {"rope_type": "linear", "factor": 4.0},
    "dynamic": {"rope_type": "dynamic", "factor": 4.0},
    "yarn": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16},
    "yarn-more": {
        "rope_type": "yarn",
        "factor": 8.0,
        "original_max_position_embeddings": 8,
        "beta_fast": 4.0,
        "beta_slow": 0.5,
        "mscale": 1.0,
        "mscale_all_dim": 0.5,
        "truncate": False,
    },
    "llama3": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 16,
    },
}


def _gated(family, **more):
    make_config = getattr(transformers, f"{family}Config")
    config = make_config(**(COMMON | more))
    return getattr(transformers, f"{family}ForCausalLM")(config)


def _gpt2(**more):
    sizes = {"vocab_size": 97, "n_positions": 64, "n_embd": 48, "n_layer": 3, "n_head": 6}
    ids = {"bos_token_id": None, "eos_token_id": None}
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(**(sizes | ids | more)))


def _rope(kind):
    return {"rope_parameters": ROPE[kind] | {"rope_theta": 1000.0}}


DECODERS = {
    "gpt2": lambda: _gpt2(),
    "gpt2-one-head-untied": lambda: _gpt2(n_head=1, n_inner=40, tie_word_embeddings=False),
    "gpt2-exact-gelu": lambda: _gpt2(activation_function="gelu", n_layer=1),
    "llama": lambda: _gated("Llama"),
    "llama-grouped": lambda: _gated("Llama", num_key_value_heads=2),
    "llama-multi-query-tied": lambda: _gated(
        "Llama", num_key_value_heads=1, tie_word_embeddings=True
    ),
    "llama-wide-heads": lambda: _gated("Llama", head_dim=16, num_key_value_heads=3),
    **{f"llama-{k}": lambda k=k: _gated("Llama", num_key_value_heads=2, **_rope(k)) for k in ROPE},
    "qwen2": lambda: _gated("Qwen2", num_key_value_heads=2),
    "qwen2-window": lambda: _gated(
        "Qwen2",
        num_key_value_heads=6,
        use_sliding_window=True,
        sliding_window=4,
        max_window_layers=1,
    ),
    "qwen3": lambda: _gated("Qwen3", num_key_value_heads=2, head_dim=16),
    "mistral": lambda: _gated("Mistral", num_key_value_heads=2, sliding_window=5),
    "mistral-wide": lambda: _gated("Mistral", num_key_value_heads=2, sliding_window=64),
    "mixtral": lambda: _gated("Mixtral", num_key_value_heads=2, num_local_experts=5),
    "mixtral-top-1-window": lambda: _gated(
        "Mixtral",
        num_key_value_heads=6,
        num_local_experts=3,
        num_experts_per_tok=1,
        sliding_window=4,
    ),
}


def _shake(model, seed=0):
    """Random weights far from the initialization, so that biases and norms matter too."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.data.add_(noise, alpha=0.1)
    return model.eval()


def _pair(make, tmp_path, **changes):
    theirs = _shake(make())
    theirs.save_pretrained(tmp_path)
    return theirs, load_hf(tmp_path, **changes)


def _tokens(*shape, seed=1):
    return torch.randint(97, shape, generator=torch.Generator().manual_seed(seed))


def _close(ours, theirs):
    assert theirs.abs().max() > 0.5  # not a comparison of zeros
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0.0)


@pytest.fixture(params=DECODERS)
def decoders(request, tmp_path):
    with torch.inference_mode():
        yield _pair(DECODERS[request.param], tmp_path)


def test_logits_for_several_shapes(decoders):
    theirs, ours = decoders
    for shape in ((1, 1), (2, 17), (3, 64)):
        tokens = _tokens(*shape)
        _close(ours(tokens), theirs(tokens).logits)


def test_logits_with_padding_on_either_side(decoders):
    theirs, ours = decoders
    tokens = _tokens(3, 14)
    for rows in ([range(14), range(5, 14), range(9, 14)], [range(14), range(6), range(1)]):
        mask = torch.zeros(3, 14, dtype=torch.long)
        for row, real in enumerate(rows):
            mask[row, list(real)] = 1
        positions = (mask.cumsum(-1) - 1).clamp_min(0)
        expected = theirs(tokens, attention_mask=mask, position_ids=positions).logits
        logits = ours(tokens, attention_mask=mask)
        assert logits.isfinite().all()
        _close(logits[mask.bool()], expected[mask.bool()])


def test_cached_equals_uncached_and_transformers(decoders):
    theirs, ours = decoders
    tokens = _tokens(2, 40)
    cache = KVCache(ours.config, batch_size=2)
    pieces = [ours(tokens[:, :7], cache=cache)]
    pieces += [ours(tokens[:, i : i + 1], cache=cache) for i in range(7, 20)]
    pieces += [ours(tokens[:, 20:], cache=cache)]
    _close(torch.cat(pieces, 1), theirs(tokens).logits)
    assert cache.length == 40


def test_cached_with_left_padding_equals_each_row_alone(decoders):
    _, ours = decoders
    tokens, lengths = _tokens(3, 12), [12, 7, 2]
    mask = torch.tensor([[i >= 12 - n for i in range(12)] for n in lengths])
    cache = KVCache(ours.config, 3, max_length=20)
    prompt = ours(tokens, attention_mask=mask, cache=cache, last_only=True)
    new = _tokens(3, 6, seed=2)
    steps = [prompt] + [ours(new[:, i : i + 1], cache=cache) for i in range(6)]
    for row, length in enumerate(lengths):
        alone = ours(torch.cat((tokens[row, 12 - length :], new[row]))[None])
        _close(torch.cat(steps, 1)[row], alone[0, length - 1 :])


def test_cached_rows_of_different_position_equal_each_row_alone(decoders):
    """Right padding: after the prompts, the rows go on at positions of their own."""
    _, ours = decoders
    tokens, lengths = _tokens(3, 12), [12, 7, 2]
    mask = torch.tensor([[i < n for i in range(12)] for n in lengths])
    cache = KVCache(ours.config, 3, max_length=20)
    ours(tokens, attention_mask=mask, cache=cache)
    new = _tokens(3, 6, seed=2)
    steps = [ours(new[:, :3], cache=cache), ours(new[:, 3:], cache=cache)]
    for row, length in enumerate(lengths):
        alone = ours(torch.cat((tokens[row, :length], new[row]))[None])
        _close(torch.cat(steps, 1)[row], alone[0, length:])


def test_saved_weights_load_in_transformers(decoders, tmp_path):
    theirs, ours = decoders
    save_hf(ours, tmp_path / "ours")
    auto = transformers.AutoModelForCausalLM  # the class that our config.json asks for
    again, report = auto.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"], report
    for (name, a), b in zip(theirs.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    tokens = _tokens(2, 40)
    _close(again.eval()(tokens).logits, theirs(tokens).logits)


def test_dynamic_scaling_beyond_the_trained_context(tmp_path):
    with torch.inference_mode():
        theirs, ours = _pair(DECODERS["llama-dynamic"], tmp_path)
        for length in (65, 130, 256, 40):
            tokens = _tokens(1, length)
            _close(ours(tokens), theirs(tokens).logits)


BERT = {
    "vocab_size": 97,
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "intermediate_size": 80,
    "max_position_embeddings": 64,
}


@pytest.mark.parametrize("kind", ["BertForMaskedLM", "BertModel", "BertForPreTraining"])
@torch.inference_mode()
def test_bert(kind, tmp_path):
    make = getattr(transformers, kind)
    theirs, ours = _pair(lambda: make(transformers.BertConfig(**BERT)), tmp_path)
    tokens, types = _tokens(3, 14), _tokens(3, 14) % 2
    mask = torch.tensor([[i < n for i in range(14)] for n in (14, 6, 1)])
    for given in (None, mask):
        expected = theirs(tokens, attention_mask=given, token_type_ids=types)
        real = (mask if given is not None else torch.ones_like(mask)).bool()
        out = ours(tokens, attention_mask=given, token_types=types)
        assert out.isfinite().all()
        if kind == "BertModel":
            _close(out[real], expected.last_hidden_state[real])
            _close(ours.pooled(out), expected.pooler_output)
        else:
            logits = expected.logits if kind == "BertForMaskedLM" else expected.prediction_logits
            _close(out[real], logits[real])
    if kind != "BertForPreTraining":  # ours has no next-sentence head to give back
        save_hf(ours, tmp_path / "ours")
        again, report = make.from_pretrained(tmp_path / "ours", output_loading_info=True)
        assert not report["missing_keys"] and not report["unexpected_keys"], report
        for name, value in theirs.state_dict().items():
            assert torch.equal(value, again.state_dict()[name]), name


def test_bert_without_its_head(tmp_path):
    theirs = _shake(transformers.BertForMaskedLM(transformers.BertConfig(**BERT)))
    theirs.save_pretrained(tmp_path)
    ours, tokens = load_hf(tmp_path, head="none"), _tokens(2, 9)
    with torch.inference_mode():
        _close(ours(tokens), theirs.bert(tokens).last_hidden_state)


def test_gradients_equal(tmp_path):
    theirs, ours = _pair(DECODERS["mixtral"], tmp_path)
    tokens = _tokens(2, 16)
    ours(tokens, tokens).backward()
    logits = theirs(tokens).logits
    torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens.flatten()).backward()
    q, k, v = (getattr(theirs.model.layers[1].self_attn, f"{x}_proj").weight.grad for x in "qkv")
    torch.testing.assert_close(ours.blocks[1].attention.qkv.weight.grad, torch.cat((q, k, v)))
    theirs_down = theirs.model.layers[2].mlp.experts.down_proj.grad
    torch.testing.assert_close(ours.blocks[2].feedforward.down.grad, theirs_down)
