"""From logits to the next token: temperature, top-k, top-p, min-p, repetition penalty.

Legend: B batch, V vocab_size. The order is transformers': repetition penalty, temperature,
top-k, top-p, min-p; each is a function of its own, and removed tokens get -inf.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Sampling:
    """How to choose a token. `temperature=0` is greedy and needs nothing else.

    `top_k` keeps the k best, `top_p` the fewest tokens that hold this much probability,
    `min_p` those at least this likely relative to the best; None: no such limit.
    Raises ValueError for values out of range.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float = 1.0

    def __post_init__(self) -> None:
        if not (self.temperature >= 0 and math.isfinite(self.temperature)):
            raise ValueError(f"temperature must be at least 0, got {self.temperature}")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k must be at least 1, got {self.top_k}")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be in (0, 1], got {self.top_p}")
        if self.min_p is not None and not 0 <= self.min_p <= 1:
            raise ValueError(f"min_p must be in [0, 1], got {self.min_p}")
        if not self.repetition_penalty > 0:
            raise ValueError(f"repetition_penalty must be above 0, got {self.repetition_penalty}")


GREEDY = Sampling(temperature=0.0)


def repetition_penalty(logits_BV: Tensor, seen_BV: Tensor, penalty: float) -> Tensor:
    """Divide the logits of seen tokens by `penalty` where positive, else multiply.

    Keskar et al. 2019, "CTRL". `seen_BV` is True at tokens that occurred.
    """
    less = torch.where(logits_BV < 0, logits_BV * penalty, logits_BV / penalty)
    return torch.where(seen_BV, less, logits_BV)


def top_k(logits_BV: Tensor, k: int) -> Tensor:
    """Keep the k largest logits (and those equal to the k-th)."""
    least_B1 = logits_BV.topk(min(k, logits_BV.shape[-1]), dim=-1).values[:, -1:]
    return logits_BV.masked_fill(logits_BV < least_B1, -math.inf)


def top_p(logits_BV: Tensor, p: float) -> Tensor:
    """Keep the fewest tokens that together hold at least probability p, never none.

    Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration".
    """
    ascending_BV, order_BV = logits_BV.sort(dim=-1)
    remove_BV = ascending_BV.softmax(-1).cumsum(-1) <= 1 - p
    remove_BV[:, -1] = False
    return logits_BV.masked_fill(remove_BV.scatter(1, order_BV, remove_BV), -math.inf)


def min_p(logits_BV: Tensor, p: float) -> Tensor:
    """Keep tokens at least p times as likely as the best.

    Nguyen et al. 2024, "Turning Up the Heat: Min-p Sampling".
    """
    probability_BV = logits_BV.softmax(-1)
    least_B1 = p * probability_BV.amax(-1, keepdim=True)
    return logits_BV.masked_fill(probability_BV < least_B1, -math.inf)


def process(logits_BV: Tensor, sampling: Sampling, seen_BV: Tensor | None = None) -> Tensor:
    """All of a `Sampling`'s steps, (B, V) to (B, V) in float32.

    With temperature 0 only the repetition penalty applies: argmax ignores the rest.
    """
    logits_BV = logits_BV.float()
    if sampling.repetition_penalty != 1.0:
        if seen_BV is None:
            raise ValueError("repetition_penalty needs seen_BV, the tokens that occurred")
        logits_BV = repetition_penalty(logits_BV, seen_BV, sampling.repetition_penalty)
    if sampling.temperature == 0:
        return logits_BV
    if sampling.temperature < 1e-3:  # the best to 0, so that no quotient overflows to infinity
        logits_BV = logits_BV - logits_BV.amax(-1, keepdim=True)
    logits_BV = logits_BV / sampling.temperature
    if sampling.top_k is not None:
        logits_BV = top_k(logits_BV, sampling.top_k)
    if sampling.top_p is not None and sampling.top_p < 1:
        logits_BV = top_p(logits_BV, sampling.top_p)
    if sampling.min_p is not None:
        logits_BV = min_p(logits_BV, sampling.min_p)
    return logits_BV


def probabilities(logits_BV: Tensor, sampling: Sampling, seen_BV: Tensor | None = None) -> Tensor:
    """The distribution that `choose` draws from, (B, V); greedy: all on the first best."""
    logits_BV = process(logits_BV, sampling, seen_BV)
    if sampling.temperature == 0:
        return torch.nn.functional.one_hot(logits_BV.argmax(-1), logits_BV.shape[-1]).float()
    return logits_BV.softmax(-1)


def choose(
    logits_BV: Tensor,
    sampling: Sampling,
    generator: torch.Generator | None = None,
    seen_BV: Tensor | None = None,
) -> Tensor:
    """The next token of each row, (B,)."""
    logits_BV = process(logits_BV, sampling, seen_BV)
    if sampling.temperature == 0:
        return logits_BV.argmax(-1)
    return torch.multinomial(logits_BV.softmax(-1), 1, generator=generator)[:, 0]
