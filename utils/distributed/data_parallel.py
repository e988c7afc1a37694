"""Data parallelism: every process has its own rows of a batch; DDP and FSDP2.

Both leave the mean of the processes' gradients. Li et al. 2020, "PyTorch Distributed:
Experiences on Accelerating Data Parallel Training"; Zhao et al. 2023, "PyTorch FSDP:
Experiences on Scaling Fully Sharded Data Parallel".

Dropout draws the same mask in every process, for other rows: the random states are kept equal,
because loaders must shuffle alike.
"""

from __future__ import annotations

from torch import nn

from utils.distributed.world import agree, process_device, processes


def replicate(model: nn.Module) -> nn.Module:
    """The model in DistributedDataParallel (the model itself in one process).

    All processes start from rank 0's weights and host random state. The wrapper is called like
    the model; the model's own attributes are behind ``.module``.
    """
    if processes() == 1:
        return model
    model = model.to(process_device())
    agree(model)
    return nn.parallel.DistributedDataParallel(model)


def shard(model: nn.Module) -> nn.Module:
    """The same model, its parameters now slices (DTensors) of 1 / processes each.

    Each entry of a ModuleList, such as a transformer's blocks, is gathered when it is needed and
    freed afterwards; what remains is gathered for the whole pass. All processes start from rank
    0's weights and host random state. Build the optimizer afterwards. Only ``forward``
    gathers: call the model itself, not a method of it. In one process nothing happens.
    """
    if processes() == 1:
        return model
    from torch.distributed.fsdp import fully_shard

    model = model.to(process_device())
    agree(model)
    blocks = [m for part in model.modules() if isinstance(part, nn.ModuleList) for m in part]
    for block in reversed(blocks):  # inner lists come after outer ones
        fully_shard(block)
    return fully_shard(model)
