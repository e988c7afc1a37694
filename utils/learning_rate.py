"""How the Trainer moves the learning rate: by a function of the step or a torch scheduler."""

import math
import numbers

import torch
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau


def remember_base(optimizer: torch.optim.Optimizer) -> None:
    """Note each group's learning rate as ``initial_lr``, where torch's schedulers keep it too."""
    for group in optimizer.param_groups:
        group.setdefault("initial_lr", group["lr"])


def before_step(optimizer: torch.optim.Optimizer, schedule, step: int) -> float:
    """Set lr = initial_lr * schedule(step) if the schedule is a function; return the first lr.

    Raises
    ------
    ValueError: schedule(step) is not a finite number, 0 or more.
    """
    if schedule is not None and not isinstance(schedule, LRScheduler):
        factor = schedule(step)
        number = isinstance(factor, numbers.Real | torch.Tensor)
        if not (number and math.isfinite(factor) and factor >= 0):
            raise ValueError(
                f"schedule({step}) must return a factor of the learning rate, a finite number "
                f"that is not negative; it returned {factor!r}"
            )
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * float(factor)
    return float(optimizer.param_groups[0]["lr"])


def after_step(schedule) -> None:
    """Advance a torch scheduler (not ReduceLROnPlateau, which waits for evaluations)."""
    if isinstance(schedule, LRScheduler) and not isinstance(schedule, ReduceLROnPlateau):
        schedule.step()


def after_evaluation(schedule, loss: float) -> None:
    """Tell ReduceLROnPlateau the evaluation loss."""
    if isinstance(schedule, ReduceLROnPlateau):
        schedule.step(loss)
