"""What a Trainer's checkpoint holds, and the refusal of what does not fit.

All is checked before anything is changed, so a refused checkpoint leaves the Trainer as it was.
"""

import torch
from torch import nn

from utils.checkpoint import CheckpointError, read, rng_state, write
from utils.distributed.state import (
    load_model,
    load_optimizer,
    unwrap,
    whole_model,
    whole_optimizer,
)
from utils.distributed.world import processes, rank, union
from utils.history import History

FORMAT = "large-models-measured training state, version 1"


def trainer_state(trainer) -> dict:
    """Return model, optimizer, schedule, scaler, place in the data, random states, history."""
    schedule = getattr(trainer.schedule, "state_dict", None)
    return {
        "format": FORMAT,
        "torch": str(torch.__version__),
        "model": whole_model(trainer.model),
        "optimizer_kind": type(trainer.optimizer).__name__,
        "optimizer": whole_optimizer(trainer.optimizer),
        "schedule": schedule() if schedule else None,
        "scaler": trainer.scaler.state_dict() if trainer.scaler else None,
        "precision": str(trainer.precision),
        "accumulate": trainer.accumulate,
        "parts": trainer.parts,
        "step": trainer.step,
        "stream": trainer.stream.state_dict(),
        "rng": trainer.stream.pending_rng or rng_state(),
        "history": trainer.history.state_dict(),
    }


def write_trainer(trainer, path) -> None:
    """Write the state, of all processes together, to a file by the first one's hand.

    Raises
    ------
    OSError, TypeError: as `utils.checkpoint.write`; in every process.
    """
    state, error = trainer_state(trainer), None
    if rank() == 0:
        try:
            write(state, path)
        except (OSError, TypeError) as caught:
            error = caught
    refused = union([str(error)] if error else [])  # the others wait here for the file
    if refused:
        raise error or OSError(f"in the first process: {refused[0]}")


def read_trainer(trainer, path) -> None:
    """Bring the Trainer to what ``write_trainer`` wrote; every process reads the file.

    Raises
    ------
    FileNotFoundError, CheckpointError: as `utils.checkpoint.read` and `restore_trainer`.
    """
    restore_trainer(trainer, read(path))


def restore_trainer(trainer, state: dict) -> None:
    """Bring the Trainer to the state; the random states are set when training goes on.

    Raises
    ------
    CheckpointError: the state is not a Trainer's, or of another model, optimizer or setting.
    """
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise CheckpointError(
            f"this is not a Trainer's checkpoint: its format is not {FORMAT!r}. "
            "Weights alone are loaded with model.load_state_dict"
        )
    check_model(unwrap(trainer.model), state["model"])
    check_optimizer(trainer.optimizer, state["optimizer_kind"], state["optimizer"])
    settings = {"precision": str(trainer.precision), "accumulate": trainer.accumulate}
    for name, here in settings.items():
        if state[name] != here:
            raise CheckpointError(
                f"the checkpoint was written with {name}={state[name]}, this Trainer has {here}: "
                "the run would not go on as it began"
            )
    has_state = hasattr(trainer.schedule, "load_state_dict")
    if has_state != (state["schedule"] is not None):
        raise CheckpointError(
            "only one of checkpoint and Trainer has a torch scheduler: build the same schedule"
        )
    load_model(trainer.model, state["model"])
    load_optimizer(trainer.optimizer, state["optimizer"])
    if has_state:
        trainer.schedule.load_state_dict(state["schedule"])
    if trainer.scaler:
        trainer.scaler.load_state_dict(state["scaler"])
    trainer.stream.load_state_dict(state["stream"], state["rng"])
    trainer.step = state["step"]
    trainer.parts = state["parts"] if processes() == 1 else 1  # they must split alike
    trainer.history = History(**state["history"])


def check_model(model: nn.Module, state: dict) -> None:
    """Raise CheckpointError, naming the keys, unless the state fits the model exactly."""
    own = model.state_dict()
    problems = [f"missing {key!r}" for key in own if key not in state]
    problems += [f"unknown {key!r}" for key in state if key not in own]
    for key in own.keys() & state.keys():
        here, there = own[key], state[key]
        if isinstance(here, torch.Tensor) and isinstance(there, torch.Tensor):
            if here.shape != there.shape:
                problems.append(f"{key!r} is {tuple(there.shape)}, the model {tuple(here.shape)}")
            elif here.dtype != there.dtype:
                problems.append(f"{key!r} is {there.dtype}, the model {here.dtype}")
    if problems:
        more = f" and {len(problems) - 6} more" if len(problems) > 6 else ""
        raise CheckpointError(
            f"the checkpoint belongs to another model: {'; '.join(sorted(problems)[:6])}{more}"
        )


def check_optimizer(optimizer: torch.optim.Optimizer, kind: str, state: dict) -> None:
    """Raise CheckpointError unless the state is of the same kind, groups and parameter counts."""
    if kind != type(optimizer).__name__:
        raise CheckpointError(
            f"the checkpoint was written with optimizer {kind}, this is "
            f"{type(optimizer).__name__}: build the same one to resume"
        )
    there = [len(group["params"]) for group in state["param_groups"]]
    here = [len(group["params"]) for group in optimizer.param_groups]
    if here != there:
        raise CheckpointError(
            f"the optimizer has parameter groups of {here} tensors, the checkpoint of {there}"
        )
