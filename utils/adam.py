"""Adam and AdamW, in plain steps or as torch's fused kernel.

Symbols: theta parameters, g gradient, m and v running means of g and g squared, t step from 1,
lr learning rate, lambda weight decay. All tensors keep shape and dtype of their parameter.
"""

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from utils.arguments import check_range
from utils.optim_base import Optimizer, with_decay

__all__ = ["Adam", "AdamW", "adam_update", "check_adam"]


def adam_update(
    optimizer: Optimizer,
    params: list[Tensor],
    grads: Sequence[Tensor],
    group: dict,
    decoupled: bool,
) -> None:
    """One step of `Adam`, or of `AdamW` if ``decoupled``, on ``params`` in place."""
    means = optimizer.states(params, "exp_avg")
    squares = optimizer.states(params, "exp_avg_sq")
    steps = optimizer.count(params, on_device=bool(group["fused"]))
    (beta1, beta2), lr, decay = group["betas"], group["lr"], group["weight_decay"]
    if group["fused"]:
        update = torch._fused_adamw_ if decoupled else torch._fused_adam_
        options = {"lr": lr, "beta1": beta1, "beta2": beta2, "weight_decay": decay}
        options |= {"eps": group["eps"], "amsgrad": False, "maximize": False}
        update(params, grads, means, squares, [], steps, **options)
        return
    if not decoupled:
        grads = with_decay(params, grads, group)
    elif decay:
        torch._foreach_mul_(params, 1 - lr * decay)
    torch._foreach_lerp_(means, grads, 1 - beta1)
    torch._foreach_mul_(squares, beta2)
    torch._foreach_addcmul_(squares, grads, grads, 1 - beta2)
    times = [step.item() for step in steps]
    scale = torch._foreach_sqrt(squares)
    torch._foreach_div_(scale, [math.sqrt(1 - beta2**t) for t in times])
    torch._foreach_add_(scale, group["eps"])
    torch._foreach_addcdiv_(params, means, scale, [-lr / (1 - beta1**t) for t in times])


def check_adam(group: dict) -> None:
    """Raise TypeError or ValueError for bad hyper-parameters of a group of Adam's."""
    check_range(0, 1, beta1=group["betas"][0], beta2=group["betas"][1])
    check_range(0, eps=group["eps"])
    kinds = {f"{p.dtype} on {p.device}" for p in group["params"]}
    if group["fused"] and len(kinds) > 1:
        raise ValueError(
            f"fused=True needs one device and dtype in a group, got {', '.join(sorted(kinds))}"
        )


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015, algorithm 1); weight decay is an L2 penalty in the gradient.

    m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2;
    theta = theta - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps).

    ``fused=True`` makes the whole update one kernel of torch's: on a CPU it reads and writes
    memory once, not eight times. A group's parameters must then share device and dtype.
    """

    decoupled = False

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        fused: bool = False,
    ):
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults | {"fused": fused})

    def _check(self, group: dict) -> None:
        check_adam(group)

    def _update(self, params: list[Tensor], grads: list[Tensor], group: dict) -> None:
        adam_update(self, params, grads, group, self.decoupled)


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019).

    theta = theta - lr lambda theta, then Adam's step. As in torch, lambda is scaled by lr.
    """

    decoupled = True

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        *,
        fused: bool = False,
    ):
        super().__init__(params, lr, betas, eps, weight_decay, fused=fused)
