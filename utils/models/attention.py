"""Multi-head attention: masks, grouped queries, RoPE, sliding window, cache, cross-attention.

Legend: B batch, T queries, S keys, H query heads, K key and value heads, D head_dim,
G = H / K queries that share a key, M = d_model.

Design: one matrix product makes queries, keys and values; they stay (B, T, heads, D) in memory
and are handed to PyTorch's fused attention as views, which returns its result in the layout
that the output projection needs. No copy is made on the way.

A query that may attend to nothing (padding before a left-padded text) gets zeros: softmax over
an empty set has no value, and zero is the empty sum.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.models.cache import KVCache
from utils.models.config import TransformerConfig
from utils.models.rope import rotate


class Mask(NamedTuple):
    """Who sees whom. `causal` alone takes the fused kernel's own triangle."""

    causal: bool = False
    allowed_B1TS: Tensor | None = None  # True: the query may attend to the key
    empty_B1T1: Tensor | None = None  # True: the query may attend to nothing


def make_mask(
    queries: int,
    keys: int,
    *,
    causal: bool,
    window: int | None = None,
    real_BS: Tensor | None = None,
    position_BS: Tensor | None = None,
    document_BS: Tensor | None = None,
    device: torch.device | None = None,
) -> Mask:
    """The mask for the last `queries` of `keys` slots.

    `real_BS` (B, S) is False at padding; `position_BS` (B, S) gives positions, by which the
    window is counted where padding lies between tokens. A window of w shows a query itself
    and the w - 1 positions before it (Beltagy et al. 2020, "Longformer"; Mistral).
    `document_BS` (B, S), whole numbers: a query sees keys with its own number only.
    """
    narrow = window is not None and keys > window
    if real_BS is None and document_BS is None and not narrow:
        if not causal or queries == 1:
            return Mask()
        if queries == keys:
            return Mask(causal=True)
    slot_S = torch.arange(keys, device=device)
    slot_T1 = slot_S[keys - queries :, None]
    allowed = torch.ones(1, 1, 1, keys, dtype=torch.bool, device=device)
    if causal:
        allowed = (slot_S <= slot_T1)[None, None]
    if narrow and position_BS is not None:
        distance_BTS = position_BS[:, keys - queries :, None] - position_BS[:, None, :]
        allowed = allowed & (distance_BTS < window)[:, None]
    elif narrow:
        allowed = allowed & (slot_T1 - slot_S < window)
    if document_BS is not None:
        own_BTS = document_BS[:, keys - queries :, None] == document_BS[:, None, :]
        allowed = allowed & own_BTS[:, None]
    if real_BS is None:
        return Mask(allowed_B1TS=allowed.expand(-1, -1, queries, -1))
    allowed = (allowed & real_BS[:, None, None, :]).expand(-1, -1, queries, -1)
    empty = ~allowed.any(dim=-1, keepdim=True)
    # An empty row attends to everything and is zeroed afterwards: so no kernel meets a row
    # of -inf, forward or backward, and no NaN can arise.
    return Mask(allowed_B1TS=allowed | empty, empty_B1T1=empty)


def attend(q_BHTD: Tensor, k_BKSD: Tensor, v_BKSD: Tensor, mask: Mask, dropout: float) -> Tensor:
    """softmax(q k^T / sqrt(D)) v, (B, H, T, D) (Vaswani et al. 2017).

    Under autocast on a CPU it runs in float32, where the fused kernel is faster than in
    bfloat16. Grouped queries (Ainslie et al. 2023, "GQA") read each key once.
    """
    if q_BHTD.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
        with torch.autocast("cpu", enabled=False):
            return _attend(q_BHTD.float(), k_BKSD.float(), v_BKSD.float(), mask, dropout)
    return _attend(q_BHTD, k_BKSD, v_BKSD, mask, dropout)


