"""Parts against their references: encoder-decoder, experts, RoPE, masks, padding, cache."""

import math

import pytest
import torch
from torch import nn
from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

from utils.models.attention import Mask, attend, make_mask
from utils.models.block import Block, Step
from utils.models.cache import KVCache
from utils.models.config import FAMILIES, TransformerConfig
from utils.models.embedding import check_ids, sinusoids
from utils.models.feedforward import load_balancing_loss
from utils.models.rope import Rotary, inverse_frequencies, rotate
from utils.models.transformer import Transformer

SIZES = {"vocab_size": 31, "context_length": 32, "d_model": 24, "num_layers": 2, "num_heads": 4}
DECODERS = [name for name in FAMILIES if name not in ("bert", "encoder-decoder")]


def make(family="gpt2", seed=0, **more):
    torch.manual_seed(seed)
    if family == "encoder-decoder":
        more = {"encoder_layers": 2} | more
    model = Transformer(TransformerConfig.of(family, **(SIZES | more)))
    for parameter in model.parameters():
        parameter.data.add_(torch.randn_like(parameter), alpha=0.1)
    return model.eval()


def tokens(*shape, seed=1):
    return torch.randint(31, shape, generator=torch.Generator().manual_seed(seed))


def copy_attention(ours, theirs, qkv=None):
    theirs.in_proj_weight.data.copy_(qkv[0] if qkv else ours.qkv.weight)
    theirs.in_proj_bias.data.copy_(qkv[1] if qkv else ours.qkv.bias)
    theirs.out_proj.load_state_dict(ours.out.state_dict())


def copy_block(ours, theirs):
    copy_attention(ours.attention, theirs.self_attn)
    theirs.norm1.load_state_dict(ours.norm1.state_dict())
    theirs.linear1.load_state_dict(ours.feedforward.up.state_dict())
    theirs.linear2.load_state_dict(ours.feedforward.down.state_dict())
    if ours.cross is None:
        theirs.norm2.load_state_dict(ours.norm2.state_dict())
        return
    cross = ours.cross
    qkv = torch.cat((cross.q.weight, cross.kv.weight)), torch.cat((cross.q.bias, cross.kv.bias))
    copy_attention(cross, theirs.multihead_attn, qkv)
    theirs.norm2.load_state_dict(ours.norm_cross.state_dict())
    theirs.norm3.load_state_dict(ours.norm2.state_dict())


@pytest.mark.parametrize("norm_position", ["pre", "post"])
@torch.no_grad()
def test_encoder_decoder_equals_torch(norm_position):
    ours = make("encoder-decoder", norm_position=norm_position, d_ff=40)
    pre = norm_position == "pre"
    theirs = nn.Transformer(
        24, 4, 2, 2, 40, dropout=0.0, activation="relu", batch_first=True, norm_first=pre
    ).eval()
    pairs = [(ours.encoder, theirs.encoder.layers), (ours.blocks, theirs.decoder.layers)]
    for mine, other in pairs:
        for a, b in zip(mine, other, strict=True):
            copy_block(a, b)
    theirs.encoder.norm = ours.encoder_norm  # None after a post-norm block, as in the paper
    theirs.decoder.norm = ours.norm
    source, target = tokens(3, 9), tokens(3, 7, seed=2)
    mask = torch.tensor([[i < n for i in range(9)] for n in (9, 5, 1)])

    def embedded(ids):
        table = sinusoids(torch.arange(ids.shape[1]), 24, torch.float32)
        return ours.embedding.tokens(ids) * math.sqrt(24) + table

    out = theirs(
        embedded(source),
        embedded(target),
        tgt_mask=nn.Transformer.generate_square_subsequent_mask(7),
        src_key_padding_mask=~mask,
        memory_key_padding_mask=~mask,
        tgt_is_causal=True,
    )
    expected = out @ ours.embedding.tokens.weight.T
    logits = ours(target, source=source, source_mask=mask)
    torch.testing.assert_close(logits, expected, atol=2e-5, rtol=1e-5)
    memory = ours.encode(source, mask)
    assert torch.equal(ours(target, memory=memory, source_mask=mask), logits)
    cache = KVCache(ours.config, 3)
    steps = [ours(target[:, :2], memory=memory, source_mask=mask, cache=cache)]
    steps += [ours(target[:, i : i + 1], source_mask=mask, cache=cache) for i in range(2, 7)]
    torch.testing.assert_close(torch.cat(steps, 1), logits, atol=1e-5, rtol=0)


