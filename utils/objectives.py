"""Losses and metrics in the Trainer's form, a function of model and batch; evaluation.

Legend: B samples in a batch, C classes.
"""

import torch
from torch import nn
from torch.nn import functional as F

from utils.batches import batch_size, move, split
from utils.checkpoint import rng_state, set_rng_state
from utils.device import autocast
from utils.distributed.world import share_or_all, summed


def _scores(model: nn.Module, batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Return scores (B, C) and labels (B,), or an error in words."""
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        size = f" of {len(batch)}" if isinstance(batch, tuple | list | dict) else ""
        raise TypeError(
            f"cross-entropy by default expects batches (x, y), got {type(batch).__name__}{size}; "
            "for other batches give the Trainer a loss_fn(model, batch)"
        )
    x, y_B = batch
    if y_B.dtype != torch.int64:
        raise TypeError(
            f"labels must be int64 class numbers of shape (B,), got {y_B.dtype} "
            f"{tuple(y_B.shape)}; use y.long(), or give the Trainer your own loss_fn"
        )
    scores_BC = model(x)
    if scores_BC.ndim != 2 or y_B.ndim != 1 or len(scores_BC) != len(y_B):
        raise ValueError(
            f"cross-entropy by default needs scores (B, C) and labels (B,), got "
            f"{tuple(scores_BC.shape)} and {tuple(y_B.shape)}"
        )
    return scores_BC, y_B


def cross_entropy(model: nn.Module, batch) -> torch.Tensor:
    """Return the mean cross-entropy of model(x) (B, C) and labels (B,), int64, for (x, y).

    Raises
    ------
    TypeError, ValueError: the batch or the scores are of another form.
    IndexError: a label is not below the number of classes (on the CPU; torch's own message).
    """
    scores_BC, y_B = _scores(model, batch)
    return F.cross_entropy(scores_BC, y_B)


def accuracy_and_loss(model: nn.Module, batch) -> dict[str, torch.Tensor]:
    """Return {"loss", "accuracy"}: means over the batch (x, y), from one forward pass."""
    scores_BC, y_B = _scores(model, batch)
    accuracy = (scores_BC.argmax(dim=1) == y_B).float().mean()
    return {"loss": F.cross_entropy(scores_BC, y_B), "accuracy": accuracy}


class WeightedMeans:
    """Means of several scalars over batches of unequal size, read from the device once."""

    def __init__(self):
        self.values: dict[str, list[torch.Tensor]] = {}
        self.weights: list[float] = []

    def add(self, row: dict, weight: float) -> None:
        """Take the means over one batch of ``weight`` samples.

        Raises
        ------
        TypeError: the row is not a dict. ValueError: no "loss", other names than before, or
        an entry that is not a scalar.
        """
        if not isinstance(row, dict):
            raise TypeError(f"metrics must return a dict of scalars, got {type(row).__name__}")
        if "loss" not in row or (self.values and row.keys() != self.values.keys()):
            raise ValueError(
                f'metrics must return "loss" and the same names for every batch, got {list(row)}'
            )
        for name, value in row.items():
            tensor = torch.as_tensor(value).detach()
            if tensor.numel() != 1:
                raise ValueError(
                    f"metric {name!r} must be a scalar (the mean over the batch), got shape "
                    f"{tuple(tensor.shape)}"
                )
            self.values.setdefault(name, []).append(tensor.reshape(()))
        self.weights.append(weight)

    def read(self) -> dict[str, float]:
        """Return the means over all processes. Raises ValueError when nothing was added."""
        if not sum(self.weights):
            raise ValueError("the loader for evaluation has no batches, so there is no mean")
        weights = torch.tensor(self.weights, dtype=torch.float64)
        means = {}
        for name, values in self.values.items():
            column = torch.stack(values).cpu().double()
            both = summed(torch.stack([(column * weights).sum(), weights.sum()]))
            means[name] = (both[0] / both[1]).item()
        return means


def evaluate(
    model: nn.Module,
    loader,
    metrics=accuracy_and_loss,
    precision: torch.dtype = torch.float32,
    parts: int = 1,
) -> dict[str, float]:
    """Return the means of ``metrics(model, batch)`` over all samples of the loader.

    The model is in evaluation mode meanwhile, without gradients; its mode and all random states
    are as before afterwards. ``parts``: pieces that each batch is split into, to save memory.

    Raises
    ------
    TypeError, ValueError: the loader is empty or the metrics are not a dict of scalars.
    """
    device = next(model.parameters()).device
    rng, training, means = rng_state(), model.training, WeightedMeans()
    model.eval()
    try:
        with torch.no_grad(), autocast(device, precision):
            for batch in loader:
                mine, weight = share_or_all(batch)
                for part in split(mine, parts):
                    means.add(metrics(model, move(part, device)), weight * batch_size(part))
    finally:
        model.train(training)
        set_rng_state(rng)
    return means.read()
