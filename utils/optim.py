"""Optimizers, parameter groups and gradient clipping.

Design: each optimizer is the few lines of its formula on lists of tensors (``torch._foreach_*``:
one kernel for all parameters on a GPU, one loop in C++ on a CPU). Each equals the class of the
same name in ``torch.optim``; what those offer beyond (AMSGrad, dampening, maximize) is left out.

Symbols: theta parameters, g gradient, t step from 1, lr learning rate, lambda weight decay.
All tensors keep the shape and dtype of their parameter.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from utils.adam import Adam, AdamW
from utils.arguments import check_range
from utils.muon import Muon, MuonAdamW, muon_split, newton_schulz
from utils.optim_base import Optimizer, with_decay

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Muon",
    "MuonAdamW",
    "RMSprop",
    "clip_grad_norm",
    "decay_groups",
    "muon_split",
    "newton_schulz",
]


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum (Polyak 1964), with Nesterov's momentum.

    b = mu b + g;  theta = theta - lr b, or with Nesterov theta = theta - lr (g + mu b)
    (Sutskever et al. 2013, in the form that needs the gradient at theta only).
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ):
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        # "dampening" is here so that the state loads into torch.optim.SGD.
        super().__init__(params, defaults | {"nesterov": nesterov, "dampening": 0})

    def _check(self, group: dict) -> None:
        check_range(0, momentum=group["momentum"])
        if group["nesterov"] and group["momentum"] == 0:
            raise ValueError("nesterov=True needs a momentum above 0")

    def _update(self, params: list[Tensor], grads: list[Tensor], group: dict) -> None:
        direction = with_decay(params, grads, group)
        if group["momentum"]:
            velocity = self.states(params, "momentum_buffer")
            torch._foreach_mul_(velocity, group["momentum"])
            torch._foreach_add_(velocity, direction)
            if group["nesterov"]:
                direction = torch._foreach_add(direction, velocity, alpha=group["momentum"])
            else:
                direction = velocity
        torch._foreach_add_(params, direction, alpha=-group["lr"])


class RMSprop(Optimizer):
    """RMSProp (Tieleman and Hinton 2012, lecture 6.5), plain, centered (Graves 2013), momentum.

    v = alpha v + (1 - alpha) g^2;  theta = theta - lr g / (sqrt(v) + eps); centered: v - mean(g)^2
    under the root.
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ):
        defaults = {"lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults | {"momentum": momentum, "centered": centered})

    def _check(self, group: dict) -> None:
        check_range(0, 1, alpha=group["alpha"])
        check_range(0, eps=group["eps"], momentum=group["momentum"])

    def _update(self, params: list[Tensor], grads: list[Tensor], group: dict) -> None:
        grads = with_decay(params, grads, group)
        self.count(params)
        squares = self.states(params, "square_avg")
        torch._foreach_mul_(squares, group["alpha"])
        torch._foreach_addcmul_(squares, grads, grads, 1 - group["alpha"])
        if group["centered"]:
            means = self.states(params, "grad_avg")
            torch._foreach_lerp_(means, grads, 1 - group["alpha"])
            scale = torch._foreach_addcmul(squares, means, means, -1.0)
            torch._foreach_sqrt_(scale)
        else:
            scale = torch._foreach_sqrt(squares)
        torch._foreach_add_(scale, group["eps"])
        if group["momentum"]:
            velocity = self.states(params, "momentum_buffer")
            torch._foreach_mul_(velocity, group["momentum"])
            torch._foreach_addcdiv_(velocity, grads, scale)
            torch._foreach_add_(params, velocity, alpha=-group["lr"])
        else:
            torch._foreach_addcdiv_(params, grads, scale, -group["lr"])


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """Two parameter groups: matrices and tensors of more axes decay, vectors and scalars do not.

    Biases and the scales of normalizations are vectors. Parameters that need no gradient are left
    out, tied ones counted once; a group that would be empty is left out.
    Raises ValueError if no parameter needs a gradient or ``weight_decay`` is negative.
    """
    check_range(0, weight_decay=weight_decay)
    params = [p for p in model.parameters() if p.requires_grad]
    if not params:
        raise ValueError("no parameter of the model needs a gradient: is all of it frozen?")
    groups = [
        {"params": [p for p in params if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in params if p.ndim < 2], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


@torch.no_grad()
def clip_grad_norm(
    params: Iterable[Tensor], max_norm: float, *, error_if_nonfinite: bool = False
) -> Tensor:
    """Scale all gradients in place so that their joint Euclidean norm is at most ``max_norm``.

    Pascanu et al. 2013; equal to ``torch.nn.utils.clip_grad_norm_``, with its 1e-6
    in the denominator. Returns the norm before clipping, a scalar tensor; 0 without gradients.
    ``max_norm=float("inf")`` measures only. A norm that is not finite makes all gradients NaN or
    zero; ``error_if_nonfinite`` raises ValueError instead, and leaves the gradients alone.
    Raises ValueError for a ``max_norm`` that is not positive.
    """
    if not max_norm > 0:
        raise ValueError(f"max_norm must be above 0, got {max_norm}")
    grads = [p.grad for p in params if p.grad is not None]
    if not grads:
        return torch.zeros(())
    norms = torch._foreach_norm(grads)
    total = torch.linalg.vector_norm(torch.stack([norm.to(norms[0].device) for norm in norms]))
    if error_if_nonfinite and not torch.isfinite(total):
        raise ValueError(f"the norm of the gradients is {total.item()}: look for NaN or overflow")
    if max_norm == float("inf"):
        return total
    # A clamp, not a branch: reading the norm would make a GPU wait.
    factor = (max_norm / (total + 1e-6)).clamp(max=1.0)
    for device in {g.device for g in grads}:
        torch._foreach_mul_([g for g in grads if g.device == device], factor.to(device))
    return total