def _attend(q_BHTD: Tensor, k_BKSD: Tensor, v_BKSD: Tensor, mask: Mask, dropout: float) -> Tensor:
    B, H, T, D = q_BHTD.shape
    K = k_BKSD.shape[1]
    if T == 1 and K != H:
        # One new token: the group's queries stand in a row, as if they were G tokens.
        q_BHTD = q_BHTD.reshape(B, K, H // K, D)
    out_BHTD = F.scaled_dot_product_attention(
        q_BHTD,
        k_BKSD,
        v_BKSD,
        attn_mask=mask.allowed_B1TS,
        dropout_p=dropout,
        is_causal=mask.causal,
        enable_gqa=q_BHTD.shape[1] != K,
    )
    out_BHTD = out_BHTD.reshape(B, H, T, D) if T == 1 else out_BHTD
    if mask.empty_B1T1 is not None:
        out_BHTD = out_BHTD.masked_fill(mask.empty_B1T1, 0.0)
    return out_BHTD


def merge_heads(out_BHTD: Tensor) -> Tensor:
    """(B, H, T, D) to (B, T, H D); a view where the kernel kept (B, T, H, D) in memory."""
    return out_BHTD.transpose(1, 2).flatten(2)


class SelfAttention(nn.Module):
    """Self-attention, (B, T, M) to (B, T, M)."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.heads = (config.num_heads, config.kv_heads, config.kv_heads)
        self.head_dim = config.head_size
        self.dropout = config.dropout
        bias = config.has_qkv_bias
        self.qkv = nn.Linear(config.d_model, sum(self.heads) * self.head_dim, bias=bias)
        self.out = nn.Linear(config.num_heads * self.head_dim, config.d_model, bias=config.bias)
        self.q_norm = self.k_norm = None
        if config.qk_norm:
            self.q_norm = nn.RMSNorm(self.head_dim, eps=config.norm_eps)
            self.k_norm = nn.RMSNorm(self.head_dim, eps=config.norm_eps)

    def forward(
        self,
        x_BTM: Tensor,
        mask: Mask,
        rotation: tuple[Tensor, Tensor] | None = None,
        cache: KVCache | None = None,
        layer: int = 0,
    ) -> Tensor:
        """Attend within x; `rotation` is (cos, sin); with a cache, to its slots as well."""
        B, T, _ = x_BTM.shape
        heads_BTHD = self.qkv(x_BTM).view(B, T, sum(self.heads), self.head_dim)
        q_BTHD, k_BTKD, v_BTKD = self._rotated(heads_BTHD, rotation)
        q_BHTD, k_BKTD = q_BTHD.transpose(1, 2), k_BTKD.transpose(1, 2)
        v_BKTD = v_BTKD.transpose(1, 2)
        if cache is not None:
            k_BKTD, v_BKTD = cache.write(layer, k_BKTD, v_BKTD)
        dropout = self.dropout if self.training else 0.0
        out_BHTD = attend(q_BHTD, k_BKTD, v_BKTD, mask, dropout)
        return self.out(merge_heads(out_BHTD))

    def _rotated(
        self, heads_BTHD: Tensor, rotation: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        H, K, _ = self.heads
        if self.q_norm is not None:
            q, k, v = heads_BTHD.split(self.heads, dim=2)
            q, k = self.q_norm(q), self.k_norm(k)
            return (
                (q, k, v) if rotation is None else (rotate(q, *rotation), rotate(k, *rotation), v)
            )
        if rotation is None:
            return heads_BTHD.split(self.heads, dim=2)
        # Queries and keys lie side by side: one rotation serves both.
        qk, v = heads_BTHD.split((H + K, K), dim=2)
        q, k = rotate(qk, *rotation).split((H, K), dim=2)
        return q, k, v


class CrossAttention(nn.Module):
    """Attention from a decoder, (B, T, M), to an encoder's output, (B, S, M)."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.num_heads, self.kv_heads = config.num_heads, config.kv_heads
        self.head_dim, self.dropout = config.head_size, config.dropout
        bias = config.has_qkv_bias
        self.q = nn.Linear(config.d_model, self.num_heads * self.head_dim, bias=bias)
        self.kv = nn.Linear(config.d_model, 2 * self.kv_heads * self.head_dim, bias=bias)
        self.out = nn.Linear(self.num_heads * self.head_dim, config.d_model, bias=config.bias)

    def keys_values(self, memory_BSM: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of the memory, each (B, K, S, D); made once for a whole generation."""
        B, S, _ = memory_BSM.shape
        kv = self.kv(memory_BSM).view(B, S, 2, self.kv_heads, self.head_dim)
        k_BSKD, v_BSKD = kv.unbind(2)
        return k_BSKD.transpose(1, 2), v_BSKD.transpose(1, 2)

    def forward(self, x_BTM: Tensor, keys_values: tuple[Tensor, Tensor], mask: Mask) -> Tensor:
        """Attend from x to the memory's keys and values."""
        B, T, _ = x_BTM.shape
        q_BHTD = self.q(x_BTM).view(B, T, self.num_heads, self.head_dim).transpose(1, 2)
        dropout = self.dropout if self.training else 0.0
        return self.out(merge_heads(attend(q_BHTD, *keys_values, mask, dropout)))
