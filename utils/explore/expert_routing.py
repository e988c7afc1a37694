"""Routing tokens to experts: top-k, capacity, dropped tokens, and the load-balancing loss."""

from __future__ import annotations

import math

import traitlets

from utils.explore.base import Explorable, source

EXPERTS = 4
CHOICES = (1, 2)
TOKENS = (
    (1.31, 0.46),
    (0.52, 1.17),
    (-0.38, 1.43),
    (-1.22, 0.71),
    (-1.36, -0.29),
    (-0.83, -1.08),
    (0.17, -1.39),
    (1.06, -0.91),
    (0.94, 0.83),
    (0.08, 0.97),
    (-0.91, 1.12),
    (-0.97, 0.18),
    (-1.04, -0.74),
    (-0.29, -0.86),
    (0.69, -1.13),
    (1.42, -0.21),
)


def directions(fan: float) -> list[tuple[float, float]]:
    """The experts' unit vectors, ``fan`` degrees from one to the next, centered on 45 degrees."""
    angles = [math.radians(45 + fan * (e - (EXPERTS - 1) / 2)) for e in range(EXPERTS)]
    return [(math.cos(a), math.sin(a)) for a in angles]


def softmax(scores: list[float]) -> list[float]:
    """Of a list, shifted by its largest score."""
    parts = [math.exp(s - max(scores)) for s in scores]
    return [p / sum(parts) for p in parts]


def expert_routing(chosen: int, start: float, scale: float, fan: float, factor: float) -> dict:
    """Who works on what.

    Parameters
    ----------
    chosen : experts a token, one of `CHOICES`.
    start : what expert 1 has in advance, added to its score.
    scale : what the products of tokens and experts are multiplied with.
    fan : degrees between neighboring experts; 90 spreads them evenly.
    factor : the capacity factor; an expert has ``ceil(factor * chosen * tokens / EXPERTS)`` seats.

    Returns
    -------
    ``probability`` (tokens, EXPERTS); ``experts`` and ``weight`` (tokens, chosen), best first, the
    weights of a token adding up to 1; ``kept`` (tokens, chosen), 1 where the expert still had a
    seat: all first choices are seated before the second ones, each in the tokens' order; ``load``,
    choices an expert, and ``seated`` of them (EXPERTS); ``capacity``; ``dropped``, choices without
    a seat; ``lost``, tokens without any; ``idle``, seats that stay empty; ``loss``, EXPERTS times
    the sum of (share of tokens) times (mean probability), which is ``chosen`` for an even router
    (Fedus et al. 2022, with the shares of all choices summed).

    Raises
    ------
    ValueError
        For another number of choices, or a capacity factor that is not positive.
    """
    if chosen not in CHOICES:
        raise ValueError(f"chosen is {chosen!r}; expected one of {CHOICES}")
    if not factor > 0:
        raise ValueError(f"factor is {factor!r}; expected a positive number")
    vectors, n = directions(fan), len(TOKENS)
    probability, experts, weight = [], [], []
    for x, y in TOKENS:
        scores = [scale * (x * a + y * b) for a, b in vectors]
        scores[0] += start
        order = sorted(range(EXPERTS), key=lambda e: (-scores[e], e))[:chosen]
        probability.append(softmax(scores))
        experts.append(order)
        weight.append(softmax([scores[e] for e in order]))
    capacity = math.ceil(factor * chosen * n / EXPERTS)
    load, kept = [0] * EXPERTS, [[0] * chosen for _ in TOKENS]
    for rank in range(chosen):
        for token in range(n):
            expert = experts[token][rank]
            load[expert] += 1
            kept[token][rank] = int(load[expert] <= capacity)
    seated = [min(count, capacity) for count in load]
    mean = [sum(p[e] for p in probability) / n for e in range(EXPERTS)]
    return {
        "probability": probability,
        "experts": experts,
        "weight": weight,
        "kept": kept,
        "load": load,
        "seated": seated,
        "capacity": capacity,
        "dropped": sum(load) - sum(seated),
        "lost": sum(not any(row) for row in kept),
        "idle": EXPERTS * capacity - sum(seated),
        "loss": EXPERTS * sum(c / n * p for c, p in zip(load, mean, strict=True)),
    }


class ExpertRouting(Explorable):
    """Sixteen tokens as points, four experts as arrows, and the seats of each expert."""

    _esm = source("expert_routing.js")
    title = "Tokens and the experts that work on them"
    fallback = (
        "With JavaScript, sliders here give one expert a head start and set how many seats each "
        "has; the pictures show which token goes to which expert, and which gets none."
    )
    heights = ("46rem", "83rem")
    chosen = traitlets.Enum(CHOICES, 1).tag(sync=True)
    start = traitlets.Float(0.0, min=0.0, max=6.0).tag(sync=True)
    scale = traitlets.Float(2.0, min=0.5, max=4.0).tag(sync=True)
    fan = traitlets.Float(90.0, min=0.0, max=90.0).tag(sync=True)
    factor = traitlets.Float(1.0, min=0.5, max=4.0).tag(sync=True)
