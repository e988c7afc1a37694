"""Gradients in float64, half precisions within bounds, extreme inputs, rows without a key.

Bounds of the half precisions are errors relative to the largest value of the exact result. One
rounding is 2^-9 = 0.002 (bfloat16) or 2^-12 = 0.00024 (float16); a block rounds its inputs, its
weights and a handful of results in turn, so 8 roundings are allowed forward, 16 backward.
"""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import gradcheck

from utils.models.attention import CrossAttention, Mask, SelfAttention, attend, make_mask
from utils.models.config import TransformerConfig
from utils.models.embedding import make_norm, sinusoids
from utils.models.feedforward import FeedForward, MixtureOfExperts, SwiGLU, load_balancing_loss
from utils.models.rope import Rotary, rotate
from utils.models.transformer import Transformer
from utils.objectives import accuracy_and_loss, cross_entropy
from utils.sampling import Sampling, probabilities

ROUNDING = {torch.bfloat16: 2.0**-9, torch.float16: 2.0**-12}
SIZES = {"vocab_size": 7, "context_length": 8, "d_model": 8, "num_layers": 1, "num_heads": 4}
B, T = 2, 4
REAL = torch.tensor([[False, False, True, True], [True, True, True, False]])
EMPTY = torch.tensor([[False] * 4, [True] * 4])
DOCUMENTS = torch.tensor([[0, 0, 1, 1], [0, 1, 1, 2]])

MASKS = {
    "none": make_mask(T, T, causal=False),
    "causal": make_mask(T, T, causal=True),
    "window": make_mask(T, T, causal=True, window=2),
    "padding": make_mask(T, T, causal=True, real_BS=REAL),
    "padding, not causal": make_mask(T, T, causal=False, real_BS=REAL),
    "padding and window": make_mask(T, T, causal=True, window=2, real_BS=REAL),
    "a row without keys": make_mask(T, T, causal=True, real_BS=EMPTY),
    "documents": make_mask(T, T, causal=True, document_BS=DOCUMENTS),
    "documents and window": make_mask(T, T, causal=True, window=2, document_BS=DOCUMENTS),
}


def config(**more):
    return TransformerConfig.of("llama", **(SIZES | {"num_kv_heads": 2} | more))


def filled(module, seed=0):
    """The module in float64 with no weight near its start value."""
    generator = torch.Generator().manual_seed(seed)
    module = module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
    return module


