"""KL against reward: the exactly tilted policy over six answers, for a proxy that pays length.

A prompt holds the letters a, b and c. An answer earns one point for each of them that it names and
loses one for each other letter; the proxy adds `error` points a letter.
"""

from __future__ import annotations

import math

import traitlets

from utils.explore.base import Explorable, source

ANSWERS = ("a", "ab", "abc", "abca", "abcab", "abcabcabca")
REFERENCE = (0.30, 0.40, 0.20, 0.07, 0.029, 0.001)
POINTS = (1.0, 2.0, 3.0, 2.0, 1.0, -4.0)
GRID = tuple((30 - i) / 20 for i in range(51))  # log10 of beta along the path, from 1.5 to -1


def _tilted(log_beta: float, error: float) -> dict:
    """Probabilities, KL in nats, true and proxy reward at one beta."""
    beta = 10.0**log_beta
    proxy = [p + error * len(a) for p, a in zip(POINTS, ANSWERS, strict=True)]
    raised = [math.log(q) + r / beta for q, r in zip(REFERENCE, proxy, strict=True)]
    top = max(raised)
    log_sum = top + math.log(sum(math.exp(s - top) for s in raised))
    logs = [s - log_sum for s in raised]
    chances = [math.exp(v) for v in logs]
    gaps = [v - math.log(q) for v, q in zip(logs, REFERENCE, strict=True)]
    return {
        "chances": chances,
        "kl": sum(p * g for p, g in zip(chances, gaps, strict=True)),
        "true": sum(p * r for p, r in zip(chances, POINTS, strict=True)),
        "proxy": sum(p * r for p, r in zip(chances, proxy, strict=True)),
    }


def kl_reward(log_beta: float, error: float) -> dict:
    """The policy that maximises proxy reward minus beta KL, exactly.

    Parameters
    ----------
    log_beta : base-10 logarithm of the price beta of one nat of KL.
    error : points that the proxy pays for each letter, from 0 up.

    Returns
    -------
    ``chances`` (6), ``kl`` in nats, ``true`` and ``proxy`` reward; ``path``, ``[kl, true, proxy]``
    for each beta of `GRID`; ``best``, the entry of the path with the highest true reward.

    Raises
    ------
    ValueError
        For numbers that are not finite, or a negative error.
    """
    if not (math.isfinite(log_beta) and math.isfinite(error) and error >= 0):
        came = f"log_beta is {log_beta!r} and error {error!r}"
        raise ValueError(f"{came}; expected finite numbers and no negative error")
    rows = [_tilted(g, error) for g in GRID]
    path = [[row["kl"], row["true"], row["proxy"]] for row in rows]
    return _tilted(log_beta, error) | {"path": path, "best": max(path, key=lambda row: row[1])}


class KlReward(Explorable):
    """Six answers, a proxy that pays for length, and the policy that each price of KL buys."""

    _esm = source("kl_reward.js")
    title = "KL against reward"
    fallback = (
        "With JavaScript, two sliders set the price of KL and the error of the proxy here; "
        "pictures show the policy that is best then, and true and proxy reward against KL."
    )
    heights = ("36rem", "62rem")
    log_beta = traitlets.Float(1.5, min=-1.0, max=1.5).tag(sync=True)
    error = traitlets.Float(1.2, min=0.0, max=2.0).tag(sync=True)
