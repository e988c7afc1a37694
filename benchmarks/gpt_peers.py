"""The GPTs that the benchmarks compare: ours, transformers', nanoGPT's architecture.

Legend: B batch, T sequence, M width, V vocabulary, H heads, D head width.

`PlainGPT` is GPT-2 in torch's own modules, in the form that nanoGPT's published recipe describes:
no biases, exact GELU, fused attention, tied head. nanoGPT itself is not on a package registry;
`load_nanogpt` takes its model file by path.
"""

import importlib.util
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
import transformers
from torch import Tensor, nn

from utils.models.config import TransformerConfig
from utils.models.hf import to_hf_state
from utils.models.transformer import Transformer


@dataclass(frozen=True)
class Shape:
    """Sizes of a GPT and of its batch."""

    num_layers: int
    num_heads: int
    d_model: int
    context_length: int
    batch_size: int
    vocab_size: int = 65

    def longer(self, context_length: int) -> "Shape":
        """The same with another context."""
        return replace(self, context_length=context_length)


SHAPES = {"tiny": Shape(4, 4, 128, 64, 12), "medium": Shape(6, 6, 384, 256, 8)}


def ours(shape: Shape, *, like_nanogpt: bool) -> Transformer:
    """Our GPT: as transformers has it, or without biases and with the exact GELU."""
    form = {"bias": False, "activation": "gelu"} if like_nanogpt else {}
    config = TransformerConfig.of(
        "gpt2",
        vocab_size=shape.vocab_size,
        context_length=shape.context_length,
        d_model=shape.d_model,
        num_layers=shape.num_layers,
        num_heads=shape.num_heads,
        **form,
    )
    return Transformer(config)


def hugging_face(shape: Shape) -> transformers.GPT2LMHeadModel:
    """transformers' GPT-2 as it comes (fused attention), without dropout and training cache."""
    config = transformers.GPT2Config(
        vocab_size=shape.vocab_size,
        n_positions=shape.context_length,
        n_embd=shape.d_model,
        n_layer=shape.num_layers,
        n_head=shape.num_heads,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=None,
        eos_token_id=None,
        use_cache=False,  # training needs none; generation asks for it
    )
    return transformers.GPT2LMHeadModel(config)


class PlainAttention(nn.Module):
    """Causal self-attention, (B, T, M) to (B, T, M)."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.num_heads = shape.num_heads
        self.qkv = nn.Linear(shape.d_model, 3 * shape.d_model, bias=False)
        self.out = nn.Linear(shape.d_model, shape.d_model, bias=False)
        self.dropout = nn.Dropout(0.0)

    def forward(self, x: Tensor) -> Tensor:
        B, T, M = x.shape
        q, k, v = (
            part.view(B, T, self.num_heads, -1).transpose(1, 2)
            for part in self.qkv(x).split(M, dim=2)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.dropout(self.out(y.transpose(1, 2).contiguous().view(B, T, M)))


class PlainBlock(nn.Module):
    """Norm, attention, norm, feed-forward, each part with a residual."""

    def __init__(self, shape: Shape):
        super().__init__()
        M = shape.d_model
        self.norm1, self.attention = nn.LayerNorm(M, bias=False), PlainAttention(shape)
        self.norm2 = nn.LayerNorm(M, bias=False)
        layers = nn.Linear(M, 4 * M, bias=False), nn.GELU(), nn.Linear(4 * M, M, bias=False)
        self.feedforward = nn.Sequential(*layers, nn.Dropout(0.0))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.feedforward(self.norm2(x))


class PlainGPT(nn.Module):
    """GPT-2 in torch's modules; ``model(tokens, targets)`` gives (logits, loss)."""

    def __init__(self, shape: Shape):
        super().__init__()
        M = shape.d_model
        self.tokens = nn.Embedding(shape.vocab_size, M)
        self.positions = nn.Embedding(shape.context_length, M)
        self.dropout = nn.Dropout(0.0)
        self.blocks = nn.ModuleList(PlainBlock(shape) for _ in range(shape.num_layers))
        self.norm = nn.LayerNorm(M, bias=False)
        self.head = nn.Linear(M, shape.vocab_size, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, tokens: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        places = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.dropout(self.tokens(tokens) + self.positions(places))
        for block in self.blocks:
            x = block(x)
        logits = self.head(self.norm(x))
        loss = F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1), ignore_index=-1)
        return logits, loss


def load_nanogpt(path: Path, shape: Shape) -> nn.Module:
    """nanoGPT's model from its file ``model.py``; its interface is `PlainGPT`'s.

    Raises
    ------
    FileNotFoundError
        Where there is no such file.
    AttributeError
        Where the file has no ``GPT`` and ``GPTConfig``.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}: give the path of nanoGPT's model.py")
    spec = importlib.util.spec_from_file_location("nanogpt_model", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = module.GPTConfig(
        block_size=shape.context_length,
        vocab_size=shape.vocab_size,
        n_layer=shape.num_layers,
        n_head=shape.num_heads,
        n_embd=shape.d_model,
        dropout=0.0,
        bias=False,
    )
    return module.GPT(config)


def same_weights(model: Transformer, other: nn.Module) -> None:
    """Copy our weights into a peer, in place."""
    if isinstance(other, transformers.PreTrainedModel):
        other.load_state_dict(to_hf_state(model), strict=False)
        return
    # All list their tensors in the order of the computation, and the tied matrix once.
    with torch.no_grad():
        for theirs, mine in zip(other.parameters(), model.parameters(), strict=True):
            theirs.copy_(mine)
