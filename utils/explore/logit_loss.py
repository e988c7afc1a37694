"""Loss and gradient of a sigmoid's output against its logit."""

from __future__ import annotations

import math

import traitlets

from utils.explore.base import Explorable, source


def _softplus(z: float) -> float:
    return max(z, 0.0) + math.log1p(math.exp(-abs(z)))


def _sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z)) if z >= 0 else math.exp(z) / (1 + math.exp(z))


def logit_loss(logit: float, label: int, smoothing: float = 0.0) -> dict[str, float]:
    """Cross-entropy (nats) and squared error of ``sigmoid(logit)``, with their gradients.

    The target is ``label * (1 - smoothing) + smoothing / 2``; gradients are with respect to the
    logit. Raises ValueError if `label` is not 0 or 1 or `smoothing` lies outside 0 to 1.
    """
    if label not in (0, 1):
        raise ValueError(f"label is {label!r}; expected 0 or 1")
    if not 0 <= smoothing <= 1:
        raise ValueError(f"smoothing is {smoothing!r}; expected a number from 0 to 1")
    target = label * (1 - smoothing) + smoothing / 2
    p, q = _sigmoid(logit), _sigmoid(-logit)
    error = p * (1 - target) - q * target  # p - target, without its cancellation
    return {
        "probability": p,
        "cross_entropy": target * _softplus(-logit) + (1 - target) * _softplus(logit),
        "cross_entropy_gradient": error,
        "squared_error": error * error,
        "squared_error_gradient": 2 * error * p * q,
    }


class LogitLoss(Explorable):
    """Cross-entropy and squared error of a sigmoid against the logit; both gradients beside."""

    _esm = source("logit_loss.js")
    title = "Loss and gradient against the logit"
    fallback = (
        "With JavaScript, sliders move the logit here and two pictures show cross-entropy, "
        "squared error and their gradients."
    )
    heights = ("30rem", "54rem")
    logit = traitlets.Float(-6.0).tag(sync=True)
    label = traitlets.Int(1, min=0, max=1).tag(sync=True)
    smoothing = traitlets.Float(0.0, min=0.0, max=1.0).tag(sync=True)