def inputs(*shape, seed=1, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
    return x.requires_grad_()


def check(module, call, *given):
    """Gradients of the inputs and of all weights against finite differences."""
    names, values = zip(*module.named_parameters(), strict=True)

    def run(*tensors):
        weights = dict(zip(names, tensors[len(given) :], strict=True))
        return torch.func.functional_call(module, weights, (tensors[: len(given)],), {})

    module.forward = lambda tensors: call(*tensors)
    assert gradcheck(run, (*given, *values))


@pytest.mark.parametrize("name", MASKS)
def test_attention_gradients_under_every_mask(name):
    q, k, v = inputs(B, 4, T, 2), inputs(B, 2, T, 2, seed=2), inputs(B, 2, T, 2, seed=3)
    assert gradcheck(lambda *qkv: attend(*qkv, MASKS[name], 0.0), (q, k, v))


@pytest.mark.parametrize(("heads", "kv_heads"), [(4, 4), (4, 2), (4, 1)])
@pytest.mark.parametrize("queries", [1, 4])
def test_grouped_query_gradients(heads, kv_heads, queries):
    q = inputs(B, heads, queries, 2)
    k, v = inputs(B, kv_heads, T, 2, seed=2), inputs(B, kv_heads, T, 2, seed=3)
    mask = make_mask(queries, T, causal=True)
    assert gradcheck(lambda *qkv: attend(*qkv, mask, 0.0), (q, k, v))


@pytest.mark.parametrize(
    "more", [{}, {"qk_norm": True}, {"qkv_bias": True}, {"positions": "none"}, {"head_dim": 4}]
)
def test_self_attention_gradients(more):
    made = config(**more)
    layer = filled(SelfAttention(made))
    rotation = None
    if made.positions == "rope":
        rotation = Rotary(made)(torch.arange(T), torch.float64)
    call = SelfAttention.forward
    check(layer, lambda x: call(layer, x, MASKS["padding"], rotation), inputs(B, T, 8))


def test_cross_attention_gradients():
    layer = filled(CrossAttention(config()))
    call = CrossAttention.forward
    check(
        layer,
        lambda x, memory: call(layer, x, layer.keys_values(memory), Mask()),
        inputs(B, T, 8),
        inputs(B, 3, 8, seed=2),
    )


@pytest.mark.parametrize("activation", ["gelu", "gelu_tanh", "relu"])
def test_feed_forward_gradients(activation):
    layer = filled(FeedForward(config(activation=activation, d_ff=5)))
    check(layer, lambda x: FeedForward.forward(layer, x), inputs(B, T, 8))


def test_swiglu_gradients():
    layer = filled(SwiGLU(config(d_ff=5)))
    check(layer, lambda x: SwiGLU.forward(layer, x), inputs(B, T, 8))


@pytest.mark.parametrize("k", [1, 2, 3])
def test_experts_gradients_where_the_choice_is_smooth(k):
    """The choice of experts jumps; between two jumps output and logits are smooth."""
    layer = filled(MixtureOfExperts(config(num_experts=3, experts_per_token=k, d_ff=4)))
    x = inputs(B, T, 8)
    ordered = (x.detach().flatten(0, 1) @ layer.router.weight.T).sort(-1).values
    assert ordered.diff(dim=-1).min() > 1e-3  # far from a jump, beside a step of 1e-6
    check(layer, lambda x: MixtureOfExperts.forward(layer, x), x)


@pytest.mark.parametrize("real", [None, REAL])
def test_load_balancing_gradients(real):
    logits = [inputs(B * T, 3, seed=seed) for seed in (1, 2)]
    assert gradcheck(lambda *given: load_balancing_loss(list(given), 2, real), logits)


@pytest.mark.parametrize("norm", ["layernorm", "rmsnorm"])
def test_norm_gradients(norm):
    layer = filled(make_norm(config(norm=norm, bias=True)))
    kind = type(layer)
    check(layer, lambda x: kind.forward(layer, x), inputs(B, T, 8))


SCALINGS = [
    None,
    {"rope_type": "linear", "factor": 2.0},
    {"rope_type": "dynamic", "factor": 2.0},
    {"rope_type": "yarn", "factor": 2.0},
    {
        "rope_type": "llama3",
        "factor": 2.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 4,
    },
]


@pytest.mark.parametrize("scaling", SCALINGS)
def test_rotation_gradients(scaling):
    rotation = Rotary(config(rope_scaling=scaling, head_dim=6))(torch.arange(T) + 3, torch.float64)
    assert gradcheck(lambda x: rotate(x, *rotation), inputs(B, T, 2, 6))


def test_sinusoids_add_no_gradient_and_are_exact():
    table = sinusoids(torch.arange(T), 6, torch.float64)
    assert not table.requires_grad
    assert table[1, 0].item() == pytest.approx(math.sin(1), abs=1e-6)


class Given(nn.Module):
    """Scores that do not depend on the input, as a model of the objectives."""

    def __init__(self, scores):
        super().__init__()
        self.scores = scores

    def forward(self, x):
        return self.scores


def test_cross_entropy_gradients():
    labels = torch.tensor([0, 2, 1])
    assert gradcheck(lambda s: cross_entropy(Given(s), (labels, labels)), inputs(3, 4))


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_language_model_loss_gradients(family):
    more = {"num_kv_heads": 2} if family == "llama" else {}
    model = filled(Transformer(TransformerConfig.of(family, **SIZES, **more, d_ff=4)))
    tokens, targets = torch.tensor([[0, 3, 2, 5]]), torch.tensor([[3, 2, -100, 1]])
    names, values = zip(*model.named_parameters(), strict=True)

    def run(*weights):
        given = dict(zip(names, weights, strict=True))
        return torch.func.functional_call(model, given, (tokens, targets))

    assert gradcheck(run, values)


def relative(found, exact):
    return ((found.double() - exact).abs().max() / exact.abs().max()).item()


def parts():
    """Every block, and how it is called."""
    rope = Rotary(config(d_model=32))

    def turned(x, layer):
        rotation = rope(torch.arange(x.shape[1]), x.dtype)
        return layer(x, MASKS["padding"], rotation)

    made = config(d_model=32)
    return {
        "attention": (SelfAttention(made), turned),
        "attention, qk norm": (SelfAttention(config(d_model=32, qk_norm=True)), turned),
        "feed-forward": (FeedForward(config(d_model=32, activation="gelu")), lambda x, m: m(x)),
        "SwiGLU": (SwiGLU(made), lambda x, m: m(x)),
        "LayerNorm": (nn.LayerNorm(32), lambda x, m: m(x)),
        "RMSNorm": (nn.RMSNorm(32, eps=1e-6), lambda x, m: m(x)),
    }


@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize("name", parts())
def test_half_precisions_stay_within_roundings(name, dtype):
    layer, call = parts()[name]
    layer = filled(layer)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(2 / math.sqrt(parameter.shape[-1]) if parameter.dim() > 1 else 1.0)
    x = inputs(B, T, 32)
    weights = list(layer.parameters())
    exact = call(x, layer)
    gradients = torch.autograd.grad(exact.square().mean(), [x, *weights])
    half = layer.to(dtype)
    x_half = x.detach().to(dtype).requires_grad_()
    found = call(x_half, half)
    assert found.dtype == dtype
    assert 0 < relative(found, exact) < 8 * ROUNDING[dtype]
    ours = torch.autograd.grad(found.float().square().mean(), [x_half, *half.parameters()])
    for a, b in zip(ours, gradients, strict=True):
        assert relative(a, b) < 16 * ROUNDING[dtype]


@pytest.mark.parametrize("dtype", ROUNDING)
def test_loss_of_half_logits_is_taken_in_float32(dtype):
    logits, labels = inputs(64, 50) * 3, torch.arange(64) % 50
    exact = F.cross_entropy(logits, labels)
    found = cross_entropy(Given(logits.to(dtype).float()), (labels, labels))
    assert relative(found, exact) < 2 * ROUNDING[dtype]


@pytest.mark.parametrize("size", [1e4, 1e30])
@pytest.mark.parametrize("name", MASKS)
def test_attention_at_extreme_scores_is_the_best_keys_value(name, size):
    """Scores far apart: softmax becomes a choice, and its gradient stays finite."""
    q, k = inputs(B, 2, T, 2, dtype=torch.float32), inputs(B, 2, T, 2, seed=2, dtype=torch.float32)
    v = inputs(B, 2, T, 2, seed=3, dtype=torch.float32)
    out = attend(q * math.sqrt(size), k * math.sqrt(size), v, MASKS[name], 0.0)
    assert out.isfinite().all()
    scores = (q @ k.mT).detach()
    mask = MASKS[name]
    allowed = torch.ones(T, T).tril().bool() if mask.causal else torch.ones(T, T).bool()
    allowed = allowed if mask.allowed_B1TS is None else mask.allowed_B1TS.expand(B, 2, T, T)
    best = scores.masked_fill(~allowed, -math.inf).argmax(-1)
    expected = v.gather(2, best[..., None].expand(-1, -1, -1, 2))
    if mask.empty_B1T1 is not None:
        expected = expected.masked_fill(mask.empty_B1T1, 0.0)
    torch.testing.assert_close(out, expected, atol=1e-4, rtol=1e-4)
    out.sum().backward()
    for tensor in (q, k, v):
        assert tensor.grad.isfinite().all()


@pytest.mark.parametrize("size", [1e3, 1e4, 1e30])
def test_losses_at_extreme_logits(size):
    scores = (torch.tensor([[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0]]) * size).requires_grad_()
    labels = torch.tensor([0, 0])
    loss = cross_entropy(Given(scores), (labels, labels))
    assert loss.item() == pytest.approx(size, rel=1e-6)  # 0 for the right one, 2 size for the other
    loss.backward()
    assert scores.grad.tolist() == [[0, 0, 0], [-0.5, 0.5, 0]]
    assert accuracy_and_loss(Given(scores), (labels, labels))["loss"].isfinite()


@pytest.mark.parametrize("size", [1e4, 1e30])
def test_router_at_extreme_logits(size):
    layer = MixtureOfExperts(config(num_experts=3, d_ff=4))
    torch.manual_seed(0)
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    layer.router.weight.data.mul_(size)
    out, logits = layer(inputs(B, T, 8, dtype=torch.float32))
    loss = load_balancing_loss([logits], 2)
    assert out.isfinite().all() and 0 < loss.item() <= 3
    (out.sum() + loss).backward()
    assert all(parameter.grad.isfinite().all() for parameter in layer.parameters())


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e15])
@pytest.mark.parametrize("norm", ["layernorm", "rmsnorm"])
def test_norms_of_extreme_rows(norm, scale):
    x = (inputs(B, T, 8, dtype=torch.float32) * scale).detach().requires_grad_()
    out = make_norm(config(norm=norm))(x)
    out.sum().backward()
    assert out.isfinite().all() and x.grad.isfinite().all() and out.abs().max() < 3


