"""Speculative decoding: a small model drafts, the large one checks several tokens at once.

Leviathan et al. 2023, "Fast Inference from Transformers via Speculative Decoding".
What comes out has the large model's own distribution, whatever the draft.

Legend: V vocab_size, G drafted tokens in a round.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from utils.generate import check_model, evaluation, make_generator
from utils.models.cache import KVCache
from utils.models.transformer import Transformer
from utils.sampling import Sampling, probabilities


class Speculation(NamedTuple):
    """New tokens, how many were drafted and accepted, and calls of the large model."""

    tokens: list[int]
    drafted: int
    accepted: int
    calls: int


def speculative_generate(
    model: Transformer,
    draft: Transformer,
    prompt: Sequence[int],
    max_new_tokens: int,
    *,
    lookahead: int = 4,
    sampling: Sampling | None = None,
    seed: int | None = None,
    stop_tokens: Sequence[int] = (),
) -> Speculation:
    """Continue one prompt; each round drafts `lookahead` tokens.

    `sampling` applies to both models; a repetition penalty is not built, for it makes each
    distribution depend on the drafted tokens before it. Raises ValueError for that, for
    different vocabularies, and as `utils.generate.stream`.
    """
    sampling = sampling or Sampling()
    _check(model, draft, prompt, max_new_tokens, lookahead, sampling)
    device = next(model.parameters()).device
    generator = make_generator(seed, device)
    large, small = _Side(model, sampling), _Side(draft, sampling)
    tokens, stops = list(prompt), set(stop_tokens)
    drafted = accepted = calls = 0
    end = len(prompt) + max_new_tokens
    with evaluation(model), evaluation(draft):
        large.start(end)
        small.start(end)
        while len(tokens) < end and not (stops & set(tokens[len(prompt) :])):
            count = min(lookahead, end - len(tokens) - 1)
            guesses, q_GV = _draft(small, tokens, count, generator)
            p_GV = large.read(tokens + guesses, count + 1)
            kept, last = _accept(guesses, p_GV, q_GV, generator)
            small.cache.truncate(min(small.cache.length, len(tokens) + kept))
            large.cache.truncate(len(tokens) + kept)
            tokens += [*guesses[:kept], last]
            drafted, accepted, calls = drafted + count, accepted + kept, calls + 1
    new = tokens[len(prompt) :]
    cut = next((i + 1 for i, token in enumerate(new) if token in stops), len(new))
    return Speculation(new[:cut], drafted, accepted, calls)


class _Side:
    """One of the two models with its cache, which may lag behind the tokens."""

    def __init__(self, model: Transformer, sampling: Sampling) -> None:
        self.model, self.sampling = model, sampling

    def start(self, length: int) -> None:
        weight = next(self.model.parameters())
        self.device = weight.device
        self.cache = KVCache(self.model.config, 1, length, weight.device, weight.dtype)

    def read(self, tokens: list[int], count: int) -> Tensor:
        """Feed what the cache lacks; distributions behind the last `count` tokens, (count, V)."""
        new = torch.tensor([tokens[self.cache.length :]], device=self.device)
        logits = self.model(new, cache=self.cache)[0, -count:]
        return probabilities(logits, self.sampling)


def _draft(
    small: _Side, tokens: list[int], count: int, generator: torch.Generator | None
) -> tuple[list[int], Tensor | None]:
    guesses, rows = [], []
    for _ in range(count):
        q_1V = small.read(tokens + guesses, 1)
        guesses.append(int(torch.multinomial(q_1V, 1, generator=generator)))
        rows.append(q_1V)
    return guesses, torch.cat(rows) if rows else None


def _accept(
    guesses: list[int], p_GV: Tensor, q_GV: Tensor | None, generator: torch.Generator | None
) -> tuple[int, int]:
    """How many guesses stand, and the token after them.

    A guess x stands with probability min(1, p(x) / q(x)); the first that falls is replaced by
    a draw from max(p - q, 0), scaled to sum to one; if all stand, p gives one more.
    """
    for i, guess in enumerate(guesses):
        p_V, q_V = p_GV[i], q_GV[i]
        chance = torch.rand((), generator=generator, device=p_V.device)
        if chance * q_V[guess] >= p_V[guess]:
            rest_V = (p_V - q_V).clamp_min(0.0)
            # Equal distributions leave nothing but rounding: then p itself is right.
            rest_V = rest_V if rest_V.sum() > 0 else p_V
            return i, int(torch.multinomial(rest_V, 1, generator=generator))
    return len(guesses), int(torch.multinomial(p_GV[-1], 1, generator=generator))


def _check(model, draft, prompt, max_new_tokens, lookahead, sampling) -> None:
    if model.config.vocab_size != draft.config.vocab_size:
        raise ValueError(
            f"both models need the same vocabulary, got {model.config.vocab_size} and "
            f"{draft.config.vocab_size} tokens"
        )
    if model.config.encoder_layers or draft.config.encoder_layers:
        raise ValueError("speculative decoding is built for decoders without an encoder")
    if sampling.repetition_penalty != 1.0:
        raise ValueError("speculative decoding is built without a repetition penalty")
    if lookahead < 1 or not len(prompt):
        raise ValueError(
            f"lookahead must be at least 1 and the prompt not empty, got {lookahead} and "
            f"{len(prompt)} tokens"
        )
    for each in (model, draft):
        check_model(each, len(prompt), max_new_tokens)
