"""One token at a time through a plain decoder, as a loop over matrix products.

For a single token the arithmetic takes microseconds, as does each call of a module; without
those calls a small model decodes faster. The result is that of `Transformer.forward`; what is
not a plain decoder (experts, hooks, layers that were replaced, as by LoRA) is left to it.

Legend: B rows, M = d_model, H query heads, K key and value heads, G = H / K, D head_dim, S slots.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.models.attention import SelfAttention
from utils.models.block import Block
from utils.models.cache import KVCache
from utils.models.embedding import Embedding
from utils.models.feedforward import FeedForward, SwiGLU, activate
from utils.models.rope import rotate
from utils.models.transformer import Transformer

_PLAIN = (
    nn.Linear,
    nn.LayerNorm,
    nn.RMSNorm,
    nn.Embedding,
    nn.ModuleList,
    Block,
    SelfAttention,
    FeedForward,
    SwiGLU,
    Embedding,
)


def is_plain(model: Transformer) -> bool:
    """Whether `Decoder` gives what the model gives: a pre-norm decoder of unchanged layers."""
    config = model.config
    plain = config.causal and config.head == "lm" and config.norm_position == "pre"
    plain = plain and config.positions in ("learned", "rope", "none") and not config.token_types
    plain = plain and not (config.encoder_layers or config.num_experts or config.qk_norm)
    plain = plain and not (config.embedding_norm or config.pooler) and type(model) is Transformer
    return plain and all(
        (module is model or type(module) in _PLAIN)
        and not (module._forward_hooks or module._forward_pre_hooks)
        for module in model.modules()
    )


class Decoder:
    """`decoder(tokens_B1, cache)` gives the logits (B, V) behind one new token of each row.

    Holds the weights by reference, so it sees them change in place. Raises ValueError for a
    model that is not plain.
    """

    def __init__(self, model: Transformer) -> None:
        if not is_plain(model):
            raise ValueError("this model is not a plain decoder: call the model itself")
        self.model, self.config = model, model.config
        self.head = (model.embedding.tokens if model.head is None else model.head).weight
        self.layers = [self._weights(block) for block in model.blocks]
        self.norm = (model.norm.weight, getattr(model.norm, "bias", None))

    @staticmethod
    def _weights(block: Block) -> list[tuple[Tensor, Tensor | None]]:
        gated = isinstance(block.feedforward, SwiGLU)
        up = block.feedforward.gate_up if gated else block.feedforward.up
        parts = (block.norm1, block.attention.qkv, block.attention.out)
        parts += (block.norm2, up, block.feedforward.down)
        return [(part.weight, getattr(part, "bias", None)) for part in parts]

    def fits(self, cache: KVCache) -> bool:
        """Whether the next token needs no mask: no padding, and the window not yet full."""
        window = self.config.sliding_window
        return cache.real_BS is None and (window is None or cache.length < window)

    def __call__(self, tokens_B1: Tensor, cache: KVCache) -> Tensor:
        """Raises ValueError if the cache is full; call it only where `fits` says so."""
        config = self.config
        cache.check_room(len(tokens_B1), 1)
        position = torch.arange(cache.length, cache.length + 1, device=tokens_B1.device)
        x_BM = self.model.embedding(tokens_B1, position, None)[:, 0]
        rotation = None
        if self.model.rotary is not None:
            rotation = self.model.rotary(position, x_BM.dtype, cache.length + 1)
        for weights, store_2BKSD in zip(self.layers, cache.layers, strict=True):
            norm1, qkv, out, norm2, up, down = weights
            heads_BhD = F.linear(self._norm(x_BM, norm1), *qkv)
            heads_BhD = heads_BhD.view(len(x_BM), -1, config.head_size)
            x_BM = x_BM + F.linear(self._attend(heads_BhD, store_2BKSD, rotation, cache), *out)
            hidden_BF = F.linear(self._norm(x_BM, norm2), *up)
            x_BM = x_BM + F.linear(self._activate(hidden_BF), *down)
        cache.advance(1)
        return F.linear(self._norm(x_BM, self.norm), self.head)

    def _norm(self, x_BM: Tensor, norm: tuple[Tensor, Tensor | None]) -> Tensor:
        if self.config.norm == "rmsnorm":
            return F.rms_norm(x_BM, x_BM.shape[-1:], norm[0], self.config.norm_eps)
        return F.layer_norm(x_BM, x_BM.shape[-1:], *norm, self.config.norm_eps)

    def _activate(self, hidden_BF: Tensor) -> Tensor:
        if self.config.activation != "swiglu":
            return activate(hidden_BF, self.config.activation)
        gate_BF, up_BF = hidden_BF.chunk(2, dim=-1)
        return F.silu(gate_BF) * up_BF

    def _attend(
        self,
        heads_BhD: Tensor,
        store_2BKSD: Tensor,
        rotation: tuple[Tensor, Tensor] | None,
        cache: KVCache,
    ) -> Tensor:
        B, _, D = heads_BhD.shape
        H, K = self.config.num_heads, self.config.kv_heads
        if rotation is not None:
            turned = rotate(heads_BhD[:, : H + K], rotation[0][0], rotation[1][0])
            heads_BhD = torch.cat((turned, heads_BhD[:, H + K :]), dim=1)
        new_2BK1D = heads_BhD[:, H:].reshape(B, 2, K, 1, D).transpose(0, 1)
        store_2BKSD.narrow(3, cache.length, 1).copy_(new_2BK1D)
        keys_BKSD, values_BKSD = store_2BKSD.narrow(3, 0, cache.length + 1).unbind(0)
        q_BKGD = heads_BhD[:, :H].view(B, K, H // K, D)
        return F.scaled_dot_product_attention(q_BKGD, keys_BKSD, values_BKSD).reshape(B, H * D)
