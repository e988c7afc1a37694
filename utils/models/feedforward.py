"""The feed-forward part of a block: dense, gated, or a mixture of experts.

Legend: B batch, T sequence, M = d_model, F = d_ff, E experts, N = B T tokens,
k experts a token.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.models.config import TransformerConfig


def activate(x: Tensor, name: str) -> Tensor:
    """GELU (exact or by tanh, Hendrycks and Gimpel 2016) or ReLU; any shape."""
    if name == "relu":
        return F.relu(x)
    return F.gelu(x, approximate="tanh" if name == "gelu_tanh" else "none")


class FeedForward(nn.Module):
    """Two linear layers with a non-linearity between them, (B, T, M) to (B, T, M)."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.activation = config.activation
        self.up = nn.Linear(config.d_model, config.ff_size, bias=config.bias)
        self.down = nn.Linear(config.ff_size, config.d_model, bias=config.bias)

    def forward(self, x_BTM: Tensor) -> Tensor:
        """down(activation(up(x)))."""
        return self.down(activate(self.up(x_BTM), self.activation))


class SwiGLU(nn.Module):
    """down(silu(gate(x)) * up(x)) (Shazeer 2020, "GLU Variants Improve Transformer").

    Gate and up are one matrix product: rows 0 to F - 1 are the gate's.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.gate_up = nn.Linear(config.d_model, 2 * config.ff_size, bias=config.bias)
        self.down = nn.Linear(config.ff_size, config.d_model, bias=config.bias)

    def forward(self, x_BTM: Tensor) -> Tensor:
        """(B, T, M) to (B, T, M)."""
        gate_BTF, up_BTF = self.gate_up(x_BTM).chunk(2, dim=-1)
        return self.down(F.silu(gate_BTF) * up_BTF)


class MixtureOfExperts(nn.Module):
    """A router sends each token to its k best experts, each a SwiGLU (Mixtral).

    Jiang et al. 2024, "Mixtral of Experts": the weights are a softmax over the
    chosen k, which equals the softmax over all, chosen and scaled to sum to one. The router's
    softmax is at least float32. No token is dropped, whatever the load.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.experts_per_token = config.experts_per_token
        E, M, ff = config.num_experts, config.d_model, config.ff_size
        self.router = nn.Linear(M, E, bias=False)
        self.gate_up = nn.Parameter(torch.empty(E, 2 * ff, M))
        self.down = nn.Parameter(torch.empty(E, M, ff))

    def forward(self, x_BTM: Tensor) -> tuple[Tensor, Tensor]:
        """Output (B, T, M) and the router's logits (N, E), for `load_balancing_loss`."""
        x_NM = x_BTM.flatten(0, 1)
        logits_NE = self.router(x_NM)
        exact = torch.promote_types(logits_NE.dtype, torch.float32)
        probability_NE = logits_NE.softmax(-1, dtype=exact)
        weight_Nk, expert_Nk = probability_NE.topk(self.experts_per_token, dim=-1)
        weight_Nk = (weight_Nk / weight_Nk.sum(-1, keepdim=True)).to(x_NM.dtype)
        # Tokens sorted by expert: each expert then works on one contiguous piece.
        order = expert_Nk.flatten().argsort(stable=True)
        token = order // self.experts_per_token
        counts = torch.bincount(expert_Nk.flatten(), minlength=len(self.down)).tolist()
        pieces = x_NM[token].split(counts)
        outputs = [self._expert(e, piece) for e, piece in enumerate(pieces) if len(piece)]
        weighted = torch.cat(outputs) * weight_Nk.flatten()[order, None]
        out_NM = torch.zeros_like(weighted[:1]).expand(len(x_NM), -1).index_add(0, token, weighted)
        return out_NM.view_as(x_BTM), logits_NE

    def _expert(self, expert: int, x_nM: Tensor) -> Tensor:
        gate_nF, up_nF = F.linear(x_nM, self.gate_up[expert]).chunk(2, dim=-1)
        return F.linear(F.silu(gate_nF) * up_nF, self.down[expert])


def load_balancing_loss(
    logits: list[Tensor], experts_per_token: int, real_BT: Tensor | None = None
) -> Tensor:
    """E times the sum over experts of (share of tokens) times (mean probability), a scalar.

    `logits` holds one (N, E) a layer; all layers are taken together and padding (`real_BT`
    False) is left out, as in transformers. Even routing gives k = `experts_per_token`; one
    expert for all gives up to E. Fedus et al. 2021, "Switch Transformers",
    with the shares of the k choices summed.
    """
    logits_AE = torch.cat(logits)
    logits_AE = logits_AE.to(torch.promote_types(logits_AE.dtype, torch.float32))
    E = logits_AE.shape[-1]
    probability_AE = logits_AE.softmax(-1)
    chosen_Ak = probability_AE.topk(experts_per_token, dim=-1).indices
    chosen_AE = torch.zeros_like(probability_AE).scatter(1, chosen_Ak, 1.0)
    if real_BT is None:
        share_E, mean_E = chosen_AE.mean(0), probability_AE.mean(0)
    else:
        real_A1 = real_BT.flatten().repeat(len(logits))[:, None].to(probability_AE.dtype)
        total = real_A1.sum().clamp_min(1.0)
        share_E = (chosen_AE * real_A1).sum(0) / total
        mean_E = (probability_AE * real_A1).sum(0) / total
    return E * (share_E * mean_E).sum()
