"""What the Trainer asks of its arguments, each refusal in words."""

import numbers

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from utils.batches import batch_size, describe, is_out_of_memory
from utils.distributed.state import unwrap
from utils.distributed.world import processes


def check_settings(model, optimizer, loss_fn, metrics, schedule, accumulate, clip) -> None:
    """Raise TypeError or ValueError unless the Trainer's settings make sense."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    check_wrapped(model)
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise TypeError(
            f"optimizer must be a torch optimizer, got {type(optimizer).__name__}; "
            "for example torch.optim.AdamW(model.parameters(), lr=1e-3)"
        )
    for name, call in (("loss_fn", loss_fn), ("metrics", metrics), ("schedule", schedule)):
        optional = name != "loss_fn" and call is None
        if not (
            optional or callable(call) or (name == "schedule" and isinstance(call, LRScheduler))
        ):
            raise TypeError(f"{name} must be a function, got {type(call).__name__}")
    if isinstance(loss_fn, nn.Module):
        raise TypeError(
            f"loss_fn is called as loss_fn(model, batch); {type(loss_fn).__name__} takes outputs "
            "and targets, so wrap it: lambda model, batch: criterion(model(batch[0]), batch[1])"
        )
    if isinstance(schedule, LRScheduler) and schedule.optimizer is not optimizer:
        raise ValueError("the scheduler was built for another optimizer; build it for this one")
    check_count("accumulate", accumulate, least=1)
    if clip is not None and not (isinstance(clip, numbers.Real) and clip > 0):
        raise ValueError(f"clip must be a positive number (or None), got {clip!r}")


def check_wrapped(model: nn.Module) -> None:
    """Raise ValueError where several processes would train models that drift apart."""
    if processes() == 1 or isinstance(model, nn.parallel.DistributedDataParallel):
        return
    from torch.distributed.fsdp import FSDPModule

    if not isinstance(model, FSDPModule):
        raise ValueError(
            f"{processes()} processes train together, so the model must be shared: before the "
            "optimizer is built, model = replicate(model), or shard(model) where it is too large "
            "for one device (both in utils.distributed.data_parallel)"
        )


def check_count(name: str, value, least: int) -> None:
    """Raise TypeError or ValueError unless value is an integer, ``least`` or more."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")


def check_optimizer(
    model: nn.Module, optimizer: torch.optim.Optimizer, device: torch.device
) -> list[tuple[str, nn.Parameter]]:
    """Return (name, parameter) for each trainable parameter of the optimizer.

    Raises
    ------
    ValueError: nothing to train, parameters of another model, or state on another device.
    """
    names = {id(p): name for name, p in unwrap(model).named_parameters()}
    held = [p for group in optimizer.param_groups for p in group["params"]]
    if not any(p.requires_grad for p in model.parameters()):
        raise ValueError("the model has no parameter to train (all are frozen, or there is none)")
    if not any(id(p) in names for p in held):
        raise ValueError(
            "the optimizer holds none of this model's parameters: build it from model.parameters() "
            "of the same object that the Trainer gets (a copy has parameters of its own)"
        )
    if any(p.device.type != device.type for p in held):
        raise ValueError(
            f"the optimizer holds parameters that are not on {device}: give it the model's only, "
            "or move the others yourself first"
        )
    for state in optimizer.state.values():
        for name, value in state.items():
            if isinstance(value, torch.Tensor) and value.ndim and value.device.type != device.type:
                raise ValueError(
                    f"the optimizer's state {name!r} is on {value.device}, the model on {device}: "
                    "build a new optimizer after moving the model"
                )
    named = [(names.get(id(p), f"optimizer parameter {i}"), p) for i, p in enumerate(held)]
    return [(name, p) for name, p in named if p.requires_grad]


def check_fit(steps, epochs, evaluate, evaluate_every, checkpoint, checkpoint_every) -> None:
    """Raise TypeError or ValueError unless the arguments of ``fit`` make sense."""
    if (steps is None) == (epochs is None):
        raise ValueError("give fit either steps=... or epochs=... (the total, not both)")
    check_count("steps", 0 if steps is None else steps, least=0)
    check_count("epochs", 0 if epochs is None else epochs, least=0)
    pairs = {"evaluate": (evaluate, evaluate_every), "checkpoint": (checkpoint, checkpoint_every)}
    for name, (what, every) in pairs.items():
        if every is not None:
            check_count(f"{name}_every", every, least=1)
            if what is None:
                raise ValueError(f"{name}_every={every} needs {name}=... to be given too")


def count_samples(batches: list) -> int:
    """Return the samples in all batches. Raises ValueError when there are none."""
    total = sum(map(batch_size, batches))
    if total < 1:
        raise ValueError(f"a batch has no samples: {describe(batches)}")
    return total


def check_loss(loss) -> torch.Tensor:
    """Return the loss if it is a scalar tensor with a gradient; raise in words if not."""
    if not isinstance(loss, torch.Tensor):
        raise TypeError(
            f"loss_fn must return a scalar tensor, got {type(loss).__name__}; no .item(), no numpy"
        )
    if loss.ndim:
        raise ValueError(
            f"loss_fn must return one number, the mean over the batch, got shape "
            f"{tuple(loss.shape)}; use loss.mean()"
        )
    if not loss.requires_grad:
        raise ValueError(
            "the loss does not depend on any trainable parameter: it was detached, computed under "
            "no_grad, or does not use the model"
        )
    return loss


def check_gradients(gradients: list) -> None:
    """Raise ValueError when backpropagation reached none of the optimizer's parameters."""
    if not gradients:
        raise ValueError(
            "the loss does not depend on any parameter that the optimizer holds: no gradient "
            "came back from it"
        )


def checked_loss(loss_fn, model: nn.Module, batch, step: int) -> torch.Tensor:
    """Return loss_fn(model, batch), a scalar with a gradient.

    Raises
    ------
    TypeError, ValueError: the loss is something else, or torch refused the batch (with torch's
    reason, what came and what the model holds). Running out of memory passes through.
    """
    try:
        return check_loss(loss_fn(model, batch))
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        parameter = next(model.parameters())
        dtype = str(parameter.dtype).removeprefix("torch.")
        raise ValueError(
            f"step {step}: the loss of a batch of {describe(batch)} could not be computed. The "
            f"model's parameters are {dtype} on {parameter.device}: check dtype, shape and device "
            f"of the batch (NumPy's floats are float64: x.float()). torch says: {error}"
        ) from error