def test_sinusoids_are_the_papers():
    table = sinusoids(torch.arange(50), 10, torch.float32)
    for position in (0, 1, 17, 49):
        for i in range(5):
            angle = position / 10_000 ** (2 * i / 10)
            assert table[position, 2 * i] == pytest.approx(math.sin(angle), abs=1e-5)
            assert table[position, 2 * i + 1] == pytest.approx(math.cos(angle), abs=1e-5)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_load_balancing_loss_equals_transformers(k):
    logits = [torch.randn(12, 5) * 3 for _ in range(4)]
    real = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]])
    for mask in (None, real):
        expected = load_balancing_loss_func(tuple(logits), 5, k, mask)
        ours = load_balancing_loss(logits, k, None if mask is None else mask.bool())
        torch.testing.assert_close(ours, expected)


def test_load_balancing_loss_at_its_ends():
    even = torch.full((6, 3), -9.0)
    even[torch.arange(6), torch.arange(6) % 3] = 9.0
    one = torch.full((6, 3), -9.0)
    one[:, 1] = 9.0
    assert load_balancing_loss([even], 1).item() == pytest.approx(1.0, abs=1e-5)
    assert load_balancing_loss([one], 1).item() == pytest.approx(3.0, abs=1e-5)


def test_balance_loss_counts_in_training_only():
    model = make("mixtral", balance_weight=0.5)
    x = tokens(2, 9)
    plain = model(x, x)
    balance = load_balancing_loss(model.router_logits(x), 2)
    model.train()
    torch.testing.assert_close(model(x, x), plain + 0.5 * balance)
    model(x, x).backward()
    assert model.blocks[0].feedforward.router.weight.grad.abs().sum() > 0


def test_experts_of_one_kind_equal_the_dense_layer():
    """With equal experts the weights, which sum to one, cannot matter."""
    moe = make("mixtral", num_experts=4).blocks[0].feedforward
    moe.gate_up.data[:] = moe.gate_up.data[:1]
    moe.down.data[:] = moe.down.data[:1]
    x = torch.randn(2, 5, 24)
    gate, up = (x @ moe.gate_up[0].T).chunk(2, -1)
    torch.testing.assert_close(moe(x)[0], nn.functional.silu(gate) * up @ moe.down[0].T)


def test_rope_turns_by_distance_only():
    config = TransformerConfig.of("llama", **SIZES)
    q, k = torch.randn(1, 1, 1, 6), torch.randn(1, 1, 1, 6)

    def score(i, j):
        turn = Rotary(config)
        cos_sin = [turn(torch.tensor([p]), torch.float32) for p in (i, j)]
        return (rotate(q, *cos_sin[0]) * rotate(k, *cos_sin[1])).sum()

    torch.testing.assert_close(score(3, 1), score(20, 18), atol=1e-5, rtol=1e-5)
    assert (score(3, 1) - score(3, 2)).abs() > 1e-3


def test_linear_scaling_is_position_interpolation():
    scaled, _ = inverse_frequencies(8, scaling={"rope_type": "linear", "factor": 4.0})
    plain, _ = inverse_frequencies(8)
    torch.testing.assert_close(scaled * 40, plain * 10)


@pytest.mark.parametrize("family", [*DECODERS, "encoder-decoder"])
@torch.no_grad()
def test_the_future_cannot_be_seen(family):
    model, x = make(family), tokens(2, 12)
    source = {"source": tokens(2, 5, seed=3)} if family == "encoder-decoder" else {}
    changed = x.clone()
    changed[:, 7] = (changed[:, 7] + 1) % 31
    a, b = model(x, **source), model(changed, **source)
    torch.testing.assert_close(a[:, :7], b[:, :7], atol=1e-6, rtol=0)
    assert (a[:, 7:] - b[:, 7:]).abs().max() > 1e-3


@torch.no_grad()
def test_sliding_window_reaches_as_far_as_it_should():
    model, x = make("mistral", sliding_window=3, num_layers=1), tokens(1, 12)
    changed = x.clone()
    changed[:, 4] = (changed[:, 4] + 1) % 31
    moved = (model(x) - model(changed)).abs().amax(-1)[0] > 1e-4
    assert moved.tolist() == [4 <= i < 7 for i in range(12)]


