"""Muon: momentum whose update is made orthogonal, for the matrices of hidden layers.

Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"; the scaling
of the step for AdamW's learning rates: Liu et al. 2025, arXiv:2502.16982.

Symbols: theta a matrix ``(R, C)``, g its gradient, mu momentum, lr learning rate, lambda decay.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from utils.adam import adam_update, check_adam
from utils.arguments import check_positive_int, check_range, choose
from utils.optim_base import Optimizer

__all__ = ["Muon", "MuonAdamW", "muon_split", "newton_schulz"]

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ADJUSTMENTS = ("original", "match_rms_adamw")


def newton_schulz(
    matrix: Tensor,
    steps: int = 5,
    coefficients: tuple[float, float, float] = COEFFICIENTS,
    eps: float = 1e-7,
    dtype: torch.dtype = torch.bfloat16,
) -> Tensor:
    """Push all singular values of a matrix towards 1, without a singular value decomposition.

    X = matrix / ||matrix||; then ``steps`` times X = a X + (b X X^T + c (X X^T)^2) X, an odd
    polynomial in each singular value. With the default coefficients they end within about 0.7 to
    1.2, not at 1: the slope at 0 matters more. ``(R, C)`` of any float dtype to ``(R, C)`` of
    ``dtype``, in which the products run. Raises ValueError for what is not a matrix.
    """
    if matrix.ndim != 2:
        raise ValueError(f"newton_schulz takes a matrix (R, C), got shape {tuple(matrix.shape)}")
    a, b, c = coefficients
    wide = matrix.shape[0] <= matrix.shape[1]
    x = matrix.to(dtype) if wide else matrix.to(dtype).T  # the Gram matrix is then the small one
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.T
        polynomial = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.addmm(x, polynomial, x, beta=a)
    return x if wide else x.T


def muon_update(
    optimizer: Optimizer, params: list[Tensor], grads: list[Tensor], group: dict
) -> None:
    """One step of `Muon` on ``params`` in place."""
    lr, momentum = group["lr"], group["momentum"]
    means = optimizer.states(params, "momentum_buffer")
    torch._foreach_lerp_(means, grads, 1 - momentum)
    directions = torch._foreach_lerp(grads, means, momentum) if group["nesterov"] else means
    arguments = group["ns_steps"], group["ns_coefficients"], group["eps"], group["ns_dtype"]
    for p, direction in zip(params, directions, strict=True):
        rows, columns = p.shape
        if group["adjust_lr_fn"] == "match_rms_adamw":
            scale = 0.2 * math.sqrt(max(rows, columns))
        else:
            scale = math.sqrt(max(1, rows / columns))
        p.mul_(1 - lr * group["weight_decay"])
        p.add_(newton_schulz(direction, *arguments), alpha=-lr * scale)


def check_muon(group: dict) -> None:
    """Raise TypeError or ValueError for bad hyper-parameters or for what is not a matrix."""
    check_range(0, 1, momentum=group["momentum"])
    check_range(0, eps=group["eps"])
    check_positive_int(ns_steps=group["ns_steps"])
    choose("adjust_lr_fn", group["adjust_lr_fn"] or "original", ADJUSTMENTS)
    if len(group["ns_coefficients"]) != 3:
        raise ValueError(f"ns_coefficients must be three, got {group['ns_coefficients']}")
    for p in group["params"]:
        if p.ndim != 2:
            raise ValueError(
                f"Muon takes matrices only, got a parameter of shape {tuple(p.shape)}; "
                "split the model with muon_split, or use MuonAdamW"
            )


class Muon(Optimizer):
    """Muon, equal to ``torch.optim.Muon``.

    b = mu b + (1 - mu) g;  u = (1 - mu) g + mu b (Nesterov) or b;
    theta = theta - lr lambda theta - lr s newton_schulz(u).
    The scale s is sqrt(max(1, R / C)) for ``adjust_lr_fn="original"`` (or None), and
    0.2 sqrt(max(R, C)) for ``"match_rms_adamw"``, with which AdamW's lr and lambda fit.
    ``ns_dtype`` is the precision of the products: float32 is the faster one on processors that
    only emulate bfloat16.
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = COEFFICIENTS,
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
        ns_dtype: torch.dtype = torch.bfloat16,
    ):
        defaults = {"lr": lr, "weight_decay": weight_decay, "momentum": momentum}
        defaults |= {"nesterov": nesterov, "ns_coefficients": ns_coefficients, "eps": eps}
        defaults |= {"ns_steps": ns_steps, "adjust_lr_fn": adjust_lr_fn, "ns_dtype": ns_dtype}
        super().__init__(params, defaults)

    def _check(self, group: dict) -> None:
        check_muon(group)

    def _update(self, params: list[Tensor], grads: list[Tensor], group: dict) -> None:
        muon_update(self, params, grads, group)


def muon_split(model: nn.Module, head: str = "head") -> tuple[list[Tensor], list[Tensor]]:
    """Split a model's parameters into those for Muon and the rest, for AdamW.

    Muon gets the matrices, except embeddings (of ``nn.Embedding``, also where a head shares
    them) and those with ``head`` in their name. Frozen parameters are left out.
    """
    tables = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    hidden: list[Tensor] = []
    others: list[Tensor] = []
    for name, p in model.named_parameters():
        if p.requires_grad:
            chosen = p.ndim == 2 and id(p) not in tables and head not in name
            (hidden if chosen else others).append(p)
    return hidden, others


class MuonAdamW(Optimizer):
    """Muon for the matrices of hidden layers and AdamW for the rest, as one optimizer.

    Three groups: Muon's; matrices and more for AdamW; vectors for AdamW, without decay. The
    split is `muon_split`. Muon's step is scaled to AdamW's (``match_rms_adamw``), so that one
    ``lr`` serves both. ``ns_dtype`` None is float32 on a CPU and bfloat16 elsewhere.
    Raises ValueError if the model has no matrix for Muon.
    """

    def __init__(
        self,
        model: nn.Module,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.95),
        *,
        head: str = "head",
        fused: bool = False,
        ns_dtype: torch.dtype | None = None,
    ):
        hidden, others = muon_split(model, head)
        if not hidden:
            raise ValueError("the model has no matrix of a hidden layer: use AdamW")
        if ns_dtype is None:
            ns_dtype = torch.float32 if hidden[0].device.type == "cpu" else torch.bfloat16
        muon = {"momentum": momentum, "nesterov": True, "ns_coefficients": COEFFICIENTS}
        muon |= {"eps": 1e-7, "ns_steps": 5, "adjust_lr_fn": "match_rms_adamw"}
        groups = [{"params": hidden, "algorithm": "muon", "ns_dtype": ns_dtype, **muon}]
        for params, decay in (
            ([p for p in others if p.ndim >= 2], weight_decay),
            ([p for p in others if p.ndim < 2], 0.0),
        ):
            adamw = {"algorithm": "adamw", "betas": betas, "eps": 1e-8, "fused": fused}
            if params:
                groups.append({"params": params, "weight_decay": decay, **adamw})
        super().__init__(groups, {"lr": lr, "weight_decay": weight_decay})

    def _check(self, group: dict) -> None:
        if group["algorithm"] == "muon":
            check_muon(group)
        else:
            check_adam(group)

    def _update(self, params: list[Tensor], grads: list[Tensor], group: dict) -> None:
        if group["algorithm"] == "muon":
            muon_update(self, params, grads, group)
        else:
            adam_update(self, params, grads, group, decoupled=True)
