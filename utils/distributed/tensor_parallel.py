"""Tensor parallelism of a Transformer: heads and hidden units are shared out.

Shoeybi et al. 2019, "Megatron-LM": the first matrix of a pair is cut by its output,
the second by its input, so each pair costs one sum over the processes forward and one backward.
Embeddings, norms, experts and head stay whole in every process, which all see the same batch.

Legend: M = d_model, D = head_dim, W processes.
"""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn

from utils.distributed.state import interleave, whole
from utils.distributed.world import agree, process_device, processes
from utils.models.attention import CrossAttention, SelfAttention
from utils.models.feedforward import MixtureOfExperts, SwiGLU
from utils.models.transformer import Transformer


def tensor_parallel(model: Transformer) -> Transformer:
    """The same model, the weights of attention and feed-forward layers now slices (DTensors).

    All processes start from rank 0's weights and host random state. Build the optimizer
    afterwards, without ``fused`` or ``foreach`` (slices and whole tensors do not mix there),
    and clip by `clip_gradients`. In one process nothing happens.

    Raises
    ------
    TypeError: not a Transformer. ValueError: heads or hidden units cannot be shared equally;
    dropout, whose masks would have to be equal in some layers and differ in others.
    """
    count = processes()
    if not isinstance(model, Transformer):
        raise TypeError(f"tensor_parallel takes a Transformer, got {type(model).__name__}")
    if count == 1:
        return model
    config = model.config
    for name in ("num_heads", "kv_heads", "ff_size"):
        if getattr(config, name) % count and not (name == "ff_size" and config.num_experts):
            raise ValueError(
                f"{name} {getattr(config, name)} is not a multiple of the {count} processes"
            )
    if config.dropout:
        raise ValueError(f"tensor_parallel needs dropout=0, got {config.dropout}")
    model.to(process_device())
    agree(model)
    mesh = distributed.init_device_mesh(process_device().type, (count,))
    for block in (*model.encoder, *model.blocks):
        _cut_block(block, mesh, count)
    return model


def _cut_block(block: nn.Module, mesh, count: int) -> None:
    attention = block.attention
    D = attention.head_dim
    _cut(attention, ("qkv",), mesh, {"qkv": tuple(heads * D for heads in attention.heads)})
    attention.heads = tuple(heads // count for heads in attention.heads)
    _sum_norm_gradients(attention)
    if block.cross is not None:
        cross = block.cross
        _cut(cross, ("q", "kv"), mesh, {"kv": (cross.kv_heads * D,) * 2})
        cross.num_heads, cross.kv_heads = cross.num_heads // count, cross.kv_heads // count
    if isinstance(block.feedforward, SwiGLU):
        hidden = block.feedforward.down.in_features
        _cut(block.feedforward, ("gate_up",), mesh, {"gate_up": (hidden, hidden)})
    elif not isinstance(block.feedforward, MixtureOfExperts):
        _cut(block.feedforward, ("up",), mesh, {})


def _cut(part: nn.Module, first: tuple[str, ...], mesh, stacked: dict[str, tuple]) -> None:
    """Slice `first` by output and the part's last layer by input; `stacked`: see `interleave`."""
    from torch.distributed.tensor.parallel import (
        ColwiseParallel,
        RowwiseParallel,
        parallelize_module,
    )

    last = "out" if isinstance(part, SelfAttention | CrossAttention) else "down"
    pieces = {name: (sizes, mesh.size()) for name, sizes in stacked.items()}
    with torch.no_grad():
        for name, order in pieces.items():
            for parameter in getattr(part, name).parameters():
                parameter.copy_(interleave(parameter, *order))
    plan = {name: ColwiseParallel() for name in first} | {last: RowwiseParallel()}
    parallelize_module(part, mesh, plan)
    for name, order in pieces.items():
        for parameter in getattr(part, name).parameters():
            parameter.pieces = order


def _sum_norm_gradients(attention: SelfAttention) -> None:
    """The norms of queries and keys are whole, but each process sees its own heads only."""

    def total(gradient: Tensor) -> Tensor:
        gradient = gradient.clone()
        distributed.all_reduce(gradient)
        return gradient

    for norm in (attention.q_norm, attention.k_norm):
        if norm is not None:
            norm.weight.register_hook(total)


def clip_gradients(parameters, largest: float) -> Tensor:
    """Scale the gradients so that their L2 norm is at most `largest`; return the norm before.

    Does what ``nn.utils.clip_grad_norm_`` does, for slices and whole tensors together.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    norms = [whole(torch.linalg.vector_norm(gradient)) for gradient in gradients]
    norm = torch.linalg.vector_norm(torch.stack(norms))
    factor = (largest / (norm + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(factor.item())
    return norm
