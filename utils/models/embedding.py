"""From token ids to vectors, with positions; and the checks of what comes in.

Legend: B batch, T sequence, M = d_model, V vocab_size.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.models.config import TransformerConfig


def check_shape(tokens: Tensor, mask: Tensor | None, name: str, max_length: int) -> None:
    """Refuse what is not (B, T) whole numbers of at most `max_length`, and a mask unlike it."""
    if not isinstance(tokens, Tensor) or tokens.dim() != 2 or 0 in tokens.shape:
        got = tuple(tokens.shape) if isinstance(tokens, Tensor) else type(tokens).__name__
        raise ValueError(f"{name} must be a tensor of shape (batch, sequence), got {got}")
    if tokens.dtype not in (torch.int64, torch.int32):
        raise TypeError(f"{name} must be int64 or int32 token ids, got {tokens.dtype}")
    if tokens.shape[1] > max_length:
        raise ValueError(
            f"context overflow: {name} has {tokens.shape[1]} positions, the model takes "
            f"{max_length}; cut the text or build the model with a larger context_length"
        )
    if mask is not None and mask.shape != tokens.shape:
        raise ValueError(
            f"the mask of {name} must have the same shape {tuple(tokens.shape)}, "
            f"got {tuple(mask.shape)}"
        )


def check_documents(documents: Tensor, tokens: Tensor, cache: object | None) -> None:
    """Refuse document numbers that are not whole and one a token, or that meet a cache."""
    if not isinstance(documents, Tensor) or documents.is_floating_point():
        kind = documents.dtype if isinstance(documents, Tensor) else type(documents).__name__
        raise TypeError(f"documents must be a tensor of whole numbers, got {kind}")
    if documents.shape != tokens.shape:
        raise ValueError(
            f"documents must have the tokens' shape {tuple(tokens.shape)}, "
            f"got {tuple(documents.shape)}"
        )
    if cache is not None:
        raise ValueError("documents are for whole rows: with a cache give each row one text")


def check_ids(tokens: Tensor, vocab_size: int) -> None:
    """Raise ValueError if an id lies outside 0 … vocab_size - 1. On a GPU this waits for it."""
    if tokens.numel() == 0:
        return
    low, high = torch.aminmax(tokens)
    if low < 0 or high >= vocab_size:
        raise ValueError(
            f"token ids must lie in 0 … {vocab_size - 1}, got {int(low)} … {int(high)}: "
            "was the text encoded by another tokenizer?"
        )


def count_positions(length: int, real_BT: Tensor | None, device: torch.device) -> Tensor:
    """0, 1, 2, …: (T,), or (B, T) counting real tokens only (padding repeats a neighbor's)."""
    if real_BT is None:
        return torch.arange(length, device=device)
    return (real_BT.long().cumsum(-1) - 1).clamp_min(0)


def restart_positions(document_BT: Tensor) -> Tensor:
    """0, 1, 2, … anew wherever the number changes along a row, (B, T)."""
    slot_T = torch.arange(document_BT.shape[1], device=document_BT.device)
    begins_BT = F.pad(document_BT[:, 1:] != document_BT[:, :-1], (1, 0), value=True)
    start_BT = torch.where(begins_BT, slot_T, 0).cummax(-1).values
    return slot_T - start_BT


def sinusoids(positions: Tensor, d_model: int, dtype: torch.dtype) -> Tensor:
    """Vaswani et al. 2017: even columns sine, odd ones cosine; (..., T, M)."""
    even = torch.arange(0, d_model, 2, device=positions.device, dtype=torch.float32)
    angle = positions[..., None].float() * torch.exp(even * (-math.log(10_000.0) / d_model))
    table = torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(-2)
    return table[..., :d_model].to(dtype)


def make_norm(config: TransformerConfig) -> nn.Module:
    """LayerNorm (Ba et al. 2016) or RMSNorm (Zhang and Sennrich 2019) over the last axis, M."""
    if config.norm == "rmsnorm":
        return nn.RMSNorm(config.d_model, eps=config.norm_eps)
    return nn.LayerNorm(config.d_model, eps=config.norm_eps, bias=config.bias)


class Embedding(nn.Module):
    """Token vectors plus positions plus token types, (B, T) to (B, T, M).

    With sinusoids the token vectors are scaled by sqrt(M) (Vaswani et al. 2017).
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        M = config.d_model
        self.tokens = nn.Embedding(config.vocab_size, M)
        learned = config.positions == "learned"
        self.positions = nn.Embedding(config.context_length, M) if learned else None
        self.types = nn.Embedding(config.token_types, M) if config.token_types else None
        self.norm = None
        if config.embedding_norm:
            self.norm = make_norm(config)

    def forward(self, tokens: Tensor, positions: Tensor, token_types: Tensor | None) -> Tensor:
        """tokens (B, T), positions (T,) or (B, T), token_types (B, T) or None for all 0.

        Raises ValueError for ids out of range where the device finds them itself (a CPU).
        """
        try:
            x_BTM = self.tokens(tokens)
            if self.config.positions == "sinusoidal":
                M = self.config.d_model
                x_BTM = x_BTM * math.sqrt(M) + sinusoids(positions, M, x_BTM.dtype)
            if self.types is not None:
                kinds = torch.zeros_like(tokens) if token_types is None else token_types
                x_BTM = x_BTM + self.types(kinds)
            if self.positions is not None:
                x_BTM = x_BTM + self.positions(positions)
        except IndexError:
            check_ids(tokens, self.config.vocab_size)
            raise ValueError(
                f"positions must lie in 0 … {self.config.context_length - 1} and token_types "
                f"in 0 … {self.config.token_types - 1}"
            ) from None
        x_BTM = x_BTM if self.norm is None else self.norm(x_BTM)
        if self.config.dropout and self.training:
            x_BTM = F.dropout(x_BTM, self.config.dropout)
        return x_BTM
