"""The transformer: decoder (GPT-2, Llama, Qwen, Mixtral), encoder (BERT), encoder-decoder.

Legend: B batch, T sequence, S source or slots, M = d_model, V vocab_size.

Design: one class, told by a `TransformerConfig` what to be. `model(tokens)` gives logits,
`model(tokens, targets)` the loss, so that wrappers (DDP, torch.compile) see every call.
`attention_mask` is 1 at real tokens and 0 at padding, on either side: positions count real
tokens only, so padding never changes a row's result.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.models.attention import Mask, make_mask
from utils.models.block import Block, Step
from utils.models.cache import KVCache
from utils.models.config import TransformerConfig
from utils.models.embedding import (
    Embedding,
    check_documents,
    check_shape,
    count_positions,
    make_norm,
    restart_positions,
)
from utils.models.feedforward import activate, load_balancing_loss
from utils.models.rope import Rotary


def next_token_loss(logits_BTV: Tensor, targets_BT: Tensor) -> Tensor:
    """Mean cross-entropy over targets other than -100, a scalar (NaN where there is none).

    Raises ValueError for targets out of range where the device finds them itself (a CPU).
    """
    try:
        return F.cross_entropy(logits_BTV.flatten(0, 1), targets_BT.flatten())
    except IndexError:
        V, low, high = logits_BTV.shape[-1], int(targets_BT.min()), int(targets_BT.max())
        raise ValueError(
            f"targets must lie in 0 … {V - 1}, or be -100 not to count; got {low} … {high}"
        ) from None


class MaskedHead(nn.Module):
    """BERT's prediction head before the tied matrix: dense, GELU, norm; and a bias over V."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.d_model, config.d_model)
        self.norm = make_norm(config)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))
        self.activation = "gelu" if config.activation == "swiglu" else config.activation

    def forward(self, x_BTM: Tensor) -> Tensor:
        """(B, T, M) to (B, T, M)."""
        return self.norm(activate(self.dense(x_BTM), self.activation))