def test_rows_without_a_key_are_zero_and_have_finite_gradients():
    q, k, v = (torch.randn(2, 4, 5, 6, requires_grad=True) for _ in range(3))
    real = torch.tensor([[False] * 5, [True, True, False, False, False]])
    mask = make_mask(5, 5, causal=True, real_BS=real)
    out = attend(q, k, v, mask, 0.0)
    assert torch.equal(out[0], torch.zeros_like(out[0]))
    assert out[1].abs().min() > 0
    out.square().sum().backward()
    for x in (q, k, v):
        assert x.grad.isfinite().all() and (x.grad[0] == 0).all() and x.grad[1].abs().sum() > 0


def test_a_row_of_padding_only_gives_no_nan():
    for family in (*DECODERS, "bert"):
        model, x = make(family), tokens(2, 6)
        mask = torch.tensor([[1] * 6, [0] * 6])
        model(x, attention_mask=mask).sum().backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is None or parameter.grad.isfinite().all(), name


def test_attention_equals_the_formula():
    q, k, v = torch.randn(2, 6, 7, 8), torch.randn(2, 2, 7, 8), torch.randn(2, 2, 7, 8)
    scores = q @ k.repeat_interleave(3, 1).mT / math.sqrt(8)
    scores = scores.masked_fill(~torch.ones(7, 7).tril().bool(), -math.inf)
    expected = scores.softmax(-1) @ v.repeat_interleave(3, 1)
    torch.testing.assert_close(attend(q, k, v, Mask(causal=True), 0.0), expected)
    last = attend(q[:, :, -1:], k, v, Mask(), 0.0)
    torch.testing.assert_close(last, expected[:, :, -1:])


@pytest.mark.parametrize("family", [*DECODERS, "bert"])
def test_block_gradients_in_float64(family):
    torch.manual_seed(0)
    small = {"vocab_size": 5, "context_length": 8, "d_model": 8, "num_layers": 1, "num_heads": 2}
    more = {"sliding_window": 2} if family == "mistral" else {}
    more |= {"num_experts": 3} if family == "mixtral" else {}
    config = TransformerConfig.of(family, **small, num_kv_heads=1, d_ff=6, **more)
    block = Block(config, 0).double()
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.5)
    rotary = Rotary(config) if config.positions == "rope" else None
    rotation = rotary(torch.arange(4), torch.float64) if rotary else None
    mask = make_mask(4, 4, causal=config.causal, window=config.window_of(0))
    names, values = zip(*block.named_parameters(), strict=True)

    def run(x, *parameters):
        step = Step({block.window: mask}, rotation)
        return torch.func.functional_call(
            block, dict(zip(names, parameters, strict=True)), (x, step)
        )

    x = torch.randn(2, 4, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(run, (x, *values))


def test_cross_block_and_masked_head_gradients_in_float64():
    torch.manual_seed(0)
    small = {"vocab_size": 5, "context_length": 8, "d_model": 6, "num_layers": 1, "num_heads": 2}
    both = Transformer(
        TransformerConfig.of("encoder-decoder", **small, encoder_layers=1, d_ff=5)
    ).double()
    bert = Transformer(TransformerConfig.of("bert", **small, d_ff=5)).double()
    ids = torch.tensor([[0, 3, 2], [4, 1, 1]])
    for model, call in ((both, {"source": ids.flip(1)}), (bert, {"token_types": ids % 2})):
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.5)
        names, values = zip(*model.named_parameters(), strict=True)

        def run(*parameters, model=model, call=call, names=names):
            given = dict(zip(names, parameters, strict=True))
            return torch.func.functional_call(model, given, (ids,), call)

        assert torch.autograd.gradcheck(run, values)


# Bounds on the largest deviation of a logit, in units of the logits' standard deviation. A
# rounding error is 2^-9 (bfloat16) or 2^-12 (float16) of a value; some dozen of them add up.
@pytest.mark.parametrize(("dtype", "bound"), [(torch.bfloat16, 0.12), (torch.float16, 0.015)])
@pytest.mark.parametrize("family", [*DECODERS, "bert"])
@torch.no_grad()
def test_half_precision_stays_within_bounds(family, dtype, bound):
    model, x = make(family, d_model=48, num_layers=3), tokens(4, 16)
    if family == "mixtral":  # a router's choice is not continuous: let all experts work
        model = make(family, d_model=48, num_layers=3, num_experts=2)
    exact = model(x)
    half = model.to(dtype)(x)
    assert half.dtype == dtype
    error = (half.float() - exact).abs().max() / exact.std()
    assert 0 < error < bound


