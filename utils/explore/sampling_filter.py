"""What temperature, top-k, top-p and min-p leave of a distribution over next words."""

from __future__ import annotations

import math

import traitlets

from utils.explore.base import Explorable, source

# The twelve most frequent words behind a word, counted in the training part of the source-text
# corpus (`utils.data.text.source_text`); a test counts again.
FOLLOWERS = {
    "raise": {
        "ValueError": 1718,
        "NotImplementedError": 834,
        "TypeError": 565,
        "ArgumentIndexError": 125,
        "OperationNotSupported": 75,
        "IndexError": 64,
        "RuntimeError": 56,
        "PolynomialError": 51,
        "ShapeError": 50,
        "AttributeError": 48,
        "NonSquareMatrixError": 48,
        "ZeroDivisionError": 46,
    },
    "the": {
        "same": 785,
        "expression": 413,
        "number": 402,
        "matrix": 399,
        "function": 390,
        "first": 370,
        "given": 353,
        "system": 320,
        "following": 269,
        "form": 251,
        "result": 218,
        "list": 208,
    },
    "return": {
        "self": 4424,
        "S": 1308,
        "False": 957,
        "None": 849,
        "True": 769,
        "f": 725,
        "expr": 427,
        "r": 419,
        "a": 410,
        "result": 355,
        "rv": 302,
        "cls": 296,
    },
}


def _softmax(logits: list[float]) -> list[float]:
    largest = max(logits)
    parts = [math.exp(z - largest) for z in logits]
    total = sum(parts)
    return [part / total for part in parts]


def sampling_filter(
    logits: list[float],
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    min_p: float = 0.0,
) -> dict:
    """Distribution (V,) before and after the filters, in the order of `utils.sampling`.

    ``top_k=0``, ``top_p=1`` and ``min_p=0`` switch a filter off. Returns ``tempered``, the softmax
    of logits / temperature; ``probabilities``, what is drawn from; ``kept``, how many are not 0;
    ``perplexity`` of what is drawn from.

    Raises
    ------
    ValueError
        Without logits, or for a setting out of range.
    """
    if not logits:
        raise ValueError("there are no logits; give at least one")
    if not (temperature > 0 and top_k >= 0 and 0 < top_p <= 1 and 0 <= min_p <= 1):
        raise ValueError(
            f"temperature {temperature}, top_k {top_k}, top_p {top_p}, min_p {min_p}: expected "
            "temperature > 0, top_k >= 0, 0 < top_p <= 1, 0 <= min_p <= 1"
        )
    z = [logit / temperature for logit in logits]
    tempered = _softmax(z)
    if 0 < top_k < len(z):
        least = sorted(z, reverse=True)[top_k - 1]
        z = [score if score >= least else -math.inf for score in z]
    if top_p < 1:
        p, below = _softmax(z), 0.0
        order = sorted(range(len(z)), key=lambda i: z[i])
        for i in order[:-1]:
            below += p[i]
            if below <= 1 - top_p:
                z[i] = -math.inf
    if min_p > 0:
        p = _softmax(z)
        floor = min_p * max(p)
        z = [score if q >= floor else -math.inf for score, q in zip(z, p, strict=True)]
    probabilities = _softmax(z)
    entropy = -sum(p * math.log(p) for p in probabilities if p > 0)
    return {
        "tempered": tempered,
        "probabilities": probabilities,
        "kept": sum(p > 0 for p in probabilities),
        "perplexity": math.exp(entropy),
    }


class SamplingFilter(Explorable):
    """Bars of the next word's probabilities; sliders for temperature, top-k, top-p, min-p."""

    _esm = source("sampling_filter.js")
    title = "What sampling settings leave of a distribution"
    fallback = (
        "With JavaScript, sliders set temperature, top-k, top-p and min-p here, and bars show "
        "which next words are left and how likely each is."
    )
    heights = ("41rem", "47rem")
    followers = traitlets.Dict(FOLLOWERS).tag(sync=True)
    word = traitlets.Enum(list(FOLLOWERS), "raise").tag(sync=True)
    temperature = traitlets.Float(1.0, min=0.05, max=5.0).tag(sync=True)
    top_k = traitlets.Int(0, min=0, max=12).tag(sync=True)
    top_p = traitlets.Float(1.0, min=0.01, max=1.0).tag(sync=True)
    min_p = traitlets.Float(0.0, min=0.0, max=1.0).tag(sync=True)
