"""What happened in training: numbers by step, evaluations, and their picture."""

import sys
from dataclasses import asdict, dataclass, field

import torch
from tqdm import tqdm

from utils.distributed.world import rank


@dataclass
class History:
    """The record of a run. Entry i of the lists belongs to step i + 1.

    ``loss``: mean training loss of the step's batch, before its update. ``lr``: learning rate of
    the first parameter group. ``grad_norm``: L2 norm of the gradient before clipping (empty
    unless ``clip`` was set). ``evaluations``: dicts with "step", "epoch", "loss" and metrics.
    ``skipped``: steps that float16's loss scaling left out. ``seconds``: time spent in ``fit``.
    """

    loss: list[float] = field(default_factory=list)
    lr: list[float] = field(default_factory=list)
    grad_norm: list[float] = field(default_factory=list)
    evaluations: list[dict] = field(default_factory=list)
    skipped: list[int] = field(default_factory=list)
    seconds: float = 0.0

    def record(self, loss: float, lr: float, grad_norm: float | None) -> None:
        """Append the numbers of one step."""
        self.loss.append(loss)
        self.lr.append(lr)
        if grad_norm is not None:
            self.grad_norm.append(grad_norm)

    def best(self, key: str = "loss", largest: bool = False) -> dict:
        """Return the evaluation with the smallest (or largest) value of ``key``.

        Raises
        ------
        ValueError: nothing was evaluated, or no evaluation has that key.
        """
        rows = [row for row in self.evaluations if key in row]
        if not rows:
            known = sorted({name for row in self.evaluations for name in row})
            raise ValueError(f"no evaluation has {key!r}; there is {', '.join(known) or 'none'}")
        return (max if largest else min)(rows, key=lambda row: row[key])

    def smoothed_loss(self, window: int | None = None) -> list[float]:
        """Return the training loss averaged over the last ``window`` steps (default: 2 %).

        Raises
        ------
        ValueError: window is not positive.
        """
        window = window if window is not None else max(1, len(self.loss) // 50)
        if window < 1:
            raise ValueError(f"window must be at least 1, got {window}")
        if not self.loss:
            return []
        total = torch.tensor([0.0, *self.loss], dtype=torch.float64).cumsum(0)
        ends = torch.arange(1, len(self.loss) + 1)
        starts = (ends - window).clamp(min=0)
        return ((total[ends] - total[starts]) / (ends - starts)).tolist()

    def plot(self, ax=None, label: str | None = None):
        """Draw training loss (thin), its mean and the evaluation loss; return the Axes.

        Raises
        ------
        ValueError: no step has been recorded.
        """
        if not self.loss:
            raise ValueError("there is nothing to plot: no step has been recorded yet")
        import matplotlib.pyplot as plt

        if ax is None:
            _, ax = plt.subplots()
        prefix = f"{label}, " if label else ""
        steps = range(1, len(self.loss) + 1)
        (line,) = ax.plot(steps, self.smoothed_loss(), label=f"{prefix}training")
        if len(self.loss) >= 100:
            ax.plot(steps, self.loss, color=line.get_color(), alpha=0.25, linewidth=0.6)
        if self.evaluations:
            x = [row["step"] for row in self.evaluations]
            y = [row["loss"] for row in self.evaluations]
            style = {"linestyle": "--", "marker": "o", "markersize": 4}
            ax.plot(x, y, color=line.get_color(), label=f"{prefix}evaluation", **style)
        ax.set(xlabel="step", ylabel="loss")
        ax.legend()
        return ax

    def state_dict(self) -> dict:
        """Return all fields as plain values; ``History(**state)`` builds it again."""
        return asdict(self)


def progress_bar(show: bool | None, total: int | None, initial: int) -> tqdm:
    """Return a bar that leaves nothing behind.

    ``show=None`` shows it on a terminal only. A notebook never shows it: its outputs are stored.
    """
    show = (sys.stderr.isatty() if show is None else show) and rank() == 0
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    quiet = not show or hasattr(shell, "kernel")
    return tqdm(total=total, initial=initial, disable=quiet, leave=False, unit="step")
