"""The decoding loop equals the module, and gives way where the module was changed."""

import pytest
import torch

from utils.generate import generate
from utils.models.cache import KVCache
from utils.models.config import TransformerConfig
from utils.models.decode import Decoder, is_plain
from utils.models.transformer import Transformer
from utils.sampling import GREEDY

SIZES = {"vocab_size": 31, "context_length": 32, "d_model": 24, "num_layers": 2, "num_heads": 4}
CASES = {
    "gpt2": ("gpt2", {}),
    "gpt2 without biases": ("gpt2", {"bias": False, "activation": "gelu"}),
    "gpt2 untied": ("gpt2", {"tied": False, "activation": "relu"}),
    "no positions": ("gpt2", {"positions": "none", "num_kv_heads": 2}),
    "llama": ("llama", {"num_kv_heads": 2}),
    "llama, one key head": ("llama", {"num_kv_heads": 1, "head_dim": 8}),
    "qwen2": ("qwen2", {"num_kv_heads": 2}),
    "mistral": ("mistral", {"sliding_window": 9}),
    "dynamic": ("llama", {"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}),
}


def make(family="gpt2", **more):
    torch.manual_seed(0)
    model = Transformer(TransformerConfig.of(family, **(SIZES | more)))
    for parameter in model.parameters():
        parameter.data.add_(torch.randn_like(parameter), alpha=0.2)
    return model.eval()


@pytest.mark.parametrize("case", CASES)
@torch.inference_mode()
def test_decoder_equals_the_module(case):
    family, more = CASES[case]
    model = make(family, **more)
    tokens = torch.randint(31, (3, 9), generator=torch.Generator().manual_seed(1))
    decoder, fast, slow = Decoder(model), KVCache(model.config, 3), KVCache(model.config, 3)
    for cache in (fast, slow):
        model(tokens[:, :4], cache=cache)
    for i in range(4, 9):
        assert decoder.fits(fast)
        ours = decoder(tokens[:, i : i + 1], fast)
        expected = model(tokens[:, i : i + 1], cache=slow)[:, 0]
        torch.testing.assert_close(ours, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(fast.store_L2BKSD, slow.store_L2BKSD, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_a_full_window_and_padding_are_left_to_the_module():
    model = make("mistral", sliding_window=3)
    cache = KVCache(model.config, 1)
    model(torch.tensor([[1, 2]]), cache=cache)
    assert Decoder(model).fits(cache)
    model(torch.tensor([[1]]), cache=cache)
    assert not Decoder(model).fits(cache)
    cache = KVCache(model.config, 1)
    model(torch.tensor([[1, 2]]), attention_mask=torch.tensor([[0, 1]]), cache=cache)
    assert not Decoder(model).fits(cache)


def test_what_is_not_plain_is_refused():
    for family, more in (("mixtral", {}), ("qwen3", {}), ("bert", {}), ("gpt2", {"pooler": True})):
        model = make(family, **more)
        assert not is_plain(model)
        with pytest.raises(ValueError, match="not a plain decoder"):
            Decoder(model)


def test_a_hook_and_a_replaced_layer_are_heard():
    model = make()
    before = generate(model, [[1, 2, 3]], 6, sampling=GREEDY)
    calls = []
    hook = model.blocks[0].attention.qkv.register_forward_hook(lambda *_: calls.append(1))
    assert generate(model, [[1, 2, 3]], 6, sampling=GREEDY) == before
    assert len(calls) == 6
    hook.remove()

    class Silent(torch.nn.Linear):
        def forward(self, x):
            return super().forward(x) * 0

    assert is_plain(model)
    layer = model.blocks[0].feedforward.down
    model.blocks[0].feedforward.down = Silent(layer.in_features, layer.out_features)
    assert not is_plain(model)
    generate(model, [[1, 2, 3]], 6, sampling=GREEDY)


@torch.inference_mode()
def test_a_full_cache_is_refused():
    model = make()
    cache = KVCache(model.config, 1, max_length=2)
    model(torch.tensor([[1, 2]]), cache=cache)
    with pytest.raises(ValueError, match="2 of 2 slots, 1 more"):
        Decoder(model)(torch.tensor([[1]]), cache)
