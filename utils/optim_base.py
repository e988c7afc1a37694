"""The part that all our optimizers share: groups, states, checks, the walk over parameters.

Names of hyper-parameters and of states are torch's, so that a ``state_dict`` of ``torch.optim``
loads here and the other way round.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from utils.arguments import check_range

__all__ = ["Optimizer", "with_decay"]

# Switches of torch's classes that ours lack; a saved state that used one is refused.
UNSUPPORTED = ("amsgrad", "maximize", "dampening", "differentiable")


class Optimizer(torch.optim.Optimizer):
    """What all have in common: the walk over groups, states, checks.

    A subclass gives ``_check(group)`` and ``_update(params, grads, group)``.
    """

    def add_param_group(self, param_group: dict) -> None:
        """Add a group; raises TypeError or ValueError for bad hyper-parameters in it."""
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        check_range(0, lr=group["lr"], weight_decay=group["weight_decay"])
        self._check(group)

    def __setstate__(self, state: dict) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for name in UNSUPPORTED:
                if group.get(name):
                    raise ValueError(
                        f"the saved optimizer used {name}={group[name]!r}: not offered"
                    )
            for name, value in self.defaults.items():
                group.setdefault(name, value)

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """Update all parameters that have a gradient; return what ``closure`` returns.

        Raises ValueError for sparse or complex gradients.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            grads = [p.grad for p in params]
            if any(g.is_sparse or g.is_complex() for g in grads):
                raise ValueError("sparse and complex gradients are not supported; use torch.optim")
            if params:
                self._update(params, grads, group)
        return loss

    def states(self, params: list[Tensor], name: str) -> list[Tensor]:
        """The named state of each parameter, zeros where there is none yet."""
        for p in params:
            if self.state[p].get(name) is None:
                self.state[p][name] = torch.zeros_like(p, memory_format=torch.preserve_format)
        return [self.state[p][name] for p in params]

    def count(self, params: list[Tensor], on_device: bool = False) -> list[Tensor]:
        """Add 1 to the number of steps of each parameter and return these numbers."""
        for p in params:
            if self.state[p].get("step") is None:
                self.state[p]["step"] = torch.zeros((), device=p.device if on_device else "cpu")
        steps = [self.state[p]["step"] for p in params]
        torch._foreach_add_(steps, 1)
        return steps

    def _check(self, group: dict) -> None:
        raise NotImplementedError

    def _update(self, params: list[Tensor], grads: list[Tensor], group: dict) -> None:
        raise NotImplementedError


def with_decay(params: list[Tensor], grads: Sequence[Tensor], group: dict) -> Sequence[Tensor]:
    """g + lambda theta: the gradient of the loss with an L2 penalty."""
    if group["weight_decay"] == 0:
        return grads
    return torch._foreach_add(grads, params, alpha=group["weight_decay"])
