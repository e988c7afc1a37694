"""What a Trainer's checkpoint holds, and the refusal of what does not fit.

All is checked before anything is changed, so a refused checkpoint leaves the Trainer as it was.
"""

import torch
from torch import nn

from utils.checkpoint import CheckpointError, rng_state
from utils.history import History

FORMAT = "large-models-measured training state, version 1"


def trainer_state(trainer) -> dict:
    """Return model, optimizer, schedule, scaler, place in the data, random states, history."""
    schedule = getattr(trainer.schedule, "state_dict", None)
    return {
        "format": FORMAT,
        "torch": str(torch.__version__),
        "model": trainer.model.state_dict(),
        "optimizer_kind": type(trainer.optimizer).__name__,
        "optimizer": trainer.optimizer.state_dict(),
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
    check_model(trainer.model, state["model"])
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
    trainer.model.load_state_dict(state["model"])
    trainer.optimizer.load_state_dict(state["optimizer"])
    if has_state:
        trainer.schedule.load_state_dict(state["schedule"])
    if trainer.scaler:
        trainer.scaler.load_state_dict(state["scaler"])
    trainer.stream.load_state_dict(state["stream"], state["rng"])
    trainer.step, trainer.parts = state["step"], state["parts"]
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
