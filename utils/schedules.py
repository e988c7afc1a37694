"""Learning-rate schedules: pure functions of the step, to multiply the peak learning rate with.

Each maker checks its arguments and returns ``factor(step) -> float`` for steps 0, 1, 2, ...; give
it to ``torch.optim.lr_scheduler.LambdaLR`` or set ``group["lr"] = peak * factor(step)`` yourself.
Warm-up is linear, step / warmup: 0 at step 0, 1 at step ``warmup``. After ``total`` steps the
last value stays. With ``floor=0`` all equal the schedules of the same name in transformers.

Symbols: t step, W warm-up steps, N total steps, D decay steps, p progress from 0 to 1.
"""

import math
from collections.abc import Callable

from utils.arguments import check_range, choose

__all__ = ["SCHEDULES", "constant", "cosine", "inverse_sqrt", "linear", "schedule", "wsd"]

Factor = Callable[[float], float]

DECAYS: dict[str, Factor] = {
    "linear": lambda p: 1 - p,
    "cosine": lambda p: 0.5 * (1 + math.cos(math.pi * p)),
    "1-sqrt": lambda p: 1 - math.sqrt(p),
}


def _check_steps(total: int | None = None, floor: float = 0.0, **steps: int) -> None:
    """Raise TypeError or ValueError for what is no number of steps, or exceeds ``total``."""
    for name, value in (steps | ({} if total is None else {"total": total})).items():
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{name} must be an integer number of steps, got {value!r}")
        if value < 0:
            raise ValueError(f"{name} must not be negative, got {value}")
    if total is not None and (total < 1 or sum(steps.values()) > total):
        given = " + ".join(f"{name} {value}" for name, value in steps.items())
        raise ValueError(f"total must be at least 1 and {given}, got {total}")
    check_range(0, 1, floor=floor)


def _warm(t: float, warmup: int) -> float:
    """Linear warm-up: t / W, at most 1. Raises ValueError for a negative step."""
    if t < 0:
        raise ValueError(f"step must not be negative, got {t}")
    return t / warmup if t < warmup else 1.0


def _decaying(total: int, warmup: int, floor: float, decay: Factor) -> Factor:
    """Warm-up, then ``decay(p)`` over all the rest, stretched to run from 1 to ``floor``."""

    def factor(t: float) -> float:
        warm = _warm(t, warmup)
        if t < warmup:
            return warm
        return floor + (1 - floor) * decay(min(1.0, (t - warmup) / max(1, total - warmup)))

    return factor


def constant(warmup: int = 0) -> Factor:
    """min(1, t / W)."""
    _check_steps(warmup=warmup)
    return lambda t: _warm(t, warmup)


def linear(total: int, warmup: int = 0, floor: float = 0.0) -> Factor:
    """Warm-up, then a straight line from 1 to ``floor``: floor + (1 - floor)(1 - p)."""
    _check_steps(total, floor, warmup=warmup)
    return _decaying(total, warmup, floor, DECAYS["linear"])


def cosine(total: int, warmup: int = 0, floor: float = 0.0) -> Factor:
    """Warm-up, then floor + (1 - floor)(1 + cos(pi p)) / 2 (Loshchilov and Hutter 2017)."""
    _check_steps(total, floor, warmup=warmup)
    return _decaying(total, warmup, floor, DECAYS["cosine"])


def wsd(
    total: int, warmup: int = 0, decay: int = 0, floor: float = 0.0, shape: str = "1-sqrt"
) -> Factor:
    """Warm-up, stable, decay (Hu et al. 2024, "MiniCPM"): 1 until step N - D, then to ``floor``.

    ``shape`` of the decay: ``"linear"``, ``"cosine"`` or ``"1-sqrt"``, that is 1 - sqrt(p)
    (Hägele et al. 2024). The stable phase can be prolonged later without a new run.
    """
    _check_steps(total, floor, warmup=warmup, decay=decay)
    fall = DECAYS[choose("shape", shape, DECAYS)]

    def factor(t: float) -> float:
        warm = _warm(t, warmup)
        if t < total - decay or decay == 0:
            return warm
        return floor + (1 - floor) * fall(min(1.0, (t - total + decay) / decay))

    return factor


def inverse_sqrt(warmup: int, timescale: int | None = None) -> Factor:
    """Warm-up, then 1 / sqrt(1 + (t - W) / timescale); by default timescale = W.

    With the default it is min(t / W, sqrt(W / t)), the schedule of Vaswani et al. 2017.
    Raises ValueError if there is neither warm-up nor a timescale.
    """
    _check_steps(warmup=warmup)
    scale = warmup if timescale is None else timescale
    if isinstance(scale, bool) or not isinstance(scale, int) or scale < 1:
        raise ValueError(f"timescale must be an integer of at least 1, got {scale}; or warm up")

    def factor(t: float) -> float:
        warm = _warm(t, warmup)
        return warm if t < warmup else (1 + (t - warmup) / scale) ** -0.5

    return factor


SCHEDULES: dict[str, Callable[..., Factor]] = {
    "constant": constant,
    "linear": linear,
    "cosine": cosine,
    "wsd": wsd,
    "inverse_sqrt": inverse_sqrt,
}


def schedule(name: str, **arguments: float) -> Factor:
    """Make the named schedule: ``schedule("cosine", total=1000, warmup=100, floor=0.1)``.

    Raises ValueError for an unknown name; TypeError for arguments that it does not take.
    """
    return SCHEDULES[choose("schedule", name, SCHEDULES)](**arguments)
