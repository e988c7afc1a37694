"""A block of the transformer: attention, feed-forward, norms and residuals.

Legend: B batch, T sequence, M = d_model, N = B T tokens, E experts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch.nn.functional as F
from torch import Tensor, nn

from utils.models.attention import CrossAttention, Mask, SelfAttention
from utils.models.cache import KVCache
from utils.models.config import TransformerConfig
from utils.models.embedding import make_norm
from utils.models.feedforward import FeedForward, MixtureOfExperts, SwiGLU


@dataclass
class Step:
    """What one forward pass hands to every block."""

    masks: dict[int | None, Mask]  # by window
    rotation: tuple[Tensor, Tensor] | None = None
    cache: KVCache | None = None
    cross: list[tuple[Tensor, Tensor]] | None = None  # keys and values of the source, by layer
    cross_mask: Mask = field(default_factory=Mask)
    router_logits: list[Tensor] = field(default_factory=list)


class Block(nn.Module):
    """Attention, cross-attention where there is a source, feed-forward; each with a residual.

    The norm stands before each part and leaves the residual path free ("pre", GPT-2; Xiong et
    al. 2020), or after each sum ("post", Vaswani et al. 2017, BERT).
    """

    def __init__(self, config: TransformerConfig, layer: int, cross: bool = False) -> None:
        super().__init__()
        self.layer, self.window = layer, config.window_of(layer)
        self.pre = config.norm_position == "pre"
        self.dropout = config.dropout
        self.norm1 = make_norm(config)
        self.attention = SelfAttention(config)
        self.norm_cross = make_norm(config) if cross else None
        self.cross = CrossAttention(config) if cross else None
        self.norm2 = make_norm(config)
        if config.num_experts:
            self.feedforward = MixtureOfExperts(config)
        elif config.activation == "swiglu":
            self.feedforward = SwiGLU(config)
        else:
            self.feedforward = FeedForward(config)

    def forward(self, x_BTM: Tensor, step: Step) -> Tensor:
        """(B, T, M) to (B, T, M)."""
        x_BTM = self._residual(x_BTM, self.norm1, self._attend, step)
        if self.cross is not None:
            x_BTM = self._residual(x_BTM, self.norm_cross, self._attend_source, step)
        return self._residual(x_BTM, self.norm2, self._transform, step)

    def _residual(self, x_BTM: Tensor, norm: nn.Module, part: Callable, step: Step) -> Tensor:
        out_BTM = part(norm(x_BTM) if self.pre else x_BTM, step)
        if self.dropout and self.training:
            out_BTM = F.dropout(out_BTM, self.dropout)
        return x_BTM + out_BTM if self.pre else norm(x_BTM + out_BTM)

    def _attend(self, x_BTM: Tensor, step: Step) -> Tensor:
        mask = step.masks[self.window]
        return self.attention(x_BTM, mask, step.rotation, step.cache, self.layer)

    def _attend_source(self, x_BTM: Tensor, step: Step) -> Tensor:
        return self.cross(x_BTM, step.cross[self.layer], step.cross_mask)

    def _transform(self, x_BTM: Tensor, step: Step) -> Tensor:
        if not isinstance(self.feedforward, MixtureOfExperts):
            return self.feedforward(x_BTM)
        out_BTM, logits_NE = self.feedforward(x_BTM)
        step.router_logits.append(logits_NE)
        return out_BTM
