"""One look at loss and gradient a step, and the search for the culprit when they are not finite.

Reading a number from an accelerator makes the processor wait for it. So loss and gradient norm
come over together, once a step and before the weights are touched.
"""

import math

import torch
from torch import nn

from utils.batches import describe, tensors
from utils.distributed.state import local, whole
from utils.distributed.world import processes, summed, union


def gradient_norm(gradients: list[torch.Tensor]) -> torch.Tensor:
    """Return the L2 norm over all gradients together, a scalar tensor on their device."""
    return torch.nn.utils.get_total_norm(gradients)


def read_step(
    loss: torch.Tensor, gradients: list[torch.Tensor], norm: torch.Tensor | None
) -> tuple[float, float | None, bool]:
    """Return loss, gradient norm (None unless it was given) and whether all is finite.

    On the CPU, without a norm at hand, sums do for the test: a sum is finite only if its terms
    are, and it costs half of what the norm costs. (A finite gradient whose sum or norm overflows
    looks bad here; ``culprits`` then finds nothing.)
    """
    if processes() > 1:
        return _read_shared_step(loss, gradients, norm)
    if loss.device.type != "cpu":
        total = norm if norm is not None else gradient_norm(gradients)
        value, size = torch.stack([loss.float(), total.float().to(loss.device)]).tolist()
        return value, size if norm is not None else None, math.isfinite(value + size)
    value = loss.item()
    if norm is not None:
        size = norm.item()
        return value, size, math.isfinite(value + size)
    isfinite = math.isfinite
    return value, None, isfinite(value) and all(isfinite(g.sum().item()) for g in gradients)


def _read_shared_step(
    loss: torch.Tensor, gradients: list[torch.Tensor], norm: torch.Tensor | None
) -> tuple[float, float | None, bool]:
    """`read_step` of several processes: the mean loss, and one verdict, the same in all."""
    norm = None if norm is None else whole(norm)
    sums = torch.stack([local(g).sum().float() for g in gradients])
    bad = (~sums.isfinite()).any()
    value, bad = summed(torch.stack([loss.double(), bad.double()])).tolist()
    value, size = value / processes(), None if norm is None else norm.item()
    return value, size, math.isfinite(value + (size or 0.0)) and not bad


def culprits(named: list[tuple[str, nn.Parameter]]) -> tuple[list[str], list[str]]:
    """Return the names of parameters whose values, and whose gradients, are not finite."""
    values = [name for name, p in named if not local(p.detach()).isfinite().all()]
    gradients = [name for name, p in named if p.grad is not None and not _finite(local(p.grad))]
    return union(values), union(gradients)


def judge(
    step: int,
    loss: float,
    norm: float | None,
    lr: float,
    named: list[tuple[str, nn.Parameter]],
    batches: list,
    scale: float | None,
) -> bool:
    """Say whether the step goes on although ``read_step`` saw something not finite.

    It does when a sum overflowed and no gradient did (returns False), and when float16's loss
    scaling is there (``scale``) to skip the update and lower its scale (returns True).

    Raises
    ------
    FloatingPointError: the loss or a gradient is NaN or infinite.
    """
    values, gradients = culprits(named)
    if math.isfinite(loss) and not values:
        if norm is None and not gradients:
            return False
        if scale is not None and scale >= 1:
            return True
    raise not_finite(step, loss, lr, named, batches)


def _finite(gradient: torch.Tensor) -> bool:
    gradient = gradient.coalesce().values() if gradient.is_sparse else gradient
    return bool(gradient.isfinite().all())


def not_finite(
    step: int, loss: float, lr: float, named: list[tuple[str, nn.Parameter]], batches: list
) -> FloatingPointError:
    """Return the error that tells where numbers stopped being finite, and what to try."""
    values, gradients = culprits(named)
    bad = [t for t in tensors(batches) if t.is_floating_point() and not t.isfinite().all()]
    where = ", but its gradient is not finite." if math.isfinite(loss) else "."
    said = [f"Step {step}: the loss is {loss}{where}"]
    if bad:
        said.append(f"The batch itself holds NaN or infinity: {describe(bad)}.")
    if values:
        said.append(f"Weights not finite before this step: {_list(values)}.")
    elif gradients:
        # Backpropagation runs from the output to the input and spreads what it meets.
        said.append(
            f"Gradients not finite: {_list(gradients)}; nearest to the output, where it began: "
            f"{gradients[-1]!r}."
        )
    said.append(
        f"The weights were not updated. Learning rate {lr:g}: try a smaller one, clip=1.0, "
        "float32, or look for log(0), 0/0 and sqrt(0) in the model."
    )
    return FloatingPointError(" ".join(said))


def _list(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(map(repr, names[:3])) + more
