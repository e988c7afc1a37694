"""The state of a model in several processes, as one process would have it; and back.

A parameter of `tensor_parallel` has its rows in another order; its attribute ``pieces``, sizes
and number of processes, says which (see `interleave`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from utils.distributed.world import processes, rank


def interleave(rows: Tensor, sizes: tuple[int, ...], parts: int) -> Tensor:
    """Reorder stacked blocks of rows so that equal chunks hold the same share of each block.

    Rows (sum of sizes, ...), such as queries, keys, values; each size a multiple of `parts`.
    """
    pieces = [block.chunk(parts) for block in rows.split(sizes)]
    return torch.cat([block[part] for part in range(parts) for block in pieces])


def restore(rows: Tensor, sizes: tuple[int, ...], parts: int) -> Tensor:
    """Undo `interleave`."""
    pieces = [chunk.split([size // parts for size in sizes]) for chunk in rows.chunk(parts)]
    return torch.cat([chunk[block] for block in range(len(sizes)) for chunk in pieces])


def unwrap(model: nn.Module) -> nn.Module:
    """The model inside DistributedDataParallel, or the model itself."""
    return model.module if isinstance(model, nn.parallel.DistributedDataParallel) else model


def is_sharded(value) -> bool:
    """Whether this is a DTensor."""
    if processes() == 1 or not isinstance(value, Tensor):
        return False
    from torch.distributed.tensor import DTensor

    return isinstance(value, DTensor)


def local(value: Tensor) -> Tensor:
    """This process's slice of a DTensor; any other tensor as it is."""
    return value.to_local() if is_sharded(value) else value


def whole(value, parameter: Tensor | None = None):
    """The whole of a tensor that is sliced like the parameter, on its device.

    All processes must call it together. What is not a tensor is returned as it is.
    """
    if not is_sharded(value):
        return value
    full = value.full_tensor()
    pieces = getattr(parameter, "pieces", None)
    return full if pieces is None or full.shape != parameter.shape else restore(full, *pieces)


def sliced(value, parameter: Tensor):
    """Undo `whole`, from a value that every process has; without communication."""
    like = isinstance(value, Tensor) and is_sharded(parameter) and value.shape == parameter.shape
    if not like:
        return value
    from torch.distributed.tensor import distribute_tensor

    pieces = getattr(parameter, "pieces", None)
    value = value if pieces is None else interleave(value, *pieces)
    mesh, placements = parameter.device_mesh, parameter.placements
    return distribute_tensor(value.to(parameter.device), mesh, placements, src_data_rank=None)


def whole_model(model: nn.Module) -> dict:
    """``state_dict`` of the whole model. In other processes than rank 0 entries may be None."""
    model = unwrap(model)
    named = dict(model.named_parameters(remove_duplicate=False))
    return {k: _keep(whole(v, named.get(k))) for k, v in model.state_dict().items()}


def whole_optimizer(optimizer: torch.optim.Optimizer) -> dict:
    """``state_dict`` of the optimizer of a whole model; in other processes as `whole_model`."""
    state = optimizer.state_dict()
    held = [p for group in optimizer.param_groups for p in group["params"]]
    entries = {
        i: {key: _keep(whole(value, held[i])) for key, value in entry.items()}
        for i, entry in state["state"].items()
    }
    return state | {"state": entries}


def _keep(value):
    """Of what was gathered, rank 0 keeps a copy on the CPU and the others nothing."""
    if processes() == 1 or not isinstance(value, Tensor):
        return value
    return value.detach().cpu() if rank() == 0 else None


def load_model(model: nn.Module, state: dict) -> None:
    """Load a whole ``state_dict``, which every process has, into a model of any kind."""
    model = unwrap(model)
    named = dict(model.named_parameters(remove_duplicate=False))
    state = {k: sliced(v, named[k]) if k in named else v for k, v in state.items()}
    model.load_state_dict(state)


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict) -> None:
    """Load the ``state_dict`` of a whole model's optimizer, which every process has."""
    held = [p for group in optimizer.param_groups for p in group["params"]]
    entries = {
        i: {key: sliced(value, held[i]) for key, value in entry.items()}
        for i, entry in state["state"].items()
    }
    optimizer.load_state_dict(state | {"state": entries})


def whole_state(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict:
    """{"model", "optimizer"}: what one process's ``load_state_dict`` takes; valid in rank 0.

    For models of `replicate`, `shard` and `tensor_parallel`. All processes must call it.
    """
    return {"model": whole_model(model), "optimizer": whole_optimizer(optimizer)}


def load_state(model: nn.Module, optimizer: torch.optim.Optimizer, state: dict) -> None:
    """Load what `whole_state` gave, in any number of processes; every process has it all."""
    load_model(model, state["model"])
    load_optimizer(optimizer, state["optimizer"])