def test_autocast_on_a_cpu_keeps_attention_in_float32(monkeypatch):
    seen = []
    original = nn.functional.scaled_dot_product_attention

    def spy(q, *args, **kwargs):
        seen.append(q.dtype)
        return original(q, *args, **kwargs)

    monkeypatch.setattr(nn.functional, "scaled_dot_product_attention", spy)
    model, x = make(), tokens(2, 9)
    exact = model(x, x)
    with torch.autocast("cpu", torch.bfloat16):
        loss = model(x, x)
    assert set(seen) == {torch.float32}
    assert loss.item() == pytest.approx(exact.item(), abs=0.02)
    loss.backward()
    assert all(p.grad.dtype == torch.float32 for p in model.parameters())


def test_extreme_logits_give_a_finite_loss():
    model, x = make(), tokens(2, 9)
    model.embedding.tokens.weight.data.mul_(1e4)
    assert model(x, x).isfinite()


def test_ignored_targets_do_not_count():
    model, x = make(), tokens(2, 9)
    targets = x.clone()
    targets[:, 4:] = -100
    expected = nn.functional.cross_entropy(model(x)[:, :4].flatten(0, 1), x[:, :4].flatten())
    torch.testing.assert_close(model(x, targets), expected)


@torch.no_grad()
def test_cache_truncates_and_reorders():
    model, x = make("llama", num_kv_heads=2), tokens(3, 10)
    full, cache = model(x), KVCache(model.config, 3)
    model(x[:, :8], cache=cache)
    cache.truncate(5)
    torch.testing.assert_close(model(x[:, 5:7], cache=cache), full[:, 5:7], atol=1e-5, rtol=0)
    rows = torch.tensor([2, 0, 0])
    cache.reorder(rows)
    out = model(x[rows, 7:], cache=cache)
    torch.testing.assert_close(out, full[rows, 7:], atol=1e-5, rtol=0)


@torch.no_grad()
def test_last_only_and_explicit_positions():
    model, x = make("llama"), tokens(2, 6)
    torch.testing.assert_close(model(x, last_only=True), model(x)[:, -1:], atol=1e-6, rtol=0)
    shifted = model(x, positions=torch.arange(6) + 9)  # RoPE knows distances only
    torch.testing.assert_close(shifted, model(x), atol=1e-4, rtol=0)


def test_start_is_gpt2s():
    torch.manual_seed(0)
    model = Transformer(TransformerConfig.of("gpt2", **(SIZES | {"d_model": 128})))
    assert model.blocks[0].attention.qkv.weight.std().item() == pytest.approx(0.02, rel=0.02)
    out = model.blocks[1].feedforward.down.weight.std().item()
    assert out == pytest.approx(0.02 / 2, rel=0.02)
    assert (model.blocks[0].norm1.weight == 1).all() and (model.norm.bias == 0).all()
    x = tokens(4, 32)
    assert model(x, x.flip(0)).item() == pytest.approx(math.log(31), abs=0.15)


def test_dropout_works_in_training_only():
    model, x = make(dropout=0.5), tokens(2, 6)
    assert torch.equal(model(x), model(x))
    model.train()
    assert not torch.equal(model(x), model(x))