class Transformer(nn.Module):
    """A transformer as its config says.

    Weights start as GPT-2's: normal with deviation 0.02, layers that write to the residual
    path divided by sqrt(2 num_layers) (Radford et al. 2019), biases zero.
    Built under `torch.device("meta")` it costs no memory and can be counted.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        decoder = bool(config.encoder_layers)
        pre = config.norm_position == "pre"
        self.embedding = Embedding(config)
        self.encoder = nn.ModuleList(Block(config, i) for i in range(config.encoder_layers))
        self.encoder_norm = make_norm(config) if decoder and pre else None
        self.blocks = nn.ModuleList(
            Block(config, i, cross=decoder) for i in range(config.num_layers)
        )
        self.norm = make_norm(config) if pre else None
        self.masked_head = MaskedHead(config) if config.head == "mlm" else None
        self.pooler = nn.Linear(config.d_model, config.d_model) if config.pooler else None
        self.head = None
        if config.head == "lm" and not config.tied:
            self.head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        self.rotary = Rotary(config) if config.positions == "rope" else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights anew from torch's global generator."""
        layers = self.config.num_layers + self.config.encoder_layers
        for name, parameter in self.named_parameters():
            if "norm" in name:
                nn.init.ones_(parameter) if name.endswith("weight") else nn.init.zeros_(parameter)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)
            else:
                writes = name.endswith(("attention.out.weight", "cross.out.weight"))
                writes = writes or name.endswith(("feedforward.down.weight", "feedforward.down"))
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * layers) if writes else 0.02)

    def forward(
        self,
        tokens: Tensor,
        targets: Tensor | None = None,
        *,
        attention_mask: Tensor | None = None,
        positions: Tensor | None = None,
        token_types: Tensor | None = None,
        documents: Tensor | None = None,
        source: Tensor | None = None,
        source_mask: Tensor | None = None,
        memory: Tensor | None = None,
        cache: KVCache | None = None,
        last_only: bool = False,
    ) -> Tensor:
        """Logits (B, T, V), or the scalar loss if `targets` (B, T) are given.

        tokens (B, T) whole numbers; attention_mask (B, T), 1 at real tokens; positions (T,) or
        (B, T), None to count real tokens. An encoder-decoder takes `source` (B, S) or the
        `memory` (B, S, M) that `encode` made of it. With a `cache` the tokens follow those in
        it. `last_only` gives logits (B, 1, V) of the last position. With head "none" the
        features (B, T, M) come back in place of logits.

        `documents` (B, T), whole numbers, pack several texts into a row (see
        `utils.data.token_batches.pack`): tokens see their own document only, and positions
        restart with each, so logits equal those of the documents one by one.

        Targets of -100 do not count; in training mode the loss of a mixture of experts holds
        `balance_weight` times the load-balancing loss.

        Raises ValueError for wrong shapes, context overflow, and token ids out of range. Ids
        are checked for free on a CPU by the look-up itself; on a GPU a check would wait for
        the device in every step, so call `utils.models.embedding.check_ids` on new data.
        """
        if targets is not None and (targets.shape != tokens.shape or last_only):
            raise ValueError(
                f"targets must have the tokens' shape {tuple(tokens.shape)} and come without "
                f"last_only, got {tuple(targets.shape)} and last_only={last_only}"
            )
        step = Step(masks={}, cache=cache)
        if self.encoder:
            self._read_source(step, source, source_mask, memory, tokens.shape[0])
        given = (attention_mask, positions, token_types, documents)
        features_BTM = self._features(tokens, step, *given)
        logits_BTV = self.logits(features_BTM[:, -1:] if last_only else features_BTM)
        if targets is None:
            return logits_BTV
        loss = next_token_loss(logits_BTV, targets)
        if step.router_logits and self.training:
            k = self.config.experts_per_token
            balance = load_balancing_loss(step.router_logits, k, attention_mask)
            loss = loss + self.config.balance_weight * balance
        return loss

    def features(
        self,
        tokens: Tensor,
        *,
        attention_mask: Tensor | None = None,
        positions: Tensor | None = None,
        token_types: Tensor | None = None,
        documents: Tensor | None = None,
    ) -> Tensor:
        """What the head sees, (B, T, M), of a model without a source."""
        if self.encoder:
            raise ValueError("an encoder-decoder has no features without a source: use encode")
        step = Step(masks={})
        return self._features(tokens, step, attention_mask, positions, token_types, documents)

    def router_logits(self, tokens: Tensor, attention_mask: Tensor | None = None) -> list[Tensor]:
        """The routers' logits, one (B T, E) a layer, as `load_balancing_loss` takes them."""
        step = Step(masks={})
        self._features(tokens, step, attention_mask, None, None)
        return step.router_logits

    def pooled(self, features_BTM: Tensor) -> Tensor:
        """BERT's summary, tanh of a dense layer over the first token, (B, M)."""
        if self.pooler is None:
            raise ValueError("this model has no pooler: build it with pooler=True")
        return torch.tanh(self.pooler(features_BTM[:, 0]))

    def logits(self, features_BTM: Tensor) -> Tensor:
        """The head: features (B, T, M) to logits (B, T, V)."""
        if self.config.head == "none":
            return features_BTM
        if self.masked_head is not None:
            x_BTM = self.masked_head(features_BTM)
            return F.linear(x_BTM, self.embedding.tokens.weight, self.masked_head.bias)
        weight = self.embedding.tokens.weight if self.head is None else self.head.weight
        return F.linear(features_BTM, weight)

    def encode(self, source: Tensor, source_mask: Tensor | None = None) -> Tensor:
        """The encoder's output, (B, S, M), for `source` (B, S), to be passed as `memory`."""
        if not self.encoder:
            raise ValueError("this model has no encoder: build it with encoder_layers > 0")
        check_shape(source, source_mask, "source", self.config.max_length)
        real_BS = None if source_mask is None else source_mask.bool()
        positions = count_positions(source.shape[1], real_BS, source.device)
        mask = make_mask(
            *(source.shape[1],) * 2, causal=False, real_BS=real_BS, device=source.device
        )
        windows = {block.window for block in self.encoder}
        x_BSM = self.embedding(source, positions, None)
        step = Step(dict.fromkeys(windows, mask), self._rotation(positions, x_BSM, source.shape[1]))
        for block in self.encoder:
            x_BSM = block(x_BSM, step)
        return x_BSM if self.encoder_norm is None else self.encoder_norm(x_BSM)

    def _read_source(
        self,
        step: Step,
        source: Tensor | None,
        source_mask: Tensor | None,
        memory: Tensor | None,
        rows: int,
    ) -> None:
        """Set the source's keys and values, from the cache where it has them."""
        cache = step.cache
        if cache is not None and cache.cross is not None:
            step.cross = cache.cross
        else:
            if (source is None) == (memory is None):
                raise ValueError("an encoder-decoder needs either source or memory")
            memory = self.encode(source, source_mask) if memory is None else memory
            step.cross = [block.cross.keys_values(memory) for block in self.blocks]
            if cache is not None:
                cache.cross = step.cross
        length = step.cross[0][0].shape[2]
        if step.cross[0][0].shape[0] != rows:
            raise ValueError(
                f"source has {step.cross[0][0].shape[0]} rows, tokens have {rows}: they must match"
            )
        if source_mask is not None:
            allowed = source_mask.bool()[:, None, None, :]
            empty = ~allowed.any(-1, keepdim=True)
            if allowed.shape[-1] != length:
                raise ValueError(f"source_mask covers {allowed.shape[-1]} of {length} positions")
            step.cross_mask = Mask(allowed_B1TS=allowed | empty, empty_B1T1=empty)

    def _features(
        self,
        tokens: Tensor,
        step: Step,
        attention_mask: Tensor | None,
        positions: Tensor | None,
        token_types: Tensor | None,
        documents: Tensor | None = None,
    ) -> Tensor:
        check_shape(tokens, attention_mask, "tokens", self.config.max_length)
        if documents is not None:
            check_documents(documents, tokens, step.cache)
            positions = restart_positions(documents) if positions is None else positions
        rows, new = tokens.shape
        start = self._prepare_cache(step.cache, rows, new)
        real_BT = None if attention_mask is None else attention_mask.bool()
        if step.cache is not None:
            positions, real_BS, position_BS = step.cache.place(real_BT, positions, new)
        else:
            real_BS, position_BS = real_BT, None
            if positions is None:
                positions = count_positions(new, real_BT, tokens.device)
            if positions.dim() == 2:
                position_BS = positions
        for window in {block.window for block in self.blocks}:
            step.masks[window] = make_mask(
                new,
                start + new,
                causal=self.config.causal,
                window=window,
                real_BS=real_BS,
                position_BS=position_BS,
                document_BS=documents,
                device=tokens.device,
            )
        x_BTM = self.embedding(tokens, positions, token_types)
        step.rotation = self._rotation(positions, x_BTM, start + new)
        for block in self.blocks:
            x_BTM = block(x_BTM, step)
        if step.cache is not None:
            step.cache.advance(new)
        return x_BTM if self.norm is None else self.norm(x_BTM)

    def _prepare_cache(self, cache: KVCache | None, rows: int, new: int) -> int:
        if cache is None:
            return 0
        if not self.config.causal:
            raise ValueError("a cache needs a causal model: here later tokens change earlier ones")
        cache.check_room(rows, new)
        return cache.length

    def _rotation(
        self, positions: Tensor, x_BTM: Tensor, length: int
    ) -> tuple[Tensor, Tensor] | None:
        if self.rotary is None:
            return None
        return self.rotary(positions, x_BTM.dtype, length)
