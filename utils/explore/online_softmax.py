"""Online softmax, block by block: running maximum, sum and answer of one query over twelve keys."""

from __future__ import annotations

import itertools
import math

import traitlets

from utils.explore.base import Explorable, source

SCORES = (0.4, -1.1, 1.3, 0.2, -0.6, 2.0, -1.6, 0.9, 1.7, -0.2, 0.6, -2.0)
VALUES = (2.0, 7.0, 4.0, 9.0, 1.0, 6.0, 3.0, 8.0, 5.0, 0.0, 10.0, 4.0)
BLOCKS = (1, 2, 3, 4, 6, 12)
ORDERS = ("as given", "rising", "falling")


def online_softmax(scale: float, block: int, order: str) -> dict:
    """The states of one query's attention while the keys are read block by block.

    Parameters
    ----------
    scale : what the twelve scores are multiplied with.
    block : how many keys are read at once, one of `BLOCKS`.
    order : one of `ORDERS`, by score.

    Returns
    -------
    ``scores``, ``values`` and final ``weights`` (12 each, in the order read); ``steps``, one
    ``[maximum, sum, answer, factor]`` a block, ``factor`` being what the old sum was multiplied
    with; ``raised``, how many blocks after the first raised the maximum; ``answer``, computed
    from all scores at once.

    Raises
    ------
    ValueError
        For another block size or order.
    """
    if block not in BLOCKS:
        raise ValueError(f"block is {block!r}; expected one of {BLOCKS}")
    if order not in ORDERS:
        raise ValueError(f"order is {order!r}; expected one of {', '.join(ORDERS)}")
    pairs = list(zip(SCORES, VALUES, strict=True))
    if order != "as given":
        pairs.sort(reverse=order == "falling")
    scores, values = [scale * s for s, _ in pairs], [v for _, v in pairs]
    top = max(scores)
    parts = [math.exp(s - top) for s in scores]
    weights = [p / sum(parts) for p in parts]
    steps = _steps(scores, values, block)
    maxima = [step[0] for step in steps]
    return {
        "scores": scores,
        "values": values,
        "weights": weights,
        "steps": steps,
        "raised": sum(b > a for a, b in itertools.pairwise(maxima)),
        "answer": sum(w * v for w, v in zip(weights, values, strict=True)),
    }


def _steps(scores: list[float], values: list[float], block: int) -> list[list[float]]:
    """Maximum, sum, answer and factor after each block."""
    m, total, mean, steps = -math.inf, 0.0, 0.0, []
    for start in range(0, len(scores), block):
        part = slice(start, start + block)
        highest = max(m, *scores[part])
        factor = math.exp(m - highest)
        new = [math.exp(s - highest) for s in scores[part]]
        kept = total * factor
        total = kept + sum(new)
        mean = (kept * mean + sum(p * v for p, v in zip(new, values[part], strict=True))) / total
        m = highest
        steps.append([m, total, mean, factor])
    return steps


class OnlineSoftmax(Explorable):
    """Twelve scores read block by block: what is known of the answer after each block."""

    _esm = source("online_softmax.js")
    title = "Online softmax, block by block"
    fallback = (
        "With JavaScript, sliders read twelve keys block by block here and show the running "
        "maximum, the running sum and the answer so far beside the final ones."
    )
    heights = ("38rem", "66rem")
    read = traitlets.Int(0, min=0, max=12).tag(sync=True)
    block = traitlets.Enum(BLOCKS, 3).tag(sync=True)
    scale = traitlets.Float(1.0, min=0.0, max=4.0).tag(sync=True)
    order = traitlets.Enum(ORDERS, "as given").tag(sync=True)
