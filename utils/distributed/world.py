"""Who takes part: start and end, rank, a process's share of a batch, sums over processes."""

from __future__ import annotations

import datetime
import os
import socket

import torch
from torch import Tensor, distributed, nn

from utils.batches import batch_size, split
from utils.checkpoint import host_rng_state, set_rng_state
from utils.device import pick_device

_MEMBER = getattr(distributed, "GroupMember", None)  # None where torch was built without groups
_SET_BY_TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


def start(prefer: str | None = None, *, minutes: float = 10) -> torch.device:
    """Join the processes that torchrun started; return this process's device.

    Without torchrun it is one process and nothing is joined. ``prefer``: "cpu" to leave the
    GPUs alone. With GPUs each process takes one, and they talk by NCCL; on CPUs by Gloo.
    ``minutes``: how long a process waits for the others before it gives up.

    Raises
    ------
    RuntimeError: torchrun's variables are set in part, or more processes than GPUs.
    """
    missing = [name for name in _SET_BY_TORCHRUN if name not in os.environ]
    if "WORLD_SIZE" not in os.environ or distributed.is_initialized():
        return process_device() if distributed.is_initialized() else pick_device(prefer)
    if missing:
        raise RuntimeError(
            f"WORLD_SIZE is set, but not {', '.join(missing)}: start the script by "
            "`torchrun --nproc-per-node N script.py`, or unset WORLD_SIZE to run one process"
        )
    gpu = pick_device(prefer).type == "cuda"
    if gpu:
        local, here = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if local >= here:
            raise RuntimeError(
                f"process {local} of this machine finds {here} GPUs: use --nproc-per-node {here}, "
                "or start('cpu')"
            )
        torch.cuda.set_device(local)
    elif os.environ.get("LOCAL_WORLD_SIZE") == os.environ["WORLD_SIZE"]:
        _stay_on_this_machine()
    timeout = datetime.timedelta(minutes=minutes)
    distributed.init_process_group("nccl" if gpu else "gloo", timeout=timeout)
    return process_device()


def _stay_on_this_machine() -> None:
    """Let Gloo use the loopback address: it works without a network, and without a host name."""
    names = [name for _, name in socket.if_nameindex()]
    for name in ("lo", "lo0"):  # Linux, macOS; Windows has another way
        if name in names:
            os.environ.setdefault("GLOO_SOCKET_IFNAME", name)


def finish() -> None:
    """Leave the group; one process has none to leave."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def processes() -> int:
    """Number of processes that train together; 1 without a group."""
    if _MEMBER is None or _MEMBER.WORLD is None:  # is_initialized(), in a tenth of its time
        return 1
    return distributed.get_world_size()


def rank() -> int:
    """Number of this process, from 0; 0 without a group."""
    return distributed.get_rank() if processes() > 1 else 0


def process_device() -> torch.device:
    """The device that this process's collective operations work on."""
    if distributed.get_backend() == "nccl":
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")


def share(batch):
    """This process's rows of a batch (see `utils.batches`); sizes differ by at most one.

    Raises
    ------
    ValueError: there are fewer rows than processes.
    """
    count = processes()
    if count == 1:
        return batch
    if batch_size(batch) < count:
        raise ValueError(
            f"a batch of {batch_size(batch)} samples cannot be shared by {count} processes: use "
            "a larger batch, and drop_last=True in the DataLoader if it is an epoch's last one"
        )
    return split(batch, count)[rank()]


def share_or_all(batch):
    """`share`, and 1; where rows are too few, the whole batch, and the weight that it then has."""
    count = processes()
    if count == 1 or batch_size(batch) >= count:
        return share(batch), 1.0
    return batch, 1.0 / count


def summed(values: Tensor) -> Tensor:
    """The sum of a tensor over all processes, on the CPU; same shape and dtype."""
    if processes() == 1:
        return values.cpu()
    values = values.detach().to(process_device(), copy=True)
    distributed.all_reduce(values)
    return values.cpu()


def union(names: list[str]) -> list[str]:
    """Every process's names, each once, in order of rank."""
    if processes() == 1:
        return names
    gathered: list = [None] * processes()
    distributed.all_gather_object(gathered, names)
    return list(dict.fromkeys(name for part in gathered for name in part))


def agree(model: nn.Module) -> None:
    """Give all processes rank 0's weights, buffers and host random state.

    Equal weights make it one model, equal random states make all loaders shuffle alike.
    """
    for value in model.state_dict().values():
        if isinstance(value, Tensor):
            distributed.broadcast(value, 0)
    box = [host_rng_state()]
    distributed.broadcast_object_list(box, 0)
    set_rng_state(box[0])