BAD_CALLS = [
    (lambda m: m(torch.zeros(5, dtype=torch.long)), ValueError, r"shape \(batch, sequence\)"),
    (lambda m: m([[1, 2]]), ValueError, "got list"),
    (lambda m: m(torch.zeros(2, 0, dtype=torch.long)), ValueError, r"got \(2, 0\)"),
    (lambda m: m(torch.zeros(2, 5)), TypeError, "token ids, got torch.float32"),
    (lambda m: m(tokens(1, 33)), ValueError, "33 positions, the model takes 32"),
    (lambda m: m(torch.tensor([[1, 31]])), ValueError, r"0 … 30, got 1 … 31"),
    (lambda m: m(torch.tensor([[-1, 3]])), ValueError, r"0 … 30, got -1 … 3"),
    (lambda m: m(tokens(2, 5), tokens(2, 5) + 30), ValueError, r"targets must lie in 0 … 30, or"),
    (lambda m: m(tokens(2, 5), tokens(2, 5) - 31), ValueError, r"be -100 not to count"),
    (lambda m: m(tokens(2, 5), tokens(2, 4)), ValueError, "targets must have the tokens' shape"),
    (lambda m: m(tokens(2, 5), attention_mask=torch.ones(2, 4)), ValueError, "mask of tokens"),
    (lambda m: m(tokens(1, 2), positions=torch.tensor([0, 32])), ValueError, "0 … 31"),
    (lambda m: m.encode(tokens(1, 2)), ValueError, "no encoder"),
    (lambda m: m.pooled(torch.ones(1, 2, 24)), ValueError, "no pooler"),
    (lambda m: m(tokens(1, 2), cache=KVCache(m.config, 1)), ValueError, "no gradient"),
    (lambda m: KVCache(m.config, 1, 33), ValueError, "1 to 32 slots"),
    (lambda m: KVCache(m.config, 0), ValueError, "at least one row"),
    (lambda m: m(tokens(1, 2), cache=KVCache(m.config, 2)), ValueError, "has 2 rows, the tokens 1"),
    (lambda m: m(tokens(1, 4), cache=KVCache(m.config, 1, 3)), ValueError, "0 of 3 slots, 4 more"),
    (lambda m: KVCache(m.config, 1).truncate(1), ValueError, "cannot truncate to 1"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD_CALLS)
def test_bad_calls(call, error, message):
    with pytest.raises(error, match=message):
        call(make())


def test_bad_calls_of_other_kinds():
    both, x = make("encoder-decoder"), tokens(2, 5)
    with pytest.raises(ValueError, match="either source or memory"):
        both(x)
    with pytest.raises(ValueError, match="source has 1 rows, tokens have 2"):
        both(x, source=x[:1])
    with pytest.raises(ValueError, match="source_mask covers 4 of 5"):
        both(x, memory=both.encode(x), source_mask=torch.ones(2, 4))
    with pytest.raises(ValueError, match="needs a causal model"):
        make("bert")(x, cache=KVCache(make("bert").config, 2))
    with pytest.raises(ValueError, match="0 … 30"):
        check_ids(torch.tensor([31]), 31)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"d_model": 0}, "d_model must be a whole number"),
        ({"num_layers": 1.5}, "num_layers must be a whole number"),
        ({"num_heads": 5}, "24 is not a multiple of num_heads 5"),
        ({"num_kv_heads": 3}, "not a multiple of num_kv_heads 3"),
        ({"activation": "tanh"}, "activation must be one of gelu_tanh"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\)"),
        ({"positions": "rope", "head_dim": 5}, "head_dim 5 must be even"),
        ({"rope_scaling": {}}, "needs positions='rope'"),
        ({"sliding_window": 0}, "sliding_window must be at least 1"),
        ({"sliding_window": 4, "causal": False}, "needs causal=True"),
        ({"num_experts": 4}, "experts need activation='swiglu'"),
        ({"num_experts": 1, "activation": "swiglu"}, "exceeds num_experts 1"),
        ({"encoder_layers": -1}, "must not be negative"),
    ],
)
def test_bad_configs(change, message):
    with pytest.raises(ValueError, match=message):
        TransformerConfig(**(SIZES | change))


def test_unknown_family_and_field():
    with pytest.raises(ValueError, match=r"unknown architecture 'gpt9': known are gpt2, llama"):
        TransformerConfig.of("gpt9", **SIZES)
    with pytest.raises(TypeError, match=r"unknown fields \['width'\]"):
        TransformerConfig.of("gpt2", **SIZES, width=3)


@pytest.mark.parametrize(
    ("scaling", "message"),
    [
        ({"rope_type": "su"}, "unknown RoPE scaling 'su'"),
        ({"rope_type": "linear"}, "needs the key 'factor'"),
        ({"rope_type": "llama3", "factor": 2.0}, "needs the key 'low_freq_factor'"),
    ],
)
def test_bad_rope_scaling_is_refused_when_the_model_is_built(scaling, message):
    with pytest.raises(ValueError, match=message):
        make("llama", rope_scaling=scaling)
