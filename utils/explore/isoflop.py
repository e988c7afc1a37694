"""Curves of equal compute: the loss against tokens per parameter, by a fitted scaling law."""

from __future__ import annotations

import math

import traitlets

from utils.explore.base import Explorable, source

# Constants of L = E + A / N^alpha + B / D^beta.
PRESETS = {
    # Hoffmann et al. 2022, section 3.3, as printed.
    "Hoffmann": {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28},
    # The same before rounding, as Besiroglu et al. 2024 give them.
    "Unrounded": {"E": 1.6934, "A": 406.4, "B": 410.7, "alpha": 0.3392, "beta": 0.2849},
    # Besiroglu et al. 2024, the fit to data read off Hoffmann et al.'s figure.
    "Besiroglu": {
        "E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658,
    },
}  # fmt: skip
LOG_RATIOS = [-1 + i / 8 for i in range(41)]  # log10 of tokens per parameter, from 0.1 to 10,000


def loss(N: float, D: float, law: dict) -> float:
    """E + A / N^alpha + B / D^beta, nats a token (Hoffmann et al. 2022, equation 2)."""
    return law["E"] + law["A"] / N ** law["alpha"] + law["B"] / D ** law["beta"]


def optimum(C: float, law: dict) -> dict:
    """N and D of the lowest loss with 6 N D = C, in closed form (equation 4), and that loss."""
    alpha, beta = law["alpha"], law["beta"]
    G = (alpha * law["A"] / (beta * law["B"])) ** (1 / (alpha + beta))
    N = G * (C / 6) ** (beta / (alpha + beta))
    D = C / 6 / N
    return {"N": N, "D": D, "ratio": D / N, "loss": loss(N, D, law)}


def isoflop(log_compute: float, log_ratio: float, preset: str) -> dict:
    """A budget of 10^log_compute operations and 10^log_ratio tokens per parameter.

    Returns the ``best`` and the chosen ``N``, ``D``, ``ratio`` and ``loss``; the ``excess`` of
    the loss; ``times``, the budget over that which reaches the chosen loss at its optimum; the
    ``smaller`` model's share of the best one's parameters; and the ``curves`` of a tenth of the
    budget, the budget and ten times it at `LOG_RATIOS`, with the optimum of each (``best_ratios``,
    ``best_losses``). Raises ValueError for an unknown preset or numbers that are not finite.
    """
    if preset not in PRESETS:
        raise ValueError(f"preset is {preset!r}; expected one of {', '.join(PRESETS)}")
    if not (math.isfinite(log_compute) and math.isfinite(log_ratio)):
        raise ValueError(f"expected finite numbers, got {log_compute} and {log_ratio}")
    law, C = PRESETS[preset], 10**log_compute
    alpha, beta = law["alpha"], law["beta"]
    best = optimum(C, law)
    N = math.sqrt(C / 6 / 10**log_ratio)
    D = C / 6 / N
    here = loss(N, D, law)
    # Along the optima the part above E falls as C to the power -alpha beta / (alpha + beta).
    power = (alpha + beta) / (alpha * beta)
    times = ((here - law["E"]) / (best["loss"] - law["E"])) ** power
    budgets = [C / 10, C, C * 10]
    curves = [
        [loss(math.sqrt(c / 6 / 10**r), math.sqrt(c / 6 * 10**r), law) for r in LOG_RATIOS]
        for c in budgets
    ]
    optima = [optimum(c, law) for c in budgets]
    return {
        "best": best,
        "chosen": {"N": N, "D": D, "ratio": D / N, "loss": here},
        "excess": here - best["loss"],
        "times": times,
        "smaller": N / best["N"],
        "curves": curves,
        "best_ratios": [o["ratio"] for o in optima],
        "best_losses": [o["loss"] for o in optima],
    }


class Isoflop(Explorable):
    """Loss against tokens per parameter at a compute budget, by published constants."""

    _esm = source("isoflop.js")
    title = "IsoFLOP explorer"
    fallback = (
        "With JavaScript, a slider sets the compute budget here and another the tokens per "
        "parameter; a picture shows the loss, the best choice and what another one costs."
    )
    heights = ("47rem", "58rem")
    log_compute = traitlets.Float(23.75, min=18.0, max=26.0).tag(sync=True)
    log_ratio = traitlets.Float(3.0, min=-1.0, max=4.0).tag(sync=True)
    preset = traitlets.Enum(list(PRESETS), "Besiroglu").tag(sync=True)