@pytest.mark.parametrize("heat", [1e-40, 1e-5, 1.0, 1e30])
def test_sampling_at_extreme_temperatures_and_logits(heat):
    logits = torch.tensor([[5.0, 4.0, -3.0], [1e30, -1e30, 0.0], [-math.inf, 2.0, -math.inf]])
    found = probabilities(logits, Sampling(temperature=heat, top_k=3, top_p=0.999, min_p=0.0))
    assert found.isfinite().all()
    torch.testing.assert_close(found.sum(-1), torch.ones(3))
    assert found[2].tolist() == [0.0, 1.0, 0.0]
    if heat < 1e-4:
        assert found[0].tolist() == [1.0, 0.0, 0.0] and found[1].tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("causal", [True, False])
def test_rows_without_a_key_are_zero_in_every_precision(dtype, causal):
    """Defined in utils.models.attention: softmax over nothing is the empty sum, zero."""
    q, k, v = (inputs(B, 2, T, 2, seed=s, dtype=dtype) for s in (1, 2, 3))
    mask = make_mask(T, T, causal=causal, real_BS=EMPTY)
    out = attend(q, k, v, mask, 0.0)
    assert torch.equal(out[0], torch.zeros_like(out[0])) and out[1].abs().min() > 0
    out.float().square().sum().backward()
    for tensor in (q, k, v):
        assert tensor.grad.isfinite().all() and (tensor.grad[0] == 0).all()


def test_documents_and_padding_together_leave_rows_without_a_key():
    """A document of padding only: its tokens see nothing, not even each other."""
    documents = torch.tensor([[0, 0, 1, 1], [0, 0, 0, 0]])
    real = torch.tensor([[True, True, False, False], [True] * 4])
    mask = make_mask(T, T, causal=True, real_BS=real, document_BS=documents)
    assert mask.empty_B1T1[:, 0, :, 0].tolist() == [[False, False, True, True], [False] * 4]


@pytest.mark.parametrize("family", ["gpt2", "llama", "bert"])
def test_a_batch_of_padding_only_trains_without_nan(family):
    model = Transformer(TransformerConfig.of(family, **SIZES))
    tokens, nothing = torch.zeros(B, T, dtype=torch.long), torch.zeros(B, T, dtype=torch.long)
    targets = torch.full((B, T), -100)
    targets[0, 0] = 1
    loss = model(tokens, targets, attention_mask=nothing)
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
