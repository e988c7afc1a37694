"""Beam search: the likeliest continuations, found by keeping a few at each step.

Legend: W beams, V vocab_size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from utils.generate import check_model, evaluation
from utils.models.cache import KVCache
from utils.models.transformer import Transformer


class Beam(NamedTuple):
    """A continuation: new tokens, with the stop token, and log-probability / length^penalty."""

    tokens: list[int]
    score: float


def beam_search(
    model: Transformer,
    prompt: Sequence[int],
    max_new_tokens: int,
    *,
    beams: int = 4,
    length_penalty: float = 1.0,
    stop_tokens: Sequence[int] = (),
    source: Tensor | None = None,
    source_mask: Tensor | None = None,
) -> list[Beam]:
    """The best `beams` continuations of one prompt, best first.

    Score: sum of log-probabilities over (number of new tokens)^length_penalty; 0 compares
    whole probabilities, which favors short texts. The search ends when no unfinished beam can
    still beat the worst of `beams` finished ones. Wu et al. 2016, "Google's Neural Machine
    Translation System", without its coverage term. `source` (1, S) is an
    encoder-decoder's. Raises ValueError as `utils.generate.stream`, and for fewer than one
    beam.
    """
    if beams < 1 or max_new_tokens < 1 or not len(prompt):
        raise ValueError(
            f"beam search needs a beam, a new token and a prompt, got beams={beams}, "
            f"max_new_tokens={max_new_tokens} and a prompt of {len(prompt)} tokens"
        )
    check_model(model, len(prompt), max_new_tokens)
    search = _Search(beams, length_penalty, max_new_tokens, set(stop_tokens))
    device = next(model.parameters()).device
    with evaluation(model):
        given = _source(model, source, source_mask, beams)
        dtype = next(model.parameters()).dtype
        cache = KVCache(model.config, beams, len(prompt) + max_new_tokens, device, dtype)
        tokens_WT = torch.tensor([list(prompt)] * beams, device=device)
        # All beams are the same at first: only the first one counts.
        sum_W = torch.full((beams,), -torch.inf, device=device)
        sum_W[0] = 0.0
        for _ in range(max_new_tokens):
            logits_WV = model(tokens_WT, cache=cache, last_only=True, **given)[:, 0]
            sum_WV = sum_W[:, None] + logits_WV.float().log_softmax(-1)
            parent_W, token_W, sum_W = search.step(sum_WV)
            if search.done():
                break
            cache.reorder(parent_W)
            tokens_WT = token_W[:, None]
    return search.best()


def _source(
    model: Transformer, source: Tensor | None, mask: Tensor | None, beams: int
) -> dict[str, Tensor | None]:
    if not model.config.encoder_layers:
        return {}
    if source is None or source.shape[0] != 1:
        raise ValueError("beam search in an encoder-decoder needs one source, of shape (1, S)")
    memory = model.encode(source, mask).expand(beams, -1, -1)
    return {"memory": memory, "source_mask": None if mask is None else mask.expand(beams, -1)}


class _Search:
    """The beams alive and those finished."""

    def __init__(self, beams: int, penalty: float, limit: int, stops: set[int]) -> None:
        self.beams, self.penalty, self.limit, self.stops = beams, penalty, limit, stops
        self.alive: list[tuple[list[int], float]] = [([], 0.0)] * beams
        self.finished: list[Beam] = []

    def step(self, sum_WV: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Take the best extensions; their parents, tokens and sums, (W,) each.

        Every stop token may be among the best, W times over: so many candidates are looked at
        that W go on in any case.
        """
        W, V = sum_WV.shape
        count = min(W * (1 + len(self.stops)), W * V)
        sums, flat = sum_WV.flatten().topk(count)
        alive, kept = [], []
        candidates = zip(sums.tolist(), flat.tolist(), strict=True)
        for rank, (total, index) in enumerate(candidates):
            parent, token = divmod(index, V)
            tokens = self.alive[parent][0] + [token]
            if token not in self.stops:
                alive.append((tokens, total))
                kept.append(rank)
            elif rank < W and total > -torch.inf:
                self._finish(tokens, total)
            if len(alive) == W:
                break
        while len(alive) < W:  # a vocabulary smaller than the beam
            alive.append((alive[0][0] if alive else [0], -torch.inf))
            kept.append(kept[0] if kept else 0)
        self.alive = alive
        index_W = flat[torch.tensor(kept, device=flat.device)]
        sum_W = torch.tensor([total for _, total in alive], device=flat.device)
        return index_W // V, index_W % V, sum_W

    def _finish(self, tokens: list[int], total: float) -> None:
        self.finished.append(Beam(tokens, total / len(tokens) ** self.penalty))
        self.finished = sorted(self.finished, key=lambda beam: -beam.score)[: self.beams]

    def done(self) -> bool:
        """Whether no beam alive can still enter the finished ones (log-probabilities fall)."""
        best = max(total for _, total in self.alive)
        if best == -torch.inf:
            return True
        length = self.limit if self.penalty > 0 else len(self.alive[0][0])
        bound = best / length**self.penalty
        return len(self.finished) == self.beams and self.finished[-1].score >= bound

    def best(self) -> list[Beam]:
        """Finished beams and, where the limit cut them, those alive."""
        for tokens, total in self.alive:
            if total > -torch.inf and len(tokens) == self.limit:
                self._finish(tokens, total)
        return self.finished
