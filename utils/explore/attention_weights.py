"""One query's attention over a few keys in the plane."""

from __future__ import annotations

import math

import traitlets

from utils.explore.base import Explorable, source

WORDS = ["the", "cat", "sat", "on", "mats"]
KEYS = [[0.3, 0.4], [2.2, 0.9], [-0.6, 2.0], [-2.0, -0.8], [0.9, -2.1]]


def attention_weights(
    query: list[float],
    keys: list[list[float]],
    visible: int,
    scaled: bool = True,
    temperature: float = 1.0,
) -> dict:
    """Scaled dot-product attention of one query (d,) over keys (T, d); the values are the keys.

    Only the first `visible` keys count, the others are masked before the softmax. Returns
    ``scores`` (those of visible keys), ``weights`` (T,), ``output`` (d,) and ``perplexity``, the
    number of equally weighted keys that would be as spread (Vaswani et al. 2017, equation 1).

    Raises
    ------
    ValueError
        If a key has another length than the query, `visible` is not from 1 to T, or the
        temperature is not positive.
    """
    if any(len(key) != len(query) for key in keys):
        raise ValueError(f"every key needs {len(query)} numbers, as the query has")
    if not 1 <= visible <= len(keys):
        raise ValueError(f"visible is {visible}; expected 1 to {len(keys)}")
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}; expected a positive number")
    divisor = temperature * (math.sqrt(len(query)) if scaled else 1.0)
    products = [sum(q * k for q, k in zip(query, key, strict=True)) for key in keys[:visible]]
    scores = [product / divisor for product in products]
    largest = max(scores)
    shifted = [math.exp(score - largest) for score in scores]
    total = sum(shifted)
    weights = [part / total for part in shifted] + [0.0] * (len(keys) - visible)
    output = [
        sum(w * key[axis] for w, key in zip(weights, keys, strict=True))
        for axis in range(len(query))
    ]
    entropy = -sum(w * math.log(w) for w in weights if w > 0)
    return {
        "scores": scores,
        "weights": weights,
        "output": output,
        "perplexity": math.exp(entropy),
    }


class AttentionWeights(Explorable):
    """Drag a query and keys in the plane; weights, their spread and the output follow."""

    _esm = source("attention_weights.js")
    title = "Attention of one query over five keys"
    fallback = (
        "With JavaScript, the query and the keys can be dragged here, and bars show how the "
        "attention weights follow."
    )
    heights = ("35rem", "60rem")
    words = traitlets.List(traitlets.Unicode(), WORDS).tag(sync=True)
    query = traitlets.List(traitlets.Float(), [1.4, 1.0], minlen=2, maxlen=2).tag(sync=True)
    key_points = traitlets.List(traitlets.List(traitlets.Float()), KEYS).tag(sync=True)
    visible = traitlets.Int(5, min=1, max=5).tag(sync=True)
    scaled = traitlets.Bool(True).tag(sync=True)
    temperature = traitlets.Float(1.0, min=0.05, max=5.0).tag(sync=True)
